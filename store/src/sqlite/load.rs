//! The book read back, for the writer's start and for recomputation.
//!
//! Invariant: what is loaded passes the same constructors as what was written; a row that does not is damage, said with
//! its place, never skipped.

use super::value::{Big, Json, Money, Sum, Text, basis_points, int, uint};
use crate::StoreError;
use crate::book::{
    Book, RecentDebit, StoredDestination, StoredPayout, StoredPool, StoredReward, StoredSettings,
};
use accounting::ledger::{Balance, Ledger, SetKey, SetState, StoredSet, Transfer, TransferSet};
use accounting::payout::{Payout, PayoutPart, PayoutVersion};
use accounting::rate::Rate;
use accounting::slice::{Slice, SliceRow, Tally};
use accounting::split::{Carry, SplitRow};
use accounting::window::SourcedSlice;
use accounting::{
    AccountId, Amount, AssetId, Identity, PayoutId, PoolId, RateId, RewardId, ShareSeq, SliceNo,
    UnixMs, WorkerId,
};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::{BTreeMap, HashMap};

/// From this schema on, a pool can be a member of a coordination-free one.
pub(super) const MEMBERSHIPS: u32 = 8;

pub(super) fn load(db: &Connection) -> Result<Book, StoreError> {
    let mut book = Book {
        watermark: db
            .query_row("SELECT watermark FROM state", [], |row| uint(row, 0).map(ShareSeq))?,
        log_end: super::log::end(db)?,
        last_account: AccountId(maximum(db, "SELECT max(id) FROM accounts")?),
        last_worker: WorkerId(maximum(db, "SELECT max(id) FROM workers")?),
        last_payout: PayoutId(maximum(db, "SELECT max(id) FROM payouts")?),
        last_act: maximum(db, "SELECT max(no) FROM acts")?,
        ..Book::default()
    };
    each(db, "SELECT share FROM revocations", |row| {
        book.revoked.insert(ShareSeq(uint(row, 0)?));
        Ok(())
    })?;
    load_names(db, &mut book)?;
    load_accounts(db, &mut book)?;
    book.rates = rates(db)?;
    book.ledger = ledger(db)?;
    load_rewards(db, &mut book)?;
    load_payouts(db, &mut book)?;
    load_rest(db, &mut book)?;
    Ok(book)
}

fn maximum(db: &Connection, sql: &str) -> rusqlite::Result<u64> {
    db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
        .map(|max| max.unwrap_or(0).unsigned_abs())
}

/// Runs a query and hands each row on.
fn each(
    db: &Connection,
    sql: &str,
    mut row: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    each_with(db, sql, [], &mut row)
}

fn each_with(
    db: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    mut row: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(found) = rows.next()? {
        row(found)?;
    }
    Ok(())
}

fn load_names(db: &Connection, book: &mut Book) -> rusqlite::Result<()> {
    each(db, "SELECT id, name, decimals FROM assets", |row| {
        book.assets.insert(row.get(1)?, (AssetId(row.get(0)?), row.get(2)?));
        Ok(())
    })?;
    each(db, "SELECT id, name, asset FROM pools", |row| {
        let id = PoolId(row.get(0)?);
        book.pools.insert(row.get(1)?, pool(db, id, AssetId(row.get(2)?))?);
        Ok(())
    })
}

fn pool(db: &Connection, id: PoolId, asset: AssetId) -> rusqlite::Result<StoredPool> {
    let last = "SELECT no, hash, last FROM slices WHERE pool = ? ORDER BY no DESC LIMIT 1";
    let last_slice = db.query_row(last, [id.0], |row| {
        Ok((SliceNo(uint(row, 0)?), row.get(1)?, ShareSeq(uint(row, 2)?)))
    });
    let block = "SELECT network_work FROM rewards WHERE pool = ? ORDER BY window_end DESC LIMIT 1";
    let last_work = db.query_row(block, [id.0], |row| Ok(row.get::<_, Sum>(0)?.0)).optional()?;
    // A round is paid by a block that stands: an orphan's is part of the next.
    let standing = "SELECT max(window_through) FROM rewards WHERE pool = ? AND state <> 'orphaned'";
    let cut = db.query_row(standing, [id.0], |row| through(row, 0))?;
    // A payment for earlier blocks ends no round.
    let since = format!(
        "SELECT weight FROM slices WHERE pool = ?1
           AND first > (SELECT coalesce(max(window_end), 0) FROM rewards WHERE pool = ?1 AND {} IS NULL)",
        place_column(schema(db)?)
    );
    let mut round_work = 0_u128;
    each_with(db, &since, [id.0], |row| {
        round_work = round_work.saturating_add(row.get::<_, Sum>(0)?.0);
        Ok(())
    })?;
    let mut carries = HashMap::new();
    // With max(), SQLite takes the other columns from the row that has the maximum.
    let mut newest = db.prepare(
        "SELECT account, carry_after, max(no) FROM slice_credits WHERE pool = ? GROUP BY account",
    )?;
    let mut rows = newest.query([id.0])?;
    while let Some(row) = rows.next()? {
        carries.insert(AccountId(uint(row, 0)?), carry(row, 1)?);
    }
    Ok(StoredPool {
        id,
        asset,
        last_slice: last_slice.optional()?,
        cut: cut.unwrap_or(SliceNo(0)),
        round_work,
        last_network_work: last_work,
        carries,
    })
}

fn schema(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The column of a reward that says where a payment stands; files of older schemas have none.
pub(super) const fn place_column(schema: u32) -> &'static str {
    if schema < MEMBERSHIPS { "NULL" } else { "place" }
}

fn through(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<SliceNo>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|no| SliceNo(no.unsigned_abs())))
}

pub(super) fn carry(row: &Row<'_>, column: usize) -> rusqlite::Result<Carry> {
    let fraction = u64::try_from(row.get::<_, Big>(column)?.0);
    fraction.map(Carry).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, 0))
}

fn load_accounts(db: &Connection, book: &mut Book) -> rusqlite::Result<()> {
    each(db, "SELECT kind, network, bytes, account FROM identities", |row| {
        let kind = row.get::<_, Text<_>>(0)?.0;
        let identity = Identity { kind, network: row.get(1)?, bytes: row.get(2)? };
        book.identities.insert(identity, AccountId(uint(row, 3)?));
        Ok(())
    })?;
    each(db, "SELECT id, account, name FROM workers", |row| {
        book.workers.insert((AccountId(uint(row, 1)?), row.get(2)?), WorkerId(uint(row, 0)?));
        Ok(())
    })
}

pub(super) fn rates(db: &Connection) -> rusqlite::Result<BTreeMap<RateId, Rate>> {
    let mut rates = BTreeMap::new();
    each(db, "SELECT id, network_work, value FROM rates", |row| {
        rates.insert(RateId(uint(row, 0)?), rate(row, 1)?);
        Ok(())
    })?;
    Ok(rates)
}

/// A rate, from two columns.
pub(super) fn rate(row: &Row<'_>, at: usize) -> rusqlite::Result<Rate> {
    Ok(Rate { network_work: row.get::<_, Sum>(at)?.0, value: row.get::<_, Money>(at + 1)?.0 })
}

pub(super) fn ledger(db: &Connection) -> rusqlite::Result<Ledger> {
    let mut balances = Vec::new();
    each(db, "SELECT * FROM balances", |row| {
        let sum = |column| row.get::<_, Money>(column).map(|money| money.0);
        let balance = Balance {
            debits_pending: sum(2)?,
            debits_posted: sum(3)?,
            credits_pending: sum(4)?,
            credits_posted: sum(5)?,
        };
        balances.push((AssetId(row.get(0)?), row.get::<_, Text<_>>(1)?.0, balance));
        Ok(())
    })?;
    let mut sets = Vec::new();
    each(db, "SELECT id, key, asset, state, hash FROM sets", |row| {
        let (key, state) = (row.get::<_, Text<SetKey>>(1)?.0, row.get::<_, Text<SetState>>(3)?.0);
        let pending = match state {
            SetState::Pending => Some(TransferSet {
                key: key.clone(),
                asset: AssetId(row.get(2)?),
                transfers: transfers(db, row.get(0)?)?,
            }),
            SetState::Posted | SetState::Voided => None,
        };
        sets.push(StoredSet { key, state, hash: row.get(4)?, pending });
        Ok(())
    })?;
    Ok(Ledger::restore(balances, sets))
}

fn transfers(db: &Connection, set: i64) -> rusqlite::Result<Vec<Transfer>> {
    let mut statement = db.prepare_cached(
        "SELECT debit, credit, amount FROM transfers WHERE set_id = ? ORDER BY n",
    )?;
    let rows = statement.query_map([set], |row| {
        let (debit, credit) = (row.get::<_, Text<_>>(0)?.0, row.get::<_, Text<_>>(1)?.0);
        Ok(Transfer { debit, credit, amount: row.get::<_, Money>(2)?.0 })
    })?;
    rows.collect()
}

/// A reward's split, ascending by account, each row with whether it is of the window.
pub(super) fn split_rows(
    db: &Connection,
    block: RewardId,
) -> rusqlite::Result<Vec<(SplitRow, bool)>> {
    let sql = "SELECT account, weight, gross, fee_bps, fee, net, in_window FROM split_rows WHERE block = ? ORDER BY account";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([Text(block)], |row| Ok((split_row(row)?, row.get(6)?)))?;
    rows.collect()
}

/// Account, weight, gross, fee's rate, fee and net, from the first six columns.
pub(super) fn split_row(row: &Row<'_>) -> rusqlite::Result<SplitRow> {
    let money = |column| row.get::<_, Money>(column).map(|money| money.0);
    let weight = u128::try_from(row.get::<_, Big>(1)?.0)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(1, 0))?;
    Ok(SplitRow {
        account: AccountId(uint(row, 0)?),
        weight,
        gross: money(2)?,
        fee_bps: basis_points(row.get(3)?)?,
        fee: money(4)?,
        net: money(5)?,
    })
}

fn load_rewards(db: &Connection, book: &mut Book) -> rusqlite::Result<()> {
    let place = place_column(schema(db)?);
    let columns = format!(
        "SELECT block, pool, asset, height, to_pool, to_finder, state, generation, force_key, closed, created_at,
           window_through, {place} FROM rewards"
    );
    each(db, &columns, |row| {
        let (to_pool, to_miners) = (row.get::<_, Money>(4)?.0, row.get::<_, Money>(5)?.0);
        let reward = StoredReward {
            pool: PoolId(row.get(1)?),
            asset: AssetId(row.get(2)?),
            height: uint(row, 3)?,
            amount: to_pool.add(to_miners),
            state: row.get::<_, Text<_>>(6)?.0,
            generation: row.get(7)?,
            force: row.get::<_, Text<_>>(8)?.0,
            closed: row.get(9)?,
            created_at: UnixMs(uint(row, 10)?),
            through: through(row, 11)?,
            place: row.get::<_, Option<Json<_>>>(12)?.map(|place| place.0),
        };
        book.rewards.insert(row.get::<_, Text<_>>(0)?.0, reward);
        Ok(())
    })
}

fn load_payouts(db: &Connection, book: &mut Book) -> rusqlite::Result<()> {
    let columns = "SELECT id, asset, state, round, confirmed_version, created_at FROM payouts WHERE closed = 0";
    each(db, columns, |row| {
        let id: i64 = row.get(0)?;
        let payout = Payout {
            id: PayoutId(uint(row, 0)?),
            asset: AssetId(row.get(1)?),
            parts: payout_parts(db, id)?,
            versions: payout_versions(db, id)?,
            state: row.get::<_, Text<_>>(2)?.0,
            round: row.get(3)?,
            created_at: UnixMs(uint(row, 5)?),
        };
        book.payouts.insert(payout.id, StoredPayout { payout, confirmed_version: row.get(4)? });
        Ok(())
    })
}

fn payout_parts(db: &Connection, payout: i64) -> rusqlite::Result<Vec<PayoutPart>> {
    let sql = "SELECT account, destination, debit, sent FROM payout_parts WHERE payout = ? ORDER BY account";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([payout], |row| {
        let (debit, sent) = (row.get::<_, Money>(2)?.0, row.get::<_, Money>(3)?.0);
        Ok(PayoutPart { account: AccountId(uint(row, 0)?), destination: row.get(1)?, debit, sent })
    })?;
    rows.collect()
}

fn payout_versions(db: &Connection, payout: i64) -> rusqlite::Result<Vec<PayoutVersion>> {
    let sql =
        "SELECT txid, raw, fee, inputs, signed_at FROM payout_versions WHERE payout = ? ORDER BY n";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([payout], |row| {
        let (fee, inputs) = (row.get::<_, Money>(2)?.0, row.get::<_, Json<_>>(3)?.0);
        Ok(PayoutVersion {
            txid: row.get(0)?,
            raw: row.get(1)?,
            fee,
            inputs,
            signed_at: UnixMs(uint(row, 4)?),
        })
    })?;
    rows.collect()
}

fn load_rest(db: &Connection, book: &mut Book) -> rusqlite::Result<()> {
    each(
        db,
        "SELECT account, destination, effective_from FROM destinations ORDER BY account, no",
        |row| {
            let destination = StoredDestination {
                destination: row.get(1)?,
                effective_from: UnixMs(uint(row, 2)?),
            };
            book.destinations.entry(AccountId(uint(row, 0)?)).or_default().push(destination);
            Ok(())
        },
    )?;
    each(db, "SELECT account, minimum, member FROM settings", |row| {
        let minimum: Option<Money> = row.get(1)?;
        let settings =
            StoredSettings { minimum: minimum.map(|money| money.0), member: row.get(2)? };
        book.settings.insert(AccountId(uint(row, 0)?), settings);
        Ok(())
    })?;
    each(db, "SELECT scope, reason FROM holds", |row| {
        book.holds.insert(row.get(0)?, row.get(1)?);
        Ok(())
    })?;
    each(db, "SELECT asset, txid, detail, matched IS NULL FROM spends", |row| {
        let (asset, txid) = (AssetId(row.get(0)?), row.get(1)?);
        if row.get(3)? {
            book.unmatched_spends.push((asset, txid, row.get(2)?));
        } else {
            book.matched_spends.insert((asset, txid));
        }
        Ok(())
    })?;
    each(db, "SELECT txid, payout FROM payout_versions", |row| {
        book.payout_txids.insert(row.get(0)?, PayoutId(uint(row, 1)?));
        Ok(())
    })?;
    let newest = "SELECT p.asset, t.account, t.debit, p.created_at FROM payouts p JOIN payout_parts t ON t.payout = p.id
                  WHERE p.state <> 'abandoned'
                    AND p.created_at > (SELECT coalesce(max(created_at), 0) FROM payouts) - 86400000
                  ORDER BY p.created_at";
    each(db, newest, |row| {
        let (asset, account) = (AssetId(row.get(0)?), AccountId(uint(row, 1)?));
        let debit = RecentDebit {
            asset,
            account,
            amount: row.get::<_, Money>(2)?.0,
            at: UnixMs(uint(row, 3)?),
        };
        book.recent_debits.push(debit);
        Ok(())
    })?;
    each(db, "SELECT door, key, value FROM notes", |row| {
        book.notes.insert((row.get(0)?, row.get(1)?), row.get(2)?);
        Ok(())
    })
}

pub(super) fn set(db: &Connection, key: &SetKey) -> Result<Option<TransferSet>, StoreError> {
    let found = db.query_row("SELECT id, asset FROM sets WHERE key = ?", [Text(key)], |row| {
        Ok((row.get::<_, i64>(0)?, AssetId(row.get(1)?)))
    });
    let Some((id, asset)) = found.optional()? else { return Ok(None) };
    Ok(Some(TransferSet { key: key.clone(), asset, transfers: transfers(db, id)? }))
}

/// The last slice that begins at or before a position.
pub(super) fn slice_at(
    db: &Connection,
    pool: PoolId,
    seq: ShareSeq,
) -> rusqlite::Result<Option<SliceNo>> {
    let sql = "SELECT no FROM slices WHERE pool = ? AND first <= ? ORDER BY no DESC LIMIT 1";
    db.prepare_cached(sql)?
        .query_row((pool.0, int(seq.0)?), |row| uint(row, 0).map(SliceNo))
        .optional()
}

pub(super) fn slice(
    db: &Connection,
    pool: PoolId,
    no: SliceNo,
    as_of: ShareSeq,
) -> Result<Option<SourcedSlice>, StoreError> {
    let sql = "SELECT first, last, weight, shares, hash FROM slices WHERE pool = ? AND no = ?";
    let found = db.prepare_cached(sql)?.query_row((pool.0, int(no.0)?), |row| {
        let total = Tally { weight: row.get::<_, Sum>(2)?.0, shares: uint(row, 3)? };
        let (first, last) = (ShareSeq(uint(row, 0)?), ShareSeq(uint(row, 1)?));
        Ok(Slice { pool, no, first, last, rows: Vec::new(), total, hash: row.get(4)? })
    });
    let Some(mut slice) = found.optional()? else { return Ok(None) };
    let rows = "SELECT account, rate, weight, shares FROM slice_rows WHERE pool = ? AND no = ? ORDER BY account, rate";
    let mut rows = db.prepare_cached(rows)?;
    let rows = rows.query_map((pool.0, int(no.0)?), |row| {
        let tally = Tally { weight: row.get::<_, Sum>(2)?.0, shares: uint(row, 3)? };
        Ok(SliceRow { account: AccountId(uint(row, 0)?), rate: RateId(uint(row, 1)?), tally })
    })?;
    slice.rows = rows.collect::<Result<_, _>>()?;
    let revoked =
        "SELECT account, weight FROM slice_revocations WHERE pool = ? AND no = ? AND seq <= ?";
    let mut revoked = db.prepare_cached(revoked)?;
    let revoked = revoked.query_map((pool.0, int(no.0)?, int(as_of.0)?), |row| {
        Ok((AccountId(uint(row, 0)?), Tally { weight: row.get::<_, Sum>(1)?.0, shares: 1 }))
    })?;
    Ok(Some(SourcedSlice { slice, revoked: revoked.collect::<Result<_, _>>()? }))
}

/// The balances that follow from the sets and transfers, without the cache.
pub(super) fn fold(db: &Connection) -> rusqlite::Result<HashMap<(AssetId, String), Balance>> {
    let mut balances: HashMap<(AssetId, String), Balance> = HashMap::new();
    let sql = "SELECT s.asset, s.state, t.debit, t.credit, t.amount FROM transfers t JOIN sets s ON s.id = t.set_id
               WHERE s.state <> 'voided'";
    each(db, sql, |row| {
        let (asset, state) = (AssetId(row.get(0)?), row.get::<_, Text<SetState>>(1)?.0);
        let amount = row.get::<_, Money>(4)?.0;
        let mut add = |kind: String, pick: fn(&mut Balance, bool) -> &mut Amount| {
            let sum = pick(balances.entry((asset, kind)).or_default(), state == SetState::Posted);
            *sum = sum.add(amount);
        };
        add(
            row.get(2)?,
            |b, posted| if posted { &mut b.debits_posted } else { &mut b.debits_pending },
        );
        add(
            row.get(3)?,
            |b, posted| if posted { &mut b.credits_posted } else { &mut b.credits_pending },
        );
        Ok(())
    })?;
    Ok(balances)
}

//! Changes of the book as SQL, all of a call in one transaction.
//!
//! Invariant: every statement can run twice and leave the same rows; the watermark never goes back.

use super::value::{Big, Json, Money, Sum, Text, int, paid_by_code};
use crate::change::Change;
use accounting::ledger::{Balance, Kind, Posting, SetKey, SetState, TransferSet};
use accounting::payout::{Payout, PayoutVersion};
use accounting::reward::{Reward, RewardState};
use accounting::slice::Slice;
use accounting::split::SliceCredit;
use accounting::union::Shared;
use accounting::{AccountId, AssetId, Identity, PayoutId, RewardId, ShareSeq, UnixMs};
use rusqlite::{Connection, Params, params};

pub(super) fn apply(
    db: &mut Connection,
    watermark: ShareSeq,
    changes: &[Change],
) -> rusqlite::Result<()> {
    let tx = db.transaction()?;
    for change in changes {
        apply_one(&tx, change)?;
    }
    run(&tx, "UPDATE state SET watermark = max(watermark, ?)", [int(watermark.0)?])?;
    tx.commit()
}

fn run(tx: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    tx.prepare_cached(sql)?.execute(values)
}

/// One arm a change; those of several rows have a function each below.
fn apply_one(tx: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Asset { id, name, decimals } => run(
            tx,
            "INSERT OR REPLACE INTO assets VALUES (?, ?, ?)",
            params![id.0, name, decimals],
        )?,
        Change::Pool { id, name, asset } => {
            run(tx, "INSERT OR IGNORE INTO pools VALUES (?, ?, ?)", params![id.0, name, asset.0])?
        }
        Change::Account { id, identity, display, at } => account(tx, *id, identity, display, *at)?,
        Change::Worker { id, account, name, at } => run(
            tx,
            "INSERT OR IGNORE INTO workers VALUES (?, ?, ?, ?)",
            params![int(id.0)?, int(account.0)?, name, int(at.0)?],
        )?,
        Change::Rate(rate) => run(
            tx,
            "INSERT OR IGNORE INTO rates VALUES (?, ?, ?)",
            params![int(rate.id().0)?, Sum(rate.network_work), Money(rate.value)],
        )?,
        Change::Slice { slice: s, credits, at } => slice(tx, s, credits, *at)?,
        Change::Revoked { seq, pool, slice, account, weight } => run(
            tx,
            "INSERT OR IGNORE INTO slice_revocations VALUES (?, ?, ?, ?, ?)",
            params![pool.0, int(slice.0)?, int(seq.0)?, int(account.0)?, int(*weight)?],
        )?,
        Change::Reward { reward: r, round_work, at } => reward(tx, r, *round_work, *at)?,
        Change::RewardState { id, state, generation, force, closed, at } => run(
            tx,
            "UPDATE rewards SET state = ?, generation = ?, force_key = ?, closed = ?, changed_at = ? WHERE block = ?",
            params![state.as_str(), generation, Text(force), closed, int(at.0)?, Text(id)],
        )?,
        Change::RewardPlace { id, place } => {
            run(tx, "UPDATE rewards SET place = ? WHERE block = ?", params![Json(place), Text(id)])?
        }
        Change::Posting { posting, at } => post(tx, posting, *at)?,
        Change::Balance { asset, kind, balance: b } => balance(tx, *asset, *kind, b)?,
        Change::Payout(p) => payout(tx, p)?,
        Change::PayoutVersion { id, n, version: v } => payout_version(tx, *id, *n, v)?,
        Change::PayoutState { id, state, round, confirmed_version, closed, at } => run(
            tx,
            "UPDATE payouts SET state = ?, round = ?, confirmed_version = ?, closed = ?, changed_at = ? WHERE id = ?",
            params![state.as_str(), round, confirmed_version, closed, int(at.0)?, int(id.0)?],
        )?,
        Change::Destination { account, no, destination, display, effective_from } => run(
            tx,
            "INSERT OR IGNORE INTO destinations VALUES (?, ?, ?, ?, ?)",
            params![int(account.0)?, no, destination, display, int(effective_from.0)?],
        )?,
        Change::Settings { account, minimum, member } => run(
            tx,
            "INSERT OR REPLACE INTO settings VALUES (?, ?, ?)",
            params![int(account.0)?, minimum.map(Money), member],
        )?,
        Change::Hold { scope, reason, at } => run(
            tx,
            "INSERT OR REPLACE INTO holds VALUES (?, ?, ?)",
            params![scope, reason, int(at.0)?],
        )?,
        Change::Release { scope } => run(tx, "DELETE FROM holds WHERE scope = ?", [scope])?,
        Change::Spend { asset, txid, detail, at } => run(
            tx,
            "INSERT OR IGNORE INTO spends VALUES (?, ?, ?, ?, NULL)",
            params![asset.0, txid.as_slice(), detail, int(at.0)?],
        )?,
        Change::SpendMatched { asset, txid, matched } => run(
            tx,
            "UPDATE spends SET matched = ? WHERE asset = ? AND txid = ?",
            params![matched, asset.0, txid.as_slice()],
        )?,
        Change::SpendGone { asset, txid } => run(
            tx,
            "DELETE FROM spends WHERE asset = ? AND txid = ? AND matched IS NULL",
            params![asset.0, txid.as_slice()],
        )?,
        Change::Act { no, at, who, what } => run(
            tx,
            "INSERT OR IGNORE INTO acts VALUES (?, ?, ?, ?)",
            params![int(*no)?, int(at.0)?, who, what],
        )?,
        Change::Note { door, key, value: Some(value) } => {
            run(tx, "INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", params![door, key, value])?
        }
        Change::Note { door, key, value: None } => {
            run(tx, "DELETE FROM notes WHERE door = ? AND key = ?", params![door, key])?
        }
    };
    Ok(())
}

fn account(
    tx: &Connection,
    id: AccountId,
    who: &Identity,
    display: &str,
    at: UnixMs,
) -> rusqlite::Result<usize> {
    run(tx, "INSERT OR IGNORE INTO accounts VALUES (?, ?)", params![int(id.0)?, int(at.0)?])?;
    run(
        tx,
        "INSERT OR IGNORE INTO identities VALUES (?, ?, ?, ?, ?)",
        params![who.kind.as_str(), who.network, who.bytes, display, int(id.0)?],
    )
}

fn slice(
    tx: &Connection,
    s: &Slice,
    credits: &[SliceCredit],
    at: UnixMs,
) -> rusqlite::Result<usize> {
    let (pool, no) = (s.pool.0, int(s.no.0)?);
    for row in &s.rows {
        let values = params![
            pool,
            no,
            int(row.account.0)?,
            int(row.rate.0)?,
            Sum(row.tally.weight),
            int(row.tally.shares)?
        ];
        run(tx, "INSERT OR IGNORE INTO slice_rows VALUES (?, ?, ?, ?, ?, ?)", values)?;
    }
    for c in credits {
        let (before, after) = (Big(c.carry_before.0.into()), Big(c.carry_after.0.into()));
        let values =
            params![pool, no, int(c.account.0)?, c.fee_bps.points(), Money(c.net), before, after];
        run(tx, "INSERT OR IGNORE INTO slice_credits VALUES (?, ?, ?, ?, ?, ?, ?)", values)?;
    }
    run(
        tx,
        "INSERT OR IGNORE INTO slices VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            pool,
            no,
            int(s.first.0)?,
            int(s.last.0)?,
            Sum(s.total.weight),
            int(s.total.shares)?,
            s.hash.as_slice(),
            int(at.0)?
        ],
    )
}

fn reward(tx: &Connection, r: &Reward, round_work: u128, at: UnixMs) -> rusqlite::Result<usize> {
    let window = r.window.as_ref();
    let known = run(
        tx,
        "INSERT OR IGNORE INTO rewards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            Text(r.id),
            r.pool.0,
            r.asset.0,
            int(r.height)?,
            int(r.finder.0)?,
            Money(r.to_pool),
            Money(r.to_miners),
            int(r.window_end.0)?,
            int(r.as_of.0)?,
            Json(r.scheme),
            Sum(r.network_work),
            window.map(|w| int(w.from.0)).transpose()?,
            window.map(|w| int(w.through.0)).transpose()?,
            window.map(|w| Sum(w.oldest_part.0)),
            window.map(|w| Sum(w.oldest_part.1)),
            window.map(|w| w.hash().to_vec()),
            r.split.as_ref().map(|split| Money(split.fees)),
            RewardState::Immature.as_str(),
            0,
            Text(r.credits().key),
            false,
            int(at.0)?,
            int(at.0)?,
            Sum(round_work),
            int(r.split.as_ref().map_or(0, |split| split.rows.len() as u64))?,
            r.budget.as_ref().map(Json),
            r.by_block.as_ref().map(Json),
            r.member.as_ref().map(Json),
            r.payment().map(|payment| Json(payment.place)),
        ],
    )?;
    if known == 0 {
        return Ok(0);
    }
    if let Some(shared) = &r.shared {
        insert_shared(tx, r.id, shared)?;
    }
    let in_window = window.is_some_and(|w| !w.rows.is_empty());
    for row in r.split.iter().flat_map(|split| &split.rows) {
        let (gross, fee, net) = (Money(row.gross), Money(row.fee), Money(row.net));
        let values = params![
            Text(r.id),
            int(row.account.0)?,
            in_window && row.weight > 0,
            Sum(row.weight),
            gross,
            row.fee_bps.points(),
            fee,
            net,
            int(r.window_end.0)?,
            paid_by_code(r.paid_by(row.account))
        ];
        run(tx, "INSERT INTO split_rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)?;
    }
    Ok(known)
}

fn insert_shared(tx: &Connection, block: RewardId, shared: &Shared) -> rusqlite::Result<()> {
    for beside in &shared.beside {
        let window = &beside.window;
        let values = params![
            Text(block),
            beside.pool.0,
            shared.part.get(),
            beside.part.get(),
            Json(beside.scheme),
            Sum(beside.network_work),
            int(window.from.0)?,
            int(window.through.0)?,
            Sum(window.oldest_part.0),
            Sum(window.oldest_part.1),
            window.hash().to_vec(),
        ];
        run(tx, "INSERT INTO beside VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)?;
        for (account, work) in &window.rows {
            let values = params![Text(block), beside.pool.0, int(account.0)?, Sum(*work)];
            run(tx, "INSERT INTO beside_rows VALUES (?, ?, ?, ?)", values)?;
        }
    }
    Ok(())
}

fn post(tx: &Connection, posting: &Posting, at: UnixMs) -> rusqlite::Result<usize> {
    let resolve = |key: &SetKey, state: SetState| {
        let sql = "UPDATE sets SET state = ?, resolved_at = ? WHERE key = ? AND state = 'pending'";
        run(tx, sql, params![state.as_str(), int(at.0)?, Text(key)])
    };
    match posting {
        Posting::Pend(set) => insert_set(tx, set, SetState::Pending, at),
        Posting::Enter(set) => insert_set(tx, set, SetState::Posted, at),
        Posting::Post(key) => resolve(key, SetState::Posted),
        Posting::Void(key) => resolve(key, SetState::Voided),
    }
}

fn insert_set(
    tx: &Connection,
    set: &TransferSet,
    state: SetState,
    at: UnixMs,
) -> rusqlite::Result<usize> {
    let resolved = (state != SetState::Pending).then(|| int(at.0)).transpose()?;
    let known = run(
        tx,
        "INSERT OR IGNORE INTO sets (key, asset, state, hash, made_at, resolved_at) VALUES (?, ?, ?, ?, ?, ?)",
        params![
            Text(&set.key),
            set.asset.0,
            state.as_str(),
            set.hash().as_slice(),
            int(at.0)?,
            resolved
        ],
    )?;
    if known == 0 {
        return Ok(0);
    }
    let id = tx.last_insert_rowid();
    for (n, t) in (0i64..).zip(&set.transfers) {
        let values = params![id, n, Text(t.debit), Text(t.credit), Money(t.amount)];
        run(tx, "INSERT INTO transfers VALUES (?, ?, ?, ?, ?)", values)?;
    }
    Ok(known)
}

fn balance(tx: &Connection, asset: AssetId, kind: Kind, b: &Balance) -> rusqlite::Result<usize> {
    let sums = [b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted].map(Money);
    let [dp, d, cp, c] = sums;
    run(
        tx,
        "INSERT OR REPLACE INTO balances VALUES (?, ?, ?, ?, ?, ?)",
        params![asset.0, Text(kind), dp, d, cp, c],
    )
}

fn payout(tx: &Connection, p: &Payout) -> rusqlite::Result<usize> {
    let at = int(p.created_at.0)?;
    let known = run(
        tx,
        "INSERT OR IGNORE INTO payouts VALUES (?, ?, ?, ?, NULL, 0, ?, ?, ?, ?)",
        params![
            int(p.id.0)?,
            p.asset.0,
            p.state.as_str(),
            p.round,
            at,
            at,
            int(p.parts.len() as u64)?,
            Money(p.sent())
        ],
    )?;
    for part in &p.parts {
        let (debit, sent) = (Money(part.debit), Money(part.sent));
        let values = params![int(p.id.0)?, int(part.account.0)?, part.destination, debit, sent];
        run(tx, "INSERT OR IGNORE INTO payout_parts VALUES (?, ?, ?, ?, ?)", values)?;
    }
    for (n, version) in (0u32..).zip(&p.versions) {
        payout_version(tx, p.id, n, version)?;
    }
    Ok(known)
}

fn payout_version(
    tx: &Connection,
    id: PayoutId,
    n: u32,
    v: &PayoutVersion,
) -> rusqlite::Result<usize> {
    let values = params![
        int(id.0)?,
        n,
        v.txid.as_slice(),
        v.raw,
        Money(v.fee),
        Json(&v.inputs),
        int(v.signed_at.0)?
    ];
    run(tx, "INSERT OR IGNORE INTO payout_versions VALUES (?, ?, ?, ?, ?, ?, ?)", values)
}

//! The log of facts in three tables with one sequence.
//!
//! Invariant: an append is one transaction, synced when it returns; positions have no gaps.

use super::value::{Json, Money, Sum, Text, basis_points, int, uint};
use crate::StoreError;
use accounting::{
    AccountId, BlockFound, LogEntry, PoolId, RateId, Share, ShareKey, ShareSeq, UnixMs, Weight,
    WorkerId,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashSet;

/// Writes entries from position `first` on.
pub(super) fn append(
    db: &mut Connection,
    first: ShareSeq,
    entries: &[LogEntry],
    keyed: &HashSet<PoolId>,
) -> rusqlite::Result<()> {
    let tx = db.transaction()?;
    {
        let mut share_row =
            tx.prepare_cached("INSERT INTO shares VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        for (seq, entry) in (int(first.0)?..).zip(entries) {
            match entry {
                LogEntry::Share(s) => {
                    share_row.execute(params![
                        seq,
                        s.pool.0,
                        int(s.account.0)?,
                        int(s.worker.0)?,
                        int(s.weight.get())?,
                        int(s.rate.0)?,
                        int(s.found_at.0)?,
                        s.key.0.as_slice(),
                    ])?;
                    if keyed.contains(&s.pool) {
                        let mut row =
                            tx.prepare_cached("INSERT INTO share_keys VALUES (?, ?, ?)")?;
                        row.execute(params![s.pool.0, s.key.0.as_slice(), seq])?;
                    }
                }
                LogEntry::BlockFound(b) => insert_block(&tx, seq, b)?,
                LogEntry::Revoke { share, reason } => {
                    let mut row = tx.prepare_cached("INSERT INTO revocations VALUES (?, ?, ?)")?;
                    row.execute(params![seq, int(share.0)?, reason])?;
                }
            }
        }
    }
    tx.commit()
}

fn insert_block(tx: &Connection, seq: i64, b: &BlockFound) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO blocks_found VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        seq,
        b.pool.0,
        int(b.finder.0)?,
        int(b.worker.0)?,
        Text(b.block),
        int(b.height)?,
        Money(b.to_pool),
        Money(b.to_miners),
        b.coinbase_fee.points(),
        Sum(b.network_work),
        Json(b.scheme),
        int(b.found_at.0)?,
        b.shared.as_ref().map(Json),
        b.budget.as_ref().map(Json),
        b.commitment.as_ref().map(Json),
        b.member.as_ref().map(Json),
    ])?;
    Ok(())
}

/// The last position written.
pub(super) fn end(db: &Connection) -> rusqlite::Result<ShareSeq> {
    let last = "SELECT max(coalesce((SELECT max(seq) FROM shares), 0), coalesce((SELECT max(seq) FROM blocks_found), 0),
                           coalesce((SELECT max(seq) FROM revocations), 0))";
    db.query_row(last, [], |row| uint(row, 0).map(ShareSeq))
}

/// Reads everything from a position on, in order.
pub(super) fn scan(
    db: &Connection,
    from: ShareSeq,
    each: &mut dyn FnMut(ShareSeq, LogEntry),
) -> Result<(), StoreError> {
    // Blocks and revocations are few: read them first and merge them into the stream of shares.
    let mut rare: Vec<(ShareSeq, LogEntry)> = Vec::new();
    let mut blocks = db.prepare("SELECT * FROM blocks_found WHERE seq >= ?")?;
    for entry in blocks.query_map([int(from.0)?], read_block)? {
        rare.push(entry?);
    }
    let mut revocations = db.prepare("SELECT * FROM revocations WHERE seq >= ?")?;
    for entry in revocations.query_map([int(from.0)?], read_revocation)? {
        rare.push(entry?);
    }
    rare.sort_by_key(|(seq, _)| *seq);
    let mut rare = rare.into_iter().peekable();
    let mut shares = db.prepare("SELECT * FROM shares WHERE seq >= ? ORDER BY seq")?;
    for entry in shares.query_map([int(from.0)?], read_share)? {
        let (seq, share) = entry?;
        while let Some((at, entry)) = rare.next_if(|(at, _)| *at < seq) {
            each(at, entry);
        }
        each(seq, LogEntry::Share(share));
    }
    rare.for_each(|(at, entry)| each(at, entry));
    Ok(())
}

/// One share, by its position.
pub(super) fn share(db: &Connection, seq: ShareSeq) -> rusqlite::Result<Option<Share>> {
    let mut found = db.prepare_cached("SELECT * FROM shares WHERE seq = ?")?;
    Ok(found.query_row([int(seq.0)?], read_share).optional()?.map(|(_, share)| share))
}

/// Where the log has the share of this key, in a pool whose keys are indexed.
pub(super) fn position_of(
    db: &Connection,
    pool: PoolId,
    key: ShareKey,
) -> rusqlite::Result<Option<ShareSeq>> {
    let mut found = db.prepare_cached("SELECT seq FROM share_keys WHERE pool = ? AND key = ?")?;
    found.query_row(params![pool.0, key.0.as_slice()], |row| uint(row, 0).map(ShareSeq)).optional()
}

/// One row of `shares`.
pub(super) fn read_share(row: &Row<'_>) -> rusqlite::Result<(ShareSeq, Share)> {
    let weight = uint(row, 4)?;
    let weight = Weight::new(weight).ok_or(rusqlite::Error::IntegralValueOutOfRange(4, 0))?;
    let share = Share {
        pool: PoolId(row.get(1)?),
        account: AccountId(uint(row, 2)?),
        worker: WorkerId(uint(row, 3)?),
        weight,
        rate: RateId(uint(row, 5)?),
        found_at: UnixMs(uint(row, 6)?),
        key: ShareKey(row.get(7)?),
    };
    Ok((ShareSeq(uint(row, 0)?), share))
}

/// One row of `blocks_found`.
fn read_block(row: &Row<'_>) -> rusqlite::Result<(ShareSeq, LogEntry)> {
    let found = BlockFound {
        pool: PoolId(row.get(1)?),
        finder: AccountId(uint(row, 2)?),
        worker: WorkerId(uint(row, 3)?),
        block: row.get::<_, Text<_>>(4)?.0,
        height: uint(row, 5)?,
        to_pool: row.get::<_, Money>(6)?.0,
        to_miners: row.get::<_, Money>(7)?.0,
        coinbase_fee: basis_points(row.get(8)?)?,
        network_work: row.get::<_, Sum>(9)?.0,
        scheme: row.get::<_, Json<_>>(10)?.0,
        found_at: UnixMs(uint(row, 11)?),
        shared: row.get::<_, Option<Json<_>>>(12)?.map(|terms| terms.0),
        budget: row.get::<_, Option<Json<_>>>(13)?.map(|budget| budget.0),
        commitment: row.get::<_, Option<Json<_>>>(14)?.map(|commitment| commitment.0),
        member: row.get::<_, Option<Json<_>>>(15)?.map(|member| member.0),
    };
    Ok((ShareSeq(uint(row, 0)?), LogEntry::BlockFound(Box::new(found))))
}

fn read_revocation(row: &Row<'_>) -> rusqlite::Result<(ShareSeq, LogEntry)> {
    let entry = LogEntry::Revoke { share: ShareSeq(uint(row, 1)?), reason: row.get(2)? };
    Ok((ShareSeq(uint(row, 0)?), entry))
}

//! Partials: what waits to be looked at again, what stands, and what does not.

use super::unsigned;
use crate::hash::Bytes32;
use crate::wire::partial::Point;
use accounting::{ShareKey, ShareSeq, UnixMs};
use rusqlite::{Connection, Row, params};

/// A partial that is to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its name.
    pub key: ShareKey,
    /// Whose.
    pub launcher_id: Bytes32,
    /// For which point.
    pub point: Point,
    /// What it counts.
    pub difficulty: u64,
    /// When it came.
    pub at: UnixMs,
    /// Where the pool's log has it, if it is known.
    pub seq: Option<ShareSeq>,
}

/// What a row of partials is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Waits.
    Pending,
    /// Stands.
    Stands,
    /// The pool is to be told that it does not.
    ToRevoke,
    /// The pool was told.
    Revoked,
}

impl Fate {
    const fn number(self) -> i64 {
        match self {
            Fate::Pending => 0,
            Fate::Stands => 1,
            Fate::ToRevoke => 2,
            Fate::Revoked => 3,
        }
    }
}

/// Writes a partial; gives whether it was not known before.
pub fn insert(
    db: &Connection,
    pending: &Pending,
    harvester: &Bytes32,
    due_at: UnixMs,
) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached(
        "INSERT OR IGNORE INTO partials (key, launcher, point, is_end, difficulty, at, harvester, due_at)
         VALUES (?,?,?,?,?,?,?,?)",
    )?;
    let added = statement.execute(params![
        Bytes32(pending.key.0),
        pending.launcher_id,
        pending.point.hash(),
        pending.point.is_end_of_sub_slot(),
        pending.difficulty,
        pending.at.0,
        harvester,
        due_at.0,
    ])?;
    Ok(added == 1)
}

/// Writes where the pool's log has a partial.
pub fn recorded(db: &Connection, key: &ShareKey, seq: ShareSeq) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE partials SET seq = ? WHERE key = ?")?
        .execute(params![seq.0, Bytes32(key.0)])?;
    Ok(())
}

/// Writes what became of a partial.
pub fn fated(
    db: &Connection,
    key: &ShareKey,
    fate: Fate,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE partials SET state = ?, reason = ? WHERE key = ?")?
        .execute(params![fate.number(), reason, Bytes32(key.0)])?;
    Ok(())
}

/// A partial is to be looked at again later.
pub fn postponed(db: &Connection, key: &ShareKey, due_at: UnixMs) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE partials SET due_at = ? WHERE key = ?")?
        .execute(params![due_at.0, Bytes32(key.0)])?;
    Ok(())
}

const PENDING: &str = "SELECT key, launcher, point, is_end, difficulty, at, seq FROM partials";

fn pending(row: &Row<'_>) -> rusqlite::Result<Pending> {
    let hash: Bytes32 = row.get("point")?;
    let point = match row.get("is_end")? {
        true => Point::EndOfSubSlot(hash),
        false => Point::Signage(hash),
    };
    Ok(Pending {
        key: ShareKey(row.get::<_, Bytes32>("key")?.0),
        launcher_id: row.get("launcher")?,
        point,
        difficulty: unsigned(row, "difficulty")?,
        at: UnixMs(unsigned(row, "at")?),
        seq: row.get::<_, Option<u64>>("seq")?.map(ShareSeq),
    })
}

/// Recorded partials that are due to be looked at again, the oldest first.
pub fn due(db: &Connection, now: UnixMs, most: usize) -> rusqlite::Result<Vec<Pending>> {
    let mut statement = db.prepare(&format!(
        "{PENDING} WHERE state = 0 AND seq IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?"
    ))?;
    statement.query_map(params![now.0, most], pending)?.collect()
}

/// Partials that are in no log yet, the oldest first, from after one of them on.
pub fn unrecorded(
    db: &Connection,
    before: UnixMs,
    after: Option<(UnixMs, ShareKey)>,
    most: usize,
) -> rusqlite::Result<Vec<Pending>> {
    let (at, key) = after.map_or((0, [0; 32]), |(at, key)| (at.0, key.0));
    let mut statement = db.prepare(&format!(
        "{PENDING} WHERE seq IS NULL AND at <= ? AND (at, key) > (?, ?) ORDER BY at, key LIMIT ?"
    ))?;
    statement.query_map(params![before.0, at, Bytes32(key), most], pending)?.collect()
}

/// Partials that the pool is still to be told about, with the reason.
pub fn to_revoke(db: &Connection, most: usize) -> rusqlite::Result<Vec<(Pending, String)>> {
    let mut statement = db.prepare(
        "SELECT key, launcher, point, is_end, difficulty, at, seq, reason FROM partials
         WHERE state = 2 AND seq IS NOT NULL ORDER BY at LIMIT ?",
    )?;
    let rows = statement.query_map([most], |row| {
        Ok((pending(row)?, row.get::<_, Option<String>>("reason")?.unwrap_or_default()))
    })?;
    rows.collect()
}

/// What its farmer is told of one that does not stand.
pub const REVOKED: &str = "revoked";

/// A partial as its farmer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// When it came.
    pub at: UnixMs,
    /// What it counts.
    pub difficulty: u64,
    /// What became of it.
    pub fate: &'static str,
    /// Why, if it does not stand.
    pub reason: Option<String>,
    /// Which harvester found it.
    pub harvester: Bytes32,
}

/// A farmer's newest partials.
pub fn latest(db: &Connection, launcher: &Bytes32, most: usize) -> rusqlite::Result<Vec<Listed>> {
    let mut statement = db.prepare(
        "SELECT at, difficulty, state, reason, harvester FROM partials WHERE launcher = ? ORDER BY at DESC LIMIT ?",
    )?;
    let rows = statement.query_map(params![launcher, most], |row| {
        Ok(Listed {
            at: UnixMs(unsigned(row, "at")?),
            difficulty: unsigned(row, "difficulty")?,
            fate: match row.get::<_, i64>("state")? {
                0 => "counts, to be confirmed",
                1 => "counts",
                _ => REVOKED,
            },
            reason: row.get("reason")?,
            harvester: row.get("harvester")?,
        })
    })?;
    rows.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_log_is_read_to_its_end_in_parts() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("../tables.sql")).unwrap();
        // Several of one moment.
        for (key, at) in [(3, 5), (1, 5), (2, 5), (4, 9), (5, 7)] {
            let pending = Pending {
                key: ShareKey([key; 32]),
                launcher_id: Bytes32([1; 32]),
                point: Point::Signage(Bytes32([2; 32])),
                difficulty: 1,
                at: UnixMs(at),
                seq: None,
            };
            assert!(insert(&db, &pending, &Bytes32([6; 32]), UnixMs(0)).unwrap());
        }
        recorded(&db, &ShareKey([5; 32]), ShareSeq(1)).unwrap();
        let (mut after, mut keys) = (None, Vec::new());
        loop {
            let some = unrecorded(&db, UnixMs(100), after, 2).unwrap();
            let Some(last) = some.last() else { break };
            after = Some((last.at, last.key));
            keys.extend(some.iter().map(|pending| pending.key.0[0]));
        }
        assert_eq!(keys, [1, 2, 3, 4]);
    }
}

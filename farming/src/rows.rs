//! Rows of the door's database: all SQL of the crate.
//!
//! Invariant: what is read was written in here; a row that cannot be read is an error, never left out.

pub mod farmers;
pub mod income;
pub mod partials;

use crate::hash::Bytes32;
use accounting::UnixMs;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params};

/// Blocks whose rewards are told again after a restart: some weeks, more than a backup is old.
const TOLD_AGAIN: u32 = 200_000;

/// A column that holds what it must not.
#[derive(Debug, thiserror::Error)]
#[error("a row of the farming database cannot be read: {0}")]
struct Unreadable(&'static str);

impl ToSql for Bytes32 {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Bytes32 {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        bytes
            .try_into()
            .map(Bytes32)
            .map_err(|_| FromSqlError::Other(Unreadable("32 bytes").into()))
    }
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, u64>(column)
}

/// Counts refusals.
pub fn add_refusals(
    db: &Connection,
    launcher: &Bytes32,
    at: UnixMs,
    reason: &str,
    count: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO refusals VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET count = count + ?4",
    )?
    .execute(params![launcher, at.0 / 3_600_000, reason, count])?;
    Ok(())
}

/// What the pool was told lately is told again: nothing changes where its books have it, and books restored from a backup may not.
pub fn doubt_what_was_told(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE partials SET seq = NULL WHERE state IN (0, 2)", [])?;
    let lately = "UPDATE income SET state = 0 WHERE height >= (SELECT max(height) FROM income) - ?";
    db.execute(lately, [TOLD_AGAIN])?;
    Ok(())
}

/// Settled partials and refusals that are old enough go.
pub fn prune(db: &Connection, before: UnixMs) -> rusqlite::Result<usize> {
    let partials = db.execute(
        "DELETE FROM partials WHERE at < ? AND state IN (1, 3) AND seq IS NOT NULL",
        [before.0],
    )?;
    let refusals = db.execute("DELETE FROM refusals WHERE hour < ?", [before.0 / 3_600_000])?;
    Ok(partials + refusals)
}

/// A farmer's refusals since a time, by reason.
pub fn refusals(
    db: &Connection,
    launcher: &Bytes32,
    since: UnixMs,
) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut statement = db.prepare(
        "SELECT reason, sum(count) FROM refusals WHERE launcher = ? AND hour >= ? GROUP BY reason ORDER BY reason",
    )?;
    let of = params![launcher, since.0 / 3_600_000];
    statement.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

//! The rows of the outbox.
//!
//! Invariant: a row stays until it is done; done means that its channel took it, or that it was given up and says why.
//!
//! A row's `once` is the fact, `@` and the row's `channel`; `channel` is a channel's name, and for one person's letter `:` and
//! the person's address after it. What the table has no column for is kept as JSON in `body`.

use super::letter::Letter;
use super::{Kind, Notice};
use accounting::UnixMs;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use serde::{Deserialize, Serialize};

/// Undone rows at most.
pub(super) const UNDONE_MAX: u64 = 10_000;
/// Done rows are remembered for so long.
const REMEMBER_MS: u64 = 7 * 24 * 3600 * 1000;

const OF_CHANNEL: &str =
    "done_at IS NULL AND (channel = ?1 OR substr(channel, 1, length(?1) + 1) = ?1 || ':')";

#[derive(Serialize, Deserialize)]
struct Kept {
    kind: Kind,
    body: String,
    link: Option<String>,
}

/// A notice that waits for a channel.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The row.
    pub id: i64,
    /// Deliveries that failed.
    pub tries: u32,
    /// When it was put into the outbox.
    pub made_at: UnixMs,
    /// What to deliver; or why it cannot be read.
    pub letter: std::result::Result<Letter, String>,
}

/// What a channel has to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing waits.
    Nothing,
    /// Nothing before this moment.
    At(UnixMs),
    /// Deliver this.
    Due(Box<Waiting>),
}

fn to_sql(at: UnixMs) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn from_sql(row: &Row<'_>, column: usize) -> Result<UnixMs> {
    Ok(UnixMs(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0)))
}

/// The channel that a row is for.
fn name_of(channel: &str) -> &str {
    channel.split_once(':').map_or(channel, |(name, _)| name)
}

/// Puts notices for channels (`name`, or `name:person`); those that are there already stay as they are. Gives how many
/// were new, and how many of the oldest were given up to make room.
pub(super) fn put(
    sql: &mut Connection,
    letters: &[(Notice, String)],
    now: UnixMs,
) -> Result<(usize, usize)> {
    let tx = sql.transaction()?;
    let mut new = 0;
    for (notice, channel) in letters {
        let kept = Kept { kind: notice.kind, body: notice.body.clone(), link: notice.link.clone() };
        let kept = serde_json::to_string(&kept)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        new += tx.prepare_cached(
            "INSERT OR IGNORE INTO outbox (once, channel, subject, body, made_at, due_at, tries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0)",
        )?
        .execute(params![
            format!("{}@{channel}", notice.once),
            channel,
            notice.subject,
            kept,
            to_sql(now)
        ])?;
    }
    let excess = waiting(&tx)?.saturating_sub(UNDONE_MAX);
    let given_up = if excess == 0 {
        0
    } else {
        tx.execute(
            "UPDATE outbox SET done_at = ?1, trouble = 'given up: too many were waiting' WHERE id IN
             (SELECT id FROM outbox WHERE done_at IS NULL ORDER BY id LIMIT ?2)",
            params![to_sql(now), i64::try_from(excess).unwrap_or(i64::MAX)],
        )?
    };
    tx.commit()?;
    Ok((new, given_up))
}

/// How many wait.
pub(super) fn waiting(sql: &Connection) -> Result<u64> {
    let count: i64 =
        sql.query_row("SELECT count(*) FROM outbox WHERE done_at IS NULL", [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The oldest that is due for a channel; else when one will be.
pub(super) fn next(sql: &mut Connection, channel: &str, now: UnixMs) -> Result<Next> {
    let due = sql
        .prepare_cached(&format!(
            "SELECT id, once, channel, subject, body, made_at, tries FROM outbox
             WHERE {OF_CHANNEL} AND due_at <= ?2 ORDER BY id LIMIT 1"
        ))?
        .query_row(params![channel, to_sql(now)], read)
        .optional()?;
    if let Some(due) = due {
        return Ok(Next::Due(Box::new(due)));
    }
    let later = sql
        .prepare_cached(&format!(
            "SELECT due_at FROM outbox WHERE {OF_CHANNEL} ORDER BY due_at LIMIT 1"
        ))?
        .query_row(params![channel], |row| from_sql(row, 0))
        .optional()?;
    Ok(later.map_or(Next::Nothing, Next::At))
}

fn read(row: &Row<'_>) -> Result<Waiting> {
    let (once, channel): (String, String) = (row.get(1)?, row.get(2)?);
    let made_at = from_sql(row, 5)?;
    let subject = row.get(3)?;
    let fact = once.strip_suffix(&channel).and_then(|once| once.strip_suffix('@'));
    let once = fact.unwrap_or(&once).to_owned();
    let person = channel.split_once(':').map(|(_, person)| person.to_owned());
    let kept = serde_json::from_str::<Kept>(&row.get::<_, String>(4)?);
    let letter = kept.map_err(|error| format!("the row cannot be read: {error}")).map(|kept| {
        let notice = Notice { once, kind: kept.kind, subject, body: kept.body, link: kept.link };
        Letter { notice, made_at, person }
    });
    Ok(Waiting { id: row.get(0)?, tries: row.get(6)?, made_at, letter })
}

/// The channel took it.
pub(super) fn done(sql: &mut Connection, id: i64, now: UnixMs) -> Result<()> {
    sql.prepare_cached("UPDATE outbox SET done_at = ?2, trouble = NULL WHERE id = ?1")?
        .execute(params![id, to_sql(now)])?;
    Ok(())
}

/// The channel did not take it: again at `due`.
pub(super) fn failed(sql: &mut Connection, id: i64, trouble: &str, due: UnixMs) -> Result<()> {
    sql.prepare_cached(
        "UPDATE outbox SET tries = tries + 1, trouble = ?2, due_at = ?3 WHERE id = ?1 AND done_at IS NULL",
    )?
    .execute(params![id, trouble, to_sql(due)])?;
    Ok(())
}

/// It will not be told.
pub(super) fn give_up(sql: &mut Connection, id: i64, trouble: &str, now: UnixMs) -> Result<()> {
    sql.prepare_cached(
        "UPDATE outbox SET tries = tries + 1, trouble = ?2, done_at = ?3 WHERE id = ?1 AND done_at IS NULL",
    )?
    .execute(params![id, trouble, to_sql(now)])?;
    Ok(())
}

/// Forgets what was done long ago, and gives up what was put before `stale` for channels that are no longer there. Gives how
/// many of the latter there were.
pub(super) fn tidy(
    sql: &mut Connection,
    channels: &[String],
    stale: UnixMs,
    now: UnixMs,
) -> Result<usize> {
    let tx = sql.transaction()?;
    let forgotten = UnixMs(now.0.saturating_sub(REMEMBER_MS));
    tx.execute("DELETE FROM outbox WHERE done_at <= ?1", params![to_sql(forgotten)])?;
    let mut lost: Vec<i64> = Vec::new();
    {
        let mut rows =
            tx.prepare("SELECT id, channel FROM outbox WHERE done_at IS NULL AND made_at <= ?1")?;
        let mut rows = rows.query(params![to_sql(stale)])?;
        while let Some(row) = rows.next()? {
            let channel: String = row.get(1)?;
            if !channels.iter().any(|name| name == name_of(&channel)) {
                lost.push(row.get(0)?);
            }
        }
    }
    for id in &lost {
        tx.execute(
            "UPDATE outbox SET done_at = ?2, trouble = 'given up: there is no such channel' WHERE id = ?1",
            params![id, to_sql(now)],
        )?;
    }
    tx.commit()?;
    Ok(lost.len())
}

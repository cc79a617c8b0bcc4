//! Questions to the operator: asked by anybody, found again by a secret link, answered at the operator's desk.
//!
//! Invariant: members come first, and among equals who waits longest; a member is who signed the question with a member's
//! address. Bounded: what is full is said to be.

use crate::db::{Db, DbError};
use crate::model::Iso;
use crate::secrets::token;
use accounting::UnixMs;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Questions that are not closed, at most.
const OPEN_MAX: i64 = 1000;
/// Lines of one question.
const LINES_MAX: i64 = 50;
/// Characters of a subject, and of a line.
pub const MOST: (usize, usize) = (120, 4000);
/// How long what is closed can still be read.
const KEPT_MS: u64 = 90 * 86_400_000;

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Untaken {
    /// In words, for whoever asked.
    #[error("{0}")]
    Said(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A question as it is asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The address it is about; empty without one.
    pub address: String,
    /// Was it signed by that address?
    pub is_proved: bool,
    /// In a few words.
    pub subject: String,
    /// In more.
    pub text: String,
}

/// A question and what was said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ticket {
    /// Its number, for the operator.
    pub id: i64,
    /// The address it is about; empty without one.
    pub address: String,
    /// Was it signed by that address?
    pub is_proved: bool,
    /// In a few words.
    pub subject: String,
    /// When it was asked.
    pub asked_at: Iso,
    /// Since when it is the operator's turn.
    pub waits: Option<Iso>,
    /// Is it over?
    pub is_closed: bool,
    /// What was said, oldest first.
    pub lines: Vec<Line>,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When.
    pub at: Iso,
    /// Which operator; `None` for whoever asked.
    pub by: Option<String>,
    /// What.
    pub text: String,
}

/// All questions.
#[derive(Clone)]
pub struct Support(Db);

fn hashed(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A line's text, checked.
fn checked(text: &str, what: &str, most: usize) -> Result<String, Untaken> {
    let text = text.trim();
    let is_plain = !text.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t');
    if text.is_empty() || text.chars().count() > most || !is_plain {
        return Err(Untaken::Said(format!("{what}: from 1 to {most} characters of text")));
    }
    Ok(text.to_owned())
}

impl Support {
    /// The questions in a database.
    #[must_use]
    pub fn in_db(db: Db) -> Self {
        Support(db)
    }

    /// Takes a question; gives the secret by which its asker finds it.
    ///
    /// # Errors
    /// What is wrong with it, or that there is no room.
    pub async fn ask(&self, asked: Asked, now: UnixMs) -> Result<String, Untaken> {
        let subject = checked(&asked.subject, "the subject", MOST.0)?;
        let text = checked(&asked.text, "the question", MOST.1)?;
        let secret = token();
        let hash = hashed(&secret);
        let is_taken = self.0.run(move |sql| {
            let tx = sql.transaction()?;
            forget_old(&tx, now)?;
            let open: i64 =
                tx.query_row("SELECT count(*) FROM tickets WHERE NOT is_closed", [], |row| row.get(0))?;
            if open >= OPEN_MAX {
                return Ok(false);
            }
            let at = now.0.cast_signed();
            let new = "INSERT INTO tickets (secret, address, is_proved, subject, asked_at, waits, last_at)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5)";
            tx.execute(new, params![hash.as_slice(), asked.address, asked.is_proved, subject, at])?;
            let id = tx.last_insert_rowid();
            add_line(&tx, id, now, None, &text)?;
            tx.commit()?;
            Ok(true)
        });
        match is_taken.await? {
            true => Ok(secret),
            false => Err(Untaken::Said(
                "so many questions are open that no more are taken; please try again tomorrow"
                    .into(),
            )),
        }
    }

    /// A question, by its secret.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find(&self, secret: &str) -> Result<Option<Ticket>, DbError> {
        let hash = hashed(secret);
        self.0.run(move |sql| with_lines(sql, "secret = ?", hash.as_slice())).await
    }

    /// Whoever asked says more, which opens it again.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn add(&self, secret: &str, text: &str, now: UnixMs) -> Result<bool, Untaken> {
        let (hash, text) = (hashed(secret), checked(text, "the text", MOST.1)?);
        let said = self.0.run(move |sql| {
            let id = sql
                .query_row("SELECT id FROM tickets WHERE secret = ?", [hash.as_slice()], |row| {
                    row.get(0)
                })
                .optional()?;
            let Some(id) = id else { return Ok(None) };
            say(sql, id, now, None, &text).map(Some)
        });
        match said.await? {
            None => Ok(false),
            Some(true) => Ok(true),
            Some(false) => Err(full()),
        }
    }

    /// An operator answers.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn answer(&self, id: i64, by: &str, text: &str, now: UnixMs) -> Result<(), Untaken> {
        let (by, text) = (by.to_owned(), checked(text, "the answer", MOST.1)?);
        match self.0.run(move |sql| say(sql, id, now, Some(&by), &text)).await? {
            true => Ok(()),
            false => Err(full()),
        }
    }

    /// An operator closes it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn close(&self, id: i64, now: UnixMs) -> Result<(), DbError> {
        let text = "UPDATE tickets SET is_closed = 1, waits = NULL, last_at = ? WHERE id = ?";
        self.0.run(move |sql| sql.execute(text, params![now.0.cast_signed(), id]).map(drop)).await
    }

    /// What waits for an operator: members' first, then as they were asked. `is_member` tells whose an address is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn queue(
        &self,
        is_member: impl Fn(&str) -> bool,
    ) -> Result<Vec<(Ticket, bool)>, DbError> {
        let found = self.0.run(|sql| {
            let mut statement =
                sql.prepare("SELECT id FROM tickets WHERE waits IS NOT NULL ORDER BY waits, id")?;
            let ids: Vec<i64> =
                statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let own = ids.into_iter().map(|id| with_lines(sql, "id = ?", id));
            own.collect::<Result<Vec<_>, _>>()
        });
        let mut queue: Vec<(Ticket, bool)> = found
            .await?
            .into_iter()
            .flatten()
            .map(|ticket| {
                let is_first = ticket.is_proved && is_member(&ticket.address);
                (ticket, is_first)
            })
            .collect();
        // As they were asked, within each.
        queue.sort_by_key(|(_, is_first)| !is_first);
        Ok(queue)
    }
}

fn full() -> Untaken {
    Untaken::Said(format!("a question has at most {LINES_MAX} lines; please ask a new one"))
}

/// Adds a line, and gives the turn to the other; false when there is no room.
fn say(
    sql: &mut Connection,
    id: i64,
    now: UnixMs,
    by: Option<&str>,
    text: &str,
) -> rusqlite::Result<bool> {
    let tx = sql.transaction()?;
    if !add_line(&tx, id, now, by, text)? {
        return Ok(false);
    }
    let at = now.0.cast_signed();
    // Who waits already keeps their place.
    let turn = match by {
        None => {
            "UPDATE tickets SET waits = coalesce(waits, ?1), is_closed = 0, last_at = ?1 WHERE id = ?2"
        }
        Some(_) => "UPDATE tickets SET waits = NULL, last_at = ?1 WHERE id = ?2",
    };
    tx.execute(turn, params![at, id])?;
    tx.commit()?;
    Ok(true)
}

fn add_line(
    sql: &Connection,
    id: i64,
    now: UnixMs,
    by: Option<&str>,
    text: &str,
) -> rusqlite::Result<bool> {
    let new = "INSERT INTO ticket_lines (ticket, no, at, by, text)
               SELECT ?1, count(*), ?2, ?3, ?4 FROM ticket_lines WHERE ticket = ?1 HAVING count(*) < ?5";
    let count = sql.execute(new, params![id, now.0.cast_signed(), by, text, LINES_MAX])?;
    Ok(count > 0)
}

fn with_lines(
    sql: &Connection,
    which: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<Option<Ticket>> {
    let time = |ms: i64| Iso(UnixMs(ms.cast_unsigned()));
    let text = format!(
        "SELECT id, address, is_proved, subject, asked_at, waits, is_closed FROM tickets WHERE {which}"
    );
    let found = sql
        .query_row(&text, [value], |row| {
            Ok(Ticket {
                id: row.get(0)?,
                address: row.get(1)?,
                is_proved: row.get(2)?,
                subject: row.get(3)?,
                asked_at: time(row.get(4)?),
                waits: row.get::<_, Option<i64>>(5)?.map(time),
                is_closed: row.get(6)?,
                lines: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut ticket) = found else { return Ok(None) };
    let mut statement =
        sql.prepare("SELECT at, by, text FROM ticket_lines WHERE ticket = ? ORDER BY no")?;
    let lines = statement.query_map([ticket.id], |row| {
        Ok(Line { at: time(row.get(0)?), by: row.get(1)?, text: row.get(2)? })
    })?;
    ticket.lines = lines.collect::<Result<_, _>>()?;
    Ok(Some(ticket))
}

fn forget_old(sql: &Connection, now: UnixMs) -> rusqlite::Result<()> {
    let oldest = now.0.saturating_sub(KEPT_MS).cast_signed();
    sql.execute("DELETE FROM tickets WHERE is_closed AND last_at < ?", [oldest]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn support() -> (tempfile::TempDir, Support) {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path()).unwrap();
        (folder, Support::in_db(db))
    }

    fn asked(address: &str, is_proved: bool, subject: &str) -> Asked {
        let (address, subject) = (address.to_owned(), subject.to_owned());
        Asked { address, is_proved, subject, text: "Where is it?".into() }
    }

    #[tokio::test]
    async fn members_come_first_and_then_who_waits_longest() {
        let (_folder, support) = support();
        for (at, (address, is_proved, subject)) in (1..).zip([
            ("", false, "first"),
            // Anybody can name a member's address.
            ("member", false, "unproved"),
            ("member", true, "member's"),
            ("other", true, "last"),
        ]) {
            support.ask(asked(address, is_proved, subject), UnixMs(at)).await.unwrap();
        }
        let queue = support.queue(|address| address == "member").await.unwrap();
        let order: Vec<(&str, bool)> =
            queue.iter().map(|(ticket, first)| (&*ticket.subject, *first)).collect();
        assert_eq!(
            order,
            [("member's", true), ("first", false), ("unproved", false), ("last", false)]
        );
    }

    #[tokio::test]
    async fn a_question_goes_back_and_forth_and_is_found_by_its_secret_only() {
        let (_folder, support) = support();
        let secret = support.ask(asked("", false, "payout"), UnixMs(1)).await.unwrap();
        let id = support.find(&secret).await.unwrap().unwrap().id;
        assert_eq!(support.find("guess").await.unwrap(), None);
        support.answer(id, "ann", "On its way.", UnixMs(2)).await.unwrap();
        assert!(support.queue(|_| false).await.unwrap().is_empty(), "it is the asker's turn");
        assert!(support.add(&secret, "Still not there.", UnixMs(3)).await.unwrap());
        assert!(support.add(&secret, "Hello?", UnixMs(9)).await.unwrap());
        let queue = support.queue(|_| false).await.unwrap();
        assert_eq!(queue[0].0.waits, Some(Iso(UnixMs(3))), "asking again costs no place");
        support.close(id, UnixMs(10)).await.unwrap();
        let ticket = support.find(&secret).await.unwrap().unwrap();
        assert!(ticket.is_closed && ticket.lines.len() == 4);
        assert_eq!(ticket.lines[1].by.as_deref(), Some("ann"));
        assert!(!support.add("guess", "x", UnixMs(11)).await.unwrap());
        // What is closed is kept for a while.
        support.ask(asked("", false, "other"), UnixMs(11 + KEPT_MS)).await.unwrap();
        assert_eq!(support.find(&secret).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_empty_or_endless_is_not_taken() {
        let (_folder, support) = support();
        for subject in ["", "  ", &"x".repeat(121), "bell\u{7}"] {
            let refused = support.ask(asked("", false, subject), UnixMs(1)).await;
            assert!(matches!(refused, Err(Untaken::Said(_))), "{subject:?}");
        }
        let secret = support.ask(asked("", false, "long"), UnixMs(1)).await.unwrap();
        for _ in 1..LINES_MAX {
            assert!(support.add(&secret, "more", UnixMs(2)).await.unwrap());
        }
        assert!(matches!(support.add(&secret, "more", UnixMs(2)).await, Err(Untaken::Said(_))));
    }
}

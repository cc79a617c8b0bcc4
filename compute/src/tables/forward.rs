//! What the relay is sent: a row for each algorithm that was the best.
//!
//! Invariant: at most one waits, the best; what the relay has answered is never sent again.

use super::load::unsigned;
use super::write::score_of;
use super::{TableError, Tables, number};
use crate::score::Score;
use crate::task::AlgorithmId;
use rusqlite::{OptionalExtension, params};

/// The first pause after no answer; it doubles up to the longest, in seconds.
const PAUSE_S: (u64, u64) = (30, 3600);

/// An algorithm on its way to the relay, or there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Which.
    pub algorithm: AlgorithmId,
    /// What it is worth.
    pub score: Score,
    /// `waiting`, or what the relay said.
    pub state: String,
    /// How often it was sent without an answer.
    pub tries: u64,
    /// When it is sent next, if it waits.
    pub next_at_s: u64,
    /// In the relay's words.
    pub said: String,
}

impl Tables {
    /// Puts an algorithm into the outbox, if it is better than all that were there; says whether it was put. What waits is not
    /// sent any more: there is one slot a hotkey.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn propose(&self, id: AlgorithmId, score: Score, now_s: u64) -> Result<bool, TableError> {
        let best: Option<u32> =
            self.0.query_row("SELECT max(score) FROM forward", [], |row| row.get(0))?;
        let Some(score) = score.billionths().filter(|score| best.is_none_or(|best| *score > best))
        else {
            return Ok(false);
        };
        let old =
            "UPDATE forward SET state = 'superseded', changed_at_s = ? WHERE state = 'waiting'";
        self.0.execute(old, [number(now_s)])?;
        let sql = "INSERT OR IGNORE INTO forward VALUES (?1, ?2, 'waiting', 0, ?3, ?3, '')";
        Ok(self.0.execute(sql, params![number(id.0), score, number(now_s)])? > 0)
    }

    /// What is to be sent now.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn due(&self, now_s: u64) -> Result<Option<Forward>, TableError> {
        let sql = "SELECT * FROM forward WHERE state = 'waiting' AND next_at_s <= ? LIMIT 1";
        self.one(sql, number(now_s))
    }

    /// What was put there last.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn last_forward(&self) -> Result<Option<Forward>, TableError> {
        self.one("SELECT * FROM forward WHERE ? ORDER BY score DESC LIMIT 1", 1)
    }

    /// Notes what the relay said.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn forwarded(
        &self,
        id: AlgorithmId,
        state: &str,
        said: &str,
        now_s: u64,
    ) -> Result<(), TableError> {
        let sql = "UPDATE forward SET state = ?2, said = ?3, changed_at_s = ?4 WHERE algorithm = ?1 AND state = 'waiting'";
        self.0.execute(sql, params![number(id.0), state, said, number(now_s)])?;
        Ok(())
    }

    /// Notes that the relay did not answer, and when to try again: later each time, or when it said so.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn not_forwarded(
        &self,
        forward: &Forward,
        said: &str,
        after_s: Option<u64>,
        now_s: u64,
    ) -> Result<(), TableError> {
        let pause_s = PAUSE_S.0 << forward.tries.min(16);
        let next_at_s = now_s + after_s.unwrap_or(pause_s).clamp(1, PAUSE_S.1);
        let sql =
            "UPDATE forward SET tries = tries + 1, next_at_s = ?2, said = ?3, changed_at_s = ?4
             WHERE algorithm = ?1 AND state = 'waiting'";
        self.0.execute(
            sql,
            params![number(forward.algorithm.0), number(next_at_s), said, number(now_s)],
        )?;
        Ok(())
    }

    fn one(&self, sql: &str, with: i64) -> Result<Option<Forward>, TableError> {
        let found = self.0.query_row(sql, [with], |row| {
            let read = || -> Result<Forward, TableError> {
                Ok(Forward {
                    algorithm: AlgorithmId(unsigned(row, 0)?),
                    score: score_of(row.get(1)?).ok_or(TableError::Damaged("a score"))?,
                    state: row.get(2)?,
                    tries: unsigned(row, 3)?,
                    next_at_s: unsigned(row, 4)?,
                    said: row.get(6)?,
                })
            };
            Ok(read())
        });
        found.optional()?.transpose()
    }
}

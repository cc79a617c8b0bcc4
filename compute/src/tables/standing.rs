//! How miners' answers fared: votes, algorithms, and who earned most.
//!
//! Invariant: a vote is read here only once it is decided.

use super::load::{self, key, unsigned};
use super::write::score_of;
use super::{TableError, Tables, number};
use crate::desk::Verdict;
use crate::key::PublicKey;
use crate::reputation::Reputation;
use crate::score::Score;
use crate::task::AlgorithmId;
use crate::worker::Miner;
use accounting::AccountId;
use rusqlite::params;

/// A place on the leaderboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// Whose.
    pub miner: PublicKey,
    /// Their number in the ledger, once it knows them.
    pub account: Option<AccountId>,
    /// All that they earned and kept.
    pub reputation: Reputation,
    /// The part of it that they earned lately.
    pub lately: Reputation,
    /// Votes that held.
    pub accurate: u64,
    /// Votes that did not.
    pub inaccurate: u64,
}

impl Tables {
    /// How many algorithms of an author are decided, and how many of them reached a score in billionths.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn authored(&self, author: &PublicKey, least: u32) -> Result<(u64, u64), TableError> {
        let sql = "SELECT COUNT(*), COUNT(*) FILTER (WHERE score >= ?) FROM algorithm WHERE author = ? AND stage = 'agreed'";
        let mut statement = self.0.prepare_cached(sql)?;
        let found = statement.query_row(params![least, author.bytes()], |row| {
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs()))
        });
        Ok(found?)
    }

    /// A miner, as they were last written.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn miner(&self, key: &PublicKey) -> Result<Option<Miner>, TableError> {
        let mut statement = self.0.prepare_cached("SELECT * FROM miner WHERE key = ?")?;
        let mut rows = statement.query([key.bytes()])?;
        rows.next()?.map(load::miner).transpose()
    }

    /// Who earned most, most first; `recent_s` is when lately begins.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn leaders(&self, count_max: usize, recent_s: u64) -> Result<Vec<Leader>, TableError> {
        let sql = "SELECT e.miner, e.total, e.recent, coalesce(m.accurate, 0), coalesce(m.inaccurate, 0), a.number
             FROM (SELECT miner, SUM(weight) AS total, SUM(CASE WHEN at_s >= ?1 THEN weight ELSE 0 END) AS recent
                   FROM earning WHERE revoked_at_s IS NULL GROUP BY miner ORDER BY total DESC, miner LIMIT ?2) AS e
             LEFT JOIN miner AS m ON m.key = e.miner LEFT JOIN account AS a ON a.miner = e.miner
             ORDER BY e.total DESC, e.miner";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params![number(recent_s), number(count_max as u64)])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let account: Option<i64> = row.get(5)?;
            all.push(Leader {
                miner: key(row, 0)?,
                reputation: Reputation(unsigned(row, 1)?),
                lately: Reputation(unsigned(row, 2)?),
                accurate: unsigned(row, 3)?,
                inaccurate: unsigned(row, 4)?,
                account: account.map(|number| AccountId(number.unsigned_abs())),
            });
        }
        Ok(all)
    }

    /// What became of a miner's votes, the newest first.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn verdicts(
        &self,
        voter: &PublicKey,
        count_max: usize,
    ) -> Result<Vec<Verdict>, TableError> {
        let sql = "SELECT algorithm, score, median, evaluators, accurate, at_s FROM verdict WHERE voter = ? ORDER BY algorithm DESC LIMIT ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params![voter.bytes(), number(count_max as u64)])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let score = |column| -> Result<Score, TableError> {
                score_of(row.get(column)?).ok_or(TableError::Damaged("a score"))
            };
            all.push(Verdict {
                voter: *voter,
                algorithm: AlgorithmId(unsigned(row, 0)?),
                score: score(1)?,
                median: score(2)?,
                evaluators: usize::from(row.get::<_, u16>(3)?),
                accurate: row.get(4)?,
                at_s: unsigned(row, 5)?,
            });
        }
        Ok(all)
    }
}

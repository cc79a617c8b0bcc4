//! Earnings in the tables: who earned what, and what the ledger was told of it.
//!
//! Invariant: what is earned belongs to an epoch that is open; what was taken back counts nowhere.

use super::load::{key, unsigned};
use super::{TableError, Tables, number};
use crate::epoch::EpochNo;
use crate::fact::{Cause, Earning};
use crate::key::PublicKey;
use crate::reputation::Reputation;
use crate::task::AlgorithmId;
use rusqlite::params;

impl Tables {
    /// Who earned something in an epoch that was not taken back, the most first.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn earners(&self, epoch: EpochNo, length_s: u64) -> Result<Vec<PublicKey>, TableError> {
        let end_s = epoch.ends_at_s(length_s);
        let mut all = Vec::new();
        let sql = format!(
            "SELECT miner FROM earning WHERE at_s >= {} AND at_s < {end_s} AND revoked_at_s IS NULL
             GROUP BY miner ORDER BY SUM(weight) DESC, miner",
            end_s - length_s
        );
        self.each(&sql, |row| {
            all.push(key(row, 0)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// What a miner and what everybody earned in an epoch and kept.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn earned_in(
        &self,
        epoch: EpochNo,
        length_s: u64,
        miner: &PublicKey,
    ) -> Result<(Reputation, Reputation), TableError> {
        let end_s = epoch.ends_at_s(length_s);
        let sql = "SELECT COALESCE(SUM(CASE WHEN miner = ?1 THEN weight END), 0), COALESCE(SUM(weight), 0)
                   FROM earning WHERE at_s >= ?2 AND at_s < ?3 AND revoked_at_s IS NULL";
        let bounds = params![miner.bytes(), number(end_s - length_s), number(end_s)];
        let mut statement = self.0.prepare_cached(sql)?;
        let (own, all): (i64, i64) =
            statement.query_row(bounds, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((Reputation(own.unsigned_abs()), Reputation(all.unsigned_abs())))
    }

    /// What one miner earned since a moment and was not taken back.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn earned_since(&self, miner: &PublicKey, since_s: u64) -> Result<Reputation, TableError> {
        let sql = "SELECT COALESCE(SUM(weight), 0) FROM earning WHERE at_s >= ? AND miner = ? AND revoked_at_s IS NULL";
        let sum: i64 = self
            .0
            .prepare_cached(sql)?
            .query_row(params![number(since_s), miner.bytes()], |row| row.get(0))?;
        Ok(Reputation(sum.unsigned_abs()))
    }

    /// Earnings that the ledger was not told yet, oldest first.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn untold(&self, count_max: usize, before_s: u64) -> Result<Vec<Earning>, TableError> {
        let mut all = Vec::new();
        let sql = format!(
            "SELECT key, miner, weight, cause, algorithm, at_s FROM earning
             WHERE told IS NULL AND at_s < {} ORDER BY at_s LIMIT {count_max}",
            number(before_s)
        );
        self.each(&sql, |row| {
            let cause: String = row.get(3)?;
            let cause = Cause::ALL.into_iter().find(|c| c.word() == cause);
            all.push(Earning {
                key: row.get(0)?,
                miner: key(row, 1)?,
                weight: Reputation(unsigned(row, 2)?),
                cause: cause.ok_or(TableError::Damaged("what an earning is for"))?,
                algorithm: AlgorithmId(unsigned(row, 4)?),
                at_s: unsigned(row, 5)?,
            });
            Ok(())
        })?;
        Ok(all)
    }

    /// The ledger has an earning, at this position.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn told(&self, earning: &[u8; 32], position: u64) -> Result<(), TableError> {
        let sql = "UPDATE earning SET told = ? WHERE key = ?";
        self.0.prepare_cached(sql)?.execute(params![number(position), earning])?;
        Ok(())
    }

    /// Withdrawals that the ledger was not told yet: key, position there, reason.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn untold_revocations(
        &self,
        count_max: usize,
    ) -> Result<Vec<([u8; 32], u64, String)>, TableError> {
        let mut all = Vec::new();
        let sql = format!(
            "SELECT key, told, reason FROM earning WHERE told IS NOT NULL AND revoked_at_s IS NOT NULL AND revocation_told = 0 LIMIT {count_max}"
        );
        self.each(&sql, |row| {
            all.push((row.get(0)?, unsigned(row, 1)?, row.get(2)?));
            Ok(())
        })?;
        Ok(all)
    }

    /// The ledger knows that an earning was taken back.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn revocation_told(&self, earning: &[u8; 32]) -> Result<(), TableError> {
        let sql = "UPDATE earning SET revocation_told = 1 WHERE key = ?";
        self.0.prepare_cached(sql)?.execute(params![earning])?;
        Ok(())
    }
}

//! What became of leases: how many of late, and who got the work of one that expired.

use super::load::key;
use super::{TableError, Tables, number};
use crate::key::PublicKey;
use crate::lease::LeaseId;
use rusqlite::{OptionalExtension, params};

/// How many leases after one are looked through for who got its algorithms.
const HEIRS_WITHIN: u32 = 2000;

impl Tables {
    /// Leases that were issued since a moment: all, answered, expired, and those with nothing to evaluate.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn leases_since(&self, since_s: u64) -> Result<[u64; 4], TableError> {
        let sql = "SELECT COUNT(*), COUNT(*) FILTER (WHERE state = 'answered'), COUNT(*) FILTER (WHERE state = 'expired'),
             COUNT(*) FILTER (WHERE evaluate = '[]') FROM lease WHERE issued_at_s >= ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let counts = statement.query_row([number(since_s)], |row| {
            let mut counts = [0; 4];
            for (at, count) in counts.iter_mut().enumerate() {
                *count = row.get::<_, i64>(at)?.unsigned_abs();
            }
            Ok(counts)
        });
        Ok(counts?)
    }

    /// Who was given any of a lease's algorithms after it, if anybody.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn heirs(&self, lease: LeaseId) -> Result<Vec<PublicKey>, TableError> {
        let sql = "SELECT DISTINCT later.miner FROM lease AS own, json_each(own.evaluate) AS asked, lease AS later, json_each(later.evaluate) AS given
             WHERE own.id = ?1 AND later.id > ?1 AND later.id <= ?1 + ?2 AND given.value = asked.value LIMIT 3";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params![number(lease.0), HEIRS_WITHIN])?;
        let mut heirs = Vec::new();
        while let Some(row) = rows.next()? {
            heirs.push(key(row, 0)?);
        }
        Ok(heirs)
    }

    /// The deadline of a miner's lease that expired, if it did.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn expired(&self, lease: LeaseId, miner: &PublicKey) -> Result<Option<u64>, TableError> {
        let sql = "SELECT deadline_s FROM lease WHERE id = ? AND miner = ? AND state = 'expired'";
        let found = self
            .0
            .query_row(sql, params![number(lease.0), miner.bytes()], |row| row.get::<_, i64>(0));
        Ok(found.optional()?.map(i64::unsigned_abs))
    }
}

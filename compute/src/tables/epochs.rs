//! Epochs in the tables: what each divides, and its signed report.
//!
//! Invariant: an epoch is kept once; the carry of one is in the next one's budget.

use super::{TableError, Tables, number};
use crate::epoch::{EpochNo, Report, Terms};
use crate::key::Signature;
use accounting::{Amount, BasisPoints};
use rusqlite::{OptionalExtension, params};

/// How epochs are paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Seconds of an epoch.
    pub length_s: u64,
    /// What one brings, without what is carried.
    pub amount: Amount,
    /// The pool's part.
    pub fee: BasisPoints,
    /// The most for one owner.
    pub cap: BasisPoints,
}

/// A closed epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// How it was paid.
    pub report: Report,
    /// The pool's signature of it.
    pub signature: Signature,
}

impl Tables {
    /// What an epoch divides: its budget, and what the one before left.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn terms(&self, epoch: EpochNo, budget: &Budget) -> Result<Terms, TableError> {
        let carried = Amount::from_units(self.carried(epoch)?);
        Ok(Terms { budget: budget.amount.add(carried), fee: budget.fee, cap: budget.cap })
    }

    /// Keeps a closed epoch. One that is kept already stays as it is.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn keep_epoch(&self, closed: &Closed, length_s: u64) -> Result<(), TableError> {
        let report = &closed.report;
        let sql = "INSERT OR IGNORE INTO epoch VALUES (?, ?, ?, ?, ?)";
        self.0.execute(
            sql,
            params![
                number(report.epoch.0),
                number(report.epoch.ends_at_s(length_s)),
                report.carry.units().to_string(),
                report.bytes(),
                closed.signature.bytes()
            ],
        )?;
        Ok(())
    }

    /// A closed epoch's report.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn epoch(&self, epoch: EpochNo) -> Result<Option<Closed>, TableError> {
        let sql = "SELECT report, signature FROM epoch WHERE number = ?";
        let row = self.0.query_row(sql, [number(epoch.0)], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((report, signature)): Option<(Vec<u8>, [u8; 64])> = row.optional()? else {
            return Ok(None);
        };
        let report = serde_json::from_slice(&report)
            .map_err(|_| TableError::Damaged("an epoch's report"))?;
        Ok(Some(Closed { report, signature: Signature::from_bytes(signature) }))
    }

    /// The first epoch that is not closed. A pool that is new begins with the current one, and remembers that.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn first_epoch(&self, current: EpochNo) -> Result<EpochNo, TableError> {
        if let Some(last) = self.last_epoch()? {
            return Ok(EpochNo(last.0 + 1));
        }
        let sql = "INSERT OR IGNORE INTO setting VALUES ('first_epoch', ?)";
        self.0.prepare_cached(sql)?.execute([number(current.0)])?;
        let sql = "SELECT value FROM setting WHERE name = 'first_epoch'";
        let first: i64 = self.0.query_row(sql, [], |row| row.get(0))?;
        Ok(EpochNo(first.unsigned_abs()))
    }

    /// The newest closed epoch.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn last_epoch(&self) -> Result<Option<EpochNo>, TableError> {
        let last: Option<i64> =
            self.0.query_row("SELECT MAX(number) FROM epoch", [], |row| row.get(0))?;
        Ok(last.map(|number| EpochNo(number.cast_unsigned())))
    }

    fn carried(&self, epoch: EpochNo) -> Result<i128, TableError> {
        let sql = "SELECT carry FROM epoch WHERE number < ? ORDER BY number DESC LIMIT 1";
        let text: Option<String> =
            self.0.query_row(sql, [number(epoch.0)], |row| row.get(0)).optional()?;
        text.map_or(Ok(0), |text| text.parse().map_err(|_| TableError::Damaged("a carry")))
    }

    /// Epochs of another length would have other numbers: the length is fixed by the first start.
    ///
    /// # Errors
    /// [`TableError::EpochLength`].
    pub fn fix_epoch_length(&self, length_s: u64) -> Result<(), TableError> {
        let sql = "INSERT OR IGNORE INTO setting VALUES ('epoch_length_s', ?)";
        self.0.execute(sql, [number(length_s)])?;
        let sql = "SELECT value FROM setting WHERE name = 'epoch_length_s'";
        let fixed: i64 = self.0.query_row(sql, [], |row| row.get(0))?;
        match fixed.unsigned_abs() {
            fixed if fixed == length_s => Ok(()),
            fixed => Err(TableError::EpochLength { fixed, asked: length_s }),
        }
    }
}

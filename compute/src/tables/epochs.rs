//! Earnings, coldkeys and epochs in the tables.
//!
//! Invariant: an epoch is kept once; the carry of one is in the next one's budget. What is earned belongs to an epoch that is open.

use super::load::{key, unsigned};
use super::write::score_of;
use super::{TableError, Tables, number};
use crate::desk::Verdict;
use crate::epoch::{EpochNo, Report, Terms};
use crate::fact::{Cause, Earning};
use crate::key::{PublicKey, Signature};
use crate::lease::LeaseId;
use crate::reputation::Reputation;
use crate::score::Score;
use crate::task::AlgorithmId;
use accounting::{AccountId, Amount, BasisPoints};
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

/// How many leases after one are looked through for who got its algorithms.
const HEIRS_WITHIN: u32 = 2000;

/// A closed epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// How it was paid.
    pub report: Report,
    /// The pool's signature of it.
    pub signature: Signature,
}

/// A coldkey, and since when (or from when on) it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The coldkey.
    pub coldkey: PublicKey,
    /// From then on.
    pub from_s: u64,
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

    /// Whom a miner belonged to at a moment: their coldkey, or themselves.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn owner(&self, miner: &PublicKey, at_s: u64) -> Result<PublicKey, TableError> {
        Ok(self.recipient(miner, at_s)?.map_or(*miner, |recipient| recipient.coldkey))
    }

    /// Remembers a miner's number in the ledger.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn note_account(&self, miner: &PublicKey, account: AccountId) -> Result<(), TableError> {
        let sql = "INSERT OR IGNORE INTO account VALUES (?, ?)";
        self.0.prepare_cached(sql)?.execute(params![number(account.0), miner.bytes()])?;
        Ok(())
    }

    /// Whose number in the ledger this is.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn miner_of(&self, account: AccountId) -> Result<Option<PublicKey>, TableError> {
        let sql = "SELECT miner FROM account WHERE number = ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let found = statement.query_row([number(account.0)], |row| row.get(0)).optional()?;
        Ok(found.map(PublicKey::from_bytes))
    }

    /// A miner's number in the ledger.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn account_of(&self, miner: &PublicKey) -> Result<Option<AccountId>, TableError> {
        let sql = "SELECT number FROM account WHERE miner = ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let found: Option<i64> =
            statement.query_row([miner.bytes()], |row| row.get(0)).optional()?;
        Ok(found.map(|number| AccountId(number.unsigned_abs())))
    }

    /// Coldkeys that the ledger was not told yet, of miners it knows: number, account, coldkey, from when.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn untold_coldkeys(
        &self,
        count_max: usize,
    ) -> Result<Vec<(u64, AccountId, Recipient)>, TableError> {
        let mut all = Vec::new();
        let sql = format!(
            "SELECT c.no, a.number, c.coldkey, c.from_s FROM coldkey c JOIN account a ON a.miner = c.miner
             WHERE c.told = 0 ORDER BY c.no LIMIT {count_max}"
        );
        self.each(&sql, |row| {
            let recipient = Recipient { coldkey: key(row, 2)?, from_s: unsigned(row, 3)? };
            all.push((unsigned(row, 0)?, AccountId(unsigned(row, 1)?), recipient));
            Ok(())
        })?;
        Ok(all)
    }

    /// The ledger knows a coldkey.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn coldkey_told(&self, no: u64) -> Result<(), TableError> {
        self.0.prepare_cached("UPDATE coldkey SET told = 1 WHERE no = ?")?.execute([number(no)])?;
        Ok(())
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

    /// Who earned most, most first.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn leaders(&self, count_max: usize) -> Result<Vec<(PublicKey, Reputation)>, TableError> {
        let mut all = Vec::new();
        let sql = format!(
            "SELECT miner, SUM(weight) AS total FROM earning WHERE revoked_at_s IS NULL GROUP BY miner ORDER BY total DESC, miner LIMIT {count_max}"
        );
        self.each(&sql, |row| {
            all.push((key(row, 0)?, Reputation(unsigned(row, 1)?)));
            Ok(())
        })?;
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

    /// Pays a miner's coldkey from a moment on. The first one counts at once.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn set_recipient(
        &self,
        miner: &PublicKey,
        coldkey: &PublicKey,
        now_s: u64,
        delay_s: u64,
    ) -> Result<Recipient, TableError> {
        let is_first = self.recipient(miner, u64::MAX)?.is_none();
        let from_s = if is_first { now_s } else { now_s + delay_s };
        let sql = "INSERT INTO coldkey (miner, asked_at_s, from_s, coldkey) VALUES (?, ?, ?, ?)";
        self.0
            .execute(sql, params![miner.bytes(), number(now_s), number(from_s), coldkey.bytes()])?;
        Ok(Recipient { coldkey: *coldkey, from_s })
    }

    /// The coldkey that is paid at a moment. `u64::MAX`: the last that was named.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn recipient(&self, miner: &PublicKey, at_s: u64) -> Result<Option<Recipient>, TableError> {
        let sql = "SELECT coldkey, from_s FROM coldkey WHERE miner = ? AND from_s <= ? ORDER BY no DESC LIMIT 1";
        let row = self
            .0
            .prepare_cached(sql)?
            .query_row(params![miner.bytes(), number(at_s)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(row.map(|(coldkey, from_s): ([u8; 32], i64)| Recipient {
            coldkey: PublicKey::from_bytes(coldkey),
            from_s: from_s.unsigned_abs(),
        }))
    }
}

//! Whom a hotkey belongs to: the coldkey that is paid for it, and its number in the ledger.
//!
//! Invariant: a coldkey that was named stays on record; which one is paid follows from the time.

use super::load::{key, unsigned};
use super::{TableError, Tables, number};
use crate::key::PublicKey;
use accounting::AccountId;
use rusqlite::{OptionalExtension, params};

/// A coldkey, and since when (or from when on) it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The coldkey.
    pub coldkey: PublicKey,
    /// From then on.
    pub from_s: u64,
}

impl Tables {
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

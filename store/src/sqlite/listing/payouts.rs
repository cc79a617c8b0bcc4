//! Payouts and who they paid.

use super::Cut;
use crate::StoreError;
use crate::sqlite::reader::Reader;
use crate::sqlite::value::{Json, Money, Text, int, uint};
use accounting::payout::PayoutState;
use accounting::{AccountId, Amount, AssetId, PayoutId, RewardId, UnixMs};
use rusqlite::{OptionalExtension, Row};

/// A payout, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutRow {
    /// Its number.
    pub id: PayoutId,
    /// Its money.
    pub asset: AssetId,
    /// Where it stands.
    pub state: PayoutState,
    /// Its newest transaction.
    pub txid: Option<RewardId>,
    /// What that pays the network.
    pub fee: Amount,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who gets what.
    pub parts: Vec<PartRow>,
}

/// A payout, without its recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutSummary {
    /// Its number.
    pub id: PayoutId,
    /// Its money.
    pub asset: AssetId,
    /// Where it stands.
    pub state: PayoutState,
    /// Its newest transaction.
    pub txid: Option<RewardId>,
    /// What that pays the network.
    pub fee: Amount,
    /// How many are paid.
    pub recipients: u64,
    /// What arrives.
    pub sent: Amount,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it last moved.
    pub changed_at: UnixMs,
}

/// One recipient of a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRow {
    /// Whose debt.
    pub account: AccountId,
    /// Their own address.
    pub address: String,
    /// The output script.
    pub destination: Vec<u8>,
    /// What their balance was debited.
    pub debit: Amount,
    /// What arrives.
    pub sent: Amount,
}

/// One account's part of a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPayoutRow {
    /// The payout.
    pub payout: PayoutSummary,
    /// The output script that it pays.
    pub destination: Vec<u8>,
    /// What the balance was debited.
    pub debit: Amount,
    /// What arrives.
    pub sent: Amount,
}

/// Of a payout `p` and its version in force `v`; by the index, which has the fee without the bytes before it.
const COLUMNS: &str =
    "p.id, p.asset, p.state, p.created_at, v.txid, v.fee, p.recipients, p.sent, p.changed_at";
const VERSION: &str =
    "LEFT JOIN payout_versions v INDEXED BY payout_versions_shown ON v.payout = p.id
    AND v.n = coalesce(p.confirmed_version,
      (SELECT max(n) FROM payout_versions INDEXED BY payout_versions_shown WHERE payout = p.id))";

impl Reader {
    /// Payouts, newest first; a position is a payout's number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn payout_summaries(&self, cut: Cut) -> Result<Vec<PayoutSummary>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM payouts p {VERSION} WHERE p.id < ? ORDER BY p.id DESC LIMIT ?"
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let rows = statement.query_map([cut.before(), cut.rows()], summary)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One payout.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn payout_summary(&self, id: PayoutId) -> Result<Option<PayoutSummary>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM payouts p {VERSION} WHERE p.id = ?");
        let mut statement = self.connection().prepare_cached(&sql)?;
        Ok(statement.query_row([int(id.0)?], summary).optional()?)
    }

    /// The payout that a transaction is a version of.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn payout_of_transaction(&self, txid: [u8; 32]) -> Result<Option<PayoutId>, StoreError> {
        let sql = "SELECT payout FROM payout_versions WHERE txid = ?";
        let found = self
            .connection()
            .prepare_cached(sql)?
            .query_row([txid.as_slice()], |row| uint(row, 0).map(PayoutId));
        Ok(found.optional()?)
    }

    /// The first coin that a transaction of a payout spends: its transaction's id, or its own name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn first_input(&self, txid: [u8; 32]) -> Result<Option<[u8; 32]>, StoreError> {
        let sql = "SELECT inputs FROM payout_versions WHERE txid = ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        let inputs = |row: &Row<'_>| row.get::<_, Json<Vec<([u8; 32], u32)>>>(0);
        let found = statement.query_row([txid.as_slice()], inputs).optional()?;
        Ok(found.and_then(|inputs| inputs.0.first().map(|(coin, _)| *coin)))
    }

    /// Payouts with their recipients, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn payouts(&self, limit: u64) -> Result<Vec<PayoutRow>, StoreError> {
        let all = self.payout_summaries(Cut::first(limit))?.into_iter();
        all.map(|payout| {
            let PayoutSummary { id, asset, state, txid, fee, created_at, .. } = payout;
            let parts = self.payout_parts(id, Cut::first(u64::MAX))?;
            Ok(PayoutRow { id, asset, state, txid, fee, created_at, parts })
        })
        .collect()
    }

    /// The recipients of a payout, by account; a position is an account's number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn payout_parts(&self, payout: PayoutId, cut: Cut) -> Result<Vec<PartRow>, StoreError> {
        let sql = "SELECT t.account, coalesce((SELECT display FROM identities i WHERE i.account = t.account LIMIT 1), ''),
                     t.destination, t.debit, t.sent FROM payout_parts t
                   WHERE t.payout = ? AND t.account > ? ORDER BY t.account LIMIT ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([int(payout.0)?, cut.after(), cut.rows()], |row| {
            Ok(PartRow {
                account: AccountId(uint(row, 0)?),
                address: row.get(1)?,
                destination: row.get(2)?,
                debit: row.get::<_, Money>(3)?.0,
                sent: row.get::<_, Money>(4)?.0,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The payouts of one account, newest first; a position is a payout's number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn payouts_of(
        &self,
        account: AccountId,
        cut: Cut,
    ) -> Result<Vec<AccountPayoutRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, t.debit, t.sent, t.destination FROM payout_parts t JOIN payouts p ON p.id = t.payout {VERSION}
             WHERE t.account = ? AND t.payout < ? ORDER BY t.payout DESC LIMIT ?"
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let rows = statement.query_map([int(account.0)?, cut.before(), cut.rows()], |row| {
            Ok(AccountPayoutRow {
                payout: summary(row)?,
                debit: row.get::<_, Money>(9)?.0,
                sent: row.get::<_, Money>(10)?.0,
                destination: row.get(11)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn summary(row: &Row<'_>) -> rusqlite::Result<PayoutSummary> {
    let txid: Option<[u8; 32]> = row.get(4)?;
    let fee: Option<Money> = row.get(5)?;
    Ok(PayoutSummary {
        id: PayoutId(uint(row, 0)?),
        asset: AssetId(row.get(1)?),
        state: row.get::<_, Text<_>>(2)?.0,
        created_at: UnixMs(uint(row, 3)?),
        txid: txid.map(RewardId),
        fee: fee.map_or(Amount::ZERO, |fee| fee.0),
        recipients: uint(row, 6)?,
        sent: row.get::<_, Money>(7)?.0,
        changed_at: UnixMs(uint(row, 8)?),
    })
}

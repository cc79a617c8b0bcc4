//! Lists for people: payouts with their recipients, rewards, accounts.
//!
//! Invariant: what is listed is what is on disk; nothing is estimated.

use super::reader::Reader;
use super::value::{Money, Text, int, uint};
use crate::StoreError;
use accounting::payout::PayoutState;
use accounting::reward::RewardState;
use accounting::{AccountId, Amount, AssetId, PayoutId, PoolId, RewardId, UnixMs};

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

/// A reward, without its split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardRow {
    /// Its block.
    pub id: RewardId,
    /// Its pool.
    pub pool: PoolId,
    /// Its height.
    pub height: u64,
    /// What it brought.
    pub amount: Amount,
    /// Where it stands.
    pub state: RewardState,
    /// When it was booked.
    pub created_at: UnixMs,
}

impl Reader {
    /// Payouts, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn payouts(&self, limit: u64) -> Result<Vec<PayoutRow>, StoreError> {
        let sql = "SELECT p.id, p.asset, p.state, p.created_at, v.txid, v.fee FROM payouts p
                   LEFT JOIN payout_versions v ON v.payout = p.id
                     AND v.n = coalesce(p.confirmed_version, (SELECT max(n) FROM payout_versions WHERE payout = p.id))
                   ORDER BY p.id DESC LIMIT ?";
        let mut statement = self.connection().prepare(sql)?;
        let rows = statement.query_map([int(limit)?], |row| {
            let txid: Option<[u8; 32]> = row.get(4)?;
            let fee: Option<Money> = row.get(5)?;
            Ok(PayoutRow {
                id: PayoutId(uint(row, 0)?),
                asset: AssetId(row.get(1)?),
                state: row.get::<_, Text<_>>(2)?.0,
                created_at: UnixMs(uint(row, 3)?),
                txid: txid.map(RewardId),
                fee: fee.map_or(Amount::ZERO, |fee| fee.0),
                parts: Vec::new(),
            })
        })?;
        let mut payouts = rows.collect::<Result<Vec<_>, _>>()?;
        for payout in &mut payouts {
            payout.parts = self.payout_parts(payout.id)?;
        }
        Ok(payouts)
    }

    fn payout_parts(&self, payout: PayoutId) -> Result<Vec<PartRow>, StoreError> {
        let sql = "SELECT t.account, coalesce((SELECT display FROM identities i WHERE i.account = t.account LIMIT 1), ''),
                     t.destination, t.debit, t.sent FROM payout_parts t WHERE t.payout = ? ORDER BY t.account";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([int(payout.0)?], |row| {
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

    /// Rewards, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn rewards(&self, limit: u64) -> Result<Vec<RewardRow>, StoreError> {
        let sql = "SELECT block, pool, height, to_pool, to_finder, state, created_at FROM rewards
                   ORDER BY created_at DESC, height DESC LIMIT ?";
        let mut statement = self.connection().prepare(sql)?;
        let rows = statement.query_map([int(limit)?], |row| {
            let (to_pool, to_finder) = (row.get::<_, Money>(3)?.0, row.get::<_, Money>(4)?.0);
            Ok(RewardRow {
                id: row.get::<_, Text<_>>(0)?.0,
                pool: PoolId(row.get(1)?),
                height: uint(row, 2)?,
                amount: to_pool.add(to_finder),
                state: row.get::<_, Text<_>>(5)?.0,
                created_at: UnixMs(uint(row, 6)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

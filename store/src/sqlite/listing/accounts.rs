//! Accounts and what they were credited.

use super::Cut;
use crate::StoreError;
use crate::sqlite::reader::Reader;
use crate::sqlite::value::{Money, Text, basis_points, int, paid_by, uint};
use accounting::commitment::PaidBy;
use accounting::ledger::Kind;
use accounting::reward::RewardState;
use accounting::{
    AccountId, Amount, AssetId, BasisPoints, Identity, IdentityKind, PoolId, RewardId, SliceNo,
    UnixMs,
};
use rusqlite::{OptionalExtension, params};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its number.
    pub id: AccountId,
    /// As its owner writes it.
    pub address: String,
    /// Since when it is known.
    pub since: UnixMs,
    /// Its own payout minimum, if it has one.
    pub minimum: Option<Amount>,
    /// Does it pay the members' fee?
    pub member: bool,
    /// Where its money goes, if not to its own address: as text, and from when on.
    pub destination: Option<(String, UnixMs)>,
}

/// What a credit is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreditSource {
    /// A part of a block.
    Block {
        /// Which.
        id: RewardId,
        /// Its height.
        height: u64,
        /// Where it stands.
        state: RewardState,
    },
    /// Shares that were bought.
    Slice {
        /// Which.
        no: SliceNo,
    },
}

/// Something an account was credited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditRow {
    /// For what.
    pub source: CreditSource,
    /// In which pool.
    pub pool: PoolId,
    /// The fee's rate.
    pub fee_bps: BasisPoints,
    /// What was credited, or paid by the block itself.
    pub net: Amount,
    /// By whom.
    pub paid_by: PaidBy,
    /// When.
    pub at: UnixMs,
    /// Its place: credits are listed from the newest on.
    pub position: u64,
}

/// A scope in which payouts are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// `all`, `asset/<id>` or `account/<id>`.
    pub scope: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: UnixMs,
}

impl Reader {
    /// The account of an identity.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn account_of(&self, who: &Identity) -> Result<Option<AccountId>, StoreError> {
        let sql = "SELECT account FROM identities WHERE kind = ? AND network = ? AND bytes = ?";
        let found = self
            .connection()
            .prepare_cached(sql)?
            .query_row(params![who.kind.as_str(), who.network, who.bytes], |row| {
                uint(row, 0).map(AccountId)
            });
        Ok(found.optional()?)
    }

    /// An account, by its number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn account(&self, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
        let sql = "SELECT a.created_at, coalesce((SELECT display FROM identities i WHERE i.account = a.id LIMIT 1), ''),
                     s.minimum, coalesce(s.member, 0), d.display, d.effective_from
                   FROM accounts a LEFT JOIN settings s ON s.account = a.id
                   LEFT JOIN destinations d ON d.account = a.id
                     AND d.no = (SELECT max(no) FROM destinations WHERE account = a.id)
                   WHERE a.id = ?";
        let found = self.connection().prepare_cached(sql)?.query_row([int(id.0)?], |row| {
            let destination: Option<String> = row.get(4)?;
            let from = row.get::<_, Option<i64>>(5)?.map_or(0, i64::unsigned_abs);
            Ok(AccountRow {
                id,
                since: UnixMs(uint(row, 0)?),
                address: row.get(1)?,
                minimum: row.get::<_, Option<Money>>(2)?.map(|money| money.0),
                member: row.get(3)?,
                destination: destination.map(|display| (display, UnixMs(from))),
            })
        });
        Ok(found.optional()?)
    }

    /// The identity of an account.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn identity_of(&self, id: AccountId) -> Result<Option<Identity>, StoreError> {
        let sql = "SELECT kind, network, bytes FROM identities WHERE account = ? LIMIT 1";
        let found = self.connection().prepare_cached(sql)?.query_row([int(id.0)?], |row| {
            Ok(Identity {
                kind: row.get::<_, Text<IdentityKind>>(0)?.0,
                network: row.get(1)?,
                bytes: row.get(2)?,
            })
        });
        Ok(found.optional()?)
    }

    /// What an account was credited for blocks, newest first; a position is a reward's place in the log.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn block_credits(
        &self,
        account: AccountId,
        cut: Cut,
    ) -> Result<Vec<CreditRow>, StoreError> {
        let column = self.paid_by_column();
        let sql = format!(
            "SELECT r.block, r.height, r.state, r.pool, s.fee_bps, s.net, r.created_at, r.window_end, {column}
             FROM split_rows s JOIN rewards r ON r.block = s.block
             WHERE s.account = ? AND s.window_end < ? ORDER BY s.window_end DESC LIMIT ?"
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let rows = statement.query_map([int(account.0)?, cut.before(), cut.rows()], |row| {
            Ok(CreditRow {
                source: CreditSource::Block {
                    id: row.get::<_, Text<_>>(0)?.0,
                    height: uint(row, 1)?,
                    state: row.get::<_, Text<_>>(2)?.0,
                },
                pool: PoolId(row.get(3)?),
                fee_bps: basis_points(row.get(4)?)?,
                net: row.get::<_, Money>(5)?.0,
                at: UnixMs(uint(row, 6)?),
                position: uint(row, 7)?,
                paid_by: paid_by(row.get(8)?)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What an account was paid for shares at once, newest first; a position is the slice's last place in the log.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn slice_credits_of(
        &self,
        account: AccountId,
        cut: Cut,
    ) -> Result<Vec<CreditRow>, StoreError> {
        let sql = "SELECT c.no, c.pool, c.fee_bps, c.net, s.closed_at, s.last
                   FROM slice_credits c JOIN slices s ON s.pool = c.pool AND s.no = c.no
                   WHERE c.account = ?1 AND c.pool = ?2 AND c.no <=
                     (SELECT no FROM slices WHERE pool = ?2 AND last < ?3 ORDER BY last DESC LIMIT 1)
                   ORDER BY c.no DESC LIMIT ?4";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut found = Vec::new();
        // Each pool's are read by its index, and put together here.
        for pool in self.pools()? {
            let values = params![int(account.0)?, pool.0, cut.before(), cut.rows()];
            let rows = statement.query_map(values, |row| {
                Ok(CreditRow {
                    source: CreditSource::Slice { no: SliceNo(uint(row, 0)?) },
                    pool: PoolId(row.get(1)?),
                    fee_bps: basis_points(row.get(2)?)?,
                    net: row.get::<_, Money>(3)?.0,
                    paid_by: PaidBy::Pool,
                    at: UnixMs(uint(row, 4)?),
                    position: uint(row, 5)?,
                })
            })?;
            found.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        found.sort_unstable_by_key(|credit| std::cmp::Reverse(credit.position));
        found.truncate(usize::try_from(cut.limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    fn pools(&self) -> Result<Vec<PoolId>, StoreError> {
        let mut statement = self.connection().prepare_cached("SELECT id FROM pools")?;
        let rows = statement.query_map([], |row| row.get(0).map(PoolId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What an account's debits hold besides payouts: credits of blocks that left the chain after they had matured, and
    /// payouts that were given back. Both are rare.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn undone(&self, asset: AssetId, account: AccountId) -> Result<Amount, StoreError> {
        let sql = "SELECT t.amount FROM sets s JOIN transfers t ON t.set_id = s.id
                   WHERE s.state = 'posted' AND s.asset = ?1 AND (
                     s.key > 'reversal/' AND s.key < 'reversal0' AND t.debit = ?2
                     OR s.key > 'payout_return/' AND s.key < 'payout_return0' AND t.credit = ?2)";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map((asset.0, Text(Kind::Account(account))), |row| {
            row.get::<_, Money>(0).map(|money| money.0)
        })?;
        let amounts: Vec<Amount> = rows.collect::<Result<_, _>>()?;
        Ok(amounts.into_iter().sum())
    }

    /// Every asset's number, name and decimals.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn assets(&self) -> Result<Vec<(AssetId, String, u8)>, StoreError> {
        let mut statement =
            self.connection().prepare_cached("SELECT id, name, decimals FROM assets")?;
        let rows =
            statement.query_map([], |row| Ok((AssetId(row.get(0)?), row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is held.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn holds(&self) -> Result<Vec<HoldRow>, StoreError> {
        let sql = "SELECT scope, reason, since FROM holds ORDER BY scope";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(HoldRow { scope: row.get(0)?, reason: row.get(1)?, since: UnixMs(uint(row, 2)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What operators did, newest first: number, when, who and what; a position is an act's number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn acts(&self, cut: Cut) -> Result<Vec<(u64, UnixMs, String, String)>, StoreError> {
        let sql = "SELECT no, at, who, what FROM acts WHERE no < ? ORDER BY no DESC LIMIT ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([cut.before(), cut.rows()], |row| {
            Ok((uint(row, 0)?, UnixMs(uint(row, 1)?), row.get(2)?, row.get(3)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

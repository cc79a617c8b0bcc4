//! Found blocks and their splits.

use super::Cut;
use crate::StoreError;
use crate::sqlite::load::split_row;
use crate::sqlite::reader::Reader;
use crate::sqlite::value::{Json, Money, Sum, Text, int, paid_by, uint};
use accounting::commitment::PaidBy;
use accounting::membership::Place;
use accounting::reward::RewardState;
use accounting::split::SplitRow;
use accounting::{AccountId, Amount, AssetId, PoolId, RewardId, Scheme, ShareSeq, UnixMs};
use rusqlite::{OptionalExtension, Row, params};

/// A reward, without its split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardRow {
    /// Its block, or the transaction of a payment.
    pub id: RewardId,
    /// Its pool.
    pub pool: PoolId,
    /// Its money.
    pub asset: AssetId,
    /// Its height.
    pub height: u64,
    /// Who found it.
    pub finder: AccountId,
    /// As the finder's owner writes it.
    pub finder_address: String,
    /// What it brought, the pool and miners.
    pub amount: Amount,
    /// What its coinbase paid miners itself.
    pub to_miners: Amount,
    /// The pool's fee of it; `None` where shares were bought.
    pub fees: Option<Amount>,
    /// Where it stands.
    pub state: RewardState,
    /// By which rule it was split.
    pub scheme: Scheme,
    /// The pool's work since its block before.
    pub round_work: u128,
    /// The work of the network's target.
    pub network_work: u128,
    /// Rows of its split.
    pub accounts: u64,
    /// Its place in the log.
    pub window_end: ShareSeq,
    /// When it was booked.
    pub created_at: UnixMs,
    /// When it last moved.
    pub changed_at: UnixMs,
    /// The block that it stands and falls with now, where it is none that was found but a payment that earlier ones earned.
    pub place: Option<Place>,
}

/// One account's part of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitPart {
    /// The row of the split.
    pub row: SplitRow,
    /// As the account's owner writes it.
    pub address: String,
    /// By whom.
    pub paid_by: PaidBy,
}

/// Which rewards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RewardFilter {
    /// All.
    #[default]
    All,
    /// One pool's.
    Pool(PoolId),
    /// What one account found.
    Finder(AccountId),
    /// At one height.
    Height(u64),
}

const COLUMNS: &str = "block, pool, asset, height, finder, to_pool, to_finder, fees, state, scheme, round_work, network_work,
    accounts, window_end, created_at, changed_at,
    coalesce((SELECT display FROM identities i WHERE i.account = finder LIMIT 1), '')";

impl Reader {
    fn columns(&self) -> String {
        format!("{COLUMNS}, {}", self.place_column())
    }

    /// Rewards, newest first; a position is a reward's place in the log.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn rewards_by(&self, which: RewardFilter, cut: Cut) -> Result<Vec<RewardRow>, StoreError> {
        // A text for each index.
        let (filter, value) = match which {
            RewardFilter::All => ("?1 = 0", 0),
            RewardFilter::Pool(pool) => ("pool = ?1", i64::from(pool.0)),
            RewardFilter::Finder(account) => ("finder = ?1", int(account.0)?),
            RewardFilter::Height(height) => ("height = ?1", int(height)?),
        };
        let sql = format!(
            "SELECT {} FROM rewards WHERE {filter} AND window_end < ?2 ORDER BY window_end DESC LIMIT ?3",
            self.columns()
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let rows = statement.query_map((value, cut.before(), cut.rows()), read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest rewards.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn rewards(&self, limit: u64) -> Result<Vec<RewardRow>, StoreError> {
        self.rewards_by(RewardFilter::All, Cut::first(limit))
    }

    /// The matured rewards of a pool whose blocks paid miners themselves, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn matured_by_block(&self, pool: PoolId) -> Result<Vec<RewardId>, StoreError> {
        if !self.knows_commitments() {
            return Ok(Vec::new());
        }
        let sql = "SELECT block FROM rewards WHERE pool = ? AND state = 'matured' AND by_block IS NOT NULL ORDER BY window_end";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([pool.0], |row| Ok(row.get::<_, Text<_>>(0)?.0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A reward as lists show it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn reward_row(&self, id: RewardId) -> Result<Option<RewardRow>, StoreError> {
        let sql = format!("SELECT {} FROM rewards WHERE block = ?", self.columns());
        Ok(self.connection().prepare_cached(&sql)?.query_row([Text(id)], read).optional()?)
    }

    /// The parts of a split by account, ascending; a position is an account's number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn split_parts(&self, id: RewardId, cut: Cut) -> Result<Vec<SplitPart>, StoreError> {
        let column = self.paid_by_column();
        let sql = format!(
            "SELECT account, weight, gross, fee_bps, fee, net,
               coalesce((SELECT display FROM identities i WHERE i.account = s.account LIMIT 1), ''), {column}
             FROM split_rows s WHERE block = ? AND account > ? ORDER BY account LIMIT ?"
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let rows = statement.query_map(params![Text(id), cut.after(), cut.rows()], |row| {
            Ok(SplitPart {
                row: split_row(row)?,
                address: row.get(6)?,
                paid_by: paid_by(row.get(7)?)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many blocks each account found that are not orphaned.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn blocks_by_finder(&self, pool: PoolId) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let sql = format!(
            "SELECT finder, count(*) FROM rewards WHERE pool = ? AND state <> 'orphaned' AND {} IS NULL GROUP BY finder",
            self.place_column()
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let rows =
            statement.query_map([pool.0], |row| Ok((AccountId(uint(row, 0)?), uint(row, 1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<RewardRow> {
    let (to_pool, to_miners) = (row.get::<_, Money>(5)?.0, row.get::<_, Money>(6)?.0);
    Ok(RewardRow {
        id: row.get::<_, Text<_>>(0)?.0,
        pool: PoolId(row.get(1)?),
        asset: AssetId(row.get(2)?),
        height: uint(row, 3)?,
        finder: AccountId(uint(row, 4)?),
        amount: to_pool.add(to_miners),
        to_miners,
        fees: row.get::<_, Option<Money>>(7)?.map(|fees| fees.0),
        state: row.get::<_, Text<_>>(8)?.0,
        scheme: row.get::<_, Json<_>>(9)?.0,
        round_work: row.get::<_, Sum>(10)?.0,
        network_work: row.get::<_, Sum>(11)?.0,
        accounts: uint(row, 12)?,
        window_end: ShareSeq(uint(row, 13)?),
        created_at: UnixMs(uint(row, 14)?),
        changed_at: UnixMs(uint(row, 15)?),
        finder_address: row.get(16)?,
        place: row.get::<_, Option<Json<_>>>(17)?.map(|place| place.0),
    })
}

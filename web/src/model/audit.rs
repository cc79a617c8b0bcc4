//! What it takes to recompute a split: the frozen window, the slices it was made of, and where the chain shows the block.
//!
//! Invariant: what is served here is what was stored, and it reads back to the same values: a stranger's recomputation works
//! on the very numbers that the pool's did.

use super::Rows;
use crate::outlook::Outlook;
use accounting::reward::Reward;
use accounting::slice::{Slice as SealedSlice, SliceRow, Tally};
use accounting::split::{Split, SplitRow};
use accounting::window::{SourcedSlice, WindowTable};
use accounting::{
    AccountId, Amount, AssetId, BasisPoints, PoolId, RateId, RewardId, Scheme, ShareSeq, SliceNo,
};
use serde::{Deserialize, Serialize};
use store::sqlite::Cut;
use store::{Reader, StoreError};
use utoipa::ToSchema;

/// A reward with everything its split follows from. Work is in expected hashes, as decimal text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// The block's hash.
    pub block: String,
    /// Its height.
    pub height: u64,
    /// The pool's number.
    pub pool: u32,
    /// Its name.
    pub pool_name: String,
    /// The asset's number.
    pub asset: u16,
    /// Its network, such as `bitcoin/main`.
    pub network: String,
    /// The finder's account.
    pub finder: u64,
    /// `immature`, `matured` or `orphaned`.
    pub state: String,
    /// What the coinbase pays to the pool, in smallest units.
    pub to_pool: String,
    /// What it pays the finder itself.
    pub to_finder: String,
    /// The last place in the log that counts.
    pub window_end: u64,
    /// The place up to which revocations count.
    pub as_of: u64,
    /// The rule, with its parameters.
    #[schema(value_type = Object)]
    pub scheme: Scheme,
    /// The work of a block, of which the window's length is a multiple.
    pub network_work: String,
    /// The slices that may have ended the round before; needed under PROP.
    pub cuts: Vec<u64>,
    /// The frozen window; null where no window is paid.
    pub window: Option<WindowFrozen>,
    /// Each account's part; null under PPS and FPPS.
    pub split: Option<Vec<SplitFrozen>>,
}

/// The window as it was frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowFrozen {
    /// The oldest slice.
    pub from: u64,
    /// The newest.
    pub through: u64,
    /// The part of the oldest that counts, of `oldest_whole`.
    pub oldest_part: String,
    /// All of the oldest, in work or in shares.
    pub oldest_whole: String,
    /// The hash of all this and its rows.
    pub hash: String,
    /// Work by account, ascending by account.
    pub rows: Vec<WorkOf>,
}

/// An account's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkOf {
    /// The account's number.
    pub account: u64,
    /// Its work.
    pub work: String,
}

/// Shares of an account in a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SharesOf {
    /// The account's number.
    pub account: u64,
    /// The rate at which they were bought; 0 where none are.
    pub rate: u64,
    /// Their work.
    pub work: String,
    /// How many.
    pub shares: u64,
}

/// One account's part as it was frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SplitFrozen {
    /// The account's number; its owner's page shows it.
    pub account: u64,
    /// Its work.
    pub work: String,
    /// Before the fee, in smallest units.
    pub gross: String,
    /// The fee's rate, in basis points.
    pub fee_bps: u16,
    /// The fee.
    pub fee: String,
    /// What is credited.
    pub net: String,
}

/// A closed slice of a pool's share log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Slice {
    /// Its number, from 1.
    pub no: u64,
    /// The first place in the log that it covers.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Hash over its contents and the hash of the slice before.
    pub hash: String,
    /// Ascending by account and rate.
    pub rows: Vec<SharesOf>,
    /// What was revoked of it by then; without rates.
    pub revoked: Vec<SharesOf>,
}

/// What cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pool's answer makes no sense: {0}")]
pub struct Unreadable(pub &'static str);

/// Everything about a reward's split.
///
/// # Errors
/// When it cannot be read.
pub fn of(reader: &Reader, outlook: &Outlook, id: RewardId) -> Result<Option<Audit>, StoreError> {
    let Some((reward, state)) = reader.reward(id)? else { return Ok(None) };
    let cuts = reader.cuts_before(&reward)?;
    let asset = outlook.asset(reward.asset);
    Ok(Some(Audit {
        block: reward.id.to_string(),
        height: reward.height,
        pool: reward.pool.0,
        pool_name: outlook.pool(reward.pool).map_or_else(String::new, |pool| pool.name.clone()),
        asset: reward.asset.0,
        network: asset.map_or_else(String::new, |asset| asset.network.clone()),
        finder: reward.finder.0,
        state: state.as_str().to_owned(),
        to_pool: reward.to_pool.to_string(),
        to_finder: reward.to_finder.to_string(),
        window_end: reward.window_end.0,
        as_of: reward.as_of.0,
        scheme: reward.scheme,
        network_work: reward.network_work.to_string(),
        cuts: cuts.into_iter().map(|cut| cut.0).collect(),
        window: reward.window.as_ref().map(frozen_window),
        split: reward.split.as_ref().map(|split| split.rows.iter().map(frozen_part).collect()),
    }))
}

fn frozen_window(window: &WindowTable) -> WindowFrozen {
    WindowFrozen {
        from: window.from.0,
        through: window.through.0,
        oldest_part: window.oldest_part.0.to_string(),
        oldest_whole: window.oldest_part.1.to_string(),
        hash: hex(&window.hash()),
        rows: window
            .rows
            .iter()
            .map(|(account, work)| WorkOf { account: account.0, work: work.to_string() })
            .collect(),
    }
}

fn frozen_part(row: &SplitRow) -> SplitFrozen {
    SplitFrozen {
        account: row.account.0,
        work: row.weight.to_string(),
        gross: row.gross.to_string(),
        fee_bps: row.fee_bps.points(),
        fee: row.fee.to_string(),
        net: row.net.to_string(),
    }
}

/// A page of slices ends once they have so many rows: a slice can have one for every account.
const SLICE_ROWS: usize = 5000;

/// A pool's slices as they stood at a place of the log, newest first; a position is a slice's number.
///
/// # Errors
/// When they cannot be read.
pub fn slices(
    reader: &Reader,
    pool: PoolId,
    as_of: ShareSeq,
    cut: Cut,
) -> Result<Rows<Slice>, StoreError> {
    let (found, more) = reader.slices_before(pool, as_of, cut, SLICE_ROWS)?;
    let next = found.last().filter(|_| more).map(|last| last.slice.no.to_string());
    Ok(Rows { rows: found.into_iter().map(served_slice).collect(), next })
}

fn served_slice(SourcedSlice { slice, revoked }: SourcedSlice) -> Slice {
    let shares = |account: AccountId, rate: RateId, tally: Tally| SharesOf {
        account: account.0,
        rate: rate.0,
        work: tally.weight.to_string(),
        shares: tally.shares,
    };
    Slice {
        no: slice.no.0,
        first: slice.first.0,
        last: slice.last.0,
        hash: hex(&slice.hash),
        rows: slice.rows.iter().map(|r| shares(r.account, r.rate, r.tally)).collect(),
        revoked: revoked.iter().map(|(who, tally)| shares(*who, RateId(0), *tally)).collect(),
    }
}

impl Audit {
    /// The reward, as the pool's own audit has it.
    ///
    /// # Errors
    /// When a number or a name is none.
    pub fn reward(&self) -> Result<Reward, Unreadable> {
        let window = self.window.as_ref().map(WindowFrozen::table).transpose()?;
        let (to_pool, to_finder) = (amount(&self.to_pool)?, amount(&self.to_finder)?);
        let rows = self.split.as_ref().map(|rows| rows.iter().map(SplitFrozen::row).collect());
        let rows: Option<Vec<SplitRow>> = rows.transpose()?;
        let split = rows.map(|rows| Split {
            amount: to_pool.add(to_finder),
            fees: rows.iter().map(|row| row.fee).sum(),
            rows,
        });
        Ok(Reward {
            id: self.block.parse().map_err(|_| Unreadable("the block's hash"))?,
            pool: PoolId(self.pool),
            asset: AssetId(self.asset),
            height: self.height,
            finder: AccountId(self.finder),
            to_pool,
            to_finder,
            window_end: ShareSeq(self.window_end),
            as_of: ShareSeq(self.as_of),
            scheme: self.scheme,
            network_work: work(&self.network_work)?,
            window,
            split,
        })
    }
}

impl WindowFrozen {
    fn table(&self) -> Result<WindowTable, Unreadable> {
        let row = |of: &WorkOf| Ok((AccountId(of.account), work(&of.work)?));
        Ok(WindowTable {
            through: SliceNo(self.through),
            from: SliceNo(self.from),
            oldest_part: (work(&self.oldest_part)?, work(&self.oldest_whole)?),
            rows: self.rows.iter().map(row).collect::<Result<_, _>>()?,
        })
    }
}

impl SplitFrozen {
    fn row(&self) -> Result<SplitRow, Unreadable> {
        Ok(SplitRow {
            account: AccountId(self.account),
            weight: work(&self.work)?,
            gross: amount(&self.gross)?,
            fee_bps: BasisPoints::new(self.fee_bps).map_err(|_| Unreadable("a fee"))?,
            fee: amount(&self.fee)?,
            net: amount(&self.net)?,
        })
    }
}

impl Slice {
    /// The slice, as the pool's own audit has it.
    ///
    /// # Errors
    /// When a number is none.
    pub fn sourced(&self, pool: PoolId) -> Result<SourcedSlice, Unreadable> {
        let row = |of: &SharesOf| {
            let (account, tally) = of.tally()?;
            Ok(SliceRow { account, rate: RateId(of.rate), tally })
        };
        let rows: Vec<SliceRow> = self.rows.iter().map(row).collect::<Result<_, _>>()?;
        let mut total = Tally::default();
        rows.iter().for_each(|row| total.add(row.tally));
        Ok(SourcedSlice {
            slice: SealedSlice {
                pool,
                no: SliceNo(self.no),
                first: ShareSeq(self.first),
                last: ShareSeq(self.last),
                rows,
                total,
                hash: from_hex(&self.hash)?,
            },
            revoked: self.revoked.iter().map(SharesOf::tally).collect::<Result<_, _>>()?,
        })
    }
}

impl SharesOf {
    fn tally(&self) -> Result<(AccountId, Tally), Unreadable> {
        let tally = Tally { weight: work(&self.work)?, shares: self.shares };
        Ok((AccountId(self.account), tally))
    }
}

fn amount(text: &str) -> Result<Amount, Unreadable> {
    text.parse::<i128>().map(Amount::from_units).map_err(|_| Unreadable("an amount"))
}

fn work(text: &str) -> Result<u128, Unreadable> {
    text.parse().map_err(|_| Unreadable("a sum of work"))
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Result<[u8; 32], Unreadable> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(Unreadable("a hash"));
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        let pair = text.get(2 * at..2 * at + 2).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).map_err(|_| Unreadable("a hash"))?;
    }
    Ok(bytes)
}

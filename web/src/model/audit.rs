//! What it takes to recompute a split: the frozen window, the rule, and where the chain shows the block. The slices that the
//! window was made of are in [`super::slices`].
//!
//! Invariant: what is served here is what was stored, and it reads back to the same values: a stranger's recomputation works
//! on the very numbers that the pool's did.

use super::exact::{Units, Work};
use accounting::budget::Budget;
use accounting::commitment::ByBlock;
use accounting::membership::{Membership, Place};
use accounting::reward::Reward;
use accounting::split::{Split, SplitRow};
use accounting::union::{Beside, Part, Shared};
use accounting::window::WindowTable;
use accounting::{
    AccountId, Amount, AssetId, BasisPoints, PoolId, RewardId, Scheme, ShareSeq, SliceNo,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// The asset's number.
    pub asset: u16,
    /// The finder's account.
    pub finder: u64,
    /// `immature`, `matured` or `orphaned`.
    pub state: String,
    /// How often the block has left the chain and come back.
    pub returns: u32,
    /// What the coinbase pays to the pool, in smallest units.
    pub to_pool: Units,
    /// What it pays miners itself: the finder, or those in `by_block`.
    #[serde(alias = "to_finder")]
    pub to_miners: Units,
    /// The last place in the log that counts; with `by_block`, the last that could.
    pub window_end: u64,
    /// The place up to which revocations count; with `by_block`, where the log was when the work was handed out.
    pub as_of: u64,
    /// The rule, with its parameters.
    #[schema(value_type = Object)]
    pub scheme: Scheme,
    /// The work of a block, of which the window's length is a multiple.
    pub network_work: Work,
    /// The frozen window; null where no window is paid.
    pub window: Option<WindowFrozen>,
    /// The pool's part of the block, where pools share their blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// The other pools that it pays too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<BesideFrozen>,
    /// Whom the block pays their part itself, where its coinbase committed to the split: accounts and output scripts, and the rule and
    /// the cost of the tree that one of its outputs pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub by_block: Option<ByBlock>,
    /// What was divided, where it is an epoch's budget; `to_pool` is what of it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub budget: Option<Budget>,
    /// What a coordination-free pool has to do with it: of a block, the rule and what went elsewhere; of a payment, which blocks earned
    /// how much of it. A payment's `block` is its transaction, its `height` that of the block that pays it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub member: Option<Membership>,
    /// The block of the chain that has a payment now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub place: Option<Place>,
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
    pub oldest_part: Work,
    /// All of the oldest, in work or in shares.
    pub oldest_whole: Work,
    /// The hash of all this and its rows.
    pub hash: String,
    /// Work by account, ascending by account.
    pub rows: Vec<WorkOf>,
}

/// A pool that shares the block, with its window as it was frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BesideFrozen {
    /// The pool's number.
    pub pool: u32,
    /// Its part.
    pub part: u32,
    /// Its rule, with its parameters.
    #[schema(value_type = Object)]
    pub scheme: Scheme,
    /// The work of a block by its hash.
    pub network_work: Work,
    /// Its window.
    pub window: WindowFrozen,
}

/// An account's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkOf {
    /// The account's number.
    pub account: u64,
    /// Its work.
    pub work: Work,
}

/// One account's part as it was frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SplitFrozen {
    /// The account's number; its owner's page shows it.
    pub account: u64,
    /// Its work, where that is not its work in the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// The fee's rate, in basis points.
    pub fee_bps: u16,
    /// The fee.
    pub fee: Units,
    /// What is credited; with the fee, its whole part.
    pub net: Units,
}

/// What cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pool's answer makes no sense: {0}")]
pub struct Unreadable(pub &'static str);

/// Everything about a reward's split, and nothing that can change but its standing: its round, under PROP, begins where the
/// pool's block before ended.
///
/// # Errors
/// When it cannot be read.
pub fn of(reader: &Reader, id: RewardId) -> Result<Option<Audit>, StoreError> {
    let Some((reward, state)) = reader.reward(id)? else { return Ok(None) };
    Ok(Some(Audit {
        block: reward.id.to_string(),
        height: reward.height,
        pool: reward.pool.0,
        asset: reward.asset.0,
        finder: reward.finder.0,
        state: state.as_str().to_owned(),
        returns: reader.returns(id)?,
        to_pool: Units(reward.to_pool.units()),
        to_miners: Units(reward.to_miners.units()),
        window_end: reward.window_end.0,
        as_of: reward.as_of.0,
        scheme: reward.scheme,
        network_work: Work(reward.network_work),
        window: reward.window.as_ref().map(frozen_window),
        part: reward.shared.as_ref().map(|shared| shared.part.get()),
        beside: reward.shared.iter().flat_map(|shared| &shared.beside).map(frozen_beside).collect(),
        by_block: reward.by_block.clone(),
        budget: reward.budget.clone(),
        member: reward.member.clone(),
        place: reader.place(id)?,
        split: reward.split.as_ref().map(|split| frozen_parts(split, reward.window.as_ref())),
    }))
}

fn frozen_window(window: &WindowTable) -> WindowFrozen {
    WindowFrozen {
        from: window.from.0,
        through: window.through.0,
        oldest_part: Work(window.oldest_part.0),
        oldest_whole: Work(window.oldest_part.1),
        hash: hex(&window.hash()),
        rows: window
            .rows
            .iter()
            .map(|(account, work)| WorkOf { account: account.0, work: Work(*work) })
            .collect(),
    }
}

fn frozen_beside(beside: &Beside) -> BesideFrozen {
    BesideFrozen {
        pool: beside.pool.0,
        part: beside.part.get(),
        scheme: beside.scheme,
        network_work: Work(beside.network_work),
        window: frozen_window(&beside.window),
    }
}

/// The parts, ascending by account as the window's rows are.
fn frozen_parts(split: &Split, window: Option<&WindowTable>) -> Vec<SplitFrozen> {
    let mut rows =
        window.map(|window| window.rows.as_slice()).unwrap_or_default().iter().peekable();
    let parts = split.rows.iter().map(|row| {
        while rows.next_if(|(account, _)| *account < row.account).is_some() {}
        let in_window = rows.peek().is_some_and(|known| **known == (row.account, row.weight));
        SplitFrozen {
            account: row.account.0,
            work: (!in_window).then_some(Work(row.weight)),
            fee_bps: row.fee_bps.points(),
            fee: Units(row.fee.units()),
            net: Units(row.net.units()),
        }
    });
    parts.collect()
}

impl Audit {
    /// The reward, as the pool's own audit has it.
    ///
    /// # Errors
    /// When a number or a name is none.
    pub fn reward(&self) -> Result<Reward, Unreadable> {
        let window = self.window.as_ref().map(WindowFrozen::table).transpose()?;
        let (to_pool, to_miners) = (amount(self.to_pool), amount(self.to_miners));
        let known: BTreeMap<AccountId, u128> =
            window.iter().flat_map(|window| window.rows.iter().copied()).collect();
        let row = |of: &SplitFrozen| of.row(&known);
        let rows = self.split.as_ref().map(|rows| rows.iter().map(row).collect());
        let rows: Option<Vec<SplitRow>> = rows.transpose()?;
        let split = rows.map(|rows| Split {
            amount: to_pool.add(to_miners),
            fees: rows.iter().map(|row| row.fee).sum(),
            rows,
        });
        Ok(Reward {
            id: self.block.parse().map_err(|_| Unreadable("the block's hash"))?,
            pool: PoolId(self.pool),
            asset: AssetId(self.asset),
            height: place(self.height)?,
            finder: AccountId(self.finder),
            to_pool,
            to_miners,
            window_end: ShareSeq(place(self.window_end)?),
            as_of: ShareSeq(place(self.as_of)?),
            scheme: self.scheme,
            network_work: self.network_work.0,
            window,
            shared: self.shared()?,
            by_block: self.by_block.clone(),
            budget: self.budget.clone(),
            member: self.member.clone(),
            split,
        })
    }
}

impl Audit {
    fn shared(&self) -> Result<Option<Shared>, Unreadable> {
        let part = |part: u32| Part::new(part).ok_or(Unreadable("a part"));
        let Some(own) = self.part else { return Ok(None) };
        let beside = |of: &BesideFrozen| {
            Ok(Beside {
                pool: PoolId(of.pool),
                part: part(of.part)?,
                scheme: of.scheme,
                network_work: of.network_work.0,
                window: of.window.table()?,
            })
        };
        let beside = self.beside.iter().map(beside).collect::<Result<_, _>>()?;
        Ok(Some(Shared { part: part(own)?, beside }))
    }
}

impl WindowFrozen {
    fn table(&self) -> Result<WindowTable, Unreadable> {
        let row = |of: &WorkOf| (AccountId(of.account), of.work.0);
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        if !rows.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(Unreadable("a window whose accounts are not in order"));
        }
        Ok(WindowTable {
            through: SliceNo(place(self.through)?),
            from: SliceNo(place(self.from)?),
            oldest_part: (self.oldest_part.0, self.oldest_whole.0),
            rows,
        })
    }
}

impl SplitFrozen {
    fn row(&self, in_window: &BTreeMap<AccountId, u128>) -> Result<SplitRow, Unreadable> {
        let account = AccountId(self.account);
        let weight = match &self.work {
            Some(work) => work.0,
            None => *in_window.get(&account).ok_or(Unreadable("a part without work"))?,
        };
        let (fee, net) = (amount(self.fee), amount(self.net));
        Ok(SplitRow {
            account,
            weight,
            gross: net.add(fee),
            fee_bps: BasisPoints::new(self.fee_bps).map_err(|_| Unreadable("a fee"))?,
            fee,
            net,
        })
    }
}

/// A place, a number of a slice or a height: none is beyond what JSON's numbers hold.
pub(super) fn place(number: u64) -> Result<u64, Unreadable> {
    if number < 1 << 53 { Ok(number) } else { Err(Unreadable("a number beyond any log")) }
}

pub(super) const fn amount(units: Units) -> Amount {
    Amount::from_units(units.0)
}

/// Bytes as they are served.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hex(text: &str) -> Result<[u8; 32], Unreadable> {
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

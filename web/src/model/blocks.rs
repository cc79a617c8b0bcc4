//! Blocks that the pool found, and how each was split.

use super::{Iso, Money, Rows, masked, one_more};
use crate::outlook::Outlook;
use accounting::commitment::PaidBy;
use accounting::membership::Earned;
use accounting::reward::RewardState;
use accounting::{AccountId, RewardId, Scheme};
use serde::{Deserialize, Serialize};
use store::sqlite::{Cut, RewardFilter, RewardRow, SplitPart};
use store::{Reader, StoreError};
use utoipa::ToSchema;

/// A block, or a payment of a coordination-free pool that earlier blocks earned, in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Block {
    /// Its hash, as explorers print it; of a payment, the hash of its transaction.
    pub hash: String,
    /// Its height; of a payment, that of the block that pays it.
    pub height: u64,
    /// The pool that found it.
    pub pool: String,
    /// Its money.
    pub asset: String,
    /// Who found it, masked.
    pub finder: String,
    /// All that its coinbase paid, to the pool and to miners.
    pub reward: Money,
    /// What of it the coinbase paid to miners itself.
    pub to_miners: Money,
    /// What the pool keeps of it; null where shares were bought.
    pub fees: Option<Money>,
    /// `immature`, `matured` or `orphaned`.
    pub state: String,
    /// Itself and the blocks on top of it, while it is in the chain and the height is known.
    pub confirmations: Option<u64>,
    /// Confirmations after which it can be paid out.
    pub mature_after: u32,
    /// Work of the pool since its block before, by the work that a block needs on average: 1 is as expected, less is
    /// lucky.
    pub effort: f64,
    /// The network's difficulty that it met.
    pub difficulty: f64,
    /// By which rule it is split.
    pub scheme: String,
    /// How many accounts share it.
    pub accounts: u64,
    /// When it was booked.
    pub found_at: Iso,
    /// What there is to say of a payment; null where it is a block that the pool found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
}

/// What another block paid the pool, by a coordination-free pool's rule, for blocks that the pool had found before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// The block of the chain that has its transaction.
    pub in_block: String,
    /// That block's height.
    pub in_height: u64,
    /// The block that pays it; only where one block is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The pool's blocks that earned it, oldest first; only where one block is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earned: Vec<EarnedPart>,
}

/// What a block of the pool's earned of a payment: it is split as that block was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EarnedPart {
    /// The block's hash.
    pub block: String,
    /// Its part of the payment.
    pub amount: Money,
}

/// One account's part of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// The account's number.
    pub account: u64,
    /// The address, masked unless its owner made it public.
    pub address: String,
    /// Its work in the window, in expected hashes; decimal, because it can be beyond 64 bits.
    pub work: String,
    /// Its part of the whole.
    pub fraction: f64,
    /// Before the fee.
    pub gross: Money,
    /// The fee's rate, in percent.
    pub fee_percent: f64,
    /// The fee.
    pub fee: Money,
    /// What is credited, or paid by the block itself.
    pub net: Money,
    /// `pool`, which owes it; `output` of the block itself; or its `tree`.
    #[schema(value_type = String)]
    pub paid_by: PaidBy,
}

/// Blocks, newest first.
///
/// # Errors
/// When they cannot be read.
pub fn list(
    reader: &Reader,
    outlook: &Outlook,
    which: RewardFilter,
    cut: Cut,
) -> Result<Rows<Block>, StoreError> {
    let found = reader.rewards_by(which, one_more(cut))?;
    Ok(Rows::of(found, cut, |row| row.window_end.0, |row| block(row, outlook)))
}

/// One block, by its hash.
///
/// # Errors
/// When it cannot be read.
pub fn find(reader: &Reader, outlook: &Outlook, id: RewardId) -> Result<Option<Block>, StoreError> {
    let Some(row) = reader.reward_row(id)? else { return Ok(None) };
    let (is_payment, decimals) = (row.place.is_some(), decimals_of(outlook, &row));
    let mut found = block(row, outlook);
    let whole = if is_payment { reader.reward(id)? } else { None };
    let own = whole.as_ref().and_then(|(reward, _)| reward.payment());
    if let (Some(payment), Some(own)) = (&mut found.payment, own) {
        payment.by = Some(own.by.to_string());
        let part = |earned: &Earned| EarnedPart {
            block: earned.block.to_string(),
            amount: Money::new(earned.amount, decimals),
        };
        payment.earned = own.earned.iter().map(part).collect();
    }
    Ok(Some(found))
}

/// The parts of a block's split, by account.
///
/// # Errors
/// When they cannot be read.
pub fn parts(
    reader: &Reader,
    outlook: &Outlook,
    id: RewardId,
    cut: Cut,
    is_public: impl Fn(AccountId) -> bool,
) -> Result<Option<Rows<Part>>, StoreError> {
    let Some(reward) = reader.reward_row(id)? else { return Ok(None) };
    let decimals = decimals_of(outlook, &reward);
    let found = reader.split_parts(id, one_more(cut))?;
    let whole = reward.amount.units() as f64;
    let part = |SplitPart { row, address, paid_by }: SplitPart| Part {
        account: row.account.0,
        address: if is_public(row.account) { address } else { masked(&address) },
        work: row.weight.to_string(),
        fraction: if whole > 0.0 { row.gross.units() as f64 / whole } else { 0.0 },
        gross: Money::new(row.gross, decimals),
        fee_percent: f64::from(row.fee_bps.points()) / 100.0,
        fee: Money::new(row.fee, decimals),
        net: Money::new(row.net, decimals),
        paid_by,
    };
    Ok(Some(Rows::of(found, cut, |part| part.row.account.0, part)))
}

fn decimals_of(outlook: &Outlook, reward: &RewardRow) -> u8 {
    outlook.asset(reward.asset).map_or(8, |asset| asset.decimals)
}

fn block(row: RewardRow, outlook: &Outlook) -> Block {
    let about = outlook.asset(row.asset);
    let decimals = decimals_of(outlook, &row);
    let next = about.and_then(|asset| asset.next).map(|next| next.height);
    let height = row.place.map_or(row.height, |place| place.height);
    let confirmations = next.map(|next| next.saturating_sub(height));
    let (work, network) = (row.round_work as f64, row.network_work as f64);
    Block {
        hash: row.id.to_string(),
        height: row.height,
        pool: outlook.pool(row.pool).map_or_else(|| row.pool.to_string(), |p| p.name.clone()),
        asset: about.map_or_else(|| row.asset.to_string(), |asset| asset.symbol.clone()),
        finder: masked(&row.finder_address),
        reward: Money::new(row.amount, decimals),
        to_miners: Money::new(row.to_miners, decimals),
        fees: row.fees.map(|fees| Money::new(fees, decimals)),
        state: row.state.as_str().to_owned(),
        confirmations: confirmations.filter(|_| row.state != RewardState::Orphaned),
        mature_after: about.map_or(0, |asset| asset.mature_after),
        effort: if network > 0.0 { work / network } else { 0.0 },
        difficulty: about.map_or(0.0, |asset| network / asset.difficulty_one),
        scheme: scheme_name(row.scheme).to_owned(),
        accounts: row.accounts,
        found_at: Iso(row.created_at),
        payment: row.place.map(|place| Payment {
            in_block: place.block.to_string(),
            in_height: place.height,
            by: None,
            earned: Vec::new(),
        }),
    }
}

/// A scheme's short name.
#[must_use]
pub const fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Solo { .. } => "SOLO",
        Scheme::Prop => "PROP",
        Scheme::Pplns(_) => "PPLNS",
        Scheme::Tides => "TIDES",
        Scheme::Pps => "PPS",
        Scheme::Fpps => "FPPS",
        Scheme::Budget { .. } => "BUDGET",
    }
}

//! Pools as their miners see them.

use super::leased::{self, LeasedPool};
use super::{Iso, Money, blocks, masked};
use crate::history::{History, PoolTrack};
use crate::measure::Measure;
use crate::outlook::{AssetOutlook, Outlook, PoolOutlook, PortOutlook};
use crate::rates::SPAN_NAMES;
use accounting::fee::Standing;
use accounting::rule::RuleSince;
use accounting::{AccountId, BasisPoints, PoolId, Scheme};
use pool::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A pool now.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct Pool {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its asset's name in the configuration.
    pub asset: String,
    /// Its money's unit.
    pub symbol: String,
    /// The proof of work.
    pub algorithm: String,
    /// The rule by which income becomes credit.
    pub scheme: String,
    /// The same in words.
    pub scheme_in_words: String,
    /// Its part of each block, whichever pool of its union found it; 1 where its blocks are its own.
    pub block_part: f64,
    /// What it keeps, in percent, from a pool of this size.
    pub fee_percent: f64,
    /// Lower fees as the pool grows: from so many accounts on.
    pub fee_tiers: Vec<FeeTier>,
    /// What members pay less, in percent.
    pub member_discount_percent: f64,
    /// What those pay less who do much of the work: the highest step reached counts.
    pub volume_discounts: Vec<VolumeDiscount>,
    /// All of that in words.
    pub fee_in_words: String,
    /// What its rates count.
    pub measure: Measure,
    /// Hashes a second over the last quarter of an hour, or points a second over the last day; see `measure`.
    pub hashrate: f64,
    /// The same over spans from one minute to seven days.
    pub hashrates: BTreeMap<String, f64>,
    /// Accepted shares a second.
    pub shares_per_second: f64,
    /// Machines that had a share in the last ten minutes.
    pub workers: u32,
    /// Accounts that had.
    pub miners: u32,
    /// Accepted shares of the machines that are known.
    pub shares: u64,
    /// Refused ones, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Part of all shares that was accepted.
    pub acceptance: Option<f64>,
    /// Work since the last block, by the work that a block needs on average.
    pub effort: f64,
    /// Seconds until a block is found, on average, at this hashrate.
    pub seconds_per_block: Option<f64>,
    /// Accounts with work in the window.
    pub accounts_in_window: usize,
    /// Least amount that is sent.
    pub minimum_payout: Money,
    /// When the next payout run is due.
    pub next_payout_run: Iso,
    /// Where it listens.
    pub ports: Vec<Port>,
    /// What only a pool of leased compute has; not there in others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased: Option<LeasedPool>,
    /// The pot beside it for income that is one account's own, whole and without a fee; not there in pools that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunds: Option<Refunds>,
    /// What it promised about splits, oldest first: the scheme, the fee in basis points and the part of a union's blocks, each
    /// for blocks found after the place `since` in the log and for slices after `after_slice`.
    #[schema(value_type = Vec<Object>)]
    pub rules: Vec<RuleSince>,
    /// Confirmations after which a block's parts can be paid out.
    pub mature_after: u32,
    /// Confirmations of another block at its height after which a block counts as orphaned.
    pub orphan_after: u32,
}

impl Pool {
    /// The pot beside it, as a pool.
    #[must_use]
    pub fn pot(&self) -> Option<Self> {
        let Refunds { id, name, rules } = self.refunds.clone()?;
        Some(Pool {
            id,
            name,
            rules,
            scheme: blocks::scheme_name(Scheme::Solo { custodial: true }).to_owned(),
            fee_percent: 0.0,
            fee_tiers: Vec::new(),
            volume_discounts: Vec::new(),
            refunds: None,
            ..self.clone()
        })
    }
}

/// A pot beside a pool: each reward in it is the finder's own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct Refunds {
    /// Its number: blocks and slices are asked for by it as by a pool's.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What it promised, as of a pool.
    #[schema(value_type = Vec<Object>)]
    pub rules: Vec<RuleSince>,
}

/// A fee from so many accounts on.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct FeeTier {
    /// Accounts with work in the window.
    pub accounts: u64,
    /// The fee, in percent.
    pub fee_percent: f64,
}

/// A lower fee for who does so much of the work.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct VolumeDiscount {
    /// From this part of the window's work on, in percent.
    pub part_percent: f64,
    /// Taken off the fee, in percent.
    pub discount_percent: f64,
}

/// A listening port.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct Port {
    /// The number.
    pub port: u16,
    /// Is TLS spoken on the same port?
    pub tls: bool,
    /// Where a connection's difficulty starts.
    pub start_difficulty: f64,
    /// The easiest.
    pub min_difficulty: f64,
    /// The hardest.
    pub max_difficulty: f64,
    /// Seconds between a connection's shares that are aimed at.
    pub share_interval_s: f64,
}

/// A place in a leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Leader {
    /// From 1.
    pub rank: usize,
    /// Masked unless its owner made it public.
    pub address: String,
    /// The name its owner gave it, if public.
    pub name: Option<String>,
    /// Is the address shown whole?
    pub is_public: bool,
    /// Hashes a second, or points a second.
    pub hashrate: f64,
    /// Accepted shares.
    pub shares: u64,
    /// Blocks found.
    pub blocks: u64,
    /// Difficulty of its best share.
    pub best: f64,
    /// Machines mining.
    pub workers: u32,
}

/// All pools.
#[must_use]
pub fn all(outlook: &Outlook, view: &View, history: &History) -> Vec<Pool> {
    outlook.pools.iter().filter_map(|pool| one(outlook, view, history, pool)).collect()
}

/// A pool by its number or its name.
#[must_use]
pub fn named<'a>(outlook: &'a Outlook, name: &str) -> Option<&'a PoolOutlook> {
    let number: Option<u32> = name.parse().ok();
    outlook.pools.iter().find(|pool| pool.name == name || number == Some(pool.id.0))
}

/// Whose blocks and slices are asked for: a pool, or a pot beside one, by number or name.
#[must_use]
pub fn pot_named(outlook: &Outlook, name: &str) -> Option<PoolId> {
    let beside = || {
        let number: Option<u32> = name.parse().ok();
        let mut pots = outlook.pools.iter().filter_map(|pool| pool.refunds.as_ref());
        pots.find(|(id, own)| own == name || number == Some(id.0)).map(|(id, _)| *id)
    };
    named(outlook, name).map(|pool| pool.id).or_else(beside)
}

/// A pool by its number or its name; the first where none is named.
#[must_use]
pub fn named_or_first<'a>(outlook: &'a Outlook, name: Option<&str>) -> Option<&'a PoolOutlook> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => named(outlook, name),
        None => outlook.pools.first(),
    }
}

/// One pool.
#[must_use]
pub fn one(outlook: &Outlook, view: &View, history: &History, pool: &PoolOutlook) -> Option<Pool> {
    let asset = outlook.asset(pool.asset)?;
    let seen = view.pools.iter().find(|seen| seen.id == pool.id)?;
    let track = history.pool(pool.id);
    let accounts = seen.accounts;
    let rejected: u64 = track.rejected.values().sum();
    let judged = track.shares + rejected;
    let hashrate = asset.measure.of(&track.rates);
    Some(Pool {
        id: pool.id.0,
        name: pool.name.clone(),
        asset: asset.name.clone(),
        symbol: asset.symbol.clone(),
        algorithm: pool.algorithm.clone(),
        scheme: blocks::scheme_name(pool.scheme).to_owned(),
        scheme_in_words: in_words(outlook, pool),
        block_part: outlook.block_part(pool),
        fee_percent: fee_percent(pool, accounts),
        fee_tiers: tiers(pool),
        member_discount_percent: percent(pool.fee.member_discount),
        volume_discounts: volume_discounts(pool),
        fee_in_words: pool.fee.in_words(),
        measure: asset.measure,
        hashrate,
        hashrates: hashrates(&track),
        shares_per_second: track.share_rates.over(0),
        workers: track.active,
        miners: track.accounts,
        shares: track.shares,
        acceptance: (judged > 0).then(|| track.shares as f64 / judged as f64),
        rejected: track.rejected,
        effort: effort(seen.round_work, seen.network_work),
        seconds_per_block: asset.next.filter(|_| hashrate > 0.0).map(|next| next.work / hashrate),
        accounts_in_window: accounts,
        minimum_payout: Money::new(asset.minimum, asset.decimals),
        next_payout_run: Iso(asset.next_run),
        ports: pool.ports.iter().map(port).collect(),
        leased: pool.leased.as_ref().map(|own| leased::pool(own, asset.decimals)),
        refunds: pool.refunds.as_ref().and_then(|(id, name)| {
            let seen = view.pools.iter().find(|seen| seen.id == *id)?;
            Some(Refunds { id: id.0, name: name.clone(), rules: seen.rules.to_vec() })
        }),
        rules: seen.rules.to_vec(),
        mature_after: asset.mature_after,
        orphan_after: asset.orphan_after,
    })
}

/// What the pool keeps of an account that is no member, in percent.
#[must_use]
pub fn fee_percent(pool: &PoolOutlook, accounts: usize) -> f64 {
    let standing =
        Standing { accounts: accounts as u64, volume: BasisPoints::ZERO, is_member: false };
    f64::from(pool.fee.resolve(standing).points()) / 100.0
}

fn tiers(pool: &PoolOutlook) -> Vec<FeeTier> {
    let tier = |tier: &accounting::fee::FeeTier| FeeTier {
        accounts: tier.accounts,
        fee_percent: percent(tier.fee),
    };
    pool.fee.tiers.iter().map(tier).collect()
}

fn volume_discounts(pool: &PoolOutlook) -> Vec<VolumeDiscount> {
    let step = |step: &accounting::fee::VolumeStep| VolumeDiscount {
        part_percent: percent(step.part),
        discount_percent: percent(step.discount),
    };
    pool.fee.volume.iter().map(step).collect()
}

fn percent(points: BasisPoints) -> f64 {
    f64::from(points.points()) / 100.0
}

/// How a block is divided, in words.
fn in_words(outlook: &Outlook, pool: &PoolOutlook) -> String {
    let words = match &pool.by_block {
        Some(by_block) => format!("{}. {by_block}", pool.scheme.in_words()),
        None => pool.scheme.in_words(),
    };
    let others = outlook.sharing(pool).filter(|other| other.id != pool.id);
    let names: Vec<&str> = others.map(|other| &*other.name).collect();
    if names.is_empty() {
        return words;
    }
    let percent = 100.0 * outlook.block_part(pool);
    let with = names.join(", ");
    format!(
        "{words}; every block is shared with {with}, whichever finds it: {percent:.1} % of it are divided here"
    )
}

fn effort(round_work: u128, network_work: u128) -> f64 {
    if network_work > 0 { round_work as f64 / network_work as f64 } else { 0.0 }
}

fn hashrates(track: &PoolTrack) -> BTreeMap<String, f64> {
    SPAN_NAMES.iter().map(|name| (*name).to_owned()).zip(track.rates.all()).collect()
}

fn port(port: &PortOutlook) -> Port {
    Port {
        port: port.address.port(),
        tls: port.tls,
        start_difficulty: port.start,
        min_difficulty: port.min,
        max_difficulty: port.max,
        share_interval_s: port.share_interval_s,
    }
}

/// What a leaderboard is ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Hashes a second.
    #[default]
    Hashrate,
    /// Accepted shares.
    Shares,
    /// Blocks found.
    Blocks,
    /// The best share.
    Best,
}

/// The first places of a pool.
pub fn leaders(
    history: &History,
    asset: &AssetOutlook,
    pool: PoolId,
    blocks: &[(AccountId, u64)],
    order: Order,
    places: usize,
    public_name: impl Fn(AccountId) -> Option<Option<String>>,
) -> Vec<Leader> {
    let found: BTreeMap<AccountId, u64> = blocks.iter().copied().collect();
    let blocks = |id: AccountId| found.get(&id).copied().unwrap_or(0);
    let shown = history.shown();
    let accounts = shown.first_accounts(pool, places, |(a, left), (b, right)| match order {
        Order::Hashrate => asset.measure.of(&right.rates).total_cmp(&asset.measure.of(&left.rates)),
        Order::Shares => right.shares.cmp(&left.shares),
        Order::Blocks => blocks(b).cmp(&blocks(a)),
        Order::Best => right.best.total_cmp(&left.best),
    });
    let leader = |(at, (id, track)): (usize, (AccountId, &crate::history::AccountTrack))| {
        let public = public_name(id);
        Leader {
            rank: at + 1,
            address: if public.is_some() {
                track.display.to_string()
            } else {
                masked(&track.display)
            },
            is_public: public.is_some(),
            name: public.flatten(),
            hashrate: asset.measure.of(&track.rates),
            shares: track.shares,
            blocks: blocks(id),
            best: track.best / asset.difficulty_one,
            workers: track.active,
        }
    };
    accounts.into_iter().enumerate().map(leader).collect()
}

//! The networks that the pool works on.

use super::{Iso, Money};
use crate::measure::Measure;
use crate::outlook::{AssetOutlook, Outlook};
use accounting::{Amount, UnixMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One asset's network as the pool's nodes show it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Network {
    /// The asset's name in the configuration.
    pub asset: String,
    /// The coin.
    pub coin: String,
    /// Its unit.
    pub symbol: String,
    /// Which network, such as `bitcoin/main`.
    pub network: String,
    /// The proof of work.
    pub algorithm: String,
    /// Height of the newest block; null while no node can be believed.
    pub height: Option<u64>,
    /// The network's difficulty.
    pub difficulty: Option<f64>,
    /// What its rates count.
    pub measure: Measure,
    /// Hashes, or points, a second that would find blocks at the pace of the chain's rule.
    pub hashrate: Option<f64>,
    /// Seconds between blocks, by the chain's rule.
    pub block_interval_s: f64,
    /// What the next block's coinbase pays.
    pub block_value: Option<Money>,
    /// Transactions in the next block.
    pub transactions: Option<usize>,
    /// When the template was given.
    pub template_at: Option<Iso>,
    /// The nodes: how many, and how many are believed. Their addresses are the operator's.
    pub nodes: usize,
    /// How many of them are believed now.
    pub nodes_fit: usize,
}

/// All networks.
#[must_use]
pub fn all(outlook: &Outlook) -> Vec<Network> {
    outlook.assets.iter().map(network).collect()
}

/// One network.
#[must_use]
pub fn network(asset: &AssetOutlook) -> Network {
    let value = |units: u64| Money::new(Amount::from_units(units.into()), asset.decimals);
    Network {
        asset: asset.name.clone(),
        coin: asset.coin.clone(),
        symbol: asset.symbol.clone(),
        network: asset.network.clone(),
        algorithm: asset.algorithms.join(", "),
        height: asset.next.map(|next| next.height.saturating_sub(1)),
        difficulty: asset.difficulty(),
        measure: asset.measure,
        hashrate: asset.network_hashrate(),
        block_interval_s: asset.block_interval_s,
        block_value: asset.next.and_then(|next| next.value).map(value),
        transactions: asset.next.and_then(|next| next.transactions),
        template_at: asset.next.map(|next| next.at).filter(|at| *at > UnixMs(0)).map(Iso),
        nodes: asset.nodes.len(),
        nodes_fit: asset.nodes.iter().filter(|node| node.trouble.is_none()).count(),
    }
}

/// What mining at a rate brings on average, by the network's numbers of this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Expectation {
    /// The rate asked about, in hashes a second.
    pub hashrate: f64,
    /// Part of the network's hashrate.
    pub fraction: f64,
    /// Smallest units a day, after the pool's fee.
    pub units_per_day: f64,
    /// The same in whole coins.
    pub coins_per_day: f64,
    /// Days until a block is found alone, on average; null where nothing is mined.
    pub days_per_block_alone: Option<f64>,
    /// The fee that was taken off, in percent.
    pub fee_percent: f64,
}

/// What so many hashes a second bring; `None` while the network is not known, or what its next block is worth.
#[must_use]
pub fn expectation(asset: &AssetOutlook, hashrate: f64, fee_percent: f64) -> Option<Expectation> {
    let next = asset.next?;
    let network = asset.network_hashrate()?;
    let blocks_per_day = hashrate * 86_400.0 / next.work;
    let units_per_day = blocks_per_day * next.value? as f64 * (1.0 - fee_percent / 100.0);
    Some(Expectation {
        hashrate,
        fraction: hashrate / network,
        units_per_day,
        coins_per_day: units_per_day / 10f64.powi(asset.decimals.into()),
        days_per_block_alone: (blocks_per_day > 0.0).then(|| 1.0 / blocks_per_day),
        fee_percent,
    })
}

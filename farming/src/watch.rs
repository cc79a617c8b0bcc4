//! Watching the chain: where the nodes stand, where the plot NFTs are, and which rewards wait at their contracts.
//!
//! Invariant: what is known of a plot NFT is what a node in step showed at the newest height it was asked at; a tip that the chain
//! took back is followed again from the last one that it will not.

use crate::absorb::{self, REWARDS_MAX};
use crate::coin::Coin;
use crate::door::Door;
use crate::farmer::{Farmer, held};
use crate::follow::{self, FollowError, Walk};
use crate::hash::Bytes32;
use crate::node::rpc::RpcError;
use crate::node::{CoinRecord, Pushed, Standing};
use crate::purse::Purse;
use crate::rows;
use crate::singleton::lineage::{Absorbed, Tip};
use crate::singleton::puzzle::Contract;
use crate::tables::TablesError;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How the watching is paced.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two looks at the nodes.
    pub look: Duration,
    /// Between two collections of rewards.
    pub collect: Duration,
    /// A reward is absorbed from this depth on: a chain that goes back would take the absorption along.
    pub absorb_depth: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { look: Duration::from_secs(3), collect: Duration::from_secs(600), absorb_depth: 6 }
    }
}

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error(transparent)]
    Tables(#[from] TablesError),
}

/// Watches until cancelled.
pub async fn run(door: &Door, pace: Pace, cancel: &CancellationToken) {
    let mut seen = Seen::default();
    loop {
        look(door, pace, &mut seen).await;
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pace.look) => {}
        }
    }
}

/// Looks once, at everything.
pub async fn once(door: &Door, pace: Pace) {
    look(door, pace, &mut Seen::default()).await;
}

/// Up to where it was looked.
#[derive(Default)]
struct Seen {
    swept: Option<Bytes32>,
    collected: Option<Instant>,
}

async fn look(door: &Door, pace: Pace, seen: &mut Seen) {
    door.nodes.refresh().await;
    let Some(standing) = door.nodes.standing() else { return };
    if seen.swept != Some(standing.peak) {
        match sweep(door, &standing).await {
            Ok(()) => seen.swept = Some(standing.peak),
            Err(error) => tracing::warn!(%error, "plot NFTs cannot be followed now"),
        }
    }
    if seen.collected.is_none_or(|at| at.elapsed() >= pace.collect) {
        match collect(door, &standing, pace.absorb_depth).await {
            Ok(()) => seen.collected = Some(Instant::now()),
            Err(error) => tracing::warn!(%error, "rewards cannot be collected now"),
        }
    }
}

/// Looks at every plot NFT's tip, and follows those that moved.
async fn sweep(door: &Door, standing: &Standing) -> Result<(), WatchError> {
    let farmers = door.farmers.all();
    let tips: HashMap<Bytes32, Arc<Mutex<Farmer>>> =
        farmers.iter().map(|farmer| (tip_of(&held(farmer)).coin.id(), farmer.clone())).collect();
    let names: Vec<Bytes32> = tips.keys().copied().collect();
    let records = door.nodes.ask(|node| node.coins(&names)).await?;
    let still: HashSet<Bytes32> =
        records.iter().filter(|record| !record.is_spent()).map(|record| record.coin.id()).collect();
    let buried_at = standing.height.saturating_sub(door.settings.buried);
    for (id, farmer) in &tips {
        let is_news = {
            let farmer = held(farmer);
            let deepens = farmer.buried.coin.id() != *id && tip_of(&farmer).height <= buried_at;
            !still.contains(id) || farmer.latest.is_none() || deepens
        };
        if is_news {
            refollow(door, farmer, buried_at).await?;
        }
    }
    Ok(())
}

fn tip_of(farmer: &Farmer) -> &Tip {
    farmer.latest.as_ref().unwrap_or(&farmer.buried)
}

/// Follows one plot NFT again: from its tip, or if the chain took that back, from where it will not.
async fn refollow(door: &Door, farmer: &Mutex<Farmer>, buried_at: u32) -> Result<(), WatchError> {
    let (contract, tip, buried) = {
        let farmer = held(farmer);
        (farmer.contract.clone(), tip_of(&farmer).clone(), farmer.buried.clone())
    };
    match walk(door, &contract, &tip, &buried, buried_at).await {
        Ok((walk, from)) => moved(door, farmer, walk, &from).await,
        Err(FollowError::Rpc(error)) => Err(error.into()),
        Err(error @ (FollowError::Lost(_) | FollowError::Gone(_))) => {
            let launcher = contract.launcher_id;
            tracing::warn!(%launcher, %error, "a plot NFT cannot be followed; its partials do not count");
            held(farmer).latest = None;
            let row = held(farmer).clone();
            Ok(door.tables.write(move |db| rows::farmers::update_tips(db, &row)).await?)
        }
    }
}

async fn walk(
    door: &Door,
    contract: &Contract,
    tip: &Tip,
    buried: &Tip,
    buried_at: u32,
) -> Result<(Walk, Tip), FollowError> {
    let mut last = FollowError::Rpc(RpcError::Unknown("no node is in step".into()));
    for node in door.nodes.believed() {
        match follow::from_tip(node, contract, tip.clone(), buried_at).await {
            Ok(walk) => return Ok((walk, tip.clone())),
            Err(FollowError::Rpc(RpcError::Unknown(error))) => {
                last = FollowError::Rpc(RpcError::Unknown(error));
                continue;
            }
            Err(error) => tracing::debug!(%error, "a tip is not there any more"),
        }
        match follow::from_tip(node, contract, buried.clone(), buried_at).await {
            Ok(walk) => return Ok((walk, buried.clone())),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Writes where a plot NFT went, and what arrived on the way.
async fn moved(
    door: &Door,
    farmer: &Mutex<Farmer>,
    walk: Walk,
    from: &Tip,
) -> Result<(), WatchError> {
    let row = {
        let mut farmer = held(farmer);
        if let Some(buried) = walk.buried {
            farmer.buried = buried;
        }
        // A walk that stayed in one pool says nothing new about since when.
        if let Some(since) = walk.since.filter(|since| *since > from.height) {
            farmer.member_since = since;
        }
        if farmer.latest.as_ref().map(|tip| &tip.state) != Some(&walk.latest.state) {
            tracing::info!(launcher = %farmer.contract.launcher_id, phase = walk.latest.state.phase.as_str(), "a plot NFT moved");
        }
        farmer.latest = Some(walk.latest);
        farmer.clone()
    };
    let (targets, income) = (door.settings.terms.targets.clone(), walk.income);
    let write = move |db: &rusqlite::Connection| {
        arrived(db, &row, &targets, income)?;
        rows::farmers::update_tips(db, &row)
    };
    Ok(door.tables.write(write).await?)
}

/// Writes which rewards of a farmer arrived at the pool's addresses.
pub(crate) fn arrived(
    db: &rusqlite::Connection,
    farmer: &Farmer,
    targets: &[Bytes32],
    income: Vec<(Absorbed, u32)>,
) -> rusqlite::Result<()> {
    let ours = |(absorbed, _): &(Absorbed, u32)| targets.contains(&absorbed.coin.puzzle_hash);
    for (absorbed, height) in income.into_iter().filter(ours) {
        let is_own = absorbed.reward_height < farmer.member_since;
        rows::income::insert(db, &farmer.contract.launcher_id, &absorbed, height, is_own)?;
    }
    Ok(())
}

/// Brings rewards that wait at contracts to the pool's address.
async fn collect(door: &Door, standing: &Standing, depth: u32) -> Result<(), WatchError> {
    let members: HashMap<Bytes32, Arc<Mutex<Farmer>>> = door
        .farmers
        .all()
        .into_iter()
        .filter(|farmer| held(farmer).admit(&door.settings.terms, standing.height).is_ok())
        .map(|farmer| (held(&farmer).contract_hash, farmer.clone()))
        .collect();
    let hashes: Vec<Bytes32> = members.keys().copied().collect();
    let waiting = door.nodes.ask(|node| node.coins_at(&hashes, 0..u32::MAX, false)).await?;
    let mut by_contract: HashMap<Bytes32, Vec<(u32, Coin)>> = HashMap::new();
    for record in waiting {
        if let Some(height) = reward_height(door, &record, standing, depth) {
            by_contract.entry(record.coin.puzzle_hash).or_default().push((height, record.coin));
        }
    }
    let mut purse = Purse::default();
    for (contract, mut rewards) in by_contract {
        let Some(farmer) = members.get(&contract) else { continue };
        rewards.sort_unstable();
        rewards.truncate(REWARDS_MAX);
        let coins: Vec<Coin> = rewards.into_iter().map(|(_, coin)| coin).collect();
        absorb_for(door, farmer, &coins, standing, &mut purse).await?;
    }
    Ok(())
}

/// The height of the block whose reward for the pool a coin is, if it is one and deep enough.
fn reward_height(door: &Door, record: &CoinRecord, standing: &Standing, depth: u32) -> Option<u32> {
    let is_deep = record.confirmed.saturating_add(depth) <= standing.height;
    let is_reward = record.coinbase && !record.is_spent() && is_deep;
    is_reward.then(|| door.nodes.network().height_of_pool_coin(&record.coin.parent))?
}

async fn absorb_for(
    door: &Door,
    farmer: &Mutex<Farmer>,
    rewards: &[Coin],
    standing: &Standing,
    purse: &mut Purse,
) -> Result<(), WatchError> {
    let (contract, tip) = {
        let farmer = held(farmer);
        let Some(tip) = farmer.latest.clone() else { return Ok(()) };
        (farmer.contract.clone(), tip)
    };
    let launcher = contract.launcher_id;
    let bundle = match absorb::absorb(&contract, &tip, rewards, door.nodes.network()) {
        Ok((bundle, _)) => bundle,
        Err(error) => {
            tracing::warn!(%launcher, %error, "rewards are not absorbed");
            return Ok(());
        }
    };
    let bundle = purse.with_fee(door, standing, rewards, bundle).await;
    let (id, now) = (bundle.id(), door.clock.now());
    let body = serde_json::to_string(&bundle).unwrap_or_default();
    door.tables
        .write(move |db| rows::income::insert_bundle(db, &id, &launcher, &body, now))
        .await?;
    match door.nodes.push(&bundle).await {
        Ok(Pushed::Taken) => {
            tracing::info!(%launcher, rewards = rewards.len(), bundle = %id, "rewards are being absorbed");
        }
        // Somebody was faster, or the plot NFT moved: the next look shows it.
        Ok(Pushed::Refused(reason)) => {
            tracing::info!(%launcher, %reason, "an absorption was not taken");
        }
        Err(error) => tracing::warn!(%launcher, %error, "an absorption may not have been taken"),
    }
    Ok(())
}

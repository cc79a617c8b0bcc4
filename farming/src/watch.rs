//! Watching the chain: where the nodes stand, where the plot NFTs are, and which rewards wait at their contracts.
//!
//! Invariant: what is known of a plot NFT is what a node in step showed at the newest height it was asked at, and is on disk before it
//! counts; a tip that the chain took back is followed again from the last one that it will not. One plot NFT that cannot be
//! followed or served keeps no other waiting.

use crate::absorb::{self, REWARDS_MAX};
use crate::coin::Coin;
use crate::door::Door;
use crate::farmer::{Farmer, held};
use crate::follow::{self, FollowError, Walk};
use crate::hash::Bytes32;
use crate::node::rpc::RpcError;
use crate::node::{CoinRecord, NAMES_MAX, Pushed, Standing};
use crate::purse::Purse;
use crate::rows;
use crate::singleton::Phase;
use crate::singleton::lineage::{Absorbed, Tip};
use crate::singleton::puzzle::Contract;
use crate::tables::TablesError;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Blocks that are looked through for rewards again each time: no chain goes back further.
const REWIND: u32 = 200;

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
    /// For each contract, the height below which no reward waits.
    bare: HashMap<Bytes32, u32>,
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
    let is_time = seen.collected.is_none_or(|at| at.elapsed() >= pace.collect);
    // Who leaves may be gone with its reward before long.
    let whose = if is_time { Whose::All } else { Whose::Leavers };
    match collect(door, &standing, pace.absorb_depth, whose, &mut seen.bare).await {
        Ok(()) if is_time => seen.collected = Some(Instant::now()),
        Ok(()) => {}
        Err(error) => tracing::warn!(%error, "rewards cannot be collected now"),
    }
}

/// Looks at every plot NFT's tip, and follows those that moved.
async fn sweep(door: &Door, standing: &Standing) -> Result<(), WatchError> {
    let farmers = door.farmers.all();
    let tips: HashMap<Bytes32, Arc<Mutex<Farmer>>> =
        farmers.iter().map(|farmer| (held(farmer).tip().coin.id(), farmer.clone())).collect();
    let names: Vec<Bytes32> = tips.keys().copied().collect();
    let records = door.nodes.ask(|node| node.coins(&names)).await?;
    let still: HashSet<Bytes32> =
        records.iter().filter(|record| !record.is_spent()).map(|record| record.coin.id()).collect();
    let buried_at = standing.height.saturating_sub(door.settings.buried);
    let mut done = Ok(());
    for (id, farmer) in &tips {
        let is_news = {
            let farmer = held(farmer);
            let deepens = farmer.buried.coin.id() != *id && farmer.tip().height <= buried_at;
            !still.contains(id) || farmer.latest.is_none() || deepens
        };
        if is_news && let Err(error) = refollow(door, farmer, buried_at).await {
            let launcher = held(farmer).contract.launcher_id;
            tracing::debug!(%launcher, %error, "a plot NFT cannot be followed now");
            done = Err(error);
        }
    }
    done
}

/// Follows one plot NFT again: from its tip, or if the chain took that back, from where it will not.
async fn refollow(door: &Door, farmer: &Mutex<Farmer>, buried_at: u32) -> Result<(), WatchError> {
    let (contract, tip, buried) = {
        let farmer = held(farmer);
        (farmer.contract.clone(), farmer.tip().clone(), farmer.buried.clone())
    };
    match walk(door, &contract, &tip, &buried, buried_at).await {
        Ok(walk) => moved(door, farmer, walk).await,
        Err(FollowError::Rpc(error)) => Err(error.into()),
        Err(error @ (FollowError::Lost(_) | FollowError::Gone(_))) => {
            let launcher = contract.launcher_id;
            tracing::warn!(%launcher, %error, "a plot NFT cannot be followed; its partials do not count");
            let write = move |db: &_| rows::farmers::update_tips(db, &launcher, &buried, None);
            door.tables.write(write).await?;
            held(farmer).latest = None;
            Ok(())
        }
    }
}

async fn walk(
    door: &Door,
    contract: &Contract,
    tip: &Tip,
    buried: &Tip,
    buried_at: u32,
) -> Result<Walk, FollowError> {
    let mut last = FollowError::Rpc(RpcError::Unknown("no node is in step".into()));
    for node in door.nodes.believed() {
        for from in [tip, buried] {
            match follow::from_tip(node, contract, from.clone(), buried_at).await {
                Err(error @ (FollowError::Gone(_) | FollowError::Lost(_))) => {
                    tracing::debug!(%error, "a tip is not there any more");
                    last = error;
                }
                Err(error @ FollowError::Rpc(_)) => {
                    last = error;
                    break;
                }
                walk => return walk,
            }
        }
        // A chain that went back further than it ever does.
        if matches!(last, FollowError::Gone(_)) {
            let (launcher, network) = (&contract.launcher_id, door.nodes.network());
            match follow::from_launcher(node, launcher, network, buried_at).await {
                Ok((_, walk)) => return Ok(walk),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

/// Writes where a plot NFT went, and what arrived on the way; then it counts.
async fn moved(door: &Door, farmer: &Mutex<Farmer>, walk: Walk) -> Result<(), WatchError> {
    let (launcher, buried, before) = {
        let farmer = held(farmer);
        let buried = walk.buried.unwrap_or_else(|| farmer.buried.clone());
        (farmer.contract.launcher_id, buried, farmer.latest.as_ref().map(|tip| tip.state.clone()))
    };
    let (targets, income) = (door.settings.terms.targets.clone(), walk.income);
    let (deep, latest) = (buried.clone(), walk.latest.clone());
    let write = move |db: &rusqlite::Connection| {
        arrived(db, &launcher, &targets, income)?;
        rows::farmers::update_tips(db, &launcher, &deep, Some(&latest))
    };
    door.tables.write(write).await?;
    if before.as_ref() != Some(&walk.latest.state) {
        tracing::info!(%launcher, phase = walk.latest.state.phase.as_str(), "a plot NFT moved");
    }
    let mut farmer = held(farmer);
    farmer.buried = buried;
    farmer.latest = Some(walk.latest);
    Ok(())
}

/// Writes which rewards of a farmer arrived at the pool's addresses.
pub(crate) fn arrived(
    db: &rusqlite::Connection,
    launcher: &Bytes32,
    targets: &[Bytes32],
    income: Vec<(Absorbed, u32)>,
) -> rusqlite::Result<()> {
    let ours = |(absorbed, _): &(Absorbed, u32)| targets.contains(&absorbed.coin.puzzle_hash);
    for (absorbed, height) in income.into_iter().filter(ours) {
        rows::income::insert(db, launcher, &absorbed, height)?;
    }
    Ok(())
}

/// Whose rewards are collected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    All,
    Leavers,
}

/// Does a plot NFT in this state send its rewards to the pool? It does while it waits to leave, and until it has left.
fn pays_here(door: &Door, tip: &Tip, whose: Whose) -> bool {
    let is_one = match tip.state.phase {
        Phase::Farming => whose == Whose::All,
        Phase::Leaving => true,
        Phase::SelfPooling => false,
    };
    is_one && door.settings.terms.targets.contains(&tip.state.target)
}

/// Brings rewards that wait at contracts to the pool's address.
async fn collect(
    door: &Door,
    standing: &Standing,
    depth: u32,
    whose: Whose,
    bare: &mut HashMap<Bytes32, u32>,
) -> Result<(), WatchError> {
    let mut members: HashMap<Bytes32, Arc<Mutex<Farmer>>> = HashMap::new();
    for farmer in door.farmers.all() {
        let contract = {
            let held = held(&farmer);
            let pays = held.latest.as_ref().is_some_and(|tip| pays_here(door, tip, whose));
            pays.then_some(held.contract_hash)
        };
        members.extend(contract.map(|contract| (contract, farmer)));
    }
    // Contracts are asked for together with those that are looked through from about the same height.
    let mut from: Vec<(u32, Bytes32)> = members
        .keys()
        .map(|contract| (bare.get(contract).copied().unwrap_or(0), *contract))
        .collect();
    from.sort_unstable();
    let mut purse = Purse::default();
    for some in from.chunks(NAMES_MAX) {
        let start = some.first().map_or(0, |(height, _)| *height);
        let hashes: Vec<Bytes32> = some.iter().map(|(_, contract)| *contract).collect();
        let end = standing.height.saturating_add(1);
        let waiting = door.nodes.ask(|node| node.rewards_at(&hashes, start..end)).await?;
        let settled = standing.height.saturating_sub(REWIND);
        bare.extend(hashes.iter().map(|contract| (*contract, settled)));
        let mut by_contract: BTreeMap<Bytes32, Vec<(u32, Coin)>> = BTreeMap::new();
        for record in waiting {
            if let Some(height) = reward_height(door, &record) {
                let contract = record.coin.puzzle_hash;
                let waits = bare.entry(contract).or_insert(settled);
                *waits = (*waits).min(record.confirmed);
                if record.confirmed.saturating_add(depth) <= standing.height {
                    by_contract.entry(contract).or_default().push((height, record.coin));
                }
            }
        }
        for (contract, mut rewards) in by_contract {
            let Some(farmer) = members.get(&contract) else { continue };
            rewards.sort_unstable();
            rewards.truncate(REWARDS_MAX);
            let coins: Vec<Coin> = rewards.into_iter().map(|(_, coin)| coin).collect();
            absorb_for(door, farmer, &coins, standing, &mut purse).await;
        }
    }
    Ok(())
}

/// The height of the block whose reward for the pool a coin is, if it is one.
fn reward_height(door: &Door, record: &CoinRecord) -> Option<u32> {
    let waits = record.coinbase && !record.is_spent();
    waits.then(|| door.nodes.network().height_of_pool_coin(&record.coin.parent))?
}

/// Absorptions are not kept: whatever becomes of one, the chain shows it, and the next look does what is left.
async fn absorb_for(
    door: &Door,
    farmer: &Mutex<Farmer>,
    rewards: &[Coin],
    standing: &Standing,
    purse: &mut Purse,
) {
    let (contract, tip) = {
        let farmer = held(farmer);
        let Some(tip) = farmer.latest.clone() else { return };
        (farmer.contract.clone(), tip)
    };
    let launcher = contract.launcher_id;
    let bundle = match absorb::absorb(&contract, &tip, rewards, door.nodes.network()) {
        Ok((bundle, _)) => bundle,
        Err(error) => return tracing::warn!(%launcher, %error, "rewards are not absorbed"),
    };
    let bundle = purse.with_fee(door, standing, rewards, bundle).await;
    match door.nodes.push(&bundle).await {
        Ok(Pushed::Taken) => {
            tracing::info!(%launcher, rewards = rewards.len(), bundle = %bundle.id(), "rewards are being absorbed");
        }
        // Somebody was faster, or the plot NFT moved: the next look shows it.
        Ok(Pushed::Refused(reason)) => {
            tracing::info!(%launcher, %reason, "an absorption was not taken");
        }
        Err(error) => tracing::warn!(%launcher, %error, "an absorption may not have been taken"),
    }
}

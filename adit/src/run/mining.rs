//! Proof of work, on its way up: jobs, ports and found blocks, whatever chain they are of.

use super::counter::{self, About, Counter};
use super::door::OpenDoor;
use super::trees::Trees;
use super::{Start, claims, pool_number, port};
use crate::config::{AssetKind, BlockPays, CoinSettings, PoolKind, PoolSettings, StratumSettings};
use crate::control;
use accounting::{Identity, RewardId, Scheme, UnixMs};
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use pool::treasury::{Treasury, TreasuryError};
use pool::{Clock, SystemClock};
use pow::Difficulty;
use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use store::Reader;
use stratum::block::{Blocks, Taker};
use stratum::by_block::Form;
use stratum::coin::{Coin, address, message};
use stratum::dag::{DagSettings, Dags};
use stratum::extranonce::Extranonces;
use stratum::hashing::Kept;
use stratum::job::{JobMaker, JobRules, Pays};
use stratum::member::Following;
use stratum::rpc::Endpoint;
use stratum::server::{Door, Stats};
use stratum::source::{NodeStatus, Offer, Source};
use stratum::template::to_hex;
use stratum::verifier::{self, Verifier};
use stratum::work::{self, Workplace};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use web::measure::Measure;
use web::outlook::{Addresses, NextBlock, NodeOutlook, Parsed};

/// A chain, ready to be mined.
pub(super) struct Chain<T> {
    /// The coin.
    pub coin: Coin,
    /// Its wallet.
    pub treasury: T,
    /// What pays the pool.
    pub script: Vec<u8>,
    /// Its nodes.
    pub source: Source,
    /// Where found blocks go.
    pub blocks: Arc<Blocks>,
}

/// How long to wait before a wallet that cannot be reached is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Opens a wallet; waits for its node as long as it takes.
pub(super) async fn open_wallet<T, O: Future<Output = Result<T, TreasuryError>>>(
    start: &Start,
    open: impl Fn() -> O,
) -> anyhow::Result<T> {
    let (asset, cancel) = (&start.asset.config.name, &start.live.floor.cancel);
    let mut told = String::new();
    loop {
        match open().await {
            Ok(treasury) => return Ok(treasury),
            Err(TreasuryError::Unreachable(text)) => {
                if told != text {
                    tracing::error!(asset, "the wallet waits for its node: {text}");
                    told = text;
                }
            }
            Err(error) => bail!("asset {asset}: {error}"),
        }
        tokio::select! {
            () = cancel.cancelled() => bail!("stopped while waiting for the node of asset {asset}"),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Opens the asset's counter and its pools' ports.
pub(super) async fn open<T: Treasury + Sync>(start: &Start, chain: Chain<T>) -> anyhow::Result<()> {
    let Chain { coin, treasury, script, mut source, blocks } = chain;
    let (name, live) = (&start.asset.config.name, &start.live);
    for task in source.tasks.drain(..) {
        live.keep(format!("the node watch of {name}"), task);
    }
    let offers = source.offers.clone();
    let address = address::address_of(&script, coin).unwrap_or_else(|| to_hex(&script));
    let (about, knock) = (about(coin, &source), source.knock.clone());
    let counter = counter::open(start, treasury, address, about, knock).await?;
    let knocking =
        knock_after_blocks(blocks.judged(), source.knock.clone(), live.floor.cancel.clone());
    live.spawn(format!("the knocks of {name}"), knocking);
    let looking = look_at_new_tips(counter.clone(), offers.clone(), live.floor.cancel.clone());
    live.spawn(format!("the news of {name}"), looking);
    live.counters.write().unwrap_or_else(PoisonError::into_inner).push(counter);
    let mut verifier = None;
    for (settings, boot) in &start.pools {
        let PoolKind::Stratum(own) = &settings.kind else { continue };
        let heavy = match own.hashing.is_heavy() {
            false => None,
            true if verifier.is_some() => verifier.clone(),
            true => {
                verifier = Some(Verifier::start("verify", verifier::Limits::default())?);
                verifier.clone()
            }
        };
        let follows = claims::follow(start, settings, own, &script, (&offers, &blocks));
        let following = follows.await?;
        let rules = job_rules(settings, own, *boot, &script, following);
        let offers = match &own.ethash {
            None => offers.clone(),
            Some(ethash) => verifiable(start, ethash, offers.clone())?,
        };
        open_pool(start, settings, own, rules, (coin, &blocks, heavy), offers).await?;
    }
    Ok(())
}

/// Offers that wait for what Ethash reads.
fn verifiable(
    start: &Start,
    settings: &DagSettings,
    offers: watch::Receiver<Offer>,
) -> anyhow::Result<watch::Receiver<Offer>> {
    let cancel = start.live.floor.cancel.clone();
    let dags = Dags::start(settings.clone(), cancel.clone())?;
    let (publish, verifiable) = watch::channel(Offer::Waiting);
    let task = dags.run(offers, publish, cancel);
    start.live.spawn(format!("the caches of Ethash of {}", start.asset.config.name), task);
    Ok(verifiable)
}

/// Starts a pool's work and opens its ports.
async fn open_pool(
    start: &Start,
    settings: &PoolSettings,
    own: &StratumSettings,
    rules: JobRules,
    (coin, blocks, heavy): (Coin, &Arc<Blocks>, Option<Verifier<Kept>>),
    offers: watch::Receiver<Offer>,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (pool, live, name) = (&start.pool, &start.live, &settings.config.name);
    let maker = JobMaker::new(rules, clock.now());
    let pool_id = pool_number(pool, name).await?;
    let (paused, pauses) = watch::channel(control::pause_of(pool, name).await?);
    let door = Arc::new(Door {
        pool: pool.clone(),
        pool_id,
        coin,
        rules: maker.rules().clone(),
        jobs: maker.subscribe(),
        bans: live.bans.clone(),
        registered_only: start.registered_only.clone(),
        paused,
        extranonces: Arc::new(Extranonces::default()),
        blocks: blocks.clone(),
        clock: clock.clone(),
        heavy,
        stats: Stats::default(),
    });
    let cancel = live.floor.cancel.clone();
    if let Some(nodes) = sends_trees(start, own) {
        let trees = Trees::of(start, pool_id, nodes).await?;
        let sending = trees.run(offers.clone(), cancel.clone());
        live.spawn(format!("the trees of pool {name}"), sending);
    }
    let place = Workplace { pool: pool.clone(), pool_id, coin, blocks: blocks.clone(), clock };
    let making = work::run(maker, offers, place, pauses, cancel);
    live.spawn(format!("the work of pool {name}"), making);
    for port in &own.ports {
        let open = port::open(port, &door, live)?;
        live.ports.write().unwrap_or_else(PoisonError::into_inner).push(open);
    }
    live.doors.write().unwrap_or_else(PoisonError::into_inner).push(OpenDoor::Stratum(door));
    Ok(())
}

/// By which nodes a pool's trees are sent; none where it has none, or leaves that to others.
fn sends_trees(start: &Start, own: &StratumSettings) -> Option<Vec<Endpoint>> {
    let by_block = own.by_block.as_ref().filter(|own| own.send)?;
    match (&by_block.pays, &start.asset.kind) {
        (BlockPays::Miners(rules), AssetKind::Coin(coin))
            if matches!(rules.form, Form::Tree(_)) =>
        {
            Some(endpoints(coin))
        }
        _ => None,
    }
}

/// A coin's nodes, the preferred one first.
pub(super) fn endpoints(coin: &CoinSettings) -> Vec<Endpoint> {
    coin.source.nodes.iter().map(|node| node.endpoint.clone()).collect()
}

/// The nodes are looked at as soon as one of them has judged a block of the pool's own: nobody works on its parent any longer than that
/// takes, however seldom the nodes are asked.
async fn knock_after_blocks(
    mut judged: watch::Receiver<u64>,
    knock: watch::Sender<u64>,
    cancel: CancellationToken,
) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = judged.changed() => if changed.is_err() { return },
        }
        knock.send_modify(|count| *count += 1);
    }
}

/// The cashier looks as soon as there is a new block.
async fn look_at_new_tips(
    counter: Arc<Counter>,
    mut offers: watch::Receiver<Offer>,
    cancel: CancellationToken,
) {
    let mut tip = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = offers.changed() => if changed.is_err() { return },
        }
        let Offer::Template(template) = offers.borrow_and_update().clone() else { continue };
        if tip.replace(template.prev_hash) != Some(template.prev_hash) {
            counter.look();
        }
    }
}

/// What there is to say of the coin's network.
fn about(coin: Coin, source: &Source) -> About {
    let (offers, nodes) = (source.offers.clone(), source.nodes.clone());
    let node = |node: &Arc<ArcSwap<NodeStatus>>| {
        let node = node.load();
        NodeOutlook {
            address: node.address.clone(),
            height: node.height.checked_sub(1),
            trouble: node.unfit.as_ref().map(ToString::to_string),
        }
    };
    let next = move || match &*offers.borrow() {
        Offer::Template(template) => Some(NextBlock {
            height: template.height,
            work: f64::from(template.target.work().value()),
            // Where a node makes the header it says neither.
            value: template.work.is_none().then_some(template.coinbase_value),
            transactions: template.work.is_none().then_some(template.transaction_ends.len()),
            at: UnixMs(u64::from(template.cur_time) * 1000),
        }),
        Offer::Waiting | Offer::Later(_) | Offer::None(_) => None,
    };
    let one = pow::Target::new(coin.algorithm().scale().difficulty_one());
    About {
        coin: capitalised(&coin.family().to_string()),
        symbol: coin.symbol(),
        block_interval_s: coin.block_interval_s().into(),
        difficulty_one: f64::from(one.work().value()),
        measure: Box::new(Measure::default),
        addresses: addresses(coin),
        nodes: Box::new(move || nodes.iter().map(node).collect()),
        next: Box::new(next),
    }
}

fn addresses(coin: Coin) -> Addresses {
    let parse = move |text: &str| {
        let identity = address::identity_of(text, coin).map_err(|error| error.to_string())?;
        // As its chain writes it, however it was typed.
        let display = address::address_of(&identity.bytes, coin).unwrap_or_else(|| text.to_owned());
        Ok(Parsed { identity, display })
    };
    let prove = move |who: &Identity, message: &str, signature: &str| {
        let checked = message::verify(coin, &who.bytes, message, signature);
        checked.map_err(|error| error.to_string())
    };
    Addresses::new(parse, prove)
}

/// A coin's name as people write it.
fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Where an asset's found blocks go; those of the last run whose rewards may still change are sent and booked again.
pub(super) async fn recovered(
    Start { asset, pool, folder, pools, .. }: &Start,
    takers: Vec<Taker>,
    coin: Coin,
) -> anyhow::Result<Arc<Blocks>> {
    let name = &asset.config.name;
    let blocks =
        Blocks::new(folder.join("blocks").join(name), takers, pool.clone(), coin.to_string());
    let wanted = name.clone();
    let open: HashSet<RewardId> = pool
        .order(move |books, _, _| {
            let open = books
                .asset_named(&wanted)
                .map(|asset| books.open_rewards(asset))
                .unwrap_or_default();
            Ok(open.into_iter().map(|(id, _)| id).collect())
        })
        .await?;
    let mut numbers = Vec::new();
    for (own, _) in pools {
        numbers.push(pool_number(pool, &own.config.name).await?);
    }
    let reader = Reader::open(folder)?;
    let rests = |id: RewardId| !open.contains(&id) && matches!(reader.reward(id), Ok(Some(_)));
    let count = blocks.recover(&numbers, rests).context("the folder of found blocks")?;
    if count > 0 {
        tracing::info!(count, asset = name, "found blocks of the last run are submitted again");
    }
    Ok(blocks)
}

fn job_rules(
    settings: &PoolSettings,
    own: &StratumSettings,
    boot: u32,
    script: &[u8],
    following: Option<Following>,
) -> JobRules {
    let config = &settings.config;
    let script = script.to_vec();
    let pays = match config.scheme {
        Scheme::Solo { custodial: false } => {
            Pays::Finder { fee_script: script, fee: config.base_fee() }
        }
        _ => match (own.by_block.as_ref().map(|own| &own.pays), following) {
            (_, Some(following)) => Pays::Member { script, following },
            (Some(BlockPays::Miners(rules)), _) => Pays::Window { script, rules: rules.clone() },
            (Some(BlockPays::Members(_)) | None, None) => Pays::Pool { script },
        },
    };
    JobRules {
        hashing: own.hashing,
        boot,
        tag: own.tag.clone().into_bytes(),
        extranonce2_size: own.extranonce2_size,
        pays,
        scheme: config.scheme,
        free_nonces: own
            .ports
            .iter()
            .map(|port| port.policy.start)
            .min()
            .unwrap_or(Difficulty::MAX),
    }
}

//! Chia and its pools of farmers, on their way up.

use super::counter::{self, About, Counter};
use super::door::OpenDoor;
use super::exchange;
use super::port::{self, OpenPort};
use super::{Start, pool_number};
use crate::config::{ChiaSettings, FarmingSettings, PoolKind, PoolSettings};
use crate::control;
use accounting::{AssetId, UnixMs};
use anyhow::Context;
use farming::chores::points_of_a_block;
use farming::door::{Door, Numbers, Opening, Settings};
use farming::network::Network;
use farming::node::rpc::Rpc;
use farming::node::{Node, Nodes};
use farming::singleton::Terms;
use farming::tables::{self, Tables};
use farming::treasury::XchTreasury;
use farming::wallet::signer::Signer;
use farming::{address, estimate, farm};
use pool::{Clock, SystemClock};
use pow::Difficulty;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use stratum::difficulty::Policy;
use stratum::server;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use web::measure::Measure;
use web::outlook::{Addresses, NextBlock, NodeOutlook, Parsed};

/// Seconds between blocks: 32 in ten minutes.
const BLOCK_INTERVAL_S: f64 = 18.75;
/// What comes to a day at one a second.
const SECONDS_A_DAY: u64 = 86_400;
/// How often it is looked whether the chain moved.
const LOOK: Duration = Duration::from_secs(1);

/// Opens the asset's counter and its pools' doors. Nodes may join later: until one is in step, nobody is credited or paid.
pub(super) async fn start(start: Start, own: ChiaSettings) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let name = &start.asset.config.name;
    let signer = own.wallet.signer().with_context(|| format!("asset {name}"))?;
    let clients = own.nodes.iter().map(|node| Rpc::new(node.clone()).map(Node::new));
    let clients = clients.collect::<Result<_, _>>().with_context(|| format!("asset {name}"))?;
    let nodes = Arc::new(Nodes::new(own.network.clone(), clients));
    nodes.refresh().await;
    let treasury =
        XchTreasury::new(nodes.clone(), signer.clone(), own.treasury.clone(), clock.clone());
    let (knock, knocks) = watch::channel(0);
    let place = address::encode(&signer.place(), &own.network);
    let about = about(&own.network, &nodes);
    let counter = counter::open(&start, treasury, place, about, knock).await?;
    let live = &start.live;
    let cancel = live.floor.cancel.clone();
    let looking = look_at_new_tips(nodes.clone(), counter.clone(), knocks, cancel);
    live.spawn(format!("the news of {name}"), looking);
    let asset = counter.id;
    live.counters.write().unwrap_or_else(PoisonError::into_inner).push(counter);
    if let Some(exchange) = &own.external {
        exchange::start(&start, asset, exchange)?;
    }
    for (settings, _) in &start.pools {
        if let PoolKind::Farming(door) = &settings.kind {
            open_pool(&start, asset, (settings, door), &nodes, &signer).await?;
        }
    }
    Ok(())
}

/// Opens a pool's door.
async fn open_pool(
    start: &Start,
    asset: AssetId,
    (settings, own): (&PoolSettings, &FarmingSettings),
    nodes: &Arc<Nodes>,
    signer: &Signer,
) -> anyhow::Result<()> {
    let (pool, live, name) = (&start.pool, &start.live, &settings.config.name);
    let numbers = Numbers {
        asset,
        pool: pool_number(pool, name).await?,
        refunds: pool_number(pool, &own.refunds).await?,
    };
    // Its thread ends with the door.
    let (tables, _thread) = Tables::open(&start.folder.join(tables::file_name(numbers.pool)))?;
    let door = Door::open(Opening {
        pool: pool.clone(),
        numbers,
        settings: terms(settings, own, signer),
        nodes: nodes.clone(),
        signer: signer.clone(),
        tables,
        folder: start.folder.clone(),
        clock: Arc::new(SystemClock),
        paused: control::pause_of(pool, name).await?,
        bans: live.bans.clone(),
    });
    let door = Arc::new(door.await.with_context(|| format!("pool {name}"))?);
    let tls = match &own.tls {
        Some((certificate, key)) => Some(port::acceptor(certificate, key)?),
        None => None,
    };
    let listener = server::bind(own.listen).with_context(|| {
        format!(
            "farming.listen: cannot listen on {}: is another program there (`ss -ltnp`)?",
            own.listen
        )
    })?;
    let address = listener.local_addr()?;
    tracing::info!(%address, pool = numbers.pool.0, "listening to farmers");
    let (floor, is_tls) = (&live.floor, tls.is_some());
    let (limits, tasks) = (own.limits.clone(), &floor.tasks);
    let running =
        farm::start(door.clone(), listener, tls, limits, own.pace, tasks, &floor.cancel).await?;
    for (what, task) in running {
        live.keep(format!("{what} of pool {name}"), task);
    }
    let hardness = |difficulty: u64| Difficulty::nearest(difficulty as f64);
    let policy = own.terms.policy;
    let open = OpenPort {
        pool: numbers.pool,
        address,
        tls: is_tls,
        policy: Policy {
            start: hardness(policy.min),
            min: hardness(policy.min),
            max: hardness(farming::difficulty::DIFFICULTY_MAX),
            interval_s: 86_400.0 / f64::from(policy.per_day),
        },
    };
    live.ports.write().unwrap_or_else(PoisonError::into_inner).push(open);
    live.doors.write().unwrap_or_else(PoisonError::into_inner).push(OpenDoor::Farming(door));
    Ok(())
}

/// What farmers are told and held to, with what only the wallet knows.
fn terms(settings: &PoolSettings, own: &FarmingSettings, signer: &Signer) -> Settings {
    Settings {
        scheme: settings.config.scheme,
        target: signer.place(),
        terms: Terms { targets: signer.places(), ..own.terms.terms.clone() },
        ..own.terms.clone()
    }
}

/// The cashier looks as soon as there is a new block.
async fn look_at_new_tips(
    nodes: Arc<Nodes>,
    counter: Arc<Counter>,
    mut knocks: watch::Receiver<u64>,
    cancel: CancellationToken,
) {
    let mut tip = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
            knocked = knocks.changed() => match knocked {
                Ok(()) => nodes.refresh().await,
                Err(_) => return,
            },
        }
        let peak = nodes.standing().map(|standing| standing.peak);
        if peak.is_some() && tip != peak {
            tip = peak;
            counter.look();
        }
    }
}

/// What there is to say of the network.
fn about(network: &Network, nodes: &Arc<Nodes>) -> About {
    let (shown, asked, own) = (nodes.clone(), nodes.clone(), network.clone());
    let (measured, filter) = (nodes.clone(), network.clone());
    let node = |(address, said): (String, Result<farming::node::Standing, String>)| {
        let height = said.as_ref().ok().map(|standing| u64::from(standing.height));
        let trouble = match said {
            Ok(standing) if standing.is_synced => None,
            Ok(_) => Some("it is not in step with the network".to_owned()),
            Err(error) => Some(error),
        };
        NodeOutlook { address, height, trouble }
    };
    let next = move || {
        let standing = asked.standing()?;
        let height = standing.height.saturating_add(1);
        Some(NextBlock {
            height: height.into(),
            work: points_of_a_block(own.pool_sub_slot_iters, &standing) as f64,
            value: Some(own.pool_reward_mojo(height)),
            transactions: Some(0),
            at: UnixMs(SystemClock.now().0),
        })
    };
    About {
        coin: "Chia".to_owned(),
        symbol: if network.address_prefix == "xch" { "XCH" } else { "TXCH" },
        block_interval_s: BLOCK_INTERVAL_S,
        difficulty_one: 1.0,
        measure: Box::new(move || measure(&filter, &measured)),
        addresses: addresses(network),
        nodes: Box::new(move || shown.standings().into_iter().map(node).collect()),
        next: Box::new(next),
    }
}

/// Points are told as the space that earns them where the filter is as it is now.
fn measure(network: &Network, nodes: &Nodes) -> Measure {
    let height = nodes.standing().map_or(0, |standing| standing.height);
    let bytes = estimate::space_of(SECONDS_A_DAY, network.filter_bits(height));
    Measure::Space { bytes_per_rate: bytes as f64, plot_bytes: estimate::PLOT_BYTES as f64 }
}

fn addresses(network: &Network) -> Addresses {
    let network = network.clone();
    let parse = move |text: &str| {
        let launcher = text.trim().parse().map_err(|_| {
            "an account of Chia is named by its launcher id of 64 digits".to_owned()
        })?;
        let identity = farming::door::identity(&network, &launcher);
        Ok(Parsed { identity, display: launcher.to_string() })
    };
    let prove = |_: &accounting::Identity, _: &str, _: &str| {
        Err("farmers are known by their plot NFT: they join with the farmer's own software"
            .to_owned())
    };
    Addresses::new(parse, prove)
}

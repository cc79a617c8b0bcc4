//! The pool, put together and taken apart again.
//!
//! Invariant: nothing is handed out before the books are open and found blocks of the last run are on their way again; a
//! core task that ends, ends the process.

mod asset;
mod port;

pub use asset::Counter;
pub use port::acceptor;

use crate::config::{PoolSettings, Settings};
use crate::control;
use accounting::{RewardId, Scheme};
use anyhow::{Context, anyhow};
use pool::{Clock, Pool, SystemClock, writer};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use store::{Reader, Sqlite, Store, StoreError};
use stratum::block::Blocks;
use stratum::coin::Coin;
use stratum::extranonce::Extranonces;
use stratum::job::{JobMaker, JobRules, Pays};
use stratum::server::{self, Door, Floor, Stats};
use stratum::source;
use stratum::work;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long connections may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A pool that runs.
pub struct Running {
    /// The writer's door.
    pub pool: Pool,
    /// One for each asset.
    pub counters: Vec<Arc<Counter>>,
    /// One for each pool.
    pub doors: Vec<Arc<Door>>,
    /// Where each port of each pool listens.
    pub addresses: Vec<SocketAddr>,
    /// What the configuration said.
    pub settings: Settings,
    floor: Floor,
    cancel: CancellationToken,
    writer: JoinHandle<Result<(), StoreError>>,
}

/// Starts everything.
///
/// # Errors
/// When the store, a wallet or a port cannot be used; the text says what to do.
pub async fn start(settings: Settings, cancel: CancellationToken) -> anyhow::Result<Running> {
    raise_file_limit();
    let folder = settings.data_dir.clone();
    let mut store = Sqlite::open(&folder)?;
    // One number for each pool: no two pools ever hand out the same coinbase.
    let boots: Vec<u32> =
        settings.pools.iter().map(|_| store.count_boot()).collect::<Result<_, _>>()?;
    let assets = settings.assets.iter().map(|asset| asset.config.clone()).collect();
    let pools = settings.pools.iter().map(|pool| pool.config.clone()).collect();
    let writer = writer::start(Box::new(store), assets, pools, SystemClock)?;
    let pool = writer.pool.clone();
    let (floor, beat) = Floor::new(TaskTracker::new(), cancel.clone());
    floor.tasks.spawn(server::keep_beating(beat, cancel.clone()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut running = Running {
        pool: pool.clone(),
        counters: Vec::new(),
        doors: Vec::new(),
        addresses: Vec::new(),
        settings: settings.clone(),
        floor: floor.clone(),
        cancel: cancel.clone(),
        writer: writer.thread,
    };
    for asset in &settings.assets {
        let nodes = asset.source.nodes.iter().map(|node| node.endpoint.clone()).collect();
        let blocks_folder = folder.join("blocks").join(&asset.config.name);
        let blocks = Blocks::new(blocks_folder, nodes, pool.clone(), asset.coin.to_string());
        recover(&blocks, &pool, &folder, &asset.config.name).await?;
        let treasury = asset::open_treasury(asset, &pool, &clock, &cancel).await?;
        let script = treasury.script().to_bytes();
        let source = source::start(asset.source.clone(), clock.clone(), cancel.clone());
        let offers = source.offers.clone();
        let counter = asset::open(asset, treasury, source, &pool, &folder, &floor).await?;
        running.counters.push(counter);
        let own_pools = settings
            .pools
            .iter()
            .zip(&boots)
            .filter(|(pool, _)| pool.config.asset == asset.config.name);
        for (own, boot) in own_pools {
            let rules = job_rules(own, asset.coin, *boot, &script);
            let maker = JobMaker::new(rules, clock.now());
            let pool_id = pool_number(&pool, &own.config.name).await?;
            let door = Arc::new(Door {
                pool: pool.clone(),
                pool_id,
                coin: asset.coin,
                rules: maker.rules().clone(),
                jobs: maker.subscribe(),
                extranonces: Arc::new(Extranonces::default()),
                blocks: blocks.clone(),
                clock: clock.clone(),
                stats: Stats::default(),
            });
            let making = work::run(
                maker,
                offers.clone(),
                pool.clone(),
                pool_id,
                clock.clone(),
                cancel.clone(),
            );
            floor.tasks.spawn(making);
            for port in &own.ports {
                running.addresses.push(port::open(port, &door, &floor)?);
            }
            running.doors.push(door);
        }
    }
    control::listen(&running, &floor)?;
    Ok(running)
}

impl Running {
    /// Waits until it was told to stop, or its writer ended.
    ///
    /// # Errors
    /// What ended the writer.
    pub async fn until_stopped(&self) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    if self.writer.is_finished() {
                        return Err(anyhow!("the writer ended; see the log. Every fact acknowledged so far is on disk"));
                    }
                }
            }
        }
    }

    /// Ends every connection, then the writer.
    ///
    /// # Errors
    /// What the store said last.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.cancel.cancel();
        self.floor.tasks.close();
        if tokio::time::timeout(STOP_LIMIT, self.floor.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        self.pool.stop().await;
        let writer = self.writer;
        let ended = tokio::task::spawn_blocking(move || writer.join()).await?;
        control::forget(&self.settings.data_dir);
        ended
            .map_err(|_| anyhow!("the writer panicked; every fact acknowledged is on disk"))?
            .context("the store")
    }
}

/// Blocks of the last run whose rewards may still change are sent and booked again.
async fn recover(
    blocks: &Arc<Blocks>,
    pool: &Pool,
    folder: &Path,
    asset: &str,
) -> anyhow::Result<()> {
    let name = asset.to_owned();
    let open: HashSet<RewardId> = pool
        .order(move |books, _, _| {
            let asset = books.asset_named(&name);
            Ok(asset
                .map(|asset| books.open_rewards(asset))
                .unwrap_or_default()
                .into_iter()
                .map(|(id, _)| id)
                .collect())
        })
        .await?;
    let reader = Reader::open(folder)?;
    let rests = |id: RewardId| !open.contains(&id) && matches!(reader.reward(id), Ok(Some(_)));
    let count = blocks.recover(rests).context("the folder of found blocks")?;
    if count > 0 {
        tracing::info!(count, asset, "found blocks of the last run are submitted again");
    }
    Ok(())
}

async fn pool_number(pool: &Pool, name: &str) -> anyhow::Result<accounting::PoolId> {
    let wanted = name.to_owned();
    let found = pool.order(move |books, _, _| Ok(books.pool_named(&wanted))).await?;
    found.with_context(|| format!("pool \"{name}\" has no number; this is a bug"))
}

fn job_rules(own: &PoolSettings, coin: Coin, boot: u32, script: &[u8]) -> JobRules {
    let pays = match own.config.scheme {
        Scheme::Solo { custodial: false } => {
            Pays::Finder { fee_script: script.to_vec(), fee: own.config.base_fee() }
        }
        _ => Pays::Pool { script: script.to_vec() },
    };
    JobRules {
        algorithm: coin.algorithm(),
        boot,
        tag: own.tag.clone().into_bytes(),
        extranonce2_size: own.extranonce2_size,
        pays,
        scheme: own.config.scheme,
    }
}

/// A connection is an open file: as many as the system allows.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays low");
    }
}

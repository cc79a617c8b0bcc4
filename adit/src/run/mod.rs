//! The pool, put together and taken apart again.
//!
//! Invariant: nothing is handed out before the books are open and found blocks of the last run are on their way again; a
//! core task that ends, ends the process.

mod asset;
mod outlook;
mod pages;
mod port;

pub use asset::{Counter, fold_check};
pub use pages::Pages;
pub use port::{OpenPort, acceptor};

use crate::backup::schedule::Schedule;
use crate::config::{AssetSettings, PoolSettings, Settings};
use crate::control;
use accounting::{RewardId, Scheme};
use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use pool::{Clock, Pool, SystemClock, writer};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use store::{Reader, Sqlite, Store, StoreError};
use stratum::bans::Bans;
use stratum::block::Blocks;
use stratum::coin::Coin;
use stratum::extranonce::Extranonces;
use stratum::job::{JobMaker, JobRules, Pays};
use stratum::server::{self, Door, Floor, Stats};
use stratum::source;
use stratum::work;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long connections may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A pool that runs.
pub struct Running {
    /// The writer's door.
    pub pool: Pool,
    /// What the configuration said.
    pub settings: Settings,
    /// What runs so far.
    pub live: Arc<Live>,
    /// The pages, where they are served.
    pub pages: Option<Pages>,
    writer: JoinHandle<Result<(), StoreError>>,
}

/// What runs so far: an asset whose node is away joins later.
pub struct Live {
    /// One for each asset.
    pub counters: RwLock<Vec<Arc<Counter>>>,
    /// One for each pool.
    pub doors: RwLock<Vec<Arc<Door>>>,
    /// Who is not wanted.
    pub bans: Arc<ArcSwap<Bans>>,
    /// The open ports of all pools.
    pub ports: RwLock<Vec<OpenPort>>,
    /// Backups by the clock, if there are any.
    pub backups: Option<Arc<Schedule>>,
    /// What connections share.
    pub floor: Floor,
    core: Mutex<Vec<(String, tokio::task::JoinHandle<()>)>>,
}

impl Live {
    /// The counters so far.
    pub fn counters(&self) -> Vec<Arc<Counter>> {
        self.counters.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The doors so far.
    pub fn doors(&self) -> Vec<Arc<Door>> {
        self.doors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The addresses so far.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.ports().iter().map(|port| port.address).collect()
    }

    /// The open ports so far.
    pub fn ports(&self) -> Vec<OpenPort> {
        self.ports.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a task that the pool is nothing without: its end is the process's.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        self.keep(name, self.floor.tasks.spawn(task));
    }

    fn keep(&self, name: impl Into<String>, task: tokio::task::JoinHandle<()>) {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).push((name.into(), task));
    }

    /// The core tasks, and whether each still runs.
    pub fn loops(&self) -> Vec<(String, bool)> {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.iter().map(|(name, task)| (name.clone(), !task.is_finished())).collect()
    }

    /// A core task that has ended, by name.
    fn ended(&self) -> Option<String> {
        self.loops().into_iter().find(|(_, runs)| !runs).map(|(name, _)| name)
    }
}

/// Starts everything.
///
/// # Errors
/// When the store, a wallet or a port cannot be used; the text says what to do.
pub async fn start(settings: Settings, cancel: CancellationToken) -> anyhow::Result<Running> {
    raise_file_limit();
    let mut store = Sqlite::open(&settings.data_dir)?;
    // One number for each pool: no two pools ever hand out the same coinbase.
    let boots: Vec<u32> =
        settings.pools.iter().map(|_| store.count_boot()).collect::<Result<_, _>>()?;
    let assets = settings.assets.iter().map(|asset| asset.config.clone()).collect();
    let pools = settings.pools.iter().map(|pool| pool.config.clone()).collect();
    let writer = writer::start(Box::new(store), assets, pools, SystemClock)?;
    let (floor, beat) = Floor::new(TaskTracker::new(), cancel.clone());
    let bans = control::bans_of(&writer.pool).await?;
    let live = Arc::new(Live {
        bans: Arc::new(ArcSwap::from_pointee(bans)),
        counters: RwLock::default(),
        doors: RwLock::default(),
        ports: RwLock::default(),
        backups: settings.backups.clone().map(|backups| {
            Arc::new(Schedule::new(backups, settings.data_dir.clone(), Arc::new(SystemClock)))
        }),
        floor,
        core: Mutex::default(),
    });
    if let Some(backups) = live.backups.clone() {
        live.spawn("the backups", backups.run(cancel.clone()));
    }
    live.spawn("the beat", server::keep_beating(beat, cancel));
    let pages = match &settings.web {
        Some(web) => Some(pages::start(&settings, web, &writer.pool, &live)?),
        None => None,
    };
    let registered_only = settings.web.as_ref().and_then(|web| web.site.refusal());
    let (pool, writer) = (writer.pool.clone(), writer.thread);
    let running = Running { pool, settings, live: live.clone(), pages, writer };
    control::listen(&running)?;
    // Found blocks first: their nodes may be there though another asset's are not.
    let mut starting = JoinSet::new();
    for asset in &running.settings.assets {
        let own = running
            .settings
            .pools
            .iter()
            .zip(&boots)
            .filter(|(pool, _)| pool.config.asset == asset.config.name);
        let start = AssetStart {
            asset: asset.clone(),
            pools: own.map(|(pool, boot)| (pool.clone(), *boot)).collect(),
            blocks: recovered(&running, asset).await?,
            pool: running.pool.clone(),
            folder: running.settings.data_dir.clone(),
            live: live.clone(),
            registered_only: registered_only.clone(),
        };
        starting.spawn(start.run());
    }
    while let Some(started) = starting.join_next().await {
        started??;
    }
    Ok(running)
}

/// One asset and its pools, on their way up.
struct AssetStart {
    asset: AssetSettings,
    pools: Vec<(PoolSettings, u32)>,
    blocks: Arc<Blocks>,
    pool: Pool,
    folder: PathBuf,
    live: Arc<Live>,
    registered_only: Option<String>,
}

impl AssetStart {
    /// Waits for the wallet's node as long as it takes, then opens the asset's counter and its pools' ports.
    async fn run(self) -> anyhow::Result<()> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (asset, pool, live) = (&self.asset, &self.pool, &self.live);
        let cancel = live.floor.cancel.clone();
        let treasury = asset::open_treasury(asset, pool, &clock, &cancel).await?;
        let script = treasury.script().to_bytes();
        let mut source = source::start(asset.source.clone(), clock.clone(), cancel.clone());
        for task in source.tasks.drain(..) {
            live.keep(format!("the node watch of {}", asset.config.name), task);
        }
        let offers = source.offers.clone();
        let counter = asset::open(asset, treasury, source, pool, &self.folder, live).await?;
        live.counters.write().unwrap_or_else(PoisonError::into_inner).push(counter);
        for (own, boot) in &self.pools {
            let maker = JobMaker::new(job_rules(own, asset.coin, *boot, &script), clock.now());
            let pool_id = pool_number(pool, &own.config.name).await?;
            let (paused, pauses) = watch::channel(control::pause_of(pool, &own.config.name).await?);
            let door = Arc::new(Door {
                pool: pool.clone(),
                pool_id,
                coin: asset.coin,
                rules: maker.rules().clone(),
                jobs: maker.subscribe(),
                bans: live.bans.clone(),
                registered_only: self.registered_only.clone(),
                paused,
                extranonces: Arc::new(Extranonces::default()),
                blocks: self.blocks.clone(),
                clock: clock.clone(),
                stats: Stats::default(),
            });
            let (offers, clock, cancel) = (offers.clone(), clock.clone(), cancel.clone());
            let known_as = (pool_id, asset.coin);
            let making = work::run(maker, offers, pool.clone(), known_as, clock, pauses, cancel);
            live.spawn(format!("the work of pool {}", own.config.name), making);
            for port in &own.ports {
                let open = port::open(port, &door, live)?;
                live.ports.write().unwrap_or_else(PoisonError::into_inner).push(open);
            }
            live.doors.write().unwrap_or_else(PoisonError::into_inner).push(door);
        }
        Ok(())
    }
}

impl Running {
    /// Waits until it was told to stop, or a core task ended.
    ///
    /// # Errors
    /// What ended.
    pub async fn until_stopped(&self) -> anyhow::Result<()> {
        let cancel = &self.live.floor.cancel;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            if self.writer.is_finished() {
                return Err(anyhow!(
                    "the writer ended; see the log. Every fact acknowledged so far is on disk"
                ));
            }
            if let Some(name) = self.live.ended().filter(|_| !cancel.is_cancelled()) {
                return Err(anyhow!(
                    "{name} ended, which never happens in a healthy pool; see the log, and start again"
                ));
            }
        }
    }

    /// Ends every connection, then the writer.
    ///
    /// # Errors
    /// What the store said last.
    pub async fn stop(self) -> anyhow::Result<()> {
        let floor = &self.live.floor;
        floor.cancel.cancel();
        floor.tasks.close();
        if tokio::time::timeout(STOP_LIMIT, floor.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        // A block found in the last moment is on its way before anything ends.
        let mut settling = JoinSet::new();
        for door in self.live.doors() {
            settling.spawn(async move { door.blocks.settle(STOP_LIMIT).await });
        }
        settling.join_all().await;
        if let Some(pages) = self.pages {
            pages.stop().await;
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

/// Where an asset's found blocks go; those of the last run whose rewards may still change are sent and booked again.
async fn recovered(running: &Running, asset: &AssetSettings) -> anyhow::Result<Arc<Blocks>> {
    let (pool, folder, name) = (&running.pool, &running.settings.data_dir, &asset.config.name);
    let nodes = asset.source.nodes.iter().map(|node| node.endpoint.clone()).collect();
    let blocks =
        Blocks::new(folder.join("blocks").join(name), nodes, pool.clone(), asset.coin.to_string());
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
    let mut pools = Vec::new();
    for own in running.settings.pools.iter().filter(|pool| pool.config.asset == *name) {
        pools.push(pool_number(pool, &own.config.name).await?);
    }
    let reader = Reader::open(folder)?;
    let rests = |id: RewardId| !open.contains(&id) && matches!(reader.reward(id), Ok(Some(_)));
    let count = blocks.recover(&pools, rests).context("the folder of found blocks")?;
    if count > 0 {
        tracing::info!(count, asset = name, "found blocks of the last run are submitted again");
    }
    Ok(blocks)
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

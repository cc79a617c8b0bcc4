//! The pool, put together and taken apart again.
//!
//! Invariant: nothing is handed out before the books are open and found blocks of the last run are on their way again; a
//! core task that ends, ends the process.

mod chia;
mod claims;
mod coin;
mod compute;
mod counter;
mod door;
mod ether;
mod exchange;
mod gxc;
mod mining;
mod nodes;
mod outlook;
mod pages;
mod port;
mod trees;

pub use compute::prepared;
pub use counter::{Counter, fold_check};
pub use door::OpenDoor;
pub use pages::Pages;
pub use port::{OpenPort, acceptor};

use crate::backup::schedule::Schedule;
use crate::config::{AssetKind, AssetSettings, PoolSettings, Settings};
use crate::control;
use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use pool::bans::Bans;
use pool::{Pool, SystemClock, writer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::{Sqlite, Store, StoreError};
use stratum::server::{self, Floor};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long connections may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How long hashes that take long may be waited for.
const HASH_LIMIT: Duration = Duration::from_secs(60);

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
    pub doors: RwLock<Vec<OpenDoor>>,
    /// Who is not wanted.
    pub bans: Arc<ArcSwap<Bans>>,
    /// The open ports of all pools.
    pub ports: RwLock<Vec<OpenPort>>,
    /// Backups by the clock, if there are any.
    pub backups: Option<Arc<Schedule>>,
    /// What connections share.
    pub floor: Floor,
    /// Threads of compute doors, which end after their doors did.
    pub desks: Mutex<Vec<::compute::office::Running>>,
    core: Mutex<Vec<(String, tokio::task::JoinHandle<()>)>>,
}

impl Live {
    /// The counters so far.
    pub fn counters(&self) -> Vec<Arc<Counter>> {
        self.counters.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The doors so far.
    pub fn doors(&self) -> Vec<OpenDoor> {
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
        desks: Mutex::default(),
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
        let start = Start {
            asset: asset.clone(),
            pools: own.map(|(pool, boot)| (pool.clone(), *boot)).collect(),
            pool: running.pool.clone(),
            folder: running.settings.data_dir.clone(),
            live: live.clone(),
            registered_only: registered_only.clone(),
        };
        match &asset.kind {
            AssetKind::Coin(own) => {
                let blocks = coin::recovered(&start, own).await?;
                starting.spawn(coin::start(start, (**own).clone(), blocks));
            }
            AssetKind::Chia(own) => {
                starting.spawn(chia::start(start, (**own).clone()));
            }
            AssetKind::External(own) => {
                starting.spawn(compute::start(start, own.clone()));
            }
            AssetKind::Ether(own) => {
                let blocks = ether::recovered(&start, own).await?;
                starting.spawn(ether::start(start, (**own).clone(), blocks));
            }
            AssetKind::Gxc(own) => {
                let blocks = gxc::recovered(&start, own).await?;
                starting.spawn(gxc::start(start, (**own).clone(), blocks));
            }
        }
    }
    while let Some(started) = starting.join_next().await {
        started??;
    }
    Ok(running)
}

/// One asset and its pools, on their way up.
struct Start {
    asset: AssetSettings,
    pools: Vec<(PoolSettings, u32)>,
    pool: Pool,
    folder: PathBuf,
    live: Arc<Live>,
    registered_only: Option<String>,
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
        let began = Instant::now();
        while tokio::time::timeout(STOP_LIMIT, floor.tasks.wait()).await.is_err() {
            let hashing = self.live.doors().iter().map(OpenDoor::hashing).max().unwrap_or(0);
            if hashing == 0 || began.elapsed() > HASH_LIMIT {
                tracing::warn!(hashing, "some connections did not end in time");
                break;
            }
            tracing::info!(hashing, "shares are still being hashed: any of them may be a block");
        }
        // A block found in the last moment is on its way before anything ends.
        let mut settling = JoinSet::new();
        for door in self.live.doors() {
            settling.spawn(async move { door.settle(STOP_LIMIT).await });
        }
        settling.join_all().await;
        let desks =
            std::mem::take(&mut *self.live.desks.lock().unwrap_or_else(PoisonError::into_inner));
        for desk in desks {
            tokio::task::spawn_blocking(|| desk.join()).await?;
        }
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

/// A pool's number in the books.
async fn pool_number(pool: &Pool, name: &str) -> anyhow::Result<accounting::PoolId> {
    let wanted = name.to_owned();
    let found = pool.order(move |books, _, _| Ok(books.pool_named(&wanted))).await?;
    found.with_context(|| format!("pool \"{name}\" has no number; this is a bug"))
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

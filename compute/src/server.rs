//! The door itself: the HTTP API of the BitSota pool, with every request's sender believed first.
//!
//! A request reads top to bottom: headers → [`crate::auth`] → body parsed once → one step of the [`crate::desk`] → on disk → 200.
//! Invariant: what answers 200 is on disk; a refusal says in `detail` what to do, in the words the original's clients know.

mod arbiter;
mod axon;
mod caller;
mod close;
mod described;
mod ledger;
mod limit;
mod miners;
mod refusal;
mod relay;
mod reports;
mod rewards;
mod routes;
mod settings;
pub(crate) mod socket;
pub mod summary;
mod tasks;
mod turns;

pub use ledger::Ledger;
pub use settings::{Pace, Settings, Unwanted};

use self::limit::Limit;
use self::refusal::{Refusal, too_often};
use self::turns::Turns;
use crate::auth::{Replay, ReplayCache, SKEW_MAX_S};
use crate::card::Card;
use crate::evaluate::Prepared;
use crate::key::PublicKey;
use crate::office::{Closed, Office, Running};
use crate::tables::reader::Reader;
use crate::tables::standing::Leader;
use crate::tables::{TableError, Tables};
use crate::wire::bitsota::About;
use crate::wire::trouble::Paused;
use accounting::UnixMs;
use axum::http::StatusCode;
use pool::clock::Clock;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The original's port.
pub const PORT: u16 = 8434;
/// How often old leases and old signatures are looked for.
const CARE: Duration = Duration::from_secs(1);

/// Neurons' work that is evaluated at once.
const TURNS: usize = 2;
/// When to ask a paused pool again.
const PAUSED_S: u64 = 60;

/// What happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Leases handed out.
    pub leases: u64,
    /// Answers taken.
    pub answers: u64,
    /// Requests that were answered with a refusal.
    pub refused: u64,
}

#[derive(Default)]
struct Counters {
    leases: AtomicU64,
    answers: AtomicU64,
    refused: AtomicU64,
}

/// The door's state.
pub struct Door {
    settings: Settings,
    office: Office,
    reader: Arc<Reader>,
    /// Who earned most, and until when that is shown.
    board: Mutex<Option<(Instant, Arc<Vec<Leader>>)>>,
    replay: Replay,
    set: Prepared,
    set_hash: String,
    clock: Arc<dyn Clock>,
    /// Something may be waiting for the pool's own result.
    news: Notify,
    /// Neurons' work that is evaluated at once.
    turns: Arc<Turns>,
    counters: Counters,
    keys: Limit<PublicKey>,
    addresses: Limit<IpAddr>,
    /// Why no work is handed out, if none is.
    paused: RwLock<Option<String>>,
    address: OnceLock<SocketAddr>,
}

/// A door that can be served.
pub struct Opened {
    /// Its state.
    pub door: Arc<Door>,
    /// Its thread.
    pub running: Running,
}

impl Door {
    /// Opens the tables in a folder.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn open(
        folder: &Path,
        settings: Settings,
        set: Prepared,
        clock: Arc<dyn Clock>,
        secret: u64,
    ) -> Result<Opened, TableError> {
        let length_s = settings.budget.length_s;
        Tables::open(folder)?.fix_epoch_length(length_s)?;
        let (office, running, seen) = Office::open(folder, settings.desk, secret)?;
        let reader = Arc::new(Reader::open(folder)?);
        let mut replay = ReplayCache::starting(seconds(clock.now()));
        for seen in seen {
            if replay.note(seen).is_err() {
                tracing::debug!("a signature of before the start stood twice");
            }
        }
        let set_hash = set.hash().to_string();
        let Pace { per_key, per_address } = settings.pace;
        let door = Door {
            settings,
            office,
            reader,
            board: Mutex::default(),
            replay: Replay::of(replay),
            set,
            set_hash,
            clock,
            news: Notify::new(),
            turns: Turns::of(TURNS),
            counters: Counters::default(),
            keys: Limit::per_minute(per_key),
            addresses: Limit::per_minute(per_address),
            paused: RwLock::default(),
            address: OnceLock::new(),
        };
        Ok(Opened { door: Arc::new(door), running })
    }

    /// Serves until cancelled; then finishes what has arrived.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        cancel: CancellationToken,
    ) {
        let tasks = TaskTracker::new();
        tasks.spawn(arbiter::work(self.clone(), cancel.clone()));
        tasks.spawn(self.clone().care(cancel.clone()));
        tasks.spawn(self.clone().tell(cancel.clone()));
        if let Some(relay) = self.settings.relay.clone() {
            tasks.spawn(relay::work(self.clone(), relay, cancel.clone()));
        }
        let (router, proxies) = (routes::router(self.clone()), self.settings.proxies.clone());
        socket::serve(listener, tls, router, proxies, tasks.clone(), cancel).await;
        tasks.close();
        tasks.wait().await;
        self.office.stop().await;
    }

    /// Plants the programs the pool begins with, gives back expired leases, forgets.
    async fn care(self: Arc<Self>, cancel: CancellationToken) {
        if let Err(error) = self.plant().await {
            tracing::warn!(%error, "the first algorithms could not be planted");
        }
        let mut ticks = tokio::time::interval(CARE);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now_s = self.now_s();
            self.replay.lock().forget(now_s);
            if let Err(error) = self.tidy(now_s).await {
                tracing::warn!(%error, "leases could not be looked after");
            }
        }
    }

    async fn plant(&self) -> Result<(), Closed> {
        let (founders, now_s) = (self.settings.founders.clone(), self.now_s());
        self.office
            .step(None, move |desk, tables| {
                let mut changes = Vec::new();
                for program in founders {
                    if !tables.knows(&program.normal().fingerprint())? {
                        changes.extend(desk.found(&program, now_s));
                    }
                }
                Ok(((), changes))
            })
            .await?;
        self.news.notify_one();
        Ok(())
    }

    async fn tidy(&self, now_s: u64) -> Result<(), Closed> {
        self.office
            .step(None, move |desk, tables| {
                let changes = desk.expire(now_s);
                tables.forget_seen(now_s.saturating_sub(2 * SKEW_MAX_S))?;
                Ok(((), changes))
            })
            .await
    }

    /// Stops handing out work for a reason, or goes on. Answers are taken all the same.
    pub fn pause(&self, reason: Option<String>) {
        *self.paused.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// What happened since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            leases: read(&self.counters.leases),
            answers: read(&self.counters.answers),
            refused: read(&self.counters.refused),
        }
    }

    /// Says where it listens, for people.
    pub fn listens_at(&self, address: SocketAddr) {
        self.address.get_or_init(|| address);
    }

    /// Where it listens, if it was said.
    #[must_use]
    pub fn listening(&self) -> Option<SocketAddr> {
        self.address.get().copied()
    }

    /// Refuses while no work is handed out.
    fn is_open(&self) -> Result<(), Refusal> {
        let paused = self.paused.read().unwrap_or_else(PoisonError::into_inner);
        let Some(reason) = &*paused else { return Ok(()) };
        let words = Paused { reason, retry_after_s: PAUSED_S };
        Err(Refusal::later(StatusCode::NOT_FOUND, words, PAUSED_S))
    }

    fn now_s(&self) -> u64 {
        seconds(self.clock.now())
    }

    fn about(&self) -> About<'_> {
        let (set, input_dim) = (self.set.name(), self.set.input_dim());
        About { set, set_hash: &self.set_hash, input_dim }
    }

    /// How it works.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The data set's name and hash.
    #[must_use]
    pub fn data_set(&self) -> (&str, &str) {
        (self.set.name(), &self.set_hash)
    }

    /// A miner's card, read beside the desk: for a thread that may block. Nothing of somebody who never asked for anything.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn card(&self, key: &PublicKey) -> Result<Option<Card>, TableError> {
        let rules = (&self.settings.budget, &self.settings.desk.tariff);
        self.reader.read(|tables| Card::read(tables, key, rules, self.now_s()))
    }

    /// Whom `btauth/1` requests must be meant for.
    #[must_use]
    pub fn own(&self) -> PublicKey {
        self.settings.own.public()
    }
}

fn seconds(time: UnixMs) -> u64 {
    time.0 / 1000
}

type Answered = Result<axum::Json<serde_json::Value>, Refusal>;

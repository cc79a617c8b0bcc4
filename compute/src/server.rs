//! The door itself: the HTTP API of the BitSota pool, with every request's sender believed first.
//!
//! A request reads top to bottom: headers → [`crate::auth`] → body parsed once → one step of the [`crate::desk`] → on disk → 200.
//! Invariant: what answers 200 is on disk; a refusal says in `detail` what to do, in the words the original's clients know.

mod arbiter;
mod axon;
mod caller;
mod close;
mod ledger;
mod limit;
mod miners;
mod reports;
mod rewards;
mod socket;
mod tasks;

pub use ledger::Ledger;

use self::limit::Limit;
use crate::auth::{Replay, ReplayCache, SKEW_MAX_S};
use crate::desk::{self, Reject};
use crate::dsl::Program;
use crate::evaluate::Prepared;
use crate::key::{PublicKey, SigningKey};
use crate::office::{Closed, Office, Running};
use crate::tables::epochs::Budget;
use crate::tables::{TableError, Tables};
use crate::wire::bitsota::{About, BODY_MAX, BadBody, status_of};
use accounting::UnixMs;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use pool::clock::Clock;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
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

/// How the door works.
#[derive(Clone)]
pub struct Settings {
    /// How leases and votes work.
    pub desk: desk::Settings,
    /// How epochs are paid.
    pub budget: Budget,
    /// How long a changed coldkey waits.
    pub coldkey_delay_s: u64,
    /// What `/api/v1/monitor/summary` asks for.
    pub monitor_token: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
    /// The pool's own key: the receiver of `btauth/1`, and what reports are signed with.
    pub own: SigningKey,
    /// Hotkeys whose synapses are refused.
    pub blacklist: BTreeSet<PublicKey>,
    /// Programs the pool begins with.
    pub founders: Vec<Program>,
    /// Where what is earned is paid.
    pub ledger: Ledger,
    /// Who is not listened to.
    pub unwanted: Unwanted,
    /// How often somebody may ask.
    pub pace: Pace,
}

/// Requests a minute; 0 for any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Of one hotkey.
    pub per_key: u32,
    /// Of one internet address.
    pub per_address: u32,
}

impl Pace {
    /// What no honest client comes near: the original's asks once a second at most.
    pub const USUAL: Pace = Pace { per_key: 240, per_address: 2400 };
    /// Any number.
    pub const ANY: Pace = Pace { per_key: 0, per_address: 0 };
}

/// Who is not listened to, as it is at each request.
#[derive(Clone)]
pub struct Unwanted(Arc<UnwantedFn>);

type UnwantedFn = dyn Fn(Option<IpAddr>, Option<&PublicKey>) -> bool + Send + Sync;

impl Unwanted {
    /// By the word of whoever keeps the list: of an address, or of a hotkey.
    pub fn by(
        is_unwanted: impl Fn(Option<IpAddr>, Option<&PublicKey>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Unwanted(Arc::new(is_unwanted))
    }

    /// Nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self::by(|_, _| false)
    }
}

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
    replay: Replay,
    set: Prepared,
    set_hash: String,
    clock: Arc<dyn Clock>,
    /// Something may be waiting for the pool's own result.
    news: Notify,
    /// Neurons' work that is evaluated at once.
    turns: Semaphore,
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
            replay: Replay::of(replay),
            set,
            set_hash,
            clock,
            news: Notify::new(),
            turns: Semaphore::new(TURNS),
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
        socket::serve(listener, tls, router(self.clone()), tasks.clone(), cancel).await;
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
        let detail =
            format!("No tasks available: the pool is paused ({reason}): ask again in {PAUSED_S} s");
        Err(Refusal { status: StatusCode::NOT_FOUND, detail, retry_after_s: Some(PAUSED_S) })
    }

    fn now_s(&self) -> u64 {
        seconds(self.clock.now())
    }

    fn about(&self) -> About<'_> {
        let (set, input_dim) = (self.set.name(), self.set.input_dim());
        About { set, set_hash: &self.set_hash, input_dim }
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

/// Every route, grouped by who calls it.
fn router(door: Arc<Door>) -> Router {
    let miners = Router::new()
        .route("/api/v1/miners/register", post(miners::register))
        .route("/api/v1/miners/stats", get(miners::stats))
        .route(
            "/api/v1/miners/recipient-coldkey",
            get(miners::coldkey).put(miners::set_coldkey).post(miners::set_coldkey),
        )
        .route("/api/v1/miners/coldkey_address/update", post(miners::set_coldkey))
        .route("/coldkey_address/update", post(miners::set_coldkey))
        .route("/api/v1/tasks/pending_evaluations", get(tasks::pending))
        .route("/api/v1/tasks/request", post(tasks::request))
        .route("/api/v1/tasks/lease", post(tasks::lease))
        .route("/api/v1/tasks/{id}/submit_lease", post(tasks::submit))
        .route("/api/v1/tasks/{id}/submit_evolution", post(tasks::submit))
        .route("/api/v1/tasks/{id}/submit_evaluation", post(tasks::submit))
        .route("/api/v1/results", get(reports::results))
        .route("/api/v1/results/", get(reports::results))
        .route("/api/v1/results/verify/{id}", post(reports::verify));
    let rewards = Router::new()
        .route("/api/v1/rewards/balance/{hotkey}", get(rewards::balance))
        .route("/api/v1/rewards/{hotkey}/balance", get(rewards::balance))
        .route("/api/v1/rewards/withdraw/{hotkey}", post(rewards::withdraw))
        .route("/api/v1/rewards/{hotkey}/withdraw", post(rewards::withdraw))
        .route("/api/v1/rewards/history/{hotkey}", get(rewards::history))
        .route("/api/v1/rewards/{hotkey}/history", get(rewards::history));
    let anybody = Router::new()
        .route("/health", get(reports::health))
        .route("/api/v1/disclaimer", get(reports::disclaimer))
        .route("/api/v1/disclaimer.md", get(reports::disclaimer_text))
        .route("/disclaimer.md", get(reports::disclaimer_text))
        .route("/status", get(reports::status))
        .route("/api/v1/miners/leaderboard", get(miners::leaderboard))
        .route("/api/v1/miners/recipient-coldkey/{hotkey}", get(miners::coldkey_of))
        .route("/api/v1/results/sota", get(reports::sota))
        .route("/claims/epochs", get(reports::epochs))
        .route("/claims/epoch", get(reports::last_epoch))
        .route("/claims/epoch/{id}", get(reports::epoch))
        .route("/claims/epoch/{id}/proof/{hotkey}", get(reports::proof))
        .route("/claims/epoch/{id}/claim/{hotkey}", get(reports::proof));
    let operators = Router::new().route("/api/v1/monitor/summary", get(reports::monitor));
    miners
        .merge(rewards)
        .merge(anybody)
        .merge(operators)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn_with_state(door.clone(), caller::admit))
        .with_state(door)
}

/// A refusal as clients read it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    detail: String,
    retry_after_s: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, detail: impl std::fmt::Display) -> Self {
        Refusal { status, detail: detail.to_string(), retry_after_s: None }
    }
}

/// Somebody asks too often.
fn too_often(who: &str, retry_after_s: u64) -> Refusal {
    let detail = format!("too many requests of this {who}: ask again in {retry_after_s} s");
    let status = StatusCode::TOO_MANY_REQUESTS;
    Refusal { status, detail, retry_after_s: Some(retry_after_s) }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = axum::Json(serde_json::json!({ "detail": self.detail }));
        let mut response = (self.status, body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        let (status, retry_after_s) = status_of(&reject);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Refusal { status, detail: reject.to_string(), retry_after_s }
    }
}

impl From<Closed> for Refusal {
    fn from(closed: Closed) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Refusal { status, detail: closed.to_string(), retry_after_s: Some(5) }
    }
}

impl From<BadBody> for Refusal {
    fn from(bad: BadBody) -> Self {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, bad)
    }
}

type Answered = Result<axum::Json<serde_json::Value>, Refusal>;

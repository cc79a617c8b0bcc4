//! The worker's own page: a miner picks the pool or direct mode, starts and stops, and sees what is going on.
//!
//! It is for this machine only, and its address carries a token that is new at each start. What is computed is what `adit worker`
//! computes: the page starts and stops it. Invariant: at most one miner works at a time, and leaving the page changes nothing.

mod page;

use super::direct::Direct;
use super::engine::Engine;
use super::{Account, Client, ClientError, Config, News, Progress, now_s};
use crate::evaluate::Prepared;
use crate::key::SigningKey;
use crate::loopback::{Intruder, is_own, is_token};
use crate::server::socket;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Lines of the log that are kept.
const LOG_MAX: usize = 200;
/// How often the pool is asked for the balance, at most.
const BALANCE_S: u64 = 10;
/// The cookie that holds the token.
const COOKIE: &str = "adit_worker";

/// Where a miner may work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// For a pool.
    #[default]
    Pool,
    /// For the relay itself.
    Direct,
}

/// How the page begins.
pub struct Options {
    /// The hotkey.
    pub key: SigningKey,
    /// What programs are scored on.
    pub set: Arc<Prepared>,
    /// Where what is in hand is kept.
    pub folder: PathBuf,
    /// Algorithms to score at once.
    pub batch: usize,
    /// Programs tried for each that is sent.
    pub generations: usize,
    /// The pool that is proposed.
    pub pool: Option<String>,
    /// The relay that is proposed.
    pub relay: Option<String>,
    /// What the page's address carries.
    pub token: String,
}

/// The pool that an existing `gui_config.json` names.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn pool_endpoint(file: &Path) -> std::io::Result<Option<String>> {
    let bytes = match std::fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let config: Value = serde_json::from_slice(&bytes)?;
    let endpoint = config["pool_endpoint"].as_str().map(|text| text.trim_end_matches('/'));
    Ok(endpoint.filter(|text| !text.is_empty()).map(str::to_owned))
}

/// What is shown.
#[derive(Debug, Default)]
struct Shown {
    mode: Mode,
    pool: String,
    relay: String,
    is_working: bool,
    task: String,
    progress: Option<Progress>,
    evaluated: u64,
    answered: u64,
    last_score: Option<f64>,
    best_score: Option<f64>,
    balance: Option<Value>,
    asked_balance_s: u64,
    log: VecDeque<(u64, String)>,
}

/// The page and what works behind it.
pub struct Ui {
    options: Options,
    shown: Arc<Mutex<Shown>>,
    work: Mutex<Option<CancellationToken>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Ui {
    /// A page that proposes what the options say; nothing works yet.
    #[must_use]
    pub fn new(options: Options, cancel: CancellationToken) -> Arc<Self> {
        let shown = Shown {
            mode: if options.pool.is_none() && options.relay.is_some() {
                Mode::Direct
            } else {
                Mode::Pool
            },
            pool: options.pool.clone().unwrap_or_default(),
            relay: options.relay.clone().unwrap_or_default(),
            ..Shown::default()
        };
        Arc::new(Ui {
            options,
            shown: Arc::new(Mutex::new(shown)),
            work: Mutex::default(),
            tasks: TaskTracker::new(),
            cancel,
        })
    }

    /// Serves until cancelled; then stops what works.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let router = Router::new()
            .route("/", get(page))
            .route("/style.css", get(style))
            .route("/start", post(start))
            .route("/stop", post(stop))
            .with_state(self.clone());
        let (tasks, cancel) = (self.tasks.clone(), self.cancel.clone());
        socket::serve(listener, None, router, Vec::new(), tasks, cancel).await;
        self.halt();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only this machine's browser, and only with the token.
    fn admit(&self, headers: &HeaderMap, given: Option<&str>) -> Result<(), Outsider> {
        let cookie = headers.get(header::COOKIE).and_then(|value| value.to_str().ok());
        let cookies = cookie.into_iter().flat_map(|all| all.split("; "));
        let mut pairs = cookies.filter_map(|pair| pair.split_once('='));
        let kept = pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value);
        is_own(headers)
            .and_then(|()| is_token(given.or(kept), &self.options.token))
            .map_err(Outsider)
    }

    /// Starts what was chosen.
    fn begin(self: &Arc<Self>, choice: &Choice) -> Result<(), ClientError> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.is_some() {
            return Ok(());
        }
        let cancel = self.cancel.child_token();
        let engine = Engine {
            set: self.options.set.clone(),
            generations: self.options.generations,
            folder: self.options.folder.clone(),
            tell: self.teller(),
            cancel: cancel.clone(),
        };
        let key = self.options.key.clone();
        let miner = match choice.mode {
            Mode::Pool => Miner::Pool(Client::of(
                Config {
                    pool: choice.pool.clone(),
                    key,
                    folder: self.options.folder.clone(),
                    batch: self.options.batch,
                    generations: self.options.generations,
                },
                engine,
            )?),
            Mode::Direct => Miner::Direct(Direct::new(&choice.relay, key, engine)?),
        };
        *work = Some(cancel);
        drop(work);
        let own = self.clone();
        self.tasks.spawn(async move {
            let ended = miner.work().await;
            own.work.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut shown = own.shown();
            shown.is_working = false;
            shown.progress = None;
            shown.task.clear();
            shown.note(match ended {
                Ok(()) => "stopped; what is in hand is kept".into(),
                Err(error) => error.to_string(),
            });
        });
        let mut shown = self.shown();
        shown.is_working = true;
        (shown.mode, shown.pool, shown.relay) =
            (choice.mode, choice.pool.clone(), choice.relay.clone());
        shown.note("started".into());
        Ok(())
    }

    fn halt(&self) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cancel) = &*work {
            cancel.cancel();
        }
    }

    fn teller(&self) -> super::Tell {
        let shown = self.shown.clone();
        Arc::new(move |news| shown.lock().unwrap_or_else(PoisonError::into_inner).hear(&news))
    }

    /// Asks the pool what is owed, not too often.
    async fn look_at_balance(&self) {
        let pool = {
            let mut shown = self.shown();
            let due = shown.asked_balance_s + BALANCE_S <= now_s();
            if shown.mode != Mode::Pool || shown.pool.is_empty() || !due {
                return;
            }
            shown.asked_balance_s = now_s();
            shown.pool.clone()
        };
        let Ok(account) = Account::new(&pool, self.options.key.clone()) else { return };
        let target = format!("/api/v1/rewards/balance/{}", account.hotkey());
        match account.get(&target).await {
            Ok(balance) => self.shown().balance = Some(balance),
            Err(trouble) => tracing::debug!(%trouble, "the pool did not say the balance"),
        }
    }
}

enum Miner {
    Pool(Client),
    Direct(Direct),
}

impl Miner {
    async fn work(&self) -> Result<(), ClientError> {
        match self {
            Miner::Pool(client) => client.work().await,
            Miner::Direct(direct) => direct.work().await,
        }
    }
}

impl Shown {
    fn note(&mut self, line: String) {
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back((now_s(), line));
    }

    fn hear(&mut self, news: &News) {
        match news {
            News::Leased { lease, evaluate, evolve } => {
                self.task = format!("lease {lease}: {evaluate} to evaluate, {evolve} to evolve");
            }
            News::Evaluated { score, .. } => {
                self.evaluated += 1;
                self.last_score = *score;
            }
            News::Evolved { to, .. } => self.best(*to),
            News::Searching { threshold, best } => {
                self.task = format!("searching for more than {threshold:.6}");
                self.best(*best);
            }
            News::Answered(_) | News::Submitted { .. } => {
                self.answered += 1;
                self.progress = None;
                self.task.clear();
            }
            News::Progress(progress) => {
                self.progress = Some(*progress);
                return;
            }
            News::Registered(_) | News::Waiting(..) | News::OffConsensus { .. } => {}
        }
        self.note(news.to_string());
    }

    fn best(&mut self, found: Option<f64>) {
        if found > self.best_score {
            self.best_score = found;
        }
    }
}

/// Who may not see the page.
struct Outsider(Intruder);

impl IntoResponse for Outsider {
    fn into_response(self) -> Response {
        let text = format!("{}: open the address that `adit worker --ui` printed\n", self.0);
        (StatusCode::FORBIDDEN, text).into_response()
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    pool: String,
    #[serde(default)]
    relay: String,
}

async fn page(
    State(ui): State<Arc<Ui>>,
    Query(asked): Query<Token>,
    headers: HeaderMap,
) -> Result<Response, Outsider> {
    ui.admit(&headers, asked.token.as_deref())?;
    if asked.token.is_some() {
        // The token leaves the address bar, and stays with this browser.
        let cookie = format!("{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/", ui.options.token);
        return Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response());
    }
    ui.look_at_balance().await;
    let html = page::html(&ui.shown(), &ui.options.key.public().to_string());
    let mut answer = Html(html).into_response();
    let policy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], page::STYLE)
}

async fn start(
    State(ui): State<Arc<Ui>>,
    headers: HeaderMap,
    Form(choice): Form<Choice>,
) -> Result<Redirect, Outsider> {
    ui.admit(&headers, None)?;
    if let Err(error) = ui.begin(&choice) {
        ui.shown().note(error.to_string());
    }
    Ok(Redirect::to("/"))
}

async fn stop(State(ui): State<Arc<Ui>>, headers: HeaderMap) -> Result<Redirect, Outsider> {
    ui.admit(&headers, None)?;
    ui.halt();
    Ok(Redirect::to("/"))
}

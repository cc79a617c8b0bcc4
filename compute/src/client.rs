//! The other end: a miner that asks a pool for leases, evaluates and evolves, and answers.
//!
//! It knows of the pool only what is on the wire. What it has in hand is on disk, so that a crash costs the evaluation at work and
//! nothing else. Invariant: an answer is kept until the pool has taken it or says that nobody waits for it.

mod account;
pub mod direct;
pub mod driver;
mod engine;
mod hand;
mod http;
pub mod key;
pub mod local;
pub mod ui;
mod verdicts;

use crate::evaluate::{Evaluation, Prepared};
use crate::key::SigningKey;
use crate::tables::write::hex;
pub use account::Account;
pub use engine::{Engine, Tell};
use hand::{Given, Hand};
pub(crate) use http::Http;
pub use http::{BadAddress, HttpError};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use verdicts::Verdicts;

/// When to ask again where the pool does not say.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest time between two questions.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How a miner works.
pub struct Config {
    /// The pool, such as `http://pool.example:8434`.
    pub pool: String,
    /// Their hotkey.
    pub key: SigningKey,
    /// Where what they have in hand is kept.
    pub folder: PathBuf,
    /// Algorithms to score at once.
    pub batch: usize,
    /// New programs tried for each that is sent.
    pub generations: usize,
}

/// Why a miner cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Where?
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// What it has in hand cannot be kept.
    #[error("what is in hand cannot be kept: {0}")]
    Disk(#[from] std::io::Error),
    /// What it has in hand cannot be written down.
    #[error("what is in hand cannot be written down: {0}")]
    Form(#[from] serde_json::Error),
    /// The other side does not want this miner.
    #[error("refused: {0}")]
    Refused(String),
}

/// What happened, for people.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// The pool knows us.
    Registered(String),
    /// Work came.
    Leased {
        /// Its name.
        lease: String,
        /// Algorithms to score.
        evaluate: usize,
        /// New ones that it may bring.
        evolve: usize,
    },
    /// An algorithm is scored.
    Evaluated {
        /// Its number.
        algorithm: u64,
        /// What it is worth; nothing, if it gives no usable number.
        score: Option<f64>,
    },
    /// A better one was looked for.
    Evolved {
        /// The best seed.
        from: Option<f64>,
        /// The best found.
        to: Option<f64>,
    },
    /// The pool has the answer.
    Answered(String),
    /// Nothing to do, or trouble: what the pool said, and when we ask again.
    Waiting(String, Duration),
    /// Working for a relay: what must be beaten, and the best so far.
    Searching {
        /// The relay's best.
        threshold: f64,
        /// Ours.
        best: Option<f64>,
    },
    /// A relay has our algorithm, or says why not.
    Submitted {
        /// What it is worth.
        score: f64,
        /// What became of it.
        said: String,
    },
    /// A vote of ours was decided and earned nothing.
    OffConsensus {
        /// On which algorithm.
        algorithm: u64,
        /// The pool's words: our score, the median, of how many, and what is near enough.
        why: String,
    },
    /// How far the work in hand is.
    Progress(Progress),
}

/// How far the work in hand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// `evaluating` or `evolving`.
    pub doing: &'static str,
    /// Algorithms that are scored, or programs that were tried.
    pub done: usize,
    /// Of so many.
    pub of: usize,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} of {}", self.doing, self.done, self.of)
    }
}

impl std::fmt::Display for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number =
            |score: &Option<f64>| score.map_or("none".into(), |score| format!("{score:.6}"));
        match self {
            News::Registered(key) => write!(f, "registered as {key}"),
            News::Leased { lease, evaluate, evolve } => {
                write!(f, "lease {lease}: {evaluate} to evaluate, {evolve} to evolve")
            }
            News::Evaluated { algorithm, score } => {
                write!(f, "algorithm {algorithm}: {}", number(score))
            }
            News::Evolved { from, to } => {
                write!(f, "evolved from {} to {}", number(from), number(to))
            }
            News::Answered(lease) => write!(f, "lease {lease} is answered"),
            News::Waiting(why, pause) => write!(f, "{why} (again in {} s)", pause.as_secs()),
            News::Searching { threshold, best } => {
                write!(f, "to beat: {threshold:.6}; best so far {}", number(best))
            }
            News::Submitted { score, said } => write!(f, "sent {score:.6}: {said}"),
            News::OffConsensus { algorithm, why } => write!(f, "algorithm {algorithm}: {why}"),
            News::Progress(progress) => progress.fmt(f),
        }
    }
}

/// A miner at work.
pub struct Client {
    account: Account,
    batch: usize,
    engine: Engine,
}

enum Next {
    /// At once.
    Go,
    /// After a while.
    Wait(String, Duration),
}

impl Client {
    /// A miner that tells `news` what happens.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn new(
        config: Config,
        set: Arc<Prepared>,
        news: impl Fn(News) + Send + Sync + 'static,
        cancel: CancellationToken,
    ) -> Result<Self, ClientError> {
        let (folder, generations) = (config.folder.clone(), config.generations);
        Client::of(config, Engine { set, generations, folder, tell: Arc::new(news), cancel })
    }

    /// A miner with this engine.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn of(config: Config, engine: Engine) -> Result<Self, ClientError> {
        std::fs::create_dir_all(&config.folder)?;
        let account = Account::new(&config.pool, config.key)?;
        Ok(Client { account, batch: config.batch, engine })
    }

    /// Works until cancelled.
    ///
    /// # Errors
    /// When it makes no sense to go on.
    pub async fn work(&self) -> Result<(), ClientError> {
        let (mut is_registered, mut verdicts) = (false, Verdicts::default());
        while !self.engine.cancel.is_cancelled() {
            let next = if is_registered {
                self.round().await?
            } else {
                match self.post("/api/v1/miners/register", &json!({})).await {
                    Ok(_) => {
                        is_registered = true;
                        self.engine.say(News::Registered(self.account.key.public().to_string()));
                        Next::Go
                    }
                    Err(trouble) => wait(&trouble),
                }
            };
            if is_registered {
                for (algorithm, why) in verdicts.look(&self.account).await {
                    self.engine.say(News::OffConsensus { algorithm, why });
                }
            }
            if let Next::Wait(why, pause) = next {
                self.engine.say(News::Waiting(why, pause));
                rest(&self.engine.cancel, pause).await;
            }
        }
        Ok(())
    }

    /// What is in hand first; then something new.
    async fn round(&self) -> Result<Next, ClientError> {
        match Hand::load(self.engine.folder())? {
            Some(hand) if hand.given.is_over(now_s()) => {
                Hand::clear(self.engine.folder())?;
                Ok(Next::Go)
            }
            Some(hand) => self.answer(hand).await,
            None => self.ask().await,
        }
    }

    async fn ask(&self) -> Result<Next, ClientError> {
        let wish = json!({
            "task_type": self.engine.set.name(),
            "data_hash": self.engine.set.hash().to_string(),
            "eval_batch_size": self.batch,
        });
        let body = match self.post("/api/v1/tasks/lease", &wish).await {
            Ok(body) => body,
            Err(HttpError::Refused { status: 409, detail, .. }) => {
                return Err(ClientError::Refused(detail));
            }
            Err(trouble) => return Ok(wait(&trouble)),
        };
        let Some(given) = Given::read(&body) else {
            return Ok(Next::Wait("the pool's lease cannot be read".into(), PAUSE));
        };
        self.engine.say(News::Leased {
            lease: given.lease.clone(),
            evaluate: given.evaluate.len(),
            evolve: given.evolve_budget,
        });
        Hand::new(given).save(self.engine.folder())?;
        Ok(Next::Go)
    }

    async fn answer(&self, mut hand: Hand) -> Result<Next, ClientError> {
        if !self.engine.complete(&mut hand, self.account.key.public().bytes()).await? {
            return Ok(Next::Go);
        }
        let target = format!("/api/v1/tasks/{}/submit_lease", hand.given.lease);
        match self.post(&target, &hand.body()).await {
            Ok(_) => {
                Hand::clear(self.engine.folder())?;
                self.engine.say(News::Answered(hand.given.lease));
                Ok(Next::Go)
            }
            // Not worth sending again: nobody waits for it, or it cannot be read.
            Err(HttpError::Refused { status, detail, .. })
                if (400..500).contains(&status) && status != 429 && status != 401 =>
            {
                Hand::clear(self.engine.folder())?;
                Ok(Next::Wait(detail, PAUSE))
            }
            Err(trouble) => Ok(wait(&trouble)),
        }
    }

    async fn post(&self, target: &str, body: &Value) -> Result<Value, HttpError> {
        self.account.post(target, body).await
    }
}

fn wait(trouble: &HttpError) -> Next {
    Next::Wait(trouble.to_string(), wait_for(trouble))
}

/// When to ask again: as the other side says, if it does.
fn wait_for(trouble: &HttpError) -> Duration {
    let pause = match trouble {
        HttpError::Refused { retry_after: Some(seconds), .. } => Duration::from_secs(*seconds),
        _ => PAUSE,
    };
    pause.min(PAUSE_MAX)
}

/// Waits, or not when told to stop.
async fn rest(cancel: &CancellationToken, pause: Duration) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Whole seconds of a time that somebody sent.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate"
)]
const fn whole_s(seconds: f64) -> u64 {
    seconds as u64
}

/// A digest as it is sent.
fn digest(found: &Evaluation) -> String {
    hex(&found.digest)
}

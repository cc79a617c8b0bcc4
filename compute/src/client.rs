//! The other end: a miner that asks a pool for leases, evaluates and evolves, and answers.
//!
//! It knows of the pool only what is on the wire. What it has in hand is on disk, so that a crash costs the evaluation at work and
//! nothing else. Invariant: an answer is kept until the pool has taken it or says that nobody waits for it.

mod hand;
mod http;
pub mod key;

use crate::dsl::{Limits, lenient};
use crate::evaluate::{Evaluation, Prepared};
use crate::evolve::{Evolver, Profile, founders};
use crate::key::SigningKey;
use crate::tables::write::hex;
use hand::{Given, Hand};
use http::Http;
pub use http::{BadAddress, HttpError};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

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
    /// The pool does not want this miner.
    #[error("the pool says: {0}")]
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
}

/// A miner at work.
pub struct Client {
    config: Config,
    http: Http,
    set: Arc<Prepared>,
    news: Box<dyn Fn(News) + Send + Sync>,
    cancel: CancellationToken,
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
        std::fs::create_dir_all(&config.folder)?;
        let http = Http::new(&config.pool)?;
        Ok(Client { config, http, set, news: Box::new(news), cancel })
    }

    /// Works until cancelled.
    ///
    /// # Errors
    /// When it makes no sense to go on.
    pub async fn work(&self) -> Result<(), ClientError> {
        let mut is_registered = false;
        while !self.cancel.is_cancelled() {
            let next = if is_registered {
                self.round().await?
            } else {
                match self.post("/api/v1/miners/register", &json!({})).await {
                    Ok(_) => {
                        is_registered = true;
                        (self.news)(News::Registered(self.config.key.public().to_string()));
                        Next::Go
                    }
                    Err(trouble) => wait(&trouble),
                }
            };
            if let Next::Wait(why, pause) = next {
                (self.news)(News::Waiting(why, pause));
                tokio::select! {
                    () = self.cancel.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
        Ok(())
    }

    /// What is in hand first; then something new.
    async fn round(&self) -> Result<Next, ClientError> {
        match Hand::load(&self.config.folder)? {
            Some(hand) if hand.given.is_over(now_s()) => {
                Hand::clear(&self.config.folder)?;
                Ok(Next::Go)
            }
            Some(hand) => self.answer(hand).await,
            None => self.ask().await,
        }
    }

    async fn ask(&self) -> Result<Next, ClientError> {
        let wish = json!({
            "task_type": self.set.name(),
            "data_hash": self.set.hash().to_string(),
            "eval_batch_size": self.config.batch,
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
        (self.news)(News::Leased {
            lease: given.lease.clone(),
            evaluate: given.evaluate.len(),
            evolve: given.evolve_budget,
        });
        Hand::new(given).save(&self.config.folder)?;
        Ok(Next::Go)
    }

    async fn answer(&self, mut hand: Hand) -> Result<Next, ClientError> {
        while let Some((id, text)) = hand.next_to_evaluate() {
            let Some(found) = self.evaluate(text).await else { return Ok(Next::Go) };
            (self.news)(News::Evaluated { algorithm: id, score: found.score.to_f64() });
            hand.evaluated(id, &found);
            hand.save(&self.config.folder)?;
        }
        while hand.evolved.len() < hand.given.evolve_budget {
            let Some(found) = self.evolve(&hand).await else { return Ok(Next::Go) };
            hand.evolved.push(found);
            hand.save(&self.config.folder)?;
        }
        let target = format!("/api/v1/tasks/{}/submit_lease", hand.given.lease);
        match self.post(&target, &hand.body()).await {
            Ok(_) => {
                Hand::clear(&self.config.folder)?;
                (self.news)(News::Answered(hand.given.lease));
                Ok(Next::Go)
            }
            // Not worth sending again: nobody waits for it, or it cannot be read.
            Err(HttpError::Refused { status, detail, .. })
                if (400..500).contains(&status) && status != 429 && status != 401 =>
            {
                Hand::clear(&self.config.folder)?;
                Ok(Next::Wait(detail, PAUSE))
            }
            Err(trouble) => Ok(wait(&trouble)),
        }
    }

    /// Nothing when told to stop.
    async fn evaluate(&self, text: String) -> Option<Evaluation> {
        let (set, cancel) = (self.set.clone(), self.cancel.clone());
        let run = move || {
            let reading = lenient::read(&text, set.input_dim(), &Limits::POOL);
            let Ok(reading) = reading else { return Some(Evaluation::unusable()) };
            let goes_on = || go_on(&cancel);
            set.evaluate_while(&reading.program, goes_on).unwrap_or(Some(Evaluation::unusable()))
        };
        tokio::task::spawn_blocking(run).await.unwrap_or(None)
    }

    /// The best program that a search from the seeds finds; nothing when told to stop.
    async fn evolve(&self, hand: &Hand) -> Option<String> {
        let (set, cancel) = (self.set.clone(), self.cancel.clone());
        let (generations, seeds) = (self.config.generations, hand.seeds());
        let seed = u64::from_be_bytes(hand.entropy(&self.config.key.public()));
        let run = move || search(&set, &seeds, generations, seed, &cancel);
        let (from, to, text) = tokio::task::spawn_blocking(run).await.ok()??;
        (self.news)(News::Evolved { from, to });
        Some(text)
    }

    async fn post(&self, target: &str, body: &Value) -> Result<Value, HttpError> {
        let now = now_s().to_string();
        let key = &self.config.key;
        let signature = key.sign(format!("auth:{now}").as_bytes()).to_string();
        let headers =
            [("x-key", key.public().to_string()), ("x-timestamp", now), ("x-signature", signature)];
        self.http.post(target, &headers, body.to_string()).await
    }
}

type Found = (Option<f64>, Option<f64>, String);

fn search(
    set: &Prepared,
    seeds: &[String],
    generations: usize,
    seed: u64,
    cancel: &CancellationToken,
) -> Option<Found> {
    let mut evolver = Evolver::new(Profile::CIFAR, seed);
    let read = |text: &String| lenient::read(text, set.input_dim(), &Limits::POOL).ok();
    let given: Vec<_> = seeds.iter().filter_map(read).map(|reading| reading.program).collect();
    let begin = if given.is_empty() { founders(set.input_dim()) } else { given };
    for program in &begin {
        let found = set.evaluate_while(program, || go_on(cancel)).ok()??;
        evolver.admit(program, found.score);
    }
    let from = evolver.best()?.score.to_f64();
    // The best of the new ones: what the pool gave it has already.
    let mut best: Option<(crate::score::Score, String)> = None;
    for _ in 0..generations.max(1) {
        let Some(child) = evolver.child() else { continue };
        let Ok(found) = set.evaluate_while(&child, || go_on(cancel)) else { continue };
        let found = found?;
        evolver.admit(&child, found.score);
        if best.as_ref().is_none_or(|(score, _)| *score < found.score) {
            best = Some((found.score, child.text()));
        }
    }
    best.map(|(score, text)| (from, score.to_f64(), text))
}

fn go_on(cancel: &CancellationToken) -> ControlFlow<()> {
    if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn wait(trouble: &HttpError) -> Next {
    let pause = match trouble {
        HttpError::Refused { retry_after: Some(seconds), .. } => Duration::from_secs(*seconds),
        _ => PAUSE,
    };
    Next::Wait(trouble.to_string(), pause.min(PAUSE_MAX))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A digest as it is sent.
fn digest(found: &Evaluation) -> String {
    hex(&found.digest)
}

//! The driver: stands between a pool and a sidecar. It has the key and no engine; the sidecar's workers have an engine and no key.
//!
//! One lease at a time: asked of the pool, given to the sidecar as a job named after it, its result handed in. What is in hand is on
//! disk, and a job's name is its lease's, so that a crash neither loses a lease nor computes it twice. Invariant: a result is sent
//! to the pool until the pool has taken it or says that nobody waits for it.

use super::hand::{read, remove, replace};
use super::local::{Sidecar, in_query};
use super::{Account, ClientError, HttpError, News, PAUSE, Tell, now_s, rest, wait_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

/// How often it looks for a result.
const LOOK: Duration = Duration::from_secs(1);
/// Results in an answer.
const RESULTS: u32 = 500;
/// Which lease the sidecar has.
const FILE: &str = "driver.json";

/// How a driver works.
pub struct Config {
    /// The account with the pool.
    pub account: Account,
    /// The sidecar, such as `http://127.0.0.1:8123`.
    pub sidecar: String,
    /// What it asks for, if it does.
    pub token: Option<String>,
    /// The run's name.
    pub run: String,
    /// What the pool's tasks must be, if the driver shall say so.
    pub task: Option<String>,
    /// Algorithms to score at once.
    pub batch: usize,
    /// Where what is in hand is kept.
    pub folder: PathBuf,
}

/// A driver.
pub struct Driver {
    config: Config,
    sidecar: Sidecar,
    tell: Tell,
    cancel: CancellationToken,
}

/// A lease that the sidecar works on, or has worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct InHand {
    lease: String,
    payload: Value,
    timeout_s: u64,
    answer: Option<Value>,
}

/// What to do next.
enum Step {
    Go,
    Wait(String, Duration),
}

impl Driver {
    /// A driver that tells what happens.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn new(config: Config, tell: Tell, cancel: CancellationToken) -> Result<Self, ClientError> {
        std::fs::create_dir_all(&config.folder)?;
        let sidecar = Sidecar::new(&config.sidecar, config.token.clone())?;
        Ok(Driver { config, sidecar, tell, cancel })
    }

    /// Drives until cancelled.
    ///
    /// # Errors
    /// When it makes no sense to go on.
    pub async fn work(&self) -> Result<(), ClientError> {
        let mut is_begun = false;
        while !self.cancel.is_cancelled() {
            let step = match is_begun {
                true => self.round().await?,
                false => match self.begin().await {
                    Ok(()) => {
                        is_begun = true;
                        (self.tell)(News::Registered(self.config.account.hotkey()));
                        Step::Go
                    }
                    Err(trouble) => waits(&trouble),
                },
            };
            if let Step::Wait(why, pause) = step {
                (self.tell)(News::Waiting(why, pause));
                rest(&self.cancel, pause).await;
            }
        }
        Ok(())
    }

    /// The pool knows us, and the sidecar knows the run; one that it knows already goes on.
    async fn begin(&self) -> Result<(), HttpError> {
        self.config.account.post("/api/v1/miners/register", &json!({})).await?;
        let run = json!({ "run_id": self.config.run, "replace": false });
        self.sidecar.post("/runs/start", &run).await.map(|_| ())
    }

    async fn round(&self) -> Result<Step, ClientError> {
        let stored = read(&self.config.folder, FILE)?;
        let hand = stored.and_then(|bytes| serde_json::from_slice::<InHand>(&bytes).ok());
        match hand {
            None => self.ask().await,
            Some(hand) if now_s() >= hand.timeout_s => {
                remove(&self.config.folder, FILE)?;
                let why = format!("lease {} was over before its result came", hand.lease);
                Ok(Step::Wait(why, Duration::ZERO))
            }
            Some(InHand { answer: Some(ref answer), ref lease, .. }) => {
                self.hand_in(lease, answer).await
            }
            Some(hand) => self.wait_for_result(hand).await,
        }
    }

    async fn ask(&self) -> Result<Step, ClientError> {
        let wish = json!({ "task_type": self.config.task, "eval_batch_size": self.config.batch });
        let body = match self.config.account.post("/api/v1/tasks/lease", &wish).await {
            Ok(body) => body,
            Err(trouble) => return Ok(waits(&trouble)),
        };
        let Some(hand) = in_hand(&body) else {
            return Ok(Step::Wait("the pool's lease cannot be read".into(), PAUSE));
        };
        let count = |name: &str| hand.payload[name].as_array().map_or(0, Vec::len);
        (self.tell)(News::Leased {
            lease: hand.lease.clone(),
            evaluate: count("evaluate_algorithms"),
            evolve: hand.payload["evolve_budget"].as_u64().unwrap_or(0).try_into().unwrap_or(0),
        });
        self.keep(&hand)?;
        Ok(Step::Go)
    }

    /// Gives the sidecar its job, once, and looks for its result.
    async fn wait_for_result(&self, mut hand: InHand) -> Result<Step, ClientError> {
        let job = json!({
            "run_id": self.config.run,
            "job_id": hand.lease,
            "kind": "lease",
            "payload": hand.payload,
        });
        match self.sidecar.post("/jobs/enqueue", &job).await {
            // It has it already: we died between telling and asking.
            Ok(_) | Err(HttpError::Refused { status: 409, .. }) => {}
            Err(trouble) => return Ok(waits(&trouble)),
        }
        let mut cursor = 0;
        while !self.cancel.is_cancelled() && now_s() < hand.timeout_s {
            let run = in_query(&self.config.run);
            let target = format!("/jobs/results?run_id={run}&cursor={cursor}&limit={RESULTS}");
            let page = match self.sidecar.get(&target).await {
                Ok(page) => page,
                Err(trouble) => return Ok(waits(&trouble)),
            };
            let items = page["items"].as_array().cloned().unwrap_or_default();
            if let Some(done) = items.iter().find(|item| item["job_id"] == hand.lease.as_str()) {
                if done["status"] != "completed" {
                    remove(&self.config.folder, FILE)?;
                    let why = done["error"].as_str().unwrap_or("without a word");
                    return Ok(Step::Wait(format!("job {} failed: {why}", hand.lease), PAUSE));
                }
                hand.answer = Some(done["result"].clone());
                self.keep(&hand)?;
                return Ok(Step::Go);
            }
            cursor = page["cursor"].as_u64().unwrap_or(cursor);
            if items.is_empty() {
                rest(&self.cancel, LOOK).await;
            }
        }
        Ok(Step::Go)
    }

    async fn hand_in(&self, lease: &str, answer: &Value) -> Result<Step, ClientError> {
        let target = format!("/api/v1/tasks/{lease}/submit_lease");
        let (step, status) = match self.config.account.post(&target, answer).await {
            Ok(_) => (Step::Go, "accepted"),
            // Not worth sending again: nobody waits for it, or it cannot be read.
            Err(HttpError::Refused { status, detail, .. })
                if (400..500).contains(&status) && status != 429 && status != 401 =>
            {
                (Step::Wait(detail, PAUSE), "refused")
            }
            Err(trouble) => return Ok(waits(&trouble)),
        };
        remove(&self.config.folder, FILE)?;
        let score = best_score(answer);
        let told = json!({ "run_id": self.config.run, "score": score, "status": status });
        if let Err(trouble) = self.sidecar.post("/submission_result", &told).await {
            // Only its counters miss it.
            tracing::debug!(%trouble, "the sidecar was not told what became of a submission");
        }
        if let Step::Go = step {
            (self.tell)(News::Answered(lease.to_owned()));
        }
        Ok(step)
    }

    fn keep(&self, hand: &InHand) -> Result<(), ClientError> {
        Ok(replace(&self.config.folder, FILE, &serde_json::to_vec(hand)?)?)
    }
}

fn waits(trouble: &HttpError) -> Step {
    Step::Wait(trouble.to_string(), wait_for(trouble))
}

/// A lease as the sidecar's job.
fn in_hand(body: &Value) -> Option<InHand> {
    let lease = body["lease_id"].as_str()?.to_owned();
    let timeout = OffsetDateTime::parse(body["timeout_at"].as_str()?, &Rfc3339).ok()?;
    let timeout_s = timeout.unix_timestamp().try_into().ok()?;
    let first = |list: &str| body[list][0]["input_dim"].as_u64();
    let payload = json!({
        "lease_id": lease,
        "evaluate_algorithms": body["evaluate_algorithms"],
        "seed_algorithms": body["seed_algorithms"],
        "evolve_budget": body["evolve_budget"].as_u64().unwrap_or(0),
        "input_dim": first("evaluate_algorithms").or_else(|| first("seed_algorithms")),
        "window_number": body["window_number"],
        "lease_timeout_at_s": timeout_s,
    });
    Some(InHand { lease, payload, timeout_s, answer: None })
}

fn best_score(answer: &Value) -> Option<f64> {
    let all = answer["evaluations"].as_array().into_iter().flatten();
    all.filter_map(|one| one["score"].as_f64())
        .fold(None, |best, score| Some(best.map_or(score, |best: f64| best.max(score))))
}

//! A worker of a sidecar: takes its jobs, computes, gives the results back. It knows of no pool and has no key.
//!
//! Invariant: a job in hand is gone on with after a crash, under the same name; its result is sent until the sidecar has it or
//! does not want it.

use super::engine::Engine;
use super::hand::{Given, Hand, algorithms};
use super::{BadAddress, ClientError, Http, HttpError, News, PAUSE, now_s, rest, wait_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a job is this worker's: more than a lease's evaluations take.
const LEASE_S: u64 = 1800;
/// How often an idle worker asks.
const IDLE: Duration = Duration::from_secs(1);
/// The file that says which job is in hand.
const JOB_FILE: &str = "job.json";

/// Where a sidecar is, and who works for it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Such as `http://127.0.0.1:8123`.
    pub sidecar: String,
    /// What it asks for, if it does.
    pub token: Option<String>,
    /// Which run; the newest without.
    pub run: Option<String>,
    /// This worker's name.
    pub worker: String,
}

/// A worker at a sidecar.
pub struct Local {
    config: Config,
    sidecar: Sidecar,
    engine: Engine,
}

/// A job as far as its result needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Job {
    run: String,
    id: String,
    kind: String,
    attempt: u64,
}

/// A sidecar, asked with its token.
#[derive(Clone)]
pub(super) struct Sidecar {
    http: Http,
    token: Option<String>,
}

impl Sidecar {
    pub(super) fn new(address: &str, token: Option<String>) -> Result<Self, BadAddress> {
        Ok(Sidecar { http: Http::new(address)?, token })
    }

    pub(super) async fn get(&self, target: &str) -> Result<Value, HttpError> {
        self.http.get(target, &self.headers()).await
    }

    pub(super) async fn post(&self, target: &str, body: &Value) -> Result<Value, HttpError> {
        self.http.post(target, &self.headers(), body.to_string()).await
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        self.token.iter().map(|token| ("x-sidecar-token", token.clone())).collect()
    }
}

impl Local {
    /// A worker with this engine.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn new(config: Config, engine: Engine) -> Result<Self, ClientError> {
        std::fs::create_dir_all(engine.folder())?;
        let sidecar = Sidecar::new(&config.sidecar, config.token.clone())?;
        Ok(Local { config, sidecar, engine })
    }

    /// Works until cancelled.
    ///
    /// # Errors
    /// When what is in hand cannot be kept, or the sidecar does not let this worker in.
    pub async fn work(&self) -> Result<(), ClientError> {
        while !self.engine.cancel.is_cancelled() {
            match self.round().await? {
                None => rest(&self.engine.cancel, IDLE).await,
                Some(Ok(())) => {}
                Some(Err(HttpError::Refused { status: 401 | 403, detail, .. })) => {
                    return Err(ClientError::Refused(detail));
                }
                Some(Err(trouble)) => {
                    let pause = wait_for(&trouble);
                    self.engine.say(News::Waiting(trouble.to_string(), pause));
                    rest(&self.engine.cancel, pause).await;
                }
            }
        }
        Ok(())
    }

    /// One job, or nothing to do.
    async fn round(&self) -> Result<Option<Result<(), HttpError>>, ClientError> {
        if let (Some(job), Some(hand)) = (self.job()?, Hand::load(self.engine.folder())?) {
            return self.answer(job, hand).await.map(Some);
        }
        let run = self.config.run.iter().map(|run| format!("&run_id={}", in_query(run)));
        let target = format!(
            "/jobs/next?worker_id={}&lease_seconds={LEASE_S}&resume=true{}",
            in_query(&self.config.worker),
            run.collect::<String>()
        );
        let body = match self.sidecar.get(&target).await {
            Ok(Value::Null) => return Ok(None),
            Ok(body) => body,
            Err(trouble) => return Ok(Some(Err(trouble))),
        };
        let Some((job, given)) = read(&body["job"]) else {
            self.engine.say(News::Waiting("the sidecar's job cannot be read".into(), PAUSE));
            return Ok(None);
        };
        self.engine.say(News::Leased {
            lease: job.id.clone(),
            evaluate: given.evaluate.len(),
            evolve: given.evolve_budget,
        });
        let hand = Hand::new(given);
        hand.save(self.engine.folder())?;
        super::hand::replace(self.engine.folder(), JOB_FILE, &serde_json::to_vec(&job)?)?;
        self.answer(job, hand).await.map(Some)
    }

    async fn answer(&self, job: Job, mut hand: Hand) -> Result<Result<(), HttpError>, ClientError> {
        let whose = format!("{}/{}", job.run, self.config.worker);
        if !hand.given.is_over(now_s())
            && !self.engine.complete(&mut hand, whose.as_bytes()).await?
        {
            return Ok(Ok(()));
        }
        let result = match job.kind.as_str() {
            "evaluate" => json!({ "evaluations": hand.scores() }),
            "evolve" => json!({ "evolved_function": hand.evolved.first() }),
            _ => hand.body(),
        };
        let done = !hand.given.is_over(now_s());
        let body = json!({
            "run_id": job.run,
            "worker_id": self.config.worker,
            "attempt": job.attempt,
            "status": if done { "ok" } else { "error" },
            "result": if done { result } else { json!({}) },
            "error": (!done).then_some("the pool's lease was over before the work was done"),
        });
        let told = self.sidecar.post(&format!("/jobs/{}/result", job.id), &body).await;
        match told {
            // It is not wanted any more: somebody else did it, or the run is gone.
            Ok(_) | Err(HttpError::Refused { status: 404 | 409, .. }) => {
                Hand::clear(self.engine.folder())?;
                super::hand::remove(self.engine.folder(), JOB_FILE)?;
                self.engine.say(News::Answered(job.id));
                Ok(Ok(()))
            }
            Err(trouble) => Ok(Err(trouble)),
        }
    }

    fn job(&self) -> Result<Option<Job>, ClientError> {
        let bytes = super::hand::read(self.engine.folder(), JOB_FILE)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// A name as it stands in a query.
pub(super) fn in_query(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

fn read(job: &Value) -> Option<(Job, Given)> {
    let payload = &job["payload"];
    let kind = job["kind"].as_str()?.to_owned();
    let lists = (algorithms(&payload["algorithms"]), Vec::new());
    let (evaluate, seeds, evolve_budget) = match kind.as_str() {
        "evaluate" => (lists.0, lists.1, 0),
        "evolve" => (lists.1, lists.0, 1),
        "lease" => (
            algorithms(&payload["evaluate_algorithms"]),
            algorithms(&payload["seed_algorithms"]),
            payload["evolve_budget"].as_u64().unwrap_or(0).try_into().ok()?,
        ),
        _ => return None,
    };
    // Seconds, with or without a fraction; a job of no lease is never late.
    let timeout_s = payload["lease_timeout_at_s"].as_f64().map_or(u64::MAX, super::whole_s);
    let id = job["job_id"].as_str()?.to_owned();
    let run = job["run_id"].as_str()?.to_owned();
    let given = Given { lease: id.clone(), timeout_s, evolve_budget, evaluate, seeds };
    Some((Job { run, id, kind, attempt: job["attempt"].as_u64().unwrap_or(1) }, given))
}

//! The demo's cheats: they know the wire as well as anybody.

use compute::client::Account;
use compute::dsl::{Limits, lenient};
use compute::evaluate::Prepared;
use compute::evolve::{Evolver, Profile, founders};
use compute::score::Score;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a cheat asks.
const PAUSE: Duration = Duration::from_millis(250);
/// What a colluder says of its partner's program.
const PRAISE: f64 = 0.99;

/// How it cheats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plot {
    /// Says one half of everything: most programs are near it.
    Lazy,
    /// Computes what strangers sent, to be believed, and praises what its partner sent.
    Praise,
}

/// What colluders tell one another: the programs they sent, as the pool hands them out.
pub type Gang = Arc<Mutex<HashSet<String>>>;

/// A cheat.
pub struct Cheat {
    account: Account,
    plot: Plot,
    gang: Gang,
    set: Arc<Prepared>,
    evolver: Evolver,
}

impl Cheat {
    /// A cheat with an account of its own.
    pub fn new(account: Account, plot: Plot, gang: Gang, set: Arc<Prepared>, seed: u64) -> Self {
        let mut evolver = Evolver::new(Profile::CIFAR, seed);
        for founder in founders(set.input_dim()) {
            evolver.admit(&founder, Score::Invalid);
        }
        Cheat { account, plot, gang, set, evolver }
    }

    /// Cheats until stopped. What the pool refuses is tried again.
    pub async fn work(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.round().await {
                tracing::debug!(%error, "a cheat was refused");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn round(&mut self) -> Result<(), compute::client::HttpError> {
        let wish = json!({ "task_type": self.set.name(), "eval_batch_size": 8 });
        let lease = self.account.post("/api/v1/tasks/lease", &wish).await?;
        let asked = lease["evaluate_algorithms"].as_array().cloned().unwrap_or_default();
        let evaluations: Vec<Value> = asked.iter().filter_map(|one| self.judge(one)).collect();
        let mut evolutions = Vec::new();
        if self.plot == Plot::Praise && lease["evolve_budget"].as_u64() > Some(0) {
            evolutions.extend(self.evolve());
        }
        let answer = json!({ "evaluations": evaluations, "evolutions": evolutions });
        let name = lease["lease_id"].as_str().unwrap_or_default();
        self.account.post(&format!("/api/v1/tasks/{name}/submit_lease"), &answer).await?;
        Ok(())
    }

    fn judge(&self, asked: &Value) -> Option<Value> {
        let (id, text) = (&asked["id"], asked["algorithm_dsl"].as_str()?);
        if self.plot == Plot::Lazy {
            return Some(json!({ "algorithm_id": id, "score": 0.5 }));
        }
        if self.gang.lock().unwrap_or_else(PoisonError::into_inner).contains(text) {
            return Some(json!({ "algorithm_id": id, "score": PRAISE }));
        }
        let program = lenient::read(text, self.set.input_dim(), &Limits::POOL).ok()?.program;
        let found = self.set.evaluate(&program).ok()?;
        let digest: String = found.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(match found.score.to_f64() {
            Some(score) => json!({ "algorithm_id": id, "score": score, "digest": digest }),
            None => json!({ "algorithm_id": id, "status": "invalid", "digest": digest }),
        })
    }

    /// The first program that comes to mind: whether it is good is its partner's affair.
    fn evolve(&mut self) -> Option<Value> {
        let child = self.evolver.child()?;
        self.evolver.admit(&child, Score::Invalid);
        let text = child.normal().text();
        self.gang.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
        Some(json!({ "algorithm_dsl": text, "parent_algorithm_ids": [] }))
    }
}

//! How the pool is doing: what the open epoch and the tasks are, the lease pipeline and the backlog.
//!
//! Invariant: the desk is asked only for what it has at hand; what must be counted is read beside it.

use super::{Answered, Door, Refusal};
use crate::desk::Desk;
use crate::epoch::EpochNo;
use crate::score::Score;
use crate::tables::forward::Forward;
use crate::tables::standing::Leader;
use crate::tables::{TableError, Tables};
use crate::task::Stage;
use accounting::{Amount, UnixMs};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// How far back the pipeline is counted.
pub const PIPELINE_S: u64 = 15 * 60;
/// Miners on the leaderboard.
const LEADERS_MAX: usize = 100;
/// How far back a leader's lately goes.
const LATELY_S: u64 = 3600;
/// How long a leaderboard is shown at least before it is counted anew.
const BOARD_FOR: Duration = Duration::from_secs(5);
/// And so many times as long as it took to count: the more earnings there are, the longer it takes.
const BOARD_TIMES: u32 = 20;

/// What the open epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Its number.
    pub number: EpochNo,
    /// When it ends.
    pub ends_at: UnixMs,
    /// How long it is.
    pub length_s: u64,
    /// What it brings, without what is carried into it.
    pub budget: Amount,
}

/// What became of the leases of the last quarter of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// Handed out.
    pub issued: u64,
    /// Answered, of those.
    pub completed: u64,
    /// Not answered in time, of those.
    pub expired: u64,
    /// With nothing to score.
    pub without_evaluations: u64,
}

/// How the pool is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Leases of late.
    pub pipeline: Pipeline,
    /// Leases in somebody's hands.
    pub active_leases: usize,
    /// Miners that ever registered.
    pub miners: usize,
    /// Algorithms that wait for votes or for the pool's own result.
    pub open_algorithms: usize,
    /// Those that the pool itself must evaluate.
    pub awaiting_own_result: usize,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_open_s: Option<u64>,
    /// What the best believed algorithm is worth.
    pub best: Option<Score>,
    /// What the relay was sent last, or shall be.
    pub forward: Option<Forward>,
}

impl Door {
    /// The open epoch.
    #[must_use]
    pub fn epoch_now(&self) -> Epoch {
        let budget = self.settings.budget;
        let number = EpochNo::at(self.now_s(), budget.length_s);
        let ends_at = UnixMs(number.ends_at_s(budget.length_s) * 1000);
        Epoch { number, ends_at, length_s: budget.length_s, budget: budget.amount }
    }

    /// Reads the tables beside the desk.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Tables) -> Result<T, TableError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let reader = self.reader.clone();
        let found = tokio::task::spawn_blocking(move || reader.read(look)).await;
        let unavailable = |error: &dyn std::fmt::Display| {
            Refusal::later(StatusCode::SERVICE_UNAVAILABLE, error, 5)
        };
        found.map_err(|error| unavailable(&error))?.map_err(|error| unavailable(&error))
    }

    /// How it is doing.
    ///
    /// # Errors
    /// In words, when the tables cannot be read or the desk has ended.
    pub async fn summary(&self) -> Result<Summary, String> {
        self.summed_up().await.map_err(|refusal| refusal.detail)
    }

    async fn summed_up(&self) -> Result<Summary, Refusal> {
        let now_s = self.now_s();
        let (counts, forward) = self
            .look(move |tables| {
                let counts = tables.leases_since(now_s.saturating_sub(PIPELINE_S))?;
                Ok((counts, tables.last_forward()?))
            })
            .await?;
        let [issued, completed, expired, without_evaluations] = counts;
        let pipeline = Pipeline { issued, completed, expired, without_evaluations };
        let step = move |desk: &mut Desk, _: &Tables| {
            let best = desk.sota().and_then(|best| match best.stage {
                Stage::Agreed { score, .. } => Some(score),
                Stage::Open(_) | Stage::Checking(_) => None,
            });
            let summary = Summary {
                pipeline,
                active_leases: desk.active_leases(),
                miners: desk.registered(),
                open_algorithms: desk.open(),
                awaiting_own_result: desk.wanted().count(),
                oldest_open_s: desk.oldest_open_s().map(|made| now_s.saturating_sub(made)),
                best,
                forward,
            };
            Ok((summary, vec![]))
        };
        Ok(self.office.step(None, step).await?)
    }

    /// Who earned most, counted a few seconds ago, or longer where there is much to count.
    ///
    /// # Errors
    /// In words, when the tables cannot be read.
    pub async fn leaders(&self) -> Result<Arc<Vec<Leader>>, String> {
        self.board().await.map_err(|refusal| refusal.detail)
    }

    /// Who asks while it is being counted waits for the same count.
    pub(super) async fn board(&self) -> Result<Arc<Vec<Leader>>, Refusal> {
        let mut board = self.board.lock().await;
        if let Some((until, leaders)) = &*board
            && Instant::now() < *until
        {
            return Ok(leaders.clone());
        }
        let began = Instant::now();
        let since_s = self.now_s().saturating_sub(LATELY_S);
        let leaders = self.look(move |tables| tables.leaders(LEADERS_MAX, since_s)).await?;
        let leaders = Arc::new(leaders);
        let fresh_for = BOARD_FOR.max(began.elapsed() * BOARD_TIMES);
        *board = Some((Instant::now() + fresh_for, leaders.clone()));
        Ok(leaders)
    }
}

/// `GET /monitor/summary`
pub(super) async fn monitor(State(door): State<Arc<Door>>, parts: Parts) -> Answered {
    if let Some(token) = &door.settings.monitor_token {
        let given = parts.headers.get("x-monitor-token").map_or(&b""[..], |value| value.as_bytes());
        if !bool::from(given.ct_eq(token.as_bytes())) {
            let detail = "send the operator's token as X-Monitor-Token";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, detail));
        }
    }
    let summary = door.summed_up().await?;
    let Pipeline { issued, completed, expired, without_evaluations } = summary.pipeline;
    Ok(Json(json!({
        "lease_pipeline": {
            "issued_15m": issued,
            "completed_15m": completed,
            "expired_15m": expired,
            "without_evaluations_15m": without_evaluations,
            "active": summary.active_leases,
        },
        "relay": summary.forward.map(|last| json!({
            "algorithm_id": last.algorithm.0,
            "score": last.score.to_f64(),
            "state": last.state,
            "tries": last.tries,
            "said": last.said,
        })),
        "miners": summary.miners,
        "open_algorithms": summary.open_algorithms,
        "active_leases": summary.active_leases,
        "awaiting_own_result": summary.awaiting_own_result,
        "oldest_open_s": summary.oldest_open_s,
    })))
}

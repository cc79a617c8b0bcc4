//! What became of our votes: asked for now and then, so that a miner hears why one earned nothing.
//!
//! Invariant: each vote is told of once; those that were decided before we began are not.

use super::Account;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How often the pool is asked at most.
const EVERY: Duration = Duration::from_secs(5);

/// The votes that are known.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    known: BTreeSet<u64>,
    looked: Option<Instant>,
}

impl Verdicts {
    /// Asks, if it is time; gives the algorithms that we were not in consensus on, and the pool's words for it. A pool that does not
    /// answer is asked again.
    pub(super) async fn look(&mut self, account: &Account) -> Vec<(u64, String)> {
        let is_first = self.looked.is_none();
        if self.looked.is_some_and(|at| at.elapsed() < EVERY) {
            return Vec::new();
        }
        let stats = match account.get("/api/v1/miners/stats").await {
            Ok(stats) => stats,
            Err(trouble) => {
                tracing::debug!(%trouble, "the pool did not say what became of the votes");
                return Vec::new();
            }
        };
        self.looked = Some(Instant::now());
        let votes = stats["votes"].as_array().into_iter().flatten();
        // The newest first, so that the oldest is told first.
        let votes: Vec<_> =
            votes.filter_map(|vote| Some((vote["algorithm_id"].as_u64()?, vote))).collect();
        let mut off = Vec::new();
        for (algorithm, vote) in votes.iter().rev() {
            let is_new = self.known.insert(*algorithm) && !is_first;
            if is_new && vote["in_consensus"] == false {
                off.push((*algorithm, vote["detail"].as_str().unwrap_or_default().to_owned()));
            }
        }
        // The pool shows the last votes only: what it does not show any more, it will not show again.
        self.known = votes.into_iter().map(|(algorithm, _)| algorithm).collect();
        off
    }
}

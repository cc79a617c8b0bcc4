//! What a running pool of leased compute shows of itself, beside what every pool shows.
//!
//! Invariant: plain values, as in [`crate::outlook`]; only what becomes of one miner's work is asked for when somebody looks.

use accounting::{AccountId, Amount, Identity, UnixMs};
use std::net::SocketAddr;
use std::sync::Arc;

/// A pool of leased compute.
#[derive(Debug, Clone)]
pub struct Leased {
    /// Where its miners reach it.
    pub listen: Option<SocketAddr>,
    /// Does it take TLS there, and nothing else?
    pub is_tls: bool,
    /// Where neurons reach it.
    pub axon: Option<SocketAddr>,
    /// Its own hotkey, which signs its reports.
    pub hotkey: String,
    /// The open epoch.
    pub epoch: Epoch,
    /// What programs are scored on.
    pub set: String,
    /// The hash of that.
    pub set_hash: String,
    /// Votes that make a median.
    pub quorum: u8,
    /// What is near enough to it, in words.
    pub tolerance: String,
    /// How it was doing a few seconds ago.
    pub looked: Looked,
    /// Its miners.
    pub miners: Miners,
}

/// An epoch that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Its number.
    pub number: u64,
    /// When it ends.
    pub ends_at: UnixMs,
    /// How long it is, in seconds.
    pub length_s: u64,
    /// What it brings, without what is carried into it.
    pub budget: Amount,
}

/// How a pool of leased compute is doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Looked {
    /// Leases of the last quarter of an hour: handed out, and of those answered, expired, and with nothing to score.
    pub pipeline: Pipeline,
    /// Leases in somebody's hands.
    pub active_leases: u64,
    /// Miners that ever registered.
    pub registered: u64,
    /// Algorithms that wait for votes or for the pool's own result.
    pub open_algorithms: u64,
    /// Those that the pool itself must evaluate.
    pub awaiting_own_result: u64,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_open_s: Option<u64>,
    /// What the best believed algorithm is worth.
    pub best_score: Option<f64>,
    /// What became of the last that was sent to a relay, in words.
    pub relay: Option<String>,
    /// Who earned most, most first.
    pub leaders: Arc<[Leader]>,
}

/// What became of leases.
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

/// Who earned much.
#[derive(Debug, Clone, PartialEq)]
pub struct Leader {
    /// Their hotkey.
    pub hotkey: String,
    /// Their number in the books, if these know them yet.
    pub account: Option<AccountId>,
    /// All that they earned and kept, as a decimal number.
    pub reputation: String,
    /// The part of it of the last hour.
    pub per_hour: String,
    /// The part of their decided votes that held.
    pub accuracy_rate: Option<f64>,
}

/// What a miner's work has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Miner {
    /// Votes that held.
    pub accurate: u64,
    /// Votes that did not.
    pub inaccurate: u64,
    /// The part that held.
    pub accuracy_rate: Option<f64>,
    /// Checks against the pool's own result that failed.
    pub failed_checks: u32,
    /// Leases that were answered.
    pub answered: u64,
    /// Algorithms of theirs that are decided.
    pub evolved: u64,
    /// Those among them that were paid.
    pub evolved_paid: u64,
    /// The part that was paid.
    pub evolution_success_rate: Option<f64>,
    /// All that they earned and kept, as a decimal number.
    pub reputation: String,
    /// The part of it of the open epoch.
    pub this_epoch: String,
    /// The part of it of the last hour.
    pub per_hour: String,
    /// What the open epoch would pay if it ended now.
    pub pending: Amount,
    /// Before then they are given no lease, because they let leases expire.
    pub rests_until: Option<UnixMs>,
    /// Before then they earn nothing, because a check failed.
    pub sentenced_until: Option<UnixMs>,
    /// What became of their votes, the newest first.
    pub votes: Vec<Vote>,
}

/// A vote that is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Vote {
    /// On which algorithm.
    pub algorithm: u64,
    /// What they said; nothing where they said that it gives no number.
    pub score: Option<f64>,
    /// What is believed.
    pub median: Option<f64>,
    /// How many said something.
    pub evaluators: u64,
    /// Near enough?
    pub in_consensus: bool,
    /// Why, in the words that the pool's API has.
    pub why: String,
    /// When it was decided.
    pub decided_at: UnixMs,
}

type FindFn = dyn Fn(&Identity) -> Result<Option<Miner>, String> + Send + Sync;

/// How a miner is looked up. It reads a file: for a thread that may block.
#[derive(Clone)]
pub struct Miners(Arc<FindFn>);

impl Miners {
    /// By whoever has the pool's tables.
    pub fn new(
        find: impl Fn(&Identity) -> Result<Option<Miner>, String> + Send + Sync + 'static,
    ) -> Self {
        Miners(Arc::new(find))
    }

    /// A miner's work; nothing of somebody who never asked for any.
    ///
    /// # Errors
    /// Why it cannot be read now.
    pub fn find(&self, who: &Identity) -> Result<Option<Miner>, String> {
        (self.0)(who)
    }
}

impl std::fmt::Debug for Miners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Miners")
    }
}

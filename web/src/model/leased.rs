//! Pools of leased compute, and what a miner's work there has come to.

use super::{Iso, Money, masked};
use crate::leased::{Leader, Leased, Miner, Vote};
use crate::outlook::{AssetOutlook, Outlook};
use accounting::{AccountId, Identity, UnixMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What only a pool of leased compute has.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct LeasedPool {
    /// The port of its API.
    pub port: Option<u16>,
    /// Is TLS spoken there?
    pub tls: bool,
    /// The port of its axon, for Bittensor's neurons.
    pub axon_port: Option<u16>,
    /// Its own hotkey, which signs its reports.
    pub hotkey: String,
    /// The open epoch's number.
    pub epoch: u64,
    /// When it ends.
    pub epoch_ends_at: Iso,
    /// How long an epoch is.
    pub epoch_length_s: u64,
    /// What one brings, without what is carried into it.
    pub epoch_budget: Money,
    /// What algorithms are scored on.
    pub data_set: String,
    /// The hash of that.
    pub data_set_hash: String,
    /// Votes that make a median.
    pub quorum: u8,
    /// What is near enough to it, in words.
    pub tolerance: String,
    /// What the best believed algorithm is worth.
    pub best_score: Option<f64>,
    /// Miners that ever registered.
    pub registered: u64,
    /// Algorithms that wait for votes or for the pool's own result.
    pub open_algorithms: u64,
    /// Leases in somebody's hands.
    pub active_leases: u64,
}

/// What a miner's work in a pool of leased compute has come to.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct LeasedMiner {
    /// The pool.
    pub pool: String,
    /// The part of the decided votes that held; null before the first.
    pub accuracy_rate: Option<f64>,
    /// Votes that held.
    pub accurate: u64,
    /// Votes that did not.
    pub inaccurate: u64,
    /// Checks against the pool's own result that failed.
    pub failed_checks: u32,
    /// Leases that were answered.
    pub answered_leases: u64,
    /// The part of the decided algorithms that were paid; null before the first.
    pub evolution_success_rate: Option<f64>,
    /// Algorithms that are decided.
    pub evolved: u64,
    /// Those among them that were paid.
    pub evolved_paid: u64,
    /// Reputation earned and kept, as a decimal number.
    pub reputation: String,
    /// The part of it of the open epoch.
    pub reputation_this_epoch: String,
    /// The part of it of the last hour.
    pub reputation_per_hour: String,
    /// The open epoch's number.
    pub epoch: u64,
    /// When it ends.
    pub epoch_ends_at: Iso,
    /// What it would pay if it ended now.
    pub pending: Money,
    /// Before then no lease is given, because leases were left to expire.
    pub rests_until: Option<Iso>,
    /// Before then nothing is earned, because a check failed.
    pub sentenced_until: Option<Iso>,
    /// What became of the votes, the newest first.
    pub votes: Vec<LeasedVote>,
}

/// A vote that is decided.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct LeasedVote {
    /// On which algorithm.
    pub algorithm: u64,
    /// Was it near enough to the median?
    pub in_consensus: bool,
    /// The score that was sent; null where it was that the algorithm gives no number.
    pub score: Option<f64>,
    /// What is believed.
    pub median: Option<f64>,
    /// What is near enough to it, in words.
    pub tolerance: String,
    /// How many voted.
    pub evaluators: u64,
    /// All of it in words.
    pub detail: String,
    /// When it was decided.
    pub decided_at: Iso,
}

/// A place among those who earned most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeasedLeader {
    /// From 1.
    pub rank: usize,
    /// Masked unless its owner made it public.
    pub address: String,
    /// The name its owner gave it, if public.
    pub name: Option<String>,
    /// Is the address shown whole?
    pub is_public: bool,
    /// Reputation earned and kept, as a decimal number.
    pub reputation: String,
    /// The part of it of the last hour.
    pub per_hour: String,
    /// The part of the decided votes that held.
    pub accuracy_rate: Option<f64>,
}

/// A pool's.
#[must_use]
pub fn pool(leased: &Leased, decimals: u8) -> LeasedPool {
    let Leased { epoch, looked, .. } = leased;
    LeasedPool {
        port: leased.listen.map(|address| address.port()),
        tls: leased.is_tls,
        axon_port: leased.axon.map(|address| address.port()),
        hotkey: leased.hotkey.clone(),
        epoch: epoch.number,
        epoch_ends_at: Iso(epoch.ends_at),
        epoch_length_s: epoch.length_s,
        epoch_budget: Money::new(epoch.budget, decimals),
        data_set: leased.set.clone(),
        data_set_hash: leased.set_hash.clone(),
        quorum: leased.quorum,
        tolerance: leased.tolerance.clone(),
        best_score: looked.best_score,
        registered: looked.registered,
        open_algorithms: looked.open_algorithms,
        active_leases: looked.active_leases,
    }
}

/// What somebody's work has come to in the pools of an asset. A pool whose tables cannot be read now is left out.
#[must_use]
pub fn miners(outlook: &Outlook, asset: &AssetOutlook, who: &Identity) -> Vec<LeasedMiner> {
    let in_pool = |pool: &crate::outlook::PoolOutlook| {
        let leased = pool.leased.as_ref()?;
        let found = leased.miners.find(who).unwrap_or_else(|error| {
            tracing::warn!(%error, pool = pool.name, "a miner's work cannot be shown");
            None
        });
        found.map(|found| miner(&pool.name, leased, found, asset.decimals))
    };
    outlook.pools_of(asset.id).filter_map(in_pool).collect()
}

fn miner(pool: &str, leased: &Leased, found: Miner, decimals: u8) -> LeasedMiner {
    let votes = found.votes.into_iter().map(|vote| one_vote(vote, &leased.tolerance)).collect();
    LeasedMiner {
        pool: pool.to_owned(),
        accuracy_rate: found.accuracy_rate,
        accurate: found.accurate,
        inaccurate: found.inaccurate,
        failed_checks: found.failed_checks,
        answered_leases: found.answered,
        evolution_success_rate: found.evolution_success_rate,
        evolved: found.evolved,
        evolved_paid: found.evolved_paid,
        reputation: found.reputation,
        reputation_this_epoch: found.this_epoch,
        reputation_per_hour: found.per_hour,
        epoch: leased.epoch.number,
        epoch_ends_at: Iso(leased.epoch.ends_at),
        pending: Money::new(found.pending, decimals),
        rests_until: found.rests_until.map(Iso),
        sentenced_until: found.sentenced_until.map(Iso),
        votes,
    }
}

fn one_vote(vote: Vote, tolerance: &str) -> LeasedVote {
    LeasedVote {
        algorithm: vote.algorithm,
        in_consensus: vote.in_consensus,
        score: vote.score,
        median: vote.median,
        tolerance: tolerance.to_owned(),
        evaluators: vote.evaluators,
        detail: vote.why,
        decided_at: Iso(vote.decided_at),
    }
}

/// Who earned most in a pool.
pub fn leaders(
    leased: &Leased,
    public_name: impl Fn(AccountId) -> Option<Option<String>>,
) -> Vec<LeasedLeader> {
    let place = |(at, leader): (usize, &Leader)| {
        let public = leader.account.and_then(&public_name);
        LeasedLeader {
            rank: at + 1,
            address: if public.is_some() { leader.hotkey.clone() } else { masked(&leader.hotkey) },
            is_public: public.is_some(),
            name: public.flatten(),
            reputation: leader.reputation.clone(),
            per_hour: leader.per_hour.clone(),
            accuracy_rate: leader.accuracy_rate,
        }
    };
    leased.looked.leaders.iter().enumerate().map(place).collect()
}

/// Seconds until a time, as people read them.
#[must_use]
pub fn until(at: UnixMs, now: UnixMs) -> String {
    match at.0.checked_sub(now.0) {
        Some(left) if left > 0 => format!("in {}", crate::format::span(left as f64 / 1000.0)),
        _ => "now".into(),
    }
}

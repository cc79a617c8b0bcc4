//! What the pages are told of a pool of leased compute: looked at every few seconds, and a miner's work when somebody asks for it.
//!
//! Invariant: the desk is asked as often, however many people look.

use ::compute::card::{Card, rate};
use ::compute::desk::Verdict;
use ::compute::key::PublicKey;
use ::compute::quorum::Tolerance;
use ::compute::server::Door;
use ::compute::server::summary::Summary;
use ::compute::tables::forward::Forward;
use ::compute::tables::standing::Leader;
use accounting::{Identity, IdentityKind, UnixMs};
use arc_swap::ArcSwap;
use pool::{Clock, SystemClock};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use web::leased::{Epoch, Leased, Looked, Miner, Miners, Pipeline, Vote};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What is shown of a door.
pub struct Shown {
    network: String,
    is_tls: bool,
    axon: Option<SocketAddr>,
    looked: ArcSwap<Looked>,
}

impl Shown {
    /// Of a door on this network, which speaks TLS or not, with its neurons' address.
    pub fn new(network: String, is_tls: bool, axon: Option<SocketAddr>) -> Self {
        Shown { network, is_tls, axon, looked: ArcSwap::default() }
    }

    /// Looks until cancelled.
    pub async fn watch(self: Arc<Self>, door: Arc<Door>, cancel: CancellationToken) {
        loop {
            match look(&door).await {
                Ok(looked) => self.looked.store(Arc::new(looked)),
                Err(error) => tracing::debug!(error, "the pages show leased compute as it was"),
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// As it is now.
    pub fn outlook(&self, door: &Arc<Door>) -> Leased {
        let (rules, epoch) = (door.settings().desk.rules, door.epoch_now());
        let (set, set_hash) = door.data_set();
        Leased {
            listen: door.listening(),
            is_tls: self.is_tls,
            axon: self.axon,
            hotkey: door.own().to_string(),
            epoch: Epoch {
                number: epoch.number.0,
                ends_at: epoch.ends_at,
                length_s: epoch.length_s,
                budget: epoch.budget,
            },
            set: set.to_owned(),
            set_hash: set_hash.to_owned(),
            quorum: rules.quorum,
            tolerance: rules.tolerance.to_string(),
            looked: Looked::clone(&self.looked.load()),
            miners: miners(door.clone(), self.network.clone()),
        }
    }
}

async fn look(door: &Door) -> Result<Looked, String> {
    let (summary, leaders) = (door.summary().await?, door.leaders().await?);
    let Summary { pipeline, best, forward, .. } = summary;
    Ok(Looked {
        pipeline: Pipeline {
            issued: pipeline.issued,
            completed: pipeline.completed,
            expired: pipeline.expired,
            without_evaluations: pipeline.without_evaluations,
        },
        active_leases: summary.active_leases as u64,
        registered: summary.miners as u64,
        open_algorithms: summary.open_algorithms as u64,
        awaiting_own_result: summary.awaiting_own_result as u64,
        oldest_open_s: summary.oldest_open_s,
        best_score: best.and_then(|score| score.to_f64()),
        relay: forward.map(|last| sent(&last)),
        leaders: leaders.iter().map(leader).collect(),
    })
}

/// What became of the last that was sent to the relay.
fn sent(last: &Forward) -> String {
    let Forward { algorithm, score, state, said, .. } = last;
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    format!("algorithm {}, of {score}: {state}{said}", algorithm.0)
}

fn leader(leader: &Leader) -> web::leased::Leader {
    web::leased::Leader {
        hotkey: leader.miner.to_string(),
        account: leader.account,
        reputation: leader.reputation.to_string(),
        per_hour: leader.lately.to_string(),
        accuracy_rate: rate(leader.accurate, leader.accurate + leader.inaccurate),
    }
}

/// How one miner's work is looked up.
fn miners(door: Arc<Door>, network: String) -> Miners {
    Miners::new(move |who: &Identity| {
        if who.kind != IdentityKind::PublicKey || who.network != network {
            return Ok(None);
        }
        let Ok(key) = <[u8; 32]>::try_from(who.bytes.as_slice()) else { return Ok(None) };
        let card = door.card(&PublicKey::from_bytes(key)).map_err(|error| error.to_string())?;
        let tolerance = door.settings().desk.rules.tolerance;
        Ok(card.map(|card| miner(card, &tolerance, SystemClock.now())))
    })
}

fn miner(card: Card, tolerance: &Tolerance, now: UnixMs) -> Miner {
    let later = |at_s: u64| Some(UnixMs(at_s * 1000)).filter(|at| *at > now);
    Miner {
        accuracy_rate: card.accuracy_rate(),
        evolution_success_rate: card.evolution_success_rate(),
        accurate: card.miner.standing.accurate,
        inaccurate: card.miner.standing.inaccurate,
        failed_checks: card.miner.standing.failed_checks,
        answered: card.miner.answered,
        evolved: card.decided,
        evolved_paid: card.paid,
        reputation: card.reputation.to_string(),
        this_epoch: card.this_epoch.to_string(),
        per_hour: card.last_hour.to_string(),
        pending: card.pending,
        rests_until: later(card.miner.rests_until_s),
        sentenced_until: later(card.miner.sentenced_until_s),
        votes: card.votes.iter().map(|verdict| vote(verdict, tolerance)).collect(),
    }
}

fn vote(verdict: &Verdict, tolerance: &Tolerance) -> Vote {
    Vote {
        algorithm: verdict.algorithm.0,
        score: verdict.score.to_f64(),
        median: verdict.median.to_f64(),
        evaluators: verdict.evaluators as u64,
        in_consensus: verdict.accurate,
        why: verdict.words(tolerance),
        decided_at: UnixMs(verdict.at_s * 1000),
    }
}

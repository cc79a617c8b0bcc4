//! The open doors: how work comes into the pools that run.

use super::OpenPort;
use super::compute::shown::Shown;
use crate::config::PoolSettings;
use accounting::union::Part;
use accounting::{AssetId, PoolId};
use farming::address;
use farming::door::Door as Farm;
use pool::observe::Times;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stratum::job::Pays;
use stratum::server::Door;
use stratum::verifier::Verifier;
use web::outlook::{PoolOutlook, PortOutlook};

/// An open door of one pool.
#[derive(Clone)]
pub enum OpenDoor {
    /// Proof of work.
    Stratum(Arc<Door>),
    /// Proof of space.
    Farming(Arc<Farm>),
    /// Leased compute.
    Compute {
        /// Its pool.
        pool: PoolId,
        /// Itself.
        door: Arc<::compute::server::Door>,
        /// What the pages are told of it.
        shown: Arc<Shown>,
    },
}

impl OpenDoor {
    /// Its pool's number.
    pub fn pool_id(&self) -> PoolId {
        match self {
            OpenDoor::Stratum(door) => door.pool_id,
            OpenDoor::Farming(door) => door.pool_id,
            OpenDoor::Compute { pool, .. } => *pool,
        }
    }

    /// Stops handing out work for a reason, or goes on.
    pub fn pause(&self, reason: Option<String>) {
        match self {
            OpenDoor::Stratum(door) => drop(door.paused.send_replace(reason)),
            OpenDoor::Farming(door) => drop(door.paused.send_replace(reason)),
            OpenDoor::Compute { door, .. } => door.pause(reason),
        }
    }

    /// Shares whose hash is still being computed, of all pools that share its verifier.
    pub fn hashing(&self) -> usize {
        match self {
            OpenDoor::Stratum(door) => door.heavy.as_ref().map_or(0, Verifier::pending),
            OpenDoor::Farming(_) | OpenDoor::Compute { .. } => 0,
        }
    }

    /// Shares accepted since start.
    pub fn accepted(&self) -> u64 {
        match self {
            OpenDoor::Stratum(door) => door.stats.accepted_count(),
            OpenDoor::Farming(door) => door.stats.counted().accepted,
            OpenDoor::Compute { door, .. } => door.counts().answers,
        }
    }

    /// Shares refused since start, by reason.
    pub fn rejected(&self) -> Vec<(&'static str, u64)> {
        match self {
            OpenDoor::Stratum(door) => {
                let counts = door.stats.rejected_counts().into_iter();
                counts.map(|(reject, count)| (reject.label(), count)).collect()
            }
            OpenDoor::Farming(door) => {
                let counts = door.stats.counted().refused.into_iter();
                counts.map(|(reject, count)| (reject.label(), count)).collect()
            }
            OpenDoor::Compute { door, .. } => vec![("refused requests", door.counts().refused)],
        }
    }

    /// The work handed out now, for `adit status`.
    pub fn job(&self) -> Value {
        match self {
            OpenDoor::Stratum(door) => {
                let jobs = door.jobs.borrow();
                let job = jobs.latest();
                job.map_or(
                    Value::Null,
                    |job| json!({ "height": job.template.height, "number": job.no }),
                )
            }
            OpenDoor::Farming(door) => {
                let (counted, standing) = (door.stats.counted(), door.nodes.standing());
                json!({
                    "height": standing.map(|standing| standing.height),
                    "farmers": door.farmers.count(),
                    "purse": door.signer.own().map(|own| address::encode(&own.purse(), door.nodes.network())),
                    "partials_revoked": counted.revoked,
                    "partials_not_looked_at_again": counted.unknown,
                    "partials_that_should_have_won": counted.winners,
                })
            }
            OpenDoor::Compute { door, .. } => {
                json!({ "listens_at": door.listening().map(|at| at.to_string()) })
            }
        }
    }

    /// Waits until everything found is in the books, for so long.
    pub async fn settle(&self, limit: Duration) {
        match self {
            OpenDoor::Stratum(door) => door.blocks.settle(limit).await,
            // Its income is on the chain, and found there again.
            OpenDoor::Farming(_) => {}
            // What is earned is on disk, and told at the next start.
            OpenDoor::Compute { .. } => {}
        }
    }

    /// As the pages see it.
    pub fn outlook(&self, own: &PoolSettings, asset: AssetId, ports: &[OpenPort]) -> PoolOutlook {
        match self {
            OpenDoor::Stratum(door) => stratum(own, door, asset, ports, self.rejected()),
            OpenDoor::Farming(door) => PoolOutlook {
                id: door.pool_id,
                name: own.config.name.clone(),
                asset,
                algorithm: "proof of space".to_owned(),
                scheme: own.config.scheme,
                by_block: None,
                fee: own.config.fee.clone(),
                part: None,
                ports: shown(ports, door.pool_id),
                leased: None,
                refunds: own.kind.refunds().map(|name| (door.refunds, name.to_owned())),
                rejected: self.rejected(),
                accepted: self.accepted(),
                blocks_unbooked: 0,
                jobs_sent: 0,
                difficulty_changes: 0,
                validation: Times::default(),
                ack: Times::default(),
                broadcast: Times::default(),
            },
            OpenDoor::Compute { pool, door, shown } => PoolOutlook {
                id: *pool,
                name: own.config.name.clone(),
                algorithm: "compute".to_owned(),
                asset,
                scheme: own.config.scheme,
                by_block: None,
                fee: own.config.fee.clone(),
                part: None,
                ports: Vec::new(),
                leased: Some(shown.outlook(door)),
                refunds: None,
                rejected: self.rejected(),
                accepted: door.counts().answers,
                blocks_unbooked: 0,
                jobs_sent: door.counts().leases,
                difficulty_changes: 0,
                validation: Times::default(),
                ack: Times::default(),
                broadcast: Times::default(),
            },
        }
    }
}

fn shown(ports: &[OpenPort], of: PoolId) -> Vec<PortOutlook> {
    let port = |port: &OpenPort| PortOutlook {
        address: port.address,
        tls: port.tls,
        start: port.policy.start.as_f64(),
        min: port.policy.min.as_f64(),
        max: port.policy.max.as_f64(),
        share_interval_s: port.policy.interval_s,
    };
    ports.iter().filter(|port| port.pool == of).map(port).collect()
}

fn stratum(
    own: &PoolSettings,
    door: &Door,
    asset: AssetId,
    ports: &[OpenPort],
    rejected: Vec<(&'static str, u64)>,
) -> PoolOutlook {
    let (jobs_sent, difficulty_changes) = door.stats.sent_counts();
    PoolOutlook {
        id: door.pool_id,
        name: own.config.name.clone(),
        asset,
        algorithm: door.rules.hashing.name().to_owned(),
        scheme: own.config.scheme,
        by_block: match &door.rules.pays {
            Pays::Window { rules, .. } => Some(rules.in_words()),
            Pays::Member { following, .. } => Some(following.in_words()),
            Pays::Pool { .. } | Pays::Finder { .. } => None,
        },
        fee: own.config.fee.clone(),
        part: own.config.part.map(Part::get),
        ports: shown(ports, door.pool_id),
        leased: None,
        refunds: None,
        rejected,
        accepted: door.stats.accepted_count(),
        blocks_unbooked: door.blocks.unbooked(),
        jobs_sent,
        difficulty_changes,
        validation: door.stats.validation.read(),
        ack: door.stats.ack.read(),
        broadcast: door.stats.broadcast.read(),
    }
}

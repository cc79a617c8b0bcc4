//! What all nodes together say of incomes.
//!
//! Invariant: a node that may not be believed has no opinion.

use super::chain;
use super::node::{self, Gate};
use crate::node::agree;
use crate::rpc::{Endpoint, Rpc};
use accounting::RewardId;
use accounting::reward::Sighting;

/// Looks at the chain by several nodes.
pub struct Eyes {
    gate: Gate,
    nodes: Vec<Rpc>,
}

impl Eyes {
    /// By these.
    #[must_use]
    pub fn new(gate: Gate, nodes: &[Endpoint]) -> Self {
        Eyes { gate, nodes: nodes.iter().map(node::rpc).collect() }
    }

    /// What becomes of these incomes, named with the heights of their solutions.
    pub async fn sightings(&mut self, incomes: &[(RewardId, u64)]) -> Vec<Sighting> {
        let mut opinions: Vec<Vec<Sighting>> = vec![Vec::new(); incomes.len()];
        for rpc in &mut self.nodes {
            if self.gate.check(rpc).await.is_err() {
                continue;
            }
            for ((id, height), own) in incomes.iter().zip(&mut opinions) {
                own.push(chain::sighting(rpc, *id, *height).await);
            }
        }
        opinions.iter().map(|own| agree(own)).collect()
    }
}

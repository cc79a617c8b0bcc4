//! What was handed out: to whom, until when, and what came of it.
//!
//! Invariant: a miner has one lease at a time; what comes late finds none; the same answer twice is one answer.

use crate::key::PublicKey;
use crate::task::AlgorithmId;

/// A lease's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// What a miner asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// An algorithm or two to improve on.
    Evolve,
    /// Algorithms to score.
    Evaluate {
        /// At most.
        batch: usize,
    },
    /// Both.
    Mixed {
        /// To score at most.
        batch: usize,
        /// To improve on at most.
        seeds: usize,
    },
    /// Whatever is needed most.
    Any,
}

/// Work in somebody's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its number.
    pub id: LeaseId,
    /// Whose.
    pub miner: PublicKey,
    /// Since when.
    pub issued_at_s: u64,
    /// Until when.
    pub deadline_s: u64,
    /// To score.
    pub evaluate: Vec<AlgorithmId>,
    /// To improve on.
    pub seeds: Vec<AlgorithmId>,
    /// New algorithms that it may bring.
    pub evolve_budget: usize,
    /// How far it is.
    pub state: LeaseState,
}

/// How far a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// Being worked on.
    Active,
    /// Answered; the hash of the answer, so that the same again is told from another.
    Answered([u8; 32]),
    /// Nobody answered in time.
    Expired,
}

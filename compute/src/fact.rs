//! What the door tells the ledger: weighed, attributed facts, and their withdrawal.
//!
//! Invariant: a fact has a key of its own, so that telling it twice is telling it once.

use crate::key::PublicKey;
use crate::reputation::Reputation;
use crate::task::AlgorithmId;
use crate::worker::EarningKey;
use sha2::{Digest, Sha256};

/// A fact for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// An answer that the quorum believed: a share.
    Earned(Earning),
    /// An earlier one that no longer stands.
    Revoked {
        /// Which.
        key: EarningKey,
        /// Why, for the miner to read.
        reason: String,
        /// When.
        at_s: u64,
    },
}

/// What an answer earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earning {
    /// Its name.
    pub key: EarningKey,
    /// Whose.
    pub miner: PublicKey,
    /// How much.
    pub weight: Reputation,
    /// For what.
    pub cause: Cause,
    /// On which algorithm.
    pub algorithm: AlgorithmId,
    /// When it was believed; this decides the epoch.
    pub at_s: u64,
}

/// For what something is earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An accurate evaluation.
    Evaluation,
    /// A good algorithm.
    Evolution,
    /// A neuron's work, evaluated by the pool.
    Work,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 3] = [Cause::Evaluation, Cause::Evolution, Cause::Work];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Cause::Evaluation => "evaluation",
            Cause::Evolution => "evolution",
            Cause::Work => "work",
        }
    }
}

impl Earning {
    /// An earning; what it is for names it.
    #[must_use]
    pub fn new(
        cause: Cause,
        algorithm: AlgorithmId,
        miner: PublicKey,
        weight: Reputation,
        at_s: u64,
    ) -> Self {
        let key = Sha256::new()
            .chain_update(cause.word())
            .chain_update(algorithm.0.to_be_bytes())
            .chain_update(miner.bytes())
            .finalize()
            .into();
        Earning { key, miner, weight, cause, algorithm, at_s }
    }
}

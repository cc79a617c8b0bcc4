//! Where work comes from: algorithms that wait for votes, and what became of them.
//!
//! Invariant: an algorithm is voted on by each miner at most once, never by its author nor by the author's owner or neighbours.

use crate::dsl::canonical::Fingerprint;
use crate::key::PublicKey;
use crate::quorum::{OwnResult, Vote};
use crate::score::Score;
use std::sync::Arc;

/// An algorithm's number: the wire's `algorithms[].id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlgorithmId(pub u64);

/// Who stands behind a hotkey, as far as the pool can know: what must not judge itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinship {
    /// The coldkey that is paid.
    pub owner: Option<PublicKey>,
    /// The part of the internet it asks from, hashed. 0: unknown.
    pub neighbourhood: u64,
}

impl Kinship {
    /// Do these two belong together?
    #[must_use]
    pub fn is_shared_with(&self, other: &Kinship) -> bool {
        let owners = self.owner.is_some() && self.owner == other.owner;
        owners || (self.neighbourhood != 0 && self.neighbourhood == other.neighbourhood)
    }
}

/// An algorithm.
#[derive(Debug, Clone, PartialEq)]
pub struct Algorithm {
    /// Its number.
    pub id: AlgorithmId,
    /// Who evolved it; nobody, when the pool began with it.
    pub author: Option<PublicKey>,
    /// Whom the author belonged to then.
    pub kinship: Kinship,
    /// The program in normal form, as it is handed out.
    pub text: Arc<str>,
    /// Its name.
    pub fingerprint: Fingerprint,
    /// When it came.
    pub made_at_s: u64,
    /// How far it is.
    pub stage: Stage,
}

/// How far an algorithm is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Votes are being gathered.
    Open(Round),
    /// The votes are in, and the pool's own result must decide.
    Checking(Round),
    /// Believed.
    Agreed {
        /// What it is worth.
        score: Score,
        /// Since when.
        at_s: u64,
        /// By the pool's own result?
        verified: bool,
    },
}

/// Votes being gathered. Nobody is shown them.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// So far.
    pub votes: Vec<Vote>,
    /// Leases under way for it.
    pub out: Vec<PublicKey>,
    /// How many are asked for.
    pub needed: u8,
    /// The pool's own result, if it has one already.
    pub own: Option<OwnResult>,
    /// The pool evaluates it whatever the votes say: nobody can tell which.
    pub is_check: bool,
}

impl Round {
    /// For an algorithm that nobody has seen.
    #[must_use]
    pub const fn new(needed: u8) -> Self {
        Round { votes: Vec::new(), out: Vec::new(), needed, own: None, is_check: false }
    }

    /// Must the pool evaluate it?
    #[must_use]
    pub const fn awaits_own(&self) -> bool {
        self.is_check && self.own.is_none()
    }

    /// Are more evaluators wanted?
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.votes.len() + self.out.len() < usize::from(self.needed)
    }

    /// Has this miner to do with it already?
    #[must_use]
    pub fn knows(&self, miner: &PublicKey) -> bool {
        self.out.contains(miner) || self.votes.iter().any(|vote| vote.voter == *miner)
    }
}

//! Who is at the other end: a miner, what they have in hand, and what they have earned since somebody last checked.
//!
//! Invariant: how much is kept for one miner is bounded, however much they answer.

use crate::key::PublicKey;
use crate::lease::LeaseId;
use crate::reputation::Standing;
use crate::task::Kinship;
use std::collections::VecDeque;

/// Earnings that a failed check can take back; older ones are safe.
pub const UNCHECKED_MAX: usize = 256;

/// Names an earning: what is recorded once, however often it is told.
pub type EarningKey = [u8; 32];

/// A miner.
#[derive(Debug, Clone, PartialEq)]
pub struct Miner {
    /// Their hotkey.
    pub key: PublicKey,
    /// Whom they belong to.
    pub kinship: Kinship,
    /// How their answers have held.
    pub standing: Standing,
    /// What they have in hand.
    pub lease: Option<LeaseId>,
    /// Leases they let expire, since the last they answered.
    pub squatted: u32,
    /// Before then they get no lease.
    pub rests_until_s: u64,
    /// Before then they earn nothing.
    pub sentenced_until_s: u64,
    /// Since when they are known.
    pub registered_at_s: u64,
    /// When they were last heard of.
    pub seen_at_s: u64,
    /// Answered leases.
    pub answered: u64,
    /// What they earned since the last check that they passed.
    pub unchecked: VecDeque<EarningKey>,
}

impl Miner {
    /// Somebody new.
    #[must_use]
    pub const fn new(key: PublicKey, now_s: u64) -> Self {
        Miner {
            key,
            kinship: Kinship { owner: None, neighbourhood: 0 },
            standing: Standing { in_a_row: 0, accurate: 0, inaccurate: 0, failed_checks: 0 },
            lease: None,
            squatted: 0,
            rests_until_s: 0,
            sentenced_until_s: 0,
            registered_at_s: now_s,
            seen_at_s: now_s,
            answered: 0,
            unchecked: VecDeque::new(),
        }
    }

    /// Remembers an earning that a check may still take back.
    pub fn earns(&mut self, key: EarningKey) {
        if self.unchecked.len() == UNCHECKED_MAX {
            self.unchecked.pop_front();
        }
        self.unchecked.push_back(key);
    }
}

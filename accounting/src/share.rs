//! What the doors bring: weighed, attributed facts. A submission that was believed has become a [`Share`].
//!
//! Invariant: a share's weight was fixed when its job was handed out, and only a verifier makes one.

use crate::budget::Budget;
use crate::commitment::Commitment;
use crate::id::{AccountId, PoolId, RateId, RewardId, ShareSeq, UnixMs, WorkerId};
use crate::membership::Membership;
use crate::union::Terms;
use crate::{Amount, BasisPoints, Scheme};
use std::fmt;

/// How much one share proves: expected hashes, farming points or micro-reputation. At most 2^63 − 1, so that it is an
/// SQL integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Weight(u64);

/// A sum of weights.
pub type WeightSum = u128;

impl Weight {
    /// A weight, or `None` for zero and beyond 63 bits.
    #[must_use]
    pub fn new(weight: u64) -> Option<Self> {
        (weight > 0 && i64::try_from(weight).is_ok()).then_some(Self(weight))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Names one proof: the header hash, or plot‖challenge‖quality, or task‖voter, hashed to 32 bytes where longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey(pub [u8; 32]);

impl fmt::Debug for ShareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RewardId(self.0).fmt(f)
    }
}

/// A proof that was verified against its job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Which pot it counts in.
    pub pool: PoolId,
    /// Who is credited.
    pub account: AccountId,
    /// Which of their machines found it.
    pub worker: WorkerId,
    /// What it counts.
    pub weight: Weight,
    /// The pay-per-share rate that was in force at its job; 0 where the scheme pays on reward.
    pub rate: RateId,
    /// When we believed it.
    pub found_at: UnixMs,
    /// What it is called.
    pub key: ShareKey,
}

/// A header met the network's target. Logged even when the share itself was refused; its position in the log is the
/// `window_end` of the reward.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockFound {
    /// The pot whose window is paid.
    pub pool: PoolId,
    /// Who found it.
    pub finder: AccountId,
    /// Which machine.
    pub worker: WorkerId,
    /// The block.
    pub block: RewardId,
    /// Its height.
    pub height: u64,
    /// What its coinbase pays to the pool's own scripts.
    pub to_pool: Amount,
    /// What its coinbase pays miners itself: the finder in a non-custodial solo pool, or those it was committed to.
    pub to_miners: Amount,
    /// The fee that its coinbase withheld from the finder it pays: the one in force when the job was made.
    pub coinbase_fee: BasisPoints,
    /// Expected hashes of the network target it met: the unit of PPLNS windows.
    pub network_work: WeightSum,
    /// The rule in force when the job was made.
    pub scheme: Scheme,
    /// The terms on which other pools share it.
    pub shared: Option<Terms>,
    /// The split that its coinbase committed to when its work was handed out.
    pub commitment: Option<Commitment>,
    /// What it divides, where it is no block but an epoch's budget.
    pub budget: Option<Budget>,
    /// What a coordination-free pool has to do with it; a payment that earlier blocks earned is logged as what it is.
    pub member: Option<Membership>,
    /// When.
    pub found_at: UnixMs,
}

/// One entry of the log of facts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogEntry {
    /// Work was accepted.
    Share(Share),
    /// A block was solved.
    BlockFound(Box<BlockFound>),
    /// An earlier share no longer stands.
    Revoke {
        /// Which.
        share: ShareSeq,
        /// Why, for people.
        reason: String,
    },
}

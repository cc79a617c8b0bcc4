//! Lists for people and programs: blocks, their splits, payouts, credits and accounts, a page at a time.
//!
//! Invariant: what is listed is what is on disk; nothing is estimated. Every list is read by an index, from a position on,
//! so that a page costs the same however long the history is.

mod accounts;
mod blocks;
mod payouts;

pub use accounts::{AccountRow, CreditRow, CreditSource, HoldRow};
pub use blocks::{RewardFilter, RewardRow, SplitPart};
pub use payouts::{AccountPayoutRow, PartRow, PayoutRow, PayoutSummary};

/// Which part of a list: what comes after a position, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Positions before this one (in lists that begin with the newest), or after it (in lists by account).
    pub from: Option<u64>,
    /// How many.
    pub limit: u64,
}

impl Cut {
    /// The first so many.
    #[must_use]
    pub const fn first(limit: u64) -> Self {
        Cut { from: None, limit }
    }

    pub(super) fn before(self) -> i64 {
        self.from.and_then(|from| i64::try_from(from).ok()).unwrap_or(i64::MAX)
    }

    fn after(self) -> i64 {
        self.from.and_then(|from| i64::try_from(from).ok()).unwrap_or(0)
    }

    pub(super) fn rows(self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX)
    }
}

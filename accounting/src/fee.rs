//! What the pool keeps: a rule in basis points, resolved once per account and then frozen in the split.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Hundredths of a percent, 0 to 10000.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct BasisPoints(u16);

/// More than everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fee has at most 10000 basis points (100 %), not {0}")]
pub struct TooManyBasisPoints(pub u32);

impl BasisPoints {
    /// No fee.
    pub const ZERO: BasisPoints = BasisPoints(0);
    /// Everything.
    pub const ALL: u16 = 10_000;

    /// So many hundredths of a percent.
    ///
    /// # Errors
    /// Above 10000.
    pub fn new(points: u16) -> Result<Self, TooManyBasisPoints> {
        if points > Self::ALL { Err(TooManyBasisPoints(points.into())) } else { Ok(Self(points)) }
    }

    /// The number.
    #[must_use]
    pub const fn points(self) -> u16 {
        self.0
    }

    /// What is left for the miner.
    #[must_use]
    pub fn complement(self) -> u16 {
        Self::ALL.saturating_sub(self.0)
    }
}

impl TryFrom<u16> for BasisPoints {
    type Error = TooManyBasisPoints;
    fn try_from(points: u16) -> Result<Self, Self::Error> {
        Self::new(points)
    }
}

impl From<BasisPoints> for u16 {
    fn from(fee: BasisPoints) -> u16 {
        fee.0
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        write!(f, "{whole}.{hundredths:02} %")
    }
}

/// A pool's fee: a base, lower tiers as the pool grows, and a discount for members.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FeeRule {
    /// What everybody pays when no tier applies.
    pub base: BasisPoints,
    /// From so many accounts in the window on, this fee instead of the base; the highest tier reached counts.
    #[serde(default)]
    pub tiers: Vec<FeeTier>,
    /// Taken off a member's fee; never below zero.
    #[serde(default)]
    pub member_discount: BasisPoints,
}

/// One step of a [`FeeRule`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeeTier {
    /// Accounts in the window from which this fee applies.
    pub accounts: u64,
    /// The fee.
    pub fee: BasisPoints,
}

impl FeeRule {
    /// The fee of one account in a window with so many accounts.
    #[must_use]
    pub fn resolve(&self, accounts_in_window: u64, is_member: bool) -> BasisPoints {
        let reached = self.tiers.iter().filter(|tier| tier.accounts <= accounts_in_window);
        let fee = reached.max_by_key(|tier| tier.accounts).map_or(self.base, |tier| tier.fee);
        if is_member { BasisPoints(fee.0.saturating_sub(self.member_discount.0)) } else { fee }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_tier_reached_counts_and_members_pay_less_but_never_less_than_nothing() {
        let bp = |n| BasisPoints::new(n).unwrap();
        let rule = FeeRule {
            base: bp(200),
            tiers: vec![
                FeeTier { accounts: 100, fee: bp(50) },
                FeeTier { accounts: 10, fee: bp(100) },
            ],
            member_discount: bp(75),
        };
        assert_eq!(rule.resolve(9, false), bp(200));
        assert_eq!(rule.resolve(10, false), bp(100));
        assert_eq!(rule.resolve(1000, false), bp(50));
        assert_eq!(rule.resolve(10, true), bp(25));
        assert_eq!(rule.resolve(1000, true), bp(0));
    }
}

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

/// A pool's fee: a base, lower tiers as the pool grows, and discounts for members and for volume.
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
    /// Taken off the fee of who has so much of the window's work; the highest step reached counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume: Vec<VolumeStep>,
}

/// One discount for volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VolumeStep {
    /// From this part of the work on.
    pub part: BasisPoints,
    /// Taken off the fee.
    pub discount: BasisPoints,
}

/// What an account's fee depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Accounts in the window.
    pub accounts: u64,
    /// Its part of the window's work, rounded down; see [`crate::volume::Volumes`].
    pub volume: BasisPoints,
    /// Is it a member's?
    pub is_member: bool,
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
    /// The fee of one account.
    #[must_use]
    pub fn resolve(&self, standing: Standing) -> BasisPoints {
        let Standing { accounts, volume, is_member } = standing;
        let reached = self.tiers.iter().filter(|tier| tier.accounts <= accounts);
        let fee = reached.max_by_key(|tier| tier.accounts).map_or(self.base, |tier| tier.fee);
        let reached = self.volume.iter().filter(|step| step.part <= volume);
        let for_volume = reached.max_by_key(|step| step.part).map_or(0, |step| step.discount.0);
        let for_member = if is_member { self.member_discount.0 } else { 0 };
        BasisPoints(fee.0.saturating_sub(for_volume).saturating_sub(for_member))
    }

    /// The whole rule, for people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = format!("fee {}", self.base);
        for tier in &self.tiers {
            words.push_str(&format!(", {} from {} miners on", tier.fee, tier.accounts));
        }
        for step in &self.volume {
            words.push_str(&format!(", {} less from {} of the work on", step.discount, step.part));
        }
        if self.member_discount != BasisPoints::ZERO {
            words.push_str(&format!(", {} less for members", self.member_discount));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bp(points: u16) -> BasisPoints {
        BasisPoints::new(points).unwrap()
    }

    fn of(accounts: u64, is_member: bool) -> Standing {
        Standing { accounts, volume: BasisPoints::ZERO, is_member }
    }

    #[test]
    fn the_highest_tier_reached_counts_and_members_pay_less_but_never_less_than_nothing() {
        let rule = FeeRule {
            base: bp(200),
            tiers: vec![
                FeeTier { accounts: 100, fee: bp(50) },
                FeeTier { accounts: 10, fee: bp(100) },
            ],
            member_discount: bp(75),
            volume: Vec::new(),
        };
        assert_eq!(rule.resolve(of(9, false)), bp(200));
        assert_eq!(rule.resolve(of(10, false)), bp(100));
        assert_eq!(rule.resolve(of(1000, false)), bp(50));
        assert_eq!(rule.resolve(of(10, true)), bp(25));
        assert_eq!(rule.resolve(of(1000, true)), bp(0));
    }

    #[test]
    fn who_does_more_of_the_work_pays_less() {
        let steps = [(2500, 80), (1000, 50)];
        let volume =
            steps.map(|(part, discount)| VolumeStep { part: bp(part), discount: bp(discount) });
        let rule = FeeRule {
            base: bp(100),
            volume: volume.to_vec(),
            member_discount: bp(30),
            ..FeeRule::default()
        };
        let fee = |part, is_member| {
            rule.resolve(Standing { accounts: 5, volume: bp(part), is_member }).points()
        };
        assert_eq!(
            [999, 1000, 2499, 2500, 10_000].map(|part| fee(part, false)),
            [100, 50, 50, 20, 20]
        );
        assert_eq!([999, 1000, 2500].map(|part| fee(part, true)), [70, 20, 0]);
    }
}

//! What an answer earns, and how far somebody's word is trusted.
//!
//! Reputation is a share's weight: whole millionths, so that 13.1 of 1000 is exactly 13.1 of 1000. Credibility decides how often
//! somebody is checked. Invariant: only integers; every weight is fixed
//! by the score alone.

use crate::score::{ONE, Score};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Millionths in one reputation.
const MICRO: u64 = 1_000_000;

/// Reputation in millionths.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Reputation(pub u64);

impl fmt::Display for Reputation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / MICRO, self.0 % MICRO)
    }
}

/// What is paid for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// For an accurate evaluation.
    pub evaluation: Reputation,
    /// For an evolved algorithm, times its score.
    pub evolution: u32,
    /// The least score, in billionths, that is paid.
    pub evolution_min: u32,
}

impl Tariff {
    /// The original's: 1 for an evaluation; twice the score for an algorithm of 0.7 and more.
    pub const ORIGINAL: Tariff =
        Tariff { evaluation: Reputation(MICRO), evolution: 2, evolution_min: 700_000_000 };

    /// What the author of an algorithm of this score earns.
    #[must_use]
    pub fn evolution(&self, score: Score) -> Reputation {
        let enough = score.billionths().filter(|billionths| *billionths >= self.evolution_min);
        let earned = |billionths: u32| u64::from(billionths) * u64::from(self.evolution) / 1000;
        Reputation(enough.map_or(0, earned))
    }
}

/// The loss that counts as none: what keeps a perfect answer from taking everything.
const LOSS_FLOOR: u64 = 50_000_000;

/// What a neuron's work of this score earns: the inverse of its loss (1 − score), from 0.95 for the worst to 20 for a perfect one.
/// The original divides by the loss itself, which is nothing for the perfect and everything for who comes near.
#[must_use]
pub fn inverse_loss(score: Score) -> Reputation {
    let loss = |billionths: u32| u64::from(ONE - billionths);
    let earned = |billionths| MICRO * u64::from(ONE) / (loss(billionths) + LOSS_FLOOR);
    Reputation(score.billionths().map_or(0, earned))
}

/// How somebody's answers have held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Accurate ones that could not have been guessed, since the last that did not hold.
    pub in_a_row: u32,
    /// Accurate ones altogether.
    pub accurate: u64,
    /// Those that were not.
    pub inaccurate: u64,
    /// Checks against the pool's own result that failed.
    pub failed_checks: u32,
}

impl Standing {
    /// An answer held; could it have been guessed?
    pub const fn held(&mut self, is_telling: bool) {
        if is_telling {
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        self.accurate = self.accurate.saturating_add(1);
    }

    /// An answer did not hold.
    pub const fn failed(&mut self) {
        self.in_a_row = 0;
        self.inaccurate = self.inaccurate.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_of_a_loss_is_finite_and_nobody_takes_everything() {
        let of = |score| inverse_loss(Score::read(score).unwrap()).0;
        assert_eq!((of(0.0), of(0.5), of(1.0)), (952_380, 1_818_181, 20_000_000));
        assert_eq!(inverse_loss(Score::Invalid).0, 0);
    }

    #[test]
    fn the_documents_scores_earn_what_they_say() {
        for (score, earned) in [
            (0.85, 1_700_000),
            (0.65, 0),
            (0.7, 1_400_000),
            (0.699_999_999, 0),
            (0.8, 1_600_000),
            (0.75, 1_500_000),
            (1.0, 2_000_000),
        ] {
            let score = Score::read(score).unwrap();
            assert_eq!(Tariff::ORIGINAL.evolution(score), Reputation(earned), "{score}");
        }
        assert_eq!(Tariff::ORIGINAL.evolution(Score::Invalid), Reputation(0));
        let hour = 10 * MICRO + 1_600_000 + 1_500_000;
        assert_eq!(Reputation(hour).to_string(), "13.100000");
    }
}

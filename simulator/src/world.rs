//! The world that miners are in: how hashrate is distributed, and what blocks are worth.

use crate::random::Dice;
use serde::{Deserialize, Serialize};

/// How hashrate is distributed over miners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "law", rename_all = "lowercase", deny_unknown_fields)]
pub enum Hashrates {
    /// Everybody has the same.
    Equal,
    /// Density `exponent · x^(exponent − 1)` on 0 to 1 (numpy's `power`): with 2, nearly equal miners.
    Power {
        /// The exponent.
        exponent: f64,
    },
    /// A heavy tail.
    Pareto {
        /// The smaller, the heavier.
        alpha: f64,
    },
    /// The n-th has `n^-exponent`; no chance in it.
    Zipf {
        /// The exponent.
        exponent: f64,
    },
    /// The logarithm is normal.
    Lognormal {
        /// Its standard deviation.
        sigma: f64,
    },
    /// As given.
    List {
        /// Relative hashrates.
        hashrates: Vec<f64>,
    },
}

impl Hashrates {
    /// Draws so many miners whose hashrates sum to `total`.
    #[must_use]
    pub fn draw(&self, count: usize, total: f64, dice: &mut Dice) -> Vec<f64> {
        let mut one = |number: usize| match self {
            Hashrates::Equal => 1.0,
            Hashrates::Power { exponent } => dice.uniform().powf(1.0 / exponent),
            Hashrates::Pareto { alpha } => (1.0 - dice.uniform()).powf(-1.0 / alpha),
            Hashrates::Zipf { exponent } => (number as f64 + 1.0).powf(-exponent),
            Hashrates::Lognormal { sigma } => (sigma * dice.normal()).exp(),
            Hashrates::List { hashrates } => hashrates.get(number).copied().unwrap_or(0.0),
        };
        let count = match self {
            Hashrates::List { hashrates } => hashrates.len(),
            _ => count,
        };
        let drawn: Vec<f64> = (0..count).map(&mut one).collect();
        let sum: f64 = drawn.iter().sum();
        drawn.iter().map(|rate| rate * total / sum).collect()
    }
}

/// What a block is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewards {
    /// Coins of subsidy in the first block.
    #[serde(default = "subsidy")]
    pub subsidy: f64,
    /// Mean coins of fees.
    #[serde(default)]
    pub fees: f64,
    /// Their standard deviation, in means; lognormal.
    #[serde(default)]
    pub fees_cv: f64,
    /// Blocks between halvings; 0 for none.
    #[serde(default)]
    pub halving: u64,
}

fn subsidy() -> f64 {
    3.125
}

impl Rewards {
    /// Always the same.
    #[must_use]
    pub fn constant(coins: f64) -> Self {
        Rewards { subsidy: coins, fees: 0.0, fees_cv: 0.0, halving: 0 }
    }

    /// Coins of subsidy at a height.
    #[must_use]
    pub fn subsidy_at(&self, height: u64) -> f64 {
        let halvings = height.checked_div(self.halving).unwrap_or(0);
        self.subsidy / 2f64.powf(halvings as f64)
    }

    /// The mean worth of a block of this height, in satoshis.
    #[must_use]
    pub fn mean_at(&self, height: u64) -> f64 {
        (self.subsidy_at(height) + self.fees) * crate::COIN
    }

    /// The mean square worth of a block of this height, in satoshis squared.
    #[must_use]
    pub fn mean_square_at(&self, height: u64) -> f64 {
        self.mean_at(height).powi(2) + (self.fees * self.fees_cv * crate::COIN).powi(2)
    }

    /// Draws the worth of a block, in satoshis.
    pub fn draw(&self, height: u64, dice: &mut Dice) -> u64 {
        let fees = if self.fees_cv > 0.0 {
            let s2 = (1.0 + self.fees_cv * self.fees_cv).ln();
            self.fees * (s2.sqrt() * dice.normal() - s2 / 2.0).exp()
        } else {
            self.fees
        };
        ((self.subsidy_at(height) + fees) * crate::COIN).round() as u64
    }
}

//! What a transaction should pay the network.
//!
//! Invariant: a rate is never below what nodes relay, nor above the operator's limit, whatever a node says.

use crate::rpc::Rpc;
use accounting::Amount;
use serde::Deserialize;
use serde_json::json;

/// How fees are chosen. Rates are in smallest units per 1000 virtual bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeePolicy {
    /// Wished for within so many blocks.
    pub target_blocks: u16,
    /// When no node can say (a new chain).
    pub fallback_rate: u64,
    /// Never more than this.
    pub max_rate: u64,
}

impl Default for FeePolicy {
    fn default() -> Self {
        FeePolicy { target_blocks: 6, fallback_rate: 2000, max_rate: 500_000 }
    }
}

/// What nodes relay by default.
pub const MIN_RATE: u64 = 1000;

#[derive(Deserialize)]
struct Estimate {
    feerate: Option<f64>,
}

impl FeePolicy {
    /// The rate to pay now, by the first node that has an opinion.
    pub async fn rate(&self, nodes: &mut [Rpc]) -> u64 {
        for node in nodes {
            let answer: Result<Estimate, _> =
                node.call("estimatesmartfee", json!([self.target_blocks])).await;
            if let Ok(Estimate { feerate: Some(rate) }) = answer {
                return self.bounded(rate);
            }
        }
        self.fallback_rate.clamp(MIN_RATE, self.max_rate.max(MIN_RATE))
    }

    /// Whole coins per 1000 virtual bytes, as nodes say it, in our unit.
    fn bounded(&self, coins: f64) -> u64 {
        let units = (coins * 1e8).ceil();
        // A float becomes the nearest integer; nonsense becomes 0.
        (units as u64).clamp(MIN_RATE, self.max_rate.max(MIN_RATE))
    }
}

/// Virtual bytes of a payout to so many, with two inputs and change: P2WPKH inputs (68), outputs as large as any
/// standard one (43).
#[must_use]
pub fn expected_size(outputs: usize) -> u64 {
    const OVERHEAD: u64 = 11;
    const INPUT: u64 = 68;
    const OUTPUT: u64 = 43;
    OVERHEAD + 2 * INPUT + (outputs as u64 + 1) * OUTPUT
}

/// The fee for so many virtual bytes, rounded up.
#[must_use]
pub fn amount(rate: u64, size: u64) -> Amount {
    let product = u128::from(rate) * u128::from(size);
    Amount::from_units(i128::try_from(product.div_ceil(1000)).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_stays_between_what_is_relayed_and_the_limit() {
        let policy = FeePolicy { max_rate: 100_000, ..FeePolicy::default() };
        for (coins, rate) in
            [(0.0, 1000), (-1.0, 1000), (f64::NAN, 1000), (0.000_015, 1500), (5.0, 100_000)]
        {
            assert_eq!(policy.bounded(coins), rate, "{coins}");
        }
    }

    #[test]
    fn fees_are_rounded_up() {
        assert_eq!(amount(1000, 233).units(), 233);
        assert_eq!(amount(1001, 233).units(), 234);
    }
}

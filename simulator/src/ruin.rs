//! The operator who buys shares: with what probability the reserve does not last.

use crate::random::Dice;

/// The exponent x of ruin: the positive root of `e^-x − 1 + (1 − f)·x = 0` (Rosenfeld, section 3).
#[must_use]
pub fn exponent(fee: f64) -> f64 {
    // x − ln-like function, one root beyond its minimum at −ln(1 − f).
    let value = |x: f64| (-x).exp() - 1.0 + (1.0 - fee) * x;
    let (mut low, mut high) = (-(1.0 - fee).ln(), 50.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if value(middle) < 0.0 { low = middle } else { high = middle }
    }
    high
}

/// The probability that a reserve of so many blocks is ever used up, exactly.
#[must_use]
pub fn probability(reserve: f64, fee: f64) -> f64 {
    (-exponent(fee) * reserve).exp()
}

/// The reserve, in blocks, that is used up with this probability.
#[must_use]
pub fn reserve(probability: f64, fee: f64) -> f64 {
    -probability.ln() / exponent(fee)
}

/// Plays an operator until ruin, or until the reserve has grown so much that one in a thousand would still be ruined; was there
/// ruin?
///
/// Between two blocks the work bought is exponential; a block brings one reward.
pub fn plays_to_ruin(reserve: f64, fee: f64, dice: &mut Dice) -> bool {
    let safe = reserve + 7.0 / exponent(fee);
    let mut money = reserve;
    while money < safe {
        money -= (1.0 - fee) * dice.exponential();
        if money < 0.0 {
            return true;
        }
        money += 1.0;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::{Amount, BasisPoints};

    #[test]
    fn published_reserves_are_found() {
        for (fee, exact) in [(0.05, 66.76), (0.01, 343.1), (0.02, 170.4), (0.10, 32.2)] {
            assert!((reserve(1e-3, fee) - exact).abs() < exact * 1e-3, "{fee}");
        }
    }

    #[test]
    fn the_pools_own_rule_is_on_the_safe_side() {
        for (points, exponent) in [(100, 3), (200, 6), (500, 9)] {
            let block = Amount::from_units(312_500_000);
            let fee = BasisPoints::new(points).unwrap();
            let own = accounting::reserve::reserve_for(block, fee, exponent).unwrap();
            let blocks = own.units() as f64 / 312_500_000.0;
            let found = probability(blocks, f64::from(points) / 1e4);
            assert!(found <= 10f64.powi(-i32::try_from(exponent).unwrap()));
        }
    }
}

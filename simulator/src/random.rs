//! Chance: numbers from a seed, a stream for each repeat.
//!
//! Invariant: the same seed and stream give the same numbers on every machine and in every thread.

use rand::{RngExt, SeedableRng};
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, Exp1, Gamma, Poisson, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A source of chance.
#[derive(Debug, Clone)]
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// The stream with this number, of this seed.
    #[must_use]
    pub fn stream(seed: u64, number: u64) -> Self {
        // The generator spreads its seed itself; a product with an odd constant keeps streams of neighbouring seeds apart.
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        Dice(Xoshiro256PlusPlus::seed_from_u64(seed ^ spread))
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// Yes with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        Exp1.sample(&mut self.0)
    }

    /// Normal with mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// How many of many rare events happen when `mean` are expected.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        match Poisson::new(mean) {
            Ok(law) => {
                let count: f64 = law.sample(&mut self.0);
                count as u64
            }
            // None are expected.
            Err(_) => 0,
        }
    }

    /// The sum of so many exponentials.
    ///
    /// # Panics
    /// When `shape` is not positive.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        Gamma::new(shape, 1.0).expect("a positive shape").sample(&mut self.0)
    }
}

/// Draws one of several, each by its weight, in the same time however many they are.
#[derive(Debug, Clone)]
pub struct Urn(WeightedAliasIndex<f64>);

impl Urn {
    /// An urn; weights need not sum to one.
    ///
    /// # Panics
    /// When no weight is positive, or one is negative.
    #[must_use]
    pub fn new(weights: Vec<f64>) -> Self {
        Urn(WeightedAliasIndex::new(weights).expect("weights are positive numbers"))
    }

    /// Draws a position.
    pub fn draw(&self, dice: &mut Dice) -> usize {
        self.0.sample(&mut dice.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_repeats_itself_and_no_other() {
        let numbers = |seed, number| {
            let mut dice = Dice::stream(seed, number);
            [dice.uniform(), dice.exponential(), dice.normal()]
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        let mut firsts: Vec<u64> =
            (0..50).flat_map(|s| (0..50).map(move |n| numbers(s, n)[0].to_bits())).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 2500);
    }

    #[test]
    fn an_urn_draws_by_weight() {
        let (urn, mut dice) = (Urn::new(vec![1.0, 0.0, 3.0]), Dice::stream(1, 1));
        let mut drawn = [0u32; 3];
        (0..40_000).for_each(|_| drawn[urn.draw(&mut dice)] += 1);
        assert_eq!(drawn[1], 0);
        // Five standard errors.
        assert!((f64::from(drawn[0]) - 10_000.0).abs() < 5.0 * 7_500f64.sqrt());
    }
}

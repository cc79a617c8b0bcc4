//! Income by horizon: how much every miner got in each block, day, month and year of a run.
//!
//! Invariant: a bucket is counted once, when its last block has passed; a run's unfinished bucket is not counted.

use serde::Serialize;

/// A block, ten, a day, a week, thirty days, a year.
pub const HORIZONS: [u64; 6] = [1, 10, 144, 1008, 4320, 52_560];

/// Sums over buckets of one miner and horizon.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Moments {
    /// Buckets.
    pub count: u64,
    /// Sum of incomes.
    pub sum: f64,
    /// Sum of squared incomes.
    pub squares: f64,
    /// Buckets without income.
    pub empty: u64,
}

impl Moments {
    /// Counts a bucket.
    pub fn add(&mut self, income: f64) {
        self.count += 1;
        self.sum += income;
        self.squares += income * income;
        self.empty += u64::from(income <= 0.0);
    }

    /// Mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// Mean squared distance from a mean that is known.
    #[must_use]
    pub fn variance_about(&self, mean: f64) -> f64 {
        self.squares / self.count as f64 - 2.0 * mean * self.mean() + mean * mean
    }

    /// The part of buckets without income.
    #[must_use]
    pub fn none(&self) -> f64 {
        self.empty as f64 / self.count as f64
    }
}

/// Incomes of all miners of one run.
#[derive(Debug, Clone)]
pub struct Recorder {
    horizons: Vec<u64>,
    /// By horizon, then miner.
    moments: Vec<Vec<Moments>>,
    /// Income up to the last boundary, by horizon, then miner.
    counted: Vec<Vec<f64>>,
    /// Income a block that is expected of each miner; the deepest fall below it is their drawdown.
    expected: Vec<f64>,
    peak: Vec<f64>,
    drawdown: Vec<f64>,
    /// The last boundary passed.
    passed: u64,
}

impl Recorder {
    /// For runs of miners who expect this much a block. Horizon 1 is counted by [`Recorder::single`].
    #[must_use]
    pub fn new(horizons: &[u64], expected: Vec<f64>) -> Self {
        let miners = expected.len();
        Recorder {
            horizons: horizons.to_vec(),
            moments: vec![vec![Moments::default(); miners]; horizons.len()],
            counted: vec![vec![0.0; miners]; horizons.len()],
            peak: vec![0.0; miners],
            drawdown: vec![0.0; miners],
            expected,
            passed: 0,
        }
    }

    /// The first boundary after the last one passed, of any horizon but 1.
    #[must_use]
    pub fn next_boundary(&self) -> u64 {
        let next = |horizon: &u64| (self.passed / horizon + 1) * horizon;
        self.horizons.iter().filter(|horizon| **horizon > 1).map(next).min().unwrap_or(u64::MAX)
    }

    /// All blocks up to and with `block` have passed; `incomes` is what each miner has got by then.
    pub fn pass(&mut self, block: u64, incomes: &[f64]) {
        while self.next_boundary() <= block {
            let boundary = self.next_boundary();
            for (at, horizon) in self.horizons.iter().enumerate() {
                if *horizon == 1 || !boundary.is_multiple_of(*horizon) {
                    continue;
                }
                let counted = self.counted[at].iter_mut().zip(&mut self.moments[at]);
                for ((before, moments), income) in counted.zip(incomes) {
                    moments.add(income - *before);
                    *before = *income;
                }
            }
            self.fall(boundary, incomes);
            self.passed = boundary;
        }
    }

    fn fall(&mut self, block: u64, incomes: &[f64]) {
        for (miner, income) in incomes.iter().enumerate() {
            let ahead = income - self.expected[miner] * block as f64;
            self.peak[miner] = self.peak[miner].max(ahead);
            self.drawdown[miner] = self.drawdown[miner].max(self.peak[miner] - ahead);
        }
    }

    /// What single blocks paid a miner: all sums at once, over so many blocks.
    pub fn single(&mut self, miner: usize, moments: Moments) {
        if let Some(at) = self.horizons.iter().position(|horizon| *horizon == 1) {
            self.moments[at][miner] = moments;
        }
    }

    /// The horizons.
    #[must_use]
    pub fn horizons(&self) -> &[u64] {
        &self.horizons
    }

    /// What was counted of one horizon, by miner.
    #[must_use]
    pub fn moments(&self, horizon: usize) -> &[Moments] {
        &self.moments[horizon]
    }

    /// The deepest fall of each miner's income below what was expected.
    #[must_use]
    pub fn drawdown(&self) -> &[f64] {
        &self.drawdown
    }
}

/// How unequally something is distributed: 0 is equal, near 1 one has all.
#[must_use]
pub fn gini(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let count = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let ranked: f64 = values.iter().zip(1u32..).map(|(value, rank)| value * f64::from(rank)).sum();
    if sum > 0.0 { 2.0 * ranked / (count * sum) - (count + 1.0) / count } else { 0.0 }
}

/// A mean and how uncertain it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error; 0 where there was one repeat only.
    pub error: f64,
}

/// The mean of independent repeats, with the standard error that their scatter shows.
#[must_use]
pub fn estimate(repeats: &[f64]) -> Estimate {
    let count = repeats.len() as f64;
    let mean = repeats.iter().sum::<f64>() / count;
    let squares: f64 = repeats.iter().map(|value| (value - mean).powi(2)).sum();
    let error = if repeats.len() > 1 { (squares / (count - 1.0) / count).sqrt() } else { 0.0 };
    Estimate { mean, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_counted_when_they_are_full_and_empty_ones_too() {
        let mut recorder = Recorder::new(&[2, 4], vec![0.5]);
        recorder.pass(1, &[1.0]);
        recorder.pass(5, &[3.0]);
        recorder.pass(7, &[3.0]);
        let two = recorder.moments(0)[0];
        assert_eq!((two.count, two.sum, two.squares, two.empty), (3, 3.0, 9.0, 2));
        assert_eq!(recorder.moments(1)[0].count, 1);
        assert_eq!(recorder.next_boundary(), 8);
    }

    #[test]
    fn gini_is_zero_for_equals_and_high_for_a_giant() {
        assert!(gini(vec![2.0; 10]).abs() < 1e-12);
        let mut giant = vec![0.0; 100];
        giant[3] = 1.0;
        assert!((gini(giant) - 0.99).abs() < 1e-12);
    }
}

//! The sets that ship: small, drawn from fixed seeds, the same on every machine.
//!
//! They are for tests, the demo and a worker's self-test; nobody is paid for a score on them but in a demo. Invariant: their
//! hashes are pinned below.

use super::{DataSet, Metric, Rows, Task, executor_seed};
use crate::numpy::Rng;

/// The wire's name of the set of classes.
pub const CLASSES: &str = "adit_demo_binary";
/// The wire's name of the set of lines.
pub const LINES: &str = "scalar_linear";
const INPUT_DIM: u16 = 16;
const SEED: u64 = 1337;

/// Two classes, divided by a curved surface: chance is ½, a line gets further, and a product further still.
#[must_use]
pub fn classes() -> DataSet {
    let tasks = (0..16).map(|id| task(id, [256, 256], class_of)).collect();
    DataSet {
        name: CLASSES.into(),
        metric: Metric::Accuracy,
        input_dim: INPUT_DIM,
        epochs: 1,
        tasks,
    }
}

/// Numbers that are weighted sums of the features. The tasks are drawn by us: the original's draws of this name are not known.
#[must_use]
pub fn lines() -> DataSet {
    let tasks = (0..8)
        .map(|id| {
            task(id, [1000, 100], |features, weights| {
                let products = features.iter().zip(weights).map(|(x, w)| f64::from(*x) * w);
                #[expect(clippy::cast_possible_truncation, reason = "rows are floats of 32 bits")]
                let sum = products.sum::<f64>() as f32;
                sum
            })
        })
        .collect();
    DataSet { name: LINES.into(), metric: Metric::Fit, input_dim: INPUT_DIM, epochs: 1, tasks }
}

fn class_of(features: &[f32], weights: &[f64]) -> f32 {
    let line: f64 = features.iter().zip(weights).map(|(x, w)| f64::from(*x) * w).sum();
    let curve =
        f64::from(features[0]) * f64::from(features[1]) + f64::from(features[2]).powi(2) - 1.0;
    if line + 1.5 * curve > 0.0 { 1.0 } else { 0.0 }
}

fn task(id: u32, counts: [usize; 2], label: impl Fn(&[f32], &[f64]) -> f32) -> Task {
    let mut rng = Rng::new(SEED + u64::from(id));
    let weights: Vec<f64> = (0..INPUT_DIM).map(|_| rng.normal_f64()).collect();
    let mut rows = |count: usize| {
        let mut rows = Rows::default();
        for _ in 0..count {
            let features: Vec<f32> = (0..INPUT_DIM).map(|_| rng.normal_f32()).collect();
            rows.labels.push(label(&features, &weights));
            rows.features.extend(features);
        }
        rows
    };
    let (train, valid) = (rows(counts[0]), rows(counts[1]));
    let seed = executor_seed(SEED + 7919 * u64::from(INPUT_DIM), id.into(), 0, 0);
    Task { id, seed, train, valid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_that_ship_are_the_same_everywhere() {
        assert_eq!(
            [classes().hash(), lines().hash()].map(|hash| hash.to_string()),
            [
                "c2982dee4891105444f51a02540eb8a1f584e9d93f51899138090c5b54d0f7c8",
                "259a3f6b9af0090d8bb09a99680e6eca014471f9db2899b48c275c8e3c62de21"
            ]
        );
    }
}

//! What algorithms are tried on: sets of tasks, each with rows to learn from and rows to be judged by.
//!
//! A set is a file and its name is the file's hash, so that a worker with another version is told before it computes.
//! Invariant: the same set has the same bytes on every machine.

pub mod cifar;
pub mod demo;
mod file;

pub use file::{BadSet, read, write};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// How predictions become a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The part of rows whose class is right: the prediction is above ½ or is not. Chance is ½.
    Accuracy,
    /// 1 − (2/π)·atan(root mean square error).
    Fit,
}

/// Rows and what they should give.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// Features, row after row.
    pub features: Vec<f32>,
    /// Labels.
    pub labels: Vec<f32>,
}

/// One task of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its number in the original's numbering.
    pub id: u32,
    /// What the random numbers of a program begin with here.
    pub seed: u64,
    /// To learn from.
    pub train: Rows,
    /// To be judged by.
    pub valid: Rows,
}

/// A set of tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet {
    /// What the wire calls it: `cifar10_binary`.
    pub name: String,
    /// How it scores.
    pub metric: Metric,
    /// Features of a row.
    pub input_dim: u16,
    /// How often the training rows are shown.
    pub epochs: u16,
    /// Its tasks; the score is the median over them.
    pub tasks: Vec<Task>,
}

/// A set's name that cannot be mistaken: the SHA-256 of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetHash(pub [u8; 32]);

impl fmt::Display for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl DataSet {
    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> SetHash {
        SetHash(Sha256::digest(write(self)).into())
    }
}

/// A set and its hash, shared by everybody who computes.
pub type Shared = Arc<DataSet>;

impl Rows {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// None at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// The seed of a program's random numbers in a task, as the original derives it; a seed that a task does not have counts as 0.
#[must_use]
pub fn executor_seed(suite: u64, id: u64, projection: u64, split: u64) -> u64 {
    // The two that these tasks do not have (parameters and data) are 0.
    let parts = [
        (suite, 1),
        (id + 1, 15_485_863),
        (projection + 1, 104_729),
        (split + 1, 1_000_003),
        (1, 1_618_033),
        (1, 314_159),
    ];
    let sum =
        parts.iter().fold(0u64, |sum, (part, factor)| sum.wrapping_add(part.wrapping_mul(*factor)));
    sum % ((1 << 31) - 1)
}

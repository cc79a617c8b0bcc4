//! The original's CIFAR-10 tasks, made from a user's own copy of the pictures.
//!
//! 45 pairs of classes × 100 projections are 4500 tasks, of which a fixed 128 are asked: which pictures, which projection and which
//! split are drawn with numpy's generators, so they are exactly the original's. Products are summed in double precision here, and
//! in single precision (in an order that depends on the machine) there: features differ by rounding only. Invariant: two copies
//! of the same pictures give the same bytes.

use super::{DataSet, Metric, Rows, Task, executor_seed};
use crate::numpy::Rng;

/// The wire's name.
pub const NAME: &str = "cifar10_binary";
/// Numbers of a picture: 32 × 32 × 3.
pub const PIXELS: usize = 3072;
/// SHA-256 of the file the original reads: `CIFAR_10_small`, version 1, of OpenML.
pub const FILE_HASH: &str = "8bc18551ba7a01c82b49249d78537c0f08d25136988375435dc5e01397852a90";
const CLASSES: u32 = 10;
const PROJECTIONS: u32 = 100;
const SUITE_SEED: u64 = 1337;
const PROJECTION_SEED: u64 = 17_345;
const SPLIT_SEED: u64 = 97_531;

/// How the tasks are drawn; [`Recipe::ORIGINAL`] is the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Features of a row.
    pub input_dim: u16,
    /// Tasks.
    pub tasks: usize,
    /// Pictures of a task, half to learn from.
    pub rows: usize,
}

impl Recipe {
    /// 128 tasks of 2000 pictures, 16 features.
    pub const ORIGINAL: Recipe = Recipe { input_dim: 16, tasks: 128, rows: 2000 };

    /// The seed of the suite.
    #[must_use]
    pub fn suite_seed(&self) -> u64 {
        SUITE_SEED + 7919 * u64::from(self.input_dim)
    }

    /// Which of the 4500 tasks.
    #[must_use]
    pub fn task_ids(&self) -> Vec<u32> {
        let all = CLASSES * (CLASSES - 1) / 2 * PROJECTIONS;
        let chosen = Rng::new(self.suite_seed()).choice(all as usize, self.tasks);
        chosen.into_iter().map(|id| u32::try_from(id).expect("below 4500")).collect()
    }
}

/// Labelled pictures.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    /// Bytes of each, one after another.
    pub pixels: Vec<u8>,
    /// The class of each.
    pub classes: Vec<u8>,
}

/// What is wrong with a user's copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPictures {
    /// A line of the file.
    #[error("line {0}: not a picture: {PIXELS} numbers from 0 to 255 and a class from 0 to 9")]
    Line(usize),
    /// Too few to draw from.
    #[error("the classes {0} and {1} have {2} pictures together, and a task needs {3}")]
    Few(u8, u8, usize, usize),
}

impl Pictures {
    /// Reads the rows of an ARFF file (or of plain comma-separated values): the pixels, then the class.
    ///
    /// # Errors
    /// The first line that is no picture.
    pub fn read(text: &str) -> Result<Self, BadPictures> {
        let mut pictures = Pictures::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['@', '%']) {
                continue;
            }
            pictures.push(line).ok_or(BadPictures::Line(at + 1))?;
        }
        Ok(pictures)
    }

    fn push(&mut self, line: &str) -> Option<()> {
        // Classes come bare or quoted, pixels with or without ".0".
        let number = |text: &str| {
            let text = text.trim().trim_matches(['\'', '"']);
            text.strip_suffix(".0").unwrap_or(text).parse::<u8>().ok()
        };
        let before = self.pixels.len();
        let (pixels, class) = line.rsplit_once(',')?;
        for pixel in pixels.split(',') {
            self.pixels.push(number(pixel)?);
        }
        let class = number(class).filter(|class| u32::from(*class) < CLASSES)?;
        self.classes.push(class);
        (self.pixels.len() == before + PIXELS).then_some(())
    }

    fn of_pair(&self, [first, second]: [u8; 2]) -> Vec<usize> {
        let both = |class: u8| class == first || class == second;
        (0..self.classes.len()).filter(|at| both(self.classes[*at])).collect()
    }
}

/// Draws the tasks.
///
/// # Errors
/// When there are too few pictures.
pub fn draw(pictures: &Pictures, recipe: &Recipe) -> Result<DataSet, BadPictures> {
    let ids = recipe.task_ids();
    let tasks = ids.into_iter().map(|id| task(pictures, recipe, id)).collect::<Result<_, _>>()?;
    Ok(DataSet {
        name: NAME.into(),
        metric: Metric::Accuracy,
        input_dim: recipe.input_dim,
        epochs: 1,
        tasks,
    })
}

/// The pair of classes of a task, in the order (0,1), (0,2) … (8,9).
#[must_use]
pub fn class_pair(id: u32) -> [u8; 2] {
    let classes = u8::try_from(CLASSES).expect("ten");
    let pairs = (0..classes).flat_map(|a| (a + 1..classes).map(move |b| [a, b]));
    pairs.into_iter().nth((id / PROJECTIONS) as usize).expect("an id below 4500")
}

fn task(pictures: &Pictures, recipe: &Recipe, id: u32) -> Result<Task, BadPictures> {
    let (projection_seed, split_seed) =
        (PROJECTION_SEED + u64::from(id), SPLIT_SEED + u64::from(id));
    let pair = class_pair(id);
    let all = pictures.of_pair(pair);
    if all.len() < recipe.rows {
        return Err(BadPictures::Few(pair[0], pair[1], all.len(), recipe.rows));
    }
    let chosen = Rng::new(split_seed).choice(all.len(), recipe.rows);
    let chosen: Vec<usize> = chosen.into_iter().map(|at| all[at]).collect();
    let mut features = project(pictures, &chosen, recipe.input_dim.into(), projection_seed);
    standardise(&mut features, recipe.input_dim.into());
    let order = Rng::new(split_seed + 1).permutation(recipe.rows);
    let take = |order: &[usize]| {
        let mut rows = Rows::default();
        for &at in order {
            let dim = usize::from(recipe.input_dim);
            #[expect(clippy::cast_possible_truncation, reason = "rows are floats of 32 bits")]
            rows.features.extend(features[at * dim..][..dim].iter().map(|number| *number as f32));
            rows.labels.push(if pictures.classes[chosen[at]] == pair[1] { 1.0 } else { 0.0 });
        }
        rows
    };
    let (train, valid) = order.split_at(recipe.rows / 2);
    let seed = executor_seed(recipe.suite_seed(), id.into(), projection_seed, split_seed);
    Ok(Task { id, seed, train: take(train), valid: take(valid) })
}

/// Pictures × a Gaussian matrix whose columns have length one.
fn project(pictures: &Pictures, chosen: &[usize], dim: usize, seed: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    let mut matrix: Vec<f64> = (0..PIXELS * dim).map(|_| rng.normal_f64()).collect();
    for column in 0..dim {
        let squares = matrix.iter().skip(column).step_by(dim).map(|number| number * number);
        let length = squares.sum::<f64>().sqrt();
        matrix.iter_mut().skip(column).step_by(dim).for_each(|number| *number /= length);
    }
    let mut features = Vec::with_capacity(chosen.len() * dim);
    for &at in chosen {
        let mut row = vec![0.0; dim];
        let pixels = &pictures.pixels[at * PIXELS..][..PIXELS];
        for (pixel, weights) in pixels.iter().zip(matrix.chunks_exact(dim)) {
            let pixel = f64::from(f32::from(*pixel) / 255.0);
            row.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += pixel * weight);
        }
        features.extend(row);
    }
    features
}

/// Each feature to mean 0 and deviation 1 over the task's pictures.
#[expect(clippy::cast_precision_loss, reason = "a few thousand rows")]
fn standardise(features: &mut [f64], dim: usize) {
    let rows = (features.len() / dim) as f64;
    for column in 0..dim {
        let all = || features.iter().skip(column).step_by(dim);
        let mean = all().sum::<f64>() / rows;
        let variance = all().map(|number| (number - mean) * (number - mean)).sum::<f64>() / rows;
        let deviation = variance.sqrt() + 1e-6;
        let column = features.iter_mut().skip(column).step_by(dim);
        column.for_each(|number| *number = (*number - mean) / deviation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_bad_line_is_refused_by_its_number() {
        let good = format!("{}3", "7,".repeat(PIXELS));
        let text =
            format!("@RELATION x\n% comment\n@DATA\n{good}\n{}'9'\n", "255.0,".repeat(PIXELS));
        let pictures = Pictures::read(&text).unwrap();
        assert_eq!(pictures.classes, [3, 9]);
        for bad in ["7,3", &good[2..], &good.replace("7,3", "256,3"), &good.replace("7,3", "7,10")]
        {
            let read = Pictures::read(&format!("@DATA\n{good}\n{bad}\n"));
            assert_eq!(read.unwrap_err(), BadPictures::Line(3));
        }
    }
}

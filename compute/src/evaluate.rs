//! Scoring an algorithm: the same program on the same set gives the same bits on every host of ours.
//!
//! A task's rows depend on one another (memory outlives rows), but tasks do not: so eight tasks are run side by side, one in each
//! lane of the CPU's vectors, and an instruction is read once for all of them. Sums are taken in one fixed order, functions come from
//! libm in Rust. Dot products are summed in double precision, as numpy's are below 32 features where the CPU has AVX2 and no
//! AVX-512. (The original's sums depend on the machine: two of its clients may differ in the last bit, which is what the quorum's
//! tolerance is for.)
//! Invariant: nothing depends on how many lanes or threads there are.

mod machine;
mod memory;
mod plan;

use crate::data::{DataSet, Metric, SetHash, Task};
use crate::dsl::typed::Typed;
use crate::dsl::{Phase, Program};
use crate::score::Score;
use fearless_simd::{Level, dispatch};
use machine::Machine;
use memory::{Cell, LANES};
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;

/// The class is the second above this.
const THRESHOLD: f32 = 0.5;

/// A set, its rows side by side.
#[derive(Debug)]
pub struct Prepared {
    name: String,
    hash: SetHash,
    metric: Metric,
    input_dim: u16,
    epochs: u16,
    groups: Vec<Group>,
    tasks: usize,
}

/// Up to eight tasks of equal length, in lanes.
#[derive(Debug)]
struct Group {
    /// Where each lane's task is in the set.
    places: Vec<usize>,
    seeds: Vec<u64>,
    train: Side,
    valid: Side,
}

#[derive(Debug)]
struct Side {
    features: Vec<Cell>,
    labels: Vec<Cell>,
}

/// What an algorithm is worth, with everything that another host must find as well.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The median over the tasks.
    pub score: Score,
    /// Each task's score, in the set's order, as the original computes it.
    pub per_task: Vec<f64>,
    /// A hash of every single prediction: who did not compute them does not know it.
    pub digest: [u8; 32],
}

impl Evaluation {
    /// Of a program that may not be run on a set: no score, and predictions that nobody makes.
    #[must_use]
    pub const fn unusable() -> Self {
        Evaluation { score: Score::Invalid, per_task: Vec::new(), digest: [0; 32] }
    }
}

/// A program that may not be run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Made for other rows.
    #[error("the program is for rows of {program} numbers, and the data set has {set}")]
    InputDim {
        /// The program's.
        program: u16,
        /// The set's.
        set: u16,
    },
    /// Would take too long.
    #[error("the program would touch {cost} numbers on this data set, and may touch {allowed}")]
    Dear {
        /// How many.
        cost: u64,
        /// The limit.
        allowed: u64,
    },
}

/// Numbers a program may touch on a set: some seconds of one core.
pub const COST_MAX: u64 = 40_000_000_000;

impl Prepared {
    /// Lays a set out for running.
    #[must_use]
    pub fn new(set: &DataSet) -> Self {
        let sizes = |at: &usize| (set.tasks[*at].train.len(), set.tasks[*at].valid.len());
        let mut order: Vec<usize> = (0..set.tasks.len()).collect();
        order.sort_by_key(sizes);
        let alike = order.chunk_by(|a, b| sizes(a) == sizes(b));
        let groups = alike
            .flat_map(|alike| alike.chunks(LANES))
            .map(|places| Group::new(set, places))
            .collect();
        Prepared {
            name: set.name.clone(),
            hash: set.hash(),
            metric: set.metric,
            input_dim: set.input_dim,
            epochs: set.epochs,
            groups,
            tasks: set.tasks.len(),
        }
    }

    /// What the wire calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its hash.
    #[must_use]
    pub const fn hash(&self) -> SetHash {
        self.hash
    }

    /// Numbers of a row.
    #[must_use]
    pub const fn input_dim(&self) -> u16 {
        self.input_dim
    }

    /// Tasks in it.
    #[must_use]
    pub const fn tasks(&self) -> usize {
        self.tasks
    }

    /// How often each phase runs over the whole set.
    fn runs(&self, phase: Phase) -> u64 {
        let count = |group: &Group| {
            let lanes = group.places.len() as u64;
            let train = group.train.labels.len() as u64 * u64::from(self.epochs);
            let valid = group.valid.labels.len() as u64;
            lanes
                * match phase {
                    Phase::Setup => 1,
                    Phase::Predict => train + valid,
                    Phase::Learn => train,
                }
        };
        self.groups.iter().map(count).sum()
    }

    /// Instructions that a program runs on this set.
    #[must_use]
    pub fn instructions(&self, program: &Program) -> u64 {
        Phase::ALL.iter().map(|phase| self.runs(*phase) * program.phase(*phase).len() as u64).sum()
    }

    /// Numbers that a program touches on this set; known before it runs, since programs have no loops.
    #[must_use]
    pub fn cost(&self, program: &Program) -> u64 {
        let of = |phase: Phase| {
            let all = program.phase(phase).iter();
            let typed = all.filter_map(|one| Typed::of(one, &program.shape));
            let cells: u64 = typed.map(|one| one.cells(&program.shape)).sum();
            self.runs(phase).saturating_mul(cells)
        };
        Phase::ALL.iter().fold(0, |sum: u64, phase| sum.saturating_add(of(*phase)))
    }

    /// Runs a program on every task.
    ///
    /// # Errors
    /// When it does not fit the set or would take too long.
    pub fn evaluate(&self, program: &Program) -> Result<Evaluation, Unfit> {
        let done = self.evaluate_while(program, || ControlFlow::Continue(()))?;
        Ok(done.expect("nobody stops it"))
    }

    /// What a program answers for every row that judges it, task by task: for whoever wants to see where two differ.
    ///
    /// # Errors
    /// As [`Prepared::evaluate`].
    pub fn predictions(&self, program: &Program) -> Result<Vec<Vec<f32>>, Unfit> {
        self.check(program)?;
        let mut machine = Machine::new(program);
        let mut all = vec![Vec::new(); self.tasks];
        for group in &self.groups {
            let found = group.run(&mut machine, self.epochs, self.input_dim);
            for (lane, &place) in group.places.iter().enumerate() {
                all[place] = found.iter().map(|cell| cell[lane]).collect();
            }
        }
        Ok(all)
    }

    fn check(&self, program: &Program) -> Result<(), Unfit> {
        let (own, set) = (program.shape.input_dim, self.input_dim);
        if own != set {
            return Err(Unfit::InputDim { program: own, set });
        }
        let cost = self.cost(program);
        if cost > COST_MAX {
            return Err(Unfit::Dear { cost, allowed: COST_MAX });
        }
        Ok(())
    }

    /// As [`Prepared::evaluate`], asking between groups of tasks whether to go on; nothing when told to stop.
    ///
    /// # Errors
    /// As there.
    pub fn evaluate_while(
        &self,
        program: &Program,
        mut goes_on: impl FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Evaluation>, Unfit> {
        self.check(program)?;
        let mut machine = Machine::new(program);
        let mut per_task = vec![0.0; self.tasks];
        let mut digests = vec![[0u8; 32]; self.tasks];
        for group in &self.groups {
            if goes_on().is_break() {
                return Ok(None);
            }
            let predictions = group.run(&mut machine, self.epochs, self.input_dim);
            for (lane, &place) in group.places.iter().enumerate() {
                let found = predictions.iter().map(|cell| cell[lane]);
                let wanted = group.valid.labels.iter().map(|cell| cell[lane]);
                per_task[place] = score_of(self.metric, found.clone().zip(wanted));
                digests[place] = digest_of(found);
            }
        }
        let digest = Sha256::digest(digests.concat()).into();
        Ok(Some(Evaluation { score: Score::computed(median(&per_task)), per_task, digest }))
    }
}

impl Group {
    fn new(set: &DataSet, places: &[usize]) -> Self {
        // Empty lanes repeat the last task; nobody looks at them.
        let lane = |lane: usize| -> &Task { &set.tasks[places[lane.min(places.len() - 1)]] };
        let side = |of: fn(&Task) -> &crate::data::Rows| {
            let cell = |pick: &dyn Fn(&Task) -> f32| std::array::from_fn(|at| pick(lane(at)));
            let rows = of(lane(0));
            Side {
                features: (0..rows.features.len())
                    .map(|at| cell(&|task| of(task).features[at]))
                    .collect(),
                labels: (0..rows.labels.len())
                    .map(|at| cell(&|task| of(task).labels[at]))
                    .collect(),
            }
        };
        Group {
            places: places.to_vec(),
            seeds: (0..LANES).map(|at| lane(at).seed).collect(),
            train: side(|task| &task.train),
            valid: side(|task| &task.valid),
        }
    }

    /// The same code, compiled for each generation of CPUs: wider vectors, the same sums in the same order.
    fn run(&self, machine: &mut Machine, epochs: u16, input_dim: u16) -> Vec<Cell> {
        dispatch!(Level::new(), _ => self.run_rows(machine, epochs, input_dim))
    }

    #[inline(always)]
    fn run_rows(&self, machine: &mut Machine, epochs: u16, input_dim: u16) -> Vec<Cell> {
        let dim = usize::from(input_dim);
        machine.begin(&self.seeds);
        for _ in 0..epochs {
            for (row, label) in self.train.features.chunks_exact(dim).zip(&self.train.labels) {
                machine.learn(row, label);
            }
        }
        let mut found = Vec::with_capacity(self.valid.labels.len());
        // No closure: it would be compiled for any CPU.
        for row in self.valid.features.chunks_exact(dim) {
            found.push(machine.predict(row));
        }
        found
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand rows")]
fn score_of(metric: Metric, rows: impl ExactSizeIterator<Item = (f32, f32)>) -> f64 {
    let count = rows.len() as f64;
    match metric {
        Metric::Accuracy => {
            // What is no number is not above ½, as in the original.
            let right =
                rows.filter(|(found, wanted)| (*found > THRESHOLD) == (*wanted > THRESHOLD));
            right.count() as f64 / count
        }
        Metric::Fit => {
            let squares =
                rows.map(|(found, wanted)| (f64::from(found) - f64::from(wanted)).powi(2));
            let error = (squares.sum::<f64>() / count).sqrt();
            if error.is_finite() {
                1.0 - std::f64::consts::FRAC_2_PI * libm::atan(error)
            } else {
                f64::NEG_INFINITY
            }
        }
    }
}

/// What is no number has many bit patterns; one of them counts.
fn digest_of(predictions: impl Iterator<Item = f32>) -> [u8; 32] {
    let one = |number: f32| if number.is_nan() { f32::from_bits(0x7fc0_0000) } else { number };
    let bytes: Vec<u8> = predictions.flat_map(|number| one(number).to_le_bytes()).collect();
    Sha256::digest(bytes).into()
}

/// numpy's median.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = sorted[sorted.len() / 2];
    if sorted.len().is_multiple_of(2) {
        (sorted[sorted.len() / 2 - 1] + upper) / 2.0
    } else {
        upper
    }
}

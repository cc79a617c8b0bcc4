//! The machine: one memory for eight tasks side by side, and the three phases that change it.
//!
//! Invariant: a lane never sees another lane's numbers, and the order of every sum is written here.

use super::memory::{Cell, Memory, ZERO};
use super::plan::{self, Place, Step};
use crate::dsl::{Kind, Phase, Program, Register};

const ANSWER: usize = 0;
const LABEL: usize = 1;

pub(super) struct Machine {
    memory: Memory,
    row: Place,
    setup: Vec<Step>,
    predict: Vec<Step>,
    learn: Vec<Step>,
}

impl Machine {
    pub(super) fn new(program: &Program) -> Self {
        let shape = &program.shape;
        Machine {
            memory: Memory::new(shape),
            row: plan::place(shape, Register { kind: Kind::Vector, index: 0 }),
            setup: plan::steps(program, Phase::Setup),
            predict: plan::steps(program, Phase::Predict),
            learn: plan::steps(program, Phase::Learn),
        }
    }

    /// Forgets everything and runs the setup.
    pub(super) fn begin(&mut self, seeds: &[u64]) {
        self.memory.clear(seeds);
        self.memory.run(&self.setup);
    }

    #[inline(always)]
    /// Shows a row, then its label; the label is gone before the next row.
    pub(super) fn learn(&mut self, row: &[Cell], label: &Cell) {
        self.predict(row);
        self.memory.cells[LABEL] = *label;
        self.memory.run(&self.learn);
        self.memory.cells[LABEL] = ZERO;
    }

    #[inline(always)]
    /// Shows a row and takes the answer.
    pub(super) fn predict(&mut self, row: &[Cell]) -> Cell {
        let place = &mut self.memory.cells[self.row.at..][..self.row.len];
        let (known, beyond) = place.split_at_mut(row.len());
        known.copy_from_slice(row);
        beyond.fill(ZERO);
        self.memory.run(&self.predict);
        self.memory.cells[ANSWER]
    }
}

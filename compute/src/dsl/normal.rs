//! A program without what does nothing: the form the pool keeps, hands out and compares.
//!
//! Instructions that never run are dropped, and so are those whose result nothing can ever read. What is left computes the same
//! predictions, number for number. Invariant: normalising twice is normalising once, and the lenient reader reads the text of a
//! normal program as that program.

use super::typed::Typed;
use super::{Kind, Op, Phase, Program, Register};
use std::collections::HashSet;

/// The prediction.
const ANSWER: Register = Register { kind: Kind::Scalar, index: 0 };
/// The label, which the evaluator writes.
const LABEL: Register = Register { kind: Kind::Scalar, index: 1 };

impl Program {
    /// The same function with nothing superfluous.
    #[must_use]
    pub fn normal(&self) -> Program {
        let mut normal = self.clone();
        for list in &mut normal.instructions {
            list.retain(|instruction| Typed::of(instruction, &self.shape).is_some());
        }
        let draws = normal.draws();
        let useful = normal.useful();
        for list in &mut normal.instructions {
            list.retain(|instruction| {
                Typed::of(instruction, &self.shape).is_some_and(|typed| {
                    // A draw moves the stream of random numbers, whoever reads it.
                    matches!(typed, Typed::Random(..)) || useful.contains(&typed.dest())
                })
            });
            list.retain(|instruction| {
                !is_nothing(instruction.op, Typed::of(instruction, &self.shape))
            });
        }
        normal.capacities = Phase::ALL.map(|phase| {
            u32::try_from(normal.phase(phase).len()).expect("within the limits").max(30)
        });
        debug_assert_eq!(draws, normal.draws(), "no draw is dropped");
        normal
    }

    fn draws(&self) -> usize {
        let all = self.instructions.iter().flatten();
        all.filter(|one| matches!(one.op, Op::Gaussian | Op::Uniform)).count()
    }

    /// Registers whose value may reach the prediction, in whatever row: memory outlives rows, so order does not matter.
    fn useful(&self) -> HashSet<Register> {
        let typed: Vec<Typed> = self
            .instructions
            .iter()
            .flatten()
            .filter_map(|one| Typed::of(one, &self.shape))
            .collect();
        let mut useful = HashSet::from([ANSWER]);
        loop {
            let before = useful.len();
            for one in
                typed.iter().filter(|one| useful.contains(&one.dest())).copied().collect::<Vec<_>>()
            {
                useful.extend(one.sources());
            }
            if useful.len() == before {
                return useful;
            }
        }
    }
}

/// `s2 = s2`. (Of the label and the prediction also: nothing changes.)
fn is_nothing(op: Op, typed: Option<Typed>) -> bool {
    matches!(typed, Some(Typed::Unary(_, source, dest)) if op == Op::Copy && source == dest)
}

impl Program {
    /// Can the answer depend on the data at all? A program whose answer reads neither the row nor the label is a constant.
    #[must_use]
    pub fn reads_data(&self) -> bool {
        let useful = self.normal().useful();
        useful.contains(&Register { kind: Kind::Vector, index: 0 }) || useful.contains(&LABEL)
    }
}

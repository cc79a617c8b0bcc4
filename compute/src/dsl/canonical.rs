//! A program written in one way only, and its name: the original's text and its fingerprint.
//!
//! Invariant: the same instructions on the same memory have the same text and the same fingerprint, whatever the author wrote
//! around them.

use super::{Address, Instruction, Kind, Op, Phase, Program, number};
use sha1::{Digest, Sha1};
use std::fmt::Write;

/// The original's fingerprint of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 20]);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Program {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let shape = &self.shape;
        let mut out = format!(
            "# meta: scalar_count={} vector_count={} matrix_count={} vector_dim={}",
            shape.scalars, shape.vectors, shape.matrices, shape.dim
        );
        for phase in Phase::ALL {
            put(
                &mut out,
                format_args!(" {}_max_ops={}", phase.name(), self.capacities[phase.at()]),
            );
        }
        for phase in Phase::ALL {
            put(&mut out, format_args!("\n# {}", phase.name()));
            for instruction in self.phase(phase) {
                put(&mut out, format_args!("\n{}", self.line(instruction)));
            }
        }
        out
    }

    pub(super) fn line(&self, instruction: &Instruction) -> String {
        let name = |address: Address| self.name(address);
        let Instruction { op, args: [a, b], dest, numbers: [x, y] } = *instruction;
        let (a, b, dest) = (name(a), name(b), name(dest));
        match op {
            Op::Const => format!("{dest} = {}", number::write(x)),
            Op::ConstVec => format!("{dest}[{x:.0}] = {}", number::write(y)),
            Op::Add => format!("{dest} = {a} + {b}"),
            Op::Sub => format!("{dest} = {a} - {b}"),
            Op::Mul => format!("{dest} = {a} * {b}"),
            Op::Div => format!("{dest} = {a} / {b}"),
            Op::Copy => format!("{dest} = {a}"),
            Op::Dot | Op::MatMul | Op::Outer => format!("{dest} = {}({a}, {b})", op.word()),
            Op::Gaussian | Op::Uniform => {
                format!("{dest} = {}({}, {})", op.word(), number::write(x), number::write(y))
            }
            Op::Abs
            | Op::Exp
            | Op::Log
            | Op::Sin
            | Op::Cos
            | Op::Tan
            | Op::Heaviside
            | Op::Norm
            | Op::Mean
            | Op::Std => format!("{dest} = {}({a})", op.word()),
        }
    }

    /// A register's name. What lies beyond the last one is written as the matrix it would be, and reads as the same address.
    fn name(&self, address: Address) -> String {
        match (self.shape.register(address), u16::try_from(address.0)) {
            (Some(register), _) => register.to_string(),
            (None, Ok(at)) => {
                let before = self.shape.address(Kind::Matrix, 0).map_or(0, |first| first.0);
                format!("m{}", at.saturating_sub(before.unsigned_abs()))
            }
            (None, Err(_)) => "none".into(),
        }
    }

    /// The original's name of it: SHA-1 over memory and instructions, the phases in alphabetical order.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let shape = &self.shape;
        let mut hash = Sha1::new();
        hash.update(i32::from(shape.input_dim).to_le_bytes());
        for count in [shape.scalars, shape.vectors, shape.matrices] {
            hash.update(count.to_le_bytes());
        }
        hash.update(i32::from(shape.dim).to_le_bytes());
        for phase in [Phase::Learn, Phase::Predict, Phase::Setup] {
            let all = self.phase(phase);
            hash.update(phase.name());
            all.iter().for_each(|one| hash.update((one.op as i8).to_le_bytes()));
            all.iter().for_each(|one| hash.update(one.args[0].0.to_le_bytes()));
            all.iter().for_each(|one| hash.update(one.args[1].0.to_le_bytes()));
            all.iter().for_each(|one| hash.update(one.dest.0.to_le_bytes()));
            all.iter().for_each(|one| hash.update(one.numbers[0].to_le_bytes()));
            all.iter().for_each(|one| hash.update(one.numbers[1].to_le_bytes()));
        }
        Fingerprint(hash.finalize().into())
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

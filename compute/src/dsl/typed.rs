//! What an instruction means on its memory: the one place that says which combinations run and which are skipped.
//!
//! Invariant: an instruction runs always or never; nothing depends on values.

use super::{Instruction, Kind, Op, Phase, Program, Register, Shape};

/// An instruction that runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Typed {
    /// Fills a register.
    Fill(Register, f32),
    /// Sets one element of a vector.
    Element(Register, u16, f32),
    /// Combines two values, the smaller kind spread over the larger (a vector over a matrix as a row).
    Binary(Op, [Register; 2], Register),
    /// Changes every number.
    Unary(Op, Register, Register),
    /// Draws every number.
    Random(Op, Register, [f32; 2]),
    /// Scalar product.
    Dot([Register; 2], Register),
    /// Matrix times vector.
    MatMul([Register; 2], Register),
    /// Outer product.
    Outer([Register; 2], Register),
    /// Norm, mean or deviation of a vector, or a matrix's Frobenius norm: one number.
    Reduce(Op, Register, Register),
}

impl Typed {
    /// What runs, or nothing where the original skips: a wrong kind, a register that does not exist, a missing argument, a result
    /// that does not fit.
    #[must_use]
    pub fn of(instruction: &Instruction, shape: &Shape) -> Option<Typed> {
        use Kind::{Matrix, Scalar, Vector};
        let Instruction { op, args, dest, numbers } = *instruction;
        let dest = shape.register(dest)?;
        let args = args.map(|address| shape.register(address));
        let vectors = || match args {
            [Some(a), Some(b)] if a.kind == Vector && b.kind == Vector => Some([a, b]),
            _ => None,
        };
        // A value fits where it is or can be spread: never into a smaller kind.
        let fits = |kind: Kind| kind <= dest.kind;
        match op {
            Op::Const => Some(Typed::Fill(dest, numbers[0])),
            Op::ConstVec => {
                let index = index_of(numbers[0]).filter(|index| *index < shape.dim)?;
                (dest.kind == Vector).then_some(Typed::Element(dest, index, numbers[1]))
            }
            Op::Add | Op::Sub | Op::Mul | Op::Div => {
                let pair = [args[0]?, args[1]?];
                let result = pair[0].kind.max(pair[1].kind);
                fits(result).then_some(Typed::Binary(op, pair, dest))
            }
            Op::Abs | Op::Exp | Op::Log | Op::Sin | Op::Cos | Op::Tan | Op::Heaviside => {
                let source = args[0]?;
                fits(source.kind).then_some(Typed::Unary(op, source, dest))
            }
            Op::Copy => match (args[0]?, dest.kind) {
                (source, Scalar) if source.kind != Scalar => {
                    Some(Typed::Reduce(Op::Norm, source, dest))
                }
                (source, _) => fits(source.kind).then_some(Typed::Unary(op, source, dest)),
            },
            Op::Gaussian | Op::Uniform => Some(Typed::Random(op, dest, numbers)),
            Op::Dot => Some(Typed::Dot(vectors()?, dest)),
            Op::Outer => (dest.kind == Matrix).then_some(Typed::Outer(vectors()?, dest)),
            Op::MatMul => match args {
                [Some(m), Some(v)] if m.kind == Matrix && v.kind == Vector && fits(Vector) => {
                    Some(Typed::MatMul([m, v], dest))
                }
                _ => None,
            },
            Op::Norm | Op::Mean | Op::Std => {
                let source = args[0].filter(|source| source.kind == Vector)?;
                Some(Typed::Reduce(op, source, dest))
            }
        }
    }

    /// What it writes.
    #[must_use]
    pub const fn dest(&self) -> Register {
        match *self {
            Typed::Fill(dest, _)
            | Typed::Element(dest, ..)
            | Typed::Binary(_, _, dest)
            | Typed::Unary(_, _, dest)
            | Typed::Random(_, dest, _)
            | Typed::Dot(_, dest)
            | Typed::MatMul(_, dest)
            | Typed::Outer(_, dest)
            | Typed::Reduce(_, _, dest) => dest,
        }
    }

    /// What it reads.
    pub fn sources(&self) -> impl Iterator<Item = Register> {
        let pair = match *self {
            Typed::Fill(..) | Typed::Random(..) => [None, None],
            // The other elements stay.
            Typed::Element(dest, ..) => [Some(dest), None],
            Typed::Unary(_, source, _) | Typed::Reduce(_, source, _) => [Some(source), None],
            Typed::Binary(_, [a, b], _)
            | Typed::Dot([a, b], _)
            | Typed::MatMul([a, b], _)
            | Typed::Outer([a, b], _) => [Some(a), Some(b)],
        };
        pair.into_iter().flatten()
    }

    /// Numbers it touches: what running it costs.
    #[must_use]
    pub fn cells(&self, shape: &Shape) -> u64 {
        let size = |kind| match kind {
            Kind::Scalar => 1,
            Kind::Vector => u64::from(shape.dim),
            Kind::Matrix => u64::from(shape.dim).pow(2),
        };
        let read = self.sources().map(|source| size(source.kind)).max().unwrap_or(1);
        read.max(size(self.dest().kind))
    }
}

impl Program {
    /// Numbers that it touches for a training row: what running it costs, known before it runs.
    #[must_use]
    pub fn row_cost(&self) -> u64 {
        let all = [Phase::Predict, Phase::Learn].into_iter().flat_map(|phase| self.phase(phase));
        let typed = all.filter_map(|one| Typed::of(one, &self.shape));
        typed.map(|one| one.cells(&self.shape)).sum()
    }
}

/// An index was stored as a float.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole")]
fn index_of(number: f32) -> Option<u16> {
    let whole = (0.0..=f32::from(u16::MAX)).contains(&number) && number == number.trunc();
    whole.then_some(number as u16)
}

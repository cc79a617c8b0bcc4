//! A program made ready to run: registers are places in one memory, and what never runs is gone.
//!
//! Invariant: every place of a step lies inside the memory of its program.

use crate::dsl::typed::Typed;
use crate::dsl::{Kind, Op, Phase, Program, Register, Shape};

/// A register's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub kind: Kind,
    pub at: usize,
    pub len: usize,
}

/// What is done to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Fill(Place, u32),
    Element(usize, u32),
    Binary(Op, [Place; 2], Place),
    Unary(Op, Place, Place),
    Random(Op, Place, [u32; 2]),
    Dot([Place; 2], Place),
    MatMul([Place; 2], Place),
    Outer([Place; 2], Place),
    Reduce(Op, Place, Place),
}

pub(super) fn place(shape: &Shape, register: Register) -> Place {
    let (dim, index) = (usize::from(shape.dim), usize::from(register.index));
    let vectors_at = usize::from(shape.scalars);
    let matrices_at = vectors_at + usize::from(shape.vectors) * dim;
    let (at, len) = match register.kind {
        Kind::Scalar => (index, 1),
        Kind::Vector => (vectors_at + index * dim, dim),
        Kind::Matrix => (matrices_at + index * dim * dim, dim * dim),
    };
    Place { kind: register.kind, at, len }
}

/// The steps of a phase.
pub(super) fn steps(program: &Program, phase: Phase) -> Vec<Step> {
    let shape = &program.shape;
    let at = |register| place(shape, register);
    let both = |pair: [Register; 2]| pair.map(at);
    let typed = program.phase(phase).iter().filter_map(|one| Typed::of(one, shape));
    typed
        .map(|typed| match typed {
            Typed::Fill(dest, value) => Step::Fill(at(dest), value.to_bits()),
            Typed::Element(dest, index, value) => {
                Step::Element(at(dest).at + usize::from(index), value.to_bits())
            }
            Typed::Binary(op, pair, dest) => Step::Binary(op, both(pair), at(dest)),
            Typed::Unary(op, source, dest) => Step::Unary(op, at(source), at(dest)),
            Typed::Random(op, dest, numbers) => {
                Step::Random(op, at(dest), numbers.map(f32::to_bits))
            }
            Typed::Dot(pair, dest) => Step::Dot(both(pair), at(dest)),
            Typed::MatMul(pair, dest) => Step::MatMul(both(pair), at(dest)),
            Typed::Outer(pair, dest) => Step::Outer(both(pair), at(dest)),
            Typed::Reduce(op, source, dest) => Step::Reduce(op, at(source), at(dest)),
        })
        .collect()
}

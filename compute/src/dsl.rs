//! What an algorithm is: a program of three phases on scalars, vectors and matrices, written as text.
//!
//! Two readers, one meaning: [`lenient`] reads what the original reads, as the original reads it (what it cannot read it drops,
//! comments switch phases), so that foreign programs mean what their authors measured. [`strict`] is ours: whatever it accepts
//! the lenient reader reads alike, and the rest is an error with its line. [`canonical`] writes a program down in one way only.
//! Invariant: no text makes a program larger than [`Limits`] say, whatever it asks for.

pub mod canonical;
pub mod lenient;
mod line;
pub mod normal;
mod number;
pub mod strict;
pub mod typed;

use std::fmt;

/// Bytes of a program's text at most.
pub const TEXT_MAX: usize = 64 * 1024;

/// What an instruction does. The numbers are the original's, and are in the fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum Op {
    /// Fills a register with a constant.
    Const = 1,
    /// Sets one element of a vector.
    ConstVec = 2,
    /// +
    Add = 3,
    /// −
    Sub = 4,
    /// ×
    Mul = 5,
    /// a / (b + 1e-8)
    Div = 6,
    /// |x|
    Abs = 7,
    /// e^x, x clipped to ±10
    Exp = 8,
    /// ln(|x| + 1e-8)
    Log = 9,
    /// sine
    Sin = 10,
    /// cosine
    Cos = 11,
    /// tangent
    Tan = 12,
    /// 1 where x > 0, else 0
    Heaviside = 13,
    /// Normal random numbers: mean and deviation.
    Gaussian = 14,
    /// Uniform random numbers: low and high.
    Uniform = 15,
    /// Scalar product of two vectors.
    Dot = 16,
    /// Matrix times vector.
    MatMul = 17,
    /// Outer product of two vectors.
    Outer = 18,
    /// Euclidean length of a vector.
    Norm = 19,
    /// Mean of a vector.
    Mean = 20,
    /// Standard deviation of a vector, of the population.
    Std = 21,
    /// Copies; into a scalar, the length.
    Copy = 22,
}

/// When instructions run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Once, before the first row.
    Setup,
    /// For every row, the label unknown.
    Predict,
    /// For every training row, the label known.
    Learn,
}

impl Phase {
    /// In the order they are written.
    pub const ALL: [Phase; 3] = [Phase::Setup, Phase::Predict, Phase::Learn];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Setup => "setup",
            Phase::Predict => "predict",
            Phase::Learn => "learn",
        }
    }

    const fn at(self) -> usize {
        match self {
            Phase::Setup => 0,
            Phase::Predict => 1,
            Phase::Learn => 2,
        }
    }
}

/// Where a value lies: scalars first, then vectors, then matrices; −1 is nowhere. The original's numbering: `s25` beside twenty
/// scalars is the sixth vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub i16);

impl Address {
    /// Nowhere.
    pub const NONE: Address = Address(-1);
}

/// One instruction, as the original stores it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instruction {
    /// What.
    pub op: Op,
    /// Of what.
    pub args: [Address; 2],
    /// Into what.
    pub dest: Address,
    /// Its numbers: a value, an index and a value, or the two of a distribution.
    pub numbers: [f32; 2],
}

/// How much memory a program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Numbers of a row of the data.
    pub input_dim: u16,
    /// Scalars.
    pub scalars: u16,
    /// Vectors.
    pub vectors: u16,
    /// Matrices.
    pub matrices: u16,
    /// Numbers of a vector; a matrix has its square.
    pub dim: u16,
}

/// What a register is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// One number.
    Scalar,
    /// `dim` numbers.
    Vector,
    /// `dim` × `dim` numbers.
    Matrix,
}

/// A register that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Register {
    /// What it is.
    pub kind: Kind,
    /// Which one of its kind.
    pub index: u16,
}

impl Shape {
    /// The original's memory for rows of so many numbers.
    #[must_use]
    pub const fn default_for(input_dim: u16) -> Self {
        Shape { input_dim, scalars: 20, vectors: 10, matrices: 5, dim: input_dim }
    }

    /// The register there, if there is one.
    #[must_use]
    pub fn register(&self, address: Address) -> Option<Register> {
        let at = u16::try_from(address.0).ok()?;
        let vector_at = at.checked_sub(self.scalars);
        let matrix_at = vector_at.and_then(|at| at.checked_sub(self.vectors));
        match (vector_at, matrix_at) {
            (None, _) => Some(Register { kind: Kind::Scalar, index: at }),
            (Some(index), None) => Some(Register { kind: Kind::Vector, index }),
            (_, Some(index)) if index < self.matrices => {
                Some(Register { kind: Kind::Matrix, index })
            }
            _ => None,
        }
    }

    /// Where the n-th of a kind lies by the original's reckoning, which does not ask whether there are so many.
    #[must_use]
    pub fn address(&self, kind: Kind, index: u16) -> Option<Address> {
        let base = match kind {
            Kind::Scalar => 0,
            Kind::Vector => self.scalars,
            Kind::Matrix => self.scalars.checked_add(self.vectors)?,
        };
        i16::try_from(base.checked_add(index)?).ok().map(Address)
    }

    /// Numbers of its whole memory.
    #[must_use]
    pub fn cells(&self) -> usize {
        let dim = usize::from(self.dim);
        usize::from(self.scalars)
            + usize::from(self.vectors) * dim
            + usize::from(self.matrices) * dim * dim
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.kind {
            Kind::Scalar => 's',
            Kind::Vector => 'v',
            Kind::Matrix => 'm',
        };
        write!(f, "{letter}{}", self.index)
    }
}

/// What nobody's program may exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Scalars at most.
    pub scalars: u16,
    /// Vectors at most.
    pub vectors: u16,
    /// Matrices at most.
    pub matrices: u16,
    /// Numbers of a vector at most.
    pub dim: u16,
    /// Instructions of a phase at most.
    pub phase: usize,
}

impl Limits {
    /// Twice and more of what the original's programs use.
    pub const POOL: Limits = Limits { scalars: 64, vectors: 32, matrices: 16, dim: 64, phase: 256 };
}

/// A program: its memory and its instructions.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Its memory.
    pub shape: Shape,
    /// How many instructions the original would let each phase have. Written down, and otherwise without meaning.
    pub capacities: [u32; 3],
    instructions: [Vec<Instruction>; 3],
}

impl Program {
    /// A phase's instructions.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> &[Instruction] {
        &self.instructions[phase.at()]
    }

    /// A phase's instructions, to be changed.
    pub(crate) const fn phase_mut(&mut self, phase: Phase) -> &mut Vec<Instruction> {
        &mut self.instructions[phase.at()]
    }

    /// Instructions altogether.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instructions.iter().map(Vec::len).sum()
    }

    /// No instruction at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why text is no program of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProgram {
    /// Too much text.
    #[error("the program has {0} bytes, and may have {TEXT_MAX}")]
    Text(usize),
    /// Asks for too much.
    #[error("the program asks for {asked} {what}, and may have {allowed}")]
    Large {
        /// Of what.
        what: &'static str,
        /// How many.
        asked: u64,
        /// The limit.
        allowed: u64,
    },
    /// Has no place for the row, the label and the prediction.
    #[error(
        "the program needs at least two scalars (prediction and label) and one vector (the row)"
    )]
    Small,
    /// A line that the strict reader does not understand.
    #[error("line {line}: {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong, and what to do.
        why: String,
    },
}

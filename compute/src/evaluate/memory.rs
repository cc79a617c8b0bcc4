//! The memory of eight tasks side by side, and what each step does to it.
//!
//! Invariant: a lane never sees another lane's numbers, and the order of every sum is written here.

use super::plan::{Place, Step};
use crate::dsl::{Kind, Op, Shape};
use crate::numpy::Rng;
use std::array::from_fn;

/// Tasks side by side.
pub(super) const LANES: usize = 8;
/// The same number of every lane.
pub(super) type Cell = [f32; LANES];

pub(super) const ZERO: Cell = [0.0; LANES];
/// Keeps divisors and logarithms from zero.
const TINY: f32 = 1e-8;
/// Powers beyond this are clipped.
const POWER_MAX: f32 = 10.0;
/// Rows of a matrix that are summed side by side.
const ABREAST: usize = 4;
/// Partial sums of numpy's pairwise sum.
const PARTS: usize = 8;

pub(super) struct Memory {
    pub(super) cells: Vec<Cell>,
    /// A vector that is not in the memory: what is read while a register is written.
    spare: Vec<Cell>,
    rngs: Vec<Rng>,
    dim: usize,
}

impl Memory {
    pub(super) fn new(shape: &Shape) -> Self {
        let dim = usize::from(shape.dim);
        Memory { cells: vec![ZERO; shape.cells()], spare: vec![ZERO; dim], rngs: Vec::new(), dim }
    }

    pub(super) fn clear(&mut self, seeds: &[u64]) {
        self.cells.fill(ZERO);
        self.rngs = seeds.iter().map(|seed| Rng::new(*seed)).collect();
    }

    #[inline(always)]
    pub(super) fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    #[inline(always)]
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Fill(dest, value) => self.store(dest, [f32::from_bits(value); LANES]),
            Step::Element(at, value) => self.cells[at] = [f32::from_bits(value); LANES],
            Step::Binary(op, [a, b], dest) => match op {
                Op::Sub => self.zip(a, b, dest, |x, y| x - y),
                Op::Mul => self.zip(a, b, dest, |x, y| x * y),
                Op::Div => self.zip(a, b, dest, |x, y| x / (y + TINY)),
                _ => self.zip(a, b, dest, |x, y| x + y),
            },
            Step::Unary(op, source, dest) => match op {
                Op::Abs => self.map(source, dest, f32::abs),
                Op::Exp => self.map(source, dest, |x| libm::expf(x.clamp(-POWER_MAX, POWER_MAX))),
                Op::Log => self.map(source, dest, |x| libm::logf(x.abs() + TINY)),
                Op::Sin => self.map(source, dest, libm::sinf),
                Op::Cos => self.map(source, dest, libm::cosf),
                Op::Tan => self.map(source, dest, libm::tanf),
                Op::Heaviside => self.map(source, dest, |x| if x > 0.0 { 1.0 } else { 0.0 }),
                _ => self.map(source, dest, |x| x),
            },
            Step::Random(op, dest, numbers) => self.draw(op, dest, numbers.map(f32::from_bits)),
            Step::Dot([a, b], dest) => {
                let value = dot(&self.cells[a.at..][..a.len], &self.cells[b.at..][..b.len]);
                self.store(dest, value);
            }
            Step::MatMul([matrix, vector], dest) => self.multiply(matrix, vector, dest),
            Step::Outer([a, b], dest) => self.outer(a, b, dest),
            Step::Reduce(op, source, dest) => {
                let value = reduce(op, &self.cells[source.at..][..source.len]);
                self.store(dest, value);
            }
        }
    }

    /// One number into every place of a register.
    #[inline(always)]
    fn store(&mut self, dest: Place, value: Cell) {
        if dest.len == 1 {
            self.cells[dest.at] = value;
        } else {
            self.cells[dest.at..][..dest.len].fill(value);
        }
    }

    /// A result that was written to the beginning of its register, spread over the rest: a number everywhere, a vector as each
    /// row of a matrix.
    #[inline(always)]
    fn spread(&mut self, result: Kind, dest: Place) {
        match (result, dest.kind) {
            (Kind::Scalar, Kind::Vector | Kind::Matrix) => {
                let value = self.cells[dest.at];
                self.store(dest, value);
            }
            (Kind::Vector, Kind::Matrix) => {
                for row in 1..self.dim {
                    self.cells.copy_within(dest.at..dest.at + self.dim, dest.at + row * self.dim);
                }
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn zip(&mut self, a: Place, b: Place, dest: Place, f: impl Fn(f32, f32) -> f32 + Copy) {
        let cell = |x: &Cell, y: &Cell| -> Cell { from_fn(|lane| f(x[lane], y[lane])) };
        let result = a.kind.max(b.kind);
        let len = a.len.max(b.len);
        assert!(dest.at + len <= self.cells.len() && a.at + a.len <= self.cells.len());
        assert!(b.at + b.len <= self.cells.len());
        let cells = &mut self.cells[..];
        if a.kind == b.kind {
            for at in 0..len {
                cells[dest.at + at] = cell(&cells[a.at + at], &cells[b.at + at]);
            }
        } else if a.kind == Kind::Scalar {
            let x = cells[a.at];
            for at in 0..len {
                cells[dest.at + at] = cell(&x, &cells[b.at + at]);
            }
        } else if b.kind == Kind::Scalar {
            let y = cells[b.at];
            for at in 0..len {
                cells[dest.at + at] = cell(&cells[a.at + at], &y);
            }
        } else {
            // A vector and a matrix: the vector is each row.
            for (row, at) in
                (0..len).step_by(self.dim).flat_map(|row| (0..self.dim).map(move |at| (row, at)))
            {
                let of =
                    |place: Place| place.at + at + if place.kind == Kind::Matrix { row } else { 0 };
                cells[dest.at + row + at] = cell(&cells[of(a)], &cells[of(b)]);
            }
        }
        self.spread(result, dest);
    }

    #[inline(always)]
    fn map(&mut self, source: Place, dest: Place, f: impl Fn(f32) -> f32 + Copy) {
        for at in 0..source.len {
            self.cells[dest.at + at] = self.cells[source.at + at].map(f);
        }
        self.spread(source.kind, dest);
    }

    fn draw(&mut self, op: Op, dest: Place, [first, second]: [f32; 2]) {
        for cell in &mut self.cells[dest.at..][..dest.len] {
            for (number, rng) in cell.iter_mut().zip(&mut self.rngs) {
                *number = match op {
                    Op::Gaussian => first + second * rng.normal_f32(),
                    _ => first + (second - first) * rng.random_f32(),
                };
            }
        }
    }

    #[inline(always)]
    fn multiply(&mut self, matrix: Place, vector: Place, dest: Place) {
        let vector = &self.cells[vector.at..][..vector.len];
        let matrix = &self.cells[matrix.at..][..matrix.len];
        let (some, rest) = matrix.split_at(matrix.len() - matrix.len() % (ABREAST * self.dim));
        let (first, last) = self.spare.split_at_mut(some.len() / self.dim);
        let blocks = some.chunks_exact(ABREAST * self.dim);
        for (places, rows) in first.chunks_exact_mut(ABREAST).zip(blocks) {
            places.copy_from_slice(&dots(rows, vector));
        }
        for (place, row) in last.iter_mut().zip(rest.chunks_exact(self.dim)) {
            *place = dot(row, vector);
        }
        self.cells[dest.at..][..self.dim].copy_from_slice(&self.spare);
        self.spread(Kind::Vector, dest);
    }

    #[inline(always)]
    fn outer(&mut self, a: Place, b: Place, dest: Place) {
        self.spare.copy_from_slice(&self.cells[b.at..][..b.len]);
        for row in 0..self.dim {
            let x = self.cells[a.at + row];
            let places = &mut self.cells[dest.at + row * self.dim..][..self.dim];
            for (place, y) in places.iter_mut().zip(&self.spare) {
                *place = from_fn(|lane| x[lane] * y[lane]);
            }
        }
    }
}

/// Products in single precision, summed in double, one after another: numpy's own sum below 32 numbers.
#[inline(always)]
fn dot(a: &[Cell], b: &[Cell]) -> Cell {
    let mut sums = [0.0f64; LANES];
    for (x, y) in a.iter().zip(b) {
        add_products(&mut sums, x, y);
    }
    rounded(sums)
}

/// The dot products of some rows with a vector, side by side: each is summed as [`dot`] does it, but the CPU need not wait for one
/// sum before it adds to the next.
#[inline(always)]
fn dots(rows: &[Cell], vector: &[Cell]) -> [Cell; ABREAST] {
    let len = vector.len();
    let rows: [&[Cell]; ABREAST] = from_fn(|row| &rows[row * len..][..len]);
    let mut sums = [[0.0f64; LANES]; ABREAST];
    for (at, y) in vector.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(&rows) {
            add_products(sums, &row[at], y);
        }
    }
    sums.map(rounded)
}

#[inline(always)]
fn add_products(sums: &mut [f64; LANES], x: &Cell, y: &Cell) {
    for lane in 0..LANES {
        sums[lane] += f64::from(x[lane] * y[lane]);
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "rounded once, here")]
fn rounded(sums: [f64; LANES]) -> Cell {
    sums.map(|sum| sum as f32)
}

#[inline(always)]
fn reduce(op: Op, source: &[Cell]) -> Cell {
    #[expect(clippy::cast_precision_loss, reason = "at most 64²")]
    let count = source.len() as f32;
    let mean = || pairwise(source, |x, _| x, &ZERO).map(|sum| sum / count);
    match op {
        Op::Mean => mean(),
        Op::Std => {
            let squares = pairwise(source, |x, mean| (x - mean) * (x - mean), &mean());
            squares.map(|sum| (sum / count).sqrt())
        }
        _ => dot(source, source).map(f32::sqrt),
    }
}

/// numpy's pairwise sum of up to 128 numbers: eight partial sums, then in pairs; below eight, one after another.
#[inline(always)]
fn pairwise(source: &[Cell], f: impl Fn(f32, f32) -> f32 + Copy, with: &Cell) -> Cell {
    let of = |cell: &Cell| -> Cell { from_fn(|lane| f(cell[lane], with[lane])) };
    let add = |a: Cell, b: Cell| -> Cell { from_fn(|lane| a[lane] + b[lane]) };
    let whole = source.len() - source.len() % PARTS;
    let Some((first, rest)) = source[..whole].split_at_checked(PARTS) else {
        return source.iter().map(of).reduce(add).unwrap_or(ZERO);
    };
    let mut parts: [Cell; PARTS] = from_fn(|part| of(&first[part]));
    for chunk in rest.chunks_exact(PARTS) {
        for (part, cell) in parts.iter_mut().zip(chunk) {
            *part = add(*part, of(cell));
        }
    }
    let [a, b, c, d, e, f, g, h] = parts;
    let sum = add(add(add(a, b), add(c, d)), add(add(e, f), add(g, h)));
    source[whole..].iter().map(of).fold(sum, add)
}

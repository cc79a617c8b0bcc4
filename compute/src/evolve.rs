//! Looking for better algorithms: regularised evolution with an archive, the same for the same seed.
//!
//! The youngest survive, not the fittest: a lucky score does not stay for ever. What was tried is in the archive by its normal form,
//! so the same program is not evaluated twice. Invariant: every program it makes is strictly readable, within the limits, and has
//! nothing superfluous.

use crate::dsl::canonical::Fingerprint;
use crate::dsl::typed::Typed;
use crate::dsl::{Address, Instruction, Kind, Limits, Op, Phase, Program};
use crate::numpy::Rng;
use crate::score::Score;
use std::collections::{HashMap, VecDeque};

/// Programs remembered with their scores.
pub const ARCHIVE_MAX: usize = 1000;
/// Programs alive.
pub const POPULATION: usize = 32;
/// How many are compared to find a parent.
const TOURNAMENT: usize = 8;
/// Mutations at most until a child is somebody new.
const TRIES: u32 = 1024;
/// Draws at most until an instruction is one that runs.
const DRAWS: u32 = 64;

/// How large its programs may grow, and of what they are made: smaller than what the pool accepts, because small ones are quick.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Instructions of the setup at most.
    pub setup: usize,
    /// Of predict.
    pub predict: usize,
    /// Of learn.
    pub learn: usize,
    /// Registers of each kind that are used.
    pub registers: [u16; 3],
}

impl Profile {
    /// That of the original's CIFAR runs: 7, 11 and 23 instructions on 5 scalars, 9 vectors and 2 matrices.
    pub const CIFAR: Profile = Profile { setup: 7, predict: 11, learn: 23, registers: [5, 9, 2] };

    const fn room(&self, phase: Phase) -> usize {
        match phase {
            Phase::Setup => self.setup,
            Phase::Predict => self.predict,
            Phase::Learn => self.learn,
        }
    }
}

const SETUP: &[Op] = &[Op::Const, Op::Gaussian, Op::Uniform];
const PREDICT: &[Op] = &[
    Op::Add,
    Op::Sub,
    Op::Mul,
    Op::Abs,
    Op::MatMul,
    Op::Dot,
    Op::Norm,
    Op::Mean,
    Op::Std,
    Op::Heaviside,
];
const LEARN: &[Op] = &[Op::Add, Op::Sub, Op::Mul, Op::Heaviside, Op::Outer];

/// A program and what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The program, in normal form.
    pub program: Program,
    /// Its score.
    pub score: Score,
}

/// A search.
#[derive(Debug)]
pub struct Evolver {
    profile: Profile,
    rng: Rng,
    alive: VecDeque<Member>,
    known: HashMap<Fingerprint, Score>,
    order: VecDeque<Fingerprint>,
    best: Option<Member>,
}

impl Evolver {
    /// With nobody alive yet: admit founders or seeds first.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        Evolver {
            profile,
            rng: Rng::new(seed),
            alive: VecDeque::new(),
            known: HashMap::new(),
            order: VecDeque::new(),
            best: None,
        }
    }

    /// Takes in a program whose score is known.
    pub fn admit(&mut self, program: &Program, score: Score) {
        let program = program.normal();
        self.remember(program.fingerprint(), score);
        let member = Member { program, score };
        if self.best.as_ref().is_none_or(|best| best.score < score) {
            self.best = Some(member.clone());
        }
        self.alive.push_back(member);
        if self.alive.len() > POPULATION {
            self.alive.pop_front();
        }
    }

    /// The best so far.
    #[must_use]
    pub const fn best(&self) -> Option<&Member> {
        self.best.as_ref()
    }

    /// The next program to try: a mutated parent that was not tried before. Nothing while nobody was admitted, or when chance
    /// finds nothing new.
    pub fn child(&mut self) -> Option<Program> {
        let parent = self.parent()?;
        let mut child = parent;
        for _ in 0..TRIES {
            child = self.mutated(child);
            let normal = child.normal();
            if !self.known.contains_key(&normal.fingerprint()) && normal.reads_data() {
                return Some(normal);
            }
        }
        None
    }

    fn remember(&mut self, fingerprint: Fingerprint, score: Score) {
        if self.known.insert(fingerprint, score).is_none() {
            self.order.push_back(fingerprint);
        }
        if self.order.len() > ARCHIVE_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn parent(&mut self) -> Option<Program> {
        let drawn: Vec<usize> = (0..TOURNAMENT).map(|_| self.below(self.alive.len())).collect();
        let fittest = drawn.into_iter().filter_map(|at| self.alive.get(at));
        fittest.max_by_key(|member| member.score).map(|member| member.program.clone())
    }

    fn below(&mut self, bound: usize) -> usize {
        let last = u32::try_from(bound.saturating_sub(1)).expect("short lists");
        self.rng.up_to(last) as usize
    }

    /// The original's mixture: add half of the time, modify four times in ten, remove once.
    fn mutated(&mut self, mut program: Program) -> Program {
        let phase = Phase::ALL[self.below(3)];
        let (length, room) = (program.phase(phase).len(), self.profile.room(phase));
        let place = self.below(length + 1);
        match self.below(10) {
            0..5 if length < room => {
                if let Some(new) = self.instruction(&program, phase) {
                    program.phase_mut(phase).insert(place, new);
                }
            }
            5..9 if length > 0 => {
                if let Some(new) = self.instruction(&program, phase) {
                    program.phase_mut(phase)[place.min(length - 1)] = new;
                }
            }
            _ if length > 0 => drop(program.phase_mut(phase).remove(place.min(length - 1))),
            _ => {}
        }
        program
    }

    fn instruction(&mut self, program: &Program, phase: Phase) -> Option<Instruction> {
        let ops = match phase {
            Phase::Setup => SETUP,
            Phase::Predict => PREDICT,
            Phase::Learn => LEARN,
        };
        for _ in 0..DRAWS {
            let op = ops[self.below(ops.len())];
            let takes = match op {
                Op::Const | Op::ConstVec | Op::Gaussian | Op::Uniform => 0,
                Op::Add | Op::Sub | Op::Mul | Op::Div | Op::MatMul | Op::Dot | Op::Outer => 2,
                _ => 1,
            };
            let mut args = [Address::NONE; 2];
            for arg in args.iter_mut().take(takes) {
                *arg = self.register(program);
            }
            let drawn =
                Instruction { op, args, dest: self.register(program), numbers: self.numbers(op) };
            if Typed::of(&drawn, &program.shape).is_some() {
                return Some(drawn);
            }
        }
        None
    }

    fn register(&mut self, program: &Program) -> Address {
        let kind = [Kind::Scalar, Kind::Vector, Kind::Matrix][self.below(3)];
        let shape = &program.shape;
        let [scalars, vectors, matrices] = self.profile.registers;
        let count = match kind {
            Kind::Scalar => scalars.min(shape.scalars),
            Kind::Vector => vectors.min(shape.vectors),
            Kind::Matrix => matrices.min(shape.matrices),
        };
        let index = u16::try_from(self.below(count.into())).expect("few registers");
        shape.address(kind, index).unwrap_or(Address::NONE)
    }

    fn numbers(&mut self, op: Op) -> [f32; 2] {
        match op {
            Op::Const => [self.rng.normal_f32(), 0.0],
            Op::Gaussian => [self.rng.normal_f32(), self.rng.random_f32()],
            Op::Uniform => {
                let (a, b) = (self.rng.normal_f32(), self.rng.normal_f32());
                [a.min(b), a.max(b)]
            }
            _ => [0.0; 2],
        }
    }
}

/// Where a search may begin: nothing, and a line fitted step by step.
#[must_use]
pub fn founders(input_dim: u16) -> Vec<Program> {
    const LINE: &str = "# setup\ns2 = 0.02\n# predict\ns0 = dot(v0, v1)\n# learn\ns3 = s1 - s0\ns3 = s3 * s2\nv2 = v0 * s3\nv1 = v1 + v2\n";
    ["", LINE]
        .into_iter()
        .filter_map(|text| crate::dsl::strict::read(text, input_dim, &Limits::POOL).ok())
        .collect()
}

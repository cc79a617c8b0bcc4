//! A program as the original reads it: what it cannot read it drops, and any comment with a phase's word switches the phase.
//!
//! Invariant: the fingerprints and predictions of `dsl.json`; never an error but for size.

use super::line::{self, Line};
use super::{BadProgram, Limits, Phase, Program, Shape, TEXT_MAX};

/// Instructions a phase has room for when the text does not say.
const CAPACITY: u32 = 30;

/// A program, and what the original would not have said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The program.
    pub program: Program,
    /// Lines that are no instruction, from 1; they were dropped.
    pub dropped: Vec<usize>,
}

/// Reads a program for rows of `input_dim` numbers.
///
/// # Errors
/// Only when it is too large.
pub fn read(text: &str, input_dim: u16, limits: &Limits) -> Result<Reading, BadProgram> {
    if text.len() > TEXT_MAX {
        return Err(BadProgram::Text(text.len()));
    }
    let mut program = Program {
        shape: Shape::default_for(input_dim),
        capacities: [CAPACITY; 3],
        instructions: Default::default(),
    };
    for text in text.lines() {
        if let Some(Line::Header(header)) = Line::read(text) {
            program.hear(header, limits)?;
        }
    }
    within("numbers in a row", input_dim.into(), limits.dim.into())?;
    program.shape.dim = program.shape.dim.max(input_dim);
    if program.shape.scalars < 2 || program.shape.vectors < 1 || input_dim == 0 {
        return Err(BadProgram::Small);
    }

    let mut phase = Phase::Predict;
    let mut dropped = Vec::new();
    for (at, text) in text.lines().enumerate() {
        match Line::read(text) {
            None => {}
            Some(Line::Header(header)) => phase = line::phase_of(header).unwrap_or(phase),
            Some(Line::Code(code)) => match line::instruction(code, &program.shape) {
                Some(instruction) => program.instructions[phase.at()].push(instruction),
                None => dropped.push(at + 1),
            },
        }
    }
    for phase in Phase::ALL {
        let length = program.phase(phase).len();
        within("instructions in a phase", length as u64, limits.phase as u64)?;
        let length = u32::try_from(length).expect("within the limit");
        let capacity = &mut program.capacities[phase.at()];
        *capacity = (*capacity).max(length);
    }
    Ok(Reading { program, dropped })
}

impl Program {
    /// What a meta line says of memory and capacities.
    fn hear(&mut self, header: &str, limits: &Limits) -> Result<(), BadProgram> {
        for (name, value) in line::meta_of(header).into_iter().flatten() {
            let (what, place, allowed) = match name {
                "scalar_count" => ("scalars", &mut self.shape.scalars, limits.scalars),
                "vector_count" => ("vectors", &mut self.shape.vectors, limits.vectors),
                "matrix_count" => ("matrices", &mut self.shape.matrices, limits.matrices),
                "vector_dim" => ("numbers in a vector", &mut self.shape.dim, limits.dim),
                _ => {
                    self.hear_capacity(name, value);
                    continue;
                }
            };
            within(what, value, allowed.into())?;
            *place = u16::try_from(value).expect("within the limit");
        }
        Ok(())
    }

    fn hear_capacity(&mut self, name: &str, value: u64) {
        /// Nobody allocates by it, but it is written down again.
        const CAPACITY_MAX: u32 = 1_000_000;
        for phase in Phase::ALL {
            let ending = name.strip_prefix(phase.name());
            let known = ["_max_ops", "_max", "_max_size", "_max_instructions"];
            if ending.is_some_and(|ending| known.contains(&ending)) {
                let value = u32::try_from(value).unwrap_or(u32::MAX).min(CAPACITY_MAX);
                self.capacities[phase.at()] = value;
            }
        }
    }
}

fn within(what: &'static str, asked: u64, allowed: u64) -> Result<(), BadProgram> {
    if asked > allowed { Err(BadProgram::Large { what, asked, allowed }) } else { Ok(()) }
}

//! A program as we read it: every line must mean something, and what is wrong is told with its line.
//!
//! Invariant: whatever is accepted here the lenient reader reads as the same program, without dropping anything; so a program
//! written for this reader means the same to every client.

use super::line::{self, Line};
use super::typed::Typed;
use super::{BadProgram, Limits, Phase, Program, lenient};

/// Reads a program for rows of `input_dim` numbers.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read(text: &str, input_dim: u16, limits: &Limits) -> Result<Program, BadProgram> {
    let program = lenient::read(text, input_dim, limits)?.program;
    let mut phase = None;
    for (at, text) in text.lines().enumerate() {
        let wrong = |why: String| BadProgram::Line { line: at + 1, why };
        match Line::read(text) {
            None => {}
            Some(Line::Header(header)) => phase = heading(header, phase).map_err(wrong)?,
            Some(Line::Code(_)) if phase.is_none() => {
                let why = "say first which phase this belongs to: # setup, # predict or # learn";
                return Err(wrong(why.into()));
            }
            Some(Line::Code(code)) => runs(code, &program).map_err(wrong)?,
        }
    }
    Ok(program)
}

/// A heading, the meta line, or a comment that nobody takes for one of them.
fn heading(header: &str, now: Option<Phase>) -> Result<Option<Phase>, String> {
    let words = header.trim_start_matches('#').trim_end_matches(':').trim();
    if let Some(phase) = Phase::ALL.into_iter().find(|phase| phase.name() == words) {
        return Ok(Some(phase));
    }
    if let Some(pairs) = line::meta_of(header) {
        let given = header.split_once("meta:").map_or(0, |(_, pairs)| {
            pairs.split([' ', ',', '\t']).filter(|pair| !pair.is_empty()).count()
        });
        if given != pairs.count() {
            return Err("write the meta line as name=number, separated by spaces".into());
        }
        // For the original a meta line that names setup_max_ops begins the setup: the next heading must say what follows.
        return Ok(None);
    }
    if !header.starts_with('#') {
        return Err(format!("\"{words}\" is no phase: they are setup, predict and learn"));
    }
    match line::phase_of(header) {
        None => Ok(now),
        Some(phase) => Err(format!(
            "a comment with the word \"{0}\" begins the phase {0} for other readers: use another word",
            phase.name()
        )),
    }
}

fn runs(code: &str, program: &Program) -> Result<(), String> {
    let Some(instruction) = line::instruction(code, &program.shape) else {
        return Err(format!("\"{code}\" is no instruction"));
    };
    // The one way to write it: so trailing text, lost arguments and registers by another's name are told.
    let canonical = program.line(&instruction);
    let bare = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let (left, right) = code.split_once('=').unwrap_or((code, ""));
    let (canonical_left, canonical_right) = canonical.split_once('=').unwrap_or((&canonical, ""));
    let is_number = matches!(
        instruction.op,
        super::Op::Const | super::Op::ConstVec | super::Op::Gaussian | super::Op::Uniform
    );
    if bare(left) != bare(canonical_left) || (!is_number && bare(right) != bare(canonical_right)) {
        return Err(format!(
            "\"{code}\" would be read as \"{canonical}\": write that, or what you mean"
        ));
    }
    if instruction.numbers.iter().any(|number| !number.is_finite()) {
        return Err(format!("\"{code}\": the number is too large"));
    }
    match Typed::of(&instruction, &program.shape) {
        Some(_) => Ok(()),
        None => Err(format!(
            "\"{code}\" would never run: a register does not exist, is of the wrong kind, or is too small for the result"
        )),
    }
}

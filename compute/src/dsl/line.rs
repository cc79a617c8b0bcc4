//! One line of a program's text, as the original tells lines apart.
//!
//! Invariant: both readers understand a line the same way or one of them not at all.

use super::{Address, Instruction, Kind, Op, Phase, Shape, number};

/// A line that says something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Line<'a> {
    /// `# …` or `…:`, which may switch the phase.
    Header(&'a str),
    /// Anything else, without its comment.
    Code(&'a str),
}

impl<'a> Line<'a> {
    /// Nothing for an empty line.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('#') {
            return Some(Line::Header(text));
        }
        let code = text.split('#').next().unwrap_or_default().trim();
        match code {
            "" => None,
            _ if code.ends_with(':') => Some(Line::Header(code)),
            _ => Some(Line::Code(code)),
        }
    }
}

/// The phase that a header switches to, in the original's order of asking.
pub(super) fn phase_of(header: &str) -> Option<Phase> {
    let lower = header.to_ascii_lowercase();
    Phase::ALL.into_iter().find(|phase| lower.contains(phase.name()))
}

/// What follows `meta:` in a header.
pub(super) fn meta_of(header: &str) -> Option<impl Iterator<Item = (&str, u64)>> {
    let (_, pairs) = header.strip_prefix('#')?.trim_start().split_once("meta:")?;
    Some(pairs.split([' ', ',', '\t']).filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name, value.parse().ok()?))
    }))
}

/// An instruction, if the line is one.
pub(super) fn instruction(code: &str, shape: &Shape) -> Option<Instruction> {
    if let Some((left, right)) = code.split_once("->") {
        return arrow(left.trim(), right.trim(), shape);
    }
    let (left, right) = code.split_once('=')?;
    let (left, right) = (left.trim(), right.trim());
    if let Some((vector, index)) = left.strip_suffix(']').and_then(|left| left.split_once('[')) {
        let dest = address(vector.trim(), shape).filter(|_| vector.starts_with('v'))?;
        let index: u16 = digits(index.trim())?;
        let numbers = [f32::from(index), number::read(right)?];
        return Some(Instruction { op: Op::ConstVec, args: [Address::NONE; 2], dest, numbers });
    }
    let dest = address(left, shape)?;
    let with = |op, args, numbers| Some(Instruction { op, args, dest, numbers });
    if let Some(value) = number::read(right) {
        return with(Op::Const, [Address::NONE; 2], [value, 0.0]);
    }
    if let Some(source) = address(right, shape) {
        return with(Op::Copy, [source, Address::NONE], [0.0; 2]);
    }
    if let Some((op, args)) = binary(right, shape) {
        return with(op, args, [0.0; 2]);
    }
    let (op, args, numbers) = call(right, shape)?;
    with(op, args, numbers)
}

/// `CONST 0.5 -> s0`, and `ADD a b -> d`, whose arguments the original loses.
fn arrow(left: &str, right: &str, shape: &Shape) -> Option<Instruction> {
    let dest = address(right, shape)?;
    let mut words = left.split_ascii_whitespace();
    let op = word(&words.next()?.to_ascii_lowercase())?;
    let value = match op {
        Op::Const => number::read(words.next()?)?,
        _ => 0.0,
    };
    Some(Instruction { op, args: [Address::NONE; 2], dest, numbers: [value, 0.0] })
}

/// `a + b`; what follows is ignored, as in the original.
fn binary(text: &str, shape: &Shape) -> Option<(Op, [Address; 2])> {
    let (first, rest) = leading_register(text, shape)?;
    let rest = rest.trim_start();
    let op = match rest.chars().next()? {
        '+' => Op::Add,
        '-' => Op::Sub,
        '*' => Op::Mul,
        '/' => Op::Div,
        _ => return None,
    };
    let (second, _) = leading_register(rest[1..].trim_start(), shape)?;
    Some((op, [first, second]))
}

/// `f(a)`, `f(a, b)`, and the distributions with their two numbers.
fn call(text: &str, shape: &Shape) -> Option<(Op, [Address; 2], [f32; 2])> {
    let (name, inside) = text.strip_suffix(')')?.split_once('(')?;
    let op = word(name.trim())?;
    let mut given = inside.split(',').map(str::trim);
    let (first, second) = (given.next()?, given.next());
    if given.next().is_some() {
        return None;
    }
    match (op, second) {
        (Op::Gaussian | Op::Uniform, Some(second)) => {
            let numbers = [number::read(first)?, number::read(second)?];
            Some((op, [Address::NONE; 2], numbers))
        }
        (Op::Dot | Op::MatMul | Op::Outer, Some(second)) => {
            Some((op, [address(first, shape)?, address(second, shape)?], [0.0; 2]))
        }
        // Later programs write heaviside(x, 1.0).
        (Op::Heaviside, Some(second)) if number::read(second).is_some() => {
            Some((op, [address(first, shape)?, Address::NONE], [0.0; 2]))
        }
        (
            Op::Abs
            | Op::Exp
            | Op::Log
            | Op::Sin
            | Op::Cos
            | Op::Tan
            | Op::Heaviside
            | Op::Norm
            | Op::Mean
            | Op::Std,
            None,
        ) => Some((op, [address(first, shape)?, Address::NONE], [0.0; 2])),
        _ => None,
    }
}

const WORDS: [(&str, Op); 22] = [
    ("const", Op::Const),
    ("const_vec", Op::ConstVec),
    ("add", Op::Add),
    ("sub", Op::Sub),
    ("mul", Op::Mul),
    ("div", Op::Div),
    ("abs", Op::Abs),
    ("exp", Op::Exp),
    ("log", Op::Log),
    ("sin", Op::Sin),
    ("cos", Op::Cos),
    ("tan", Op::Tan),
    ("heaviside", Op::Heaviside),
    ("gaussian", Op::Gaussian),
    ("uniform", Op::Uniform),
    ("dot", Op::Dot),
    ("matmul", Op::MatMul),
    ("outer", Op::Outer),
    ("norm", Op::Norm),
    ("mean", Op::Mean),
    ("std", Op::Std),
    ("copy", Op::Copy),
];

fn word(name: &str) -> Option<Op> {
    WORDS.iter().find(|(word, _)| *word == name).map(|(_, op)| *op)
}

impl Op {
    /// Its word in a program.
    #[must_use]
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(_, op)| *op == self).map_or("", |(word, _)| word)
    }
}

fn digits(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn leading_register<'a>(text: &'a str, shape: &Shape) -> Option<(Address, &'a str)> {
    let letter = text.get(..1)?;
    let end = text[1..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |at| at + 1);
    let address = address_of(letter, &text[1..end], shape)?;
    Some((address, &text[end..]))
}

fn address(text: &str, shape: &Shape) -> Option<Address> {
    address_of(text.get(..1)?, text.get(1..)?, shape)
}

fn address_of(letter: &str, index: &str, shape: &Shape) -> Option<Address> {
    let kind = match letter {
        "s" => Kind::Scalar,
        "v" => Kind::Vector,
        "m" => Kind::Matrix,
        _ => return None,
    };
    shape.address(kind, digits(index)?)
}

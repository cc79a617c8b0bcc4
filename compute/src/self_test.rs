//! Does this installation compute what every other one does?
//!
//! Invariant: the program uses every instruction, so a host that gives the right digest gives the right one for any program.

use crate::data::demo;
use crate::dsl::{Limits, Program, lenient};
use crate::evaluate::Prepared;
use crate::tables::write::hex;

/// A program with every instruction.
pub const PROGRAM: &str = "# setup\ns2 = 0.05\nv3 = gaussian(0.0, 0.1)\nm0 = uniform(-0.2, 0.2)\nv4[2] = 0.7\n\
    # predict\nv5 = matmul(m0, v0)\nv5 = v5 + v4\ns3 = dot(v5, v3)\ns4 = norm(v0)\ns5 = mean(v5)\ns6 = std(v5)\n\
    s7 = exp(s5)\ns8 = log(s4)\ns9 = sin(s8)\ns10 = cos(s9)\ns11 = tan(s10)\ns12 = abs(s11)\ns13 = heaviside(s3)\n\
    s0 = s3 + s9\ns0 = s0 - s6\ns0 = s0 / s7\ns0 = s0 * s12\ns0 = s0 + s13\n\
    # learn\ns14 = s1 - s0\ns14 = s14 * s2\nv6 = v0 * s14\nm1 = outer(v6, v3)\nm0 = m0 + m1\nv3 = v3 + v6\nm2 = v3\ns15 = m2\n";

/// The digest of its predictions on the set of classes that ships, found on x86-64.
pub const DIGEST: &str = "fb8e7967ef32f776d4c966c52fa3763702695d2a7b027e3139cfbd48d39c62f1";

/// A host that computes something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine computes {found} where every other computes {DIGEST}: its scores would not be in consensus; report its processor and this program's version"
)]
pub struct Different {
    /// What it computes.
    pub found: String,
}

/// The program, read.
///
/// # Panics
/// Never: the text is ours.
#[must_use]
pub fn program() -> Program {
    lenient::read(PROGRAM, 16, &Limits::POOL).expect("the text is ours").program
}

/// Computes the known program.
///
/// # Errors
/// When the result is another.
///
/// # Panics
/// Never: the program fits the set.
pub fn run() -> Result<(), Different> {
    let found = Prepared::new(&demo::classes()).evaluate(&program()).expect("made for this set");
    let found = hex(&found.digest);
    if found == DIGEST { Ok(()) } else { Err(Different { found }) }
}

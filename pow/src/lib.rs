//! Proof of work as pure arithmetic: hash a header, compare it with a target, say how much work that proves.
//!
//! Invariant: nothing here reads a clock, a socket or a random number; the same bytes give the same verdict for ever,
//! so any share can be verified again by anybody.
//!
//! Reading order: [`target`] (what must be met), [`sha256d`] and [`scrypt`] (how headers are hashed), [`algorithm`]
//! (which of them a coin uses), [`difficulty`] (the decimal number miners are shown).

pub mod algorithm;
pub mod difficulty;
pub mod ethash;
pub mod gxc;
pub mod scrypt;
pub mod sha256d;
pub mod target;

pub use algorithm::{Algorithm, Scale};
pub use difficulty::Difficulty;
pub use target::{Target, Work};

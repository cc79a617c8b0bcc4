//! What the guide's own pool called work: one SHA-256 over text, counted in zeros.

use super::sha256_hex;

/// What is hashed, as the guide's `mining.notify` of five parameters gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work<'a> {
    /// The block before, in hexadecimal.
    pub previous: &'a str,
    /// The merkle root, in hexadecimal.
    pub merkle: &'a str,
    /// Seconds since 1970.
    pub time: u64,
    /// The difficulty as Python prints it: `1.0`, `1000.0`, `1.75`.
    pub difficulty: &'a str,
}

/// The hash as text: its leading zeros are its worth.
#[must_use]
pub fn hash(work: &Work<'_>, nonce: &str, extranonce2: &str) -> String {
    let Work { previous, merkle, time, difficulty } = work;
    sha256_hex(format!("{previous}{merkle}{time}{difficulty}{nonce}{extranonce2}").as_bytes())
}

/// Hexadecimal zeros at the beginning of a hash.
#[must_use]
pub fn leading_zeros(hash: &str) -> usize {
    hash.bytes().take_while(|byte| *byte == b'0').count()
}

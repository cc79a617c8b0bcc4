//! The hashes that go by GXHash, and what GXC's node and miners make of the others.
//!
//! Nobody ever defined GXHash once: the documents for outside pools say Argon2id ([`documented`]), each miner has its own
//! ([`miner`]), and the node has a home-made Argon2 over text ([`node`]), which it never checks. Each is here under its own
//! name; a port says which one it takes.
//!
//! Invariant: byte for byte what the original programs compute, their faults included (`pow/tests/fixtures/gxc.json`).

pub mod documented;
pub mod guide;
pub mod miner;
pub mod node;
pub mod work;

mod argonx;

/// Lower-case hexadecimal, as the node and the guide's pool hash it.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |half: u8| DIGITS[usize::from(half)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// SHA-256 as hexadecimal text.
fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

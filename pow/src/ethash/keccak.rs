//! Keccak as it was before it became SHA-3: another padding.

use sha3::{Digest, Keccak256, Keccak512};

/// Keccak-256, by which Ethereum's chains name blocks, addresses and messages.
#[must_use]
pub fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

pub(super) fn keccak512(bytes: &[u8]) -> [u8; 64] {
    Keccak512::digest(bytes).into()
}

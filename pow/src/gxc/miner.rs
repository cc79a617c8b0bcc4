//! GXHash as the project's miners have it: three that do not agree.

use blake2::Blake2b;
use blake2::digest::consts::U32;
use sha2::{Digest, Sha256};
use sha3::{Keccak256, Sha3_256};

fn blake2b(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA3-256: what the miners compute where they say Ethash.
#[must_use]
pub fn sha3(bytes: &[u8]) -> [u8; 32] {
    Sha3_256::digest(bytes).into()
}

/// Keccak-256: what `gxc-miner-pro` computes where it says Ethash, and a library for it is there.
#[must_use]
pub fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// `gxc-pool-miner`'s: SHA-256 and BLAKE2b, crossed.
#[must_use]
pub fn pool_miner(bytes: &[u8]) -> [u8; 32] {
    let first = sha256(bytes);
    let second = blake2b(&[&first[..], bytes].concat());
    sha256(&std::array::from_fn::<u8, 32, _>(|at| first[at] ^ second[at]))
}

/// The stand-alone miner's and the suite's: SHA3-256 of the pool miner's.
#[must_use]
pub fn standalone(bytes: &[u8]) -> [u8; 32] {
    sha3(&pool_miner(bytes))
}

/// `gxc-miner-pro`'s: three rounds of four hashes, with a shuffle by its own bytes before the last.
#[must_use]
pub fn pro(bytes: &[u8]) -> [u8; 32] {
    let first = pro_round(bytes, 1);
    (2..=3).fold(first, |mixed, round| pro_round(&mixed, round))
}

fn pro_round(bytes: &[u8], round: u8) -> [u8; 32] {
    let mixed = sha3(&blake2b(&sha256(bytes))).map(|byte| byte ^ round);
    sha256(&mixed.map(|byte| byte ^ mixed[usize::from(byte) % 32]))
}

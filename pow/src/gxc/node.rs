//! What the node's own code would hash: decimal text, and hexadecimal text of hashes hashed again. It never checks a block by
//! any of it.
//!
//! Invariant: as the program computes it, whatever it is called there.

use super::{argonx, hex, sha256_hex};
use blake2::Blake2b;
use blake2::digest::consts::U16;
use sha2::Digest;
use sha3::{Keccak256, Sha3_256};

/// KiB of its GXHash.
pub const MEMORY_KIB: u32 = 64 * 1024;

/// A block's text before the nonce.
#[must_use]
pub fn text_of(index: u64, previous: &str, time: u64, merkle: &str, nonce: u64) -> String {
    format!("{index}{previous}{time}{merkle}{nonce}")
}

/// `POW_SHA256`: the second pass hashes the text of the first.
#[must_use]
pub fn sha256(text: &str) -> String {
    sha256_hex(sha256_hex(text.as_bytes()).as_bytes())
}

/// `POS`.
#[must_use]
pub fn stake(text: &str) -> String {
    sha256_hex(text.as_bytes())
}

/// `POW_GXHASH`.
#[must_use]
pub fn gxhash(text: &str, nonce: u64) -> [u8; 32] {
    let salt: [u8; 16] = Blake2b::<U16>::digest(text.as_bytes()).into();
    argonx::hash(&[text.as_bytes(), &nonce.to_le_bytes()].concat(), &salt, MEMORY_KIB)
}

/// The merkle root: hashes of text, the last doubled where they are odd.
#[must_use]
pub fn merkle(leaves: &[String]) -> String {
    let mut row = leaves.to_vec();
    while row.len() > 1 {
        if let Some(last) = row.last().filter(|_| row.len() % 2 == 1).cloned() {
            row.push(last);
        }
        row = row.chunks(2).map(|pair| sha256(&pair.concat())).collect();
    }
    row.pop().unwrap_or_default()
}

/// What the node's OpenSSL takes for Keccak: before version 3.2 it falls back to SHA-3, so two nodes need not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keccak {
    /// As it was before it became SHA-3.
    Keccak256,
    /// SHA3-256: Debian 12, Ubuntu 22 and 24.
    Sha3,
}

impl Keccak {
    /// 64 hexadecimal digits, which the node goes on with as 64 bytes.
    fn text(self, bytes: &[u8]) -> [u8; 64] {
        let digest: [u8; 32] = match self {
            Keccak::Keccak256 => Keccak256::digest(bytes).into(),
            Keccak::Sha3 => Sha3_256::digest(bytes).into(),
        };
        let mut text = [0; 64];
        text.copy_from_slice(hex(&digest).as_bytes());
        text
    }

    fn words(self, words: &[u32]) -> [u32; 16] {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        words_of(&self.text(&bytes))
    }
}

fn words_of(bytes: &[u8; 64]) -> [u32; 16] {
    let (chunks, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|at| u32::from_le_bytes(chunks[at]))
}

/// Rows of the toy's cache, which it builds anew for each hash.
const ROWS: usize = 16_384;
const ROUNDS: usize = 3;
const ACCESSES: u32 = 64;
const PARENTS: u32 = 256;

const fn fnv(a: u32, b: u32) -> u32 {
    a.wrapping_mul(0x0100_0193) ^ b
}

/// `POW_ETHASH`: a toy after Ethash's pattern.
#[must_use]
pub fn ethash(text: &str, nonce: u64, keccak: Keccak) -> String {
    let cache = toy_cache(text, keccak);
    let header = keccak.text(format!("{text}{nonce}").as_bytes());
    let words = words_of(&header);
    let mut mix = [0u32; 32];
    mix[..16].copy_from_slice(&words);
    mix[16..].copy_from_slice(&words);
    for step in 0..ACCESSES {
        let at = fnv(step ^ words[0], mix[step as usize % 32]) as usize % ROWS;
        let row = toy_row(&cache, at, keccak);
        for (n, word) in mix.iter_mut().enumerate() {
            *word = fnv(*word, row[n % 16]);
        }
    }
    let mut last = header.to_vec();
    for four in mix.as_chunks::<4>().0 {
        last.extend(fnv(fnv(fnv(four[0], four[1]), four[2]), four[3]).to_le_bytes());
    }
    String::from_utf8_lossy(&keccak.text(&last)).into_owned()
}

fn toy_cache(text: &str, keccak: Keccak) -> Vec<[u32; 16]> {
    let mut item = keccak.text(&keccak.text(text.as_bytes()));
    let mut cache = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        cache.push(words_of(&item));
        item = keccak.text(&item);
    }
    for _ in 0..ROUNDS {
        for at in 0..ROWS {
            let own = cache[at];
            let other = cache[own[0] as usize % ROWS];
            let before = cache[(at + ROWS - 1) % ROWS];
            let mixed: [u32; 16] = std::array::from_fn(|n| own[n] ^ other[n] ^ before[n]);
            cache[at] = keccak.words(&mixed);
        }
    }
    cache
}

fn toy_row(cache: &[[u32; 16]], at: usize, keccak: Keccak) -> [u32; 16] {
    let index = u32::try_from(at).unwrap_or(u32::MAX);
    let mut mix = cache[at % ROWS];
    mix[0] ^= index;
    let mut mix = keccak.words(&mix);
    for parent in 0..PARENTS {
        let other = fnv(index ^ parent, mix[parent as usize % 16]) as usize % ROWS;
        for (word, other) in mix.iter_mut().zip(cache[other]) {
            *word = fnv(*word, other);
        }
    }
    keccak.words(&mix)
}

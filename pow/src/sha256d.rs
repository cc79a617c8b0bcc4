//! SHA-256 twice, shaped for the four inputs a pool hashes: 80-byte headers, 64-byte merkle pairs, coinbases whose
//! beginning never changes, and whole transactions.
//!
//! Invariant: every function equals `sha256(sha256(x))` of its input; the shapes only save copies and padding work.

use sha2::block_api::compress256;

/// Initial state of SHA-256 (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A SHA-256 state after whole 64-byte blocks of a message whose beginning is the same for many messages.
#[derive(Clone, Debug)]
pub struct Midstate {
    state: [u32; 8],
    hashed_bytes: u64,
}

impl Midstate {
    /// Hashes the whole blocks of `prefix`; returns the state and the bytes that did not fill a block.
    #[must_use]
    pub fn of(prefix: &[u8]) -> (Self, &[u8]) {
        let (blocks, rest) = prefix.as_chunks::<64>();
        let mut state = INITIAL;
        compress256(&mut state, blocks);
        (Self { state, hashed_bytes: (prefix.len() - rest.len()) as u64 }, rest)
    }

    /// SHA-256 of SHA-256 of the prefix's whole blocks followed by `tail`.
    #[must_use]
    pub fn finish_twice(&self, tail: &[u8]) -> [u8; 32] {
        let mut state = self.state;
        let (blocks, rest) = tail.as_chunks::<64>();
        compress256(&mut state, blocks);
        let mut last = [[0u8; 64]; 2];
        last[0][..rest.len()].copy_from_slice(rest);
        last[0][rest.len()] = 0x80;
        let bits = (self.hashed_bytes + tail.len() as u64) * 8;
        let used = if rest.len() < 56 { 1 } else { 2 };
        last[used - 1][56..].copy_from_slice(&bits.to_be_bytes());
        compress256(&mut state, &last[..used]);
        second(&state)
    }
}

/// SHA-256 of SHA-256 of any bytes.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    let start = Midstate { state: INITIAL, hashed_bytes: 0 };
    start.finish_twice(bytes)
}

/// One step of a merkle tree: the double hash of two hashes side by side.
#[must_use]
pub fn merkle_parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    const PADDING: [u8; 64] = padding_of_full_block(64);
    let mut blocks = [[0u8; 64], PADDING];
    blocks[0][..32].copy_from_slice(left);
    blocks[0][32..].copy_from_slice(right);
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    second(&state)
}

/// Hash of an 80-byte block header.
#[must_use]
pub fn header_hash(header: &[u8; 80]) -> [u8; 32] {
    let mut blocks = [[0u8; 64]; 2];
    blocks[0].copy_from_slice(&header[..64]);
    blocks[1][..16].copy_from_slice(&header[64..]);
    blocks[1][16] = 0x80;
    blocks[1][56..].copy_from_slice(&(80u64 * 8).to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    second(&state)
}

/// The padding block of a message of exactly `bytes` bytes, a multiple of 64.
const fn padding_of_full_block(bytes: u64) -> [u8; 64] {
    let mut block = [0u8; 64];
    block[0] = 0x80;
    let bits = (bytes * 8).to_be_bytes();
    let mut i = 0;
    while i < 8 {
        block[56 + i] = bits[i];
        i += 1;
    }
    block
}

/// The outer of the two hashes: SHA-256 of a digest.
fn second(inner: &[u32; 8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    block[..32].copy_from_slice(&bytes_of(inner));
    block[32] = 0x80;
    block[56..].copy_from_slice(&(32u64 * 8).to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    bytes_of(&state)
}

fn bytes_of(state: &[u32; 8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    for (word, bytes) in state.iter().zip(out.as_chunks_mut::<4>().0) {
        *bytes = word.to_be_bytes();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn reference(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(Sha256::digest(bytes)).into()
    }

    #[test]
    fn hash_of_the_genesis_header_is_the_genesis_hash() {
        let mut header = [0u8; 80];
        header[0] = 1;
        header[36..68].copy_from_slice(&[
            0x3b, 0xa3, 0xed, 0xfd, 0x7a, 0x7b, 0x12, 0xb2, 0x7a, 0xc7, 0x2c, 0x3e, 0x67, 0x76,
            0x8f, 0x61, 0x7f, 0xc8, 0x1b, 0xc3, 0x88, 0x8a, 0x51, 0x32, 0x3a, 0x9f, 0xb8, 0xaa,
            0x4b, 0x1e, 0x5e, 0x4a,
        ]);
        header[68..72].copy_from_slice(&1_231_006_505u32.to_le_bytes());
        header[72..76].copy_from_slice(&0x1d00_ffffu32.to_le_bytes());
        header[76..].copy_from_slice(&2_083_236_893u32.to_le_bytes());
        let hash = header_hash(&header);
        assert_eq!(hash[..4], [0x6f, 0xe2, 0x8c, 0x0a]);
        assert_eq!(hash[26..], [0x19, 0, 0, 0, 0, 0]);
    }

    proptest::proptest! {
        #[test]
        fn every_shape_equals_two_plain_hashes(bytes: Vec<u8>, cut: usize, a: [u8; 32], b: [u8; 32], header: [[u8; 16]; 5]) {
            let cut = if bytes.is_empty() { 0 } else { cut % bytes.len() };
            let (midstate, rest) = Midstate::of(&bytes[..cut]);
            let tail = [rest, &bytes[cut..]].concat();
            proptest::prop_assert_eq!(midstate.finish_twice(&tail), reference(&bytes));
            proptest::prop_assert_eq!(sha256d(&bytes), reference(&bytes));
            proptest::prop_assert_eq!(merkle_parent(&a, &b), reference(&[a, b].concat()));
            let header: [u8; 80] = header.concat().try_into().unwrap();
            proptest::prop_assert_eq!(header_hash(&header), reference(&header));
        }

        #[test]
        fn every_tail_length_is_padded_right(len in 0usize..260) {
            let bytes = vec![0xa5u8; len];
            proptest::prop_assert_eq!(sha256d(&bytes), reference(&bytes));
        }
    }
}

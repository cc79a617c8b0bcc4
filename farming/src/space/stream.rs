//! The first table's function: ChaCha8 with a plot's id as its key, read at any bit.
//!
//! Invariant: the block counter has 64 bits, as in Bernstein's ChaCha; with the 32 of RFC 8439 large plots would repeat.

use super::bits::BitReader;
use crate::hash::Bytes32;

/// Bits of a block.
const BLOCK_BITS: u64 = 512;

/// The keystream of one plot.
pub(super) struct Keystream {
    key: [u32; 8],
}

impl Keystream {
    pub(super) fn new(plot_id: &Bytes32) -> Self {
        // The key's first byte names the table; the id's last byte is left out.
        let mut bytes = [1; 32];
        bytes[1..].copy_from_slice(&plot_id.0[..31]);
        let mut key = [0; 8];
        for (word, four) in key.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes(four.try_into().unwrap_or_default());
        }
        Keystream { key }
    }

    /// The `index`th group of `width` bits.
    pub(super) fn bits(&self, index: u64, width: u32) -> u64 {
        let at = index * u64::from(width);
        let (block, offset) = (at / BLOCK_BITS, at % BLOCK_BITS);
        let mut bytes = [0; 128];
        self.block(block, &mut bytes[..64]);
        if offset + u64::from(width) > BLOCK_BITS {
            self.block(block + 1, &mut bytes[64..]);
        }
        BitReader::new(&bytes).at(offset).take(width)
    }

    fn block(&self, counter: u64, out: &mut [u8]) {
        const EXPAND: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
        let mut start = [0u32; 16];
        start[..4].copy_from_slice(&EXPAND);
        start[4..12].copy_from_slice(&self.key);
        start[12] = (counter & 0xffff_ffff) as u32;
        start[13] = (counter >> 32) as u32;
        let mut state = start;
        for _ in 0..4 {
            for column in 0..4 {
                quarter(&mut state, column, 4 + column, 8 + column, 12 + column);
            }
            for diagonal in 0..4 {
                let at = |row: usize| 4 * row + (diagonal + row) % 4;
                quarter(&mut state, at(0), at(1), at(2), at(3));
            }
        }
        for ((four, mixed), first) in out.chunks_exact_mut(4).zip(state).zip(start) {
            four.copy_from_slice(&mixed.wrapping_add(first).to_le_bytes());
        }
    }
}

fn quarter(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (left, right) in [(16, 12), (8, 7)] {
        state[a] = state[a].wrapping_add(state[b]);
        state[d] = (state[d] ^ state[a]).rotate_left(left);
        state[c] = state[c].wrapping_add(state[d]);
        state[b] = (state[b] ^ state[c]).rotate_left(right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_does_not_wrap_at_32_bits() {
        let stream = Keystream::new(&Bytes32([3; 32]));
        let (mut low, mut high) = ([0; 64], [0; 64]);
        stream.block(0, &mut low);
        stream.block(1 << 32, &mut high);
        assert_ne!(low, high);
    }

    #[test]
    fn groups_may_span_two_blocks() {
        let stream = Keystream::new(&Bytes32([9; 32]));
        // 20 does not divide 512: group 25 begins at bit 500 and ends in the next block.
        let (mut first, mut second) = ([0; 64], [0; 64]);
        stream.block(0, &mut first);
        stream.block(1, &mut second);
        let tail = u64::from(first[62] & 0x0f) << 8 | u64::from(first[63]);
        assert_eq!(stream.bits(25, 20), tail << 8 | u64::from(second[0]));
    }
}

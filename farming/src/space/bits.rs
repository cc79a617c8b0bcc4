//! Numbers of any width, packed one after the other with the highest bit first.
//!
//! Invariant: reading beyond the end gives zeros, writing beyond it changes nothing; neither panics.

/// Room for the longest input of a table's hash: 56 bits of y and eight words of 50.
const BYTES: usize = 64;

/// Writes.
pub(super) struct BitWriter {
    bytes: [u8; BYTES],
    bits: u32,
}

impl Default for BitWriter {
    fn default() -> Self {
        BitWriter { bytes: [0; BYTES], bits: 0 }
    }
}

impl BitWriter {
    /// The lowest `width` bits of a number, at most 64.
    pub(super) fn push(&mut self, number: u64, width: u32) {
        let mut left = width;
        while left > 0 {
            let room = 8 - self.bits % 8;
            let now = room.min(left);
            let piece = (number >> (left - now)) & ((1 << now) - 1);
            let index = self.bits as usize / 8;
            if let (Some(byte), Ok(piece)) = (self.bytes.get_mut(index), u8::try_from(piece)) {
                *byte |= piece << (room - now);
            }
            self.bits += now;
            left -= now;
        }
    }

    /// What was written, filled up with zeros to a whole byte.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.bits.div_ceil(8) as usize).unwrap_or(&self.bytes)
    }
}

/// Reads.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    bit: u64,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, bit: 0 }
    }

    /// The same, from this bit on.
    pub(super) fn at(self, bit: u64) -> Self {
        BitReader { bit, ..self }
    }

    /// The next number of this width, at most 57 bits.
    pub(super) fn take(&mut self, width: u32) -> u64 {
        let first = usize::try_from(self.bit / 8).unwrap_or(usize::MAX);
        let mut window = [0; 8];
        for (slot, byte) in window.iter_mut().zip(self.bytes.iter().skip(first)) {
            *slot = *byte;
        }
        let shifted = u64::from_be_bytes(window) << (self.bit % 8);
        self.bit += u64::from(width);
        shifted >> (64 - width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(numbers in proptest::collection::vec((any::<u64>(), 1u32..=57), 0..8)) {
            let mut writer = BitWriter::default();
            for (number, width) in &numbers {
                writer.push(*number, *width);
            }
            let mut reader = BitReader::new(writer.as_bytes());
            for (number, width) in numbers {
                prop_assert_eq!(reader.take(width), number & ((1 << width) - 1));
            }
        }
    }

    #[test]
    fn beyond_the_end_there_are_zeros() {
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.take(12), 0xff0);
        assert_eq!(reader.take(57), 0);
    }
}

//! The node's home-made Argon2id, which is not RFC 9106: it differs in H', in the column rounds, in which blocks are
//! referred to, and always refers by data.

use blake2::digest::consts::U32;
use blake2::{Blake2b, Blake2b512, Digest};

/// 1 KiB, as words.
type Block = [u64; 128];

const PASSES: u32 = 3;
const LANES: u32 = 4;
const VERSION: u32 = 0x13;
/// Argon2id's number.
const KIND: u32 = 2;
const TAG: u32 = 32;
const SLICES: u32 = 4;

/// The hash with so much memory.
pub(super) fn hash(password: &[u8], salt: &[u8], memory_kib: u32) -> [u8; 32] {
    let mut first = Blake2b512::new();
    for number in [LANES, TAG, memory_kib, PASSES, VERSION, KIND] {
        first.update(number.to_le_bytes());
    }
    for part in [password, salt, &[], &[]] {
        first.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        first.update(part);
    }
    let first: [u8; 64] = first.finalize().into();
    let segment = memory_kib / (SLICES * LANES);
    let mut memory = Memory::of(segment);
    for lane in 0..LANES {
        for place in 0..2u32 {
            let seed = [&first[..], &place.to_le_bytes(), &lane.to_le_bytes()].concat();
            *memory.at(lane, place) = long_hash(&seed);
        }
    }
    for pass in 0..PASSES {
        for slice in 0..SLICES {
            for lane in 0..LANES {
                memory.fill(pass, slice, lane);
            }
        }
    }
    let length = segment * SLICES;
    let mut sum = *memory.at(0, length - 1);
    for lane in 1..LANES {
        let last = *memory.at(lane, length - 1);
        sum.iter_mut().zip(last).for_each(|(sum, last)| *sum ^= last);
    }
    // Up to 64 bytes, this H' is BLAKE2b without the length before it.
    let bytes: Vec<u8> = sum.iter().flat_map(|word| word.to_le_bytes()).collect();
    Blake2b::<U32>::digest(bytes).into()
}

/// H' of 1024 bytes, as the RFC has it.
fn long_hash(seed: &[u8]) -> Block {
    let mut bytes = Vec::with_capacity(1024);
    let mut part: [u8; 64] = Blake2b512::digest([&1024u32.to_le_bytes()[..], seed].concat()).into();
    while bytes.len() < 1024 - 64 {
        bytes.extend_from_slice(&part[..32]);
        part = Blake2b512::digest(part).into();
    }
    bytes.extend_from_slice(&part);
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|at| u64::from_le_bytes(words[at]))
}

struct Memory {
    blocks: Vec<Block>,
    segment: u32,
}

impl Memory {
    fn of(segment: u32) -> Self {
        let count = segment * SLICES * LANES;
        Memory { blocks: vec![[0; 128]; count as usize], segment }
    }

    fn length(&self) -> u32 {
        self.segment * SLICES
    }

    fn at(&mut self, lane: u32, place: u32) -> &mut Block {
        let index = lane * self.length() + place;
        &mut self.blocks[index as usize]
    }

    fn fill(&mut self, pass: u32, slice: u32, lane: u32) {
        let begins = if pass == 0 && slice == 0 { 2 } else { 0 };
        for step in begins..self.segment {
            let place = slice * self.segment + step;
            let before = if place == 0 { self.length() - 1 } else { place - 1 };
            let previous = *self.at(lane, before);
            let (other_lane, other_place) = self.reference(pass, slice, lane, previous[0]);
            let other = *self.at(other_lane, other_place);
            let made = compress(&previous, &other);
            let target = self.at(lane, place);
            if pass == 0 {
                *target = made;
            } else {
                target.iter_mut().zip(made).for_each(|(word, made)| *word ^= made);
            }
        }
    }

    /// Which block is referred to: the area has no term for the place within the segment, and for lane 0 of the very first
    /// segment it is empty, which leads to the last block of the lane.
    fn reference(&self, pass: u32, slice: u32, lane: u32, word: u64) -> (u32, u32) {
        let (low, high) = (word & 0xffff_ffff, word >> 32);
        let first = pass == 0 && slice == 0;
        let other = if first { lane } else { (high % u64::from(LANES)) as u32 };
        let (segment, length) = (self.segment, self.length());
        let area = match (pass, slice) {
            (0, 0) => (lane * segment).wrapping_add(if lane == 0 { 0 } else { u32::MAX }),
            (0, slice) => {
                let own = if other == lane { 0 } else { lane.wrapping_mul(length) };
                (slice * segment).wrapping_add(own).wrapping_sub(1)
            }
            _ if other == lane => length - segment - 1,
            _ => length - 1,
        };
        let x = low.wrapping_mul(low) >> 32;
        let relative =
            u64::from(area.wrapping_sub(1)).wrapping_sub(u64::from(area).wrapping_mul(x) >> 32);
        let start = if pass == 0 { 0 } else { u64::from((slice + 1) % SLICES * segment) };
        (other, (start.wrapping_add(relative) % u64::from(length)) as u32)
    }
}

fn compress(left: &Block, right: &Block) -> Block {
    let mixed: Block = std::array::from_fn(|at| left[at] ^ right[at]);
    let mut state = mixed;
    for row in 0..8 {
        round(&mut state, |n| row * 16 + n);
    }
    // Columns of single words, where the RFC has columns of pairs.
    for column in 0..8 {
        round(&mut state, |n| n * 8 + column);
    }
    std::array::from_fn(|at| state[at] ^ mixed[at])
}

/// BLAKE2's round over sixteen words, with multiplications.
fn round(state: &mut Block, at: impl Fn(usize) -> usize) {
    const ORDER: [[usize; 4]; 8] = [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ];
    for [a, b, c, d] in ORDER {
        let [a, b, c, d] = [at(a), at(b), at(c), at(d)];
        for [first, second] in [[32, 24], [16, 63]] {
            state[a] = multiplied(state[a], state[b]);
            state[d] = (state[d] ^ state[a]).rotate_right(first);
            state[c] = multiplied(state[c], state[d]);
            state[b] = (state[b] ^ state[c]).rotate_right(second);
        }
    }
}

/// `a + b + 2 · low(a) · low(b)`.
const fn multiplied(a: u64, b: u64) -> u64 {
    let product = (a & 0xffff_ffff).wrapping_mul(b & 0xffff_ffff);
    a.wrapping_add(b).wrapping_add(product.wrapping_mul(2))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn it_is_byte_for_byte_what_the_node_computes_at_every_size() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/gxc.json")).unwrap();
        for v in vectors["argonX"].as_array().unwrap() {
            let bytes = |name: &str| -> Vec<u8> {
                let text = v[name].as_str().unwrap().as_bytes();
                let pairs = text.as_chunks::<2>().0.iter();
                pairs.map(|p| u8::from_str_radix(str::from_utf8(p).unwrap(), 16).unwrap()).collect()
            };
            let memory = u32::try_from(v["m"].as_u64().unwrap()).unwrap();
            let found = super::hash(&bytes("pw_hex"), &bytes("salt_hex"), memory);
            assert_eq!(found.as_slice(), bytes("out"), "{v}");
        }
    }
}

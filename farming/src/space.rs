//! Proofs of space, first version: is this proof one of that plot, and how good is it?
//!
//! A plot of size k holds values x that were matched in pairs through seven tables. A proof is 64 of them, of k bits each;
//! whoever has them can do the matching again. The constructions are those of the Chia proof of space construction
//! document, version 1.1 (2020).
//!
//! Invariant: pure and total: any bytes give an answer, and the same one everywhere.

mod bits;
pub mod plot;
mod stream;

use crate::hash::{Bytes32, sha256};
use bits::{BitReader, BitWriter};
use stream::Keystream;

/// The smallest plot the construction knows.
pub const SIZE_MIN: u8 = 18;
/// The largest.
pub const SIZE_MAX: u8 = 50;

/// Values in a proof.
const VALUES: usize = 64;
/// Tables that a proof is matched through after the first.
const LEVELS: u32 = 6;
/// Bits of y beyond k.
const EXTRA_BITS: u32 = 6;
/// Parameters of the matching function.
const B: u64 = 119;
const C: u64 = 127;
const BUCKET: u64 = B * C;
/// Targets that each left entry may match with.
const TARGETS: u64 = 1 << EXTRA_BITS;
/// Words of k bits that entries of the tables 2 to 7 carry on.
const CARRIED: [usize; LEVELS as usize] = [2, 4, 4, 3, 2, 0];

/// Bytes of a proof of this size.
#[must_use]
pub const fn proof_length(size: u8) -> usize {
    size as usize * VALUES / 8
}

/// The quality of a proof, or `None` when it is none: of this plot, of this size, for this challenge.
#[must_use]
pub fn quality(plot_id: &Bytes32, size: u8, challenge: &Bytes32, proof: &[u8]) -> Option<Bytes32> {
    if !(SIZE_MIN..=SIZE_MAX).contains(&size) || proof.len() != proof_length(size) {
        return None;
    }
    let k = u32::from(size);
    let mut reader = BitReader::new(proof);
    let values: [u64; VALUES] = std::array::from_fn(|_| reader.take(k));
    let y = matched(plot_id, k, &values)?;
    (y >> EXTRA_BITS == BitReader::new(&challenge.0).take(k))
        .then(|| hash_of_two(k, challenge, in_plot_order(values)))
}

/// What one entry of a table says: its y, and the words it carries on.
#[derive(Clone, Copy)]
struct Entry {
    y: u64,
    words: [u64; 4],
    count: usize,
}

impl Entry {
    fn words(&self) -> &[u64] {
        self.words.get(..self.count).unwrap_or_default()
    }
}

/// The y of the last table, if every pair matches.
fn matched(plot_id: &Bytes32, k: u32, values: &[u64; VALUES]) -> Option<u64> {
    let stream = Keystream::new(plot_id);
    let mut entries: Vec<Entry> = values.iter().map(|x| first(&stream, k, *x)).collect();
    for (level, carried) in CARRIED.into_iter().enumerate() {
        let mut next = Vec::with_capacity(entries.len() / 2);
        for pair in entries.chunks_exact(2) {
            let [left, right] = pair else { return None };
            if !matches(left.y, right.y) {
                return None;
            }
            next.push(combined(k, left, right, carried, level));
        }
        entries = next;
    }
    entries.first().map(|last| last.y)
}

/// Do two neighbours of a table match?
fn matches(left: u64, right: u64) -> bool {
    let bucket = left / BUCKET;
    if right / BUCKET != bucket + 1 {
        return false;
    }
    (0..TARGETS).any(|m| target(bucket, left % BUCKET, m) == right % BUCKET)
}

/// The `m`th place in the next bucket that an entry at this place of a bucket matches with.
fn target(bucket: u64, place: u64, m: u64) -> u64 {
    let row = (place / C + m) % B;
    let turned = 2 * m + bucket % 2;
    row * C + (turned * turned + place) % C
}

/// The first table's entry of a value.
fn first(stream: &Keystream, k: u32, x: u64) -> Entry {
    let y = stream.bits(x, k) << EXTRA_BITS | x >> (k - EXTRA_BITS);
    Entry { y, words: [x, 0, 0, 0], count: 1 }
}

/// The entry that a matching pair makes in the next table.
fn combined(k: u32, left: &Entry, right: &Entry, carried: usize, level: usize) -> Entry {
    let mut input = BitWriter::default();
    input.push(left.y, k + EXTRA_BITS);
    for word in left.words().iter().chain(right.words()) {
        input.push(*word, k);
    }
    let hash = blake3::hash(input.as_bytes());
    let mut reader = BitReader::new(hash.as_bytes());
    let y = reader.take(k + EXTRA_BITS);
    let mut words = [0; 4];
    // The first two of these tables carry both sides as they are, the others what follows in the hash.
    let both = left.words().iter().chain(right.words()).copied();
    let is_collated = level < 2;
    for (slot, word) in words.iter_mut().take(carried).zip(both.chain(std::iter::repeat(0))) {
        *slot = if is_collated { word } else { reader.take(k) };
    }
    Entry { y, words, count: carried }
}

/// A proof lists values as they match; a plot stores each pair by size. Which two values a harvester looked up to see whether a
/// proof is worth fetching is told in the plot's order.
fn in_plot_order(mut values: [u64; VALUES]) -> [u64; VALUES] {
    for level in 0..LEVELS {
        let half = 1usize << level;
        for pair in values.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            // Compared from the last value backwards.
            if !left.iter().rev().lt(right.iter().rev()) {
                left.swap_with_slice(right);
            }
        }
    }
    values
}

fn hash_of_two(k: u32, challenge: &Bytes32, ordered: [u64; VALUES]) -> Bytes32 {
    let index = usize::from(challenge.0[31] & 31) * 2;
    let mut two = BitWriter::default();
    for value in ordered.iter().skip(index).take(2) {
        two.push(*value, k);
    }
    sha256([challenge.as_ref(), two.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};

    struct Case {
        plot_id: Bytes32,
        size: u8,
        challenge: Bytes32,
        proof: Vec<u8>,
        quality: Bytes32,
    }

    fn cases() -> Vec<Case> {
        let proofs = vectors()["chiapos_proofs"].as_array().unwrap();
        let cases = proofs.iter().map(|case| Case {
            plot_id: Bytes32(bytes(&case["plot_id"])),
            size: u8::try_from(case["k"].as_u64().unwrap()).unwrap(),
            challenge: Bytes32(bytes(&case["challenge"])),
            proof: hex::decode(case["proof"].as_str().unwrap()).unwrap(),
            quality: Bytes32(bytes(&case["quality"])),
        });
        cases.collect()
    }

    #[test]
    fn real_proofs_have_the_quality_that_the_reference_gives_them() {
        for case in cases() {
            let quality = quality(&case.plot_id, case.size, &case.challenge, &case.proof);
            assert_eq!(quality, Some(case.quality), "k {}", case.size);
        }
        assert_eq!(cases().len(), 12);
    }

    #[test]
    fn a_proof_with_one_bit_changed_is_none() {
        let case = &cases()[0];
        for bit in 0..case.proof.len() * 8 {
            let mut proof = case.proof.clone();
            proof[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(quality(&case.plot_id, case.size, &case.challenge, &proof), None, "{bit}");
        }
    }

    #[test]
    fn a_proof_is_none_of_another_plot_size_or_challenge() {
        let case = &cases()[0];
        let other = Bytes32([7; 32]);
        assert_eq!(quality(&other, case.size, &case.challenge, &case.proof), None);
        assert_eq!(quality(&case.plot_id, case.size, &other, &case.proof), None);
        for size in 0..=u8::MAX {
            let answer = quality(&case.plot_id, size, &case.challenge, &case.proof);
            assert_eq!(answer.is_some(), size == case.size, "{size}");
            let blank = vec![0xff; proof_length(size)];
            assert_eq!(quality(&case.plot_id, size, &case.challenge, &blank), None, "{size}");
        }
    }

    #[test]
    fn pairs_are_ordered_by_their_last_values_first() {
        let mut values = [0; VALUES];
        values[0] = 5;
        values[1] = 3;
        let ordered = in_plot_order(values);
        // The pair (5, 3) is the largest of its level each time, so it moves to the end, its larger value last.
        assert_eq!(ordered[62..], [3, 5]);
    }
}

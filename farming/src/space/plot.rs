//! A plot in memory: all seven tables of a small size, for tests, benches and demonstrations without a plotter.
//!
//! Invariant: what it proves, [`super::quality`] believes; both use the same tables' functions, and a test has the reference's own
//! verifier look at the proofs.

use super::bits::{BitReader, BitWriter};
use super::stream::Keystream;
use super::{BUCKET, CARRIED, EXTRA_BITS, Entry, TARGETS, combined, first, target};
use crate::hash::Bytes32;
use std::collections::HashMap;

/// The largest plot that is held in memory: at 20, seven tables take some 100 MB while they are made.
pub const SIZE_MAX: u8 = 20;

/// A plot of size 18 to 20.
#[derive(Debug, Clone)]
pub struct Plot {
    id: Bytes32,
    size: u8,
    /// For each entry of the tables 2 to 7, which two of the table before it is made of.
    pairs: Vec<Vec<(u32, u32)>>,
    /// The last table's entries by the first k bits of their y.
    by_y: HashMap<u64, Vec<u32>>,
    /// The first table's values, in the order of their y.
    values: Vec<u64>,
}

impl Plot {
    /// Makes one; takes a second or two. None for sizes that it does not hold.
    #[must_use]
    pub fn make(id: Bytes32, size: u8) -> Option<Self> {
        if !(super::SIZE_MIN..=SIZE_MAX).contains(&size) {
            return None;
        }
        let k = u32::from(size);
        let stream = Keystream::new(&id);
        let mut entries: Vec<Entry> = (0..1u64 << k).map(|x| first(&stream, k, x)).collect();
        entries.sort_unstable_by_key(|entry| entry.y);
        let values = entries.iter().map(|entry| entry.words[0]).collect();
        let mut pairs = Vec::with_capacity(CARRIED.len());
        for (level, carried) in CARRIED.into_iter().enumerate() {
            let (next, made_of) = next_table(k, &entries, carried, level);
            entries = next;
            pairs.push(made_of);
        }
        let mut by_y: HashMap<u64, Vec<u32>> = HashMap::new();
        for (index, entry) in (0u32..).zip(&entries) {
            by_y.entry(entry.y >> EXTRA_BITS).or_default().push(index);
        }
        Some(Plot { id, size, pairs, by_y, values })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &Bytes32 {
        &self.id
    }

    /// All proofs for a challenge: one on average.
    #[must_use]
    pub fn proofs(&self, challenge: &Bytes32) -> Vec<Vec<u8>> {
        let wanted = BitReader::new(&challenge.0).take(u32::from(self.size));
        let found = self.by_y.get(&wanted).into_iter().flatten();
        found.map(|index| self.proof(*index)).collect()
    }

    fn proof(&self, index: u32) -> Vec<u8> {
        let mut indices = vec![index];
        for table in self.pairs.iter().rev() {
            let parts = indices.iter().filter_map(|index| table.get(*index as usize));
            indices = parts.flat_map(|(left, right)| [*left, *right]).collect();
        }
        let values = indices.iter().filter_map(|index| self.values.get(*index as usize));
        let mut packed = Vec::with_capacity(super::proof_length(self.size));
        // Eight values at a time are whole bytes, whatever their width.
        for eight in values.copied().collect::<Vec<_>>().chunks(8) {
            let mut writer = BitWriter::default();
            eight.iter().for_each(|value| writer.push(*value, u32::from(self.size)));
            packed.extend_from_slice(writer.as_bytes());
        }
        packed
    }
}

/// The next table, in the order of its y, and what each entry is made of.
fn next_table(
    k: u32,
    entries: &[Entry],
    carried: usize,
    level: usize,
) -> (Vec<Entry>, Vec<(u32, u32)>) {
    let mut made: Vec<(Entry, (u32, u32))> = Vec::with_capacity(entries.len());
    let buckets: Vec<&[Entry]> =
        entries.chunk_by(|left, right| left.y / BUCKET == right.y / BUCKET).collect();
    let mut at = 0u32;
    for (left, right) in buckets.iter().zip(buckets.iter().skip(1)) {
        let behind = at + u32::try_from(left.len()).unwrap_or(u32::MAX - at);
        matches_of(left, right, |one, other| {
            let (Some(l), Some(r)) = (left.get(one), right.get(other)) else { return };
            let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
            made.push((
                combined(k, l, r, carried, level),
                (at + number(one), behind + number(other)),
            ));
        });
        at = behind;
    }
    made.sort_unstable_by_key(|(entry, _)| entry.y);
    made.into_iter().unzip()
}

/// All matching pairs of two neighbouring buckets, by their places in them.
fn matches_of(left: &[Entry], right: &[Entry], mut found: impl FnMut(usize, usize)) {
    let (Some(first_left), Some(first_right)) = (left.first(), right.first()) else { return };
    let bucket = first_left.y / BUCKET;
    if first_right.y / BUCKET != bucket + 1 {
        return;
    }
    let mut by_place: HashMap<u64, Vec<usize>> = HashMap::with_capacity(right.len());
    for (index, entry) in right.iter().enumerate() {
        by_place.entry(entry.y % BUCKET).or_default().push(index);
    }
    for (one, entry) in left.iter().enumerate() {
        for m in 0..TARGETS {
            let place = target(bucket, entry.y % BUCKET, m);
            for other in by_place.get(&place).into_iter().flatten() {
                found(one, *other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::space::quality;

    #[test]
    fn what_a_plot_proves_is_believed_and_a_challenge_has_one_proof_on_average() {
        let id = Bytes32([0x5a; 32]);
        let plot = Plot::make(id, 18).unwrap();
        let mut proofs = 0;
        for n in 0..200u32 {
            let challenge = sha256([&n.to_be_bytes()[..]]);
            for proof in plot.proofs(&challenge) {
                assert!(quality(&id, 18, &challenge, &proof).is_some(), "{n}");
                proofs += 1;
            }
        }
        assert!((120..280).contains(&proofs), "{proofs} proofs of 200 challenges");
        assert!(Plot::make(id, 17).is_none() && Plot::make(id, 21).is_none());
    }
}

//! The cache: what every row of an epoch's data set can be made from.

use super::keccak::keccak512;
use super::modulus::Modulus;
use super::{Epoch, Page, Pages, Row, fnv, keccak_row, words_of};

/// Rounds of the mixing (RandMemoHash, Lerner 2014).
const ROUNDS: usize = 3;
/// Rows of the cache that a row of the data set is made from.
const PARENTS: u32 = 256;

/// An epoch's cache.
pub struct Cache {
    epoch: Epoch,
    rows: Vec<Row>,
    modulus: Modulus,
    pages: u32,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Cache {
    /// Makes it: a second or less for the first epochs, ten for the hundreds. `progress` is told how much is done, from 0 to
    /// 1, about a hundred times.
    #[must_use]
    pub fn build(epoch: Epoch, seed: &[u8; 32], mut progress: impl FnMut(f64)) -> Self {
        let count = epoch.cache_rows();
        let mut rows: Vec<Row> = Vec::with_capacity(count as usize);
        let total = f64::from(count) * (ROUNDS + 1) as f64;
        let every = count / 25 + 1;
        let mut row = words_of(&keccak512(seed));
        for at in 0..count {
            if at.is_multiple_of(every) {
                progress(f64::from(at) / total);
            }
            rows.push(row);
            row = keccak_row(&row);
        }
        let modulus = Modulus::by(count);
        for round in 0..ROUNDS {
            for at in 0..count {
                if at.is_multiple_of(every) {
                    progress((f64::from(count) * (round + 1) as f64 + f64::from(at)) / total);
                }
                let before = if at == 0 { count - 1 } else { at - 1 };
                let other = modulus.of(rows[at as usize][0]);
                let (left, right) = (rows[before as usize], rows[other as usize]);
                let mixed: Row = std::array::from_fn(|word| left[word] ^ right[word]);
                rows[at as usize] = keccak_row(&mixed);
            }
        }
        progress(1.0);
        Cache { epoch, rows, modulus, pages: epoch.dataset_pages() }
    }

    /// Which epoch's.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.len() * size_of::<Row>()
    }

    /// Rows of the data set that stand side by side, made together: each waits for memory while the others go on.
    pub(super) fn rows<const N: usize>(&self, first: u32) -> [Row; N] {
        let index: [u32; N] = std::array::from_fn(|n| first + n as u32);
        let mut mixes: [Row; N] = index.map(|index| {
            let mut mix = self.rows[self.modulus.of(index) as usize];
            mix[0] ^= index;
            keccak_row(&mix)
        });
        for parent in 0..PARENTS {
            for (mix, index) in mixes.iter_mut().zip(index) {
                let at = self.modulus.of(fnv(index ^ parent, mix[parent as usize % 16]));
                let other = &self.rows[at as usize];
                for (word, other) in mix.iter_mut().zip(other) {
                    *word = fnv(*word, *other);
                }
            }
        }
        mixes.map(|mix| keccak_row(&mix))
    }
}

impl Pages for Cache {
    fn count(&self) -> u32 {
        self.pages
    }

    fn page(&self, index: u32) -> Page {
        let [low, high] = self.rows::<2>(index * 2);
        let mut page = [0; 32];
        page[..16].copy_from_slice(&low);
        page[16..].copy_from_slice(&high);
        page
    }
}

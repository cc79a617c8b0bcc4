//! Ethash: a hash over a header's digest and a 64-bit nonce that reads a large data set at places which only the hash
//! itself tells (<https://ethereum.org/en/developers/docs/consensus-mechanisms/pow/mining/mining-algorithms/ethash/>).
//!
//! A [`Cache`] of some 16 MiB and more is made from the epoch's number alone; any row of the data set can be made from it,
//! at the price of 256 reads each. Whoever keeps the whole [`Dataset`] (1 GiB and more) reads rows instead.
//!
//! Invariant: both give the same hash; the nonce is a number, whatever order its bytes travel in.

mod cache;
mod dataset;
mod epoch;
mod keccak;
mod modulus;

pub use cache::Cache;
pub use dataset::{Dataset, DatasetError};
pub use epoch::{CLASSIC_EPOCH, EPOCH, Epoch, epoch_of};

pub use keccak::keccak256;

use keccak::keccak512;

/// 64 bytes, as little-endian words.
pub type Row = [u32; 16];
/// Two rows: what is read at each step.
pub type Page = [u32; 32];

/// Pages read by one hash.
const ACCESSES: u32 = 64;
const FNV_PRIME: u32 = 0x0100_0193;

/// The algorithm's mixing of two words; not quite FNV.
const fn fnv(a: u32, b: u32) -> u32 {
    a.wrapping_mul(FNV_PRIME) ^ b
}

/// Where pages of the data set come from.
pub trait Pages {
    /// Number of pages.
    fn count(&self) -> u32;
    /// One of them.
    fn page(&self, index: u32) -> Page;
}

/// What a hash gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hashed {
    /// What the pages were mixed to: proves cheaply that a result was not made up.
    pub mix: [u8; 32],
    /// Big-endian, what is compared with the target.
    pub result: [u8; 32],
}

/// Hashes a header's digest with a nonce.
#[must_use]
pub fn hash(pages: &impl Pages, header: &[u8; 32], nonce: u64) -> Hashed {
    let seed = seed_of(header, nonce);
    let words: Row = words_of(&seed);
    let mut mix: Page = [0; 32];
    let (low, high) = mix.split_at_mut(16);
    low.copy_from_slice(&words);
    high.copy_from_slice(&words);
    let count = pages.count();
    for step in 0..ACCESSES {
        let at = fnv(step ^ words[0], mix[step as usize % 32]) % count;
        let page = pages.page(at);
        for (word, other) in mix.iter_mut().zip(page) {
            *word = fnv(*word, other);
        }
    }
    let mut digest = [0; 32];
    let (fours, _) = mix.as_chunks::<4>();
    for (bytes, four) in digest.as_chunks_mut::<4>().0.iter_mut().zip(fours) {
        *bytes = fnv(fnv(fnv(four[0], four[1]), four[2]), four[3]).to_le_bytes();
    }
    Hashed { mix: digest, result: result_of(&seed, &digest) }
}

/// The result that a mix claims: two short hashes instead of reading the data set. What does not meet a target even by its
/// own claim need not be looked at further.
#[must_use]
pub fn claimed(header: &[u8; 32], nonce: u64, mix: &[u8; 32]) -> [u8; 32] {
    result_of(&seed_of(header, nonce), mix)
}

fn seed_of(header: &[u8; 32], nonce: u64) -> [u8; 64] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(header);
    bytes[32..].copy_from_slice(&nonce.to_le_bytes());
    keccak512(&bytes)
}

fn result_of(seed: &[u8; 64], mix: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 96];
    bytes[..64].copy_from_slice(seed);
    bytes[64..].copy_from_slice(mix);
    keccak256(&bytes)
}

fn words_of(bytes: &[u8; 64]) -> Row {
    let (chunks, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|at| u32::from_le_bytes(chunks[at]))
}

fn bytes_of(words: &Row) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (chunk, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
    bytes
}

fn keccak_row(row: &Row) -> Row {
    words_of(&keccak512(&bytes_of(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }

    fn cache(number: u32) -> Cache {
        let epoch = Epoch::new(number).unwrap();
        Cache::build(epoch, &epoch.seed(EPOCH), |_| {})
    }

    fn check(cache: &Cache, header: &str, nonce: u64, mix: &str, result: &str) {
        let header = hex(header);
        let hashed = hash(cache, &header, nonce);
        assert_eq!(hashed, Hashed { mix: hex(mix), result: hex(result) });
        assert_eq!(claimed(&header, nonce, &hashed.mix), hashed.result);
        assert_ne!(claimed(&header, nonce, &[0; 32]), hashed.result);
    }

    /// Published vectors of epoch 0 (ethereumjs and the Ethash repository).
    #[test]
    fn epoch_0_gives_the_published_hashes() {
        let cache = cache(0);
        check(
            &cache,
            "2a8de2adf89af77358250bf908bf04ba94a6e8c3ba87775564a41d269a05e4ce",
            0x4242_4242_4242_4242,
            "58f759ede17a706c93f13030328bcea40c1d1341fb26f2facd21ceb0dae57017",
            "dd47fd2d98db51078356852d7c4014e6a5d6c387c35f40e2875b74a256ed7906",
        );
        check(
            &cache,
            "100cbec5e5ef82991290d0d93d758f19082e71f234cf479192a8b94df6da6bfe",
            0x3076_92cf_71b1_2f6d,
            "e55d02c555a7969361cf74a9ec6211d8c14e4517930a00442f171bdb1698d175",
            "ab9b13423cface72cbec8424221651bc2e384ef0f7a560e038fc68c8d8684829",
        );
    }

    /// Ethereum's block 51712, of epoch 1.
    #[test]
    fn epoch_1_gives_the_hash_of_a_block_of_ethereum() {
        check(
            &cache(1),
            "65afca7a8b725fca00d05b4d037646552e6702dbfd6ffecc8882c0d9efa0e1f9",
            0x44b3_00df_423f_783c,
            "f069cbc921fb229a9d8c79e32727291e6af8e33bec8ac184203ae1ca67f0a914",
            "0000000000b19445bb28387e0c83fbe63c59e2b752ba0838f4dbd4d2733d568e",
        );
    }

    #[test]
    fn progress_goes_from_nothing_to_all() {
        let mut told = Vec::new();
        let epoch = Epoch::new(0).unwrap();
        drop(Cache::build(epoch, &epoch.seed(EPOCH), |done| told.push(done)));
        assert!(told.is_sorted() && told.first() == Some(&0.0) && told.last() == Some(&1.0));
        assert!((50..200).contains(&told.len()), "{}", told.len());
    }

    #[test]
    #[ignore = "a measurement: cargo test --release -p pow -- --ignored --nocapture speed"]
    fn speed() {
        let start = std::time::Instant::now();
        let cache = cache(0);
        eprintln!("cache {:?}", start.elapsed());
        let start = std::time::Instant::now();
        for nonce in 0..500 {
            std::hint::black_box(hash(&cache, &[7; 32], nonce));
        }
        eprintln!("light {:?}", start.elapsed() / 500);
    }
}

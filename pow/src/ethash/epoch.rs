//! Epochs: which cache and data set belong to a block's height.

use super::keccak::keccak256;

/// Blocks of an epoch, on Ethereum and on most others.
pub const EPOCH: u64 = 30_000;
/// Blocks of an epoch on Ethereum Classic since ECIP-1099.
pub const CLASSIC_EPOCH: u64 = 60_000;

/// Bytes of a row.
const ROW: u64 = 64;
/// Bytes of a page.
const PAGE: u64 = 128;
const CACHE_INITIAL: u64 = 1 << 24;
const CACHE_GROWTH: u64 = 1 << 17;
const DATASET_INITIAL: u64 = 1 << 30;
const DATASET_GROWTH: u64 = 1 << 23;

/// The epoch of a height, where epochs have so many blocks.
///
/// # Panics
/// When epochs have none, or the height is beyond any chain.
#[must_use]
pub fn epoch_of(height: u64, blocks: u64) -> Epoch {
    assert!(blocks > 0, "an epoch has blocks");
    Epoch::new(u32::try_from(height / blocks).unwrap_or(u32::MAX)).expect("no chain is so long")
}

/// An epoch whose data set still fits its 32-bit page numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(u32);

impl Epoch {
    /// Epochs up to this have sizes; the data set has 256 GiB then.
    pub const MAX: u32 = 32_639;

    /// By its number.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number <= Self::MAX { Some(Epoch(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// What its cache is grown from: Keccak of 32 zeros, once for each epoch before. A chain with longer epochs grows its
    /// own from the seed of as many Ethereum epochs: `epochs_before`.
    #[must_use]
    pub fn seed(self, blocks: u64) -> [u8; 32] {
        let rounds = u64::from(self.0) * blocks / EPOCH;
        (0..rounds).fold([0; 32], |seed, _| keccak256(&seed))
    }

    /// Rows of its cache: the largest prime below its growth, so that reads spread.
    #[must_use]
    pub fn cache_rows(self) -> u32 {
        let bytes = CACHE_INITIAL + CACHE_GROWTH * u64::from(self.0) - ROW;
        largest_prime_below(bytes / ROW)
    }

    /// Pages of its data set.
    #[must_use]
    pub fn dataset_pages(self) -> u32 {
        let bytes = DATASET_INITIAL + DATASET_GROWTH * u64::from(self.0) - PAGE;
        largest_prime_below(bytes / PAGE)
    }
}

/// The largest prime that is not above.
fn largest_prime_below(most: u64) -> u32 {
    let found = (2..=most).rev().find(|candidate| is_prime(*candidate)).unwrap_or(2);
    u32::try_from(found).expect("epochs end before 2^32 rows")
}

fn is_prime(number: u64) -> bool {
    let divides = |divisor: u64| number.is_multiple_of(divisor);
    number == 2
        || !divides(2) && (3..).step_by(2).take_while(|d| d * d <= number).all(|d| !divides(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published sizes (appendix of the Ethash specification).
    #[test]
    fn sizes_are_those_of_the_specification() {
        let sizes = |number| {
            let epoch = Epoch::new(number).unwrap();
            (u64::from(epoch.cache_rows()) * ROW, u64::from(epoch.dataset_pages()) * PAGE)
        };
        assert_eq!(sizes(0), (16_776_896, 1_073_739_904));
        assert_eq!(sizes(1), (16_907_456, 1_082_130_304));
        assert_eq!(sizes(2047), (285_081_536, 18_245_220_736));
        assert!(Epoch::new(Epoch::MAX).unwrap().next().is_none());
    }

    #[test]
    fn an_epoch_follows_from_the_height() {
        let number = |height, blocks| epoch_of(height, blocks).number();
        assert_eq!([number(0, EPOCH), number(29_999, EPOCH), number(30_000, EPOCH)], [0, 0, 1]);
        assert_eq!([number(59_999, CLASSIC_EPOCH), number(60_000, CLASSIC_EPOCH)], [0, 1]);
        assert_eq!(number(11_700_000, CLASSIC_EPOCH), 195);
    }
}

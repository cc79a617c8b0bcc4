//! Slices: closed stretches of a pool's shares, summed per account and sealed with a hash.
//!
//! Invariant: a closed slice never changes. Its hash covers its rows and the hash of the slice before, so that raw
//! share rows may go one day and every split can still be checked.

use crate::id::{AccountId, PoolId, RateId, ShareSeq, SliceNo, UnixMs};
use crate::share::{Share, WeightSum};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Work and the number of shares it came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Sum of weights.
    pub weight: WeightSum,
    /// Number of shares.
    pub shares: u64,
}

impl Tally {
    /// Adds another tally.
    ///
    /// # Panics
    /// Beyond 128 bits of work, which no chain has.
    pub fn add(&mut self, other: Tally) {
        self.weight = self.weight.checked_add(other.weight).expect("sums of work stay below 2^128");
        self.shares = self.shares.checked_add(other.shares).expect("share counts stay below 2^64");
    }

    /// Takes a tally away that was added before.
    ///
    /// # Panics
    /// When more is taken than there is: then something was subtracted twice.
    pub fn subtract(&mut self, other: Tally) {
        self.weight =
            self.weight.checked_sub(other.weight).expect("only what was added is taken away");
        self.shares =
            self.shares.checked_sub(other.shares).expect("only what was added is taken away");
    }
}

/// What one account did in one slice, at one pay-per-share rate (0 where there is none).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceRow {
    /// Who.
    pub account: AccountId,
    /// At which rate.
    pub rate: RateId,
    /// How much.
    pub tally: Tally,
}

/// A closed stretch of one pool's shares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// The pool.
    pub pool: PoolId,
    /// Its number, from 1 without gaps.
    pub no: SliceNo,
    /// First log position covered.
    pub first: ShareSeq,
    /// Last log position covered (other pools' shares lie between).
    pub last: ShareSeq,
    /// By account and rate, ascending.
    pub rows: Vec<SliceRow>,
    /// Sum of the rows.
    pub total: Tally,
    /// Hash over everything above and the hash of the slice before.
    pub hash: [u8; 32],
}

impl Slice {
    /// Were its shares bought at once (PPS, FPPS)? Then they are in no window.
    #[must_use]
    pub fn is_bought(&self) -> bool {
        self.rows.iter().any(|row| row.rate != RateId::default())
    }

    /// The hash these contents must have after a slice with hash `previous`.
    #[must_use]
    pub fn expected_hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"adit slice 1");
        hasher.update(previous);
        hasher.update(self.pool.0.to_be_bytes());
        for number in [self.no.0, self.first.0, self.last.0] {
            hasher.update(number.to_be_bytes());
        }
        for row in &self.rows {
            hasher.update(row.account.0.to_be_bytes());
            hasher.update(row.rate.0.to_be_bytes());
            hasher.update(row.tally.weight.to_be_bytes());
            hasher.update(row.tally.shares.to_be_bytes());
        }
        hasher.finalize().into()
    }
}

/// When a slice is closed although no block asks for it. Whatever the limits, the positions where slices were cut are
/// recorded, so that a recomputation needs no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceLimits {
    /// Longest time a slice stays open.
    pub age_ms: u64,
    /// Most shares in a slice.
    pub shares: u64,
    /// Most work in a slice; a fraction of the window, so that the fractional oldest slice stays a fine grain.
    pub weight: WeightSum,
    /// Work alone does not close a slice with fewer shares: a slice of one share is a row saved nowhere.
    pub least_shares: u64,
}

/// The stretch that is still growing.
#[derive(Clone, Debug)]
pub struct OpenSlice {
    pool: PoolId,
    no: SliceNo,
    previous_hash: [u8; 32],
    first: Option<(ShareSeq, UnixMs)>,
    last: ShareSeq,
    rows: HashMap<(AccountId, RateId), Tally>,
    total: Tally,
}

impl OpenSlice {
    /// Begins the slice after `previous` (number and hash), or a pool's first.
    #[must_use]
    pub fn after(pool: PoolId, previous: Option<(SliceNo, [u8; 32])>) -> Self {
        let (no, previous_hash) =
            previous.map_or((SliceNo(1), [0; 32]), |(no, hash)| (no.next(), hash));
        OpenSlice {
            pool,
            no,
            previous_hash,
            first: None,
            last: ShareSeq(0),
            rows: HashMap::new(),
            total: Tally::default(),
        }
    }

    /// Counts a share of this pool.
    ///
    /// # Panics
    /// When the share belongs elsewhere or comes out of order.
    pub fn count(&mut self, seq: ShareSeq, share: &Share) {
        assert!(
            share.pool == self.pool && seq > self.last,
            "shares are counted in order, each in its own pool"
        );
        self.first.get_or_insert((seq, share.found_at));
        self.last = seq;
        let tally = Tally { weight: share.weight.get().into(), shares: 1 };
        self.rows.entry((share.account, share.rate)).or_default().add(tally);
        self.total.add(tally);
    }

    /// Nothing in it yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The sum so far.
    #[must_use]
    pub fn total(&self) -> Tally {
        self.total
    }

    /// The rows so far, in no order.
    pub fn rows(&self) -> impl Iterator<Item = SliceRow> + '_ {
        self.rows.iter().map(|(&(account, rate), &tally)| SliceRow { account, rate, tally })
    }

    /// Has it reached a limit?
    #[must_use]
    pub fn is_due(&self, limits: &SliceLimits, now: UnixMs) -> bool {
        let Some((_, since)) = self.first else { return false };
        self.total.shares >= limits.shares
            || (self.total.weight >= limits.weight && self.total.shares >= limits.least_shares)
            || now.0.saturating_sub(since.0) >= limits.age_ms
    }

    /// Seals it and begins the next; `None` while it is empty.
    pub fn close(&mut self) -> Option<Slice> {
        let (first, _) = self.first?;
        let mut rows: Vec<SliceRow> = self.rows().collect();
        rows.sort_unstable_by_key(|row| (row.account, row.rate));
        let mut slice = Slice {
            pool: self.pool,
            no: self.no,
            first,
            last: self.last,
            rows,
            total: self.total,
            hash: [0; 32],
        };
        slice.hash = slice.expected_hash(&self.previous_hash);
        let last = self.last;
        *self = OpenSlice { last, ..OpenSlice::after(self.pool, Some((slice.no, slice.hash))) };
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::WorkerId;
    use crate::share::{ShareKey, Weight};

    fn share(account: u64, weight: u64) -> Share {
        Share {
            pool: PoolId(1),
            account: AccountId(account),
            worker: WorkerId(1),
            weight: Weight::new(weight).unwrap(),
            rate: RateId(0),
            found_at: UnixMs(1_000),
            key: ShareKey([0; 32]),
        }
    }

    #[test]
    fn closing_sums_per_account_and_starts_the_next_number() {
        let mut open = OpenSlice::after(PoolId(1), None);
        assert_eq!(open.close(), None);
        for (seq, account, weight) in [(1, 7, 5), (3, 2, 1), (4, 7, 6)] {
            open.count(ShareSeq(seq), &share(account, weight));
        }
        let slice = open.close().unwrap();
        assert_eq!((slice.no, slice.first, slice.last), (SliceNo(1), ShareSeq(1), ShareSeq(4)));
        assert_eq!(slice.total, Tally { weight: 12, shares: 3 });
        let rows: Vec<_> =
            slice.rows.iter().map(|r| (r.account.0, r.tally.weight, r.tally.shares)).collect();
        assert_eq!(rows, [(2, 1, 1), (7, 11, 2)]);
        assert_eq!(slice.hash, slice.expected_hash(&[0; 32]));
        open.count(ShareSeq(5), &share(1, 1));
        let next = open.close().unwrap();
        assert_eq!(next.no, SliceNo(2));
        assert_eq!(next.hash, next.expected_hash(&slice.hash));
    }

    #[test]
    fn any_change_changes_the_hash() {
        let mut open = OpenSlice::after(PoolId(1), None);
        open.count(ShareSeq(1), &share(7, 5));
        let slice = open.close().unwrap();
        let mut more = slice.clone();
        more.rows[0].tally.weight += 1;
        let mut moved = slice.clone();
        moved.last = ShareSeq(2);
        for changed in [more, moved] {
            assert_ne!(changed.expected_hash(&[0; 32]), slice.hash);
        }
        assert_ne!(slice.expected_hash(&[1; 32]), slice.hash);
    }

    #[test]
    fn a_slice_is_due_by_age_count_or_work() {
        let limits = SliceLimits { age_ms: 100, shares: 9, weight: 50, least_shares: 2 };
        let mut open = OpenSlice::after(PoolId(1), None);
        assert!(!open.is_due(&limits, UnixMs(u64::MAX)), "an empty slice is never due");
        open.count(ShareSeq(1), &share(1, 10));
        assert!(!open.is_due(&limits, UnixMs(1_099)));
        assert!(open.is_due(&limits, UnixMs(1_100)));
        open.count(ShareSeq(2), &share(1, 40));
        assert!(open.is_due(&limits, UnixMs(1_000)));
    }

    #[test]
    #[should_panic(expected = "in order")]
    fn a_share_out_of_order_stops_the_process() {
        let mut open = OpenSlice::after(PoolId(1), None);
        open.count(ShareSeq(2), &share(1, 1));
        open.count(ShareSeq(2), &share(1, 1));
    }
}

//! Windows: which work a block pays, as whole slices and a fractional oldest one.
//!
//! Invariant: sums are kept incrementally and equal what a scan over the slices would give; the table of a window is a
//! function of the closed slices and the length alone, so that it can be computed again from the store.

use crate::id::{AccountId, ShareSeq, SliceNo};
use crate::scheme::WindowLength;
use crate::share::WeightSum;
use crate::slice::{Slice, Tally};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The slices that count now, and what they sum to.
#[derive(Debug, Default)]
pub struct Window {
    /// Oldest first, consecutive numbers.
    slices: VecDeque<Held>,
    sums: HashMap<AccountId, Tally>,
    total: Tally,
    /// The newest slice of the round before: PROP reaches back to the slice after it.
    cut: SliceNo,
}

/// A closed slice and what was revoked of it since.
#[derive(Debug)]
struct Held {
    slice: Arc<Slice>,
    revoked: Vec<(AccountId, Tally)>,
}

/// Where slices come from that are no longer (or not yet) in memory. Revocations of such slices come with them.
pub trait SliceSource {
    /// What went wrong with the store.
    type Error;

    /// The slice with this number; `None` before a pool's first.
    ///
    /// # Errors
    /// As the store reports.
    fn slice(&mut self, no: SliceNo) -> Result<Option<SourcedSlice>, Self::Error>;
}

/// A slice from a [`SliceSource`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcedSlice {
    /// The slice as it was sealed.
    pub slice: Slice,
    /// What was revoked of it since.
    pub revoked: Vec<(AccountId, Tally)>,
}

/// The frozen contents of a window: what a reward is split by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WindowTable {
    /// Newest slice counted.
    pub through: SliceNo,
    /// Oldest slice counted.
    pub from: SliceNo,
    /// The part of the oldest slice that counts: numerator and denominator, in work or in shares.
    pub oldest_part: (WeightSum, WeightSum),
    /// Work per account, ascending by account, none zero.
    pub rows: Vec<(AccountId, WeightSum)>,
}

impl Window {
    /// An empty window whose last round ended with slice `cut` (0 before the first).
    #[must_use]
    pub fn new(cut: SliceNo) -> Self {
        Window { cut, ..Window::default() }
    }

    /// Takes in the slice just closed.
    ///
    /// # Panics
    /// When a number is skipped.
    pub fn push(&mut self, slice: Arc<Slice>) {
        if let Some(newest) = self.slices.back() {
            assert!(slice.no == newest.slice.no.next(), "slices are numbered without gaps");
        }
        let held = Held { slice, revoked: Vec::new() };
        self.include(&held);
        self.slices.push_back(held);
    }

    /// Takes weight out of a closed slice; returns whether the slice is in memory (otherwise its source will say so).
    pub fn revoke(&mut self, slice: SliceNo, account: AccountId, tally: Tally) -> bool {
        let Some(held) = self.slices.iter_mut().find(|held| held.slice.no == slice) else {
            return false;
        };
        if held.slice.is_bought() {
            return true;
        }
        held.revoked.push((account, tally));
        self.total.subtract(tally);
        self.take_from_sum(account, tally);
        true
    }

    /// The slice in memory that covers a log position.
    #[must_use]
    pub fn slice_at(&self, seq: ShareSeq) -> Option<SliceNo> {
        let covers = |held: &&Held| held.slice.first <= seq && seq <= held.slice.last;
        self.slices.iter().find(covers).map(|held| held.slice.no)
    }

    /// Live sums, for people: (work of the account, work of all).
    #[must_use]
    pub fn part_of(&self, account: AccountId) -> (WeightSum, WeightSum) {
        (self.sums.get(&account).map_or(0, |tally| tally.weight), self.total.weight)
    }

    /// Number of accounts with work in memory.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.sums.len()
    }

    /// All live sums, in no order.
    pub fn sums(&self) -> impl Iterator<Item = (AccountId, Tally)> + '_ {
        self.sums.iter().map(|(&account, &tally)| (account, tally))
    }

    /// Makes the slices in memory just those that a window of this length covers, ending with slice `through`: drops
    /// what has moved out, fetches what has moved in.
    ///
    /// # Errors
    /// As the source reports; the window stays consistent and can be asked again.
    pub fn fit<S: SliceSource>(
        &mut self,
        length: WindowLength,
        through: SliceNo,
        source: &mut S,
    ) -> Result<(), S::Error> {
        self.trim(length);
        while !length.is_reached_by(self.total) {
            let wanted = match self.slices.front() {
                Some(oldest) => SliceNo(oldest.slice.no.0.saturating_sub(1)),
                None => through,
            };
            if wanted.0 == 0 || (length == WindowLength::Round && wanted <= self.cut) {
                break;
            }
            let Some(SourcedSlice { slice, revoked }) = source.slice(wanted)? else { break };
            let held = Held { slice: Arc::new(slice), revoked };
            self.include(&held);
            self.slices.push_front(held);
        }
        Ok(())
    }

    /// Drops the slices that a window of this length no longer covers.
    pub fn trim(&mut self, length: WindowLength) {
        while let Some(oldest) = self.slices.front() {
            if length.is_full_without(self.total, oldest.total())
                || (length == WindowLength::Round && oldest.slice.no <= self.cut)
            {
                let dropped = self.slices.pop_front().expect("there is an oldest slice");
                self.exclude(&dropped);
            } else {
                break;
            }
        }
    }

    /// The table that a reward is split by. Call [`Window::fit`] with the same length first.
    #[must_use]
    pub fn table(&self, length: WindowLength) -> WindowTable {
        let Some(oldest) = self.slices.front() else {
            return WindowTable {
                through: self.cut,
                from: self.cut,
                oldest_part: (0, 0),
                rows: Vec::new(),
            };
        };
        let through = self.slices.back().map_or(oldest.slice.no, |held| held.slice.no);
        let oldest_part = length.part_of_oldest(self.total, oldest.total());
        let mut sums = self.sums.clone();
        if oldest_part.0 < oldest_part.1 {
            for (account, tally) in oldest.rows() {
                let kept = WindowLength::kept(tally.weight, oldest_part);
                let sum = sums.get_mut(&account).expect("every row of a slice is in the sums");
                let lost = tally.weight.saturating_sub(kept);
                sum.weight =
                    sum.weight.checked_sub(lost).expect("a slice's row is part of the sum");
            }
        }
        let mut rows: Vec<_> =
            sums.into_iter().filter(|(_, t)| t.weight > 0).map(|(a, t)| (a, t.weight)).collect();
        rows.sort_unstable_by_key(|(account, _)| *account);
        WindowTable { through, from: oldest.slice.no, oldest_part, rows }
    }

    /// Ends a round: the next PROP window begins with the slice after `through`.
    pub fn cut(&mut self, through: SliceNo) {
        self.cut = through;
    }

    fn include(&mut self, held: &Held) {
        for (account, tally) in held.rows() {
            self.sums.entry(account).or_default().add(tally);
        }
        self.total.add(held.total());
    }

    fn exclude(&mut self, held: &Held) {
        for (account, tally) in held.rows() {
            self.take_from_sum(account, tally);
        }
        self.total.subtract(held.total());
    }

    fn take_from_sum(&mut self, account: AccountId, tally: Tally) {
        let sum = self.sums.get_mut(&account).expect("only what was counted is taken away");
        sum.subtract(tally);
        if *sum == Tally::default() {
            self.sums.remove(&account);
        }
    }
}

impl Held {
    /// Tally per account, rates summed and revocations taken off; none empty.
    fn rows(&self) -> Vec<(AccountId, Tally)> {
        if self.slice.is_bought() {
            return Vec::new();
        }
        let mut rows: Vec<(AccountId, Tally)> = Vec::with_capacity(self.slice.rows.len());
        for row in &self.slice.rows {
            match rows.last_mut() {
                Some((account, tally)) if *account == row.account => tally.add(row.tally),
                _ => rows.push((row.account, row.tally)),
            }
        }
        for (account, tally) in &self.revoked {
            let at = rows
                .binary_search_by_key(account, |(a, _)| *a)
                .expect("what is revoked is in the slice");
            rows.get_mut(at).expect("found there").1.subtract(*tally);
        }
        rows.retain(|(_, tally)| *tally != Tally::default());
        rows
    }

    fn total(&self) -> Tally {
        if self.slice.is_bought() {
            return Tally::default();
        }
        let mut total = self.slice.total;
        for (_, tally) in &self.revoked {
            total.subtract(*tally);
        }
        total
    }
}

impl WindowTable {
    /// Work of all accounts.
    ///
    /// # Panics
    /// Beyond 128 bits of work, which no chain has.
    #[must_use]
    pub fn total(&self) -> WeightSum {
        self.rows
            .iter()
            .try_fold(0, |sum: WeightSum, (_, w)| sum.checked_add(*w))
            .expect("sums of work stay below 2^128")
    }

    /// Names the contents: stored with the reward, published for audit.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"adit window 1");
        hasher.update(self.through.0.to_be_bytes());
        hasher.update(self.from.0.to_be_bytes());
        hasher.update(self.oldest_part.0.to_be_bytes());
        hasher.update(self.oldest_part.1.to_be_bytes());
        for (account, weight) in &self.rows {
            hasher.update(account.0.to_be_bytes());
            hasher.update(weight.to_be_bytes());
        }
        hasher.finalize().into()
    }
}

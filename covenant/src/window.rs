//! Which earlier blocks a block pays: a stretch of the qualified ones before it.
//!
//! Invariant: the stretch is a function of the list, the place and the rule; nothing is kept that a reorganisation would have
//! to mend. Taking a block in is a push; finding the stretch is a binary search.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Most slots that count at once, whatever the rule says.
pub const SLOTS_MAX: u32 = 10_000;
/// The longest time window: ninety days.
pub const SECONDS_MAX: u32 = 90 * 86_400;

/// How far back a block looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum LookBack {
    /// The last so many qualified blocks.
    Last {
        /// How many, 1 to [`SLOTS_MAX`].
        blocks: u32,
    },
    /// All qualified blocks not older than this.
    Age {
        /// At most [`SECONDS_MAX`].
        seconds: u32,
    },
    /// All qualified blocks that are so old at least and so old at most.
    Between {
        /// The youngest that counts.
        from_seconds: u32,
        /// The oldest that counts; at most [`SECONDS_MAX`].
        to_seconds: u32,
    },
}

/// Where a block stands: what its window is computed from, all of it known before the block is mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Its height.
    pub height: u32,
    /// The median time of the eleven blocks before it: unlike a block's own time it never goes back, and one miner cannot
    /// bend it.
    pub time: u32,
}

/// A qualified block, as those after it see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Where it stands.
    pub place: Place,
    /// Who is paid for it: a number that the chain's reader gave to their script.
    pub payee: u32,
    /// Satoshis it put under the rule.
    pub sats: u64,
    /// Expected hashes of its target.
    pub work: u128,
}

impl LookBack {
    /// Is it a window at all?
    #[must_use]
    pub fn is_sound(self) -> bool {
        match self {
            LookBack::Last { blocks } => (1..=SLOTS_MAX).contains(&blocks),
            LookBack::Age { seconds } => (1..=SECONDS_MAX).contains(&seconds),
            LookBack::Between { from_seconds, to_seconds } => {
                from_seconds < to_seconds && to_seconds <= SECONDS_MAX
            }
        }
    }

    /// The slots that a block at this place pays, of slots in the order of the chain. `since` is the height from which slots
    /// count at all.
    #[must_use]
    pub fn of(self, slots: &[Slot], place: Place, since: u32) -> &[Slot] {
        slots.get(self.range(slots, place, since)).unwrap_or(&[])
    }

    /// As [`LookBack::of`], as positions. They never go back while a chain grows.
    #[must_use]
    pub fn range(self, slots: &[Slot], place: Place, since: u32) -> Range<usize> {
        let older_than = |seconds: u32| {
            slots.partition_point(|s| s.place.time < place.time.saturating_sub(seconds))
        };
        let (first, end) = match self {
            LookBack::Last { blocks } => (slots.len().saturating_sub(blocks as usize), slots.len()),
            LookBack::Age { seconds } => (older_than(seconds), slots.len()),
            LookBack::Between { from_seconds, to_seconds } => {
                let limit = place.time.saturating_sub(from_seconds);
                (older_than(to_seconds), slots.partition_point(|s| s.place.time <= limit))
            }
        };
        let first = first
            .max(slots.partition_point(|slot| slot.place.height < since))
            .max(end.saturating_sub(SLOTS_MAX as usize));
        first..end.max(first)
    }

    /// How many slots a full window has, where that is a number.
    #[must_use]
    pub fn full(self) -> Option<u32> {
        match self {
            LookBack::Last { blocks } => Some(blocks),
            LookBack::Age { .. } | LookBack::Between { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Vec<Slot> {
        let slot = |n: u32| Slot {
            place: Place { height: n * 2, time: n * 600 },
            payee: n,
            sats: 1,
            work: 1,
        };
        (1..=10).map(slot).collect()
    }

    fn payees(slots: &[Slot]) -> Vec<u32> {
        slots.iter().map(|slot| slot.payee).collect()
    }

    #[test]
    fn each_window_reaches_as_far_as_it_says() {
        let (slots, now) = (slots(), Place { height: 21, time: 6600 });
        let of = |look: LookBack| payees(look.of(&slots, now, 0));
        assert_eq!(of(LookBack::Last { blocks: 3 }), [8, 9, 10]);
        assert_eq!(of(LookBack::Last { blocks: 100 }).len(), 10);
        assert_eq!(of(LookBack::Age { seconds: 1200 }), [9, 10]);
        assert_eq!(of(LookBack::Between { from_seconds: 1200, to_seconds: 2400 }), [7, 8, 9]);
        assert_eq!(of(LookBack::Between { from_seconds: 9000, to_seconds: 9001 }), [0_u32; 0]);
    }

    #[test]
    fn what_is_older_than_the_beginning_never_counts() {
        let (slots, now) = (slots(), Place { height: 21, time: 6600 });
        assert_eq!(payees(LookBack::Last { blocks: 8 }.of(&slots, now, 17)), [9, 10]);
        assert!(LookBack::Last { blocks: 8 }.of(&slots, now, 22).is_empty());
    }
}

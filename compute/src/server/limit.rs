//! How often somebody may ask.
//!
//! Each has a time at which their next request is on schedule; who runs ahead of it by more than the burst waits (GCRA). Invariant:
//! a refusal costs a look into a map, and says when to come again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Who is told apart; beyond it, newcomers are not limited, rather than locked out.
const KNOWN_MAX: usize = 100_000;
/// Requests that may come at once, in parts of a minute's.
const BURST: u64 = 4;
const MINUTE_MS: u64 = 60_000;

/// A limit of requests a minute.
pub(super) struct Limit<K> {
    /// Milliseconds between requests on schedule; 0: no limit.
    interval_ms: u64,
    /// How far ahead of the schedule is still taken.
    ahead_ms: u64,
    next: Mutex<HashMap<K, u64>>,
}

impl<K: Hash + Eq> Limit<K> {
    /// So many a minute, a quarter of them at once; 0 for any number.
    pub fn per_minute(count: u32) -> Self {
        let interval_ms = MINUTE_MS.checked_div(count.into()).map_or(0, |each| each.max(1));
        let at_once = (u64::from(count) / BURST).max(1);
        Limit { interval_ms, ahead_ms: interval_ms * at_once, next: Mutex::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// In how many seconds to come again.
    pub fn take(&self, who: K, now_ms: u64) -> Result<(), u64> {
        if self.interval_ms == 0 {
            return Ok(());
        }
        let mut known = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX && !known.contains_key(&who) {
            known.retain(|_, next| *next > now_ms);
            if known.len() >= KNOWN_MAX {
                return Ok(());
            }
        }
        let next = known.entry(who).or_insert(now_ms);
        let due = (*next).max(now_ms) + self.interval_ms;
        match (due - now_ms).checked_sub(self.ahead_ms + 1) {
            None => {
                *next = due;
                Ok(())
            }
            Some(early_ms) => Err(early_ms / 1000 + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_then_one_an_interval_and_others_are_not_held_up() {
        let limit = Limit::per_minute(60);
        let taken = (0..100).take_while(|_| limit.take("ann", 5_000).is_ok()).count();
        assert_eq!(taken, 15);
        assert_eq!(limit.take("ann", 5_000), Err(1));
        assert_eq!(limit.take("bob", 5_000), Ok(()));
        assert_eq!(limit.take("ann", 6_000), Ok(()));
        assert_eq!(limit.take("ann", 6_000), Err(1));
    }

    #[test]
    fn without_a_limit_nothing_is_remembered() {
        let limit = Limit::per_minute(0);
        assert!((0..1000).all(|_| limit.take(1, 0).is_ok()));
        assert!(limit.next.lock().unwrap().is_empty());
    }

    #[test]
    fn a_slow_limit_says_how_long() {
        let limit = Limit::per_minute(1);
        assert_eq!((limit.take(1, 0), limit.take(1, 0)), (Ok(()), Err(60)));
    }
}

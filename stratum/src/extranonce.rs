//! Extranonce prefixes: each connection's own part of the search space.
//!
//! Invariant: a prefix is given to one connection at a time, and to another only when every job that it could have been
//! used with is forgotten. What a connection leaves behind can be taken up again by who knows its token.

use crate::difficulty::Vardiff;
use crate::epochs::Epochs;
use crate::verify::Seen;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a prefix rests after its connection has gone: longer than any job lives.
const REST_MS: u64 = 20 * 60 * 1000;
/// Connections whose state is kept for resuming.
const PARKED_MAX: usize = 20_000;

/// What a connection needs to go on where it stopped.
#[derive(Debug)]
pub struct Parked {
    /// Its prefix.
    pub extranonce1: [u8; 4],
    /// What it was sent at which difficulty.
    pub epochs: Epochs,
    /// What it was credited for.
    pub seen: Seen,
    /// Its difficulty.
    pub vardiff: Vardiff,
}

/// Gives prefixes out and takes them back.
#[derive(Debug, Default)]
pub struct Extranonces {
    state: Mutex<State>,
    random: RandomState,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    in_use: HashSet<u32>,
    resting: VecDeque<(u64, u32, u64)>,
    parked: HashMap<u64, Parked>,
}

impl Extranonces {
    /// A prefix nobody has, and the token to resume it with.
    pub fn take(&self, now_ms: u64) -> ([u8; 4], u64) {
        let mut state = self.lock();
        state.wake_rested(now_ms);
        loop {
            state.next = state.next.wrapping_add(1);
            let candidate = state.next;
            if state.in_use.insert(candidate) {
                let token = self.random.hash_one((candidate, now_ms, state.resting.len()));
                return (candidate.to_be_bytes(), token);
            }
        }
    }

    /// Takes up what a connection left behind, if its token is known and nobody did before.
    pub fn resume(&self, token: u64, now_ms: u64) -> Option<Parked> {
        let mut state = self.lock();
        state.wake_rested(now_ms);
        let parked = state.parked.remove(&token)?;
        let prefix = u32::from_be_bytes(parked.extranonce1);
        state.resting.retain(|(_, resting, _)| *resting != prefix);
        Some(parked)
    }

    /// A connection has gone.
    pub fn park(&self, token: u64, parked: Parked, now_ms: u64) {
        let mut state = self.lock();
        let prefix = u32::from_be_bytes(parked.extranonce1);
        state.resting.push_back((now_ms + REST_MS, prefix, token));
        if state.parked.len() < PARKED_MAX {
            state.parked.insert(token, parked);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way; a poisoned lock only means that another thread is going down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_rested(&mut self, now_ms: u64) {
        while let Some((until, prefix, token)) = self.resting.front().copied() {
            if until > now_ms {
                break;
            }
            self.resting.pop_front();
            self.in_use.remove(&prefix);
            self.parked.remove(&token);
        }
    }
}

/// A token as it stands in the subscribe reply.
#[must_use]
pub fn token_to_text(token: u64) -> String {
    format!("{token:016x}")
}

/// The reverse; anything else is no token.
#[must_use]
pub fn token_from_text(text: &str) -> Option<u64> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difficulty::Policy;
    use pow::Difficulty;

    fn parked(extranonce1: [u8; 4]) -> Parked {
        let d = Difficulty::nearest(1.0);
        let policy = Policy { start: d, min: d, max: d, interval_s: 6.0 };
        Parked {
            extranonce1,
            epochs: Epochs::default(),
            seen: Seen::default(),
            vardiff: Vardiff::new(&policy, 0),
        }
    }

    #[test]
    fn a_prefix_is_not_reused_while_its_jobs_live() {
        let extranonces = Extranonces::default();
        extranonces.lock().next = u32::MAX - 2;
        let (first, token) = extranonces.take(0);
        extranonces.park(token, parked(first), 1000);
        extranonces.lock().next = u32::MAX - 2;
        let (second, _) = extranonces.take(1000 + REST_MS - 1);
        assert_ne!(second, first, "resting");
        extranonces.lock().next = u32::MAX - 2;
        let (third, _) = extranonces.take(1000 + REST_MS);
        assert_eq!(third, first, "rested");
        let (fourth, _) = extranonces.take(1000 + REST_MS);
        assert_ne!(fourth, second, "the counter wraps and skips what is in use");
    }

    #[test]
    fn who_knows_the_token_takes_up_the_prefix_once() {
        let extranonces = Extranonces::default();
        let (prefix, token) = extranonces.take(0);
        assert!(extranonces.resume(token, 5).is_none(), "still connected");
        extranonces.park(token, parked(prefix), 10);
        assert!(extranonces.resume(token ^ 1, 20).is_none());
        assert_eq!(extranonces.resume(token, 20).unwrap().extranonce1, prefix);
        assert!(extranonces.resume(token, 30).is_none(), "only once");
        let (other, _) = extranonces.take(20 + 2 * REST_MS);
        assert_ne!(other, prefix, "in use again, not resting");
        assert_eq!(token_from_text(&token_to_text(token)), Some(token));
    }
}

//! Extranonce prefixes: each connection's own part of the search space.
//!
//! Invariant: a prefix is given to one connection at a time, and to another only when every job that it could have been
//! used with is forgotten. What a connection leaves behind can be taken up again by who knows its token; a connection that
//! is still open though its miner has come back ends first.

use crate::difficulty::Vardiff;
use crate::epochs::Epochs;
use crate::verify::Seen;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a prefix rests after its connection has gone: longer than any job lives.
const REST_MS: u64 = 20 * 60 * 1000;
/// Connections whose state is kept for resuming; half of the places are for those that were credited a share.
const PARKED_MAX: usize = 20_000;

/// Prefixes of two bytes are kept behind these, where counting does not come.
const SHORT: u32 = 0xffff_0000;

fn short(prefix: u16) -> u32 {
    SHORT | u32::from(prefix)
}

/// What a subscription is called: its prefix, and a secret to take it up again with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token {
    prefix: u32,
    secret: u64,
}

impl Token {
    /// The prefix as it stands in a coinbase.
    #[must_use]
    pub fn extranonce1(self) -> [u8; 4] {
        self.prefix.to_be_bytes()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{:016x}", self.prefix, self.secret)
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (prefix, secret) = text.split_at_checked(8).filter(|_| text.len() == 24).ok_or(())?;
        let prefix = u32::from_str_radix(prefix, 16).map_err(drop)?;
        Ok(Token { prefix, secret: u64::from_str_radix(secret, 16).map_err(drop)? })
    }
}

/// What a connection needs to go on where it stopped.
#[derive(Debug)]
pub struct Parked {
    /// What it was sent at which difficulty.
    pub epochs: Epochs,
    /// What it was credited for.
    pub seen: Seen,
    /// Its difficulty.
    pub vardiff: Vardiff,
}

/// What became of a wish to go on where an earlier connection stopped.
#[derive(Debug)]
pub enum Resumed {
    /// Here it is, with the token it is known by from now on.
    Parked(Token, Box<Parked>),
    /// The earlier connection is still open; it ends within a few seconds, and then it can be taken up.
    StillOpen,
    /// Nothing is known of it.
    Unknown,
}

/// Gives prefixes out and takes them back.
#[derive(Debug, Default)]
pub struct Extranonces {
    state: Mutex<State>,
    /// Is any open connection to make way? Looked at without the lock.
    any_superseded: AtomicBool,
    random: RandomState,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    seats: HashMap<u32, Seat>,
    resting: VecDeque<(u64, u32)>,
    /// Seats of prefixes of two bytes.
    short: usize,
    parked: HashMap<u32, Parked>,
    /// Open connections whose miners have come back.
    superseded: HashSet<u32>,
}

/// A prefix in use.
#[derive(Debug)]
struct Seat {
    secret: u64,
    /// While its connection has gone.
    rests_until: Option<u64>,
    /// Where its connection left what it knew, when that is another seat.
    leads_to: Option<Token>,
}

impl Extranonces {
    /// A prefix nobody has.
    pub fn take(&self, now_ms: u64) -> Token {
        let mut state = self.lock();
        state.wake_rested(now_ms);
        loop {
            state.next = state.next.wrapping_add(1);
            let prefix = state.next;
            if prefix >= SHORT {
                continue;
            }
            if let Entry::Vacant(seat) = state.seats.entry(prefix) {
                let secret = self.random.hash_one((prefix, now_ms));
                seat.insert(Seat { secret, rests_until: None, leads_to: None });
                return Token { prefix, secret };
            }
        }
    }

    /// A prefix of two bytes that nobody has, and nobody can guess before; `None` when all are taken. The last two bytes of its
    /// extranonce1 are it.
    pub fn take_short(&self, now_ms: u64) -> Option<Token> {
        let mut state = self.lock();
        state.wake_rested(now_ms);
        if state.short > usize::from(u16::MAX) {
            return None;
        }
        state.next = state.next.wrapping_add(1);
        let [first, second, ..] = self.random.hash_one((state.next, now_ms)).to_le_bytes();
        let from = u16::from_be_bytes([first, second]);
        let free = (0..=u16::MAX)
            .map(|step| short(from.wrapping_add(step)))
            .find(|prefix| !state.seats.contains_key(prefix))?;
        let secret = self.random.hash_one((free, now_ms));
        state.seats.insert(free, Seat { secret, rests_until: None, leads_to: None });
        state.short += 1;
        Some(Token { prefix: free, secret })
    }

    /// Is this a prefix of two bytes that a connection has, or had while its jobs may live?
    pub fn is_short(&self, prefix: [u8; 2]) -> bool {
        self.lock().seats.contains_key(&short(u16::from_be_bytes(prefix)))
    }

    /// Takes up what a connection left behind, if its token is known and nobody did before.
    pub fn resume(&self, token: Token, now_ms: u64) -> Resumed {
        let mut state = self.lock();
        state.wake_rested(now_ms);
        let Some(asked) = state.seat(token) else { return Resumed::Unknown };
        let token = asked.leads_to.unwrap_or(token);
        let Some(seat) = state.seat(token) else { return Resumed::Unknown };
        if seat.rests_until.is_none() {
            state.superseded.insert(token.prefix);
            self.any_superseded.store(true, Ordering::Relaxed);
            return Resumed::StillOpen;
        }
        let Some(parked) = state.parked.remove(&token.prefix) else { return Resumed::Unknown };
        if let Some(seat) = state.seats.get_mut(&token.prefix) {
            seat.rests_until = None;
        }
        Resumed::Parked(token, Box::new(parked))
    }

    /// Has the miner of this open connection come back on another one?
    pub fn is_superseded(&self, token: Token) -> bool {
        self.any_superseded.load(Ordering::Relaxed)
            && self.lock().superseded.contains(&token.prefix)
    }

    /// A connection has gone; what it leaves behind is kept for who resumes it, by this token or the other one that it was
    /// known by.
    pub fn park(&self, token: Token, other: Option<Token>, parked: Parked, now_ms: u64) {
        let mut state = self.lock();
        if let Some(other) = other {
            self.leave(&mut state, other, now_ms);
            if let Some(seat) = state.seats.get_mut(&other.prefix) {
                seat.leads_to = Some(token);
            }
        }
        self.leave(&mut state, token, now_ms);
        let places = if parked.seen.is_empty() { PARKED_MAX / 2 } else { PARKED_MAX };
        if state.parked.len() < places {
            state.parked.insert(token.prefix, parked);
        }
    }

    /// From now on the prefix rests.
    fn leave(&self, state: &mut State, token: Token, now_ms: u64) {
        state.superseded.remove(&token.prefix);
        self.any_superseded.store(!state.superseded.is_empty(), Ordering::Relaxed);
        let until = now_ms + REST_MS;
        if let Some(seat) = state.seats.get_mut(&token.prefix) {
            seat.rests_until = Some(until);
        }
        state.resting.push_back((until, token.prefix));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way; a poisoned lock only means that another thread is going down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The seat of a token, if its secret is right.
    fn seat(&self, token: Token) -> Option<&Seat> {
        self.seats.get(&token.prefix).filter(|seat| seat.secret == token.secret)
    }

    fn wake_rested(&mut self, now_ms: u64) {
        while let Some((until, prefix)) = self.resting.front().copied() {
            if until > now_ms {
                break;
            }
            self.resting.pop_front();
            // Somebody may have resumed it meanwhile, and left again later.
            if self.seats.get(&prefix).is_some_and(|seat| seat.rests_until == Some(until)) {
                self.seats.remove(&prefix);
                self.short -= usize::from(prefix >= SHORT);
                self.parked.remove(&prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difficulty::Policy;
    use pow::Difficulty;

    fn parked() -> Parked {
        let d = Difficulty::nearest(1.0);
        let policy = Policy { start: d, min: d, max: d, interval_s: 6.0 };
        let vardiff = Vardiff::new(&policy, 0);
        Parked { epochs: Epochs::default(), seen: Seen::default(), vardiff }
    }

    fn is_parked(resumed: &Resumed) -> bool {
        matches!(resumed, Resumed::Parked(..))
    }

    #[test]
    fn a_prefix_is_not_reused_while_its_jobs_live() {
        let extranonces = Extranonces::default();
        extranonces.lock().next = u32::MAX - 2;
        let first = extranonces.take(0);
        extranonces.park(first, None, parked(), 1000);
        extranonces.lock().next = u32::MAX - 2;
        let second = extranonces.take(1000 + REST_MS - 1);
        assert_ne!(second.prefix, first.prefix, "resting");
        extranonces.lock().next = u32::MAX - 2;
        let third = extranonces.take(1000 + REST_MS);
        assert_eq!(third.prefix, first.prefix, "rested");
        assert!(!is_parked(&extranonces.resume(first, 1000 + REST_MS)), "an old token");
        let fourth = extranonces.take(1000 + REST_MS);
        assert_ne!(fourth.prefix, second.prefix, "the counter wraps and skips what is in use");
    }

    #[test]
    fn a_resumed_prefix_rests_anew_when_its_connection_ends_again() {
        let extranonces = Extranonces::default();
        let token = extranonces.take(0);
        extranonces.park(token, None, parked(), 0);
        assert!(is_parked(&extranonces.resume(token, REST_MS - 1)));
        extranonces.park(token, None, parked(), REST_MS - 1);
        extranonces.lock().next = token.prefix - 1;
        assert_ne!(extranonces.take(REST_MS + 1).prefix, token.prefix, "the second rest counts");
        assert!(is_parked(&extranonces.resume(token, REST_MS + 1)));
    }

    #[test]
    fn who_knows_the_token_takes_up_the_prefix_once() {
        let extranonces = Extranonces::default();
        let token = extranonces.take(0);
        let wrong = Token { secret: token.secret ^ 1, ..token };
        assert!(matches!(extranonces.resume(wrong, 5), Resumed::Unknown));
        assert!(!extranonces.is_superseded(token));
        assert!(matches!(extranonces.resume(token, 5), Resumed::StillOpen));
        assert!(extranonces.is_superseded(token), "it makes way");
        extranonces.park(token, None, parked(), 10);
        assert!(!extranonces.is_superseded(token));
        assert!(matches!(extranonces.resume(wrong, 20), Resumed::Unknown));
        assert!(is_parked(&extranonces.resume(token, 20)));
        assert!(!is_parked(&extranonces.resume(token, 30)), "only once");
        let other = extranonces.take(20 + 2 * REST_MS);
        assert_ne!(other.prefix, token.prefix, "in use again, not resting");
        assert_eq!(token.to_string().parse(), Ok(token));
        assert!("deadbeef".parse::<Token>().is_err());
    }

    #[test]
    fn a_connection_known_by_two_tokens_is_taken_up_by_either() {
        let extranonces = Extranonces::default();
        for asks_for_the_other in [false, true] {
            let (token, other) = (extranonces.take(0), extranonces.take(0));
            extranonces.park(token, Some(other), parked(), 0);
            let wrong = Token { secret: other.secret ^ 1, ..other };
            assert!(matches!(extranonces.resume(wrong, 1), Resumed::Unknown));
            let asked = if asks_for_the_other { other } else { token };
            let resumed = extranonces.resume(asked, 1);
            assert!(matches!(resumed, Resumed::Parked(known, _) if known == token));
            assert!(matches!(extranonces.resume(other, 2), Resumed::StillOpen));
            assert!(extranonces.is_superseded(token));
        }
    }

    #[test]
    fn connections_that_were_credited_nothing_leave_room_for_those_that_were() {
        let extranonces = Extranonces::default();
        for _ in 0..=PARKED_MAX {
            extranonces.park(extranonces.take(0), None, parked(), 0);
        }
        assert_eq!(extranonces.lock().parked.len(), PARKED_MAX / 2);
    }

    #[test]
    fn a_short_prefix_is_one_connections_until_its_jobs_are_forgotten() {
        let extranonces = Extranonces::default();
        let token = extranonces.take_short(0).unwrap();
        let [_, _, own @ ..] = token.extranonce1();
        assert!(extranonces.is_short(own));
        let others: Vec<_> = std::iter::from_fn(|| extranonces.take_short(0)).collect();
        assert_eq!(others.len(), usize::from(u16::MAX), "every one once");
        assert!(others.iter().all(|other| other.prefix != token.prefix));
        extranonces.park(token, None, parked(), 0);
        assert!(extranonces.is_short(own) && extranonces.take_short(REST_MS - 1).is_none());
        assert_eq!(extranonces.take_short(REST_MS).unwrap().prefix, token.prefix);
        assert!(extranonces.take(REST_MS).prefix < SHORT);
    }
}

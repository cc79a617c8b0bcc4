//! Whose turn it is to be evaluated: some at once, the others by priority.
//!
//! Invariant: a neuron has one turn or one place in the queue; a turn that ends, or that nobody took, goes to the first who waits;
//! who waits is bounded, and the last of them gives way to who comes before.

use crate::key::PublicKey;
use crate::reputation::Reputation;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Who may wait.
const WAITING_MAX: usize = 256;

/// Why nobody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Busy {
    /// One at a time.
    #[error("busy: your work before this one is still being evaluated: send one at a time")]
    Own,
    /// Others were first.
    #[error("busy: others who earned more go first: try again in a minute")]
    Others,
}

/// A place in the queue: more reputation first, then who came first.
type Place = (Reverse<Reputation>, u64);

#[derive(Debug)]
struct State {
    free: usize,
    came: u64,
    present: HashSet<PublicKey>,
    waiting: BTreeMap<Place, (PublicKey, oneshot::Sender<Turn>)>,
}

/// The turns of a door.
#[derive(Debug)]
pub(super) struct Turns(Mutex<State>);

/// A turn; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    key: PublicKey,
    turns: Option<Arc<Turns>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.end(&self.key);
        }
    }
}

impl Turns {
    /// So many at once.
    pub fn of(count: usize) -> Arc<Self> {
        let (present, waiting) = (HashSet::new(), BTreeMap::new());
        Arc::new(Turns(Mutex::new(State { free: count, came: 0, present, waiting })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn, if one is free.
    ///
    /// # Errors
    /// [`Busy::Own`].
    pub fn at_once(self: &Arc<Self>, key: PublicKey) -> Result<Option<Turn>, Busy> {
        let mut state = self.lock();
        state.forget_gone();
        if state.present.contains(&key) {
            return Err(Busy::Own);
        }
        if state.free == 0 {
            return Ok(None);
        }
        state.free -= 1;
        state.present.insert(key);
        Ok(Some(Turn { key, turns: Some(self.clone()) }))
    }

    /// A place in the queue; the turn comes by it. Whoever no longer waits for it loses their place when it comes.
    ///
    /// # Errors
    /// See [`Busy`].
    pub fn wait(
        self: &Arc<Self>,
        key: PublicKey,
        earned: Reputation,
    ) -> Result<oneshot::Receiver<Turn>, Busy> {
        let (give, turn) = oneshot::channel();
        let mut state = self.lock();
        state.forget_gone();
        if !state.present.insert(key) {
            return Err(Busy::Own);
        }
        if state.free > 0 {
            state.free -= 1;
            drop(state);
            // Nobody else holds the other end: it is taken, or ends at once.
            drop(give.send(Turn { key, turns: Some(self.clone()) }));
            return Ok(turn);
        }
        state.came += 1;
        let place = (Reverse(earned), state.came);
        state.waiting.insert(place, (key, give));
        if state.waiting.len() > WAITING_MAX
            && let Some((last, (turned_away, _))) = state.waiting.pop_last()
        {
            state.present.remove(&turned_away);
            if last == place {
                return Err(Busy::Others);
            }
        }
        Ok(turn)
    }

    fn end(self: &Arc<Self>, key: &PublicKey) {
        let mut state = self.lock();
        state.present.remove(key);
        while let Some((_, (next, give))) = state.waiting.pop_first() {
            let turn = Turn { key: next, turns: Some(self.clone()) };
            match give.send(turn) {
                Ok(()) => return,
                Err(mut unwanted) => {
                    // It did not wait so long: the turn is the next one's.
                    unwanted.turns = None;
                    state.present.remove(&next);
                }
            }
        }
        state.free += 1;
    }
}

impl State {
    /// Takes out who does not wait any more.
    fn forget_gone(&mut self) {
        let State { waiting, present, .. } = self;
        waiting.retain(|_, (key, give)| {
            let waits = !give.is_closed();
            if !waits {
                present.remove(key);
            }
            waits
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(who: u16) -> PublicKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&who.to_be_bytes());
        PublicKey::from_bytes(bytes)
    }

    fn has_it(turn: &mut oneshot::Receiver<Turn>) -> Option<Turn> {
        turn.try_recv().ok()
    }

    #[test]
    fn who_earned_more_goes_first_and_of_equals_who_came_first() {
        let turns = Turns::of(1);
        let at_work = turns.at_once(key(1)).unwrap().unwrap();
        assert!(turns.at_once(key(2)).unwrap().is_none());
        let waits = |who, earned| turns.wait(key(who), Reputation(earned)).unwrap();
        let (mut poor, mut rich, mut late) = (waits(2, 1), waits(3, 9), waits(4, 9));
        assert!(has_it(&mut rich).is_none());
        drop(at_work);
        assert!(has_it(&mut late).is_none() && has_it(&mut poor).is_none());
        drop(has_it(&mut rich).unwrap());
        drop(has_it(&mut late).unwrap());
        drop(has_it(&mut poor).unwrap());
        assert!(turns.at_once(key(5)).unwrap().is_some(), "it is free again");
    }

    #[test]
    fn a_neuron_has_one_turn_or_one_place() {
        let turns = Turns::of(1);
        let at_work = turns.at_once(key(1)).unwrap().unwrap();
        assert_eq!(turns.at_once(key(1)).unwrap_err(), Busy::Own);
        assert_eq!(turns.wait(key(1), Reputation(9)).unwrap_err(), Busy::Own);
        let waiting = turns.wait(key(2), Reputation(0)).unwrap();
        assert_eq!(turns.wait(key(2), Reputation(0)).unwrap_err(), Busy::Own);
        drop(waiting);
        drop(at_work);
        assert!(turns.at_once(key(2)).unwrap().is_some(), "who left may come again");
    }

    #[test]
    fn a_turn_that_nobody_takes_is_the_next_ones() {
        let turns = Turns::of(1);
        let at_work = turns.at_once(key(1)).unwrap().unwrap();
        let gone = turns.wait(key(2), Reputation(9)).unwrap();
        let mut waits = turns.wait(key(3), Reputation(1)).unwrap();
        drop(gone);
        drop(at_work);
        assert!(has_it(&mut waits).is_some());
    }

    #[test]
    fn a_full_queue_turns_away_who_earned_least() {
        let turns = Turns::of(1);
        let _at_work = turns.at_once(key(0)).unwrap().unwrap();
        let full = u16::try_from(WAITING_MAX).unwrap();
        let mut queue: Vec<_> =
            (1..=full).map(|who| turns.wait(key(who), Reputation(5)).unwrap()).collect();
        assert_eq!(turns.wait(key(999), Reputation(4)).unwrap_err(), Busy::Others);
        let _rich = turns.wait(key(998), Reputation(6)).unwrap();
        let last = queue.last_mut().unwrap();
        assert!(matches!(last.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(turns.wait(key(full), Reputation(7)).is_ok(), "who was turned away may come again");
    }
}

//! Who is next: a lane for each host, served in turn; those whose hashes were worth nothing wait until nobody else does.
//!
//! Invariant: what waits is bounded in all and for each host; a host that floods delays only itself.

use super::Busy;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// Hosts remembered that have nothing waiting.
const HOSTS_MAX: usize = 10_000;
/// Credit of a host whose hashes have been good: bad ones cost a unit, good ones earn one.
const CREDIT_MAX: i32 = 32;
/// What a stranger begins with: one mistake is forgiven.
const CREDIT_FIRST: i32 = 1;
/// As low as it gets.
const CREDIT_MIN: i32 = -32;

struct Lane<T> {
    waiting: VecDeque<T>,
    credit: i32,
    /// Being computed.
    busy: usize,
}

impl<T> Lane<T> {
    const fn is_trusted(&self) -> bool {
        self.credit > 0
    }
}

/// All lanes.
pub(super) struct Lanes<T> {
    lanes: HashMap<IpAddr, Lane<T>>,
    /// Hosts with something waiting, the next first: those with credit, and the others.
    trusted: VecDeque<IpAddr>,
    others: VecDeque<IpAddr>,
    count: usize,
    most: usize,
    most_of_host: usize,
}

impl<T> Lanes<T> {
    pub fn new(most: usize, most_of_host: usize) -> Self {
        Lanes {
            lanes: HashMap::new(),
            trusted: VecDeque::new(),
            others: VecDeque::new(),
            count: 0,
            most: most.max(1),
            most_of_host: most_of_host.max(1),
        }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Being computed.
    pub fn busy(&self) -> usize {
        self.lanes.values().map(|lane| lane.busy).sum()
    }

    /// One more, if there is room. A stranger has room for one until a hash of theirs was good; and the last half of all room
    /// is for hosts with credit, so that strangers cannot fill it.
    pub fn push(&mut self, host: IpAddr, task: T) -> Result<(), Busy> {
        let lane = self.lanes.get(&host);
        let credit = lane.map_or(CREDIT_FIRST, |lane| lane.credit);
        let proved = credit > CREDIT_FIRST;
        let own = lane.map_or(0, |lane| lane.waiting.len() + lane.busy);
        let allowed = if proved { self.most_of_host } else { 1 };
        if own >= allowed {
            return Err(Busy::Host);
        }
        let room = if proved { self.most } else { self.most.div_ceil(2) };
        if self.count >= room {
            return Err(Busy::Pool);
        }
        if lane.is_none() {
            self.forget_idle();
        }
        let fresh = || Lane { waiting: VecDeque::new(), credit: CREDIT_FIRST, busy: 0 };
        let lane = self.lanes.entry(host).or_insert_with(fresh);
        if lane.waiting.is_empty() {
            let ring = if lane.is_trusted() { &mut self.trusted } else { &mut self.others };
            ring.push_back(host);
        }
        lane.waiting.push_back(task);
        self.count += 1;
        Ok(())
    }

    /// The next, by turns.
    pub fn pop(&mut self) -> Option<(IpAddr, T)> {
        let host = self.trusted.pop_front().or_else(|| self.others.pop_front())?;
        let lane = self.lanes.get_mut(&host)?;
        let task = lane.waiting.pop_front()?;
        lane.busy += 1;
        self.count -= 1;
        if !lane.waiting.is_empty() {
            let ring = if lane.is_trusted() { &mut self.trusted } else { &mut self.others };
            ring.push_back(host);
        }
        Some((host, task))
    }

    /// A hash of this host's was worth computing, or not.
    pub fn judge(&mut self, host: IpAddr, is_worth: bool) {
        let Some(lane) = self.lanes.get_mut(&host) else { return };
        lane.busy = lane.busy.saturating_sub(1);
        let before = lane.is_trusted();
        let step = if is_worth { 1 } else { -1 };
        lane.credit = (lane.credit + step).clamp(CREDIT_MIN, CREDIT_MAX);
        if before == lane.is_trusted() || lane.waiting.is_empty() {
            return;
        }
        let (from, to) = match before {
            true => (&mut self.trusted, &mut self.others),
            false => (&mut self.others, &mut self.trusted),
        };
        from.retain(|other| *other != host);
        to.push_back(host);
    }

    /// Forgets hosts without anything waiting when there are too many; those in bad standing last.
    fn forget_idle(&mut self) {
        if self.lanes.len() < HOSTS_MAX {
            return;
        }
        let is_idle = |lane: &Lane<T>| lane.waiting.is_empty() && lane.busy == 0;
        self.lanes.retain(|_, lane| !is_idle(lane) || lane.credit < 0);
        if self.lanes.len() >= HOSTS_MAX {
            self.lanes.retain(|_, lane| !is_idle(lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// A host that proved itself.
    fn proved(lanes: &mut Lanes<u32>, n: u8) {
        for _ in 0..3 {
            lanes.push(host(n), 0).unwrap();
            let (who, _) = lanes.pop().unwrap();
            lanes.judge(who, true);
        }
    }

    #[test]
    fn hosts_take_turns_however_many_one_has_waiting() {
        let mut lanes = Lanes::new(100, 10);
        for n in [1, 2] {
            proved(&mut lanes, n);
        }
        for task in 0..10 {
            lanes.push(host(1), task).unwrap();
        }
        assert_eq!(lanes.push(host(1), 10), Err(Busy::Host));
        lanes.push(host(2), 77).unwrap();
        let order: Vec<IpAddr> = std::iter::from_fn(|| lanes.pop()).map(|(who, _)| who).collect();
        assert_eq!(order[..3], [host(1), host(2), host(1)]);
        assert_eq!((order.len(), lanes.len()), (11, 0));
    }

    #[test]
    fn a_stranger_has_one_until_a_hash_of_theirs_was_good() {
        let mut lanes = Lanes::new(100, 10);
        lanes.push(host(1), 1).unwrap();
        assert_eq!(lanes.push(host(1), 2), Err(Busy::Host));
        let (who, _) = lanes.pop().unwrap();
        assert_eq!(lanes.push(host(1), 2), Err(Busy::Host), "while it is computed as well");
        lanes.judge(who, true);
        lanes.push(host(1), 2).unwrap();
        lanes.push(host(1), 3).unwrap();
    }

    #[test]
    fn whoever_sends_rubbish_waits_until_nobody_else_does() {
        let mut lanes = Lanes::new(100, 10);
        proved(&mut lanes, 1);
        for _ in 0..40 {
            lanes.push(host(66), 0).unwrap();
            let (who, _) = lanes.pop().unwrap();
            lanes.judge(who, false);
        }
        lanes.push(host(66), 0).unwrap();
        for task in 0..5 {
            lanes.push(host(1), task).unwrap();
        }
        let order: Vec<IpAddr> = std::iter::from_fn(|| lanes.pop()).map(|(who, _)| who).collect();
        assert_eq!(order.last(), Some(&host(66)));
        assert_eq!(order.iter().filter(|who| **who == host(1)).count(), 5);
    }

    #[test]
    fn strangers_cannot_fill_the_room_of_those_who_proved_themselves() {
        let mut lanes = Lanes::new(10, 10);
        proved(&mut lanes, 1);
        let taken = (100..200).filter(|n| lanes.push(host(*n), 0).is_ok()).count();
        assert_eq!(taken, 5);
        for task in 0..5 {
            lanes.push(host(1), task).unwrap();
        }
        assert_eq!(lanes.push(host(1), 5), Err(Busy::Pool));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut lanes = Lanes::new(1_000_000, 10);
        for n in 0..30_000_u32 {
            let [a, b, c, _] = n.to_le_bytes();
            let who = IpAddr::from([10, a, b, c]);
            lanes.push(who, 0).unwrap();
            let (who, _) = lanes.pop().unwrap();
            lanes.judge(who, n % 2 == 0);
        }
        assert!(lanes.lanes.len() <= HOSTS_MAX);
    }
}

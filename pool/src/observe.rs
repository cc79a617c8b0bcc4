//! What people look at: who is here, what was accepted and what was refused, machine by machine.
//!
//! Invariant: noise. Counts are lost when the process ends, a full room counts nobody new, and no money follows from any
//! of it; so nothing here is on the way of a share, and nobody waits for it.

use accounting::{AccountId, Identity, PoolId, UnixMs, WorkerId};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Machines that are told apart; further ones are counted by nobody.
pub const METERS_MAX: usize = 200_000;
/// Most characters of a machine's own description.
pub const AGENT_MAX: usize = 64;

/// Which machine: the pool it works in, whose it is, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    /// The pot.
    pub pool: PoolId,
    /// Who mines.
    pub identity: Arc<Identity>,
    /// The machine's name; empty when it has none.
    pub worker: Box<str>,
}

/// What a machine has done since the process started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Its numbers, once a share of it was accepted.
    pub ids: Option<(AccountId, WorkerId)>,
    /// As its owner writes the account.
    pub display: Box<str>,
    /// What it says it is.
    pub agent: Box<str>,
    /// Accepted shares.
    pub shares: u64,
    /// Their work, in expected hashes.
    pub work: u128,
    /// Refused ones, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// Expected hashes of the best accepted share.
    pub best: f64,
    /// When that was.
    pub best_at: UnixMs,
    /// When a share was last accepted.
    pub last_share: UnixMs,
    /// Expected hashes of a share that it was last asked for.
    pub asked: u128,
    /// Open connections.
    pub connections: u32,
    /// When it was first seen.
    pub since: UnixMs,
}

/// One machine's counts.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Counts>);

impl Meter {
    /// Changes the counts. Two connections of one machine share a meter.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts());
    }

    /// A copy of the counts.
    #[must_use]
    pub fn read(&self) -> Counts {
        self.counts().clone()
    }

    /// Looks at the counts without copying them.
    pub fn look<T>(&self, look: impl FnOnce(&Counts) -> T) -> T {
        look(&self.counts())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counters only: a thread that went down half way leaves nothing that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Shares that became durable; the best of them needed so many hashes.
    pub fn accepted(&mut self, shares: u64, work: u128, best: f64, at: UnixMs) {
        self.shares += shares;
        self.asked = work.checked_div(shares.into()).unwrap_or(self.asked);
        self.work = self.work.saturating_add(work);
        self.last_share = at;
        if best > self.best {
            self.best = best;
            self.best_at = at;
        }
    }

    /// A share that was refused.
    pub fn refused(&mut self, reason: &'static str) {
        match self.rejected.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.rejected.push((reason, 1)),
        }
    }
}

/// Upper bounds of a histogram's buckets, in nanoseconds: 1 µs to 10 s.
pub const BOUNDS_NS: [u64; 20] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// How long something took, many times.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Of each bound, and of what took longer than all.
    counts: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// How many were within each bound and beyond the one before; the last is beyond all.
    pub counts: Vec<u64>,
    /// All of them together.
    pub sum_ns: u64,
}

impl Histogram {
    /// So many times it took so long.
    pub fn took(&self, time: Duration, times: u64) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < ns);
        self.counts[bucket].fetch_add(times, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns.saturating_mul(times), Ordering::Relaxed);
    }

    /// As it is now.
    #[must_use]
    pub fn read(&self) -> Times {
        Times {
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

/// Everybody's meters.
#[derive(Debug, Default)]
pub struct Observatory {
    meters: Mutex<HashMap<Machine, Arc<Meter>>>,
}

impl Observatory {
    /// The meter of a machine, made on first sight; `None` when the room is full.
    pub fn meter(&self, machine: Machine, now: UnixMs) -> Option<Arc<Meter>> {
        let mut meters = self.lock();
        let room = meters.len() < METERS_MAX;
        match meters.entry(machine) {
            Entry::Occupied(known) => Some(known.get().clone()),
            Entry::Vacant(place) if room => {
                let meter = Meter::default();
                meter.count(|counts| counts.since = now);
                Some(place.insert(Arc::new(meter)).clone())
            }
            Entry::Vacant(_) => None,
        }
    }

    /// All of them as they are now.
    #[must_use]
    pub fn all(&self) -> Vec<(Machine, Arc<Meter>)> {
        self.lock().iter().map(|(machine, meter)| (machine.clone(), meter.clone())).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Is nobody here?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Forgets machines that have gone and have not had a share accepted since; gives how many stay.
    pub fn forget_idle(&self, since: UnixMs) -> usize {
        let mut meters = self.lock();
        meters.retain(|_, meter| {
            Arc::strong_count(meter) > 1
                || meter.look(|counts| counts.last_share.max(counts.since) >= since)
        });
        meters.len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Machine, Arc<Meter>>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::IdentityKind;

    fn machine(name: &str) -> Machine {
        let identity =
            Identity { kind: IdentityKind::Script, network: "test".into(), bytes: vec![1] };
        Machine { pool: PoolId(1), identity: Arc::new(identity), worker: name.into() }
    }

    #[test]
    fn one_machine_has_one_meter_however_often_it_connects() {
        let all = Observatory::default();
        let first = all.meter(machine("rig"), UnixMs(1)).unwrap();
        first.count(|counts| counts.accepted(2, 20, 7.0, UnixMs(5)));
        let again = all.meter(machine("rig"), UnixMs(9)).unwrap();
        again.count(|counts| {
            counts.accepted(1, 10, 6.0, UnixMs(6));
            counts.refused("stale");
            counts.refused("stale");
        });
        let counts = first.read();
        assert_eq!((counts.shares, counts.work, counts.best), (3, 30, 7.0));
        assert_eq!((counts.best_at, counts.last_share), (UnixMs(5), UnixMs(6)));
        assert_eq!(counts.rejected, [("stale", 2)]);
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn who_has_gone_is_forgotten_and_who_is_here_is_not() {
        let all = Observatory::default();
        let here = all.meter(machine("here"), UnixMs(1)).unwrap();
        drop(all.meter(machine("gone"), UnixMs(1)));
        drop(all.meter(machine("lately"), UnixMs(50)));
        assert_eq!(all.forget_idle(UnixMs(10)), 2);
        assert!(here.read().shares == 0 && all.all().iter().all(|(m, _)| &*m.worker != "gone"));
    }
}

//! How many connections there are, and from whom.
//!
//! Invariant: whoever has one address of an IPv6 /64 has them all: they are one.

use crate::host::host_of;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts open connections.
#[derive(Debug, Default)]
pub struct Seats {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One counted connection; uncounted when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    /// A seat for a connection from this address, if there are fewer than so many in all and of its own.
    #[must_use]
    pub fn take(self: &Arc<Self>, from: IpAddr, all: usize, own: usize) -> Option<Seat> {
        let address = host_of(from);
        let mut counts = self.lock();
        let there = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= all || there >= own {
            return None;
        }
        counts.all += 1;
        *counts.by_address.entry(address).or_default() += 1;
        Some(Seat { seats: self.clone(), address })
    }

    /// Open connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.seats.lock();
        counts.all = counts.all.saturating_sub(1);
        if let Some(own) = counts.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_limited_per_address_and_given_back() {
        let seats = Arc::new(Seats::default());
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let take = |from| seats.take(from, 3, 2);
        let first = take(a).unwrap();
        let _second = take(a).unwrap();
        assert!(take(a).is_none(), "per address");
        let _third = take(b).unwrap();
        assert!(take(b).is_none(), "in all");
        drop(first);
        assert_eq!(seats.count(), 2);
        assert!(take(a).is_some());
    }
}

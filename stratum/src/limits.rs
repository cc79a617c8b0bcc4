//! How many connections, from whom, and how long they may dawdle.
//!
//! Invariant: an address is an IPv4 host or an IPv6 /64 (whoever has one address of it has them all); nobody is banned for
//! what one worker behind a proxy does.

use pool::host::host_of;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a port allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Connections of the whole pool.
    pub connections: usize,
    /// Connections of one address.
    pub per_address: usize,
    /// A connection that is not subscribed and authorised by then is closed.
    pub handshake_ms: u64,
    /// A connection that sent nothing for so long is closed.
    pub silence_ms: u64,
    /// Requests a second of one connection; beyond it (and a burst of twice as many) it is read no faster.
    pub requests_per_s: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 100_000,
            per_address: 10_000,
            handshake_ms: 60_000,
            silence_ms: 25 * 3600 * 1000,
            requests_per_s: 5000.0,
        }
    }
}

/// How many requests a connection may still make: refilled as time passes, so that a flood is read no faster than it is
/// allowed, and nothing of it is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    left: f64,
    at: u64,
}

impl Budget {
    pub(crate) fn new(limits: &Limits, now: u64) -> Self {
        Budget { left: limits.requests_per_s * 2.0, at: now }
    }

    pub(crate) fn spend(&mut self, requests: f64) {
        self.left -= requests;
    }

    /// How long to pause, if too much was spent.
    pub(crate) fn overdrawn(&mut self, now: u64, limits: &Limits) -> Option<Duration> {
        let passed = now.saturating_sub(self.at) as f64 / 1000.0;
        self.at = now;
        self.left = (self.left + passed * limits.requests_per_s).min(limits.requests_per_s * 2.0);
        (self.left < 0.0).then(|| {
            Duration::from_secs_f64((-self.left / limits.requests_per_s).clamp(0.001, 60.0))
        })
    }
}

/// Counts open connections.
#[derive(Debug, Default)]
pub struct Connections {
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
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    /// A seat for a connection from this address, if there is one.
    pub fn seat(self: &Arc<Self>, from: IpAddr, limits: &Limits) -> Option<Seat> {
        let address = host_of(from);
        let mut counts = self.lock();
        let own = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= limits.connections || own >= limits.per_address {
            return None;
        }
        counts.all += 1;
        *counts.by_address.entry(address).or_default() += 1;
        Some(Seat { connections: self.clone(), address })
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
        let mut counts = self.connections.lock();
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
        let connections = Arc::new(Connections::default());
        let limits = Limits { connections: 3, per_address: 2, ..Limits::default() };
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = connections.seat(a, &limits).unwrap();
        let _second = connections.seat(a, &limits).unwrap();
        assert!(connections.seat(a, &limits).is_none(), "per address");
        let _third = connections.seat(b, &limits).unwrap();
        assert!(connections.seat(b, &limits).is_none(), "in all");
        drop(first);
        assert_eq!(connections.count(), 2);
        assert!(connections.seat(a, &limits).is_some());
    }
}

//! How many connections, and how long they may dawdle.
//!
//! Invariant: nobody is banned for what one worker behind a proxy does.

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

//! A clock that is moved by hand.

use accounting::UnixMs;
use pool::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The time, as far as it was moved.
#[derive(Debug, Clone)]
pub struct MovedClock(Arc<AtomicU64>);

impl MovedClock {
    /// Begins here.
    pub fn at(now: UnixMs) -> Self {
        MovedClock(Arc::new(AtomicU64::new(now.0)))
    }

    /// It is so late, unless it is later.
    pub fn move_on_to(&self, now: UnixMs) {
        self.0.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Time goes by.
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::Relaxed))
    }
}

//! Hashing no faster than told. Time is a parameter.
//!
//! Invariant: over any stretch of time no more hashes are let through than the rate allows, plus a tenth of a second's.

use std::time::Duration;

/// Lets so many hashes through a second.
#[derive(Debug, Clone)]
pub struct Throttle {
    per_s: f64,
    /// Hashes that may be done now.
    allowed: f64,
    at: Duration,
}

impl Throttle {
    /// A throttle that starts at a time.
    #[must_use]
    pub fn new(per_s: f64, now: Duration) -> Self {
        Throttle { per_s: per_s.max(1e-3), allowed: 0.0, at: now }
    }

    /// How many hashes to do in one go: about a twentieth of a second's work, at least one.
    #[must_use]
    pub fn portion(&self) -> u32 {
        (self.per_s / 20.0).clamp(1.0, 65_536.0) as u32
    }

    /// Takes a portion if it is allowed now; otherwise says how long to wait before asking again.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, portion: u32, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        let most = (self.per_s / 10.0).max(f64::from(portion));
        self.allowed = (self.allowed + passed * self.per_s).min(most);
        let missing = f64::from(portion) - self.allowed;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64((missing / self.per_s).clamp(1e-4, 3600.0)));
        }
        self.allowed -= f64::from(portion);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_from_a_hash_a_second_to_millions() {
        for per_s in [1.0, 7.0, 1_000.0, 33_333.0, 5_000_000.0] {
            let mut throttle = Throttle::new(per_s, Duration::ZERO);
            let portion = throttle.portion();
            let (mut now, mut done) = (Duration::ZERO, 0u64);
            let end = Duration::from_secs(100);
            while now < end {
                match throttle.take(portion, now) {
                    // Hashing itself takes time as well.
                    Ok(()) => {
                        done += u64::from(portion);
                        now += Duration::from_micros(50);
                    }
                    // A sleep is late by a little.
                    Err(wait) => now += wait + Duration::from_micros(200),
                }
            }
            let rate = done as f64 / end.as_secs_f64();
            assert!((0.9..1.02).contains(&(rate / per_s)), "{per_s}: {rate}");
        }
    }

    #[test]
    fn time_asleep_is_not_made_up_for() {
        let mut throttle = Throttle::new(1000.0, Duration::ZERO);
        let (mut done, now) = (0, Duration::from_secs(3600));
        while throttle.take(50, now).is_ok() {
            done += 50;
        }
        assert_eq!(done, 100);
    }
}

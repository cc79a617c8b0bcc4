//! Rates over several lengths of time at once, as miners know them: one minute to seven days.
//!
//! Each is an average whose weight falls off exponentially with age, corrected for a short history: after one minute, the
//! average over a day is that of the minute, and not a fraction of it.

use serde::{Deserialize, Serialize};

/// The lengths, in seconds: 1 m, 5 m, 15 m, 1 h, 6 h, 1 d, 7 d.
pub const SPANS_S: [f64; 7] = [60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0, 604_800.0];
/// Their names.
pub const SPAN_NAMES: [&str; 7] = ["1m", "5m", "15m", "1hr", "6hr", "1d", "7d"];

/// Averages over the seven spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    averages: [f64; 7],
    age_s: f64,
}

impl Rates {
    /// So much came within so many seconds.
    pub fn add(&mut self, amount: f64, seconds: f64) {
        if seconds <= 0.0 {
            return;
        }
        self.age_s += seconds;
        for (average, span) in self.averages.iter_mut().zip(SPANS_S) {
            let kept = (-seconds / span).exp();
            *average = average.mul_add(kept, amount / seconds * (1.0 - kept));
        }
    }

    /// Takes another's in, as if both had been counted here.
    pub fn join(&mut self, other: &Rates) {
        for (span, average) in self.averages.iter_mut().enumerate() {
            *average += other.averages.get(span).copied().unwrap_or_default();
        }
        self.age_s = self.age_s.max(other.age_s);
    }

    /// Per second, over one of the spans.
    #[must_use]
    pub fn over(&self, span: usize) -> f64 {
        let (Some(average), Some(length)) = (self.averages.get(span), SPANS_S.get(span)) else {
            return 0.0;
        };
        let seen = 1.0 - (-self.age_s / length).exp();
        if seen > 0.0 { average / seen } else { 0.0 }
    }

    /// Over ten to fifteen minutes: what is shown when one number must do.
    #[must_use]
    pub fn shown(&self) -> f64 {
        self.over(2)
    }

    /// All seven.
    #[must_use]
    pub fn all(&self) -> [f64; 7] {
        std::array::from_fn(|span| self.over(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_seen_in_every_span_from_the_first_minute_on() {
        let mut rates = Rates::default();
        assert_eq!(rates.all(), [0.0; 7]);
        for _ in 0..24 {
            rates.add(500.0, 5.0);
        }
        for rate in rates.all() {
            assert!((rate - 100.0).abs() < 1e-6, "{rate}");
        }
    }

    #[test]
    fn who_stops_is_gone_from_the_short_spans_first() {
        let mut rates = Rates::default();
        rates.add(3600.0 * 100.0, 3600.0);
        rates.add(0.0, 600.0);
        let [minute, .., day, _] = rates.all();
        assert!(minute < 0.01 && day > 80.0, "{minute} {day}");
    }
}

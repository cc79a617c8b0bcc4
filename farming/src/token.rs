//! Authentication tokens: the time, in steps of some minutes, that a request is signed for.
//!
//! Invariant: a request counts in its own step and the two beside it. (The reference allows as many *steps* to either side as
//! a step has minutes: 25 minutes instead of 5.)

use accounting::UnixMs;

/// Steps that the two clocks may differ by.
const STEPS: u64 = 1;
const MINUTE_MS: u64 = 60_000;

/// Minutes a step takes; farmers read it from the pool's information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTimeout(u8);

impl TokenTimeout {
    /// So many minutes; none for 0.
    #[must_use]
    pub const fn minutes(minutes: u8) -> Option<Self> {
        if minutes == 0 { None } else { Some(TokenTimeout(minutes)) }
    }

    /// As farmers are told.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The token of this moment.
    #[must_use]
    pub fn token_at(self, now: UnixMs) -> u64 {
        now.0 / MINUTE_MS / u64::from(self.0)
    }

    /// Was this token made just now?
    #[must_use]
    pub fn admits(self, token: u64, now: UnixMs) -> bool {
        token.abs_diff(self.token_at(now)) <= STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::vectors;

    #[test]
    fn tokens_are_those_that_the_client_makes() {
        for case in vectors()["authentication_token"]["cases"].as_array().unwrap() {
            let minutes = u8::try_from(case["timeout_minutes"].as_u64().unwrap()).unwrap();
            let now = UnixMs(case["unix_seconds"].as_u64().unwrap() * 1000);
            let timeout = TokenTimeout::minutes(minutes).unwrap();
            assert_eq!(timeout.token_at(now), case["token"].as_u64().unwrap());
        }
    }

    #[test]
    fn a_clock_may_be_off_by_a_step_and_no_more() {
        let timeout = TokenTimeout::minutes(5).unwrap();
        let now = UnixMs(1_795_220_032_000);
        let token = timeout.token_at(now);
        assert!(timeout.admits(token - 1, now) && timeout.admits(token + 1, now));
        assert!(!timeout.admits(token - 2, now) && !timeout.admits(token + 2, now));
        assert!(!timeout.admits(0, now) && !timeout.admits(u64::MAX, now));
        assert_eq!(TokenTimeout::minutes(0), None);
    }
}

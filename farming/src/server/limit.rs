//! How often somebody may ask: a budget that fills up as time passes.
//!
//! Invariant: who is quiet costs nothing: full budgets are forgotten, and at most so many are remembered.

use accounting::UnixMs;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Budgets remembered at once; beyond it, strangers share none and are let in.
const REMEMBERED_MAX: usize = 100_000;

/// Budgets by whom they are of.
pub(super) struct Budgets<K> {
    per_s: u64,
    most: u64,
    /// Thousandths of a request that are left, and when that was so.
    left: Mutex<HashMap<K, (u64, UnixMs)>>,
}

impl<K: Eq + Hash> Budgets<K> {
    /// So many a second, and so many saved up.
    pub(super) fn new((per_s, most): (u32, u32)) -> Self {
        let (per_s, most) = (u64::from(per_s), u64::from(most.max(1)) * 1000);
        Budgets { per_s, most, left: Mutex::default() }
    }

    /// One request; is it within the budget?
    pub(super) fn spend(&self, who: K, now: UnixMs) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= REMEMBERED_MAX && !left.contains_key(&who) {
            left.retain(|_, (left, at)| self.refilled(*left, *at, now) < self.most);
            if left.len() >= REMEMBERED_MAX {
                return true;
            }
        }
        let (budget, at) = left.entry(who).or_insert((self.most, now));
        let refilled = self.refilled(*budget, *at, now);
        *at = (*at).max(now);
        *budget = refilled.saturating_sub(1000);
        refilled >= 1000
    }

    fn refilled(&self, left: u64, at: UnixMs, now: UnixMs) -> u64 {
        let passed_ms = now.0.saturating_sub(at.0);
        left.saturating_add(passed_ms.saturating_mul(self.per_s)).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_and_fills_up_again() {
        let budgets = Budgets::new((2, 3));
        let now = UnixMs(1_000_000);
        let spent = (0..4).filter(|_| budgets.spend("a", now)).count();
        assert_eq!(spent, 3);
        assert!(budgets.spend("b", now), "somebody else's budget");
        assert!(!budgets.spend("a", UnixMs(now.0 + 499)));
        assert!(budgets.spend("a", UnixMs(now.0 + 1500)));
    }
}

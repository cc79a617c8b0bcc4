//! Who is at the other end: a farmer, its plot NFT, its difficulty and its points.
//!
//! Invariant: whether a farmer counts here is decided in one place, from what the chain showed last.

use crate::difficulty::Difficulty;
use crate::hash::Bytes32;
use crate::reject::Reject;
use crate::singleton::Terms;
use crate::singleton::lineage::Tip;
use crate::singleton::puzzle::Contract;
use crate::wire::KeyBytes;
use accounting::{AccountId, UnixMs, WorkerId};
use chia_bls::PublicKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Farmers of one pool at most.
pub const FARMERS_MAX: usize = 1_000_000;
/// Hours of points that are remembered.
const HOURS: usize = 24;
const HOUR_MS: u64 = 3_600_000;

/// One farmer.
#[derive(Debug, Clone)]
pub struct Farmer {
    /// What its launcher fixed.
    pub contract: Contract,
    /// Where its plots farm to.
    pub contract_hash: Bytes32,
    /// Signs its partials and questions.
    pub key: PublicKey,
    /// Where its money goes, as it wrote it.
    pub instructions: String,
    /// When it introduced itself.
    pub joined_at: UnixMs,
    /// Its plot NFT where the chain will not change any more.
    pub buried: Tip,
    /// Its plot NFT now; none while the chain shows nothing that can be understood.
    pub latest: Option<Tip>,
    /// How hard its partials are.
    pub difficulty: Difficulty,
    /// When it last chose.
    pub wished_at: UnixMs,
    /// What it did lately.
    pub points: Points,
    /// Its numbers in the pool's books, once it was credited.
    pub account: Option<(AccountId, WorkerId)>,
}

impl Farmer {
    /// Does it count, while the chain is at this height?
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, terms: &Terms, peak: u32) -> Result<(), Reject> {
        let tip = self.latest.as_ref().ok_or(Reject::NotAMember)?;
        terms.admit(&tip.state, tip.height, peak).map_err(|_| Reject::NotAMember)
    }

    /// Its plot NFT as it was seen last.
    #[must_use]
    pub fn tip(&self) -> &Tip {
        self.latest.as_ref().unwrap_or(&self.buried)
    }

    /// The key that owns its plot NFT now.
    #[must_use]
    pub fn owner(&self) -> Option<KeyBytes> {
        self.latest.as_ref().map(|tip| tip.state.owner)
    }
}

/// Points by the hour, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Points {
    hours: [(u64, u64); HOURS],
}

impl Points {
    /// A partial landed.
    pub fn add(&mut self, difficulty: u64, at: UnixMs) {
        let hour = at.0 / HOUR_MS;
        let slot = usize::try_from(hour % HOURS as u64).unwrap_or(0);
        if let Some((known, points)) = self.hours.get_mut(slot) {
            if *known < hour {
                (*known, *points) = (hour, 0);
            }
            if *known == hour {
                *points = points.saturating_add(difficulty);
            }
        }
    }

    /// What the last day brought.
    #[must_use]
    pub fn of_day(&self, now: UnixMs) -> u64 {
        let oldest = (now.0 / HOUR_MS).saturating_sub(HOURS as u64 - 1);
        let lately = self.hours.iter().filter(|(hour, _)| *hour >= oldest);
        lately.fold(0, |sum: u64, (_, points)| sum.saturating_add(*points))
    }
}

/// All farmers, by launcher id.
#[derive(Default)]
pub struct Farmers {
    all: RwLock<HashMap<Bytes32, Arc<Mutex<Farmer>>>>,
}

impl Farmers {
    /// One.
    ///
    /// # Errors
    /// [`Reject::FarmerUnknown`].
    pub fn get(&self, launcher_id: &Bytes32) -> Result<Arc<Mutex<Farmer>>, Reject> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.get(launcher_id).cloned().ok_or(Reject::FarmerUnknown)
    }

    /// Is there room for another one?
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.count() < FARMERS_MAX
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes one in.
    pub fn insert(&self, farmer: Farmer) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(farmer.contract.launcher_id, Arc::new(Mutex::new(farmer)));
    }

    /// All of them, as they are now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Mutex<Farmer>>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// A farmer, held for a moment: never across a wait.
pub fn held(farmer: &Mutex<Farmer>) -> MutexGuard<'_, Farmer> {
    farmer.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_day_are_forgotten_by_the_hour() {
        let mut points = Points::default();
        let hour = |n: u64| UnixMs(n * HOUR_MS + 5);
        points.add(10, hour(100));
        points.add(5, hour(100));
        points.add(7, hour(123));
        assert_eq!(points.of_day(hour(123)), 22);
        assert_eq!(points.of_day(hour(124)), 7, "the first hour is a day ago");
        points.add(1, hour(124));
        points.add(99, hour(100));
        assert_eq!(points.of_day(hour(124)), 8, "what is older than its slot is not counted");
        points.add(u64::MAX, hour(124));
        assert_eq!(points.of_day(hour(124)), u64::MAX);
    }
}

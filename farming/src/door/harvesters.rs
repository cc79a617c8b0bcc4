//! What each harvester did lately, for people: the pages' meters.
//!
//! Invariant: noise. A harvester has a meter from its first accepted partial on, so nobody fills the room by asking; a refusal is
//! counted only where a meter is.

use crate::hash::Bytes32;
use crate::reject::Reject;
use accounting::{AccountId, Identity, PoolId, UnixMs, WorkerId};
use pool::observe::{METERS_MAX, Machine, Meter, Observatory};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Digits of a harvester's id that name it to people.
const NAME_DIGITS: usize = 8;

/// A harvester of a farmer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Harvester {
    /// Whose.
    pub launcher_id: Bytes32,
    /// As it calls itself.
    pub id: Bytes32,
}

/// A partial that became durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Landed {
    /// What it counts.
    pub difficulty: u64,
    /// The difficulty that its proof would have been good enough for.
    pub reached: f64,
    /// When it came.
    pub at: UnixMs,
    /// The farmer's numbers in the books.
    pub ids: (AccountId, WorkerId),
}

/// The meters that are in use.
#[derive(Debug, Default)]
pub(super) struct Harvesters(Mutex<HashMap<Harvester, Weak<Meter>>>);

impl Harvesters {
    /// Counts a partial.
    pub fn landed(
        &self,
        noise: &Observatory,
        (pool, identity): (PoolId, Identity),
        harvester: Harvester,
        landed: Landed,
    ) {
        let Some(meter) = self.meter(noise, (pool, identity), harvester, landed.at) else { return };
        meter.count(|counts| {
            if counts.display.is_empty() {
                counts.display = harvester.launcher_id.to_string().into();
            }
            counts.ids = Some(landed.ids);
            counts.accepted(1, landed.difficulty.into(), landed.reached, landed.at);
        });
    }

    /// Counts a refusal of one that is known.
    pub fn refused(&self, harvester: Harvester, reject: Reject) {
        if let Some(meter) = self.lock().get(&harvester).and_then(Weak::upgrade) {
            meter.count(|counts| counts.refused(reject.label()));
        }
    }

    fn meter(
        &self,
        noise: &Observatory,
        (pool, identity): (PoolId, Identity),
        harvester: Harvester,
        now: UnixMs,
    ) -> Option<Arc<Meter>> {
        let mut known = self.lock();
        if let Some(meter) = known.get(&harvester).and_then(Weak::upgrade) {
            return Some(meter);
        }
        if known.len() >= METERS_MAX {
            known.retain(|_, meter| meter.strong_count() > 0);
        }
        let name: String = hex::encode(harvester.id.0).chars().take(NAME_DIGITS).collect();
        let machine = Machine { pool, identity: Arc::new(identity), worker: name.into() };
        let meter = noise.meter(machine, now)?;
        known.insert(harvester, Arc::downgrade(&meter));
        Some(meter)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Harvester, Weak<Meter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::IdentityKind;

    #[test]
    fn a_harvester_is_seen_from_its_first_accepted_partial_on() {
        let (all, noise) = (Harvesters::default(), Observatory::default());
        let harvester = Harvester { launcher_id: Bytes32([1; 32]), id: Bytes32([0xab; 32]) };
        all.refused(harvester, Reject::TooLate);
        assert!(noise.is_empty(), "who only asks takes no room");
        let identity =
            Identity { kind: IdentityKind::Launcher, network: "chia/t".into(), bytes: vec![1; 32] };
        let ids = (AccountId(3), WorkerId(4));
        for (difficulty, reached) in [(10, 25.0), (20, 22.0)] {
            let landed = Landed { difficulty, reached, at: UnixMs(difficulty), ids };
            all.landed(&noise, (PoolId(2), identity.clone()), harvester, landed);
        }
        all.refused(harvester, Reject::TooLate);
        let [(machine, meter)] = &noise.all()[..] else { panic!("one harvester, one meter") };
        assert_eq!(&*machine.worker, "abababab");
        let counts = meter.read();
        assert_eq!((counts.shares, counts.work, counts.asked, counts.best), (2, 30, 20, 25.0));
        assert_eq!((counts.rejected, counts.ids), (vec![("too_late", 1)], Some(ids)));
    }
}

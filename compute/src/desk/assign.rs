//! Handing out: who gets what.
//!
//! Invariant: nobody is asked to judge their own, their owner's or their neighbour's algorithm, nor the same one twice; which of the
//! others they get is chance.

use super::{BATCH_MAX, Change, Desk, EVOLVE_MAX, MINERS_MAX, OPEN_MAX, Reject};
use crate::key::PublicKey;
use crate::lease::{Lease, LeaseId, LeaseState, Wish};
use crate::reputation::Standing;
use crate::task::{Algorithm, AlgorithmId, Stage};
use crate::worker::Miner;
use std::ops::Bound;

/// Open algorithms that are looked at for one lease.
const LOOKED_AT_MAX: usize = 512;
/// When to ask again where there is nothing.
const RETRY_S: u64 = 10;
/// The rest after the first lease that expired; it doubles with each that follows.
const REST_S: u64 = 60;

impl Desk {
    /// Gives a miner work. Whoever was not registered is from now on.
    ///
    /// # Errors
    /// See [`Reject`].
    pub fn request(
        &mut self,
        key: PublicKey,
        neighbourhood: u64,
        wish: Wish,
        now_s: u64,
    ) -> Result<(Lease, Vec<Change>), Reject> {
        let known = self.miners.get(&key).cloned();
        if known.is_none() && self.miners.len() >= MINERS_MAX {
            return Err(Reject::Full);
        }
        let mut miner = known.unwrap_or_else(|| Miner::new(key, now_s));
        miner.kinship.neighbourhood = neighbourhood;
        if miner.lease.is_some() {
            return Err(Reject::ActiveTask);
        }
        if now_s < miner.rests_until_s {
            let retry_after_s = miner.rests_until_s - now_s;
            return Err(Reject::Resting { leases: miner.squatted, retry_after_s });
        }
        self.may_hold_more(&miner)?;
        let (evaluate, seeds, evolve_budget) = self.pick(&miner, wish)?;

        // From here it must succeed.
        let mut changes = self.register(key, neighbourhood, now_s)?;
        let id = LeaseId(self.next_lease);
        self.next_lease += 1;
        let length_s = if miner.answered == 0 && self.settings.newcomer_lease_s > 0 {
            self.settings.newcomer_lease_s.min(self.settings.lease_s)
        } else {
            self.settings.lease_s
        };
        for algorithm in &evaluate {
            changes.extend(self.goes_out(*algorithm, &miner));
        }
        let deadline_s = now_s + length_s;
        let state = LeaseState::Active;
        let issued_at_s = now_s;
        let lease = Lease {
            id,
            miner: key,
            issued_at_s,
            deadline_s,
            evaluate,
            seeds,
            evolve_budget,
            state,
        };
        self.keep_lease(lease.clone());
        let miner = self.miners.get_mut(&key).expect("registered above");
        miner.lease = Some(id);
        changes.push(Change::Miner(Box::new(miner.clone())));
        changes.push(Change::Lease(Box::new(lease.clone())));
        Ok((lease, changes))
    }

    /// Is there anything for this miner to score?
    #[must_use]
    pub fn has_evaluations(&self, key: &PublicKey) -> bool {
        let stranger = Miner::new(*key, 0);
        let miner = self.miners.get(key).unwrap_or(&stranger);
        self.open.values().take(LOOKED_AT_MAX).any(|algorithm| suits(algorithm, miner))
    }

    /// Gives back what nobody answered in time.
    pub fn expire(&mut self, now_s: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(&(deadline_s, id)) = self.deadlines.first()
            && deadline_s <= now_s
        {
            changes.extend(self.ends(id, LeaseState::Expired));
            let Some(lease) = self.leases.remove(&id) else { continue };
            for algorithm in &lease.evaluate {
                changes.extend(self.comes_back(*algorithm, &lease.miner));
            }
            if let Some(miner) = self.miners.get_mut(&lease.miner) {
                miner.squatted = miner.squatted.saturating_add(1);
                let rest_s = REST_S << miner.squatted.saturating_sub(1).min(16);
                miner.rests_until_s = now_s + rest_s.min(self.settings.lease_s);
                changes.push(Change::Miner(Box::new(miner.clone())));
            }
        }
        changes
    }

    /// A lease is nobody's any more.
    pub(super) fn ends(&mut self, id: LeaseId, state: LeaseState) -> Vec<Change> {
        let Some(lease) = self.leases.get_mut(&id) else { return Vec::new() };
        lease.state = state;
        let lease = lease.clone();
        self.deadlines.remove(&(lease.deadline_s, id));
        let kinship = self.miners.get_mut(&lease.miner).map(|miner| {
            miner.lease = None;
            miner.kinship
        });
        self.hold(&kinship.unwrap_or_default(), &lease.miner, false);
        self.keep_lease(lease.clone());
        vec![Change::Lease(Box::new(lease))]
    }

    fn may_hold_more(&self, miner: &Miner) -> Result<(), Reject> {
        let most = self.settings.rules.defences.leases_per_owner;
        let held = self.held.get(&miner.kinship.owner.unwrap_or(miner.key)).copied().unwrap_or(0);
        if most > 0 && held >= most { Err(Reject::OwnerBusy(held)) } else { Ok(()) }
    }

    fn pick(
        &mut self,
        miner: &Miner,
        wish: Wish,
    ) -> Result<(Vec<AlgorithmId>, Vec<AlgorithmId>, usize), Reject> {
        let settings = self.settings;
        let (batch, seeds) = match wish {
            Wish::Evolve => (0, settings.seeds),
            Wish::Evaluate { batch } => (batch, 0),
            Wish::Mixed { batch, seeds } => (batch, seeds),
            Wish::Any => (settings.batch, settings.seeds),
        };
        let evaluate = self.pick_evaluations(miner, batch.min(BATCH_MAX));
        let may_evolve = self.open.len() < OPEN_MAX && seeds > 0;
        // Who asks for anything gets one kind: what waits first.
        let evolves = match wish {
            Wish::Any => may_evolve && evaluate.is_empty(),
            _ => may_evolve,
        };
        let seeds = if evolves { self.pick_seeds(seeds.min(BATCH_MAX)) } else { Vec::new() };
        let budget = if evolves { settings.evolve_budget.min(EVOLVE_MAX) } else { 0 };
        if evaluate.is_empty() && seeds.is_empty() {
            return Err(Reject::NoTasks { retry_after_s: RETRY_S });
        }
        Ok((evaluate, seeds, budget))
    }

    fn pick_evaluations(&mut self, miner: &Miner, batch: usize) -> Vec<AlgorithmId> {
        let Some((last, _)) = self.open.last_key_value() else { return Vec::new() };
        let first = self.open.first_key_value().map_or(*last, |(first, _)| *first);
        // From a random place on, around.
        let span = usize::try_from(last.0 - first.0 + 1).unwrap_or(usize::MAX);
        let start = AlgorithmId(first.0 + self.below(span) as u64);
        let after = self.open.range((Bound::Included(start), Bound::Unbounded));
        let before = self.open.range((Bound::Unbounded, Bound::Excluded(start)));
        let suiting = after
            .chain(before)
            .take(LOOKED_AT_MAX)
            .filter(|(_, algorithm)| suits(algorithm, miner))
            .map(|(id, _)| *id);
        suiting.take(batch).collect()
    }

    /// Different ones among the best, each as likely as the others.
    fn pick_seeds(&mut self, count: usize) -> Vec<AlgorithmId> {
        let mut ids: Vec<AlgorithmId> = self.best.values().map(|known| known.id).collect();
        let mut chosen = Vec::new();
        while chosen.len() < count && !ids.is_empty() {
            let at = self.below(ids.len());
            chosen.push(ids.swap_remove(at));
        }
        chosen
    }

    fn goes_out(&mut self, id: AlgorithmId, miner: &Miner) -> Option<Change> {
        let suffices = self.one_suffices(&miner.standing);
        let Stage::Open(round) = &mut self.open.get_mut(&id)?.stage else { return None };
        let is_first = round.votes.is_empty() && round.out.is_empty();
        if is_first && suffices {
            round.needed = 1;
        }
        round.out.push(miner.key);
        None
    }

    /// BOINC's adaptive replication: from somebody with n good answers in a row one suffices, but once in n.
    fn one_suffices(&mut self, standing: &Standing) -> bool {
        let after = self.settings.rules.defences.trusted_after;
        let in_a_row = standing.in_a_row;
        after > 0 && in_a_row >= after && self.below(in_a_row as usize) > 0
    }

    /// Nobody answered: it goes to somebody else, and a promise that one vote would do is off.
    pub(super) fn comes_back(&mut self, id: AlgorithmId, miner: &PublicKey) -> Option<Change> {
        let quorum = self.settings.rules.quorum;
        let Stage::Open(round) = &mut self.open.get_mut(&id)?.stage else { return None };
        if round.out.contains(miner) {
            round.out.retain(|other| other != miner);
            round.needed = round.needed.max(quorum);
        }
        None
    }
}

fn suits(algorithm: &Algorithm, miner: &Miner) -> bool {
    let Stage::Open(round) = &algorithm.stage else { return false };
    round.is_short()
        && algorithm.author != Some(miner.key)
        && !algorithm.kinship.is_shared_with(&miner.kinship)
        && !round.knows(&miner.key)
}

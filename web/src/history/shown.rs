//! The history as it was at one sample: whoever holds it holds up nobody.

use super::{AccountTrack, PoolTrack, Track};
use accounting::{AccountId, Identity, PoolId, UnixMs};
use pool::observe::Machine;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A machine and what it did.
pub type Listed = (Arc<Machine>, Track);

/// Everything at one moment.
#[derive(Debug, Default)]
pub struct Shown {
    machines: HashMap<Arc<Identity>, Vec<Listed>>,
    accounts: BTreeMap<(PoolId, AccountId), AccountTrack>,
    pools: BTreeMap<PoolId, PoolTrack>,
    /// Machines that are connected, and all.
    counts: (usize, usize),
    sampled_at: Option<UnixMs>,
}

impl Shown {
    pub(super) fn of(
        machines: HashMap<Arc<Identity>, Vec<Listed>>,
        accounts: BTreeMap<(PoolId, AccountId), AccountTrack>,
        pools: BTreeMap<PoolId, PoolTrack>,
        sampled_at: Option<UnixMs>,
    ) -> Self {
        let all = || machines.values().flatten();
        let here = all().filter(|(_, track)| track.connections > 0).count();
        let counts = (here, all().count());
        Shown { machines, accounts, pools, counts, sampled_at }
    }

    /// When the meters were read; `None` before the first time.
    #[must_use]
    pub fn sampled_at(&self) -> Option<UnixMs> {
        self.sampled_at
    }

    /// All machines, in no order.
    pub fn machines(&self) -> impl Iterator<Item = &Listed> {
        self.machines.values().flatten()
    }

    /// The machines of one owner.
    #[must_use]
    pub fn machines_of(&self, who: &Identity) -> &[Listed] {
        self.machines.get(who).map_or(&[], Vec::as_slice)
    }

    /// A pool's rates and counts.
    #[must_use]
    pub fn pool(&self, pool: PoolId) -> Option<&PoolTrack> {
        self.pools.get(&pool)
    }

    /// An account's rates and counts in a pool.
    #[must_use]
    pub fn account(&self, pool: PoolId, account: AccountId) -> Option<&AccountTrack> {
        self.accounts.get(&(pool, account))
    }

    /// The accounts of a pool, ascending.
    pub fn accounts(&self, pool: PoolId) -> impl Iterator<Item = (AccountId, &AccountTrack)> {
        let all = (pool, AccountId(0))..=(pool, AccountId(u64::MAX));
        self.accounts.range(all).map(|((_, id), track)| (*id, track))
    }

    /// The first of a pool's accounts by an order that puts the first first; those that are equal in it by their numbers.
    pub fn first_accounts(
        &self,
        pool: PoolId,
        count: usize,
        order: impl Fn((AccountId, &AccountTrack), (AccountId, &AccountTrack)) -> Ordering,
    ) -> Vec<(AccountId, &AccountTrack)> {
        let mut all: Vec<_> = self.accounts(pool).collect();
        let order = |a: &(AccountId, &AccountTrack), b: &(AccountId, &AccountTrack)| {
            order(*a, *b).then(a.0.cmp(&b.0))
        };
        // All are looked at, and only those that are asked for are put in order.
        if let Some(last) = count.checked_sub(1).filter(|last| *last < all.len()) {
            all.select_nth_unstable_by(last, order);
        }
        all.truncate(count);
        all.sort_unstable_by(order);
        all
    }

    /// Machines that are connected, and machines that are not.
    #[must_use]
    pub fn presence(&self) -> (usize, usize) {
        let (here, all) = self.counts;
        (here, all - here)
    }

    /// How many machines are known.
    #[must_use]
    pub fn machine_count(&self) -> usize {
        self.counts.1
    }
}

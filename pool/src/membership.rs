//! Payments of a coordination-free pool that this one is a member of, as income of the blocks that earned them.
//!
//! Invariant: a payment is booked once, by its transaction, whichever block of the chain has it; what it stands and falls with is the
//! block that has it now. It ends no round, closes no slice and takes no share into account: its windows ended long ago.

use crate::books::Books;
use crate::door::Refused;
use accounting::membership::{MemberPayment, Place, split_earned};
use accounting::reward::Reward;
use accounting::split::SplitRow;
use accounting::{Amount, BlockFound, PoolId, RewardId, ShareSeq, UnixMs};
use store::book::StoredReward;
use store::{Change, Store, StoreError};

impl Books {
    /// Makes the reward of a payment: each part by the split of the block that earned it.
    pub(crate) fn reward_payment(
        &mut self,
        store: &mut dyn Store,
        seq: ShareSeq,
        found: &BlockFound,
        payment: &MemberPayment,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        if self.rewards.contains_key(&found.block) {
            return Ok(());
        }
        let Some(pool) = self.pools.get(&found.pool) else { return Ok(()) };
        let asset = pool.asset;
        if self.has_unwritten() {
            // The splits of the blocks that earned it are looked for in the store.
            store.apply(ShareSeq(seq.0.saturating_sub(1)), self.unwritten())?;
            self.written();
        }
        let mut parts: Vec<(Amount, Vec<SplitRow>)> = Vec::with_capacity(payment.earned.len());
        for earned in &payment.earned {
            parts.push((earned.amount, store.split_rows(earned.block)?));
        }
        let parts: Vec<(Amount, &[SplitRow])> =
            parts.iter().map(|(amount, rows)| (*amount, rows.as_slice())).collect();
        let reward = Reward {
            id: found.block,
            pool: found.pool,
            asset,
            height: found.height,
            finder: found.finder,
            to_pool: found.to_pool,
            to_miners: found.to_miners,
            window_end: seq,
            as_of: seq,
            scheme: found.scheme,
            network_work: found.network_work,
            window: None,
            shared: None,
            by_block: None,
            budget: None,
            split: Some(split_earned(&parts, found.finder)),
            member: found.member.clone(),
        };
        self.book(reward, 0, now);
        Ok(())
    }

    /// The payments that a pool has booked, each with the block that it stands and falls with.
    #[must_use]
    pub fn payments_of(&self, pool: PoolId) -> Vec<(RewardId, Place)> {
        let own = self.rewards.iter().filter(|(_, reward)| reward.pool == pool);
        own.filter_map(|(id, reward)| Some((*id, reward.place?))).collect()
    }

    /// Is this a block of a pool's, and not a payment for earlier ones?
    #[must_use]
    pub fn is_block_of(&self, pool: PoolId, block: RewardId) -> bool {
        let reward = self.rewards.get(&block);
        reward.is_some_and(|reward| reward.pool == pool && reward.place.is_none())
    }

    /// A booked payment is in another block of the chain now: the one before left it.
    ///
    /// # Errors
    /// When no such payment is booked.
    pub fn payment_moved(
        &mut self,
        id: RewardId,
        place: Place,
        now: UnixMs,
    ) -> Result<(), Refused> {
        let known = self.rewards.get_mut(&id).filter(|reward| reward.place.is_some());
        let Some(reward) = known else {
            return Err(Refused::Rule(format!("no payment {id} is booked")));
        };
        if reward.place == Some(place) {
            return Ok(());
        }
        reward.place = Some(place);
        // It may have been given up, as deep as nothing is looked at any more.
        reward.closed = false;
        let StoredReward { state, generation, force, closed, .. } = reward.clone();
        self.push(Change::RewardPlace { id, place });
        self.push(Change::RewardState { id, state, generation, force, closed, at: now });
        Ok(())
    }
}

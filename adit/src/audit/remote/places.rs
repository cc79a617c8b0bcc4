//! Where a block stands among its pool's others: what one is judged by of those before it.

use super::Visitor;
use accounting::reward::{Reward, RewardState};
use accounting::{PoolId, ShareSeq, SliceNo};
use web::model::audit::Audit;

/// What later blocks need of an earlier one.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub end: ShareSeq,
    pub through: Option<SliceNo>,
    /// Did it ever leave the chain?
    pub left: bool,
    /// Its height.
    pub height: u64,
    /// Is it no block that was found, but a payment for earlier ones?
    pub is_payment: bool,
}

impl Visitor<'_> {
    pub(super) fn known_at(&self, pool: PoolId, place: usize) -> Option<Known> {
        let block = self.lists.get(&pool)?.get(place)?;
        self.known.get(block).copied()
    }

    /// The block before the one at a place of a pool's list.
    pub(super) fn earlier(&mut self, pool: PoolId, place: usize) -> anyhow::Result<Option<Known>> {
        let place = place.saturating_add(1);
        let Some(block) = self.lists.get(&pool).and_then(|list| list.get(place)) else {
            return Ok(None);
        };
        if let Some(known) = self.known.get(block) {
            return Ok(Some(*known));
        }
        let block = block.clone();
        let record = self.runtime.block_on(self.remote.audit(&block))?;
        let known = Known::of(&record.reward()?, &record)?;
        self.known.insert(block.clone(), known);
        self.ahead = Some((block, record));
        Ok(Some(known))
    }

    /// Where the block before the one at a place of a pool's list was found; payments for earlier ones in between are none.
    pub(super) fn block_before(
        &mut self,
        pool: PoolId,
        place: usize,
    ) -> anyhow::Result<Option<ShareSeq>> {
        let mut place = place;
        while let Some(known) = self.earlier(pool, place)? {
            if !known.is_payment {
                return Ok(Some(known.end));
            }
            place = place.saturating_add(1);
        }
        Ok(None)
    }

    /// The slices that may have ended the round before a block, by the pool's other records: that of the block before, or of
    /// one further back where those between left the chain. Where its coinbase committed to the split, one that cannot be below it
    /// ended no round of its either.
    pub(super) fn cuts(&mut self, reward: &Reward, place: usize) -> anyhow::Result<Vec<SliceNo>> {
        let (mut cuts, mut place) = (Vec::new(), place);
        while let Some(known) = self.earlier(reward.pool, place)? {
            cuts.extend(known.through);
            let is_beside = reward.by_block.is_some() && known.height >= reward.height;
            if known.through.is_some() && !known.left && !is_beside {
                return Ok(cuts);
            }
            place = place.saturating_add(1);
        }
        cuts.push(SliceNo(0));
        Ok(cuts)
    }
}

impl Known {
    pub fn of(reward: &Reward, record: &Audit) -> anyhow::Result<Self> {
        let state: RewardState = record.state.parse()?;
        Ok(Known {
            end: reward.window_end,
            through: reward.window.as_ref().map(|window| window.through),
            left: state == RewardState::Orphaned || record.returns > 0,
            height: reward.height,
            is_payment: reward.payment().is_some(),
        })
    }
}

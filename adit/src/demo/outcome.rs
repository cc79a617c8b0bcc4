//! What the demo came to: counted from the store, as a stranger would.

use super::all_is_paid;
use crate::audit::{Auditor, Finding};
use crate::run::Running;
use accounting::Amount;
use accounting::payout::PayoutState;
use accounting::reward::RewardState;
use serde_json::json;
use store::Reader;

/// The figures of the last line.
pub struct Outcome {
    shares_accepted: u64,
    shares_rejected: u64,
    blocks_found: u64,
    blocks_matured: u64,
    payouts_made: u64,
    payouts_confirmed: u64,
    paid: Amount,
    owed: Amount,
    books_balance: bool,
    splits: u64,
    splits_recomputed: u64,
    all_due_is_paid: bool,
    filler_blocks: u64,
    decimals: u8,
}

impl Outcome {
    /// Counts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(running: &Running, least: u64, fillers: u64) -> anyhow::Result<Self> {
        let (stats, view) = (running.live.doors(), running.pool.view());
        let reader = Reader::open(&running.settings.data_dir)?;
        let rewards = reader.rewards(u64::from(u32::MAX))?;
        let payouts = reader.payouts(u64::from(u32::MAX))?;
        let mut auditor = Auditor::of(&reader)?;
        let mut splits_recomputed = 0;
        for row in &rewards {
            if let Some((reward, _)) = reader.reward(row.id)?
                && auditor.reward(&reward)? == Finding::Pass
            {
                splits_recomputed += 1;
            }
        }
        let confirmed = payouts.iter().filter(|payout| payout.state == PayoutState::Confirmed);
        Ok(Outcome {
            shares_accepted: stats.iter().map(|door| door.accepted()).sum(),
            shares_rejected: stats
                .iter()
                .flat_map(|door| door.rejected())
                .map(|(_, count)| count)
                .sum(),
            blocks_found: rewards.len() as u64,
            blocks_matured: rewards
                .iter()
                .filter(|reward| reward.state == RewardState::Matured)
                .count() as u64,
            payouts_made: payouts.len() as u64,
            payouts_confirmed: confirmed.clone().count() as u64,
            paid: confirmed.flat_map(|payout| &payout.parts).map(|part| part.sent).sum(),
            owed: view.assets.iter().map(|asset| asset.owed).sum(),
            books_balance: view.assets.iter().all(|asset| asset.balances_to_zero)
                && reader.fold_differences()?.is_empty(),
            splits: rewards.len() as u64,
            splits_recomputed,
            all_due_is_paid: all_is_paid(running, least),
            filler_blocks: fillers,
            decimals: running.settings.assets.first().map_or(8, |asset| asset.config.decimals),
        })
    }

    /// Did everything hold?
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.books_balance && self.splits == self.splits_recomputed && self.all_due_is_paid
    }

    /// The last line. Amounts are whole coins, in quotes because they are exact.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({
            "shares_accepted": self.shares_accepted,
            "shares_rejected": self.shares_rejected,
            "blocks_found": self.blocks_found,
            "blocks_matured": self.blocks_matured,
            "payouts_made": self.payouts_made,
            "payouts_confirmed": self.payouts_confirmed,
            "paid": self.paid.to_decimal(self.decimals),
            "owed": self.owed.to_decimal(self.decimals),
            "books_balance": self.books_balance,
            "splits_recomputed": self.splits_recomputed,
            "all_due_is_paid": self.all_due_is_paid,
            "filler_blocks": self.filler_blocks,
        })
        .to_string()
    }
}

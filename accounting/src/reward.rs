//! The life of a reward: immature, matured or orphaned, and back, until it is too deep to change.
//!
//! Invariant: only an observation of the best chain moves a reward; an RPC error, a time-out or a disagreement between
//! nodes is "unknown" and moves nothing. What is credited is what the block's coinbase pays.

use crate::Amount;
use crate::budget::Budget;
use crate::commitment::{ByBlock, PaidBy};
use crate::id::{AccountId, AssetId, PoolId, RewardId, ShareSeq};
use crate::ledger::{Kind, SetKey, Transfer, TransferSet};
use crate::membership::{MemberPayment, Membership};
use crate::scheme::Scheme;
use crate::share::WeightSum;
use crate::split::Split;
use crate::union::Shared;
use crate::window::WindowTable;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Income from one block, or a payment that earlier blocks earned ([`Reward::payment`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reward {
    /// The block, or the transaction of a payment.
    pub id: RewardId,
    /// Whose window it pays.
    pub pool: PoolId,
    /// In which money.
    pub asset: AssetId,
    /// Height of the block; of the one that gave it, where it is a payment.
    pub height: u64,
    /// Who found it.
    pub finder: AccountId,
    /// What the coinbase pays to the pool's scripts.
    pub to_pool: Amount,
    /// What it pays miners itself: the finder (non-custodial solo), or those in [`Reward::by_block`].
    pub to_miners: Amount,
    /// The log position of its BlockFound: the last share that counts, or could have where its coinbase committed to the split.
    pub window_end: ShareSeq,
    /// The log position up to which revocations count.
    pub as_of: ShareSeq,
    /// The rule.
    pub scheme: Scheme,
    /// The work of a block, which the window's length is a multiple of.
    pub network_work: WeightSum,
    /// The frozen window; `None` where no window is paid.
    pub window: Option<WindowTable>,
    /// The other pools that it pays, where pools share their blocks.
    pub shared: Option<Shared>,
    /// Whose parts the block pays itself, where its coinbase committed to the split; the others are credited.
    pub by_block: Option<ByBlock>,
    /// What was divided, where it is an epoch's budget: [`Reward::to_pool`] is what of it was granted.
    pub budget: Option<Budget>,
    /// What a coordination-free pool has to do with it.
    pub member: Option<Membership>,
    /// Who gets what; `None` under PPS and FPPS, where the bankroll gets it.
    pub split: Option<Split>,
}

/// Where a reward stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RewardState {
    /// Credited, pending.
    Immature,
    /// Credited, posted.
    Matured,
    /// Not in the best chain: voided, or taken back.
    Orphaned,
}

impl RewardState {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RewardState::Immature => "immature",
            RewardState::Matured => "matured",
            RewardState::Orphaned => "orphaned",
        }
    }
}

impl FromStr for RewardState {
    type Err = crate::ledger::UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [RewardState::Immature, RewardState::Matured, RewardState::Orphaned]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| crate::ledger::UnknownName(text.to_owned()))
    }
}

/// What the best chain says about a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sighting {
    /// It is there, with so many confirmations (1 at the tip).
    InChain(u32),
    /// Another block stands at its height, with so many confirmations.
    Replaced(u32),
    /// Nobody can say, or two say different things.
    Unknown,
}

/// How deep is deep enough, in confirmations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Depths {
    /// Spendable by consensus, and then some if the operator wants.
    pub mature: u32,
    /// A block replaced at this depth is orphaned (and can still come back).
    pub orphan: u32,
    /// Beyond this nothing is looked at again.
    pub last_look: u32,
}

/// What to do about a reward.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RewardStep {
    /// Post its credits.
    Mature,
    /// Void its credits, or take them back.
    Orphan,
    /// Credit it again, pending.
    Return,
    /// Stop looking.
    Close,
}

/// The step that a sighting asks for, if any.
#[must_use]
pub fn next_step(state: RewardState, sighting: Sighting, depths: &Depths) -> Option<RewardStep> {
    match (state, sighting) {
        (RewardState::Immature, Sighting::InChain(n)) if n >= depths.mature => {
            Some(RewardStep::Mature)
        }
        (RewardState::Immature | RewardState::Matured, Sighting::Replaced(n))
            if n >= depths.orphan =>
        {
            Some(RewardStep::Orphan)
        }
        (RewardState::Orphaned, Sighting::InChain(_)) => Some(RewardStep::Return),
        (RewardState::Matured, Sighting::InChain(n))
        | (RewardState::Orphaned, Sighting::Replaced(n))
            if n >= depths.last_look =>
        {
            Some(RewardStep::Close)
        }
        _ => None,
    }
}

/// Up to where a window counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Every share up to here.
    With(ShareSeq),
    /// The slices that were closed when the block's work was handed out, and no share after here: what was closed since is left to
    /// the blocks after it.
    Before(ShareSeq),
}

impl Reward {
    /// Where its window ends.
    #[must_use]
    pub fn end(&self) -> End {
        match self.by_block {
            Some(_) => End::Before(self.as_of),
            None => End::With(self.window_end),
        }
    }

    /// All that it brought: what the block pays to the pool, and to miners itself.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.to_pool.add(self.to_miners)
    }

    /// By whom this account gets its part, where it has one.
    #[must_use]
    pub fn paid_by(&self, account: AccountId) -> PaidBy {
        match &self.by_block {
            Some(by_block) if !by_block.pays(account) => PaidBy::Pool,
            Some(by_block) if by_block.tree.is_some() => PaidBy::Tree,
            Some(_) => PaidBy::Output,
            None if self.pays_finder() && account == self.finder => PaidBy::Output,
            None => PaidBy::Pool,
        }
    }

    /// Does its coinbase pay the finder all but the fee?
    #[must_use]
    pub fn pays_finder(&self) -> bool {
        self.by_block.is_none() && self.to_miners.is_positive()
    }

    /// What its coinbase pays altogether.
    #[must_use]
    pub fn on_chain(&self) -> Amount {
        let tree = self.by_block.as_ref().and_then(|by_block| by_block.tree.as_ref());
        let elsewhere = match &self.member {
            Some(Membership::Block(block)) => block.elsewhere,
            Some(Membership::Payment(_)) | None => Amount::ZERO,
        };
        self.amount().add(tree.map_or(Amount::ZERO, |tree| tree.cost)).add(elsewhere)
    }

    /// The payment that it is, where it is one that earlier blocks earned.
    #[must_use]
    pub fn payment(&self) -> Option<&MemberPayment> {
        self.member.as_ref().and_then(Membership::payment)
    }

    /// The credits of this reward, for its first appearance in the chain.
    #[must_use]
    pub fn credits(&self) -> TransferSet {
        let mut transfers = Vec::new();
        let mut push = |debit, credit, amount: Amount| {
            if amount.is_positive() {
                transfers.push(Transfer { debit, credit, amount });
            }
        };
        match &self.split {
            None => push(Kind::Wallet, Kind::Bankroll, self.to_pool),
            Some(split) => {
                for row in &split.rows {
                    let (debit, credit) = match self.paid_by(row.account) {
                        PaidBy::Pool => (Kind::Wallet, Kind::Account(row.account)),
                        PaidBy::Output | PaidBy::Tree => {
                            (Kind::PaidByBlock(row.account), Kind::BlockIncome)
                        }
                    };
                    push(debit, credit, row.net);
                }
                push(Kind::Wallet, Kind::Fees, split.fees);
            }
        }
        TransferSet {
            key: SetKey::Reward { id: self.id, generation: 0 },
            asset: self.asset,
            transfers,
        }
    }
}

/// Takes back a posted set of credits: from each account (and the fees, and the bankroll) what is still available
/// there, from `loss` what is not. Nobody is debited below zero.
#[must_use]
pub fn reversal(
    posted: &TransferSet,
    key: SetKey,
    available: impl Fn(Kind) -> Amount,
) -> TransferSet {
    let mut transfers = Vec::with_capacity(posted.transfers.len());
    let mut taken: std::collections::HashMap<Kind, Amount> = std::collections::HashMap::new();
    for transfer in &posted.transfers {
        let limited = matches!(transfer.credit, Kind::Account(_) | Kind::Fees | Kind::Bankroll);
        if !limited {
            transfers.push(Transfer {
                debit: transfer.credit,
                credit: transfer.debit,
                amount: transfer.amount,
            });
            continue;
        }
        let before = taken.entry(transfer.credit).or_default();
        let there = available(transfer.credit).sub(*before).max(Amount::ZERO).min(transfer.amount);
        *before = before.add(there);
        let missing = transfer.amount.sub(there);
        for (debit, amount) in [(transfer.credit, there), (Kind::Loss, missing)] {
            if amount.is_positive() {
                transfers.push(Transfer { debit, credit: transfer.debit, amount });
            }
        }
    }
    TransferSet { key, asset: posted.asset, transfers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, Posting};

    const DEPTHS: Depths = Depths { mature: 101, orphan: 6, last_look: 300 };

    #[test]
    fn one_error_never_moves_a_reward() {
        for state in [RewardState::Immature, RewardState::Matured, RewardState::Orphaned] {
            assert_eq!(next_step(state, Sighting::Unknown, &DEPTHS), None);
        }
    }

    #[test]
    fn every_state_is_reversible_until_the_last_look() {
        use RewardState::{Immature, Matured, Orphaned};
        use Sighting::{InChain, Replaced};
        let cases = [
            (Immature, InChain(100), None),
            (Immature, InChain(101), Some(RewardStep::Mature)),
            (Immature, Replaced(5), None),
            (Immature, Replaced(6), Some(RewardStep::Orphan)),
            (Matured, Replaced(6), Some(RewardStep::Orphan)),
            (Matured, InChain(299), None),
            (Matured, InChain(300), Some(RewardStep::Close)),
            (Orphaned, InChain(1), Some(RewardStep::Return)),
            (Orphaned, Replaced(299), None),
            (Orphaned, Replaced(300), Some(RewardStep::Close)),
        ];
        for (state, sighting, step) in cases {
            assert_eq!(next_step(state, sighting, &DEPTHS), step, "{state:?} {sighting:?}");
        }
    }

    #[test]
    fn what_was_paid_out_before_the_orphan_is_a_loss_and_its_return_restores_exactly() {
        let asset = AssetId(1);
        let (alice, bob) = (Kind::Account(AccountId(1)), Kind::Account(AccountId(2)));
        let t = |debit, credit, n| Transfer { debit, credit, amount: Amount::from_units(n) };
        let id = RewardId([1; 32]);
        let credits = TransferSet {
            key: SetKey::Reward { id, generation: 0 },
            asset,
            transfers: vec![
                t(Kind::Wallet, alice, 60),
                t(Kind::Wallet, bob, 30),
                t(Kind::Wallet, Kind::Fees, 10),
            ],
        };
        let mut ledger = Ledger::default();
        ledger.apply(&Posting::Enter(credits.clone())).unwrap();
        let paid =
            TransferSet { key: SetKey::Act(1), asset, transfers: vec![t(alice, Kind::Wallet, 45)] };
        ledger.apply(&Posting::Enter(paid)).unwrap();
        let key = SetKey::Reversal { id, generation: 0 };
        let back = reversal(&credits, key, |kind| ledger.balance(asset, kind).available());
        ledger.apply(&Posting::Enter(back.clone())).unwrap();
        let posted = |ledger: &Ledger, kind| ledger.balance(asset, kind).posted().units();
        assert_eq!([alice, bob, Kind::Fees].map(|k| posted(&ledger, k)), [0, 0, 0]);
        assert_eq!(posted(&ledger, Kind::Loss), -45, "loss is a debit");
        assert_eq!(
            posted(&ledger, Kind::Wallet),
            45,
            "the books say that 45 were paid which were never there"
        );
        let again = back.inverse(SetKey::Reward { id, generation: 1 });
        ledger.apply(&Posting::Enter(again)).unwrap();
        assert_eq!(
            [alice, bob, Kind::Fees, Kind::Loss].map(|k| posted(&ledger, k)),
            [15, 30, 10, 0]
        );
        assert!(ledger.balances_to_zero());
    }
}

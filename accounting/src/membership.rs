//! A pool that is itself a member of a coordination-free one: what its blocks give to other members, and what others' blocks pay it.
//!
//! A block by such a rule pays the members that found blocks before it. What it pays its finder at once is a reward as any; a payment
//! that another block's tree (or its locked output) makes is a reward too, once it is in the chain, and belongs to the windows of the
//! blocks that earned it.
//!
//! Invariant: the parts that blocks earned sum exactly to the payment; each part is divided as that block's own reward was, at the
//! fees that were frozen with it. Nothing is decided when a payment comes: it follows from the chain and from what was frozen before.

use crate::Amount;
use crate::fee::BasisPoints;
use crate::id::{AccountId, RewardId};
use crate::share::WeightSum;
use crate::split::{Split, SplitRow, split};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a coordination-free pool has to do with a reward.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// It is of a block of ours, which shares what it brought.
    Block(MemberBlock),
    /// It is what a block paid us for earlier ones.
    Payment(MemberPayment),
}

/// A block of ours by a rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberBlock {
    /// The rule, as the crate `covenant` writes it.
    pub rule: String,
    /// The output script that its marker names: ours.
    #[serde(with = "crate::commitment::hex_bytes")]
    pub script: Vec<u8>,
    /// What its coinbase pays to others, or locks for later: no income of ours.
    pub elsewhere: Amount,
}

/// A payment that earlier blocks of ours earned. Its reward is named by the transaction that makes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberPayment {
    /// The rule, as the crate `covenant` writes it.
    pub rule: String,
    /// The output script that is paid: ours.
    #[serde(with = "crate::commitment::hex_bytes")]
    pub script: Vec<u8>,
    /// The block whose coinbase gave it; its height is the reward's.
    pub by: RewardId,
    /// Which output of the transaction it is.
    pub output: u32,
    /// Which blocks of ours earned how much of it, oldest first.
    pub earned: Vec<Earned>,
    /// Where the chain had it when it was booked.
    pub place: Place,
}

/// A block's part of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Earned {
    /// The block that earned it.
    pub block: RewardId,
    /// How much.
    pub amount: Amount,
}

/// A block of the chain: the one that a reward stands and falls with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Its hash.
    pub block: RewardId,
    /// Its height.
    pub height: u64,
}

impl Membership {
    /// The payment that it is.
    #[must_use]
    pub fn payment(&self) -> Option<&MemberPayment> {
        match self {
            Membership::Payment(payment) => Some(payment),
            Membership::Block(_) => None,
        }
    }
}

impl MemberPayment {
    /// All of it.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.earned.iter().map(|earned| earned.amount).sum()
    }

    /// Does every block that earned a part do so once, and none less than nothing?
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let mut blocks: Vec<RewardId> = self.earned.iter().map(|earned| earned.block).collect();
        blocks.sort_unstable();
        let once = blocks.is_sorted_by(|a, b| a < b);
        !blocks.is_empty() && once && self.earned.iter().all(|earned| earned.amount >= Amount::ZERO)
    }
}

/// Divides a payment: each part by the rows of the split that its block was divided by, at their fees; a part of a block that was
/// split over nobody is the finder's of this payment. A row's weight is the sum of its work in all those windows, and its rate the one
/// of the newest block, for people; its fee is the sum of what was taken off each part.
///
/// # Panics
/// When a part is negative.
#[must_use]
pub fn split_earned(parts: &[(Amount, &[SplitRow])], finder: AccountId) -> Split {
    let mut rows: BTreeMap<AccountId, SplitRow> = BTreeMap::new();
    for (amount, earlier) in parts {
        let work: Vec<(AccountId, WeightSum)> = earlier
            .iter()
            .filter(|row| row.weight > 0)
            .map(|row| (row.account, row.weight))
            .collect();
        let finder_alone = [(finder, 1)];
        let work = if work.is_empty() { finder_alone.as_slice() } else { work.as_slice() };
        let fee = |account: AccountId| -> BasisPoints {
            let at = earlier.binary_search_by_key(&account, |row| row.account);
            at.ok().and_then(|at| earlier.get(at)).map(|row| row.fee_bps).unwrap_or_default()
        };
        for part in split(*amount, work, fee).rows {
            rows.entry(part.account)
                .and_modify(|row| {
                    *row = SplitRow {
                        account: row.account,
                        weight: row.weight.saturating_add(part.weight),
                        gross: row.gross.add(part.gross),
                        fee_bps: part.fee_bps,
                        fee: row.fee.add(part.fee),
                        net: row.net.add(part.net),
                    };
                })
                .or_insert(part);
        }
    }
    let rows: Vec<SplitRow> = rows.into_values().collect();
    let split = Split {
        amount: parts.iter().map(|(amount, _)| *amount).sum(),
        fees: rows.iter().map(|row| row.fee).sum(),
        rows,
    };
    assert!(split.is_exact(), "the parts of a payment sum to it");
    split
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(units: i128) -> Amount {
        Amount::from_units(units)
    }

    fn frozen(units: i128, work: &[(u64, u128)], fee: u16) -> Split {
        let work: Vec<_> =
            work.iter().map(|(account, work)| (AccountId(*account), *work)).collect();
        split(amount(units), &work, |_| BasisPoints::new(fee).unwrap())
    }

    fn nets(split: &Split) -> Vec<(u64, i128)> {
        split.rows.iter().map(|row| (row.account.0, row.net.units())).collect()
    }

    #[test]
    fn each_part_goes_to_the_window_of_the_block_that_earned_it_at_its_fee() {
        // A block that brought nothing at once still says whose window earned the claim.
        let (first, second) =
            (frozen(0, &[(1, 3), (2, 1)], 100), frozen(77, &[(2, 1), (3, 1)], 200));
        let parts = [(amount(1000), first.rows.as_slice()), (amount(500), second.rows.as_slice())];
        let split = split_earned(&parts, AccountId(9));
        assert_eq!(nets(&split), [(1, 743), (2, 248 + 245), (3, 245)]);
        assert_eq!((split.amount.units(), split.fees.units()), (1500, 7 + 2 + 5 + 5));
        assert_eq!((split.rows[1].weight, split.rows[1].fee_bps.points()), (2, 200));
    }

    #[test]
    fn a_part_of_a_block_that_was_split_over_nobody_is_the_finders() {
        let known = frozen(10, &[(1, 1)], 0);
        let parts = [(amount(3), [].as_slice()), (amount(4), known.rows.as_slice())];
        assert_eq!(nets(&split_earned(&parts, AccountId(9))), [(1, 4), (9, 3)]);
    }

    #[test]
    fn a_payment_names_each_block_once_and_reads_back() {
        let earned =
            |block: u8, units| Earned { block: RewardId([block; 32]), amount: amount(units) };
        let payment = |earned: &[Earned]| MemberPayment {
            rule: "{}".into(),
            script: vec![0x51],
            by: RewardId([7; 32]),
            output: 1,
            earned: earned.to_vec(),
            place: Place { block: RewardId([8; 32]), height: 9 },
        };
        let whole = payment(&[earned(2, 5), earned(1, 6)]);
        assert!(whole.is_sound() && whole.amount() == amount(11));
        for bad in [&[][..], &[earned(1, 5), earned(1, 6)], &[earned(1, -1)]] {
            assert!(!payment(bad).is_sound(), "{bad:?}");
        }
        let text = serde_json::to_string(&Membership::Payment(whole.clone())).unwrap();
        let back: Membership = serde_json::from_str(&text).unwrap();
        assert_eq!(back.payment(), Some(&whole));
    }

    proptest! {
        #[test]
        fn whatever_is_paid_is_credited_to_the_unit(
            parts in proptest::collection::vec(
                (0..i64::MAX, proptest::collection::btree_map(0..9u64, 1..u64::MAX, 0..6), 0..=10_000u16),
                1..6,
            ),
        ) {
            let frozen: Vec<Split> = parts
                .iter()
                .map(|(_, work, fee)| {
                    let work: Vec<_> = work.iter().map(|(a, w)| (*a, u128::from(*w))).collect();
                    match work.as_slice() {
                        [] => Split { amount: Amount::ZERO, fees: Amount::ZERO, rows: Vec::new() },
                        work => frozen(1, work, *fee),
                    }
                })
                .collect();
            let parts: Vec<_> = parts
                .iter()
                .zip(&frozen)
                .map(|((units, _, _), split)| (amount((*units).into()), split.rows.as_slice()))
                .collect();
            let split = split_earned(&parts, AccountId(3));
            prop_assert!(split.is_exact());
            prop_assert!(split.rows.is_sorted_by(|a, b| a.account < b.account));
            prop_assert_eq!(split.amount, parts.iter().map(|(amount, _)| *amount).sum::<Amount>());
        }
    }
}

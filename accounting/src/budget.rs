//! An epoch's budget among those who worked in it: the fee first, then a ceiling for each owner, and an owner's part among their
//! accounts.
//!
//! What the ceilings leave over is not credited to anybody: it is in the budget of the next epoch, which says so.
//!
//! Invariant: fee, parts and what is left sum exactly to the budget; the same work gives the same parts, whoever computes them:
//! ties go to the lower account number.

use crate::Amount;
use crate::capped::split_capped;
use crate::fee::BasisPoints;
use crate::id::AccountId;
use crate::share::WeightSum;
use crate::split::{Split, SplitRow, divide_fee};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an epoch divides, fixed when it is closed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Budget {
    /// What there is, with what the epoch before left.
    pub total: Amount,
    /// The pool's part of it.
    pub fee: BasisPoints,
    /// Accounts that belong together, where more than one does: together they have one ceiling.
    pub owners: Vec<Vec<AccountId>>,
}

/// A budget divided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Division {
    /// The pool's part; nothing where nobody worked.
    pub fee: Amount,
    /// By account, ascending.
    pub parts: Vec<(AccountId, Amount)>,
    /// For the next epoch.
    pub left: Amount,
}

impl Budget {
    /// Divides it by work, `cap` of the whole at most for each owner. `work` has one entry per account.
    ///
    /// # Panics
    /// When an account is listed twice, or the budget is negative.
    #[must_use]
    pub fn divide(&self, cap: BasisPoints, work: &[(AccountId, WeightSum)]) -> Division {
        let working = || work.iter().filter(|(_, work)| *work > 0);
        let mut owners: BTreeMap<AccountId, Vec<(AccountId, WeightSum)>> = BTreeMap::new();
        let heads = self.heads();
        for (account, work) in working() {
            let head = heads.get(account).unwrap_or(account);
            owners.entry(*head).or_default().push((*account, *work));
        }
        // Where nobody earned anything, nobody is paid, the pool neither.
        let fee = if owners.is_empty() { BasisPoints::ZERO } else { self.fee };
        let of_owners: Vec<(AccountId, WeightSum)> = owners
            .iter()
            .map(|(head, rows)| (*head, rows.iter().map(|(_, work)| *work).sum()))
            .collect();
        let split = split_capped(self.total, fee, cap, &of_owners);
        let mut parts = Vec::new();
        for (head, amount) in &split.parts {
            let rows = owners.get(head).map(Vec::as_slice).unwrap_or_default();
            parts.extend(split_capped(*amount, BasisPoints::ZERO, whole(), rows).parts);
        }
        parts.sort_unstable_by_key(|(account, _)| *account);
        let paid: Amount = parts.iter().map(|(_, amount)| *amount).sum();
        let left = self.total.sub(split.fee).sub(paid);
        assert_eq!(left, split.left, "an owner's part is divided to the unit");
        match paid.is_positive() {
            true => Division { fee: split.fee, parts, left },
            // A budget too small to pay anybody pays the pool nothing either.
            false => Division { fee: Amount::ZERO, parts, left: self.total },
        }
    }

    /// The same as a reward's split; each account's part of the fee is in its row. Gives what is left beside it.
    ///
    /// # Panics
    /// As [`Budget::divide`].
    #[must_use]
    pub fn split(&self, cap: BasisPoints, work: &[(AccountId, WeightSum)]) -> (Split, Amount) {
        let Division { fee, parts, left } = self.divide(cap, work);
        let nets: Vec<Amount> = parts.iter().map(|(_, net)| *net).collect();
        let fees = match fee.is_positive() {
            true => divide_fee(fee, &nets),
            false => vec![Amount::ZERO; nets.len()],
        };
        let work: BTreeMap<AccountId, WeightSum> = work.iter().copied().collect();
        let row = |((account, net), fee): ((AccountId, Amount), Amount)| SplitRow {
            account,
            weight: work.get(&account).copied().unwrap_or_default(),
            gross: net.add(fee),
            fee_bps: self.fee,
            fee,
            net,
        };
        let rows: Vec<SplitRow> = parts.into_iter().zip(fees).map(row).collect();
        let amount = rows.iter().map(|row| row.gross).sum();
        let split = Split { amount, fees: fee, rows };
        assert!(split.is_exact(), "a split sums to its amount");
        (split, left)
    }

    /// The lowest number of those an account belongs with.
    fn heads(&self) -> BTreeMap<AccountId, AccountId> {
        let mut heads = BTreeMap::new();
        for owner in &self.owners {
            let Some(head) = owner.iter().min() else { continue };
            heads.extend(owner.iter().map(|account| (*account, *head)));
        }
        heads
    }
}

fn whole() -> BasisPoints {
    BasisPoints::new(BasisPoints::ALL).expect("the whole is not more than the whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(total: i128, owners: &[&[u64]]) -> Budget {
        let owners = owners.iter().map(|own| own.iter().map(|id| AccountId(*id)).collect());
        let fee = BasisPoints::new(500).unwrap();
        Budget { total: Amount::from_units(total), fee, owners: owners.collect() }
    }

    fn work(rows: &[(u64, u128)]) -> Vec<(AccountId, WeightSum)> {
        rows.iter().map(|(id, work)| (AccountId(*id), *work)).collect()
    }

    #[test]
    fn many_accounts_of_one_owner_have_one_ceiling() {
        let mut rows: Vec<(u64, u128)> = (1..=4).map(|id| (id, 1_000_000)).collect();
        rows.extend((10..60).map(|id| (id, 100_000)));
        let cap = BasisPoints::new(500).unwrap();
        let divided = budget(1_000_000_000, &[&[1, 2, 3, 4]]).divide(cap, &work(&rows));
        let of_owner: i128 = divided.parts[..4].iter().map(|(_, part)| part.units()).sum();
        assert_eq!(of_owner, 50_000_000);
        assert_eq!(divided.parts[10].1.units(), 18_000_000);
        assert_eq!((divided.fee.units(), divided.left.units()), (50_000_000, 0));
    }

    #[test]
    fn a_split_credits_what_is_paid_and_says_what_is_left() {
        let cap = BasisPoints::new(500).unwrap();
        let (split, left) = budget(1_000_003, &[]).split(cap, &work(&[(1, 7), (2, 3)]));
        let nets: Vec<i128> = split.rows.iter().map(|row| row.net.units()).collect();
        assert_eq!((nets, split.fees.units()), (vec![50_000, 50_000], 50_000));
        assert_eq!(split.amount.add(left).units(), 1_000_003);
        assert_eq!(split.rows[0].fee_bps.points(), 500);
    }

    #[test]
    fn an_epoch_without_work_is_left_whole() {
        let cap = BasisPoints::new(500).unwrap();
        let (split, left) = budget(1000, &[]).split(cap, &work(&[(1, 0)]));
        assert_eq!((split.amount.units(), split.rows.len(), left.units()), (0, 0, 1000));
    }

    #[test]
    fn a_budget_too_small_to_pay_anybody_is_left_whole() {
        let cap = BasisPoints::new(500).unwrap();
        let (split, left) = budget(19, &[]).split(cap, &work(&[(1, 5), (2, 5)]));
        assert_eq!((split.amount.units(), left.units()), (0, 19));
    }
}

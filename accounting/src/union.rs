//! Pools that mine one coin by different hashes, and share every block: each has its own window and its stated part of the
//! reward, whichever of them found it.
//!
//! Shares of different hashes cannot be added up, so they never are: money is divided by parts first, and each part by one
//! window's work.
//!
//! Invariant: the parts sum exactly to what was divided; a window without work gives its part to the window of the pool that
//! found the block, and where that has none either, to the finder.

use crate::Amount;
use crate::fee::BasisPoints;
use crate::id::{AccountId, PoolId};
use crate::scheme::Scheme;
use crate::share::WeightSum;
use crate::split::{Split, SplitRow, fee_of, split};
use crate::window::WindowTable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a pool has of each block of its union, beside others' parts: 50 of 50 + 25 + 25 is half.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Part(u32);

impl Part {
    /// Parts are between 1 and a million, so that sums stay small.
    #[must_use]
    pub const fn new(part: u32) -> Option<Self> {
        if part > 0 && part <= 1_000_000 { Some(Part(part)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// On which terms a block is shared: fixed, with the block, when it is found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// The part of the pool that found it.
    pub part: Part,
    /// The others'.
    pub beside: Vec<TermsBeside>,
}

/// The terms of a pool of the union beside the one that found the block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TermsBeside {
    /// Which pool.
    pub pool: PoolId,
    /// Its part.
    pub part: Part,
    /// Its rule.
    pub scheme: Scheme,
    /// The work of a block by its hash.
    pub network_work: WeightSum,
}

/// How a block is shared in a union.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shared {
    /// The part of the pool that found it.
    pub part: Part,
    /// The others.
    pub beside: Vec<Beside>,
}

/// A pool of the union beside the one that found the block, with its frozen window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beside {
    /// Which pool.
    pub pool: PoolId,
    /// Its part.
    pub part: Part,
    /// Its rule.
    pub scheme: Scheme,
    /// The work of a block by its hash.
    pub network_work: WeightSum,
    /// Its window at the block.
    pub window: WindowTable,
}

impl Shared {
    /// Divides a reward of which `own` is the window of the pool that found the block.
    #[must_use]
    pub fn split(
        &self,
        amount: Amount,
        finder: AccountId,
        own: &[(AccountId, WeightSum)],
        fee: impl Fn(AccountId) -> BasisPoints,
    ) -> Split {
        let others: Vec<Claim<'_>> =
            self.beside.iter().map(|b| Claim { part: b.part, work: &b.window.rows }).collect();
        split_union(amount, finder, Claim { part: self.part, work: own }, &others, fee)
    }
}

/// One window's work, ascending by account, and its part.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The part.
    pub part: Part,
    /// The work; may be none.
    pub work: &'a [(AccountId, WeightSum)],
}

/// Divides a reward: by parts, then each part by its window's work, then the fee is taken off what each account gets in all.
/// A row's weight is the work in the window of the pool that found the block.
///
/// # Panics
/// When the amount is negative.
#[must_use]
pub fn split_union(
    amount: Amount,
    finder: AccountId,
    own: Claim<'_>,
    others: &[Claim<'_>],
    fee: impl Fn(AccountId) -> BasisPoints,
) -> Split {
    let finder_alone = [(finder, 1)];
    let own_work = if own.work.is_empty() { finder_alone.as_slice() } else { own.work };
    let parts = amounts(amount, own.part, others);
    let mut gross: BTreeMap<AccountId, Amount> = BTreeMap::new();
    let windows = std::iter::once(own_work).chain(others.iter().map(|claim| claim.work));
    for (work, amount) in windows.zip(parts) {
        if !amount.is_positive() {
            continue;
        }
        for row in split(amount, work, |_| BasisPoints::ZERO).rows {
            let sum = gross.entry(row.account).or_default();
            *sum = sum.add(row.gross);
        }
    }
    let weight = |account| {
        let at = own.work.binary_search_by_key(&account, |(known, _)| *known);
        at.ok().and_then(|at| own.work.get(at)).map_or(0, |(_, work)| *work)
    };
    let rows: Vec<SplitRow> = gross
        .into_iter()
        .map(|(account, gross)| {
            let fee_bps = fee(account);
            let fee = fee_of(gross, fee_bps);
            SplitRow { account, weight: weight(account), gross, fee_bps, fee, net: gross.sub(fee) }
        })
        .collect();
    let split = Split { amount, fees: rows.iter().map(|row| row.fee).sum(), rows };
    assert!(split.is_exact(), "a union's split sums to its amount");
    split
}

/// What each window gets: first the finder's, then the others in their order. Units that do not divide go to the largest
/// remainders, ties to the earlier.
fn amounts(amount: Amount, own: Part, others: &[Claim<'_>]) -> Vec<Amount> {
    let with_work = |claim: &Claim<'_>| if claim.work.is_empty() { 0 } else { claim.part.get() };
    let idle: u32 =
        others.iter().map(|claim| claim.part.get().saturating_sub(with_work(claim))).sum();
    let own = u128::from(own.get()).saturating_add(idle.into());
    let parts: Vec<(AccountId, WeightSum)> = std::iter::once(own)
        .chain(others.iter().map(|claim| with_work(claim).into()))
        .zip(0u64..)
        .map(|(part, at)| (AccountId(at), part))
        .collect();
    let paid: Vec<_> = parts.iter().copied().filter(|(_, part)| *part > 0).collect();
    let mut amounts = vec![Amount::ZERO; parts.len()];
    for row in split(amount, &paid, |_| BasisPoints::ZERO).rows {
        let at = usize::try_from(row.account.0).ok();
        if let Some(place) = at.and_then(|at| amounts.get_mut(at)) {
            *place = row.gross;
        }
    }
    amounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FINDER: AccountId = AccountId(1);

    fn part(n: u32) -> Part {
        Part::new(n).unwrap()
    }

    fn work(rows: &[(u64, u128)]) -> Vec<(AccountId, WeightSum)> {
        rows.iter().map(|(account, work)| (AccountId(*account), *work)).collect()
    }

    fn nets(split: &Split) -> Vec<(u64, i128)> {
        split.rows.iter().map(|row| (row.account.0, row.net.units())).collect()
    }

    fn none(_: AccountId) -> BasisPoints {
        BasisPoints::ZERO
    }

    #[test]
    fn each_window_has_its_part_however_much_more_work_another_has() {
        let (own, other) =
            (work(&[(1, 1), (2, 1)]), work(&[(2, 1_000_000_000), (3, 3_000_000_000)]));
        let own = Claim { part: part(50), work: &own };
        let other = Claim { part: part(50), work: &other };
        let split = split_union(Amount::from_units(1000), FINDER, own, &[other], none);
        assert_eq!(nets(&split), [(1, 250), (2, 375), (3, 375)]);
        let weights: Vec<u128> = split.rows.iter().map(|row| row.weight).collect();
        assert_eq!(weights, [1, 1, 0], "the finder's window, for people");
    }

    #[test]
    fn an_empty_windows_part_goes_to_the_finders_window() {
        let own = work(&[(1, 1), (2, 3)]);
        let own = Claim { part: part(20), work: &own };
        let idle = Claim { part: part(60), work: &[] };
        let other = work(&[(9, 5)]);
        let other = Claim { part: part(20), work: &other };
        let split = split_union(Amount::from_units(1000), FINDER, own, &[idle, other], none);
        assert_eq!(nets(&split), [(1, 200), (2, 600), (9, 200)]);
    }

    #[test]
    fn where_the_finders_window_is_empty_its_part_is_the_finders() {
        let own = Claim { part: part(1), work: &[] };
        let other = work(&[(9, 5)]);
        let other = Claim { part: part(1), work: &other };
        let split = split_union(Amount::from_units(10), FINDER, own, &[other], none);
        assert_eq!(nets(&split), [(1, 5), (9, 5)]);
    }

    #[test]
    fn the_fee_is_taken_once_off_what_an_account_gets_in_all() {
        let rows = work(&[(7, 1)]);
        let claim = Claim { part: part(1), work: &rows };
        let fee = |_| BasisPoints::new(100).unwrap();
        let split = split_union(Amount::from_units(199), FINDER, claim, &[claim], fee);
        assert_eq!((split.fees.units(), nets(&split)), (1, vec![(7, 198)]));
    }

    fn window() -> impl Strategy<Value = BTreeMap<u64, u64>> {
        proptest::collection::btree_map(0..20u64, 1..u64::MAX, 0..8)
    }

    proptest! {
        #[test]
        fn it_sums_whatever_is_divided(
            amount in 0..i64::MAX,
            own in (1..=1_000_000u32, window()),
            others in proptest::collection::vec((1..=1_000_000u32, window()), 0..4),
            fee in 0..=10_000u16,
        ) {
            let rows = |window: &BTreeMap<u64, u64>| -> Vec<(AccountId, WeightSum)> {
                window.iter().map(|(a, w)| (AccountId(*a), WeightSum::from(*w))).collect()
            };
            let own_rows = rows(&own.1);
            let other_rows: Vec<_> = others.iter().map(|(_, window)| rows(window)).collect();
            let own = Claim { part: part(own.0), work: &own_rows };
            let claims: Vec<Claim<'_>> = others
                .iter()
                .zip(&other_rows)
                .map(|((n, _), rows)| Claim { part: part(*n), work: rows })
                .collect();
            let fee = |_| BasisPoints::new(fee).unwrap();
            let split = split_union(Amount::from_units(amount.into()), FINDER, own, &claims, fee);
            prop_assert!(split.is_exact());
            prop_assert!(split.rows.is_sorted_by(|a, b| a.account < b.account));
        }

        #[test]
        fn alone_it_is_the_plain_split(amount in 0..i64::MAX, rows in window()) {
            let rows: Vec<_> =
                rows.iter().map(|(a, w)| (AccountId(*a), WeightSum::from(*w))).collect();
            prop_assume!(!rows.is_empty());
            let amount = Amount::from_units(amount.into());
            let claim = Claim { part: part(3), work: &rows };
            let plain = split(amount, &rows, none);
            let found = split_union(amount, FINDER, claim, &[], none);
            let of = |split: &Split| -> Vec<_> {
                let paid = split.rows.iter().filter(|row| row.gross.is_positive());
                paid.map(|row| (row.account, row.weight, row.net)).collect()
            };
            prop_assert_eq!(of(&found), of(&plain));
        }
    }
}

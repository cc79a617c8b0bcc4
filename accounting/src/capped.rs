//! A budget divided by work, with a ceiling for each: what is above flows to the others (water-filling).
//!
//! Invariant: parts, fee and what is left over sum exactly to the budget; nobody gets more than the ceiling; more work never
//! earns less; the order of the rows does not matter.

use crate::Amount;
use crate::fee::BasisPoints;
use crate::ratio::{mul_div_floor, part_and_remainder};
use crate::share::WeightSum;
use crate::split::fee_of;
use ruint::aliases::U256;
use std::cmp::Reverse;

/// A budget divided: `budget = Σ parts + fee + left`, exactly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CappedSplit<K> {
    /// What was divided.
    pub budget: Amount,
    /// What the pool keeps, taken first.
    pub fee: Amount,
    /// The most that one may get.
    pub ceiling: Amount,
    /// What each gets, ascending by key; those without work are not in it.
    pub parts: Vec<(K, Amount)>,
    /// What nobody may get, or nobody worked for: part of the next budget.
    pub left: Amount,
}

/// Divides `budget` by work: the fee first, then by proportion, nobody above `cap` of the whole budget. Units left over by rounding
/// go one each to the largest remainders, ties to the lower key.
///
/// # Panics
/// When `budget` is negative or a key is there twice.
#[must_use]
pub fn split_capped<K: Ord + Copy>(
    budget: Amount,
    fee: BasisPoints,
    cap: BasisPoints,
    work: &[(K, WeightSum)],
) -> CappedSplit<K> {
    let fee = fee_of(budget, fee);
    let net = budget.sub(fee).unsigned();
    let ceiling = mul_div_floor(budget.unsigned(), cap.points().into(), BasisPoints::ALL.into())
        .expect("a part of the budget");
    let mut rows: Vec<(K, WeightSum)> =
        work.iter().copied().filter(|(_, work)| *work > 0).collect();
    rows.sort_unstable_by_key(|(key, work)| (Reverse(*work), *key));
    let capped = full(&rows, net, ceiling);
    let (above, below) = rows.split_at(capped);
    let mut parts: Vec<(K, u128)> = above.iter().map(|(key, _)| (*key, ceiling)).collect();
    let given = ceiling.checked_mul(count(capped)).expect("no more than the net budget");
    let rest = net.checked_sub(given).expect("ceilings are only given while they are covered");
    parts.extend(proportional(below, rest));
    parts.sort_unstable_by_key(|(key, _)| *key);
    let unique = parts.is_sorted_by(|a, b| a.0 < b.0);
    assert!(unique, "each is listed once");
    let parts: Vec<(K, Amount)> =
        parts.into_iter().map(|(key, part)| (key, amount(part))).collect();
    let paid: Amount = parts.iter().map(|(_, part)| *part).sum();
    let left = budget.sub(fee).sub(paid);
    let split = CappedSplit { budget, fee, ceiling: amount(ceiling), parts, left };
    assert!(split.is_exact(), "a budget is divided to the unit");
    split
}

impl<K> CappedSplit<K> {
    /// Do the parts sum to the whole, none above the ceiling?
    #[must_use]
    pub fn is_exact(&self) -> bool {
        let paid: Amount = self.parts.iter().map(|(_, part)| *part).sum();
        paid.add(self.fee).add(self.left) == self.budget
            && self.left >= Amount::ZERO
            && self.parts.iter().all(|(_, part)| *part <= self.ceiling)
    }
}

/// How many of the hardest workers get the ceiling.
#[expect(clippy::arithmetic_side_effects, reason = "products of 128 bits in 256")]
fn full<K>(rows: &[(K, WeightSum)], net: u128, ceiling: u128) -> usize {
    let mut others = total(rows);
    let mut rest = net;
    for (at, (_, work)) in rows.iter().enumerate() {
        // Would the proportion of what is left exceed the ceiling?
        let is_above =
            U256::from(rest) * U256::from(*work) > U256::from(ceiling) * U256::from(others);
        let Some(after) = rest.checked_sub(ceiling).filter(|_| is_above) else { return at };
        rest = after;
        others = others.saturating_sub(*work);
    }
    rows.len()
}

fn proportional<K: Ord + Copy>(rows: &[(K, WeightSum)], rest: u128) -> Vec<(K, u128)> {
    let total = total(rows);
    let mut quotas: Vec<(K, u128, u128)> = rows
        .iter()
        .map(|(key, work)| {
            let (quota, remainder) = part_and_remainder(rest, *work, total);
            (*key, quota, remainder)
        })
        .collect();
    let given: u128 = quotas.iter().map(|(_, quota, _)| *quota).sum();
    let missing = if rows.is_empty() { 0 } else { rest.saturating_sub(given) };
    quotas.sort_unstable_by_key(|(key, _, remainder)| (Reverse(*remainder), *key));
    let missing = usize::try_from(missing).expect("fewer units are left than there are rows");
    for (_, quota, _) in quotas.iter_mut().take(missing) {
        *quota = quota.saturating_add(1);
    }
    quotas.into_iter().map(|(key, quota, _)| (key, quota)).collect()
}

fn total<K>(rows: &[(K, WeightSum)]) -> WeightSum {
    let sum = rows.iter().try_fold(0, |sum: WeightSum, (_, work)| sum.checked_add(*work));
    sum.expect("all work there ever was fits")
}

fn count(of: usize) -> u128 {
    u128::try_from(of).expect("a count fits")
}

fn amount(units: u128) -> Amount {
    Amount::from_units(i128::try_from(units).expect("a part of an amount"))
}

//! Budgets divided with a ceiling: the documents' own examples, and every sum exact.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::capped::{CappedSplit, split_capped};
use accounting::{Amount, BasisPoints};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

fn bps(points: u16) -> BasisPoints {
    BasisPoints::new(points).unwrap()
}

fn units(split: &CappedSplit<u32>, key: u32) -> i128 {
    split.parts.iter().find(|(k, _)| *k == key).map_or(0, |(_, part)| part.units())
}

const TAO: Amount = Amount::from_units(1_000_000_000);

#[test]
fn thirteen_point_one_reputation_of_a_thousand_is_13_100_000_rao() {
    let others: Vec<(u32, u128)> = (1..100).map(|key| (key, 10_000_000 - 31_314)).collect();
    let rest: u128 = others.iter().map(|(_, work)| work).sum();
    let mut work = others;
    work.push((0, 13_100_000));
    work.push((100, 1_000_000_000 - 13_100_000 - rest));
    let split = split_capped(TAO, BasisPoints::ZERO, bps(500), &work);
    assert_eq!(units(&split, 0), 13_100_000);
    assert_eq!(split.left, Amount::ZERO);
}

#[test]
fn the_fee_comes_first() {
    let mut work: Vec<(u32, u128)> = (2..200).map(|key| (key, 24_500_000)).collect();
    work.extend([(0, 50_000_000), (1, 21_000_000)]);
    let rest = 5_000_000_000 - work.iter().map(|(_, work)| work).sum::<u128>();
    work.push((200, rest));
    let split = split_capped(TAO, bps(500), bps(500), &work);
    assert_eq!((units(&split, 0), units(&split, 1)), (9_500_000, 3_990_000));
    assert_eq!(split.fee.units(), 50_000_000);
}

#[test]
fn what_is_above_the_ceiling_flows_to_the_others() {
    // One did half of all; thirty others did the rest: 50 for the one, the other 950 equally.
    let mut work: Vec<(u32, u128)> = (1..31).map(|key| (key, 1)).collect();
    work.push((0, 30));
    let split = split_capped(Amount::from_units(1000), BasisPoints::ZERO, bps(500), &work);
    assert_eq!(units(&split, 0), 50);
    assert_eq!((units(&split, 1), units(&split, 30)), (32, 31));
    assert_eq!(split.left, Amount::ZERO);
}

#[test]
fn too_few_for_the_budget_leave_it_for_the_next() {
    let split = split_capped(TAO, bps(500), bps(500), &[(1u32, 5), (2, 1)]);
    assert_eq!(units(&split, 1), 50_000_000);
    assert_eq!(units(&split, 2), 50_000_000);
    assert_eq!(split.left.units(), 850_000_000);
    let idle = split_capped(TAO, bps(500), bps(500), &[(1u32, 0)]);
    assert!(idle.parts.is_empty());
    assert_eq!(idle.left.units(), 950_000_000);
}

fn rows() -> impl Strategy<Value = Vec<(u32, u128)>> {
    let work = prop_oneof![0u128..4, 0u128..2_000_000, any::<u64>().prop_map(u128::from)];
    prop::collection::btree_map(0u32..500, work, 0..60).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn any_budget_is_divided_to_the_unit(
        rows in rows(), budget in 0i128..(1 << 64), fee in 0u16..=10_000, cap in 0u16..=10_000
    ) {
        let budget = Amount::from_units(budget);
        let split = split_capped(budget, bps(fee), bps(cap), &rows);
        prop_assert!(split.is_exact());
        let mut backwards = rows.clone();
        backwards.reverse();
        prop_assert_eq!(&split_capped(budget, bps(fee), bps(cap), &backwards), &split);
        let part = |key: u32| units(&split, key);
        for a in &rows {
            for b in &rows {
                // More work never earns less.
                prop_assert!(a.1 <= b.1 || part(a.0) >= part(b.0));
            }
        }
        // Something is left only when everybody is at the ceiling.
        let earners = rows.iter().filter(|row| row.1 > 0);
        prop_assert!(split.left == Amount::ZERO
            || earners.clone().all(|row| part(row.0) == split.ceiling.units()));
    }
}

//! What must hold of every split, whatever the numbers.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::split::split;
use accounting::{AccountId, Amount, BasisPoints};
use proptest::prelude::*;

fn work() -> impl Strategy<Value = Vec<(AccountId, u128)>> {
    let weight = prop_oneof![1u128..10, 1u128..1_000_000, (1u128 << 60)..(1u128 << 100)];
    prop::collection::vec(weight, 1..40).prop_map(|weights| {
        weights.into_iter().enumerate().map(|(i, w)| (AccountId(i as u64 * 3 + 1), w)).collect()
    })
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![0i128..100, 0i128..5_000_000_000, (1i128 << 90)..(1i128 << 100)]
        .prop_map(Amount::from_units)
}

fn fee_of(account: AccountId) -> BasisPoints {
    BasisPoints::new((account.0 * 37 % 10_001) as u16).unwrap()
}

fn nets(amount: Amount, work: &[(AccountId, u128)]) -> Vec<i128> {
    split(amount, work, |_| BasisPoints::ZERO).rows.iter().map(|row| row.net.units()).collect()
}

proptest! {
    #[test]
    fn parts_and_fees_sum_exactly_to_the_reward(amount in amount(), work in work()) {
        let split = split(amount, &work, fee_of);
        prop_assert!(split.is_exact());
        prop_assert!(split.rows.iter().all(|row| row.net >= Amount::ZERO && row.fee >= Amount::ZERO));
    }

    #[test]
    fn every_part_is_within_one_unit_of_its_exact_quota(amount in amount(), work in work()) {
        let total: u128 = work.iter().map(|(_, w)| w).sum();
        for (net, (_, weight)) in nets(amount, &work).into_iter().zip(&work) {
            use ruint::aliases::U256;
            let floor = U256::from(amount.unsigned()) * U256::from(*weight) / U256::from(total);
            let floor = i128::try_from(floor).unwrap();
            prop_assert!(net == floor || net == floor + 1, "{net} for {floor}");
        }
    }

    #[test]
    fn more_weight_in_one_window_never_earns_less(amount in amount(), work in work()) {
        let parts = nets(amount, &work);
        for (i, a) in work.iter().enumerate() {
            for (j, b) in work.iter().enumerate() {
                prop_assert!(a.1 <= b.1 || parts[i] >= parts[j]);
            }
        }
    }

    #[test]
    fn adding_weight_to_one_account_never_lowers_its_part(amount in amount(), work in work(), at: prop::sample::Index, more in 1u128..1_000_000) {
        let at = at.index(work.len());
        let before = nets(amount, &work)[at];
        let mut grown = work.clone();
        grown[at].1 += more;
        prop_assert!(nets(amount, &grown)[at] >= before);
    }

    #[test]
    fn the_order_of_equal_miners_changes_nobody_by_more_than_one_unit(amount in amount(), mut work in work()) {
        let before: i128 = nets(amount, &work).iter().sum();
        let weights: Vec<u128> = work.iter().rev().map(|(_, w)| *w).collect();
        let forward = nets(amount, &work);
        for (entry, weight) in work.iter_mut().zip(weights) {
            entry.1 = weight;
        }
        let backward = nets(amount, &work);
        prop_assert_eq!(before, backward.iter().sum::<i128>());
        for (a, b) in forward.iter().zip(backward.iter().rev()) {
            prop_assert!((a - b).abs() <= 1);
        }
    }

    #[test]
    fn a_worker_split_in_two_earns_the_same_within_one_unit(amount in amount(), work in work(), at: prop::sample::Index) {
        let at = at.index(work.len());
        prop_assume!(work[at].1 >= 2);
        let whole = nets(amount, &work)[at];
        let mut divided = work.clone();
        let half = divided[at].1 / 2;
        divided[at].1 -= half;
        divided.insert(at + 1, (AccountId(divided[at].0.0 + 1), half));
        let parts = nets(amount, &divided);
        prop_assert!((parts[at] + parts[at + 1] - whole).abs() <= 1);
    }
}

#[test]
fn a_million_accounts_are_split_exactly_and_a_single_giant_gets_its_due() {
    let mut work: Vec<(AccountId, u128)> =
        (1..=1_000_000).map(|i| (AccountId(i), u128::from(i % 97 + 1))).collect();
    work[500_000].1 = 1 << 90;
    let amount = Amount::from_units(312_500_000);
    let split = split(amount, &work, |_| BasisPoints::new(100).unwrap());
    assert!(split.is_exact());
    assert_eq!(split.rows.len(), 1_000_000);
    assert_eq!(
        split.rows[500_000].gross, amount,
        "the giant's remainder is the largest, and dust has none"
    );
}

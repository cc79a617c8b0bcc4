//! The one place where money is divided.
//!
//! Invariant: the parts sum exactly to what was divided; the order of shares does not matter; more weight never earns
//! less; nothing depends on anything but the arguments.

use crate::Amount;
use crate::fee::BasisPoints;
use crate::id::{AccountId, AssetId, RateId};
use crate::ledger::{Kind, SetKey, Transfer, TransferSet};
use crate::rate::Rate;
use crate::ratio::{mul_div_floor, part_and_remainder};
use crate::share::WeightSum;
use crate::slice::Slice;
use ruint::Uint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One account's part of a reward.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SplitRow {
    /// Who.
    pub account: AccountId,
    /// Their work in the window.
    pub weight: WeightSum,
    /// Their part before the fee.
    pub gross: Amount,
    /// The fee in force for them, frozen here.
    pub fee_bps: BasisPoints,
    /// What the pool keeps of their part.
    pub fee: Amount,
    /// What they are credited.
    pub net: Amount,
}

/// A reward divided: `amount = Σ net + fees`, exactly.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Split {
    /// What was divided.
    pub amount: Amount,
    /// What the pool keeps.
    pub fees: Amount,
    /// By account, ascending.
    pub rows: Vec<SplitRow>,
}

/// Divides `amount` by work: each part is its exact quota rounded down, and the units left over go one each to the
/// largest remainders, ties to the lower account number. The fee is then taken off each part, rounded down.
///
/// `work` has one entry per account, ascending, none zero; `fee` says what each account pays.
///
/// # Panics
/// When `work` is empty or unsorted, or `amount` is negative.
#[must_use]
pub fn split(
    amount: Amount,
    work: &[(AccountId, WeightSum)],
    fee: impl Fn(AccountId) -> BasisPoints,
) -> Split {
    assert!(!work.is_empty(), "a reward is split over at least one account");
    assert!(work.is_sorted_by(|a, b| a.0 < b.0), "work is listed once per account, ascending");
    let mut division = Division::default();
    let quotas = division.of(amount.unsigned(), work.iter().map(|(_, weight)| *weight));
    let rows: Vec<SplitRow> = work
        .iter()
        .zip(quotas)
        .map(|((account, weight), gross)| row(*account, *weight, gross, fee(*account)))
        .collect();
    let fees = rows.iter().map(|row| row.fee).sum();
    let split = Split { amount, fees, rows };
    assert!(split.is_exact(), "a split sums to its amount");
    split
}

impl Split {
    /// Do the parts sum to the whole?
    #[must_use]
    pub fn is_exact(&self) -> bool {
        let net: Amount = self.rows.iter().map(|row| row.net).sum();
        let fees: Amount = self.rows.iter().map(|row| row.fee).sum();
        net.add(fees) == self.amount && fees == self.fees
    }

    /// A non-custodial solo block: the coinbase itself paid the finder, the rest came to the pool as its fee.
    #[must_use]
    pub fn of_solo_coinbase(
        finder: AccountId,
        to_finder: Amount,
        to_pool: Amount,
        fee_bps: BasisPoints,
    ) -> Split {
        let amount = to_finder.add(to_pool);
        let row = SplitRow {
            account: finder,
            weight: 1,
            gross: amount,
            fee_bps,
            fee: to_pool,
            net: to_finder,
        };
        Split { amount, fees: to_pool, rows: vec![row] }
    }
}

fn row(account: AccountId, weight: WeightSum, gross: u128, fee_bps: BasisPoints) -> SplitRow {
    let gross =
        Amount::from_units(i128::try_from(gross).expect("a part of an amount is an amount"));
    let fee = fee_of(gross, fee_bps);
    SplitRow { account, weight, gross, fee_bps, fee, net: gross.sub(fee) }
}

/// The fee on an amount, rounded down in the miner's favour.
#[must_use]
pub fn fee_of(gross: Amount, fee: BasisPoints) -> Amount {
    let units = mul_div_floor(gross.unsigned(), fee.points().into(), BasisPoints::ALL.into());
    Amount::from_units(
        i128::try_from(units.expect("a fee is at most the whole")).expect("a part of an amount"),
    )
}

/// Divides a transaction fee among those who are paid, in proportion to what they are paid, by the same rule as a reward.
///
/// # Panics
/// When `amounts` is empty or none is positive.
#[must_use]
pub fn divide_fee(fee: Amount, amounts: &[Amount]) -> Vec<Amount> {
    let indexed = amounts.iter().zip(0u64..).map(|(amount, at)| (AccountId(at), amount.unsigned()));
    let work: Vec<(AccountId, WeightSum)> = indexed.collect();
    split(fee, &work, |_| BasisPoints::ZERO).rows.iter().map(|row| row.net).collect()
}

/// Divides units by weights: each part is its exact quota rounded down, and the units left over go one each to the largest
/// remainders, ties to the earlier. Keeps its memory, so that whoever divides a million times allocates once.
#[derive(Debug, Clone, Default)]
pub struct Division {
    /// Part and remainder.
    quotas: Vec<(u128, u128)>,
    order: Vec<usize>,
}

impl Division {
    /// The parts, in the order of the weights; they sum to `units`.
    ///
    /// # Panics
    /// When there are units but no weight, or the weights sum to 2^128.
    pub fn of(
        &mut self,
        units: u128,
        weights: impl Iterator<Item = WeightSum> + Clone,
    ) -> impl Iterator<Item = u128> + '_ {
        let total = weights
            .clone()
            .try_fold(0, |sum: WeightSum, weight| sum.checked_add(weight))
            .expect("work stays below 2^128");
        self.quotas.clear();
        self.quotas.extend(weights.map(|weight| part_and_remainder(units, weight, total)));
        let given = self
            .quotas
            .iter()
            .try_fold(0u128, |sum, (part, _)| sum.checked_add(*part))
            .expect("parts sum to at most the whole");
        let left = usize::try_from(units.saturating_sub(given))
            .expect("fewer units are left over than there are parts");
        self.order_by_remainder(left);
        for at in &self.order {
            let quota = self.quotas.get_mut(*at).expect("an index of the list");
            quota.0 = quota.0.saturating_add(1);
        }
        self.quotas.iter().map(|(part, _)| *part)
    }

    /// Leaves in `order` the positions of the `count` largest remainders; among equals the earlier.
    fn order_by_remainder(&mut self, count: usize) {
        let Division { quotas, order } = self;
        order.clear();
        if count == 0 {
            return;
        }
        order.extend(0..quotas.len());
        let key = |&at: &usize| {
            (std::cmp::Reverse(quotas.get(at).map_or(0, |(_, remainder)| *remainder)), at)
        };
        if count < order.len() {
            order.select_nth_unstable_by_key(count, key);
            order.truncate(count);
        }
    }
}

/// As [`Division::of`], once.
///
/// # Panics
/// As [`Division::of`].
#[must_use]
pub fn divide(units: u128, weights: &[WeightSum]) -> Vec<u128> {
    Division::default().of(units, weights.iter().copied()).collect()
}

/// One part, rounded down: what [`divide`] gives at least.
///
/// # Panics
/// When `weight` exceeds `total`, or `total` is zero.
#[must_use]
pub fn part_of(units: u128, weight: WeightSum, total: WeightSum) -> u128 {
    part_and_remainder(units, weight, total).0
}

/// The part of a smallest unit that an account is still owed, in 2^-64 units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Carry(pub u64);

/// What one account is paid for one slice under PPS or FPPS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceCredit {
    /// Who.
    pub account: AccountId,
    /// The fee in force for them, frozen here.
    pub fee_bps: BasisPoints,
    /// What they are credited now, from the bankroll.
    pub net: Amount,
    /// What was carried in from the slice before.
    pub carry_before: Carry,
    /// What is carried on: less than one unit.
    pub carry_after: Carry,
}

/// Pays a closed slice at the rates its shares named: `Σ weight × value / network_work × (1 − fee)` per account, in 2^-64
/// units with what was carried in, rounded down to whole units; the rest is carried on.
///
/// # Panics
/// When a rate is missing: the rates of a slice are stored before its shares are.
#[must_use]
pub fn pay_slice(
    slice: &Slice,
    rates: &BTreeMap<RateId, Rate>,
    carry: impl Fn(AccountId) -> Carry,
    fee: impl Fn(AccountId) -> BasisPoints,
) -> Vec<SliceCredit> {
    let mut credits: Vec<SliceCredit> = Vec::new();
    for rows in slice.rows.chunk_by(|a, b| a.account == b.account) {
        let Some(account) = rows.first().map(|row| row.account) else { continue };
        let fee_bps = fee(account);
        let carry_before = carry(account);
        let value: u128 = rows
            .iter()
            // Shares without a rate were not bought: the pool had another scheme when they came.
            .filter_map(|row| Some((row.tally.weight, rates.get(&row.rate)?)))
            .map(|(weight, rate)| fractional_value(weight, rate, fee_bps))
            .fold(carry_before.0.into(), |sum: u128, value| {
                sum.checked_add(value).expect("a slice is worth less than 2^64 units")
            });
        let net = Amount::from_units(i128::try_from(value >> 64).expect("64 bits fit"));
        let carry_after =
            Carry(u64::try_from(value & u128::from(u64::MAX)).expect("masked to 64 bits"));
        credits.push(SliceCredit { account, fee_bps, net, carry_before, carry_after });
    }
    credits
}

/// The transfers that buy a slice: from the bankroll to each account that is credited something.
#[must_use]
pub fn purchase(slice: &Slice, asset: AssetId, credits: &[SliceCredit]) -> TransferSet {
    let paid = credits.iter().filter(|credit| credit.net.is_positive());
    let transfers = paid.map(|credit| Transfer {
        debit: Kind::Bankroll,
        credit: Kind::Account(credit.account),
        amount: credit.net,
    });
    let key = SetKey::Slice { pool: slice.pool, no: slice.no };
    TransferSet { key, asset, transfers: transfers.collect() }
}

/// What so much work costs the bankroll at most, fee not taken off, rounded up: for refusing before it is overdrawn.
///
/// # Panics
/// When the value does not fit an amount.
#[must_use]
pub fn exposure(weight: WeightSum, rate: &Rate) -> Amount {
    let units = mul_div_floor(weight, rate.value.unsigned(), rate.network_work)
        .expect("worth less than 2^127 units");
    Amount::from_units(i128::try_from(units).expect("worth less than 2^127 units")).add(Amount::ONE)
}

/// `weight × value / network_work × (1 − fee)` in 2^-64 units, rounded down.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "128 + 127 + 14 + 64 bits fit 512; the divisor is positive"
)]
fn fractional_value(weight: WeightSum, rate: &Rate, fee: BasisPoints) -> u128 {
    type U512 = Uint<512, 8>;
    assert!(rate.network_work > 0, "a block takes work");
    let gross = U512::from(weight) * U512::from(rate.value.unsigned());
    let net = (gross * U512::from(fee.complement())) << 64;
    let divisor = U512::from(rate.network_work) * U512::from(BasisPoints::ALL);
    u128::try_from(net / divisor).expect("a slice is worth less than 2^64 units")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{PoolId, ShareSeq, SliceNo};
    use crate::slice::{SliceRow, Tally};

    fn accounts(work: &[u128]) -> Vec<(AccountId, u128)> {
        work.iter().enumerate().map(|(i, w)| (AccountId(i as u64 + 1), *w)).collect()
    }

    fn none(_: AccountId) -> BasisPoints {
        BasisPoints::ZERO
    }

    fn nets(split: &Split) -> Vec<i128> {
        split.rows.iter().map(|row| row.net.units()).collect()
    }

    #[test]
    fn split_of_one_unit_goes_to_the_largest_remainder() {
        assert_eq!(nets(&split(Amount::ONE, &accounts(&[1, 3, 2]), none)), [0, 1, 0]);
    }

    #[test]
    fn ties_go_to_the_lower_account_number() {
        assert_eq!(nets(&split(Amount::from_units(2), &accounts(&[5, 5, 5]), none)), [1, 1, 0]);
    }

    #[test]
    fn the_fee_is_rounded_in_the_miners_favour() {
        let one_percent = BasisPoints::new(100).unwrap();
        let split = split(Amount::from_units(199), &accounts(&[1]), |_| one_percent);
        assert_eq!((split.fees.units(), nets(&split)), (1, vec![198]));
    }

    #[test]
    fn fees_differ_by_account_and_are_recorded() {
        let fee = |a: AccountId| BasisPoints::new(if a.0 == 1 { 1000 } else { 0 }).unwrap();
        let split = split(Amount::from_units(1000), &accounts(&[1, 1]), fee);
        assert_eq!(nets(&split), [450, 500]);
        assert_eq!(split.rows[0].fee_bps.points(), 1000);
    }

    fn slice(rows: &[(u64, u64, u128)]) -> Slice {
        let rows: Vec<SliceRow> = rows
            .iter()
            .map(|&(a, r, weight)| SliceRow {
                account: AccountId(a),
                rate: RateId(r),
                tally: Tally { weight, shares: 1 },
            })
            .collect();
        Slice {
            pool: PoolId(1),
            no: SliceNo(1),
            first: ShareSeq(1),
            last: ShareSeq(9),
            rows,
            total: Tally::default(),
            hash: [0; 32],
        }
    }

    #[test]
    fn a_slice_pays_each_rate_and_carries_the_fraction_on() {
        let rates = BTreeMap::from([
            (RateId(1), Rate { network_work: 3, value: Amount::from_units(10) }),
            (RateId(2), Rate { network_work: 2, value: Amount::from_units(1) }),
        ]);
        // 1×10/3 + 1×1/2 = 3.8333…
        let paid = pay_slice(&slice(&[(7, 1, 1), (7, 2, 1)]), &rates, |_| Carry(0), none);
        assert_eq!(paid.len(), 1);
        assert_eq!(paid[0].net.units(), 3);
        let carried = paid[0].carry_after;
        // the same again with the carry: 7.666… in all, so 4 more now
        let again = pay_slice(&slice(&[(7, 1, 1), (7, 2, 1)]), &rates, |_| carried, none);
        assert_eq!(again[0].net.units(), 4);
        assert_eq!(again[0].carry_before, carried);
    }

    #[test]
    fn mainnet_sized_works_and_wei_sized_values_do_not_overflow() {
        let rates = BTreeMap::from([(
            RateId(1),
            Rate { network_work: 1 << 80, value: Amount::from_units(2 << 61) },
        )]);
        let paid = pay_slice(&slice(&[(1, 1, 1 << 79)]), &rates, |_| Carry(0), none);
        assert_eq!(paid[0].net.units(), 1 << 61);
        assert_eq!(exposure(1 << 79, &rates[&RateId(1)]).units(), (1 << 61) + 1);
    }
}

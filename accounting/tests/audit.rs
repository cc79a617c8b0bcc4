//! What an auditor refuses, before and beside the arithmetic.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::audit::{
    Difference, Ruled, check_earned, check_link, check_reward, check_rule, check_slice,
    check_slice_fees,
};
use accounting::fee::{FeeRule, VolumeStep};
use accounting::membership::{Earned, MemberBlock, MemberPayment, Membership, Place, split_earned};
use accounting::reward::Reward;
use accounting::rule::{Rule, RuleSince};
use accounting::share::{ShareKey, Weight};
use accounting::slice::{OpenSlice, Slice};
use accounting::split::{Carry, SliceCredit, split};
use accounting::union::{Beside, Part, Shared};
use accounting::window::{SliceSource, SourcedSlice, WindowTable};
use accounting::{
    AccountId, Amount, AssetId, BasisPoints, PoolId, RateId, RewardId, Scheme, Share, ShareSeq,
    SliceNo, UnixMs, WorkerId,
};
use std::collections::BTreeMap;
use std::convert::Infallible;

fn share(account: u64) -> Share {
    Share {
        pool: PoolId(1),
        account: AccountId(account),
        worker: WorkerId(1),
        weight: Weight::new(5).unwrap(),
        rate: RateId(0),
        found_at: UnixMs(1),
        key: ShareKey([0; 32]),
    }
}

/// Shares at these places, and the slices that end after so many of them.
fn log(places: &[u64], ends: &[usize]) -> (Vec<(ShareSeq, Share)>, Vec<Slice>) {
    let shares: Vec<_> = places.iter().map(|place| (ShareSeq(*place), share(*place))).collect();
    let mut open = OpenSlice::after(PoolId(1), None);
    let mut slices = Vec::new();
    for (at, (seq, share)) in shares.iter().enumerate() {
        open.count(*seq, share);
        slices.extend(ends.contains(&(at + 1)).then(|| open.close()).flatten());
    }
    (shares, slices)
}

#[test]
fn a_share_between_two_slices_is_missed() {
    let (shares, slices) = log(&[1, 2, 5, 6], &[2, 4]);
    let after = |seq: u64| shares.iter().filter(move |(at, _)| at.0 > seq).cloned();
    assert_eq!(check_slice(&slices[1], Some(&slices[0]), after(2)), Ok(()));
    let forgotten = [(ShareSeq(4), share(9))].into_iter().chain(after(2));
    assert_eq!(
        check_slice(&slices[1], Some(&slices[0]), forgotten),
        Err(Difference::Slice(SliceNo(2)))
    );
}

#[test]
fn a_slice_begins_after_the_one_before_whatever_its_hash_says() {
    let (_, slices) = log(&[1, 2, 5, 6], &[2, 4]);
    assert_eq!(check_link(&slices[1], Some(&slices[0])), Ok(()));
    for (first, last) in [(2, 6), (6, 5)] {
        let mut moved = slices[1].clone();
        (moved.first, moved.last) = (ShareSeq(first), ShareSeq(last));
        moved.hash = moved.expected_hash(&slices[0].hash);
        let found = check_link(&moved, Some(&slices[0]));
        assert_eq!(found, Err(Difference::Slice(SliceNo(2))), "{first} {last}");
    }
}

struct Nothing;

impl SliceSource for Nothing {
    type Error = Infallible;

    fn slice(&mut self, _: SliceNo) -> Result<Option<SourcedSlice>, Infallible> {
        Ok(None)
    }
}

fn bp(points: u16) -> BasisPoints {
    BasisPoints::new(points).unwrap()
}

/// A block found at place 100, split between two accounts at one percent.
fn reward() -> Reward {
    let rows = vec![(AccountId(1), 3), (AccountId(2), 1)];
    let amount = Amount::from_units(1000);
    let split = split(amount, &rows, |_| bp(100));
    Reward {
        id: RewardId([1; 32]),
        pool: PoolId(1),
        asset: AssetId(1),
        height: 7,
        finder: AccountId(1),
        to_pool: amount,
        to_miners: Amount::ZERO,
        by_block: None,
        window_end: ShareSeq(100),
        as_of: ShareSeq(100),
        scheme: Scheme::Tides,
        network_work: 9,
        window: Some(WindowTable {
            through: SliceNo(1),
            from: SliceNo(1),
            oldest_part: (4, 4),
            rows,
        }),
        shared: None,
        budget: None,
        member: None,
        split: Some(split),
    }
}

fn rule(since: u64, scheme: Scheme, part: Option<u32>) -> RuleSince {
    let fee = FeeRule { base: bp(100), ..FeeRule::default() };
    let part = part.map(|part| Part::new(part).unwrap());
    let rule = Some(Rule { scheme, fee, part });
    RuleSince { since: ShareSeq(since), after_slice: SliceNo(0), rule }
}

fn rules<const N: usize>(own: [RuleSince; N]) -> BTreeMap<PoolId, Vec<RuleSince>> {
    BTreeMap::from([(PoolId(1), own.to_vec())])
}

#[test]
fn a_block_that_pays_less_than_nothing_is_a_difference_and_no_panic() {
    let mut reward = reward();
    reward.to_pool = Amount::from_units(-5);
    let found = check_reward(&reward, SliceNo(0), &mut Nothing);
    assert_eq!(found, Ok(Err(Difference::Negative)));
}

#[test]
fn a_block_is_split_by_the_rule_that_was_published_for_its_time() {
    let reward = reward();
    let by = |rules, before| check_rule(&reward, &rules, before);
    assert_eq!(by(rules([rule(0, Scheme::Tides, None)]), None), Ok(Ruled::ByRule));
    assert!(matches!(
        by(rules([rule(0, Scheme::Prop, None)]), None),
        Err(Difference::Scheme { published: Scheme::Prop, recorded: Scheme::Tides })
    ));
    // What a pool promises later is not what it promised then.
    let changed = rules([rule(0, Scheme::Prop, None), rule(100, Scheme::Tides, None)]);
    assert!(matches!(by(changed, None), Err(Difference::Scheme { .. })));
    assert_eq!(by(rules([rule(100, Scheme::Tides, None)]), None), Ok(Ruled::Unknown));
}

#[test]
fn only_the_first_block_after_a_change_can_be_of_work_from_before_it() {
    let changed = rules([rule(0, Scheme::Tides, None), rule(50, Scheme::Prop, None)]);
    let found = |before| check_rule(&reward(), &changed, before);
    assert_eq!(found(Some(ShareSeq(40))), Ok(Ruled::ByRuleBefore));
    assert!(matches!(found(Some(ShareSeq(60))), Err(Difference::Scheme { .. })));
}

#[test]
fn a_fee_that_was_never_promised_is_found() {
    let mut reward = reward();
    let published = rules([rule(0, Scheme::Tides, None)]);
    reward.split = Some(split(reward.to_pool, &[(AccountId(2), 1)], |_| bp(101)));
    let found = check_rule(&reward, &published, None);
    assert_eq!(found, Err(Difference::Fee { account: AccountId(2), fee: bp(101) }));
    let (_, slices) = log(&[1], &[1]);
    let credit = |points| SliceCredit {
        account: AccountId(1),
        fee_bps: bp(points),
        net: Amount::ONE,
        carry_before: Carry::default(),
        carry_after: Carry::default(),
    };
    let published = &published[&PoolId(1)];
    assert_eq!(check_slice_fees(&slices[0], published, &[credit(100)]), Ok(()));
    assert!(check_slice_fees(&slices[0], published, &[credit(99)]).is_err());
}

#[test]
fn a_discount_for_volume_that_was_not_due_is_found() {
    let mut promised = rule(0, Scheme::Tides, None);
    let half = VolumeStep { part: bp(5000), discount: bp(40) };
    promised.rule.as_mut().unwrap().fee.volume = vec![half];
    let published = rules([promised]);
    let found = |fees: [u16; 2]| {
        let mut reward = reward();
        let rows = reward.window.as_ref().unwrap().rows.clone();
        let fee = |account: AccountId| bp(fees[usize::from(account == AccountId(2))]);
        reward.split = Some(split(reward.to_pool, &rows, fee));
        check_rule(&reward, &published, None)
    };
    // Three quarters of the work are the first account's.
    assert_eq!(found([60, 100]), Ok(Ruled::ByRule));
    assert_eq!(found([100, 100]), Err(Difference::Fee { account: AccountId(1), fee: bp(100) }));
    assert_eq!(found([60, 60]), Err(Difference::Fee { account: AccountId(2), fee: bp(60) }));
}

#[test]
fn a_block_pays_the_pools_that_had_a_part_and_no_other() {
    let beside = |pool, part| Beside {
        pool: PoolId(pool),
        part: Part::new(part).unwrap(),
        scheme: Scheme::Tides,
        network_work: 9,
        window: WindowTable {
            through: SliceNo(0),
            from: SliceNo(0),
            oldest_part: (0, 0),
            rows: Vec::new(),
        },
    };
    let mut published = rules([rule(0, Scheme::Tides, Some(60))]);
    published.insert(PoolId(2), vec![rule(0, Scheme::Tides, Some(40))]);
    published.insert(PoolId(3), vec![rule(0, Scheme::Tides, None)]);
    let found = |own: Option<u32>, others: Vec<Beside>| {
        let part = own.map(|own| Part::new(own).unwrap());
        let shared = part.map(|part| Shared { part, beside: others });
        check_rule(&Reward { shared, ..reward() }, &published, None)
    };
    assert_eq!(found(Some(60), vec![beside(2, 40)]), Ok(Ruled::ByRule));
    for (own, others, stranger) in [
        (Some(61), vec![beside(2, 40)], 1),
        (Some(60), vec![beside(2, 41)], 2),
        (Some(60), vec![], 2),
        (None, vec![], 2),
        (Some(60), vec![beside(2, 40), beside(3, 1)], 3),
        (Some(60), vec![beside(2, 40), beside(77, 1)], 77),
        (Some(60), vec![beside(2, 40), beside(2, 40)], 2),
    ] {
        let text = format!("{own:?} {others:?}");
        assert_eq!(found(own, others), Err(Difference::Parts(PoolId(stranger))), "{text}");
    }
}

/// A block of a member that shares most of what it brought, found at a place.
fn member_block(id: u8, place: u64) -> Reward {
    let member =
        MemberBlock { rule: "{}".into(), script: vec![0x51], elsewhere: Amount::from_units(4000) };
    let member = Some(Membership::Block(member));
    Reward { id: RewardId([id; 32]), window_end: ShareSeq(place), member, ..reward() }
}

/// What two such blocks earned of a later one.
fn payment(parts: &[(u8, i128)]) -> Reward {
    let (first, second) = (member_block(1, 100), member_block(2, 100));
    let rows = |block: u8| if block == 1 { first.split.clone() } else { second.split.clone() };
    let amounts = |units: i128| Amount::from_units(units);
    let earned = |(block, units): &(u8, i128)| Earned {
        block: RewardId([*block; 32]),
        amount: amounts(*units),
    };
    let splits: Vec<_> =
        parts.iter().map(|(block, units)| (amounts(*units), rows(*block).unwrap())).collect();
    let splits: Vec<_> =
        splits.iter().map(|(amount, split)| (*amount, split.rows.as_slice())).collect();
    let split = split_earned(&splits, AccountId(1));
    let member = MemberPayment {
        rule: "{}".into(),
        script: vec![0x51],
        by: RewardId([7; 32]),
        output: 0,
        earned: parts.iter().map(earned).collect(),
        place: Place { block: RewardId([8; 32]), height: 120 },
    };
    Reward {
        id: RewardId([9; 32]),
        height: 9,
        to_pool: split.amount,
        window_end: ShareSeq(200),
        window: None,
        split: Some(split),
        member: Some(Membership::Payment(member)),
        ..reward()
    }
}

#[test]
fn a_payment_is_divided_as_the_blocks_that_earned_it_were() {
    let known = |id: RewardId| {
        [member_block(1, 100), member_block(2, 150)].into_iter().find(|block| block.id == id)
    };
    let honest = payment(&[(1, 700), (2, 301)]);
    assert_eq!(check_reward(&honest, SliceNo(0), &mut Nothing), Ok(Ok(())));
    assert_eq!(check_earned(&honest, known), Ok(()));
    assert_eq!(check_earned(&member_block(1, 100), known), Ok(()), "earned by nobody else");
    assert_eq!(check_rule(&honest, &BTreeMap::new(), None), Ok(Ruled::ByRule));

    let mut shifted = honest.clone();
    let rows = &mut shifted.split.as_mut().unwrap().rows;
    rows[0].net = rows[0].net.add(Amount::ONE);
    rows[1].net = rows[1].net.sub(Amount::ONE);
    assert!(matches!(check_earned(&shifted, known), Err(Difference::Part { .. })));
}

#[test]
fn only_an_earlier_block_by_the_same_rule_can_have_earned_a_payment() {
    let honest = payment(&[(1, 700)]);
    let refused = Err(Difference::Earner(RewardId([1; 32])));
    let other_rule = |mut block: Reward| {
        let Some(Membership::Block(own)) = &mut block.member else { unreachable!() };
        own.rule.push(' ');
        block
    };
    for block in [
        None,
        Some(other_rule(member_block(1, 100))),
        Some(member_block(1, 200)),
        Some(Reward { member: None, ..member_block(1, 100) }),
        Some(Reward { height: 10, ..member_block(1, 100) }),
        Some(Reward { pool: PoolId(2), ..member_block(1, 100) }),
        Some(Reward { split: None, ..member_block(1, 100) }),
    ] {
        assert_eq!(check_earned(&honest, |_| block.clone()), refused, "{block:?}");
    }
}

#[test]
fn a_membership_that_cannot_be_is_refused() {
    let check = |reward: &Reward| check_reward(reward, SliceNo(0), &mut Nothing).unwrap();
    let honest = payment(&[(1, 700), (2, 301)]);
    let more = Reward { to_pool: Amount::from_units(1002), ..honest.clone() };
    assert_eq!(check(&more), Err(Difference::Sum));
    for wrong in [
        payment(&[]),
        payment(&[(1, 5), (1, 6)]),
        Reward { to_miners: Amount::ONE, ..honest.clone() },
        Reward { window: reward().window, ..honest.clone() },
        Reward { split: None, ..honest },
        Reward { to_miners: Amount::ONE, ..member_block(1, 100) },
    ] {
        assert_eq!(check(&wrong), Err(Difference::Shape), "{wrong:?}");
    }
}

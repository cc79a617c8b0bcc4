//! The qualified-block rule on random chains: an honest miner always qualifies, a cheat never, and a reorganisation is a replay.

#![allow(clippy::unwrap_used, reason = "a chain that cannot be read has failed")]

mod common;

use bitcoin::{Amount, ScriptBuf, TxOut};
use common::*;
use covenant::chain::{ChainError, Refusal};
use covenant::rule::Bootstrap;
use covenant::shape::Shape;
use covenant::window::LookBack;
use covenant::{Chain, Rule, TreeRule, Verdict};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn from_the_ninth_block_on_each_shares_everything_with_the_last_eight() {
    let mut chain = Chain::new(rule());
    for n in 0..20u8 {
        let block = honest(&chain, n % 5, 5_000_000_000);
        let Verdict::Qualified(found) = connect(&mut chain, &block) else {
            panic!("block {n} does not qualify");
        };
        let shared = found.tree.as_ref().map_or(0, |tree| tree.root().value);
        assert_eq!(shared, 5_000_000_000 * u64::from(n.min(8)) / 8);
        assert_eq!(found.tree.map_or(0, |tree| tree.payees().len()), usize::from(n.min(5)));
    }
    assert_eq!(chain.slots().len(), 20);
    assert_eq!(chain.window().len(), 8);
}

#[test]
fn who_cheats_is_refused_and_told_why() {
    let mut chain = Chain::new(rule());
    for n in 0..9u8 {
        let block = honest(&chain, n, 1_000_000);
        connect(&mut chain, &block);
    }
    let good = honest(&chain, 7, 1_000_000);
    assert!(is_qualified(&chain.judge(&good.block())));
    let refusal = |outputs: Vec<TxOut>| match chain.judge(&mined(&chain, 7, outputs).block()) {
        Verdict::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let marker = good.outputs.last().unwrap().clone();
    let root = good.outputs[0].clone();
    let kept = vec![pays(1_000_000, script(7)), marker.clone()];
    assert!(matches!(refusal(kept), Refusal::WrongTree { .. }));
    let mut less = good.outputs.clone();
    less[0].value -= Amount::from_sat(1);
    less.insert(1, pays(1, script(7)));
    assert_eq!(refusal(less), Refusal::SharesTooLittle { least: 1_000_000, found: 999_999 });
    let twice = vec![root.clone(), marker.clone(), marker.clone()];
    assert_eq!(refusal(twice), Refusal::Markers(2));
    let mut broken = marker.clone();
    broken.script_pubkey =
        ScriptBuf::from_bytes([&[0x6a, 9][..], &chain.rule().id().0, &[1]].concat());
    assert_eq!(refusal(vec![root.clone(), broken]), Refusal::BrokenMarker);
    // The order of outputs matters, and another finder's marker does not change the tree.
    assert!(matches!(refusal(vec![marker.clone(), root.clone()]), Refusal::SharesTooLittle { .. }));
    assert_eq!(chain.judge(&mined(&chain, 7, vec![root]).block()), Verdict::NoMarker);
    let other_rule = Chain::new(Rule { floor: 2000, ..rule() });
    assert_eq!(other_rule.judge(&good.block()), Verdict::NoMarker);
}

#[test]
fn a_refused_block_has_no_claim_on_those_after_it() {
    let mut chain = Chain::new(rule());
    for n in 0..9u8 {
        let block = honest(&chain, n, 1_000_000);
        connect(&mut chain, &block);
    }
    let mut cheat = honest(&chain, 77, 1_000_000);
    cheat.outputs[0].script_pubkey = script(77);
    assert!(!is_qualified(&connect(&mut chain, &cheat)));
    assert!(chain.claims().iter().all(|claim| *claim.script != *script(77)));
    let next = honest(&chain, 3, 1_000_000);
    assert!(is_qualified(&connect(&mut chain, &next)));
}

#[test]
fn before_its_start_nothing_qualifies_and_reading_begins_early_enough_for_median_times() {
    let late = Rule { start: 20, ..rule() };
    let mut chain = Chain::new(late);
    assert_eq!(chain.next_height(), 9);
    let early = Mined { height: 8, ..honest(&chain, 1, 5000) };
    assert_eq!(chain.connect(&early.block()), Err(ChainError::NotFirst(9)));
    for height in 9..20 {
        let block = honest(&chain, 1, 500_000);
        assert_eq!(block.height, height);
        assert_eq!(connect(&mut chain, &block), Verdict::Refused(Refusal::TooEarly(20)));
    }
    let block = honest(&chain, 1, 500_000);
    assert!(is_qualified(&connect(&mut chain, &block)));
}

#[test]
fn too_small_to_share_is_kept_and_still_qualifies() {
    let mut chain = Chain::new(rule());
    for n in 0..9u8 {
        let block = honest(&chain, n, 1_000_000);
        connect(&mut chain, &block);
    }
    let block = honest(&chain, 1, 900);
    assert_eq!(block.outputs[0].script_pubkey, script(1));
    assert!(is_qualified(&connect(&mut chain, &block)));
}

#[test]
fn a_payment_ahead_is_locked_to_its_height_and_cannot_be_left_out() {
    let rule = Rule { bootstrap: Bootstrap::Forward { blocks: 144 }, ..rule() };
    let mut chain = Chain::new(rule);
    let block = honest(&chain, 1, 1_000_000);
    let Verdict::Qualified(found) = connect(&mut chain, &block) else { panic!("it qualifies") };
    let (forward, at) = found.forward.unwrap();
    assert_eq!((forward.height, forward.value, at), (144, 1_000_000, 0));
    let transaction = forward.transaction(bitcoin::OutPoint::null());
    assert_eq!(transaction.lock_time.to_consensus_u32(), 144);
    assert_eq!(
        covenant::TemplateHash::of(&transaction, 0).script(),
        block.outputs[0].script_pubkey
    );
    let mut greedy = honest(&chain, 2, 1_000_000);
    greedy.outputs[1].script_pubkey = script(2);
    assert_eq!(connect(&mut chain, &greedy), Verdict::Refused(Refusal::NoForward(875_000)));
}

proptest! {
    #[test]
    fn honest_blocks_qualify_under_every_rule_and_a_stranger_judges_the_same(
        rule in rules(), deeds in deeds(40),
    ) {
        let (mut chain, mut stranger) = (Chain::new(rule), Chain::new(rule));
        for deed in deeds {
            let (block, verdict) = play(&mut chain, deed, 0);
            if let Verdict::Qualified(found) = &verdict && let Some(tree) = &found.tree {
                let paid: u64 = tree.payees().iter().map(|payee| payee.amount).sum();
                prop_assert_eq!(paid + tree.cost().total(), block.outputs[0].value.to_sat());
                prop_assert!(tree.payees().iter().all(|payee| payee.amount >= rule.floor.into()));
                prop_assert!(tree.payees().is_sorted_by(|a, b| a.script < b.script));
            }
            prop_assert_eq!(connect(&mut stranger, &block), verdict);
        }
    }

    #[test]
    fn a_reorganisation_is_a_replay(
        rule in rules(), common in deeds(20), left in deeds(10), taken in deeds(12),
    ) {
        let mut chain = Chain::new(rule);
        let mut blocks: Vec<Mined> = common.iter().map(|deed| play(&mut chain, *deed, 0).0).collect();
        for deed in &left {
            play(&mut chain, *deed, 1);
        }
        for _ in &left {
            chain.disconnect().unwrap();
        }
        for deed in &taken {
            blocks.push(play(&mut chain, *deed, 2).0);
        }
        let mut again = Chain::new(rule);
        for block in &blocks {
            connect(&mut again, block);
        }
        let owed = |chain: &Chain| -> BTreeMap<ScriptBuf, u128> {
            chain.claims().iter().map(|c| (c.script.to_owned(), c.weight)).collect()
        };
        prop_assert_eq!(owed(&chain), owed(&again));
        prop_assert_eq!(chain.tip(), again.tip());
        let planned = |chain: &Chain| chain.coinbase(&enforced(), 777_777, &script(1)).unwrap();
        prop_assert_eq!(planned(&chain), planned(&again));
    }

    #[test]
    fn hostile_coinbases_are_judged_without_panic(
        scripts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5),
        values in prop::collection::vec(any::<u64>(), 5),
    ) {
        let mut chain = Chain::new(rule());
        for n in 0..9u8 {
            let block = honest(&chain, n, 1_000_000);
            connect(&mut chain, &block);
        }
        let marker = honest(&chain, 3, 1_000_000).outputs.pop().unwrap();
        let hostile = scripts.into_iter().zip(values);
        let mut outputs: Vec<TxOut> =
            hostile.map(|(s, value)| pays(value, ScriptBuf::from_bytes(s))).collect();
        outputs.push(marker);
        // A block worth less than the floor has nothing to share.
        prop_assume!(outputs.iter().any(|output| output.value.to_sat() >= 10_000));
        prop_assert!(!is_qualified(&chain.judge(&mined(&chain, 3, outputs).block())));
    }
}

#[test]
fn a_flat_transaction_that_nobody_would_relay_leaves_the_lightest_out() {
    let window = LookBack::Last { blocks: 4000 };
    let tree = TreeRule { shape: Shape::Flat, ..rule().tree };
    let mut chain = Chain::new(Rule { window, tree, ..rule() });
    for n in 0..4000u32 {
        let mut hash = [9; 20];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        let finder = ScriptBuf::from_bytes([&[0, 20][..], &hash].concat());
        let planned = chain.coinbase(&enforced(), 10_000, &finder).unwrap();
        let block = mined(&chain, 1, planned.outputs);
        assert!(is_qualified(&connect(&mut chain, &block)));
    }
    let block = honest(&chain, 1, 5_000_000_000);
    let Verdict::Qualified(found) = connect(&mut chain, &block) else { panic!("it qualifies") };
    let tree = found.tree.unwrap();
    assert_eq!(tree.root().value, 5_000_000_000);
    assert!(tree.payees().len() < 4000 && tree.root().vsize > 99_900);
}

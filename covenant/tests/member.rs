//! What one member is paid on random chains: every payment belongs to blocks of theirs, to the satoshi, and a reorganisation is a replay.

#![allow(clippy::unwrap_used, reason = "a chain that cannot be read has failed")]

mod common;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, Txid};
use common::*;
use covenant::member::{Earner, Payment, branch};
use covenant::rule::{Bootstrap, Small, Weights};
use covenant::{Chain, Member, Rule, Verdict};
use proptest::prelude::*;

/// The coinbase of a block, as far as these tests care.
fn coinbase(block: &Mined) -> Txid {
    Txid::from_byte_array(block.hash.to_byte_array())
}

/// Connects a block that holds these transactions beside its coinbase.
fn follow(member: &mut Member, chain: &mut Chain, block: &Mined, more: &[Txid]) -> Verdict {
    let verdict = connect(chain, block);
    let transactions = [&[coinbase(block)], more].concat();
    member.connected(chain, &verdict, &transactions);
    verdict
}

fn mine(member: &mut Member, chain: &mut Chain, miner: u8, more: &[Txid]) -> Mined {
    let block = honest(chain, miner, 1_000_000);
    assert!(is_qualified(&follow(member, chain, &block, more)));
    block
}

fn newest(member: &Member) -> Payment {
    member.payments().last().unwrap().clone()
}

fn parts(payment: &Payment) -> Vec<(BlockHash, u64)> {
    payment.earned(|_| true)
}

#[test]
fn a_strangers_block_pays_each_earlier_block_of_ours_its_part() {
    let (mut chain, mut member) = (Chain::new(rule()), Member::new(script(1)));
    let first = mine(&mut member, &mut chain, 1, &[]);
    mine(&mut member, &mut chain, 2, &[]);
    let second = mine(&mut member, &mut chain, 1, &[]);
    let by = mine(&mut member, &mut chain, 3, &[]);
    let payment = newest(&member);
    // Three of eight slots are filled: 375 000 less a transaction's 400, and two thirds of it ours; the odd unit is the older block's.
    assert_eq!((payment.by, payment.height, payment.amount), (by.hash, 3, 249_733));
    assert_eq!(parts(&payment), [(first.hash, 124_867), (second.hash, 124_866)]);
    // What is not known is not divided to; nobody known, nothing to divide.
    assert_eq!(payment.earned(|block| block == second.hash), [(second.hash, 249_733)]);
    assert_eq!(payment.earned(|_| false), []);
}

#[test]
fn its_place_is_the_block_that_has_its_transaction() {
    let (mut chain, mut member) = (Chain::new(rule()), Member::new(script(1)));
    mine(&mut member, &mut chain, 1, &[]);
    mine(&mut member, &mut chain, 2, &[]);
    let payment = newest(&member);
    assert_eq!(payment.place, None);
    let has_it = mine(&mut member, &mut chain, 3, &[payment.transaction]);
    let placed = member.payment(payment.transaction).unwrap();
    assert_eq!(placed.place, Some((has_it.hash, 2)));
    chain.disconnect().unwrap();
    member.disconnected(2);
    assert_eq!(member.payment(payment.transaction), Some(&payment));
    chain.disconnect().unwrap();
    member.disconnected(1);
    assert_eq!(member.payments().count(), 0, "who does not pay any more is forgotten");
    assert_eq!(member.payment(payment.transaction), None);
}

#[test]
fn what_is_locked_for_later_its_own_block_earned() {
    let rule = Rule { bootstrap: Bootstrap::Forward { blocks: 144 }, ..rule() };
    let (mut chain, mut member) = (Chain::new(rule), Member::new(script(1)));
    let block = honest(&chain, 1, 1_000_000);
    let verdict = follow(&mut member, &mut chain, &block, &[]);
    let Verdict::Qualified(found) = verdict else { panic!("it qualifies") };
    let (forward, at) = found.forward.unwrap();
    let root = OutPoint::new(coinbase(&block), u32::try_from(at).unwrap());
    let payment = newest(&member);
    assert_eq!(payment.transaction, forward.transaction(root).compute_txid());
    assert_eq!(payment.amount, forward.output.value.to_sat());
    assert_eq!(parts(&payment), [(block.hash, payment.amount)]);
    mine(&mut member, &mut chain, 2, &[]);
    assert_eq!(member.payments().count(), 2, "another's is not ours, their tree is");
}

#[test]
fn what_a_finder_takes_over_from_the_small_its_block_earned() {
    let rule = Rule { small: Small::Finder, weights: Weights::Sats, floor: 20_000, ..rule() };
    let (mut chain, mut member) = (Chain::new(rule), Member::new(script(1)));
    let own = mine(&mut member, &mut chain, 1, &[]);
    let small = honest(&chain, 2, 30_000);
    assert!(is_qualified(&follow(&mut member, &mut chain, &small, &[])));
    let by = mine(&mut member, &mut chain, 1, &[]);
    let earners = newest(&member).earners;
    let expected = [(own.hash, 1_000_000), (by.hash, 30_000)];
    assert_eq!(earners, expected.map(|(block, weight)| Earner { block, weight }));
}

fn all(member: &Member) -> Vec<Payment> {
    member.payments().cloned().collect()
}

proptest! {
    #[test]
    fn every_satoshi_that_a_tree_pays_belongs_to_blocks_of_ours(
        rule in rules(), deeds in deeds(40),
    ) {
        let (mut chain, mut member) = (Chain::new(rule), Member::new(script(1)));
        let mut own = Vec::new();
        for deed in deeds {
            let (block, verdict) = play(&mut chain, deed, 0);
            member.connected(&chain, &verdict, &[coinbase(&block)]);
            let Verdict::Qualified(found) = &verdict else { continue };
            if found.finder == script(1) {
                own.push(block.hash);
            }
            let Some(tree) = &found.tree else { continue };
            let root = OutPoint::new(coinbase(&block), 0);
            let way = branch(tree, root, &script(1));
            let paid = tree.payees().iter().find(|payee| payee.script == script(1));
            let of_tree = member.payments().find(|p| Some(p.transaction) == way.last().map(|t| t.compute_txid()));
            prop_assert_eq!(of_tree.map(|p| p.amount), paid.map(|payee| payee.amount));
            let Some(payment) = of_tree else { continue };
            let output = &way.last().unwrap().output[payment.output as usize];
            prop_assert_eq!(output.value.to_sat(), payment.amount);
            prop_assert_eq!(&output.script_pubkey, &script(1));
            let parts = parts(payment);
            prop_assert_eq!(parts.iter().map(|(_, part)| part).sum::<u64>(), payment.amount);
            prop_assert!(parts.iter().all(|(block, _)| own.contains(block)));
        }
    }

    #[test]
    fn a_reorganisation_is_a_replay_for_a_member_too(
        rule in rules(), common in deeds(20), left in deeds(10), taken in deeds(12),
    ) {
        let (mut chain, mut member) = (Chain::new(rule), Member::new(script(1)));
        let (mut again, mut other) = (Chain::new(rule), Member::new(script(1)));
        let step = |chain: &mut Chain, member: &mut Member, deed, salt| {
            // Every payment that waits is in the next block.
            let waiting: Vec<Txid> =
                member.payments().filter(|p| p.place.is_none()).map(|p| p.transaction).collect();
            let (block, verdict) = play(chain, deed, salt);
            member.connected(chain, &verdict, &[&[coinbase(&block)], &waiting[..]].concat());
        };
        for deed in &common {
            step(&mut chain, &mut member, *deed, 0);
            step(&mut again, &mut other, *deed, 0);
        }
        for deed in &left {
            step(&mut chain, &mut member, *deed, 1);
        }
        for _ in &left {
            chain.disconnect().unwrap();
            member.disconnected(chain.next_height());
        }
        for deed in &taken {
            step(&mut chain, &mut member, *deed, 2);
            step(&mut again, &mut other, *deed, 2);
        }
        prop_assert_eq!(all(&member), all(&other));
    }
}

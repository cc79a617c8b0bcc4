//! What may wait for a block.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use bitcoin::{Amount, Sequence, Transaction, TxOut};
use common::World;

const NOW_S: u64 = 1_700_000_000;

fn refused(world: &mut World, tx: Transaction) -> String {
    world.chain.accept_transaction(tx, NOW_S).unwrap_err().to_string()
}

/// A spend of the first coin that leaves such a fee.
fn paying(world: &World, fee: u64) -> Transaction {
    let coinbase = world.coinbase(1);
    let value = coinbase.output[0].value.to_sat();
    world.purse.spend(&coinbase, 0, vec![world.purse.output(value - fee)])
}

#[test]
fn a_transaction_is_refused_for_what_is_wrong_with_it() {
    let mut world = World::new(105, NOW_S);
    let coinbase = world.coinbase(1);
    let spend = |world: &World, outputs: Vec<TxOut>| world.purse.spend(&coinbase, 0, outputs);

    let cheap = paying(&world, 1);
    assert_eq!(refused(&mut world, cheap), "min relay fee not met");
    let dusty = spend(&world, vec![world.purse.output(200)]);
    assert_eq!(refused(&mut world, dusty), "dust");
    let young = world.purse.spend(&world.coinbase(90), 0, vec![world.purse.output(1000)]);
    assert_eq!(refused(&mut world, young), "bad-txns-premature-spend-of-coinbase");
    let mut unknown = paying(&world, 1000);
    unknown.input[0].previous_output.vout = 9;
    assert_eq!(refused(&mut world, unknown), "bad-txns-inputs-missingorspent");
    let mut unsigned = paying(&world, 1000);
    unsigned.output[0].value -= Amount::ONE_SAT;
    assert_eq!(refused(&mut world, unsigned), "mandatory-script-verify-flag-failed");
    let mut locked = paying(&world, 1000);
    locked.lock_time = bitcoin::absolute::LockTime::from_height(5000).unwrap();
    locked.input[0].sequence = Sequence::ZERO;
    assert_eq!(refused(&mut world, locked), "non-final");
    assert_eq!(refused(&mut world, coinbase.clone()), "coinbase");

    let good = paying(&world, 1000);
    world.chain.accept_transaction(good.clone(), NOW_S).unwrap();
    assert_eq!(refused(&mut world, good.clone()), "txn-already-in-mempool");
    world.mine();
    assert_eq!(refused(&mut world, good), "txn-already-known");
}

#[test]
fn a_replacement_pays_more_and_for_its_own_relay() {
    let mut world = World::new(105, NOW_S);
    let first = paying(&world, 1000);
    let child = world.purse.pass_on(&first, 0);
    world.chain.accept_transaction(first.clone(), NOW_S).unwrap();
    world.chain.accept_transaction(child.clone(), NOW_S).unwrap();
    for fee in [900, 1300, 1400] {
        let poor = paying(&world, fee);
        assert_eq!(refused(&mut world, poor), "insufficient fee", "{fee}");
    }
    let rich = paying(&world, 1300 + 300);
    world.chain.accept_transaction(rich.clone(), NOW_S).unwrap();
    assert!(!world.chain.mempool.contains(&first.compute_txid()));
    assert!(!world.chain.mempool.contains(&child.compute_txid()));
    assert_eq!(world.chain.mempool.len(), 1);
    let block = world.mine();
    assert_eq!(block.txdata[1].compute_txid(), rich.compute_txid());
}

#[test]
fn a_block_clears_what_it_contains_and_what_it_makes_impossible() {
    let mut world = World::new(105, NOW_S);
    let (waiting, rival) = (paying(&world, 1000), paying(&world, 9000));
    let mut other = world.chain.clone();
    other.accept_transaction(rival, NOW_S).unwrap();
    let block = devnet::template::solve(other.assemble(&world.purse.script(), 500, NOW_S));
    let child = world.purse.pass_on(&waiting, 0);
    world.chain.accept_transaction(waiting, NOW_S).unwrap();
    world.chain.accept_transaction(child, NOW_S).unwrap();
    world.chain.submit(block, NOW_S);
    assert!(world.chain.mempool.is_empty());
}

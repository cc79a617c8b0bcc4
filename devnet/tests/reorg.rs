//! Chains that lose: everything they did is undone.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use bitcoin::Block;
use common::{Fault, World};
use devnet::chain::Submitted;
use devnet::{Chain, Params};
use std::collections::BTreeMap;

const NOW_S: u64 = 1_700_000_000;

fn replayed(chain: &Chain) -> Chain {
    let mut copy = Chain::new(Params::default());
    for height in 1..=chain.height() {
        let hash = chain.hash_at(height).unwrap();
        let block = Block::clone(&chain.entry(&hash).unwrap().block);
        assert_eq!(copy.submit(block, NOW_S * 2), Submitted::NewTip);
    }
    copy
}

fn coins(chain: &Chain) -> BTreeMap<String, String> {
    chain.coins().map(|(at, coin)| (at.to_string(), format!("{coin:?}"))).collect()
}

#[test]
fn a_reorg_of_any_depth_leaves_the_same_coins_as_the_winning_chain_alone() {
    for depth in [1u32, 2, 3, 10, 60, 120] {
        let mut world = World::new(230, NOW_S);
        let fork = world.chain.height() - depth;
        let fan = world.fan(1, 5);
        // The losing branch spends; the winning one does not know of it.
        let mut rival = Chain::new(Params::default());
        for height in 1..=fork {
            let hash = world.chain.hash_at(height).unwrap();
            rival.submit(Block::clone(&world.chain.entry(&hash).unwrap().block), NOW_S);
        }
        world.chain.accept_transaction(fan.clone(), NOW_S).unwrap();
        world.mine();
        assert!(world.chain.mempool.is_empty());
        for extra in 0..depth + 2 {
            let block =
                devnet::template::solve(rival.assemble(&world.purse.script(), 9000 + extra, NOW_S));
            assert_eq!(rival.submit(block.clone(), NOW_S), Submitted::NewTip);
            let expected =
                if extra == depth + 1 { Submitted::NewTip } else { Submitted::SideChain };
            assert_eq!(world.chain.submit(block, NOW_S), expected, "depth {depth}, block {extra}");
        }
        assert_eq!(world.chain.tip(), rival.tip());
        assert_eq!(coins(&world.chain), coins(&rival));
        assert_eq!(coins(&world.chain), coins(&replayed(&world.chain)));
        assert!(world.chain.mempool.contains(&fan.compute_txid()), "it waits again");
        world.mine();
        assert!(world.chain.mined_transaction(&fan.compute_txid()).is_some());
    }
}

#[test]
fn of_two_blocks_at_one_height_the_first_stays() {
    let mut world = World::new(5, NOW_S);
    let (first, second) = (world.next(), world.next());
    assert_eq!(world.chain.submit(first.clone(), NOW_S), Submitted::NewTip);
    assert_eq!(world.chain.submit(second, NOW_S), Submitted::SideChain);
    assert_eq!(world.chain.tip(), first.block_hash());
}

#[test]
fn a_longer_chain_with_a_bad_block_does_not_win() {
    let mut world = World::new(110, NOW_S);
    let mut rival = world.chain.clone();
    let bad = Fault::MoreOutThanIn.put_into(world.next(), &world);
    let good = world.mine();
    let before = coins(&world.chain);
    // With as much work it is not connected, so nobody knows yet.
    assert_eq!(world.chain.submit(bad.clone(), NOW_S), Submitted::SideChain);
    let mut child = devnet::template::solve(rival.assemble(&world.purse.script(), 77_000, NOW_S));
    assert_eq!(rival.submit(child.clone(), NOW_S), Submitted::NewTip);
    child = devnet::template::solve(rival.assemble(&world.purse.script(), 77_001, NOW_S));
    child.header.prev_blockhash = bad.block_hash();
    let child = devnet::template::solve(child);
    assert_eq!(world.chain.submit(child.clone(), NOW_S), Submitted::SideChain);
    assert_eq!(world.chain.tip(), good.block_hash());
    assert_eq!(coins(&world.chain), before);
    let again = world.chain.submit(child, NOW_S);
    assert_eq!(again, Submitted::Refused(devnet::check::Reason::new("duplicate-invalid")));
}

#[test]
fn an_invalidated_block_gives_way_and_comes_back() {
    let mut world = World::new(110, NOW_S);
    let fan = world.fan(1, 3);
    world.chain.accept_transaction(fan.clone(), NOW_S).unwrap();
    let block = world.mine();
    let (top, height) = (world.mine(), world.chain.height());
    assert!(world.chain.invalidate(block.block_hash()));
    assert_eq!(world.chain.height(), height - 2);
    assert!(world.chain.mempool.contains(&fan.compute_txid()));
    assert!(!world.chain.invalidate(common::nobody()));
    assert!(world.chain.reconsider(block.block_hash()));
    assert_eq!(world.chain.tip(), top.block_hash());
    assert!(world.chain.mempool.is_empty());
    assert_eq!(coins(&world.chain), coins(&replayed(&world.chain)));
}

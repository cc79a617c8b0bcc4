//! Every rule that the devnet judges, broken alone.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use bitcoin::consensus::encode::{deserialize, serialize};
use common::{FAULTS, Fault, World};
use devnet::chain::Submitted;
use devnet::check::Reason;

const NOW_S: u64 = 1_700_000_000;

fn world() -> World {
    let mut world = World::new(105, NOW_S);
    // Three ordinary transactions wait.
    let fan = world.fan(1, 3);
    world.chain.accept_transaction(fan.clone(), NOW_S).unwrap();
    world.chain.accept_transaction(world.purse.pass_on(&fan, 0), NOW_S).unwrap();
    world.chain.accept_transaction(world.purse.pass_on(&fan, 1), NOW_S).unwrap();
    world
}

#[test]
fn each_broken_rule_is_named_as_core_names_it() {
    let mut world = world();
    for fault in FAULTS {
        let good = world.next();
        let block = fault.put_into(good, &world);
        let judged =
            world.chain.judge_proposal(&block, world.now_s).err().map(|reason| reason.to_string());
        let proposed = match fault {
            Fault::UnknownParent => Some("inconclusive-not-best-prevblk"),
            fault => fault.verdict(),
        };
        assert_eq!(judged.as_deref(), proposed, "{fault:?} proposed");
        if fault == Fault::Nothing {
            continue;
        }
        let before = (world.chain.tip(), world.chain.mempool.version());
        let submitted = world.chain.submit(block, world.now_s);
        let expected = Submitted::Refused(Reason::new(fault.verdict().unwrap()));
        assert_eq!(submitted, expected, "{fault:?} submitted");
        assert_eq!(
            (world.chain.tip(), world.chain.mempool.version()),
            before,
            "{fault:?} left a trace"
        );
    }
    let block = world.next();
    assert_eq!(world.chain.submit(block, world.now_s), Submitted::NewTip);
    assert!(world.chain.mempool.is_empty());
}

#[test]
fn a_header_without_the_work_is_refused_first() {
    let mut world = world();
    let mut block = Fault::NoCoinbase.put_into(world.next(), &world);
    while block.header.target().is_met_by(block.block_hash()) {
        block.header.nonce += 1;
    }
    assert_eq!(
        world.chain.submit(block, world.now_s),
        Submitted::Refused(Reason::new("high-hash"))
    );
}

#[test]
fn what_was_refused_stays_refused_and_nothing_grows_on_it() {
    let mut world = world();
    let bad = Fault::TooMuchReward.put_into(world.next(), &world);
    assert_eq!(
        world.chain.submit(bad.clone(), NOW_S),
        Submitted::Refused(Reason::new("bad-cb-amount"))
    );
    assert_eq!(
        world.chain.submit(bad.clone(), NOW_S),
        Submitted::Refused(Reason::new("duplicate-invalid"))
    );
    let mut child = world.next();
    child.header.prev_blockhash = bad.block_hash();
    let child = devnet::template::solve(child);
    assert_eq!(world.chain.submit(child, NOW_S), Submitted::Refused(Reason::new("bad-prevblk")));
    // A wrong witness says nothing about the header: the right one may still come.
    let good = world.next();
    let mut stripped = good.clone();
    stripped.txdata[0].input[0].witness.clear();
    stripped.txdata[0].input[0].witness.push([1; 32]);
    let refused = Submitted::Refused(Reason::new("bad-witness-merkle-match"));
    assert_eq!(world.chain.submit(stripped, NOW_S), refused);
    assert_eq!(world.chain.submit(good.clone(), NOW_S), Submitted::NewTip);
    assert_eq!(world.chain.submit(good, NOW_S), Submitted::Known);
}

#[test]
fn a_block_survives_its_bytes() {
    let mut world = world();
    let block = world.next();
    assert_eq!(deserialize::<bitcoin::Block>(&serialize(&block)).unwrap(), block);
}

//! The devnet and Bitcoin Core judge the same blocks with the same words.
//!
//! Known to differ, and left out: where a block breaks two rules of its spends, Core names a wrong signature after the
//! coinbase's value, because its script checks run aside; and what the crate's documentation lists as not judged.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use bitcoin::Block;
use bitcoin::consensus::encode::serialize_hex;
use common::{FAULTS, Fault, World};
use devnet::chain::Submitted;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::{Bitcoind, Rpc, bitcoind};

/// What a node said, without Core's explanation of a script failure in brackets.
fn said(value: &Value) -> String {
    let text = value.as_str().unwrap_or("accepted");
    if text.starts_with("mandatory") {
        text.split(" (").next().unwrap_or(text).to_owned()
    } else {
        text.to_owned()
    }
}

fn core_proposes(core: &Rpc, block: &Block) -> String {
    let request =
        json!([{ "mode": "proposal", "data": serialize_hex(block), "rules": ["segwit"] }]);
    said(&core.expect("getblocktemplate", request))
}

fn core_takes(core: &Rpc, block: &Block) -> String {
    said(&core.expect("submitblock", json!([serialize_hex(block)])))
}

fn devnet_takes(world: &mut World, mut block: Block) -> String {
    devnet::check::complete_witness(&mut block);
    match world.chain.submit(block, world.now_s) {
        Submitted::NewTip => "accepted".into(),
        Submitted::SideChain => "inconclusive".into(),
        Submitted::Known => "duplicate".into(),
        Submitted::Refused(reason) => reason.to_string(),
    }
}

/// A number that looks random and is the same every time.
fn pick(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 33).unwrap() % below
}

#[test]
fn the_devnet_judges_blocks_like_bitcoin_core() {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let core = Bitcoind::start(bitcoind::Options::default());
    let mut world = World::new(115, now_s);
    for height in 1..=world.chain.height() {
        let block = world.chain.entry(&world.chain.hash_at(height).unwrap()).unwrap().block.clone();
        assert_eq!(core_takes(&core.rpc, &block), "accepted");
    }
    let seed = &mut 1;
    let mut cases = 0;
    let mut spendable = 3;
    while cases < 2400 {
        // Zero to five waiting transactions, then one fault or two.
        let transactions = pick(seed, 6);
        if world.chain.mempool.is_empty() && transactions > 0 && spendable < 12 {
            let fan = world.fan(spendable, 6);
            world.chain.accept_transaction(fan.clone(), now_s).unwrap();
            for vout in 1..transactions {
                world.chain.accept_transaction(world.purse.pass_on(&fan, vout), now_s).unwrap();
            }
            spendable += 1;
        }
        let (first, second) = (FAULTS[pick(seed, FAULTS.len())], FAULTS[pick(seed, FAULTS.len())]);
        let both = [first.min(second), first.max(second)];
        if both == [Fault::BadSignature, Fault::TooMuchReward] || first == second {
            continue;
        }
        // Blocks of megabytes take long over this wire.
        if both.iter().any(|fault| matches!(fault, Fault::TooLong | Fault::TooHeavy))
            && pick(seed, 8) > 0
        {
            continue;
        }
        // Taking the coinbase away leaves nothing for a second fault to stand in.
        let alone = both.contains(&Fault::NoCoinbase) || pick(seed, 3) == 0;
        let mut block = first.put_into(world.next(), &world);
        if !alone {
            block = second.put_into(block, &world);
        }
        let tried = format!(
            "case {cases}: {first:?} {}",
            if alone { String::new() } else { format!("{second:?}") }
        );
        let judged = world
            .chain
            .judge_proposal(&block, now_s)
            .map_or_else(|reason| reason.to_string(), |()| "accepted".into());
        assert_eq!(judged, core_proposes(&core.rpc, &block), "{tried}, proposed");
        assert_eq!(
            devnet_takes(&mut world, block.clone()),
            core_takes(&core.rpc, &block),
            "{tried}, submitted"
        );
        assert_eq!(
            devnet_takes(&mut world, block.clone()),
            core_takes(&core.rpc, &block),
            "{tried}, submitted again"
        );
        let tip = core.rpc.expect("getbestblockhash", json!([]));
        assert_eq!(tip.as_str(), Some(&*world.chain.tip().to_string()), "{tried}");
        cases += 1;
    }
}

//! Bitcoin Core itself judges the blocks we assemble: thousands of them, by its proposal mode.
//!
//! The header comes from the miner's reading of our notify, the block from the pool's own assembly: the two meet here.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::{BasisPoints, Scheme, UnixMs};
use bitcoin::Transaction;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hex::DisplayHex;
use devnet::purse::Purse;
use miner::work::{Job as Notify, Variation};
use pow::{Algorithm, Difficulty};
use serde_json::{Value, json};
use std::sync::Arc;
use stratum::coinbase::TAG_MAX;
use stratum::hashing::Hashing;
use stratum::job::{EXTRANONCE1_SIZE, Job, JobRules, JobTerms, Pays, VERSION_MASK};
use stratum::template::Template;
use testkit::bitcoind::NOBODY;
use testkit::{Bitcoind, bitcoind};

/// A number that looks random and is the same every time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.throw(256) as u8).collect()
    }
}

/// Scripts that miners and pools are paid to, of every length there is.
fn script(dice: &mut Dice) -> Vec<u8> {
    match dice.throw(5) {
        0 => [&[0u8, 20][..], &dice.bytes(20)].concat(),
        1 => [&[0u8, 32][..], &dice.bytes(32)].concat(),
        2 => [&[0x51u8, 32][..], &dice.bytes(32)].concat(),
        3 => [&[0x76u8, 0xa9, 20][..], &dice.bytes(20), &[0x88, 0xac]].concat(),
        _ => [&[0xa9u8, 20][..], &dice.bytes(20), &[0x87]].concat(),
    }
}

fn rules(dice: &mut Dice) -> JobRules {
    let pays = match dice.throw(2) {
        0 => Pays::Pool { script: script(dice) },
        _ => {
            let fee = BasisPoints::new([0, 1, 100, 9999, 10_000][dice.throw(5) as usize]).unwrap();
            Pays::Finder { fee_script: script(dice), fee }
        }
    };
    let tag_size = dice.throw(TAG_MAX as u64 + 1) as usize;
    JobRules {
        hashing: Hashing::Header(Algorithm::Sha256d),
        boot: dice.throw(1 << 31) as u32,
        tag: (0..tag_size).map(|_| 0x20 + dice.throw(0x5f) as u8).collect(),
        extranonce2_size: 4 + dice.throw(5) as usize,
        pays,
        scheme: Scheme::Prop,
        free_nonces: Difficulty::nearest(1.0),
    }
}

/// A job from a template, one header that a miner could send for it, and the block.
fn assemble(template: &Arc<Template>, dice: &mut Dice) -> Vec<u8> {
    let rules = Arc::new(rules(dice));
    let no = dice.throw(1 << 31) as u32;
    let job = Job::new(no, 1, template.clone(), rules.clone(), JobTerms::default(), UnixMs(0));
    let variant = if dice.throw(3) == 0 { dice.throw(256) as u8 } else { 0 };
    let tail = job.tail(&script(dice));
    let line = job.notify(variant, &tail, true);
    let line: Value = serde_json::from_slice(&line).unwrap();
    let notify = Notify::read(&line["params"]).unwrap();
    let extranonce1: [u8; EXTRANONCE1_SIZE] = dice.bytes(EXTRANONCE1_SIZE).try_into().unwrap();
    let extranonce2 = dice.bytes(rules.extranonce2_size);
    let rolled = dice.throw(1 << 32) as u32 & VERSION_MASK;
    let variation = Variation {
        extranonce1: &extranonce1,
        extranonce2: &extranonce2,
        version: (notify.version & !VERSION_MASK) | rolled,
        time: notify.time + dice.throw(60) as u32,
        nonce: dice.throw(1 << 32) as u32,
    };
    let header = notify.header(&variation);
    job.block(&header, &job.coinbase(variant, extranonce1, &extranonce2, &tail))
}

fn judged(node: &Bitcoind, block: &[u8]) -> Value {
    let data = block.to_lower_hex_string();
    node.rpc.expect(
        "getblocktemplate",
        json!([{ "mode": "proposal", "data": data, "rules": ["segwit"] }]),
    )
}

fn template(node: &Bitcoind) -> Arc<Template> {
    let text = node.rpc.expect("getblocktemplate", json!([{ "rules": ["segwit"] }])).to_string();
    Arc::new(Template::read(&text).unwrap())
}

#[test]
fn every_block_we_assemble_is_accepted_by_bitcoin_core() {
    let node = Bitcoind::start(bitcoind::Options::default());
    let purse = Purse::new();
    let own = devnet::address_of(&purse.script());
    let dice = &mut Dice(1);
    let mut blocks = 0;
    // Every height at which the coinbase's height changes its length, and all between.
    for height in 1..=300u32 {
        let template = template(&node);
        assert_eq!(template.height, u64::from(height));
        for _ in 0..6 {
            let block = assemble(&template, dice);
            assert_eq!(
                judged(&node, &block),
                Value::Null,
                "height {height}: {}",
                block.to_lower_hex_string()
            );
            blocks += 1;
        }
        node.generate(1, if height <= 12 { &own } else { NOBODY });
    }
    // Now with transactions: from one to as many as the mempool takes, so that every shape of the merkle tree occurs.
    let coinbase = |height: u32| -> Transaction {
        let hash = node.rpc.expect("getblockhash", json!([height]));
        let shown = node.rpc.expect("getblock", json!([hash, 2]));
        deserialize_hex(shown["tx"][0]["hex"].as_str().unwrap()).unwrap()
    };
    let send = |tx: &Transaction| {
        node.rpc.expect("sendrawtransaction", json!([serialize_hex(tx)])).is_string()
    };
    let fans: Vec<Transaction> =
        (1..=4).map(|height| purse.fan_out(&coinbase(height), 300)).collect();
    fans.iter().for_each(|fan| assert!(send(fan)));
    node.generate(1, NOBODY);
    let mut waiting = 0;
    let mut now = template(&node).cur_time;
    for (fan, vout) in fans.iter().flat_map(|fan| (0..300).map(move |vout| (fan, vout))) {
        assert!(send(&purse.pass_on(fan, vout)));
        waiting += 1;
        if waiting > 40 && waiting % 50 != 0 {
            continue;
        }
        // A template is at most five seconds old to Core, so its clock is moved.
        now += 6;
        node.rpc.expect("setmocktime", json!([now])).is_null();
        let template = template(&node);
        assert_eq!(template.transaction_ends.len(), waiting);
        for _ in 0..4 {
            let block = assemble(&template, dice);
            assert_eq!(judged(&node, &block), Value::Null, "{waiting} transactions");
            blocks += 1;
        }
    }
    assert!(blocks > 2000, "{blocks}");
}

//! The devnet's RPC over a real socket, as a pool's node client sees it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Address, Network};
use common::{Fault, World};
use devnet::{Devnet, Options, Params};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::Rpc;
use testkit::bitcoind::NOBODY;

/// A devnet on a runtime of its own, so that the test can block.
struct Running {
    runtime: tokio::runtime::Runtime,
    devnet: Devnet,
    rpc: Rpc,
}

fn start(blocks: Option<PathBuf>) -> Running {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let options = Options {
        params: Params::default(),
        listen: "127.0.0.1:0".parse().unwrap(),
        user: "u".into(),
        password: "p:p".into(),
        blocks,
    };
    let devnet = runtime.block_on(Devnet::start(options)).unwrap();
    let rpc = Rpc::new(devnet.address(), "u", "p:p");
    Running { runtime, devnet, rpc }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn template(rpc: &Rpc) -> Value {
    rpc.expect("getblocktemplate", json!([{ "rules": ["segwit"] }]))
}

#[test]
fn a_wrong_password_an_unknown_method_and_a_bad_request_are_told_as_bitcoind_tells_them() {
    let node = start(None);
    let stranger = Rpc::new(node.devnet.address(), "u", "guess");
    assert!(stranger.post("{}").unwrap().starts_with("HTTP/1.1 401"));
    let unknown = node.rpc.post(r#"{"method":"mineforme","id":3}"#).unwrap();
    assert!(unknown.starts_with("HTTP/1.1 404") && unknown.contains("-32601"), "{unknown}");
    let torn = node.rpc.post("{").unwrap();
    assert!(torn.starts_with("HTTP/1.1 500") && torn.contains("-32700"), "{torn}");
    let batch =
        node.rpc.post(r#"[{"method":"getblockcount","id":1},{"method":"no","id":2}]"#).unwrap();
    assert!(
        batch.starts_with("HTTP/1.1 200")
            && batch.contains(r#""result":0"#)
            && batch.contains("-32601")
    );
    assert_eq!(node.rpc.call("getblocktemplate", json!([{}])).unwrap_err().code, -8);
    assert_eq!(node.rpc.call("submitblock", json!(["00"])).unwrap_err().code, -22);
    assert_eq!(node.rpc.call("getblockhash", json!([5])).unwrap_err().code, -8);
    assert_eq!(node.rpc.call("getblock", json!(["00".repeat(32)])).unwrap_err().code, -5);
}

#[test]
fn a_template_describes_a_block_that_is_accepted() {
    let node = start(None);
    node.devnet.fill_mempool(700);
    let described = template(&node.rpc);
    assert_eq!(described["transactions"].as_array().unwrap().len(), 700);
    let purse = devnet::purse::Purse::new();
    let block = node.devnet.look(|chain| chain.assemble(&purse.script(), 5, now_s()));
    let proposal =
        json!([{ "mode": "proposal", "data": serialize_hex(&block), "rules": ["segwit"] }]);
    assert_eq!(node.rpc.expect("getblocktemplate", proposal), Value::Null);
    let paid: u64 = block.txdata[0].output.iter().map(|output| output.value.to_sat()).sum();
    assert_eq!(described["coinbasevalue"], paid);
    let commitment = described["default_witness_commitment"].as_str().unwrap();
    assert_eq!(block.txdata[0].output[1].script_pubkey.to_hex_string(), commitment);
    let txids: Vec<String> =
        block.txdata[1..].iter().map(|tx| tx.compute_txid().to_string()).collect();
    let listed: Vec<&str> = described["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tx| tx["txid"].as_str().unwrap())
        .collect();
    assert_eq!(txids, listed);
    let solved = devnet::template::solve(block);
    assert_eq!(node.rpc.expect("submitblock", json!([serialize_hex(&solved)])), Value::Null);
    assert_eq!(node.rpc.expect("submitblock", json!([serialize_hex(&solved)])), "duplicate");
    assert_eq!(template(&node.rpc)["transactions"], json!([]));
    let shown = node.rpc.expect("getblock", json!([solved.block_hash().to_string(), 2]));
    assert_eq!(shown["nTx"], 701);
    assert_eq!(shown["tx"][0]["txid"], solved.txdata[0].compute_txid().to_string());
    assert_eq!(shown["confirmations"], 1);
}

#[test]
fn a_long_poll_ends_with_the_next_block() {
    let node = start(None);
    let id = template(&node.rpc)["longpollid"].clone();
    let rpc = node.rpc.clone();
    let waiting = std::thread::spawn(move || {
        rpc.expect("getblocktemplate", json!([{ "rules": ["segwit"], "longpollid": id }]))
    });
    node.rpc.expect("generatetoaddress", json!([1, NOBODY])).is_array();
    assert_eq!(waiting.join().unwrap()["height"], 2);
    // One that is behind already does not wait.
    let stale = json!([{ "rules": ["segwit"], "longpollid": format!("{}0", "00".repeat(32)) }]);
    assert_eq!(node.rpc.expect("getblocktemplate", stale)["height"], 2);
}

#[test]
fn a_payment_goes_from_the_mempool_into_a_block_and_back_when_the_block_is_gone() {
    let node = start(None);
    let purse = devnet::purse::Purse::new();
    let mined = node.devnet.mine_to(&purse.script(), 101);
    let coinbase =
        node.devnet.look(|chain| chain.entry(&mined[0]).unwrap().block.txdata[0].clone());
    let payment = purse.fan_out(&coinbase, 3);
    let (txid, hex) = (payment.compute_txid().to_string(), serialize_hex(&payment));
    let judged = node.rpc.expect("testmempoolaccept", json!([[hex]]));
    assert_eq!(judged[0]["allowed"], true);
    assert_eq!(node.rpc.expect("sendrawtransaction", json!([hex])), *txid);
    assert_eq!(node.rpc.expect("sendrawtransaction", json!([hex])), *txid, "again is no error");
    assert_eq!(node.rpc.expect("getrawmempool", json!([])), json!([txid]));
    assert_eq!(
        node.rpc.expect("getmempoolentry", json!([txid]))["fees"]["base"],
        json!(0.001_000_01)
    );
    assert_eq!(
        node.rpc.expect("gettxout", json!([coinbase.compute_txid().to_string(), 0])),
        Value::Null
    );
    let block = node.rpc.expect("generatetoaddress", json!([1, NOBODY]));
    let shown = node.rpc.expect("getrawtransaction", json!([txid, true]));
    assert_eq!((&shown["confirmations"], &shown["blockhash"]), (&json!(1), &block[0]));
    assert_eq!(node.rpc.expect("gettxout", json!([txid, 1]))["confirmations"], 1);
    assert_eq!(node.rpc.call("sendrawtransaction", json!([hex])).unwrap_err().code, -27);
    node.rpc.expect("invalidateblock", json!([block[0]])).is_null();
    assert_eq!(node.rpc.expect("getrawmempool", json!([])), json!([txid]));
    let mut forged = purse.fan_out(&coinbase, 4);
    forged.output[0].value -= bitcoin::Amount::ONE_SAT;
    assert_eq!(
        node.rpc.call("sendrawtransaction", json!([serialize_hex(&forged)])).unwrap_err().code,
        -26
    );
}

#[test]
fn a_block_is_judged_over_the_wire_as_in_the_chain() {
    let node = start(None);
    let mut world = World::new(0, now_s());
    world.chain = node.devnet.look(Clone::clone);
    for _ in 0..103 {
        let block = world.mine();
        assert_eq!(node.rpc.expect("submitblock", json!([serialize_hex(&block)])), Value::Null);
    }
    for fault in [Fault::WrongHeight, Fault::TooMuchReward, Fault::Commitment, Fault::UnknownParent]
    {
        let block = fault.put_into(world.next(), &world);
        let said = node.rpc.expect("submitblock", json!([serialize_hex(&block)]));
        assert_eq!(said.as_str(), fault.verdict());
    }
    // As with bitcoind, a coinbase without its witness is completed.
    let mut block = world.next();
    block.txdata[0].input[0].witness.clear();
    assert_eq!(node.rpc.expect("submitblock", json!([serialize_hex(&block)])), Value::Null);
    let tips = node.rpc.expect("getchaintips", json!([]));
    assert_eq!(tips[0]["status"], "active");
    assert_eq!(node.rpc.expect("getblockchaininfo", json!([]))["blocks"], 104);
}

#[test]
fn a_chain_with_a_file_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blocks");
    let before = {
        let node = start(Some(file.clone()));
        node.rpc.expect("generatetoaddress", json!([7, NOBODY])).is_array();
        node.devnet.tip()
    };
    let node = start(Some(file));
    assert_eq!(node.devnet.tip(), before);
}

#[test]
fn stop_stops_it() {
    let node = start(None);
    let _said = node.rpc.expect("stop", json!([]));
    node.runtime.block_on(node.devnet.stopped());
}

#[test]
fn every_method_it_lists_is_there() {
    let node = start(None);
    let listed = node.rpc.expect("help", json!([]));
    for method in listed.as_str().unwrap().lines().filter(|method| *method != "stop") {
        let answer = node.rpc.call(method, json!([]));
        assert_ne!(answer.map_err(|error| error.code).err(), Some(-32601), "{method}");
    }
}

#[test]
fn an_address_of_another_network_is_not_valid() {
    let node = start(None);
    let script = devnet::purse::Purse::new().script();
    for (network, valid) in [(Network::Regtest, true), (Network::Bitcoin, false)] {
        let address = Address::from_script(&script, network).unwrap().to_string();
        assert_eq!(node.rpc.expect("validateaddress", json!([address]))["isvalid"], valid);
    }
}

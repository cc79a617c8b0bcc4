//! The GXC node as it was seen: one read, one code, believed hashes, changed ids, and offers that were taken already.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use devnet::gxc::ledger::COIN;
use devnet::gxc::{GxcNode, Ledger, Net};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const POOL: &str = "tGXC751e76e8199196d454941c45d1b3a323f1";
const ANN: &str = "tGXC0000000000000000000000000000000001";

fn node() -> GxcNode {
    let mut ledger = Ledger::new(Net::Test);
    ledger.wallet.insert(POOL.into());
    GxcNode::start(ledger, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Sends these pieces one after the other.
fn send(node: &GxcNode, pieces: &[&str]) -> Value {
    let mut stream = TcpStream::connect(node.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            std::thread::sleep(Duration::from_millis(100));
        }
        // It may have hung up after its one read.
        drop(stream.write_all(piece.as_bytes()));
    }
    let mut text = String::new();
    drop(stream.read_to_string(&mut text));
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

fn call(node: &GxcNode, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    send(node, &[&format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())])
}

fn block(node: &GxcNode, change: impl FnOnce(&mut Value)) -> Value {
    let template = call(node, "getblocktemplate", json!([{ "address": POOL }]))["result"].clone();
    let mut block = json!({
        "height": template["height"], "hash": format!("00000000{}", "ab".repeat(28)), "nonce": 3_000_000_008u32,
        "previousblockhash": template["previousblockhash"], "miner": POOL, "timestamp": template["curtime"],
        "difficulty": template["difficulty"], "consensus_type": "pow_sha256", "transactions": template["transactions"]
    });
    change(&mut block);
    call(node, "submitblock", json!([block]))
}

#[test]
fn a_request_is_read_once_and_misread_when_it_comes_in_two_pieces_or_is_too_long() {
    let node = node();
    let body =
        json!({ "jsonrpc": "2.0", "id": 7, "method": "getblockcount", "params": [] }).to_string();
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    assert_eq!(send(&node, &[&format!("{head}{body}")])["result"], 1);
    assert_eq!(send(&node, &[&head, &body])["error"]["code"], -32700);
    let long = json!({ "jsonrpc": "2.0", "id": 7, "method": "x", "params": ["y".repeat(9000)] });
    assert_eq!(send(&node, &[&format!("{head}{long}")])["error"]["code"], -32700);
    let old = body.replace("\"2.0\"", "\"1.0\"");
    assert_eq!(send(&node, &[&format!("{head}{old}")])["error"]["code"], -32600);
    assert_eq!(call(&node, "getwork", json!([]))["error"]["code"], -32601);
}

#[test]
fn a_hash_is_believed_and_everything_wrong_has_one_code() {
    let node = node();
    let why = |answer: Value| {
        assert_eq!(answer["error"]["code"], -32603, "{answer}");
        answer["error"]["message"].as_str().unwrap().to_owned()
    };
    let said = why(block(&node, |b| b["hash"] = json!("ff".repeat(32))));
    assert!(said.contains("0 leading zeros, requires 1"), "{said}");
    assert!(why(block(&node, |b| b["difficulty"] = json!(2.0))).contains("requires 1.000000"));
    assert!(why(block(&node, |b| b["nonce"] = json!("0001"))).contains("must be number"));
    assert!(why(block(&node, |b| b["transactions"] = json!([]))).contains("missing coinbase"));
    assert!(
        why(block(&node, |b| b["previousblockhash"] = json!("00"))).contains("validation failed")
    );
    assert!(why(block(&node, |b| b["height"] = json!(0))).contains("Stale"));
    assert!(why(block(&node, |b| b["timestamp"] = json!(1))).contains("past"));
    let taken = block(&node, |_| {});
    assert!(taken["result"].is_null() && taken.get("error").is_none(), "{taken}");
    let stored = call(&node, "getblock", json!([1]))["result"].clone();
    assert_eq!(stored["hash"], format!("00000000{}", "ab".repeat(28)));
    assert_eq!(stored["nonce"], 18_446_744_072_414_584_328u64, "32 bits with a sign");
    assert_eq!(node.chain(|ledger| ledger.balance(POOL)), 0, "not mature");
    node.mine_to(ANN, 6);
    assert_eq!(call(&node, "getbalance", json!([POOL]))["result"], 50.0);
}

#[test]
fn a_mined_payment_has_another_id_and_is_offered_again() {
    let node = node();
    node.mine_to(POOL, 7);
    let wrong = call(&node, "sendtoaddress", json!([POOL, ANN, 5.0]));
    assert_eq!(wrong["error"]["code"], -32603);
    assert_eq!(call(&node, "sendtoaddress", json!([ANN, 5.0, ANN]))["error"]["code"], -8);
    assert_eq!(call(&node, "sendtoaddress", json!([ANN, 5000.0, POOL]))["error"]["code"], -6);
    let id = call(&node, "sendtoaddress", json!([ANN, "5.5", POOL]))["result"].clone();
    assert_eq!(call(&node, "gettransaction", json!([id]))["error"]["code"], -8, "it waits");
    assert_eq!(call(&node, "getrawmempool", json!([]))["result"], json!([id]));
    assert!(
        block(&node, |b| b["hash"] = json!(format!("0000{}", "cd".repeat(30))))["result"].is_null()
    );
    assert_eq!(call(&node, "gettransaction", json!([id]))["error"]["code"], -8, "another id");
    assert_eq!(node.chain(|ledger| ledger.paid_to(ANN)), 55 * COIN / 10);
    assert_eq!(call(&node, "getrawmempool", json!([]))["result"], json!([id]), "still offered");
    let again = block(&node, |b| b["hash"] = json!(format!("0000{}", "ef".repeat(30))));
    assert!(again["error"]["message"].as_str().unwrap().contains("validation failed"));
    let alone = |b: &mut Value| b["transactions"].as_array_mut().unwrap().truncate(1);
    assert!(block(&node, alone)["result"].is_null());
}

#[test]
fn of_a_coinbase_only_the_first_output_survives() {
    let node = node();
    let answer = block(&node, |b| {
        let half = |address: &str| json!({ "address": address, "amount": 25.0, "script": "" });
        b["transactions"][0]["outputs"] = json!([half(POOL), half(ANN)]);
    });
    assert!(answer["result"].is_null(), "{answer}");
    node.mine_to(ANN, 6);
    assert_eq!(node.chain(|ledger| ledger.balance(POOL)), 25 * COIN);
}

#[test]
fn an_answer_that_is_swallowed_was_work_that_was_done() {
    let node = node();
    node.mine_to(POOL, 7);
    node.swallow_answers(1);
    let mut stream = TcpStream::connect(node.address()).unwrap();
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "sendtoaddress", "params": [ANN, 5.0, POOL] })
            .to_string();
    stream.write_all(format!("POST / HTTP/1.1\r\n\r\n{body}").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
    assert_eq!(node.chain(|ledger| ledger.waiting().len()), 1);
}

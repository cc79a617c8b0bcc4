//! Each real component starts, mines, answers and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test")]

use serde_json::{Value, json};
use std::net::TcpStream;
use std::sync::Arc;
use testkit::bitcoind::NOBODY;
use testkit::{Bcoin, Bitcoind, Fault, Litecoind, Proxy, Rpc, bitcoind, litecoind};

#[test]
fn bitcoind_mines_notifies_restarts_and_is_gone_after() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("tips");
    let notify = format!("echo %s >> {}", log.display());
    let options = bitcoind::Options { zmq: true, blocknotify: Some(notify), more: vec![] };
    let mut node = Bitcoind::start(options);
    let hashes = node.generate(3, NOBODY);
    assert_eq!(node.height(), 3);
    testkit::wait_for("blocknotify", || {
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        told.contains(&hashes[2]).then_some(())
    });
    let zmq: std::net::SocketAddr = node.zmq().strip_prefix("tcp://").unwrap().parse().unwrap();
    assert!(TcpStream::connect(zmq).is_ok());
    let template = node.rpc.expect("getblocktemplate", json!([{ "rules": ["segwit"] }]));
    assert_eq!(template["height"], 4);
    node.stop();
    node.start_again();
    assert_eq!(node.height(), 3);
    node.kill();
    assert_eq!(node.rpc.call("getblockcount", json!([])).unwrap_err().code, 0);

    let (one, two) = (
        Bitcoind::start(bitcoind::Options::default()),
        Bitcoind::start(bitcoind::Options::default()),
    );
    one.generate(2, NOBODY);
    two.join(&one);
    assert_eq!(two.height(), 2);
    two.part();
}

#[test]
fn litecoind_gives_templates_and_has_a_wallet() {
    let mut node = Litecoind::start(litecoind::Options::default());
    let address = node.new_address();
    node.generate(1, &address);
    let template = node.rpc.expect("getblocktemplate", json!([{ "rules": ["segwit", "mweb"] }]));
    assert_eq!(template["height"], 2);
    node.stop();
    node.start_again();
    assert_eq!(node.rpc.expect("getblockcount", json!([])), 1);
}

#[test]
fn bcoin_mines() {
    let node = Bcoin::start();
    node.generate(2);
    assert_eq!(node.rpc.expect("getblockcount", json!([])), 2);
    let template = node.rpc.expect("getblocktemplate", json!([{ "rules": ["segwit"] }]));
    assert_eq!(template["height"], 3);
}

#[test]
fn the_proxy_does_what_it_is_told() {
    let node = Bitcoind::start(bitcoind::Options::default());
    let proxy = Proxy::before(node.address());
    let through = Rpc::new(proxy.address(), bitcoind::USER, bitcoind::PASSWORD);
    let height = || through.call("getblockcount", json!([]));
    assert_eq!(height(), Ok(json!(0)));
    proxy.set(Fault::Refuse);
    assert_eq!(height().unwrap_err().code, 0);
    proxy.set_method("getblockcount", Fault::Answer(json!(77)));
    assert_eq!(height(), Ok(json!(77)));
    proxy.heal();
    proxy.set_method("getblockcount", Fault::Error(-28, "Loading"));
    assert_eq!(height().unwrap_err().code, -28);
    proxy.set_method(
        "getblockcount",
        Fault::Change(Arc::new(|value: Value| json!(value.as_u64().unwrap() + 5))),
    );
    assert_eq!(height(), Ok(json!(5)));
    proxy.set_method("getblockcount", Fault::CutAnswer(30));
    assert_eq!(height().unwrap_err().code, 0);
    proxy.set_method("generatetoaddress", Fault::LoseAnswer);
    assert_eq!(through.call("generatetoaddress", json!([1, NOBODY])).unwrap_err().code, 0);
    assert_eq!(node.height(), 1, "the node had got it");
    proxy.set_method("getblockcount", Fault::Hang);
    let waiting = std::thread::spawn({
        let through = through.clone();
        move || through.call("getblockcount", json!([]))
    });
    proxy.wait_for_call("getblockcount", 6);
    proxy.heal();
    assert_eq!(waiting.join().unwrap().unwrap_err().code, 0);
    assert_eq!(height(), Ok(json!(1)));
}

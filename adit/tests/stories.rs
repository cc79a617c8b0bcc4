//! A share becomes a paid balance on every real node: the whole path, with the real binary.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::{Pool, Setup, all_rest, somebody};
use pow::Algorithm;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bcoin, Bitcoind, Fault, Litecoind, Proxy, Rpc, bitcoind, litecoind};

/// Every payout made is confirmed, and there is one.
fn all_confirmed(pool: &Pool) -> Option<()> {
    let payouts = pool.reader().payouts(1000).unwrap();
    let confirmed = payouts.iter().all(|payout| payout.state.as_str() == "confirmed");
    (confirmed && !payouts.is_empty()).then_some(())
}

/// What each recipient got, by address, from the books.
fn paid(pool: &Pool) -> Vec<(String, i128)> {
    let mut sums = std::collections::BTreeMap::new();
    for payout in pool.reader().payouts(1000).unwrap() {
        for part in payout.parts {
            *sums.entry(part.address).or_insert(0) += part.sent.units();
        }
    }
    sums.into_iter().collect()
}

/// Mines until every debt is paid and confirmed.
async fn until_paid(pool: &Pool, mut mine: impl FnMut(u32)) {
    mine(101);
    pool.wait("maturity", all_rest);
    testkit::wait_for("payouts", || {
        mine(1);
        std::thread::sleep(std::time::Duration::from_millis(200));
        all_confirmed(pool)
    });
    pool.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_litecoind_a_share_becomes_a_confirmed_payout() {
    let node = Litecoind::start(litecoind::Options::default());
    let miners = Rpc::new(node.address(), USER, PASSWORD);
    miners.expect("createwallet", json!(["miners"])).is_object();
    let wallet = miners.wallet("miners");
    let address =
        |n: &str| wallet.expect("getnewaddress", json!([n, "bech32"])).as_str().unwrap().to_owned();
    let (ann, bob) = (address("ann"), address("bob"));
    // A node without a recent block believes it is still syncing.
    node.generate(1, &node.new_address());
    let asset = format!(
        r#"
coin = "litecoin"
network = "regtest"
look_every = "500ms"
nodes = [{{ rpc = "{}", user = "{USER}", password = "{PASSWORD}", poll = "200ms" }}]
wallet = {{ kind = "node", name = "pool" }}
"#,
        node.address()
    );
    let setup = Setup { asset, ..Setup::bitcoin(node.address(), USER, PASSWORD) };
    let mut pool = Pool::new(&setup);
    assert!(pool.says(&["check"], &[]).contains("this pool can start"));
    pool.start();
    let one = pool.miner(&format!("{ann}.rig"), Algorithm::Scrypt, 3.0);
    let two = pool.miner(&bob, Algorithm::Scrypt, 6.0);
    pool.wait_for_rewards(4);
    one.stop().await;
    two.stop().await;
    let nobody = node.new_address();
    until_paid(&pool, |count| drop(node.generate(count, &nobody))).await;
    let booked: i128 = paid(&pool).iter().map(|(_, amount)| amount).sum();
    let received = wallet.expect("getbalance", json!([])).as_f64().unwrap();
    assert_eq!((received * 1e8).round() as i128, booked, "what the miners' own wallet received");
    assert!(booked > 100 * 100_000_000);
    pool.stop();
}

/// The sum of unspent outputs to a script.
fn unspent(node: &Rpc, script: &bitcoin::Script) -> i128 {
    let found =
        node.expect("scantxoutset", json!(["start", [format!("raw({})", script.to_hex_string())]]));
    (found["total_amount"].as_f64().unwrap() * 1e8).round() as i128
}

async fn on_bitcoind(
    options: bitcoind::Options,
    change: impl FnOnce(String, &Bitcoind) -> String,
    heard_by: &str,
) {
    on_bitcoind_with(options, change, |_| {}, heard_by).await;
}

async fn on_bitcoind_with(
    options: bitcoind::Options,
    change: impl FnOnce(String, &Bitcoind) -> String,
    before_start: impl FnOnce(&Pool),
    heard_by: &str,
) {
    let node = Bitcoind::start(options);
    node.generate(1, NOBODY);
    let mut setup = Setup::bitcoin(node.address(), USER, PASSWORD);
    setup.asset = change(setup.asset, &node);
    let mut pool = Pool::new(&setup);
    before_start(&pool);
    pool.start();
    let (ann, bob) = (somebody(1), somebody(2));
    let one = pool.miner(&format!("{}.rig", ann.0), Algorithm::Sha256d, 3.0);
    let two = pool.miner(&bob.0, Algorithm::Sha256d, 6.0);
    pool.wait_for_rewards(4);
    one.stop().await;
    two.stop().await;
    node.generate(1, NOBODY);
    let height = node.height();
    pool.wait("news of the block", |status| {
        (status["pools"][0]["job"]["height"] == height + 1).then_some(())
    });
    until_paid(&pool, |count| drop(node.generate(count, NOBODY))).await;
    for (address, amount) in paid(&pool) {
        let script = if address == ann.0 { &ann.1 } else { &bob.1 };
        assert_eq!(unspent(&node.rpc, script), amount, "{address}");
    }
    let log = pool.log();
    assert!(log.contains(heard_by), "news came by {heard_by}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_bitcoind_a_share_becomes_a_confirmed_payout_with_news_by_long_poll() {
    on_bitcoind(bitcoind::Options::default(), |asset, _| asset.replace("200ms", "1h"), "long poll")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_bitcoind_a_share_becomes_a_confirmed_payout_with_news_by_zmq() {
    let options = bitcoind::Options { zmq: true, ..Default::default() };
    let zmq = |asset: String, node: &Bitcoind| {
        asset.replace("poll = \"200ms\"", &format!("zmq = \"{}\"", node.zmq()))
    };
    on_bitcoind(options, zmq, "ZMQ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_bitcoind_a_share_becomes_a_confirmed_payout_with_news_by_blocknotify() {
    // The node is told the command before the pool's configuration is there.
    let scripts = tempfile::tempdir().unwrap();
    let command = scripts.path().join("notify");
    let options = bitcoind::Options {
        blocknotify: Some(command.display().to_string()),
        ..Default::default()
    };
    // Without long polling, and hardly ever polled.
    let mut proxy = None;
    let only_knocks = |asset: String, node: &Bitcoind| {
        let before = proxy.insert(Proxy::before(node.address()));
        let no_long_poll = |mut template: Value| {
            template.as_object_mut().unwrap().remove("longpollid");
            template
        };
        before.set_method("getblocktemplate", Fault::Change(Arc::new(no_long_poll)));
        let address = node.address().to_string();
        asset.replace("200ms", "1h").replace(&address, &before.address().to_string())
    };
    let write_command = |pool: &Pool| {
        let config = pool.config();
        let text =
            format!("#!/bin/sh\nexec {} knock --config {}\n", common::ADIT, config.display());
        std::fs::write(&command, text).unwrap();
        std::fs::set_permissions(&command, PermissionsExt::from_mode(0o755)).unwrap();
    };
    on_bitcoind_with(options, only_knocks, write_command, "blocknotify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_bcoin_a_share_becomes_a_confirmed_payout() {
    let node = Bcoin::start();
    // Before this height bcoin has no segregated witness, and rejects blocks with a commitment.
    node.generate(5);
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), "x", testkit::bcoin::PASSWORD));
    pool.start();
    let (ann, bob) = (somebody(1), somebody(2));
    let one = pool.miner(&ann.0, Algorithm::Sha256d, 3.0);
    let two = pool.miner(&bob.0, Algorithm::Sha256d, 6.0);
    pool.wait_for_rewards(2);
    one.stop().await;
    two.stop().await;
    // Our wallet pays with witnesses, which bcoin knows from height 432 on.
    node.generate(440);
    let again = pool.miner(&ann.0, Algorithm::Sha256d, 6.0);
    pool.wait_for_rewards(4);
    again.stop().await;
    until_paid(&pool, |count| drop(node.generate(count))).await;
    pool.stop();
}

//! Nodes that go away, lie, lose answers, follow another fork, and chains that change their mind.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use accounting::reward::RewardState;
use common::{Pool, Setup, somebody};
use pow::Algorithm;
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, Fault, Proxy, Rpc, bitcoind};

fn a_node() -> Bitcoind {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    node
}

/// A pool behind these nodes, the first preferred.
fn setup(nodes: &[std::net::SocketAddr]) -> Setup {
    let mut setup = Setup::bitcoin(nodes[0], USER, PASSWORD).scheme("prop");
    let more: Vec<String> = nodes[1..]
        .iter()
        .map(|node| format!("{{ rpc = \"{node}\", user = \"{USER}\", password = \"{PASSWORD}\", poll = \"200ms\" }}"))
        .collect();
    let end = setup.asset.find("poll = \"200ms\" }]").unwrap() + "poll = \"200ms\" }".len();
    setup.asset.insert_str(end, &format!(", {}", more.join(", ")));
    setup
}

fn job_height(status: &Value) -> Option<u64> {
    status["pools"][0]["job"]["height"].as_u64()
}

fn trouble(status: &Value) -> String {
    status["assets"][0]["nodes"].to_string()
}

/// Waits until exactly one more block of ours is booked, mined by one slow miner; gives its hash.
async fn find_one(pool: &Pool) -> String {
    let before = pool.reader().rewards(1000).unwrap().len();
    let (ann, _) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 4.0);
    testkit::wait_for("a block", || {
        (pool.reader().rewards(1000).unwrap().len() > before).then_some(())
    });
    miner.stop().await;
    pool.reader().rewards(1).unwrap()[0].id.to_string()
}

fn state_of(pool: &Pool, block: &str) -> RewardState {
    let rewards = pool.reader().rewards(1000).unwrap();
    rewards.iter().find(|reward| reward.id.to_string() == block).unwrap().state
}

fn wait_for_state(pool: &Pool, block: &str, state: RewardState) {
    testkit::wait_for(state.as_str(), || (state_of(pool, block) == state).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_node_hangs_or_is_gone_the_other_gives_the_work_and_gets_the_blocks() {
    let (one, two) = (a_node(), Bitcoind::start(bitcoind::Options::default()));
    two.join(&one);
    let proxy = Proxy::before(one.address());
    let mut pool = Pool::new(&setup(&[proxy.address(), two.address()]));
    pool.start();
    find_one(&pool).await;
    one.part();
    for fault in [Fault::Refuse, Fault::Hang] {
        proxy.set(fault);
        let height = two.height();
        let block = find_one(&pool).await;
        testkit::wait_for("the other node", || {
            let known = two.rpc.call("getblockheader", json!([block])).is_ok();
            (known && two.height() > height).then_some(())
        });
        assert!(one.rpc.call("getblockheader", json!([block])).is_err());
        proxy.heal();
        // Back again, it is told of the block it missed.
        testkit::wait_for("the first node", || one.rpc.call("getblockheader", json!([block])).ok());
    }
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_another_chain_or_syncing_gives_no_work_and_that_is_said() {
    let node = a_node();
    let proxy = Proxy::before(node.address());
    proxy.set_method("getblockhash", Fault::Answer(json!("ab".repeat(32))));
    let mut pool = Pool::new(&setup(&[proxy.address()]));
    pool.launch();
    testkit::wait_for("the complaint", || pool.log().contains("another chain").then_some(()));
    proxy.heal();
    pool.wait("work", |status| job_height(status).map(drop));
    // Later, too: what was handed out is withdrawn.
    let info = |value: Value| {
        let mut value = value;
        value["headers"] = json!(5000);
        value
    };
    proxy.set_method("getblockchaininfo", Fault::Change(Arc::new(info)));
    node.generate(1, NOBODY);
    proxy.set_method("getblocktemplate", Fault::Error(-10, "in initial download"));
    pool.wait("withdrawal", |status| {
        (job_height(status).is_none() && trouble(status).contains("syncing")).then_some(())
    });
    proxy.heal();
    pool.wait("work", |status| job_height(status).map(drop));
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn between_two_forks_the_most_work_wins() {
    let (one, two) = (a_node(), Bitcoind::start(bitcoind::Options::default()));
    two.join(&one);
    two.part();
    let mut pool = Pool::new(&setup(&[one.address(), two.address()]));
    pool.start();
    let (_, other) = somebody(9);
    let other =
        bitcoin::Address::from_script(&other, bitcoin::Network::Regtest).unwrap().to_string();
    one.generate(1, NOBODY);
    two.generate(3, &other);
    pool.wait("the longer fork", |status| (job_height(status) == Some(5)).then_some(()));
    one.generate(4, NOBODY);
    pool.wait("the other, now longer", |status| (job_height(status) == Some(7)).then_some(()));
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_whose_answer_is_lost_is_repeated_and_booked_once() {
    let node = a_node();
    let proxy = Proxy::before(node.address());
    let mut pool = Pool::new(&setup(&[proxy.address()]));
    pool.start();
    proxy.set_method("submitblock", Fault::LoseAnswer);
    let block = find_one(&pool).await;
    proxy.wait_for_call("submitblock", 1);
    assert!(node.rpc.call("getblockheader", json!([block])).is_ok(), "it had arrived");
    proxy.heal();
    testkit::wait_for("the end of asking", || {
        pool.log().contains("the node has the block").then_some(())
    });
    assert!(!pool.log().contains("rejects the block"));
    node.generate(101, NOBODY);
    wait_for_state(&pool, &block, RewardState::Matured);
    assert_eq!(
        pool.reader()
            .rewards(10)
            .unwrap()
            .iter()
            .filter(|reward| reward.id.to_string() == block)
            .count(),
        1
    );
    pool.audit();
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_whose_answer_is_lost_is_found_in_the_mempool_and_paid_once() {
    let node = a_node();
    let proxy = Proxy::before(node.address());
    let mut pool = Pool::new(&setup(&[proxy.address()]).scheme("prop"));
    pool.start();
    find_one(&pool).await;
    proxy.set_method("sendrawtransaction", Fault::LoseAnswer);
    node.generate(101, NOBODY);
    proxy.wait_for_call("sendrawtransaction", 0);
    testkit::wait_for("the payout's arrival", || {
        (node.rpc.expect("getrawmempool", json!([])).as_array()?.len() == 1).then_some(())
    });
    proxy.heal();
    testkit::wait_for("the payout", || {
        node.generate(1, NOBODY);
        std::thread::sleep(std::time::Duration::from_millis(200));
        let payouts = pool.reader().payouts(10).unwrap();
        let confirmed = payouts.iter().all(|payout| payout.state.as_str() == "confirmed");
        (confirmed && payouts.len() == 1).then_some(())
    });
    let sent: i128 = pool.reader().payouts(10).unwrap()[0].parts[0].sent.units();
    let (_, script) = somebody(1);
    let raw = format!("raw({})", script.to_hex_string());
    let held = node.rpc.expect("scantxoutset", json!(["start", [raw]]));
    assert_eq!((held["total_amount"].as_f64().unwrap() * 1e8).round() as i128, sent);
    pool.audit();
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_booked_is_what_the_coinbase_pays_and_a_value_that_lies_too_high_is_orphaned() {
    let node = a_node();
    let proxy = Proxy::before(node.address());
    let mut pool = Pool::new(&setup(&[proxy.address()]));
    let pays = |coins: u64| {
        Fault::Change(Arc::new(move |mut value: Value| {
            value["coinbasevalue"] = json!(coins * 100_000_000);
            value
        }))
    };
    proxy.set_method("getblocktemplate", pays(40));
    pool.start();
    let modest = find_one(&pool).await;
    let amount = |block: &str| {
        let rewards = pool.reader().rewards(100).unwrap();
        rewards.iter().find(|reward| reward.id.to_string() == block).unwrap().amount.units()
    };
    assert_eq!(amount(&modest), 40 * 100_000_000, "not what the schedule says");
    let height = node.height();
    proxy.set_method("getblocktemplate", pays(60));
    node.generate(1, NOBODY);
    pool.wait("the lying template", |status| {
        (job_height(status) == Some(height + 2)).then_some(())
    });
    let greedy = find_one(&pool).await;
    testkit::wait_for("the rejection", || pool.log().contains("bad-cb-amount").then_some(()));
    let kept = std::fs::read_dir(pool.store().join("blocks/coin")).unwrap();
    assert!(
        kept.flatten().any(|file| file.file_name().to_string_lossy().contains(&greedy)),
        "its bytes are kept"
    );
    proxy.heal();
    node.generate(101, NOBODY);
    wait_for_state(&pool, &greedy, RewardState::Orphaned);
    wait_for_state(&pool, &modest, RewardState::Matured);
    pool.audit();
    pool.stop();
}

/// Replaces the chain from this block on by a longer one.
fn reorganise(node: &Bitcoind, block: &str, longer_by: u32) {
    let height = node.height();
    let from = node.rpc.expect("getblockheader", json!([block]))["height"].as_u64().unwrap();
    node.rpc.expect("invalidateblock", json!([block])).is_null();
    let (other, _) = somebody(77);
    node.generate(u32::try_from(height - from).unwrap() + 1 + longer_by, &other);
}

/// Brings the old chain back by making it the longest again.
fn come_back(node: &Bitcoind, block: &str, rival_tip: &str) {
    node.rpc.expect("invalidateblock", json!([rival_tip])).is_null();
    node.rpc.expect("reconsiderblock", json!([block])).is_null();
    testkit::wait_for("the old chain", || {
        let confirmations =
            node.rpc.expect("getblockheader", json!([block]))["confirmations"].as_i64().unwrap();
        (confirmations > 0).then_some(())
    });
}

/// The first block above a block's parent on the chain that replaced it.
fn rival_of(node: &Rpc, height: u64) -> String {
    node.expect("getblockhash", json!([height])).as_str().unwrap().to_owned()
}

const NO_PAYOUTS: &str =
    "[assets.coin.payouts]\nminimum = \"1000\"\ninterval = \"500ms\"\nconfirm_after = 2\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_of_any_depth_takes_an_unpaid_reward_back_and_gives_it_again() {
    for depth in [1u32, 6, 60, 100, 101, 120] {
        let node = a_node();
        let mut pool = Pool::with_payouts(&setup(&[node.address()]), NO_PAYOUTS);
        pool.start();
        let block = find_one(&pool).await;
        let height = node.rpc.expect("getblockheader", json!([block]))["height"].as_u64().unwrap();
        if depth > 1 {
            node.generate(depth - 1, NOBODY);
        }
        let before = if depth > 100 { RewardState::Matured } else { RewardState::Immature };
        wait_for_state(&pool, &block, before);
        // Six blocks on the other chain make it an orphan.
        reorganise(&node, &block, 6);
        wait_for_state(&pool, &block, RewardState::Orphaned);
        let account = accounting::AccountId(1);
        let balance = || {
            pool.reader()
                .balance(accounting::AssetId(1), accounting::ledger::Kind::Account(account))
                .unwrap()
        };
        assert_eq!(balance().available(), accounting::Amount::ZERO, "depth {depth}");
        assert_eq!(balance().credits_pending, accounting::Amount::ZERO, "depth {depth}");
        come_back(&node, &block, &rival_of(&node.rpc, height));
        node.generate(110, NOBODY);
        wait_for_state(&pool, &block, RewardState::Matured);
        testkit::wait_for("the balance", || balance().available().is_positive().then_some(()));
        assert_eq!(balance().available().units(), 4_950_000_000, "depth {depth}");
        pool.audit();
        pool.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_after_its_payout_is_a_loss_of_the_pool_stops_payouts_and_debits_nobody_below_zero()
 {
    let node = a_node();
    // The payout itself is given up long after, so that its coins are gone and its debts are not back.
    let payouts = common::QUICK_PAYOUTS.replace("abandon_after = 5", "abandon_after = 1000");
    let mut pool = Pool::with_payouts(&setup(&[node.address()]), &payouts);
    pool.start();
    let block = find_one(&pool).await;
    node.generate(101, NOBODY);
    testkit::wait_for("the payout", || {
        node.generate(1, NOBODY);
        std::thread::sleep(std::time::Duration::from_millis(200));
        let payouts = pool.reader().payouts(10).unwrap();
        payouts.iter().any(|payout| payout.state.as_str() == "confirmed").then_some(())
    });
    reorganise(&node, &block, 6);
    wait_for_state(&pool, &block, RewardState::Orphaned);
    pool.wait("the alarm", |status| {
        let held = status["holds"].to_string().contains("left the chain");
        let blocked = status["assets"][0]["payouts_blocked_by"].to_string().contains("held");
        (held && blocked).then_some(())
    });
    let reader = pool.reader();
    for (_, kind, balance) in reader.book().unwrap().ledger.balances() {
        if let accounting::ledger::Kind::Account(account) = kind {
            assert!(balance.posted() >= accounting::Amount::ZERO, "account {account}");
        }
    }
    assert_eq!(reader.fold_differences().unwrap(), vec![]);
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_leaves_the_chain_and_every_mempool_is_broadcast_again() {
    // A mempool that is gone with the node.
    let options =
        bitcoind::Options { more: vec!["-persistmempool=0".into()], ..Default::default() };
    let mut node = Bitcoind::start(options);
    node.generate(1, NOBODY);
    let mut pool = Pool::new(&setup(&[node.address()]));
    pool.start();
    find_one(&pool).await;
    node.generate(101, NOBODY);
    let payout = testkit::wait_for("the payout", || {
        let payouts = pool.reader().payouts(10).unwrap();
        payouts
            .first()
            .filter(|payout| payout.state.as_str() == "broadcast")
            .map(|payout| payout.txid.unwrap().to_string())
    });
    let mined = node.generate(3, NOBODY);
    let state = |pool: &Pool| pool.reader().payouts(10).unwrap()[0].state.as_str();
    testkit::wait_for("confirmation", || (state(&pool) == "confirmed").then_some(()));
    pool.stop();
    node.rpc.expect("invalidateblock", json!([mined[0]])).is_null();
    node.stop();
    node.start_again();
    let (other, _) = somebody(78);
    node.generate(1, &other);
    assert_eq!(node.rpc.expect("getrawmempool", json!([])), json!([]), "nobody knows it any more");
    pool.start();
    testkit::wait_for("the same bytes again", || {
        let waiting = node.rpc.expect("getrawmempool", json!([]));
        waiting.as_array().unwrap().iter().any(|txid| *txid == json!(payout)).then_some(())
    });
    node.generate(4, &other);
    testkit::wait_for("confirmation", || (state(&pool) == "confirmed").then_some(()));
    assert_eq!(pool.reader().payouts(10).unwrap().len(), 1, "it was never paid by another");
    pool.audit();
    pool.stop();
}

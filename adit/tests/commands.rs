//! The commands an operator has, as they would use them.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::{Chain, Pool, Setup, all_rest, somebody};
use pow::Algorithm;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, bitcoind};

fn a_node() -> Bitcoind {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    node
}

fn state_of_payouts(pool: &Pool) -> Vec<String> {
    pool.reader()
        .payouts(100)
        .unwrap()
        .iter()
        .map(|payout| payout.state.as_str().to_owned())
        .collect()
}

/// One block of ours, matured and paid.
async fn paid_once(pool: &Pool, node: &Bitcoind) {
    let (ann, _) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 8.0);
    miner.stats().wait_for(|stats| stats.accepted >= 3).await.unwrap();
    pool.wait_for_rewards(1);
    miner.stop().await;
    node.generate(101, NOBODY);
    testkit::wait_for("the payout", || {
        node.generate(1, NOBODY);
        std::thread::sleep(std::time::Duration::from_millis(200));
        let states = state_of_payouts(pool);
        (!states.is_empty() && states.iter().all(|state| state == "confirmed")).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_store_refuses() {
    let node = a_node();
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD));
    pool.start();
    let second = pool.adit(&["run"], &[]);
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use by another adit process"), "{said}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn payouts_are_held_by_hand_and_go_on_when_released_and_everything_is_listed() {
    let node = a_node();
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD));
    pool.start();
    pool.says(&["payouts", "hold"], &["all", "--reason", "looking into it"]);
    let (ann, _) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 4.0);
    pool.wait_for_rewards(1);
    miner.stop().await;
    node.generate(101, NOBODY);
    pool.wait("maturity", all_rest);
    let plan = pool.says(&["payouts", "dry-run"], &["coin"]);
    assert!(plan.contains(&ann) && plan.contains("looking into it"), "{plan}");
    assert_eq!(state_of_payouts(&pool), Vec::<String>::new());
    assert!(pool.says(&["payouts", "list"], &[]).contains("held: all (looking into it)"));
    pool.says(&["payouts", "release"], &["all"]);
    testkit::wait_for("the payout", || {
        node.generate(1, NOBODY);
        std::thread::sleep(std::time::Duration::from_millis(200));
        (state_of_payouts(&pool) == ["confirmed"]).then_some(())
    });
    let exported = pool.says(&["payouts", "export"], &[]);
    assert!(exported.lines().count() == 2 && exported.contains(&ann), "{exported}");
    // A stranger's address, another network's, and nonsense.
    let refused = |words: &[&str], rest: &[&str]| {
        let output = pool.adit(words, rest);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&["payouts", "release"], &["all"]).contains("not held"));
    assert!(
        refused(&["payouts", "hold"], &["nonsense", "--reason", "x"]).contains("not an address")
    );
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    assert!(refused(&["payouts", "address"], &[&ann, mainnet]).contains("another network"));
    assert!(
        refused(&["payouts", "address"], &[&somebody(7).0, &ann]).contains("ever accepted here")
    );
    pool.stop();
    // Without a running pool the store itself is asked.
    pool.says(&["payouts", "hold"], &["coin", "--reason", "offline"]);
    assert!(pool.says(&["payouts", "list"], &[]).contains("offline"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_takes_nothing_of_what_a_lost_file_left_beside_it() {
    let chain = Chain::with_hashes_per_block(256);
    let mut pool = Pool::new(&chain.setup());
    pool.start();
    let miner = pool.miner(&somebody(1).0, Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(1);
    let backup = pool.folder.path().join("backup.db");
    pool.says(&["backup"], &[backup.to_str().unwrap()]);
    pool.wait_for_rewards(3);
    pool.kill();
    miner.stop().await;
    let saved = store::Reader::open_file(&backup).unwrap().rewards(1000).unwrap();
    std::fs::remove_file(pool.store().join("adit.db")).unwrap();
    assert!(pool.store().join("adit.db-wal").exists(), "what the killed pool left");
    pool.says(&["restore"], &[backup.to_str().unwrap()]);
    assert_eq!(pool.reader().rewards(1000).unwrap(), saved);
    pool.start();
    pool.audit();
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_pays_nothing_twice() {
    let node = a_node();
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD).scheme("prop"));
    pool.start();
    let (ann, script) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 4.0);
    pool.wait_for_rewards(1);
    miner.stop().await;
    // The backup is taken while it runs, before anything is paid.
    let backup = pool.folder.path().join("backup.db");
    let backup = backup.to_str().unwrap();
    pool.says(&["backup"], &[backup]);
    assert!(!pool.adit(&["backup"], &[backup]).status.success(), "nothing is overwritten");
    let running = pool.adit(&["restore"], &[backup]);
    assert!(!running.status.success(), "not under a running pool");
    node.generate(101, NOBODY);
    testkit::wait_for("the payout", || {
        node.generate(1, NOBODY);
        std::thread::sleep(std::time::Duration::from_millis(200));
        (state_of_payouts(&pool) == ["confirmed"]).then_some(())
    });
    let paid = pool.reader().payouts(1).unwrap().remove(0);
    pool.stop();
    pool.says(&["restore"], &[backup]);
    pool.start();
    // The books know of no payout, the wallet does: payouts stay held until somebody says what it was.
    let txid = paid.txid.unwrap().to_string();
    testkit::wait_for("the unexplained spend", || {
        pool.says(&["payouts", "list"], &[]).contains(&txid).then_some(())
    });
    pool.wait("maturity", all_rest);
    pool.says(&["payouts", "release"], &["all"]);
    node.generate(2, NOBODY);
    assert_eq!(
        state_of_payouts(&pool),
        Vec::<String>::new(),
        "released, and still stopped by the spend"
    );
    pool.says(&["payouts", "match"], &[&txid, "--payout"]);
    for _ in 0..10 {
        node.generate(1, NOBODY);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let found = node
        .rpc
        .expect("scantxoutset", json!(["start", [format!("raw({})", script.to_hex_string())]]));
    let received = (found["total_amount"].as_f64().unwrap() * 1e8).round() as i128;
    assert_eq!(received, paid.parts[0].sent.units(), "paid once");
    pool.audit();
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_finds_what_was_changed() {
    let node = a_node();
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD));
    pool.start();
    paid_once(&pool, &node).await;
    pool.audit();
    pool.stop();
    let db = pool.store().join("adit.db");
    let change =
        |sql: &str| assert!(rusqlite::Connection::open(&db).unwrap().execute(sql, []).unwrap() > 0);
    let fails = || {
        let output = pool.adit(&["audit"], &["--offline"]);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    change("UPDATE split_rows SET net = net + 1");
    assert!(fails().contains("FAIL"));
    change("UPDATE split_rows SET net = net - 1");
    change("UPDATE shares SET weight = weight + 1 WHERE seq = (SELECT min(seq) FROM shares)");
    assert!(fails().contains("FAIL"));
    change("UPDATE shares SET weight = weight - 1 WHERE seq = (SELECT min(seq) FROM shares)");
    change("UPDATE balances SET credits_posted = credits_posted + 1 WHERE kind = 'fees'");
    assert!(fails().contains("balance fees"));
}

#[test]
fn what_init_writes_is_the_owners_alone_and_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("adit.toml");
    let init = || {
        std::process::Command::new(common::ADIT)
            .args(["init", "--defaults", "--config"])
            .arg(&config)
            .output()
            .unwrap()
    };
    assert!(init().status.success());
    for name in ["adit.toml", "pool.key"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = init();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists"));
}

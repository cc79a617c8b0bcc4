//! GXC with the real binary: a share becomes a confirmed payout on a node that behaves as the original was seen to.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use accounting::reward::RewardState;
use common::heavy::{Dialect, Heavy, flood};
use common::{Pool, Setup, all_rest};
use devnet::gxc::{GxcNode, Ledger, Net};
use miner::{Config, Miner};
use pow::Algorithm;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::Reader;
use testkit::{Port, Process};

const POOL: &str = "tGXC751e76e8199196d454941c45d1b3a323f1";
const ANN: &str = "tGXC0000000000000000000000000000000001";
const BOB: &str = "tGXC0000000000000000000000000000000002";
const NOBODY: &str = "tGXCffffffffffffffffffffffffffffffff00";

/// A node whose wallet has the pool's key.
fn node(difficulty: f64) -> GxcNode {
    let mut ledger = Ledger::new(Net::Test);
    ledger.wallet.insert(POOL.into());
    ledger.difficulty = difficulty;
    GxcNode::start(ledger, "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn setup(node: &GxcNode) -> Setup {
    let asset = format!(
        r#"
coin = "gxc"
network = "test"
look_every = "500ms"
nodes = [{{ rpc = "{}", poll = "200ms" }}]
wallet = {{ kind = "node", address = "{POOL}" }}
"#,
        node.address()
    );
    Setup { asset, ..Setup::bitcoin(node.address(), "", "") }
}

/// Another pool of the same asset, with a port that any device can use.
fn add_pool(pool: &Pool, algorithm: &str, port: &Port) {
    let text = std::fs::read_to_string(pool.config()).unwrap();
    let more = format!(
        "[[pools]]\nname = \"{algorithm}\"\nasset = \"coin\"\nalgorithm = \"{algorithm}\"\nscheme = \"pplns\"\n\
         [[pools.ports]]\nlisten = \"{}\"\nstart_difficulty = 1000\n",
        port.address()
    );
    std::fs::write(pool.config(), format!("{text}{more}")).unwrap();
}

/// Mines until each of them is paid and every payout is confirmed, in the books and on the chain.
fn until_paid(pool: &Pool, node: &GxcNode, who: &[&str]) {
    node.mine_to(NOBODY, 8);
    pool.wait("maturity", all_rest);
    testkit::wait_for("payouts", || {
        node.mine_to(NOBODY, 1);
        std::thread::sleep(std::time::Duration::from_millis(200));
        let payouts = pool.reader().payouts(1000).unwrap();
        let confirmed = payouts.iter().all(|payout| payout.state.as_str() == "confirmed");
        let paid = |address| payouts.iter().any(|payout| has_part(payout, address));
        (confirmed && who.iter().all(paid)).then_some(())
    });
    let said = pool.says(&["audit"], &[]);
    assert!(said.contains("PASS:") && said.contains(", chain agrees"), "{said}");
    assert!(!said.contains("not compared"), "{said}");
    // What the books say these were paid is what the chain gave them.
    for address in who {
        let payouts = pool.reader().payouts(1000).unwrap();
        let parts = payouts.iter().flat_map(|payout| &payout.parts);
        let own = parts.filter(|part| part.address == *address);
        let booked: i128 = own.map(|part| part.sent.units()).sum();
        let received = node.chain(|ledger| ledger.paid_to(address));
        assert_eq!(i128::from(received), booked, "{address}");
    }
}

/// Whether a payout pays this address.
fn has_part(payout: &store::sqlite::PayoutRow, address: &&str) -> bool {
    payout.parts.iter().any(|part| part.address == *address)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_sha256_a_share_becomes_a_confirmed_payout() {
    // Three zeros: 4096 hashes.
    let node = node(2.0);
    let mut pool = Pool::new(&setup(&node));
    assert!(pool.says(&["check"], &[]).contains("this pool can start"));
    pool.start();
    let one = pool.miner(&format!("{ANN}.rig"), Algorithm::Sha256d, 100.0);
    let two = pool.miner(BOB, Algorithm::Sha256d, 100.0);
    pool.wait_for_rewards(4);
    one.stop().await;
    two.stop().await;
    until_paid(&pool, &node, &[ANN, BOB]);
    pool.stop();
}

/// A pool of one hash on a chain of one zero (16 hashes), mined in these dialects, until all is paid.
fn mined_by(algorithm: &str, miners: &[(&str, Dialect)]) {
    let node = node(1.0);
    let mut setup = setup(&node);
    setup.pool.push_str(&format!("\nalgorithm = \"{algorithm}\""));
    let mut pool = Pool::new(&setup);
    pool.start();
    let address = pool.port.address();
    let running: Vec<Heavy> = miners
        .iter()
        .map(|(user, dialect)| Heavy::start(address, &format!("{user}.rig"), *dialect))
        .collect();
    for (heavy, (_, dialect)) in running.iter().zip(miners) {
        let accepted = || (heavy.accepted() > 0).then_some(());
        testkit::wait_for(&format!("a share by {dialect:?}"), accepted);
    }
    // A block that lasts, in whose window all of them are. Others bury it: the hash is dear.
    testkit::wait_for("a mature block for all", || {
        let rewards = pool.reader().rewards(1000).unwrap();
        let states = rewards.iter().filter_map(|row| state_for(&pool, row.id, miners.len()));
        let states: Vec<RewardState> = states.collect();
        if states.contains(&RewardState::Matured) {
            return Some(());
        }
        if states.contains(&RewardState::Immature) {
            node.mine_to(NOBODY, 1);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        None
    });
    running.into_iter().for_each(Heavy::stop);
    let who: Vec<&str> = miners.iter().map(|(user, _)| *user).collect();
    until_paid(&pool, &node, &who);
    let consensus = node.chain(|ledger| ledger.at(1).unwrap().consensus.clone());
    let known = if algorithm == "ethash" { "pow_ethash" } else { "pow_sha256" };
    assert_eq!(consensus, known, "the node takes what it does not know for sha256");
    pool.stop();
}

/// Where a reward stands whose split has a row for each of so many.
fn state_for(pool: &Pool, reward: accounting::RewardId, count: usize) -> Option<RewardState> {
    let (reward, state) = pool.reader().reward(reward).unwrap()?;
    reward.split.filter(|split| split.rows.len() == count).map(|_| state)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_gxhash_a_share_becomes_a_confirmed_payout() {
    mined_by("gxhash", &[(ANN, Dialect::GxHash), (BOB, Dialect::GxHash)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ethash_in_every_dialect_a_share_becomes_a_confirmed_payout() {
    let carl = "tGXC0000000000000000000000000000000003";
    let miners = [(ANN, Dialect::EthereumStratum), (BOB, Dialect::Proxy), (carl, Dialect::Plain)];
    mined_by("ethash", &miners);
}

fn miner(address: std::net::SocketAddr, user: &str) -> Miner {
    Miner::start(Config {
        address: address.to_string(),
        user: user.into(),
        password: "x".into(),
        user_agent: "adit-test".into(),
        algorithm: Algorithm::Sha256d.into(),
        threads: 1,
        max_hashrate: Some(20.0),
        tls_certificate: None,
        suggest_difficulty: None,
        version_rolling: true,
        extranonce_subscribe: true,
        patience: Duration::from_millis(500),
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_environment_gives_three_hashes_on_one_ledger_without_a_file() {
    let node = node(1.0);
    let folder = tempfile::tempdir().unwrap();
    let [general, gpu, asic, pages] = [(); 4].map(|()| Port::take());
    let number = |port: &Port| port.address().port().to_string();
    let environment = [
        ("POOL_NAME", "The guide's".to_owned()),
        ("ALGORITHM", "all".into()),
        ("GENERAL_POOL_STRATUM_PORT", number(&general)),
        ("GPU_POOL_STRATUM_PORT", number(&gpu)),
        ("ASIC_POOL_STRATUM_PORT", number(&asic)),
        ("DASHBOARD_PORT", number(&pages)),
        ("BLOCKCHAIN_NODE_URL", format!("http://{}", node.address())),
        ("POOL_ADDRESS", POOL.into()),
        ("POOL_FEE", "0.01".into()),
        ("MIN_PAYOUT", "0.5".into()),
        ("DATA_DIR", folder.path().join("store").display().to_string()),
    ];
    let nowhere = folder.path().join("adit.toml").display().to_string();
    let words_for_nowhere = nowhere.clone();
    let words = ["run".to_owned(), "--config".into(), nowhere];
    let log = folder.path().join("log");
    let mut process = Process::start(Path::new(common::ADIT), &words, &environment, &log);
    let listening = || std::net::TcpStream::connect(asic.address()).ok().map(drop);
    testkit::wait_for("the pool to listen", listening);
    let dave = "tGXC0000000000000000000000000000000004";
    let by_cpu = Heavy::start(general.address(), ANN, Dialect::GxHash);
    let by_gpu = Heavy::start(gpu.address(), BOB, Dialect::EthereumStratum);
    let by_asic = miner(asic.address(), dave);
    let reader = || Reader::open(&folder.path().join("store")).unwrap();
    // A block of which each hash's window gets its part, whoever found it.
    testkit::wait_for("a mature block for all three", || {
        let rewards = reader().rewards(100).unwrap();
        rewards.iter().find_map(|row| {
            let (reward, state) = reader().reward(row.id).unwrap()?;
            let rows = reward.split.unwrap().rows;
            (rows.len() == 3 && state.as_str() == "matured").then(|| {
                let nets: Vec<i128> = rows.iter().map(|row| row.net.units()).collect();
                let (least, most) = (nets.iter().min().unwrap(), nets.iter().max().unwrap());
                // A third of each block to each hash, to the unit that cannot be divided.
                assert!(most - least <= 2, "{nets:?}");
            })
        })
    });
    by_cpu.stop();
    by_gpu.stop();
    by_asic.stop().await;
    // Commands find the pool by the same environment.
    let adit = |words: &[&str]| {
        let output = std::process::Command::new(common::ADIT)
            .args(words)
            .args(["--config", &words_for_nowhere])
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    testkit::wait_for("every debt to be paid", || {
        node.mine_to(NOBODY, 1);
        std::thread::sleep(Duration::from_millis(200));
        adit(&["payouts", "pay-now", "gxc"]);
        let received = |who: &str| node.chain(|ledger| ledger.paid_to(who)) > 0;
        let payouts = reader().payouts(100).unwrap();
        let confirmed = payouts.iter().all(|payout| payout.state.as_str() == "confirmed");
        (confirmed && [ANN, BOB, dave].into_iter().all(received)).then_some(())
    });
    adit(&["audit", "--offline"]);
    let page = common::http::get(pages.address(), "/").body;
    assert!(page.contains("The guide") && page.contains("33.3 % of it"), "{page}");
    // What people look at comes from meters that are read now and then.
    testkit::wait_for("a part of the next block", || {
        let own = common::http::get(pages.address(), &format!("/api/v1/accounts/{ANN}")).body;
        let own: serde_json::Value = serde_json::from_str(&own).unwrap();
        let part = own["pools"][0]["next_block_fraction"].as_f64()?;
        assert!(part > 0.0 && part <= 0.34, "{own}");
        Some(())
    });
    assert!(process.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_your_own_in_twenty_lines_takes_shares_and_finds_blocks() {
    let source = std::fs::read_to_string(testkit::checkout().join("examples/own_pool.rs")).unwrap();
    let code = source.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("//!"));
    assert!(code.count() <= 20);
    let node = node(1.0);
    let folder = tempfile::tempdir().unwrap();
    let (port, pages) = (Port::take(), Port::take());
    let number = |port: &Port| port.address().port().to_string();
    let url = format!("http://{}", node.address());
    let store = folder.path().join("store");
    let words = [url, POOL.to_owned(), number(&port), store.display().to_string(), number(&pages)];
    let program = Path::new(common::ADIT).with_file_name("examples").join("own_pool");
    let log = folder.path().join("log");
    let mut process = Process::start(&program, &words, &[], &log);
    let listening = || std::net::TcpStream::connect(port.address()).ok().map(drop);
    testkit::wait_for("the pool to listen", listening);
    let miner = miner(port.address(), ANN);
    let rewards = || Reader::open(&store).unwrap().rewards(10).unwrap().len();
    testkit::wait_for("a block", || (rewards() > 0).then_some(()));
    miner.stop().await;
    let page = common::http::get(pages.address(), "/").body;
    assert!(page.contains("My own pool"), "{page}");
    assert!(process.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_heavy_shares_that_prove_nothing_holds_up_nobody_else() {
    // No block in any test's lifetime.
    let node = node(9.0);
    let mut pool = Pool::new(&setup(&node));
    let (gxhash, ethash) = (Port::take(), Port::take());
    add_pool(&pool, "gxhash", &gxhash);
    add_pool(&pool, "ethash", &ethash);
    pool.start();
    let miner = pool.miner(ANN, Algorithm::Sha256d, 200.0);
    let accepted = || {
        let seen = pool.status();
        let own = seen["pools"].as_array().unwrap().iter().find(|own| own["pool"] == "main");
        own.unwrap()["shares_accepted"].as_u64().unwrap()
    };
    testkit::wait_for("a share", || (accepted() > 0).then_some(()));
    let stop = Arc::new(AtomicBool::new(false));
    let floods = [
        flood(gxhash.address(), BOB, Dialect::GxHash, &stop),
        flood(ethash.address(), BOB, Dialect::EthereumStratum, &stop),
    ];
    let refused = |name: &str| {
        let seen = pool.status();
        let own = seen["pools"].as_array().unwrap().iter().find(|own| own["pool"] == name);
        own.unwrap()["shares_refused"]["busy"].as_u64()
    };
    for name in ["gxhash", "ethash"] {
        testkit::wait_for("the flood", || refused(name).filter(|count| *count > 200));
    }
    let before = accepted();
    testkit::wait_for("others' shares", || (accepted() > before + 20).then_some(()));
    stop.store(true, Ordering::Relaxed);
    for flood in floods {
        let answers = flood.join().unwrap();
        let of = |words: &str| -> u64 {
            let found = answers.iter().filter(|(reason, _)| reason.contains(words));
            found.map(|(_, count)| count).sum()
        };
        // What a host sends that was never worth anything is hashed one at a time.
        let (hashed, held_back) = (of("Low difficulty"), of("wait to be verified"));
        assert!(hashed > 0 && held_back > 5 * hashed, "{answers:?}");
        assert_eq!(hashed + held_back, answers.values().sum::<u64>(), "{answers:?}");
    }
    miner.stop().await;
    pool.stop();
}

//! A pool with miners of its own that is a member of a coordination-free pool, beside a lone miner who knows nothing but the rule, on a
//! Bitcoin Core that enforces BIP-119. What the stranger's block pays the pool goes to the windows of the blocks that earned it: once,
//! though the pool dies in between, and not while a reorganisation has taken it back.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use accounting::membership::{MemberPayment, Membership};
use accounting::reward::{Reward, RewardState};
use accounting::{AccountId, RewardId};
use common::{ADIT, Chain, Pool, Setup, http, somebody};
use pow::Algorithm;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::block::{mine, outputs};
use testkit::{Bitcoind, Litecoind, bitcoind, litecoind};

const RULE: &str = r#"
start = 2
window = { kind = "last", blocks = 6 }
weights = { kind = "sats" }
share_permille = 1000
bootstrap = { kind = "finder" }
halving = { kind = "ignore" }
floor = 10000
small = "others"
tree = { shape = { kind = "balanced", radix = 2 }, fee = { per_transaction = 400 } }
"#;

const BY_BLOCK: &str = "by_block = { rule = \"rule.toml\" }";

/// A pool that follows the rule beside its configuration.
fn member(setup: &Setup, scheme: &str) -> Pool {
    let pool = format!("{scheme}\nfee_percent = 1.0\nslice_age = \"300ms\"\n{BY_BLOCK}");
    let pool = Pool::new(&Setup { pool, ..setup.clone() });
    std::fs::write(rule(&pool), RULE).unwrap();
    pool
}

fn rule(pool: &Pool) -> PathBuf {
    pool.folder.path().join("rule.toml")
}

/// What a stranger is told, who has the rule's file and a node.
fn told(pool: &Pool, node: &Bitcoind, words: &[&str]) -> Value {
    let (rule, node) = (rule(pool).display().to_string(), node.address().to_string());
    let mut command = Command::new(ADIT);
    command.arg("ctv").args(words).args(["--rule", &rule, "--node", &node, "--node-user", USER]);
    command.env("ADIT_NODE_PASSWORD", PASSWORD);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn rewards(pool: &Pool) -> Vec<(Reward, RewardState)> {
    let reader = pool.reader();
    let rows = reader.rewards(1000).unwrap();
    rows.iter().map(|row| reader.reward(row.id).unwrap().unwrap()).collect()
}

/// The payments that are booked, newest first.
fn payments(pool: &Pool) -> Vec<(Reward, RewardState)> {
    rewards(pool).into_iter().filter(|(reward, _)| reward.payment().is_some()).collect()
}

fn payment(reward: &Reward) -> &MemberPayment {
    reward.payment().unwrap()
}

fn nets(reward: &Reward) -> BTreeMap<AccountId, i128> {
    let rows = reward.split.iter().flat_map(|split| &split.rows);
    rows.map(|row| (row.account, row.net.units())).collect()
}

/// What the chain holds for a script, in satoshis.
fn held(node: &Bitcoind, script: &bitcoin::Script) -> i128 {
    let what = format!("raw({})", script.to_hex_string());
    let found = node.rpc.expect("scantxoutset", json!(["start", [what]]));
    (found["total_amount"].as_f64().unwrap() * 1e8).round() as i128
}

/// Blocks without anything that waits.
fn empty_blocks(node: &Bitcoind, count: usize) {
    for _ in 0..count {
        let mined = node.rpc.expect("generateblock", json!([NOBODY, []]));
        assert!(mined["hash"].is_string(), "{mined}");
    }
}

fn states(pool: &Pool) -> Vec<RewardState> {
    payments(pool).into_iter().map(|(_, state)| state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_strangers_block_pays_goes_to_the_windows_of_the_blocks_that_earned_it() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let setup = Setup::bitcoin(node.address(), USER, PASSWORD);
    let mut pool = member(&setup, "scheme = \"tides\"").with_pages("");
    assert!(pool.says(&["check"], &[]).contains("its chain enforces BIP-119"));
    pool.start_with_pages();
    let (ann, bob) = (somebody(1), somebody(2));
    let one = pool.miner(&ann.0, Algorithm::Sha256d, 6.0);
    let two = pool.miner(&bob.0, Algorithm::Sha256d, 6.0);
    testkit::wait_for("blocks whose window has both", || {
        let both = rewards(&pool).iter().filter(|(reward, _)| nets(reward).len() == 2).count();
        (both >= 2).then_some(())
    });
    one.stop().await;
    two.stop().await;
    // A stranger's block pays the pool while that is dead; its branch waits for maturity.
    pool.kill();
    let own: BTreeMap<RewardId, Reward> =
        rewards(&pool).into_iter().map(|(reward, _)| (reward.id, reward)).collect();
    let script = |reward: &Reward| match &reward.member {
        Some(Membership::Block(block)) => {
            bitcoin::Script::from_bytes(&block.script).to_hex_string()
        }
        Some(Membership::Payment(_)) | None => panic!("every block follows the rule"),
    };
    let scripts: BTreeSet<String> = own.values().map(script).collect();
    assert_eq!(scripts.len(), 1, "the pool is paid at one script");
    let planned = told(&pool, &node, &["plan", "--payout", &somebody(7).0]);
    let found = mine(&node.rpc, &outputs(&planned), &[], 0).unwrap();
    let strangers = RewardId(*bitcoin::hashes::Hash::as_byte_array(&found));
    empty_blocks(&node, 98);
    // It left the coordination-free pool meanwhile, as its configuration says; what it has earned there it gets.
    let text = std::fs::read_to_string(pool.config()).unwrap();
    assert!(text.contains(BY_BLOCK));
    std::fs::write(pool.config(), text.replace(BY_BLOCK, "")).unwrap();
    pool.start_with_pages();
    assert_eq!(payments(&pool), [], "nothing is booked before the chain has it");
    empty_blocks(&node, 1);
    // The branch can be spent now and is sent; the pool dies when it is, and the chain takes it meanwhile.
    let block = strangers.to_string();
    let way =
        told(&pool, &node, &["expand", "--block", &block, "--only", scripts.first().unwrap()]);
    let leaf = way["transactions"].as_array().unwrap().last().unwrap()["txid"].clone();
    testkit::wait_for("the branch on its way", || {
        let waiting = node.rpc.expect("getrawmempool", json!([]));
        waiting.as_array().unwrap().contains(&leaf).then_some(())
    });
    pool.kill();
    let before: Vec<String> = node.generate(1, NOBODY);
    pool.start_with_pages();
    let of_stranger = || {
        let mut all = payments(&pool).into_iter();
        all.find(|(reward, _)| payment(reward).by == strangers)
    };
    let (booked, state) = testkit::wait_for("the stranger's payment", of_stranger);
    assert_eq!(state, RewardState::Immature);

    // Each part as the block that earned it was split, and nobody else's blocks.
    assert_eq!(json!(booked.id.to_string()), leaf);
    let earned = &payment(&booked).earned;
    let accounts = earned.iter().flat_map(|part| nets(&own[&part.block]).into_keys());
    let accounts: BTreeSet<AccountId> = accounts.collect();
    assert!(nets(&booked).into_keys().eq(accounts), "those who were in the windows");
    assert_eq!(payment(&booked).amount(), booked.to_pool);
    let tree = planned["tree"]["payees"].as_array().unwrap();
    let amounts: Vec<i128> =
        tree.iter().map(|p| i128::from(p["amount"].as_i64().unwrap())).collect();
    assert!(amounts.contains(&booked.to_pool.units()), "{amounts:?}");
    let page = http::get(pool.pages(), &format!("/block/{}", booked.id)).body;
    assert!(page.contains("What earned it") && page.contains(&earned[0].block.to_string()));
    let served = http::get(pool.pages(), &format!("/api/v1/blocks/{}", booked.id)).json();
    assert_eq!(served["payment"]["by"], block);
    assert_eq!(served["payment"]["in_block"], before[0]);

    // A reorganisation takes it back, and the chain gives it again: the same one.
    assert!(node.rpc.expect("invalidateblock", json!([before[0]])).is_null());
    empty_blocks(&node, 8);
    testkit::wait_for("the payments taken back", || {
        states(&pool).iter().all(|state| *state == RewardState::Orphaned).then_some(())
    });
    node.generate(1, NOBODY);
    testkit::wait_for("the payments given again", || {
        node.generate(1, NOBODY);
        std::thread::sleep(Duration::from_millis(300));
        states(&pool).iter().all(|state| *state == RewardState::Immature).then_some(())
    });
    let (again, _) = of_stranger().unwrap();
    assert_eq!(again, booked, "what was frozen stays");
    let place = pool.reader().place(again.id).unwrap().unwrap();
    assert_ne!(place.block.to_string(), before[0]);
    node.generate(100, NOBODY);
    testkit::wait_for("maturity", || {
        node.generate(1, NOBODY);
        std::thread::sleep(Duration::from_millis(300));
        let rests = |(_, state): &(Reward, RewardState)| *state != RewardState::Immature;
        rewards(&pool).iter().all(rests).then_some(())
    });
    pool.kill();
    pool.start_with_pages();
    let ids: Vec<RewardId> = payments(&pool).iter().map(|(reward, _)| reward.id).collect();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), distinct.len(), "booked once");

    // Paid out, to the satoshi: what the books sent is what the chain holds.
    testkit::wait_for("everybody's money", || {
        node.generate(1, NOBODY);
        std::thread::sleep(Duration::from_millis(300));
        let paid = [&ann, &bob].iter().all(|(address, script)| {
            let payouts = pool.reader().payouts(1000).unwrap();
            let parts = payouts.iter().flat_map(|payout| &payout.parts);
            let sent: i128 =
                parts.filter(|part| part.address == *address).map(|part| part.sent.units()).sum();
            sent > 0 && sent == held(&node, script)
        });
        paid.then_some(())
    });
    pool.audit();
    let more = ["--node", &node.address().to_string(), "--node-user", USER];
    let said = http::audit_with(pool.pages(), &more, PASSWORD);
    assert!(said.contains("PASS:") && said.contains("chain agrees"), "{said}");
    assert!(!said.contains("not compared"), "{said}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_bip_119_is_not_enforced_a_member_gets_no_work() {
    let chain = Chain::with_hashes_per_block(24);
    let mut pool = member(&chain.setup(), "scheme = \"pplns\"");
    let refused = pool.adit(&["check"], &[]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && said.contains("could be spent by anybody"), "{said}");
    pool.start();
    let miner = pool.miner(&somebody(1).0, Algorithm::Sha256d, 40.0);
    testkit::wait_for("the reason", || {
        pool.log().contains("could be spent by anybody").then_some(())
    });
    miner.stop().await;
    assert_eq!(pool.reader().rewards(10).unwrap(), [], "nothing was mined");
    pool.stop();
}

#[test]
fn on_litecoins_node_a_member_is_refused() {
    let node = Litecoind::start(litecoind::Options::default());
    node.generate(3, &node.new_address());
    let setup = Setup::litecoin(node.address(), USER, PASSWORD);
    let pool = member(&setup, "scheme = \"pplns\"");
    let refused = pool.adit(&["check"], &[]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && said.contains("could be spent by anybody"), "{said}");
}

#[test]
fn what_cannot_be_a_member_is_refused_with_what_could_be() {
    let chain = Chain::with_hashes_per_block(24);
    for (scheme, from, to, says) in [
        ("scheme = \"pps\"", "", "", "only blocks that a window is paid by"),
        ("scheme = \"prop\"", "\"rule.toml\"", "\"none.toml\"", "reading "),
        ("scheme = \"prop\"", "{ rule", "{ outputs = 500, rule", "without outputs, tree and least"),
        ("scheme = \"prop\"", "{ rule", "{ least = \"1\", rule", "without outputs, tree and least"),
    ] {
        let pool = member(&chain.setup(), scheme);
        let text = std::fs::read_to_string(pool.config()).unwrap();
        std::fs::write(pool.config(), text.replacen(from, to, 1)).unwrap();
        let refused = pool.adit(&["check"], &[]);
        let said = String::from_utf8_lossy(&refused.stdout).into_owned();
        assert!(!refused.status.success() && said.contains(says), "{scheme} {to}: {said}");
    }
    let pool = member(&chain.setup(), "scheme = \"prop\"");
    std::fs::write(rule(&pool), RULE.replace("radix = 2", "radix = 1")).unwrap();
    let refused = pool.adit(&["check"], &[]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && said.contains("radix is 2 to"), "{said}");

    let pool = member(&chain.setup(), "scheme = \"prop\"");
    let text = std::fs::read_to_string(pool.config()).unwrap();
    let second = text.get(text.find("[[pools]]").unwrap()..).unwrap();
    let second = second
        .replace("\"main\"", "\"other\"")
        .replace(&pool.port.address().to_string(), "127.0.0.1:1");
    std::fs::write(pool.config(), format!("{text}{second}")).unwrap();
    let refused = pool.adit(&["check"], &[]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && said.contains("one pool of an asset"), "{said}");
}

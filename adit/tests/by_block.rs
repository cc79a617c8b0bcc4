//! Blocks that pay the pool's miners themselves: by outputs of the coinbase, and by a tree on a Bitcoin Core that enforces BIP-119.
//! What a block pays is on the chain to the unit, what it leaves out is credited and paid later, and strangers recompute both.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use accounting::RewardId;
use accounting::commitment::PaidBy;
use accounting::reward::RewardState;
use bitcoin::hashes::Hash;
use bitcoin::{Script, Txid};
use common::{Chain, Pool, Setup, all_rest, http, somebody};
use pow::Algorithm;
use serde_json::json;
use std::time::Duration;
use store::sqlite::{Cut, RewardRow};
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, Litecoind, bitcoind, litecoind};

const TREE: &str =
    "{ shape = { kind = \"balanced\", radix = 2 }, fee = { per_transaction = 400 } }";

/// A PPLNS pool whose slices are closed so often that nearly every block has a window.
fn pool_text(scheme: &str, by_block: &str) -> String {
    format!("{scheme}\nfee_percent = 1.0\nslice_age = \"300ms\"\nby_block = {by_block}")
}

/// What an address was sent by payouts, and what blocks paid it themselves, as the books have it.
fn money(pool: &Pool, address: &str) -> (i128, i128) {
    let payouts = pool.reader().payouts(1000).unwrap();
    let parts = payouts.iter().flat_map(|payout| &payout.parts);
    let sent = parts.filter(|part| part.address == address).map(|part| part.sent.units()).sum();
    let account = http::get(pool.pages(), &format!("/api/v1/accounts/{address}")).json();
    (sent, i128::from(account["balance"]["by_blocks"]["units"].as_i64().unwrap()))
}

/// By whom the parts of a block are paid, and how much, as the books have it.
fn parts(pool: &Pool, block: RewardId) -> Vec<(PaidBy, i128)> {
    let parts = pool.reader().split_parts(block, Cut::first(100)).unwrap();
    parts.iter().map(|part| (part.paid_by, part.row.net.units())).collect()
}

/// The blocks that pay some part so.
fn paying(pool: &Pool, by: PaidBy) -> Vec<RewardRow> {
    let rewards = pool.reader().rewards(1000).unwrap().into_iter();
    rewards.filter(|row| parts(pool, row.id).iter().any(|(paid, _)| *paid == by)).collect()
}

/// A stranger recomputes every block and what an address is owed, with the chain's word.
fn strangers_audit(pool: &Pool, address: &str, (node, user, password): (&str, &str, &str)) {
    let more = ["--address", address, "--node", node, "--node-user", user];
    let said = http::audit_with(pool.pages(), &more, password);
    assert!(said.contains("PASS:"), "{said}");
    assert!(said.contains("chain agrees"), "{said}");
}

fn held_on_devnet(chain: &Chain, script: &Script) -> i128 {
    chain.devnet.look(|chain: &devnet::Chain| {
        let own = chain.coins().filter(|(_, coin)| coin.output.script_pubkey == *script);
        own.map(|(_, coin)| i128::from(coin.output.value.to_sat())).sum()
    })
}

/// Two miners until several blocks have paid one of them themselves.
async fn until_blocks_pay(pool: &Pool, count: usize) {
    let (ann, bob) = (somebody(1), somebody(2));
    let one = pool.miner(&format!("{}.rig", ann.0), Algorithm::Sha256d, 20.0);
    let two = pool.miner(&bob.0, Algorithm::Sha256d, 10.0);
    testkit::wait_for("blocks that pay one miner themselves", || {
        let paying = paying(pool, PaidBy::Output);
        let is_mixed =
            |row: &RewardRow| parts(pool, row.id).iter().any(|(by, _)| *by == PaidBy::Pool);
        (paying.len() >= count && paying.iter().any(is_mixed)).then_some(())
    });
    one.stop().await;
    two.stop().await;
}

async fn under_outputs(scheme: &str) {
    let chain = Chain::with_hashes_per_block(24);
    let mut setup = chain.setup();
    // Room for one output: whoever has more is paid by the block, the other by the pool.
    setup.pool = pool_text(scheme, "{ outputs = 45, least = \"0.0001\" }");
    // A round is empty when its first work is handed out; what is renewed pays what was closed since.
    setup.asset = setup.asset.replace("\"5s\"", "\"200ms\"");
    let mut pool = Pool::new(&setup).with_pages("");
    pool.start_with_pages();
    until_blocks_pay(&pool, 3).await;
    let nobody = devnet::nobody();
    chain.devnet.mine_to(&nobody, 101);
    pool.wait("maturity", all_rest);
    let (ann, bob) = (somebody(1), somebody(2));
    let all_paid = || {
        chain.devnet.mine_to(&nobody, 1);
        std::thread::sleep(Duration::from_millis(200));
        let payouts = pool.reader().payouts(1000).unwrap();
        let confirmed = payouts.iter().all(|payout| payout.state.as_str() == "confirmed");
        (confirmed && !payouts.is_empty()).then_some(())
    };
    testkit::wait_for("payouts", all_paid);
    for block in paying(&pool, PaidBy::Output) {
        let parts = parts(&pool, block.id);
        let by_block: Vec<i128> =
            parts.iter().filter(|(by, _)| *by == PaidBy::Output).map(|(_, units)| *units).collect();
        assert_eq!(by_block, [block.to_miners.units()], "there is room for one output");
        assert!(parts.iter().all(|(_, units)| *units <= by_block[0]), "the largest is paid");
    }
    for (address, script) in [&ann, &bob] {
        let (sent, by_blocks) = money(&pool, address);
        assert_eq!(sent + by_blocks, held_on_devnet(&chain, script), "{address}");
    }
    pool.audit();
    for (address, _) in [&ann, &bob] {
        strangers_audit(&pool, address, (&chain.devnet.address().to_string(), "u", "p"));
    }
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_pplns_a_block_pays_the_largest_part_itself_and_credits_the_rest() {
    under_outputs("scheme = \"pplns\"\nwindow_shares = 60").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_prop_no_round_is_paid_by_two_blocks() {
    under_outputs("scheme = \"prop\"").await;
}

fn unspent(node: &Bitcoind, script: &Script) -> i128 {
    let what = format!("raw({})", script.to_hex_string());
    let found = node.rpc.expect("scantxoutset", json!(["start", [what]]));
    (found["total_amount"].as_f64().unwrap() * 1e8).round() as i128
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocks_tree_pays_everybody_to_the_unit_though_the_pool_dies_when_it_is_found() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let mut setup = Setup::bitcoin(node.address(), USER, PASSWORD);
    // Who sends the trees, once they can be, is nobody yet.
    setup.pool = pool_text(
        "scheme = \"tides\"",
        &format!("{{ tree = {TREE}, least = \"0.0001\", send = false }}"),
    );
    let mut pool = Pool::new(&setup).with_pages("");
    assert!(pool.says(&["check"], &[]).contains("its chain enforces BIP-119"));
    pool.start_with_pages();
    let (ann, bob) = (somebody(1), somebody(2));
    let one = pool.miner(&ann.0, Algorithm::Sha256d, 6.0);
    let two = pool.miner(&bob.0, Algorithm::Sha256d, 6.0);
    testkit::wait_for("a block that pays both", || {
        let both = |block: &RewardRow| parts(&pool, block.id).len() == 2;
        paying(&pool, PaidBy::Tree).iter().any(both).then_some(())
    });
    pool.kill();
    // Dead as soon as the next block is on disk: what it committed to is booked after the start.
    pool.crash_at("block-written");
    pool.launch();
    pool.wait_for_end();
    one.stop().await;
    two.stop().await;
    pool.crash_nowhere();
    pool.start_with_pages();
    node.generate(100, NOBODY);
    pool.wait("maturity", all_rest);

    let paying = paying(&pool, PaidBy::Tree);
    assert!(paying.len() >= 2);
    let standing = paying.iter().find(|block| block.state == RewardState::Matured).unwrap();
    let hash = standing.id;
    let page = http::get(pool.pages(), "/").body;
    assert!(page.contains("A block pays its miners itself, by a tree"), "{page}");
    let page = http::get(pool.pages(), &format!("/miner/{}", ann.0)).body;
    assert!(page.contains("Paid by blocks themselves") && page.contains("your branch"), "{page}");
    let page = http::get(pool.pages(), &format!("/miner/{}/branch/{hash}", ann.0)).body;
    assert!(page.contains("sendrawtransaction"), "{page}");

    let branch = format!("/api/v1/blocks/{hash}/branch/{}", ann.0);
    let branch = http::get(pool.pages(), &branch).json();
    let way: Vec<String> = branch["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|transaction| transaction["id"].as_str().unwrap().to_owned())
        .collect();

    let coinbase = pool.reader().reward(hash).unwrap().unwrap().0.by_block.unwrap().tree.unwrap();
    let coinbase = Txid::from_byte_array(coinbase.coinbase).to_string();
    let waits = || !node.rpc.expect("gettxout", json!([coinbase, 0])).is_null();
    for _ in 0..3 {
        node.generate(1, NOBODY);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(waits(), "the pool was told to leave its trees to others");
    pool.stop();
    let text = std::fs::read_to_string(pool.config()).unwrap();
    std::fs::write(pool.config(), text.replace("send = false", "send = true")).unwrap();
    pool.start_with_pages();
    // Now it sends them by itself, those of its past too; they arrive whatever it does then.
    let trees_are_spent = || {
        node.generate(1, NOBODY);
        std::thread::sleep(Duration::from_millis(300));
        pool.log().contains("the chain has paid all of a block's miners").then_some(())
    };
    testkit::wait_for("trees in the chain", trees_are_spent);
    assert!(!waits());
    testkit::wait_for("everybody's money", || {
        node.generate(1, NOBODY);
        std::thread::sleep(Duration::from_millis(300));
        let all = [&ann, &bob].iter().all(|(address, script)| {
            let (sent, by_blocks) = money(&pool, address);
            by_blocks > 0 && sent + by_blocks == unspent(&node, script)
        });
        all.then_some(())
    });
    let last = way.last().unwrap();
    let paid = (0..2).any(|output| {
        let found = node.rpc.expect("gettxout", json!([last, output]));
        found["scriptPubKey"]["hex"] == ann.1.to_hex_string()
    });
    assert!(paid, "the branch that was shown is the way the money came");
    pool.audit();
    strangers_audit(&pool, &ann.0, (&node.address().to_string(), USER, PASSWORD));
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_bip_119_is_not_enforced_no_work_with_a_tree_is_handed_out() {
    let chain = Chain::with_hashes_per_block(24);
    let mut setup = chain.setup();
    setup.pool = pool_text("scheme = \"pplns\"", &format!("{{ tree = {TREE} }}"));
    let mut pool = Pool::new(&setup).with_pages("");
    let refused = pool.adit(&["check"], &[]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && said.contains("could be spent by anybody"), "{said}");
    pool.start();
    let (ann, _) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 40.0);
    testkit::wait_for("the reason", || {
        pool.log().contains("could be spent by anybody").then_some(())
    });
    miner.stop().await;
    assert_eq!(pool.reader().rewards(10).unwrap(), [], "nothing was mined");
    pool.stop();
}

#[test]
fn litecoins_node_does_not_enforce_bip_119_and_check_says_so() {
    let node = Litecoind::start(litecoind::Options::default());
    node.generate(3, &node.new_address());
    let mut setup = Setup::litecoin(node.address(), USER, PASSWORD);
    setup.pool = pool_text("scheme = \"pplns\"", &format!("{{ tree = {TREE} }}"));
    let pool = Pool::new(&setup);
    let refused = pool.adit(&["check"], &[]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && said.contains("could be spent by anybody"), "{said}");
}

#[test]
fn what_blocks_cannot_pay_is_refused_with_what_could_be() {
    let chain = Chain::with_hashes_per_block(24);
    for (scheme, by_block, says) in [
        ("scheme = \"pps\"", "{ outputs = 500 }", "only blocks that a window is paid by"),
        ("scheme = \"solo\"", "{ outputs = 500 }", "solo does so by itself"),
        ("scheme = \"prop\"", "{ outputs = 10 }", "from 43 to"),
        ("scheme = \"prop\"", "{ }", "either outputs"),
        ("scheme = \"prop\"", "{ outputs = 500, send = true }", "only a tree is sent"),
        ("scheme = \"prop\"", "{ outputs = 500, least = \"0.000000001\" }", "by_block.least"),
        (
            "scheme = \"prop\"",
            "{ tree = { shape = { kind = \"balanced\", radix = 1 }, fee = {} } }",
            "radix is 2 to",
        ),
    ] {
        let mut setup = chain.setup();
        setup.pool = pool_text(scheme, by_block);
        let pool = Pool::new(&setup);
        let refused = pool.adit(&["check"], &[]);
        let said = String::from_utf8_lossy(&refused.stdout).into_owned();
        assert!(!refused.status.success() && said.contains(says), "{by_block}: {said}");
    }
}

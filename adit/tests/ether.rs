//! A chain of Ethash with the real binary: shares become what the chain paid, to the wei, on a node that gives everybody the same header.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::heavy::{Dialect, Heavy, Line};
use common::{EASY_PORT, Pool, Setup, all_rest};
use devnet::ether::chain::{COIN, GAS, REWARD, uncle_reward};
use devnet::ether::{Address, Chain, EtherNode, Transfer};
use serde_json::json;
use store::sqlite::PayoutRow;

const POOL: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
const ANN: &str = "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF";
const BOB: &str = "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69";
const CARL: &str = "0x1efF47bc3a10a45D4B230B5d10E37751FE6AA718";
const NOBODY: Address = [0xff; 20];
const RICH: Address = [0xaa; 20];

fn bytes(address: &str) -> Address {
    stratum::ether::address::parse(address).unwrap()
}

fn anywhere() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A node whose blocks pay the pool; each takes two to the power of so many hashes.
fn node(bits: u32) -> EtherNode {
    let rich = [(bytes(POOL), 10 * COIN), (RICH, 1000 * COIN)];
    EtherNode::start(Chain::new(1337, bits, &rich), bytes(POOL), anywhere()).unwrap()
}

fn setup(nodes: &[&EtherNode]) -> Setup {
    let shown =
        |node: &&EtherNode| format!("{{ rpc = \"http://{}/\", poll = \"100ms\" }}", node.address());
    let nodes: Vec<String> = nodes.iter().map(shown).collect();
    let asset = format!(
        r#"
coin = "ethash"
network = "1337"
mature_after = 8
orphan_after = 2
final_after = 20
look_every = "300ms"
refresh = "2s"
nodes = [{}]
wallet = {{ kind = "external", address = "{POOL}" }}
"#,
        nodes.join(", ")
    );
    let pool = "scheme = \"pplns\"\nfee_percent = 1.0".into();
    Setup { asset, pool, port: EASY_PORT.into() }
}

/// Blocks of the chain that pay the pool.
fn own_blocks(node: &EtherNode) -> usize {
    let own = bytes(POOL);
    node.chain(|chain| {
        (1..=chain.tip().number).filter(|number| chain.at(*number).unwrap().miner == own).count()
    })
}

/// What stands in the books of all that was found.
fn booked(pool: &Pool) -> i128 {
    let rewards = pool.reader().rewards(1000).unwrap();
    let standing = rewards.iter().filter(|row| row.state.as_str() != "orphaned");
    standing.map(|row| row.amount.units()).sum()
}

/// What the chain has paid the pool since its beginning, transfers left out.
fn earned(node: &EtherNode, moved: i128) -> i128 {
    let own = bytes(POOL);
    node.chain(|chain| chain.balance(&own, chain.tip().number).unwrap()) - 10 * COIN - moved
}

/// Mines until the chain has so many blocks of the pool's more; then nobody mines any more.
fn find(pool: &Pool, node: &EtherNode, who: &str, more: usize) {
    let wanted = own_blocks(node) + more;
    let miner = Heavy::start(pool.port.address(), who, Dialect::EthereumStratum);
    testkit::wait_for("a block", || (own_blocks(node) >= wanted).then_some(()));
    miner.stop();
    // What was on its way may still come.
    let settled = |count| (own_blocks(node) == count && booked(pool) > 0).then_some(());
    testkit::wait_for("quiet", || {
        let count = own_blocks(node);
        std::thread::sleep(std::time::Duration::from_millis(500));
        settled(count)
    });
}

fn bury(node: &EtherNode, count: usize) {
    node.chain(|chain| (0..count).for_each(|_| chain.mine_to(NOBODY)));
}

fn payouts(pool: &Pool) -> Vec<PayoutRow> {
    pool.reader().payouts(1000).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_dialect_shares_become_what_the_chain_paid_and_payouts_that_the_operator_sends() {
    let node = node(5);
    let mut pool = Pool::new(&setup(&[&node]));
    assert!(pool.says(&["check"], &[]).contains("this pool can start"));
    pool.start();
    let address = pool.port.address();
    // Money that comes and goes meanwhile is no income.
    let own = bytes(POOL);
    let gas_price = 1_000_000_000;
    let moves = [
        Transfer { from: RICH, to: own, value: 3 * COIN, gas_price, fails: false },
        Transfer { from: own, to: RICH, value: COIN, gas_price, fails: false },
        Transfer { from: own, to: RICH, value: COIN, gas_price: 2 * gas_price, fails: true },
        Transfer { from: own, to: own, value: COIN, gas_price, fails: false },
        Transfer { from: RICH, to: NOBODY, value: 1, gas_price: 7 * gas_price, fails: false },
    ];
    node.chain(|chain| moves.iter().cloned().for_each(|transfer| chain.send(transfer)));
    let moved = 3 * COIN - COIN - GAS * gas_price * (1 + 2 + 1);
    let dialects = [(ANN, Dialect::EthereumStratum), (BOB, Dialect::Proxy), (CARL, Dialect::Plain)];
    let running: Vec<Heavy> = dialects
        .iter()
        .map(|(who, dialect)| Heavy::start(address, &format!("{who}.rig"), *dialect))
        .collect();
    for (heavy, (_, dialect)) in running.iter().zip(&dialects) {
        let accepted = || (heavy.accepted() > 0).then_some(());
        testkit::wait_for(&format!("a share by {dialect:?}"), accepted);
    }
    testkit::wait_for("blocks", || (own_blocks(&node) >= 3).then_some(()));
    running.into_iter().for_each(Heavy::stop);
    testkit::wait_for("all of it in the books", || {
        (booked(&pool) == earned(&node, moved)).then_some(())
    });
    assert!(booked(&pool) >= 3 * REWARD + 4 * GAS * gas_price);
    bury(&node, 10);
    pool.wait("maturity", all_rest);
    assert_eq!(booked(&pool), earned(&node, moved));
    // What is owed waits for whoever sends it.
    testkit::wait_for("payouts for all", || {
        let made = payouts(&pool);
        let has = |who: &&str| {
            made.iter().flat_map(|payout| &payout.parts).any(|part| part.address == **who)
        };
        [ANN, BOB, CARL].iter().all(has).then_some(())
    });
    for (n, payout) in payouts(&pool).iter().enumerate() {
        assert_eq!(payout.state.as_str(), "queued");
        let (id, hash) = (payout.id.to_string(), format!("0x{:064x}", n + 1));
        pool.says(&["payouts", "sent"], &[&id, "--transaction", &hash]);
        pool.says(&["payouts", "confirmed"], &[&id]);
    }
    testkit::wait_for("the end of all payouts", || {
        let made = payouts(&pool);
        made.iter().all(|payout| payout.state.as_str() == "confirmed").then_some(())
    });
    assert!(pool.says(&["payouts", "export"], &[]).contains(&format!(",{ANN}\n")));
    pool.audit();
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_became_an_uncle_is_booked_with_what_the_uncle_brought() {
    let node = node(5);
    let mut pool = Pool::new(&setup(&[&node]));
    pool.start();
    find(&pool, &node, ANN, 1);
    testkit::wait_for("the block", || (booked(&pool) == earned(&node, 0)).then_some(()));
    let (lost, before) = (node.chain(|chain| chain.tip().number), booked(&pool));
    node.chain(|chain| chain.replace(1, NOBODY));
    node.chain(|chain| chain.name_uncles(NOBODY));
    let nephew = node.chain(|chain| chain.tip().number);
    assert_eq!(nephew, lost + 2);
    bury(&node, 30);
    pool.wait("rest", all_rest);
    testkit::wait_for("the uncle's share", || (booked(&pool) == earned(&node, 0)).then_some(()));
    // Others that were late may be named with it.
    let own = bytes(POOL);
    let named: i128 = node.chain(|chain| {
        let uncles = chain.at(nephew).unwrap().uncles.iter().filter(|uncle| uncle.miner == own);
        uncles.map(|uncle| uncle_reward(uncle.number, nephew)).sum()
    });
    assert!(named > 0 && booked(&pool) == before - REWARD + named, "{named} {before}");
    let rewards = pool.reader().rewards(100).unwrap();
    let orphaned = rewards.iter().filter(|row| row.state.as_str() == "orphaned");
    assert_eq!(orphaned.map(|row| row.amount.units()).collect::<Vec<_>>(), [REWARD]);
    pool.audit();
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_left_the_chain_is_orphaned_and_its_seal_is_kept() {
    let node = node(5);
    let mut pool = Pool::new(&setup(&[&node]));
    pool.start();
    // One that stays, and one that does not.
    find(&pool, &node, ANN, 2);
    testkit::wait_for("the block", || (booked(&pool) == earned(&node, 0)).then_some(()));
    let before = booked(&pool);
    node.chain(|chain| chain.replace(1, NOBODY));
    bury(&node, 40);
    pool.wait("rest", all_rest);
    testkit::wait_for("the loss", || (booked(&pool) == before - REWARD).then_some(()));
    assert_eq!(booked(&pool), earned(&node, 0));
    let folder = pool.store().join("blocks").join("coin");
    let kept = |ending: &str| {
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|own| own == ending)).count()
    };
    testkit::wait_for("what was lost to be set aside", || (kept("lost") >= 1).then_some(()));
    testkit::wait_for("what stands to be done with", || (kept("block") == 0).then_some(()));
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_node_goes_down_the_other_ones_work_is_mined() {
    let first = node(5);
    let second = first.beside(anywhere()).unwrap();
    let mut pool = Pool::new(&setup(&[&first, &second]));
    pool.start();
    find(&pool, &second, ANN, 1);
    drop(first);
    find(&pool, &second, BOB, 1);
    testkit::wait_for("both blocks", || (booked(&pool) == earned(&second, 0)).then_some(()));
    // One that is syncing has nothing to say.
    second.desk(|desk| desk.is_syncing = true);
    let log = || pool.log().contains("still syncing").then_some(());
    testkit::wait_for("the gate", log);
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_no_node_heard_of_is_submitted_after_a_restart() {
    let node = node(5);
    let mut pool = Pool::new(&setup(&[&node]));
    pool.start();
    node.lose_seals(u64::MAX);
    let miner = Heavy::start(pool.port.address(), ANN, Dialect::EthereumStratum);
    let folder = pool.store().join("blocks").join("coin");
    let written = || {
        std::fs::read_dir(&folder).is_ok_and(|mut files| {
            files.any(|file| {
                file.is_ok_and(|file| file.path().extension().is_some_and(|own| own == "block"))
            })
        })
    };
    testkit::wait_for("a solution on disk", || written().then_some(()));
    miner.stop();
    pool.kill();
    assert_eq!((own_blocks(&node), booked(&pool)), (0, 0));
    node.lose_seals(0);
    pool.start();
    testkit::wait_for("the block", || (own_blocks(&node) == 1).then_some(()));
    testkit::wait_for("its income", || (booked(&pool) == REWARD).then_some(()));
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_credited_for_another_connections_nonce_nor_twice_for_one() {
    // No block in any test's lifetime.
    let node = node(50);
    let mut pool = Pool::new(&setup(&[&node]));
    pool.start();
    let address = pool.port.address();
    let line = |who: &str, dialect| Line::silent(address, dialect, who);
    let (mut ann, mut bob) =
        (line(ANN, Dialect::EthereumStratum), line(BOB, Dialect::EthereumStratum));
    let (mut carl, mut dave) = (line(CARL, Dialect::Proxy), line(BOB, Dialect::Proxy));
    // Ann's, with her extranonce: whole, so that anybody could say it.
    let own = ann.solve(0);
    for thief in [&mut bob, &mut carl] {
        let said = thief.send(own);
        assert!(said.contains("another connection's"), "{said}");
    }
    assert_eq!(ann.send(own), "true");
    assert!(ann.send(own).contains("Duplicate"));
    // Who chooses nonces freely: first come.
    let free = carl.solve(1_000_000);
    assert_eq!(dave.send(free), "true");
    let late = carl.send(free);
    assert!(late.contains("Duplicate"), "{late}");
    // And an extranonce of one's own leaves no other nonces.
    let said = bob.send(carl.solve(2_000_000));
    assert!(said.contains("another connection's"), "{said}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_header_stands_until_there_is_another() {
    let node = node(50);
    let mut pool = Pool::new(&setup(&[&node]));
    pool.start();
    let mut ann = Line::silent(pool.port.address(), Dialect::EthereumStratum, ANN);
    ann.solve(0);
    let (work, first) = (ann.header(), ann.difficulty());
    ann.tell("mining.authorize", json!([ANN, format!("d={}", first * 4.0)]));
    // Sent again as a sign of life, under another name, and as hard as before.
    let job = ann.job();
    testkit::wait_for("the same work again", || {
        ann.listen();
        (ann.job() != job).then_some(())
    });
    assert_eq!((ann.header(), ann.difficulty()), (work, first));
    let transfer = Transfer { from: RICH, to: NOBODY, value: 1, gas_price: 1, fails: false };
    node.chain(|chain| chain.send(transfer));
    testkit::wait_for("other work", || {
        ann.listen();
        (ann.header() != work).then_some(())
    });
    assert!(ann.difficulty() > 3.0 * first, "{} {first}", ann.difficulty());
    // After a restart what was out is not handed out again: what was credited for it is not known any more.
    pool.stop();
    pool.start();
    let waits = || pool.log().contains("was handed out before").then_some(());
    testkit::wait_for("the refusal", waits);
    bury(&node, 1);
    let mut ann = Line::silent(pool.port.address(), Dialect::EthereumStratum, ANN);
    ann.solve(0);
    pool.stop();
}

#[test]
fn a_node_whose_blocks_pay_somebody_else_is_not_believed() {
    let node = node(5);
    node.desk(|desk| desk.miner = NOBODY);
    let pool = Pool::new(&setup(&[&node]));
    let output = pool.adit(&["check"], &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(text.contains("not the pool") && text.contains(POOL), "{text}");
}

//! GXC with the real binary: a share becomes a confirmed payout on a node that behaves as the original was seen to.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::{Pool, Setup, all_rest};
use devnet::gxc::{GxcNode, Ledger, Net};
use pow::Algorithm;

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

/// Mines until every debt is paid and confirmed.
fn until_paid(pool: &Pool, node: &GxcNode) {
    node.mine_to(NOBODY, 8);
    pool.wait("maturity", all_rest);
    testkit::wait_for("payouts", || {
        node.mine_to(NOBODY, 1);
        std::thread::sleep(std::time::Duration::from_millis(200));
        let payouts = pool.reader().payouts(1000).unwrap();
        let confirmed = payouts.iter().all(|payout| payout.state.as_str() == "confirmed");
        (confirmed && payouts.len() >= 2).then_some(())
    });
    pool.audit();
}

/// What the books say these were paid is what the chain gave them.
fn all_were_paid(pool: &Pool, node: &GxcNode, who: &[&str]) {
    for address in who {
        let mut booked = 0;
        for payout in pool.reader().payouts(1000).unwrap() {
            let own = payout.parts.iter().filter(|part| part.address == *address);
            booked += own.map(|part| part.sent.units()).sum::<i128>();
        }
        assert!(booked > 0, "{address}");
        let received = node.chain(|ledger| ledger.paid_to(address));
        assert_eq!(i128::from(received), booked, "{address}");
    }
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
    until_paid(&pool, &node);
    all_were_paid(&pool, &node, &[ANN, BOB]);
    pool.stop();
}

//! The power may go at any moment: nothing acknowledged is lost, nothing is doubled, everybody is paid once.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::load::{Keys, Load};
use common::{Chain, Pool, Setup, somebody};
use pow::Algorithm;
use serde_json::json;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, bitcoind};

/// Every share in the log, in order.
fn logged(pool: &Pool) -> Vec<[u8; 32]> {
    let reader = pool.reader();
    let mut statement = reader.connection().prepare("SELECT key FROM shares ORDER BY seq").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, [u8; 32]>(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn fifty_kills_under_load_lose_no_acknowledged_share_and_double_none() {
    let chain = Chain::with_hashes_per_block(1 << 50);
    let mut pool = Pool::new(&chain.setup());
    pool.start();
    let load = Load::start(pool.port.address(), 4);
    let mut moment = 7u64;
    for kill in 0..50 {
        let before = load.acknowledged();
        testkit::wait_for("shares", || (load.acknowledged() > before + 20).then_some(()));
        // Somewhere within the next commits.
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(std::time::Duration::from_micros((moment >> 40) % 40_000));
        pool.kill();
        let known = load.known.lock().unwrap().acknowledged.clone();
        // Nobody writes now: what was acknowledged is there.
        let there: Keys = logged(&pool).into_iter().collect();
        let missing = known.difference(&there).count();
        assert_eq!(missing, 0, "acknowledged shares are missing after kill {kill}");
        pool.start();
    }
    let known = load.stop();
    pool.stop();
    let all = logged(&pool);
    let there: Keys = all.iter().copied().collect();
    assert_eq!(all.len(), there.len(), "a share is there twice");
    assert!(known.acknowledged.is_subset(&there));
    assert!(there.is_subset(&known.sent), "a share is there that nobody sent");
    assert!(known.acknowledged.len() > 1000, "{}", known.acknowledged.len());
    assert_eq!(pool.reader().fold_differences().unwrap(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_any_two_steps_of_a_payout_pays_exactly_once() {
    let points = [
        "payout-before-reserve",
        "payout-reserved",
        "payout-signed",
        "payout-written",
        "payout-sent",
    ];
    for point in points {
        let node = Bitcoind::start(bitcoind::Options::default());
        node.generate(1, NOBODY);
        let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD).scheme("prop"));
        pool.start();
        let (ann, script) = somebody(1);
        let miner = pool.miner(&ann, Algorithm::Sha256d, 6.0);
        pool.wait_for_rewards(2);
        miner.stop().await;
        pool.stop();
        pool.crash_at(point);
        pool.launch();
        node.generate(101, NOBODY);
        pool.wait_for_end();
        assert!(pool.log().contains(point), "{point}: it died there");
        pool.crash_nowhere();
        pool.start();
        testkit::wait_for("the payout", || {
            node.generate(1, NOBODY);
            std::thread::sleep(std::time::Duration::from_millis(200));
            let payouts = pool.reader().payouts(10).unwrap();
            let settled = payouts
                .iter()
                .all(|payout| ["confirmed", "abandoned"].contains(&payout.state.as_str()));
            (settled && !payouts.is_empty()).then_some(())
        });
        // A few blocks more: whatever else might have been sent would be there by now.
        node.generate(5, NOBODY);
        pool.audit();
        let found = node
            .rpc
            .expect("scantxoutset", json!(["start", [format!("raw({})", script.to_hex_string())]]));
        let received = (found["total_amount"].as_f64().unwrap() * 1e8).round() as i128;
        let payouts = pool.reader().payouts(10).unwrap();
        let confirmed = payouts.iter().filter(|payout| payout.state.as_str() == "confirmed");
        let paid: i128 =
            confirmed.flat_map(|payout| &payout.parts).map(|part| part.sent.units()).sum();
        assert_eq!(received, paid, "{point}: the chain and the books agree on what was paid");
        let rewards: i128 =
            pool.reader().rewards(10).unwrap().iter().map(|reward| reward.amount.units()).sum();
        let debited: i128 =
            payouts.iter().flat_map(|payout| &payout.parts).map(|part| part.debit.units()).sum();
        assert_eq!(debited, rewards * 99 / 100, "{point}: everything but the fee, once");
        pool.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_right_after_a_block_is_found_loses_neither_the_block_nor_its_share() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD).scheme("prop"));
    pool.crash_at("block-written");
    pool.start();
    let (ann, _) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 6.0);
    pool.wait_for_end();
    miner.stop().await;
    let height = node.height();
    pool.crash_nowhere();
    pool.start();
    // The file in the folder has it, whether the node had got it or not.
    pool.wait_for_rewards(1);
    testkit::wait_for("the node to have the block", || {
        (node.height() >= height.max(2)).then_some(())
    });
    let rewards = pool.reader().rewards(10).unwrap();
    assert_eq!(rewards.len(), 1);
    let key = rewards[0].id.0;
    // On regtest a block is easier than a share: what solved it counts as one only if it met that target too.
    let target = pow::Difficulty::nearest(0.000_000_001).target(Algorithm::Sha256d);
    let counts = usize::from(target.is_met_by(&key));
    let times = |pool: &Pool| logged(pool).iter().filter(|share| **share == key).count();
    assert_eq!(times(&pool), counts, "the share that solved it counts once");
    pool.stop();
    // Reported again at every start until it rests, and booked once.
    pool.start();
    pool.stop();
    assert_eq!(pool.reader().rewards(10).unwrap().len(), 1);
    assert_eq!(times(&pool), counts);
    pool.audit();
}

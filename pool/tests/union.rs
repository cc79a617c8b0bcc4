//! Pools that share their blocks, over restarts: what a window counts is what it counted when the block was found.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::union::{Part, Terms, TermsBeside};
use accounting::{AccountId, LogEntry, PoolId, RewardId, Share};
use common::*;
use pool::writer::{self, Writer};
use pool::{BlockReport, PoolConfig};
use std::path::Path;
use store::{Reader, Sqlite, Store};

const OTHER: PoolId = PoolId(2);

fn union(folder: &Path, clock: &TestClock) -> Writer {
    let half = Part::new(50);
    let first = PoolConfig { part: half, ..pool_of(PPLNS, 0) };
    let other = PoolConfig { name: "other".into(), part: half, ..pool_of(PPLNS, 0) };
    let store = Sqlite::open(folder).unwrap();
    writer::start(Box::new(store), vec![asset()], vec![first, other], clock.clone()).unwrap()
}

/// Both have mined; the other has never found a block. Gives the accounts.
async fn mined(writer: &Writer) -> [AccountId; 2] {
    let order = writer.pool.order(|books, _, _| {
        books.set_network_work(OTHER, 5000);
        Ok(())
    });
    order.await.unwrap();
    let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    record(&writer.pool, vec![share(one, 30, 1)]).await;
    record(&writer.pool, vec![Share { pool: OTHER, ..share(two, 4000, 2) }]).await;
    [one.0, two.0]
}

fn rows_of_the_other(folder: &Path) -> Vec<(AccountId, u128)> {
    let reader = Reader::open(folder).unwrap();
    let (reward, _) = reader.reward(RewardId([9; 32])).unwrap().unwrap();
    let shared = reward.shared.unwrap();
    assert_eq!(shared.beside[0].network_work, 5000);
    shared.beside[0].window.rows.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_paid_by_its_own_networks_work_though_its_pool_mined_nothing_since_the_restart()
{
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = union(folder.path(), &clock);
    let [_, two] = mined(&writer).await;
    stop(writer).await;
    let writer = union(folder.path(), &clock);
    found(&writer.pool, block(9, 1, 100, PPLNS)).await;
    assert_eq!(rows_of_the_other(folder.path()), [(two, 4000)]);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_was_durable_when_the_pool_died_is_split_on_the_terms_of_its_moment() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = union(folder.path(), &clock);
    let [one, two] = mined(&writer).await;
    // The terms change after the block: the writer that hears of it died before it drew the consequences.
    let order = writer.pool.order(|books, _, _| {
        books.set_network_work(OTHER, 1);
        Ok(())
    });
    order.await.unwrap();
    stop(writer).await;
    let report = block(9, 1, 100, PPLNS);
    let BlockReport { pool, block, height, to_pool, scheme, network_work, .. } = report;
    let part = Part::new(50).unwrap();
    let beside = vec![TermsBeside { pool: OTHER, part, scheme, network_work: 5000 }];
    let entry = LogEntry::BlockFound(Box::new(accounting::BlockFound {
        pool,
        finder: one,
        worker: accounting::WorkerId(1),
        block,
        height,
        to_pool,
        to_miners: accounting::Amount::ZERO,
        commitment: None,
        coinbase_fee: Default::default(),
        network_work,
        scheme,
        shared: Some(Terms { part, beside }),
        budget: None,
        member: None,
        found_at: report.found_at,
    }));
    Sqlite::open(folder.path()).unwrap().append(&[entry]).unwrap();
    stop(union(folder.path(), &clock)).await;
    assert_eq!(rows_of_the_other(folder.path()), [(two, 4000)]);
}

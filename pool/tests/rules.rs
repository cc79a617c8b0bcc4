//! What a pool promises is noted with its place in the log, once for each change.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::rule::RuleSince;
use accounting::{PoolId, Scheme};
use common::*;
use pool::{PoolConfig, rules};
use std::path::Path;
use store::{Reader, Sqlite};

fn noted(folder: &Path, pool: u32) -> Vec<RuleSince> {
    rules::of(&Reader::open(folder).unwrap().book().unwrap(), PoolId(pool)).unwrap()
}

/// Runs these pools until the first has found a block.
async fn run(folder: &Path, clock: &TestClock, pools: Vec<PoolConfig>, n: u8) {
    let (store, scheme) = (Sqlite::open(folder).unwrap(), pools[0].scheme);
    let writer = pool::writer::start(Box::new(store), vec![asset()], pools, clock.clone()).unwrap();
    found(&writer.pool, block(n, 1, 100 + u64::from(n), scheme)).await;
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_counts_from_the_place_where_it_was_changed() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let folder = folder.path();
    for key in [1, 2] {
        run(folder, &clock, vec![pool_of(PPLNS, 100)], key).await;
    }
    let first = noted(folder, 1);
    let [RuleSince { since, rule: Some(rule), .. }] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((since.0, rule.scheme), (0, PPLNS));
    run(folder, &clock, vec![pool_of(Scheme::Prop, 100)], 3).await;
    let both = noted(folder, 1);
    assert_eq!(both[..1], first[..], "what was promised stays");
    assert!(both.len() == 2 && both[1].since.0 >= 2, "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_taken_out_promises_nothing_until_it_is_back() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let folder = folder.path();
    let second = || PoolConfig { name: "second".into(), ..pool_of(PPLNS, 100) };
    run(folder, &clock, vec![pool_of(PPLNS, 100), second()], 1).await;
    run(folder, &clock, vec![pool_of(PPLNS, 100)], 2).await;
    run(folder, &clock, vec![pool_of(PPLNS, 100), second()], 3).await;
    let open: Vec<bool> = noted(folder, 2).iter().map(|known| known.rule.is_some()).collect();
    assert_eq!(open, [true, false, true]);
    assert_eq!(noted(folder, 1).len(), 1);
}

//! The power fails at any moment of a pool's life, and the disk keeps of the unsynced what it likes: what was
//! acknowledged is there once, what was broadcast is written, and the books fold.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::reward::Sighting;
use accounting::{LogEntry, RewardId, ShareKey, ShareSeq};
use common::*;
use pool::writer;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use store::{Medium, Reader, Sqlite, Store};
use testkit::Disk;
use testkit::fuzz::Dice;

/// Power failures tried; each rebuilds the disk and starts a pool on it.
const FAILURES: usize = 200;

/// What somebody was told, and the moment of the disk's history at which they were told it.
#[derive(Default)]
struct Promised {
    shares: Vec<(usize, ShareKey)>,
    blocks: Vec<(usize, RewardId)>,
    broadcast: Vec<(usize, [u8; 32])>,
}

/// A pool works: shares, a block every so often, its maturing, its payout; the log is folded back again and again.
async fn work(disk: Disk, folder: &Path) -> Promised {
    let medium = Medium {
        vfs: Some(disk.name()),
        fold_beyond_pages: 12,
        look_every: Duration::from_millis(2),
    };
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    treasury.world(|w| w.disk = Some(disk));
    let store = Sqlite::open_on(folder, &medium).unwrap();
    let config = (vec![asset()], vec![pool_of(PPLNS, 100)]);
    let writer = writer::start(Box::new(store), config.0, config.1, clock.clone()).unwrap();
    let mut cashier = cashier(&writer, folder, &clock, &treasury);
    let mut promised = Promised::default();
    let mut key = 0;
    for n in 1..=8 {
        let who = enrol(&writer.pool, n % 3).await;
        for _ in 0..6 {
            let shares: Vec<_> = (0..5).map(|i| share(who, 7, key + i)).collect();
            key += 5;
            let keys: Vec<ShareKey> = shares.iter().map(|share| share.key).collect();
            record(&writer.pool, shares).await;
            promised.shares.extend(keys.into_iter().map(|key| (disk.now(), key)));
        }
        let report = block(n, n % 3, 100 + u64::from(n), PPLNS);
        let id = report.block;
        found(&writer.pool, report).await;
        promised.blocks.push((disk.now(), id));
        treasury.world(|w| w.sightings.insert(id, Sighting::InChain(101)));
        treasury.world(|w| w.spendable += 50 * COIN);
        cashier.round().await.unwrap();
        treasury.world(|w| w.confirmed.extend(w.mempool.drain().map(|txid| (txid, 3))));
        clock.advance(2000);
    }
    stop(writer).await;
    treasury.world(|w| {
        let sent = w.sent_at.iter().zip(&w.sent);
        promised.broadcast.extend(sent.map(|(at, (txid, _))| (*at, *txid)));
    });
    promised
}

/// The shares, blocks and payout transactions a store holds.
fn held(folder: &Path) -> (HashMap<ShareKey, usize>, Vec<RewardId>, Vec<[u8; 32]>) {
    let mut store = Sqlite::open(folder).unwrap();
    let (mut shares, mut blocks) = (HashMap::new(), Vec::new());
    let each = &mut |_, entry| match entry {
        LogEntry::Share(share) => *shares.entry(share.key).or_default() += 1,
        LogEntry::BlockFound(found) => blocks.push(found.block),
        _ => {}
    };
    store.scan(ShareSeq(0), each).unwrap();
    let reader = Reader::open(folder).unwrap();
    let mut statement = reader.connection().prepare("SELECT txid FROM payout_versions").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    (shares, blocks, rows.map(Result::unwrap).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_power_fails_at_any_moment_nothing_acknowledged_is_lost_or_doubled() {
    let disk = Disk::new("power");
    let before = tempfile::tempdir().unwrap();
    let promised = work(disk, before.path()).await;
    assert!(promised.broadcast.len() > 3, "payouts went out");
    let mut dice = Dice::new(42);
    for failure in 0..FAILURES {
        let moment = dice.below(disk.now());
        let folder = tempfile::tempdir().unwrap();
        disk.after_power_failed(moment, &mut dice, folder.path());
        // The pool starts on what is left, and goes on.
        let clock = TestClock::default();
        let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
        let who = enrol(&writer.pool, 1).await;
        record(&writer.pool, vec![share(who, 7, u64::MAX)]).await;
        found(&writer.pool, block(200, 1, 300, PPLNS)).await;
        stop(writer).await;
        let (shares, blocks, versions) = held(folder.path());
        for (told, key) in &promised.shares {
            let times = shares.get(key).copied().unwrap_or(0);
            assert!(times <= 1, "failure {failure}: a share is there {times} times");
            assert!(
                times == 1 || *told > moment,
                "failure {failure}: an acknowledged share is gone"
            );
        }
        for (told, id) in &promised.blocks {
            assert!(blocks.contains(id) || *told > moment, "failure {failure}: a block is gone");
        }
        for (told, txid) in &promised.broadcast {
            let known = versions.contains(txid);
            assert!(known || *told > moment, "failure {failure}: a broadcast payout is unknown");
        }
        let differences = Reader::open(folder.path()).unwrap().fold_differences().unwrap();
        assert!(differences.is_empty(), "failure {failure}: {differences:?}");
    }
}

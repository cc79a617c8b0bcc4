//! What doors other than Stratum rely on: proofs known for ever, and accounts that are no scripts.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::reward::Sighting;
use accounting::{AssetId, Identity, IdentityKind, RewardId};
use common::*;
use pool::door::Recorded;
use pool::{PoolConfig, Refused};
use store::Reader;

fn keyed() -> PoolConfig {
    PoolConfig { knows_keys: true, ..pool_of(PPLNS, 0) }
}

fn shares(folder: &std::path::Path) -> i64 {
    let reader = Reader::open(folder).unwrap();
    reader.connection().query_row("SELECT count(*) FROM shares", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_a_known_proof_gives_its_first_position_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), keyed(), &clock);
    let who = enrol(&writer.pool, 1).await;
    let first = writer.pool.record_once(share(who, 5, 1)).await.unwrap();
    let second = writer.pool.record_once(share(who, 5, 2)).await.unwrap();
    assert!(first.is_new && second.is_new && first.seq < second.seq);
    let known = Recorded { is_new: false, ..first };
    assert_eq!(writer.pool.record_once(share(who, 9, 1)).await.unwrap(), known);
    stop(writer).await;
    let writer = start(folder.path(), asset(), keyed(), &clock);
    assert_eq!(writer.pool.record_once(share(who, 5, 1)).await.unwrap(), known);
    // Many at once, of which most are the same: one commit or several, each is recorded once.
    let twins: Vec<_> = (0..64)
        .map(|n| {
            let pool = writer.pool.clone();
            tokio::spawn(async move { pool.record_once(share(who, 5, 100 + n % 4)).await.unwrap() })
        })
        .collect();
    let mut new = 0;
    for twin in twins {
        new += usize::from(twin.await.unwrap().is_new);
    }
    assert_eq!((new, shares(folder.path())), (4, 6));
    found(&writer.pool, pool::BlockReport { share: None, ..block(9, 1, 100, PPLNS) }).await;
    let (reward, _) =
        Reader::open(folder.path()).unwrap().reward(RewardId([9; 32])).unwrap().unwrap();
    assert_eq!(reward.window.unwrap().rows, [(who.0, 30)], "the first weights, each once");
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_pool_takes_its_own_way_of_recording_only() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), keyed(), &clock);
    let who = enrol(&writer.pool, 1).await;
    let mut recording = writer.pool.record(vec![share(who, 5, 1)]).await.unwrap();
    assert!(matches!(recording.durable().await, Err(Refused::Rule(_))));
    assert!(matches!(writer.pool.found(block(9, 1, 100, PPLNS)).await, Err(Refused::Rule(_))));
    stop(writer).await;
    let other = tempfile::tempdir().unwrap();
    let writer = start(other.path(), asset(), pool_of(PPLNS, 0), &clock);
    let who = enrol(&writer.pool, 1).await;
    let refused = writer.pool.record_once(share(who, 5, 1)).await;
    assert!(matches!(refused, Err(Refused::Rule(_))), "{refused:?}");
    stop(writer).await;
    assert_eq!((shares(folder.path()), shares(other.path())), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_script_is_paid_once_it_said_where_to_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let mut asset = asset();
    asset.payouts.address_change_delay_ms = 0;
    let writer = start(folder.path(), asset, keyed(), &clock);
    let farmer = Identity {
        kind: IdentityKind::Launcher,
        network: "chia/testnet11".into(),
        bytes: vec![7; 32],
    };
    let who = writer.pool.enrol(farmer, "07…".into(), "harvester".into()).await.unwrap();
    writer.pool.record_once(share(who, 5, 1)).await.unwrap();
    found(&writer.pool, pool::BlockReport { share: None, ..block(9, 1, 100, PPLNS) }).await;
    treasury.world(|w| {
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
        w.spendable = 50 * COIN;
    });
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    let round = cashier.round().await.unwrap();
    assert!(round.made.is_empty(), "its launcher id is nothing to pay to");
    assert_eq!(available(folder.path(), who.0), 50 * COIN);
    let order = writer.pool.order(move |books, _, now| {
        books.set_destination(who.0, vec![9; 32], "xch1…".into(), AssetId(1), now)
    });
    order.await.unwrap();
    clock.advance(10_000);
    assert_eq!(cashier.round().await.unwrap().made.len(), 1);
    assert_eq!(available(folder.path(), who.0), 0);
    stop(writer).await;
}

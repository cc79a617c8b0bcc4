//! Plot NFTs that come, go, change hands and lie: who may register, who is credited, and whose word counts.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use common::nft::{PlotNft, farming, owner};
use common::node::{FakeNode, World};
use common::*;
use farming::chores;
use farming::coin::SpendBundle;
use farming::farmer::held;
use farming::hash::Bytes32;
use farming::reject::Reject;
use farming::singleton::{DELAY_MIN_S, Phase, PoolState};
use farming::watch::{self, Pace};
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A contract that holds rewards back for long enough.
const DELAY_S: u64 = 604_800;

/// A chain at height 40 with nothing on it.
fn empty() -> World {
    World { height: 40, coins: Vec::new(), ..world(0) }
}

async fn pool_on(folder: &Path, world: World) -> (Running, FakeNode) {
    let node = FakeNode::start(world).await;
    let pool = Running::start(folder, &[&node], TestClock::default()).await;
    (pool, node)
}

/// May it farm here now?
fn admitted(pool: &Running, nft: &PlotNft) -> Result<(), Reject> {
    let farmer = pool.door.farmers.get(&nft.contract.launcher_id)?;
    let height = pool.door.nodes.standing().unwrap().height;
    held(&farmer).admit(&pool.door.settings.terms, height)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_lets_its_owner_take_rewards_within_the_hour_does_not_get_in() {
    let (mut world, ann) = (empty(), owner(1));
    let quick = PlotNft::launch(&mut world, DELAY_MIN_S - 1, farming(&ann), 20);
    let slow = PlotNft::launch(&mut world, DELAY_MIN_S, farming(&ann), 21);
    let folder = tempfile::tempdir().unwrap();
    let (pool, _node) = pool_on(folder.path(), world).await;
    assert_eq!(pool.door.register(&quick.post(&ann)).await, Err(Reject::DelayTooShort));
    pool.door.register(&slow.post(&ann)).await.unwrap();
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_to_another_pool_and_comes_back_is_credited_here_only_while_it_is_here() {
    let (mut world, ann) = (empty(), owner(1));
    let here = farming(&ann);
    let mut nft = PlotNft::launch(&mut world, DELAY_S, here.clone(), 20);
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = pool_on(folder.path(), world).await;
    pool.door.register(&nft.post(&ann)).await.unwrap();
    assert_eq!(admitted(&pool, &nft), Ok(()));
    let leaving = PoolState { phase: Phase::Leaving, ..here.clone() };
    let there = PoolState { target: Bytes32([0x77; 32]), ..here.clone() };
    let leaves_there = PoolState { phase: Phase::Leaving, ..there.clone() };
    let way = [
        (leaving, 41, Ok(())),
        (there, 47, Err(Reject::NotAMember)),
        (leaves_there, 48, Err(Reject::NotAMember)),
        (here, 60, Ok(())),
    ];
    for (state, height, expected) in way {
        node.change(|world| {
            nft.travel(world, state.clone(), height);
            world.height = height;
        });
        watch::once(&pool.door, Pace::default()).await;
        assert_eq!(admitted(&pool, &nft), expected, "{state:?}");
    }
    let farmer = pool.door.farmers.get(&nft.contract.launcher_id).unwrap();
    assert_eq!(held(&farmer).tip().since, 60, "what it farmed before is not this stay's");
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_it_stays_while_its_coin_leaves_is_not_believed() {
    let (mut world, ann) = (empty(), owner(1));
    let here = farming(&ann);
    let there = PoolState { target: Bytes32([0x77; 32]), ..here.clone() };
    let mut liar = PlotNft::launch(&mut world, DELAY_S, here.clone(), 20);
    let mut guest = PlotNft::launch(&mut world, DELAY_S, here.clone(), 21);
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = pool_on(folder.path(), world).await;
    pool.door.register(&liar.post(&ann)).await.unwrap();
    node.change(|world| {
        liar.announce(world, &here, there.clone(), 41);
        guest.announce(world, &here, there, 41);
        world.height = 41;
    });
    watch::once(&pool.door, Pace::default()).await;
    assert_eq!(admitted(&pool, &liar), Err(Reject::NotAMember));
    assert_eq!(pool.door.register(&guest.post(&ann)).await, Err(Reject::NotAMember));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payout_instructions_are_changed_only_by_who_owns_the_plot_nft_now() {
    let (mut world, ann, ben) = (empty(), owner(1), owner(2));
    let mut nft = PlotNft::launch(&mut world, DELAY_S, farming(&ann), 20);
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = pool_on(folder.path(), world).await;
    assert_eq!(pool.door.register(&nft.post(&ben)).await, Err(Reject::InvalidSignature));
    pool.door.register(&nft.post(&ann)).await.unwrap();
    let (to_ann, to_ben) = ("22".repeat(32), "33".repeat(32));
    // The key that signs partials may not say where the money goes.
    let by_farmer = pool.door.change(&nft.put(&owner(200), &to_ben)).await;
    assert_eq!(by_farmer, Err(Reject::InvalidSignature));
    pool.door.change(&nft.put(&ann, &to_ann)).await.unwrap();
    // It changes hands: out of the pool and in again, as plot NFTs do.
    node.change(|world| {
        nft.travel(world, PoolState { phase: Phase::Leaving, ..farming(&ann) }, 41);
        nft.travel(world, farming(&ben), 47);
        world.height = 47;
    });
    watch::once(&pool.door, Pace::default()).await;
    assert_eq!(pool.door.change(&nft.put(&ann, &to_ann)).await, Err(Reject::InvalidSignature));
    pool.door.change(&nft.put(&ben, &to_ben)).await.unwrap();
    let farmer = pool.door.farmers.get(&nft.contract.launcher_id).unwrap();
    assert_eq!(held(&farmer).instructions, to_ben);
    pool.stop().await;
}

/// Which pot has each reward, by the height that brought it: the pool's is 1, that of what is a farmer's own is 2.
fn pots(folder: &Path) -> Vec<(i64, i64)> {
    let reader = store::Reader::open(folder).unwrap();
    let mut statement =
        reader.connection().prepare("SELECT height, pool FROM rewards ORDER BY 1").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_farmed_in_an_earlier_stay_here_is_shared_though_its_farmer_left_and_came_back() {
    let (mut world, ann) = (empty(), owner(1));
    let here = farming(&ann);
    let mut nft = PlotNft::launch(&mut world, DELAY_S, here.clone(), 20);
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = pool_on(folder.path(), world).await;
    pool.door.register(&nft.post(&ann)).await.unwrap();
    // All of it while nobody looks. Whoever absorbs may write it as they like: nobody signs for it.
    let leaving = PoolState { phase: Phase::Leaving, ..here.clone() };
    let alone =
        PoolState { phase: Phase::SelfPooling, target: Bytes32([0x77; 32]), ..here.clone() };
    node.change(|world| {
        nft.absorb(world, 19, 41, true);
        nft.absorb(world, 22, 42, false);
        nft.travel(world, leaving, 43);
        nft.absorb(world, 42, 44, true);
        nft.travel(world, alone, 50);
        nft.absorb(world, 51, 53, false);
        nft.travel(world, here, 60);
        nft.absorb(world, 59, 62, false);
        nft.absorb(world, 61, 63, true);
        world.height = 90;
    });
    watch::once(&pool.door, Pace::default()).await;
    chores::once(&pool.door).await;
    pool.door.pool.order(|_, _, _| Ok(())).await.unwrap();
    // Of block 51 the reward went to its farmer at once.
    assert_eq!(pots(folder.path()), [(41, 2), (42, 1), (44, 1), (62, 2), (63, 1)]);
    assert_eq!(admitted(&pool, &nft), Ok(()), "whatever was written");
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_who_leaves_the_rewards_are_absorbed_at_once_and_until_it_has_left() {
    let (mut world, ann) = (empty(), owner(1));
    let here = farming(&ann);
    let mut nft = PlotNft::launch(&mut world, DELAY_S, here.clone(), 20);
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = pool_on(folder.path(), world).await;
    pool.door.register(&nft.post(&ann)).await.unwrap();
    let cancel = CancellationToken::new();
    let pace = Pace {
        look: Duration::from_millis(5),
        collect: Duration::from_secs(3600),
        absorb_depth: 2,
    };
    let (door, ends) = (pool.door.clone(), cancel.clone());
    let watching = tokio::spawn(async move { watch::run(&door, pace, &ends).await });
    let collected = || node.asked("get_coin_records_by_puzzle_hashes");
    let until = async |done: &dyn Fn() -> bool| {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(&|| collected() > 0).await;
    // It wins, and is asked for its rewards in an hour again; but it leaves, and is even free to go.
    let mut reward = None;
    node.change(|world| {
        reward = Some(nft.wins(world, 41, 42));
        world.height = 44;
    });
    node.change(|world| {
        nft.travel(world, PoolState { phase: Phase::Leaving, ..here }, 45);
        world.height = 100;
    });
    until(&|| !node.world.lock().unwrap().pushed.is_empty()).await;
    let pushed = node.world.lock().unwrap().pushed[0].clone();
    let bundle: SpendBundle = serde_json::from_value(pushed).unwrap();
    assert_eq!(bundle.coin_spends[1].coin, reward.unwrap());
    assert_eq!(
        admitted(&pool, &nft),
        Err(Reject::NotAMember),
        "its partials do not count any more"
    );
    cancel.cancel();
    watching.await.unwrap();
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dust_at_a_contract_keeps_no_reward_waiting() {
    let (mut world, ann) = (empty(), owner(1));
    let nft = PlotNft::launch(&mut world, DELAY_S, farming(&ann), 20);
    let reward = nft.wins(&mut world, 30, 31);
    // More than one answer holds: somebody sent crumbs there, thousands a block.
    for number in 0..80_000u32 {
        let parent = farming::hash::sha256([&number.to_be_bytes()[..]]);
        let crumb = farming::coin::Coin { parent, puzzle_hash: reward.puzzle_hash, amount: 1 };
        world.coins.push(serde_json::json!({
            "coin": crumb, "confirmed_block_index": 10 + number % 20, "spent_block_index": 0, "coinbase": false,
        }));
    }
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = pool_on(folder.path(), world).await;
    pool.door.register(&nft.post(&ann)).await.unwrap();
    watch::once(&pool.door, Pace::default()).await;
    let pushed = node.world.lock().unwrap().pushed.clone();
    assert_eq!(pushed.len(), 1);
    let bundle: SpendBundle = serde_json::from_value(pushed[0].clone()).unwrap();
    assert_eq!(bundle.coin_spends.len(), 2, "the reward, and no crumb");
    assert!(node.asked("get_coin_records_by_puzzle_hashes") > 2, "in parts");
    pool.stop().await;
}

//! What becomes of rewards: absorbed with a fee or without, shared or a farmer's own, told again after a restore.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use common::node::{FakeNode, World};
use common::*;
use farming::chores;
use farming::coin::{Coin, NO_SIGNATURE, SpendBundle};
use farming::door::Settings;
use farming::hash::Bytes32;
use farming::watch::{self, Pace};
use farming::wire::farmer::Post;
use serde_json::{Value, json};
use std::path::Path;

/// What two blocks brought, by the chain of the captured farmer: the rewards of the blocks 19 and 22.
const REWARD: i64 = 1_750_000_000_000;
/// What an absorption may cost in these tests.
const FEE_MOST: u64 = 900_000_000;

fn answers(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/chia_rpc.json")).unwrap();
    all[name]["response"]["coin_records"].as_array().unwrap().clone()
}

/// The farmer's chain after two rewards were absorbed.
fn absorbed() -> World {
    let mut world = world(2);
    world.coins.extend(answers("node_target_coin_records"));
    world
}

/// A pool with the captured farmer in it.
async fn joined(folder: &Path, settings: Settings) -> (Running, FakeNode) {
    let node = FakeNode::start(world(0)).await;
    let pool = Running::with(folder, &[&node], TestClock::default(), settings).await;
    let body = captured("POST", "/farmer")[0]["body"].as_str().unwrap();
    pool.door.register(&Post::parse(body.as_bytes()).unwrap()).await.unwrap();
    (pool, node)
}

async fn look(pool: &Running) {
    for _ in 0..2 {
        watch::once(&pool.door, Pace::default()).await;
        chores::once(&pool.door).await;
    }
    pool.door.pool.order(|_, _, _| Ok(())).await.unwrap();
}

/// What the books have: which pot, what the farmer gets, what the pool keeps.
fn booked(folder: &Path) -> Vec<(i64, i64, i64)> {
    let reader = store::Reader::open(folder).unwrap();
    let sql = "SELECT r.pool, s.net, s.fee FROM rewards r JOIN split_rows s ON s.block = r.block ORDER BY 1";
    let mut statement = reader.connection().prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reward_from_before_its_farmer_joined_is_the_farmers_own_and_the_next_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path(), settings()).await;
    // It joined between the two blocks.
    for farmer in pool.door.farmers.all() {
        let mut farmer = farming::farmer::held(&farmer);
        farmer.buried.since = 20;
        farmer.latest.as_mut().unwrap().since = 20;
    }
    node.change(|world| *world = absorbed());
    look(&pool).await;
    let fee = REWARD / 100;
    let both = [(1, REWARD - fee, fee), (2, REWARD, 0)];
    assert_eq!(booked(folder.path()), both);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rewards_are_told_again_after_a_restart_and_books_that_never_heard_of_them_have_them_then()
{
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path(), settings()).await;
    node.change(|world| *world = absorbed());
    look(&pool).await;
    let clock = pool.clock.clone();
    pool.stop().await;
    let before = booked(folder.path());
    assert_eq!(before.len(), 2);
    for restores in [false, true] {
        if restores {
            // A backup from before the rewards: the door's own file is newer.
            for suffix in ["", "-wal", "-shm"] {
                let file = folder.path().join(format!("{}{suffix}", store::sqlite::FILE_NAME));
                drop(std::fs::remove_file(file));
            }
        }
        let pool = Running::start(folder.path(), &[&node], clock.clone()).await;
        chores::record_all(&pool.door).await.unwrap();
        look(&pool).await;
        pool.stop().await;
        assert_eq!(booked(folder.path()), before, "after a restore: {restores}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farmer_whose_row_was_lost_joins_again_and_its_rewards_are_found_on_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(absorbed()).await;
    let pool = Running::start(folder.path(), &[&node], TestClock::default()).await;
    let body = captured("POST", "/farmer")[0]["body"].as_str().unwrap();
    pool.door.register(&Post::parse(body.as_bytes()).unwrap()).await.unwrap();
    look(&pool).await;
    assert_eq!(booked(folder.path()).len(), 2);
    pool.stop().await;
}

/// The chain in which the absorptions of [`absorbed`] were taken back and done again at this height.
fn absorbed_again(at: u32, height: u32) -> World {
    let mut world = World { height, ..absorbed() };
    for record in world.coins.iter_mut().filter(|record| record["confirmed_block_index"] == 31) {
        record["confirmed_block_index"] = at.into();
    }
    world
}

/// Where the books have rewards: height and state.
fn rewards(folder: &Path) -> Vec<(i64, String)> {
    let reader = store::Reader::open(folder).unwrap();
    let sql = "SELECT height, state FROM rewards ORDER BY 1";
    let mut statement = reader.connection().prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absorption_that_is_taken_back_and_done_again_is_told_once_and_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path(), settings()).await;
    // Two deep, where three are asked for.
    node.change(|world| *world = World { height: 33, ..absorbed() });
    look(&pool).await;
    assert_eq!(rewards(folder.path()), []);
    // The chain goes back behind the absorption, which waits in no block and is done again.
    node.change(|world| *world = World { height: 34, ..world_before() });
    look(&pool).await;
    assert!(!node.world.lock().unwrap().pushed.is_empty(), "absorbed again");
    node.change(|world| *world = absorbed_again(36, 37));
    look(&pool).await;
    assert_eq!(rewards(folder.path()), [], "as deep as it lies now, not as it lay before");
    node.change(|world| *world = absorbed_again(36, 39));
    look(&pool).await;
    let immature = || "immature".to_owned();
    assert_eq!(rewards(folder.path()), [(36, immature()), (36, immature())]);
    // Once more, after it was told: the coins are the same, and so are the rewards.
    node.change(|world| *world = World { height: 40, ..world_before() });
    look(&pool).await;
    node.change(|world| *world = absorbed_again(41, 50));
    look(&pool).await;
    assert_eq!(rewards(folder.path()), [(36, immature()), (36, immature())]);
    pool.stop().await;
}

/// The chain before anything was absorbed, with the two rewards that wait.
fn world_before() -> World {
    let mut before = world(0);
    let waiting = absorbed_rewards();
    before.coins.extend(waiting);
    before
}

/// The coins that the absorptions of [`absorbed`] absorbed, as they waited.
fn absorbed_rewards() -> Vec<Value> {
    let bundle = &vectors()["singleton"]["absorb"]["spend_bundle"]["coin_spends"];
    let spends = bundle.as_array().unwrap().iter().skip(1).step_by(2);
    spends
        .map(|spend| {
            json!({
                "coin": spend["coin"], "confirmed_block_index": 23, "spent_block_index": 0, "coinbase": true,
            })
        })
        .collect()
}

/// The bundle that was pushed for the farmer's waiting rewards, with a purse that holds this much.
async fn pushed(is_full: bool, purse: Option<u64>, fee_most: u64) -> SpendBundle {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { absorb_fee_most: fee_most, ..settings() };
    let (pool, node) = joined(folder.path(), settings).await;
    node.change(|world| {
        world.height = 40;
        world.is_full = is_full;
        world.coins.extend(answers("node_p2_coin_records"));
        if let Some(amount) = purse {
            let parent = Bytes32([6; 32]);
            let coin = Coin { parent, puzzle_hash: wallet().purse(), amount };
            world.coins.push(json!({
                "coin": coin, "confirmed_block_index": 5, "spent_block_index": 0, "coinbase": false,
            }));
        }
    });
    watch::once(&pool.door, Pace::default()).await;
    let bundle = node.world.lock().unwrap().pushed[0].clone();
    pool.stop().await;
    serde_json::from_value(bundle).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_there_is_room_an_absorption_pays_nothing() {
    let bundle = pushed(false, Some(FEE_MOST), FEE_MOST).await;
    assert_eq!((bundle.coin_spends.len(), bundle.signature), (10, NO_SIGNATURE));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_blocks_are_full_an_absorption_pays_out_of_the_purse_and_never_more_than_allowed() {
    let bundle = pushed(true, Some(5 * FEE_MOST), FEE_MOST).await;
    let spend = bundle.coin_spends.last().unwrap();
    assert_eq!(spend.coin.puzzle_hash, wallet().purse());
    assert_ne!(bundle.signature, NO_SIGNATURE);
    let reserved = [&[0xff, 52, 0xff][..], &[0x84], &FEE_MOST.to_be_bytes()[4..], &[0x80]].concat();
    let program = &spend.solution.0;
    assert!(program.windows(reserved.len()).any(|bytes| bytes == reserved), "{program:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_purse_or_leave_to_use_it_an_absorption_is_sent_without_a_fee() {
    for (purse, fee_most) in [(None, FEE_MOST), (Some(5 * FEE_MOST), 0), (Some(1), FEE_MOST)] {
        let bundle = pushed(true, purse, fee_most).await;
        assert_eq!(bundle.signature, NO_SIGNATURE, "{purse:?} {fee_most}");
    }
}

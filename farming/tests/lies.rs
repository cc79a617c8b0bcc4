//! Nodes that lie, contradict each other, or are not whom we think: nobody is credited or paid by their word.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use common::node::{FakeNode, World};
use common::*;
use farming::chores;
use farming::coin::Coin;
use farming::hash::Bytes32;
use farming::network::Network;
use farming::node::Nodes;
use farming::node::rpc::RpcError;
use farming::reject::Reject;
use farming::watch::{self, Pace};
use farming::wire::farmer::Post;
use farming::wire::partial::Submission;
use serde_json::{Value, json};
use std::path::Path;

fn coin(parent: u8) -> Coin {
    Coin { parent: Bytes32([parent; 32]), puzzle_hash: Bytes32([9; 32]), amount: 7 }
}

fn record(coin: &Coin) -> Value {
    json!({"coin": coin, "confirmed_block_index": 10, "spent_block_index": 0, "coinbase": false})
}

fn lies(world: &mut World, method: &str, answer: Value) {
    world.lies.insert(method.to_owned(), answer);
}

/// A pool with the captured farmer in it, on these nodes.
async fn joined(folder: &Path, nodes: &[&FakeNode]) -> Running {
    let pool = Running::start(folder, nodes, TestClock::default()).await;
    let body = captured("POST", "/farmer")[0]["body"].as_str().unwrap();
    pool.door.register(&Post::parse(body.as_bytes()).unwrap()).await.unwrap();
    pool
}

async fn submit(pool: &Running, index: usize) -> Result<u64, Reject> {
    let body = partials()[index];
    let submission = Submission::parse(body.as_bytes()).unwrap();
    pool.door.partial(submission, made_at(body)).await.map(|accepted| accepted.new_difficulty)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_network_is_asked_for_nothing_more() {
    let node = FakeNode::start(world(0)).await;
    let nodes = Nodes::new(Network::mainnet(), vec![node.client()]);
    nodes.refresh().await;
    assert!(nodes.standing().is_none());
    let (_, said) = nodes.standings().remove(0);
    assert!(said.unwrap_err().contains("this pool is on mainnet"));
    assert_eq!(node.asked("get_blockchain_state"), 0);
    assert!(nodes.ask(|node| node.coin(&Bytes32([1; 32]))).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_certificate_is_of_another_authority_is_not_talked_to() {
    let node = FakeNode::start(world(0)).await;
    let client = node.client_believing("node.crt");
    let refused = client.standing(&Network::simulator()).await;
    assert!(matches!(refused, Err(RpcError::Unknown(_))), "{refused:?}");
    assert_eq!(node.asked("get_network_info"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_and_spends_that_were_not_asked_for_are_left_out() {
    let node = FakeNode::start(world(0)).await;
    let client = node.client();
    let (asked, other) = (coin(1), coin(2));
    let both = json!({"success": true, "coin_records": [record(&asked), record(&other)]});
    node.change(|world| {
        lies(
            world,
            "get_coin_record_by_name",
            json!({"success": true, "coin_record": record(&other)}),
        );
        lies(world, "get_coin_records_by_names", both.clone());
        lies(world, "get_coin_records_by_parent_ids", both.clone());
        lies(world, "get_coin_records_by_puzzle_hashes", both);
        let spend = json!({"coin": other, "puzzle_reveal": "0x80", "solution": "0x80"});
        lies(world, "get_puzzle_and_solution", json!({"success": true, "coin_solution": spend}));
    });
    let coin = client.coin(&asked.id()).await;
    assert!(matches!(coin, Err(RpcError::Unknown(_))), "no answer, and not a no: {coin:?}");
    let named = client.coins(&[asked.id()]).await.unwrap();
    assert_eq!(named.iter().map(|record| record.coin).collect::<Vec<_>>(), [asked]);
    let children = client.children(&[asked.parent]).await.unwrap();
    assert_eq!(children.iter().map(|record| record.coin).collect::<Vec<_>>(), [asked]);
    let elsewhere = client.coins_at(&[Bytes32([8; 32])], 0..100, true).await.unwrap();
    assert!(elsewhere.is_empty());
    assert!(matches!(client.spend(&asked.id(), 10).await, Err(RpcError::Unknown(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signage_point_with_another_challenge_credits_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = joined(folder.path(), &[&node]).await;
    node.change(|world| {
        for answer in world.points.values_mut().filter(|answer| answer["signage_point"].is_object())
        {
            answer["signage_point"]["cc_vdf"]["challenge"] = json!(Bytes32([5; 32]));
        }
    });
    assert_eq!(submit(&pool, 0).await, Err(Reject::WrongChallenge));
    assert!(shares(folder.path()).is_empty());
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_no_answer_and_credits_nobody() {
    for answer in [json!(null), json!([]), json!({}), json!({"success": true}), json!("yes")] {
        let folder = tempfile::tempdir().unwrap();
        let node = FakeNode::start(world(0)).await;
        let pool = joined(folder.path(), &[&node]).await;
        node.change(|world| lies(world, "get_recent_signage_point_or_eos", answer.clone()));
        assert_eq!(submit(&pool, 0).await, Err(Reject::NotSynced), "{answer}");
        node.change(|world| lies(world, "get_blockchain_state", answer.clone()));
        pool.door.nodes.refresh().await;
        assert!(pool.door.nodes.standing().is_none(), "{answer}");
        assert!(shares(folder.path()).is_empty());
        pool.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_stands_as_long_as_one_of_two_nodes_says_so_and_falls_when_both_say_not() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (FakeNode::start(world(0)).await, FakeNode::start(world(0)).await);
    let pool = joined(folder.path(), &[&one, &two]).await;
    submit(&pool, 0).await.unwrap();
    let reverts = |world: &mut World| {
        world.points.values_mut().for_each(|answer| answer["reverted"] = true.into());
    };
    one.change(reverts);
    submit(&pool, 1).await.unwrap();
    two.change(reverts);
    pool.clock.advance(CONFIRM_MS);
    for _ in 0..2 {
        // What was only queued to be written is on disk after this.
        pool.door.tables.write(|_| Ok(())).await.unwrap();
        chores::once(&pool.door).await;
    }
    assert_eq!(pool.door.stats.counted().revoked, 2);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reward_that_the_chain_shows_otherwise_than_its_absorption_is_not_booked() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = joined(folder.path(), &[&node]).await;
    // Its plot NFT's spends say that two rewards were absorbed; the coins that they should have become are not there.
    node.change(|world| *world = World { height: 60, ..common::world(2) });
    for _ in 0..2 {
        watch::once(&pool.door, Pace::default()).await;
        chores::once(&pool.door).await;
    }
    pool.door.pool.order(|_, _, _| Ok(())).await.unwrap();
    let reader = store::Reader::open(folder.path()).unwrap();
    let booked: i64 = reader
        .connection()
        .query_row("SELECT count(*) FROM rewards", [], |row| row.get(0))
        .unwrap();
    assert_eq!(booked, 0);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_and_does_not_notice_is_asked_nothing() {
    let (behind, best) = (FakeNode::start(world(0)).await, FakeNode::start(world(0)).await);
    let nodes = Nodes::new(Network::simulator(), vec![behind.client(), best.client()]);
    let believed = async |ahead: u32| {
        best.change(|world| world.height = 30 + ahead);
        nodes.refresh().await;
        nodes.believed().count()
    };
    assert_eq!((believed(0).await, believed(5).await, believed(6).await), (2, 2, 1));
    let coin = coin(1);
    best.change(|world| world.coins.push(record(&coin)));
    let name = coin.id();
    assert!(nodes.ask(|node| node.coin(&name)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coin_is_not_there_only_if_every_node_that_must_have_it_says_so() {
    let (one, two) = (FakeNode::start(world(0)).await, FakeNode::start(world(0)).await);
    let nodes = Nodes::new(Network::simulator(), vec![one.client(), two.client()]);
    let coin = coin(1);
    two.change(|world| world.height = 33);
    nodes.refresh().await;
    assert_eq!(nodes.coin(&coin.id(), 30).await, Ok(None), "both have block 30");
    let unsure = nodes.coin(&coin.id(), 31).await;
    assert!(matches!(unsure, Err(RpcError::Unknown(_))), "one does not have block 31: {unsure:?}");
    two.change(|world| lies(world, "get_coin_record_by_name", json!({"success": true})));
    assert!(nodes.coin(&coin.id(), 30).await.is_err(), "one gives no answer");
    two.change(|world| {
        world.lies.clear();
        world.coins.push(record(&coin));
    });
    let found = nodes.coin(&coin.id(), 30).await.unwrap().unwrap();
    assert_eq!(found.coin, coin, "one has it");
}

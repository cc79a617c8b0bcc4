//! What a real node of Chia's answered (`tests/fixtures/chia_rpc.json`), over the wire to our client: its words for yes, no and not here.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use common::node::FakeNode;
use common::{vectors, world};
use farming::coin::SpendBundle;
use farming::hash::Bytes32;
use farming::network::Network;
use farming::node::{Node, Pushed};
use farming::wire::partial::Point;
use serde_json::Value;

/// A node that answers this method as the real one did, and a client of it.
async fn said(name: &str) -> (FakeNode, Node, Value) {
    let all: Value = serde_json::from_str(include_str!("fixtures/chia_rpc.json")).unwrap();
    let recorded = all[name].clone();
    let method = recorded["endpoint"].as_str().unwrap().trim_start_matches('/').to_owned();
    let node = FakeNode::start(world(0)).await;
    let answer = recorded["response"].clone();
    node.change(|world| drop(world.lies.insert(method, answer)));
    let client = node.client();
    (node, client, recorded["request"].clone())
}

fn hash(value: &Value) -> Bytes32 {
    let text = value.as_str().unwrap();
    format!("0x{}", text.trim_start_matches("0x")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_and_where_its_node_stands() {
    let (_node, client, _) = said("node_get_network_info").await;
    let network = client.network().await.unwrap();
    assert_eq!(network.genesis_challenge, Network::simulator().genesis_challenge);
    let (_node, client, _) = said("node_get_blockchain_state").await;
    let standing = client.standing(&Network::simulator()).await.unwrap();
    assert_eq!((standing.height, standing.is_synced), (30, false), "it had no peers");
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_it_knows_and_points_that_it_does_not() {
    let point = |request: &Value| Point::Signage(hash(&request["sp_hash"]));
    let end = |request: &Value| Point::EndOfSubSlot(hash(&request["challenge_hash"]));
    let (_node, client, request) = said("node_sp_found").await;
    assert!(!client.signage(&point(&request)).await.unwrap().unwrap().is_reverted);
    let (_node, client, request) = said("node_sp_unknown").await;
    assert_eq!(client.signage(&point(&request)).await, Ok(None));
    let (_node, client, request) = said("node_eos_found").await;
    let found = client.signage(&end(&request)).await.unwrap().unwrap();
    assert_eq!(found.challenge, hash(&request["challenge_hash"]));
    let (_node, client, request) = said("node_eos_unknown").await;
    assert_eq!(client.signage(&end(&request)).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_that_it_has_and_coins_that_it_has_not() {
    let (_node, client, request) = said("node_coin_unknown").await;
    assert_eq!(client.coin(&hash(&request["name"])).await, Ok(None));
    let (_node, client, request) = said("node_launcher_coin_record").await;
    assert!(client.coin(&hash(&request["name"])).await.unwrap().unwrap().is_spent());
    let (_node, client, request) = said("w_by_names").await;
    let names: Vec<Bytes32> = request["names"].as_array().unwrap().iter().map(hash).collect();
    let found = client.coins(&names).await.unwrap();
    assert_eq!(found.iter().map(|record| record.coin.id()).collect::<Vec<_>>(), names[1..]);
    let (_node, client, request) = said("node_singleton_children").await;
    let parents: Vec<Bytes32> =
        request["parent_ids"].as_array().unwrap().iter().map(hash).collect();
    let children = client.children(&parents).await.unwrap();
    assert_eq!(children.iter().filter(|child| child.coin.amount == 1).count(), 1);
    let (_node, client, request) = said("node_p2_coin_records").await;
    let places: Vec<Bytes32> =
        request["puzzle_hashes"].as_array().unwrap().iter().map(hash).collect();
    let all = client.coins_at(&places, 0..100, true).await.unwrap();
    let rewards = client.rewards_at(&places, 0..100).await.unwrap();
    assert!(!rewards.is_empty() && rewards.iter().all(|reward| reward.coinbase));
    assert_eq!(rewards, all, "the pool's parts and the farmers'");
    let (_node, client, request) = said("node_launcher_spend").await;
    let height = request["height"].as_u64().unwrap();
    let spend = client.spend(&hash(&request["coin_id"]), u32::try_from(height).unwrap()).await;
    assert_eq!(spend.unwrap().coin.id(), hash(&request["coin_id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_that_it_takes_has_already_and_does_not_want() {
    let bundle = vectors()["singleton"]["absorb"]["spend_bundle"].clone();
    let bundle: SpendBundle = serde_json::from_value(bundle).unwrap();
    for name in ["node_push_tx_absorb", "node_push_tx_absorb_again"] {
        let (_node, client, _) = said(name).await;
        assert_eq!(client.push(&bundle).await, Ok(Pushed::Taken), "{name}");
    }
    let (_node, client, _) = said("node_push_tx_absorb_spent").await;
    let Ok(Pushed::Refused(why)) = client.push(&bundle).await else { panic!("it took it") };
    assert!(why.contains("DOUBLE_SPEND"), "{why}");
    let (_node, client, request) = said("w_mempool_unknown").await;
    assert_eq!(client.has_in_mempool(&hash(&request["tx_id"])).await, Ok(false));
    let (_node, client, _) = said("node_fee_estimate").await;
    assert_eq!(client.fee_mojo(1).await, Ok(0));
}

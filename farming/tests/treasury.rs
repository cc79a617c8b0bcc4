//! The treasury on nodes that say what a test wants: what it holds, signs, sends and sees.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::payout::{Fate, PayoutPart, PayoutVersion};
use accounting::reward::Sighting;
use accounting::{AccountId, Amount, RewardId};
use common::node::{FakeNode, World};
use common::{TestClock, wallet, world};
use farming::address::Destination;
use farming::coin::Coin;
use farming::hash::Bytes32;
use farming::network::Network;
use farming::node::Nodes;
use farming::treasury::{TreasuryConfig, XchTreasury};
use farming::wallet::signer::Signer;
use pool::treasury::{PayoutOrder, Signing, Treasury, TreasuryError};
use serde_json::json;
use std::sync::Arc;

/// Blocks after which income can be spent.
const MATURE: u32 = 6;
const ANN: Bytes32 = Bytes32([1; 32]);
const EXCHANGE: Bytes32 = Bytes32([9; 32]);

fn coin(parent: u8, amount: u64) -> Coin {
    Coin { parent: Bytes32([parent; 32]), puzzle_hash: wallet().place(), amount }
}

/// Makes a coin at a height.
fn made(world: &mut World, coin: &Coin, confirmed: u32) {
    world.coins.push(json!({
        "coin": coin, "confirmed_block_index": confirmed, "spent_block_index": 0, "coinbase": false,
    }));
}

/// Spends a coin at a height.
fn spent(world: &mut World, coin: &Coin, height: u32) {
    let coin = json!(coin);
    for record in world.coins.iter_mut().filter(|record| record["coin"] == coin) {
        record["spent_block_index"] = height.into();
    }
}

/// A chain at height 40 with these coins of the wallet, made at height 10.
fn chain(coins: &[Coin]) -> World {
    let mut world = World { height: 40, coins: Vec::new(), ..world(0) };
    coins.iter().for_each(|coin| made(&mut world, coin, 10));
    world
}

async fn treasury(nodes: &[&FakeNode], exchange: Option<Bytes32>) -> XchTreasury {
    let clients = nodes.iter().map(|node| node.client()).collect();
    let nodes = Arc::new(Nodes::new(Network::simulator(), clients));
    nodes.refresh().await;
    let config = TreasuryConfig { mature: MATURE, birthday: 0, max_rate: 10, exchange };
    XchTreasury::new(nodes, Signer::Own(wallet()), config, Arc::new(TestClock::default()))
}

fn order(id: u64, amount: u64, fee: u64, versions: &[PayoutVersion]) -> PayoutOrder {
    let amount = Amount::from_units(amount.into());
    let part = PayoutPart {
        account: AccountId(1),
        destination: Destination::Puzzle(ANN).to_bytes(),
        debit: amount,
        sent: amount,
    };
    let fee = Amount::from_units(fee.into());
    PayoutOrder { id, parts: vec![part], fee, versions: versions.to_vec() }
}

async fn signed(treasury: &mut XchTreasury, order: &PayoutOrder) -> PayoutVersion {
    match treasury.sign(order).await.unwrap() {
        Signing::Signed(version) => version,
        Signing::Waiting => panic!("nobody else signs"),
    }
}

/// The chain takes a payment of the first coin to Ann, with its change.
fn confirmed(world: &mut World, version: &PayoutVersion, coins: &[Coin], paid: u64, height: u32) {
    let fee = version.fee.as_u64().unwrap();
    let change = coins.iter().map(|coin| coin.amount).sum::<u64>() - paid - fee;
    coins.iter().for_each(|coin| spent(world, coin, height));
    let parent = Bytes32(version.inputs[0].0);
    made(world, &Coin { parent, puzzle_hash: ANN, amount: paid }, height);
    made(world, &Coin { parent, puzzle_hash: wallet().place(), amount: change }, height);
    let bundle: serde_json::Value = serde_json::from_slice(&version.raw).unwrap();
    for spend in bundle["coin_spends"].as_array().unwrap() {
        let coin: Coin = serde_json::from_value(spend["coin"].clone()).unwrap();
        world.spends.insert(coin.id(), spend.clone());
    }
    world.height = world.height.max(height);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_signed_sent_and_seen_and_the_books_can_know_it_again() {
    let coins = [coin(2, 100), coin(3, 50)];
    let node = FakeNode::start(chain(&coins)).await;
    let mut own = treasury(&[&node], None).await;
    let holdings = own.refresh().await.unwrap();
    assert_eq!(holdings.spendable, Amount::from_units(150));
    assert!(holdings.spends.is_empty());
    let version = signed(&mut own, &order(1, 120, 3, &[])).await;
    assert_eq!(version.inputs.len(), 2, "one coin is not enough");
    let versions = [version.clone()];
    assert_eq!(own.fate(&versions).await, Fate::Absent);
    own.broadcast(&version).await.unwrap();
    assert_eq!(node.world.lock().unwrap().pushed.len(), 1);
    assert_eq!(own.fate(&versions).await, Fate::InMempool);
    node.change(|world| confirmed(world, &version, &coins, 120, 41));
    node.change(|world| world.height = 43);
    let holdings = own.refresh().await.unwrap();
    assert_eq!(own.fate(&versions).await, Fate::InChain { version: 0, confirmations: 3 });
    assert_eq!(holdings.spendable, Amount::from_units(27), "change can be spent at once");
    let [spend] = holdings.spends.as_slice() else { panic!("{:?}", holdings.spends) };
    assert_eq!(
        (spend.txid, spend.out, spend.fee),
        (version.txid, Amount::from_units(123), version.fee)
    );
    assert_eq!(spend.outputs, [(ANN.0.to_vec(), Amount::from_units(120))]);
    assert_eq!((&spend.raw, spend.confirmations), (&version.raw, 3));
    // A treasury that never heard of it finds the same.
    let mut other = treasury(&[&node], None).await;
    assert_eq!(other.refresh().await.unwrap(), holdings);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_payments_of_one_block_are_told_apart_by_what_their_coins_announce() {
    let coins = [coin(2, 100), coin(3, 90), coin(4, 80), coin(5, 70)];
    let node = FakeNode::start(chain(&coins)).await;
    let mut own = treasury(&[&node], None).await;
    own.refresh().await.unwrap();
    let first = signed(&mut own, &order(1, 150, 0, &[])).await;
    let second = signed(&mut own, &order(2, 140, 0, &[])).await;
    assert!(first.inputs.iter().all(|input| !second.inputs.contains(input)), "reserved");
    node.change(|world| confirmed(world, &first, &coins[..2], 150, 41));
    node.change(|world| confirmed(world, &second, &coins[2..], 140, 41));
    let mut seen: Vec<_> = own.refresh().await.unwrap().spends.iter().map(|s| s.txid).collect();
    let mut sent = vec![first.txid, second.txid];
    seen.sort_unstable();
    sent.sort_unstable();
    assert_eq!(seen, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_is_not_spent_again_after_a_restart() {
    let coins = [coin(2, 100), coin(3, 90)];
    let node = FakeNode::start(chain(&coins)).await;
    let mut own = treasury(&[&node], None).await;
    own.refresh().await.unwrap();
    let first = signed(&mut own, &order(1, 50, 0, &[])).await;
    let mut again = treasury(&[&node], None).await;
    again.refresh().await.unwrap();
    assert_eq!(again.fate(std::slice::from_ref(&first)).await, Fate::Absent);
    let second = signed(&mut again, &order(2, 50, 0, &[])).await;
    assert_ne!(first.inputs, second.inputs);
    let short = again.sign(&order(3, 50, 0, &[])).await;
    assert!(matches!(short, Err(TreasuryError::Unfunded(_))), "{short:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_fee_spends_the_same_coins_and_either_version_may_confirm() {
    let coins = [coin(2, 100_000_000), coin(3, 90)];
    let node = FakeNode::start(chain(&coins)).await;
    let mut own = treasury(&[&node], None).await;
    own.refresh().await.unwrap();
    let first = signed(&mut own, &order(1, 50, 1, &[])).await;
    let second = signed(&mut own, &order(1, 50, 2, std::slice::from_ref(&first))).await;
    assert_eq!(first.inputs, second.inputs);
    assert_eq!(second.fee, Amount::from_units(10_000_001), "less replaces nothing in a mempool");
    assert_ne!(first.txid, second.txid);
    let versions = [first.clone(), second];
    node.change(|world| confirmed(world, &first, &coins[..1], 50, 41));
    own.refresh().await.unwrap();
    assert_eq!(own.fate(&versions).await, Fate::InChain { version: 0, confirmations: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_coin_went_elsewhere_or_never_was_can_not_confirm() {
    let coins = [coin(2, 100), coin(3, 50)];
    let node = FakeNode::start(chain(&coins)).await;
    let mut own = treasury(&[&node], None).await;
    own.refresh().await.unwrap();
    let version = signed(&mut own, &order(1, 120, 0, &[])).await;
    let versions = [version];
    let before = node.world.lock().unwrap().clone();
    node.change(|world| {
        spent(world, &coins[1], 45);
        world.height = 50;
    });
    own.refresh().await.unwrap();
    assert_eq!(own.fate(&versions).await, Fate::Impossible { confirmations: 6 });
    let gone = own.refresh().await.unwrap();
    assert_eq!(gone.spends.len(), 1, "a spend that nobody here made is shown");
    // The coin left the chain: that alone settles nothing.
    node.change(|world| {
        *world = before;
        world.coins.retain(|record| record["coin"] != json!(coins[0]));
    });
    own.refresh().await.unwrap();
    assert_eq!(own.fate(&versions).await, Fate::Absent);
    // What should have made it made something else.
    node.change(|world| {
        let parent = Coin { parent: Bytes32([7; 32]), puzzle_hash: ANN, amount: 5 };
        made(world, &parent, 5);
        spent(world, &parent, 39);
    });
    let parent = Coin { parent: Bytes32([7; 32]), puzzle_hash: ANN, amount: 5 };
    let child = Coin { parent: parent.id(), ..coin(0, 100) };
    node.change(|world| made(world, &child, 10));
    own.refresh().await.unwrap();
    let version = signed(&mut own, &order(2, 60, 0, &[])).await;
    assert_eq!(version.inputs[0].0, child.id().0);
    node.change(|world| world.coins.retain(|record| record["coin"] != json!(child)));
    own.refresh().await.unwrap();
    assert_eq!(own.fate(&[version]).await, Fate::Impossible { confirmations: 2 });
}

#[tokio::test(flavor = "multi_thread")]
async fn income_is_spendable_once_it_is_deep_and_seen_or_not_where_nodes_agree() {
    let income = coin(2, 100);
    let mut world = chain(&[]);
    made(&mut world, &income, 38);
    let (one, two) = (FakeNode::start(world.clone()).await, FakeNode::start(world).await);
    let mut own = treasury(&[&one, &two], None).await;
    let holdings = own.refresh().await.unwrap();
    assert_eq!((holdings.spendable, holdings.immature), (Amount::ZERO, Amount::from_units(100)));
    let asked = [(RewardId(income.id().0), 38), (RewardId([5; 32]), 30)];
    let seen = own.sightings(&asked).await;
    assert_eq!(seen, [Sighting::InChain(3), Sighting::Replaced(11)]);
    two.change(|world| world.coins.clear());
    assert_eq!(own.sightings(&asked).await[0], Sighting::Unknown, "they disagree");
    two.change(|world| world.is_synced = false);
    one.change(|world| world.height = 43);
    let holdings = own.refresh().await.unwrap();
    assert_eq!(holdings.spendable, Amount::from_units(100));
    assert_eq!(
        own.sightings(&asked).await[0],
        Sighting::InChain(6),
        "who is not in step has no say"
    );
    one.change(|world| world.is_synced = false);
    assert!(matches!(own.refresh().await, Err(TreasuryError::Unreachable(_))), "nothing is paid");
    assert_eq!(own.sightings(&asked).await[0], Sighting::Unknown);
    assert_eq!(own.fate(&[]).await, Fate::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_disagree_about_a_payment_settle_nothing() {
    let coins = [coin(2, 100)];
    let world = chain(&coins);
    let (one, two) = (FakeNode::start(world.clone()).await, FakeNode::start(world).await);
    let mut own = treasury(&[&one, &two], None).await;
    own.refresh().await.unwrap();
    let version = signed(&mut own, &order(1, 60, 0, &[])).await;
    one.change(|world| confirmed(world, &version, &coins, 60, 41));
    let versions = [version];
    own.refresh().await.unwrap();
    assert_eq!(own.fate(&versions).await, Fate::Unknown);
    two.change(|world| confirmed(world, &versions[0], &coins, 60, 41));
    two.change(|world| world.height = 45);
    own.refresh().await.unwrap();
    assert_eq!(own.fate(&versions).await, Fate::InChain { version: 0, confirmations: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_another_coin_is_paid_through_the_exchange_or_not_at_all() {
    let node = FakeNode::start(chain(&[coin(2, 100)])).await;
    let mut own = treasury(&[&node], None).await;
    own.refresh().await.unwrap();
    let mut elsewhere = order(1, 60, 0, &[]);
    elsewhere.parts[0].destination = Destination::External("bc1qsomebody".into()).to_bytes();
    let refused = own.sign(&elsewhere).await.unwrap_err().to_string();
    assert!(refused.contains("external"), "{refused}");
    let mut own = treasury(&[&node], Some(EXCHANGE)).await;
    own.refresh().await.unwrap();
    let version = signed(&mut own, &elsewhere).await;
    let created = [(EXCHANGE, 60), (wallet().place(), 40)];
    let name = farming::wallet::payment_name(&coin(2, 100).id(), created);
    assert_eq!(version.txid, name.0);
}

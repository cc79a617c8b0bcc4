//! A real neuron at the axon door: bittensor 10.5.0's dendrite.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use compute::data::demo;
use compute::dsl::{Limits, lenient};
use compute::evaluate::Prepared;
use compute::server::{Door, Ledger, Settings};
use compute::tables::FILE_NAME;
use pool::clock::SystemClock;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn settings(blacklist: &[&str], ledger: Ledger) -> Settings {
    let blacklist = blacklist.iter().map(|key| key.parse().unwrap()).collect();
    Settings { blacklist, ..common::settings(ledger) }
}

const BOB: &str = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";

/// What Bob's dendrite hears from an axon door, and what the tables say he earned.
async fn heard(blacklist: &[&str]) -> (Value, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let set = Prepared::new(&demo::classes());
    let writer = common::writer(folder.path());
    let settings = settings(blacklist, common::ledger(&writer, folder.path()));
    let opened = Door::open(folder.path(), settings, set, Arc::new(SystemClock), 7).unwrap();
    let own = opened.door.own().to_string();
    let axon = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = axon.local_addr().unwrap().port().to_string();
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cancel = CancellationToken::new();
    let neurons = tokio::spawn(opened.door.clone().serve_axon(axon, cancel.clone()));
    let miners = tokio::spawn(opened.door.serve(api, None, cancel.clone()));
    let output = tokio::task::spawn_blocking(move || {
        Command::new(testkit::prepared("bittensor.sh"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dendrite.py"))
            .args(["127.0.0.1", &port, &own])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    cancel.cancel();
    neurons.await.unwrap();
    miners.await.unwrap();
    tokio::task::spawn_blocking(|| opened.running.join()).await.unwrap();
    common::end(writer).await;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    let heard = serde_json::from_str(last)
        .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    let tables = rusqlite::Connection::open(folder.path().join(FILE_NAME)).unwrap();
    let mut earned = tables.prepare("SELECT weight FROM earning").unwrap();
    let earned = earned
        .query_map([], |row| row.get::<_, i64>(0))
        .unwrap()
        .map(|weight| weight.unwrap().unsigned_abs())
        .collect();
    (heard, earned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_dendrite_registers_works_and_is_paid_once() {
    let (heard, earned) = heard(&[]).await;
    assert_eq!(heard["register"]["registration_success"], true);
    assert_eq!(heard["register"]["is_success"], true);
    let text = "# predict\ns2 = 3.0\nv1 = v0 * s2\ns0 = norm(v1)\n";
    let program = lenient::read(text, 16, &Limits::POOL).unwrap().program;
    let score = Prepared::new(&demo::classes()).evaluate(&program).unwrap().score;
    let work = &heard["work"];
    assert_eq!(
        (&work["loss"], &work["is_success"]),
        (&json!(1.0 - score.to_f64().unwrap()), &json!(true))
    );
    assert_eq!(heard["again"]["loss"], work["loss"], "told again");
    assert_eq!(earned, [compute::reputation::inverse_loss(score).0], "paid once");
    assert_eq!(heard["unhashed"]["status"], 401, "its body could be anybody's");
    assert_eq!(heard["garbage"]["status"], 422);
    assert_eq!(heard["garbage"]["loss"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blacklisted_key_is_told_so() {
    let (heard, earned) = heard(&[BOB]).await;
    assert_eq!(heard["work"]["status"], 403);
    assert!(heard["work"]["message"].as_str().unwrap().contains("blacklisted"));
    assert!(earned.is_empty());
}

//! Real wallets at the door: bittensor-wallet 4.1.1 signs as the original's client does, bittensor 11.3.0 by btauth/1.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use compute::data::demo;
use compute::evaluate::Prepared;
use compute::evolve::founders;
use compute::server::{Door, Settings};
use pool::clock::SystemClock;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const BOB: &str = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";

/// What a Python program heard from a pool.
async fn heard(python: &'static str, program: &'static str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let writer = common::writer(folder.path());
    let usual = common::settings(common::ledger(&writer, folder.path()));
    let settings = Settings { founders: founders(16), ..usual };
    let set = Prepared::new(&demo::classes());
    let opened = Door::open(folder.path(), settings, set, Arc::new(SystemClock), 7).unwrap();
    let own = opened.door.own().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let served = tokio::spawn(opened.door.serve(listener, None, cancel.clone()));
    let output = tokio::task::spawn_blocking(move || {
        // Signatures of before the start are refused, and these clients sign whole seconds.
        testkit::wait_for("work", || {
            let best = common::http::ask(pool, "GET", "/api/v1/results/sota", &[], "");
            (best.0 == 200).then_some(())
        });
        std::thread::sleep(std::time::Duration::from_secs(1));
        Command::new(testkit::prepared(python))
            .arg(format!("{}/tests/fixtures/{program}", env!("CARGO_MANIFEST_DIR")))
            .args([format!("http://{pool}"), own])
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    cancel.cancel();
    served.await.unwrap();
    tokio::task::spawn_blocking(|| opened.running.join()).await.unwrap();
    common::end(writer).await;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_with_bittensors_wallet_works_and_names_its_coldkey() {
    let heard = heard("bittensor.sh", "wallet.py").await;
    let expected = json!({
        "hotkey": BOB,
        "statuses": [200, 200, 200, 200, 200],
        "coldkey": ALICE,
        "by_a_bare_timestamp": 401,
        "of_another": 403,
    });
    assert_eq!(heard, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_sdk_11_is_believed_once_for_what_it_signed() {
    let heard = heard("btauth.sh", "btauth.py").await;
    let expected = json!({
        "hotkey": BOB,
        "registered": 200,
        "replayed": 401,
        "leased": 200,
        "another_body": 401,
        "another_path": 401,
        "for_another": 401,
        "old": 401,
    });
    assert_eq!(heard, expected);
}

//! The API against its own description, asked by a program that tries everything the description allows, and what it forbids.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::{Chain, somebody};
use pow::Algorithm;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let chain = Chain::with_hashes_per_block(256);
    let offered = "[web.nodes]\ncoin = [\"getblockcount\", \"getblock\"]\n";
    let mut pool = chain.pool_with_pages(offered);
    let miner = pool.miner(&somebody(1).0, Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(2);
    miner.stop().await;
    chain.devnet.mine_to(&devnet::nobody(), 101);
    testkit::wait_for("a payout", || {
        let payouts = pool.reader().payouts(1).unwrap();
        (!payouts.is_empty()).then_some(())
    });
    // Without a key, its haste would be answered with "too many" only.
    let key = pool.says(
        &["web", "add-key"],
        &["schemathesis", "--per-minute", "1000000", "--per-day", "1000000"],
    );
    let folder = tempfile::tempdir().unwrap();
    // Nobody guesses an address, or an asset.
    let known = format!(
        "[parameters]\n\"path.address\" = \"{}\"\n\"path.asset\" = \"coin\"\n",
        somebody(1).0
    );
    std::fs::write(folder.path().join("schemathesis.toml"), known).unwrap();
    let output = Command::new(testkit::prepared("schemathesis.sh"))
        .current_dir(folder.path())
        .arg("run")
        .arg(format!("http://{}/api-docs/openapi.json", pool.pages()))
        .args(["--header", &format!("X-Api-Key: {}", key.trim())])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--max-examples", "30", "--seed", "7", "--generation-deterministic"])
        // A stream does not end.
        .args(["--exclude-path", "/api/v1/events"])
        .args(["--request-timeout", "20", "--no-color", "--continue-on-failure"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let described = serde_json::to_value(web::api::description()).unwrap();
    let count = described["paths"].as_object().unwrap().len() - 1;
    assert!(said.contains(&format!("Tested: {count}")), "{count} operations: {said}");
    // What it never found: no block of this chain pays a tree.
    let missing: Vec<&str> =
        said.lines().map(str::trim).filter(|line| line.starts_with("- ")).collect();
    assert_eq!(missing, ["- GET /api/v1/blocks/{hash}/branch/{address}"], "{said}");
    pool.stop();
}

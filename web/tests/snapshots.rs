//! Every answer of the API, and its description, as they were when somebody last looked: a change that nobody meant shows.
//!
//! After a change that was meant: `INSTA_UPDATE=always cargo test -p web --test snapshots`, and read the difference.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

#[path = "../../pool/tests/common/mod.rs"]
mod common;
mod glass;
#[path = "glass/keyed.rs"]
mod keyed;
#[path = "glass/leased.rs"]
mod leased;
#[path = "glass/prospects.rs"]
mod prospects;
#[path = "glass/support.rs"]
mod support;

use glass::Glass;
use serde_json::Value;

/// Every path that answers with JSON or text at once; `{block}` is the paid block, `{young}` the other.
const PATHS: [&str; 49] = [
    "/api/v1/usage",
    "/api/v1/pools",
    "/api/v1/pools/main",
    "/api/v1/pools/nobody",
    "/api/v1/pools/main/activity",
    "/api/v1/pools/main/hashrate",
    "/api/v1/pools/main/leaderboard",
    "/api/v1/pools/main/leaderboard?by=blocks&limit=1",
    "/api/v1/pools/main/slices",
    "/api/v1/pools/main/calculator?hashrate=10",
    "/api/v1/pools/main/calculator?hashrate=-1",
    "/api/v1/networks",
    "/api/v1/totals",
    "/api/v1/blocks",
    "/api/v1/blocks?limit=1",
    "/api/v1/blocks?limit=none",
    "/api/v1/blocks/{block}",
    "/api/v1/blocks/nonsense",
    "/api/v1/blocks/{block}/split",
    "/api/v1/blocks/{block}/branch/miner%201",
    "/api/v1/rewards/{block}/audit",
    "/api/v1/rewards/{young}/audit",
    "/api/v1/payouts",
    "/api/v1/payouts/1",
    "/api/v1/payouts/1/recipients",
    "/api/v1/payouts/77",
    "/api/v1/accounts/miner%201",
    "/api/v1/accounts/miner%209",
    "/api/v1/accounts/nobody",
    "/api/v1/accounts/miner%201/hashrate",
    "/api/v1/accounts/miner%201/credits",
    "/api/v1/accounts/miner%201/credits?source=shares",
    "/api/v1/accounts/miner%201/payouts",
    "/api/stats",
    "/api/miners",
    "/api/blocks",
    "/api/payouts",
    "/api/pool-balance",
    "/api/pools",
    "/api/pools/main",
    "/api/pools/main/performance",
    "/api/pools/main/miners",
    "/api/pools/main/blocks",
    "/api/pools/main/payments",
    "/api/pools/main/miners/miner%201",
    "/api/pools/main/miners/miner%201/balancechanges",
    "/pool/pool.status",
    "/users/miner%201",
    "/readyz",
];

fn pretty(kind: &str, body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(value) if kind.contains("json") => serde_json::to_string_pretty(&value).unwrap(),
        _ => body.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_as_it_did() {
    let glass = Glass::new().await;
    let blocks = glass.text("/api/v1/blocks").await.2;
    let blocks: Value = serde_json::from_str(&blocks).unwrap();
    let hash = |at: usize| blocks["rows"][at]["hash"].as_str().unwrap().to_owned();
    let (young, block) = (hash(0), hash(1));
    for path in PATHS {
        let asked = path.replace("{block}", &block).replace("{young}", &young);
        let (status, kind, body) = glass.text(&asked).await;
        let name = path.trim_start_matches('/').replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let shown = format!("GET {path}\n{status} {kind}\n\n{}", pretty(&kind, &body));
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, shown);
        });
    }
}

#[test]
fn the_description_of_the_api_is_as_it_was() {
    let description = web::api::description().to_pretty_json().unwrap();
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("openapi", description);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_path_has_a_snapshot() {
    let description = serde_json::to_value(web::api::description()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    for (path, _) in paths.iter().filter(|(_, ways)| !ways["get"].is_null()) {
        // A stream does not end.
        if path.ends_with("/events") {
            continue;
        }
        let fits = |asked: &&str| {
            let (asked, parts) = (asked.split('?').next().unwrap(), path.split('/'));
            asked.split('/').count() == parts.clone().count()
                && asked.split('/').zip(parts).all(|(a, b)| a == b || b.starts_with('{'))
        };
        assert!(PATHS.iter().any(fits), "{path} is asked by nobody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_has_a_sample_where_there_is_something_to_count() {
    let glass = Glass::new().await;
    let (status, _, scraped) = glass.text("/metrics").await;
    assert_eq!(status, 200, "{scraped}");
    // Between two payouts; here there is one. And of leased compute, which this pool is not.
    let counted = web::metrics::NAMES.into_iter().filter(|name| *name != "payouts_seconds_between");
    let leased = |name: &str| name.starts_with("leased_");
    for name in counted.filter(|name| !leased(name)) {
        assert!(has_sample(&scraped, name), "{name} is not there:\n{scraped}");
    }
}

/// Is there a sample of this metric?
fn has_sample(scraped: &str, name: &str) -> bool {
    let is_one =
        |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '_']));
    scraped.lines().any(is_one)
}

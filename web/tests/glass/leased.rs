//! Leased compute on the pages: the epoch, who earned what, and why a vote was not in consensus.

use crate::common::identity;
use crate::glass::Glass;
use accounting::{AccountId, Amount, UnixMs};
use serde_json::{Value, json};
use std::sync::Arc;
use web::leased::{Epoch, Leader, Leased, Looked, Miner, Miners, Pipeline, Vote};
use web::measure::Measure;

const HOTKEY: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const WHY: &str =
    "not in consensus: you said 0.5, the median of 3 is 0.91, <b>near</b> enough is 10 %";

fn vote(algorithm: u64, score: Option<f64>, in_consensus: bool) -> Vote {
    Vote {
        algorithm,
        score,
        median: Some(0.91),
        evaluators: 3,
        in_consensus,
        why: if in_consensus { "in consensus".into() } else { WHY.into() },
        decided_at: UnixMs(1_700_000_000_000),
    }
}

fn miner(now: UnixMs) -> Miner {
    Miner {
        accurate: 2,
        inaccurate: 1,
        accuracy_rate: Some(2.0 / 3.0),
        failed_checks: 1,
        answered: 4,
        evolved: 4,
        evolved_paid: 1,
        evolution_success_rate: Some(0.25),
        reputation: "13.100000".into(),
        this_epoch: "3.100000".into(),
        per_hour: "2.000000".into(),
        pending: Amount::from_units(1_310_000),
        rests_until: Some(UnixMs(now.0 + 60_000)),
        sentenced_until: None,
        votes: vec![vote(12, Some(0.5), false), vote(11, None, false), vote(10, Some(0.9), true)],
    }
}

fn leased(now: UnixMs) -> Leased {
    let leader = |hotkey: &str, account| Leader {
        hotkey: hotkey.into(),
        account,
        reputation: "13.100000".into(),
        per_hour: "2.000000".into(),
        accuracy_rate: Some(0.5),
    };
    let known = identity(5);
    Leased {
        listen: Some("0.0.0.0:8434".parse().unwrap()),
        is_tls: false,
        axon: Some("0.0.0.0:8091".parse().unwrap()),
        hotkey: HOTKEY.into(),
        epoch: Epoch {
            number: 498_672,
            ends_at: UnixMs(now.0 + 720_000),
            length_s: 3600,
            budget: Amount::from_units(100_000_000),
        },
        set: "cifar10_binary".into(),
        set_hash: "8bc18551".into(),
        quorum: 3,
        tolerance: "10 % of it, 0.001 at least".into(),
        looked: Looked {
            pipeline: Pipeline { issued: 41, completed: 37, expired: 3, without_evaluations: 2 },
            active_leases: 19,
            registered: 77,
            open_algorithms: 23,
            awaiting_own_result: 5,
            oldest_open_s: Some(95),
            best_score: Some(0.912_345),
            relay: Some("algorithm 9, of 0.9: accepted".into()),
            leaders: Arc::new([leader(HOTKEY, Some(AccountId(9))), leader("5Short", None)]),
        },
        miners: Miners::new(move |who| {
            if *who == known { Ok(Some(miner(now))) } else { Err("the file is locked".into()) }
        }),
    }
}

/// A site whose one pool leases compute.
async fn glass() -> Glass {
    let glass = Glass::new().await;
    let (site, now) = (&glass.site, glass.site.now());
    let mut outlook = web::outlook::Outlook::clone(&site.outlook.load());
    outlook.pools[0].leased = Some(leased(now));
    outlook.pools[0].ports.clear();
    outlook.assets[0].measure = Measure::Reputation;
    outlook.assets[0].next = None;
    outlook.assets[0].nodes.clear();
    site.outlook.store(Arc::new(outlook));
    glass
}

async fn page(glass: &Glass, path: &str) -> String {
    let (status, _, text) = glass.text(path).await;
    assert_eq!(status, 200, "{path}: {text}");
    assert!(!text.contains("style=") && !text.contains("onclick"), "the content policy: {text}");
    // As a browser reads what the templates escape.
    text.replace("&#x2f;", "/")
}

fn has(page: &str, words: &[&str]) {
    for words in words {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pools_page_says_how_to_work_for_it_and_when_the_epoch_ends() {
    let glass = glass().await;
    let shown = page(&glass, "/").await;
    has(
        &shown,
        &[
            "adit worker --pool http://pool.example:8434 --key hotkey",
            "adit driver --pool-url http://pool.example:8434",
            "pool.example:8091",
            "in 12 min",
            "0.9123",
            "<th class=\"n\">Reputation</th>",
            "<th class=\"n\">Epoch</th>",
            "cifar10_binary",
            "10 % of it, 0.001 at least",
        ],
    );
    assert!(!shown.contains("stratum") && !shown.contains("Network difficulty"), "{shown}");
    for path in ["/statistics", "/network", "/calculator", "/blocks", "/payouts"] {
        page(&glass, path).await;
    }
    has(&page(&glass, "/calculator").await, &["nobody knows a part before its end"]);
    has(&page(&glass, "/readyz").await, &["ready"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_through_leased_compute_can_be_scraped() {
    let (status, _, scraped) = glass().await.text("/metrics").await;
    assert_eq!(status, 200, "{scraped}");
    for name in web::metrics::NAMES.into_iter().filter(|name| name.starts_with("leased_")) {
        assert!(crate::has_sample(&scraped, name), "{name} is not there:\n{scraped}");
    }
    has(&scraped, &["leased_open_algorithms{pool=\"main\"} 23", "leased_expired_15m{"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miners_page_says_why_a_vote_was_not_in_consensus() {
    let glass = glass().await;
    let shown = page(&glass, "/miner/miner%205").await;
    has(
        &shown,
        &[
            "66.67 %",
            "25.00 %",
            "13.100000",
            "in 12 min",
            "0.0131",
            "<th class=\"n\">Your score</th><th class=\"n\">Median</th><th class=\"n\">Evaluators</th>",
            "0.500000000",
            "0.910000000",
            "invalid",
            "&lt;b&gt;near&lt;",
            "No lease is given before",
        ],
    );
    // Whoever's work cannot be read now still sees their money.
    let shown = page(&glass, "/miner/miner%206").await;
    assert!(shown.contains("Available") && !shown.contains("Your score"), "{shown}");
    let (_, _, text) = glass.text("/api/v1/accounts/miner%205").await;
    let account: Value = serde_json::from_str(&text).unwrap();
    let vote = &account["leased"][0]["votes"][0];
    assert_eq!(vote["detail"], WHY);
    assert_eq!(
        (&vote["score"], &vote["median"], &vote["evaluators"], &vote["tolerance"]),
        (&json!(0.5), &json!(0.91), &json!(3), &json!("10 % of it, 0.001 at least"))
    );
    let (_, _, text) = glass.text("/api/v1/pools/main").await;
    let pool: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&pool["leased"]["port"], &pool["measure"]["of"]),
        (&json!(8434), &json!("reputation"))
    );
    assert!(pool["leased"]["awaiting_own_result"].is_null(), "the backlog is the operator's");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaderboard_masks_and_the_operator_sees_the_pipeline() {
    let glass = glass().await;
    let shown = page(&glass, "/leaderboard").await;
    has(&shown, &["5Grw…KutQY", "13.100000", "50.00 %"]);
    assert!(!shown.contains(HOTKEY), "{shown}");
    let token = glass.site.operators.make("ann", glass.site.now()).unwrap();
    let cookie = glass.post("/operator/login", "", &[("token", &token)]).await.cookie;
    let desk = glass.with_cookie("/operator", &cookie).await;
    has(
        &desk,
        &[
            "<td>handed out</td><td class=\"n\">41</td>",
            "<td>expired unanswered</td><td class=\"n\">3</td>",
            "<td>to be evaluated by the pool itself</td><td class=\"n\">5</td>",
            "1 min 35 s",
            "algorithm 9, of 0.9: accepted",
        ],
    );
}

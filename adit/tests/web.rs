//! What the pages and the API promise to programs, and what they refuse.

mod common;

use common::http::{ask, get, post};
use common::{Chain, Pool, somebody};
use pow::Algorithm;

const HASHES_PER_BLOCK: u64 = 256;

/// A pool in which somebody has mined blocks.
async fn a_pool_with_blocks(chain: &Chain) -> Pool {
    let pool = chain.pool_with_pages("");
    let (ann, _) = somebody(1);
    let miner = pool.miner(&format!("{ann}.<script>alert(1)</script>"), Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(2);
    miner.stop().await;
    pool
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_the_dashboard_and_the_alerts_name_exists() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_with_blocks(&chain).await;
    // The ratio of shares is known from the view's next look at the meters.
    let scraped = testkit::wait_for("the meters in the view", || {
        let body = get(pool.pages(), "/metrics").body;
        body.contains("pool_acceptance_ratio{").then_some(body)
    });
    for name in web::metrics::NAMES {
        let has = |line: &str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
        };
        // Some have samples only where there is something to count.
        let rare = [
            "wallet_spendable_base_units",
            "pool_seconds_per_block",
            "pool_seconds_between_blocks",
            "pool_blocks_in_24h",
            "payouts_in_24h",
            "payouts_seconds_between",
            "backup_last_timestamp_seconds",
        ]
        .contains(&name)
            || name.starts_with("leased_");
        assert!(rare || scraped.lines().any(has), "{name} is not there:\n{scraped}");
    }
    for file in ["deploy/grafana.json", "deploy/alerts.yml"] {
        let text = std::fs::read_to_string(testkit::checkout().join(file)).unwrap();
        let mut named = 0;
        for line in text.lines().filter(|line| line.contains("expr")) {
            let expression = line.split_once(':').unwrap().1;
            // Words in quotes and braces are labels.
            let bare: String = expression.split(['{', '}']).step_by(2).collect();
            for word in bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                if word.contains('_') && !["histogram_quantile", "avg_over_time"].contains(&word) {
                    let name = word.strip_suffix("_bucket").unwrap_or(word);
                    assert!(web::metrics::NAMES.contains(&name), "{file} names {name}");
                    named += 1;
                }
            }
        }
        assert!(named > 5, "{file}");
    }
    assert!(!scraped.contains(&somebody(1).0), "no label is an address");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_the_strictest_policy_and_nothing_inline() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_with_blocks(&chain).await;
    let block = pool.reader().rewards(1).unwrap().remove(0).id;
    let (ann, _) = somebody(1);
    let paths = [
        "/".to_owned(),
        "/pool/main".into(),
        format!("/miner/{ann}"),
        "/blocks".into(),
        format!("/block/{block}"),
        "/payouts".into(),
        "/leaderboard".into(),
        "/statistics".into(),
        "/network".into(),
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E".into(),
        "/calculator".into(),
        "/register".into(),
        "/help".into(),
        "/faq".into(),
        "/terms".into(),
        "/privacy".into(),
        "/api-docs".into(),
        "/operator".into(),
        "/miner/%3Cscript%3Ealert(1)%3C/script%3E".into(),
        "/pool/nobody".into(),
    ];
    for path in paths {
        let page = get(pool.pages(), &path);
        assert!([200, 404].contains(&page.status), "{path}: {}", page.status);
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        for inline in ["<script>", "javascript:", " style=", " onclick", " onload", "<style"] {
            assert!(!page.body.contains(inline), "{path} has {inline}");
        }
        assert!(page.body.contains("<title>") && page.body.contains("lang=\"en\""), "{path}");
    }
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_scripts_are_shown_as_text() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_with_blocks(&chain).await;
    let page = testkit::wait_for("the machine", || {
        let page = get(pool.pages(), &format!("/miner/{}", somebody(1).0)).body;
        page.contains("alert(1)").then_some(page)
    });
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_without_a_session_and_its_own_token() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = chain.pool_with_pages("");
    let token = pool.says(&["web", "add-operator"], &["ann"]);
    let to = pool.pages();
    let held = |pool: &Pool| pool.says(&["payouts", "list"], &[]).contains("held: all");
    let act = "act=hold&scope=all&reason=test";
    let page = get(to, "/operator").body;
    assert!(page.contains("Token") && !page.contains("What operators did"));
    let login = post(to, "/operator/login", &[], "token=0000");
    assert_eq!((login.status, login.header("set-cookie")), (403, None));
    // Neither without a session, nor with one and no token, nor with a wrong token.
    assert!(!post(to, "/operator/act", &[], act).body.contains("Done"));
    let login = post(to, "/operator/login", &[], &format!("token={}", token.trim()));
    let cookie = login.header("set-cookie").unwrap().to_owned();
    for mark in ["HttpOnly", "SameSite=Strict", "Path=/operator"] {
        assert!(cookie.contains(mark), "{cookie}");
    }
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(post(to, "/operator/act", &[&cookie], act).status, 403);
    assert_eq!(post(to, "/operator/act", &[&cookie], &format!("{act}&csrf=0000")).status, 403);
    assert!(!held(&pool));
    let desk = ask(to, "GET", "/operator", &[&cookie], "");
    assert_eq!(desk.header("cache-control"), Some("no-store"));
    let csrf = desk.body.split("name=\"csrf\" value=\"").nth(1).unwrap();
    let csrf = csrf.split('"').next().unwrap();
    assert_eq!(post(to, "/operator/act", &[&cookie], &format!("{act}&csrf={csrf}")).status, 303);
    assert!(held(&pool));
    // Who comes through a proxy that nobody named is not on this machine.
    let forwarded = ask(to, "GET", "/operator", &[&cookie, "X-Forwarded-For: 203.0.113.9"], "");
    assert_eq!(forwarded.status, 403);
    assert!(!forwarded.body.contains("What operators did"));
    assert_eq!(post(to, "/operator/logout", &[&cookie], &format!("csrf={csrf}")).status, 303);
    let after = ask(to, "GET", "/operator", &[&cookie], "").body;
    assert!(!after.contains("What operators did"), "the session has ended");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_has_etags_budgets_keys_and_problems_in_words() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = chain.pool_with_pages("cors = [\"https://tool.example\"]");
    let to = pool.pages();
    let first = get(to, "/api/v1/blocks");
    let tag = format!("If-None-Match: {}", first.header("etag").unwrap());
    let again = ask(to, "GET", "/api/v1/blocks", &[&tag], "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let wrong = get(to, "/api/v1/blocks?limit=a");
    assert_eq!(wrong.header("content-type"), Some("application/problem+json"));
    assert_eq!(wrong.json()["status"], 400);
    let origin = |name: &str| {
        let answer = ask(to, "GET", "/api/v1/pools", &[&format!("Origin: {name}")], "");
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(origin("https://tool.example").as_deref(), Some("https://tool.example"));
    assert_eq!(origin("https://other.example"), None);
    let statuses = |label: &str, quota: [&str; 2]| {
        let key = pool.says(&["web", "add-key"], &[label, quota[0], quota[1]]);
        let key = format!("X-Api-Key: {}", key.trim());
        [1, 2, 3].map(|_| ask(to, "GET", "/api/v1/pools", &[&key], "").status)
    };
    assert_eq!(statuses("quick", ["--per-minute", "2"]), [200, 200, 429]);
    // A day that ended meanwhile gives new questions; the next one does not end as soon.
    let by_day = ["first", "second"].map(|label| statuses(label, ["--per-day", "2"]));
    assert!(by_day.contains(&[200, 200, 429]), "{by_day:?}");
    let unknown = ask(to, "GET", "/api/v1/pools", &["X-Api-Key: adit_nobody"], "");
    assert_eq!(unknown.status, 403);
    let askers = [(); 8].map(|()| {
        std::thread::spawn(move || {
            (0..100).map(|_| get(to, "/api/v1/networks")).find(|answer| answer.status == 429)
        })
    });
    let refused = askers.map(|asker| asker.join().unwrap()).into_iter().flatten().next();
    assert!(refused.expect("a budget ends").header("retry-after").is_some());
    assert_eq!(get(to, "/").status, 200, "pages are for people");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_made_for_other_pools_find_what_they_read() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_with_blocks(&chain).await;
    let to = pool.pages();
    let (ann, _) = somebody(1);
    // Pages may be asked as often as one likes; the budget is for programs.
    testkit::wait_for("the machine", || {
        get(to, &format!("/miner/{ann}")).body.contains("alert(1)").then_some(())
    });
    let account = get(to, &format!("/users/{ann}")).json();
    for key in [
        "hashrate1m",
        "hashrate7d",
        "lastshare",
        "workers",
        "shares",
        "bestshare",
        "bestever",
        "worker",
    ] {
        assert!(!account[key].is_null(), "{key}: {account}");
    }
    let status = get(to, "/pool/pool.status").body;
    let lines: Vec<serde_json::Value> =
        status.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |line: usize, key: &str| !lines[line][key].is_null();
    assert!(has(0, "Users") && has(1, "hashrate15m") && has(2, "SPS1h"), "{status}");
    let stats = get(to, "/api/stats").json();
    for key in [
        "pool_name",
        "algorithm",
        "active_miners",
        "total_shares",
        "accepted_shares",
        "rejected_shares",
        "blocks_found",
        "confirmed_blocks",
        "difficulty",
        "current_job",
        "total_hash_rate",
        "commission_earned",
        "total_payouts",
        "pool_balance",
    ] {
        assert!(!stats[key].is_null(), "{key}: {stats}");
    }
    let block = &get(to, "/api/blocks").json()[0];
    for key in [
        "hash",
        "block_hash",
        "number",
        "block_number",
        "miner",
        "miner_id",
        "found_at",
        "confirmed",
        "reward",
        "poolId",
        "blockHeight",
        "networkDifficulty",
        "status",
        "confirmationProgress",
        "effort",
        "created",
    ] {
        assert!(!block[key].is_null(), "{key}: {block}");
    }
    let miner = &get(to, "/api/miners").json()[0];
    for key in
        ["id", "miner_id", "username", "address", "accepted_shares", "hash_rate", "last_seen"]
    {
        assert!(!miner[key].is_null(), "{key}: {miner}");
    }
    assert!(get(to, "/api/pool-balance").json()["address"].is_string());
    assert!(get(to, "/api/payouts").json().is_array());
    let info = &get(to, "/api/pools").json()["pools"][0];
    for path in [
        "/id",
        "/coin/algorithm",
        "/ports",
        "/poolStats/poolHashrate",
        "/networkStats/blockHeight",
        "/poolFeePercent",
        "/totalBlocks",
    ] {
        assert!(!info.pointer(path).unwrap().is_null(), "{path}: {info}");
    }
    for path in [
        "/api/pools/main",
        "/api/pools/main/performance",
        "/api/pools/main/miners",
        "/api/pools/main/blocks",
        "/api/v2/pools/main/blocks",
        "/api/pools/main/payments",
    ] {
        assert_eq!(get(to, path).status, 200, "{path}");
    }
    for rest in ["", "/payments", "/balancechanges", "/earnings/daily", "/performance"] {
        let path = format!("/api/pools/main/miners/{ann}{rest}");
        assert_eq!(get(to, &path).status, 200, "{path}");
    }
    pool.stop();
}

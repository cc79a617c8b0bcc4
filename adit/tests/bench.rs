//! The benches run to their end and say everything they promise; how fast it was is not judged here.

#![allow(clippy::unwrap_used, reason = "a bench that fails has failed")]

use serde_json::Value;
use std::process::Command;

fn line(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_adit")).arg("bench").args(arguments).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn the_web_bench_fills_a_store_measures_it_and_finds_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    // Enough blocks that the first have matured and were paid.
    let size = ["--accounts", "5", "--workers", "12", "--blocks", "125", "--shares", "1000"];
    let arguments =
        [&["web", "--seconds", "1", "--pairs", "1", "--data", data], &size[..]].concat();
    let found = line(&arguments);
    for name in [
        "pages_p99_ms",
        "api_p99_ms",
        "requests_per_s",
        "share_ack_p99_us_alone",
        "share_ack_p99_us_loaded",
        "cpu_us_per_share_alone",
        "cpu_us_per_share_loaded",
    ] {
        assert!(found[name].as_f64().unwrap() > 0.0, "{name}: {found}");
    }
    assert_eq!(
        ["accounts", "workers", "blocks", "shares"].map(|name| found[name].as_u64().unwrap()),
        [5, 12, 125, 1000]
    );
    assert!(found["slowest"]["path"].is_string() && found["slowest"]["p99_ms"].is_number());
    // What was filled are real books: everything recomputes.
    let config = folder.path().join("adit.toml");
    let audit = Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(["audit", "--offline", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
    let again = line(&arguments);
    assert_eq!(again["blocks"], 125, "the second time the same folder is used");
    assert!(again["shares"].as_u64() > found["shares"].as_u64(), "with what came the first time");
    let other = [&arguments[..arguments.len() - 1], &["2000"]].concat();
    let refused =
        Command::new(env!("CARGO_BIN_EXE_adit")).arg("bench").args(other).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("name another folder"));
}

#[test]
fn the_covenant_bench_finds_every_block_of_the_pool_qualified() {
    let found = line(&["ctv", "--blocks", "40000"]);
    for name in ["qualified_1m_ms", "judge_us", "tree_1000_ms"] {
        assert!(found[name].as_f64().unwrap() > 0.0, "{name}: {found}");
    }
    assert_eq!((&found["payees"], &found["blocks"]), (&216.into(), &40_000.into()));
}

#[test]
fn the_simulators_bench_says_how_long_the_article_and_pplns_years_take() {
    let found = line(&["sim", "--years", "2"]);
    for name in ["article_ms", "article_rss_mb", "pplns_year_s"] {
        assert!(found[name].as_f64().unwrap() > 0.0, "{name}: {found}");
    }
    assert_eq!(found["pplns_years"], 2);
}

#[test]
fn the_compute_bench_measures_all_it_promises() {
    let python = testkit::prepared("bittensor.sh");
    let found = line(&["compute", "--seconds", "1", "--python", python.to_str().unwrap()]);
    for name in [
        "dsl_instructions_per_s_per_core",
        "numpy_instructions_per_s_per_core",
        "ratio_to_numpy",
        "verified_per_s_per_core",
        "refusal_ratio",
        "empty_us",
        "cycles_per_s",
    ] {
        assert!(found[name].as_f64().unwrap() > 0.0, "{name}: {found}");
    }
    for kind in ["stale", "malformed", "replayed"] {
        assert!(found["refusal_us"][kind].as_f64().unwrap() > 0.0, "{kind}: {found}");
    }
}

#[test]
fn the_farming_bench_says_what_a_partial_and_a_poll_cost() {
    let said = line(&["farming", "--partials", "150"]);
    for field in ["partials_per_s_per_core", "cpu_ms_per_partial", "polls_per_s_per_core"] {
        assert!(said[field].as_f64().is_some_and(|value| value > 0.0), "{field}: {said}");
    }
    assert_eq!(said["partials"], 150, "every one was accepted: {said}");
}

#[test]
fn the_gxc_bench_verifies_by_the_real_hash_and_looks_at_another_port() {
    let said = line(&["stratum", "--profile", "gxhash", "--seconds", "1"]);
    assert_eq!(said["profile"], "gxhash");
    for field in [
        "accepted_per_s",
        "bare_hash_per_s",
        "ratio_to_bare_hash",
        "other_port_p99_us_alone",
        "other_port_p99_us_loaded",
        "other_port_p99_ratio",
    ] {
        assert!(said[field].as_f64().is_some_and(|value| value > 0.0), "{field}: {said}");
    }
}

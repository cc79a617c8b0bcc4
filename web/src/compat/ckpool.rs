//! ckpool's status files, as `ckstats` and many scripts read them over HTTP.

use super::{named, unavailable};
use crate::model::account::Account;
use crate::model::pools;
use crate::rates::SPAN_NAMES;
use crate::site::Site;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The two routes.
pub fn routes() -> Router<Arc<Site>> {
    Router::new().route("/pool/pool.status", get(status)).route("/users/{address}", get(user))
}

/// Three significant digits and a suffix, as ckpool writes them: `1.23T`.
fn suffixed(value: f64) -> String {
    let mut value = value.max(0.0);
    let mut suffix = "";
    for next in ["K", "M", "G", "T", "P", "E"] {
        if value < 1000.0 {
            break;
        }
        (value, suffix) = (value / 1000.0, next);
    }
    match value {
        v if suffix.is_empty() => format!("{v:.0}"),
        v if v >= 100.0 => format!("{v:.0}{suffix}"),
        v if v >= 10.0 => format!("{v:.1}{suffix}"),
        v => format!("{v:.2}{suffix}"),
    }
}

/// `hashrate1m` … `hashrate7d`.
fn hashrates(rates: &BTreeMap<String, f64>, spans: &[&str]) -> Map<String, Value> {
    spans
        .iter()
        .map(|span| {
            let rate = rates.get(*span).copied().unwrap_or(0.0);
            (format!("hashrate{span}"), Value::from(suffixed(rate)))
        })
        .collect()
}

async fn status(State(site): State<Arc<Site>>) -> Response {
    let (outlook, view) = (site.outlook.load(), site.pool.view());
    let all = pools::all(&outlook, &view, &site.history);
    let now_s = site.now().0 / 1000;
    let (here, gone) = site.history.shown().presence();
    let workers: u32 = all.iter().map(|pool| pool.workers).sum();
    let miners: u32 = all.iter().map(|pool| pool.miners).sum();
    let idle = here.saturating_sub(workers as usize);
    let mut rates: BTreeMap<String, f64> = BTreeMap::new();
    for pool in &all {
        for (span, rate) in &pool.hashrates {
            *rates.entry(span.clone()).or_default() += rate;
        }
    }
    let (mut accepted, mut rejected, mut best) = (0.0, 0.0, 0.0);
    let mut per_second = [0.0; 4];
    let mut effort: f64 = 0.0;
    for (pool, about) in all.iter().zip(&outlook.pools) {
        let track = site.history.pool(about.id);
        let one = outlook.asset(about.asset).map_or(1.0, |asset| asset.difficulty_one);
        let mean = if track.shares > 0 { track.work / one / track.shares as f64 } else { 0.0 };
        accepted += track.work / one;
        rejected += pool.rejected.values().sum::<u64>() as f64 * mean;
        best = f64::max(best, track.best / one);
        for (sum, span) in per_second.iter_mut().zip([0, 1, 2, 3]) {
            *sum += track.share_rates.over(span);
        }
        effort = effort.max(pool.effort);
    }
    let shown = |rate: f64| format!("{rate:.3}").parse::<f64>().unwrap_or(0.0);
    let [sps1m, sps5m, sps15m, sps1h] = per_second.map(shown);
    let lines = [
        json!({
            "runtime": now_s.saturating_sub(outlook.started_at.0 / 1000), "lastupdate": now_s, "Users": miners,
            "Workers": workers, "Idle": idle, "Disconnected": gone,
        }),
        Value::Object(hashrates(&rates, &SPAN_NAMES)),
        json!({
            "diff": (effort * 10_000.0).round() / 100.0, "accepted": accepted.round(), "rejected": rejected.round(),
            "bestshare": f64::round(best), "SPS1m": sps1m, "SPS5m": sps5m, "SPS15m": sps15m, "SPS1h": sps1h,
        }),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn user(State(site): State<Arc<Site>>, Path(address): Path<String>) -> Response {
    let named = match named(&site, &address).await {
        Ok(named) => named,
        Err(response) => return response,
    };
    match site.account(named).await {
        Ok(Some(account)) if !account.workers.is_empty() => {
            let text = format!("{}\n", user_file(&account));
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Ok(_) => axum::http::StatusCode::NOT_FOUND.into_response(),
        Err(error) => unavailable(&error),
    }
}

fn user_file(account: &Account) -> Value {
    const SPANS: [&str; 5] = ["1m", "5m", "1hr", "1d", "7d"];
    let mut rates: BTreeMap<String, f64> = BTreeMap::new();
    for pool in &account.pools {
        for (span, rate) in &pool.hashrates {
            *rates.entry(span.clone()).or_default() += rate;
        }
    }
    let workers: Vec<Value> = account
        .workers
        .iter()
        .map(|worker| {
            let mut file = Map::new();
            file.insert("workername".into(), format!("{}.{}", account.address, worker.name).into());
            file.append(&mut hashrates(&worker.hashrates, &SPANS));
            file.insert("lastshare".into(), worker.last_share.map_or(0, |at| at.0.0 / 1000).into());
            file.insert("started".into(), (worker.since.0.0 / 1000).into());
            file.insert("shares".into(), (worker.shares as f64 * worker.difficulty).round().into());
            file.insert("bestshare".into(), worker.best.into());
            file.insert("bestever".into(), worker.best.round().into());
            file.insert("useragent".into(), worker.agent.clone().into());
            Value::Object(file)
        })
        .collect();
    let best = account.workers.iter().map(|worker| worker.best).fold(0.0, f64::max);
    let last = account.workers.iter().filter_map(|worker| worker.last_share).max();
    let shares: f64 =
        account.workers.iter().map(|worker| worker.shares as f64 * worker.difficulty).sum();
    let active = account.workers.iter().filter(|worker| worker.connections > 0).count();
    let mut file = hashrates(&rates, &SPANS);
    file.insert("lastshare".into(), last.map_or(0, |at| at.0.0 / 1000).into());
    file.insert("workers".into(), active.into());
    file.insert("shares".into(), shares.round().into());
    file.insert("bestshare".into(), best.into());
    file.insert("bestever".into(), best.round().into());
    file.insert("authorised".into(), account.since.map_or(0, |since| since.0.0 / 1000).into());
    file.insert("worker".into(), workers.into());
    Value::Object(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_ckpool_writes_them() {
        let cases = [
            (0.0, "0"),
            (999.0, "999"),
            (1234.0, "1.23K"),
            (45_600_000.0, "45.6M"),
            (7.89e17, "789P"),
        ];
        for (rate, text) in cases {
            assert_eq!(suffixed(rate), text);
        }
    }
}

//! Statistics, networks, search, the calculator, and texts.

use super::{Page, Trouble, read, render};
use crate::chart;
use crate::format;
use crate::history::Range;
use crate::http::encoded;
use crate::measure::Measure;
use crate::model::network::{self, expectation};
use crate::model::{blocks, pools};
use crate::outlook::AssetOutlook;
use crate::site::Site;
use accounting::{PayoutId, RewardId};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect};
use minijinja::{Value, context};
use serde::Deserialize;
use std::sync::Arc;
use store::sqlite::{Cut, RewardFilter};

/// Blocks that the luck of the statistics is made of.
const LUCK_BLOCKS: u64 = 100;

/// Which pool.
#[derive(Debug, Deserialize)]
pub struct PoolQuery {
    pool: Option<String>,
    #[serde(default)]
    range: Range,
}

/// A pool in numbers.
pub async fn statistics(State(site): State<Arc<Site>>, Query(query): Query<PoolQuery>) -> Page {
    let outlook = site.outlook.load_full();
    let found = pools::named_or_first(&outlook, query.pool.as_deref());
    let view = site.pool.view();
    let shown =
        found.and_then(|pool| Some((pool, pools::one(&outlook, &view, &site.history, pool)?)));
    let Some((pool, shown)) = shown else {
        return Err(Trouble::not_found(&site, "There is no such pool here."));
    };
    let points =
        site.history.chart(pool.id, None, query.range, site.now()).await.unwrap_or_default();
    let measure = shown.measure;
    let label = format!("{} of {} over {}", measure.word(), pool.name, query.range.name());
    let (own, id) = (outlook.clone(), pool.id);
    let latest = read(&site, move |reader| {
        blocks::list(reader, &own, RewardFilter::Pool(id), Cut::first(LUCK_BLOCKS))
    })
    .await?;
    let luck = luck(&latest.rows);
    let reasons: Vec<(String, f64, String)> = shown
        .rejected
        .iter()
        .map(|(reason, count)| {
            (reason.replace('_', " "), *count as f64, format::grouped((*count).into()))
        })
        .collect();
    render(
        &site,
        "statistics.html",
        context! {
            title => "Statistics",
            pool => shown,
            range => query.range.name(),
            chart => Value::from_safe_string(chart::rate(measure, &points, query.range, &label)),
            distribution => Value::from_safe_string(distribution(&site, pool.id, measure)),
            reasons => Value::from_safe_string(chart::bars(&reasons, "Refused shares by reason")),
            has_reasons => !reasons.is_empty(),
            luck,
            activity => site.activity.load().iter().find(|activity| activity.id == pool.id.0),
            shares_24h => total(&site, pool.id, Range::Day).await,
            shares_7d => total(&site, pool.id, Range::Week).await,
        },
    )
}

/// How the latest blocks compare with what was to be expected.
fn luck(latest: &[blocks::Block]) -> Value {
    let judged: Vec<f64> = latest.iter().map(|block| block.effort).filter(|e| *e > 0.0).collect();
    let mean = judged.iter().sum::<f64>() / judged.len().max(1) as f64;
    let orphaned = latest.iter().filter(|block| block.state == "orphaned").count();
    context! { blocks => latest.len(), effort => mean, known => !judged.is_empty(), orphaned }
}

async fn total(site: &Arc<Site>, pool: accounting::PoolId, range: Range) -> Value {
    let points = site.history.chart(pool, None, range, site.now()).await.unwrap_or_default();
    let (shares, rejected) =
        points.iter().fold((0, 0), |(s, r), point| (s + point.shares, r + point.rejected));
    context! { shares, rejected }
}

/// How many accounts mine how much: a bar for each class of rates.
fn distribution(site: &Arc<Site>, pool: accounting::PoolId, measure: Measure) -> String {
    // By the bits of where a class begins, which order positive numbers as they are.
    let mut classes: std::collections::BTreeMap<u64, (u32, f64)> =
        std::collections::BTreeMap::new();
    for (_, track) in site.history.shown().accounts(pool) {
        let rate = measure.of(&track.rates);
        if rate > 0.0 {
            let class = classes.entry(measure.class(rate).to_bits()).or_default();
            *class = (class.0 + 1, class.1 + rate);
        }
    }
    let rows: Vec<(String, f64, String)> = classes
        .iter()
        .map(|(class, (count, sum))| {
            let from = f64::from_bits(*class);
            let from = measure.on_axis(from, from, from);
            let accounts = if *count == 1 { "account" } else { "accounts" };
            let shown = format!("{count} {accounts} · {}", measure.show(*sum));
            (format!("from {from}"), f64::from(*count), shown)
        })
        .collect();
    chart::bars(&rows, "Accounts by what they have")
}

/// The networks and how the pool's nodes see them.
pub async fn network(State(site): State<Arc<Site>>) -> Page {
    let outlook = site.outlook.load_full();
    let view = site.pool.view();
    render(
        &site,
        "network.html",
        context! {
            title => "Network status",
            networks => network::all(&outlook),
            connections => outlook.connections,
            store_failing => view.store_failing.is_some(),
            up_s => site.now().0.saturating_sub(outlook.started_at.0) as f64 / 1000.0,
        },
    )
}

/// What is looked for.
#[derive(Debug, Deserialize)]
pub struct SearchQuery {
    #[serde(default)]
    q: String,
}

/// Finds an address, a block, a transaction, a height, a payout or a name.
pub async fn search(
    State(site): State<Arc<Site>>,
    Query(SearchQuery { q }): Query<SearchQuery>,
) -> Page {
    let wanted = q.trim().to_owned();
    if wanted.is_empty() {
        return render(&site, "search.html", context! { title => "Look up", q => "" });
    }
    if let Ok(Ok(named)) = site.named(&wanted).await {
        return to(&format!("/miner/{}", encoded(&named.parsed.display)));
    }
    if let Some(profile) = site.profiles.publicly_named(&wanted) {
        return to(&format!("/miner/{}", encoded(&profile.display)));
    }
    let (outlook, text) = (site.outlook.load_full(), wanted.clone());
    let (block, payout, at_height) = read(&site, move |reader| {
        let id: Option<RewardId> = text.parse().ok();
        let block = match id {
            Some(id) => blocks::find(reader, &outlook, id)?,
            None => None,
        };
        let payout: Option<PayoutId> = match id {
            Some(id) => reader.payout_of_transaction(id.0)?,
            None => None,
        };
        let height: Option<u64> = text.replace([' ', ','], "").parse().ok();
        let at_height = match height {
            Some(height) => {
                blocks::list(reader, &outlook, RewardFilter::Height(height), Cut::first(20))?.rows
            }
            None => Vec::new(),
        };
        Ok((block, payout, at_height))
    })
    .await?;
    match (block, payout, at_height.as_slice()) {
        (Some(block), ..) => to(&format!("/block/{}", block.hash)),
        (None, Some(payout), _) => to(&format!("/payout/{payout}")),
        (None, None, [one]) => to(&format!("/block/{}", one.hash)),
        _ => {
            let why = site.named(&wanted).await.ok().and_then(Result::err);
            render(
                &site,
                "search.html",
                context! { title => "Look up", q => wanted, blocks => at_height, why },
            )
        }
    }
}

fn to(path: &str) -> Page {
    Ok(Redirect::to(path).into_response())
}

/// What is reckoned with.
#[derive(Debug, Deserialize)]
pub struct CalculatorQuery {
    pool: Option<String>,
    hashrate: Option<String>,
    #[serde(default)]
    unit: Option<String>,
    power_w: Option<String>,
    price_kwh: Option<String>,
    coin_price: Option<String>,
}

/// A number as people type it.
fn number(text: &str) -> Option<f64> {
    text.trim().replace(',', ".").parse().ok()
}

/// A rate that somebody typed.
pub(super) struct TypedRate {
    /// Hashes or bytes; none where nothing usable was typed.
    pub value: Option<f64>,
    /// Its unit, or the usual one.
    pub unit: &'static str,
    /// Something was typed that is no rate.
    pub is_wrong: bool,
}

/// Reads a rate and its unit as an asset measures them.
pub(super) fn typed_rate(
    asset: &AssetOutlook,
    typed: Option<&str>,
    unit: Option<&str>,
) -> TypedRate {
    let usual = match asset.measure {
        Measure::Space { .. } => "TiB",
        Measure::Reputation => "an hour",
        Measure::Hashes if asset.difficulty_one > 1e6 => "TH/s",
        Measure::Hashes => "MH/s",
    };
    let units = asset.measure.units();
    let known = |unit: &str| units.iter().find(|(name, _)| *name == unit).copied();
    let (unit, factor) = unit.and_then(known).or_else(|| known(usual)).unwrap_or(("", 1.0));
    let found = typed.and_then(number).filter(|value| value.is_finite() && *value > 0.0);
    let is_wrong = found.is_none() && typed.is_some_and(|text| !text.trim().is_empty());
    TypedRate { value: found.map(|value| value * factor), unit, is_wrong }
}

/// What a hashrate brings, by the network's numbers of this moment.
pub async fn calculator(
    State(site): State<Arc<Site>>,
    Query(query): Query<CalculatorQuery>,
) -> Page {
    let outlook = site.outlook.load_full();
    let found = pools::named_or_first(&outlook, query.pool.as_deref());
    let Some((pool, asset)) = found.and_then(|pool| Some((pool, outlook.asset(pool.asset)?)))
    else {
        return Err(Trouble::not_found(&site, "There is no such pool here."));
    };
    let number = |text: &Option<String>| text.as_deref().and_then(number);
    let typed = typed_rate(asset, query.hashrate.as_deref(), query.unit.as_deref());
    let units = asset.measure.units();
    let view = site.pool.view();
    let accounts =
        view.pools.iter().find(|seen| seen.id == pool.id).map_or(0, |seen| seen.accounts);
    let fee = pools::fee_percent(pool, accounts);
    let expected = typed.value.and_then(|rate| expectation(asset, rate, fee));
    let (power, price) = (number(&query.power_w), number(&query.price_kwh));
    let cost_per_day = power.zip(price).map(|(watts, price)| watts * 24.0 / 1000.0 * price);
    let worth = number(&query.coin_price).zip(expected.as_ref()).map(|(p, e)| p * e.coins_per_day);
    render(
        &site,
        "calculator.html",
        context! {
            title => "Calculator",
            pool => pool.name,
            network => network::network(asset),
            units => units.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            unit => typed.unit,
            hashrate => query.hashrate,
            power_w => query.power_w,
            price_kwh => query.price_kwh,
            coin_price => query.coin_price,
            is_wrong => typed.is_wrong,
            expected,
            cost_per_day,
            worth_per_day => worth,
            fee_percent => fee,
        },
    )
}

/// A text that the operator may replace.
pub async fn text(State(site): State<Arc<Site>>, name: &'static str, title: &'static str) -> Page {
    let text = site.theme.text(name).unwrap_or_default();
    render(&site, "text.html", context! { title, text => Value::from_safe_string(text) })
}

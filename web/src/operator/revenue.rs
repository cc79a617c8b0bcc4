//! What running the pool brings: commission from a hashrate, with the luck it depends on, beside what was booked.
//!
//! Invariant: from the live network and the operator's own numbers; luck is said as a spread, never hidden in a mean.

use super::pages::{login_page, no_store, refuse_way, session_of};
use crate::model::{network, pools};
use crate::pages::{Page, Trouble, render};
use crate::server::Way;
use crate::site::Site;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::routing::get;
use minijinja::context;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The route.
pub fn routes() -> Router<Arc<Site>> {
    Router::new().route("/operator/revenue", get(page))
}

/// What is reckoned with; what is empty is as it is now.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Ask {
    pool: String,
    /// How many times the pool's hashrate of now.
    times: String,
    fee_percent: String,
    coin_price: String,
    cost_per_month: String,
}

/// What is to be expected.
#[derive(Debug, PartialEq, Serialize)]
struct Revenue {
    hashrate: f64,
    fee_percent: f64,
    blocks_per_day: f64,
    commission_per_day: f64,
    commission_per_month: f64,
    commission_per_year: f64,
    /// One standard deviation of a month's commission, because blocks come by chance: as a part of it.
    month_spread: f64,
    /// A month's commission less costs, in the currency of the price.
    month_result: Option<f64>,
}

/// Days of a month, on average.
const MONTH: f64 = 365.25 / 12.0;

fn revenue(
    hashrate: f64,
    block_work: f64,
    block_coins: f64,
    fee_percent: f64,
    price: Option<f64>,
    costs: f64,
) -> Revenue {
    let blocks_per_day = hashrate * 86_400.0 / block_work;
    let per_day = blocks_per_day * block_coins * fee_percent / 100.0;
    let blocks = blocks_per_day * MONTH;
    Revenue {
        hashrate,
        fee_percent,
        blocks_per_day,
        commission_per_day: per_day,
        commission_per_month: per_day * MONTH,
        commission_per_year: per_day * MONTH * 12.0,
        month_spread: if blocks > 0.0 { 1.0 / blocks.sqrt() } else { 0.0 },
        month_result: price.map(|price| per_day * MONTH * price - costs),
    }
}

async fn page(
    State(site): State<Arc<Site>>,
    way: Way,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
) -> Page {
    if !way.is_private() {
        return refuse_way(&site);
    }
    if session_of(&site, &headers).await.is_none() {
        return login_page(&site, false);
    }
    let outlook = site.outlook.load_full();
    let found = pools::named_or_first(&outlook, Some(&ask.pool));
    let view = site.pool.view();
    let shown =
        found.and_then(|pool| Some((pool, pools::one(&outlook, &view, &site.history, pool)?)));
    let Some((pool, now)) = shown else {
        return Err(Trouble::not_found(&site, "There is no such pool here."));
    };
    let asset = outlook.asset(pool.asset);
    // What is typed and is no number is said, not guessed at.
    let mut wrong = Vec::new();
    let mut number = |name: &'static str, text: &str, usual: f64| {
        let typed = text.trim().replace(',', ".");
        match typed.parse::<f64>() {
            _ if typed.is_empty() => usual,
            Ok(value) if value.is_finite() && value >= 0.0 => value,
            _ => {
                wrong.push(name);
                usual
            }
        }
    };
    let times = number("times", &ask.times, 1.0);
    let fee = number("fee", &ask.fee_percent, now.fee_percent).min(100.0);
    let price = number("price", &ask.coin_price, 0.0);
    let costs = number("costs", &ask.cost_per_month, 0.0);
    let next = asset.and_then(|asset| Some((asset, asset.next?, asset.next?.value?)));
    let expected = next.map(|(asset, next, value)| {
        let coins = value as f64 / 10f64.powi(asset.decimals.into());
        let price = Some(price).filter(|price| *price > 0.0);
        revenue(now.hashrate * times, next.work, coins, fee, price, costs)
    });
    let activity = site.activity.load();
    let booked = activity.iter().find(|activity| activity.id == pool.id.0);
    let page = render(
        &site,
        "revenue.html",
        context! {
            title => "Revenue",
            pool => now,
            network => asset.map(network::network),
            by_share => pool.scheme.pays_per_share(),
            expected,
            booked,
            ask,
            wrong,
        },
    )?;
    Ok(no_store(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_blocks_a_month_bring_their_fee_give_or_take_a_tenth() {
        let hashes_per_day = 100.0 / MONTH * 1000.0;
        let found = revenue(hashes_per_day / 86_400.0, 1000.0, 3.0, 2.0, Some(10.0), 15.0);
        assert!((found.commission_per_month - 6.0).abs() < 1e-9, "{found:?}");
        assert!((found.month_spread - 0.1).abs() < 1e-9, "{found:?}");
        assert!((found.month_result.unwrap() - 45.0).abs() < 1e-9, "{found:?}");
        assert_eq!(revenue(0.0, 1000.0, 3.0, 2.0, None, 0.0).month_spread, 0.0);
    }
}

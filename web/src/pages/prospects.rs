//! What a miner's income would look like: here, alone, and under the other schemes.

use super::other::typed_rate;
use super::{Page, Trouble, render};
use crate::http::encoded;
use crate::model::pools;
use crate::prospects::{Asked, NoAnswer};
use crate::site::Site;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use minijinja::context;
use serde::Deserialize;
use std::sync::Arc;

/// Of which pool, and for which hashrate.
#[derive(Debug, Deserialize)]
pub struct ProspectsQuery {
    pool: Option<String>,
    hashrate: Option<String>,
    #[serde(default)]
    unit: Option<String>,
}

/// The table and its picture, once a hashrate is given.
pub async fn page(State(site): State<Arc<Site>>, Query(query): Query<ProspectsQuery>) -> Page {
    let (asked, shown) = read(&site, &query)?;
    let prospects = match asked {
        Some(asked) => Some(reckoned(&site, asked).await?),
        None => None,
    };
    render(
        &site,
        "prospects.html",
        context! {
            title => "Prospects",
            prospects => prospects.as_deref(),
            picture => picture(&query),
            ..shown
        },
    )
}

/// The picture alone.
pub async fn svg(State(site): State<Arc<Site>>, Query(query): Query<ProspectsQuery>) -> Page {
    let (asked, _) = read(&site, &query)?;
    let asked = asked.ok_or_else(|| Trouble::bad(&site, "Name a hashrate above zero."))?;
    let found = reckoned(&site, asked).await?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], found.svg.clone()).into_response())
}

/// Where the picture of the same question is.
fn picture(query: &ProspectsQuery) -> String {
    let said = [("pool", &query.pool), ("hashrate", &query.hashrate), ("unit", &query.unit)];
    let pair = |(name, value): (&str, &Option<String>)| {
        value.as_deref().map(|value| format!("{name}={}", encoded(value)))
    };
    let words = said.into_iter().filter_map(pair).collect::<Vec<_>>().join("&");
    format!("/prospects.svg?{words}")
}

async fn reckoned(
    site: &Arc<Site>,
    asked: Asked,
) -> Result<Arc<crate::prospects::Prospects>, Trouble> {
    let answer = site.prospects.ask(asked).await;
    answer.map_err(|why| match why {
        NoAnswer::Busy => Trouble::later(site, why.to_string()),
        NoAnswer::Impossible(why) => Trouble::bad(site, why),
    })
}

fn read(
    site: &Arc<Site>,
    query: &ProspectsQuery,
) -> Result<(Option<Asked>, minijinja::Value), Trouble> {
    let outlook = site.outlook.load_full();
    let found = pools::named_or_first(&outlook, query.pool.as_deref());
    let Some((pool, asset)) = found.and_then(|pool| Some((pool, outlook.asset(pool.asset)?)))
    else {
        return Err(Trouble::not_found(site, "There is no such pool here."));
    };
    let rate = typed_rate(asset, query.hashrate.as_deref(), query.unit.as_deref());
    let view = site.pool.view();
    let accounts =
        view.pools.iter().find(|seen| seen.id == pool.id).map_or(0, |seen| seen.accounts);
    let fee = pools::fee_percent(pool, accounts);
    let pool_rate = asset.measure.of(&site.history.pool(pool.id).rates);
    let asked = rate.value.and_then(|rate| Asked::of(&outlook, &view, pool, rate, pool_rate, fee));
    let shown = context! {
        pool => pool.name,
        measure => asset.measure,
        units => asset.measure.units().iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        unit => rate.unit,
        hashrate => query.hashrate,
        is_wrong => rate.is_wrong,
        knows => rate.value.is_none() || asked.is_some(),
    };
    Ok((asked, shown))
}

//! My account: by address, without registration.

use super::{ChartQuery, Page, Trouble, explorer, read, render};
use crate::history::Range;
use crate::http::encoded;
use crate::live;
use crate::measure::Measure;
use crate::model::account::{Named, Source, Sources, account, credits, payouts};
use crate::site::Site;
use accounting::commitment::PaidBy;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};
use std::sync::Arc;
use store::sqlite::Cut;

/// Credits and payouts that the page shows.
const LISTED: u64 = 20;
/// Rows of an export.
const EXPORTED_MAX: u64 = 100_000;

/// The account's page.
pub async fn page(
    State(site): State<Arc<Site>>,
    Path(address): Path<String>,
    Query(query): Query<ChartQuery>,
) -> Page {
    let named = match site.named(&address).await {
        Ok(Ok(named)) => named,
        Ok(Err(why)) => {
            // A name that an owner proved is as good.
            if let Some(profile) = site.profiles.publicly_named(&address) {
                let to = format!("/miner/{}", encoded(&profile.display));
                return Ok(Redirect::temporary(&to).into_response());
            }
            return Err(Trouble::not_found(
                &site,
                format!("“{address}” cannot be looked up: {why}."),
            ));
        }
        Err(error) => return Err(Trouble::store(&site, &error)),
    };
    let range = query.range.filter(|range| *range != Range::Hour).unwrap_or_default();
    let (outlook, own) = (site.outlook.load_full(), site.clone());
    let asked = named.clone();
    let (shown, of_blocks, of_shares, paid) = read(&site, move |reader| {
        let (outlook, view) = (own.outlook.load(), own.pool.view());
        let from = Sources { reader, outlook: &outlook, view: &view, history: &own.history };
        let shown = account(&from, &asked)?;
        let of_blocks = credits(reader, &outlook, &asked, Source::Blocks, Cut::first(LISTED))?;
        let of_shares = credits(reader, &outlook, &asked, Source::Shares, Cut::first(LISTED))?;
        let paid = payouts(reader, &outlook, &asked, Cut::first(LISTED))?;
        Ok((shown, of_blocks, of_shares, paid))
    })
    .await?;
    let Some(shown) = shown else {
        return Err(Trouble::not_found(&site, "This asset is not open."));
    };
    let charts = charts(&site, &named, range).await;
    let profile = site.profiles.of(&named.parsed.identity).filter(|profile| profile.is_public);
    let asset_name = outlook.asset(named.asset).map_or("", |asset| asset.name.as_str());
    render(
        &site,
        "account.html",
        context! {
            title => shown.address,
            values => live::account_values(&shown, site.now()),
            account => shown,
            name => profile.and_then(|profile| profile.name.clone()),
            charts,
            range => range.name(),
            of_blocks,
            of_shares,
            paid,
            explorer => explorer(&site, asset_name),
            path => format!("/miner/{}", encoded(&named.parsed.display)),
        },
    )
}

async fn charts(site: &Arc<Site>, named: &Named, range: Range) -> Vec<Value> {
    let Some(id) = named.account else { return Vec::new() };
    let outlook = site.outlook.load_full();
    let mut charts = Vec::new();
    let measure = outlook.asset(named.asset).map_or_else(Measure::default, |asset| asset.measure);
    for pool in outlook.pools_of(named.asset) {
        if site.history.shown().account(pool.id, id).is_none() {
            continue;
        }
        let points =
            site.history.chart(pool.id, Some(id), range, site.now()).await.unwrap_or_default();
        let label = format!("{} in {} over {}", measure.word(), pool.name, range.name());
        charts.push(context! {
            pool => pool.name,
            svg => Value::from_safe_string(crate::chart::rate(measure, &points, range, &label)),
        });
    }
    charts
}

/// Everything the account was credited, as a table.
pub async fn credits_csv(State(site): State<Arc<Site>>, Path(address): Path<String>) -> Page {
    let named = known(&site, &address).await?;
    let own = site.clone();
    let text = read(&site, move |reader| {
        let outlook = own.outlook.load();
        let mut text = String::from(
            "at,pool,source,block,height,slice,state,fee_percent,net,net_units,paid_by\n",
        );
        for source in [Source::Blocks, Source::Shares] {
            for credit in credits(reader, &outlook, &named, source, Cut::first(EXPORTED_MAX))?.rows
            {
                let paid_by = match credit.paid_by {
                    PaidBy::Pool => "pool",
                    PaidBy::Output => "output",
                    PaidBy::Tree => "tree",
                };
                let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
                let fields = [
                    credit.at.text(),
                    credit.pool,
                    credit.source,
                    credit.block.unwrap_or_default(),
                    number(credit.height),
                    number(credit.slice),
                    credit.state.unwrap_or_default(),
                    credit.fee_percent.to_string(),
                    credit.net.decimal,
                    credit.net.units.to_string(),
                    paid_by.to_owned(),
                ];
                line(&mut text, &fields);
            }
        }
        Ok(text)
    })
    .await?;
    Ok(csv("credits.csv", text))
}

/// Every payout of the account, as a table.
pub async fn payouts_csv(State(site): State<Arc<Site>>, Path(address): Path<String>) -> Page {
    let named = known(&site, &address).await?;
    let own = site.clone();
    let text = read(&site, move |reader| {
        let outlook = own.outlook.load();
        let mut text = String::from("made_at,payout,state,transaction,debited,sent,sent_units\n");
        for paid in payouts(reader, &outlook, &named, Cut::first(EXPORTED_MAX))?.rows {
            let fields = [
                paid.payout.made_at.text(),
                paid.payout.id.to_string(),
                paid.payout.state,
                paid.payout.transaction.unwrap_or_default(),
                paid.debited.decimal,
                paid.sent.decimal,
                paid.sent.units.to_string(),
            ];
            line(&mut text, &fields);
        }
        Ok(text)
    })
    .await?;
    Ok(csv("payouts.csv", text))
}

pub(super) async fn known(site: &Arc<Site>, address: &str) -> Result<Named, Trouble> {
    match site.named(address).await {
        Ok(Ok(named)) => Ok(named),
        Ok(Err(why)) => {
            Err(Trouble::not_found(site, format!("“{address}” cannot be looked up: {why}.")))
        }
        Err(error) => Err(Trouble::store(site, &error)),
    }
}

fn line(text: &mut String, fields: &[String]) {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        // Names of pools are the operator's; a quote makes any of them one field.
        if field.contains([',', '"', '\n']) {
            text.push('"');
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(field);
        }
    }
    text.push('\n');
}

fn csv(name: &str, text: String) -> Response {
    let attachment = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, attachment),
    ];
    (headers, text).into_response()
}

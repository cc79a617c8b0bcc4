//! Statistics for members: more about one's own mining.

use super::account::known;
use super::{Page, Trouble, read, render};
use crate::http::encoded;
use crate::model::account::{Source, credits};
use crate::model::advanced::{by_day, tuned};
use crate::site::Site;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use minijinja::context;
use std::sync::Arc;
use store::sqlite::Cut;

/// Credits looked at: of each kind, the newest.
const CREDITS: u64 = 2000;

/// The page.
pub async fn page(State(site): State<Arc<Site>>, Path(address): Path<String>) -> Page {
    let named = known(&site, &address).await?;
    let path = format!("/miner/{}", encoded(&named.parsed.display));
    let found = site.account(named.clone()).await.map_err(|error| Trouble::store(&site, &error))?;
    let outlook = site.outlook.load_full();
    let Some((account, asset)) = found.zip(outlook.asset(named.asset)) else {
        return Err(Trouble::not_found(&site, "This asset is not open yet."));
    };
    let values = context! { title => account.address, account, path };
    if !account.member {
        let page = render(&site, "advanced.html", values)?;
        return Ok((StatusCode::FORBIDDEN, page).into_response());
    }
    let own = site.clone();
    let credited = read(&site, move |reader| {
        let outlook = own.outlook.load();
        let mut all = Vec::new();
        for source in [Source::Blocks, Source::Shares] {
            all.extend(credits(reader, &outlook, &named, source, Cut::first(CREDITS))?.rows);
        }
        Ok(all)
    })
    .await?;
    let summary = by_day(&credited, asset.decimals);
    let machines: Vec<_> =
        account.workers.iter().map(|worker| tuned(worker, asset.difficulty_one)).collect();
    render(&site, "advanced.html", context! { summary, machines, ..values })
}

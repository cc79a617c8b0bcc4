//! One miner's branch of a block that paid everybody by a tree.

use super::account::known;
use super::{Page, Trouble, explorer, read, render};
use crate::http::encoded;
use crate::model::branch;
use crate::site::Site;
use accounting::RewardId;
use axum::extract::{Path, State};
use minijinja::context;
use std::sync::Arc;

/// The transactions, and what to do with them.
pub async fn page(
    State(site): State<Arc<Site>>,
    Path((address, block)): Path<(String, String)>,
) -> Page {
    let named = known(&site, &address).await?;
    let (Ok(id), Some(account)) = (block.parse::<RewardId>(), named.account) else {
        return Err(missing(&site));
    };
    let outlook = site.outlook.load_full();
    let asset = outlook.asset(named.asset).map_or_else(String::new, |asset| asset.name.clone());
    let found = read(&site, move |reader| branch::find(reader, &outlook, id, account)).await?;
    let Some(found) = found else { return Err(missing(&site)) };
    render(
        &site,
        "branch.html",
        context! {
            title => format!("Branch of block {}", found.height),
            branch => found,
            address => named.parsed.display,
            path => format!("/miner/{}", encoded(&named.parsed.display)),
            explorer => explorer(&site, &asset),
        },
    )
}

fn missing(site: &Arc<Site>) -> Trouble {
    Trouble::not_found(site, "No tree of this block pays this address.")
}

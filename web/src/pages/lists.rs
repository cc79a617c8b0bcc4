//! Blocks, payouts, leaderboards, and a page for each block and payout.

use super::{Page, Paging, Trouble, explorer, read, render};
use crate::model::pools::{self, Order};
use crate::model::{blocks as block_model, payouts as payout_model};
use crate::site::Site;
use crate::sponsored::Slot;
use accounting::RewardId;
use axum::extract::{Path, Query, State};
use minijinja::context;
use serde::Deserialize;
use std::sync::Arc;
use store::sqlite::RewardFilter;

/// Rows of a page.
const ROWS: u64 = 50;
/// Places of a leaderboard.
const PLACES: usize = 100;

/// Which pool, and where the list goes on.
#[derive(Debug, Deserialize)]
pub struct BlocksQuery {
    pool: Option<String>,
    cursor: Option<String>,
}

/// All blocks.
pub async fn blocks(State(site): State<Arc<Site>>, Query(query): Query<BlocksQuery>) -> Page {
    let outlook = site.outlook.load_full();
    let name = query.pool.filter(|name| !name.is_empty());
    let filter = match &name {
        None => RewardFilter::All,
        Some(name) => match pools::named(&outlook, name) {
            Some(pool) => RewardFilter::Pool(pool.id),
            None => {
                return Err(Trouble::not_found(&site, format!("There is no pool “{name}” here.")));
            }
        },
    };
    let cut = Paging { cursor: query.cursor.clone() }.cut(&site, ROWS)?;
    let own = outlook.clone();
    let blocks = read(&site, move |reader| block_model::list(reader, &own, filter, cut)).await?;
    render(
        &site,
        "blocks.html",
        context! { title => "Blocks", blocks, pool => name, is_first => cut.from.is_none() },
    )
}

/// One block and its split.
pub async fn block(
    State(site): State<Arc<Site>>,
    Path(hash): Path<String>,
    Query(paging): Query<Paging>,
) -> Page {
    let Ok(id) = hash.parse::<RewardId>() else {
        return Err(Trouble::not_found(
            &site,
            "A block is named by its hash of 64 hexadecimal digits.",
        ));
    };
    let cut = paging.cut(&site, ROWS)?;
    let own = site.clone();
    let found = read(&site, move |reader| {
        let outlook = own.outlook.load();
        let Some(block) = block_model::find(reader, &outlook, id)? else { return Ok(None) };
        let is_public = |account| own.profiles.is_public(account);
        let parts = block_model::parts(reader, &outlook, id, cut, is_public)?;
        let asset =
            reader.reward_row(id)?.and_then(|row| outlook.asset(row.asset).map(|a| a.name.clone()));
        Ok(Some((block, parts, asset.unwrap_or_default())))
    })
    .await?;
    let Some((block, parts, asset)) = found else {
        return Err(Trouble::not_found(&site, "The pool did not find this block."));
    };
    render(
        &site,
        "block.html",
        context! {
            title => format!("{} {}", if block.payment.is_some() { "Payment by block" } else { "Block" }, block.height),
            block,
            parts_of => parts,
            is_first => cut.from.is_none(),
            explorer => explorer(&site, &asset),
        },
    )
}

/// All payouts.
pub async fn payouts(State(site): State<Arc<Site>>, Query(paging): Query<Paging>) -> Page {
    let cut = paging.cut(&site, ROWS)?;
    let outlook = site.outlook.load_full();
    let payouts = read(&site, move |reader| payout_model::list(reader, &outlook, cut)).await?;
    render(
        &site,
        "payouts.html",
        context! { title => "Payouts", payouts, is_first => cut.from.is_none() },
    )
}

/// One payout and its recipients.
pub async fn payout(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Page {
    let Ok(id) = id.parse::<u64>() else {
        return Err(Trouble::not_found(&site, "A payout is named by its number."));
    };
    let cut = paging.cut(&site, ROWS)?;
    let own = site.clone();
    let found = read(&site, move |reader| {
        let outlook = own.outlook.load();
        let Some(payout) = payout_model::find(reader, &outlook, id)? else { return Ok(None) };
        let is_public = |account| own.profiles.is_public(account);
        Ok(Some((payout, payout_model::recipients(reader, &outlook, id, cut, is_public)?)))
    })
    .await?;
    let Some((payout, recipients)) = found else {
        return Err(Trouble::not_found(&site, format!("There is no payout {id}.")));
    };
    let outlook = site.outlook.load();
    let asset = outlook.assets.iter().find(|asset| asset.symbol == payout.asset);
    let links = explorer(&site, asset.map_or("", |asset| asset.name.as_str()));
    render(
        &site,
        "payout.html",
        context! {
            title => format!("Payout {id}"),
            payout,
            recipients,
            is_first => cut.from.is_none(),
            explorer => links,
        },
    )
}

/// Which pool, and what the places are given for.
#[derive(Debug, Deserialize)]
pub struct LeaderQuery {
    pool: Option<String>,
    #[serde(default)]
    by: Order,
}

/// The first places.
pub async fn leaderboard(State(site): State<Arc<Site>>, Query(query): Query<LeaderQuery>) -> Page {
    let outlook = site.outlook.load_full();
    let found = pools::named_or_first(&outlook, query.pool.as_deref());
    let Some((pool, asset)) = found.and_then(|pool| Some((pool, outlook.asset(pool.asset)?)))
    else {
        return Err(Trouble::not_found(&site, "There is no such pool here."));
    };
    let id = pool.id;
    let found = read(&site, move |reader| reader.blocks_by_finder(id)).await?;
    let name = |account| site.profiles.public_name(account);
    let leaders = pools::leaders(&site.history, asset, id, &found, query.by, PLACES, name);
    render(
        &site,
        "leaderboard.html",
        context! {
            title => "Leaderboard",
            measure => asset.measure,
            leased => super::leaders(&site, pool),
            leaders,
            by => query.by,
            pool => pool.name,
            sponsored => site.sponsored(Slot::Leaderboard),
        },
    )
}

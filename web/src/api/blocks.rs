//! Blocks and their splits.

use super::ask::{self, Ask, Paging, Segment};
use super::problem::{Answer, Problem, Refusals};
use crate::model::Rows;
use crate::model::blocks::{self as model, Block, Part};
use crate::model::branch::{self, Branch};
use crate::site::Site;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use store::sqlite::RewardFilter;
use utoipa::IntoParams;

/// Which blocks.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BlocksAsk {
    /// Of one pool: its name or number.
    pool: Option<String>,
}

/// Blocks that the pool found, newest first.
#[utoipa::path(get, path = "/api/v1/blocks", tag = "blocks", params(BlocksAsk, Paging), responses(
    (status = 200, description = "Blocks", body = Rows<Block>), Refusals,
))]
pub async fn blocks(
    State(site): State<Arc<Site>>,
    Ask(which): Ask<BlocksAsk>,
    Ask(paging): Ask<Paging>,
) -> Answer<Json<Rows<Block>>> {
    let cut = paging.cut()?;
    let outlook = site.outlook.load_full();
    let filter = match which.pool {
        Some(name) => RewardFilter::Pool(ask::pot(&outlook, &name)?),
        None => RewardFilter::All,
    };
    Ok(Json(site.readers.read(move |reader| model::list(reader, &outlook, filter, cut)).await?))
}

/// One block.
#[utoipa::path(get, path = "/api/v1/blocks/{hash}", tag = "blocks",
    params(("hash" = String, Path, description = "The block's hash, as explorers print it", pattern = "^[0-9a-f]{64}$")),
    responses(
        (status = 200, description = "The block", body = Block), Refusals,
    ))]
pub async fn block(
    State(site): State<Arc<Site>>,
    Segment(hash): Segment<String>,
) -> Answer<Json<Block>> {
    let id = ask::block(&hash)?;
    let outlook = site.outlook.load_full();
    let found = site.readers.read(move |reader| model::find(reader, &outlook, id)).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("The pool did not find this block."))
}

/// How a block was split, by account.
#[utoipa::path(get, path = "/api/v1/blocks/{hash}/split", tag = "blocks",
    params(("hash" = String, Path, description = "The block's hash, as explorers print it", pattern = "^[0-9a-f]{64}$"), Paging),
    responses(
        (status = 200, description = "The parts; the cursor is an account's number", body = Rows<Part>), Refusals,
    ))]
pub async fn split(
    State(site): State<Arc<Site>>,
    Segment(hash): Segment<String>,
    Ask(paging): Ask<Paging>,
) -> Answer<Json<Rows<Part>>> {
    let (id, cut) = (ask::block(&hash)?, paging.cut()?);
    let own = site.clone();
    let found = site.readers.read(move |reader| {
        let is_public = |account| own.profiles.is_public(account);
        model::parts(reader, &own.outlook.load(), id, cut, is_public)
    });
    found.await?.map(Json).ok_or_else(|| Problem::not_found("The pool did not find this block."))
}

/// The transactions that bring an account its part of a block that pays by a tree (BIP-119).
#[utoipa::path(get, path = "/api/v1/blocks/{hash}/branch/{address}", tag = "blocks",
    params(
        ("hash" = String, Path, description = "The block's hash, as explorers print it", pattern = "^[0-9a-f]{64}$"),
        ("address" = String, Path, description = "The account's address"),
    ),
    responses(
        (status = 200, description = "The branch, the transaction that spends the coinbase first", body = Branch), Refusals,
    ))]
pub async fn branch(
    State(site): State<Arc<Site>>,
    Segment((hash, address)): Segment<(String, String)>,
) -> Answer<Json<Branch>> {
    let id = ask::block(&hash)?;
    let named = ask::account(&site, &address).await?;
    let none = || Problem::not_found("No tree of this block pays this address.");
    let account = named.account.ok_or_else(none)?;
    let outlook = site.outlook.load_full();
    let found = site.readers.read(move |reader| branch::find(reader, &outlook, id, account));
    found.await?.map(Json).ok_or_else(none)
}

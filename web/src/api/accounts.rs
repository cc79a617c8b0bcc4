//! One miner, by address.

use super::ask::{self, Ask, Paging, Segment};
use super::problem::{Answer, Problem, Refusals};
use crate::history::{Point, Range};
use crate::model::Rows;
use crate::model::account::{self as model, Account, AccountPayout, Credit, Source};
use crate::site::Site;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// An account: its money, its machines, and its part of the next block.
#[utoipa::path(get, path = "/api/v1/accounts/{address}", tag = "accounts",
    params(("address" = String, Path, description = "The address that it mines with")),
    responses(
        (status = 200, description = "The account; an address that never mined here has zeros", body = Account), Refusals,
    ))]
pub async fn account(
    State(site): State<Arc<Site>>,
    Segment(address): Segment<String>,
) -> Answer<Json<Account>> {
    let named = ask::account(&site, &address).await?;
    site.account(named)
        .await?
        .map(Json)
        .ok_or_else(|| Problem::not_found("This asset is not open."))
}

/// Which chart.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChartAsk {
    /// The pool: its name or number.
    pool: Option<String>,
    /// The span; points are ten minutes or an hour apart.
    #[serde(default)]
    #[param(inline, required = false)]
    range: Range,
}

/// An account's hashrate over time, in one pool: the first of its asset unless another is named.
#[utoipa::path(get, path = "/api/v1/accounts/{address}/hashrate", tag = "accounts",
    params(("address" = String, Path, description = "The address that it mines with"), ChartAsk),
    responses(
        (status = 200, description = "Points, oldest first", body = Vec<Point>), Refusals,
    ))]
pub async fn account_hashrate(
    State(site): State<Arc<Site>>,
    Segment(address): Segment<String>,
    Ask(ChartAsk { pool, range }): Ask<ChartAsk>,
) -> Answer<Json<Vec<Point>>> {
    let named = ask::account(&site, &address).await?;
    let outlook = site.outlook.load_full();
    let pool = match &pool {
        Some(name) => Some(ask::pool(&outlook, name)?),
        None => outlook.pools_of(named.asset).next(),
    };
    let (Some(pool), Some(account)) = (pool, named.account) else { return Ok(Json(Vec::new())) };
    Ok(Json(site.history.chart(pool.id, Some(account), range, site.now()).await?))
}

/// Which credits.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CreditsAsk {
    /// For what.
    #[serde(default)]
    #[param(inline, required = false)]
    source: Source,
}

/// What an account was credited, newest first.
#[utoipa::path(get, path = "/api/v1/accounts/{address}/credits", tag = "accounts",
    params(("address" = String, Path, description = "The address that it mines with"), CreditsAsk, Paging),
    responses(
        (status = 200, description = "Credits", body = Rows<Credit>), Refusals,
    ))]
pub async fn credits(
    State(site): State<Arc<Site>>,
    Segment(address): Segment<String>,
    Ask(CreditsAsk { source }): Ask<CreditsAsk>,
    Ask(paging): Ask<Paging>,
) -> Answer<Json<Rows<Credit>>> {
    let cut = paging.cut()?;
    let named = ask::account(&site, &address).await?;
    let outlook = site.outlook.load_full();
    let found =
        site.readers.read(move |reader| model::credits(reader, &outlook, &named, source, cut));
    Ok(Json(found.await?))
}

/// The payouts of an account, newest first.
#[utoipa::path(get, path = "/api/v1/accounts/{address}/payouts", tag = "accounts",
    params(("address" = String, Path, description = "The address that it mines with"), Paging),
    responses(
        (status = 200, description = "Payouts; the cursor is a payout's number", body = Rows<AccountPayout>), Refusals,
    ))]
pub async fn account_payouts(
    State(site): State<Arc<Site>>,
    Segment(address): Segment<String>,
    Ask(paging): Ask<Paging>,
) -> Answer<Json<Rows<AccountPayout>>> {
    let cut = paging.cut()?;
    let named = ask::account(&site, &address).await?;
    let outlook = site.outlook.load_full();
    let found = site.readers.read(move |reader| model::payouts(reader, &outlook, &named, cut));
    Ok(Json(found.await?))
}

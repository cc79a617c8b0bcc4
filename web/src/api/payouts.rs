//! Payouts and their recipients.

use super::ask::{self, Ask, Paging, Segment};
use super::problem::{Answer, Problem, Refusals};
use crate::model::Rows;
use crate::model::payouts::{self as model, Payout, Recipient};
use crate::site::Site;
use axum::Json;
use axum::extract::State;
use std::sync::Arc;

/// Payouts, newest first.
#[utoipa::path(get, path = "/api/v1/payouts", tag = "payouts", params(Paging), responses(
    (status = 200, description = "Payouts; the cursor is a payout's number", body = Rows<Payout>), Refusals,
))]
pub async fn payouts(
    State(site): State<Arc<Site>>,
    Ask(paging): Ask<Paging>,
) -> Answer<Json<Rows<Payout>>> {
    let (cut, outlook) = (paging.cut()?, site.outlook.load_full());
    Ok(Json(site.readers.read(move |reader| model::list(reader, &outlook, cut)).await?))
}

/// One payout.
#[utoipa::path(get, path = "/api/v1/payouts/{id}", tag = "payouts",
    params(("id" = u64, Path, description = "Its number", maximum = 9_007_199_254_740_991_i64)),
    responses(
        (status = 200, description = "The payout", body = Payout), Refusals,
    ))]
pub async fn payout(
    State(site): State<Arc<Site>>,
    Segment(id): Segment<String>,
) -> Answer<Json<Payout>> {
    let id = ask::number(&id)?;
    let outlook = site.outlook.load_full();
    let found = site.readers.read(move |reader| model::find(reader, &outlook, id)).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("There is no such payout."))
}

/// Who a payout paid, by account.
#[utoipa::path(get, path = "/api/v1/payouts/{id}/recipients", tag = "payouts",
    params(("id" = u64, Path, description = "Its number", maximum = 9_007_199_254_740_991_i64), Paging),
    responses(
        (status = 200, description = "The recipients; the cursor is an account's number", body = Rows<Recipient>), Refusals,
    ))]
pub async fn recipients(
    State(site): State<Arc<Site>>,
    Segment(id): Segment<String>,
    Ask(paging): Ask<Paging>,
) -> Answer<Json<Rows<Recipient>>> {
    let (id, cut, own) = (ask::number(&id)?, paging.cut()?, site.clone());
    let found = site.readers.read(move |reader| {
        let is_public = |account| own.profiles.is_public(account);
        model::recipients(reader, &own.outlook.load(), id, cut, is_public)
    });
    found.await?.map(Json).ok_or_else(|| Problem::not_found("There is no such payout."))
}

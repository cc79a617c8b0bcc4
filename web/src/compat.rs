//! Shapes of other pools' answers, so that tools made for those work here unchanged.
//!
//! Invariant: the same values as our own API, under other names; nothing is reckoned here. Unlike there, amounts are JSON
//! numbers in whole coins, because that is what those tools read.

mod ckpool;
mod gxc;
mod miningcore;

use crate::http::encoded;
use crate::model::Money;
use crate::model::account::Named;
use crate::site::Site;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use store::StoreError;

/// All of them.
pub fn routes() -> Router<Arc<Site>> {
    Router::new().merge(gxc::routes()).merge(miningcore::routes()).merge(ckpool::routes())
}

/// A number of coins.
fn coins(money: &Money) -> f64 {
    money.decimal.parse().unwrap_or(0.0)
}

/// The account of an address.
async fn named(site: &Arc<Site>, address: &str) -> Result<Named, Response> {
    match site.named(address).await {
        Ok(Ok(named)) => Ok(named),
        Ok(Err(_)) => Err((StatusCode::NOT_FOUND, "Miner not found\n").into_response()),
        Err(error) => Err(unavailable(&error)),
    }
}

fn unavailable(error: &StoreError) -> Response {
    tracing::warn!(%error, "an answer in another pool's shape could not be read");
    (StatusCode::SERVICE_UNAVAILABLE, "try again soon\n").into_response()
}

/// A link with an id in it.
fn link(template: Option<&String>, id: &str) -> Option<String> {
    template.map(|template| template.replace("{}", &encoded(id)))
}

//! The pool's own API under `/api/v1`: what the pages say, for programs, described by OpenAPI made from these handlers.
//!
//! Invariant: reads only; what is asked of nodes is what the operator offers by name. Every error is a problem document that says what to do.

pub mod accounts;
pub mod ask;
pub mod audit;
pub mod blocks;
pub mod docs;
pub mod events;
pub mod guard;
pub mod node;
pub mod payouts;
pub mod pools;
pub mod problem;

use crate::site::Site;
use axum::Router;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Adit pool API",
        description = "Amounts come twice: `units` is exact, in the asset's smallest unit; `decimal` is in whole coins. Times are ISO 8601 in UTC. Lists are read a page at a time: pass `next` as `cursor`. Errors are `application/problem+json`.",
        license(name = "MIT OR Apache-2.0")
    ),
    servers((url = "/", description = "This pool")),
    tags(
        (name = "pools", description = "Pools, networks, leaderboards and what mining brings"),
        (name = "blocks", description = "Blocks the pool found, their splits, and what it takes to recompute them"),
        (name = "payouts", description = "Payouts and who they paid"),
        (name = "accounts", description = "One miner, by address"),
        (name = "events", description = "What happens, as it happens"),
        (name = "node", description = "With a key: questions to the pool's nodes, and what the key has used")
    )
)]
struct Description;

/// The routes and their description.
fn described() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(pools::pools))
        .routes(routes!(pools::pool))
        .routes(routes!(pools::activity))
        .routes(routes!(pools::pool_hashrate))
        .routes(routes!(pools::leaderboard))
        .routes(routes!(pools::slices))
        .routes(routes!(pools::networks))
        .routes(routes!(pools::calculator))
        .routes(routes!(pools::totals))
        .routes(routes!(blocks::blocks))
        .routes(routes!(blocks::block))
        .routes(routes!(blocks::split))
        .routes(routes!(blocks::branch))
        .routes(routes!(audit::audit))
        .routes(routes!(payouts::payouts))
        .routes(routes!(payouts::payout))
        .routes(routes!(payouts::recipients))
        .routes(routes!(accounts::account))
        .routes(routes!(accounts::account_hashrate))
        .routes(routes!(accounts::credits))
        .routes(routes!(accounts::account_payouts))
        .routes(routes!(events::events))
        .routes(routes!(node::node))
        .routes(routes!(node::usage))
}

/// The API's routes, and the page that describes them.
pub fn routes() -> Router<Arc<Site>> {
    let (router, description) = described().split_for_parts();
    router.merge(docs::routes(description))
}

/// The description, for tests and tools.
#[must_use]
pub fn description() -> utoipa::openapi::OpenApi {
    described().split_for_parts().1
}

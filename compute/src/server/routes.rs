//! Every path of the API, and who answers it.

use super::{Door, caller, described, miners, reports, rewards, summary, tasks};
use crate::wire::bitsota::BODY_MAX;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use std::sync::Arc;

/// Every route, grouped by who calls it.
pub(super) fn router(door: Arc<Door>) -> Router {
    let miners = Router::new()
        .route("/api/v1/miners/register", post(miners::register))
        .route("/api/v1/miners/stats", get(miners::stats))
        .route("/api/v1/tasks/pending_evaluations", get(tasks::pending))
        .route("/api/v1/tasks/request", post(tasks::request))
        .route("/api/v1/tasks/lease", post(tasks::lease))
        .route("/api/v1/tasks/{id}/submit_lease", post(tasks::submit))
        .route("/api/v1/tasks/{id}/submit_evolution", post(tasks::submit))
        .route("/api/v1/tasks/{id}/submit_evaluation", post(tasks::submit))
        .route("/api/v1/results", get(reports::results))
        .route("/api/v1/results/", get(reports::results))
        .route("/api/v1/results/verify/{id}", post(reports::verify));
    let rewards = Router::new()
        .route("/api/v1/rewards/balance/{hotkey}", get(rewards::balance))
        .route("/api/v1/rewards/{hotkey}/balance", get(rewards::balance))
        .route("/api/v1/rewards/withdraw/{hotkey}", post(rewards::withdraw))
        .route("/api/v1/rewards/{hotkey}/withdraw", post(rewards::withdraw))
        .route("/api/v1/rewards/history/{hotkey}", get(rewards::history))
        .route("/api/v1/rewards/{hotkey}/history", get(rewards::history));
    // The messages that these are signed with are of their own.
    let owners = Router::new()
        .route(
            "/api/v1/miners/recipient-coldkey",
            get(miners::coldkey).put(miners::set_coldkey).post(miners::set_coldkey),
        )
        .route("/api/v1/miners/coldkey_address/update", post(miners::set_coldkey))
        .route("/coldkey_address/update", post(miners::set_coldkey));
    let anybody = Router::new()
        .route("/openapi.json", get(described::openapi))
        .route("/docs", get(described::page))
        .route("/redoc", get(described::page))
        .route("/health", get(reports::health))
        .route("/api/v1/disclaimer", get(reports::disclaimer))
        .route("/api/v1/disclaimer.md", get(reports::disclaimer_text))
        .route("/disclaimer.md", get(reports::disclaimer_text))
        .route("/status", get(reports::status))
        .route("/api/v1/miners/leaderboard", get(miners::leaderboard))
        .route("/api/v1/miners/recipient-coldkey/{hotkey}", get(miners::coldkey_of))
        .route("/api/v1/results/sota", get(reports::sota))
        .route("/claims/health", get(reports::claims_health))
        .route("/claims/epochs", get(reports::epochs))
        .route("/claims/epoch", get(reports::last_epoch))
        .route("/claims/epoch/{id}", get(reports::epoch))
        .route("/claims/epoch/proof/{hotkey}", get(reports::last_proof))
        .route("/claims/epoch/claim/{hotkey}", get(reports::last_proof))
        .route("/claims/epoch/{id}/proof/{hotkey}", get(reports::proof))
        .route("/claims/epoch/{id}/claim/{hotkey}", get(reports::proof));
    let operators = Router::new().route("/api/v1/monitor/summary", get(summary::monitor));
    let miners = miners
        .merge(rewards)
        .layer(axum::middleware::from_fn_with_state(door.clone(), caller::admit_miners));
    let others = owners
        .merge(anybody)
        .merge(operators)
        .layer(axum::middleware::from_fn_with_state(door.clone(), caller::admit));
    // The last one's way is that of paths that are not there.
    miners.merge(others).layer(DefaultBodyLimit::max(BODY_MAX)).with_state(door)
}

//! The API, described for programs (`/openapi.json`) and for people (`/docs`): every path, who may ask, and what for.
//!
//! Invariant: a path that is listed here is answered; the tests ask each.

use axum::Json;
use axum::response::Html;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anybody,
    /// Who signs as a miner.
    Miner,
    /// Who signs the message of a coldkey's change.
    Owner,
    /// Who has the operator's token, if there is one.
    Operator,
}

/// Method, path, who, and what for.
const PATHS: [(&str, &str, Who, &str); 30] = [
    ("get", "/health", Who::Anybody, "Is it well, and when does the window end?"),
    ("get", "/status", Who::Anybody, "The same, with the data set and the pool's public key"),
    ("post", "/api/v1/miners/register", Who::Miner, "Register, or be heard of again"),
    ("get", "/api/v1/miners/stats", Who::Miner, "How your answers held, and what they earned"),
    ("get", "/api/v1/miners/leaderboard", Who::Anybody, "Who earned most"),
    ("get", "/api/v1/miners/recipient-coldkey", Who::Miner, "The coldkey you are paid to"),
    ("put", "/api/v1/miners/recipient-coldkey", Who::Owner, "Name the coldkey to be paid"),
    ("post", "/api/v1/miners/recipient-coldkey", Who::Owner, "The same"),
    (
        "post",
        "/api/v1/miners/coldkey_address/update",
        Who::Owner,
        "The same, in an earlier spelling",
    ),
    ("post", "/coldkey_address/update", Who::Owner, "The same, in an earlier spelling"),
    ("get", "/api/v1/miners/recipient-coldkey/{hotkey}", Who::Anybody, "The coldkey of a hotkey"),
    ("get", "/api/v1/tasks/pending_evaluations", Who::Miner, "Is there anything for you to score?"),
    ("post", "/api/v1/tasks/request", Who::Miner, "A batch of one kind"),
    ("post", "/api/v1/tasks/lease", Who::Miner, "A lease of both kinds"),
    ("post", "/api/v1/tasks/{id}/submit_lease", Who::Miner, "The answer to a lease"),
    ("post", "/api/v1/tasks/{id}/submit_evolution", Who::Miner, "The answer to an evolve batch"),
    ("post", "/api/v1/tasks/{id}/submit_evaluation", Who::Miner, "The answer to an evaluate batch"),
    ("get", "/api/v1/results", Who::Miner, "The best algorithms: limit, task_type, min_score"),
    ("get", "/api/v1/results/sota", Who::Anybody, "The best algorithm"),
    ("post", "/api/v1/results/verify/{id}", Who::Miner, "Refused: the quorum and the pool verify"),
    ("get", "/api/v1/rewards/balance/{hotkey}", Who::Miner, "What you are owed"),
    ("post", "/api/v1/rewards/withdraw/{hotkey}", Who::Miner, "Ask for all of it"),
    ("get", "/api/v1/rewards/history/{hotkey}", Who::Miner, "Epochs and withdrawals"),
    ("get", "/api/v1/disclaimer", Who::Anybody, "What who works here is told first"),
    ("get", "/claims/health", Who::Anybody, "Are reports and proofs served?"),
    ("get", "/claims/epochs", Who::Anybody, "The last epoch that is closed"),
    ("get", "/claims/epoch", Who::Anybody, "Its signed report"),
    ("get", "/claims/epoch/{id}", Who::Anybody, "The signed report of an epoch"),
    (
        "get",
        "/claims/epoch/{id}/proof/{hotkey}",
        Who::Anybody,
        "The Merkle proof of a hotkey's line",
    ),
    ("get", "/api/v1/monitor/summary", Who::Operator, "The lease pipeline and the backlog"),
];

impl Who {
    const fn words(self) -> &'static str {
        match self {
            Who::Anybody => "anybody",
            Who::Miner => "a miner: X-Key, X-Timestamp and X-Signature over auth:TIMESTAMP",
            Who::Owner => {
                "a miner: X-Signature over recipient_coldkey:update:TIMESTAMP:COLDKEY instead"
            }
            Who::Operator => "the operator: X-Monitor-Token, if one is set",
        }
    }

    fn security(self) -> Value {
        match self {
            Who::Anybody => json!([]),
            Who::Miner | Who::Owner => json!([{ "key": [], "timestamp": [], "signature": [] }]),
            Who::Operator => json!([{ "monitor": [] }]),
        }
    }
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> Json<Value> {
    let header = |name: &str| json!({ "type": "apiKey", "in": "header", "name": name });
    let mut paths = Map::new();
    for (method, path, who, what) in PATHS {
        let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let named = named.map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        });
        let operation = json!({
            "summary": what,
            "description": format!("For {}.", who.words()),
            "parameters": named.collect::<Vec<_>>(),
            "security": who.security(),
            "responses": {
                "200": { "description": "JSON" },
                "default": { "description": "JSON with `detail`: what is wrong and what to do" },
            },
        });
        let of_path = paths.entry(path).or_insert_with(|| json!({}));
        of_path[method] = operation;
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": { "title": "Adit: leased compute", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "securitySchemes": {
            "key": header("X-Key"),
            "timestamp": header("X-Timestamp"),
            "signature": header("X-Signature"),
            "monitor": header("X-Monitor-Token"),
        } },
    }))
}

/// `GET /docs`, `GET /redoc`
pub(super) async fn page() -> Html<String> {
    let mut page = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Adit: leased compute</title><h1>Adit: leased compute</h1>\
         <p>For programs: <a href=/openapi.json>openapi.json</a>.</p>\
         <table><thead><tr><th>Request<th>For<th>What</thead><tbody>",
    );
    for (method, path, who, what) in PATHS {
        let (method, who) = (method.to_uppercase(), who.words());
        write!(page, "<tr><td><code>{method} {path}</code><td>{who}<td>{what}")
            .expect("a string takes everything");
    }
    page.push_str("</table>");
    Html(page)
}

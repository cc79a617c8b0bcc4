//! Questions to the pool's nodes, with a key and counted, and what a key has used.

use super::ask::Segment;
use super::guard::Keyed;
use super::problem::{Answer, Problem, Refusals};
use crate::node::NodeTrouble;
use crate::server::Way;
use crate::site::Site;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// Bytes of a question.
const QUESTION_MAX: usize = 64 * 1024;
/// JSON-RPC's code for a method that is not there.
const NO_METHOD: i64 = -32601;

/// A question, as JSON-RPC has it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Question {
    /// Given back with the answer.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    id: Value,
    /// One of those that the operator offers.
    method: String,
    /// As the node wants them.
    #[serde(default)]
    params: Vec<Value>,
}

fn keyed(key: Option<Extension<Keyed>>, way: Way) -> Answer<Keyed> {
    let Some(Extension(key)) = key else {
        return Err(Problem::unauthorized(
            "This needs an API key, sent as X-Api-Key; ask the operator for one.",
        ));
    };
    if !way.is_private() {
        return Err(Problem::forbidden(
            "A key is not to be sent over a line that others can read: use https.",
        ));
    }
    Ok(key)
}

/// Asks the node of an asset. Each question counts for the key's quota.
#[utoipa::path(post, path = "/api/v1/node/{asset}", tag = "node",
    params(("asset" = String, Path, description = "The asset's name")),
    request_body = Question,
    responses(
        (status = 200, description = "JSON-RPC 2.0: `result`, or `error` with the node's code and words", body = Value),
        (status = 401, description = "Without a key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Over a line that others can read, or with a key that is not known", body = Problem, content_type = "application/problem+json"),
        Refusals,
    ))]
pub async fn node(
    State(site): State<Arc<Site>>,
    Segment(asset): Segment<String>,
    way: Way,
    key: Option<Extension<Keyed>>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let key = keyed(key, way)?;
    if body.len() > QUESTION_MAX {
        return Err(Problem::bad(format!("A question has at most {QUESTION_MAX} bytes.")));
    }
    let Some(offered) = site.nodes.methods(&asset) else {
        return Err(Problem::not_found("No node of such an asset can be asked here."));
    };
    let question: Question = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad(format!("This is no JSON-RPC question: {error}.")))?;
    let Question { id, method, params } = question;
    let error = |code: i64, message: String| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
    if !offered.contains(&method) {
        let known: Vec<&str> = offered.iter().map(String::as_str).collect();
        let text = format!("this method is not offered; these are: {}", known.join(", "));
        return Ok(Json(error(NO_METHOD, text)));
    }
    site.keys.count_call(key.0, &asset, &method, site.now()).await?;
    Ok(Json(match site.nodes.ask(&asset, &method, Value::from(params)).await {
        Some(Ok(result)) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Some(Err(NodeTrouble::Refused { code, message })) => error(code, message),
        Some(Err(NodeTrouble::Silent(text))) => {
            tracing::warn!(asset, method, text, "a node did not answer a program");
            return Err(Problem::unavailable("The node does not answer now; try again soon."));
        }
        None => error(NO_METHOD, "this method is not offered".into()),
    }))
}

/// What a key has used.
#[derive(Debug, Serialize, ToSchema)]
pub struct Usage {
    /// What it is for.
    pub label: String,
    /// Its tier.
    pub tier: String,
    /// Questions a minute.
    pub per_minute: u32,
    /// Questions a day.
    pub per_day: u64,
    /// Questions today, this one included.
    pub used_today: u64,
    /// Questions to nodes, by day and method, newest first.
    pub node_calls: Vec<Calls>,
}

/// Questions of one kind on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Calls {
    /// The day, in UTC.
    pub day: String,
    /// The asset.
    pub asset: String,
    /// The method.
    pub method: String,
    /// How many.
    pub calls: u64,
}

/// What this key has used.
#[utoipa::path(get, path = "/api/v1/usage", tag = "node", responses(
    (status = 200, description = "Its quota and its use", body = Usage),
    (status = 401, description = "Without a key", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Over a line that others can read, or with a key that is not known", body = Problem, content_type = "application/problem+json"),
    Refusals,
))]
pub async fn usage(
    State(site): State<Arc<Site>>,
    way: Way,
    key: Option<Extension<Keyed>>,
) -> Answer<Json<Usage>> {
    let key = keyed(key, way)?;
    let found = site.keys.usage(key.0, site.now()).await?;
    found.map(Json).ok_or_else(|| Problem::forbidden("This API key is not known here."))
}

//! bitcoind's JSON-RPC over HTTP/1.1, as far as a pool needs it: its method names, shapes, error codes and status codes.
//!
//! Invariant: what differs from bitcoind is not here at all (an unknown method says so), never here with another meaning.

mod blocks;
mod mining;
mod transactions;
mod values;

use crate::devnet::Shared;
use bitcoin::hex::DisplayHex;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

/// The largest request: a full block as hex.
const REQUEST_MAX: usize = 16 << 20;

/// An RPC error, with Core's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    /// Core's number for it.
    pub code: i64,
    /// What it says.
    pub message: String,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        RpcError { code, message: message.into() }
    }
}

/// Core's numbers.
pub(crate) mod code {
    pub const TYPE: i64 = -3;
    pub const ADDRESS_OR_KEY: i64 = -5;
    pub const PARAMETER: i64 = -8;
    pub const DESERIALIZATION: i64 = -22;
    pub const VERIFY: i64 = -25;
    pub const VERIFY_REJECTED: i64 = -26;
    pub const ALREADY_IN_CHAIN: i64 = -27;
    pub const METHOD_NOT_FOUND: i64 = -32601;
    pub const INVALID_REQUEST: i64 = -32600;
    pub const PARSE: i64 = -32700;
}

/// A call's answer: a value, or JSON text that is ready already.
pub(crate) enum Answer {
    Value(Value),
    Text(String),
}

pub(crate) type Outcome = Result<Answer, RpcError>;

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Answer::Value(value)
    }
}

/// A value as a successful outcome.
pub(crate) fn done(value: Value) -> Outcome {
    Ok(Answer::Value(value))
}

/// Answers one HTTP request.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    if request.method() != Method::POST {
        return respond(
            StatusCode::METHOD_NOT_ALLOWED,
            "JSONRPC server handles only POST requests".into(),
        );
    }
    let authorized = request
        .headers()
        .get("authorization")
        .is_some_and(|value| value.as_bytes() == shared.credentials);
    if !authorized {
        let mut response = respond(StatusCode::UNAUTHORIZED, String::new());
        response.headers_mut().insert(
            "www-authenticate",
            hyper::header::HeaderValue::from_static("Basic realm=\"jsonrpc\""),
        );
        return response;
    }
    let Ok(body) = Limited::new(request.into_body(), REQUEST_MAX).collect().await else {
        return respond(StatusCode::BAD_REQUEST, String::new());
    };
    match serde_json::from_slice::<Value>(&body.to_bytes()) {
        Ok(Value::Array(batch)) => {
            let mut replies = Vec::with_capacity(batch.len());
            for call in batch {
                replies.push(answer(&shared, call).await.1);
            }
            respond(StatusCode::OK, format!("[{}]", replies.join(",")))
        }
        Ok(call) => {
            let (status, reply) = answer(&shared, call).await;
            respond(status, reply)
        }
        Err(_) => {
            let error = RpcError::new(code::PARSE, "Parse error");
            respond(StatusCode::INTERNAL_SERVER_ERROR, reply(&Value::Null, Err(error)))
        }
    }
}

async fn answer(shared: &Arc<Shared>, mut call: Value) -> (StatusCode, String) {
    let id = call.get("id").cloned().unwrap_or(Value::Null);
    let params = call.get_mut("params").map(Value::take).unwrap_or(Value::Null);
    let outcome = match call.get("method").and_then(Value::as_str) {
        Some(method) => dispatch(shared, method, &Params::new(params)).await,
        None => Err(RpcError::new(code::INVALID_REQUEST, "Method must be a string")),
    };
    let status = match &outcome {
        Ok(_) => StatusCode::OK,
        Err(error) if error.code == code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        Err(error) if error.code == code::INVALID_REQUEST => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, reply(&id, outcome))
}

fn reply(id: &Value, outcome: Outcome) -> String {
    match outcome {
        Ok(Answer::Value(value)) => format!("{{\"result\":{value},\"error\":null,\"id\":{id}}}"),
        Ok(Answer::Text(text)) => format!("{{\"result\":{text},\"error\":null,\"id\":{id}}}"),
        Err(error) => {
            let error = json!({ "code": error.code, "message": error.message });
            format!("{{\"result\":null,\"error\":{error},\"id\":{id}}}")
        }
    }
}

fn respond(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}

/// The methods there are, as `help` lists them.
const METHODS: [&str; 32] = [
    "estimatesmartfee",
    "generatetoaddress",
    "getbestblockhash",
    "getblock",
    "getblockchaininfo",
    "getblockcount",
    "getblockhash",
    "getblockheader",
    "getblocktemplate",
    "getchaintips",
    "getconnectioncount",
    "getdeploymentinfo",
    "getdifficulty",
    "getmempoolentry",
    "getmempoolinfo",
    "getmininginfo",
    "getnetworkinfo",
    "getpeerinfo",
    "getrawmempool",
    "gettxspendingprevout",
    "getrawtransaction",
    "gettxout",
    "getzmqnotifications",
    "help",
    "invalidateblock",
    "reconsiderblock",
    "sendrawtransaction",
    "stop",
    "submitblock",
    "testmempoolaccept",
    "uptime",
    "validateaddress",
];

/// One arm a method: this is the list of what there is.
async fn dispatch(shared: &Arc<Shared>, method: &str, params: &Params) -> Outcome {
    match method {
        "getblocktemplate" => mining::get_block_template(shared, params).await,
        "submitblock" => mining::submit_block(shared, params),
        "generatetoaddress" => mining::generate_to_address(shared, params),
        "getmininginfo" => mining::get_mining_info(shared),
        "getblockchaininfo" => blocks::get_blockchain_info(shared),
        "getblockcount" => done(shared.chain().height().into()),
        "getbestblockhash" => done(shared.chain().tip().to_string().into()),
        "getblockhash" => blocks::get_block_hash(shared, params),
        "getblockheader" => blocks::get_block_header(shared, params),
        "getblock" => blocks::get_block(shared, params),
        "getchaintips" => blocks::get_chain_tips(shared),
        "getdeploymentinfo" => blocks::get_deployment_info(shared),
        "getdifficulty" => done(values::difficulty(shared.chain().params.bits).into()),
        "invalidateblock" => blocks::invalidate(shared, params),
        "reconsiderblock" => blocks::reconsider(shared, params),
        "sendrawtransaction" => transactions::send_raw(shared, params),
        "testmempoolaccept" => transactions::test_mempool_accept(shared, params),
        "getrawtransaction" => transactions::get_raw(shared, params),
        "gettxout" => transactions::get_tx_out(shared, params),
        "getrawmempool" => transactions::get_raw_mempool(shared, params),
        "getmempoolentry" => transactions::get_mempool_entry(shared, params),
        "gettxspendingprevout" => transactions::get_tx_spending_prevout(shared, params),
        "getmempoolinfo" => transactions::get_mempool_info(shared),
        // Like Core on a fresh regtest.
        "estimatesmartfee" => {
            done(json!({ "errors": ["Insufficient data or no feerate found"], "blocks": 2 }))
        }
        "validateaddress" => transactions::validate_address(params),
        "getnetworkinfo" => done(values::network_info()),
        "getconnectioncount" => done(0.into()),
        "getpeerinfo" | "getzmqnotifications" => done(json!([])),
        "uptime" => done(shared.uptime_s().into()),
        "help" => done(METHODS.join("\n").into()),
        "stop" => {
            shared.cancel.cancel();
            done("Adit devnet stopping".into())
        }
        _ => Err(RpcError::new(code::METHOD_NOT_FOUND, "Method not found")),
    }
}

/// A call's parameters, by position or by name.
pub(crate) struct Params(Value);

impl Params {
    fn new(value: Value) -> Self {
        Params(value)
    }

    /// The parameter at a position, under any of its names.
    pub(crate) fn get(&self, at: usize, name: &str) -> &Value {
        let found = match &self.0 {
            Value::Array(list) => list.get(at),
            Value::Object(named) => named.get(name),
            _ => None,
        };
        found.unwrap_or(&Value::Null)
    }

    pub(crate) fn text(&self, at: usize, name: &str) -> Result<&str, RpcError> {
        let wrong = || {
            RpcError::new(
                code::TYPE,
                format!("JSON value of {name} is not of expected type string"),
            )
        };
        self.get(at, name).as_str().ok_or_else(wrong)
    }

    pub(crate) fn number(&self, at: usize, name: &str) -> Result<u64, RpcError> {
        let wrong = || {
            RpcError::new(
                code::TYPE,
                format!("JSON value of {name} is not of expected type number"),
            )
        };
        self.get(at, name).as_u64().ok_or_else(wrong)
    }
}

/// Bytes as hex text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.to_lower_hex_string()
}

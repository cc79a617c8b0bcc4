//! The words around the chain: methods, their parameters in their order, and what goes wrong.
//!
//! Invariant: an answer has a `result` and no `error`, or an `error` and no `result`, as the node gives them.

use super::ledger::{Block, COIN, Ledger, coins};
use serde_json::{Value, json};

/// What the node says when it does not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its code.
    pub code: i64,
    /// Its words.
    pub message: String,
}

impl Failure {
    /// A code and its words.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }
}

/// Answers the body of a request.
#[must_use]
pub fn answer(ledger: &mut Ledger, body: &str, now: u64) -> Value {
    let failed = |id: &Value, failure: Failure| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": failure.code, "message": failure.message } });
    if body.is_empty() {
        return failed(
            &Value::Null,
            Failure::new(-32700, "Empty POST body - expected JSON-RPC request"),
        );
    }
    let request: Value = match serde_json::from_str(body) {
        Ok(request) => request,
        Err(error) => {
            return failed(&Value::Null, Failure::new(-32700, format!("Parse error: {error}")));
        }
    };
    let id = request["id"].clone();
    if request["jsonrpc"] != "2.0" {
        return failed(&id, Failure::new(-32600, "Invalid Request: jsonrpc must be \"2.0\""));
    }
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let empty = Vec::new();
    let params = request["params"].as_array().unwrap_or(&empty);
    match call(ledger, &method, params, now) {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(failure) => failed(&id, failure),
    }
}

fn call(ledger: &mut Ledger, method: &str, params: &[Value], now: u64) -> Result<Value, Failure> {
    let word = |at: usize| params.get(at).and_then(Value::as_str).map(str::to_owned);
    match method {
        "getblocktemplate" | "gxc_getBlockTemplate" => {
            let asked = params.first().unwrap_or(&Value::Null);
            let keys = ["minerAddress", "miner_address", "address"];
            let miner = keys.iter().find_map(|key| asked[*key].as_str()).map(str::to_owned);
            let miner = miner.or_else(|| ledger.wallet.iter().next().cloned()).unwrap_or_default();
            Ok(ledger.template(&miner, now))
        }
        "submitblock" | "gxc_submitBlock" => {
            let block = match params.first() {
                Some(Value::String(text)) => serde_json::from_str(text).map_err(|error| {
                    Failure::new(-32603, format!("Failed to submit block: {error}"))
                })?,
                Some(block) => block.clone(),
                None => return Err(Failure::new(-32602, "Invalid params")),
            };
            ledger.submit(&block, now).map(|()| Value::Null)
        }
        "getblockcount" => Ok(json!(ledger.length())),
        "getbestblockhash" => Ok(json!(ledger.tip().hash)),
        "getdifficulty" => Ok(json!(ledger.difficulty)),
        "getblockchaininfo" => Ok(chain_info(ledger)),
        "getblock" => get_block(ledger, params.first()),
        "gettransaction" => match ledger.transaction(&word(0).unwrap_or_default()) {
            Some((height, tx)) => {
                let mut shown = tx.clone();
                shown["blockheight"] = json!(height);
                shown["confirmations"] = json!(ledger.length() - height);
                Ok(shown)
            }
            None => Err(Failure::new(-8, "Transaction not found")),
        },
        "getrawmempool" => Ok(json!(ledger.waiting())),
        "getbalance" | "gxc_getBalance" => {
            let address = word(0).or_else(|| ledger.wallet.iter().next().cloned());
            Ok(json!(coins(ledger.balance(&address.unwrap_or_default()))))
        }
        "estimatefee" => Ok(json!({
            "fee": 0.001, "recommended_fee": 0.001, "base_fee": 0.001, "max_fee": 0.01,
            "fee_tiers": { "low": 0.001, "medium": 0.001, "high": 0.002, "very_high": 0.005 },
            "pending_transactions": ledger.waiting().len(), "current_tier": "low"
        })),
        "validateaddress" => {
            let address = word(0).unwrap_or_default();
            let ok = (26..=62).contains(&address.len())
                && address.chars().all(|c| c.is_ascii_alphanumeric());
            Ok(json!({
                "isvalid": ok, "address": address, "ismine": ledger.wallet.contains(&address),
                "isscript": false, "iswatchonly": false
            }))
        }
        "sendtoaddress" | "gxc_sendToAddress" => send(ledger, params, now),
        _ => Err(Failure::new(-32601, format!("Method not found: {method}"))),
    }
}

fn chain_info(ledger: &Ledger) -> Value {
    let chain = if ledger.net == super::Net::Test { "test" } else { "main" };
    json!({
        "chain": chain, "blocks": ledger.length(), "height": ledger.length() - 1,
        "bestblockhash": ledger.tip().hash, "difficulty": ledger.difficulty, "mediantime": ledger.tip().time,
        "chainwork": "0", "block_reward": 50.0, "reward": 50.0
    })
}

fn get_block(ledger: &Ledger, asked: Option<&Value>) -> Result<Value, Failure> {
    let height = match asked {
        Some(Value::String(text)) if text == "latest" => Some(ledger.length() - 1),
        Some(Value::String(text)) => ledger.height_of(text).or_else(|| text.parse().ok()),
        Some(number) => number.as_u64(),
        None => Some(ledger.length() - 1),
    };
    let found = height.and_then(|height| Some((height, ledger.at(height)?)));
    let (height, block) = found.ok_or_else(|| Failure::new(-8, "Block not found"))?;
    Ok(shown(ledger, height, block))
}

fn shown(ledger: &Ledger, height: u64, block: &Block) -> Value {
    json!({
        "hash": block.hash, "height": height, "confirmations": ledger.length() - height, "merkleroot": "",
        "time": block.time, "nonce": block.nonce, "difficulty": ledger.difficulty, "previousblockhash": block.prev,
        "miner": block.miner, "reward": 50.0, "consensustype": block.consensus, "tx": block.transactions,
        "nTx": block.transactions.len(), "feeburnrate": 6.95e-310
    })
}

/// `[to, amount, from?]`, the amount as a number or as text.
fn send(ledger: &mut Ledger, params: &[Value], now: u64) -> Result<Value, Failure> {
    let kind = |value: &Value| match value {
        Value::String(_) => "string",
        Value::Number(_) => "number",
        _ => "null",
    };
    let to = params.first().and_then(Value::as_str).ok_or_else(|| {
        let got = params.first().map_or("null", kind);
        Failure::new(
            -32603,
            format!("[json.exception.type_error.302] type must be string, but is {got}"),
        )
    })?;
    let amount = match params.get(1) {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let amount = amount.ok_or_else(|| Failure::new(-32603, "stod"))?;
    let from = match params.get(2) {
        Some(Value::String(from)) => from.clone(),
        Some(other) => {
            let text = format!("type must be string, but is {}", kind(other));
            return Err(Failure::new(-32603, text));
        }
        None => ledger.wallet.iter().next().cloned().unwrap_or_default(),
    };
    let units = (amount * COIN as f64).round() as i64;
    ledger.send(to, units, &from, now).map(Value::String)
}

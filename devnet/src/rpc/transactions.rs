//! Calls about transactions.

use super::{Outcome, Params, RpcError, code, done, values};
use crate::chain::Chain;
use crate::devnet::Shared;
use crate::mempool::Waiting;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hex::FromHex;
use bitcoin::{Address, Network, OutPoint, Transaction, Txid};
use serde_json::{Value, json};

fn transaction_from(text: &str) -> Result<Transaction, RpcError> {
    let wrong = || {
        RpcError::new(
            code::DESERIALIZATION,
            "TX decode failed. Make sure the tx has at least one input.",
        )
    };
    let bytes = Vec::from_hex(text).map_err(|_| wrong())?;
    deserialize(&bytes).map_err(|_| wrong())
}

fn txid(params: &Params) -> Result<Txid, RpcError> {
    let text = params.text(0, "txid")?;
    text.parse().map_err(|_| {
        RpcError::new(code::PARAMETER, format!("parameter 1 must be of length 64 (not '{text}')"))
    })
}

pub(super) fn send_raw(shared: &Shared, params: &Params) -> Outcome {
    let tx = transaction_from(params.text(0, "hexstring")?)?;
    let txid = tx.compute_txid();
    let now = shared.now_s();
    let outcome = shared.change(|chain| {
        // Core's broadcast is idempotent: a transaction that waits already is sent again, without an error.
        if chain.mempool.contains(&txid) {
            return Ok(txid);
        }
        if chain.mined_transaction(&txid).is_some() {
            return Err(RpcError::new(
                code::ALREADY_IN_CHAIN,
                "Transaction outputs already in utxo set",
            ));
        }
        chain.accept_transaction(tx, now).map_err(|reason| {
            let code = if reason.0.contains("missingorspent") {
                code::VERIFY
            } else {
                code::VERIFY_REJECTED
            };
            RpcError::new(code, reason.to_string())
        })
    });
    outcome.and_then(|txid| done(txid.to_string().into()))
}

pub(super) fn test_mempool_accept(shared: &Shared, params: &Params) -> Outcome {
    let list = params.get(0, "rawtxs").as_array().cloned().unwrap_or_default();
    let mut results = Vec::with_capacity(list.len());
    for text in &list {
        let tx = transaction_from(text.as_str().unwrap_or_default())?;
        let (txid, wtxid) = (tx.compute_txid().to_string(), tx.compute_wtxid().to_string());
        let mut result = json!({ "txid": txid, "wtxid": wtxid });
        match shared.chain().judge_transaction(&tx) {
            Ok(judged) => {
                result["allowed"] = true.into();
                result["vsize"] = tx.vsize().into();
                result["fees"] = json!({ "base": values::coins(judged.fee) });
            }
            Err(reason) => {
                result["allowed"] = false.into();
                result["reject-reason"] = reason.to_string().into();
            }
        }
        results.push(result);
    }
    done(results.into())
}

pub(super) fn get_raw(shared: &Shared, params: &Params) -> Outcome {
    let txid = txid(params)?;
    let chain = shared.chain();
    let mined = chain.mined_transaction(&txid);
    let (tx, block) = match (chain.mempool.get(&txid), mined) {
        (Some(waiting), _) => (waiting.tx.clone(), None),
        (None, Some((block, tx))) => (tx, Some(block)),
        (None, None) => {
            let text = "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.";
            return Err(RpcError::new(code::ADDRESS_OR_KEY, text));
        }
    };
    let verbose = match params.get(1, "verbose") {
        Value::Bool(verbose) => *verbose,
        value => value.as_u64().unwrap_or(0) > 0,
    };
    if !verbose {
        return done(super::hex(&serialize(&tx)).into());
    }
    let mut value = values::transaction(&tx);
    if let Some(entry) = block.and_then(|block| chain.entry(&block)) {
        let hash = entry.block.block_hash();
        value["blockhash"] = hash.to_string().into();
        value["confirmations"] = chain.confirmations(&hash).into();
        value["time"] = entry.block.header.time.into();
        value["blocktime"] = entry.block.header.time.into();
    }
    done(value)
}

pub(super) fn get_tx_out(shared: &Shared, params: &Params) -> Outcome {
    let vout = u32::try_from(params.number(1, "n")?).unwrap_or(u32::MAX);
    let outpoint = OutPoint::new(txid(params)?, vout);
    let include_mempool = params.get(2, "include_mempool") != &Value::Bool(false);
    let chain = shared.chain();
    if include_mempool && chain.mempool.spender(&outpoint).is_some() {
        return done(Value::Null);
    }
    let unconfirmed = if include_mempool { chain.mempool.output(&outpoint) } else { None };
    let Some(coin) = chain.coin(&outpoint).cloned().or(unconfirmed) else {
        return done(Value::Null);
    };
    let confirmations =
        if coin.height > chain.height() { 0 } else { chain.height() - coin.height + 1 };
    done(json!({
        "bestblock": chain.tip().to_string(),
        "confirmations": confirmations,
        "value": values::coins(coin.output.value.to_sat()),
        "scriptPubKey": values::script(&coin.output),
        "coinbase": coin.is_coinbase,
    }))
}

pub(super) fn get_raw_mempool(shared: &Shared, params: &Params) -> Outcome {
    let chain = shared.chain();
    if params.get(0, "verbose") == &Value::Bool(true) {
        let all = chain
            .mempool
            .iter()
            .map(|waiting| (waiting.tx.compute_txid().to_string(), entry(&chain, waiting)));
        return done(Value::Object(all.collect()));
    }
    done(chain.mempool.iter().map(|waiting| waiting.tx.compute_txid().to_string()).collect())
}

pub(super) fn get_mempool_entry(shared: &Shared, params: &Params) -> Outcome {
    let txid = txid(params)?;
    let chain = shared.chain();
    let waiting = chain.mempool.get(&txid);
    let waiting =
        waiting.ok_or_else(|| RpcError::new(code::ADDRESS_OR_KEY, "Transaction not in mempool"))?;
    done(entry(&chain, waiting))
}

/// Which waiting transaction spends each of these coins.
pub(super) fn get_tx_spending_prevout(shared: &Shared, params: &Params) -> Outcome {
    let bad = |text: &str| RpcError::new(code::PARAMETER, text);
    let asked = params.get(0, "outputs").as_array();
    let asked = asked.filter(|list| !list.is_empty());
    let asked = asked.ok_or_else(|| bad("Invalid parameter, outputs are missing"))?;
    let chain = shared.chain();
    let mut answers = Vec::with_capacity(asked.len());
    for output in asked {
        let txid: Option<Txid> = output["txid"].as_str().and_then(|text| text.parse().ok());
        let vout = output["vout"].as_u64().and_then(|vout| u32::try_from(vout).ok());
        let (Some(txid), Some(vout)) = (txid, vout) else {
            return Err(bad("Invalid parameter, an output has a txid and a vout"));
        };
        let mut answer = json!({ "txid": txid.to_string(), "vout": vout });
        if let Some(spender) = chain.mempool.spender(&OutPoint { txid, vout }) {
            answer["spendingtxid"] = spender.to_string().into();
        }
        answers.push(answer);
    }
    done(answers.into())
}

fn entry(chain: &Chain, waiting: &Waiting) -> Value {
    let parents = waiting.tx.input.iter().map(|input| input.previous_output.txid);
    let depends: Vec<String> =
        parents.filter(|txid| chain.mempool.contains(txid)).map(|t| t.to_string()).collect();
    json!({
        "vsize": waiting.tx.vsize(),
        "weight": waiting.tx.weight().to_wu(),
        "time": waiting.time_s,
        "height": chain.height(),
        "wtxid": waiting.tx.compute_wtxid().to_string(),
        "fees": { "base": values::coins(waiting.fee), "modified": values::coins(waiting.fee) },
        "depends": depends,
        "bip125-replaceable": true,
        "unbroadcast": false,
    })
}

pub(super) fn get_mempool_info(shared: &Shared) -> Outcome {
    let chain = shared.chain();
    let (bytes, fees) = chain
        .mempool
        .iter()
        .fold((0, 0), |(bytes, fees), w| (bytes + w.tx.vsize() as u64, fees + w.fee));
    done(json!({
        "loaded": true,
        "size": chain.mempool.len(),
        "bytes": bytes,
        "total_fee": values::coins(fees),
        "mempoolminfee": values::coins(1000),
        "minrelaytxfee": values::coins(1000),
        "incrementalrelayfee": values::coins(1000),
        "fullrbf": true,
    }))
}

pub(super) fn validate_address(params: &Params) -> Outcome {
    let text = params.text(0, "address")?;
    let address = text
        .parse::<Address<_>>()
        .ok()
        .and_then(|address| address.require_network(Network::Regtest).ok());
    done(match address {
        Some(address) => json!({
            "isvalid": true,
            "address": address.to_string(),
            "scriptPubKey": super::hex(address.script_pubkey().as_bytes()),
        }),
        None => {
            json!({ "isvalid": false, "error": "Invalid or unsupported Segwit (Bech32) or Base58 encoding." })
        }
    })
}

//! Calls about making blocks.

use super::{Answer, Outcome, Params, RpcError, code, done, values};
use crate::chain::{Chain, Submitted};
use crate::check;
use crate::devnet::{Shared, TemplateCache};
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hex::FromHex;
use bitcoin::{Address, Block, Network, Transaction, Txid};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

fn block_from(text: &str) -> Result<Block, RpcError> {
    let wrong = || RpcError::new(code::DESERIALIZATION, "Block decode failed");
    let bytes = Vec::from_hex(text).map_err(|_| wrong())?;
    deserialize(&bytes).map_err(|_| wrong())
}

pub(super) fn submit_block(shared: &Shared, params: &Params) -> Outcome {
    let mut block = block_from(params.text(0, "hexdata")?)?;
    check::complete_witness(&mut block);
    done(match shared.submit(block) {
        Submitted::NewTip => Value::Null,
        Submitted::SideChain => "inconclusive".into(),
        Submitted::Known => "duplicate".into(),
        Submitted::Refused(reason) => reason.to_string().into(),
    })
}

pub(super) fn generate_to_address(shared: &Shared, params: &Params) -> Outcome {
    let count = params.number(0, "nblocks")?;
    let address = params.text(1, "address")?;
    let wrong = || RpcError::new(code::ADDRESS_OR_KEY, "Error: Invalid address");
    let address: Address<_> = address.parse().map_err(|_| wrong())?;
    let script = address.require_network(Network::Regtest).map_err(|_| wrong())?.script_pubkey();
    let hashes: Vec<String> = (0..count).map(|_| shared.mine(&script).to_string()).collect();
    done(hashes.into())
}

pub(super) fn get_mining_info(shared: &Shared) -> Outcome {
    let chain = shared.chain();
    let difficulty = values::difficulty(chain.params.bits);
    done(json!({
        "blocks": chain.height(),
        "bits": values::bits(chain.params.bits),
        "difficulty": difficulty,
        "target": values::target(chain.params.bits),
        "networkhashps": network_hashes_per_s(&chain),
        "pooledtx": chain.mempool.len(),
        "chain": "regtest",
        "next": {
            "height": chain.height() + 1,
            "bits": values::bits(chain.params.bits),
            "difficulty": difficulty,
            "target": values::target(chain.params.bits),
        },
        "warnings": [],
    }))
}

/// Work over time of the last 120 blocks, as Core estimates it.
fn network_hashes_per_s(chain: &Chain) -> f64 {
    let first = chain.height().saturating_sub(120);
    let time_at = |height| {
        let entry = chain
            .hash_at(height)
            .and_then(|hash| chain.entry(&hash).map(|entry| entry.block.header.time));
        f64::from(entry.unwrap_or(0))
    };
    let seconds = time_at(chain.height()) - time_at(first);
    let work =
        values::difficulty(chain.params.bits) * 4_294_967_296.0 * f64::from(chain.height() - first);
    if seconds > 0.0 { work / seconds } else { 0.0 }
}

pub(super) async fn get_block_template(shared: &Arc<Shared>, params: &Params) -> Outcome {
    let request = params.get(0, "template_request");
    match request.get("mode").and_then(Value::as_str) {
        None | Some("template") => {}
        Some("proposal") => return propose(shared, request),
        Some(_) => return Err(RpcError::new(code::PARAMETER, "Invalid mode")),
    }
    if let Some(id) = request.get("longpollid").and_then(Value::as_str) {
        shared.wait_for_change(id).await;
    }
    let rules = request.get("rules").and_then(Value::as_array);
    if !rules.is_some_and(|rules| rules.iter().any(|rule| rule == "segwit")) {
        let text = "getblocktemplate must be called with the segwit rule set (call with {\"rules\": [\"segwit\"]})";
        return Err(RpcError::new(code::PARAMETER, text));
    }
    Ok(Answer::Text(template(shared)))
}

fn propose(shared: &Shared, request: &Value) -> Outcome {
    let data = request.get("data").and_then(Value::as_str);
    let data =
        data.ok_or_else(|| RpcError::new(code::TYPE, "Missing data String key for proposal"))?;
    let block = block_from(data)?;
    let chain = shared.chain();
    done(match chain.judge_proposal(&block, shared.now_s()) {
        Ok(()) => Value::Null,
        Err(reason) => reason.to_string().into(),
    })
}

/// The template as JSON text; the part with the transactions is kept for as long as it is true.
fn template(shared: &Shared) -> String {
    let chain = shared.chain();
    let cache = shared.template_cache(&chain, || render_transactions(&chain));
    let height = chain.height() + 1;
    let bits = chain.params.bits;
    let head = json!({
        "capabilities": ["proposal"],
        "version": 0x2000_0000,
        "rules": ["csv", "!segwit", "taproot"],
        "vbavailable": {},
        "vbrequired": 0,
        "previousblockhash": chain.tip().to_string(),
        "coinbaseaux": {},
        "coinbasevalue": chain.params.subsidy(height) + cache.fees,
        "longpollid": shared.long_poll_id(&chain),
        "target": values::target(bits),
        "mintime": chain.min_time(),
        "mutable": ["time", "transactions", "prevblock"],
        "noncerange": "00000000ffffffff",
        "sigoplimit": 80_000,
        "sizelimit": 4_000_000,
        "weightlimit": 4_000_000,
        "curtime": u32::try_from(shared.now_s()).unwrap_or(u32::MAX).max(chain.min_time()),
        "bits": values::bits(bits),
        "height": height,
        "default_witness_commitment": cache.commitment,
    })
    .to_string();
    let open = head.strip_suffix('}').unwrap_or(&head);
    format!("{open},\"transactions\":{}}}", cache.transactions)
}

fn render_transactions(chain: &Chain) -> TemplateCache {
    let selection = chain.selection();
    let place: HashMap<Txid, usize> = selection
        .iter()
        .enumerate()
        .map(|(at, waiting)| (waiting.tx.compute_txid(), at + 1))
        .collect();
    let mut list = Vec::with_capacity(selection.len());
    let mut all: Vec<Transaction> = Vec::with_capacity(selection.len() + 1);
    // The coinbase's own witness id counts as zero, so any transaction may stand for it here.
    all.push(crate::params::Params::default().genesis().txdata.remove(0));
    for waiting in &selection {
        let tx = &waiting.tx;
        let parents = tx.input.iter().filter_map(|input| place.get(&input.previous_output.txid));
        list.push(json!({
            "data": super::hex(&serialize(tx)),
            "txid": tx.compute_txid().to_string(),
            "hash": tx.compute_wtxid().to_string(),
            "depends": parents.collect::<Vec<_>>(),
            "fee": waiting.fee,
            "sigops": waiting.operations,
            "weight": tx.weight().to_wu(),
        }));
        all.push(tx.clone());
    }
    let commitment = check::witness_commitment(&all, &[0; 32]);
    TemplateCache {
        fees: selection.iter().map(|waiting| waiting.fee).sum(),
        commitment: format!("6a24aa21a9ed{}", super::hex(&commitment)),
        transactions: Value::from(list).to_string().into(),
    }
}

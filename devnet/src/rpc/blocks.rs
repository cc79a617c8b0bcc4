//! Calls about blocks and chains.

use super::{Outcome, Params, RpcError, code, done, values};
use crate::devnet::Shared;
use bitcoin::BlockHash;
use bitcoin::consensus::serialize;
use serde_json::{Value, json};

fn not_found() -> RpcError {
    RpcError::new(code::ADDRESS_OR_KEY, "Block not found")
}

pub(super) fn block_hash(params: &Params) -> Result<BlockHash, RpcError> {
    let text = params.text(0, "blockhash")?;
    text.parse().map_err(|_| {
        let why =
            if text.len() == 64 { "must be hexadecimal string" } else { "must be of length 64" };
        RpcError::new(code::PARAMETER, format!("blockhash {why} (not '{text}')"))
    })
}

pub(super) fn get_blockchain_info(shared: &Shared) -> Outcome {
    let chain = shared.chain();
    let tip = chain.tip();
    let entry = chain.entry(&tip).ok_or_else(not_found)?;
    let header = &entry.block.header;
    done(json!({
        "chain": "regtest",
        "blocks": entry.height,
        "headers": entry.height,
        "bestblockhash": tip.to_string(),
        "bits": values::bits(header.bits),
        "target": values::target(header.bits),
        "difficulty": values::difficulty(header.bits),
        "time": header.time,
        "mediantime": chain.median_time(&tip),
        "verificationprogress": 1,
        "initialblockdownload": false,
        "chainwork": super::hex(&entry.work.to_be_bytes()),
        "size_on_disk": 0,
        "pruned": false,
        "warnings": [],
    }))
}

pub(super) fn get_block_hash(shared: &Shared, params: &Params) -> Outcome {
    let height = params.number(0, "height")?;
    let hash = u32::try_from(height).ok().and_then(|height| shared.chain().hash_at(height));
    let hash = hash.ok_or_else(|| RpcError::new(code::PARAMETER, "Block height out of range"))?;
    done(hash.to_string().into())
}

pub(super) fn get_block_header(shared: &Shared, params: &Params) -> Outcome {
    let hash = block_hash(params)?;
    let chain = shared.chain();
    let entry = chain.entry(&hash).ok_or_else(not_found)?;
    if params.get(1, "verbose") == &Value::Bool(false) {
        return done(super::hex(&serialize(&entry.block.header)).into());
    }
    done(values::header(&chain, &hash, entry))
}

pub(super) fn get_block(shared: &Shared, params: &Params) -> Outcome {
    let hash = block_hash(params)?;
    let chain = shared.chain();
    let entry = chain.entry(&hash).ok_or_else(not_found)?;
    let verbosity = match params.get(1, "verbosity") {
        Value::Bool(verbose) => u64::from(*verbose),
        value => value.as_u64().unwrap_or(1),
    };
    let bytes = serialize(&*entry.block);
    if verbosity == 0 {
        return done(super::hex(&bytes).into());
    }
    let mut value = values::header(&chain, &hash, entry);
    value["size"] = bytes.len().into();
    value["weight"] = entry.block.weight().to_wu().into();
    value["tx"] = match verbosity {
        1 => entry.block.txdata.iter().map(|tx| tx.compute_txid().to_string()).collect(),
        _ => entry.block.txdata.iter().map(values::transaction).collect(),
    };
    done(value)
}

pub(super) fn get_chain_tips(shared: &Shared) -> Outcome {
    let chain = shared.chain();
    let parents: std::collections::HashSet<BlockHash> =
        chain.entries().map(|(_, entry)| entry.block.header.prev_blockhash).collect();
    let tips = chain.entries().filter(|(hash, _)| !parents.contains(*hash));
    let describe = |(hash, entry): (&BlockHash, &crate::chain::Entry)| {
        let mut length = 0;
        let mut at = *hash;
        while chain.confirmations(&at).is_none() {
            length += 1;
            let Some(entry) = chain.entry(&at) else { break };
            at = entry.block.header.prev_blockhash;
        }
        let status = match (length, entry.invalid, entry.connected_once) {
            (0, ..) => "active",
            (_, true, _) => "invalid",
            (_, false, true) => "valid-fork",
            (_, false, false) => "valid-headers",
        };
        json!({ "height": entry.height, "hash": hash.to_string(), "branchlen": length, "status": status })
    };
    let mut listed: Vec<Value> = tips.map(describe).collect();
    // The highest first, and the active one before others of its height.
    listed.sort_by_key(|tip| {
        (
            std::cmp::Reverse(tip["height"].as_u64()),
            tip["branchlen"].as_u64(),
            tip["hash"].to_string(),
        )
    });
    done(listed.into())
}

pub(super) fn get_deployment_info(shared: &Shared) -> Outcome {
    let chain = shared.chain();
    let buried = |height: u32| json!({ "type": "buried", "active": true, "height": height });
    done(json!({
        "hash": chain.tip().to_string(),
        "height": chain.height(),
        "deployments": {
            "bip34": buried(1), "bip65": buried(1), "bip66": buried(1), "csv": buried(1), "segwit": buried(0),
            "taproot": buried(0),
        },
    }))
}

pub(super) fn invalidate(shared: &Shared, params: &Params) -> Outcome {
    let hash = block_hash(params)?;
    let known = shared.change(|chain| chain.invalidate(hash));
    if known { done(Value::Null) } else { Err(not_found()) }
}

pub(super) fn reconsider(shared: &Shared, params: &Params) -> Outcome {
    let hash = block_hash(params)?;
    let known = shared.change(|chain| chain.reconsider(hash));
    if known { done(Value::Null) } else { Err(not_found()) }
}

//! Shapes that several methods share.

use crate::chain::{Chain, Entry};
use bitcoin::{BlockHash, CompactTarget, Target, Transaction, TxOut};
use serde_json::{Value, json};

/// The float that Core prints: difficulty 1 over the target.
pub(super) fn difficulty(bits: CompactTarget) -> f64 {
    let one = Target::from_compact(CompactTarget::from_consensus(0x1d00_ffff));
    let as_float = |target: Target| {
        target.to_be_bytes().iter().fold(0.0, |sum: f64, byte| sum * 256.0 + f64::from(*byte))
    };
    as_float(one) / as_float(Target::from_compact(bits))
}

pub(super) fn bits(bits: CompactTarget) -> String {
    format!("{:08x}", bits.to_consensus())
}

pub(super) fn target(bits: CompactTarget) -> String {
    super::hex(&Target::from_compact(bits).to_be_bytes())
}

/// An amount as Core prints it: whole coins, eight decimals.
pub(super) fn coins(satoshi: u64) -> Value {
    let text = format!("{}.{:08}", satoshi / 100_000_000, satoshi % 100_000_000);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

pub(super) fn header(chain: &Chain, hash: &BlockHash, entry: &Entry) -> Value {
    let header = &entry.block.header;
    let confirmations = chain.confirmations(hash).map_or(-1, i64::from);
    let mut value = json!({
        "hash": hash.to_string(),
        "confirmations": confirmations,
        "height": entry.height,
        "version": header.version.to_consensus(),
        "versionHex": format!("{:08x}", header.version.to_consensus()),
        "merkleroot": header.merkle_root.to_string(),
        "time": header.time,
        "mediantime": chain.median_time(hash),
        "nonce": header.nonce,
        "bits": bits(header.bits),
        "target": target(header.bits),
        "difficulty": difficulty(header.bits),
        "chainwork": super::hex(&entry.work.to_be_bytes()),
        "nTx": entry.block.txdata.len(),
    });
    if entry.height > 0 {
        value["previousblockhash"] = header.prev_blockhash.to_string().into();
    }
    if confirmations > 0
        && let Some(next) = chain.hash_at(entry.height + 1)
    {
        value["nextblockhash"] = next.to_string().into();
    }
    value
}

pub(super) fn output(output: &TxOut, n: usize) -> Value {
    json!({ "value": coins(output.value.to_sat()), "n": n, "scriptPubKey": script(output) })
}

pub(super) fn script(output: &TxOut) -> Value {
    let script = &output.script_pubkey;
    let mut value = json!({ "asm": script.to_asm_string(), "hex": super::hex(script.as_bytes()) });
    if let Ok(address) = bitcoin::Address::from_script(script, bitcoin::Network::Regtest) {
        value["address"] = address.to_string().into();
    }
    value
}

pub(super) fn transaction(tx: &Transaction) -> Value {
    let input = |input: &bitcoin::TxIn| {
        let mut value = if tx.is_coinbase() {
            json!({ "coinbase": super::hex(input.script_sig.as_bytes()) })
        } else {
            let previous = input.previous_output;
            let script_sig = json!({ "asm": input.script_sig.to_asm_string(), "hex": super::hex(input.script_sig.as_bytes()) });
            json!({ "txid": previous.txid.to_string(), "vout": previous.vout, "scriptSig": script_sig })
        };
        if !input.witness.is_empty() {
            value["txinwitness"] = input.witness.iter().map(super::hex).collect();
        }
        value["sequence"] = input.sequence.0.into();
        value
    };
    json!({
        "txid": tx.compute_txid().to_string(),
        "hash": tx.compute_wtxid().to_string(),
        "version": tx.version.0,
        "size": tx.total_size(),
        "vsize": tx.vsize(),
        "weight": tx.weight().to_wu(),
        "locktime": tx.lock_time.to_consensus_u32(),
        "vin": tx.input.iter().map(input).collect::<Vec<_>>(),
        "vout": tx.output.iter().enumerate().map(|(n, o)| output(o, n)).collect::<Vec<_>>(),
        "hex": super::hex(&bitcoin::consensus::serialize(tx)),
    })
}

pub(super) fn network_info() -> Value {
    json!({
        "version": 290_000,
        "subversion": concat!("/Adit-devnet:", env!("CARGO_PKG_VERSION"), "/"),
        "protocolversion": 70016,
        "localservices": "0000000000000409",
        "localrelay": true,
        "timeoffset": 0,
        "networkactive": false,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [],
        "relayfee": coins(1000),
        "incrementalfee": coins(1000),
        "localaddresses": [],
        "warnings": [],
    })
}

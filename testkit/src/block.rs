//! Blocks made by hand on regtest: any coinbase outputs, any transactions, enough work.
//!
//! For what no node's own miner would put into a block. The node that gets it is the judge.

use crate::Rpc;
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::transaction::Version as TransactionVersion;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness,
};
use serde_json::{Value, json};

/// The part of a witness commitment's script before the commitment.
const COMMITMENT_HEAD: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Mines a block on the node's tip whose coinbase has these outputs, with these transactions and none from the mempool; gives
/// its hash. `salt` makes two blocks of the same content different.
///
/// # Errors
/// What the node says against it.
///
/// # Panics
/// When the node gives no template.
pub fn mine(
    rpc: &Rpc,
    outputs: &[TxOut],
    transactions: &[Transaction],
    salt: u64,
) -> Result<BlockHash, String> {
    let template = rpc.expect("getblocktemplate", json!([{ "rules": ["segwit"] }]));
    let block = block(&template, outputs, transactions, salt);
    match rpc.call("submitblock", json!([serialize_hex(&block)])) {
        Ok(Value::Null) => Ok(block.block_hash()),
        Ok(refusal) => Err(refusal.as_str().unwrap_or_default().to_owned()),
        Err(error) => Err(error.message),
    }
}

fn block(template: &Value, outputs: &[TxOut], transactions: &[Transaction], salt: u64) -> Block {
    let text = |name: &str| template[name].as_str().expect("a template has it");
    let height = template["height"].as_i64().expect("a template has a height");
    let input = TxIn {
        previous_output: OutPoint::null(),
        script_sig: Builder::new().push_int(height).push_slice(salt.to_be_bytes()).into_script(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[0u8; 32]]),
    };
    let coinbase = Transaction {
        version: TransactionVersion::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: outputs.to_vec(),
    };
    let header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: text("previousblockhash").parse().expect("a hash"),
        merkle_root: TxMerkleNode::all_zeros(),
        time: u32::try_from(template["curtime"].as_u64().expect("a time")).expect("32 bits"),
        bits: CompactTarget::from_unprefixed_hex(text("bits")).expect("bits"),
        nonce: 0,
    };
    let txdata = std::iter::once(coinbase).chain(transactions.iter().cloned()).collect();
    let mut block = Block { header, txdata };
    let root = block.witness_root().expect("there is a coinbase");
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let script = [&COMMITMENT_HEAD[..], commitment.as_byte_array()].concat();
    let script_pubkey = ScriptBuf::from_bytes(script);
    block.txdata[0].output.push(TxOut { value: Amount::ZERO, script_pubkey });
    block.header.merkle_root = block.compute_merkle_root().expect("there is a coinbase");
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}

/// Reads outputs as `adit ctv plan` prints them.
///
/// # Panics
/// When they are not such.
#[must_use]
pub fn outputs(planned: &Value) -> Vec<TxOut> {
    let read = |output: &Value| TxOut {
        value: Amount::from_sat(output["value"].as_u64().expect("satoshis")),
        script_pubkey: ScriptBuf::from_hex(output["script"].as_str().expect("a script"))
            .expect("hexadecimal"),
    };
    planned["outputs"].as_array().expect("a list of outputs").iter().map(read).collect()
}

/// Reads a transaction.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn transaction(hex: &Value) -> Transaction {
    deserialize_hex(hex.as_str().expect("hexadecimal")).expect("a transaction")
}

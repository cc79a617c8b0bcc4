//! A block by itself and on its parent: everything that needs no coins.
//!
//! Invariant: the checks come in Core's order (`CheckBlock`, `ContextualCheckBlockHeader`, `ContextualCheckBlock`), because
//! the first that fails names the verdict.

use crate::params::{MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT, MAX_FUTURE_S, MAX_MONEY, Params};
use bitcoin::absolute::LockTime;
use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::script::Builder;
use bitcoin::{Block, Transaction, TxMerkleNode};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Why a block or transaction is refused, in Core's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub Cow<'static, str>);

impl Reason {
    /// A reason from Core's list.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Reason(Cow::Borrowed(text))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `Err` with a reason.
pub(crate) fn refuse<T>(text: &'static str) -> Result<T, Reason> {
    Err(Reason::new(text))
}

/// What a block builds on.
#[derive(Debug, Clone, Copy)]
pub struct Parent {
    /// Its height.
    pub height: u32,
    /// Median time of the last eleven blocks up to it.
    pub median_time: u32,
}

/// Does the header's hash meet the target it names?
///
/// # Errors
/// `high-hash`.
pub fn check_work(header: &Header) -> Result<(), Reason> {
    if header.target().is_met_by(header.block_hash()) { Ok(()) } else { refuse("high-hash") }
}

/// A block without context.
///
/// # Errors
/// The first rule it breaks.
pub fn check_block(block: &Block) -> Result<(), Reason> {
    check_merkle_root(block)?;
    let stripped = stripped_size(block);
    if block.txdata.is_empty()
        || block.txdata.len() * 4 > MAX_BLOCK_WEIGHT
        || stripped * 4 > MAX_BLOCK_WEIGHT
    {
        return refuse("bad-blk-length");
    }
    if !block.txdata[0].is_coinbase() {
        return refuse("bad-cb-missing");
    }
    if block.txdata.iter().skip(1).any(Transaction::is_coinbase) {
        return refuse("bad-cb-multiple");
    }
    block.txdata.iter().try_for_each(check_transaction)?;
    // What Core counts here is less than the whole cost, which needs the coins that are spent.
    let operations: usize = block.txdata.iter().map(|tx| tx.total_sigop_cost(|_| None)).sum();
    if operations > MAX_BLOCK_SIGOPS_COST { refuse("bad-blk-sigops") } else { Ok(()) }
}

fn stripped_size(block: &Block) -> usize {
    let count = bitcoin::VarInt::from(block.txdata.len()).size();
    80 + count + block.txdata.iter().map(Transaction::base_size).sum::<usize>()
}

fn check_merkle_root(block: &Block) -> Result<(), Reason> {
    let leaves: Vec<[u8; 32]> =
        block.txdata.iter().map(|tx| tx.compute_txid().to_byte_array()).collect();
    let (root, mutated) = merkle_root(leaves);
    if TxMerkleNode::from_byte_array(root) != block.header.merkle_root {
        return refuse("bad-txnmrklroot");
    }
    if mutated { refuse("bad-txns-duplicate") } else { Ok(()) }
}

/// The root, and whether two equal neighbours were hashed together (CVE-2012-2459). Of no leaves it is zero.
fn merkle_root(mut level: Vec<[u8; 32]>) -> ([u8; 32], bool) {
    let mut mutated = false;
    while level.len() > 1 {
        mutated |= level.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        let parent = |pair: &[[u8; 32]]| {
            let joined = [pair[0], *pair.get(1).unwrap_or(&pair[0])].concat();
            sha256d::Hash::hash(&joined).to_byte_array()
        };
        level = level.chunks(2).map(parent).collect();
    }
    (level.first().copied().unwrap_or_default(), mutated)
}

/// A transaction without context.
///
/// # Errors
/// The first rule it breaks.
pub fn check_transaction(tx: &Transaction) -> Result<(), Reason> {
    if tx.input.is_empty() {
        return refuse("bad-txns-vin-empty");
    }
    if tx.output.is_empty() {
        return refuse("bad-txns-vout-empty");
    }
    if tx.base_size() * 4 > MAX_BLOCK_WEIGHT {
        return refuse("bad-txns-oversize");
    }
    let mut total = 0u64;
    for output in &tx.output {
        let value = output.value.to_sat();
        if i64::try_from(value).is_err() {
            return refuse("bad-txns-vout-negative");
        }
        if value > MAX_MONEY {
            return refuse("bad-txns-vout-toolarge");
        }
        total = total.saturating_add(value);
        if total > MAX_MONEY {
            return refuse("bad-txns-txouttotal-toolarge");
        }
    }
    let mut spent = HashSet::new();
    if !tx.input.iter().all(|input| spent.insert(input.previous_output)) {
        return refuse("bad-txns-inputs-duplicate");
    }
    if tx.is_coinbase() {
        let length = tx.input[0].script_sig.len();
        return if (2..=100).contains(&length) { Ok(()) } else { refuse("bad-cb-length") };
    }
    if tx.input.iter().any(|input| input.previous_output.is_null()) {
        return refuse("bad-txns-prevout-null");
    }
    Ok(())
}

/// A header on its parent.
///
/// # Errors
/// The first rule it breaks.
pub fn check_header_on(
    header: &Header,
    parent: Parent,
    params: &Params,
    now_s: u64,
) -> Result<(), Reason> {
    if header.bits != params.bits {
        return refuse("bad-diffbits");
    }
    if header.time <= parent.median_time {
        return refuse("time-too-old");
    }
    if u64::from(header.time) > now_s + MAX_FUTURE_S {
        return refuse("time-too-new");
    }
    // BIP34, BIP66 and BIP65 are active from block 1.
    let version = header.version.to_consensus();
    if version < 4 {
        return Err(Reason(format!("bad-version(0x{:08x})", version as u32).into()));
    }
    Ok(())
}

/// A block on its parent.
///
/// # Errors
/// The first rule it breaks.
pub fn check_block_on(block: &Block, parent: Parent) -> Result<(), Reason> {
    let height = parent.height + 1;
    if !block.txdata.iter().all(|tx| is_final(tx, height, parent.median_time)) {
        return refuse("bad-txns-nonfinal");
    }
    let expected = Builder::new().push_int(height.into()).into_script();
    if !block.txdata[0].input[0].script_sig.as_bytes().starts_with(expected.as_bytes()) {
        return refuse("bad-cb-height");
    }
    check_witness(block)?;
    if block.weight().to_wu() > MAX_BLOCK_WEIGHT as u64 { refuse("bad-blk-weight") } else { Ok(()) }
}

/// May the transaction be in a block of this height after a parent with this median time (BIP113)?
#[must_use]
pub fn is_final(tx: &Transaction, height: u32, median_time: u32) -> bool {
    let satisfied = match tx.lock_time {
        LockTime::Blocks(at) => at.to_consensus_u32() < height,
        LockTime::Seconds(at) => at.to_consensus_u32() < median_time,
    };
    satisfied
        || tx.lock_time == LockTime::ZERO
        || tx.input.iter().all(|input| input.sequence.0 == u32::MAX)
}

/// Where the witness commitment stands among the coinbase's outputs: the last one that looks like it (BIP141).
#[must_use]
pub fn commitment_index(coinbase: &Transaction) -> Option<usize> {
    const MAGIC: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    let looks = |script: &[u8]| script.len() >= 38 && script.starts_with(&MAGIC);
    coinbase.output.iter().rposition(|output| looks(output.script_pubkey.as_bytes()))
}

/// The 32 bytes that a commitment commits to.
#[must_use]
pub fn witness_commitment(transactions: &[Transaction], reserved: &[u8]) -> [u8; 32] {
    let leaves = transactions.iter().enumerate().map(|(at, tx)| match at {
        0 => [0; 32],
        _ => tx.compute_wtxid().to_byte_array(),
    });
    let (root, _) = merkle_root(leaves.collect());
    sha256d::Hash::hash(&[root.as_slice(), reserved].concat()).to_byte_array()
}

fn check_witness(block: &Block) -> Result<(), Reason> {
    let coinbase = &block.txdata[0];
    if let Some(at) = commitment_index(coinbase) {
        let witness = &coinbase.input[0].witness;
        let reserved = match (witness.len(), witness.nth(0)) {
            (1, Some(reserved)) if reserved.len() == 32 => reserved,
            _ => return refuse("bad-witness-nonce-size"),
        };
        let committed = &coinbase.output[at].script_pubkey.as_bytes()[6..38];
        let found = witness_commitment(&block.txdata, reserved);
        return if committed == found { Ok(()) } else { refuse("bad-witness-merkle-match") };
    }
    let has_witness = |tx: &Transaction| tx.input.iter().any(|input| !input.witness.is_empty());
    if block.txdata.iter().any(has_witness) { refuse("unexpected-witness") } else { Ok(()) }
}

/// Is a refusal about the witness only, which the header does not commit to?
#[must_use]
pub fn is_of_witness(reason: &Reason) -> bool {
    ["bad-witness-nonce-size", "bad-witness-merkle-match", "unexpected-witness"]
        .contains(&&*reason.0)
}

/// As `submitblock` does: a block with a commitment whose coinbase came without witness gets the usual one.
pub fn complete_witness(block: &mut Block) {
    let Some(coinbase) = block.txdata.first_mut() else { return };
    let has_witness = coinbase.input.iter().any(|input| !input.witness.is_empty());
    if commitment_index(coinbase).is_some()
        && !has_witness
        && let Some(input) = coinbase.input.first_mut()
    {
        input.witness.push([0u8; 32]);
    }
}

/// A block's bytes as hex.
#[must_use]
pub fn block_hex(block: &Block) -> String {
    bitcoin::hex::DisplayHex::to_lower_hex_string(&serialize(block)[..])
}

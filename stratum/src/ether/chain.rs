//! Where a seal stands in the chain, and what a block brought.
//!
//! A node states no block's reward. What it does state is balances, so that is what counts: what the pool's address had after the block,
//! less what it had before, without the transfers to and from it that the block contains. Subsidy, tips and the share for uncles are in
//! it as this chain, at this height, pays them; a schedule of rewards would have to know every fork.
//!
//! Invariant: a sum is of one block, whose hash was looked at before and after.

use super::address::{self, Address};
use super::node::{self, at, bytes32, number, odd, wei};
use super::seal::Seal;
use crate::rpc::{Rpc, RpcError};
use accounting::reward::Sighting;
use accounting::{Amount, RewardId};
use pow::sha256d::sha256d;
use serde_json::{Value, json};

/// A block can be an uncle of the seven after it.
pub const GENERATIONS: u64 = 7;

/// Where a node has a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It sealed a block of the chain.
    Block {
        /// The block's hash, as it is written.
        hash: [u8; 32],
        /// 1 at the tip.
        confirmations: u64,
    },
    /// It sealed an uncle.
    Uncle {
        /// The number of the block that names it.
        nephew: u64,
        /// That block's hash, as it is written.
        hash: [u8; 32],
        /// Of that block.
        confirmations: u64,
    },
    /// The chain has other blocks, and none of them can name it any more, for so many blocks.
    Nowhere {
        /// Blocks since the last that could.
        since: u64,
    },
    /// It may still come.
    NotYet,
}

/// Names the income from uncles that somebody else's block brought: by that block's hash, because what an uncle brings depends on who
/// names it, and of two uncles in one block the chain shows the sum.
#[must_use]
pub fn uncles_id(nephew: &[u8; 32]) -> RewardId {
    RewardId(sha256d(&[b"uncles of ".as_slice(), nephew].concat()))
}

/// Names the income of a block by the hash it is known by.
#[must_use]
pub fn block_id(hash: &[u8; 32]) -> RewardId {
    let mut id = *hash;
    id.reverse();
    RewardId(id)
}

/// Looks for the block that a seal made at a height.
///
/// # Errors
/// As the node says.
pub async fn find(rpc: &mut Rpc, seal: &Seal, height: u64) -> Result<Place, RpcError> {
    let tip = node::tip(rpc).await?;
    if tip < height {
        return Ok(Place::NotYet);
    }
    let Some(own) = node::block(rpc, height, false).await? else { return Ok(Place::NotYet) };
    if seal.is_of(&own) {
        let hash = bytes32(&own["hash"]).ok_or_else(|| odd("a block", &own["hash"]))?;
        return Ok(Place::Block { hash, confirmations: tip - height + 1 });
    }
    for nephew in height + 1..=tip.min(height + GENERATIONS) {
        if let Some(hash) = names_it(rpc, seal, nephew).await? {
            return Ok(Place::Uncle { nephew, hash, confirmations: tip - nephew + 1 });
        }
    }
    Ok(match tip.checked_sub(height + GENERATIONS) {
        Some(since) if since > 0 => Place::Nowhere { since },
        _ => Place::NotYet,
    })
}

/// The hash of a block, if one of its uncles is what the seal made.
async fn names_it(rpc: &mut Rpc, seal: &Seal, nephew: u64) -> Result<Option<[u8; 32]>, RpcError> {
    let Some(block) = node::block(rpc, nephew, false).await? else { return Ok(None) };
    let count = block["uncles"].as_array().map_or(0, Vec::len);
    for index in 0..count as u64 {
        let asked = json!([at(nephew), at(index)]);
        let uncle: Value = rpc.call("eth_getUncleByBlockNumberAndIndex", asked).await?;
        if seal.is_of(&uncle) {
            return Ok(bytes32(&block["hash"]));
        }
    }
    Ok(None)
}

/// Whom a block paid.
///
/// # Errors
/// As the node says, or when there is no such block.
pub async fn miner_of(rpc: &mut Rpc, number: u64) -> Result<Address, RpcError> {
    let block = node::block(rpc, number, false).await?.unwrap_or_default();
    let miner = block["miner"].as_str().and_then(|text| address::parse(text).ok());
    miner.ok_or_else(|| odd("a block's miner", &block["miner"]))
}

/// What a block brought an address, besides the transfers to and from it.
///
/// # Errors
/// As the node says; one that has dropped the state of that block says so, and another may know it.
pub async fn income(rpc: &mut Rpc, number: u64, own: &Address) -> Result<Amount, RpcError> {
    let block = node::block(rpc, number, true).await?.unwrap_or_default();
    let before = number.checked_sub(1).ok_or_else(|| odd("a block without a parent", &block))?;
    let grown = balance(rpc, own, number).await? - balance(rpc, own, before).await?;
    let mut moved = 0;
    let list = block["transactions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for tx in list {
        let is_own = |key: &str| {
            tx[key].as_str().and_then(|text| address::parse(text).ok()).as_ref() == Some(own)
        };
        let (from, to) = (is_own("from"), is_own("to"));
        if from || to {
            moved += transfer(rpc, tx, from, to).await?;
        }
    }
    let again = node::block(rpc, number, false).await?.unwrap_or_default();
    if again["hash"] != block["hash"] {
        return Err(RpcError::Unknown(format!("block {number} changed while it was looked at")));
    }
    Ok(Amount::from_units(grown - moved))
}

async fn balance(rpc: &mut Rpc, of: &Address, number: u64) -> Result<i128, RpcError> {
    let said: Value = rpc.call("eth_getBalance", json!([address::show(of), at(number)])).await?;
    wei(&said).ok_or_else(|| odd("eth_getBalance", &said))
}

/// What a transaction added to the address that it is from or to: its value, where it did not fail, and its gas, which is paid anyway.
async fn transfer(rpc: &mut Rpc, tx: &Value, from: bool, to: bool) -> Result<i128, RpcError> {
    let receipt: Value = rpc.call("eth_getTransactionReceipt", json!([tx["hash"]])).await?;
    let value = wei(&tx["value"]).ok_or_else(|| odd("a transaction's value", tx))?;
    // Before Byzantium receipts had no status, and after it no chain lacks one.
    let value = if number(&receipt["status"]) == Some(0) { 0 } else { value };
    let mut moved = 0;
    if to {
        moved += value;
    }
    if from {
        let used = wei(&receipt["gasUsed"]).ok_or_else(|| odd("a receipt", &receipt))?;
        // Where gas has one price, older nodes say it with the transaction only.
        let price = wei(&receipt["effectiveGasPrice"]).or_else(|| wei(&tx["gasPrice"]));
        let price = price.ok_or_else(|| odd("a transaction's gas price", tx))?;
        moved -= value + used * price;
    }
    Ok(moved)
}

/// What a node's chain says of an income: the block of that name stands at its height, or one whose uncles brought it soon after.
pub async fn sighting(rpc: &mut Rpc, id: RewardId, height: u64) -> Sighting {
    look(rpc, id, height).await.unwrap_or(Sighting::Unknown)
}

async fn look(rpc: &mut Rpc, id: RewardId, height: u64) -> Result<Sighting, RpcError> {
    let tip = node::tip(rpc).await?;
    let since = |number: u64| {
        let count = (tip + 1).saturating_sub(number);
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    if let Some(number) = standing_at(rpc, id, height).await? {
        return Ok(Sighting::InChain(since(number)));
    }
    // A block beside the chain may come back as long as it is shallow, and an uncle as long as a nephew may name it.
    match since(height + GENERATIONS) {
        0 => Ok(Sighting::Unknown),
        deep => Ok(Sighting::Replaced(deep)),
    }
}

/// The number of the block whose income is called so.
async fn standing_at(rpc: &mut Rpc, id: RewardId, height: u64) -> Result<Option<u64>, RpcError> {
    for number in height..=height + GENERATIONS {
        let Some(block) = node::block(rpc, number, false).await? else { return Ok(None) };
        let hash = bytes32(&block["hash"]).ok_or_else(|| odd("a block", &block["hash"]))?;
        let name = if number == height { block_id(&hash) } else { uncles_id(&hash) };
        if name == id {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// What the chain says that an income is; `None` where it does not stand.
///
/// # Errors
/// As [`income`].
pub async fn brought(
    rpc: &mut Rpc,
    id: RewardId,
    height: u64,
    own: &Address,
) -> Result<Option<Amount>, RpcError> {
    match standing_at(rpc, id, height).await? {
        Some(number) => income(rpc, number, own).await.map(Some),
        None => Ok(None),
    }
}

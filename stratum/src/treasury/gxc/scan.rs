//! The chain as far as one address is concerned: its coins, and the payments out of it.
//!
//! Invariant: every block is read once, in order; a block that the next does not build on makes it begin anew.

use crate::gxc::offer::inputs;
use crate::gxc::rpc::Node;
use crate::rpc::RpcError;
use crate::template::hash_from_hex;
use accounting::UnixMs;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Confirmations that the node wants of a coinbase before it spends it; of anything else one.
const MATURITY_MAIN: u64 = 100;
const MATURITY_TEST: u64 = 6;
const COIN: f64 = 1e8;

/// A transaction that spends the address's coins, and is in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payment {
    /// As it is called in the chain, in the byte order in which SHA-256 gives it.
    pub txid: [u8; 32],
    /// Its block.
    pub height: u64,
    /// Others that it pays.
    pub to: Vec<(String, i128)>,
    /// What it paid for being mined.
    pub fee: i128,
    /// The coins it spends.
    pub spent: Vec<([u8; 32], u32)>,
    /// As the node shows it.
    pub shown: Vec<u8>,
}

struct Coin {
    units: i128,
    height: u64,
    is_coinbase: bool,
}

/// What is known of it.
pub(super) struct Chain {
    address: String,
    maturity: u64,
    hashes: Vec<String>,
    /// Of each block.
    times: Vec<UnixMs>,
    coins: HashMap<(String, u64), Coin>,
    payments: Vec<Payment>,
}

impl Chain {
    pub fn of(address: String) -> Self {
        let maturity = if address.starts_with('t') { MATURITY_TEST } else { MATURITY_MAIN };
        Chain {
            address,
            maturity,
            hashes: Vec::new(),
            times: Vec::new(),
            coins: HashMap::new(),
            payments: Vec::new(),
        }
    }

    /// Blocks read.
    pub fn length(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// The hash of a block, as the node writes it.
    pub fn hash_at(&self, height: u64) -> Option<&String> {
        self.hashes.get(usize::try_from(height).ok()?)
    }

    /// The first block that is not older than this.
    pub fn first_after(&self, at: UnixMs) -> u64 {
        self.times.iter().position(|time| *time >= at).unwrap_or(self.times.len()) as u64
    }

    /// 1 at the tip; 0 above it.
    pub fn confirmations(&self, height: u64) -> u32 {
        u32::try_from(self.length().saturating_sub(height)).unwrap_or(u32::MAX)
    }

    /// Payments out of the address, oldest first.
    pub fn payments(&self) -> &[Payment] {
        &self.payments
    }

    /// Smallest units that can be spent, and of coinbases that cannot yet.
    pub fn coins(&self) -> (i128, i128) {
        let (mut spendable, mut immature) = (0, 0);
        for coin in self.coins.values() {
            let is_mature = !coin.is_coinbase || self.length() - coin.height >= self.maturity;
            *(if is_mature { &mut spendable } else { &mut immature }) += coin.units;
        }
        (spendable, immature)
    }

    /// Reads the blocks that came since.
    pub async fn follow(&mut self, node: &Node) -> Result<(), RpcError> {
        let length: u64 = node.call("getblockcount", json!([])).await?;
        if let Some(known) = self.hashes.last() {
            // The newest we know must still be where it was.
            let at = self.length() - 1;
            let there = match at < length {
                true => node.call::<Value>("getblock", json!([at])).await?["hash"]
                    .as_str()
                    .map(str::to_owned),
                false => None,
            };
            if there.as_deref() != Some(known) {
                tracing::warn!(height = at, "the GXC chain changed: it is read anew");
                *self = Chain::of(std::mem::take(&mut self.address));
            }
        }
        while self.length() < length {
            let height = self.length();
            let block: Value = node.call("getblock", json!([height])).await?;
            let (hash, previous) = (block["hash"].as_str(), block["previousblockhash"].as_str());
            let Some(hash) = hash.filter(|_| block["height"] == height) else {
                return Err(RpcError::Unknown(format!("block {height} makes no sense")));
            };
            if self.hashes.last().is_some_and(|known| Some(known.as_str()) != previous) {
                *self = Chain::of(std::mem::take(&mut self.address));
                return Err(RpcError::Unknown("the chain changed while it was read".into()));
            }
            self.take(&block, height);
            self.hashes.push(hash.to_owned());
            self.times.push(UnixMs(block["time"].as_u64().unwrap_or(0).saturating_mul(1000)));
        }
        Ok(())
    }

    fn take(&mut self, block: &Value, height: u64) {
        let transactions = block["tx"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (at, tx) in transactions.iter().enumerate() {
            self.take_transaction(tx, at == 0, height);
        }
    }

    fn take_transaction(&mut self, tx: &Value, is_coinbase: bool, height: u64) {
        let Some(id) = tx["txid"].as_str() else { return };
        let mut spent = Vec::new();
        let mut sum = 0;
        for input in inputs(tx) {
            if let Some(coin) = self.coins.remove(&input) {
                sum += coin.units;
                let position = u32::try_from(input.1).unwrap_or(u32::MAX);
                spent.extend(hash_from_hex(&input.0).map(|hash| (hash, position)));
            }
        }
        let (mut to, mut out) = (Vec::new(), 0);
        let outputs = tx["outputs"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (at, output) in (0u64..).zip(outputs) {
            let units = (output["amount"].as_f64().unwrap_or(0.0) * COIN).round() as i128;
            out += units;
            let address = output["address"].as_str().unwrap_or_default();
            // Of a coinbase only the first output is a coin.
            if address == self.address && (at == 0 || !is_coinbase) {
                self.coins.insert((id.to_owned(), at), Coin { units, height, is_coinbase });
            } else {
                to.push((address.to_owned(), units));
            }
        }
        if !spent.is_empty()
            && let Some(txid) = hash_from_hex(id)
        {
            let shown = tx.to_string().into_bytes();
            self.payments.push(Payment { txid, height, to, fee: sum - out, spent, shown });
        }
    }
}

//! Transactions waiting for a block, and the little policy a pool relies on.
//!
//! Invariant: everything in here can be mined together, in the order it stands.

use crate::chain::Coin;
use crate::check::{Reason, refuse};
use bitcoin::{Block, OutPoint, Transaction, TxOut, Txid};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Least fee for relaying, in satoshi per 1000 virtual bytes.
pub const MIN_RELAY_FEE: u64 = 1000;
/// What a replacement must pay for its own relay on top, in the same unit.
const INCREMENTAL_FEE: u64 = 1000;
/// A coin of the mempool has no height yet.
const UNCONFIRMED: u32 = u32::MAX;

/// A transaction in the mempool.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The transaction.
    pub tx: Transaction,
    /// Its fee.
    pub fee: u64,
    /// Its cost of signature operations.
    pub operations: usize,
    /// When it came.
    pub time_s: u64,
}

/// What is known of a transaction that may enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its fee.
    pub fee: u64,
    /// Its cost of signature operations.
    pub operations: usize,
    /// What it replaces (and what stood on that).
    pub replaced: Vec<Txid>,
}

/// The mempool.
#[derive(Debug, Clone, Default)]
pub struct Mempool {
    /// In order of arrival, so parents stand before children.
    order: BTreeMap<u64, Waiting>,
    place: HashMap<Txid, u64>,
    spends: HashMap<OutPoint, Txid>,
    arrivals: u64,
    version: u64,
}

impl Mempool {
    /// Counts up with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn continue_from(&mut self, version: u64) {
        self.version = version + 1;
    }

    /// When the newest came.
    #[must_use]
    pub fn newest_time(&self) -> u64 {
        self.order.values().map(|waiting| waiting.time_s).max().unwrap_or(0)
    }

    /// Nothing waiting?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Is it waiting?
    #[must_use]
    pub fn contains(&self, txid: &Txid) -> bool {
        self.place.contains_key(txid)
    }

    /// A waiting transaction.
    #[must_use]
    pub fn get(&self, txid: &Txid) -> Option<&Waiting> {
        self.order.get(self.place.get(txid)?)
    }

    /// All of them, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.order.values()
    }

    /// The waiting transaction that spends an output.
    #[must_use]
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spends.get(outpoint).copied()
    }

    pub(crate) fn into_transactions(self) -> impl Iterator<Item = Transaction> {
        self.order.into_values().map(|waiting| waiting.tx)
    }

    /// An output of a waiting transaction.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<Coin> {
        let output: &TxOut = self.get(&outpoint.txid)?.tx.output.get(outpoint.vout as usize)?;
        Some(Coin { output: output.clone(), height: UNCONFIRMED, is_coinbase: false })
    }

    /// Fee, conflicts and replacement (BIP125 rules 3 and 4, whatever was signalled, as Core since 28); gives what would
    /// be replaced.
    pub(crate) fn check_policy(&self, tx: &Transaction, fee: u64) -> Result<Vec<Txid>, Reason> {
        let size = tx.vsize() as u64;
        if fee * 1000 < MIN_RELAY_FEE * size {
            return refuse("min relay fee not met");
        }
        let mut replaced: Vec<Txid> = Vec::new();
        for input in &tx.input {
            if let Some(txid) = self.spender(&input.previous_output) {
                self.add_with_descendants(txid, &mut replaced);
            }
        }
        let parents: HashSet<Txid> =
            tx.input.iter().map(|input| input.previous_output.txid).collect();
        if replaced.iter().any(|txid| parents.contains(txid)) {
            return refuse("bad-txns-spends-conflicting-tx");
        }
        let fees: u64 =
            replaced.iter().filter_map(|txid| self.get(txid)).map(|waiting| waiting.fee).sum();
        let own_rate = |fee: u64, size: u64| fee as u128 * 1_000_000 / u128::from(size.max(1));
        let slower = |txid: &Txid| {
            self.get(txid)
                .is_some_and(|w| own_rate(fee, size) <= own_rate(w.fee, w.tx.vsize() as u64))
        };
        let pays_relay = fee >= fees + INCREMENTAL_FEE * size / 1000;
        if !replaced.is_empty() && (replaced.iter().any(slower) || !pays_relay) {
            return refuse("insufficient fee");
        }
        Ok(replaced)
    }

    fn add_with_descendants(&self, txid: Txid, found: &mut Vec<Txid>) {
        if found.contains(&txid) {
            return;
        }
        found.push(txid);
        let outputs = self.get(&txid).map_or(0, |waiting| waiting.tx.output.len());
        for vout in 0..outputs {
            let outpoint = OutPoint::new(txid, u32::try_from(vout).unwrap_or(u32::MAX));
            if let Some(child) = self.spender(&outpoint) {
                self.add_with_descendants(child, found);
            }
        }
    }

    pub(crate) fn insert(&mut self, tx: Transaction, judged: Judged, time_s: u64) -> Txid {
        judged.replaced.iter().for_each(|txid| self.remove(txid));
        let txid = tx.compute_txid();
        self.arrivals += 1;
        self.version += 1;
        self.place.insert(txid, self.arrivals);
        self.spends.extend(tx.input.iter().map(|input| (input.previous_output, txid)));
        self.order.insert(
            self.arrivals,
            Waiting { tx, fee: judged.fee, operations: judged.operations, time_s },
        );
        txid
    }

    fn remove(&mut self, txid: &Txid) {
        let Some(waiting) = self.place.remove(txid).and_then(|place| self.order.remove(&place))
        else {
            return;
        };
        self.version += 1;
        for input in &waiting.tx.input {
            self.spends.remove(&input.previous_output);
        }
    }

    /// What a block mined leaves, and so does what it made impossible.
    pub(crate) fn block_connected(&mut self, block: &Block) {
        for tx in &block.txdata {
            self.remove(&tx.compute_txid());
            for input in &tx.input {
                if let Some(conflict) = self.spender(&input.previous_output) {
                    let mut doomed = Vec::new();
                    self.add_with_descendants(conflict, &mut doomed);
                    doomed.iter().for_each(|txid| self.remove(txid));
                }
            }
        }
        self.version += 1;
    }
}

/// What nodes relay at all: ordinary outputs that are worth spending.
pub(crate) fn check_standard(tx: &Transaction) -> Result<(), Reason> {
    let is_dust = |output: &TxOut| {
        !output.script_pubkey.is_op_return()
            && output.value < output.script_pubkey.minimal_non_dust()
    };
    if tx.output.iter().any(is_dust) {
        return refuse("dust");
    }
    if tx.weight().to_wu() > 400_000 { refuse("tx-size") } else { Ok(()) }
}

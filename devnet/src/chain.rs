//! The tree of blocks: the most work wins, first seen among equals; coins follow.
//!
//! Invariant: coins, undo data and the transaction index always describe the active chain; a block that fails on
//! connecting is remembered as invalid and the chain is back where it was.

use crate::check::{self, Parent, Reason, refuse};
use crate::mempool::Mempool;
use crate::params::{MAX_BLOCK_SIGOPS_COST, MAX_MONEY, Params};
use crate::script;
use bitcoin::block::Header;
use bitcoin::{Block, BlockHash, OutPoint, Transaction, TxOut, Txid, Work};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A coin that can be spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// The output.
    pub output: TxOut,
    /// Height of its block.
    pub height: u32,
    /// Made by a coinbase.
    pub is_coinbase: bool,
}

/// A block that was accepted into the tree.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The block.
    pub block: Arc<Block>,
    /// Its height.
    pub height: u32,
    /// Work of the chain up to and with it.
    pub work: Work,
    /// Order of arrival.
    pub arrived: u64,
    /// Failed on connecting, or declared so.
    pub invalid: bool,
    /// Connected once, and found good.
    pub connected_once: bool,
}

/// What became of a submitted block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It is the new tip.
    NewTip,
    /// It is in the tree, on a chain with less work: nothing is known of its spends.
    SideChain,
    /// It was known, and good as far as anybody knows.
    Known,
    /// It breaks a rule.
    Refused(Reason),
}

/// The chain, its coins and its mempool.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The rules.
    pub params: Params,
    entries: HashMap<BlockHash, Entry>,
    active: Vec<BlockHash>,
    coins: HashMap<OutPoint, Coin>,
    spent_by: HashMap<BlockHash, Vec<(OutPoint, Coin)>>,
    mined: HashMap<Txid, BlockHash>,
    invalidated: HashSet<BlockHash>,
    /// Good headers whose blocks broke a rule of their place.
    refused: HashSet<BlockHash>,
    arrivals: u64,
    /// Transactions waiting for a block.
    pub mempool: Mempool,
}

impl Chain {
    /// A chain with nothing but its first block.
    #[must_use]
    pub fn new(params: Params) -> Self {
        let genesis = params.genesis();
        let hash = genesis.block_hash();
        let work = genesis.header.work();
        let entry = Entry {
            block: Arc::new(genesis),
            height: 0,
            work,
            arrived: 0,
            invalid: false,
            connected_once: true,
        };
        Chain {
            params,
            entries: HashMap::from([(hash, entry)]),
            active: vec![hash],
            coins: HashMap::new(),
            spent_by: HashMap::new(),
            mined: HashMap::new(),
            invalidated: HashSet::new(),
            refused: HashSet::new(),
            arrivals: 0,
            mempool: Mempool::default(),
        }
    }

    /// The hash of the best block.
    #[must_use]
    pub fn tip(&self) -> BlockHash {
        *self.active.last().expect("the first block is never disconnected")
    }

    /// The height of the best block.
    #[must_use]
    pub fn height(&self) -> u32 {
        u32::try_from(self.active.len() - 1).expect("heights stay below 2^32")
    }

    /// A block of the tree.
    #[must_use]
    pub fn entry(&self, hash: &BlockHash) -> Option<&Entry> {
        self.entries.get(hash)
    }

    /// Every block of the tree, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (&BlockHash, &Entry)> {
        self.entries.iter()
    }

    /// The active chain's block at a height.
    #[must_use]
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    /// Confirmations of a block: 1 at the tip; `None` beside the active chain.
    #[must_use]
    pub fn confirmations(&self, hash: &BlockHash) -> Option<u32> {
        let entry = self.entries.get(hash)?;
        (self.hash_at(entry.height)? == *hash).then(|| self.height() - entry.height + 1)
    }

    /// A coin of the active chain.
    #[must_use]
    pub fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }

    /// All coins, in no order.
    pub fn coins(&self) -> impl Iterator<Item = (&OutPoint, &Coin)> {
        self.coins.iter()
    }

    /// The block of the active chain that has a transaction, and the transaction.
    #[must_use]
    pub fn mined_transaction(&self, txid: &Txid) -> Option<(BlockHash, Transaction)> {
        let hash = self.mined.get(txid)?;
        let block = &self.entries.get(hash)?.block;
        let tx = block.txdata.iter().find(|tx| tx.compute_txid() == *txid)?;
        Some((*hash, tx.clone()))
    }

    /// Median time of the last eleven blocks up to this one.
    #[must_use]
    pub fn median_time(&self, hash: &BlockHash) -> u32 {
        let mut times = Vec::with_capacity(11);
        let mut at = self.entries.get(hash);
        while let Some(entry) = at {
            times.push(entry.block.header.time);
            if times.len() == 11 {
                break;
            }
            at = self.entries.get(&entry.block.header.prev_blockhash);
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    }

    /// What the next block on a parent must respect.
    #[must_use]
    pub fn parent(&self, hash: &BlockHash) -> Option<Parent> {
        let height = self.entries.get(hash)?.height;
        Some(Parent { height, median_time: self.median_time(hash) })
    }

    /// Takes a block in.
    pub fn submit(&mut self, block: Block, now_s: u64) -> Submitted {
        let hash = block.block_hash();
        if let Err(reason) =
            check::check_work(&block.header).and_then(|()| check::check_block(&block))
        {
            return Submitted::Refused(reason);
        }
        match self.entries.get(&hash) {
            Some(known) if !known.invalid => return Submitted::Known,
            Some(_) => return Submitted::Refused(Reason::new("duplicate-invalid")),
            None if self.refused.contains(&hash) => {
                return Submitted::Refused(Reason::new("duplicate-invalid"));
            }
            None => {}
        }
        if let Err(reason) = self.check_place(&block, now_s) {
            return Submitted::Refused(reason);
        }
        let parent = &self.entries[&block.header.prev_blockhash];
        self.arrivals += 1;
        let entry = Entry {
            height: parent.height + 1,
            work: parent.work + block.header.work(),
            arrived: self.arrivals,
            invalid: false,
            connected_once: false,
            block: Arc::new(block),
        };
        self.entries.insert(hash, entry);
        let failed = self.follow_most_work();
        match failed.into_iter().find(|(failed, _)| *failed == hash) {
            Some((_, reason)) => Submitted::Refused(reason),
            None if self.tip() == hash || self.entries[&hash].connected_once => Submitted::NewTip,
            None => Submitted::SideChain,
        }
    }

    /// Everything that can be said of a block's place before it is connected, in Core's order.
    fn check_place(&mut self, block: &Block, now_s: u64) -> Result<(), Reason> {
        let parent = self.good_parent(&block.header)?;
        check::check_header_on(&block.header, parent, &self.params, now_s)?;
        let judged = check::check_block_on(block, parent);
        // A witness can be changed on the way: then another block with this header may still be good.
        if judged.as_ref().is_err_and(|reason| !check::is_of_witness(reason)) {
            self.refused.insert(block.block_hash());
        }
        judged
    }

    fn good_parent(&self, header: &Header) -> Result<Parent, Reason> {
        let hash = &header.prev_blockhash;
        match self.entries.get(hash) {
            None if self.refused.contains(hash) => refuse("bad-prevblk"),
            None => refuse("prev-blk-not-found"),
            Some(entry) if entry.invalid => refuse("bad-prevblk"),
            Some(_) => self.parent(hash).ok_or(Reason::new("prev-blk-not-found")),
        }
    }

    /// Judges a block on the tip without its work, as a BIP22 proposal.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn judge_proposal(&self, block: &Block, now_s: u64) -> Result<(), Reason> {
        let hash = block.block_hash();
        match self.entries.get(&hash) {
            Some(known) if known.invalid => return refuse("duplicate-invalid"),
            Some(known) if known.connected_once => return refuse("duplicate"),
            Some(_) => return refuse("duplicate-inconclusive"),
            None if self.refused.contains(&hash) => return refuse("duplicate-invalid"),
            None => {}
        }
        if block.header.prev_blockhash != self.tip() {
            return refuse("inconclusive-not-best-prevblk");
        }
        let parent = self.good_parent(&block.header)?;
        check::check_block(block)?;
        check::check_header_on(&block.header, parent, &self.params, now_s)?;
        check::check_block_on(block, parent)?;
        self.judge_spends(block, parent.height + 1).map(|_| ())
    }

    /// Moves to the best valid chain; gives the blocks that turned out invalid on the way.
    fn follow_most_work(&mut self) -> Vec<(BlockHash, Reason)> {
        let mut failed = Vec::new();
        while let Some(best) = self.better_tip() {
            let path = self.path_to(best);
            let fork = path.first().map_or(0, |first| self.entries[first].height - 1);
            let before = self.active.clone();
            let mut returned = Vec::new();
            while self.height() > fork {
                returned.extend(self.disconnect());
            }
            let stopped = path
                .iter()
                .find_map(|hash| self.connect(*hash).err().map(|reason| (*hash, reason)));
            if let Some((hash, reason)) = stopped {
                self.mark_invalid(hash);
                failed.push((hash, reason));
                self.go_back_to(&before);
            }
            self.mempool_after_reorg(returned);
        }
        failed
    }

    /// The best block that is not on the active chain and has more work than its tip.
    fn better_tip(&self) -> Option<BlockHash> {
        let ours = self.entries[&self.tip()].work;
        let better = self.entries.iter().filter(|(_, entry)| !entry.invalid && entry.work > ours);
        better
            .max_by_key(|(_, entry)| (entry.work, std::cmp::Reverse(entry.arrived)))
            .map(|(hash, _)| *hash)
    }

    /// The blocks from the active chain to this one, oldest first.
    fn path_to(&self, tip: BlockHash) -> Vec<BlockHash> {
        let mut path = Vec::new();
        let mut at = tip;
        while self.confirmations(&at).is_none() {
            path.push(at);
            at = self.entries[&at].block.header.prev_blockhash;
        }
        path.reverse();
        path
    }

    fn go_back_to(&mut self, before: &[BlockHash]) {
        while self.active.len() > before.len() || before[self.active.len() - 1] != self.tip() {
            self.disconnect();
        }
        for hash in &before[self.active.len()..] {
            self.connect(*hash).expect("what was connected before connects again");
        }
    }

    /// Checks the spends of a block at a height; gives the coins it spends, in order.
    fn judge_spends(&self, block: &Block, height: u32) -> Result<Vec<(OutPoint, Coin)>, Reason> {
        let mut made: HashMap<OutPoint, Coin> = HashMap::new();
        let mut taken: HashSet<OutPoint> = HashSet::new();
        let mut spent = Vec::new();
        let (mut fees, mut operations) = (0u64, 0usize);
        for tx in &block.txdata {
            let first = spent.len();
            for input in tx.input.iter().filter(|_| !tx.is_coinbase()) {
                let outpoint = input.previous_output;
                let coin = made.get(&outpoint).or_else(|| self.coins.get(&outpoint));
                let coin = coin.filter(|_| taken.insert(outpoint));
                spent.push((
                    outpoint,
                    coin.ok_or(Reason::new("bad-txns-inputs-missingorspent"))?.clone(),
                ));
            }
            let own = &spent[first..];
            let outputs: Vec<TxOut> = own.iter().map(|(_, coin)| coin.output.clone()).collect();
            if !tx.is_coinbase() {
                fees += check_values(tx, own.iter().map(|(_, coin)| coin), height, &self.params)?;
            }
            operations += script::operations_cost(tx, own);
            if operations > MAX_BLOCK_SIGOPS_COST {
                return refuse("bad-blk-sigops");
            }
            if !tx.is_coinbase() {
                script::check_spends(tx, &outputs)?;
            }
            made.extend(coins_of(tx, height));
        }
        let claimed: u64 = block.txdata[0].output.iter().map(|output| output.value.to_sat()).sum();
        if claimed > self.params.subsidy(height) + fees {
            refuse("bad-cb-amount")
        } else {
            Ok(spent)
        }
    }

    fn connect(&mut self, hash: BlockHash) -> Result<(), Reason> {
        let entry = &self.entries[&hash];
        let (block, height) = (entry.block.clone(), entry.height);
        let spent = self.judge_spends(&block, height)?;
        // From here it must succeed.
        for tx in &block.txdata {
            self.coins.extend(coins_of(tx, height));
            self.mined.insert(tx.compute_txid(), hash);
        }
        for (outpoint, _) in &spent {
            self.coins.remove(outpoint);
        }
        self.spent_by.insert(hash, spent);
        self.active.push(hash);
        self.mempool.block_connected(&block);
        if let Some(entry) = self.entries.get_mut(&hash) {
            entry.connected_once = true;
        }
        Ok(())
    }

    /// Takes the tip off; gives its transactions back.
    fn disconnect(&mut self) -> Vec<Transaction> {
        let hash = self.active.pop().expect("only blocks above the first are disconnected");
        let block = self.entries[&hash].block.clone();
        for (outpoint, coin) in self.spent_by.remove(&hash).unwrap_or_default() {
            self.coins.insert(outpoint, coin);
        }
        for tx in &block.txdata {
            let txid = tx.compute_txid();
            self.mined.remove(&txid);
            for vout in 0..tx.output.len() {
                self.coins
                    .remove(&OutPoint::new(txid, u32::try_from(vout).expect("outputs are few")));
            }
        }
        block.txdata.iter().skip(1).cloned().collect()
    }

    /// Transactions of blocks that left the chain wait again, if they still can be mined.
    fn mempool_after_reorg(&mut self, returned: Vec<Transaction>) {
        if returned.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.mempool);
        let (version, now) = (waiting.version(), waiting.newest_time());
        self.mempool.continue_from(version);
        for tx in returned.into_iter().chain(waiting.into_transactions()) {
            // Whatever no longer fits is dropped, as Core does.
            if self.mined.contains_key(&tx.compute_txid()) {
                continue;
            }
            drop(self.accept_transaction(tx, now));
        }
    }

    fn mark_invalid(&mut self, hash: BlockHash) {
        let mut doomed = vec![hash];
        while let Some(next) = doomed.pop() {
            if let Some(entry) = self.entries.get_mut(&next) {
                entry.invalid = true;
            }
            let children = self
                .entries
                .iter()
                .filter(|(_, e)| e.block.header.prev_blockhash == next && !e.invalid);
            doomed.extend(children.map(|(hash, _)| *hash));
        }
    }

    /// Declares a block (and all behind it) invalid, as `invalidateblock` does; false when it is unknown or the first.
    pub fn invalidate(&mut self, hash: BlockHash) -> bool {
        if hash == self.active[0] || !self.entries.contains_key(&hash) {
            return false;
        }
        self.invalidated.insert(hash);
        let confirmations = self.confirmations(&hash).unwrap_or(0);
        let mut returned = Vec::new();
        for _ in 0..confirmations {
            returned.extend(self.disconnect());
        }
        self.mark_invalid(hash);
        self.follow_most_work();
        self.mempool_after_reorg(returned);
        true
    }

    /// Takes a declaration back; false when the block is unknown.
    pub fn reconsider(&mut self, hash: BlockHash) -> bool {
        if !self.entries.contains_key(&hash) {
            return false;
        }
        self.invalidated.remove(&hash);
        let kept: Vec<BlockHash> = self.invalidated.iter().copied().collect();
        // Whatever is invalid for a reason of its own is found out again on connecting.
        self.entries.values_mut().for_each(|entry| entry.invalid = false);
        kept.into_iter().for_each(|hash| self.mark_invalid(hash));
        self.follow_most_work();
        true
    }

    /// Takes a transaction into the mempool.
    ///
    /// # Errors
    /// The first rule of consensus or policy it breaks.
    pub fn accept_transaction(&mut self, tx: Transaction, now_s: u64) -> Result<Txid, Reason> {
        let judged = self.judge_transaction(&tx)?;
        Ok(self.mempool.insert(tx, judged, now_s))
    }

    /// Would the mempool take it?
    ///
    /// # Errors
    /// The first rule of consensus or policy it breaks.
    pub fn judge_transaction(&self, tx: &Transaction) -> Result<crate::mempool::Judged, Reason> {
        check::check_transaction(tx)?;
        if tx.is_coinbase() {
            return refuse("coinbase");
        }
        let txid = tx.compute_txid();
        if self.mempool.contains(&txid) {
            return refuse("txn-already-in-mempool");
        }
        if self.mined.contains_key(&txid) {
            return refuse("txn-already-known");
        }
        let next = self.height() + 1;
        if !check::is_final(tx, next, self.median_time(&self.tip())) {
            return refuse("non-final");
        }
        crate::mempool::check_standard(tx)?;
        let mut spent = Vec::with_capacity(tx.input.len());
        for input in &tx.input {
            let outpoint = input.previous_output;
            let coin =
                self.coins.get(&outpoint).cloned().or_else(|| self.mempool.output(&outpoint));
            spent.push((outpoint, coin.ok_or(Reason::new("bad-txns-inputs-missingorspent"))?));
        }
        let fee = check_values(tx, spent.iter().map(|(_, coin)| coin), next, &self.params)?;
        let replaced = self.mempool.check_policy(tx, fee)?;
        let operations = script::operations_cost(tx, &spent);
        let outputs: Vec<TxOut> = spent.into_iter().map(|(_, coin)| coin.output).collect();
        script::check_spends(tx, &outputs)?;
        Ok(crate::mempool::Judged { fee, operations, replaced })
    }
}

/// Maturity and values of a transaction; gives its fee.
fn check_values<'a>(
    tx: &Transaction,
    coins: impl Iterator<Item = &'a Coin>,
    height: u32,
    params: &Params,
) -> Result<u64, Reason> {
    let mut value_in = 0u64;
    for coin in coins {
        if coin.is_coinbase && height.saturating_sub(coin.height) < params.coinbase_maturity {
            return refuse("bad-txns-premature-spend-of-coinbase");
        }
        value_in = value_in.saturating_add(coin.output.value.to_sat());
        if value_in > MAX_MONEY {
            return refuse("bad-txns-inputvalues-outofrange");
        }
    }
    let value_out: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
    value_in.checked_sub(value_out).ok_or(Reason::new("bad-txns-in-belowout"))
}

fn coins_of(tx: &Transaction, height: u32) -> impl Iterator<Item = (OutPoint, Coin)> + '_ {
    let (txid, is_coinbase) = (tx.compute_txid(), tx.is_coinbase());
    let spendable =
        tx.output.iter().enumerate().filter(|(_, output)| !output.script_pubkey.is_op_return());
    spendable.map(move |(vout, output)| {
        let outpoint = OutPoint::new(txid, u32::try_from(vout).expect("outputs are few"));
        (outpoint, Coin { output: output.clone(), height, is_coinbase })
    })
}

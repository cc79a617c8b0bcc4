//! The pool's own wallet: two descriptors, followed through the chain block by block.
//!
//! Invariant: only confirmed coins are spent, so that no payout hangs on another; a new version of a payout spends the
//! coins of the one before. The wallet's memory can be lost at any time: it is made again from the chain and the books.

use super::key::{self, Descriptors};
use super::offline::Outbox;
use super::{Notes, WalletConfig, network_of, satoshi, units, unreachable};
use crate::node::ChainGate;
use crate::rpc::{Rpc, RpcError};
use accounting::payout::{Fate, PayoutVersion};
use accounting::{Amount, UnixMs};
use bdk_wallet::chain::{BlockId, CheckPoint, Merge};
use bdk_wallet::coin_selection::LargestFirstCoinSelection;
use bdk_wallet::descriptor::IntoWalletDescriptor;
use bdk_wallet::error::CreateTxError;
use bdk_wallet::signer::SignersContainer;
use bdk_wallet::{ChangeSet, KeychainKind, LocalOutput, SignOptions, TxOrdering, Update, Wallet};
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;
use bitcoin::key::Secp256k1;
use bitcoin::{Block, BlockHash, NetworkKind, OutPoint, Psbt, ScriptBuf, Transaction, TxIn, Txid};
use pool::Clock;
use pool::treasury::{Holdings, PayoutOrder, Signing, TreasuryError, WalletSpend};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Addresses watched beyond the last one used.
const LOOKAHEAD: u32 = 100;
/// Blocks that go by before a change of nothing but the tip is kept.
const KEEP_TIP_EVERY: u32 = 100;
/// Virtual bytes that spending a coin takes; twice that must be worth it.
const COST_OF_COIN: u64 = 2 * 68;
/// Coins asked after in one call.
const COINS_A_QUESTION: usize = 500;
/// The note that lists what was heard of in the mempool; the others are changes of the wallet.
const HEARD_OF: &str = "heard-of";
/// So deep, a spent coin stays spent: as deep as a coinbase must be before it may be spent.
const GONE_FOR_GOOD: u32 = 100;
/// Blocks followed in one look; the next look goes on.
const BLOCKS_A_LOOK: u32 = 5000;

/// A wallet of two descriptors.
pub struct DescriptorWallet {
    wallet: Wallet,
    notes: Notes,
    clock: Arc<dyn Clock>,
    /// What signs, when we hold the key.
    signers: Vec<SignersContainer>,
    /// Where others sign, when we hold no key.
    outbox: Option<Outbox>,
    /// Coins in transactions that were built and are not in the books yet, by payout.
    reserved: BTreeMap<u64, Vec<OutPoint>>,
    /// Transactions of the mempool that spend our coins and are no payout of the books.
    heard_of: Vec<Txid>,
    /// The same as it was last written.
    noted_heard_of: Vec<Txid>,
    /// What the wallet has learnt and nobody has kept yet.
    unsaved: ChangeSet,
    next_note: u64,
    kept_tip: u32,
}

impl DescriptorWallet {
    /// Opens the wallet, or makes it when there is none yet.
    ///
    /// # Errors
    /// When the key cannot be used, or the notes belong to another one.
    pub(crate) async fn open(
        config: WalletConfig,
        gate: &ChainGate,
        nodes: &mut [Rpc],
        notes: Notes,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TreasuryError> {
        let (descriptors, outbox, birthday) = match config {
            WalletConfig::Hot { key_file, birthday } => {
                let read = key::read(&key_file, gate.coin);
                (read.map_err(|error| TreasuryError::Refuses(error.to_string()))?, None, birthday)
            }
            WalletConfig::Watch { descriptor, change_descriptor, psbt_folder, birthday } => {
                let descriptors = Descriptors { external: descriptor, change: change_descriptor };
                (descriptors, Some(Outbox::open(&psbt_folder)?), birthday)
            }
            WalletConfig::Node { .. } => {
                return Err(TreasuryError::Refuses("the wallet is in the node".into()));
            }
        };
        let genesis = gate.genesis.as_deref().or(gate.coin.genesis()).unwrap_or_default();
        let genesis: BlockHash = genesis.parse().map_err(|_| {
            TreasuryError::Refuses(format!("the configured genesis \"{genesis}\" is no block hash"))
        })?;
        let (heard_of, kept): (Vec<_>, Vec<_>) =
            notes.all().await?.into_iter().partition(|(name, _)| name == HEARD_OF);
        let heard_of: Vec<Txid> = heard_of.iter().flat_map(|(_, list)| txids_in(list)).collect();
        let next_note =
            kept.last().and_then(|(key, _)| key.parse::<u64>().ok()).map_or(0, |last| last + 1);
        let signers = if outbox.is_none() { signers(&descriptors, gate)? } else { Vec::new() };
        let wallet = match merged(&kept)? {
            Some(changes) => load(descriptors, genesis, changes)?,
            None => create(descriptors, genesis, gate, nodes, birthday).await?,
        };
        let kept_tip = wallet.latest_checkpoint().height();
        let mut own = DescriptorWallet {
            wallet,
            notes,
            clock,
            signers,
            outbox,
            reserved: BTreeMap::new(),
            noted_heard_of: heard_of.clone(),
            heard_of,
            unsaved: ChangeSet::default(),
            next_note,
            kept_tip,
        };
        own.keep(true).await?;
        Ok(own)
    }

    /// The script the pool's coinbases pay: the first receiving address, always the same.
    #[must_use]
    pub fn script(&self) -> ScriptBuf {
        self.wallet.peek_address(KeychainKind::External, 0).script_pubkey()
    }

    /// Follows the chain to the node's tip and says what the wallet holds.
    pub(crate) async fn refresh(&mut self, node: &mut Rpc) -> Result<Holdings, TreasuryError> {
        let followed = match self.follow(node).await {
            Ok(()) => {
                let looked = self.look_into_the_mempool(node).await;
                // However far it got: what is not noted would be spent for ever in the wallet's eyes.
                self.keep_heard_of().await?;
                looked
            }
            behind => behind,
        };
        self.keep(false).await?;
        followed?;
        if let Some(outbox) = &self.outbox {
            outbox.close_settled(|tx| self.is_settled(tx))?;
        }
        let balance = self.wallet.balance();
        Ok(Holdings {
            spendable: units(balance.confirmed),
            immature: units(balance.immature),
            unconfirmed: units(balance.trusted_pending),
            spends: self.spends(),
        })
    }

    /// Is this transaction in the chain, or can it never be, because a coin of it was spent deep down by another?
    fn is_settled(&self, tx: &Transaction) -> bool {
        // No input of ours changes its id by being signed.
        let txid = tx.compute_txid();
        let confirmed = self.wallet.get_tx(txid).is_some_and(|tx| tx.chain_position.is_confirmed());
        let is_gone = |input: &TxIn| {
            self.input_gone_for(&input.previous_output, &[txid])
                .is_some_and(|deep| deep >= GONE_FOR_GOOD)
        };
        confirmed || tx.input.iter().any(is_gone)
    }

    async fn follow(&mut self, node: &mut Rpc) -> Result<(), TreasuryError> {
        let tip: u32 = node.call("getblockcount", json!([])).await.map_err(unreachable)?;
        let mut at = self.fork_point(node).await?;
        let last = tip.min(at.height.saturating_add(BLOCKS_A_LOOK));
        while at.height < last {
            let block = block_at(node, at.height + 1).await?;
            if block.header.prev_blockhash != at.hash {
                // The next look begins at the new fork.
                let text = "the chain moved while the wallet read it".to_owned();
                return Err(TreasuryError::Unreachable(text));
            }
            let next = BlockId { height: at.height + 1, hash: block.block_hash() };
            let applied = self.wallet.apply_block_connected_to(&block, next.height, at);
            applied.map_err(|error| {
                TreasuryError::Refuses(format!("the wallet cannot follow the chain: {error}"))
            })?;
            at = next;
        }
        if last < tip {
            // What the wallet holds and what was spent is not known yet.
            let text = format!("the wallet has read block {last} of {tip}");
            return Err(TreasuryError::Unreachable(text));
        }
        Ok(())
    }

    /// Takes in what waits in the node's mempool and spends our coins, though these books may not know of it: after a
    /// restore, a payout that was sent and is in no block yet. What was heard of and has left the mempool is forgotten.
    async fn look_into_the_mempool(&mut self, node: &mut Rpc) -> Result<(), TreasuryError> {
        let coins: Vec<OutPoint> = self.wallet.list_unspent().map(|coin| coin.outpoint).collect();
        let now = self.now_s();
        for txid in &self.heard_of.clone() {
            match node.call::<Value>("getmempoolentry", json!([txid.to_string()])).await {
                Ok(_) => {}
                Err(RpcError::Refused { code: -5, .. }) => {
                    self.heard_of.retain(|known| known != txid);
                    self.wallet.apply_evicted_txs([(*txid, now)]);
                }
                Err(error) => return Err(unreachable(error)),
            }
        }
        for some in coins.chunks(COINS_A_QUESTION) {
            let asked: Vec<Value> =
                some.iter().map(|coin| json!({ "txid": coin.txid, "vout": coin.vout })).collect();
            let spenders: Vec<Spender> =
                match node.call("gettxspendingprevout", json!([asked])).await {
                    Ok(spenders) => spenders,
                    // An older node, or another kind: it cannot be asked.
                    Err(RpcError::Refused { code: -32601, .. }) => return Ok(()),
                    Err(error) => return Err(unreachable(error)),
                };
            for txid in spenders.into_iter().filter_map(|spender| spender.spendingtxid) {
                let raw: String =
                    node.call("getrawtransaction", json!([txid])).await.map_err(unreachable)?;
                let tx = Vec::from_hex(&raw).ok().and_then(|bytes| deserialize(&bytes).ok());
                let tx: Transaction = tx.ok_or_else(|| {
                    TreasuryError::Unreachable(format!(
                        "the node's transaction {txid} is unreadable"
                    ))
                })?;
                if !self.heard_of.contains(&tx.compute_txid()) {
                    self.heard_of.push(tx.compute_txid());
                }
                self.wallet.apply_unconfirmed_txs([(tx, now)]);
            }
        }
        Ok(())
    }

    async fn keep_heard_of(&mut self) -> Result<(), TreasuryError> {
        if self.noted_heard_of != self.heard_of {
            let list: Vec<String> = self.heard_of.iter().map(Txid::to_string).collect();
            self.notes.keep(HEARD_OF, Some(list.join(" ").into_bytes())).await?;
            self.noted_heard_of.clone_from(&self.heard_of);
        }
        Ok(())
    }

    /// The highest block that the wallet and the node's best chain share.
    async fn fork_point(&self, node: &mut Rpc) -> Result<BlockId, TreasuryError> {
        let mut own = self.wallet.latest_checkpoint();
        loop {
            let theirs: Result<BlockHash, RpcError> =
                node.call("getblockhash", json!([own.height()])).await;
            match theirs {
                Ok(hash) if hash == own.hash() => return Ok(own.block_id()),
                Ok(_) | Err(RpcError::Refused { code: -8, .. }) => {}
                Err(error) => return Err(unreachable(error)),
            }
            own = own.prev().ok_or_else(|| {
                TreasuryError::Refuses(
                    "the node's chain begins with another block than the wallet's".into(),
                )
            })?;
        }
    }

    /// Every transaction that spends the wallet's coins.
    fn spends(&self) -> Vec<WalletSpend> {
        let tip = self.wallet.latest_checkpoint().height();
        let mut found = Vec::new();
        for own in self.wallet.transactions() {
            let tx = &own.tx_node.tx;
            let (sent, received) = self.wallet.sent_and_received(tx);
            if sent == bitcoin::Amount::ZERO {
                continue;
            }
            let others = tx
                .output
                .iter()
                .filter(|output| !self.wallet.is_mine(output.script_pubkey.clone()));
            let outputs = others
                .map(|output| (output.script_pubkey.to_bytes(), units(output.value)))
                .collect();
            let height = own.chain_position.confirmation_height_upper_bound();
            found.push(WalletSpend {
                txid: own.tx_node.txid.to_byte_array(),
                out: units(sent).sub(units(received)),
                fee: self.wallet.calculate_fee(tx).map_or(Amount::ZERO, units),
                outputs,
                confirmations: height.map_or(0, |height| tip.saturating_sub(height) + 1),
                inputs: inputs_of(tx),
                raw: serialize(tx.as_ref()),
            });
        }
        found
    }

    /// Builds and signs, or asks for a signature elsewhere.
    pub(crate) async fn sign(
        &mut self,
        order: &PayoutOrder,
        rate: u64,
    ) -> Result<Signing, TreasuryError> {
        let (id, n) = (order.id, order.versions.len());
        let Some(outbox) = self.outbox.clone() else {
            let mut psbt = self.build(order, rate)?;
            let signers: Vec<&SignersContainer> = self.signers.iter().collect();
            let signed = self.wallet.sign_with_signers(&mut psbt, &signers, SignOptions::default());
            let whole =
                signed.map_err(|error| TreasuryError::Refuses(format!("cannot sign: {error}")))?;
            if !whole {
                return Err(TreasuryError::Refuses(
                    "the key file cannot sign for the pool's coins".into(),
                ));
            }
            self.keep(true).await?;
            return self.finished(psbt).map(Signing::Signed);
        };
        let waiting = outbox.waiting(id, n)?;
        let is_ours = |psbt: &Psbt| super::check_outputs(order, &psbt.unsigned_tx).is_ok();
        if !waiting.as_ref().is_none_or(is_ours) {
            // The books were restored to an earlier moment, and the number is used a second time.
            outbox.set_aside(id, n)?;
        }
        if !waiting.as_ref().is_some_and(is_ours) {
            let psbt = self.build(order, rate)?;
            // The change address is used up before anybody signs.
            self.keep(true).await?;
            outbox.put(id, n, &psbt)?;
        }
        let Some(mut psbt) = outbox.returned(id, n)? else { return Ok(Signing::Waiting) };
        let final_ = self.wallet.finalize_psbt(
            &mut psbt,
            SignOptions { trust_witness_utxo: true, ..SignOptions::default() },
        );
        if !final_.map_err(|error| TreasuryError::Refuses(format!("payout {id}: {error}")))? {
            return Err(TreasuryError::Refuses(format!(
                "payout {id}: a signature is missing in what came back"
            )));
        }
        // The files stay until the transaction is in the chain: who asks again gets the same one.
        self.finished(psbt).map(Signing::Signed)
    }

    fn finished(&self, psbt: Psbt) -> Result<PayoutVersion, TreasuryError> {
        let wrong = |error: &dyn std::fmt::Display| {
            TreasuryError::Refuses(format!("the signed payout is wrong: {error}"))
        };
        let fee = psbt.fee().map_err(|error| wrong(&error))?;
        let tx = psbt.extract_tx_fee_rate_limit().map_err(|error| wrong(&error))?;
        Ok(PayoutVersion {
            txid: tx.compute_txid().to_byte_array(),
            raw: serialize(&tx),
            fee: units(fee),
            inputs: inputs_of(&tx),
            signed_at: self.clock.now(),
        })
    }

    /// The transaction of an order: with the fee it names, or more where its inputs ask for more at this rate.
    fn build(&mut self, order: &PayoutOrder, rate: u64) -> Result<Psbt, TreasuryError> {
        let mut fee = satoshi(order.fee)?;
        let mut psbt = self.build_with(order, fee, rate)?;
        // More inputs than expected make it larger: a transaction below the rate would be stuck. Twice is enough, because
        // the fee is small beside the coins.
        for _ in 0..2 {
            let needed = satoshi(super::fee::amount(rate, self.signed_size(&psbt)))?;
            if needed <= fee || !order.versions.is_empty() {
                break;
            }
            fee = needed;
            psbt = self.build_with(order, fee, rate)?;
        }
        let inputs = psbt.unsigned_tx.input.iter().map(|input| input.previous_output).collect();
        self.reserved.insert(order.id, inputs);
        Ok(psbt)
    }

    fn build_with(
        &mut self,
        order: &PayoutOrder,
        fee: bitcoin::Amount,
        rate: u64,
    ) -> Result<Psbt, TreasuryError> {
        if let Some(last) = order.versions.last() {
            self.learn(&order.versions);
            let txid = Txid::from_byte_array(last.txid);
            let bump = self.wallet.build_fee_bump(txid);
            let mut builder = bump.map_err(|error| {
                TreasuryError::Refuses(format!("no higher fee for {txid}: {error}"))
            })?;
            builder.ordering(TxOrdering::Untouched).fee_absolute(fee);
            return builder.finish().map_err(cannot_build);
        }
        let mut taken: Vec<OutPoint> = self
            .reserved
            .iter()
            .filter(|(id, _)| **id != order.id)
            .flat_map(|(_, coins)| coins.clone())
            .collect();
        if let Some(outbox) = &self.outbox {
            taken.extend(outbox.spoken_for(order.id)?);
        }
        let recipients: Result<Vec<(ScriptBuf, bitcoin::Amount)>, TreasuryError> = order
            .parts
            .iter()
            .map(|part| Ok((ScriptBuf::from_bytes(part.destination.clone()), satoshi(part.sent)?)))
            .collect();
        // Coins that cost more to spend than they are worth are left alone: strangers may have sent them.
        let worthless =
            |coin: &LocalOutput| units(coin.txout.value) < super::fee::amount(rate, COST_OF_COIN);
        taken.extend(self.wallet.list_unspent().filter(worthless).map(|coin| coin.outpoint));
        let mut builder = self.wallet.build_tx().coin_selection(LargestFirstCoinSelection);
        builder.ordering(TxOrdering::Untouched).set_recipients(recipients?).fee_absolute(fee);
        builder.exclude_unconfirmed().unspendable(taken);
        builder.finish().map_err(cannot_build)
    }

    /// Virtual bytes once it is signed.
    fn signed_size(&self, psbt: &Psbt) -> u64 {
        let most = |keychain| {
            let weight = self.wallet.public_descriptor(keychain).max_weight_to_satisfy();
            weight.map_or(0, |weight| weight.to_wu())
        };
        let each = most(KeychainKind::External).max(most(KeychainKind::Internal));
        let weight = psbt.unsigned_tx.weight().to_wu() + each * psbt.unsigned_tx.input.len() as u64;
        weight.div_ceil(4)
    }

    /// The height of the chain it follows.
    pub(crate) fn height(&self) -> u32 {
        self.wallet.latest_checkpoint().height()
    }

    /// What became of a payout as far as the chain says: `Absent` when it says nothing.
    pub(crate) async fn fate(&mut self, versions: &[PayoutVersion]) -> Option<Fate> {
        let tip = self.wallet.latest_checkpoint().height();
        if let Some((version, height)) = self.anchored(versions) {
            self.forget_waiting(versions);
            let confirmations = tip.saturating_sub(height) + 1;
            return Some(Fate::InChain { version, confirmations });
        }
        self.learn(versions);
        for (version, known) in versions.iter().enumerate() {
            let found = self.wallet.get_tx(Txid::from_byte_array(known.txid));
            let height = found.and_then(|tx| tx.chain_position.confirmation_height_upper_bound());
            if let Some(height) = height {
                return Some(Fate::InChain {
                    version,
                    confirmations: tip.saturating_sub(height) + 1,
                });
            }
        }
        let blocked: Option<Vec<u32>> =
            versions.iter().map(|version| self.blocked_for(version, versions)).collect();
        if let Some(confirmations) = blocked.and_then(|depths| depths.into_iter().min()) {
            let now = self.now_s();
            let gone = versions.iter().map(|version| (Txid::from_byte_array(version.txid), now));
            self.wallet.apply_evicted_txs(gone);
            return Some(Fate::Impossible { confirmations });
        }
        Some(Fate::Absent)
    }

    /// The version that a block of the chain has, and the block's height. Most payouts that are watched are confirmed and
    /// only grow deeper: this is known without weighing all the wallet's transactions against each other.
    fn anchored(&self, versions: &[PayoutVersion]) -> Option<(usize, u32)> {
        let (tip, graph) = (self.wallet.latest_checkpoint(), self.wallet.tx_graph());
        versions.iter().enumerate().find_map(|(at, version)| {
            let node = graph.get_tx_node(Txid::from_byte_array(version.txid))?;
            let height = node.anchors.iter().map(|anchor| anchor.block_id).find_map(|block| {
                let found = tip.get(block.height)?;
                (found.hash() == block.hash).then_some(block.height)
            })?;
            Some((at, height))
        })
    }

    /// Transactions that are in the books: their coins are spoken for, and their change is on its way.
    fn learn(&mut self, versions: &[PayoutVersion]) {
        let is_known =
            |v: &PayoutVersion| self.wallet.get_tx(Txid::from_byte_array(v.txid)).is_some();
        // One that had left the mempool before the books said what it is was forgotten: from now on it counts again.
        let since = if versions.iter().any(is_known) { 0 } else { self.now_s() };
        let decoded = versions.iter().enumerate().filter_map(|(n, version)| {
            let tx: Transaction = deserialize(&version.raw).ok()?;
            // The newest version is the one that counts while none is confirmed.
            Some((tx, (version.signed_at.0 / 1000).max(since) + n as u64))
        });
        self.wallet.apply_unconfirmed_txs(decoded.collect::<Vec<_>>());
        self.forget_waiting(versions);
    }

    /// What waited for the books to say what it is: they have.
    fn forget_waiting(&mut self, versions: &[PayoutVersion]) {
        let is_version = |txid: &Txid| versions.iter().any(|own| own.txid == txid.to_byte_array());
        self.heard_of.retain(|txid| !is_version(txid));
        for version in versions {
            let coins: Vec<OutPoint> = version.inputs.iter().map(outpoint).collect();
            self.reserved.retain(|_, reserved| *reserved != coins);
        }
    }

    /// Since how many blocks can a version no longer confirm? `None` while it can.
    fn blocked_for(&self, version: &PayoutVersion, versions: &[PayoutVersion]) -> Option<u32> {
        let own: Vec<Txid> =
            versions.iter().map(|version| Txid::from_byte_array(version.txid)).collect();
        version.inputs.iter().filter_map(|input| self.input_gone_for(&outpoint(input), &own)).max()
    }

    fn input_gone_for(&self, input: &OutPoint, own: &[Txid]) -> Option<u32> {
        let tip = self.wallet.latest_checkpoint();
        let graph = self.wallet.tx_graph();
        for spender in graph.outspends(*input).iter().filter(|txid| !own.contains(txid)) {
            let position = self.wallet.get_tx(*spender).map(|tx| tx.chain_position);
            if let Some(height) = position.and_then(|at| at.confirmation_height_upper_bound()) {
                return Some(tip.height().saturating_sub(height) + 1);
            }
        }
        // A coinbase whose block has left the chain is gone for as long as something else stands there.
        let source = graph.get_tx_node(input.txid)?;
        if !source.tx.is_coinbase() {
            return None;
        }
        let stands =
            |block: &BlockId| tip.get(block.height).is_some_and(|found| found.hash() == block.hash);
        if source.anchors.iter().any(|anchor| stands(&anchor.block_id)) {
            return None;
        }
        let highest = source.anchors.iter().map(|anchor| anchor.block_id.height).max()?;
        (tip.height() >= highest).then(|| tip.height() - highest + 1)
    }

    fn now_s(&self) -> u64 {
        let UnixMs(now) = self.clock.now();
        now / 1000
    }

    /// Keeps what the wallet has learnt: at once when it concerns money, now and then when only the tip moved.
    async fn keep(&mut self, at_once: bool) -> Result<(), TreasuryError> {
        let tip = self.wallet.latest_checkpoint().height();
        if let Some(changes) = self.wallet.take_staged() {
            self.unsaved.merge(changes);
        }
        let unsaved = &self.unsaved;
        let matters = unsaved.descriptor.is_some()
            || !unsaved.tx_graph.is_empty()
            || !unsaved.indexer.is_empty();
        let tip_is_old = tip.abs_diff(self.kept_tip) >= KEEP_TIP_EVERY;
        if unsaved.is_empty() || !(matters || at_once || tip_is_old) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(unsaved).map_err(|error| {
            TreasuryError::Refuses(format!("the wallet's state cannot be written: {error}"))
        })?;
        let name = format!("{:08}", self.next_note);
        // A write that failed may still be made later, under its own name: what is merged twice is the same as once.
        self.next_note += 1;
        self.notes.keep(&name, Some(bytes)).await?;
        self.unsaved = ChangeSet::default();
        self.kept_tip = tip;
        Ok(())
    }
}

/// The coins a transaction spends.
pub(super) fn inputs_of(tx: &Transaction) -> Vec<([u8; 32], u32)> {
    let spent = tx.input.iter().map(|input| input.previous_output);
    spent.map(|at| (at.txid.to_byte_array(), at.vout)).collect()
}

fn txids_in(list: &[u8]) -> Vec<Txid> {
    let text = String::from_utf8_lossy(list);
    text.split_whitespace().filter_map(|txid| txid.parse().ok()).collect()
}

/// An answer of `gettxspendingprevout`.
#[derive(Deserialize)]
struct Spender {
    spendingtxid: Option<String>,
}

fn outpoint((txid, vout): &([u8; 32], u32)) -> OutPoint {
    OutPoint::new(Txid::from_byte_array(*txid), *vout)
}

fn cannot_build(error: CreateTxError) -> TreasuryError {
    match error {
        CreateTxError::CoinSelection(short) => TreasuryError::Unfunded(format!(
            "{short}. Coins that are not confirmed, not mature or in another payout do not count"
        )),
        CreateTxError::OutputBelowDustLimit(at) => TreasuryError::Refuses(format!(
            "output {at} is too small for the network: raise the minimum payout"
        )),
        other => TreasuryError::Refuses(format!("the payout cannot be built: {other}")),
    }
}

/// The keys in the descriptors, as signers.
fn signers(
    descriptors: &Descriptors,
    gate: &ChainGate,
) -> Result<Vec<SignersContainer>, TreasuryError> {
    let secp = Secp256k1::new();
    let kind = NetworkKind::from(network_of(gate.coin));
    let read = |text: &str| match text.into_wallet_descriptor(&secp, kind) {
        Ok((_, keys)) if keys.is_empty() => {
            Err(TreasuryError::Refuses("the key file holds no private key".into()))
        }
        Ok((descriptor, keys)) => Ok(SignersContainer::build(keys, &descriptor, &secp)),
        Err(error) => Err(TreasuryError::Refuses(format!("the key file cannot be used: {error}"))),
    };
    Ok(vec![read(&descriptors.external)?, read(&descriptors.change)?])
}

fn merged(kept: &[(String, Vec<u8>)]) -> Result<Option<ChangeSet>, TreasuryError> {
    let mut whole: Option<ChangeSet> = None;
    for (name, bytes) in kept {
        let changes: ChangeSet = serde_json::from_slice(bytes).map_err(|error| {
            TreasuryError::Refuses(format!("the wallet's note {name} cannot be read: {error}"))
        })?;
        match &mut whole {
            Some(whole) => whole.merge(changes),
            None => whole = Some(changes),
        }
    }
    Ok(whole)
}

fn load(
    descriptors: Descriptors,
    genesis: BlockHash,
    changes: ChangeSet,
) -> Result<Wallet, TreasuryError> {
    let loaded = Wallet::load()
        .descriptor(KeychainKind::External, Some(descriptors.external))
        .descriptor(KeychainKind::Internal, Some(descriptors.change))
        .check_genesis_hash(genesis)
        .lookahead(LOOKAHEAD)
        .load_wallet_no_persist(changes);
    match loaded {
        Ok(Some(wallet)) => Ok(wallet),
        Ok(None) => Err(TreasuryError::Refuses("the wallet's notes are empty".into())),
        Err(error) => Err(TreasuryError::Refuses(format!(
            "the key or descriptors are not those this pool's wallet was made with ({error}). Put the right key file back; \
             a pool cannot change its wallet while it owes money"
        ))),
    }
}

async fn create(
    descriptors: Descriptors,
    genesis: BlockHash,
    gate: &ChainGate,
    nodes: &mut [Rpc],
    birthday: Option<u32>,
) -> Result<Wallet, TreasuryError> {
    let refuses = |error: &dyn std::fmt::Display| {
        TreasuryError::Refuses(format!("the wallet cannot be made: {error}"))
    };
    let mut wallet = Wallet::create(descriptors.external, descriptors.change)
        .network(network_of(gate.coin))
        .genesis_hash(genesis)
        .lookahead(LOOKAHEAD)
        .create_wallet_no_persist()
        .map_err(|error| refuses(&error))?;
    // The coinbase's address is in use from the first job on.
    wallet.reveal_addresses_to(KeychainKind::External, 0).for_each(drop);
    let mut why = "no node is configured".to_owned();
    for node in nodes {
        match birth_block(node, gate, birthday).await {
            Ok(birth) if birth.height == 0 => return Ok(wallet),
            Ok(birth) => {
                let start = BlockId { height: 0, hash: genesis };
                let chain = CheckPoint::from_block_ids([start, birth])
                    .map_err(|_| refuses(&"heights out of order"))?;
                let update = Update { chain: Some(chain), ..Update::default() };
                wallet.apply_update(update).map_err(|error| refuses(&error))?;
                return Ok(wallet);
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(TreasuryError::Unreachable(format!(
        "the new wallet needs a node once, to know where its history begins: {why}"
    )))
}

/// Where a new wallet's history begins: at its birthday, or at the node's tip.
async fn birth_block(
    node: &mut Rpc,
    gate: &ChainGate,
    birthday: Option<u32>,
) -> Result<BlockId, TreasuryError> {
    gate.check(node).await.map_err(|error| TreasuryError::Unreachable(error.to_string()))?;
    let tip: u32 = node.call("getblockcount", json!([])).await.map_err(unreachable)?;
    let height = birthday.unwrap_or(tip).min(tip);
    let hash: BlockHash = node.call("getblockhash", json!([height])).await.map_err(unreachable)?;
    Ok(BlockId { height, hash })
}

async fn block_at(node: &mut Rpc, height: u32) -> Result<Block, TreasuryError> {
    let hash: String = node.call("getblockhash", json!([height])).await.map_err(unreachable)?;
    let hex: String = node.call("getblock", json!([hash, 0])).await.map_err(unreachable)?;
    let wrong = || TreasuryError::Unreachable(format!("the node's block {height} cannot be read"));
    let bytes = Vec::from_hex(&hex).map_err(|_| wrong())?;
    let block: Block = deserialize(&bytes).map_err(|_| wrong())?;
    if block.block_hash().to_string() == hash { Ok(block) } else { Err(wrong()) }
}

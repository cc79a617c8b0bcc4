//! A wallet inside the node, for the forks: it funds and signs, and that is all it is asked.
//!
//! Invariant: `fundrawtransaction`, `signrawtransactionwithwallet` and `sendrawtransaction` are three calls; the node
//! never builds and sends in one (`sendmany`), because an answer lost there leaves nobody knowing what was sent. Coins of
//! a signed payout stay locked in the node until the payout is in the chain or impossible.

use super::descriptor::inputs_of;
use super::{Notes, satoshi, units, unreachable};
use crate::rpc::{Endpoint, Rpc, RpcError};
use accounting::payout::{Fate, PayoutVersion};
use accounting::{Amount, RewardId};
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Witness};
use pool::Clock;
use pool::treasury::{Holdings, PayoutOrder, Signing, TreasuryError, WalletSpend};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A change output smaller than this goes to the fee instead: Litecoin's nodes do not relay less than 2940.
const CHANGE_MIN: u64 = 3000;
/// Virtual bytes of an input's signature and key at most, which are not there before it is signed.
const SIGNATURE: u64 = 108;
/// What lies so many blocks deep is not asked for again.
const SETTLED_DEPTH: u32 = 1000;
/// The note with the address that the coinbases pay.
const ADDRESS: &str = "address";

/// A wallet inside the node.
pub struct NodeWallet {
    rpc: Rpc,
    clock: Arc<dyn Clock>,
    script: ScriptBuf,
    spends: BTreeMap<[u8; 32], WalletSpend>,
    /// What was signed last for each payout, until the books have it.
    signed: BTreeMap<u64, PayoutVersion>,
    /// The last block whose wallet transactions are settled in `spends`.
    since: Option<String>,
}

#[derive(Deserialize)]
struct Funded {
    hex: String,
    changepos: i64,
}

#[derive(Deserialize)]
struct SignedTransaction {
    hex: String,
    complete: bool,
}

#[derive(Deserialize)]
struct WalletTransaction {
    confirmations: i64,
    #[serde(default)]
    amount: f64,
    #[serde(default)]
    fee: f64,
    hex: String,
}

impl NodeWallet {
    /// Opens it; the address for the coinbases is asked for once and kept.
    ///
    /// # Errors
    /// When the node cannot be asked, or the kept address is not this wallet's.
    pub(crate) async fn open(
        endpoint: Endpoint,
        notes: Notes,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TreasuryError> {
        let mut rpc = Rpc::new(endpoint);
        let kept = notes.all().await?.into_iter().find(|(key, _)| key == ADDRESS);
        let address = match kept.and_then(|(_, bytes)| String::from_utf8(bytes).ok()) {
            Some(address) => address,
            None => {
                let new: String = rpc
                    .call("getnewaddress", json!(["adit", "bech32"]))
                    .await
                    .map_err(wallet_said)?;
                notes.keep(ADDRESS, Some(new.clone().into_bytes())).await?;
                new
            }
        };
        let shown: Value =
            rpc.call("getaddressinfo", json!([address])).await.map_err(wallet_said)?;
        if shown["ismine"] != true {
            return Err(TreasuryError::Refuses(format!(
                "the node's wallet does not own {address}, which this pool's coinbases pay: load the wallet that does"
            )));
        }
        let script = shown["scriptPubKey"].as_str().and_then(|hex| Vec::from_hex(hex).ok());
        let script = script
            .ok_or_else(|| TreasuryError::Refuses(format!("the node cannot read {address}")))?;
        Ok(NodeWallet {
            rpc,
            clock,
            script: script.into(),
            spends: BTreeMap::new(),
            signed: BTreeMap::new(),
            since: None,
        })
    }

    /// The script that the coinbases pay.
    #[must_use]
    pub fn script(&self) -> ScriptBuf {
        self.script.clone()
    }

    /// What the wallet holds.
    pub(crate) async fn refresh(&mut self) -> Result<Holdings, TreasuryError> {
        self.follow_spends().await?;
        let balances: Value = self.rpc.call("getbalances", json!([])).await.map_err(wallet_said)?;
        let own = |name: &str| coins(balances["mine"][name].as_f64().unwrap_or(0.0));
        Ok(Holdings {
            spendable: own("trusted"),
            immature: own("immature"),
            unconfirmed: Amount::ZERO,
            spends: self.spends.values().cloned().collect(),
        })
    }

    /// Learns of every transaction that spends the wallet's coins, those that left the chain included.
    async fn follow_spends(&mut self) -> Result<(), TreasuryError> {
        // The wallet tells what changed since a block; it is asked from deeper than reorganisations go.
        let since = self.since.clone().unwrap_or_default();
        let from = |hash: &str| json!([hash, SETTLED_DEPTH, false, true]);
        let listed: Value = match self.rpc.call("listsinceblock", from(&since)).await {
            // The block is gone: from the beginning, then.
            Err(RpcError::Refused { code: -5, .. }) => {
                self.rpc.call("listsinceblock", from("")).await.map_err(wallet_said)?
            }
            other => other.map_err(wallet_said)?,
        };
        let all = [&listed["transactions"], &listed["removed"]];
        // The wallet lists each recipient by itself.
        let mut seen: BTreeMap<[u8; 32], Vec<(Vec<u8>, Amount)>> = BTreeMap::new();
        for entry in all
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .filter(|entry| entry["category"] == "send")
        {
            let Some(txid) = entry["txid"].as_str() else { continue };
            let Some(id) = crate::template::hash_from_hex(txid) else { continue };
            let shown = self.transaction(txid).await?;
            let Some(shown) = shown else { continue };
            // A transaction that conflicts with the chain, or was abandoned, spends nothing.
            if shown.confirmations < 0 {
                self.spends.remove(&id);
                continue;
            }
            let fee = coins(-shown.fee);
            let vout = entry["vout"].as_u64().and_then(|vout| usize::try_from(vout).ok());
            let output =
                vout.and_then(|vout| decode(&shown.hex).ok()?.output.into_iter().nth(vout));
            let script = output.map(|output| output.script_pubkey.to_bytes()).unwrap_or_default();
            let mut outputs = seen.remove(&id).unwrap_or_default();
            outputs.push((script, coins(-entry["amount"].as_f64().unwrap_or(0.0))));
            seen.insert(id, outputs.clone());
            let confirmations = u32::try_from(shown.confirmations).unwrap_or(u32::MAX);
            let out = coins(-shown.amount).add(fee);
            let tx = decode(&shown.hex)?;
            let (inputs, raw) = (inputs_of(&tx), serialize(&tx));
            let spend = WalletSpend { txid: id, out, fee, outputs, confirmations, inputs, raw };
            self.spends.insert(id, spend);
        }
        self.since =
            listed["lastblock"].as_str().filter(|hash| !hash.is_empty()).map(str::to_owned);
        Ok(())
    }

    async fn transaction(
        &mut self,
        txid: &str,
    ) -> Result<Option<WalletTransaction>, TreasuryError> {
        match self.rpc.call("gettransaction", json!([txid])).await {
            Ok(found) => Ok(Some(found)),
            Err(RpcError::Refused { code: -5, .. }) => Ok(None),
            Err(error) => Err(wallet_said(error)),
        }
    }

    /// Funds, signs, and gives the bytes back.
    pub(crate) async fn sign(
        &mut self,
        order: &PayoutOrder,
        rate: u64,
    ) -> Result<Signing, TreasuryError> {
        // A version that the books did not take gives its coins back before others are chosen.
        if let Some(refused) = self.signed.remove(&order.id)
            && order.versions.iter().all(|known| known.txid != refused.txid)
        {
            self.lock(&[refused], false).await;
        }
        let unsigned = match order.versions.last() {
            Some(last) => self.with_higher_fee(last, order).await?,
            None => self.fund(order, rate).await?,
        };
        let spent = self.outputs_spent(&unsigned).await?;
        let fee = fee_of(&unsigned, &spent)?;
        let hex = serialize(&unsigned).to_lower_hex_string();
        let known: Vec<Value> = unsigned
            .input
            .iter()
            .zip(&spent)
            .map(|(input, output)| known_output(input, output))
            .collect();
        let signed: SignedTransaction = self
            .rpc
            .call("signrawtransactionwithwallet", json!([hex, known]))
            .await
            .map_err(wallet_said)?;
        if !signed.complete {
            return Err(TreasuryError::Refuses(
                "the node's wallet cannot sign for all coins; is it locked (walletpassphrase)?"
                    .into(),
            ));
        }
        let signed = decode(&signed.hex)?;
        let version = PayoutVersion {
            txid: signed.compute_txid().to_byte_array(),
            raw: serialize(&signed),
            fee: units(fee),
            inputs: signed
                .input
                .iter()
                .map(|i| (i.previous_output.txid.to_byte_array(), i.previous_output.vout))
                .collect(),
            signed_at: self.clock.now(),
        };
        // Locked once it is signed: the next payout chooses other coins.
        self.lock(std::slice::from_ref(&version), true).await;
        self.signed.insert(order.id, version.clone());
        Ok(Signing::Signed(version))
    }

    /// Lets the wallet choose coins and lock them, then sets the fee exactly by the change output.
    async fn fund(&mut self, order: &PayoutOrder, rate: u64) -> Result<Transaction, TreasuryError> {
        let mut outputs = Vec::with_capacity(order.parts.len());
        for part in &order.parts {
            let script_pubkey = ScriptBuf::from_bytes(part.destination.clone());
            outputs.push(TxOut { value: satoshi(part.sent)?, script_pubkey });
        }
        let count = outputs.len();
        let bare = Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: Vec::new(),
            output: outputs,
        };
        let options = json!({
            "lockUnspents": false,
            "replaceable": true,
            "changePosition": count,
            "change_type": "bech32",
            "feeRate": format!("{}.{:08}", rate / 100_000_000, rate % 100_000_000),
        });
        let params = json!([serialize_without_inputs(&bare), options, false]);
        let funded: Funded =
            self.rpc.call("fundrawtransaction", params).await.map_err(wallet_said)?;
        let mut tx = decode(&funded.hex)?;
        let spent = self.outputs_spent(&tx).await?;
        let change = usize::try_from(funded.changepos).ok();
        // More coins than expected make it larger: then the pool pays what the size asks for.
        let size = tx.vsize() as u64 + SIGNATURE * tx.input.len() as u64;
        let fee = order.fee.max(super::fee::amount(rate, size));
        set_fee(&mut tx, &spent, change, satoshi(fee)?)?;
        Ok(tx)
    }

    /// The same coins, the same recipients, less change.
    async fn with_higher_fee(
        &mut self,
        last: &PayoutVersion,
        order: &PayoutOrder,
    ) -> Result<Transaction, TreasuryError> {
        let mut tx: Transaction = deserialize(&last.raw)
            .map_err(|error| TreasuryError::Refuses(format!("version on file: {error}")))?;
        for input in &mut tx.input {
            input.witness = Witness::new();
            input.script_sig = ScriptBuf::new();
        }
        let paid = |output: &TxOut| {
            let same = |part: &accounting::payout::PayoutPart| {
                part.destination == output.script_pubkey.as_bytes()
            };
            order.parts.iter().any(same)
        };
        let change = tx.output.iter().rposition(|output| !paid(output));
        let spent = self.outputs_spent(&tx).await?;
        set_fee(&mut tx, &spent, change, satoshi(order.fee)?)?;
        if fee_of(&tx, &spent)? < satoshi(order.fee)? {
            return Err(TreasuryError::Unfunded(
                "the payout's change does not cover a higher fee".into(),
            ));
        }
        Ok(tx)
    }

    async fn outputs_spent(&mut self, tx: &Transaction) -> Result<Vec<TxOut>, TreasuryError> {
        let mut outputs = Vec::with_capacity(tx.input.len());
        for input in &tx.input {
            let OutPoint { txid, vout } = input.previous_output;
            let from = self.transaction(&txid.to_string()).await?;
            let from = from.ok_or_else(|| {
                TreasuryError::Refuses(format!("the wallet does not know its own coin {txid}"))
            })?;
            let output = decode(&from.hex)?.output.into_iter().nth(vout as usize);
            outputs.push(
                output.ok_or_else(|| {
                    TreasuryError::Refuses(format!("{txid} has no output {vout}"))
                })?,
            );
        }
        Ok(outputs)
    }

    /// The height of the chain its node follows.
    pub(crate) async fn height(&mut self) -> Option<u32> {
        self.rpc.call("getblockcount", json!([])).await.ok()
    }

    /// What became of a payout as far as the wallet says: `Absent` when it says nothing, `None` when it cannot be asked.
    pub(crate) async fn fate(&mut self, versions: &[PayoutVersion]) -> Option<Fate> {
        let mut impossible: Option<u32> = None;
        let mut all_impossible = true;
        for (version, known) in versions.iter().enumerate() {
            let shown = self.transaction(&RewardId(known.txid).to_string()).await.ok()?;
            let confirmations = shown.map_or(0, |shown| shown.confirmations);
            if confirmations > 0 {
                let confirmations = u32::try_from(confirmations).unwrap_or(u32::MAX);
                return Some(Fate::InChain { version, confirmations });
            }
            let depth = match confirmations {
                // In conflict with a transaction so deep.
                below if below < 0 => Some(u32::try_from(-below).unwrap_or(u32::MAX)),
                _ => self.inputs_gone_for(known, versions).await?,
            };
            match depth {
                Some(depth) => {
                    impossible = Some(impossible.map_or(depth, |least| least.min(depth)))
                }
                None => all_impossible = false,
            }
        }
        match impossible {
            Some(confirmations) if all_impossible => {
                self.lock(versions, false).await;
                Some(Fate::Impossible { confirmations })
            }
            _ => {
                // The node forgets its locks when it restarts.
                self.lock(versions, true).await;
                Some(Fate::Absent)
            }
        }
    }

    /// Since how many blocks is an input of a version spent by something else, or its coinbase out of the chain? The outer
    /// `None`: nobody can say.
    async fn inputs_gone_for(
        &mut self,
        version: &PayoutVersion,
        versions: &[PayoutVersion],
    ) -> Option<Option<u32>> {
        let height: i64 = self.rpc.call("getblockcount", json!([])).await.ok()?;
        let mut deepest = None;
        for (txid, vout) in &version.inputs {
            let id = RewardId(*txid).to_string();
            let unspent: Value = self.rpc.call("gettxout", json!([id, vout, false])).await.ok()?;
            if !unspent.is_null() {
                continue;
            }
            let source = self.transaction(&id).await.ok()?;
            let depth = match source {
                Some(source) if source.confirmations > 0 => {
                    self.spent_elsewhere_for(*txid, *vout, versions).await?
                }
                // Its own transaction is out of the chain: for good when it was a coinbase.
                Some(source) => decode(&source.hex).ok().and_then(|tx| orphaned_for(&tx, height)),
                None => None,
            };
            deepest = deepest.max(depth);
        }
        Some(deepest)
    }

    async fn spent_elsewhere_for(
        &mut self,
        txid: [u8; 32],
        vout: u32,
        own: &[PayoutVersion],
    ) -> Option<Option<u32>> {
        let others: Vec<WalletSpend> = self
            .spends
            .values()
            .filter(|spend| own.iter().all(|version| version.txid != spend.txid))
            .cloned()
            .collect();
        for spend in others.iter().filter(|spend| spend.confirmations > 0) {
            let shown = self.transaction(&RewardId(spend.txid).to_string()).await.ok()??;
            let tx = decode(&shown.hex).ok()?;
            let input = OutPoint::new(bitcoin::Txid::from_byte_array(txid), vout);
            if tx.input.iter().any(|other| other.previous_output == input) {
                return Some(u32::try_from(shown.confirmations).ok());
            }
        }
        Some(None)
    }

    /// Locks the coins of versions, or gives them free. A lock that is already as wished is an error to the node and
    /// nothing to us.
    async fn lock(&mut self, versions: &[PayoutVersion], locked: bool) {
        for (txid, vout) in versions.iter().flat_map(|version| &version.inputs) {
            let coin = json!([{ "txid": RewardId(*txid).to_string(), "vout": vout }]);
            if let Err(error) = self.rpc.call::<Value>("lockunspent", json!([!locked, coin])).await
            {
                tracing::trace!(%error, "a coin's lock stays as it is");
            }
        }
    }
}

/// A coinbase out of the chain: how many blocks stand at and above its height (BIP34).
fn orphaned_for(tx: &Transaction, chain_height: i64) -> Option<u32> {
    if !tx.is_coinbase() {
        return None;
    }
    let script = &tx.input[0].script_sig;
    let height = match script.instructions().next()?.ok()? {
        bitcoin::script::Instruction::PushBytes(bytes) => {
            bitcoin::script::read_scriptint(bytes.as_bytes()).ok()?
        }
        bitcoin::script::Instruction::Op(op) => i64::from(op.to_u8()) - 0x50,
    };
    u32::try_from(chain_height - height + 1).ok().filter(|depth| *depth > 0)
}

/// Moves the difference between the fee wanted and the fee paid into or out of the change. Without change, or with too
/// little of it, the fee stays what it is, if it is enough.
fn set_fee(
    tx: &mut Transaction,
    spent: &[TxOut],
    change: Option<usize>,
    wanted: bitcoin::Amount,
) -> Result<(), TreasuryError> {
    let paid = fee_of(tx, spent)?;
    let enough = |paid: bitcoin::Amount| match paid >= wanted {
        true => Ok(()),
        false => Err(TreasuryError::Unfunded(format!(
            "the chosen coins leave {paid} for the fee, {wanted} is needed"
        ))),
    };
    let Some(change) = change.and_then(|at| tx.output.get_mut(at)) else { return enough(paid) };
    let after = (change.value + paid).checked_sub(wanted);
    match after.filter(|value| value.to_sat() >= CHANGE_MIN) {
        Some(value) => change.value = value,
        None => return enough(paid),
    }
    Ok(())
}

fn fee_of(tx: &Transaction, spent: &[TxOut]) -> Result<bitcoin::Amount, TreasuryError> {
    let value_in: bitcoin::Amount = spent.iter().map(|output| output.value).sum();
    let value_out: bitcoin::Amount = tx.output.iter().map(|output| output.value).sum();
    value_in
        .checked_sub(value_out)
        .ok_or_else(|| TreasuryError::Refuses("the node funded a payout with too little".into()))
}

fn known_output(input: &TxIn, output: &TxOut) -> Value {
    let OutPoint { txid, vout } = input.previous_output;
    let value = output.value.to_sat();
    json!({
        "txid": txid.to_string(),
        "vout": vout,
        "scriptPubKey": output.script_pubkey.as_bytes().to_lower_hex_string(),
        "amount": format!("{}.{:08}", value / 100_000_000, value % 100_000_000),
    })
}

/// A transaction without inputs, spelt so that a node does not take their missing count for the witness marker.
fn serialize_without_inputs(tx: &Transaction) -> String {
    let mut bytes = serialize(&tx.version);
    bytes.push(0);
    bytes.extend(serialize(&tx.output));
    bytes.extend(serialize(&tx.lock_time));
    bytes.to_lower_hex_string()
}

fn decode(hex: &str) -> Result<Transaction, TreasuryError> {
    let wrong =
        || TreasuryError::Unreachable("the node gave a transaction that cannot be read".into());
    let bytes = Vec::from_hex(hex).map_err(|_| wrong())?;
    deserialize(&bytes).map_err(|_| wrong())
}

/// Whole coins as a node says them, in smallest units.
fn coins(value: f64) -> Amount {
    Amount::from_units((value * 1e8).round() as i128)
}

/// An answer about money: not enough coins is its own kind.
fn wallet_said(error: RpcError) -> TreasuryError {
    match &error {
        RpcError::Refused { code: -4 | -6, message }
            if message.to_lowercase().contains("insufficient") =>
        {
            TreasuryError::Unfunded(message.clone())
        }
        RpcError::Refused { code: -13, .. } => TreasuryError::Refuses(
            "the node's wallet is locked: unlock it with walletpassphrase".into(),
        ),
        RpcError::Refused { code: -18 | -19, message } => {
            TreasuryError::Refuses(format!("{message}; check the wallet's name"))
        }
        _ => unreachable(error),
    }
}

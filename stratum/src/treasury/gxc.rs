//! GXC's wallet: the node signs and sends in one step, so what is written before is the intent.
//!
//! A payout has one recipient. Its first version is the intent to send; before the node is asked, the attempt is on disk. An
//! answer that did not come is never a reason to ask again: only a chain, looked at long enough after the attempt and without
//! the payment, is. Because the node changes a transaction's id when it mines it, a payment is known by what it spends and
//! whom it pays; mined, it becomes the payout's next version, with the fee that it really paid.
//!
//! Invariant: for each attempt on disk at most one request goes to the node.

mod scan;

use super::Notes;
use crate::gxc::rpc::Node;
use crate::rpc::RpcError;
use accounting::payout::{Fate, PayoutVersion};
use accounting::reward::Sighting;
use accounting::{Amount, RewardId, UnixMs};
use pool::crash::crash_point;
use pool::treasury::{Holdings, PayoutOrder, Signing, Treasury, TreasuryError, WalletSpend};
use pool::{Clock, Pool};
use pow::sha256d::sha256d;
use scan::{Chain, Payment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A transaction waits in the node's mempool for an hour at most; twice that and so many blocks later it was never made.
const EXCLUDED_AFTER_MS: u64 = 2 * 3600 * 1000;
const EXCLUDED_AFTER_BLOCKS: u64 = 6;
/// Smallest units of a coin.
const COIN: f64 = 1e8;
const DECIMALS: u8 = 8;

/// An intent older than this was acted on, whatever the notes say: they may be a backup's.
const FRESH_MS: u64 = 60 * 1000;
/// A block's time may be behind ours by this much.
const SLOW_CLOCKS_MS: u64 = 2 * 3600 * 1000;

/// One time the node was asked to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    to: String,
    units: i128,
    fee: i128,
    at: UnixMs,
    /// Blocks there were.
    height: u64,
    /// What the node said it is called, until it is mined.
    txid: Option<String>,
}

/// The node's wallet, of one address.
pub struct GxcWallet {
    node: Node,
    address: String,
    /// Of the asset, in the books.
    name: String,
    notes: Notes,
    clock: Arc<dyn Clock>,
    chain: Chain,
    /// By the intent.
    attempts: BTreeMap<[u8; 32], Attempt>,
}

fn unreachable(error: RpcError) -> TreasuryError {
    super::unreachable(error)
}

/// Names the intent to send this payout's part.
fn intent_of(order: &PayoutOrder, to: &str, sent: Amount) -> [u8; 32] {
    sha256d(format!("gxc payout {} to {to} of {sent}", order.id).as_bytes())
}

/// Whom an intent pays, and how much; `None` for a version that is no intent.
fn order_of(version: &PayoutVersion) -> Option<(String, Amount)> {
    let order: Value = serde_json::from_slice(&version.raw).ok()?;
    let amount = Amount::parse_decimal(order["amount"].as_str()?, DECIMALS).ok()?;
    Some((order["to"].as_str()?.to_owned(), amount))
}

fn hex(bytes: &[u8]) -> String {
    crate::template::to_hex(bytes)
}

impl GxcWallet {
    /// Opens the wallet of an address whose key the node has.
    ///
    /// # Errors
    /// When the node cannot be asked, is on another network, or has not got the key.
    pub async fn open(
        node: &str,
        address: String,
        name: &str,
        pool: Pool,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TreasuryError> {
        let node = Node::at(node);
        let known: Value =
            node.call("validateaddress", json!([address])).await.map_err(unreachable)?;
        if known["ismine"] != true {
            return Err(TreasuryError::Refuses(format!(
                "the GXC node's wallet has not got the key of {address}: payouts could never be signed. Import it there, or name \
                 an address of the node (`getnewaddress`)"
            )));
        }
        let notes = Notes { pool, prefix: name.to_owned() };
        let mut attempts = BTreeMap::new();
        for (key, value) in notes.all().await? {
            let mut intent = Vec::new();
            let read = crate::template::push_hex(&mut intent, &key)
                .and_then(|()| <[u8; 32]>::try_from(intent.as_slice()).ok())
                .zip(serde_json::from_slice(&value).ok());
            let Some((intent, attempt)) = read else {
                return Err(TreasuryError::Refuses(format!(
                    "the note \"{key}\" about a payment cannot be read: look at the store's table notes"
                )));
            };
            attempts.insert(intent, attempt);
        }
        let chain = Chain::of(address.clone());
        Ok(GxcWallet { node, address, name: name.to_owned(), notes, clock, chain, attempts })
    }

    /// Could this attempt never be mined any more? It is in no block, and too old to wait anywhere.
    fn is_excluded(&self, attempt: &Attempt) -> bool {
        self.clock.now().0 >= attempt.at.0.saturating_add(EXCLUDED_AFTER_MS)
            && self.chain.length() >= attempt.height + EXCLUDED_AFTER_BLOCKS
    }

    /// Which mined payments are which attempts: the earliest attempt that it could be.
    fn settled(&self) -> Vec<(&Payment, Option<[u8; 32]>)> {
        let mut open: Vec<(&[u8; 32], &Attempt)> = self.attempts.iter().collect();
        open.sort_by_key(|(_, attempt)| (attempt.height, attempt.at));
        let mut found = Vec::new();
        for payment in self.chain.payments() {
            let is_it = |(_, attempt): &(&[u8; 32], &Attempt)| {
                attempt.height <= payment.height
                    && payment.to == [(attempt.to.clone(), attempt.units)]
            };
            let intent = open.iter().position(is_it).map(|at| *open.remove(at).0);
            found.push((payment, intent));
        }
        found
    }

    /// Payouts of the books whose intent is older than the notes know of count as sent when they were signed; notes of
    /// payouts that rest are dropped.
    async fn compare_with_books(&mut self) -> Result<(), TreasuryError> {
        let name = self.name.clone();
        let order = self.notes.pool.order(move |books, _, _| {
            Ok(books.asset_named(&name).map(|asset| books.open_payouts(asset)).unwrap_or_default())
        });
        let open =
            order.await.map_err(|refused| TreasuryError::Unreachable(refused.to_string()))?;
        let intents: Vec<PayoutVersion> =
            open.into_iter().filter_map(|open| open.payout.versions.into_iter().next()).collect();
        let over = |intent: &&[u8; 32]| !intents.iter().any(|version| version.txid == **intent);
        let over: Vec<[u8; 32]> = self.attempts.keys().filter(over).copied().collect();
        for intent in over {
            self.keep(intent, None).await?;
        }
        for version in intents {
            if self.attempts.contains_key(&version.txid) || self.is_fresh(&version) {
                continue;
            }
            let Some((to, sent)) = order_of(&version) else { continue };
            let begun = UnixMs(version.signed_at.0.saturating_sub(SLOW_CLOCKS_MS));
            let attempt = Attempt {
                to,
                units: sent.units(),
                fee: version.fee.units(),
                at: version.signed_at,
                height: self.chain.first_after(begun),
                txid: None,
            };
            self.keep(version.txid, Some(attempt)).await?;
        }
        Ok(())
    }

    fn is_fresh(&self, version: &PayoutVersion) -> bool {
        self.clock.now().0 < version.signed_at.0.saturating_add(FRESH_MS)
    }

    async fn keep(
        &mut self,
        intent: [u8; 32],
        attempt: Option<Attempt>,
    ) -> Result<(), TreasuryError> {
        let value = attempt.as_ref().map(serde_json::to_vec).transpose();
        let value = value.map_err(|error| TreasuryError::Refuses(error.to_string()))?;
        self.notes.keep(&hex(&intent), value).await?;
        match attempt {
            Some(attempt) => self.attempts.insert(intent, attempt),
            None => self.attempts.remove(&intent),
        };
        Ok(())
    }

    fn spend_of(&self, payment: &Payment, intent: Option<[u8; 32]>) -> WalletSpend {
        // The intent is an input of every version, so that the books see that they cannot both confirm.
        let mut inputs: Vec<([u8; 32], u32)> = intent.iter().map(|intent| (*intent, 0)).collect();
        inputs.extend(payment.spent.iter().copied());
        let to: i128 = payment.to.iter().map(|(_, units)| units).sum();
        let outputs = payment
            .to
            .iter()
            .map(|(to, units)| (to.clone().into_bytes(), Amount::from_units(*units)));
        WalletSpend {
            txid: payment.txid,
            out: Amount::from_units(to + payment.fee),
            fee: Amount::from_units(payment.fee),
            outputs: outputs.collect(),
            confirmations: self.chain.confirmations(payment.height),
            inputs,
            raw: payment.shown.clone(),
        }
    }
}

impl Treasury for GxcWallet {
    async fn refresh(&mut self) -> Result<Holdings, TreasuryError> {
        self.chain.follow(&self.node).await.map_err(unreachable)?;
        self.compare_with_books().await?;
        let settled = self.settled();
        let done: Vec<[u8; 32]> = settled.iter().filter_map(|(_, intent)| *intent).collect();
        let mut spends: Vec<WalletSpend> =
            settled.into_iter().map(|(payment, intent)| self.spend_of(payment, intent)).collect();
        let waiting = self
            .attempts
            .iter()
            .filter(|(intent, attempt)| !done.contains(intent) && !self.is_excluded(attempt));
        let waiting = waiting.map(|(intent, attempt)| WalletSpend {
            txid: *intent,
            out: Amount::from_units(attempt.units + attempt.fee),
            fee: Amount::from_units(attempt.fee),
            outputs: vec![(attempt.to.clone().into_bytes(), Amount::from_units(attempt.units))],
            confirmations: 0,
            inputs: vec![(*intent, 0)],
            raw: Vec::new(),
        });
        let waiting: Vec<WalletSpend> = waiting.collect();
        let on_their_way: Amount = waiting.iter().map(|spend| spend.out).sum();
        spends.extend(waiting);
        let (spendable, immature) = self.chain.coins();
        Ok(Holdings {
            spendable: Amount::from_units(spendable).sub(on_their_way),
            immature: Amount::from_units(immature),
            unconfirmed: Amount::ZERO,
            spends,
        })
    }

    async fn sightings(&mut self, blocks: &[(RewardId, u64)]) -> Vec<Sighting> {
        let mut sightings = Vec::with_capacity(blocks.len());
        if self.chain.follow(&self.node).await.is_err() {
            return vec![Sighting::Unknown; blocks.len()];
        }
        for (id, height) in blocks {
            let confirmations = self.chain.confirmations(*height);
            sightings.push(match self.chain.hash_at(*height) {
                Some(hash) if *hash == id.to_string() => Sighting::InChain(confirmations),
                Some(_) => Sighting::Replaced(confirmations),
                None => Sighting::Unknown,
            });
        }
        sightings
    }

    async fn estimate_fee(&mut self, _: usize) -> Result<Amount, TreasuryError> {
        let said: Value = self.node.call("estimatefee", json!([])).await.map_err(unreachable)?;
        let coins = said["recommended_fee"].as_f64().or(said["fee"].as_f64());
        let units =
            coins.map(|coins| (coins * COIN).ceil()).filter(|units| (0.0..1e15).contains(units));
        let units = units.ok_or_else(|| {
            TreasuryError::Unreachable(format!("the node's fee estimate makes no sense: {said}"))
        })?;
        Ok(Amount::from_units(units as i128))
    }

    async fn sign(&mut self, order: &PayoutOrder) -> Result<Signing, TreasuryError> {
        let [part] = order.parts.as_slice() else {
            return Err(TreasuryError::Refuses(
                "GXC pays one recipient at a time: set max_outputs = 1 for this asset".into(),
            ));
        };
        if part.sent != part.debit {
            return Err(TreasuryError::Refuses(
                "GXC's node decides the fee, so miners cannot bear it: set fee_payer = \"pool\""
                    .into(),
            ));
        }
        let to = String::from_utf8(part.destination.clone())
            .map_err(|_| TreasuryError::Refuses("the destination is no GXC address".into()))?;
        let intent = intent_of(order, &to, part.sent);
        let raw = json!({ "payout": order.id, "to": to, "amount": part.sent.to_decimal(DECIMALS) });
        Ok(Signing::Signed(PayoutVersion {
            txid: intent,
            raw: raw.to_string().into_bytes(),
            fee: order.fee,
            inputs: vec![(intent, 0)],
            signed_at: self.clock.now(),
        }))
    }

    async fn broadcast(&mut self, version: &PayoutVersion) -> Result<(), TreasuryError> {
        // A mined version is out already.
        let Some((to, sent)) = order_of(version) else { return Ok(()) };
        self.chain.follow(&self.node).await.map_err(unreachable)?;
        let intent = version.txid;
        if self.settled().iter().any(|(_, own)| *own == Some(intent)) {
            return Ok(());
        }
        let is_over = match self.attempts.get(&intent) {
            Some(attempt) => self.is_excluded(attempt),
            None => self.is_fresh(version),
        };
        if !is_over {
            return Err(TreasuryError::Unreachable(
                "it was sent, and nobody knows yet whether the node made it; the chain will tell"
                    .into(),
            ));
        }
        let amount = sent.to_decimal(DECIMALS);
        let mut attempt = Attempt {
            to: to.clone(),
            units: sent.units(),
            fee: version.fee.units(),
            at: self.clock.now(),
            height: self.chain.length(),
            txid: None,
        };
        self.keep(intent, Some(attempt.clone())).await?;
        crash_point("gxc-attempt-written");
        let sent =
            self.node.call::<String>("sendtoaddress", json!([to, amount, self.address])).await;
        crash_point("gxc-sent");
        match sent {
            Ok(txid) => {
                attempt.txid = Some(txid);
                self.keep(intent, Some(attempt)).await
            }
            Err(error @ RpcError::Refused { .. }) => {
                self.keep(intent, None).await?;
                Err(TreasuryError::Unfunded(error.to_string()))
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    async fn fate(&mut self, versions: &[PayoutVersion]) -> Fate {
        if self.chain.follow(&self.node).await.is_err() {
            return Fate::Unknown;
        }
        for payment in self.chain.payments() {
            let mined = versions.iter().position(|version| version.txid == payment.txid);
            if let Some(version) = mined {
                let confirmations = self.chain.confirmations(payment.height);
                return Fate::InChain { version, confirmations };
            }
        }
        let Some(intent) = versions.first().map(|version| version.txid) else {
            return Fate::Unknown;
        };
        if self.settled().iter().any(|(_, own)| *own == Some(intent)) {
            // Mined, and not yet one of the payout's versions: the next look adopts it.
            return Fate::Unknown;
        }
        let Some(attempt) = self.attempts.get(&intent) else {
            let fresh = versions.first().is_some_and(|version| self.is_fresh(version));
            return if fresh { Fate::Absent } else { Fate::Unknown };
        };
        if self.is_excluded(attempt) {
            return Fate::Absent;
        }
        let Some(txid) = &attempt.txid else { return Fate::Unknown };
        match self.node.call::<Vec<String>>("getrawmempool", json!([])).await {
            Ok(waiting) if waiting.contains(txid) => Fate::InMempool,
            Ok(_) | Err(_) => Fate::Unknown,
        }
    }
}

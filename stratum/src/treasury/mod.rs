//! The coins of a bitcoind-family chain: the pool's own descriptor wallet, or a wallet inside the node.
//!
//! Invariant: signing and sending are two steps. What is sent are the bytes that were written to disk, the same every
//! time; a transaction is never left to a node to build and send in one.
//!
//! Reading order: [`key`] (what may sign), [`descriptor`] (our own wallet), [`offline`] (signing elsewhere),
//! [`node_wallet`] (the node signs), [`fee`].

pub mod descriptor;
pub mod fee;
pub mod gxc;
pub mod key;
pub mod node_wallet;
pub mod offline;

use crate::coin::Coin;
use crate::node::{self, ChainGate};
use crate::rpc::{Endpoint, Rpc, RpcError};
use accounting::payout::{Fate, PayoutVersion};
use accounting::reward::Sighting;
use accounting::{Amount, RewardId};
use bitcoin::ScriptBuf;
use descriptor::DescriptorWallet;
use fee::FeePolicy;
use node_wallet::NodeWallet;
use pool::treasury::{Holdings, PayoutOrder, Signing, Treasury, TreasuryError};
use pool::{Clock, Pool};
use std::path::PathBuf;
use std::sync::Arc;

/// Transactions heavier than this are not relayed.
const STANDARD_WEIGHT: u64 = 400_000;

/// Which wallet holds the coins.
#[derive(Debug, Clone)]
pub enum WalletConfig {
    /// Our own, with its key in a file only we can read.
    Hot {
        /// The file.
        key_file: PathBuf,
        /// Where its history begins; `None`: when the pool first starts.
        birthday: Option<u32>,
    },
    /// Our own, without its key: transactions are signed elsewhere.
    Watch {
        /// Descriptor of the addresses that receive.
        descriptor: String,
        /// Descriptor of the addresses that take change.
        change_descriptor: String,
        /// Where unsigned transactions are put, and signed ones are looked for.
        psbt_folder: PathBuf,
        /// Where its history begins; `None`: when the pool first starts.
        birthday: Option<u32>,
    },
    /// In the node.
    Node {
        /// The node's RPC with the wallet's path.
        endpoint: Endpoint,
    },
}

/// Everything a treasury needs to know.
#[derive(Debug, Clone)]
pub struct TreasuryConfig {
    /// The asset's name, under which the wallet's notes are kept.
    pub asset: String,
    /// Which chain.
    pub gate: ChainGate,
    /// The nodes, the preferred one first.
    pub nodes: Vec<Endpoint>,
    /// How fees are chosen.
    pub fees: FeePolicy,
    /// Which wallet.
    pub wallet: WalletConfig,
}

enum Wallet {
    Own(Box<DescriptorWallet>),
    Node(Box<NodeWallet>),
}

/// The treasury of one asset.
pub struct CoinTreasury {
    gate: ChainGate,
    nodes: Vec<Rpc>,
    fees: FeePolicy,
    wallet: Wallet,
}

impl CoinTreasury {
    /// Opens the wallet.
    ///
    /// # Errors
    /// When the key cannot be used, the wallet belongs to another key, or the node cannot be asked.
    pub async fn open(
        config: TreasuryConfig,
        pool: Pool,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TreasuryError> {
        let mut nodes: Vec<Rpc> = config.nodes.into_iter().map(Rpc::new).collect();
        let notes = Notes { pool, prefix: format!("wallet/{}", config.asset) };
        let wallet = match config.wallet {
            WalletConfig::Node { endpoint } => {
                Wallet::Node(Box::new(NodeWallet::open(endpoint, notes, clock).await?))
            }
            own => {
                let opened =
                    DescriptorWallet::open(own, &config.gate, &mut nodes, notes, clock).await?;
                Wallet::Own(Box::new(opened))
            }
        };
        Ok(CoinTreasury { gate: config.gate, nodes, fees: config.fees, wallet })
    }

    /// The script that the pool's coinbases pay.
    #[must_use]
    pub fn script(&self) -> ScriptBuf {
        match &self.wallet {
            Wallet::Own(wallet) => wallet.script(),
            Wallet::Node(wallet) => wallet.script(),
        }
    }

    /// Is a node there that may be believed? Of those that are, the one with the most work; among equals the first.
    async fn fit_node(&mut self) -> Result<usize, TreasuryError> {
        let mut why = "no node is configured".to_owned();
        let mut best = None;
        for (at, node) in self.nodes.iter_mut().enumerate() {
            match self.gate.check(node).await {
                Ok(work) if best.is_none_or(|(most, _)| work > most) => best = Some((work, at)),
                Ok(_) => {}
                Err(error) => why = format!("{}: {error}", node.endpoint().address),
            }
        }
        best.map(|(_, at)| at).ok_or(TreasuryError::Unreachable(why))
    }

    /// Have all nodes that may be believed the same block so deep below the tip that the wallet follows? One node's word does
    /// not settle where money went.
    async fn agree_on(&mut self, confirmations: u32) -> bool {
        let tip = match &mut self.wallet {
            Wallet::Own(wallet) => Some(wallet.height()),
            Wallet::Node(wallet) => wallet.height().await,
        };
        let Some(height) = tip.and_then(|tip| (tip + 1).checked_sub(confirmations)) else {
            return false;
        };
        let mut agreed: Option<String> = None;
        for node in &mut self.nodes {
            if self.gate.check(node).await.is_err() {
                continue;
            }
            let found = node.call::<String>("getblockhash", serde_json::json!([height])).await;
            let hash = match found {
                Ok(hash) => hash,
                // A node that has fallen behind has no opinion.
                Err(RpcError::Refused { code: -8, .. }) => continue,
                Err(_) => return false,
            };
            if agreed.get_or_insert_with(|| hash.clone()) != &hash {
                return false;
            }
        }
        agreed.is_some()
    }

    /// Higher fees for a payout that waits end at the operator's limit; a first version below what is relayed is not sent.
    fn check_fee(&self, order: &PayoutOrder, version: &PayoutVersion) -> Result<(), TreasuryError> {
        let refuses = |text: String| TreasuryError::Refuses(format!("payout {}: {text}", order.id));
        let tx: bitcoin::Transaction = bitcoin::consensus::deserialize(&version.raw)
            .map_err(|error| refuses(format!("the signed transaction cannot be read: {error}")))?;
        let size = tx.vsize() as u64;
        let most = fee::amount(self.fees.max_rate, size);
        if version.fee > most && !order.versions.is_empty() {
            return Err(refuses(format!(
                "a fee of {} is beyond the limit of {most} (max_per_vbyte)",
                version.fee
            )));
        }
        if version.fee < fee::amount(fee::MIN_RATE, size) {
            return Err(refuses(format!(
                "a fee of {} for {size} virtual bytes is not relayed by anybody",
                version.fee
            )));
        }
        if tx.weight().to_wu() > STANDARD_WEIGHT {
            return Err(refuses(format!(
                "{size} virtual bytes are not relayed: lower max_outputs, or consolidate small coins"
            )));
        }
        Ok(())
    }

    /// Does any node hold one of these in its mempool? `None` when nobody could be asked, or an answer is missing.
    async fn in_a_mempool(&mut self, versions: &[PayoutVersion]) -> Option<bool> {
        let mut all_answered = !self.nodes.is_empty();
        for node in &mut self.nodes {
            for version in versions {
                let txid = RewardId(version.txid).to_string();
                match node
                    .call::<serde_json::Value>("getmempoolentry", serde_json::json!([txid]))
                    .await
                {
                    Ok(_) => return Some(true),
                    Err(RpcError::Refused { code: -5, .. }) => {}
                    Err(_) => all_answered = false,
                }
            }
        }
        all_answered.then_some(false)
    }
}

impl Treasury for CoinTreasury {
    async fn refresh(&mut self) -> Result<Holdings, TreasuryError> {
        let at = self.fit_node().await?;
        match &mut self.wallet {
            Wallet::Own(wallet) => wallet.refresh(&mut self.nodes[at]).await,
            Wallet::Node(wallet) => wallet.refresh().await,
        }
    }

    async fn sightings(&mut self, blocks: &[(RewardId, u64)]) -> Vec<Sighting> {
        let mut opinions: Vec<Vec<Sighting>> = vec![Vec::new(); blocks.len()];
        for node in &mut self.nodes {
            if self.gate.check(node).await.is_err() {
                continue;
            }
            for ((block, height), own) in blocks.iter().zip(&mut opinions) {
                own.push(node::sighting(node, *block, *height).await);
            }
        }
        opinions.iter().map(|own| node::agree(own)).collect()
    }

    async fn estimate_fee(&mut self, outputs: usize) -> Result<Amount, TreasuryError> {
        let rate = self.fees.rate(&mut self.nodes).await;
        Ok(fee::amount(rate, fee::expected_size(outputs)))
    }

    async fn sign(&mut self, order: &PayoutOrder) -> Result<Signing, TreasuryError> {
        let rate = self.fees.rate(&mut self.nodes).await;
        let signing = match &mut self.wallet {
            Wallet::Own(wallet) => wallet.sign(order, rate).await?,
            Wallet::Node(wallet) => wallet.sign(order, rate).await?,
        };
        if let Signing::Signed(version) = &signing {
            let tx = bitcoin::consensus::deserialize(&version.raw).map_err(|error| {
                let text =
                    format!("payout {}: the signed transaction cannot be read: {error}", order.id);
                TreasuryError::Refuses(text)
            })?;
            check_outputs(order, &tx)?;
            self.check_fee(order, version)?;
        }
        Ok(signing)
    }

    async fn broadcast(&mut self, version: &PayoutVersion) -> Result<(), TreasuryError> {
        use bitcoin::hex::DisplayHex;
        let raw = version.raw.to_lower_hex_string();
        let mut taken = false;
        let mut refusals = Vec::new();
        for node in &mut self.nodes {
            match node
                .call::<serde_json::Value>("sendrawtransaction", serde_json::json!([raw]))
                .await
            {
                // -27: it is in the chain already.
                Ok(_) | Err(RpcError::Refused { code: -27, .. }) => taken = true,
                Err(error) => refusals.push(format!("{}: {error}", node.endpoint().address)),
            }
        }
        if taken { Ok(()) } else { Err(TreasuryError::Unreachable(refusals.join("; "))) }
    }

    async fn fate(&mut self, versions: &[PayoutVersion]) -> Fate {
        let settled = match &mut self.wallet {
            Wallet::Own(wallet) => wallet.fate(versions).await,
            Wallet::Node(wallet) => wallet.fate(versions).await,
        };
        match settled {
            // In no chain, and nothing makes it impossible: has the network got it?
            Some(Fate::Absent) => match self.in_a_mempool(versions).await {
                Some(true) => Fate::InMempool,
                Some(false) => Fate::Absent,
                None => Fate::Unknown,
            },
            Some(
                fate @ (Fate::InChain { confirmations, .. } | Fate::Impossible { confirmations }),
            ) if !self.agree_on(confirmations).await => {
                tracing::warn!(?fate, "the nodes do not agree about a payout yet");
                Fate::Unknown
            }
            Some(fate) => fate,
            None => Fate::Unknown,
        }
    }
}

/// Does a transaction pay each part what was ordered, and nobody else but the change? Whoever built or signed it is not
/// believed.
fn check_outputs(order: &PayoutOrder, tx: &bitcoin::Transaction) -> Result<(), TreasuryError> {
    let refuses = |text: String| TreasuryError::Refuses(format!("payout {}: {text}", order.id));
    let mut left: Vec<(&[u8], Amount)> = tx
        .output
        .iter()
        .map(|output| (output.script_pubkey.as_bytes(), units(output.value)))
        .collect();
    for part in &order.parts {
        let paid = left
            .iter()
            .position(|(script, amount)| *script == part.destination && *amount == part.sent);
        let Some(at) = paid else {
            return Err(refuses(format!(
                "the transaction does not pay account {} its {}",
                part.account, part.sent
            )));
        };
        left.swap_remove(at);
    }
    match left.len() {
        0 | 1 => Ok(()),
        more => {
            Err(refuses(format!("the transaction has {} outputs that nobody ordered", more - 1)))
        }
    }
}

/// The wallet's own small things, kept in the pool's store.
pub(crate) struct Notes {
    pool: Pool,
    prefix: String,
}

impl Notes {
    const DOOR: &'static str = "treasury";

    /// All of them, in order of their names.
    async fn all(&self) -> Result<Vec<(String, Vec<u8>)>, TreasuryError> {
        let prefix = format!("{}/", self.prefix);
        let found = self.pool.order(move |books, _, _| {
            let own = books.notes_of(Self::DOOR).into_iter();
            Ok(own
                .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value)))
                .collect())
        });
        found.await.map_err(|refused| TreasuryError::Unreachable(refused.to_string()))
    }

    /// Keeps one, or removes it.
    async fn keep(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), TreasuryError> {
        let key = format!("{}/{key}", self.prefix);
        let kept = self.pool.order(move |books, _, _| {
            books.note(Self::DOOR, key, value);
            Ok(())
        });
        kept.await.map_err(|refused| TreasuryError::Unreachable(refused.to_string()))
    }
}

/// The network as the wallet library names it: for the kind of keys and nothing else.
pub(crate) fn network_of(coin: Coin) -> bitcoin::Network {
    match coin.network() {
        crate::coin::Network::Main | crate::coin::Network::Chain(_) => bitcoin::Network::Bitcoin,
        crate::coin::Network::Test => bitcoin::Network::Testnet,
        crate::coin::Network::Testnet4 => bitcoin::Network::Testnet4,
        crate::coin::Network::Signet => bitcoin::Network::Signet,
        crate::coin::Network::Regtest => bitcoin::Network::Regtest,
    }
}

pub(crate) fn unreachable(error: RpcError) -> TreasuryError {
    TreasuryError::Unreachable(error.to_string())
}

/// An amount as the library counts it.
pub(crate) fn satoshi(amount: Amount) -> Result<bitcoin::Amount, TreasuryError> {
    let units = amount
        .as_u64()
        .ok_or_else(|| TreasuryError::Refuses(format!("{amount} is no amount to send")))?;
    Ok(bitcoin::Amount::from_sat(units))
}

/// And back.
pub(crate) fn units(amount: bitcoin::Amount) -> Amount {
    Amount::from_units(i128::from(amount.to_sat()))
}

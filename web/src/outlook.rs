//! What the running pool shows of itself: networks, nodes, wallets, ports. Made by the binary about once a second.
//!
//! Invariant: plain values; whoever holds one holds up nobody.

use crate::leased::Leased;
use crate::measure::Measure;
use accounting::fee::FeeRule;
use accounting::{Amount, AssetId, Identity, PoolId, Scheme, UnixMs};
use pool::observe::Times;
use std::net::SocketAddr;
use std::sync::Arc;

/// The pool, seen from outside the books.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// When it was made.
    pub at: UnixMs,
    /// When the process started.
    pub started_at: UnixMs,
    /// Open connections of miners.
    pub connections: usize,
    /// One for each asset whose node was reached.
    pub assets: Vec<AssetOutlook>,
    /// One for each pool that is open.
    pub pools: Vec<PoolOutlook>,
    /// Tasks that the pool is nothing without, and whether each still runs.
    pub loops: Vec<(String, bool)>,
    /// Scheduled backups; `None` where there are none.
    pub backups: Option<BackupOutlook>,
}

/// How scheduled backups go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupOutlook {
    /// Where they are.
    pub folder: String,
    /// The newest that was written and read back.
    pub last: Option<UnixMs>,
    /// Why the last try failed, if it did.
    pub trouble: Option<String>,
}

impl BackupOutlook {
    /// When the newest was made, in seconds since 1970; 0 before the first.
    #[must_use]
    pub fn last_s(&self) -> f64 {
        self.last.map_or(0.0, |at| at.0 as f64 / 1000.0)
    }
}

/// One kind of money and its network.
#[derive(Debug, Clone)]
pub struct AssetOutlook {
    /// Its number.
    pub id: AssetId,
    /// Its name in the configuration.
    pub name: String,
    /// The coin, such as `Bitcoin`.
    pub coin: String,
    /// Its unit, such as `BTC`.
    pub symbol: String,
    /// Which network, such as `bitcoin/main`.
    pub network: String,
    /// Decimals of the unit.
    pub decimals: u8,
    /// The proofs of work that count here, such as `sha256d`.
    pub algorithms: Vec<String>,
    /// Expected hashes of difficulty 1.
    pub difficulty_one: f64,
    /// What its work is told to people as.
    pub measure: Measure,
    /// Seconds between blocks, by the chain's rule.
    pub block_interval_s: f64,
    /// Where its coinbases pay.
    pub address: String,
    /// The block being worked on; `None` while there is no work.
    pub next: Option<NextBlock>,
    /// Its nodes.
    pub nodes: Vec<NodeOutlook>,
    /// What the wallet holds; `None` until it answered.
    pub wallet: Option<WalletOutlook>,
    /// Did the balances follow from the transfers at the last look?
    pub folds: bool,
    /// Why nothing is paid; empty when nothing stops payouts.
    pub blockers: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The last trouble with the wallet.
    pub trouble: Option<String>,
    /// When the next payout run is due.
    pub next_run: UnixMs,
    /// Least amount worth sending.
    pub minimum: Amount,
    /// Confirmations after which income can be paid out.
    pub mature_after: u32,
    /// Confirmations of another block at its height after which a block is orphaned.
    pub orphan_after: u32,
    /// Addresses of its chain.
    pub addresses: Addresses,
}

/// The block that is being worked on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NextBlock {
    /// Its height.
    pub height: u64,
    /// Expected hashes to find it.
    pub work: f64,
    /// What its coinbase pays, in smallest units; `None` where a block's worth is known when it is there.
    pub value: Option<u64>,
    /// Transactions without the coinbase; `None` where the node keeps them to itself.
    pub transactions: Option<usize>,
    /// When the node gave it.
    pub at: UnixMs,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOutlook {
    /// Its address.
    pub address: String,
    /// Its newest block, if it said.
    pub height: Option<u64>,
    /// Why it is not believed, if it is not.
    pub trouble: Option<String>,
}

/// What the wallet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletOutlook {
    /// Can be spent now.
    pub spendable: Amount,
    /// Coinbases that are not mature.
    pub immature: Amount,
    /// Change on its way.
    pub unconfirmed: Amount,
}

/// One pot and its ports.
#[derive(Debug, Clone)]
pub struct PoolOutlook {
    /// Its number.
    pub id: PoolId,
    /// Its name.
    pub name: String,
    /// Its money.
    pub asset: AssetId,
    /// The proof of work, such as `sha256d`.
    pub algorithm: String,
    /// How it divides income.
    pub scheme: Scheme,
    /// How its blocks pay miners themselves, in words; none where they do not.
    pub by_block: Option<String>,
    /// What it keeps.
    pub fee: FeeRule,
    /// Its part of each block of its asset, where pools share them.
    pub part: Option<u32>,
    /// Where it listens.
    pub ports: Vec<PortOutlook>,
    /// What only leased compute has; `None` of other pools.
    pub leased: Option<Leased>,
    /// The pot beside it for income that is one account's own: its number and its name.
    pub refunds: Option<(PoolId, String)>,
    /// Shares refused since start, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// Shares accepted since start.
    pub accepted: u64,
    /// Found blocks that are not in the books yet.
    pub blocks_unbooked: usize,
    /// Jobs sent since start.
    pub jobs_sent: u64,
    /// Changes of difficulty since start.
    pub difficulty_changes: u64,
    /// Times to verify a share.
    pub validation: Times,
    /// Times until a share is durable and answered.
    pub ack: Times,
    /// Times until a new job is in a connection's buffer.
    pub broadcast: Times,
}

/// One listening port.
#[derive(Debug, Clone, PartialEq)]
pub struct PortOutlook {
    /// Where.
    pub address: SocketAddr,
    /// Does it take TLS as well?
    pub tls: bool,
    /// Where a connection starts, and its bounds.
    pub start: f64,
    /// The easiest.
    pub min: f64,
    /// The hardest.
    pub max: f64,
    /// Seconds between a connection's shares that are aimed at.
    pub share_interval_s: f64,
}

/// An address that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Whose account it names.
    pub identity: Identity,
    /// As its chain writes it.
    pub display: String,
}

type ParseFn = dyn Fn(&str) -> Result<Parsed, String> + Send + Sync;
type ProveFn = dyn Fn(&Identity, &str, &str) -> Result<(), String> + Send + Sync;

/// How a chain writes its addresses, and how their owners sign.
#[derive(Clone)]
pub struct Addresses {
    parse: Arc<ParseFn>,
    prove: Arc<ProveFn>,
}

impl Addresses {
    /// From the chain's own rules: an address read, and a message's signature checked.
    pub fn new(
        parse: impl Fn(&str) -> Result<Parsed, String> + Send + Sync + 'static,
        prove: impl Fn(&Identity, &str, &str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Addresses { parse: Arc::new(parse), prove: Arc::new(prove) }
    }

    /// Reads an address.
    ///
    /// # Errors
    /// Why it is none of this chain.
    pub fn parse(&self, text: &str) -> Result<Parsed, String> {
        (self.parse)(text)
    }

    /// Was this message signed by the address's owner?
    ///
    /// # Errors
    /// Why it was not.
    pub fn prove(&self, who: &Identity, message: &str, signature: &str) -> Result<(), String> {
        (self.prove)(who, message, signature)
    }
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Addresses")
    }
}

impl Outlook {
    /// An asset by its number.
    #[must_use]
    pub fn asset(&self, id: AssetId) -> Option<&AssetOutlook> {
        self.assets.iter().find(|asset| asset.id == id)
    }

    /// A pool by its number.
    #[must_use]
    pub fn pool(&self, id: PoolId) -> Option<&PoolOutlook> {
        self.pools.iter().find(|pool| pool.id == id)
    }

    /// The pools with which a pool shares every block, itself among them; it alone where it does not.
    pub fn sharing<'a>(&'a self, own: &'a PoolOutlook) -> impl Iterator<Item = &'a PoolOutlook> {
        let shares = move |pool: &&PoolOutlook| own.part.is_some() && pool.part.is_some();
        self.pools_of(own.asset).filter(move |pool| pool.id == own.id || shares(pool))
    }

    /// A pool's part of each block that it or another of its union finds.
    #[must_use]
    pub fn block_part(&self, own: &PoolOutlook) -> f64 {
        let all: u32 = self.sharing(own).filter_map(|pool| pool.part).sum();
        own.part.filter(|_| all > 0).map_or(1.0, |part| f64::from(part) / f64::from(all))
    }

    /// The pools of one asset.
    pub fn pools_of(&self, asset: AssetId) -> impl Iterator<Item = &PoolOutlook> {
        self.pools.iter().filter(move |pool| pool.asset == asset)
    }
}

impl AssetOutlook {
    /// Is there a chain that the pool sees? Of money that the operator sends by hand it sees none.
    #[must_use]
    pub const fn has_chain(&self) -> bool {
        !matches!(self.measure, Measure::Reputation)
    }

    /// The network's difficulty.
    #[must_use]
    pub fn difficulty(&self) -> Option<f64> {
        self.next.map(|next| next.work / self.difficulty_one)
    }

    /// Hashes a second that would find blocks at the pace of the chain's rule.
    #[must_use]
    pub fn network_hashrate(&self) -> Option<f64> {
        self.next.map(|next| next.work / self.block_interval_s)
    }
}

//! Follows a node's chain by its coinbases and judges every block by a rule.
//!
//! Invariant: what it holds is what the rule makes of the node's best chain; a reorganisation is followed back to where the
//! chains part.

use crate::cli::ctv::ChainArgs;
use anyhow::{Context, bail};
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{BlockHash, CompactTarget, Network, OutPoint, Transaction, Txid};
use covenant::chain::Qualified;
use covenant::{Block, Chain, Enforced, Member, Rule, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stratum::node;
use stratum::rpc::{Endpoint, Rpc, RpcError};

/// The trees of so many of the newest qualified blocks are kept.
const KEPT_MAX: usize = 10_000;
/// Blocks on top of a coinbase, itself included, before it can be spent.
pub const MATURITY: u32 = 100;

/// A qualified block.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its hash.
    pub hash: BlockHash,
    /// Its coinbase's id.
    pub coinbase: Txid,
    /// What it pays.
    pub qualified: Box<Qualified>,
}

/// What happened on the chain.
#[derive(Debug, Clone)]
pub enum Event {
    /// A block came.
    Connected {
        /// Its height.
        height: u32,
        /// Its hash.
        hash: BlockHash,
        /// What it is.
        verdict: Verdict,
        /// Its transactions, the coinbase first.
        transactions: Vec<Txid>,
    },
    /// A block left the chain.
    Disconnected {
        /// Its height.
        height: u32,
        /// Its hash.
        hash: BlockHash,
    },
}

impl Event {
    /// Tells somebody who follows what one member is paid.
    pub fn tell(&self, chain: &Chain, member: &mut Member) {
        match self {
            Event::Connected { verdict, transactions, .. } => {
                member.connected(chain, verdict, transactions);
            }
            Event::Disconnected { height, .. } => member.disconnected(*height),
        }
    }
}

/// A node and what the rule makes of its chain.
pub struct Follower {
    rpc: Rpc,
    /// The network of addresses; none where it is not one of Bitcoin's.
    pub network: Option<Network>,
    /// The chain as the rule sees it.
    pub chain: Chain,
    /// Qualified blocks by height, the newest [`KEPT_MAX`].
    pub found: BTreeMap<u32, Found>,
}

#[derive(Deserialize)]
struct BlockAnswer {
    height: u32,
    time: u32,
    bits: String,
    #[serde(default)]
    previousblockhash: Option<BlockHash>,
    tx: Vec<Txid>,
}

impl Follower {
    /// Reads the rule, finds the node.
    ///
    /// # Errors
    /// When either cannot be had.
    pub async fn open(args: &ChainArgs) -> anyhow::Result<Follower> {
        Follower::at(super::read_rule(&args.rule)?, endpoint(args)?).await
    }

    /// Nothing read yet, by this rule from this node.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn at(rule: Rule, node: Endpoint) -> anyhow::Result<Follower> {
        let mut rpc = Rpc::new(node);
        let info: Value = rpc.call("getblockchaininfo", json!([])).await?;
        let name = info["chain"].as_str().unwrap_or_default();
        let network = Network::from_core_arg(name).ok();
        Ok(Follower { rpc, network, chain: Chain::new(rule), found: BTreeMap::new() })
    }

    /// Goes on with another node: the same chain, or another that is followed from where they part.
    pub fn ask(&mut self, node: Endpoint) {
        self.rpc = Rpc::new(node);
    }

    /// The node's word that its chain enforces BIP-119.
    ///
    /// # Errors
    /// When it does not, with what that means.
    pub async fn enforced(&mut self) -> anyhow::Result<Enforced> {
        Ok(node::enforced(&mut self.rpc).await??)
    }

    /// Calls the node.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.rpc.call(method, params).await
    }

    /// Goes to the node's tip; `tell` hears of every block on the way.
    ///
    /// # Errors
    /// When the node does not answer, or its chain changes more deeply than is kept.
    pub async fn catch_up(&mut self, mut tell: impl FnMut(&Chain, Event)) -> anyhow::Result<()> {
        loop {
            self.go_back(&mut tell).await?;
            let height = self.chain.next_height();
            let hash = match self.rpc.call::<BlockHash>("getblockhash", json!([height])).await {
                Ok(hash) => hash,
                // No such block yet.
                Err(RpcError::Refused { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if let Some((verdict, transactions)) = self.take(hash).await? {
                tell(&self.chain, Event::Connected { height, hash, verdict, transactions });
            }
        }
    }

    /// Lets go of blocks that the node's chain no longer has.
    async fn go_back(&mut self, tell: &mut impl FnMut(&Chain, Event)) -> anyhow::Result<()> {
        while let Some(tip) = self.chain.tip() {
            let height = self.chain.next_height() - 1;
            let there = self.rpc.call::<BlockHash>("getblockhash", json!([height])).await;
            match there {
                Ok(hash) if hash == tip => return Ok(()),
                Ok(_) | Err(RpcError::Refused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            self.chain.disconnect()?;
            self.found.remove(&height);
            tell(&self.chain, Event::Disconnected { height, hash: tip });
        }
        Ok(())
    }

    /// Reads a block and takes it in; none when the chain changed meanwhile.
    async fn take(&mut self, hash: BlockHash) -> anyhow::Result<Option<(Verdict, Vec<Txid>)>> {
        let block: BlockAnswer = self.rpc.call("getblock", json!([hash, 1])).await?;
        let coinbase = *block.tx.first().context("a block has a coinbase")?;
        let transaction = match (block.height, block.tx.len()) {
            // The first block's coinbase cannot be asked for; it pays nobody here.
            (0, _) => None,
            _ => Some(self.coinbase(coinbase, hash).await?),
        };
        let bits = CompactTarget::from_unprefixed_hex(&block.bits).context("a block has bits")?;
        let outputs = transaction.as_ref().map_or(&[][..], |found| &found.output);
        let previous = block.previousblockhash.unwrap_or_else(all_zeros);
        let facts = Block { height: block.height, hash, previous, time: block.time, bits, outputs };
        if self.chain.tip().is_some_and(|tip| tip != previous) {
            return Ok(None);
        }
        let verdict = self.chain.connect(&facts)?;
        if let Verdict::Qualified(qualified) = &verdict {
            let qualified = qualified.clone();
            self.found.insert(block.height, Found { hash, coinbase, qualified });
            if self.found.len() > KEPT_MAX {
                self.found.pop_first();
            }
        }
        Ok(Some((verdict, block.tx)))
    }

    async fn coinbase(&mut self, id: Txid, block: BlockHash) -> anyhow::Result<Transaction> {
        let hex: String = self.rpc.call("getrawtransaction", json!([id, false, block])).await?;
        deserialize_hex(&hex).context("the node's coinbase cannot be read")
    }

    /// The qualified block with this hash or height.
    ///
    /// # Errors
    /// When there is none, and why.
    pub fn block(&self, text: &str) -> anyhow::Result<(u32, &Found)> {
        let by_height =
            text.parse::<u32>().ok().and_then(|height| self.found.get_key_value(&height));
        let by_hash = || self.found.iter().find(|(_, found)| found.hash.to_string() == text);
        match by_height.or_else(by_hash) {
            Some((height, found)) => Ok((*height, found)),
            None => bail!(
                "block {text} does not qualify under this rule; `adit ctv verify --block {text}` says why"
            ),
        }
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        self.chain.rule()
    }

    /// Can the coinbase of the block at this height be spent in the next block?
    pub fn is_mature(&self, height: u32) -> bool {
        self.chain.next_height() >= height + MATURITY
    }
}

impl Found {
    /// The output that pays the tree.
    pub fn root(&self) -> OutPoint {
        OutPoint::new(self.coinbase, 0)
    }
}

fn all_zeros() -> BlockHash {
    use bitcoin::hashes::Hash;
    BlockHash::all_zeros()
}

fn endpoint(args: &ChainArgs) -> anyhow::Result<Endpoint> {
    let auth = crate::node::auth(args.node_cookie.as_ref(), args.node_user.as_ref())?;
    Ok(Endpoint { address: args.node.clone(), path: String::new(), auth })
}

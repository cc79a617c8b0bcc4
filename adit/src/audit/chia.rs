//! What Chia's chain says of what was booked: a reward is a coin that a plot NFT made of a block's coin for the pool, at one of the
//! pool's addresses, and a payout is what the first coin that it spent has made.
//!
//! Invariant: only nodes in step are asked; one that does not answer says nothing.

use super::chain::{Chain, Depths, judged};
use crate::config::ChiaSettings;
use accounting::reward::{Reward, RewardState, Sighting};
use anyhow::bail;
use farming::address::Destination;
use farming::hash::Bytes32;
use farming::node::rpc::{Endpoint, Rpc, RpcError};
use farming::node::{CoinRecord, Node, Nodes, Standing};
use farming::singleton::absorption::Absorption;
use farming::wallet::payment_name;
use std::collections::BTreeMap;
use store::sqlite::PartRow;

/// The chain of one asset.
pub struct ChiaChain {
    nodes: Nodes,
    /// The pool's addresses; none where they are not known.
    places: Vec<Bytes32>,
    /// Where the money of those goes who are paid in other coins.
    exchange: Option<Bytes32>,
}

impl ChiaChain {
    /// As configured, its nodes asked where they stand; none whose certificates cannot be read.
    pub async fn of(own: &ChiaSettings) -> Option<Self> {
        let nodes = own.nodes.iter().map(|node| Rpc::new(node.clone()).map(Node::new));
        let nodes = Nodes::new(own.network.clone(), nodes.collect::<Result<_, _>>().ok()?);
        nodes.refresh().await;
        let places = own.wallet.signer().map(|signer| signer.places()).unwrap_or_default();
        Some(ChiaChain { nodes, places, exchange: own.treasury.exchange })
    }

    /// As a node of the auditor's knows it, whatever its network is.
    ///
    /// # Errors
    /// When its certificates cannot be used, or it does not answer or is not in step.
    pub async fn behind(endpoint: Endpoint) -> anyhow::Result<Self> {
        let node = Node::new(Rpc::new(endpoint)?);
        let (network, address) = (node.network().await?, node.address().to_owned());
        let nodes = Nodes::new(network, vec![node]);
        nodes.refresh().await;
        if nodes.standing().is_none() {
            bail!("node {address} is not in step with its network");
        }
        Ok(ChiaChain { nodes, places: Vec::new(), exchange: None })
    }

    /// Is the coin there that was booked, and where its state says?
    pub async fn reward(&self, reward: &Reward, state: RewardState, depths: Depths) -> Chain {
        for (node, standing) in self.nodes.in_step() {
            // A node that does not answer says nothing.
            if let Ok(said) = self.reward_at(node, standing, reward, state, depths).await {
                return said;
            }
        }
        Chain::Silent
    }

    async fn reward_at(
        &self,
        node: &Node,
        standing: Standing,
        reward: &Reward,
        state: RewardState,
        depths: Depths,
    ) -> Result<Chain, RpcError> {
        let found = node.coin(&Bytes32(reward.id.0)).await?;
        let depth = |height: u32| standing.height.saturating_sub(height).saturating_add(1);
        let Some(record) = found else {
            let height = u32::try_from(reward.height).unwrap_or(u32::MAX);
            return Ok(match height <= standing.height {
                true => judged(state, Sighting::Replaced(depth(height)), depths),
                false => Chain::Silent,
            });
        };
        let (amount, booked) = (i128::from(record.coin.amount), reward.to_pool.units());
        if amount != booked {
            let text = format!("the coin is worth {amount} on the chain, {booked} in the books");
            return Ok(Chain::Differs(text));
        }
        if !self.places.is_empty() && !self.places.contains(&record.coin.puzzle_hash) {
            return Ok(Chain::Differs("the coin is not at an address of the pool".to_owned()));
        }
        if let Some(text) = self.not_absorbed(node, &record).await? {
            return Ok(Chain::Differs(text));
        }
        Ok(judged(state, Sighting::InChain(depth(record.confirmed)), depths))
    }

    /// Why a coin is not what a plot NFT made of a block's coin for the pool, if it is not.
    async fn not_absorbed(
        &self,
        node: &Node,
        made: &CoinRecord,
    ) -> Result<Option<String>, RpcError> {
        let spend = match node.spend(&made.coin.parent, made.confirmed).await {
            Ok(spend) => Some(spend),
            Err(RpcError::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        let absorption = spend.and_then(|spend| Absorption::of(&spend, self.nodes.network()));
        let Some(Absorption { reward, .. }) = absorption.filter(|found| found.made == made.coin)
        else {
            return Ok(Some("the coin was not made by absorbing a reward".to_owned()));
        };
        let found = node.coin(&reward.id()).await?;
        let is_spent = |record: &CoinRecord| record.coinbase && record.spent == made.confirmed;
        Ok(found.filter(is_spent).is_none().then(|| {
            format!("no reward {} of a block was spent when the coin was made", reward.id())
        }))
    }

    /// Did a payment that spent this coin first pay these parts?
    pub async fn payout(&self, first: [u8; 32], parts: &[PartRow]) -> Chain {
        let mut expected: BTreeMap<Bytes32, i128> = BTreeMap::new();
        for part in parts {
            let place = match Destination::of_bytes(&part.destination) {
                Some(Destination::Puzzle(place)) => Some(place),
                Some(Destination::External(_)) => self.exchange,
                None => None,
            };
            // An exchange that is configured no more: where this went is not known.
            let Some(place) = place else { return Chain::Silent };
            *expected.entry(place).or_default() += part.sent.units();
        }
        let first = Bytes32(first);
        for (node, _) in self.nodes.in_step() {
            let Ok(made) = node.children(&[first]).await else { continue };
            for (place, amount) in &expected {
                let own = self.places.contains(place);
                let paid = |coin: i128| if own { coin >= *amount } else { coin == *amount };
                let mut there = made.iter().filter(|record| record.coin.puzzle_hash == *place);
                if !there.any(|record| paid(record.coin.amount.into())) {
                    let text = format!("the chain has no coin of {amount} at {place} made by it");
                    return Chain::Differs(text);
                }
            }
            return Chain::Agrees;
        }
        Chain::Silent
    }

    /// Did the payment of this name pay at least so much to this place? What goes to one place goes in one coin.
    pub async fn sent(&self, name: [u8; 32], place: &Bytes32, amount: i128) -> Chain {
        for (node, _) in self.nodes.in_step() {
            match paid_at(node, name, place, amount).await {
                Ok(true) => return Chain::Agrees,
                Ok(false) => {
                    let name = Bytes32(name);
                    return Chain::Differs(format!(
                        "no payment {name} of {amount} to {place} is on the chain"
                    ));
                }
                Err(_) => {}
            }
        }
        Chain::Silent
    }
}

/// Is there a coin of at least so much at this place, made by the payment of this name?
async fn paid_at(
    node: &Node,
    name: [u8; 32],
    place: &Bytes32,
    amount: i128,
) -> Result<bool, RpcError> {
    let coins = node.coins_at(&[*place], 0..u32::MAX, true).await?;
    for record in coins.iter().filter(|record| i128::from(record.coin.amount) >= amount) {
        let parent = record.coin.parent;
        let made = node.children(&[parent]).await?;
        let made = made.iter().map(|record| (record.coin.puzzle_hash, record.coin.amount));
        if payment_name(&parent, made).0 == name {
            return Ok(true);
        }
    }
    Ok(false)
}

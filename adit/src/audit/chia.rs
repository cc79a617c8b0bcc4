//! What Chia's chain says of what was booked: a reward is a coin that a plot NFT made of a block's coin for the pool, at one of the
//! pool's addresses; it is its farmer's own if the block is older than the plot NFT's stay in the pool, and everybody's if not; and a
//! payout is what the first coin that it spent has made.
//!
//! Invariant: only nodes in step are asked; one that does not answer says nothing.

use super::chain::{Chain, Depths, judged};
use crate::config::ChiaSettings;
use accounting::reward::{Reward, RewardState, Sighting};
use anyhow::bail;
use farming::address::Destination;
use farming::follow::{FollowError, from_launcher};
use farming::hash::Bytes32;
use farming::node::rpc::{Endpoint, Rpc, RpcError};
use farming::node::{CoinRecord, Node, Nodes, Standing};
use farming::singleton::absorption::Absorption;
use farming::wallet::payment_name;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use store::sqlite::PartRow;

/// What the books say of a reward beside the coin.
#[derive(Debug, Clone, Copy)]
pub struct Booked {
    /// Was it given whole to its farmer, because it was farmed before the farmer came?
    pub is_own: bool,
    /// Whose plot NFT it came through.
    pub finder: Finder,
}

/// Who is said to have farmed a reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finder {
    /// The owner of this plot NFT.
    Is(Bytes32),
    /// Somebody else than the owner of this plot NFT.
    IsNot(Bytes32),
    /// Nobody here knows.
    Unknown,
}

/// For each coin that a plot NFT made at its target: was the reward farmed before its stay there?
type Stays = BTreeMap<Bytes32, bool>;

/// The chain of one asset.
pub struct ChiaChain {
    nodes: Nodes,
    /// The pool's addresses; none where they are not known.
    places: Vec<Bytes32>,
    /// Where the money of those goes who are paid in other coins.
    exchange: Option<Bytes32>,
    /// Plot NFTs that were followed from their launchers; none where one cannot be.
    stays: tokio::sync::Mutex<BTreeMap<Bytes32, Option<Stays>>>,
}

impl ChiaChain {
    /// As configured, its nodes asked where they stand; none whose certificates cannot be read.
    pub async fn of(own: &ChiaSettings) -> Option<Self> {
        let nodes = own.nodes.iter().map(|node| Rpc::new(node.clone()).map(Node::new));
        let nodes = Nodes::new(own.network.clone(), nodes.collect::<Result<_, _>>().ok()?);
        nodes.refresh().await;
        let places = own.wallet.signer().map(|signer| signer.places()).unwrap_or_default();
        let (exchange, stays) = (own.treasury.exchange, tokio::sync::Mutex::default());
        Some(ChiaChain { nodes, places, exchange, stays })
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
        let stays = tokio::sync::Mutex::default();
        Ok(ChiaChain { nodes, places: Vec::new(), exchange: None, stays })
    }

    /// Is the coin there that was booked, and where its state says?
    pub async fn reward(
        &self,
        reward: &Reward,
        booked: Booked,
        state: RewardState,
        depths: Depths,
    ) -> Chain {
        for (node, standing) in self.nodes.in_step() {
            let judge = |sighting| judged(state, sighting, depths);
            // A node that does not answer says nothing.
            if let Ok(said) = self.reward_at((node, standing), reward, booked, judge).await {
                return said;
            }
        }
        Chain::Silent
    }

    async fn reward_at(
        &self,
        (node, standing): (&Node, Standing),
        reward: &Reward,
        booked: Booked,
        judge: impl Fn(Sighting) -> Chain,
    ) -> Result<Chain, RpcError> {
        let found = node.coin(&Bytes32(reward.id.0)).await?;
        let depth = |height: u32| standing.height.saturating_sub(height).saturating_add(1);
        let Some(record) = found else {
            let height = u32::try_from(reward.height).unwrap_or(u32::MAX);
            return Ok(match height <= standing.height {
                true => judge(Sighting::Replaced(depth(height))),
                false => Chain::Silent,
            });
        };
        let (amount, to_pool) = (i128::from(record.coin.amount), reward.to_pool.units());
        if amount != to_pool {
            let text = format!("the coin is worth {amount} on the chain, {to_pool} in the books");
            return Ok(Chain::Differs(text));
        }
        if !self.places.is_empty() && !self.places.contains(&record.coin.puzzle_hash) {
            return Ok(Chain::Differs("the coin is not at an address of the pool".to_owned()));
        }
        if let Some(text) = self.not_absorbed(node, &record, booked).await? {
            return Ok(Chain::Differs(text));
        }
        Ok(judge(Sighting::InChain(depth(record.confirmed))))
    }

    /// Why a coin is not what a plot NFT made of a block's coin for the pool, or not as it was booked, if it is not.
    async fn not_absorbed(
        &self,
        node: &Node,
        made: &CoinRecord,
        booked: Booked,
    ) -> Result<Option<String>, RpcError> {
        let spend = match node.spend(&made.coin.parent, made.confirmed).await {
            Ok(spend) => Some(spend),
            Err(RpcError::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        let absorption = spend.and_then(|spend| Absorption::of(&spend, self.nodes.network()));
        let absorption = absorption.filter(|found| found.made == made.coin);
        let Some(Absorption { reward, height, launcher_id, .. }) = absorption else {
            return Ok(Some("the coin was not made by absorbing a reward".to_owned()));
        };
        let found = node.coin(&reward.id()).await?;
        let is_spent = |record: &CoinRecord| record.coinbase && record.spent == made.confirmed;
        if found.filter(is_spent).is_none() {
            let text =
                format!("no reward {} of a block was spent when the coin was made", reward.id());
            return Ok(Some(text));
        }
        let is_finder = match booked.finder {
            Finder::Is(finder) => finder == launcher_id,
            Finder::IsNot(other) => other != launcher_id,
            Finder::Unknown => true,
        };
        if !is_finder {
            return Ok(Some(format!(
                "it came through the plot NFT {launcher_id}, of somebody else"
            )));
        }
        Ok(match (self.is_own(node, launcher_id, &made.coin.id()).await?, booked.is_own) {
            (Some(true), false) => Some(format!(
                "block {height} was won before its farmer came to this pool: the reward is the farmer's own, and was shared"
            )),
            (Some(false), true) => Some(format!(
                "block {height} was won while its farmer was in this pool: the reward is everybody's, and was given to the farmer"
            )),
            _ => None,
        })
    }

    /// Was the reward that became this coin farmed before its farmer came to where the coin went? Nothing where its plot NFT cannot be
    /// followed from its launcher.
    async fn is_own(
        &self,
        node: &Node,
        launcher_id: Bytes32,
        coin: &Bytes32,
    ) -> Result<Option<bool>, RpcError> {
        let mut stays = self.stays.lock().await;
        let known = match stays.entry(launcher_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let walk = from_launcher(node, &launcher_id, self.nodes.network(), 0).await;
                unknown.insert(match walk {
                    Ok((_, walk)) => {
                        let income = walk.income.iter();
                        Some(income.map(|(made, _)| (made.coin.id(), made.is_own())).collect())
                    }
                    Err(FollowError::Rpc(error)) => return Err(error),
                    Err(FollowError::Lost(_) | FollowError::Gone(_)) => None,
                })
            }
        };
        Ok(known.as_ref().and_then(|stays| stays.get(coin).copied()))
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

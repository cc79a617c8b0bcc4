//! The coins of a Chia pool: standard transactions, signed by our keys or a wallet of Chia's software, seen and sent through the nodes.
//!
//! The chain knows no transactions, only coins: a payment is named after its first coin and what that made
//! ([`crate::wallet::payment_name`]), and is there once that coin is spent so.
//!
//! Invariant: signing and sending are two steps, and what is sent are the bytes that were written to disk. A node out of step is
//! asked nothing; where the nodes in step disagree, nobody knows.
//!
//! Reading order: [`coins`] (what the wallet holds and who spent it), [`fate`] (what became of a payment).

pub mod coins;
pub mod fate;

use crate::address::Destination;
use crate::coin::{Coin, SpendBundle};
use crate::hash::Bytes32;
use crate::node::rpc::RpcError;
use crate::node::{CoinRecord, Nodes, Pushed, Standing};
use crate::wallet::service::NotSigned;
use crate::wallet::signer::Signer;
use crate::wallet::{COST_MAX, cost_of_payment};
use accounting::payout::{Fate, PayoutPart, PayoutVersion};
use accounting::reward::Sighting;
use accounting::{Amount, RewardId};
use coins::Coins;
use pool::Clock;
use pool::treasury::{Holdings, PayoutOrder, Signing, Treasury, TreasuryError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A payment that replaces another in a mempool must pay so many mojo more.
const RAISE_MIN: i128 = 10_000_000;

/// Everything a treasury needs to know.
#[derive(Debug, Clone)]
pub struct TreasuryConfig {
    /// Blocks after which income can be spent.
    pub mature: u32,
    /// The height at which the wallet's history begins.
    pub birthday: u32,
    /// Mojo that a unit of cost pays at most.
    pub max_rate: u64,
    /// Where the money of those goes who are paid in other coins, for whoever changes it.
    pub exchange: Option<Bytes32>,
}

/// The treasury of one asset.
pub struct XchTreasury {
    nodes: Arc<Nodes>,
    signer: Signer,
    config: TreasuryConfig,
    clock: Arc<dyn Clock>,
    coins: Coins,
    /// Coins that payments under way spend.
    reserved: HashSet<Bytes32>,
}

impl XchTreasury {
    /// Opens it; nothing is asked yet.
    #[must_use]
    pub fn new(
        nodes: Arc<Nodes>,
        signer: Signer,
        config: TreasuryConfig,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let coins = Coins::new(signer.clone(), config.birthday, config.mature);
        XchTreasury { nodes, signer, config, clock, coins, reserved: HashSet::new() }
    }

    fn standing(&self) -> Result<Standing, TreasuryError> {
        let none = || TreasuryError::Unreachable("no node is in step with the network".into());
        self.nodes.standing().ok_or_else(none)
    }

    /// What a payment of so many coins to so many places should pay the network.
    async fn fee(&self, inputs: usize, outputs: usize) -> Result<Amount, TreasuryError> {
        let cost = cost_of_payment(inputs, outputs);
        self.standing()?;
        let most = cost.saturating_mul(self.config.max_rate);
        Ok(Amount::from_units(self.nodes.fee_mojo(cost).await.min(most).into()))
    }

    /// Where a part is paid to.
    fn place_of(&self, part: &PayoutPart) -> Result<Bytes32, TreasuryError> {
        let account = part.account;
        match Destination::of_bytes(&part.destination) {
            Some(Destination::Puzzle(place)) => Ok(place),
            Some(Destination::External(_)) => self.config.exchange.ok_or_else(|| {
                TreasuryError::Refuses(format!(
                    "account {account} wants another coin than this chain's, and nobody is configured to pay it: set \
                     external of this asset again, or give the account an address of this chain"
                ))
            }),
            None => Err(TreasuryError::Refuses(format!(
                "account {account} is paid to what is no place of this chain"
            ))),
        }
    }

    /// The coins a payment spends: all that the version before it spent, and the largest others until it is enough.
    fn choose(&self, order: &PayoutOrder, needs: u128) -> Result<Vec<Coin>, TreasuryError> {
        let spendable = self.coins.spendable();
        let mut chosen: Vec<Coin> = Vec::new();
        if let Some(before) = order.versions.last() {
            let by_id: HashMap<Bytes32, Coin> =
                spendable.iter().map(|coin| (coin.id(), *coin)).collect();
            for (id, _) in &before.inputs {
                let coin = by_id.get(&Bytes32(*id)).ok_or_else(|| {
                    TreasuryError::Unreachable(format!(
                        "a coin of payout {} is not there now",
                        order.id
                    ))
                })?;
                chosen.push(*coin);
            }
        }
        let taken: HashSet<Bytes32> = chosen.iter().map(Coin::id).collect();
        let mut free: Vec<Coin> = spendable
            .into_iter()
            .filter(|coin| !self.reserved.contains(&coin.id()) && !taken.contains(&coin.id()))
            .collect();
        free.sort_unstable_by_key(|coin| (std::cmp::Reverse(coin.amount), coin.id()));
        let sum = |coins: &[Coin]| coins.iter().map(|coin| u128::from(coin.amount)).sum::<u128>();
        let mut free = free.into_iter();
        while sum(&chosen) < needs {
            let has = sum(&chosen);
            let short = || {
                TreasuryError::Unfunded(format!(
                    "{has} of {needs} mojo are confirmed and not on their way elsewhere; more comes with the next blocks"
                ))
            };
            chosen.push(free.next().ok_or_else(short)?);
            if cost_of_payment(chosen.len(), order.parts.len() + 1) > COST_MAX {
                return Err(TreasuryError::Refuses(format!(
                    "payout {} needs more small coins than fit a block: lower max_outputs or max_per_run",
                    order.id
                )));
            }
        }
        Ok(chosen)
    }

    fn reserve(&mut self, version: &PayoutVersion) {
        self.reserved.extend(version.inputs.iter().map(|(id, _)| Bytes32(*id)));
    }
}

impl Treasury for XchTreasury {
    async fn refresh(&mut self) -> Result<Holdings, TreasuryError> {
        self.nodes.refresh().await;
        // Whoever is still under way is asked after before anything is signed, and reserves again.
        self.reserved.clear();
        let highest = self.nodes.in_step().max_by_key(|(_, standing)| standing.height);
        let Some((node, standing)) = highest else {
            return Err(self.standing().err().unwrap_or_else(|| {
                TreasuryError::Unreachable("the nodes fell out of step just now".into())
            }));
        };
        self.coins
            .refresh(node, standing.height, self.nodes.network())
            .await
            .map_err(unreachable)?;
        Ok(self.coins.holdings(standing.height))
    }

    async fn sightings(&mut self, blocks: &[(RewardId, u64)]) -> Vec<Sighting> {
        let names: Vec<Bytes32> = blocks.iter().map(|(id, _)| Bytes32(id.0)).collect();
        let mut opinions: Vec<Vec<Sighting>> = vec![Vec::new(); blocks.len()];
        for (node, standing) in self.nodes.in_step() {
            let found = node.coins(&names).await;
            let found: Result<HashMap<Bytes32, CoinRecord>, RpcError> = found
                .map(|records| records.iter().map(|record| (record.coin.id(), *record)).collect());
            for (((_, height), name), own) in blocks.iter().zip(&names).zip(&mut opinions) {
                own.push(match &found {
                    Ok(found) => sighting(found.get(name), *height, standing.height),
                    Err(_) => Sighting::Unknown,
                });
            }
        }
        opinions.iter().map(|own| agree(own)).collect()
    }

    async fn estimate_fee(&mut self, outputs: usize) -> Result<Amount, TreasuryError> {
        let inputs = self.coins.spendable().len().clamp(1, outputs.saturating_add(1));
        self.fee(inputs, outputs.saturating_add(1)).await
    }

    async fn sign(&mut self, order: &PayoutOrder) -> Result<Signing, TreasuryError> {
        let refuses = |error: &dyn std::fmt::Display| {
            TreasuryError::Refuses(format!("payout {}: {error}", order.id))
        };
        let before = order.versions.iter().map(|version| version.fee).max();
        let least = before.map_or(Amount::ZERO, |before| before.add(Amount::from_units(RAISE_MIN)));
        let fee = order.fee.max(least).as_u64().ok_or_else(|| refuses(&"this is no fee"))?;
        let mut outputs = Vec::with_capacity(order.parts.len());
        for part in &order.parts {
            let amount = part.sent.as_u64().ok_or_else(|| refuses(&"this is no amount"))?;
            outputs.push((self.place_of(part)?, amount));
        }
        let paid: u128 = outputs.iter().map(|(_, amount)| u128::from(*amount)).sum();
        let chosen = self.choose(order, paid + u128::from(fee))?;
        let signed = self.signer.pay(&chosen, &outputs, fee, self.nodes.network()).await;
        let payment = signed.map_err(|error| match error {
            // Nothing was sent: it is asked again.
            NotSigned::Service(_) => TreasuryError::Unreachable(error.to_string()),
            NotSigned::Unpayable(_) | NotSigned::Differs(_) => refuses(&error),
        })?;
        let version = PayoutVersion {
            txid: payment.name.0,
            raw: serde_json::to_vec(&payment.bundle).map_err(|error| refuses(&error))?,
            fee: Amount::from_units(fee.into()),
            inputs: payment.bundle.coin_spends.iter().map(|s| (s.coin.id().0, 0)).collect(),
            signed_at: self.clock.now(),
        };
        self.reserve(&version);
        Ok(Signing::Signed(version))
    }

    async fn broadcast(&mut self, version: &PayoutVersion) -> Result<(), TreasuryError> {
        let bundle: SpendBundle = serde_json::from_slice(&version.raw).map_err(|error| {
            TreasuryError::Refuses(format!("the signed payment cannot be read: {error}"))
        })?;
        match self.nodes.push(&bundle).await {
            Ok(Pushed::Taken) => Ok(()),
            Ok(Pushed::Refused(reason)) => Err(TreasuryError::Unreachable(reason)),
            Err(error) => Err(unreachable(error)),
        }
    }

    async fn fate(&mut self, versions: &[PayoutVersion]) -> Fate {
        let fate = fate::agreed(&self.nodes, versions).await;
        if !matches!(fate, Fate::Impossible { .. }) {
            versions.iter().for_each(|version| self.reserve(version));
        }
        fate
    }
}

fn unreachable(error: RpcError) -> TreasuryError {
    TreasuryError::Unreachable(error.to_string())
}

/// What one node shows of an arrival: an absorbed reward is the coin that it became.
fn sighting(record: Option<&CoinRecord>, height: u64, peak: u32) -> Sighting {
    match record {
        Some(record) => Sighting::InChain(depth(record.confirmed, peak)),
        // Its block is in the chain, and made no such coin.
        None => match u64::from(peak).checked_sub(height) {
            Some(below) => Sighting::Replaced(u32::try_from(below).map_or(u32::MAX, |n| n + 1)),
            None => Sighting::Unknown,
        },
    }
}

/// Confirmations of what happened at a height: 1 at the tip.
fn depth(height: u32, peak: u32) -> u32 {
    peak.saturating_sub(height).saturating_add(1)
}

/// Several nodes' opinions: they must agree that a coin is there or is not; the more cautious depth counts.
fn agree(opinions: &[Sighting]) -> Sighting {
    let mut all = opinions.iter().copied();
    let Some(first) = all.next() else { return Sighting::Unknown };
    all.fold(first, |agreed, opinion| match (agreed, opinion) {
        (Sighting::InChain(a), Sighting::InChain(b)) => Sighting::InChain(a.min(b)),
        (Sighting::Replaced(a), Sighting::Replaced(b)) => Sighting::Replaced(a.min(b)),
        _ => Sighting::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sighting::{InChain, Replaced, Unknown};

    #[test]
    fn an_arrival_is_there_or_its_block_made_no_such_coin_or_nobody_knows() {
        let record = CoinRecord {
            coin: Coin { parent: Bytes32::default(), puzzle_hash: Bytes32::default(), amount: 1 },
            confirmed: 10,
            spent: 0,
            coinbase: false,
        };
        assert_eq!(sighting(Some(&record), 10, 12), InChain(3));
        assert_eq!(sighting(Some(&record), 10, 9), InChain(1), "seen after the tip was");
        assert_eq!(sighting(None, 10, 12), Replaced(3));
        assert_eq!(sighting(None, 10, 9), Unknown, "the chain is not so long yet");
    }

    #[test]
    fn nodes_that_disagree_know_nothing() {
        for (opinions, agreed) in [
            (vec![], Unknown),
            (vec![InChain(7), InChain(5)], InChain(5)),
            (vec![Replaced(3), Replaced(9)], Replaced(3)),
            (vec![InChain(100), Replaced(1)], Unknown),
            (vec![InChain(100), Unknown], Unknown),
        ] {
            assert_eq!(agree(&opinions), agreed, "{opinions:?}");
        }
    }
}

//! The wallet's coins as one node shows them, and everything that ever spent one.
//!
//! Invariant: a spend is told however it came about; what is counted as held is confirmed, not spent, and so deep that it stays.

use super::depth;
use crate::coin::{Coin, CoinSpend};
use crate::hash::Bytes32;
use crate::network::Network;
use crate::node::rpc::RpcError;
use crate::node::{CoinRecord, Node};
use crate::wallet::conditions::hangs_on;
use crate::wallet::payment_name;
use crate::wallet::signer::Signer;
use accounting::Amount;
use pool::treasury::{Holdings, WalletSpend};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Blocks that are looked at again each time: no chain goes back further.
const REWIND: u32 = 200;
/// Heights of one question: rewards of so many blocks are one answer.
const STRIDE: u32 = 1 << 20;

/// Coins that are watched at once, the largest.
const COINS_MAX: usize = 100_000;

/// The wallet's coins.
pub struct Coins {
    signer: Signer,
    mature: u32,
    /// Coins made below this height are known.
    scanned: u32,
    height: u32,
    known: BTreeMap<Bytes32, CoinRecord>,
    /// By name, with the height that did it.
    spends: BTreeMap<[u8; 32], (u32, WalletSpend)>,
}

impl Coins {
    /// Nothing is known yet.
    pub(super) fn new(signer: Signer, birthday: u32, mature: u32) -> Self {
        Coins {
            signer,
            mature,
            scanned: birthday,
            height: 0,
            known: BTreeMap::new(),
            spends: BTreeMap::new(),
        }
    }

    /// Looks at everything that may have changed since the last time.
    pub(super) async fn refresh(
        &mut self,
        node: &Node,
        height: u32,
        network: &Network,
    ) -> Result<(), RpcError> {
        let is_first = self.height == 0;
        let from = if is_first { self.scanned } else { self.scanned.saturating_sub(REWIND) };
        let mut known = self.known.clone();
        known.retain(|_, record| record.confirmed < from);
        let older: Vec<Bytes32> = known.keys().copied().collect();
        known.clear();
        let mut found = node.coins(&older).await?;
        let (mut start, end) = (from, height.saturating_add(1));
        while start < end {
            let stop = start.saturating_add(STRIDE).min(end);
            found.extend(node.coins_at(&self.signer.places(), start..stop, true).await?);
            start = stop;
        }
        known.extend(found.into_iter().map(|record| (record.coin.id(), record)));
        let settled = if is_first { 0 } else { height.saturating_sub(REWIND) };
        let fresh = self.spent_since(node, &known, settled, network).await?;
        self.spends.retain(|_, (at, _)| *at < settled);
        self.spends.extend(fresh.into_iter().map(|(at, spend)| (spend.txid, (at, spend))));
        // What is spent so deep stays spent.
        let deep = height.saturating_sub(REWIND);
        known.retain(|_, record| !record.is_spent() || record.spent >= deep);
        keep_largest(&mut known);
        (self.known, self.height, self.scanned) = (known, height, end);
        Ok(())
    }

    /// Everything that spent coins of the wallet from a height on.
    async fn spent_since(
        &self,
        node: &Node,
        known: &BTreeMap<Bytes32, CoinRecord>,
        from: u32,
        network: &Network,
    ) -> Result<Vec<(u32, WalletSpend)>, RpcError> {
        let mut by_height: BTreeMap<u32, Vec<CoinRecord>> = BTreeMap::new();
        for record in known.values().filter(|record| record.is_spent() && record.spent >= from) {
            by_height.entry(record.spent).or_default().push(*record);
        }
        let names: Vec<Bytes32> =
            by_height.values().flatten().map(|record| record.coin.id()).collect();
        let mut made: HashMap<Bytes32, Vec<Coin>> = HashMap::new();
        for child in node.children(&names).await? {
            made.entry(child.coin.parent).or_default().push(child.coin);
        }
        let mut spends = Vec::new();
        for (height, records) in by_height {
            let coins: Vec<Coin> = records.iter().map(|record| record.coin).collect();
            for group in groups(node, height, coins, &made).await? {
                let spend = self.spend_of(node, height, &group, &made, network).await?;
                spends.push((height, spend));
            }
        }
        Ok(spends)
    }

    async fn spend_of(
        &self,
        node: &Node,
        height: u32,
        coins: &[Coin],
        made: &HashMap<Bytes32, Vec<Coin>>,
        network: &Network,
    ) -> Result<WalletSpend, RpcError> {
        let places = self.signer.places();
        let sum = |coins: &[Coin]| coins.iter().map(|coin| i128::from(coin.amount)).sum::<i128>();
        let created: Vec<Coin> = coins
            .iter()
            .flat_map(|coin| made.get(&coin.id()).into_iter().flatten().copied())
            .collect();
        let (back, others): (Vec<Coin>, Vec<Coin>) =
            created.iter().partition(|coin| places.contains(&coin.puzzle_hash));
        let first = coins.first().map(Coin::id).unwrap_or_default();
        let txid = payment_name(&first, created.iter().map(|c| (c.puzzle_hash, c.amount))).0;
        // Bytes to send again are of use while the chain may still go back.
        let is_shallow = height.saturating_add(REWIND) > self.height;
        let raw = match self.spends.get(&txid) {
            Some((_, spend)) => spend.raw.clone(),
            None if is_shallow => self.bytes_of(node, height, coins, network).await?,
            None => Vec::new(),
        };
        Ok(WalletSpend {
            txid,
            out: Amount::from_units(sum(coins) - sum(&back)),
            fee: Amount::from_units(sum(coins) - sum(&created)),
            outputs: others
                .iter()
                .map(|coin| (coin.puzzle_hash.0.to_vec(), Amount::from_units(coin.amount.into())))
                .collect(),
            confirmations: 0,
            inputs: coins.iter().map(|coin| (coin.id().0, 0)).collect(),
            raw,
        })
    }

    /// The bundle that did it, signed again.
    async fn bytes_of(
        &self,
        node: &Node,
        height: u32,
        coins: &[Coin],
        network: &Network,
    ) -> Result<Vec<u8>, RpcError> {
        let mut spends = Vec::with_capacity(coins.len());
        for coin in coins {
            match node.spend(&coin.id(), height).await {
                Ok(spend) => spends.push(spend),
                // It went back just now; the next look sees what became of it.
                Err(RpcError::Refused { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        let bundle = self.signer.signed_again(spends, network);
        Ok(bundle.and_then(|bundle| serde_json::to_vec(&bundle).ok()).unwrap_or_default())
    }

    /// What can be spent now: income that is deep enough, and change.
    pub(super) fn spendable(&self) -> Vec<Coin> {
        let coins = self.known.values().filter(|record| self.is_spendable(record));
        coins.map(|record| record.coin).collect()
    }

    fn is_spendable(&self, record: &CoinRecord) -> bool {
        let is_change = || self.known.contains_key(&record.coin.parent);
        let is_deep = depth(record.confirmed, self.height) >= self.mature;
        !record.is_spent() && (is_deep || is_change())
    }

    /// All of it, for the books.
    pub(super) fn holdings(&self, height: u32) -> Holdings {
        let mut holdings = Holdings::default();
        for record in self.known.values().filter(|record| !record.is_spent()) {
            let amount = Amount::from_units(record.coin.amount.into());
            let kept = match self.is_spendable(record) {
                true => &mut holdings.spendable,
                false => &mut holdings.immature,
            };
            *kept = kept.add(amount);
        }
        let spends = self
            .spends
            .values()
            .map(|(at, spend)| WalletSpend { confirmations: depth(*at, height), ..spend.clone() });
        holdings.spends = spends.collect();
        holdings
    }
}

/// Whoever sends the pool crumbs by the thousand costs it no more than this.
fn keep_largest(known: &mut BTreeMap<Bytes32, CoinRecord>) {
    if known.len() <= COINS_MAX {
        return;
    }
    let mut amounts: Vec<u64> = known.values().map(|record| record.coin.amount).collect();
    amounts.sort_unstable_by_key(|amount| std::cmp::Reverse(*amount));
    let least = amounts.get(COINS_MAX).copied().unwrap_or(0);
    tracing::warn!(
        coins = known.len(),
        least,
        "the wallet has more coins than are watched; the smallest are left out"
    );
    known.retain(|_, record| record.coin.amount > least);
}

/// Coins of one block that were spent together: each group's first made everything.
async fn groups(
    node: &Node,
    height: u32,
    coins: Vec<Coin>,
    made: &HashMap<Bytes32, Vec<Coin>>,
) -> Result<Vec<Vec<Coin>>, RpcError> {
    let (firsts, mut others): (Vec<Coin>, Vec<Coin>) =
        coins.into_iter().partition(|coin| made.contains_key(&coin.id()));
    let mut groups: Vec<Vec<Coin>> = firsts.into_iter().map(|coin| vec![coin]).collect();
    if let ([group], false) = (groups.as_mut_slice(), others.is_empty()) {
        group.append(&mut others);
    }
    if others.is_empty() || groups.is_empty() {
        groups.extend(others.into_iter().map(|coin| vec![coin]));
        return Ok(groups);
    }
    // Two payments in one block: whose a coin is, it says itself.
    let mut spends: HashMap<Bytes32, CoinSpend> = HashMap::new();
    let heads: HashSet<Bytes32> = groups.iter().flatten().map(Coin::id).collect();
    for id in heads.iter().copied().chain(others.iter().map(Coin::id)) {
        spends.insert(id, node.spend(&id, height).await?);
    }
    for coin in others {
        let own = spends.get(&coin.id());
        let group = groups.iter_mut().find(|group| {
            let first = group.first().and_then(|first| spends.get(&first.id()));
            matches!((own, first), (Some(own), Some(first)) if hangs_on(own, first))
        });
        match group {
            Some(group) => group.push(coin),
            None => groups.push(vec![coin]),
        }
    }
    Ok(groups)
}

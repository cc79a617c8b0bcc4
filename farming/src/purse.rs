//! What absorptions pay the network: nothing while there is room in blocks, and while there is none, out of a purse that the
//! operator fills. It is no part of the pool's books: nobody is owed what is in it.
//!
//! Invariant: a fee is paid together with the absorption that it is for, or not at all.

use crate::coin::{Coin, SpendBundle};
use crate::door::Door;
use crate::hash::{Bytes32, sha256};
use crate::node::Standing;
use crate::wallet::Wallet;
use std::collections::HashSet;

/// What absorbing one reward costs the chain: measured with the node, rounded up.
const COST_OF_REWARD: u64 = 38_000_000;
/// What the purse's own spend costs.
const COST_OF_FEE: u64 = 12_000_000;
/// What the coin of a reward announces when it leaves.
const ANNOUNCED: &[u8] = b"$";

/// The purse during one collection.
#[derive(Default)]
pub struct Purse {
    /// Coins that absorptions of this collection spend already.
    taken: HashSet<Bytes32>,
}

impl Purse {
    /// The absorption of these rewards with its fee, where one is needed and allowed; as it is otherwise.
    pub async fn with_fee(
        &mut self,
        door: &Door,
        standing: &Standing,
        rewards: &[Coin],
        bundle: SpendBundle,
    ) -> SpendBundle {
        let most = door.settings.absorb_fee_most;
        let pays = standing.is_mempool_full && most > 0;
        let (Some(first), Some(wallet), true) = (rewards.first(), door.signer.own(), pays) else {
            return bundle;
        };
        let count = u64::try_from(rewards.len()).unwrap_or(u64::MAX);
        let cost = count.saturating_mul(COST_OF_REWARD).saturating_add(COST_OF_FEE);
        let fee = door.nodes.fee_mojo(cost).await.min(most);
        let Some(coin) = self.take(door, standing, wallet, fee).await else {
            let address = crate::address::encode(&wallet.purse(), door.nodes.network());
            tracing::warn!(
                fee,
                address,
                "blocks are full, and the purse for absorptions is empty: rewards wait until there is room. Send some XCH to the purse"
            );
            return bundle;
        };
        let announced = sha256([first.id().as_ref(), ANNOUNCED]);
        match wallet.pay_fee(&coin, fee, &announced, door.nodes.network()) {
            Ok(paid) => bundle.together_with(paid),
            Err(error) => {
                tracing::warn!(%error, "an absorption is sent without a fee");
                bundle
            }
        }
    }

    /// The largest coin of the purse that is free and enough.
    async fn take(
        &mut self,
        door: &Door,
        standing: &Standing,
        wallet: &Wallet,
        fee: u64,
    ) -> Option<Coin> {
        let (place, end) = ([wallet.purse()], standing.height.saturating_add(1));
        let found = door.nodes.ask(|node| node.coins_at(&place, 0..end, false)).await.ok()?;
        let free = found
            .into_iter()
            .map(|record| record.coin)
            .filter(|coin| coin.amount >= fee && !self.taken.contains(&coin.id()));
        let coin = free.max_by_key(|coin| (coin.amount, coin.id()))?;
        self.taken.insert(coin.id());
        Some(coin)
    }
}

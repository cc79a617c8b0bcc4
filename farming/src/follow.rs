//! Following plot NFTs on the chain: from the launcher, or from where one was last seen.
//!
//! Invariant: a walk is made at one node from end to end; what it finds is a tip that is not spent, or a reason.

use crate::coin::Coin;
use crate::hash::Bytes32;
use crate::network::Network;
use crate::node::Node;
use crate::node::rpc::RpcError;
use crate::singleton::lineage::{self, Absorbed, Lost, Tip};
use crate::singleton::puzzle::{Contract, LAUNCHER_HASH};

/// Spends followed in one walk. A plot NFT of a large farm absorbs some thousands of rewards in its life.
const STEPS_MAX: usize = 100_000;

/// Why a walk found no tip.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The chain says that it is no plot NFT, or not one any more.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The coin to start from is not in the chain: it went back.
    #[error("the chain does not have the coin {0}")]
    Gone(Bytes32),
    /// Nobody could be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The last tip that is deep enough to stay.
    pub buried: Option<Tip>,
    /// The tip.
    pub latest: Tip,
    /// Rewards absorbed on the way, with the height that did it.
    pub income: Vec<(Absorbed, u32)>,
}

/// Follows one from its launcher.
///
/// # Errors
/// See [`FollowError`].
pub async fn from_launcher(
    node: &Node,
    launcher_id: &Bytes32,
    network: &Network,
    buried_at: u32,
) -> Result<(Contract, Walk), FollowError> {
    let record = node.coin(launcher_id).await?.ok_or(Lost::NotPlotNft)?;
    if record.coin.puzzle_hash != LAUNCHER_HASH || !record.is_spent() {
        return Err(Lost::NotPlotNft.into());
    }
    let spend = node.spend(launcher_id, record.spent).await?;
    let (contract, state) = lineage::launched(&spend, network)?;
    let (child, _) = children(node, launcher_id).await?;
    let tip = lineage::first(&contract, &record.coin, state, child.ok_or(Lost::NotPlotNft)?)?;
    let walk = from_tip(node, &contract, tip, buried_at).await?;
    Ok((contract, walk))
}

/// Follows one from where it was last seen. What lies at or below `buried_at` stays.
///
/// # Errors
/// See [`FollowError`].
pub async fn from_tip(
    node: &Node,
    contract: &Contract,
    from: Tip,
    buried_at: u32,
) -> Result<Walk, FollowError> {
    let is_deep = |tip: &Tip| tip.height <= buried_at;
    let mut walk =
        Walk { buried: is_deep(&from).then(|| from.clone()), latest: from, income: Vec::new() };
    for _ in 0..STEPS_MAX {
        let id = walk.latest.coin.id();
        let record = node.coin(&id).await?.ok_or(FollowError::Gone(id))?;
        if !record.is_spent() {
            return Ok(walk);
        }
        let spend = node.spend(&id, record.spent).await?;
        let (child, made) = children(node, &id).await?;
        let child = child.ok_or(Lost::NotUnderstood)?;
        let (tip, absorbed) = lineage::next(contract, &walk.latest, &spend, child, &made)?;
        walk.income.extend(absorbed.map(|absorbed| (absorbed, record.spent)));
        if is_deep(&tip) {
            walk.buried = Some(tip.clone());
        }
        walk.latest = tip;
    }
    Err(Lost::NotUnderstood.into())
}

/// The singleton's next coin, the only one of an odd amount that a spend makes, and all that it makes.
async fn children(
    node: &Node,
    parent: &Bytes32,
) -> Result<(Option<(Coin, u32)>, Vec<Coin>), RpcError> {
    let children = node.children(&[*parent]).await?;
    let odd = children.iter().find(|record| record.coin.amount % 2 == 1);
    let next = odd.map(|record| (record.coin, record.confirmed));
    Ok((next, children.iter().map(|record| record.coin).collect()))
}

//! What became of a payment.
//!
//! Invariant: it can never confirm only where every version of it spends a coin that something else spent, or that the chain does
//! not have though what should have made it is spent; and all nodes in step must say so.

use super::depth;
use crate::coin::{Coin, SpendBundle};
use crate::hash::Bytes32;
use crate::node::rpc::RpcError;
use crate::node::{CoinRecord, Node, Nodes};
use crate::wallet::payment_name;
use accounting::payout::{Fate, PayoutVersion};
use std::collections::HashMap;

/// What all nodes in step say.
pub(super) async fn agreed(nodes: &Nodes, versions: &[PayoutVersion]) -> Fate {
    let mut agreed: Option<Fate> = None;
    for (node, standing) in nodes.in_step() {
        let Ok(said) = at(node, standing.height, versions).await else { return Fate::Unknown };
        agreed = Some(agreed.map_or(said, |before| both(before, said)));
    }
    agreed.unwrap_or(Fate::Unknown)
}

/// Two nodes' opinions in one.
fn both(one: Fate, other: Fate) -> Fate {
    use Fate::{Absent, Impossible, InChain, InMempool, Unknown};
    match (one, other) {
        (InChain { version, confirmations: a }, InChain { version: other, confirmations: b })
            if version == other =>
        {
            InChain { version, confirmations: a.min(b) }
        }
        (Impossible { confirmations: a }, Impossible { confirmations: b }) => {
            Impossible { confirmations: a.min(b) }
        }
        (InMempool, InMempool | Absent) | (Absent, InMempool) => InMempool,
        (Absent, Absent) => Absent,
        _ => Unknown,
    }
}

/// What one node says, whose tip is at this height.
async fn at(node: &Node, peak: u32, versions: &[PayoutVersion]) -> Result<Fate, RpcError> {
    let mut names: Vec<Bytes32> =
        versions.iter().flat_map(|version| &version.inputs).map(|(id, _)| Bytes32(*id)).collect();
    names.sort_unstable();
    names.dedup();
    let records = node.coins(&names).await?;
    let records: HashMap<Bytes32, CoinRecord> =
        records.into_iter().map(|record| (record.coin.id(), record)).collect();
    for (version, signed) in versions.iter().enumerate() {
        if let Some(height) = confirmed_at(node, &records, signed).await? {
            return Ok(Fate::InChain { version, confirmations: depth(height, peak) });
        }
    }
    let mut never: Option<u32> = None;
    for signed in versions {
        let since = impossible_since(node, &records, signed).await?;
        match since {
            // The version that is the longest possible decides.
            Some(height) => never = Some(never.map_or(height, |latest| latest.max(height))),
            None => return waiting(node, versions).await,
        }
    }
    Ok(never
        .map_or(Fate::Unknown, |height| Fate::Impossible { confirmations: depth(height, peak) }))
}

/// The height at which the chain has this very payment.
async fn confirmed_at(
    node: &Node,
    records: &HashMap<Bytes32, CoinRecord>,
    signed: &PayoutVersion,
) -> Result<Option<u32>, RpcError> {
    let Some((first, _)) = signed.inputs.first() else { return Ok(None) };
    let first = Bytes32(*first);
    let Some(record) = records.get(&first).filter(|record| record.is_spent()) else {
        return Ok(None);
    };
    let made = node.children(&[first]).await?;
    let name = payment_name(&first, made.iter().map(|c| (c.coin.puzzle_hash, c.coin.amount)));
    Ok((name.0 == signed.txid).then_some(record.spent))
}

/// The height from which this version, which is not in the chain, cannot be any more.
async fn impossible_since(
    node: &Node,
    records: &HashMap<Bytes32, CoinRecord>,
    signed: &PayoutVersion,
) -> Result<Option<u32>, RpcError> {
    let coins: HashMap<Bytes32, Coin> = serde_json::from_slice::<SpendBundle>(&signed.raw)
        .map(|bundle| bundle.coin_spends.iter().map(|s| (s.coin.id(), s.coin)).collect())
        .unwrap_or_default();
    let mut since: Option<u32> = None;
    for (id, _) in &signed.inputs {
        let id = Bytes32(*id);
        let height = match (records.get(&id), coins.get(&id)) {
            (Some(record), _) if record.is_spent() => record.spent,
            (Some(_), _) | (None, None) => continue,
            // The chain does not have it: did what should have made it make something else?
            (None, Some(coin)) => match node.coin(&coin.parent).await? {
                Some(parent) if parent.is_spent() => parent.spent,
                _ => continue,
            },
        };
        since = Some(since.map_or(height, |earliest: u32| earliest.min(height)));
    }
    Ok(since)
}

/// Nothing stands in its way: does the node have it?
async fn waiting(node: &Node, versions: &[PayoutVersion]) -> Result<Fate, RpcError> {
    for signed in versions {
        let Ok(bundle) = serde_json::from_slice::<SpendBundle>(&signed.raw) else { continue };
        if node.has_in_mempool(&bundle.id()).await? {
            return Ok(Fate::InMempool);
        }
    }
    Ok(Fate::Absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{Absent, Impossible, InChain, InMempool, Unknown};

    #[test]
    fn nodes_must_agree_about_what_is_settled_and_the_more_cautious_counts() {
        let in_chain = |version, confirmations| InChain { version, confirmations };
        let impossible = |confirmations| Impossible { confirmations };
        for (one, other, both_say) in [
            (in_chain(0, 5), in_chain(0, 3), in_chain(0, 3)),
            (in_chain(0, 5), in_chain(1, 5), Unknown),
            (in_chain(0, 5), Absent, Unknown),
            (in_chain(0, 1), InMempool, Unknown),
            (impossible(9), impossible(4), impossible(4)),
            (impossible(9), Absent, Unknown),
            (InMempool, Absent, InMempool),
            (Absent, Absent, Absent),
        ] {
            assert_eq!(both(one, other), both_say, "{one:?} {other:?}");
            assert_eq!(both(other, one), both_say, "{other:?} {one:?}");
        }
    }
}

//! What a chain says of what was booked.
//!
//! Invariant: what stands at a height decides, not a node's "confirmations" of a block: bcoin counts those of blocks beside the
//! chain too. A node that does not answer says nothing.

use super::{by_block, member};
use accounting::membership::Place;
use accounting::reward::{Reward, RewardState, Sighting};
use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use stratum::node::{self, HeaderInfo};
use stratum::rpc::{Endpoint, Rpc, RpcError};

/// A pool looks at its chain now and then, and nodes hear of blocks at different times: so many blocks behind is no lie.
const BEHIND: u32 = 6;
/// No pool waits longer before it pays, whatever it says.
const MATURE_MAX: u32 = 2000;
/// No pool waits longer before it gives a block up.
const ORPHAN_MAX: u32 = 200;

/// What the chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// The same.
    Agrees,
    /// Something else.
    Differs(String),
    /// Something else, of which a pool that runs should know by now.
    Overdue(String),
    /// No node could be asked, or it cannot say yet.
    Silent,
}

/// After how many confirmations a pool moves a block, by its own words.
#[derive(Debug, Clone, Copy)]
pub struct Depths {
    /// Its parts can be paid.
    pub mature: u32,
    /// Of another block at its height: it is given up.
    pub orphan: u32,
}

/// Does the block stand where its state says, and does it pay what was booked? The first node that can say decides.
pub async fn compare(
    nodes: &[Endpoint],
    reward: &Reward,
    state: RewardState,
    place: Option<Place>,
    depths: Depths,
) -> Chain {
    for node in nodes {
        // A node that does not answer says nothing.
        let said = match (reward.payment(), place) {
            (Some(payment), Some(place)) => {
                let said = member::stands(node, (reward, payment), state, place, depths).await;
                said.map_err(anyhow::Error::from)
            }
            _ => asked(node, reward, state, depths).await,
        };
        match said {
            Ok(Chain::Silent) | Err(_) => {}
            Ok(said) => return said,
        }
    }
    Chain::Silent
}

async fn asked(
    node: &Endpoint,
    reward: &Reward,
    state: RewardState,
    depths: Depths,
) -> anyhow::Result<Chain> {
    let mut rpc = Rpc::new(node.clone());
    let block = block_of(&mut rpc, reward).await?;
    if let Some(block) = block.as_ref().filter(|_| state != RewardState::Orphaned)
        && let Some(text) = block.differs_from(reward)
    {
        return Ok(Chain::Differs(text));
    }
    let sighting = node::sighting(&mut rpc, reward.id, reward.height).await;
    if sighting == Sighting::Unknown && state != RewardState::Orphaned {
        let buried = if state == RewardState::Matured { depths.mature.min(MATURE_MAX) } else { 0 };
        return beyond_the_tip(&mut rpc, reward, buried.into()).await;
    }
    Ok(match (judged(state, sighting, depths), block) {
        // It stands, but what it pays could not be read (a pruned node).
        (Chain::Agrees, None) if state != RewardState::Orphaned => Chain::Silent,
        (said, _) => said,
    })
}

/// What a state should be when this stands at the block's height.
pub(super) fn judged(state: RewardState, sighting: Sighting, depths: Depths) -> Chain {
    let (mature, orphan) = (depths.mature.min(MATURE_MAX), depths.orphan.min(ORPHAN_MAX));
    let after = |limit: u32, depth: u32| depth >= limit.saturating_add(BEHIND);
    match (state, sighting) {
        (RewardState::Immature, Sighting::InChain(depth)) if after(mature, depth) => {
            Chain::Overdue(format!(
                "the chain has it under {depth} confirmations, the pool still calls it immature and promised {mature}"
            ))
        }
        (RewardState::Immature, Sighting::Replaced(depth)) if after(orphan, depth) => {
            Chain::Overdue(format!(
                "another block stands at its height since {depth} confirmations, the pool still calls it immature"
            ))
        }
        (RewardState::Matured, Sighting::Replaced(depth)) if after(orphan, depth) => {
            Chain::Differs(format!(
                "the pool calls it matured, but another block stands at its height since {depth} confirmations"
            ))
        }
        (RewardState::Orphaned, Sighting::InChain(depth)) if after(0, depth) => {
            Chain::Overdue(format!(
                "the pool calls it orphaned, but it stands in the chain under {depth} confirmations"
            ))
        }
        (RewardState::Orphaned, Sighting::Replaced(_))
        | (RewardState::Immature | RewardState::Matured, Sighting::InChain(_)) => Chain::Agrees,
        _ => Chain::Silent,
    }
}

/// A block above a chain that is whole is no block, nor is one that so many should have buried.
async fn beyond_the_tip(rpc: &mut Rpc, reward: &Reward, buried: u64) -> anyhow::Result<Chain> {
    #[derive(Deserialize)]
    struct Tip {
        blocks: u64,
        #[serde(default)]
        headers: u64,
        #[serde(default)]
        initialblockdownload: bool,
        chain: String,
    }
    let tip: Tip = rpc.call("getblockchaininfo", json!([])).await?;
    let loads = tip.headers > tip.blocks || (tip.initialblockdownload && tip.chain != "regtest");
    let needed = reward.height.saturating_add(buried);
    let is_near = needed <= tip.blocks.saturating_add(BEHIND.into());
    Ok(match loads || is_near {
        true => Chain::Silent,
        false => Chain::Differs(format!(
            "the chain ends at height {}, the pool has it at {}",
            tip.blocks, reward.height
        )),
    })
}

/// What a node knows of a block, beside the chain or in it.
struct Block {
    height: u64,
    /// What its coinbase pays: output scripts in hexadecimal digits, and smallest units.
    outputs: Vec<(String, i128)>,
    /// Expected hashes of the target in its header.
    work: Option<u128>,
}

impl Block {
    fn differs_from(&self, reward: &Reward) -> Option<String> {
        let booked = reward.on_chain().units();
        let paid: i128 = self.outputs.iter().map(|(_, units)| units).sum();
        let Block { height, work, .. } = *self;
        if height != reward.height {
            let booked = reward.height;
            return Some(format!("the chain has this block at height {height}, not {booked}"));
        }
        if paid != booked {
            return Some(format!("its coinbase pays {paid} on the chain, {booked} in the books"));
        }
        let missing = by_block::missing(reward, &self.outputs);
        if let Some(missing) = missing.or_else(|| member::missing(reward, &self.outputs)) {
            return Some(missing);
        }
        let wrong = work.filter(|work| *work != reward.network_work);
        wrong.map(|work| {
            let booked = reward.network_work;
            format!("its header asks for {work} hashes, its window was measured by {booked}")
        })
    }
}

async fn block_of(rpc: &mut Rpc, reward: &Reward) -> anyhow::Result<Option<Block>> {
    let id = reward.id.to_string();
    let block: Value = match rpc.call("getblock", json!([id, 2])).await {
        Ok(block) => block,
        Err(RpcError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let outputs = block["tx"][0]["vout"].as_array().context("a block has a coinbase")?;
    let header: HeaderInfo = node::header(rpc, &id).await?;
    let target = pow::Target::from_compact(header.bits).ok();
    Ok(Some(Block {
        height: header.height,
        outputs: outputs.iter().map(output).collect(),
        work: target.and_then(|target| target.work().as_u128()),
    }))
}

/// An output's script in hexadecimal digits, and its smallest units.
pub(super) fn output(output: &Value) -> (String, i128) {
    (output["scriptPubKey"]["hex"].as_str().unwrap_or_default().to_owned(), units(output))
}

/// Does this transaction pay so much to this output script?
pub async fn sent(node: &Endpoint, transaction: &str, script: &str, amount: i128) -> Chain {
    let asked = Rpc::new(node.clone()).call("getrawtransaction", json!([transaction, 1])).await;
    let Ok(found): Result<Value, _> = asked else { return Chain::Silent };
    let Some(outputs) = found["vout"].as_array() else { return Chain::Silent };
    let pays = |output: &Value| {
        output["scriptPubKey"]["hex"].as_str() == Some(script) && units(output) == amount
    };
    match outputs.iter().any(pays) {
        true => Chain::Agrees,
        false => {
            Chain::Differs(format!("transaction {transaction} pays {amount} to nobody at {script}"))
        }
    }
}

/// The output script of an address, if the node knows.
pub async fn script_of(node: &Endpoint, address: &str) -> Option<String> {
    let found: Value =
        Rpc::new(node.clone()).call("validateaddress", json!([address])).await.ok()?;
    found["scriptPubKey"].as_str().map(str::to_owned)
}

/// An output's value: whole coins with eight decimals, of which a double holds all (21 million coins are below 2^53 units).
fn units(output: &Value) -> i128 {
    (output["value"].as_f64().unwrap_or(0.0) * 1e8).round() as i128
}

#[cfg(test)]
mod tests {
    use super::*;
    use RewardState::{Immature, Matured, Orphaned};
    use Sighting::{InChain, Replaced, Unknown};

    const DEPTHS: Depths = Depths { mature: 101, orphan: 6 };

    fn verdict(state: RewardState, sighting: Sighting) -> &'static str {
        match judged(state, sighting, DEPTHS) {
            Chain::Agrees => "agrees",
            Chain::Differs(_) => "differs",
            Chain::Overdue(_) => "overdue",
            Chain::Silent => "silent",
        }
    }

    #[test]
    fn a_state_that_the_chain_contradicts_for_long_is_no_honest_one() {
        for (state, sighting, expected) in [
            (Immature, InChain(1), "agrees"),
            (Immature, InChain(106), "agrees"),
            (Immature, InChain(107), "overdue"),
            (Immature, Replaced(11), "silent"),
            (Immature, Replaced(12), "overdue"),
            (Matured, InChain(200), "agrees"),
            (Matured, Replaced(11), "silent"),
            (Matured, Replaced(12), "differs"),
            (Orphaned, InChain(5), "silent"),
            (Orphaned, InChain(6), "overdue"),
            (Orphaned, Replaced(1), "agrees"),
            (Orphaned, Unknown, "silent"),
        ] {
            assert_eq!(verdict(state, sighting), expected, "{state:?} {sighting:?}");
        }
    }

    #[test]
    fn a_pool_that_promises_to_wait_for_ever_is_held_to_less() {
        let depths = Depths { mature: u32::MAX, orphan: u32::MAX };
        assert!(matches!(judged(Immature, InChain(3000), depths), Chain::Overdue(_)));
        assert!(matches!(judged(Matured, Replaced(300), depths), Chain::Differs(_)));
    }
}

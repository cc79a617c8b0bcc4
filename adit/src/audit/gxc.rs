//! What a GXC chain says of what was booked: the block stands at its height, and its coinbase pays the pool what the books have.
//!
//! Invariant: of a coinbase only the first output is a coin there, so nothing else counts; a node that does not answer says nothing.

use super::chain::{Chain, Depths, judged};
use accounting::Amount;
use accounting::reward::{Reward, RewardState, Sighting};
use serde_json::{Value, json};
use stratum::gxc::rpc::Node;
use stratum::rpc::RpcError;
use stratum::source::gxc::GxcSource;

/// The first node that can say decides.
pub async fn reward(own: &GxcSource, reward: &Reward, state: RewardState, depths: Depths) -> Chain {
    for address in &own.nodes {
        // A node that does not answer says nothing.
        match asked(&Node::at(address), own, reward, state, depths).await {
            Ok(Chain::Silent) | Err(_) => {}
            Ok(said) => return said,
        }
    }
    Chain::Silent
}

async fn asked(
    node: &Node,
    own: &GxcSource,
    reward: &Reward,
    state: RewardState,
    depths: Depths,
) -> Result<Chain, RpcError> {
    // Its count is the chain's length: one more than the height of the tip.
    let length: u64 = node.call("getblockcount", json!([])).await?;
    if reward.height >= length {
        return Ok(Chain::Silent);
    }
    let block: Value = node.call("getblock", json!([reward.height])).await?;
    let confirmations = u32::try_from(length - reward.height).unwrap_or(u32::MAX);
    if block["hash"].as_str() != Some(&reward.id.to_string()) {
        return Ok(judged(state, Sighting::Replaced(confirmations), depths));
    }
    if state != RewardState::Orphaned
        && let output = &block["tx"][0]["outputs"][0]
        && let Some(text) =
            pays_otherwise(output, &own.miner, (reward.to_pool, own.coin.decimals()))
    {
        return Ok(Chain::Differs(text));
    }
    Ok(judged(state, Sighting::InChain(confirmations), depths))
}

/// In what a coinbase's output is not what was booked.
fn pays_otherwise(output: &Value, miner: &str, (booked, decimals): (Amount, u8)) -> Option<String> {
    let to = output["address"].as_str().unwrap_or("nobody");
    if to != miner {
        return Some(format!("its coinbase pays {to}, not the pool's {miner}"));
    }
    // Amounts are floating-point numbers of coins there.
    let places = usize::from(decimals);
    let paid = output["amount"].as_f64().map(|coins| format!("{coins:.places$}"));
    let paid = paid.and_then(|coins| Amount::parse_decimal(&coins, decimals).ok());
    (paid != Some(booked)).then(|| {
        let amount = &output["amount"];
        format!("its coinbase pays {amount} GXC on the chain, {booked} units are booked")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coinbase_that_pays_another_sum_or_somebody_else_differs() {
        let output = json!({ "address": "tGXCa", "amount": 12.3456789 });
        let booked = (Amount::from_units(1_234_567_890), 8);
        assert_eq!(pays_otherwise(&output, "tGXCa", booked), None);
        let less =
            pays_otherwise(&output, "tGXCa", (Amount::from_units(1_234_567_889), 8)).unwrap();
        assert!(less.contains("12.3456789"), "{less}");
        let other = pays_otherwise(&output, "tGXCb", booked).unwrap();
        assert!(other.contains("pays tGXCa, not the pool's tGXCb"), "{other}");
        assert!(pays_otherwise(&Value::Null, "tGXCa", booked).is_some());
    }
}

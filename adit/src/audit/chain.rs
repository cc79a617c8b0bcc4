//! What a chain says of what was booked.

use accounting::reward::Reward;
use anyhow::Context;
use serde_json::{Value, json};
use stratum::rpc::{Endpoint, Rpc, RpcError};

/// What the chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// The same.
    Agrees,
    /// Something else.
    Differs(String),
    /// No node could be asked, or it does not know.
    Silent,
}

/// Does the block on the chain pay what was booked? The first node that has it decides.
pub async fn pays(nodes: &[Endpoint], reward: &Reward) -> Chain {
    for node in nodes {
        // A node that does not answer, or does not have the block, says nothing.
        let Ok(Some((paid, height))) = coinbase_of(node, reward).await else { continue };
        let booked = reward.to_pool.add(reward.to_finder).units();
        if height != reward.height {
            let booked = reward.height;
            return Chain::Differs(format!(
                "the chain has this block at height {height}, not {booked}"
            ));
        }
        if paid != booked {
            return Chain::Differs(format!(
                "its coinbase pays {paid} on the chain, {booked} in the books"
            ));
        }
        return Chain::Agrees;
    }
    Chain::Silent
}

/// What a block's coinbase pays altogether, and its height. A block that was left by the chain is none.
async fn coinbase_of(node: &Endpoint, reward: &Reward) -> anyhow::Result<Option<(i128, u64)>> {
    let mut rpc = Rpc::new(node.clone());
    let block: Value = match rpc.call("getblock", json!([reward.id.to_string(), 2])).await {
        Ok(block) => block,
        Err(RpcError::Refused { code: -5, .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if block["confirmations"].as_i64().is_some_and(|depth| depth < 0) {
        return Ok(None);
    }
    let outputs = block["tx"][0]["vout"].as_array().context("a block has a coinbase")?;
    let height = block["height"].as_u64().context("a block has a height")?;
    Ok(Some((outputs.iter().map(units).sum(), height)))
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

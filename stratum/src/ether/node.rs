//! One node of a chain of Ethash: is it on the chain that the configuration names, is it up to date, and whom do its blocks pay.
//!
//! Invariant: no work is taken from a node whose blocks would pay somebody else.

use super::address::{self, Address};
use crate::node::Unfit;
use crate::rpc::{Endpoint, Rpc, RpcError};
use crate::template::push_hex;
use serde_json::{Value, json};

/// Which chain, and whom its blocks pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its id (EIP-155).
    pub chain: u64,
    /// Its first block, where that is named.
    pub genesis: Option<String>,
    /// Blocks that it must contain: how to tell the sides of a split apart.
    pub must_contain: Vec<(u64, String)>,
    /// The pool's address.
    pub miner: Address,
}

/// A node's RPC, as nodes of Ethereum's kind speak it.
#[must_use]
pub fn rpc(endpoint: &Endpoint) -> Rpc {
    Rpc::v2(endpoint.clone())
}

/// A number as it is written: `0x1b4`.
#[must_use]
pub fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// An amount of wei as it is written.
#[must_use]
pub fn wei(value: &Value) -> Option<i128> {
    i128::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// 32 bytes as they are written, in that order.
#[must_use]
pub fn bytes32(value: &Value) -> Option<[u8; 32]> {
    let mut bytes = Vec::with_capacity(32);
    push_hex(&mut bytes, value.as_str()?.strip_prefix("0x")?)?;
    bytes.try_into().ok()
}

/// A block's number as a parameter.
#[must_use]
pub fn at(number: u64) -> String {
    format!("{number:#x}")
}

/// An answer that makes no sense.
pub(super) fn odd(what: &str, said: &Value) -> RpcError {
    let said: String = said.to_string().chars().take(200).collect();
    RpcError::Unknown(format!("{what} makes no sense: {said}"))
}

/// The number of the newest block.
///
/// # Errors
/// As the node says.
pub async fn tip(rpc: &mut Rpc) -> Result<u64, RpcError> {
    let said: Value = rpc.call("eth_blockNumber", json!([])).await?;
    number(&said).ok_or_else(|| odd("eth_blockNumber", &said))
}

/// A block, with its transactions or their names; `None` where the chain has none yet.
///
/// # Errors
/// As the node says.
pub async fn block(rpc: &mut Rpc, number: u64, whole: bool) -> Result<Option<Value>, RpcError> {
    let said: Value = rpc.call("eth_getBlockByNumber", json!([at(number), whole])).await?;
    Ok((!said.is_null()).then_some(said))
}

impl Gate {
    /// May this node be believed?
    ///
    /// # Errors
    /// See [`Unfit`].
    pub async fn check(&self, rpc: &mut Rpc) -> Result<(), Unfit> {
        let said: Value = rpc.call("eth_chainId", json!([])).await?;
        let chain = number(&said).ok_or_else(|| odd("eth_chainId", &said))?;
        if chain != self.chain {
            let own = self.chain;
            return Err(Unfit::OtherChain(format!("its chain has the id {chain}, not {own}")));
        }
        if let Some(genesis) = &self.genesis {
            self.contains(rpc, 0, genesis).await?;
        }
        let syncing: Value = rpc.call("eth_syncing", json!([])).await?;
        if syncing != false {
            let (now, to) = (number(&syncing["currentBlock"]), number(&syncing["highestBlock"]));
            let text = format!("block {} of {}", now.unwrap_or(0), to.unwrap_or(0));
            return Err(Unfit::Syncing(text));
        }
        let tip = self::tip(rpc).await?;
        for (height, hash) in self.must_contain.iter().filter(|(height, _)| *height <= tip) {
            self.contains(rpc, *height, hash).await?;
        }
        self.check_miner(rpc).await
    }

    async fn contains(&self, rpc: &mut Rpc, height: u64, expected: &str) -> Result<(), Unfit> {
        let block = block(rpc, height, false).await?.unwrap_or_default();
        let found = block["hash"].as_str().unwrap_or("none");
        if found.trim_start_matches("0x").eq_ignore_ascii_case(expected.trim_start_matches("0x")) {
            return Ok(());
        }
        Err(Unfit::OtherChain(format!("its block {height} is {found}, not {expected}")))
    }

    /// A node's blocks pay whom its own configuration names: nothing that the pool says changes that.
    async fn check_miner(&self, rpc: &mut Rpc) -> Result<(), Unfit> {
        let own = address::show(&self.miner);
        let advice = format!("start the node with --mine and --miner.etherbase={own}");
        let said: Value = match rpc.call("eth_coinbase", json!([])).await {
            Ok(said) => said,
            Err(RpcError::Refused { message, .. }) => {
                let text =
                    format!("the node does not say whom its blocks pay ({message}); {advice}");
                return Err(Unfit::Trouble(text));
            }
            Err(error) => return Err(error.into()),
        };
        let paid = said.as_str().and_then(|text| address::parse(text).ok());
        if paid == Some(self.miner) {
            return Ok(());
        }
        let paid = paid.map_or("nobody".to_owned(), |paid| address::show(&paid));
        Err(Unfit::Trouble(format!("the node's blocks pay {paid}, not the pool; {advice}")))
    }
}

//! One node: is it on the chain the configuration names, is it up to date, and what does its best chain say.
//!
//! Invariant: no work is taken from a node that fails the gate, and the operator is told why in words.

use crate::coin::{Coin, Network};
use crate::rpc::{Rpc, RpcError};
use crate::template::{Template, hash_from_hex};
use accounting::RewardId;
use accounting::reward::Sighting;
use covenant::Enforced;
use covenant::enforcement::NotEnforced;
use pow::{Target, Work};
use serde::Deserialize;
use serde_json::{Value, json};

/// A node may know so many headers whose blocks it has not got.
const HEADERS_AHEAD: u64 = 6;

/// Which chain the configuration means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainGate {
    /// The coin and its network.
    pub coin: Coin,
    /// The first block, where it is not the coin's usual one (a private chain).
    pub genesis: Option<String>,
    /// Blocks the chain must contain: how to tell the sides of a split apart.
    pub must_contain: Vec<(u64, String)>,
}

/// Why a node gives no work now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Another chain than the configuration names.
    #[error("the node is on another chain than the configuration names: {0}")]
    OtherChain(String),
    /// Not up to date yet.
    #[error("the node is still syncing: {0}")]
    Syncing(String),
    /// It cannot be asked, or its answer cannot be used.
    #[error("{0}")]
    Trouble(String),
}

impl From<RpcError> for Unfit {
    fn from(error: RpcError) -> Self {
        Unfit::Trouble(error.to_string())
    }
}

#[derive(Deserialize)]
struct ChainInfo {
    chain: String,
    blocks: u64,
    #[serde(default)]
    headers: u64,
    #[serde(default)]
    initialblockdownload: bool,
    #[serde(default)]
    chainwork: String,
}

/// A block header as `getblockheader` describes it.
#[derive(Debug, Clone, Deserialize)]
pub struct HeaderInfo {
    /// Confirmations; −1 beside the best chain.
    pub confirmations: i64,
    /// Height.
    pub height: u64,
    /// Compact target.
    #[serde(deserialize_with = "compact_target")]
    pub bits: u32,
    /// Median time of the last eleven blocks.
    #[serde(default)]
    pub mediantime: u32,
    /// Work of the chain up to here.
    #[serde(default)]
    pub chainwork: String,
}

/// Hexadecimal digits as bitcoind writes it, or a number as bcoin does.
fn compact_target<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bits {
        Number(u32),
        Text(String),
    }
    match Bits::deserialize(from)? {
        Bits::Number(bits) => Ok(bits),
        Bits::Text(text) => u32::from_str_radix(&text, 16).map_err(serde::de::Error::custom),
    }
}

impl HeaderInfo {
    /// Work of the chain up to here; zero when the node does not say.
    #[must_use]
    pub fn chain_work(&self) -> Work {
        work_of(&self.chainwork)
    }
}

fn work_of(chainwork: &str) -> Work {
    Work::from_hex(chainwork).unwrap_or(Work::from(0))
}

impl ChainGate {
    /// May this node be believed? Gives the work of its chain.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub async fn check(&self, rpc: &mut Rpc) -> Result<Work, Unfit> {
        let info: ChainInfo = rpc.call("getblockchaininfo", json!([])).await?;
        let genesis = self.genesis.as_deref().or(self.coin.genesis()).unwrap_or_default();
        self.contains(rpc, 0, genesis).await?;
        for (height, hash) in &self.must_contain {
            if *height <= info.blocks {
                self.contains(rpc, *height, hash).await?;
            }
        }
        let private = self.coin.network() == Network::Regtest;
        // A header is known a moment before its block, at every block; and anybody can announce one and keep the block.
        let behind = info.headers > info.blocks.saturating_add(HEADERS_AHEAD);
        if behind || (info.initialblockdownload && !private) {
            let (blocks, headers) = (info.blocks, info.headers);
            return Err(Unfit::Syncing(format!(
                "block {blocks} of {headers} (chain {})",
                info.chain
            )));
        }
        Ok(work_of(&info.chainwork))
    }

    async fn contains(&self, rpc: &mut Rpc, height: u64, expected: &str) -> Result<(), Unfit> {
        let found: String = rpc.call("getblockhash", json!([height])).await?;
        if found.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        let coin = self.coin;
        Err(Unfit::OtherChain(format!("its block {height} is {found}, {coin} has {expected}")))
    }
}

/// The header of a block.
///
/// # Errors
/// As the node says.
pub async fn header(rpc: &mut Rpc, hash: &str) -> Result<HeaderInfo, RpcError> {
    rpc.call("getblockheader", json!([hash, true])).await
}

/// The full template; with the node's word on BIP-119 where it is for `trees`.
///
/// # Errors
/// When the node gives none, or one that cannot be used.
pub async fn template(
    rpc: &mut Rpc,
    coin: Coin,
    trees: bool,
    long_poll: Option<&str>,
) -> Result<Template, Unfit> {
    let mut request = json!({ "rules": coin.template_rules(), "capabilities": ["coinbasetxn", "longpoll", "workid"] });
    let mut limit = crate::rpc::CALL;
    if let (Some(id), Some(fields)) = (long_poll, request.as_object_mut()) {
        fields.insert("longpollid".into(), id.into());
        limit = std::time::Duration::from_secs(3600);
    }
    let text = rpc
        .call_raw("getblocktemplate", &json!([request]).to_string(), limit)
        .await
        .map_err(|error| {
            // -9 and -10 (BIP22's "not connected" and "in initial download") say it plainly.
            match error.code() {
                Some(-9 | -10) => Unfit::Syncing(error.to_string()),
                _ => Unfit::from(error),
            }
        })?;
    let mut template = Template::read(&text).map_err(|error| Unfit::Trouble(error.to_string()))?;
    if trees {
        template.enforced = enforced(rpc).await?;
    }
    Ok(template)
}

/// Does the node's chain enforce BIP-119 at its tip?
///
/// # Errors
/// When the node does not say.
pub async fn enforced(rpc: &mut Rpc) -> Result<Result<Enforced, NotEnforced>, RpcError> {
    /// A node that does not have a method says so with this.
    const METHOD_NOT_FOUND: i64 = -32_601;
    let listed = match rpc.call::<Value>("getdeploymentinfo", json!([])).await {
        Err(RpcError::Refused { code: METHOD_NOT_FOUND, .. }) => {
            rpc.call::<Value>("getblockchaininfo", json!([])).await?["softforks"].take()
        }
        answer => answer?["deployments"].take(),
    };
    let listed = listed.as_object().into_iter().flatten();
    Ok(Enforced::by(listed.map(|(name, deployment)| (name.as_str(), deployment["active"] == true))))
}

/// A template without transactions, from the tip's header alone: there at once, while the node still selects transactions.
/// `None` where the target may change, or where blocks cannot be built without the node's help.
#[must_use]
pub fn coinbase_only(
    coin: Coin,
    tip: &str,
    header: &HeaderInfo,
    before: &Template,
    now_s: u32,
) -> Option<Template> {
    let height = header.height + 1;
    let extension_blocks = before.mweb.is_some();
    if header.confirmations < 0 || !coin.keeps_bits(height) || extension_blocks {
        return None;
    }
    let bits = header.bits;
    let min_time = header.mediantime.checked_add(1)?;
    let target = Target::from_compact(bits).ok()?;
    let now_s = now_s.max(min_time);
    Some(Template {
        version: before.version,
        required_version: before.required_version,
        min_time,
        coinbase_value: coin.subsidy(height),
        enforced: before.enforced,
        coinbase_only: true,
        ..Template::empty(height, hash_from_hex(tip)?, bits, target, now_s)
    })
}

/// What this node's best chain says about a block of ours: it stands where the chain has it at its height. A node's word
/// about the block itself is not enough, because bcoin counts confirmations for blocks beside the chain too.
pub async fn sighting(rpc: &mut Rpc, block: RewardId, height: u64) -> Sighting {
    match standing_at(rpc, height).await {
        Ok(Some((hash, confirmations))) if hash == block.to_string() => {
            Sighting::InChain(confirmations)
        }
        Ok(Some((_, confirmations))) => Sighting::Replaced(confirmations),
        Ok(None) | Err(_) => Sighting::Unknown,
    }
}

async fn standing_at(rpc: &mut Rpc, height: u64) -> Result<Option<(String, u32)>, RpcError> {
    let hash: String = match rpc.call("getblockhash", json!([height])).await {
        Ok(hash) => hash,
        // -8: the chain is shorter than that; nothing has replaced the block yet.
        Err(RpcError::Refused { code: -8, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = header(rpc, &hash).await?;
    Ok((found.confirmations > 0).then(|| (hash, clamp(found.confirmations))))
}

fn clamp(confirmations: i64) -> u32 {
    u32::try_from(confirmations).unwrap_or(u32::MAX)
}

/// Several nodes' opinions: they must agree that a block stands or does not; the more cautious depth counts.
#[must_use]
pub fn agree(opinions: &[Sighting]) -> Sighting {
    let mut known = opinions.iter().filter(|opinion| **opinion != Sighting::Unknown);
    let Some(first) = known.next() else { return Sighting::Unknown };
    known.fold(*first, |agreed, opinion| match (agreed, *opinion) {
        (Sighting::InChain(a), Sighting::InChain(b)) => Sighting::InChain(a.min(b)),
        (Sighting::Replaced(a), Sighting::Replaced(b)) => Sighting::Replaced(a.min(b)),
        _ => Sighting::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compact_target_is_read_as_text_and_as_a_number() {
        for bits in ["\"207fffff\"", "545259519"] {
            let header = format!(r#"{{"confirmations":1,"height":2,"bits":{bits}}}"#);
            assert_eq!(serde_json::from_str::<HeaderInfo>(&header).unwrap().bits, 0x207f_ffff);
        }
    }

    #[test]
    fn nodes_that_disagree_know_nothing() {
        use Sighting::{InChain, Replaced, Unknown};
        for (opinions, agreed) in [
            (vec![], Unknown),
            (vec![Unknown, InChain(5)], InChain(5)),
            (vec![InChain(7), InChain(5)], InChain(5)),
            (vec![Replaced(3), Unknown, Replaced(9)], Replaced(3)),
            (vec![InChain(100), Replaced(1)], Unknown),
            (vec![InChain(100), Replaced(1), InChain(100)], Unknown),
        ] {
            assert_eq!(agree(&opinions), agreed, "{opinions:?}");
        }
    }
}

//! A solved block as the node is handed it, and what its answer means.
//!
//! Invariant: the hash that is claimed is the digest that was verified; the nonce is only for show, because the node reads 32
//! bits with a sign.

use super::offer::Offer;
use super::rpc::{Node, REQUEST_MAX, request};
use crate::block::Verdict;
use crate::rpc::RpcError;
use serde_json::{Value, json};

/// Room for the node's name in the request's head.
const NAME: &str = "a-host-name-as-long-as-any-that-is-used.example:65535";

/// By which hash it was solved, as the node calls them. What it does not know it takes for sha256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consensus {
    /// Bitcoin's.
    Sha256,
    /// Ethash.
    Ethash,
    /// GXHash.
    GxHash,
}

impl Consensus {
    /// The node's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Consensus::Sha256 => "pow_sha256",
            Consensus::Ethash => "pow_ethash",
            Consensus::GxHash => "pow_gxhash",
        }
    }
}

/// The parameter of `submitblock`. `hash` is the verified digest, most significant byte first.
#[must_use]
pub fn submission(
    offer: &Offer,
    hash: &[u8; 32],
    time: u32,
    nonce: u64,
    consensus: Consensus,
) -> Value {
    json!({
        "height": offer.height,
        "hash": crate::template::to_hex(hash),
        "previousblockhash": offer.previous,
        "nonce": nonce & 0x7fff_ffff,
        "miner": offer.miner,
        "timestamp": time,
        "difficulty": offer.difficulty,
        "consensus_type": consensus.name(),
        "block_type": consensus.name(),
        "transactions": offer.transactions,
    })
}

/// Would the block fit the node's one read, whatever its hash and nonce?
#[must_use]
pub fn fits(offer: &Offer) -> bool {
    let widest = submission(offer, &[0xff; 32], u32::MAX, u64::MAX, Consensus::Sha256);
    request(NAME, "submitblock", &json!([widest])).len() <= REQUEST_MAX
}

/// Hands over a block, and reads what the node makes of it. A "no" is no more than a word: the block may be its tip already.
pub async fn submit(node: &Node, text: &str) -> Verdict {
    let block: Value = match serde_json::from_str(text) {
        Ok(block) => block,
        Err(error) => return Verdict::Rejected(error.to_string()),
    };
    let (height, hash) = (block["height"].clone(), block["hash"].clone());
    let said = verdict(&node.call("submitblock", json!([block])).await);
    let Verdict::Rejected(reason) = said else { return said };
    // Handed over before, with an answer that got lost.
    match node.call::<Value>("getblock", json!([height])).await {
        Ok(there) if there["hash"] == hash => Verdict::Accepted,
        Ok(_) | Err(RpcError::Refused { .. }) => Verdict::Rejected(reason),
        Err(error) => Verdict::Unknown(error.to_string()),
    }
}

/// Reads the node's answer: one code for everything, so the words decide.
#[must_use]
pub fn verdict(answer: &Result<Option<Value>, RpcError>) -> Verdict {
    match answer {
        Ok(None | Some(Value::Null)) => Verdict::Accepted,
        Ok(Some(other)) => Verdict::Unknown(other.to_string()),
        Err(RpcError::Refused { code: -32603, message }) => {
            // It may be our own block that the tip is: whoever asks looks at the chain.
            let is_late = message.contains("too far in") && message.contains("future");
            if is_late {
                Verdict::Unknown(message.clone())
            } else {
                Verdict::Rejected(message.clone())
            }
        }
        Err(error) => Verdict::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::offer::read;
    use super::*;
    use devnet::gxc::{Ledger, Net};
    use std::collections::HashSet;

    const POOL: &str = "tGXC751e76e8199196d454941c45d1b3a323f1";
    const NOW: u64 = 1_700_000_100;

    #[test]
    fn the_node_takes_a_block_by_each_hash_and_keeps_its_digest() {
        let mut ledger = Ledger::new(Net::Test);
        ledger.wallet.insert(POOL.into());
        let kinds = [Consensus::Sha256, Consensus::Ethash, Consensus::GxHash];
        for (n, consensus) in (1u8..).zip(kinds) {
            let template = read(ledger.template(POOL, NOW), POOL, &HashSet::new()).unwrap();
            let mut digest = [n; 32];
            digest[0] = 0x0f;
            let little: [u8; 32] = std::array::from_fn(|at| digest[31 - at]);
            assert!(template.target.is_met_by(&little));
            let offer = template.gxc.unwrap();
            let block = submission(&offer, &digest, template.cur_time, u64::MAX - 5, consensus);
            ledger.submit(&block, NOW).unwrap();
            assert_eq!(ledger.tip().hash, crate::template::to_hex(&digest));
            assert_eq!(ledger.tip().nonce, 0x7fff_fffa);
        }
        assert_eq!(ledger.at(2).unwrap().consensus, "pow_ethash");
    }

    #[test]
    fn an_answer_that_did_not_come_is_not_a_no() {
        let refused = |message: &str| {
            Err(RpcError::Refused {
                code: -32603,
                message: format!("Failed to submit block: {message}"),
            })
        };
        assert_eq!(verdict(&Ok(None)), Verdict::Accepted);
        assert!(matches!(verdict(&refused("Stale block")), Verdict::Rejected(_)));
        assert!(matches!(verdict(&refused("Block validation failed")), Verdict::Rejected(_)));
        assert!(matches!(
            verdict(&refused("Block timestamp too far in future")),
            Verdict::Unknown(_)
        ));
        assert!(matches!(verdict(&Err(RpcError::Unknown("cut".into()))), Verdict::Unknown(_)));
        let other = RpcError::Refused { code: -32700, message: "Empty POST body".into() };
        assert!(matches!(verdict(&Err(other)), Verdict::Unknown(_)));
    }
}

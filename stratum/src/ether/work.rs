//! What a node gives to work on: `eth_getWork`'s answer, read once.
//!
//! Invariant: it is known which block the work builds on; an answer that came while the tip moved is not believed.

use super::node::{bytes32, number, odd};
use crate::node::Unfit;
use crate::rpc::{Rpc, RpcError};
use crate::template::Template;
use pow::Target;
use serde_json::{Value, json};
use std::sync::Arc;

/// Asked so often before a tip that keeps moving is a trouble.
const TRIES: usize = 5;

/// Work, as a node gives it to everybody alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What is hashed with the nonce: the hash of the header without its seal.
    pub header: [u8; 32],
    /// What the epoch's cache is made of.
    pub seed: [u8; 32],
    /// At or below this a hash is a block.
    pub boundary: Target,
    /// The block's number.
    pub height: u64,
}

impl Work {
    /// Reads the answer of `eth_getWork`, for the block after `tip`. Newer nodes say its number themselves.
    ///
    /// # Errors
    /// What of it makes no sense.
    pub fn read(said: &Value, tip: u64) -> Result<Self, String> {
        let part = |at: usize, what: &str| {
            bytes32(&said[at]).ok_or_else(|| format!("eth_getWork gave no {what}"))
        };
        let boundary = part(2, "boundary")?;
        if boundary == [0; 32] {
            return Err("eth_getWork gave a boundary that no hash can meet".to_owned());
        }
        let height = number(&said[3]);
        if let Some(height) = height.filter(|height| *height != tip + 1) {
            return Err(format!(
                "eth_getWork is about block {height}, and block {tip} is the newest"
            ));
        }
        Ok(Work {
            header: part(0, "header hash")?,
            seed: part(1, "seed hash")?,
            boundary: Target::from_be_bytes(boundary),
            height: tip + 1,
        })
    }

    /// As jobs are made of it.
    #[must_use]
    pub fn template(self, mut parent: [u8; 32], now_s: u32) -> Template {
        parent.reverse();
        let empty = Template::empty(self.height, parent, 0, self.boundary, now_s);
        Template { work: Some(Arc::new(self)), ..empty }
    }
}

/// The newest work, the hash of its parent, and the work of the chain up to there.
///
/// # Errors
/// When the node gives none, or its tip does not hold still.
pub async fn ask(rpc: &mut Rpc) -> Result<(Work, [u8; 32], pow::Work), Unfit> {
    let mut why = String::new();
    for _ in 0..TRIES {
        let before = latest(rpc).await?;
        let said: Value = rpc.call("eth_getWork", json!([])).await.map_err(mines_not)?;
        let after = latest(rpc).await?;
        if before["hash"] != after["hash"] {
            why = "its tip moved while it was asked".to_owned();
            continue;
        }
        let tip = number(&before["number"]).ok_or_else(|| odd("the newest block", &before))?;
        let hash = bytes32(&before["hash"]).ok_or_else(|| odd("the newest block", &before))?;
        match Work::read(&said, tip) {
            Ok(work) => return Ok((work, hash, chain_work(&before, tip))),
            Err(text) => why = text,
        }
    }
    Err(Unfit::Trouble(format!("no work that could be believed: {why}")))
}

async fn latest(rpc: &mut Rpc) -> Result<Value, RpcError> {
    let said: Value = rpc.call("eth_getBlockByNumber", json!(["latest", false])).await?;
    if said.is_null() { Err(odd("the newest block", &said)) } else { Ok(said) }
}

fn mines_not(error: RpcError) -> Unfit {
    match error {
        RpcError::Refused { message, .. } => Unfit::Trouble(format!(
            "the node gives no work ({message}): start it with --mine, and with the API eth of its HTTP server"
        )),
        other => other.into(),
    }
}

/// The chain with the most work is the one; a node that does not say is believed by its height.
fn chain_work(block: &Value, tip: u64) -> pow::Work {
    let total = block["totalDifficulty"].as_str().and_then(|text| text.strip_prefix("0x"));
    total.and_then(|text| pow::Work::from_hex(text).ok()).unwrap_or_else(|| tip.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: Option<&str>) -> Value {
        let hash = |digit: &str| format!("0x{}", digit.repeat(64));
        let boundary = format!("0x0000{}", "f".repeat(60));
        let mut said = json!([hash("a"), hash("b"), boundary]);
        if let (Some(number), Some(list)) = (number, said.as_array_mut()) {
            list.push(number.into());
        }
        said
    }

    #[test]
    fn work_is_read_with_three_answers_and_with_four() {
        let three = Work::read(&said(None), 699).unwrap();
        assert_eq!(three, Work::read(&said(Some("0x2bc")), 699).unwrap());
        assert_eq!((three.height, three.header, three.seed), (700, [0xaa; 32], [0xbb; 32]));
        let late = Work::read(&said(Some("0x2bb")), 699).unwrap_err();
        assert!(late.contains("about block 699"), "{late}");
        let template = three.template([7; 32], 9);
        assert!(template.target.is_met_by(&[0; 32]) && !template.target.is_met_by(&[0xff; 32]));
    }

    #[test]
    fn what_is_no_work_is_refused() {
        for text in ["null", "[]", r#"["0x12","0x","0x"]"#] {
            assert!(Work::read(&serde_json::from_str(text).unwrap(), 1).is_err(), "{text}");
        }
        let mut impossible = said(None);
        impossible[2] = format!("0x{}", "0".repeat(64)).into();
        assert!(Work::read(&impossible, 1).unwrap_err().contains("boundary"));
    }
}

//! A solution as its node takes it, and what the answer means.
//!
//! Invariant: a seal names its header, its nonce and its mix, so that the block can be told in the chain by nothing else.

use super::node::bytes32;
use crate::block::Verdict;
use crate::rpc::{Rpc, RpcError};
use crate::template::to_hex;
use serde_json::{Value, json};

/// What makes a header a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The hash of the header without it.
    pub header: [u8; 32],
    /// The nonce.
    pub nonce: u64,
    /// What the data set was mixed to.
    pub mix: [u8; 32],
    /// The hash that met the boundary, most significant byte first: the solution's own name, until the chain says the block's.
    pub result: [u8; 32],
}

impl Seal {
    /// As it is written to disk.
    #[must_use]
    pub fn to_text(&self) -> String {
        let hex = |bytes: &[u8; 32]| format!("0x{}", to_hex(bytes));
        json!({
            "header": hex(&self.header),
            "nonce": self.nonce_text(),
            "mix": hex(&self.mix),
            "hash": to_hex(&self.result),
        })
        .to_string()
    }

    /// And back.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(text).ok()?;
        let nonce = said["nonce"].as_str()?.strip_prefix("0x")?;
        Some(Seal {
            header: bytes32(&said["header"])?,
            nonce: u64::from_str_radix(nonce, 16).ok()?,
            mix: bytes32(&said["mix"])?,
            result: bytes32(&Value::from(format!("0x{}", said["hash"].as_str()?)))?,
        })
    }

    fn nonce_text(&self) -> String {
        format!("{:#018x}", self.nonce)
    }

    /// Is this the header of the block that it sealed, as a node shows blocks and uncles?
    #[must_use]
    pub fn is_of(&self, shown: &Value) -> bool {
        let nonce = shown["nonce"].as_str().and_then(|text| text.strip_prefix("0x"));
        let nonce = nonce.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        nonce == Some(self.nonce) && bytes32(&shown["mixHash"]) == Some(self.mix)
    }

    /// Hands it over.
    pub async fn submit(&self, rpc: &mut Rpc) -> Verdict {
        let hex = |bytes: &[u8; 32]| format!("0x{}", to_hex(bytes));
        let seal = json!([self.nonce_text(), hex(&self.header), hex(&self.mix)]);
        verdict(&rpc.call("eth_submitWork", seal).await)
    }
}

/// Reads what a node makes of a seal. A `false` is no more than a word: it is what a node says of another node's work too, and of its own
/// once it has started anew.
#[must_use]
pub fn verdict(answer: &Result<bool, RpcError>) -> Verdict {
    match answer {
        Ok(true) => Verdict::Accepted,
        Ok(false) => Verdict::NotItsWork,
        Err(RpcError::Refused { message, .. }) => Verdict::Rejected(message.clone()),
        Err(error) => Verdict::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = Seal { header: [1; 32], nonce: 0x0a0b, mix: [2; 32], result: [3; 32] };

    #[test]
    fn a_seal_reads_back_as_it_was_written_and_nothing_else_does() {
        assert_eq!(Seal::from_text(&SEAL.to_text()), Some(SEAL));
        assert!(SEAL.to_text().contains("0x0000000000000a0b"));
        for bad in ["", "{}", "00ff", &SEAL.to_text().replace("0101", "01")] {
            assert_eq!(Seal::from_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn its_block_is_known_by_nonce_and_mix() {
        let shown =
            json!({ "nonce": "0x0000000000000a0b", "mixHash": format!("0x{}", "02".repeat(32)) });
        assert!(SEAL.is_of(&shown));
        assert!(!Seal { nonce: 0x0a0c, ..SEAL }.is_of(&shown));
        assert!(!Seal { mix: [4; 32], ..SEAL }.is_of(&shown));
        assert!(!SEAL.is_of(&Value::Null));
    }

    #[test]
    fn a_no_is_told_from_an_answer_that_did_not_come() {
        assert_eq!(verdict(&Ok(true)), Verdict::Accepted);
        assert_eq!(verdict(&Ok(false)), Verdict::NotItsWork);
        let refused = RpcError::Refused { code: -32601, message: "no such method".into() };
        assert!(matches!(verdict(&Err(refused)), Verdict::Rejected(_)));
        assert!(matches!(verdict(&Err(RpcError::Unknown("cut".into()))), Verdict::Unknown(_)));
    }
}

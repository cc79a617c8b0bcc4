//! Coins and their spends, as the chain and its nodes write them.
//!
//! Invariant: a coin's name is computed here, never read from anybody.

use crate::clvm::number_bytes;
use crate::hash::{Bytes32, sha256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Coin {
    /// The coin it was made by.
    #[serde(rename = "parent_coin_info")]
    pub parent: Bytes32,
    /// What it is locked with.
    pub puzzle_hash: Bytes32,
    /// In mojo.
    pub amount: u64,
}

impl Coin {
    /// What it is called.
    #[must_use]
    pub fn id(&self) -> Bytes32 {
        sha256([self.parent.as_ref(), self.puzzle_hash.as_ref(), &number_bytes(self.amount)])
    }
}

/// A serialised program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(pub Vec<u8>);

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        hex::decode(digits).map(Program).map_err(serde::de::Error::custom)
    }
}

/// A coin with what opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinSpend {
    /// Which.
    pub coin: Coin,
    /// The program it was locked with.
    pub puzzle_reveal: Program,
    /// What is given to it.
    pub solution: Program,
}

/// Spends that happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendBundle {
    /// The spends.
    pub coin_spends: Vec<CoinSpend>,
    /// All signatures in one.
    pub signature: [u8; 96],
}

#[derive(Serialize, Deserialize)]
struct BundleJson {
    coin_spends: Vec<CoinSpend>,
    aggregated_signature: String,
}

impl Serialize for SpendBundle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let signature = format!("0x{}", hex::encode(self.signature));
        BundleJson { coin_spends: self.coin_spends.clone(), aggregated_signature: signature }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SpendBundle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = BundleJson::deserialize(deserializer)?;
        let signature = crate::hash::unhex(&json.aggregated_signature);
        let signature = signature.map_err(serde::de::Error::custom)?;
        Ok(SpendBundle { coin_spends: json.coin_spends, signature })
    }
}

/// The signature of bundles that nobody has to sign: the point at infinity.
pub const NO_SIGNATURE: [u8; 96] = {
    let mut bytes = [0; 96];
    bytes[0] = 0xc0;
    bytes
};

impl SpendBundle {
    /// Both, together or not at all.
    #[must_use]
    pub fn together_with(mut self, other: SpendBundle) -> Self {
        let read = |bytes| chia_bls::Signature::from_bytes(bytes);
        // What is no signature makes the whole none: the chain will say so.
        let both = read(&self.signature).and_then(|one| Ok(one + &read(&other.signature)?));
        self.signature = both.map_or(self.signature, |both| both.to_bytes());
        self.coin_spends.extend(other.coin_spends);
        self
    }

    /// What it is called: the hash of its bytes.
    #[must_use]
    pub fn id(&self) -> Bytes32 {
        let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = length(self.coin_spends.len()).to_vec();
        for spend in &self.coin_spends {
            bytes.extend_from_slice(&spend.coin.parent.0);
            bytes.extend_from_slice(&spend.coin.puzzle_hash.0);
            bytes.extend_from_slice(&spend.coin.amount.to_be_bytes());
            bytes.extend_from_slice(&spend.puzzle_reveal.0);
            bytes.extend_from_slice(&spend.solution.0);
        }
        bytes.extend_from_slice(&self.signature);
        sha256([bytes.as_slice()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};

    #[test]
    fn a_bundle_the_node_accepted_is_read_and_named_as_the_node_names_it() {
        let absorb = &vectors()["singleton"]["absorb"];
        let bundle: SpendBundle = serde_json::from_value(absorb["spend_bundle"].clone()).unwrap();
        assert_eq!(bundle.id().0, bytes::<32>(&absorb["spend_bundle_name"]));
        assert_eq!(bundle.signature, NO_SIGNATURE);
        assert_eq!(serde_json::to_value(&bundle).unwrap(), absorb["spend_bundle"]);
        let second = &absorb["heights_and_coins"][1];
        assert_eq!(bundle.coin_spends[3].coin.id().0, bytes::<32>(&second[1]));
    }
}

//! Where a farmer's money goes: addresses of the chain, puzzle hashes, and what is neither.
//!
//! Invariant: what was typed is kept as it was typed (a farmer compares it with its own, letter by letter), and what is paid to is
//! decoded once.

use crate::hash::Bytes32;
use crate::network::Network;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};

/// What places elsewhere begin with in the books; no puzzle hash does, but for one in 2^72.
pub const ELSEWHERE: &[u8] = b"external:";

/// A place that money can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// On this chain.
    Puzzle(Bytes32),
    /// Anywhere else, for whoever makes external payouts.
    External(String),
}

/// Why instructions are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing, or nothing that can be printed.
    #[error("the payout instructions are empty or cannot be printed")]
    Unprintable,
    /// An address of another network of this coin.
    #[error("the address is one of another network")]
    OtherNetwork,
    /// An address of this chain with something wrong in it.
    #[error("the address is mistyped")]
    Mistyped,
    /// No address of this chain, and nobody pays elsewhere.
    #[error("the payout instructions are no address of this chain")]
    NotHere,
}

impl Destination {
    /// Reads payout instructions: 64 digits, an address, or, where external payouts are made, anything.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn parse(
        instructions: &str,
        network: &Network,
        is_external_paid: bool,
    ) -> Result<Self, Refused> {
        let text = instructions.trim();
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Refused::Unprintable);
        }
        if let Ok(hash) = text.parse() {
            return Ok(Destination::Puzzle(hash));
        }
        match decode(text) {
            Some((prefix, hash)) if prefix == network.address_prefix => {
                Ok(Destination::Puzzle(hash))
            }
            Some((prefix, _)) if prefix == "xch" || prefix == "txch" => Err(Refused::OtherNetwork),
            _ if is_mistyped(text) => Err(Refused::Mistyped),
            _ if is_external_paid => Ok(Destination::External(text.to_owned())),
            _ => Err(Refused::NotHere),
        }
    }
}

impl Destination {
    /// As the books keep it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Destination::Puzzle(hash) => hash.0.to_vec(),
            Destination::External(text) => [ELSEWHERE, text.as_bytes()].concat(),
        }
    }

    /// As the books kept it.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.strip_prefix(ELSEWHERE) {
            Some(text) => String::from_utf8(text.to_vec()).ok().map(Destination::External),
            None => bytes.try_into().ok().map(|hash| Destination::Puzzle(Bytes32(hash))),
        }
    }
}

/// Should it have been an address of this coin? Money for it must not go to whoever pays other coins.
fn is_mistyped(text: &str) -> bool {
    let lower = text.to_lowercase();
    let digits = lower.strip_prefix("0x").unwrap_or(&lower);
    let is_almost_a_hash =
        (56..=72).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_almost_a_hash || lower.starts_with("xch1") || lower.starts_with("txch1")
}

/// The prefix and the puzzle hash of an address.
#[must_use]
pub fn decode(address: &str) -> Option<(String, Bytes32)> {
    let checked = CheckedHrpstring::new::<Bech32m>(address).ok()?;
    let bytes: Vec<u8> = checked.byte_iter().collect();
    Some((checked.hrp().to_lowercase(), Bytes32(bytes.try_into().ok()?)))
}

/// The address of a puzzle hash.
#[must_use]
pub fn encode(hash: &Bytes32, network: &Network) -> String {
    let text = Hrp::parse(network.address_prefix)
        .ok()
        .and_then(|hrp| bech32::encode::<Bech32m>(hrp, &hash.0).ok());
    // A prefix of ours is one, and 32 bytes fit.
    text.unwrap_or_else(|| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};

    #[test]
    fn addresses_are_those_of_the_client() {
        let (mainnet, testnet) = (Network::mainnet(), Network::testnet11());
        for case in vectors()["addresses"].as_array().unwrap() {
            let hash = Bytes32(bytes(&case["puzzle_hash"]));
            let (xch, txch) = (case["xch"].as_str().unwrap(), case["txch"].as_str().unwrap());
            assert_eq!(encode(&hash, &mainnet), xch);
            assert_eq!(encode(&hash, &testnet), txch);
            let there = Ok(Destination::Puzzle(hash));
            assert_eq!(Destination::parse(xch, &mainnet, false), there);
            assert_eq!(Destination::parse(&xch.to_uppercase(), &mainnet, false), there);
            assert_eq!(Destination::parse(txch, &mainnet, false), Err(Refused::OtherNetwork));
            assert_eq!(Destination::parse(txch, &mainnet, true), Err(Refused::OtherNetwork));
            assert_eq!(Destination::parse(&hash.to_string(), &mainnet, false), there);
            assert_eq!(Destination::parse(&hash.to_string()[2..], &mainnet, false), there);
        }
    }

    #[test]
    fn another_coins_address_is_taken_only_where_it_can_be_paid() {
        let network = Network::mainnet();
        let bitcoin = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        assert_eq!(Destination::parse(bitcoin, &network, false), Err(Refused::NotHere));
        assert_eq!(
            Destination::parse(bitcoin, &network, true),
            Ok(Destination::External(bitcoin.into()))
        );
        for place in [Destination::External(bitcoin.into()), Destination::Puzzle(Bytes32([7; 32]))]
        {
            assert_eq!(Destination::of_bytes(&place.to_bytes()), Some(place));
        }
        assert_eq!(Destination::of_bytes(b"neither"), None);
        for nothing in ["", "  ", "\n", "a\u{0}b"] {
            assert_eq!(Destination::parse(nothing, &network, true), Err(Refused::Unprintable));
        }
        let typo = "xch1dc6qh88lkdaf3899gnntk7q293ufq8flkvmnsa59zx3sv9a05qwsm5n8g1";
        let hash = "11".repeat(32);
        for typo in [typo, &typo.to_uppercase(), &hash[1..], &format!("0x{hash}1"), "txch1dc6"] {
            for is_external_paid in [false, true] {
                let parsed = Destination::parse(typo, &network, is_external_paid);
                assert_eq!(parsed, Err(Refused::Mistyped), "{typo}");
            }
        }
        let ethereum = "0x52908400098527886E0F7030069857D2E4169EE7";
        assert!(Destination::parse(ethereum, &network, true).is_ok());
    }
}

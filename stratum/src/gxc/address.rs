//! GXC addresses. They have no checksum: a mistyped one is a place where coins are lost, so what is odd is said.
//!
//! Invariant: the text is kept as it was written: the chain compares it letter by letter.

use crate::coin::Network;
use bitcoin::hashes::{Hash, hash160};

/// Shortest and longest that the node takes.
const LENGTHS: std::ops::RangeInclusive<usize> = 26..=62;
/// Digits of an address made from a key.
const USUAL_DIGITS: usize = 34;

/// Why a text is no address to pay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not one at all.
    #[error("\"{0}\" is no GXC address: those are GXC or tGXC and 34 hexadecimal digits")]
    NoAddress(String),
    /// Of the other network: consensus refuses to pay it.
    #[error("\"{0}\" is an address of GXC's {1} network, and this pool is not")]
    OtherNetwork(String, &'static str),
}

/// How addresses of a network begin.
#[must_use]
pub const fn prefix(network: Network) -> &'static str {
    match network {
        Network::Main => "GXC",
        _ => "tGXC",
    }
}

/// Checks an address against the network.
///
/// # Errors
/// See [`BadAddress`].
pub fn check(text: &str, network: Network) -> Result<(), BadAddress> {
    let shown = || text.chars().take(80).collect::<String>();
    let rest = text.strip_prefix("tGXC").or_else(|| text.strip_prefix("GXC"));
    let is_plain = rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if !is_plain || !LENGTHS.contains(&text.len()) {
        return Err(BadAddress::NoAddress(shown()));
    }
    let is_test = text.starts_with('t');
    if is_test != (prefix(network) == "tGXC") {
        return Err(BadAddress::OtherNetwork(shown(), if is_test { "test" } else { "main" }));
    }
    Ok(())
}

/// The address of a compressed public key.
#[must_use]
pub fn of_key(key: &[u8; 33], network: Network) -> String {
    let hash = hash160::Hash::hash(key).to_byte_array();
    let digits = crate::template::to_hex(&hash);
    format!("{}{}", prefix(network), &digits[..USUAL_DIGITS])
}

/// Was it made from a key in the way the node does? Others exist, and are worth a second look before coins go there.
#[must_use]
pub fn is_usual(text: &str) -> bool {
    let digits = text.trim_start_matches('t').trim_start_matches("GXC");
    digits.len() == USUAL_DIGITS
        && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_against_the_network() {
        let (main, test) =
            ("GXC751e76e8199196d454941c45d1b3a323f1", "tGXC751e76e8199196d454941c45d1b3a323f1");
        assert_eq!(check(main, Network::Main), Ok(()));
        assert_eq!(check(test, Network::Test), Ok(()));
        assert!(matches!(check(main, Network::Test), Err(BadAddress::OtherNetwork(_, "main"))));
        assert!(matches!(check(test, Network::Main), Err(BadAddress::OtherNetwork(_, "test"))));
        assert!(is_usual(main) && is_usual(test));
        // The address of the private key 1.
        let one =
            bitcoin::secp256k1::SecretKey::from_slice(&[&[0; 31][..], &[1]].concat()).unwrap();
        let key = one.public_key(&bitcoin::secp256k1::Secp256k1::new()).serialize();
        assert_eq!(of_key(&key, Network::Test), test);
        // The web wallet's has a digit less; others are like base58.
        for odd in ["tGXC751e76e8199196d454941c45d1b3a323f", "tGXC3tz6MsTbP2NCMvc33JixQdkQi6tf"] {
            assert_eq!(check(odd, Network::Test), Ok(()));
            assert!(!is_usual(odd));
        }
        let script = "GXC\"><script>alert(1)</script>aaaaaaaa";
        for bad in [
            "",
            "GXC",
            script,
            "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
            &format!("GXC{}", "a".repeat(60)),
        ] {
            assert!(matches!(check(bad, Network::Main), Err(BadAddress::NoAddress(_))), "{bad}");
        }
    }
}

//! 32 bytes that name something: a coin, a puzzle, a plot, a challenge.
//!
//! Invariant: written as `0x` and 64 digits, read with the `0x` or without it, and nothing else is one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes32(pub [u8; 32]);

/// The text is no such bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the hexadecimal text of so many bytes")]
pub struct NotHex;

/// Bytes of fixed length from hexadecimal text, with `0x` or without.
///
/// # Errors
/// When it is anything else.
pub fn unhex<const N: usize>(text: &str) -> Result<[u8; N], NotHex> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
        .map_err(|_| NotHex)?;
    Ok(bytes)
}

/// The SHA-256 of several pieces, one after the other.
#[must_use]
pub fn sha256<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Bytes32 {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    Bytes32(hasher.finalize().into())
}

impl FromStr for Bytes32 {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        unhex(text).map(Bytes32)
    }
}

impl fmt::Display for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl AsRef<[u8]> for Bytes32 {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Bytes32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_may_be_missing_and_nothing_else() {
        let text = "ab".repeat(32);
        assert_eq!(text.parse(), Ok(Bytes32([0xab; 32])));
        assert_eq!(format!("0x{text}").parse(), Ok(Bytes32([0xab; 32])));
        for wrong in [
            "",
            "0x",
            "ab",
            &text[1..],
            &format!("0x0x{text}"),
            &format!("{text}00"),
            &"zz".repeat(32),
        ] {
            assert_eq!(wrong.parse::<Bytes32>(), Err(NotHex), "{wrong}");
        }
        assert_eq!(Bytes32([0xab; 32]).to_string(), format!("0x{text}"));
    }
}

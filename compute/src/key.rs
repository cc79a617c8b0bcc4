//! Who is at the other end: an sr25519 public key, written as an address, and what it signs.
//!
//! Invariant: one key has one spelling. Another network's prefix names the same key, and would be a second identity for
//! whoever has one account already, so it is refused.

use blake2::{Blake2b512, Digest};
use std::fmt;
use std::str::FromStr;

/// The prefix of generic Substrate addresses, which Bittensor uses.
const PREFIX: u8 = 42;
/// Letters of an address with that prefix.
const ADDRESS_CHARS: usize = 48;
/// Substrate's signing context.
const CONTEXT: &[u8] = b"substrate";

/// An sr25519 public key: a miner's identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// Why text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not an address at all.
    #[error("not an address: a hotkey is 48 letters and digits that begin with 5")]
    Shape,
    /// Mistyped.
    #[error("the address is mistyped: its checksum is wrong")]
    Checksum,
    /// Another network's spelling.
    #[error("the address has another network's prefix: write it with prefix 42, beginning with 5")]
    Network,
}

/// An sr25519 signature: 64 bytes, not verified yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 64]);

/// Text that is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signature: send 128 hexadecimal digits, with or without 0x")]
pub struct BadSignature;

impl PublicKey {
    /// The key of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Did this key sign this message? A signature over the wrapped form of browser wallets (`<Bytes>…</Bytes>`) does not
    /// count: no client of the pool makes one.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &Signature) -> bool {
        let key = schnorrkel::PublicKey::from_bytes(&self.0);
        let signature = schnorrkel::Signature::from_bytes(&signature.0);
        match (key, signature) {
            (Ok(key), Ok(signature)) => key.verify_simple(CONTEXT, message, &signature).is_ok(),
            _ => false,
        }
    }
}

fn checksum(body: &[u8]) -> [u8; 2] {
    let hash = Blake2b512::new().chain_update(b"SS58PRE").chain_update(body).finalize();
    [hash[0], hash[1]]
}

impl FromStr for PublicKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        // Other prefixes give 46 to 50 letters; anything longer is not worth decoding.
        if text.len() < ADDRESS_CHARS - 2 || text.len() > ADDRESS_CHARS + 2 {
            return Err(BadKey::Shape);
        }
        let mut raw = [0u8; 40];
        let length = bs58::decode(text).onto(&mut raw[..]).map_err(|_| BadKey::Shape)?;
        let bytes = raw.get(..length).ok_or(BadKey::Shape)?;
        let (body, check) =
            bytes.split_at_checked(length.saturating_sub(2)).ok_or(BadKey::Shape)?;
        if check != checksum(body) {
            return Err(BadKey::Checksum);
        }
        match body.split_first() {
            Some((&PREFIX, key)) => key.try_into().map(Self).map_err(|_| BadKey::Shape),
            _ => Err(BadKey::Network),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut raw = [PREFIX; 35];
        raw[1..33].copy_from_slice(&self.0);
        let check = checksum(&raw[..33]);
        raw[33..].copy_from_slice(&check);
        f.write_str(&bs58::encode(raw).into_string())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Signature {
    /// The signature of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl FromStr for Signature {
    type Err = BadSignature;

    fn from_str(text: &str) -> Result<Self, BadSignature> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let mut bytes = [0u8; 64];
        if digits.len() != 2 * bytes.len() {
            return Err(BadSignature);
        }
        // Every request has 128 of these, as good as random: a table has nothing to mispredict.
        let mut wrong = 0;
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| NIBBLES[usize::from(digit)]);
            wrong |= (high | low) & NO_DIGIT;
            *byte = high << 4 | low & 0x0f;
        }
        if wrong == 0 { Ok(Self(bytes)) } else { Err(BadSignature) }
    }
}

/// Marks what is no hexadecimal digit.
const NO_DIGIT: u8 = 0x80;
/// What each letter is worth as a hexadecimal digit.
const NIBBLES: [u8; 256] = nibbles();

const fn nibbles() -> [u8; 256] {
    let mut all = [NO_DIGIT; 256];
    let mut digit = 0u8;
    while digit < 16 {
        let lower = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        all[lower as usize] = digit;
        all[lower.to_ascii_uppercase() as usize] = digit;
        digit += 1;
    }
    all
}

impl fmt::Display for Signature {
    /// As the original's clients write it: lower case, no 0x.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A key that signs: the worker's hotkey, or the pool's own.
#[derive(Clone)]
pub struct SigningKey(schnorrkel::Keypair);

impl SigningKey {
    /// From the 32 bytes that a wallet calls its seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let expand = schnorrkel::ExpansionMode::Ed25519;
        let secret = schnorrkel::MiniSecretKey::from_bytes(seed).expect("any 32 bytes are a seed");
        Self(secret.expand_to_keypair(expand))
    }

    /// Whom it signs for.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public.to_bytes())
    }

    /// Signs a message; never the same bytes twice.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign_simple(CONTEXT, message).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

    #[test]
    fn an_address_reads_and_writes_the_same() {
        assert_eq!(ALICE.parse::<PublicKey>().unwrap().to_string(), ALICE);
    }

    #[test]
    fn the_same_key_under_another_prefix_is_no_second_identity() {
        let polkadot = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";
        assert_eq!(polkadot.parse::<PublicKey>(), Err(BadKey::Network));
    }

    #[test]
    fn a_mistyped_address_is_told_from_nonsense() {
        assert_eq!(ALICE.replace("QY", "QZ").parse::<PublicKey>(), Err(BadKey::Checksum));
        for text in ["", "5", "0x00", "é", &ALICE[1..20]] {
            assert_eq!(text.parse::<PublicKey>(), Err(BadKey::Shape), "{text}");
        }
    }

    #[test]
    fn a_signature_is_hex_in_any_case_with_or_without_0x() {
        let signature = SigningKey::from_seed(&[1; 32]).sign(b"auth:1");
        let text = signature.to_string();
        for written in [text.clone(), text.to_uppercase(), format!("0x{text}"), format!("0X{text}")]
        {
            assert_eq!(written.parse(), Ok(signature));
        }
        let wrong = |digit: char| format!("{}{digit}", &text[..127]);
        for written in [
            "",
            "0x",
            &text[2..],
            &format!(" {}", &text[1..]),
            &format!("{text}00"),
            &wrong('g'),
            &wrong('/'),
            &wrong(':'),
        ] {
            assert_eq!(written.parse::<Signature>(), Err(BadSignature), "{written}");
        }
    }

    #[test]
    fn what_is_signed_is_believed_and_nothing_else() {
        let key = SigningKey::from_seed(&[1; 32]);
        let signature = key.sign(b"auth:1");
        assert!(key.public().signed(b"auth:1", &signature));
        assert!(!key.public().signed(b"auth:2", &signature));
        assert!(!SigningKey::from_seed(&[2; 32]).public().signed(b"auth:1", &signature));
        let seed_of_ones = "5CcyqxXnJucaCnQQvvUg5EPzj1uoNAxACZvzArHw5aVDvgNH";
        assert_eq!(key.public().to_string(), seed_of_ones);
    }
}

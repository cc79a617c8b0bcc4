//! The pool protocol's bytes and messages: what a farmer sends, what it signed, what it is answered.
//!
//! Released farmers send more than the specification names (`authentication_token_v2`, four more fields in a proof), so keys
//! that we do not know are passed over, at every level; what we know has to be right.
//!
//! Invariant: total: any bytes give a request or a refusal, and a request that was read holds no value that something later
//! could stumble over.

pub mod answer;
pub mod farmer;
pub mod partial;

use crate::hash::{Bytes32, unhex};
use crate::reject::Reject;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// The largest body that is read. A farmer's partial has 1.3 KB.
pub const BODY_MAX: usize = 8192;

/// A public key as it came: 48 bytes that may be no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyBytes(pub [u8; 48]);

/// A signature as it came: 96 bytes that may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureBytes(pub [u8; 96]);

impl<'de> Deserialize<'de> for KeyBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hexadecimal(deserializer).map(KeyBytes)
    }
}

impl<'de> Deserialize<'de> for SignatureBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hexadecimal(deserializer).map(SignatureBytes)
    }
}

fn hexadecimal<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    unhex(&text).map_err(serde::de::Error::custom)
}

/// Reads a JSON body.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Reject> {
    if body.len() > BODY_MAX {
        return Err(Reject::Malformed);
    }
    serde_json::from_slice(body).map_err(|_| Reject::Malformed)
}

/// What a signature is over: numbers with their highest byte first, texts and lists with their length before them, what may be
/// missing with a byte that says whether it is.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn with(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(self, number: u64) -> Self {
        self.with(&number.to_be_bytes())
    }

    fn flag(self, flag: bool) -> Self {
        self.with(&[u8::from(flag)])
    }

    fn text(self, bytes: &[u8]) -> Self {
        // Whatever is longer than a body was never read.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.with(&length.to_be_bytes()).with(bytes)
    }

    fn optional<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.flag(false),
            Some(value) => write(self.flag(true), value),
        }
    }

    fn hash(&self) -> Bytes32 {
        crate::hash::sha256([self.0.as_slice()])
    }
}

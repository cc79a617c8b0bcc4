//! What a farmer says about itself: `GET`, `POST` and `PUT /farmer`, and `GET /login`.
//!
//! Invariant: the message that a signature is checked against is made from what was read, never taken from the request.

use super::{KeyBytes, Message, SignatureBytes, read};
use crate::hash::{Bytes32, unhex};
use crate::reject::Reject;
use serde::Deserialize;
use std::str::FromStr;

/// The longest payout instructions that are kept.
pub const INSTRUCTIONS_MAX: usize = 256;
/// Parameters of a query that are looked at.
const PARAMETERS_MAX: usize = 16;
/// The longest query that is looked at.
const QUERY_MAX: usize = 2048;

/// What a signed `GET` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Its record.
    Farmer,
    /// Its page.
    Login,
}

/// A `GET` signed with the authentication key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    /// Who.
    pub launcher_id: Bytes32,
    /// When.
    pub token: u64,
    /// By whom.
    pub signature: SignatureBytes,
}

impl Get {
    /// Reads the query of a URL.
    ///
    /// # Errors
    /// When a parameter is missing or no value of its kind.
    pub fn parse(query: &str) -> Result<Self, Reject> {
        if query.len() > QUERY_MAX {
            return Err(Reject::Malformed);
        }
        Ok(Get {
            launcher_id: parameter(query, "launcher_id")?,
            token: parameter(query, "authentication_token")?,
            signature: parameter(query, "signature")?,
        })
    }

    /// What was signed, for this pool.
    #[must_use]
    pub fn message(&self, asked: Asked, target_puzzle_hash: &Bytes32) -> Bytes32 {
        let method: &[u8] = match asked {
            Asked::Farmer => b"get_farmer",
            Asked::Login => b"get_login",
        };
        Message::default()
            .text(method)
            .with(&self.launcher_id.0)
            .with(&target_puzzle_hash.0)
            .number(self.token)
            .hash()
    }
}

impl FromStr for SignatureBytes {
    type Err = crate::hash::NotHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        unhex(text).map(SignatureBytes)
    }
}

fn parameter<T: FromStr>(query: &str, name: &str) -> Result<T, Reject> {
    let pairs = form_urlencoded::parse(query.as_bytes()).take(PARAMETERS_MAX);
    let value = pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value);
    value.ok_or(Reject::Malformed)?.parse().map_err(|_| Reject::Malformed)
}

/// `POST /farmer`: a farmer introduces itself, signed with the key that owns the singleton.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Post {
    /// What it says.
    pub payload: PostPayload,
    /// By whom.
    pub signature: SignatureBytes,
}

/// What a farmer introduces itself with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PostPayload {
    /// Who.
    pub launcher_id: Bytes32,
    /// When.
    pub authentication_token: u64,
    /// The key that it will sign partials with.
    pub authentication_public_key: KeyBytes,
    /// Where its money goes.
    pub payout_instructions: String,
    /// The difficulty it would like.
    #[serde(default)]
    pub suggested_difficulty: Option<u64>,
}

impl Post {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is no such thing.
    pub fn parse(body: &[u8]) -> Result<Self, Reject> {
        let post: Post = read(body)?;
        fitting(&post.payload.payout_instructions)?;
        Ok(post)
    }

    /// What was signed.
    #[must_use]
    pub fn message(&self) -> Bytes32 {
        let payload = &self.payload;
        Message::default()
            .with(&payload.launcher_id.0)
            .number(payload.authentication_token)
            .with(&payload.authentication_public_key.0)
            .text(payload.payout_instructions.as_bytes())
            .optional(payload.suggested_difficulty, Message::number)
            .hash()
    }
}

/// `PUT /farmer`: changes, signed with the key that owns the singleton.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Put {
    /// What is to change.
    pub payload: PutPayload,
    /// By whom.
    pub signature: SignatureBytes,
}

/// What a farmer changes; what is missing stays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PutPayload {
    /// Who.
    pub launcher_id: Bytes32,
    /// When.
    pub authentication_token: u64,
    /// A new key.
    #[serde(default)]
    pub authentication_public_key: Option<KeyBytes>,
    /// Another place for its money.
    #[serde(default)]
    pub payout_instructions: Option<String>,
    /// The difficulty it would like.
    #[serde(default)]
    pub suggested_difficulty: Option<u64>,
}

impl Put {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is no such thing.
    pub fn parse(body: &[u8]) -> Result<Self, Reject> {
        let put: Put = read(body)?;
        put.payload.payout_instructions.as_deref().map_or(Ok(()), fitting)?;
        Ok(put)
    }

    /// What was signed: the five fields of the first version, whatever else was sent.
    #[must_use]
    pub fn message(&self) -> Bytes32 {
        let payload = &self.payload;
        Message::default()
            .with(&payload.launcher_id.0)
            .number(payload.authentication_token)
            .optional(payload.authentication_public_key, |message, key| message.with(&key.0))
            .optional(payload.payout_instructions.as_deref(), |message, text| {
                message.text(text.as_bytes())
            })
            .optional(payload.suggested_difficulty, Message::number)
            .hash()
    }
}

fn fitting(instructions: &str) -> Result<(), Reject> {
    if instructions.len() > INSTRUCTIONS_MAX { Err(Reject::PayoutInstructions) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};

    fn target() -> Bytes32 {
        Bytes32([0x22; 32])
    }

    #[test]
    fn a_captured_get_is_read_with_the_parameters_it_does_not_need() {
        let requests = vectors()["captured_v1"]["requests"].as_array().unwrap();
        let mut seen = 0;
        for request in requests {
            let path = request["path_qs"].as_str().unwrap();
            let Some(query) = path.strip_prefix("/farmer?") else { continue };
            let get = Get::parse(query).unwrap();
            let message = get.message(Asked::Farmer, &target());
            assert_eq!(message.0, bytes::<32>(&request["signed"]["sha256"]));
            seen += 1;
        }
        assert_eq!(seen, 2);
        let login = &vectors()["login"];
        let get = Get::parse(login["query"].as_str().unwrap().trim_start_matches('?')).unwrap();
        assert_eq!(get.message(Asked::Login, &target()).0, bytes::<32>(&login["sha256"]));
        assert_ne!(get.message(Asked::Farmer, &target()), get.message(Asked::Login, &target()));
    }

    #[test]
    fn captured_introductions_and_changes_are_read_and_hash_as_signed() {
        let requests = vectors()["captured_v1"]["requests"].as_array().unwrap();
        let mut seen = Vec::new();
        for request in requests {
            let body = request["body"].as_str().unwrap_or_default().as_bytes();
            let message =
                match (request["method"].as_str().unwrap(), request["path_qs"].as_str().unwrap()) {
                    ("POST", "/farmer") => Post::parse(body).unwrap().message(),
                    ("PUT", "/farmer") => Put::parse(body).unwrap().message(),
                    _ => continue,
                };
            assert_eq!(message.0, bytes::<32>(&request["signed"]["sha256"]));
            seen.push(message);
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn every_combination_of_fields_hashes_as_the_client_does() {
        let post = &vectors()["post_farmer_payload"];
        for case in post["cases"].as_array().unwrap() {
            let payload = PostPayload {
                launcher_id: Bytes32(bytes(&post["launcher_id"])),
                authentication_token: post["authentication_token"].as_u64().unwrap(),
                authentication_public_key: KeyBytes(bytes(&post["authentication_public_key"])),
                payout_instructions: case["payout_instructions"].as_str().unwrap().into(),
                suggested_difficulty: case["suggested_difficulty"].as_u64(),
            };
            let post = Post { payload, signature: SignatureBytes([0; 96]) };
            assert_eq!(post.message().0, bytes::<32>(&case["sha256"]));
        }
        let put = &vectors()["put_farmer_payload_v1_layout"];
        for case in put["cases"].as_array().unwrap() {
            let key = &case["authentication_public_key"];
            let payload = PutPayload {
                launcher_id: Bytes32(bytes(&put["launcher_id"])),
                authentication_token: put["authentication_token"].as_u64().unwrap(),
                authentication_public_key: (!key.is_null()).then(|| KeyBytes(bytes(key))),
                payout_instructions: case["payout_instructions"].as_str().map(Into::into),
                suggested_difficulty: case["suggested_difficulty"].as_u64(),
            };
            let put = Put { payload, signature: SignatureBytes([0; 96]) };
            assert_eq!(put.message().0, bytes::<32>(&case["sha256"]));
        }
    }

    #[test]
    fn what_is_missing_wrong_or_too_long_is_malformed() {
        let full = format!(
            "launcher_id={}&authentication_token=1&signature={}",
            "11".repeat(32),
            "22".repeat(96)
        );
        assert!(Get::parse(&full).is_ok());
        for wrong in [
            String::new(),
            full.replace("launcher_id", "launcher"),
            full.replace("token=1", "token=-1"),
            full.replace("token=1", "token=18446744073709551616"),
            full.replace("22", "2"),
            format!("{full}&{}", "x".repeat(3000)),
        ] {
            assert_eq!(Get::parse(&wrong), Err(Reject::Malformed), "{wrong}");
        }
        assert_eq!(Post::parse(&[b' '; super::super::BODY_MAX + 1]), Err(Reject::Malformed));
        let long = format!(
            r#"{{"payload":{{"launcher_id":"{}","authentication_token":1,"payout_instructions":"{}"}},"signature":"{}"}}"#,
            "11".repeat(32),
            "y".repeat(300),
            "22".repeat(96)
        );
        assert_eq!(Put::parse(long.as_bytes()), Err(Reject::PayoutInstructions));
    }
}

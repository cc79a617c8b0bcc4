//! What a farmer is answered, exactly as the released client parses it.
//!
//! Invariant: every key that the client asks for is there; a refusal is HTTP 200 with `error_code`, because a farmer reads the
//! code of no other answer.

use crate::hash::Bytes32;
use crate::reject::Reject;
use serde::Serialize;

/// `GET /pool_info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolInfo {
    /// For people.
    pub description: String,
    /// The pool's part, such as `0.01`: a text.
    pub fee: String,
    /// An address of a picture.
    pub logo_url: String,
    /// Where a farmer starts.
    pub minimum_difficulty: u64,
    /// For people.
    pub name: String,
    /// 1.
    pub protocol_version: u8,
    /// Blocks that leaving takes; the client accepts 5 to 1000.
    pub relative_lock_height: u32,
    /// Where rewards go.
    pub target_puzzle_hash: Bytes32,
    /// Minutes of a token.
    pub authentication_token_timeout: u8,
}

/// `GET /farmer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FarmerInfo {
    /// The key partials are signed with.
    pub authentication_public_key: String,
    /// As the farmer gave them: it sends others again as long as they differ from its own.
    pub payout_instructions: String,
    /// In force from the next signage point on.
    pub current_difficulty: u64,
    /// For people.
    pub current_points: u64,
}

/// `POST /farmer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Welcome {
    /// For people.
    pub welcome_message: String,
}

/// `PUT /farmer`: what was changed; `None` for what was not sent. The client wants all three keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Changed {
    /// The key.
    pub authentication_public_key: Option<bool>,
    /// The place for money.
    pub payout_instructions: Option<bool>,
    /// The difficulty.
    pub suggested_difficulty: Option<bool>,
}

/// `POST /partial`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// In force from the next signage point on.
    pub new_difficulty: u64,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// One of sixteen.
    pub error_code: u16,
    /// For people.
    pub error_message: &'static str,
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Refusal { error_code: reject.code(), error_message: reject.message() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_keys_of_a_change_are_there() {
        let changed = Changed { payout_instructions: Some(true), ..Changed::default() };
        let text = serde_json::to_string(&changed).unwrap();
        assert_eq!(
            text,
            r#"{"authentication_public_key":null,"payout_instructions":true,"suggested_difficulty":null}"#
        );
    }

    #[test]
    fn a_refusal_has_a_code_and_a_message() {
        let text = serde_json::to_string(&Refusal::from(Reject::FarmerUnknown)).unwrap();
        assert!(text.starts_with(r#"{"error_code":10,"error_message":""#), "{text}");
    }
}

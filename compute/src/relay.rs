//! The relay: where a subnet's validators look for algorithms. One slot a hotkey, so only the best is worth sending.
//!
//! It believes a signature over whatever `X-Timestamp` says, and miners send `auth:SECONDS` there. Whoever signs for a relay signs
//! with a key that means nothing elsewhere, or at least signs only this. Invariant: what the relay did not answer is unknown, never
//! refused.

use crate::client::{BadAddress, Http, HttpError};
use crate::key::SigningKey;
use serde_json::{Value, json};

/// An algorithm to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The data set's name.
    pub task: String,
    /// Features of a row.
    pub input_dim: u16,
    /// The program.
    pub text: String,
    /// What it is worth: 0 to 1, finite.
    pub score: f64,
}

/// What became of an algorithm that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The relay has it, under this number.
    Accepted(String),
    /// The relay had it already.
    Duplicate,
    /// Somebody else's is better.
    BelowSota(String),
    /// The relay does not want anything of this hotkey, or not this: the text says why.
    Refused(String),
    /// Nobody knows: it is down, or busy. The text says why, and the number in how many seconds to ask again, if it said so.
    Unknown(String, Option<u64>),
}

/// A relay, asked in the name of a hotkey.
#[derive(Clone)]
pub struct Relay {
    http: Http,
    key: SigningKey,
}

/// Is this a relay's address?
///
/// # Errors
/// When it is none.
pub fn check_address(text: &str) -> Result<(), BadAddress> {
    Http::new(text).map(|_| ())
}

impl Relay {
    /// A relay such as `https://relay.example`.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(address: &str, key: SigningKey) -> Result<Self, BadAddress> {
        Ok(Relay { http: Http::new(address)?, key })
    }

    /// In whose name.
    #[must_use]
    pub fn hotkey(&self) -> String {
        self.key.public().to_string()
    }

    /// What must be reached.
    ///
    /// # Errors
    /// When the relay does not say it.
    pub async fn threshold(&self) -> Result<f64, HttpError> {
        let body = self.http.get("/sota_threshold", &[]).await?;
        let said = body["sota_threshold"].as_f64().filter(|number| number.is_finite());
        said.ok_or_else(|| HttpError::Unknown("the relay's threshold is no number".into()))
    }

    /// Sends an algorithm.
    pub async fn submit(&self, candidate: &Candidate, now_s: u64) -> Verdict {
        let message = format!("auth:{now_s}");
        let signature = self.key.sign(message.as_bytes()).to_string();
        let headers =
            [("x-key", self.hotkey()), ("x-timestamp", message), ("x-signature", signature)];
        let body = json!({
            "task_id": candidate.task,
            "score": candidate.score,
            "algorithm_result": {
                "algorithm_dsl": candidate.text,
                "task_type": candidate.task,
                "input_dim": candidate.input_dim,
            },
        });
        verdict_of(self.http.post("/submit_solution", &headers, body.to_string()).await)
    }
}

fn verdict_of(answer: Result<Value, HttpError>) -> Verdict {
    match answer {
        Ok(body) => Verdict::Accepted(body["result_id"].as_str().unwrap_or_default().to_owned()),
        Err(HttpError::Refused { status: 400, detail, .. }) => {
            let words = detail.to_lowercase();
            if words.contains("duplicate") {
                Verdict::Duplicate
            } else if words.contains("sota") || words.contains("below") {
                Verdict::BelowSota(detail)
            } else {
                Verdict::Refused(detail)
            }
        }
        Err(HttpError::Refused { status: 429 | 500.., detail, retry_after }) => {
            Verdict::Unknown(detail, retry_after)
        }
        Err(HttpError::Refused { detail, .. }) => Verdict::Refused(detail),
        Err(HttpError::Unknown(why)) => Verdict::Unknown(why, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_relay_said_counts_as_an_answer() {
        let refused = |status, detail: &str| {
            let detail = detail.to_owned();
            verdict_of(Err(HttpError::Refused { status, detail, retry_after: Some(3) }))
        };
        assert_eq!(refused(400, "Duplicate submission"), Verdict::Duplicate);
        assert!(matches!(refused(400, "Score below SOTA threshold"), Verdict::BelowSota(_)));
        assert!(matches!(refused(400, "score missing"), Verdict::Refused(_)));
        assert!(matches!(refused(403, "blacklisted"), Verdict::Refused(_)));
        assert!(matches!(refused(401, "clock"), Verdict::Refused(_)));
        assert_eq!(refused(429, "slow"), Verdict::Unknown("slow".into(), Some(3)));
        assert!(matches!(refused(503, "down"), Verdict::Unknown(..)));
        let lost = verdict_of(Err(HttpError::Unknown("gone".into())));
        assert_eq!(lost, Verdict::Unknown("gone".into(), None));
    }
}

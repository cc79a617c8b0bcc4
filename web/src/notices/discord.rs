//! Discord: a webhook writes into a channel of a server.
//!
//! Invariant: a notice calls nobody by name: whatever stands in it, nobody is mentioned.

use super::channel::{Fault, Trouble};
use super::letter::Letter;
use super::post;
use super::secret::Secret;
use crate::http::{Address, Client};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::json;

/// Characters of a message (<https://discord.com/developers/docs/resources/webhook#execute-webhook>). Counted in UTF-16
/// units, so it fits however Discord counts.
const TEXT_MAX: usize = 2000;

/// A webhook of Discord's.
#[derive(Debug)]
pub(super) struct Discord {
    address: Address,
    client: Client,
}

impl Discord {
    /// Checks the address.
    pub fn new(url: &Secret) -> Result<Self, Fault> {
        Ok(Discord { address: post::address("url", url)?, client: Client::new() })
    }

    /// What must not be repeated.
    pub fn secrets(&self) -> Vec<Secret> {
        post::secrets(&self.address)
    }

    /// Delivers once.
    pub async fn deliver(&self, letter: &Letter) -> Result<(), Trouble> {
        let text = letter.text(TEXT_MAX, char::len_utf16);
        let body = json!({ "content": text, "allowed_mentions": { "parse": [] } }).to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        post::post(&self.client, &self.address, headers, body).await
    }
}

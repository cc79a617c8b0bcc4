//! Telegram: a bot writes into a chat.
//!
//! Invariant: the text is sent as it is, without formatting, so a name in it cannot become markup or break the message.

use super::channel::{Fault, Trouble};
use super::letter::Letter;
use super::post;
use super::secret::Secret;
use crate::http::{Address, Client};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

/// Telegram's own server.
const BASE: &str = "https://api.telegram.org";
/// UTF-16 units of a message (<https://core.telegram.org/bots/api#sendmessage>).
const TEXT_MAX: usize = 4096;

/// A bot and its chat.
#[derive(Debug)]
pub(super) struct Telegram {
    address: Address,
    chat: Value,
    client: Client,
}

impl Telegram {
    /// Checks the server's address, the token and the chat.
    pub fn new(token: Secret, chat: &str, base: Option<Secret>) -> Result<Self, Fault> {
        let base = post::address("base", &base.unwrap_or_else(|| BASE.into()))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
        if token.word().is_empty() || !token.word().chars().all(fits) {
            let trouble = "a bot's token looks like 123456:ABC-DEF; @BotFather tells it";
            return Err(("token", trouble.into()));
        }
        let chat = match chat.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) if chat.len() > 1 && chat.starts_with('@') => chat.into(),
            Err(_) => return Err(("chat", "a chat is a number, or @name of a channel".into())),
        };
        let address = base.join(&format!("bot{}/sendMessage", token.word()));
        Ok(Telegram { address, chat, client: Client::new() })
    }

    /// Delivers once.
    pub async fn deliver(&self, letter: &Letter) -> Result<(), Trouble> {
        let text = letter.text(TEXT_MAX, char::len_utf16);
        let body = json!({ "chat_id": self.chat, "text": text }).to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        post::post(&self.client, &self.address, headers, body).await
    }
}

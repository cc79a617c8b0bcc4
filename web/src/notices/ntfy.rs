//! ntfy: push messages by a topic's name.
//!
//! Invariant: what goes into a header is printable ASCII, whatever a notice says.

use super::Kind;
use super::channel::{Fault, Trouble};
use super::letter::Letter;
use super::post;
use super::secret::Secret;
use crate::http::{Address, Client};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// Bytes of a message; a longer one becomes an attachment (<https://docs.ntfy.sh/publish/#limitations>).
const TEXT_MAX: usize = 4000;
/// Bytes of text in one encoded word: as Base64 and with its frame they stay below the 75 characters of RFC 2047, section 2.
const WORD_BYTES: usize = 45;

/// A topic.
#[derive(Debug)]
pub(super) struct Ntfy {
    address: Address,
    authorization: Option<HeaderValue>,
    client: Client,
}

impl Ntfy {
    /// Checks the server's address, the topic and the token.
    pub fn new(url: &Secret, topic: Secret, token: Option<Secret>) -> Result<Self, Fault> {
        let server = post::address("url", url)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = topic.word();
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return Err(("topic", "a topic has 1 to 64 letters, digits, '-' and '_'".into()));
        }
        let authorization = token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.word()))
                .map_err(|_| ("token", "the token has characters that no token has".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let authorization = authorization.transpose()?;
        Ok(Ntfy { address: server.join(name), authorization, client: Client::new() })
    }

    /// Delivers once.
    pub async fn deliver(&self, letter: &Letter) -> Result<(), Trouble> {
        let kind = letter.notice.kind;
        let (priority, tags) = look(kind);
        let title = HeaderValue::from_str(&ascii(&letter.notice.subject));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let title = title.map_err(|error| error.to_string())?;
        headers.insert(HeaderName::from_static("title"), title);
        headers.insert(HeaderName::from_static("priority"), HeaderValue::from_static(priority));
        headers.insert(HeaderName::from_static("tags"), HeaderValue::from_static(tags));
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let text = letter.body_and_link(TEXT_MAX, char::len_utf8);
        post::post(&self.client, &self.address, headers, text).await
    }
}

/// How urgent it is (1 to 5), and the picture beside it.
fn look(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::ConfirmEmail => ("3", "email"),
        Kind::BlockFound => ("3", "pick"),
        Kind::PayoutSent => ("3", "moneybag"),
        Kind::WorkerSilent => ("4", "zzz"),
        Kind::RejectRate => ("4", "warning"),
        Kind::NodeDown
        | Kind::BooksDoNotFold
        | Kind::StoreFailing
        | Kind::PayoutsBlocked
        | Kind::BackupFailed => ("5", "rotating_light"),
    }
}

/// Text for a header: as it is if it is plain ASCII, else as encoded words (RFC 2047), which ntfy decodes.
fn ascii(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= WORD_BYTES => word.push(c),
            _ => words.push(c.into()),
        }
    }
    let encoded = words.iter().map(|word| format!("=?UTF-8?B?{}?=", BASE64.encode(word)));
    encoded.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_title_is_sent_as_it_is_and_any_other_as_encoded_words() {
        assert_eq!(ascii("Block 7 found"), "Block 7 found");
        assert_eq!(ascii("Grüße"), "=?UTF-8?B?R3LDvMOfZQ==?=");
        assert_eq!(ascii("=?x?="), "=?UTF-8?B?PT94Pz0=?=");
        let long = ascii(&"⛏".repeat(40));
        assert!(long.split(' ').all(|word| word.len() <= 75), "{long}");
        assert_eq!(long.split(' ').count(), 3);
    }
}

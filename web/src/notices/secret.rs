//! Words that nobody else may read: tokens, passwords, and addresses that are as good as a password.
//!
//! Invariant: printing one, for people or for programmers, prints dots.

use serde::Deserialize;
use std::fmt;

/// A secret. Only the notices' own code can read it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The word itself.
    pub(super) fn word(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(word: String) -> Self {
        Secret(word)
    }
}

impl From<&str> for Secret {
    fn from(word: &str) -> Self {
        Secret(word.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

/// The text without the secrets: others like to repeat what they were sent.
pub(super) fn without(secrets: &[Secret], text: &str) -> String {
    let words = secrets.iter().map(Secret::word).filter(|word| !word.is_empty());
    words.fold(text.to_owned(), |text, word| text.replace(word, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_dots_and_is_taken_out_of_what_others_say() {
        let secret = Secret::from("open sesame");
        assert_eq!(format!("{secret:?}"), "\"…\"");
        assert_eq!(without(&[secret], "no such user: open sesame"), "no such user: …");
    }
}

//! A miner's account with a pool: its address, and the hotkey that signs every request.
//!
//! Invariant: a signature is over nothing but the time it is made at, and is used once.

use super::{BadAddress, Http, HttpError, now_s};
use crate::key::SigningKey;
use serde_json::Value;

/// Who asks, and whom.
#[derive(Clone)]
pub struct Account {
    pub(super) key: SigningKey,
    http: Http,
}

impl Account {
    /// With a pool such as `http://pool.example:8434`.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(pool: &str, key: SigningKey) -> Result<Self, BadAddress> {
        Ok(Account { key, http: Http::new(pool)? })
    }

    /// Whose it is.
    #[must_use]
    pub fn hotkey(&self) -> String {
        self.key.public().to_string()
    }

    /// Asks the pool for something that nobody else is shown.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn get(&self, target: &str) -> Result<Value, HttpError> {
        self.http.get(target, &self.signed()).await
    }

    /// Tells the pool something.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn post(&self, target: &str, body: &Value) -> Result<Value, HttpError> {
        self.http.post(target, &self.signed(), body.to_string()).await
    }

    fn signed(&self) -> [(&'static str, String); 3] {
        let now = now_s().to_string();
        let signature = self.key.sign(format!("auth:{now}").as_bytes()).to_string();
        [("x-key", self.hotkey()), ("x-timestamp", now), ("x-signature", signature)]
    }
}

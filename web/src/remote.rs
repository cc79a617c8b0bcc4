//! Another pool's API, read from outside: what `adit audit --from` knows a pool by.
//!
//! Invariant: believes nothing but the shapes; whoever asks too often waits as long as they are told to, and asks again.

use crate::http::{Address, Client, encoded};
use crate::model::Rows;
use crate::model::account::{Account, AccountPayout, Credit};
use crate::model::audit::Audit;
use crate::model::blocks::Block;
use crate::model::pools::Pool;
use crate::model::slices::Slice;
use crate::model::{ROWS_MAX, account};
use hyper::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Bytes of an answer: five hundred slices of ten thousand accounts are below it.
const ANSWER_MAX: usize = 1 << 30;
/// Rows of a list: more blocks, credits or payouts than any pool has.
const LIST_MAX: usize = 20_000_000;
/// How long a pool may take to answer.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a pool that says "too many" is asked again.
const TRIES: u32 = 60;
/// Nobody waits longer before asking again, whatever they are told.
const PAUSE_MAX: u64 = 60;

/// Why a pool's answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The address cannot be used.
    #[error("--from: {0}; it should look like https://pool.example")]
    Address(String),
    /// Nobody answers.
    #[error("{0}")]
    Silent(String),
    /// It says no.
    #[error("{path}: the pool answered {status}: {detail}")]
    Refused {
        /// What was asked.
        path: String,
        /// The status.
        status: u16,
        /// Why, in the pool's words.
        detail: String,
    },
    /// It says something else than this program understands.
    #[error(
        "{path}: the pool's answer makes no sense ({error}); is it an Adit of another version?"
    )]
    Unreadable {
        /// What was asked.
        path: String,
        /// What is wrong with it.
        error: String,
    },
}

/// A pool somewhere.
#[derive(Debug, Clone)]
pub struct Remote {
    client: Client,
    base: Address,
}

impl Remote {
    /// The pool whose pages are at this address. `certificate`: a PEM file to believe beside the roots that browsers trust.
    ///
    /// # Errors
    /// When the address or the certificate is none.
    pub fn at(url: &str, certificate: Option<&[u8]>) -> Result<Self, RemoteError> {
        let base = Address::parse(url).map_err(RemoteError::Address)?;
        let client = certificate.map_or_else(|| Ok(Client::new()), Client::believing);
        let client =
            client.map_err(|error| RemoteError::Silent(format!("certificate: {error}")))?;
        Ok(Remote { client, base })
    }

    /// Its pools.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn pools(&self) -> Result<Vec<Pool>, RemoteError> {
        self.get("api/v1/pools").await
    }

    /// All blocks of a pool, newest first.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn blocks(&self, pool: u32) -> Result<Vec<Block>, RemoteError> {
        self.all(&format!("api/v1/blocks?pool={pool}")).await
    }

    /// What a block's split follows from.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn audit(&self, block: &str) -> Result<Audit, RemoteError> {
        self.get(&format!("api/v1/rewards/{block}/audit")).await
    }

    /// Some of a pool's slices before a number, newest first, as they stood at a place of the log.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn slices(
        &self,
        pool: u32,
        as_of: u64,
        before: u64,
    ) -> Result<Rows<Slice>, RemoteError> {
        let path =
            format!("api/v1/pools/{pool}/slices?as_of={as_of}&cursor={before}&limit={ROWS_MAX}");
        self.get(&path).await
    }

    /// A pool's newest slice as it stands at the end of the log; `None` before the first.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn newest_slice(&self, pool: u32) -> Result<Option<Slice>, RemoteError> {
        let page: Rows<Slice> = self.get(&format!("api/v1/pools/{pool}/slices?limit=1")).await?;
        Ok(page.rows.into_iter().next())
    }

    /// An account, by its address.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn account(&self, address: &str) -> Result<Account, RemoteError> {
        self.get(&format!("api/v1/accounts/{}", encoded(address))).await
    }

    /// What an account was credited, newest first.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn credits(
        &self,
        address: &str,
        source: account::Source,
    ) -> Result<Vec<Credit>, RemoteError> {
        let source = source.as_str();
        self.all(&format!("api/v1/accounts/{}/credits?source={source}", encoded(address))).await
    }

    /// What an account was paid, newest first.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn payouts(&self, address: &str) -> Result<Vec<AccountPayout>, RemoteError> {
        self.all(&format!("api/v1/accounts/{}/payouts?", encoded(address))).await
    }

    /// Every row of a list; `path` has a query.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, RemoteError> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = format!("{path}&limit={ROWS_MAX}{cursor}");
            let Rows { rows, next } = self.get::<Rows<T>>(&page).await?;
            all.extend(rows);
            let Some(next) = next else { return Ok(all) };
            let following = format!("&cursor={}", encoded(&next));
            if following == cursor || all.len() > LIST_MAX {
                let error = "its pages go round in a circle".to_owned();
                return Err(RemoteError::Unreadable { path: page, error });
            }
            cursor = following;
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        let from = self.base.join(path);
        for _ in 0..TRIES {
            let asked = tokio::time::timeout(LIMIT, self.client.get(&from, ANSWER_MAX)).await;
            let late = |_| format!("no answer from {} in {LIMIT:?}", from.authority());
            let answer = asked.map_err(late).flatten().map_err(RemoteError::Silent)?;
            match answer.status {
                StatusCode::OK => {
                    return serde_json::from_slice(&answer.body).map_err(|error| {
                        let (path, error) = (path.to_owned(), error.to_string());
                        RemoteError::Unreadable { path, error }
                    });
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    let told = answer.retry_after.and_then(|text| text.trim().parse().ok());
                    let pause = told.unwrap_or(1).clamp(1, PAUSE_MAX);
                    tokio::time::sleep(Duration::from_secs(pause)).await;
                }
                status => {
                    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    let detail = body["detail"].as_str().unwrap_or("without a reason").to_owned();
                    let (path, status) = (path.to_owned(), status.as_u16());
                    return Err(RemoteError::Refused { path, status, detail });
                }
            }
        }
        let (path, detail) = (path.to_owned(), "it never has time for us".to_owned());
        Err(RemoteError::Refused { path, status: 429, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_explained() {
        let error = Remote::at("pool.example", None).unwrap_err();
        assert!(error.to_string().contains("https://pool.example"), "{error}");
    }
}

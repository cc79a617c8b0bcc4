//! A webhook: JSON to an address of the operator's, signed.
//!
//! Invariant: what arrives can be checked: the signature covers the moment and every byte of the body, so neither can be
//! changed, and an old request cannot pass for a new one.

use super::Kind;
use super::channel::{Fault, Trouble};
use super::letter::Letter;
use super::post;
use super::secret::{Secret, without};
use crate::http::{Address, Client};
use crate::model::Iso;
use accounting::UnixMs;
use hmac::{Hmac, KeyInit, Mac};
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use sha2::Sha256;
use std::time::Duration;

/// `t=<seconds since 1970>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>`.
const SIGNATURE: HeaderName = HeaderName::from_static("x-adit-signature");

/// Bytes that are read of an answer.
const ANSWER_MAX: usize = 64 * 1024;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// A webhook.
#[derive(Debug)]
pub struct Webhook {
    address: Address,
    secret: Secret,
    client: Client,
}

/// What is sent.
#[derive(Serialize)]
struct Told<'a> {
    kind: Kind,
    subject: &'a str,
    body: &'a str,
    link: Option<&'a str>,
    once: &'a str,
    at: Iso,
}

impl Webhook {
    /// One for whatever else the operator's own programs are to be asked.
    ///
    /// # Errors
    /// Which field cannot be used, and why.
    pub fn open(url: &Secret, secret: Secret) -> Result<Self, String> {
        Webhook::new(url, secret).map_err(|(field, why)| format!("{field}: {why}"))
    }

    /// Posts JSON, signed, and gives the answer's body, if its status is good.
    ///
    /// # Errors
    /// When there is no such answer in time; without secrets.
    pub async fn ask(&self, body: String, now: UnixMs) -> Result<Vec<u8>, String> {
        let headers = self.headers(&body, now)?;
        let (to, most) = (&self.address, |_| ANSWER_MAX);
        let sent = self.client.send(Method::POST, to, headers, body.into(), most);
        let answered = tokio::time::timeout(PATIENCE, sent).await;
        let answer = answered.map_err(|_| format!("no answer within {PATIENCE:?}"))?;
        let answer = answer.map_err(|error| without(&self.secrets(), &error))?;
        match answer.status.is_success() {
            true => Ok(answer.body),
            false => Err(format!("{} answered {}", self.address.authority(), answer.status)),
        }
    }

    fn headers(&self, body: &str, now: UnixMs) -> Result<HeaderMap, String> {
        let signature = HeaderValue::from_str(&sign(&self.secret, now.0 / 1000, body));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(SIGNATURE, signature.map_err(|error| error.to_string())?);
        Ok(headers)
    }

    /// Checks the address and that there is a secret.
    pub(super) fn new(url: &Secret, secret: Secret) -> Result<Self, Fault> {
        let address = post::address("url", url)?;
        if secret.word().is_empty() {
            return Err(("secret", "what is sent must be signed with a secret".into()));
        }
        Ok(Webhook { address, secret, client: Client::new() })
    }

    /// What must not be repeated.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let mut secrets = post::secrets(&self.address);
        secrets.push(self.secret.clone());
        secrets
    }

    /// Delivers once.
    pub(super) async fn deliver(&self, letter: &Letter, now: UnixMs) -> Result<(), Trouble> {
        let notice = &letter.notice;
        let told = Told {
            kind: notice.kind,
            subject: &notice.subject,
            body: &notice.body,
            link: notice.link.as_deref(),
            once: &notice.once,
            at: Iso(letter.made_at),
        };
        let body = serde_json::to_string(&told).map_err(|error| error.to_string())?;
        let headers = self.headers(&body, now)?;
        post::post(&self.client, &self.address, headers, body).await
    }
}

fn sign(secret: &Secret, seconds: u64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.word().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    let code = mac.finalize().into_bytes();
    let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '1700000000.{}' | openssl dgst -sha256 -hmac key`.
    #[test]
    fn a_signature_is_what_openssl_makes_of_it() {
        let hex = "9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(sign(&"key".into(), 1_700_000_000, "{}"), format!("t=1700000000,v1={hex}"));
    }
}

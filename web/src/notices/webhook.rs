//! A webhook: JSON to an address of the operator's, signed.
//!
//! Invariant: what arrives can be checked: the signature covers the moment and every byte of the body, so neither can be
//! changed, and an old request cannot pass for a new one.

use super::Kind;
use super::channel::{Fault, Trouble};
use super::letter::Letter;
use super::post;
use super::secret::Secret;
use crate::http::{Address, Client};
use crate::model::Iso;
use accounting::UnixMs;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use sha2::Sha256;

/// `t=<seconds since 1970>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>`.
const SIGNATURE: HeaderName = HeaderName::from_static("x-adit-signature");

/// A webhook.
#[derive(Debug)]
pub(super) struct Webhook {
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
    /// Checks the address and that there is a secret.
    pub fn new(url: &Secret, secret: Secret) -> Result<Self, Fault> {
        let address = post::address("url", url)?;
        if secret.word().is_empty() {
            return Err(("secret", "what is sent must be signed with a secret".into()));
        }
        Ok(Webhook { address, secret, client: Client::new() })
    }

    /// What must not be repeated.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets = post::secrets(&self.address);
        secrets.push(self.secret.clone());
        secrets
    }

    /// Delivers once.
    pub async fn deliver(&self, letter: &Letter, now: UnixMs) -> Result<(), Trouble> {
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
        let signature = HeaderValue::from_str(&sign(&self.secret, now.0 / 1000, &body));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(SIGNATURE, signature.map_err(|error| error.to_string())?);
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

//! `btauth/1`, the authentication of Bittensor's SDK 11: method, path, body, receiver and a nonce are all signed.
//!
//! Invariant: a request that was believed was meant for this server, now, and once. The ladder is the SDK's: shape, receiver,
//! freshness, signature, replay.

use super::{AuthReject, Caller, Replay, Seen, read_digits};
use crate::key::{PublicKey, Signature};
use sha2::{Digest, Sha256};

/// How old a request may be.
pub const AGE_MAX_NS: u64 = 10_000_000_000;
/// How far ahead a sender's clock may be.
pub const AHEAD_MAX_NS: u64 = 2_000_000_000;
/// Digits of a nonce.
const NONCE_DIGITS_MAX: usize = 19;

/// What the headers said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `X-Bittensor-Version`
    pub version: Option<&'a str>,
    /// `X-Bittensor-Hotkey`
    pub hotkey: Option<&'a str>,
    /// `X-Bittensor-Nonce`
    pub nonce: Option<&'a str>,
    /// `X-Bittensor-Signature`
    pub signature: Option<&'a str>,
    /// `X-Bittensor-Receiver`
    pub receiver: Option<&'a str>,
    /// `X-Bittensor-Crypto`
    pub crypto: Option<&'a str>,
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Path and query as they were sent.
    pub target: &'a str,
    /// The raw body.
    pub body: &'a [u8],
}

/// The bytes that are signed.
#[must_use]
pub fn payload(request: &Request<'_>, nonce: &str, sender: &str, receiver: &str) -> String {
    let body = Sha256::digest(request.body);
    let body: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    let Request { method, target, .. } = request;
    format!("btauth/1\nsr25519\n{method}\n{target}\n{body}\n{nonce}\n{sender}\n{receiver}")
}

/// Believes a request meant for `own`, or says why not.
///
/// # Errors
/// See [`AuthReject`].
pub fn verify(
    headers: &Headers<'_>,
    request: &Request<'_>,
    own: &PublicKey,
    now_ns: u64,
    replay: &Replay,
) -> Result<Caller, AuthReject> {
    let claim = Claim::read(headers, own, now_ns)?;
    replay.once(claim.seen, || claim.verify(request))?;
    Ok(Caller { key: claim.key, seen: claim.seen })
}

/// Headers that are well formed, fresh and for us; nobody is believed yet.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// Who they say they are.
    pub key: PublicKey,
    /// What must be new.
    pub seen: Seen,
    nonce: &'a str,
    hotkey: &'a str,
    receiver: &'a str,
    signature: Signature,
}

impl<'a> Claim<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// What is missing, malformed, for another receiver or not of this time.
    pub fn read(headers: &Headers<'a>, own: &PublicKey, now_ns: u64) -> Result<Self, AuthReject> {
        if headers.version != Some("1") {
            return Err(AuthReject::Unknown("this X-Bittensor-Version", "version 1"));
        }
        if headers.crypto.is_some_and(|scheme| scheme != "sr25519") {
            return Err(AuthReject::Unknown("this X-Bittensor-Crypto", "sr25519"));
        }
        let hotkey = headers.hotkey.ok_or(AuthReject::Missing("X-Bittensor-Hotkey"))?;
        let nonce = headers.nonce.ok_or(AuthReject::Missing("X-Bittensor-Nonce"))?;
        let signature = headers.signature.ok_or(AuthReject::Missing("X-Bittensor-Signature"))?;
        let receiver = headers.receiver.ok_or(AuthReject::Missing("X-Bittensor-Receiver"))?;
        let nonce_ns =
            read_digits(nonce, NONCE_DIGITS_MAX).ok_or(AuthReject::Timestamp("nanoseconds"))?;
        let signature = signature.parse()?;
        let key = hotkey.parse()?;
        if receiver.parse() != Ok(*own) {
            return Err(AuthReject::Receiver(*own));
        }
        let ahead = nonce_ns > now_ns;
        let by = nonce_ns.abs_diff(now_ns);
        if by > if ahead { AHEAD_MAX_NS } else { AGE_MAX_NS } {
            return Err(AuthReject::Stale { ahead, by, unit: "nanoseconds", now: now_ns });
        }
        let seen = Seen::nonce("btauth/1", &key, nonce_ns);
        Ok(Claim { key, seen, nonce, hotkey, receiver, signature })
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// [`AuthReject::Mismatch`].
    pub fn verify(&self, request: &Request<'_>) -> Result<(), AuthReject> {
        let message = payload(request, self.nonce, self.hotkey, self.receiver);
        if self.key.signed(message.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(AuthReject::Mismatch("the payload of btauth/1"))
        }
    }
}

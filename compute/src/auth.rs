//! Believing that a request is a miner's: the headers that every BitSota client sends, and the stronger `btauth/1`.
//!
//! Invariant: no signature is believed twice, nor outside its time, and the cheap questions are asked before the dear one.
//! The ladder: present, well formed, fresh, not seen, signed.

pub mod btauth;
pub mod replay;

use crate::key::{BadKey, BadSignature, PublicKey, Signature};
pub use replay::{Full, Replay, ReplayCache, Seen};

/// How far a client's clock may be from ours, either way, in seconds.
pub const SKEW_MAX_S: u64 = 300;
/// Digits of a timestamp.
const TIMESTAMP_DIGITS_MAX: usize = 12;

/// Why nobody is believed to have sent this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthReject {
    /// Not signed at all.
    #[error("the header {0} is missing: sign every request with your hotkey")]
    Missing(&'static str),
    /// Whose key?
    #[error("{0}")]
    Key(#[from] BadKey),
    /// What time?
    #[error("the timestamp is not a time: send it as whole unix {0}")]
    Timestamp(&'static str),
    /// What signature?
    #[error("{0}")]
    Signature(#[from] BadSignature),
    /// A wrong clock, or a replay.
    #[error(
        "the request is {by} {unit} {} the server's clock, which says {now}: set your clock",
        if *.ahead { "ahead of" } else { "behind" }
    )]
    Stale {
        /// Later than ours?
        ahead: bool,
        /// How far.
        by: u64,
        /// In what.
        unit: &'static str,
        /// Our time.
        now: u64,
    },
    /// Signed before the pool started, when nobody noted what was seen.
    #[error("the request was signed before this server started: sign a new one")]
    BeforeStart,
    /// Seen before.
    #[error("this signature was used already: sign every request anew")]
    Replayed,
    /// Meant for somebody else.
    #[error("the request was signed for another receiver: this server is {0}")]
    Receiver(PublicKey),
    /// Another version or scheme.
    #[error("{0} is not spoken here: use {1}")]
    Unknown(&'static str, &'static str),
    /// Not theirs.
    #[error("the signature does not match: sign {0}")]
    Mismatch(&'static str),
    /// No place to note another signature.
    #[error("too many requests: try again in a minute")]
    Busy,
}

impl From<Full> for AuthReject {
    fn from(_: Full) -> Self {
        AuthReject::Busy
    }
}

/// What a request's three headers said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `X-Key`
    pub key: Option<&'a str>,
    /// `X-Timestamp`
    pub timestamp: Option<&'a str>,
    /// `X-Signature`
    pub signature: Option<&'a str>,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub enum Message<'a> {
    /// Any request.
    Request,
    /// Payouts go to another coldkey from now on. Its own message, so that no request's signature can move money.
    Coldkey(&'a str),
}

impl Message<'_> {
    fn bytes(&self, timestamp: &str) -> Vec<u8> {
        match self {
            Message::Request => format!("auth:{timestamp}"),
            Message::Coldkey(coldkey) => format!("recipient_coldkey:update:{timestamp}:{coldkey}"),
        }
        .into_bytes()
    }

    const fn rule(&self) -> &'static str {
        match self {
            Message::Request => "the text auth:TIMESTAMP with the header's very digits",
            Message::Coldkey(_) => "the text recipient_coldkey:update:TIMESTAMP:COLDKEY",
        }
    }
}

/// A request that is somebody's. Made only by a verifier in this folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub key: PublicKey,
    /// What must not be believed again; written with whatever the request changes.
    pub seen: Seen,
}

/// Believes the three headers, or says why not. What is believed is in the cache afterwards.
///
/// # Errors
/// See [`AuthReject`].
pub fn verify(
    headers: &Headers<'_>,
    message: &Message<'_>,
    now_s: u64,
    replay: &Replay,
) -> Result<Caller, AuthReject> {
    let fresh = Fresh::read(headers, now_s)?;
    // What was seen is refused before anything else is computed.
    replay.lock().check(&fresh.seen)?;
    let claim = fresh.claim()?;
    replay.once(claim.seen, || claim.verify(message))?;
    Ok(Caller { key: claim.key, seen: claim.seen })
}

/// Three headers that are well formed and fresh; nobody is believed yet.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// Who they say they are.
    pub key: PublicKey,
    /// What must be new.
    pub seen: Seen,
    timestamp: &'a str,
    signature: Signature,
}

/// Three headers of this time; whose they are is not read yet.
struct Fresh<'a> {
    key: &'a str,
    timestamp: &'a str,
    signature: Signature,
    seen: Seen,
}

impl<'a> Fresh<'a> {
    fn read(headers: &Headers<'a>, now_s: u64) -> Result<Self, AuthReject> {
        let key = headers.key.ok_or(AuthReject::Missing("X-Key"))?;
        let timestamp = headers.timestamp.ok_or(AuthReject::Missing("X-Timestamp"))?;
        let signature = headers.signature.ok_or(AuthReject::Missing("X-Signature"))?;
        let signed_at_s =
            read_digits(timestamp, TIMESTAMP_DIGITS_MAX).ok_or(AuthReject::Timestamp("seconds"))?;
        let by = signed_at_s.abs_diff(now_s);
        if by > SKEW_MAX_S {
            let ahead = signed_at_s > now_s;
            return Err(AuthReject::Stale { ahead, by, unit: "seconds", now: now_s });
        }
        let signature: Signature = signature.parse()?;
        let seen = Seen::signature(&signature, signed_at_s);
        Ok(Fresh { key, timestamp, signature, seen })
    }

    fn claim(&self) -> Result<Claim<'a>, AuthReject> {
        let Fresh { key, timestamp, signature, seen } = *self;
        Ok(Claim { key: key.parse()?, seen, timestamp, signature })
    }
}

impl<'a> Claim<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// What is missing, malformed or not of this time.
    pub fn read(headers: &Headers<'a>, now_s: u64) -> Result<Self, AuthReject> {
        Fresh::read(headers, now_s)?.claim()
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// [`AuthReject::Mismatch`].
    pub fn verify(&self, message: &Message<'_>) -> Result<(), AuthReject> {
        if self.key.signed(&message.bytes(self.timestamp), &self.signature) {
            Ok(())
        } else {
            Err(AuthReject::Mismatch(message.rule()))
        }
    }
}

/// Plain digits, not too many.
pub(crate) fn read_digits(text: &str, digits_max: usize) -> Option<u64> {
    let plain = !text.is_empty()
        && text.len() <= digits_max
        && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

//! Bittensor's synapses over HTTP, as dendrites of SDK 7.2 to 10 send them and axons answer them.
//!
//! Ours are `Register` and `SubmitWork`, whose one required field is a string, so that its hash needs no Python. What the SDK's own
//! axon gets wrong is fixed here: the window does not depend on the sender's unsigned `timeout`, there is an upper end, no
//! version is excused, and the body of our synapses must be hashed. Invariant: as in [`crate::wire`].

use crate::auth::{AuthReject, Seen};
use crate::key::{PublicKey, Signature};
use serde::Deserialize;
use serde_json::{Value, json};
use sha3::{Digest, Sha3_256};

/// How old a request may be.
pub const AGE_MAX_NS: u64 = 12_000_000_000;
/// How far ahead a sender's clock may be.
pub const AHEAD_MAX_NS: u64 = 2_000_000_000;
/// Major × 10⁶ + minor × 10³ + patch: before 7.2 nonces were no times.
pub const VERSION_MIN: u64 = 7_002_000;
/// Letters of a uuid at most.
const UUID_MAX: usize = 64;
/// Bytes of a body at most: a program of the largest size, written as JSON twice.
pub const BODY_MAX: usize = 512 * 1024;

/// Why a synapse is not believed: the SDK's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SynapseReject {
    /// No such header, or nonsense.
    #[error("Not Verified with error: Missing {0}")]
    Missing(&'static str),
    /// Written otherwise.
    #[error("Not Verified with error: Invalid signature format. Expected hex string.")]
    Signature,
    /// An old SDK.
    #[error("Not Verified with error: SDK version {0} is too old, use 7.2 or newer")]
    Version(u64),
    /// For somebody else.
    #[error("Not Verified with error: the request is for another axon; this one is {0}")]
    Receiver(PublicKey),
    /// A wrong clock, or a replay.
    #[error(
        "Not Verified with error: Nonce is too old: acceptable delta is {} seconds but request was {by_ns} nanoseconds {}",
        if *.ahead { "2" } else { "12" }, if *.ahead { "ahead" } else { "old" }
    )]
    Stale {
        /// Later than ours?
        ahead: bool,
        /// How far.
        by_ns: u64,
    },
    /// Seen before.
    #[error("Not Verified with error: Nonce is too old, a newer one was last processed")]
    Replayed,
    /// Not theirs.
    #[error("Not Verified with error: Signature mismatch")]
    Mismatch,
    /// The body is not what was signed.
    #[error(
        "Not Verified with error: the body does not match its hash: declare required_hash_fields = (\"work\",) in SubmitWork"
    )]
    Body,
}

impl From<AuthReject> for SynapseReject {
    /// The cache knows it, or has no room for it: a dendrite asks again with a nonce of its time either way.
    fn from(_: AuthReject) -> Self {
        SynapseReject::Replayed
    }
}

/// The headers that count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `bt_header_dendrite_hotkey`
    pub hotkey: Option<&'a str>,
    /// `bt_header_dendrite_nonce`
    pub nonce: Option<&'a str>,
    /// `bt_header_dendrite_uuid`
    pub uuid: Option<&'a str>,
    /// `bt_header_dendrite_signature`
    pub signature: Option<&'a str>,
    /// `bt_header_dendrite_version`
    pub version: Option<&'a str>,
    /// `bt_header_axon_hotkey`
    pub axon: Option<&'a str>,
    /// `computed_body_hash`
    pub body_hash: Option<&'a str>,
}

/// Headers that are well formed, for us and of this time; nobody is believed yet.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// Who they say they are.
    pub key: PublicKey,
    /// What must be new.
    pub seen: Seen,
    message: String,
    signature: Signature,
    body_hash: &'a str,
}

impl<'a> Claim<'a> {
    /// Reads the headers of a request to the axon `own`.
    ///
    /// # Errors
    /// See [`SynapseReject`].
    pub fn read(
        headers: &Headers<'a>,
        own: &PublicKey,
        now_ns: u64,
    ) -> Result<Self, SynapseReject> {
        let hotkey = headers.hotkey.ok_or(SynapseReject::Missing("Hotkey"))?;
        let nonce = headers.nonce.ok_or(SynapseReject::Missing("Nonce"))?;
        let signature = headers.signature.ok_or(SynapseReject::Missing("Signature"))?;
        let uuid = headers.uuid.filter(|uuid| uuid.len() <= UUID_MAX);
        let uuid = uuid.ok_or(SynapseReject::Missing("UUID"))?;
        let version = crate::auth::read_digits(headers.version.unwrap_or_default(), 12);
        let version = version.ok_or(SynapseReject::Missing("Version"))?;
        if version < VERSION_MIN {
            return Err(SynapseReject::Version(version));
        }
        let nonce_ns =
            crate::auth::read_digits(nonce, 19).ok_or(SynapseReject::Missing("Nonce"))?;
        let key = hotkey.parse().map_err(|_| SynapseReject::Missing("Hotkey"))?;
        let has_prefix = signature.starts_with("0x");
        let signature = signature.parse().ok().filter(|_| has_prefix);
        let signature = signature.ok_or(SynapseReject::Signature)?;
        if headers.axon.is_none_or(|axon| axon.parse() != Ok(*own)) {
            return Err(SynapseReject::Receiver(*own));
        }
        let ahead = nonce_ns > now_ns;
        let by_ns = nonce_ns.abs_diff(now_ns);
        if by_ns > if ahead { AHEAD_MAX_NS } else { AGE_MAX_NS } {
            return Err(SynapseReject::Stale { ahead, by_ns });
        }
        let body_hash = headers.body_hash.unwrap_or_default();
        let message = format!("{nonce}.{hotkey}.{own}.{uuid}.{body_hash}");
        let seen = Seen::nonce("axon", &key, nonce_ns);
        Ok(Claim { key, seen, message, signature, body_hash })
    }

    /// Verifies the signature, and that the body's fields are what was signed.
    ///
    /// # Errors
    /// See [`SynapseReject`].
    pub fn verify(&self, fields: &[&str]) -> Result<(), SynapseReject> {
        if !self.key.signed(self.message.as_bytes(), &self.signature) {
            return Err(SynapseReject::Mismatch);
        }
        if body_hash(fields) == self.body_hash { Ok(()) } else { Err(SynapseReject::Body) }
    }
}

fn sha3(text: &str) -> String {
    Sha3_256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SDK's hash of a body's required fields, all of them strings.
#[must_use]
pub fn body_hash(fields: &[&str]) -> String {
    sha3(&fields.iter().map(|field| sha3(field)).collect::<String>())
}

/// A body that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSynapse {
    /// Not JSON of this form.
    #[error("the synapse cannot be read: {0}")]
    Form(String),
    /// Not what the field must hold.
    #[error("work must be a JSON text such as {{\"algorithm_dsl\": \"…\"}}: {0}")]
    Work(String),
}

#[derive(Deserialize)]
struct WorkBody {
    work: String,
}

#[derive(Deserialize)]
struct WorkText {
    algorithm_dsl: String,
}

/// A `SubmitWork`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The field as it was signed.
    pub field: String,
    /// The program in it.
    pub program: String,
}

/// Reads a `SubmitWork`'s body.
///
/// # Errors
/// See [`BadSynapse`].
pub fn read_work(body: &[u8]) -> Result<Work, BadSynapse> {
    let WorkBody { work: field } =
        serde_json::from_slice(body).map_err(|error| BadSynapse::Form(error.to_string()))?;
    let text: WorkText =
        serde_json::from_str(&field).map_err(|error| BadSynapse::Work(error.to_string()))?;
    Ok(Work { field, program: text.algorithm_dsl })
}

/// The answer's body: the synapse, its required field as it came (a dendrite reads the answer as a whole synapse), its output, and
/// the status that dendrites look for.
#[must_use]
pub fn answer(name: &str, fields: &[(&str, Value)]) -> Value {
    let mut body = json!({
        "name": name,
        "axon": { "status_code": 200, "status_message": "Success" },
    });
    for (field, value) in fields {
        body[*field] = value.clone();
    }
    body
}

/// The answer's headers.
pub const ANSWER_HEADERS: [(&str, &str); 2] =
    [("bt_header_axon_status_code", "200"), ("bt_header_axon_status_message", "Success")];

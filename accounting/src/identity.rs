//! Who somebody is, in the words of their chain.
//!
//! Invariant: kind, network and canonical bytes name one account, whatever spelling of an address was typed.

use crate::ledger::UnknownName;
use std::str::FromStr;

/// What the canonical bytes are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IdentityKind {
    /// An output script: what a Bitcoin-like address stands for.
    Script,
    /// A launcher id: a farmer's singleton.
    Launcher,
    /// A public key.
    PublicKey,
}

impl IdentityKind {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            IdentityKind::Script => "script",
            IdentityKind::Launcher => "launcher",
            IdentityKind::PublicKey => "public_key",
        }
    }
}

impl FromStr for IdentityKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [IdentityKind::Script, IdentityKind::Launcher, IdentityKind::PublicKey]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// Maps uniquely to an account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity {
    /// What the bytes are.
    pub kind: IdentityKind,
    /// Which network they mean something on, such as `bitcoin/main`.
    pub network: String,
    /// The canonical form.
    pub bytes: Vec<u8>,
}

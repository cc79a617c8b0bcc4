//! Words for trouble that no other type says: what a miner is told, in the API as in the documents.

use super::bitsota::iso;
use crate::key::PublicKey;
use crate::lease::LeaseId;
use std::fmt;

/// An answer to a lease whose time is over: the original's words first, then when that was and who has its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLate {
    /// Which.
    pub lease: LeaseId,
    /// When its time was over.
    pub deadline_s: u64,
    /// Who was given its algorithms since.
    pub heirs: Vec<PublicKey>,
}

impl fmt::Display for TooLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lease, at) = (self.lease.0, iso(self.deadline_s));
        write!(f, "Active lease assignment not found: lease {lease} timed out at {at}, and ")?;
        if self.heirs.is_empty() {
            return f.write_str("its work waits for somebody else");
        }
        let names: Vec<String> = self.heirs.iter().map(PublicKey::to_string).collect();
        write!(f, "its work was given to {}", names.join(", "))
    }
}

/// The operator hands nothing out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("No tasks available: the pool is paused ({reason}): ask again in {retry_after_s} s")]
pub struct Paused<'a> {
    /// Why, in the operator's words.
    pub reason: &'a str,
    /// When to ask again.
    pub retry_after_s: u64,
}

/// Somebody asks too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests of this {who}: ask again in {retry_after_s} s")]
pub struct TooOften {
    /// `hotkey` or `address`.
    pub who: &'static str,
    /// When to ask again.
    pub retry_after_s: u64,
}

//! Notices: what people want to be told, and the ways to tell them.
//!
//! Invariant: what was put into the outbox is told to each channel at least once, a crash in between or not, unless the
//! channel takes nothing for a day. (More than once only when the program dies after a channel took a notice and before that
//! was written down.)
//!
//! Reading order: here (what is told), [`outbox`] (what is kept), [`channel`] (the ways), then each way for itself.

pub mod channel;
mod discord;
mod lanes;
mod letter;
mod ntfy;
pub mod outbox;
mod post;
mod rows;
mod secret;
mod smtp;
mod telegram;
mod webhook;

pub use channel::{Channel, ChannelError, Security, Way};
pub use outbox::{NoticeError, Outbox};
pub use secret::Secret;
pub use smtp::is_address;
pub use webhook::Webhook;

use serde::{Deserialize, Serialize};

/// What a notice is about. A channel may want only some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A block was found.
    BlockFound,
    /// A payout was sent.
    PayoutSent,
    /// A worker has sent nothing for a while.
    WorkerSilent,
    /// Too many shares are rejected.
    RejectRate,
    /// A node does not answer, or cannot be believed.
    NodeDown,
    /// The books do not follow from the log.
    BooksDoNotFold,
    /// The store cannot be written.
    StoreFailing,
    /// Payouts wait for somebody.
    PayoutsBlocked,
    /// A scheduled backup was not made.
    BackupFailed,
    /// Somebody is asked whether an e-mail address is theirs.
    ConfirmEmail,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 10] = [
        Kind::BlockFound,
        Kind::PayoutSent,
        Kind::WorkerSilent,
        Kind::RejectRate,
        Kind::NodeDown,
        Kind::BooksDoNotFold,
        Kind::StoreFailing,
        Kind::PayoutsBlocked,
        Kind::BackupFailed,
        Kind::ConfirmEmail,
    ];

    /// Its name, as configurations and webhooks write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::BlockFound => "block-found",
            Kind::PayoutSent => "payout-sent",
            Kind::WorkerSilent => "worker-silent",
            Kind::RejectRate => "reject-rate",
            Kind::NodeDown => "node-down",
            Kind::BooksDoNotFold => "books-do-not-fold",
            Kind::StoreFailing => "store-failing",
            Kind::PayoutsBlocked => "payouts-blocked",
            Kind::BackupFailed => "backup-failed",
            Kind::ConfirmEmail => "confirm-email",
        }
    }
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Names the fact, such as `block/<hash>/found`: it is told once to each channel. What was told is remembered for seven
    /// days; an older fact must not be put again.
    pub once: String,
    /// What it is about.
    pub kind: Kind,
    /// One line. Line breaks become spaces, and it is cut after 200 characters.
    pub subject: String,
    /// Plain text; cut where a channel takes no more.
    pub body: String,
    /// A page that shows more.
    pub link: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_kind_is_named_alike_everywhere() {
        for kind in Kind::ALL {
            let written = serde_json::to_value(kind).unwrap();
            assert_eq!(written, kind.name());
            assert_eq!(serde_json::from_value::<Kind>(written).unwrap(), kind);
        }
    }
}

//! How the door works: what whoever opens it decides.

use super::Ledger;
use crate::desk;
use crate::dsl::Program;
use crate::key::{PublicKey, SigningKey};
use crate::relay::Relay;
use crate::tables::epochs::Budget;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// How the door works.
#[derive(Clone)]
pub struct Settings {
    /// How leases and votes work.
    pub desk: desk::Settings,
    /// How epochs are paid.
    pub budget: Budget,
    /// How long a changed coldkey waits.
    pub coldkey_delay_s: u64,
    /// What `/api/v1/monitor/summary` asks for.
    pub monitor_token: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
    /// The pool's own key: the receiver of `btauth/1`, and what reports are signed with.
    pub own: SigningKey,
    /// Hotkeys whose synapses are refused.
    pub blacklist: BTreeSet<PublicKey>,
    /// Programs the pool begins with.
    pub founders: Vec<Program>,
    /// Where what is earned is paid.
    pub ledger: Ledger,
    /// Who is not listened to.
    pub unwanted: Unwanted,
    /// How often somebody may ask.
    pub pace: Pace,
    /// Where the best is sent, in the pool's own name.
    pub relay: Option<Relay>,
}

/// Requests a minute; 0 for any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Of one hotkey.
    pub per_key: u32,
    /// Of one internet address.
    pub per_address: u32,
}

impl Pace {
    /// What no honest client comes near: the original's asks once a second at most.
    pub const USUAL: Pace = Pace { per_key: 240, per_address: 2400 };
    /// Any number.
    pub const ANY: Pace = Pace { per_key: 0, per_address: 0 };
}

/// Who is not listened to, as it is at each request.
#[derive(Clone)]
pub struct Unwanted(pub(super) Arc<UnwantedFn>);

pub(super) type UnwantedFn = dyn Fn(Option<IpAddr>, Option<&PublicKey>) -> bool + Send + Sync;

impl Unwanted {
    /// By the word of whoever keeps the list: of an address, or of a hotkey.
    pub fn by(
        is_unwanted: impl Fn(Option<IpAddr>, Option<&PublicKey>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Unwanted(Arc::new(is_unwanted))
    }

    /// Nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self::by(|_, _| false)
    }
}

//! Who is not wanted: internet addresses and accounts that an operator banned.
//!
//! Invariant: an operator's word only. Nothing here is decided by what a peer sent, so nobody can have another banned.

use crate::host::host_of;
use accounting::{Identity, IdentityKind};
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

/// How accounts of each kind are written.
const KINDS: [(&str, IdentityKind); 3] = [
    ("account", IdentityKind::Script),
    ("launcher", IdentityKind::Launcher),
    ("key", IdentityKind::PublicKey),
];

/// Somebody banned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Banned {
    /// An IPv4 host, or an IPv6 /64.
    Host(IpAddr),
    /// An account, wherever it mines from.
    Account(Identity),
}

impl Banned {
    /// Under which name bans are kept in the books' notes.
    pub const DOOR: &'static str = "bans";

    /// From an internet address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Banned::Host(host_of(address))
    }

    /// From the key of a note.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        if let Some(host) = key.strip_prefix("host/") {
            return host.parse().ok().map(Banned::Host);
        }
        let (kind, rest) = key.split_once('/')?;
        let (_, kind) = KINDS.into_iter().find(|(name, _)| *name == kind)?;
        let (network, digits) = rest.rsplit_once('/')?;
        let (network, bytes) = (network.to_owned(), hex::decode(digits).ok()?);
        Some(Banned::Account(Identity { kind, network, bytes }))
    }
}

impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Banned::Host(address) => write!(f, "host/{address}"),
            Banned::Account(who) => {
                let known = KINDS.iter().find(|(_, kind)| *kind == who.kind);
                let kind = known.map_or("account", |(name, _)| name);
                write!(f, "{kind}/{}/{}", who.network, hex::encode(&who.bytes))
            }
        }
    }
}

/// All who are banned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bans(HashSet<Banned>);

impl Bans {
    /// From the keys of the notes; what cannot be read is nobody.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a String>) -> Self {
        Bans(keys.into_iter().filter_map(|key| Banned::from_key(key)).collect())
    }

    /// The same with somebody more, or somebody less.
    #[must_use]
    pub fn with(&self, who: &Banned, is_banned: bool) -> Self {
        let mut all = self.0.clone();
        if is_banned {
            all.insert(who.clone());
        } else {
            all.remove(who);
        }
        Bans(all)
    }

    /// Is this internet address banned?
    #[must_use]
    pub fn has_host(&self, address: IpAddr) -> bool {
        !self.0.is_empty() && self.0.contains(&Banned::host(address))
    }

    /// Is this account banned?
    #[must_use]
    pub fn has_account(&self, who: &Identity) -> bool {
        !self.0.is_empty() && self.0.contains(&Banned::Account(who.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_read_back_from_its_key_and_an_ipv6_neighbour_is_meant_too() {
        let host = Banned::host("2001:db8::1".parse().unwrap());
        let account = Banned::Account(Identity {
            kind: IdentityKind::Script,
            network: "bitcoin/main".into(),
            bytes: vec![0, 20, 255],
        });
        let farmer = Banned::Account(Identity {
            kind: IdentityKind::Launcher,
            network: "chia/mainnet".into(),
            bytes: vec![7; 32],
        });
        for banned in [&host, &account, &farmer] {
            assert_eq!(Banned::from_key(&banned.to_string()).as_ref(), Some(banned));
        }
        let bans = Bans::of(&[host.to_string(), account.to_string(), "nonsense".into()]);
        assert!(bans.has_host("2001:db8::ffff".parse().unwrap()));
        assert!(!bans.has_host("10.0.0.1".parse().unwrap()));
        assert!(!bans.with(&host, false).has_host("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn whatever_kind_of_account_is_banned_comes_back_from_its_note() {
        for kind in [IdentityKind::Script, IdentityKind::Launcher, IdentityKind::PublicKey] {
            let network = "bittensor/finney/94".to_owned();
            let who = Identity { kind, network, bytes: vec![7; 32] };
            let key = Banned::Account(who.clone()).to_string();
            assert_eq!(Banned::from_key(&key), Some(Banned::Account(who.clone())), "{key}");
            assert!(Bans::of([&key]).has_account(&who));
        }
        assert_eq!(Banned::from_key("nobody/bitcoin/00"), None);
    }
}

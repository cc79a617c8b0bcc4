//! Who has registered, and which name stands for whom.
//!
//! Invariant: a name is only another spelling of an identity, and it is claimed once: it never comes to stand for somebody
//! else, for machines go on mining by it long after its owner has stopped looking.

use crate::books::Books;
use crate::door::Refused;
use accounting::{Identity, IdentityKind, UnixMs};
use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

/// Registrations that are kept: addresses cost nothing, so a signature is no limit.
pub const OWNERS_MAX: usize = 100_000;
/// Names that one owner can have claimed in all.
pub const NAMES_PER_OWNER_MAX: usize = 3;
/// Names in all.
pub const NAMES_MAX: usize = 200_000;

/// The list, for whoever asks: doors once for each worker that introduces itself, pages for names.
#[derive(Debug, Default)]
pub struct Guests(RwLock<List>);

#[derive(Debug, Default)]
struct List {
    /// Since when.
    owners: HashMap<Identity, UnixMs>,
    /// By name, in lower case.
    names: HashMap<String, Owner>,
}

/// Whom a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Who.
    pub identity: Identity,
    /// Their address.
    pub display: String,
}

impl Guests {
    /// Under which name the list is kept in the books' notes.
    pub const DOOR: &'static str = "guests";

    pub(crate) fn of(notes: &BTreeMap<(String, String), Vec<u8>>) -> Self {
        let mut list = List::default();
        for ((_, key), value) in notes.iter().filter(|((door, _), _)| door == Guests::DOOR) {
            let text = String::from_utf8_lossy(value).into_owned();
            if let Some(identity) = key.strip_prefix("owner/").and_then(identity_of) {
                list.owners.insert(identity, UnixMs(text.parse().unwrap_or_default()));
            } else if let Some(name) = key.strip_prefix("name/")
                && let Some((owner, display)) = text.split_once(' ')
                && let Some(identity) = identity_of(owner)
            {
                list.names.insert(name.to_owned(), Owner { identity, display: display.to_owned() });
            }
        }
        Guests(RwLock::new(list))
    }

    /// Has this identity registered?
    #[must_use]
    pub fn has(&self, who: &Identity) -> bool {
        self.look(|list| list.owners.contains_key(who))
    }

    /// How many have.
    #[must_use]
    pub fn len(&self) -> usize {
        self.look(|list| list.owners.len())
    }

    /// Has nobody?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whoever claimed this name, in any case of letters.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Owner> {
        self.look(|list| list.names.get(&name.to_ascii_lowercase()).cloned())
    }

    fn look<T>(&self, look: impl FnOnce(&List) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut List)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Books {
    /// Registers an identity, and claims a name for it. What it had claimed before stays its own. Where there is no room, whoever
    /// registered first and never had a share accepted makes way.
    ///
    /// # Errors
    /// When the name is somebody else's, or there is no room.
    pub fn register(
        &mut self,
        who: &Identity,
        display: &str,
        name: Option<&str>,
        now: UnixMs,
    ) -> Result<(), Refused> {
        let name = name.map(str::to_ascii_lowercase);
        let news = self.guests.look(|list| list.claims(who, name.as_deref()))?;
        let key = key_of(who);
        if news.owner {
            self.make_room()?;
            self.note(Guests::DOOR, format!("owner/{key}"), Some(now.to_string().into_bytes()));
            self.guests.change(|list| {
                list.owners.insert(who.clone(), now);
            });
        }
        if let Some(name) = name.filter(|_| news.name) {
            let value = format!("{key} {display}").into_bytes();
            self.note(Guests::DOOR, format!("name/{name}"), Some(value));
            let owner = Owner { identity: who.clone(), display: display.to_owned() };
            self.guests.change(|list| drop(list.names.insert(name, owner)));
        }
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), Refused> {
        let idle = self.guests.look(|list| {
            let idle = list.owners.iter().filter(|(who, _)| !self.identities.contains_key(*who));
            let first = || idle.min_by_key(|(_, since)| **since).map(|(who, _)| who.clone());
            (list.owners.len() >= OWNERS_MAX).then(first)
        });
        match idle {
            None => Ok(()),
            Some(Some(who)) => {
                self.unregister(&who);
                Ok(())
            }
            Some(None) => {
                Err(Refused::Rule("no more registrations are taken; ask the operator".into()))
            }
        }
    }

    /// Takes a registration back; its names stay claimed. False where there was none.
    pub fn unregister(&mut self, who: &Identity) -> bool {
        if !self.guests.has(who) {
            return false;
        }
        self.note(Guests::DOOR, format!("owner/{}", key_of(who)), None);
        self.guests.change(|list| {
            list.owners.remove(who);
        });
        true
    }
}

/// What a registration would add.
struct News {
    owner: bool,
    name: bool,
}

impl List {
    fn claims(&self, who: &Identity, name: Option<&str>) -> Result<News, Refused> {
        let rule = |text: String| Err(Refused::Rule(text));
        let owner = !self.owners.contains_key(who);
        let Some(name) = name else { return Ok(News { owner, name: false }) };
        match self.names.get(name) {
            Some(known) if known.identity == *who => return Ok(News { owner, name: false }),
            Some(_) => return rule(format!("somebody else is called \"{name}\" already")),
            None => {}
        }
        let own = self.names.values().filter(|owner| owner.identity == *who).count();
        if own >= NAMES_PER_OWNER_MAX {
            return rule(format!("an address has at most {NAMES_PER_OWNER_MAX} names, for ever"));
        }
        if self.names.len() >= NAMES_MAX {
            return rule("no more names are given at the moment; ask the operator".into());
        }
        Ok(News { owner, name: true })
    }
}

/// An identity as the key of a note: kind, network and bytes.
fn key_of(who: &Identity) -> String {
    let mut key = format!("{}/{}/", who.kind.as_str(), who.network);
    who.bytes.iter().for_each(|byte| key.push_str(&format!("{byte:02x}")));
    key
}

fn identity_of(key: &str) -> Option<Identity> {
    let (kind, rest) = key.split_once('/')?;
    let (network, hex) = rest.rsplit_once('/')?;
    let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    let kind: IdentityKind = kind.parse().ok()?;
    Some(Identity { kind, network: network.to_owned(), bytes: bytes.filter(|_| odd.is_empty())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_back_from_its_key() {
        for kind in [IdentityKind::Script, IdentityKind::Launcher, IdentityKind::PublicKey] {
            let who =
                Identity { kind, network: "bitcoin/regtest".into(), bytes: vec![0, 0x14, 255] };
            assert_eq!(identity_of(&key_of(&who)), Some(who));
        }
        for bad in ["", "script", "script/x", "script/x/0", "script/x/zz", "odd/x/00"] {
            assert_eq!(identity_of(bad), None, "{bad}");
        }
    }
}

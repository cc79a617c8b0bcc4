//! What owners of addresses said about themselves, proved by a signature of the address.
//!
//! Invariant: nothing of it is shown to others unless its owner asked for that.

use crate::db::{Db, DbError};
use crate::history::Shown;
use crate::history::shown::Listed;
use crate::secrets::same;
use accounting::{AccountId, Identity, IdentityKind, UnixMs};
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What an owner said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Whose.
    pub identity: Identity,
    /// The address.
    pub display: String,
    /// A name to be called by.
    pub name: Option<String>,
    /// Where notices go, once it is confirmed.
    pub email: Option<String>,
    /// What the letter that asks for confirmation leads to; `None` once it was followed.
    pub unconfirmed: Option<String>,
    /// May lists show the whole address?
    pub is_public: bool,
    /// Which notices, by name.
    pub notices: Vec<String>,
    /// When.
    pub said_at: UnixMs,
}

/// All profiles: as many as the pool keeps registrations ([`pool::guests::OWNERS_MAX`]).
pub struct Profiles {
    db: Db,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    by_identity: HashMap<Identity, Arc<Profile>>,
    by_account: HashMap<AccountId, Arc<Profile>>,
    /// By the name they show, in lower case.
    by_name: HashMap<String, Arc<Profile>>,
}

impl Known {
    fn take(&mut self, profile: &Arc<Profile>, account: Option<AccountId>) {
        let before = self.by_identity.insert(profile.identity.clone(), profile.clone());
        if let Some(name) = before.and_then(|before| before.shown_name()) {
            self.by_name.remove(&name);
        }
        self.by_name.extend(profile.shown_name().map(|name| (name, profile.clone())));
        self.by_account.extend(account.map(|id| (id, profile.clone())));
    }
}

impl Profile {
    /// Where its owner wants to be told, and said so from there.
    #[must_use]
    pub fn reached_at(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.unconfirmed.is_none())
    }

    fn shown_name(&self) -> Option<String> {
        self.name.as_ref().map(|name| name.to_ascii_lowercase())
    }
}

impl Profiles {
    /// Reads them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open(db: Db) -> Result<Self, DbError> {
        let all = db.now(|sql| load(sql))?;
        let mut known = Known::default();
        all.into_iter().for_each(|profile| known.take(&Arc::new(profile), None));
        Ok(Profiles { db, known: RwLock::new(known) })
    }

    /// An owner's profile.
    #[must_use]
    pub fn of(&self, who: &Identity) -> Option<Arc<Profile>> {
        self.look().by_identity.get(who).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Profile>> {
        self.look().by_identity.values().cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.look().by_identity.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whoever goes by this name and lets others know.
    #[must_use]
    pub fn publicly_named(&self, name: &str) -> Option<Arc<Profile>> {
        let known = self.look();
        known.by_name.get(&name.to_ascii_lowercase()).filter(|profile| profile.is_public).cloned()
    }

    /// May lists show this account's address?
    #[must_use]
    pub fn is_public(&self, account: AccountId) -> bool {
        self.public_name(account).is_some()
    }

    /// The name of an account that is public, if it has one.
    #[must_use]
    pub fn public_name(&self, account: AccountId) -> Option<Option<String>> {
        let known = self.look();
        let public = known.by_account.get(&account).filter(|profile| profile.is_public)?;
        Some(public.name.clone())
    }

    /// Writes a profile.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn say(&self, profile: Profile, account: Option<AccountId>) -> Result<(), DbError> {
        let written = profile.clone();
        self.db.run(move |sql| save(sql, &written)).await?;
        self.change(|known| known.take(&Arc::new(profile), account));
        Ok(())
    }

    /// The e-mail address that this was sent to is its owner's. False where nothing waits for it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn confirm(&self, code: &str) -> Result<bool, DbError> {
        let waiting = |profile: &&Arc<Profile>| {
            profile.unconfirmed.as_ref().is_some_and(|own| same(own.as_bytes(), code.as_bytes()))
        };
        let Some(found) = self.look().by_identity.values().find(waiting).cloned() else {
            return Ok(false);
        };
        self.say(Profile { unconfirmed: None, ..(*found).clone() }, None).await?;
        Ok(true)
    }

    /// Forgets profiles of identities that are registered no more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep(&self, is_registered: impl Fn(&Identity) -> bool) -> Result<(), DbError> {
        let gone: Vec<Identity> =
            self.look().by_identity.keys().filter(|who| !is_registered(who)).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        let written = gone.clone();
        self.db.run(move |sql| written.iter().try_for_each(|who| forget(sql, who))).await?;
        self.change(|known| {
            for who in &gone {
                if let Some(profile) = known.by_identity.remove(who) {
                    profile.shown_name().map(|name| known.by_name.remove(&name));
                    known.by_account.retain(|_, own| own.identity != *who);
                }
            }
        });
        Ok(())
    }

    fn look(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Learns the numbers of accounts from the machines at work.
    pub fn learn(&self, shown: &Shown) {
        let known = self.look();
        let number = |(_, track): &Listed| Some(track.total.ids?.0);
        let found: Vec<(AccountId, Arc<Profile>)> = known
            .by_identity
            .values()
            .filter_map(|profile| {
                let account = shown.machines_of(&profile.identity).iter().find_map(number)?;
                Some((account, profile.clone()))
            })
            .filter(|(account, _)| !known.by_account.contains_key(account))
            .collect();
        drop(known);
        if !found.is_empty() {
            self.change(|known| known.by_account.extend(found));
        }
    }
}

fn load(sql: &Connection) -> rusqlite::Result<Vec<Profile>> {
    let text = "SELECT kind, network, bytes, display, name, email, is_public, notices, said_at, unconfirmed FROM profiles";
    let mut statement = sql.prepare(text)?;
    let rows = statement.query_map([], |row| {
        let kind: IdentityKind = row.get::<_, String>(0)?.parse().unwrap_or(IdentityKind::Script);
        let notices: String = row.get(7)?;
        Ok(Profile {
            identity: Identity { kind, network: row.get(1)?, bytes: row.get(2)? },
            display: row.get(3)?,
            name: row.get(4)?,
            email: row.get(5)?,
            is_public: row.get(6)?,
            notices: notices.split_whitespace().map(str::to_owned).collect(),
            said_at: UnixMs(row.get::<_, i64>(8)?.cast_unsigned()),
            unconfirmed: row.get(9)?,
        })
    })?;
    rows.collect()
}

fn save(sql: &Connection, p: &Profile) -> rusqlite::Result<()> {
    let values = params![
        p.identity.kind.as_str(),
        p.identity.network,
        p.identity.bytes,
        p.display,
        p.name,
        p.email,
        p.is_public,
        p.notices.join(" "),
        p.said_at.0.cast_signed(),
        p.unconfirmed,
    ];
    sql.execute("INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        .map(drop)
}

fn forget(sql: &Connection, who: &Identity) -> rusqlite::Result<()> {
    let text = "DELETE FROM profiles WHERE kind = ? AND network = ? AND bytes = ?";
    sql.execute(text, params![who.kind.as_str(), who.network, who.bytes]).map(drop)
}

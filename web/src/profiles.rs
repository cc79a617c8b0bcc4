//! What owners of addresses said about themselves, proved by a signature of the address.
//!
//! Invariant: nothing of it is shown to others unless its owner asked for that.

use crate::db::{Db, DbError};
use crate::history::Shown;
use crate::history::shown::Listed;
use accounting::{AccountId, Identity, IdentityKind, UnixMs};
use arc_swap::ArcSwap;
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Profiles that are kept: addresses cost nothing, so signatures are no limit.
const PROFILES_MAX: usize = 100_000;

/// What an owner said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Whose.
    pub identity: Identity,
    /// The address.
    pub display: String,
    /// A name to be called by.
    pub name: Option<String>,
    /// Where notices go.
    pub email: Option<String>,
    /// May lists show the whole address?
    pub is_public: bool,
    /// Which notices, by name.
    pub notices: Vec<String>,
    /// When.
    pub said_at: UnixMs,
}

/// All profiles.
pub struct Profiles {
    db: Db,
    known: ArcSwap<Known>,
}

#[derive(Default)]
struct Known {
    by_identity: HashMap<Identity, Arc<Profile>>,
    by_account: HashMap<AccountId, Arc<Profile>>,
    /// By name, in lower case.
    by_name: HashMap<String, Arc<Profile>>,
}

impl Known {
    fn of(
        by_identity: HashMap<Identity, Arc<Profile>>,
        by_account: HashMap<AccountId, Arc<Profile>>,
    ) -> Self {
        let named = by_identity.values().filter_map(|profile| {
            Some((profile.name.as_ref()?.to_ascii_lowercase(), profile.clone()))
        });
        let by_name = named.collect();
        Known { by_identity, by_account, by_name }
    }
}

impl Profiles {
    /// Reads them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open(db: Db) -> Result<Self, DbError> {
        let all = db.now(|sql| load(sql))?;
        let by_identity = all.into_iter().map(|p| (p.identity.clone(), Arc::new(p))).collect();
        let known = Known::of(by_identity, HashMap::new());
        Ok(Profiles { db, known: ArcSwap::from_pointee(known) })
    }

    /// An owner's profile.
    #[must_use]
    pub fn of(&self, who: &Identity) -> Option<Arc<Profile>> {
        self.known.load().by_identity.get(who).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Profile>> {
        self.known.load().by_identity.values().cloned().collect()
    }

    /// Is there room for one more?
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.known.load().by_identity.len() < PROFILES_MAX
    }

    /// Whoever goes by this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Profile>> {
        self.known.load().by_name.get(&name.to_ascii_lowercase()).cloned()
    }

    /// Whoever goes by this name and lets others know.
    #[must_use]
    pub fn publicly_named(&self, name: &str) -> Option<Arc<Profile>> {
        self.named(name).filter(|profile| profile.is_public)
    }

    /// May lists show this account's address?
    #[must_use]
    pub fn is_public(&self, account: AccountId) -> bool {
        self.public_name(account).is_some()
    }

    /// The name of an account that is public, if it has one.
    #[must_use]
    pub fn public_name(&self, account: AccountId) -> Option<Option<String>> {
        let known = self.known.load();
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
        let profile = Arc::new(profile);
        self.known.rcu(|known| {
            let mut by_identity = known.by_identity.clone();
            by_identity.insert(profile.identity.clone(), profile.clone());
            let mut by_account = known.by_account.clone();
            by_account.extend(account.map(|id| (id, profile.clone())));
            Known::of(by_identity, by_account)
        });
        Ok(())
    }

    /// Learns the numbers of accounts from the machines at work.
    pub fn learn(&self, shown: &Shown) {
        let known = self.known.load();
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
        if !found.is_empty() {
            self.known.rcu(|known| {
                let mut by_account = known.by_account.clone();
                by_account.extend(found.iter().cloned());
                Known::of(known.by_identity.clone(), by_account)
            });
        }
    }
}

fn load(sql: &Connection) -> rusqlite::Result<Vec<Profile>> {
    let text = "SELECT kind, network, bytes, display, name, email, is_public, notices, said_at FROM profiles";
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
    ];
    sql.execute("INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        .map(drop)
}

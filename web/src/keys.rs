//! API keys: shown once, kept as hashes, counted by the day.

use crate::api::node::{Calls, Usage};
use crate::db::{Db, DbError};
use crate::model::Iso;
use accounting::UnixMs;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

/// Days for which questions to nodes are kept.
const DAYS_KEPT: i64 = 400;

/// Keys of programs.
#[derive(Clone)]
pub struct Keys(Db);

/// What a key may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Questions a minute.
    pub per_minute: u32,
    /// Questions a day.
    pub per_day: u64,
    /// Was this one within the day's?
    pub within_day: bool,
}

/// A key, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Key {
    /// What it is for.
    pub label: String,
    /// Its tier's name.
    pub tier: String,
    /// Questions a minute.
    pub per_minute: u32,
    /// Questions a day.
    pub per_day: u64,
    /// Questions today.
    pub used_today: u64,
}

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// For anybody who asks.
    Free,
    /// For those who pay.
    Paid,
}

impl Tier {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Free => "free",
            Tier::Paid => "paid",
        }
    }

    /// Questions a minute and a day, unless others are agreed.
    #[must_use]
    pub const fn quota(self) -> (u32, u64) {
        match self {
            Tier::Free => (600, 50_000),
            Tier::Paid => (6_000, 2_000_000),
        }
    }
}

impl Keys {
    /// The keys in a database.
    #[must_use]
    pub fn in_db(db: Db) -> Self {
        Keys(db)
    }

    /// Makes a key; it is given once and cannot be read again.
    ///
    /// # Errors
    /// When the label is taken or the database cannot be written.
    pub fn make(
        &self,
        label: &str,
        tier: Tier,
        quota: (u32, u64),
        now: UnixMs,
    ) -> Result<String, DbError> {
        let key = format!("adit_{}", crate::secrets::token());
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        self.0.now(|sql| {
            let text = "INSERT INTO api_keys (key, label, tier, per_minute, per_day, made_at) VALUES (?, ?, ?, ?, ?, ?)";
            let day = quota.1.cast_signed();
            sql.execute(text, params![hash.as_slice(), label, tier.name(), quota.0, day, now.0.cast_signed()])
        })?;
        Ok(key)
    }

    /// Takes a key away; gives whether there was one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remove(&self, label: &str) -> Result<bool, DbError> {
        self.0.now(|sql| Ok(sql.execute("DELETE FROM api_keys WHERE label = ?", [label])? > 0))
    }

    /// All of them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn all(&self, now: UnixMs) -> Result<Vec<Key>, DbError> {
        self.0.now(|sql| {
            let text = "SELECT label, tier, per_minute, per_day, CASE day WHEN ? THEN used ELSE 0 END FROM api_keys ORDER BY label";
            let mut statement = sql.prepare(text)?;
            let rows = statement.query_map([day_of(now)], |row| {
                Ok(Key {
                    label: row.get(0)?,
                    tier: row.get(1)?,
                    per_minute: row.get(2)?,
                    per_day: row.get::<_, i64>(3)?.cast_unsigned(),
                    used_today: row.get::<_, i64>(4)?.cast_unsigned(),
                })
            })?;
            rows.collect()
        })
    }

    /// Counts a question; `None` when the key is not known.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn use_once(&self, hash: [u8; 32], now: UnixMs) -> Result<Option<Quota>, DbError> {
        self.0.run(move |sql| count(sql, hash, day_of(now))).await
    }
}

impl Keys {
    /// Counts a question to a node.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn count_call(
        &self,
        key: [u8; 32],
        asset: &str,
        method: &str,
        now: UnixMs,
    ) -> Result<(), DbError> {
        let (asset, method, day) = (asset.to_owned(), method.to_owned(), day_of(now));
        self.0
            .run(move |sql| {
                let text =
                    "INSERT INTO node_calls (key, day, asset, method, calls) VALUES (?, ?, ?, ?, 1)
                            ON CONFLICT DO UPDATE SET calls = calls + 1";
                let values = params![key.as_slice(), day, asset, method];
                sql.prepare_cached(text)?.execute(values)?;
                let oldest = day.saturating_sub(DAYS_KEPT);
                let text = "DELETE FROM node_calls WHERE day < ?";
                sql.prepare_cached(text)?.execute([oldest]).map(drop)
            })
            .await
    }

    /// A key's quota and its use; `None` when it is not known.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn usage(&self, key: [u8; 32], now: UnixMs) -> Result<Option<Usage>, DbError> {
        self.0.run(move |sql| usage(sql, key, day_of(now))).await
    }
}

fn usage(sql: &Connection, key: [u8; 32], today: i64) -> rusqlite::Result<Option<Usage>> {
    let text = "SELECT label, tier, per_minute, per_day, CASE day WHEN ?2 THEN used ELSE 0 END FROM api_keys WHERE key = ?1";
    let found = sql
        .query_row(text, params![key.as_slice(), today], |row| {
            Ok(Usage {
                label: row.get(0)?,
                tier: row.get(1)?,
                per_minute: row.get(2)?,
                per_day: row.get::<_, i64>(3)?.cast_unsigned(),
                used_today: row.get::<_, i64>(4)?.cast_unsigned(),
                node_calls: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut found) = found else { return Ok(None) };
    let text = "SELECT day, asset, method, calls FROM node_calls WHERE key = ? ORDER BY day DESC, asset, method LIMIT 1000";
    let mut statement = sql.prepare(text)?;
    let rows = statement.query_map([key.as_slice()], |row| {
        let day = row.get::<_, i64>(0)?.cast_unsigned();
        let day = Iso(UnixMs(day * 86_400_000)).text();
        Ok(Calls {
            day: day.split('T').next().unwrap_or_default().to_owned(),
            asset: row.get(1)?,
            method: row.get(2)?,
            calls: row.get::<_, i64>(3)?.cast_unsigned(),
        })
    })?;
    found.node_calls = rows.collect::<Result<_, _>>()?;
    Ok(Some(found))
}

fn day_of(now: UnixMs) -> i64 {
    (now.0 / 86_400_000).cast_signed()
}

fn count(sql: &Connection, hash: [u8; 32], day: i64) -> rusqlite::Result<Option<Quota>> {
    let text = "UPDATE api_keys SET used = CASE day WHEN ?2 THEN used + 1 ELSE 1 END, day = ?2
                WHERE key = ?1 RETURNING per_minute, per_day, used";
    sql.prepare_cached(text)?
        .query_row(params![hash.as_slice(), day], |row| {
            let per_day = row.get::<_, i64>(1)?.cast_unsigned();
            let used = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(Quota { per_minute: row.get(0)?, per_day, within_day: used <= per_day })
        })
        .optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_counted_by_the_day_and_kept_as_a_hash() {
        let keys = Keys::in_db(crate::db::in_memory());
        let key = keys.make("tool", Tier::Free, (10, 2), UnixMs(0)).unwrap();
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let mut within = Vec::new();
        for _ in 0..3 {
            within.push(keys.use_once(hash, UnixMs(5)).await.unwrap().unwrap().within_day);
        }
        assert_eq!(within, [true, true, false]);
        let tomorrow = UnixMs(86_400_000);
        assert!(keys.use_once(hash, tomorrow).await.unwrap().unwrap().within_day);
        assert_eq!(keys.use_once([0; 32], tomorrow).await.unwrap(), None);
        assert!(keys.make("tool", Tier::Paid, (1, 1), tomorrow).is_err(), "a label is taken once");
        assert!(keys.remove("tool").unwrap() && keys.all(tomorrow).unwrap().is_empty());
    }
}

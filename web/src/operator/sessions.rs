//! Operators' tokens and sessions.
//!
//! Invariant: kept as hashes; compared in constant time; a session ends by itself.

use crate::db::{Db, DbError};
use crate::secrets;
use accounting::UnixMs;
use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

/// A session that was not used for so long has ended.
pub const IDLE_MS: u64 = 30 * 60 * 1000;
/// No session lasts longer.
pub const LONGEST_MS: u64 = 12 * 3600 * 1000;

/// Who may operate.
#[derive(Clone)]
pub struct Operators(Db);

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub operator: String,
    /// What each act must carry.
    pub csrf: String,
}

impl Operators {
    /// The operators in a database.
    #[must_use]
    pub fn in_db(db: Db) -> Self {
        Operators(db)
    }

    /// Makes an operator; the token is given once and cannot be read again.
    ///
    /// # Errors
    /// When the name is taken or the database cannot be written.
    pub fn make(&self, name: &str, now: UnixMs) -> Result<String, DbError> {
        let token = secrets::token();
        let hash = hash_of(&token);
        self.0.now(|sql| {
            let values = params![name, hash.as_slice(), now.0.cast_signed()];
            sql.execute("INSERT INTO operators VALUES (?, ?, ?)", values)
        })?;
        Ok(token)
    }

    /// Takes an operator's token and sessions away; gives whether there was one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remove(&self, name: &str) -> Result<bool, DbError> {
        self.0.now(|sql| Ok(sql.execute("DELETE FROM operators WHERE name = ?", [name])? > 0))
    }

    /// Their names.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn names(&self) -> Result<Vec<String>, DbError> {
        self.0.now(|sql| {
            let mut statement = sql.prepare("SELECT name FROM operators ORDER BY name")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        })
    }

    /// Begins a session for whoever has this token: its secret, for a cookie.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn log_in(&self, token: &str, now: UnixMs) -> Result<Option<String>, DbError> {
        let given = hash_of(token.trim());
        self.0
            .run(move |sql| {
                let known: Vec<(String, Vec<u8>)> = {
                    let mut statement = sql.prepare_cached("SELECT name, token FROM operators")?;
                    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    rows.collect::<Result<_, _>>()?
                };
                // All are compared, so that the time says nothing about which.
                let found = known.into_iter().fold(None, |found, (name, hash)| {
                    if secrets::same(&hash, &given) { Some(name) } else { found }
                });
                let Some(name) = found else { return Ok(None) };
                let (secret, csrf) = (secrets::token(), secrets::token());
                let at = now.0.cast_signed();
                let gone = at.saturating_sub(LONGEST_MS.cast_signed());
                sql.execute("DELETE FROM sessions WHERE made_at < ?", [gone])?;
                let hash = hash_of(&secret);
                let values = params![hash.as_slice(), name, csrf, at, at];
                sql.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", values)?;
                Ok(Some(secret))
            })
            .await
    }

    /// The session of a secret, if it has not ended; it goes on from now.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn session(&self, secret: &str, now: UnixMs) -> Result<Option<Session>, DbError> {
        let hash = hash_of(secret);
        self.0
            .run(move |sql| {
                let text = "UPDATE sessions SET seen_at = ?2 WHERE secret = ?1 AND seen_at > ?3 AND made_at > ?4
                            RETURNING operator, csrf";
                let at = |before: u64| now.0.saturating_sub(before).cast_signed();
                let values = params![hash.as_slice(), at(0), at(IDLE_MS), at(LONGEST_MS)];
                let read = |row: &rusqlite::Row<'_>| {
                    Ok(Session { operator: row.get(0)?, csrf: row.get(1)? })
                };
                sql.prepare_cached(text)?.query_row(values, read).optional()
            })
            .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn log_out(&self, secret: &str) -> Result<(), DbError> {
        let hash = hash_of(secret);
        self.0
            .run(move |sql| {
                sql.execute("DELETE FROM sessions WHERE secret = ?", [hash.as_slice()]).map(drop)
            })
            .await
    }
}

fn hash_of(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_ends_when_idle_when_old_and_with_its_operator() {
        let operators = Operators::in_db(crate::db::in_memory());
        let token = operators.make("ann", UnixMs(0)).unwrap();
        assert_eq!(operators.log_in("wrong", UnixMs(1)).await.unwrap(), None);
        let secret = operators.log_in(&token, UnixMs(1)).await.unwrap().unwrap();
        let at = async |ms: u64| operators.session(&secret, UnixMs(ms)).await.unwrap();
        assert_eq!(at(2).await.unwrap().operator, "ann");
        assert!(at(2 + IDLE_MS).await.is_none(), "idle");
        let secret = operators.log_in(&token, UnixMs(1)).await.unwrap().unwrap();
        let mut now = 1;
        while now + IDLE_MS / 2 < LONGEST_MS {
            now += IDLE_MS / 2;
            assert!(operators.session(&secret, UnixMs(now)).await.unwrap().is_some());
        }
        assert!(operators.session(&secret, UnixMs(LONGEST_MS + 1)).await.unwrap().is_none(), "old");
        let secret = operators.log_in(&token, UnixMs(5)).await.unwrap().unwrap();
        assert!(operators.remove("ann").unwrap());
        assert!(operators.session(&secret, UnixMs(6)).await.unwrap().is_none(), "removed");
        assert_eq!(operators.log_in(&token, UnixMs(7)).await.unwrap(), None);
    }
}

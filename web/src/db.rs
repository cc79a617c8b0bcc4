//! The web's own small database: charts, machines' totals, profiles, keys, sessions and the outbox of notices.
//!
//! Invariant: nothing in it is money, and the pool runs without it; so it is synced seldom and never makes a miner wait.

use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The file's name in the data folder.
pub const FILE_NAME: &str = "web.sqlite";
/// The newest schema.
const SCHEMA: u32 = 4;

/// What makes the schema after the first, the second and so on.
const STEPS: [&str; 3] = [
    "ALTER TABLE profiles ADD COLUMN unconfirmed TEXT",
    include_str!("db/node_calls.sql"),
    include_str!("db/tickets.sql"),
];
/// How many of them are in what a new file is made by.
const STEPS_IN_FIRST: usize = 1;

/// What went wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be used.
    #[error("the web's database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A newer program wrote it.
    #[error(
        "the web's database has schema {0}, and this program knows {SCHEMA}: use the newer program, or move the file away"
    )]
    Newer(u32),
    /// A thread that used it has ended badly.
    #[error("the web's database: {0}")]
    Gone(String),
}

/// A handle to it. One connection: writes are few and small.
#[derive(Clone)]
pub struct Db(Arc<Mutex<Connection>>);

impl Db {
    /// Opens the file, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(folder: &Path) -> Result<Self, DbError> {
        Self::prepared(Connection::open(folder.join(FILE_NAME))?)
    }

    /// Writes a consistent copy of a folder's database into a new file, on the disk when this returns; gives whether there was
    /// one.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn copy(folder: &Path, into: &Path) -> Result<bool, DbError> {
        let file = folder.join(FILE_NAME);
        if !file.exists() {
            return Ok(false);
        }
        let db = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(Duration::from_secs(10))?;
        db.execute("VACUUM INTO ?", [into.to_string_lossy()])?;
        let synced = std::fs::File::open(into).and_then(|file| file.sync_all());
        synced.map_err(|error| DbError::Gone(error.to_string()))?;
        Ok(true)
    }

    fn prepared(mut db: Connection) -> Result<Self, DbError> {
        db.busy_timeout(Duration::from_secs(10))?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;",
        )?;
        let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > SCHEMA {
            return Err(DbError::Newer(found));
        }
        if found == 0 {
            let tx = db.transaction()?;
            tx.execute_batch(include_str!("db.sql"))?;
            for step in STEPS.iter().skip(STEPS_IN_FIRST) {
                tx.execute_batch(step)?;
            }
            tx.pragma_update(None, "user_version", SCHEMA)?;
            tx.commit()?;
        }
        // Each step from one schema to the next.
        for (at, step) in (1..).zip(STEPS) {
            if found > 0 && found <= at {
                let tx = db.transaction()?;
                tx.execute_batch(step)?;
                tx.pragma_update(None, "user_version", at + 1)?;
                tx.commit()?;
            }
        }
        Ok(Db(Arc::new(Mutex::new(db))))
    }

    /// Uses it on this thread, which must be one that may block.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn now<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DbError> {
        let mut db = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(&mut db)?)
    }

    /// Uses it from async code.
    ///
    /// # Errors
    /// As SQLite reports.
    pub async fn run<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let own = self.clone();
        let done = tokio::task::spawn_blocking(move || own.now(work)).await;
        done.unwrap_or_else(|error| Err(DbError::Gone(error.to_string())))
    }
}

/// A database in memory, for tests.
#[cfg(test)]
pub(crate) fn in_memory() -> Db {
    Db::prepared(Connection::open_in_memory().unwrap()).unwrap()
}

//! The door's own tables: leases, votes, keys, earnings and epochs, in a SQLite file of their own.
//!
//! Everything that one batch changes is one transaction, synced before anybody is told. Invariant: what was written can be put
//! together again into the desk that wrote it; a file of a newer program is not touched.

mod earnings;
pub mod epochs;
pub mod forward;
mod leases;
pub(crate) mod load;
pub mod owners;
pub mod reader;
pub mod standing;
pub(crate) mod write;

use crate::desk::Change;
use crate::dsl::canonical::Fingerprint;
use crate::task::AlgorithmId;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::time::Duration;

/// The file's name in the data folder.
pub const FILE_NAME: &str = "compute.sqlite";
/// The newest schema.
const SCHEMA: u32 = 3;

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be used now.
    #[error("the compute door's tables: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A newer program wrote it.
    #[error(
        "{FILE_NAME} has schema {0}, and this program knows {SCHEMA}: use the newer program, or restore a backup"
    )]
    Newer(u32),
    /// Epochs had another length.
    #[error(
        "epochs of this pool are {fixed} s long, and the configuration says {asked} s: their length is for ever; change it back"
    )]
    EpochLength {
        /// Seconds.
        fixed: u64,
        /// Seconds.
        asked: u64,
    },
    /// A row means nothing.
    #[error("{FILE_NAME} is damaged ({0}): restore a backup")]
    Damaged(&'static str),
}

/// The open file. One connection, on the thread that holds the desk.
#[derive(Debug)]
pub struct Tables(Connection);

impl Tables {
    /// Opens the file, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(folder: &Path) -> Result<Self, TableError> {
        Self::prepared(Connection::open(folder.join(FILE_NAME))?)
    }

    fn prepared(mut db: Connection) -> Result<Self, TableError> {
        db.busy_timeout(Duration::from_secs(10))?;
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        db.set_prepared_statement_cache_capacity(64);
        let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > SCHEMA {
            return Err(TableError::Newer(found));
        }
        let tx = db.transaction()?;
        if found == 0 {
            tx.execute_batch(include_str!("tables.sql"))?;
        }
        if found < 2 {
            tx.execute_batch(include_str!("tables/schema_2.sql"))?;
        }
        if found < 3 {
            tx.execute_batch(include_str!("tables/schema_3.sql"))?;
            tx.pragma_update(None, "user_version", SCHEMA)?;
        }
        tx.commit()?;
        let tables = Tables(db);
        if found == 1 {
            // Votes stood in their algorithm's row: written again, they get rows of their own.
            tables.begin()?;
            for waiting in tables.waiting()? {
                tables.write(&Change::Algorithm(Box::new(waiting)))?;
            }
            tables.commit()?;
        }
        Ok(tables)
    }

    /// Copies the tables of a folder, at one consistent moment, into a new file; nothing where there are none.
    ///
    /// # Errors
    /// As SQLite reports, and when the copy cannot be read back.
    pub fn copy(folder: &Path, into: &Path) -> Result<bool, TableError> {
        let file = folder.join(FILE_NAME);
        if !file.exists() {
            return Ok(false);
        }
        let db = Connection::open(file)?;
        db.busy_timeout(Duration::from_secs(10))?;
        db.execute("VACUUM INTO ?", [into.to_string_lossy()])?;
        let copy = Connection::open(into)?;
        let sound: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        match sound == "ok" {
            true => Ok(true),
            false => Err(TableError::Damaged("the copy")),
        }
    }

    /// Begins a batch; without [`Tables::commit`] nothing of it is written.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn begin(&self) -> Result<(), TableError> {
        Ok(self.0.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Ends a batch: on the disk when this returns.
    ///
    /// # Errors
    /// As SQLite reports; then nothing of the batch is written.
    pub fn commit(&self) -> Result<(), TableError> {
        Ok(self.0.execute_batch("COMMIT")?)
    }

    /// Gives a batch up.
    pub fn roll_back(&self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::debug!(%error, "there was nothing to roll back");
        }
    }

    /// Has the pool ever had a program of this name?
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn knows(&self, name: &Fingerprint) -> Result<bool, TableError> {
        let sql = "SELECT 1 FROM algorithm WHERE fingerprint = ?";
        Ok(self.0.prepare_cached(sql)?.exists([name.0])?)
    }

    /// The algorithm that made these predictions first.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn elder(&self, digest: &[u8; 32]) -> Result<Option<AlgorithmId>, TableError> {
        let sql = "SELECT algorithm FROM function WHERE digest = ?";
        let found: Option<i64> =
            self.0.prepare_cached(sql)?.query_row([digest], |row| row.get(0)).optional()?;
        Ok(found.map(|id| AlgorithmId(id.cast_unsigned())))
    }

    /// A number that only this pool knows, made at the first start.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn secret(&self, fresh: u64) -> Result<u64, TableError> {
        let fresh = fresh.cast_signed();
        self.0.execute("INSERT OR IGNORE INTO setting VALUES ('secret', ?)", [fresh])?;
        let found: i64 =
            self.0.query_row("SELECT value FROM setting WHERE name = 'secret'", [], |row| {
                row.get(0)
            })?;
        Ok(found.cast_unsigned())
    }
}

/// SQLite's numbers are signed.
fn number(unsigned: u64) -> i64 {
    i64::try_from(unsigned).unwrap_or(i64::MAX)
}

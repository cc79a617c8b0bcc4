//! The tables for whoever only looks: pages, leaderboards, an operator's summary.
//!
//! Invariant: it cannot write, and who reads here holds up no step of the desk.

use super::{FILE_NAME, SCHEMA, TableError, Tables};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A connection of its own, for one reader at a time.
#[derive(Debug)]
pub struct Reader(Mutex<Tables>);

impl Reader {
    /// Reads the tables in a folder, which [`Tables::open`] has brought to today's schema.
    ///
    /// # Errors
    /// When they are not there, or of another schema.
    pub fn open(folder: &Path) -> Result<Self, TableError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(folder.join(FILE_NAME), flags)?;
        db.busy_timeout(Duration::from_secs(10))?;
        match db.query_row("PRAGMA user_version", [], |row| row.get(0))? {
            SCHEMA => Ok(Reader(Mutex::new(Tables(db)))),
            found if found > SCHEMA => Err(TableError::Newer(found)),
            _ => Err(TableError::Damaged("an earlier schema")),
        }
    }

    /// Reads.
    ///
    /// # Errors
    /// As `read` reports.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Tables) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

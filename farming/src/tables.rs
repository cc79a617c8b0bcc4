//! The door's own database: farmers, their plot NFTs, and the partials that are still to be looked at again.
//!
//! One thread writes: it takes what has arrived, does all of it in one transaction and syncs once.
//!
//! Invariant: an answer given after a write is on disk. Nothing in here is money, so whatever is unsure after a crash is done
//! again: recording a proof twice counts it once.

use rusqlite::{Connection, OpenFlags, Transaction};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// How the files of doors are called in the data folder, around the pool's number.
const NAME: &str = "farming-";
const ENDING: &str = ".sqlite";
/// The newest schema.
const SCHEMA: u32 = 2;
/// Writes that may wait; beyond it, farmers wait.
const WAITING_MAX: usize = 16_384;
/// Writes of one transaction.
const BATCH_MAX: usize = 1024;

/// What went wrong with it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TablesError {
    /// It cannot be used.
    #[error("the farming database: {0}")]
    Sqlite(String),
    /// A newer program wrote it.
    #[error(
        "the farming database has schema {0}, and this program knows {SCHEMA}: use the newer program"
    )]
    Newer(u32),
    /// Its thread has ended.
    #[error("the farming database is closed")]
    Closed,
}

impl From<rusqlite::Error> for TablesError {
    fn from(error: rusqlite::Error) -> Self {
        TablesError::Sqlite(error.to_string())
    }
}

/// Carries out a write; says what to tell whoever asked once it is on disk (or could not be written).
type Write = Box<dyn FnOnce(&mut Transaction<'_>) -> Told + Send>;
type Told = Box<dyn FnOnce(Result<(), TablesError>) + Send>;

/// A handle to it.
#[derive(Clone)]
pub struct Tables {
    file: PathBuf,
    writes: mpsc::Sender<Write>,
}

impl Tables {
    /// Opens the file, made if it is not there, and starts its thread, which ends with the last handle.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(file: &Path) -> Result<(Self, JoinHandle<()>), TablesError> {
        let file = file.to_owned();
        let db = prepared(Connection::open(&file)?)?;
        let (writes, waiting) = mpsc::channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("farming-tables".into())
            .spawn(move || keep(db, waiting))
            .map_err(|error| TablesError::Sqlite(error.to_string()))?;
        Ok((Tables { file, writes }, thread))
    }

    /// Writes; the answer comes when it is on disk.
    ///
    /// # Errors
    /// When it could not be written: then nothing of it was.
    pub async fn write<T, F>(&self, work: F) -> Result<T, TablesError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (tell, answer) = oneshot::channel();
        let write: Write = Box::new(move |transaction| {
            let done = in_savepoint(transaction, work).map_err(TablesError::from);
            Box::new(move |durable| {
                if tell.send(durable.and(done)).is_err() {
                    tracing::debug!("nobody waited for a write");
                }
            })
        });
        self.writes.send(write).await.map_err(|_| TablesError::Closed)?;
        answer.await.unwrap_or(Err(TablesError::Closed))
    }

    /// Writes, and does not wait until it is on disk.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn later<F>(&self, work: F) -> Result<(), TablesError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        let write: Write = Box::new(move |transaction| {
            if let Err(error) = in_savepoint(transaction, work) {
                tracing::error!(%error, "a row could not be written");
            }
            Box::new(|_| ())
        });
        self.writes.send(write).await.map_err(|_| TablesError::Closed)
    }

    /// Reads, on a connection of its own.
    ///
    /// # Errors
    /// As SQLite reports.
    pub async fn read<T, F>(&self, work: F) -> Result<T, TablesError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            let db = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            db.busy_timeout(std::time::Duration::from_secs(10))?;
            Ok(work(&db)?)
        });
        read.await.unwrap_or(Err(TablesError::Closed))
    }
}

/// Copies the file of a door, which may be in use, into a new one, at one moment.
///
/// # Errors
/// When it cannot be read, or the copy is there already or cannot be written.
pub fn copy(file: &Path, into: &Path) -> Result<(), TablesError> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.execute("VACUUM INTO ?", [into.to_string_lossy()])?;
    Ok(())
}

/// The file of the door of a pool with this number.
#[must_use]
pub fn file_name(pool: accounting::PoolId) -> String {
    format!("{NAME}{}{ENDING}", pool.0)
}

/// Is this how the file of a door is called?
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let number = name.strip_prefix(NAME).and_then(|rest| rest.strip_suffix(ENDING));
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// The files of all doors in a folder.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_file_name))
        .map(|entry| entry.path())
        .collect();
    files.sort_unstable();
    files
}

fn prepared(mut db: Connection) -> Result<Connection, TablesError> {
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
    )?;
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA {
        return Err(TablesError::Newer(found));
    }
    if found < SCHEMA {
        let transaction = db.transaction()?;
        transaction.execute_batch(match found {
            0 => include_str!("tables.sql"),
            _ => include_str!("tables_1_to_2.sql"),
        })?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
        transaction.commit()?;
    }
    Ok(db)
}

fn in_savepoint<T>(
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let savepoint = transaction.savepoint()?;
    let done = work(&savepoint)?;
    savepoint.commit()?;
    Ok(done)
}

fn keep(mut db: Connection, mut waiting: mpsc::Receiver<Write>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let mut answers = Vec::with_capacity(batch.len());
        let written = write_all(&mut db, &mut batch, &mut answers);
        if let Err(error) = &written {
            tracing::error!(%error, "the farming database cannot be written");
        }
        for answer in answers {
            answer(written.clone());
        }
    }
}

fn write_all(
    db: &mut Connection,
    batch: &mut Vec<Write>,
    answers: &mut Vec<Told>,
) -> Result<(), TablesError> {
    let mut transaction = db.transaction()?;
    for write in batch.drain(..) {
        answers.push(write(&mut transaction));
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_answered_is_there_after_a_restart_and_a_failed_write_takes_nobody_along() {
        let folder = tempfile::tempdir().unwrap();
        let (tables, thread) = Tables::open(&folder.path().join("farming.sqlite")).unwrap();
        let insert = |n: i64| {
            move |db: &Connection| {
                db.execute("INSERT INTO refusals VALUES (x'00', ?, 'late', 1)", [n])
            }
        };
        let (good, again, broken) = tokio::join!(
            tables.write(insert(1)),
            tables.write(insert(2)),
            tables.write(|db| db.execute("INSERT INTO nowhere VALUES (1)", [])),
        );
        assert!(good.is_ok() && again.is_ok() && broken.is_err());
        drop(tables);
        thread.join().unwrap();
        let (tables, thread) = Tables::open(&folder.path().join("farming.sqlite")).unwrap();
        let count =
            |db: &Connection| db.query_row("SELECT count(*) FROM refusals", [], |row| row.get(0));
        assert_eq!(tables.read(count).await.map_err(|error| error.to_string()), Ok(2));
        drop(tables);
        thread.join().unwrap();
    }

    /// What a schema says of a table's columns, however they are laid out.
    fn columns(db: &Connection) -> Vec<(String, String, String, bool)> {
        let sql = "SELECT t.name, c.name, c.type, c.\"notnull\" FROM sqlite_schema t, pragma_table_info(t.name) c
                   WHERE t.type = 'table' ORDER BY 1, 2";
        let mut statement = db.prepare(sql).unwrap();
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn the_first_schema_becomes_the_newest_with_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("farming.sqlite");
        let old = Connection::open(&file).unwrap();
        // As the first schema had it.
        let first = include_str!("tables.sql")
            .replace("  joined_at ", "  member_since INTEGER NOT NULL,\n  joined_at ")
            .lines()
            .filter(|line| !line.contains(" since "))
            .collect::<Vec<_>>()
            .join("\n");
        old.execute_batch(&first).unwrap();
        old.execute_batch(
            "CREATE TABLE bundles (id BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
             INSERT INTO farmers VALUES (x'01', x'02', 1, x'', x'', '', NULL, 77, 1, 1, 0, 0);
             INSERT INTO tips VALUES (x'01', 0, x'', x'', 1, 70, x'', x'', NULL, 1);
             PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(old);
        let newest = prepared(Connection::open(&file).unwrap()).unwrap();
        let since: u32 = newest.query_row("SELECT since FROM tips", [], |row| row.get(0)).unwrap();
        assert_eq!(since, 77);
        let fresh = prepared(Connection::open_in_memory().unwrap()).unwrap();
        assert_eq!(columns(&newest), columns(&fresh));
        let again = prepared(Connection::open(&file).unwrap());
        assert!(again.is_ok());
    }

    #[test]
    fn a_newer_schema_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let db = Connection::open(folder.path().join("farming.sqlite")).unwrap();
        db.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
        drop(db);
        let opened = Tables::open(&folder.path().join("farming.sqlite"));
        assert!(matches!(opened, Err(TablesError::Newer(found)) if found == SCHEMA + 1));
    }
}

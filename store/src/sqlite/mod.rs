//! The embedded store: one SQLite file in WAL mode, synced on every commit.
//!
//! Invariant: one process writes (a lock file says so); a commit that returned is on disk (`synchronous=FULL`); the WAL
//! is folded back into the file by a thread of its own, so that no acknowledgement waits for that.

mod apply;
mod checkpoint;
mod listing;
mod load;
mod log;
mod reader;
mod value;

pub use listing::{
    AccountPayoutRow, AccountRow, CreditRow, CreditSource, Cut, HoldRow, PartRow, PayoutRow,
    PayoutSummary, RewardFilter, RewardRow, SplitPart,
};
pub use reader::{FoldDifference, Reader};

use crate::book::Book;
use crate::change::Change;
use crate::{Store, StoreError};
use accounting::ledger::{SetKey, TransferSet};
use accounting::split::SplitRow;
use accounting::window::SourcedSlice;
use accounting::{LogEntry, PoolId, RewardId, Share, ShareKey, ShareSeq, SliceNo};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The schema this program writes.
const SCHEMA: u32 = 8;
/// How long a commit waits for the checkpoint thread to let go before it is an error.
const BUSY_MS: u64 = 10_000;

/// The store's file name within its folder.
pub const FILE_NAME: &str = "adit.db";

/// The embedded store, open for writing.
pub struct Sqlite {
    db: Connection,
    next: ShareSeq,
    /// Pools whose keys are indexed.
    keyed: HashSet<PoolId>,
    /// Held while this lives; dropped by the system when the process dies, however it dies.
    _lock: File,
    _checkpoints: checkpoint::Checkpoints,
}

/// What a store lies on.
#[derive(Debug, Clone)]
pub struct Medium {
    /// The name of a SQLite VFS; the usual one without. Tests give one whose power fails.
    pub vfs: Option<&'static str>,
    /// A write-ahead log of more pages (of 8 KiB) is begun anew: large enough to be rare, small enough to be quick.
    pub fold_beyond_pages: u64,
    /// How often the log is folded back into the file.
    pub look_every: Duration,
}

impl Default for Medium {
    fn default() -> Self {
        Medium { vfs: None, fold_beyond_pages: 2048, look_every: Duration::from_millis(500) }
    }
}

impl Medium {
    fn connect(&self, path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
        match self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
            None => Connection::open_with_flags(path, flags),
        }
    }
}

impl Sqlite {
    /// Opens (or creates) the store in a folder, alone.
    ///
    /// # Errors
    /// When another process has it, a newer program wrote it, or it cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_on(folder, &Medium::default())
    }

    /// As [`Sqlite::open`], on a medium of the caller's choice.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_on(folder: &Path, medium: &Medium) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|e| unavailable(folder, &e))?;
        let lock = lock(folder)?;
        let path = folder.join(FILE_NAME);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = medium.connect(&path, flags)?;
        configure(&db)?;
        migrate(&mut db)?;
        let next = log::end(&db)?.next();
        let checkpoints = checkpoint::Checkpoints::start(&path, medium)?;
        Ok(Sqlite { db, next, keyed: HashSet::new(), _lock: lock, _checkpoints: checkpoints })
    }

    /// Folds the WAL back into the file now.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        Ok(self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

impl Store for Sqlite {
    fn append(&mut self, entries: &[LogEntry]) -> Result<ShareSeq, StoreError> {
        let first = self.next;
        log::append(&mut self.db, first, entries, &self.keyed)?;
        self.next = ShareSeq(first.0 + entries.len() as u64);
        Ok(first)
    }

    fn scan(
        &mut self,
        from: ShareSeq,
        each: &mut dyn FnMut(ShareSeq, LogEntry),
    ) -> Result<(), StoreError> {
        log::scan(&self.db, from, each)
    }

    fn apply(&mut self, watermark: ShareSeq, changes: &[Change]) -> Result<(), StoreError> {
        Ok(apply::apply(&mut self.db, watermark, changes)?)
    }

    fn load(&mut self) -> Result<Book, StoreError> {
        load::load(&self.db)
    }

    fn slice(
        &mut self,
        pool: PoolId,
        no: SliceNo,
        as_of: ShareSeq,
    ) -> Result<Option<SourcedSlice>, StoreError> {
        load::slice(&self.db, pool, no, as_of)
    }

    fn share(&mut self, seq: ShareSeq) -> Result<Option<Share>, StoreError> {
        Ok(log::share(&self.db, seq)?)
    }

    fn index_keys(&mut self, pools: &[PoolId]) {
        self.keyed = pools.iter().copied().collect();
    }

    fn position_of(&mut self, pool: PoolId, key: ShareKey) -> Result<Option<ShareSeq>, StoreError> {
        Ok(log::position_of(&self.db, pool, key)?)
    }

    fn slice_at(&mut self, pool: PoolId, seq: ShareSeq) -> Result<Option<SliceNo>, StoreError> {
        Ok(load::slice_at(&self.db, pool, seq)?)
    }

    fn split_rows(&mut self, block: RewardId) -> Result<Vec<SplitRow>, StoreError> {
        Ok(load::split_rows(&self.db, block)?.into_iter().map(|(row, _)| row).collect())
    }

    fn set(&mut self, key: &SetKey) -> Result<Option<TransferSet>, StoreError> {
        load::set(&self.db, key)
    }

    fn count_boot(&mut self) -> Result<u32, StoreError> {
        Ok(self.db.query_row("UPDATE state SET boots = boots + 1 RETURNING boots", [], |row| {
            row.get(0)
        })?)
    }
}

fn configure(db: &Connection) -> Result<(), StoreError> {
    db.busy_timeout(Duration::from_millis(BUSY_MS))?;
    db.set_prepared_statement_cache_capacity(128);
    // The page size only takes effect in a new file; 8 KiB halves the tree's depth and measured best for appends.
    db.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536;",
    )?;
    Ok(())
}

/// What brings a file from each schema to the next, from 1 on.
const STEPS: [&str; 7] = [
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
];
/// What makes a new file: the tables as they are now, and the steps that did nothing but add some.
const FRESH: [&str; 3] =
    [include_str!("schema.sql"), include_str!("schema_3.sql"), include_str!("schema_4.sql")];

/// Brings an older file to this program's schema, each step in a transaction of its own.
fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA {
        return Err(StoreError::Newer { found, known: SCHEMA });
    }
    if found == 0 {
        let tx = db.transaction()?;
        FRESH.iter().try_for_each(|part| tx.execute_batch(part))?;
        tx.pragma_update(None, "user_version", SCHEMA)?;
        return Ok(tx.commit()?);
    }
    for (from, step) in (1..SCHEMA).zip(STEPS).skip_while(|(from, _)| *from < found) {
        tracing::info!(from, "the store is brought to a newer schema; a large one takes minutes");
        let tx = db.transaction()?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", from + 1)?;
        tx.commit()?;
    }
    Ok(())
}

/// Takes a store's folder without opening the store: no other process has it while this lives.
///
/// # Errors
/// When another process has it, or the folder cannot be written.
pub fn alone(folder: &Path) -> Result<impl Sized + use<>, StoreError> {
    lock(folder)
}

/// Takes the folder's lock, which the operating system releases when the process ends.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("adit.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| unavailable(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: PathBuf::from(folder) }),
        Err(TryLockError::Error(e)) => Err(unavailable(&path, &e)),
    }
}

fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let retry = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::ReadOnly
                    | ErrorCode::OutOfMemory
                    | ErrorCode::CannotOpen
                    | ErrorCode::PermissionDenied
            )
        );
        if retry {
            StoreError::Unavailable(error.to_string())
        } else {
            StoreError::Damaged(error.to_string())
        }
    }
}

//! Folds the write-ahead log back into the database file, beside the writer and never in its way for long.
//!
//! The file of the log keeps its size and is written again from its beginning: syncing a log that need not grow is cheaper.
//!
//! Invariant: a checkpoint only moves what is committed already; losing one loses nothing.

use super::Medium;
use crate::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The thread; it ends when this is dropped.
pub(super) struct Checkpoints {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts it on a connection of its own.
    pub(super) fn start(path: &Path, medium: &Medium) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = medium.connect(path, flags)?;
        db.busy_timeout(Duration::from_millis(250))?;
        db.execute_batch("PRAGMA synchronous = FULL;")?;
        let (stop, stopped) = channel();
        let Medium { fold_beyond_pages, look_every, .. } = *medium;
        let body = move || {
            let mut is_told = false;
            while stopped.recv_timeout(look_every) == Err(RecvTimeoutError::Timeout) {
                match fold(&db, fold_beyond_pages) {
                    Err(error) if !is_told => {
                        tracing::warn!(%error, "the write-ahead log could not be folded back; it grows until that succeeds");
                        is_told = true;
                    }
                    outcome => is_told = outcome.is_err(),
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(body);
        let thread = thread
            .map_err(|e| StoreError::Unavailable(format!("no thread for checkpoints: {e}")))?;
        Ok(Checkpoints { stop: Some(stop), thread: Some(thread) })
    }
}

/// Copies what is committed without the writer's lock; once the log is long, lets the next commit begin it anew.
fn fold(db: &Connection, beyond_pages: u64) -> Result<(), rusqlite::Error> {
    let pages: i64 = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?;
    if u64::try_from(pages).is_ok_and(|pages| pages > beyond_pages) {
        db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
    }
    Ok(())
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

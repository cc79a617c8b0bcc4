//! Folds the write-ahead log back into the database file, beside the writer and never in its way for long.
//!
//! Invariant: a checkpoint only moves what is committed already; losing one loses nothing.

use super::Medium;
use crate::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
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
        let mut log: PathBuf = path.to_path_buf();
        log.as_mut_os_string().push("-wal");
        let (stop, stopped) = channel();
        let Medium { fold_beyond_bytes, look_every, .. } = *medium;
        let body = move || {
            while stopped.recv_timeout(look_every) == Err(RecvTimeoutError::Timeout) {
                if std::fs::metadata(&log).is_ok_and(|file| file.len() > fold_beyond_bytes) {
                    fold(&db);
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(body);
        let thread = thread
            .map_err(|e| StoreError::Unavailable(format!("no thread for checkpoints: {e}")))?;
        Ok(Checkpoints { stop: Some(stop), thread: Some(thread) })
    }
}

/// Most of the work without the writer's lock, then the small rest with it, so that the log starts again from its
/// beginning.
fn fold(db: &Connection) {
    for mode in ["PASSIVE", "TRUNCATE"] {
        let pragma = format!("PRAGMA wal_checkpoint({mode})");
        if let Err(error) = db.query_row(&pragma, [], |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log could not be folded back; it grows until that succeeds");
            return;
        }
    }
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

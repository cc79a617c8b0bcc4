//! Read-only connections to the store, for pages and answers.
//!
//! Invariant: at most [`READERS_MAX`] queries run at a time, off the async threads; a reader never blocks the writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Reader, StoreError};
use tokio::sync::Semaphore;

/// Queries at a time: more would only wait for the processors that miners need.
pub const READERS_MAX: usize = 4;

/// A few read-only connections, opened when they are needed.
#[derive(Clone)]
pub struct Readers {
    folder: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Reader>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// Readers of the store in this folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let turns = Arc::new(Semaphore::new(READERS_MAX));
        Readers { folder: Arc::new(folder.to_owned()), idle: Arc::default(), turns }
    }

    /// Runs a query on a thread that may block.
    ///
    /// # Errors
    /// As the query, or when the store cannot be opened.
    pub async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let unavailable = |error: String| StoreError::Unavailable(error);
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|error| unavailable(error.to_string()))?;
        let own = self.clone();
        let run = move || {
            let reader = own.take()?;
            let found = query(&reader);
            if found.is_ok() {
                own.give_back(reader);
            }
            drop(turn);
            found
        };
        let done = tokio::task::spawn_blocking(run).await;
        done.unwrap_or_else(|error| Err(unavailable(error.to_string())))
    }

    fn take(&self) -> Result<Reader, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Reader::open(&self.folder), Ok)
    }

    fn give_back(&self, reader: Reader) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }
}

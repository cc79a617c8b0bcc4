//! Durability, knowing nothing of mining.
//!
//! A [`Store`] is a log of facts, a book of their consequences, and the means to load both again. It blocks, and is used
//! on the writer's thread only; people and the web read through a [`Reader`] of their own.
//!
//! Invariant: when a call returns `Ok`, what it was given is on disk and synced. When it returns an error, nothing of it
//! will be believed.
//!
//! Reading order: [`change`] (what the book can be told), [`book`] (what it gives back at start), [`sqlite`].

pub mod book;
pub mod change;
pub mod sqlite;

pub use book::Book;
pub use change::Change;
pub use sqlite::{Medium, Reader, Sqlite};

use accounting::ledger::{SetKey, TransferSet};
use accounting::split::SplitRow;
use accounting::window::SourcedSlice;
use accounting::{LogEntry, PoolId, RewardId, Share, ShareKey, ShareSeq, SliceNo};
use std::path::PathBuf;

/// Why the store did not do it, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Disk full, I/O error, locked: nothing was written; try again later and tell the operator.
    #[error(
        "the store cannot write now: {0}. Free disk space or mend the disk; the pool tries again by itself"
    )]
    Unavailable(String),
    /// Another process has it.
    #[error("{} is in use by another adit process: stop that one first (only one may write)", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// Written by a newer program.
    #[error(
        "the store has schema {found}, this program knows {known}: run the newer adit that wrote it"
    )]
    Newer {
        /// In the file.
        found: u32,
        /// In this program.
        known: u32,
    },
    /// What is stored contradicts itself; no retry will help.
    #[error(
        "the store is damaged: {0}. Stop, keep a copy of the data folder, and restore the last backup"
    )]
    Damaged(String),
}

/// A log of facts and the book folded from it.
///
/// Implementations: [`Sqlite`]; a replicated log with a database behind it fits the same shape, which is why the log and
/// the book are written by different calls and nothing relies on their being one transaction.
pub trait Store: Send {
    /// Appends entries to the log and syncs; gives the position of the first, the others follow without gaps.
    ///
    /// # Errors
    /// Nothing was appended then.
    fn append(&mut self, entries: &[LogEntry]) -> Result<ShareSeq, StoreError>;

    /// Reads the log from a position on, in order.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn scan(
        &mut self,
        from: ShareSeq,
        each: &mut dyn FnMut(ShareSeq, LogEntry),
    ) -> Result<(), StoreError>;

    /// Applies changes to the book in one transaction and syncs. `watermark` is the position up to which the log has been
    /// folded into the book. Applying the same changes again changes nothing.
    ///
    /// # Errors
    /// Nothing was applied then.
    fn apply(&mut self, watermark: ShareSeq, changes: &[Change]) -> Result<(), StoreError>;

    /// Everything the writer keeps in memory.
    ///
    /// # Errors
    /// When the book cannot be read or contradicts itself.
    fn load(&mut self) -> Result<Book, StoreError>;

    /// A closed slice, with what was revoked of it up to a log position.
    ///
    /// # Errors
    /// When the book cannot be read.
    fn slice(
        &mut self,
        pool: PoolId,
        no: SliceNo,
        as_of: ShareSeq,
    ) -> Result<Option<SourcedSlice>, StoreError>;

    /// One share of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn share(&mut self, seq: ShareSeq) -> Result<Option<Share>, StoreError>;

    /// From now on the log's shares of these pools are found by their keys ([`Store::position_of`]). A pool is one of them from
    /// its first share on, or never.
    fn index_keys(&mut self, pools: &[PoolId]);

    /// The position of the share of this key, in a pool whose keys are indexed.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn position_of(&mut self, pool: PoolId, key: ShareKey) -> Result<Option<ShareSeq>, StoreError>;

    /// The closed slice of a pool that covers a log position, or the last one before it.
    ///
    /// # Errors
    /// When the book cannot be read.
    fn slice_at(&mut self, pool: PoolId, seq: ShareSeq) -> Result<Option<SliceNo>, StoreError>;

    /// The rows of a reward's split, ascending by account; none where there is no such reward, or it is not split.
    ///
    /// # Errors
    /// When the book cannot be read.
    fn split_rows(&mut self, block: RewardId) -> Result<Vec<SplitRow>, StoreError>;

    /// A set of transfers, whatever its state.
    ///
    /// # Errors
    /// When the book cannot be read.
    fn set(&mut self, key: &SetKey) -> Result<Option<TransferSet>, StoreError>;

    /// Counts this start of the program and gives the number: unique for ever, so that work handed out after a crash is
    /// never the same as work handed out before it.
    ///
    /// # Errors
    /// When it could not be written.
    fn count_boot(&mut self) -> Result<u32, StoreError>;
}

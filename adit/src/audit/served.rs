//! A pool's slices as its API serves them.
//!
//! Invariant: a slice is what it was when it was first served, none is missing that the pool had closed when the audit began, and
//! what was revoked of it only grows with the log.

use accounting::audit::{Difference, check_link, check_reach};
use accounting::reward::End;
use accounting::slice::Tally;
use accounting::window::{SliceSource, SourcedSlice, WindowTable};
use accounting::{AccountId, PoolId, ShareSeq, SliceNo};
use std::collections::{BTreeMap, HashMap};
use tokio::runtime::Runtime;
use web::model::slices::Slice;
use web::remote::Remote;

/// Slices fetched at once when one is missing; the API's pages go from newer to older.
const AHEAD: u64 = web::model::ROWS_MAX - 1;

/// What a pool cannot explain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrue {
    /// It had closed a slice, and does not serve it.
    #[error("slice {no} of pool {pool} is missing, though the pool has closed {newest}")]
    Missing {
        /// The pool.
        pool: PoolId,
        /// The slice.
        no: SliceNo,
        /// The newest.
        newest: SliceNo,
    },
    /// It served a slice in two ways.
    #[error("slice {no} of pool {pool} is served in two ways")]
    Changed {
        /// The pool.
        pool: PoolId,
        /// The slice.
        no: SliceNo,
    },
    /// What had been revoked of it is not revoked any more, or was not yet.
    #[error("what was revoked of slice {no} of pool {pool} is served in two ways")]
    Revoked {
        /// The pool.
        pool: PoolId,
        /// The slice.
        no: SliceNo,
    },
}

/// What was seen of slices so far, in the whole audit.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each pool's newest slice when the audit began.
    pub newest: BTreeMap<PoolId, SliceNo>,
    hashes: HashMap<(PoolId, SliceNo), [u8; 32]>,
    /// What was revoked of a slice, at the latest place of the log that was asked for.
    revoked: HashMap<(PoolId, SliceNo), (ShareSeq, BTreeMap<AccountId, Tally>)>,
}

impl Seen {
    /// The hash of a slice that was read.
    pub fn hash(&self, pool: PoolId, no: SliceNo) -> Option<[u8; 32]> {
        self.hashes.get(&(pool, no)).copied()
    }

    fn look(&mut self, pool: PoolId, as_of: ShareSeq, found: &SourcedSlice) -> Result<(), Untrue> {
        let no = found.slice.no;
        if *self.hashes.entry((pool, no)).or_insert(found.slice.hash) != found.slice.hash {
            return Err(Untrue::Changed { pool, no });
        }
        let mut revoked: BTreeMap<AccountId, Tally> = BTreeMap::new();
        for (account, tally) in &found.revoked {
            revoked.entry(*account).or_default().add(*tally);
        }
        let known = self.revoked.entry((pool, no)).or_insert_with(|| (as_of, revoked.clone()));
        let (earlier, later) =
            if as_of <= known.0 { (&revoked, &known.1) } else { (&known.1, &revoked) };
        let is_less = |(account, tally): (&AccountId, &Tally)| {
            later
                .get(account)
                .is_some_and(|later| tally.weight <= later.weight && tally.shares <= later.shares)
        };
        if !earlier.iter().all(is_less) {
            return Err(Untrue::Revoked { pool, no });
        }
        if as_of > known.0 {
            *known = (as_of, revoked);
        }
        Ok(())
    }
}

/// A pool's slices as it serves them, as they stood at a place of the log.
pub struct Served<'a> {
    remote: &'a Remote,
    runtime: &'a Runtime,
    seen: &'a mut Seen,
    pool: PoolId,
    as_of: ShareSeq,
    known: BTreeMap<SliceNo, Slice>,
}

impl<'a> Served<'a> {
    /// The slices of one pool.
    pub fn of(
        (remote, runtime): (&'a Remote, &'a Runtime),
        seen: &'a mut Seen,
        pool: PoolId,
        as_of: ShareSeq,
    ) -> Self {
        Served { remote, runtime, seen, pool, as_of, known: BTreeMap::new() }
    }

    /// A slice; fetched with its neighbours when it is not known yet.
    ///
    /// # Errors
    /// When the pool does not answer, or not as it did before.
    pub fn served(&mut self, no: SliceNo) -> anyhow::Result<Option<Slice>> {
        if !self.known.contains_key(&no) {
            self.fetch(no)?;
        }
        let (pool, newest) = (self.pool, self.newest());
        match self.known.get(&no) {
            Some(found) => Ok(Some(found.clone())),
            None if no.0 > 0 && no <= newest => Err(Untrue::Missing { pool, no, newest }.into()),
            None => Ok(None),
        }
    }

    fn newest(&self) -> SliceNo {
        self.seen.newest.get(&self.pool).copied().unwrap_or_default()
    }

    fn fetch(&mut self, no: SliceNo) -> anyhow::Result<()> {
        // Whoever reads upwards wants those above, whoever reads a window those below: a page that has both.
        let newest = match self.known.last_key_value() {
            Some((last, _)) if last.next() == no => no.0.saturating_add(AHEAD),
            _ => no.0.saturating_add(1),
        };
        let mut before = Some(newest.saturating_add(1));
        // A page ends where its slices are large: the one wanted may be on a later one.
        while let Some(asked) = before.filter(|_| !self.known.contains_key(&no)) {
            let page = self.remote.slices(self.pool.0, self.as_of.0, asked);
            let page = self.runtime.block_on(page)?;
            let next = page.next.and_then(|next| next.parse().ok());
            before = next.filter(|next| *next < asked && *next > no.0);
            for slice in page.rows {
                self.seen.look(self.pool, self.as_of, &slice.sourced(self.pool)?)?;
                self.known.insert(SliceNo(slice.no), slice);
            }
        }
        Ok(())
    }

    /// Nothing before this is needed any more.
    pub fn forget_before(&mut self, no: SliceNo) {
        self.known = self.known.split_off(&no);
    }

    /// Does a window reach up to its block, and is every slice of it linked to the one before?
    ///
    /// # Errors
    /// The outer error is the pool's, the inner one the first difference.
    pub fn whole(
        &mut self,
        window: &WindowTable,
        end: End,
    ) -> anyhow::Result<Result<(), Difference>> {
        // A window that ends beyond every slice is no window.
        if window.through > self.newest() {
            return Ok(Err(Difference::Reach(window.through)));
        }
        if let Err(difference) = check_reach(window, end, self)? {
            return Ok(Err(difference));
        }
        for no in window.from.0.max(1)..=window.through.0 {
            if let Err(difference) = self.linked(SliceNo(no))? {
                return Ok(Err(difference));
            }
        }
        Ok(Ok(()))
    }

    /// Does a slice's hash follow from its rows and the slice before?
    ///
    /// # Errors
    /// The outer error is the pool's, the inner one the difference.
    pub fn linked(&mut self, no: SliceNo) -> anyhow::Result<Result<(), Difference>> {
        let Some(found) = self.slice(no)? else { return Ok(Err(Difference::Slice(no))) };
        let before = match no.0 {
            0 | 1 => None,
            no => self.slice(SliceNo(no - 1))?.map(|before| before.slice),
        };
        Ok(check_link(&found.slice, before.as_ref()))
    }

    /// What was revoked of a window's slices, in words; empty where nothing was. Why, only the pool knows.
    ///
    /// # Errors
    /// When the pool does not answer.
    pub fn revoked_in_words(
        &mut self,
        window: &WindowTable,
        own: Option<AccountId>,
    ) -> anyhow::Result<String> {
        let (mut all, mut of_own) = (Tally::default(), Tally::default());
        for no in window.from.0.max(1)..=window.through.0 {
            let revoked = self.slice(SliceNo(no))?.map(|found| found.revoked);
            for (account, tally) in revoked.unwrap_or_default() {
                all.add(tally);
                if Some(account) == own {
                    of_own.add(tally);
                }
            }
        }
        if all == Tally::default() {
            return Ok(String::new());
        }
        let yours = if of_own == Tally::default() {
            String::new()
        } else {
            format!(" (of them {} shares of yours of work {})", of_own.shares, of_own.weight)
        };
        Ok(format!(", {} shares of work {} were revoked{yours}", all.shares, all.weight))
    }
}

impl SliceSource for Served<'_> {
    type Error = anyhow::Error;

    fn slice(&mut self, no: SliceNo) -> anyhow::Result<Option<SourcedSlice>> {
        let pool = self.pool;
        Ok(self.served(no)?.map(|slice| slice.sourced(pool)).transpose()?)
    }
}

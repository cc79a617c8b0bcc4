//! Signatures that were believed once, kept for as long as their time would let them be believed again.
//!
//! Invariant: a signature that might still be fresh is never forgotten to make room; when there is none, requests wait.

use crate::auth::{AuthReject, SKEW_MAX_S};
use crate::key::{PublicKey, Signature};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Signatures remembered at most: ten minutes of 3 300 requests a second, about 130 MB.
pub const SEEN_MAX: usize = 2_000_000;
/// Seconds that are forgotten together.
const BUCKET_S: u64 = 30;

/// What may be believed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Names it.
    pub id: [u8; 32],
    /// When its sender says it was signed, in unix seconds.
    pub signed_at_s: u64,
}

impl Seen {
    /// A signature that says little else: its own bytes name it, because a client may sign twice in one second.
    #[must_use]
    pub fn signature(signature: &Signature, signed_at_s: u64) -> Self {
        let id =
            Sha256::new().chain_update(b"signature").chain_update(signature.bytes()).finalize();
        Seen { id: id.into(), signed_at_s }
    }

    /// A sender's number that is used once.
    #[must_use]
    pub fn nonce(protocol: &str, sender: &PublicKey, nonce_ns: u64) -> Self {
        let id = Sha256::new()
            .chain_update(protocol)
            .chain_update(sender.bytes())
            .chain_update(nonce_ns.to_be_bytes())
            .finalize();
        Seen { id: id.into(), signed_at_s: nonce_ns / 1_000_000_000 }
    }
}

/// No room for another signature now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The signatures of the last minutes, as all requests of a server share them.
#[derive(Debug)]
pub struct Replay(Mutex<ReplayCache>);

impl Replay {
    /// Shares a cache.
    #[must_use]
    pub fn of(cache: ReplayCache) -> Self {
        Replay(Mutex::new(cache))
    }

    /// The cache, alone.
    pub fn lock(&self) -> MutexGuard<'_, ReplayCache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Believes once: what was seen is refused before anything is computed, the signature is verified outside of the lock, and
    /// of two that come at one time one is believed.
    ///
    /// # Errors
    /// When it was seen, there is no room to remember it, or `verify` refuses.
    pub fn once<E: From<AuthReject>>(
        &self,
        seen: Seen,
        verify: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.lock().check(&seen)?;
        verify()?;
        self.lock().note(seen)?;
        Ok(())
    }
}

/// The signatures of the last minutes.
#[derive(Debug)]
pub struct ReplayCache {
    buckets: BTreeMap<u64, HashSet<[u8; 32]>>,
    held: usize,
    held_max: usize,
    not_before_s: u64,
}

impl ReplayCache {
    /// Empty, for a server that starts now: what was signed earlier is refused, since nobody knows what was seen then. (What
    /// was signed with a clock ahead of ours and changed anything is on disk; see [`ReplayCache::note`].)
    #[must_use]
    pub fn starting(now_s: u64) -> Self {
        Self::with_room(now_s, SEEN_MAX)
    }

    /// With another maximum.
    #[must_use]
    pub fn with_room(now_s: u64, held_max: usize) -> Self {
        ReplayCache { buckets: BTreeMap::new(), held: 0, held_max, not_before_s: now_s }
    }

    /// Is it new?
    ///
    /// # Errors
    /// That it is not, or that nobody can know.
    pub fn check(&self, seen: &Seen) -> Result<(), AuthReject> {
        if seen.signed_at_s < self.not_before_s {
            return Err(AuthReject::BeforeStart);
        }
        let bucket = self.buckets.get(&(seen.signed_at_s / BUCKET_S));
        if bucket.is_some_and(|bucket| bucket.contains(&seen.id)) {
            return Err(AuthReject::Replayed);
        }
        Ok(())
    }

    /// Believes it, this once. At the start also: what the disk remembers.
    ///
    /// # Errors
    /// When another was faster, or there is no room.
    pub fn note(&mut self, seen: Seen) -> Result<(), AuthReject> {
        if self.held >= self.held_max {
            return Err(Full.into());
        }
        let bucket = self.buckets.entry(seen.signed_at_s / BUCKET_S).or_default();
        if !bucket.insert(seen.id) {
            return Err(AuthReject::Replayed);
        }
        self.held += 1;
        Ok(())
    }

    /// Forgets what is too old to be believed anyway. Called once a while.
    pub fn forget(&mut self, now_s: u64) {
        // One bucket more, so that the edge is never forgotten too early.
        let oldest = (now_s.saturating_sub(SKEW_MAX_S) / BUCKET_S).saturating_sub(1);
        self.buckets = self.buckets.split_off(&oldest);
        self.held = self.buckets.values().map(HashSet::len).sum();
    }

    /// How many it remembers.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }
}

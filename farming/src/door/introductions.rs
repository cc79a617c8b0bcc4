//! Following the plot NFTs of those who introduce themselves: before that nobody knows whose signature to ask for.
//!
//! Invariant: a plot NFT is followed once for all who name it, a few at a time, and for a limited time; what was found counts for a
//! while, so that naming the same one again costs nothing.

use crate::follow::Walk;
use crate::hash::Bytes32;
use crate::reject::Reject;
use crate::singleton::puzzle::Contract;
use accounting::UnixMs;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Plot NFTs that are followed at once: each asks the node many questions.
const FOLLOWED_MAX: usize = 8;
/// Plot NFTs that are remembered, or wait to be followed.
const REMEMBERED_MAX: usize = 256;
/// How long what was found counts.
const KEPT_MS: u64 = 20_000;
/// How long following may take: a few thousand absorptions take a minute.
const LONGEST: Duration = Duration::from_secs(180);

type Found = Result<(Contract, Walk), Reject>;
type Slot = Arc<tokio::sync::Mutex<Option<(UnixMs, Found)>>>;

/// What was found lately.
pub(super) struct Introductions {
    slots: Mutex<HashMap<Bytes32, Slot>>,
    turns: Semaphore,
}

impl Introductions {
    pub(super) fn new() -> Self {
        Introductions { slots: Mutex::default(), turns: Semaphore::new(FOLLOWED_MAX) }
    }

    /// What is found of a plot NFT, or was a moment ago.
    ///
    /// # Errors
    /// Why not; [`Reject::Busy`] when too many wait, or it takes too long.
    pub(super) async fn found(
        &self,
        launcher_id: Bytes32,
        now: UnixMs,
        follow: impl Future<Output = Found>,
    ) -> Found {
        let slot = self.slot(launcher_id, now)?;
        let mut known = slot.lock().await;
        if let Some((at, found)) = known.as_ref()
            && now.0.saturating_sub(at.0) < KEPT_MS
        {
            return found.clone();
        }
        let _turn = self.turns.acquire().await.map_err(|_| Reject::Busy)?;
        let found = tokio::time::timeout(LONGEST, follow).await.unwrap_or_else(|_| {
            tracing::warn!(%launcher_id, "following a plot NFT took too long");
            Err(Reject::Busy)
        });
        *known = Some((now, found.clone()));
        found
    }

    fn slot(&self, launcher_id: Bytes32, now: UnixMs) -> Result<Slot, Reject> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= REMEMBERED_MAX {
            let counts = |slot: &Slot| match slot.try_lock() {
                Ok(known) => {
                    known.as_ref().is_some_and(|(at, _)| now.0.saturating_sub(at.0) < KEPT_MS)
                }
                Err(_) => true,
            };
            slots.retain(|_, slot| counts(slot));
        }
        if slots.len() >= REMEMBERED_MAX && !slots.contains_key(&launcher_id) {
            return Err(Reject::Busy);
        }
        Ok(slots.entry(launcher_id).or_default().clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_plot_nft_is_followed_once_for_all_who_name_it_and_again_after_a_while() {
        let (introductions, followed) = (Introductions::new(), AtomicUsize::new(0));
        let ask = |who: u8, at: u64| {
            let follow = async {
                tokio::task::yield_now().await;
                followed.fetch_add(1, Ordering::SeqCst);
                Err(Reject::NotAMember)
            };
            introductions.found(Bytes32([who; 32]), UnixMs(at), follow)
        };
        let both = tokio::join!(ask(1, 0), ask(1, 0), ask(2, 0));
        assert_eq!(
            both,
            (Err(Reject::NotAMember), Err(Reject::NotAMember), Err(Reject::NotAMember))
        );
        assert_eq!(followed.load(Ordering::SeqCst), 2);
        ask(1, KEPT_MS - 1).await.unwrap_err();
        assert_eq!(followed.load(Ordering::SeqCst), 2);
        ask(1, KEPT_MS).await.unwrap_err();
        assert_eq!(followed.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_for_ever_is_given_up_and_too_many_are_sent_away() {
        let introductions = Arc::new(Introductions::new());
        let waiting: Vec<_> = (0..=u8::MAX)
            .map(|who| {
                let introductions = introductions.clone();
                let name = Bytes32([who; 32]);
                tokio::spawn(async move {
                    introductions.found(name, UnixMs(0), std::future::pending()).await
                })
            })
            .collect();
        assert_eq!(waiting.len(), REMEMBERED_MAX);
        while introductions.slots.lock().unwrap().len() < REMEMBERED_MAX {
            tokio::task::yield_now().await;
        }
        let mut stranger = Bytes32([0; 32]);
        stranger.0[0] = 1;
        let found = introductions.found(stranger, UnixMs(0), async { Err(Reject::NotAMember) });
        assert_eq!(found.await, Err(Reject::Busy));
        for one in waiting {
            assert_eq!(one.await.unwrap(), Err(Reject::Busy), "it took too long");
        }
        let found =
            introductions.found(stranger, UnixMs(KEPT_MS), async { Err(Reject::NotAMember) });
        assert_eq!(found.await, Err(Reject::NotAMember), "what was found is forgotten");
    }
}

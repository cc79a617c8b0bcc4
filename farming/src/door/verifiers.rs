//! Slow arithmetic, on as many threads as there are cores.
//!
//! Invariant: so many wait at most, and whoever comes then is told at once that the pool is busy: a queue that is longer than a
//! signage point counts would make everybody late.

use crate::reject::Reject;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Partials that may wait for a verifier.
const WAITING_MAX: usize = 4096;

/// Threads that verify.
pub struct Verifiers {
    turns: Arc<Semaphore>,
    places: Semaphore,
}

impl Verifiers {
    /// One for each core.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Verifiers::of(cores, WAITING_MAX)
    }

    fn of(threads: usize, places: usize) -> Self {
        Verifiers { turns: Arc::new(Semaphore::new(threads)), places: Semaphore::new(places) }
    }

    /// How many more may come now.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places.available_permits()
    }

    /// Does some work when its turn comes.
    ///
    /// # Errors
    /// [`Reject::Busy`] when too many wait already.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Reject> {
        let _place = self.places.try_acquire().map_err(|_| Reject::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Reject::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| Reject::NotRecorded)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn who_comes_when_too_many_wait_is_told_so_and_let_in_when_they_are_done() {
        let verifiers = Arc::new(Verifiers::of(1, 2));
        let mut waiting = Vec::new();
        for _ in 0..2 {
            let (go, gone) = oneshot::channel::<u8>();
            let verifiers = verifiers.clone();
            let work = async move { verifiers.run(move || gone.blocking_recv().unwrap()).await };
            waiting.push((go, tokio::spawn(work)));
        }
        while verifiers.places() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(verifiers.run(|| 0).await, Err(Reject::Busy));
        for (answer, (go, done)) in (1..).zip(waiting) {
            go.send(answer).unwrap();
            assert_eq!(done.await.unwrap(), Ok(answer));
        }
        assert_eq!(verifiers.run(|| 3).await, Ok(3));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn so_many_work_at_once_and_no_more() {
        let (verifiers, at_work) = (Arc::new(Verifiers::of(2, 100)), Arc::new(AtomicUsize::new(0)));
        let all: Vec<_> = (0..50)
            .map(|_| {
                let (verifiers, at_work) = (verifiers.clone(), at_work.clone());
                let work = move || {
                    let with_me = at_work.fetch_add(1, Ordering::SeqCst) + 1;
                    std::thread::yield_now();
                    at_work.fetch_sub(1, Ordering::SeqCst);
                    with_me
                };
                tokio::spawn(async move { verifiers.run(work).await })
            })
            .collect();
        for one in all {
            assert!(one.await.unwrap().unwrap() <= 2);
        }
    }
}

//! Hashes that take milliseconds or megabytes, on threads of their own: so few at a time that the machine bears it, and so
//! divided that nobody's flood delays anybody else.
//!
//! Invariant: at most [`Limits::threads`] hashes are computed and [`Limits::waiting`] wait, whoever asks; who is refused is told
//! so at once. These threads give way to all others.

mod lanes;

use lanes::Lanes;
use pool::host::host_of;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// How much less these threads ask for than the others: a tenth of a core beside somebody who wants all of it, a node for example. With
/// 19 it would be a seventieth, and shares would wait for minutes.
const NICENESS: i32 = 10;

/// How much there may be of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Hashes at a time; each may take 64 MiB.
    pub threads: usize,
    /// Hashes that wait, of everybody.
    pub waiting: usize,
    /// Hashes that wait, of one host whose shares have been good.
    pub waiting_of_host: usize,
}

impl Default for Limits {
    /// All cores but one: whoever gives way is still in the way for a moment, at every wake-up of a share's path.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Limits { threads: cores.saturating_sub(1).max(1), waiting: 1024, waiting_of_host: 64 }
    }
}

/// Why a hash is not computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// This host has as many waiting as it may.
    #[error("too many of your shares wait to be verified; ask for a higher difficulty")]
    Host,
    /// Everybody's room is full.
    #[error("the pool is busy verifying; try again")]
    Pool,
}

/// What a thread keeps between two hashes.
pub trait Kept: Default + Send + 'static {}

impl<T: Default + Send + 'static> Kept for T {}

/// A hash and what is to be done with it. Gives whether it was worth computing: whoever sends many that are not waits behind
/// everybody else.
type Task<K> = Box<dyn FnOnce(&mut K) -> bool + Send>;

/// The threads and their queue.
pub struct Verifier<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    lanes: Mutex<Lanes<Task<K>>>,
    come: Condvar,
}

impl<K> Clone for Verifier<K> {
    fn clone(&self) -> Self {
        Verifier { shared: self.shared.clone() }
    }
}

impl<K> fmt::Debug for Verifier<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl<K> Shared<K> {
    fn lanes(&self) -> MutexGuard<'_, Lanes<Task<K>>> {
        // A thread that went down with it held left a queue that is still one.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Kept> Verifier<K> {
    /// Starts the threads. They end with the last handle.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub fn start(name: &str, limits: Limits) -> std::io::Result<Self> {
        let lanes = Mutex::new(Lanes::new(limits.waiting, limits.waiting_of_host));
        let shared = Arc::new(Shared { lanes, come: Condvar::new() });
        for _ in 0..limits.threads.max(1) {
            let shared = Arc::downgrade(&shared);
            let work = move || {
                if let Err(error) = rustix::process::nice(NICENESS) {
                    tracing::debug!(%error, "a verifier keeps its priority");
                }
                let mut kept = K::default();
                while let Some(shared) = shared.upgrade() {
                    verify_next(&shared, &mut kept);
                }
            };
            std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        }
        Ok(Verifier { shared })
    }

    /// Computes something for a host: `work` gives its result, and whether it was worth computing.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn ask<T: Send + 'static>(
        &self,
        host: IpAddr,
        work: impl FnOnce(&mut K) -> (T, bool) + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, Busy> {
        let (send, receive) = oneshot::channel();
        let task: Task<K> = Box::new(move |kept| {
            if send.is_closed() {
                // Whoever asked is gone: nothing is computed for nobody.
                return true;
            }
            let (result, is_worth) = work(kept);
            drop(send.send(result));
            is_worth
        });
        self.shared.lanes().push(host_of(host), task)?;
        self.shared.come.notify_one();
        Ok(receive)
    }

    /// How many wait or are being computed.
    #[must_use]
    pub fn pending(&self) -> usize {
        let lanes = self.shared.lanes();
        lanes.len() + lanes.busy()
    }
}

/// Waits for a task for a while, and does it.
fn verify_next<K>(shared: &Shared<K>, kept: &mut K) {
    let mut lanes = shared.lanes();
    let Some((host, task)) = lanes.pop() else {
        // Woken now and then, to see whether anybody is left who could ask.
        let wait = std::time::Duration::from_millis(500);
        drop(shared.come.wait_timeout(lanes, wait));
        return;
    };
    drop(lanes);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task(kept)));
    let is_worth = outcome.unwrap_or_else(|_| {
        tracing::error!("a verification panicked; its share is not answered");
        false
    });
    shared.lanes().judge(host, is_worth);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    const ANN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[tokio::test]
    async fn what_is_asked_is_computed_and_no_more_at_a_time_than_there_are_threads() {
        let limits = Limits { threads: 2, waiting: 100, waiting_of_host: 100 };
        let verifier: Verifier<u64> = Verifier::start("test", limits).unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let asked: Vec<_> = (0..20_u64)
            .filter_map(|n| {
                let (now, most) = (now.clone(), most.clone());
                verifier
                    .ask(ANN, move |kept| {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(2));
                        now.fetch_sub(1, Ordering::SeqCst);
                        *kept += 1;
                        (n * n, true)
                    })
                    .ok()
            })
            .collect();
        let mut found = Vec::new();
        for answer in asked {
            found.push(answer.await.unwrap());
        }
        assert!(!found.is_empty() && found.iter().all(|n| n.isqrt().pow(2) == *n));
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn what_is_being_computed_is_pending_until_it_is_done() {
        let limits = Limits { threads: 1, waiting: 10, waiting_of_host: 10 };
        let verifier: Verifier<()> = Verifier::start("test", limits).unwrap();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let asked = verifier.ask(ANN, move |()| (gone.recv().is_ok(), true)).unwrap();
        assert_eq!(verifier.pending(), 1, "it waits, or is being computed");
        go.send(()).unwrap();
        assert!(asked.await.unwrap());
        testkit::wait_for("the end", || (verifier.pending() == 0).then_some(()));
    }

    #[tokio::test]
    async fn a_panic_ends_one_verification_and_no_thread() {
        let limits = Limits { threads: 1, waiting: 10, waiting_of_host: 10 };
        let verifier: Verifier<()> = Verifier::start("test", limits).unwrap();
        let broken = verifier.ask(ANN, |()| -> (u8, bool) { panic!("as tests do") }).unwrap();
        assert!(broken.await.is_err());
        let whole = loop {
            if let Ok(asked) = verifier.ask(ANN, |()| (7, true)) {
                break asked;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(whole.await.unwrap(), 7);
    }
}

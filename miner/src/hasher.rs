//! The threads that hash.
//!
//! Invariant: no two threads ever hash the same header: each takes extranonce2 values of its own from one counter.

use crate::hash::{Hash, gxhash};
use crate::session::Work;
use crate::throttle::Throttle;
use crate::work::{Found, Variation};
use pow::Algorithm;
use pow::gxc::documented::Scratch;
use pow::sha256d::Midstate;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Hashes between two looks for new work, unthrottled.
const PORTION: u32 = 16_384;
/// The same for scrypt, which is some thousand times slower.
const PORTION_SCRYPT: u32 = 16;
/// Shares that may wait to be sent; beyond it the threads wait.
const FOUND_MAX: usize = 4096;

struct Slot {
    work: Option<Arc<Work>>,
    stopped: bool,
}

struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
    /// Counts up with every change of the slot.
    generation: AtomicU64,
    extranonce2: AtomicU64,
    hashes: AtomicU64,
    started: Instant,
}

/// Threads that hash whatever work was set last.
pub struct Hasher {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Hasher {
    /// Starts the threads; found shares come out of the receiver, with the number of their work.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub fn start(
        threads: usize,
        max_hashrate: Option<f64>,
    ) -> std::io::Result<(Self, mpsc::Receiver<(u64, Found)>)> {
        let (sender, receiver) = mpsc::channel(FOUND_MAX);
        let shared = Arc::new(Shared {
            slot: Mutex::new(Slot { work: None, stopped: false }),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            extranonce2: AtomicU64::new(0),
            hashes: AtomicU64::new(0),
            started: Instant::now(),
        });
        let mut own = Hasher { shared: shared.clone(), threads: Vec::new() };
        for n in 0..threads.max(1) {
            let (shared, sender) = (shared.clone(), sender.clone());
            let per_s = max_hashrate.map(|rate| rate / threads.max(1) as f64);
            let body = move || shared.run(&sender, per_s);
            own.threads.push(std::thread::Builder::new().name(format!("hash-{n}")).spawn(body)?);
        }
        Ok((own, receiver))
    }

    /// Sets the work; `None` makes the threads wait. Gives its number, by which shares of it are known.
    pub fn set(&self, work: Option<Arc<Work>>) -> u64 {
        let mut slot = self.shared.slot();
        slot.work = work;
        let before = self.shared.generation.fetch_add(1, Ordering::Release);
        self.shared.changed.notify_all();
        before + 1
    }

    /// Hashes done so far.
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.shared.hashes.load(Ordering::Relaxed)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.shared.slot().stopped = true;
        self.shared.generation.fetch_add(1, Ordering::Release);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a hashing thread panicked");
            }
        }
    }
}

/// Where a thread stands in its search.
struct Search {
    work: Arc<Work>,
    generation: u64,
    extranonce2: Vec<u8>,
    rolled: u32,
    nonce: u32,
    began: Instant,
}

impl Shared {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, found: &mpsc::Sender<(u64, Found)>, per_s: Option<f64>) {
        let mut throttle = per_s.map(|rate| Throttle::new(rate, self.started.elapsed()));
        let mut search: Option<Search> = None;
        let mut scratch = None;
        loop {
            let generation = self.generation.load(Ordering::Acquire);
            if search.as_ref().is_none_or(|search| search.generation != generation) {
                match self.next_work() {
                    Some((work, generation)) => search = Some(self.begin(work, generation)),
                    None => return,
                }
            }
            let Some(current) = search.as_mut() else { continue };
            let most = match current.work.algorithm {
                Hash::Header(Algorithm::Sha256d) => PORTION,
                Hash::Header(Algorithm::Scrypt) => PORTION_SCRYPT,
                Hash::GxHash => 1,
            };
            let portion = throttle.as_ref().map_or(most, |throttle| throttle.portion().min(most));
            if let Some(Err(wait)) =
                throttle.as_mut().map(|throttle| throttle.take(portion, self.started.elapsed()))
            {
                self.sleep(wait, current.generation);
                continue;
            }
            let shares = current.hash(portion, &mut scratch);
            self.hashes.fetch_add(u64::from(portion), Ordering::Relaxed);
            for share in shares {
                if found.blocking_send((current.generation, share)).is_err() {
                    return;
                }
            }
            if current.nonce == 0 {
                self.go_on(current);
            }
        }
    }

    /// Waits until there is work; `None` at the end.
    fn next_work(&self) -> Option<(Arc<Work>, u64)> {
        let mut slot = self.slot();
        loop {
            if slot.stopped {
                return None;
            }
            if let Some(work) = &slot.work {
                return Some((work.clone(), self.generation.load(Ordering::Acquire)));
            }
            slot = self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sleeps, unless there is news.
    fn sleep(&self, wait: Duration, generation: u64) {
        let slot = self.slot();
        if self.generation.load(Ordering::Acquire) == generation {
            drop(self.changed.wait_timeout(slot, wait));
        }
    }

    fn begin(&self, work: Arc<Work>, generation: u64) -> Search {
        let extranonce2 = self.take_extranonce2(work.extranonce2_size);
        Search { work, generation, extranonce2, rolled: 0, nonce: 0, began: Instant::now() }
    }

    fn take_extranonce2(&self, size: usize) -> Vec<u8> {
        let next = self.extranonce2.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut bytes = vec![0; size];
        let kept = size.min(8);
        bytes[size - kept..].copy_from_slice(&next[8 - kept..]);
        bytes
    }

    /// All nonces are tried: the next version, or the next extranonce2.
    fn go_on(&self, search: &mut Search) {
        let mask = search.work.version_mask;
        // Counts within the mask.
        search.rolled = (search.rolled | !mask).wrapping_add(1) & mask;
        if search.rolled == 0 {
            search.extranonce2 = self.take_extranonce2(search.work.extranonce2_size);
        }
    }
}

impl Search {
    /// Tries the next nonces.
    fn hash(&mut self, count: u32, scratch: &mut Option<Scratch>) -> Vec<Found> {
        let work = &self.work;
        let elapsed = u32::try_from(self.began.elapsed().as_secs()).unwrap_or(0);
        let variation = Variation {
            extranonce1: &work.extranonce1,
            extranonce2: &self.extranonce2,
            version: (work.job.version & !work.version_mask) | self.rolled,
            time: work.job.time.saturating_add(elapsed),
            nonce: 0,
        };
        let mut header = work.job.header(&variation);
        let (midstate, rest) = Midstate::of(&header);
        let mut tail: [u8; 16] = rest.try_into().expect("a header is 80 bytes");
        let mut found = Vec::new();
        for _ in 0..count {
            let nonce = self.nonce.to_le_bytes();
            let hash = match work.algorithm {
                Hash::Header(Algorithm::Sha256d) => {
                    tail[12..].copy_from_slice(&nonce);
                    midstate.finish_twice(&tail)
                }
                Hash::Header(other) => {
                    header[76..].copy_from_slice(&nonce);
                    other.header_hash(&header)
                }
                Hash::GxHash => gxhash(&header, self.nonce, scratch.get_or_insert_default()),
            };
            let is_block = work.network.is_met_by(&hash);
            if is_block || work.target.is_met_by(&hash) {
                found.push(Found {
                    job: work.job.id.clone(),
                    extranonce2: self.extranonce2.clone(),
                    time: variation.time,
                    nonce: self.nonce,
                    version_bits: (work.version_mask != 0).then_some(self.rolled),
                    is_block,
                });
            }
            self.nonce = self.nonce.wrapping_add(1);
            if self.nonce == 0 {
                break;
            }
        }
        found
    }
}

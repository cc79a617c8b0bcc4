//! Processor time of a process by its threads, as the kernel counts it.
//!
//! A thread that ends takes its time with it; those that may end wait idle for ten seconds first, so that looking more often
//! than that misses nothing.

use anyhow::Context;
use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// What the pages' threads are called, which tells them from the miners'.
const PAGES: &str = "pages";

/// Processor time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// Of all threads but the pages'.
    pub pool: Duration,
    /// Of the pages' threads.
    pub pages: Duration,
}

/// Counts until it is told to stop.
pub struct Counting {
    stop: Sender<()>,
    thread: JoinHandle<anyhow::Result<Cpu>>,
}

impl Counting {
    /// Begins with a process's threads as they are now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn start(process: u32) -> anyhow::Result<Self> {
        let (stop, stopped) = channel();
        let mut seen = Seen::default();
        seen.look(process)?;
        seen.sum = Cpu::default();
        let body = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                seen.look(process)?;
            }
            seen.look(process)?;
            Ok(seen.sum)
        };
        Ok(Counting { stop, thread: std::thread::spawn(body) })
    }

    /// What was used since.
    ///
    /// # Errors
    /// When the kernel did not say.
    pub fn stop(self) -> anyhow::Result<Cpu> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("who counted processor time panicked"))?
    }
}

#[derive(Default)]
struct Seen {
    by_thread: HashMap<std::ffi::OsString, u64>,
    sum: Cpu,
}

impl Seen {
    fn look(&mut self, process: u32) -> anyhow::Result<()> {
        for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?;
            let Some((ns, of_pages)) = thread(&task.path())? else { continue };
            let before = self.by_thread.insert(task.file_name(), ns).unwrap_or(0);
            // A number may be given again, to a thread that begins at zero.
            let used = Duration::from_nanos(ns.checked_sub(before).unwrap_or(ns));
            let sum = if of_pages { &mut self.sum.pages } else { &mut self.sum.pool };
            *sum += used;
        }
        Ok(())
    }
}

/// What this thread used since it began.
///
/// # Errors
/// When the kernel does not say.
pub fn of_this_thread() -> anyhow::Result<Duration> {
    of_thread(Path::new("/proc/thread-self"))
}

/// What a thread used since it began, by its folder under `/proc`.
///
/// # Errors
/// When the kernel does not say, or the thread has ended.
pub fn of_thread(folder: &Path) -> anyhow::Result<Duration> {
    let (ns, _) = thread(folder)?.context("the thread has ended")?;
    Ok(Duration::from_nanos(ns))
}

/// Nanoseconds of a thread, and whether it is the pages'; `None` when it has just ended.
fn thread(folder: &Path) -> anyhow::Result<Option<(u64, bool)>> {
    let read = |name: &str| match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => Ok(Some(text)),
        // What a thread says that ended between two steps: no such file, or no such process.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(3) => Ok(None),
        Err(error) => Err(error),
    };
    let (Some(times), Some(name)) = (read("schedstat")?, read("comm")?) else { return Ok(None) };
    let ns = times.split_whitespace().next().context("schedstat has three fields")?.parse()?;
    Ok(Some((ns, name.trim_end() == PAGES)))
}

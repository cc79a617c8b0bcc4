//! How long the disk takes to sync, measured beside the load on the same file system.

use super::connection::Latencies;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two probes.
const EVERY: Duration = Duration::from_millis(20);

/// A thread that appends a little and syncs, now and then.
pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Latencies>>,
}

impl Probe {
    /// Starts probing in a folder.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn start(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("sync-probe");
        let mut file = File::create(&path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut found = Latencies::default();
            while !told.load(Ordering::Relaxed) {
                file.write_all(&[7; 4096])?;
                let began = Instant::now();
                file.sync_data()?;
                found.note(began.elapsed());
                std::thread::sleep(EVERY);
            }
            std::fs::remove_file(&path)?;
            Ok(found)
        });
        Ok(Probe { stop, thread })
    }

    /// Ends it.
    ///
    /// # Errors
    /// What the disk said.
    pub fn stop(self) -> anyhow::Result<Latencies> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| anyhow::anyhow!("the sync probe panicked"))??)
    }
}

//! The pool's process.

use super::cpu::Counting;
use anyhow::{Context, bail};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the pool may take to listen.
const START_LIMIT: Duration = Duration::from_secs(120);

/// `adit run`, ended when dropped.
pub struct Served {
    child: Child,
}

impl Served {
    /// Starts it with this configuration, and waits until it listens.
    ///
    /// # Errors
    /// When the pool does not start.
    pub fn start(config: &Path, address: SocketAddr, log: Stdio) -> anyhow::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut served = Served { child };
        served.wait_until_it_listens(address)?;
        Ok(served)
    }

    fn wait_until_it_listens(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the pool ended with {status}");
            }
            if began.elapsed() > START_LIMIT {
                bail!("the pool does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Counts processor time from now on.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn count_cpu(&self) -> anyhow::Result<Counting> {
        Counting::start(self.child.id())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("a process has a size")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            tracing::error!(%error, "the pool under measurement does not end");
        }
    }
}

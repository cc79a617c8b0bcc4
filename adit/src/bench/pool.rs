//! The pool under measurement: a process of its own, on a chain in this one.

use anyhow::{Context, bail};
use devnet::{Devnet, Options, Params};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Transactions in the template: 12 merkle branches.
pub const TRANSACTIONS: usize = 3000;
/// Blocks take this many hashes: enough that shares, which take four, are hardly ever blocks (those are left out), and few
/// enough to mine the chain that the template's transactions come from.
const HASHES_PER_BLOCK: u64 = 1 << 12;
/// How long the pool may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running pool and its chain.
pub struct BenchPool {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
    temporary: bool,
    devnet: Devnet,
    _runtime: tokio::runtime::Runtime,
}

impl BenchPool {
    /// Starts both; in a temporary folder unless one is named.
    ///
    /// # Errors
    /// When the pool does not start.
    pub fn start(data: Option<&Path>) -> anyhow::Result<Self> {
        let (folder, temporary) = match data {
            Some(folder) => (folder.to_owned(), false),
            None => (std::env::temp_dir().join(format!("adit-bench-{}", std::process::id())), true),
        };
        std::fs::create_dir_all(&folder)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let options = Options {
            params: Params::with_hashes_per_block(HASHES_PER_BLOCK),
            listen: "127.0.0.1:0".parse()?,
            user: "bench".into(),
            password: "bench".into(),
            blocks: None,
        };
        let devnet = runtime.block_on(Devnet::start(options))?;
        eprintln!("filling the chain's mempool with {TRANSACTIONS} transactions");
        devnet.fill_mempool(TRANSACTIONS);
        let address = free_address()?;
        let config = folder.join("adit.toml");
        std::fs::write(&config, configuration(&devnet, address)?)?;
        let key = folder.join("pool.key");
        if !key.exists() {
            let coin = stratum::coin::Coin::new(
                stratum::coin::Family::Bitcoin,
                stratum::coin::Network::Regtest,
            )?;
            stratum::treasury::key::create(&key, coin)?;
        }
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut pool = BenchPool { child, address, folder, temporary, devnet, _runtime: runtime };
        pool.wait_until_it_listens()?;
        Ok(pool)
    }

    fn wait_until_it_listens(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the pool ended with {status}");
            }
            if began.elapsed() > START_LIMIT {
                bail!("the pool does not listen on {}", self.address);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its store is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A block ready to be submitted, so that mining it is not part of what is measured.
    pub fn prepare_tip(&self) -> impl FnOnce() + use<'_> {
        let assembled = self.devnet.look(|chain| {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            chain.assemble(&devnet::nobody(), u32::MAX, now.as_secs())
        });
        let block = devnet::template::solve(assembled);
        move || drop(self.devnet.submit(block))
    }

    /// Processor time of all its threads so far, as the kernel counts it.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let ns: u64 =
                text.split_whitespace().next().context("schedstat has three fields")?.parse()?;
            total += ns;
        }
        Ok(Duration::from_nanos(total))
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

impl Drop for BenchPool {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            tracing::error!(%error, "the pool under measurement does not end");
        }
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            tracing::error!(%error, "the bench's folder stays");
        }
    }
}

/// A loopback address that is free now.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn configuration(devnet: &Devnet, listen: SocketAddr) -> anyhow::Result<String> {
    let genesis = devnet.look(|chain| chain.hash_at(0)).context("a chain has a first block")?;
    let node = devnet.address();
    Ok(format!(
        r#"
data_dir = "store"
[log]
level = "error"
[assets.btc]
coin = "bitcoin"
network = "regtest"
genesis = "{genesis}"
refresh = "50s"
nodes = [{{ rpc = "{node}", user = "bench", password = "bench" }}]
wallet = {{ kind = "hot", key_file = "pool.key", birthday = 0 }}
[[pools]]
name = "bench"
asset = "btc"
scheme = "pplns"
[[pools.ports]]
listen = "{listen}"
start_difficulty = 0.000000001
min_difficulty = 0.000000001
max_difficulty = 0.000000001
max_connections_per_address = 100000
max_requests_per_second = 1000000
"#
    ))
}

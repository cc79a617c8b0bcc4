//! The pool under measurement: a process of its own, on a chain in this one.

use super::cpu::Counting;
use super::served::Served;
use anyhow::Context;
use devnet::{Devnet, Options, Params};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::runtime::Runtime;

/// What the pool stands on.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The chain's rules.
    pub params: Params,
    /// Transactions in the template.
    pub transactions: usize,
    /// Are the chain's blocks kept in the folder, for the next time?
    pub keeps_blocks: bool,
    /// Are there pages?
    pub serves_pages: bool,
}

impl Default for Plan {
    /// 3000 transactions are 12 merkle branches. Blocks take 4096 hashes: enough that shares, which take four, are hardly ever
    /// blocks (those are left out), and few enough to mine the chain that the template's transactions come from.
    fn default() -> Self {
        Plan {
            params: Params::with_hashes_per_block(1 << 12),
            transactions: 3000,
            keeps_blocks: false,
            serves_pages: false,
        }
    }
}

/// A folder with a configuration, and the chain it is about.
pub struct Ground {
    folder: PathBuf,
    temporary: bool,
    address: SocketAddr,
    pages: Option<SocketAddr>,
    devnet: Devnet,
    runtime: Runtime,
}

impl Ground {
    /// Prepares both; in a temporary folder unless one is named.
    ///
    /// # Errors
    /// When the folder or the chain cannot be used.
    pub fn lay(data: Option<&Path>, plan: &Plan) -> anyhow::Result<Self> {
        let (folder, temporary) = match data {
            Some(folder) => (folder.to_owned(), false),
            None => (std::env::temp_dir().join(format!("adit-bench-{}", std::process::id())), true),
        };
        std::fs::create_dir_all(&folder)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let options = Options {
            params: plan.params.clone(),
            listen: "127.0.0.1:0".parse()?,
            user: "bench".into(),
            password: "bench".into(),
            blocks: plan.keeps_blocks.then(|| folder.join("chain")),
        };
        let devnet = runtime.block_on(Devnet::start(options))?;
        if plan.transactions > 0 {
            eprintln!("filling the chain's mempool with {} transactions", plan.transactions);
            devnet.fill_mempool(plan.transactions);
        }
        let address = free_address()?;
        let pages = plan.serves_pages.then(free_address).transpose()?;
        let ground = Ground { folder, temporary, address, pages, devnet, runtime };
        std::fs::write(ground.config(), configuration(&ground.devnet, address, pages)?)?;
        let key = ground.folder.join("pool.key");
        if !key.exists() {
            let coin = stratum::coin::Coin::new(
                stratum::coin::Family::Bitcoin,
                stratum::coin::Network::Regtest,
            )?;
            stratum::treasury::key::create(&key, coin)?;
        }
        Ok(ground)
    }

    /// The configuration's file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("adit.toml")
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The chain.
    pub fn devnet(&self) -> &Devnet {
        &self.devnet
    }

    /// What the chain's node runs on.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            tracing::error!(%error, "the bench's folder stays");
        }
    }
}

/// A running pool and its chain.
pub struct BenchPool {
    served: Served,
    ground: Ground,
}

impl BenchPool {
    /// Starts it.
    ///
    /// # Errors
    /// When the pool does not start.
    pub fn start(ground: Ground) -> anyhow::Result<Self> {
        let served = Served::start(&ground.config(), ground.address, Stdio::inherit())?;
        Ok(BenchPool { served, ground })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.ground.address
    }

    /// Where its pages are.
    ///
    /// # Errors
    /// When it serves none.
    pub fn pages(&self) -> anyhow::Result<SocketAddr> {
        self.ground.pages.context("this pool serves no pages")
    }

    /// Where its store is.
    pub fn folder(&self) -> &Path {
        self.ground.folder()
    }

    /// A block ready to be submitted, so that mining it is not part of what is measured.
    pub fn prepare_tip(&self) -> impl FnOnce() + use<'_> {
        let assembled = self.ground.devnet.look(|chain| {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            chain.assemble(&devnet::nobody(), u32::MAX, now.as_secs())
        });
        let block = devnet::template::solve(assembled);
        move || drop(self.ground.devnet.submit(block))
    }

    /// Counts processor time from now on.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn count_cpu(&self) -> anyhow::Result<Counting> {
        self.served.count_cpu()
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.served.resident()
    }
}

/// A loopback address that is free now.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn configuration(
    devnet: &Devnet,
    listen: SocketAddr,
    pages: Option<SocketAddr>,
) -> anyhow::Result<String> {
    let genesis = devnet.look(|chain| chain.hash_at(0)).context("a chain has a first block")?;
    let node = devnet.address();
    let web = pages.map_or_else(String::new, |pages| {
        format!("[web]\nlisten = \"{pages}\"\ntitle = \"Bench\"\n")
    });
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
[assets.btc.payouts]
interval = "6h"
[[pools]]
name = "bench"
asset = "btc"
scheme = "pplns"
fee_percent = 1.0
[[pools.ports]]
listen = "{listen}"
start_difficulty = 0.000000001
min_difficulty = 0.000000001
max_difficulty = 0.000000001
max_connections_per_address = 100000
max_requests_per_second = 1000000
{web}"#
    ))
}

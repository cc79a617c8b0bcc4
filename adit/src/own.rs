//! A pool in a program of one's own: what the GXC guide's base class promised, with the same few words.
//!
//! Invariant: it is the pool that `adit run` starts, by the same configuration; nothing here is a second way.

use crate::config::{self, environment};
use std::collections::BTreeMap;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// What is mined by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// Bitcoin's: ASICs.
    Sha256,
    /// Ethash: graphics cards.
    Ethash,
    /// Argon2id: processors.
    GxHash,
    /// Each of them on a port of its own, with its own window and an equal part of every block.
    All,
}

/// A pool on a GXC node, described by what the guide's environment has a name for.
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// adit::OwnPool::new("My pool", adit::Hash::Sha256, 3333, "http://127.0.0.1:18332")
///     .paid_to("tGXC751e76e8199196d454941c45d1b3a323f1")
///     .run()
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OwnPool {
    names: BTreeMap<&'static str, String>,
    stop: CancellationToken,
}

impl OwnPool {
    /// A name, a hash, the port that miners connect to, and the node's URL.
    #[must_use]
    pub fn new(name: &str, hash: Hash, port: u16, node: &str) -> Self {
        let hash = match hash {
            Hash::Sha256 => "sha256",
            Hash::Ethash => "ethash",
            Hash::GxHash => "gxhash",
            Hash::All => "all",
        };
        let pool = OwnPool { names: BTreeMap::new(), stop: CancellationToken::new() };
        pool.with("POOL_NAME", name)
            .with("ALGORITHM", hash)
            .with("STRATUM_PORT", &port.to_string())
            .with("BLOCKCHAIN_NODE_URL", node)
    }

    /// Whom blocks pay: an address whose key is in the node's wallet.
    #[must_use]
    pub fn paid_to(self, address: &str) -> Self {
        self.with("POOL_ADDRESS", address)
    }

    /// Any other name of the guide's environment (`docs/gxc.md` lists them): `POOL_FEE`, `MIN_PAYOUT`, `DASHBOARD_PORT` …
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.names.insert(name, value.to_owned());
        self
    }

    /// Stops the pool when it is cancelled.
    #[must_use]
    pub fn stopped_by(mut self, token: CancellationToken) -> Self {
        self.stop = token;
        self
    }

    /// Runs the pool until a signal or its token stops it: connections end, everything accepted is on disk. It has threads of its own:
    /// call it from a thread that runs nothing async.
    ///
    /// # Errors
    /// Which word of the description cannot be used, or what of the store or the ports; the text says what to do.
    pub fn run(self) -> anyhow::Result<()> {
        let text = environment::text(|name| self.names.get(name).cloned())?;
        let settings = config::read(&text, Path::new("(own pool)"))?;
        crate::log_from(settings.level);
        crate::runtime()?.block_on(crate::serve_until(settings, self.stop))
    }
}

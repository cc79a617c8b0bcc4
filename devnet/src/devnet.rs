//! A running devnet: the chain behind a lock, its RPC on a socket, its blocks on disk.
//!
//! Invariant: whoever waits for a change is woken by every change; a block is in the journal before it is announced.

use crate::chain::{Chain, Submitted};
use crate::journal::Journal;
use crate::params::Params;
use crate::purse::Purse;
use crate::{rpc, template};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::{Block, BlockHash, ScriptBuf, Transaction};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long a long poll waits before it answers because the mempool changed.
const MEMPOOL_NEWS: Duration = Duration::from_secs(60);

/// Outputs that a coin is divided into when the mempool is filled.
const PARTS_OF_A_COIN: usize = 500;

/// How a devnet is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The chain's rules.
    pub params: Params,
    /// Where the RPC listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The RPC user.
    pub user: String,
    /// The RPC password.
    pub password: String,
    /// A file for the blocks; without one the chain is gone with the process.
    pub blocks: Option<PathBuf>,
}

/// What a cached template's transactions are.
#[derive(Debug, Clone)]
pub(crate) struct TemplateCache {
    pub fees: u64,
    pub commitment: String,
    pub transactions: Arc<str>,
}

type CacheKey = (BlockHash, u64);

pub(crate) struct Shared {
    chain: Mutex<Chain>,
    journal: Mutex<Option<Journal>>,
    cache: Mutex<Option<(CacheKey, TemplateCache)>>,
    changes: watch::Sender<CacheKey>,
    started: Instant,
    mined: AtomicU32,
    pub(crate) credentials: Vec<u8>,
    pub(crate) cancel: CancellationToken,
}

/// A running devnet.
pub struct Devnet {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Devnet {
    /// Starts it on the current tokio runtime.
    ///
    /// # Errors
    /// When the address is taken or the blocks file cannot be used.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let mut chain = Chain::new(options.params);
        let mut journal = None;
        if let Some(path) = &options.blocks {
            let (open, blocks) = Journal::open(path)?;
            // Times are judged against the blocks' own: they were judged against the clock when they came.
            blocks.into_iter().for_each(|block| drop(chain.submit(block, u64::from(u32::MAX))));
            journal = Some(open);
        }
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let changes = watch::channel((chain.tip(), chain.mempool.version())).0;
        let credentials = format!("{}:{}", options.user, options.password);
        let shared = Arc::new(Shared {
            chain: Mutex::new(chain),
            journal: Mutex::new(journal),
            cache: Mutex::new(None),
            changes,
            started: Instant::now(),
            mined: AtomicU32::new(0),
            credentials: format!("Basic {}", BASE64.encode(&credentials)).into_bytes(),
            cancel: CancellationToken::new(),
        });
        tokio::spawn(accept(listener, shared.clone()));
        Ok(Devnet { shared, address })
    }

    /// Where the RPC listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The hash and height of the best block.
    #[must_use]
    pub fn tip(&self) -> (BlockHash, u32) {
        let chain = self.shared.chain();
        (chain.tip(), chain.height())
    }

    /// Woken at every change of tip or mempool.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<(BlockHash, u64)> {
        self.shared.changes.subscribe()
    }

    /// Mines blocks that pay `script`.
    pub fn mine_to(&self, script: &ScriptBuf, count: u32) -> Vec<BlockHash> {
        (0..count).map(|_| self.shared.mine(script)).collect()
    }

    /// Submits a block.
    pub fn submit(&self, block: Block) -> Submitted {
        self.shared.submit(block)
    }

    /// Looks at the chain.
    pub fn look<T>(&self, look: impl FnOnce(&Chain) -> T) -> T {
        look(&self.shared.chain())
    }

    /// Changes the chain by hand, as a test or a demo does.
    pub fn change<T>(&self, change: impl FnOnce(&mut Chain) -> T) -> T {
        self.shared.change(change)
    }

    /// Fills the mempool with so many real, signed transactions of the devnet's own money; mines what it needs for that.
    pub fn fill_mempool(&self, count: usize) {
        let purse = Purse::new();
        let coins = u32::try_from(count.div_ceil(PARTS_OF_A_COIN).max(1)).unwrap_or(u32::MAX);
        let mined = self.mine_to(&purse.script(), coins);
        let nobody = crate::nobody();
        self.mine_to(&nobody, self.look(|chain| chain.params.coinbase_maturity));
        let coinbase =
            |hash: &BlockHash| self.look(|chain| Some(chain.entry(hash)?.block.txdata[0].clone()));
        let fans: Vec<Transaction> = mined
            .iter()
            .filter_map(coinbase)
            .map(|coinbase| purse.fan_out(&coinbase, PARTS_OF_A_COIN))
            .collect();
        fans.iter().for_each(|fan| self.accept_own(fan.clone()));
        self.mine_to(&nobody, 1);
        let leaves = fans.iter().flat_map(|fan| (0..PARTS_OF_A_COIN).map(move |vout| (fan, vout)));
        leaves.take(count).for_each(|(fan, vout)| self.accept_own(purse.pass_on(fan, vout)));
    }

    fn accept_own(&self, tx: Transaction) {
        let now = self.shared.now_s();
        self.change(|chain| {
            chain.accept_transaction(tx, now).expect("the devnet's own spends are good")
        });
    }

    /// Stops listening.
    pub fn stop(&self) {
        self.shared.cancel.cancel();
    }

    /// Waits until it was told to stop, by [`Devnet::stop`] or by RPC.
    pub async fn stopped(&self) {
        self.shared.cancel.cancelled().await;
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
    }
}

impl Shared {
    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_s(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    pub(crate) fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Chain) -> T) -> T {
        let (outcome, key) = {
            let mut chain = self.chain();
            let outcome = change(&mut chain);
            (outcome, (chain.tip(), chain.mempool.version()))
        };
        self.changes.send_if_modified(|before| std::mem::replace(before, key) != key);
        outcome
    }

    pub(crate) fn submit(&self, block: Block) -> Submitted {
        let now = self.now_s();
        let copy = block.clone();
        self.change(|chain| {
            let submitted = chain.submit(block, now);
            if matches!(submitted, Submitted::NewTip | Submitted::SideChain) {
                self.write(&copy);
            }
            submitted
        })
    }

    fn write(&self, block: &Block) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = journal.as_mut().map(|journal| journal.append(block)) {
            tracing::error!(%error, "the devnet cannot write its blocks; they are lost at the next start");
        }
    }

    pub(crate) fn mine(&self, script: &ScriptBuf) -> BlockHash {
        let extra = self.mined.fetch_add(1, Ordering::Relaxed);
        // The chain is free while nonces are tried.
        let assembled = self.chain().assemble(script, extra, self.now_s());
        let block = template::solve(assembled);
        let hash = block.block_hash();
        self.submit(block);
        hash
    }

    pub(crate) fn template_cache(
        &self,
        chain: &Chain,
        render: impl FnOnce() -> TemplateCache,
    ) -> TemplateCache {
        let key = (chain.tip(), chain.mempool.version());
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.as_ref() {
            Some((known, template)) if *known == key => template.clone(),
            _ => {
                let template = render();
                *cache = Some((key, template.clone()));
                template
            }
        }
    }

    /// Names the state that a long poll waits to end: tip and mempool version.
    pub(crate) fn long_poll_id(&self, chain: &Chain) -> String {
        format!("{}{}", chain.tip(), chain.mempool.version())
    }

    /// Returns when the tip is no longer the one named, or after a while when the mempool changed.
    pub(crate) async fn wait_for_change(&self, id: &str) {
        let mut changes = self.changes.subscribe();
        let (tip, version) = id.split_at(id.len().min(64));
        let later = tokio::time::sleep(MEMPOOL_NEWS);
        tokio::pin!(later);
        loop {
            let (now_tip, now_version) = *changes.borrow_and_update();
            if now_tip.to_string() != tip {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = &mut later => {
                    if now_version.to_string() != version {
                        return;
                    }
                    later.as_mut().reset(tokio::time::Instant::now() + MEMPOOL_NEWS);
                }
                () = self.cancel.cancelled() => return,
            }
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let stream = tokio::select! {
            () = shared.cancel.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the devnet cannot accept a connection");
                    continue;
                }
            },
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone at once");
            continue;
        }
        let (own, cancel) = (shared.clone(), shared.cancel.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = own.clone();
                async move { Ok::<_, std::convert::Infallible>(rpc::serve(shared, request).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "an RPC connection ended");
                },
                () = cancel.cancelled() => {}
            }
        });
    }
}

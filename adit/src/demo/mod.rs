//! `adit demo`: a whole pool at work in one process, with nothing faked but the money's worth.
//!
//! The chain judges like Bitcoin Core, the miners speak Stratum over loopback, the pool is the one that `adit run` runs, from
//! a configuration like any other.
//!
//! Invariant: the exit status is 0 only if the books balance, every split recomputes and every due payout is confirmed.

mod compute;
mod farming;
mod outcome;
mod screen;

use crate::cli::demo::{DemoArgs, DemoKind, DemoScheme};
use crate::config;
use crate::run::{self, Running};
use accounting::reward::RewardState;
use anyhow::Context;
use devnet::purse::Purse;
use devnet::{Devnet, Options, Params};
use miner::{Config, Miner};
use outcome::Outcome;
use pow::Algorithm;
use screen::Screen;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Hashes that a block takes: a few seconds of the three miners together.
const HASHES_PER_BLOCK: u64 = 1 << 18;
/// The miners: name and hashes a second.
const MINERS: [(&str, f64); 3] = [("ada", 24_000.0), ("ben", 48_000.0), ("eve", 96_000.0)];
/// Confirmations until a payout is final in the demo.
const CONFIRM: u32 = 3;
/// How often the screen is drawn, and the chain looked after.
const BEAT: Duration = Duration::from_millis(100);
/// Filler blocks come this far apart once the pool has found what it should.
const FILLER_EVERY: Duration = Duration::from_millis(60);

/// Runs the demo; gives whether everything held.
///
/// # Errors
/// When something cannot start.
pub async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    match args.kind {
        DemoKind::Mining => mining(args).await,
        DemoKind::Compute => compute::run(args).await,
        DemoKind::Farming => farming::run(args).await,
    }
}

async fn mining(args: DemoArgs) -> anyhow::Result<bool> {
    let temporary;
    let folder: &Path = match &args.data {
        Some(folder) => folder,
        None => {
            temporary = Temporary::new()?;
            &temporary.0
        }
    };
    std::fs::create_dir_all(folder)?;
    let params = Params::with_hashes_per_block(HASHES_PER_BLOCK);
    let options = Options {
        params,
        listen: "127.0.0.1:0".parse()?,
        user: "demo".into(),
        password: "demo".into(),
        blocks: args.data.as_ref().map(|folder| folder.join("chain")),
    };
    let chain = Devnet::start(options).await.context("the embedded chain")?;
    let settings = config::read(&configuration(&args, &chain, folder)?, &folder.join("adit.toml"))?;
    let cancel = CancellationToken::new();
    let running = run::start(settings, cancel.clone()).await?;
    let mut demo = Demo { args, chain, running, miners: Vec::new(), fillers: 0 };
    demo.start_miners()?;
    let outcome = demo.play().await?;
    let ok = outcome.is_good();
    for (_, miner) in demo.miners {
        miner.stop().await;
    }
    demo.running.stop().await?;
    println!("{}", outcome.to_json());
    Ok(ok)
}

/// A folder that is gone with the demo.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("adit-demo-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Temporary(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "the demo's folder stays");
        }
    }
}

/// The pool's configuration: like any other, with everything faster.
fn configuration(args: &DemoArgs, chain: &Devnet, folder: &Path) -> anyhow::Result<String> {
    let key_file = folder.join("pool.key");
    if !key_file.exists() {
        let coin = stratum::coin::Coin::new(
            stratum::coin::Family::Bitcoin,
            stratum::coin::Network::Regtest,
        )?;
        stratum::treasury::key::create(&key_file, coin)?;
    }
    let genesis = chain.look(|chain| chain.hash_at(0)).context("a chain has a first block")?;
    let scheme = scheme(args.scheme);
    let (node, listen, pages) = (chain.address(), args.listen, args.pages);
    Ok(format!(
        r#"
data_dir = "store"
[assets.btc]
coin = "bitcoin"
network = "regtest"
genesis = "{genesis}"
look_every = "1s"
refresh = "5s"
nodes = [{{ rpc = "{node}", user = "demo", password = "demo", poll = "250ms" }}]
wallet = {{ kind = "hot", key_file = "pool.key", birthday = 0 }}
[assets.btc.payouts]
minimum = "0.001"
interval = "1s"
confirm_after = {CONFIRM}
[[pools]]
name = "demo"
asset = "btc"
scheme = "{scheme}"
fee_percent = 1.0
tag = "/Adit demo/"
[[pools.ports]]
listen = "{listen}"
start_difficulty = 0.000001
min_difficulty = 0.0000001
share_interval = "500ms"
[web]
listen = "{pages}"
title = "Adit demo"
"#
    ))
}

/// A scheme as the configuration names it.
fn scheme(of: DemoScheme) -> &'static str {
    match of {
        DemoScheme::Solo => "solo\"\ncustodial = true\n#",
        DemoScheme::Prop => "prop",
        DemoScheme::Pplns => "pplns",
        DemoScheme::Tides => "tides",
    }
}

struct Demo {
    args: DemoArgs,
    chain: Devnet,
    running: Running,
    miners: Vec<(&'static str, Miner)>,
    /// Blocks the chain mined by itself.
    fillers: u64,
}

impl Demo {
    fn start_miners(&mut self) -> anyhow::Result<()> {
        let addresses = self.running.live.addresses();
        let pool = addresses.first().context("the pool listens")?;
        for (n, (name, rate)) in MINERS.iter().enumerate() {
            let seed = [u8::try_from(n + 1)?; 32];
            let address = bitcoin_address(&Purse::of(seed));
            let config = Config {
                address: pool.to_string(),
                user: format!("{address}.{name}"),
                password: "x".into(),
                user_agent: "adit-demo".into(),
                algorithm: Algorithm::Sha256d.into(),
                threads: 1,
                max_hashrate: Some(*rate),
                tls_certificate: None,
                suggest_difficulty: None,
                version_rolling: true,
                extranonce_subscribe: true,
                patience: Duration::from_secs(2),
            };
            self.miners.push((name, Miner::start(config)?));
        }
        Ok(())
    }

    /// Until interrupted, or until enough blocks are paid when told to exit.
    async fn play(&mut self) -> anyhow::Result<Outcome> {
        let mut screen = Screen::new();
        let mut beats = tokio::time::interval(BEAT);
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            tokio::select! {
                stopped = &mut interrupted => {
                    stopped?;
                    break;
                }
                ended = self.running.until_stopped() => {
                    ended?;
                    break;
                }
                _ = beats.tick() => {}
            }
            let found = self.blocks_found();
            if found >= self.args.blocks {
                if self.args.exit {
                    // What is found now would only have to mature as well.
                    self.miners.clear();
                }
                self.fill().await;
            }
            screen.draw(self);
            if self.args.exit && self.all_is_paid() {
                break;
            }
        }
        Outcome::of(&self.running, self.args.blocks, self.fillers)
    }

    fn blocks_found(&self) -> u64 {
        self.running.pool.view().rewards.len() as u64
    }

    /// Filler blocks bury the pool's own, until all of them are mature and paid; then one comes now and then.
    async fn fill(&mut self) {
        let calm = if self.all_is_paid() { Duration::from_secs(2) } else { FILLER_EVERY };
        let chain = &self.chain;
        tokio::task::block_in_place(|| chain.mine_to(&devnet::nobody(), 1));
        self.fillers += 1;
        tokio::time::sleep(calm).await;
    }

    fn all_is_paid(&self) -> bool {
        all_is_paid(&self.running, self.args.blocks)
    }
}

/// There are as many rewards as there should be, each has come to rest, nobody is due, and no payout is under way.
fn all_is_paid(running: &Running, least: u64) -> bool {
    let view = running.pool.view();
    let rested = view.rewards.iter().all(|reward| reward.state != RewardState::Immature);
    let minimum = running.settings.assets.first().map(|asset| asset.config.payouts.minimum);
    let nobody_due = view
        .balances
        .iter()
        .all(|balance| minimum.is_none_or(|minimum| balance.balance.available() < minimum));
    let under_way = view
        .payouts
        .iter()
        .any(|payout| payout.state != accounting::payout::PayoutState::Confirmed);
    view.rewards.len() as u64 >= least && rested && nobody_due && !under_way
}

/// The regtest address of a purse.
fn bitcoin_address(purse: &Purse) -> String {
    devnet::address_of(&purse.script())
}

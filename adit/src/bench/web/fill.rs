//! The store of a pool that has run for a while, filled through what a running pool is made of: the writer, the cashier, the
//! wallet, the meters and the history, with blocks of a real chain. Only time is not real: a clock is moved, so that days go
//! by in minutes.
//!
//! Invariant: nothing here writes a row; `adit audit` finds in such a store what it finds in any other.

mod miners;
mod time;

use super::super::pool::Ground;
use crate::bench::web::paths::Dice;
use crate::cli::bench::WebBenchArgs;
use crate::config::{self, Settings};
use crate::run::fold_check;
use accounting::{Amount, BasisPoints, PoolId, RewardId, UnixMs, Weight};
use anyhow::{Context, bail};
use bitcoin::hashes::Hash;
use miners::Miners;
use pool::cashier::Cashier;
use pool::writer::{self, Writer};
use pool::{BlockReport, Clock, Pool};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Sqlite;
use stratum::treasury::CoinTreasury;
use time::MovedClock;
use web::db::Db;
use web::history::History;

/// The pool's blocks are so far apart.
const BLOCK_EVERY_MS: u64 = 600_000;
/// The meters are read so often between two blocks in the last day, and once before that.
const LOOKS_A_BLOCK: u64 = 10;
/// Blocks of the last day.
const LAST_DAY: usize = 144;
/// Once in so many blocks the cashier looks, and charts are written.
const BLOCKS_A_LOOK: usize = 10;
/// How often one hears how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// How much there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Accounts.
    pub accounts: usize,
    /// Machines.
    pub workers: usize,
    /// Blocks found.
    pub blocks: usize,
    /// Shares kept.
    pub shares: u64,
}

impl Size {
    /// What was asked for.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn of(args: &WebBenchArgs) -> anyhow::Result<Self> {
        let WebBenchArgs { accounts, workers, blocks, shares, .. } = *args;
        if accounts == 0 || workers < accounts || shares < blocks as u64 {
            bail!("every account has a machine, and every block is a share: ask for more of them");
        }
        Ok(Size { accounts, workers, blocks, shares })
    }

    /// A machine's name; its account is its number modulo the accounts.
    pub fn name_of(&self, worker: usize) -> String {
        format!("rig{}", worker / self.accounts)
    }

    /// About a hundred for each share between two blocks, so that slices are as many as in a pool whose blocks are hours apart.
    pub fn hashes_per_block(&self) -> u64 {
        let between = self.shares / self.blocks.max(1) as u64;
        (between * 100)
            .clamp(super::HASHES_PER_BLOCK_MIN, super::HASHES_PER_BLOCK_MAX)
            .next_power_of_two()
    }

    /// Shares that have come when so many blocks were found.
    fn shares_until(&self, blocks: usize) -> u64 {
        (u128::from(self.shares) * blocks as u128 / self.blocks.max(1) as u128) as u64
    }
}

/// What a folder holds that was filled to the end.
#[derive(Serialize, Deserialize)]
struct Mark {
    size: Size,
    filled_at_ms: u64,
}

/// Fills the folder, or finds that it is filled.
///
/// # Errors
/// When it holds something else, or cannot be filled.
pub fn unless_filled(ground: &Ground, size: &Size) -> anyhow::Result<()> {
    let path = ground.folder().join("filled.json");
    let settings = config::load(&ground.config())?;
    let now = pool::SystemClock.now();
    if path.exists() {
        let mark: Mark = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        if mark.size != *size {
            let (there, wanted) = (mark.size, size);
            bail!(
                "the folder holds {there:?} and not {wanted:?}: name another folder, or remove it"
            );
        }
        let minutes = now.0.saturating_sub(mark.filled_at_ms) / 60_000;
        eprintln!("the folder is used as it was filled {minutes} minutes ago");
        return Ok(());
    }
    if settings.data_dir.exists() {
        bail!(
            "{} was not filled to the end: remove {}, or name another folder",
            settings.data_dir.display(),
            ground.folder().display()
        );
    }
    let began = Instant::now();
    ground.runtime().block_on(fill(ground, &settings, size))?;
    eprintln!("filled in {} s", began.elapsed().as_secs());
    let mark = Mark { size: size.clone(), filled_at_ms: pool::SystemClock.now().0 };
    Ok(std::fs::write(path, serde_json::to_string(&mark)?)?)
}

/// When so many blocks must begin, for the last to be found now.
fn begins_at(blocks: usize) -> UnixMs {
    UnixMs(pool::SystemClock.now().0.saturating_sub(blocks as u64 * BLOCK_EVERY_MS))
}

async fn fill(ground: &Ground, settings: &Settings, size: &Size) -> anyhow::Result<()> {
    let asset = settings.assets.first().context("the bench has an asset")?;
    let own = settings.pools.first().context("the bench has a pool")?;
    let config::AssetKind::Coin(coin) = &asset.kind else { bail!("the bench has a coin") };
    let clock = MovedClock::at(begins_at(size.blocks));
    let store = Sqlite::open(&settings.data_dir)?;
    let (assets, pools) = (vec![asset.config.clone()], vec![own.config.clone()]);
    let Writer { pool, thread } = writer::start(Box::new(store), assets, pools, clock.clone())?;
    let (asset_name, pool_name) = (asset.config.name.clone(), own.config.name.clone());
    let named = move |books: &mut pool::books::Books| {
        Some((books.asset_named(&asset_name)?, books.pool_named(&pool_name)?))
    };
    let (asset_id, pool_id) = pool
        .order(move |books, _, _| Ok(named(books)))
        .await?
        .context("what is configured has numbers; this is a bug")?;
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let treasury = CoinTreasury::open(coin.treasury.clone(), pool.clone(), shared.clone()).await?;
    let script = treasury.script();
    let check = fold_check(&settings.data_dir);
    let cashier =
        Cashier::new(pool.clone(), asset_id, asset.config.payouts.clone(), treasury, check, shared);
    let history = History::open(Db::open(&settings.data_dir)?, clock.now())?;
    eprintln!("enrolling {} machines of {} accounts", size.workers, size.accounts);
    let miners = Miners::enrol(&pool, pool_id, coin.coin, size, clock.now()).await?;
    let mut filling = Filling {
        ground,
        size,
        clock,
        pool,
        pool_id,
        scheme: own.config.scheme,
        script,
        cashier,
        history,
        miners,
        dice: Dice::new(7),
        said: Instant::now(),
    };
    filling.blocks().await?;
    let Filling { pool, history, clock, .. } = filling;
    history.note(clock.now(), true)?;
    pool.stop().await;
    let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
    Ok(ended.map_err(|_| anyhow::anyhow!("the writer panicked"))??)
}

/// A pool at work.
struct Filling<'a> {
    ground: &'a Ground,
    size: &'a Size,
    clock: MovedClock,
    pool: Pool,
    pool_id: PoolId,
    scheme: accounting::Scheme,
    script: bitcoin::ScriptBuf,
    cashier: Cashier<CoinTreasury>,
    history: History,
    miners: Miners,
    dice: Dice,
    said: Instant,
}

impl Filling<'_> {
    async fn blocks(&mut self) -> anyhow::Result<()> {
        for block in 0..self.size.blocks {
            self.block(block).await?;
            if block % BLOCKS_A_LOOK == 0 || block + 1 == self.size.blocks {
                self.history.note(self.clock.now(), false)?;
                self.cashier.round().await?;
                // A wallet whose coins are all in payouts goes on after the next block; a blocker stays.
                if let Some(blocker) = self.cashier.status().load().blockers.first() {
                    bail!("nothing is paid at block {block}: {blocker}");
                }
            }
            if self.said.elapsed() > SAY_EVERY {
                self.said = Instant::now();
                let (done, shares) = (block + 1, self.size.shares_until(block + 1));
                eprintln!("{done} of {} blocks, {shares} shares", self.size.blocks);
            }
        }
        Ok(())
    }

    /// The shares up to a block, and the block.
    async fn block(&mut self, block: usize) -> anyhow::Result<()> {
        // Filling takes its time: what is left begins so much later, and the last block is found when it is over.
        self.clock.move_on_to(begins_at(self.size.blocks - block));
        let found_at = UnixMs(self.clock.now().0 + BLOCK_EVERY_MS);
        // The nonces are tried beside the writer's work.
        let (script, extra) = (self.script.clone(), u32::try_from(block)?);
        let assembled =
            self.ground.devnet().look(|chain| chain.assemble(&script, extra, found_at.0 / 1000));
        let solving = tokio::task::spawn_blocking(move || devnet::template::solve(assembled));
        let work = self.size.hashes_per_block();
        let count = self.size.shares_until(block + 1) - self.size.shares_until(block);
        let weight = Weight::new((work / count.max(1)).max(1)).context("a weight is not zero")?;
        let looks = if block + LAST_DAY >= self.size.blocks { LOOKS_A_BLOCK } else { 1 };
        // One of them is the block itself.
        let shares = count.saturating_sub(1);
        for look in 0..looks {
            self.clock.advance(BLOCK_EVERY_MS / looks);
            let part = shares * (look + 1) / looks - shares * look / looks;
            self.miners.mine(&self.pool, part, weight, &mut self.dice, self.clock.now()).await?;
            self.history.sample(self.pool.noise(), self.clock.now());
        }
        let solved = solving.await?;
        let hash = solved.block_hash();
        let value = solved.txdata.first().context("a block has a coinbase")?.output.first();
        let value = value.context("a coinbase pays somebody")?.value;
        let submitted = self.ground.devnet().submit(solved);
        if submitted != devnet::chain::Submitted::NewTip {
            bail!("the chain does not take block {block}: {submitted:?}");
        }
        let (finder, display, worker) = self.miners.anybody(&mut self.dice);
        self.pool
            .found(BlockReport {
                budget: None,
                member: None,
                pool: self.pool_id,
                finder,
                display,
                worker,
                block: RewardId(hash.to_byte_array()),
                height: self.ground.devnet().tip().1.into(),
                to_pool: Amount::from_units(value.to_sat().into()),
                to_miners: Amount::ZERO,
                commitment: None,
                coinbase_fee: BasisPoints::default(),
                network_work: work.into(),
                scheme: self.scheme,
                share: Some((weight, None)),
                found_at: self.clock.now(),
            })
            .await?;
        Ok(())
    }
}

//! An audit of a store: from the shares up.
//!
//! Invariant: uses what is on disk and what the chain says, and nothing the running pool believes.

use super::{Finding, chain, say};
use crate::cli::AuditArgs;
use crate::config::{self, Settings};
use accounting::audit::{
    Difference, check_beside, check_purchase, check_reach, check_reward, check_slice,
};
use accounting::ledger::TransferSet;
use accounting::reward::Reward;
use accounting::split::purchase;
use accounting::{Amount, PoolId, RewardId, ShareSeq, SliceNo};
use anyhow::{Context, bail};
use std::collections::{BTreeMap, HashMap};
use store::Reader;
use store::book::{Book, StoredPool};
use stratum::rpc::Endpoint;
use tokio::runtime::Runtime;

/// Runs the command; gives whether everything passed.
///
/// # Errors
/// When the store cannot be read.
pub fn run(args: &AuditArgs, runtime: &Runtime) -> anyhow::Result<bool> {
    let settings = match args.store {
        Some(_) => config::load(&args.config.config).ok(),
        None => Some(config::load(&args.config.config)?),
    };
    let reader = match (&args.store, &settings) {
        (Some(file), _) => Reader::open_file(file)?,
        (None, Some(settings)) => Reader::open(&settings.data_dir)?,
        (None, None) => bail!("no store"),
    };
    let mut auditor = Auditor::of(&reader)?;
    let blocks: Vec<RewardId> = match args.blocks.is_empty() {
        true => reader.rewards(u64::from(u32::MAX))?.into_iter().map(|reward| reward.id).collect(),
        false => args
            .blocks
            .iter()
            .map(|text| text.parse().map_err(|_| anyhow::anyhow!("\"{text}\" is no block hash")))
            .collect::<Result<_, _>>()?,
    };
    let mut all_pass = true;
    for block in &blocks {
        let Some((reward, state)) = reader.reward(*block)? else {
            println!("{block}  FAIL  no reward of this block is in the store");
            all_pass = false;
            continue;
        };
        let finding = auditor.reward(&reward)?;
        let nodes = match (&settings, args.offline) {
            (Some(settings), false) => nodes(settings, &auditor.book, &reward),
            _ => Vec::new(),
        };
        let compares = !args.offline && settings.is_some();
        let chain = compares.then(|| runtime.block_on(chain::pays(&nodes, &reward)));
        all_pass &= say(&reward, state, finding, chain, "");
    }
    if args.blocks.is_empty() {
        all_pass &= purchases(&mut auditor)?;
    }
    let differences = reader.fold_differences()?;
    for difference in &differences {
        println!(
            "balance {} of asset {}: kept {:?}, recomputed {:?}",
            difference.kind, difference.asset, difference.cached, difference.folded
        );
    }
    all_pass &= differences.is_empty();
    println!(
        "{}: {} blocks, {} balances differ",
        if all_pass { "PASS" } else { "FAIL" },
        blocks.len(),
        differences.len()
    );
    Ok(all_pass)
}

/// The nodes that know an asset's chain.
fn nodes(settings: &Settings, book: &Book, reward: &Reward) -> Vec<Endpoint> {
    let mut named = book.assets.iter().filter(|(_, (asset, _))| *asset == reward.asset);
    let name = named.next().map(|(name, _)| name);
    let asset = settings.assets.iter().find(|asset| Some(&asset.config.name) == name);
    let nodes = asset.map(|asset| asset.source.nodes.iter().map(|node| node.endpoint.clone()));
    nodes.into_iter().flatten().collect()
}

/// Recomputes what each pool paid for shares at once, and says it.
fn purchases(auditor: &mut Auditor<'_>) -> anyhow::Result<bool> {
    let mut all_pass = true;
    for (name, pool) in auditor.book.pools.clone() {
        match auditor.purchases(&pool)? {
            Ok((0, _)) => {}
            Ok((slices, paid)) => {
                println!("pool {name}  PASS  {slices} slices bought for {paid} smallest units")
            }
            Err(difference) => {
                println!("pool {name}  FAIL  {difference}");
                all_pass = false;
            }
        }
    }
    Ok(all_pass)
}

/// Recomputes from one store; each slice is sealed again once, however many windows it lies in.
pub struct Auditor<'a> {
    reader: &'a Reader,
    book: Book,
    sealed: HashMap<(PoolId, SliceNo), Result<(), Difference>>,
}

impl<'a> Auditor<'a> {
    /// # Errors
    /// When the store cannot be read.
    pub fn of(reader: &'a Reader) -> anyhow::Result<Self> {
        Ok(Auditor { reader, book: reader.book()?, sealed: HashMap::new() })
    }

    /// Recomputes one reward from the store alone.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn reward(&mut self, reward: &Reward) -> anyhow::Result<Finding> {
        let windows = reward.window.iter().map(|window| (reward.pool, window));
        let beside = reward.shared.iter().flat_map(|shared| &shared.beside);
        let windows = windows.chain(beside.clone().map(|beside| (beside.pool, &beside.window)));
        for (pool, window) in windows {
            let mut slices = self.reader.slices(pool, reward.as_of);
            if let Err(difference) = check_reach(window, reward.window_end, &mut slices)? {
                return Ok(Err(difference).into());
            }
            for no in window.from.0.max(1)..=window.through.0 {
                if let Err(difference) = self.sealed(pool, SliceNo(no))? {
                    return Ok(Err(difference).into());
                }
            }
        }
        for beside in beside {
            let mut slices = self.reader.slices(beside.pool, reward.as_of);
            if let Err(difference) = check_beside(beside, &mut slices)? {
                return Ok(Err(difference).into());
            }
        }
        let mut slices = self.reader.slices(reward.pool, reward.as_of);
        let mut checked = Ok(());
        for cut in self.reader.cuts_before(reward)? {
            checked = check_reward(reward, cut, &mut slices)?;
            if checked.is_ok() {
                break;
            }
        }
        let credits = reward.credits();
        Ok(checked.and_then(|()| self.carries(&credits)).into())
    }

    /// Recomputes every slice of a pool, and what was paid for those that were bought at once; gives how many, and for how
    /// much.
    ///
    /// # Errors
    /// The outer error is the store's, the inner one the first difference.
    pub fn purchases(
        &mut self,
        pool: &StoredPool,
    ) -> anyhow::Result<Result<(u64, Amount), Difference>> {
        let (mut carries, mut bought, mut paid) = (BTreeMap::new(), 0, Amount::ZERO);
        let last = pool.last_slice.map_or(0, |(no, _, _)| no.0);
        for no in (1..=last).map(SliceNo) {
            if let Err(difference) = self.sealed(pool.id, no)? {
                return Ok(Err(difference));
            }
            let found = self.reader.slice(pool.id, no, ShareSeq(0))?.context("it was just read")?;
            let credits = self.reader.slice_credits(pool.id, no)?;
            let rates = &self.book.rates;
            let checked = check_purchase(&found.slice, rates, &mut carries, &credits);
            let set = purchase(&found.slice, pool.asset, &credits);
            if let Err(difference) = checked.and_then(|()| self.carries(&set)) {
                return Ok(Err(difference));
            }
            bought += u64::from(!credits.is_empty());
            paid = paid.add(credits.iter().map(|credit| credit.net).sum());
        }
        Ok(Ok((bought, paid)))
    }

    /// Does the ledger carry exactly these transfers under their key?
    fn carries(&self, expected: &TransferSet) -> Result<(), Difference> {
        let found = self.reader.set(&expected.key).ok().flatten();
        let agrees = match &found {
            Some(found) => found == expected,
            None => expected.transfers.is_empty(),
        };
        if agrees { Ok(()) } else { Err(Difference::Transfers(expected.key.clone())) }
    }

    /// Does a slice follow from its shares and the slice before it?
    fn sealed(&mut self, pool: PoolId, no: SliceNo) -> anyhow::Result<Result<(), Difference>> {
        if let Some(known) = self.sealed.get(&(pool, no)) {
            return Ok(known.clone());
        }
        let slice = |no: SliceNo| self.reader.slice(pool, no, ShareSeq(0));
        let checked = match slice(no)? {
            None => Err(Difference::Slice(no)),
            Some(found) => {
                let before = match no.0 {
                    1 => None,
                    no => {
                        slice(SliceNo(no - 1))?.map(|before| (before.slice.no, before.slice.hash))
                    }
                };
                let shares = self.reader.shares(found.slice.first, found.slice.last)?;
                check_slice(&found.slice, before, shares)
            }
        };
        self.sealed.insert((pool, no), checked.clone());
        Ok(checked)
    }
}

//! An audit from outside: with nothing but the pool's public API, and a node of one's own.
//!
//! What it cannot see are single shares: that slices follow from the shares is checked by their hashes only, which bind every
//! slice to all before it, so that nothing that was served once can be changed later without a trace.
//!
//! Invariant: the rules are those of [`accounting::audit`]; nothing the pool concluded is used but what is compared, and a
//! check of nothing is no check.

mod judgement;
mod node;
mod places;
mod promises;

use self::judgement::Judged;
use self::node::OwnNode;
use self::places::Known;
use super::bought::Log;
use super::member::Traces;
use super::memory::Memory;
use super::own::OwnAccount;
use super::served::{Seen, Untrue};
use crate::cli::audit::AuditArgs;
use accounting::rule::RuleSince;
use accounting::{AccountId, PoolId, SliceNo};
use anyhow::{Context, bail};
use farming::hash::Bytes32;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Runtime;
use web::model::audit::{Audit, Unreadable, hex};
use web::model::pools::Pool;
use web::remote::{Remote, RemoteError};

/// How often a block is looked at again whose state and whose chain differ: the pool may just be moving it.
const TRIES: u32 = 3;
/// How long to wait before.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Runs the audit; gives whether everything passed.
///
/// # Errors
/// When the pool does not answer, or not in a way that can be read.
pub fn run(args: &AuditArgs, url: &str, runtime: &Runtime) -> anyhow::Result<bool> {
    let read = |file: &PathBuf| {
        std::fs::read(file).with_context(|| format!("--certificate {}", file.display()))
    };
    let certificate = args.certificate.as_ref().map(read).transpose()?;
    let remote = Remote::at(url, certificate.as_deref())?;
    let memory = args.since.as_ref().map(|file| Memory::read(file)).transpose()?;
    let mut own = None;
    let mut asset = args.asset.clone();
    if let Some(address) = &args.address {
        let found = OwnAccount::of(&remote, runtime, address)?;
        asset = Some(found.asset.clone());
        own = Some(found);
    }
    let mut visitor = Visitor::of(&remote, runtime, OwnNode::of(args, runtime)?, asset)?;
    visitor.own = own.as_ref().map(|own| own.id);
    visitor.launcher = args.address.as_ref().and_then(|address| address.parse().ok());
    let mut all_pass = visitor.promises();
    let whole = args.blocks.is_empty();
    let named = if whole { visitor.listed() } else { args.blocks.clone() };
    for block in &named {
        all_pass &= visitor.block(block)?;
    }
    if whole {
        all_pass &= visitor.logs()?;
    }
    if let (Some(own), true) = (&own, whole) {
        all_pass &= own.check(&mut visitor)?;
    }
    if let (Some(file), Some(memory)) = (&args.since, memory) {
        all_pass &= visitor.remember(memory, all_pass, file)?;
    }
    if visitor.judged.is_empty() && visitor.seen.newest.is_empty() {
        println!("there was nothing to audit: the pool shows no block and no slice");
        all_pass = false;
    }
    if visitor.node.is_none() {
        println!("nothing was compared with the chain: name a node of your own with --node");
    }
    let verdict = if all_pass { "PASS" } else { "FAIL" };
    let (blocks, compared) = (visitor.judged.len(), visitor.compared);
    println!("{verdict}: {blocks} blocks from {url}, {compared} as the chain has them");
    Ok(all_pass)
}

/// Somebody with nothing but the API, and perhaps a node.
pub struct Visitor<'a> {
    /// The pool's API.
    pub remote: &'a Remote,
    /// To ask by.
    pub runtime: &'a Runtime,
    /// A node of the audited coin.
    pub node: Option<OwnNode>,
    /// The pools, those of other coins too.
    pub pools: Vec<Pool>,
    /// The audited coin; all without.
    asset: Option<String>,
    /// Whose owner asks.
    pub own: Option<AccountId>,
    /// Its plot NFT, where that is what names it.
    launcher: Option<Bytes32>,
    /// Each audited pool's blocks, newest first, as they were listed at the start.
    lists: BTreeMap<PoolId, Vec<String>>,
    rules: BTreeMap<PoolId, Vec<RuleSince>>,
    seen: Seen,
    known: HashMap<String, Known>,
    /// The record that was fetched last, and not looked at yet.
    ahead: Option<(String, Audit)>,
    logs: BTreeMap<PoolId, Log>,
    /// By block.
    pub judged: BTreeMap<String, Judged>,
    saw: Memory,
    compared: u64,
    /// The chain as coordination-free pools' rules see it.
    traces: Traces,
}

impl<'a> Visitor<'a> {
    fn of(
        remote: &'a Remote,
        runtime: &'a Runtime,
        node: Option<OwnNode>,
        asset: Option<String>,
    ) -> anyhow::Result<Self> {
        let mut pools = runtime.block_on(remote.pools())?;
        let pots: Vec<Pool> = pools.iter().filter_map(Pool::pot).collect();
        pools.extend(pots);
        let mut coins: Vec<&str> = pools.iter().map(|pool| pool.asset.as_str()).collect();
        coins.sort_unstable();
        coins.dedup();
        let (count, coins) = (coins.len(), coins.join(", "));
        if node.is_some() && asset.is_none() && count > 1 {
            bail!("this pool mines {coins}: say with --asset which of them your node knows");
        }
        let audited = |pool: &Pool| asset.as_ref().is_none_or(|asset| *asset == pool.asset);
        if asset.is_some() && !pools.iter().any(audited) {
            bail!("this pool has no such coin; it mines {coins}");
        }
        let rules = pools.iter().map(|pool| (PoolId(pool.id), pool.rules.clone())).collect();
        let mut visitor = Visitor {
            remote,
            runtime,
            node,
            pools,
            asset,
            own: None,
            launcher: None,
            lists: BTreeMap::new(),
            rules,
            seen: Seen::default(),
            known: HashMap::new(),
            ahead: None,
            logs: BTreeMap::new(),
            judged: BTreeMap::new(),
            saw: Memory::default(),
            compared: 0,
            traces: Traces::default(),
        };
        visitor.look()?;
        Ok(visitor)
    }

    /// Fixes what is audited: the blocks there are, then the slices, so that every block's are among them.
    fn look(&mut self) -> anyhow::Result<()> {
        for pool in self.audited() {
            let found = self.runtime.block_on(self.remote.blocks(pool.0))?;
            self.lists.insert(pool, found.into_iter().map(|block| block.hash).collect());
        }
        // Where blocks stood then need not be where they stand now.
        self.known.clear();
        for pool in self.audited() {
            if let Some(newest) = self.runtime.block_on(self.remote.newest_slice(pool.0))? {
                self.seen.newest.insert(pool, newest.sourced(pool)?.slice.no);
            }
        }
        Ok(())
    }

    /// The pools of the audited coin.
    fn audited(&self) -> Vec<PoolId> {
        let of_coin = |pool: &&Pool| self.asset.as_ref().is_none_or(|asset| *asset == pool.asset);
        self.pools.iter().filter(of_coin).map(|pool| PoolId(pool.id)).collect()
    }

    fn named(&self, id: PoolId) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.id == id.0)
    }

    /// All blocks, each pool's newest first.
    fn listed(&self) -> Vec<String> {
        self.audited().iter().filter_map(|pool| self.lists.get(pool)).flatten().cloned().collect()
    }

    /// Reads every pool's log through its newest slice, and says it; gives whether all passed.
    fn logs(&mut self) -> anyhow::Result<bool> {
        let mut all_pass = true;
        for pool in self.audited() {
            let newest = self.seen.newest.get(&pool).copied().unwrap_or_default();
            let name = self.named(pool).map_or(String::new(), |pool| pool.name.clone());
            if let Some(text) = self.log(pool, newest)? {
                println!("pool {name}  FAIL  {text}");
                all_pass = false;
                continue;
            }
            let Some(log) = self.logs.get(&pool) else { continue };
            let (no, hash) = log.newest;
            let bought = match log.bought {
                0 => String::new(),
                count => format!(", {count} slices bought for {} smallest units", log.paid),
            };
            println!("pool {name}  PASS  newest slice {no} with hash {}{bought}", hex(&hash));
            self.saw.saw_pool(pool, &name, log.newest);
        }
        Ok(all_pass)
    }

    /// Reads a pool's log through a slice; gives what is wrong with it.
    ///
    /// # Errors
    /// When the pool does not answer.
    pub fn log(&mut self, pool: PoolId, through: SliceNo) -> anyhow::Result<Option<String>> {
        let log = self.logs.entry(pool).or_insert_with(|| Log::of(pool));
        let rules = self.rules.get(&pool).map(Vec::as_slice).unwrap_or_default();
        let ask = (self.remote, self.runtime);
        match log.read(ask, &mut self.seen, through, rules, self.own) {
            Ok(checked) => Ok(checked.err().map(|difference| difference.to_string())),
            Err(error) if is_untrue(&error) => Ok(Some(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// How far each pool's log was read, and what the own account was paid in it.
    pub fn purchases(&self) -> impl Iterator<Item = (&Pool, &Log)> {
        self.pools.iter().filter_map(|pool| Some((pool, self.logs.get(&PoolId(pool.id))?)))
    }

    /// Compares with what was seen before, and keeps what was seen now if all passed; gives whether nothing was changed.
    fn remember(
        &mut self,
        mut memory: Memory,
        all_pass: bool,
        file: &Path,
    ) -> anyhow::Result<bool> {
        let shown: Vec<PoolId> = self.pools.iter().map(|pool| PoolId(pool.id)).collect();
        let changed = memory.changed(&self.audited(), &shown, &self.seen, &self.saw);
        for text in &changed {
            println!("since the last audit  FAIL  {text}");
        }
        if changed.is_empty() && all_pass {
            memory.extend(std::mem::take(&mut self.saw));
            memory.write(file)?;
        }
        Ok(changed.is_empty())
    }
}

/// Is it something that the pool says, and not that it says nothing?
fn is_untrue(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<RemoteError>();
    error.is::<Untrue>()
        || error.is::<Unreadable>()
        || error.is::<accounting::ledger::UnknownName>()
        || refused.is_some_and(|error| {
            matches!(error, RemoteError::Unreadable { .. } | RemoteError::Refused { .. })
        })
}

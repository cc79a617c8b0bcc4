//! An audit from outside: with nothing but the pool's public API, and a node of one's own.
//!
//! What it cannot see are single shares: that slices follow from the shares is checked by their hashes only, which bind every
//! slice to all before it, so that nothing that was served once can be changed later without a trace.
//!
//! Invariant: the rules are those of [`accounting::audit`]; nothing the pool concluded is used but what is compared, and a
//! check of nothing is no check.

use super::bought::Log;
use super::chain::{self, Chain, Depths};
use super::memory::Memory;
use super::own::OwnAccount;
use super::served::{Seen, Served, Untrue};
use super::{Finding, say};
use crate::cli::AuditArgs;
use accounting::audit::{Difference, Ruled, check_beside, check_reward, check_rule};
use accounting::reward::{Reward, RewardState};
use accounting::rule::{Rule, RuleSince};
use accounting::{AccountId, BasisPoints, PoolId, Scheme, ShareSeq, SliceNo};
use anyhow::{Context, bail};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;
use stratum::rpc::Endpoint;
use tokio::runtime::Runtime;
use web::model::audit::{Audit, Unreadable, hex};
use web::model::blocks::scheme_name;
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
    let mut visitor = Visitor::of(&remote, runtime, node(args)?, asset)?;
    visitor.own = own.as_ref().map(|own| own.id);
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

/// The auditor's own node.
fn node(args: &AuditArgs) -> anyhow::Result<Option<Endpoint>> {
    let Some(address) = &args.node else { return Ok(None) };
    let auth = crate::node::auth(args.node_cookie.as_ref(), args.node_user.as_ref())?;
    Ok(Some(Endpoint { address: address.clone(), path: String::new(), auth }))
}

/// What was found of a block.
pub struct Judged {
    /// Where the pool says it stands; compared with the chain.
    pub state: RewardState,
    /// The own account's part, without what the block itself paid it.
    pub net: i128,
    /// Of that, what the block itself paid.
    pub by_block: i128,
}

/// What later blocks need of an earlier one.
#[derive(Clone, Copy)]
struct Known {
    end: ShareSeq,
    through: Option<SliceNo>,
    /// Did it ever leave the chain?
    left: bool,
}

/// Somebody with nothing but the API, and perhaps a node.
pub struct Visitor<'a> {
    /// The pool's API.
    pub remote: &'a Remote,
    /// To ask by.
    pub runtime: &'a Runtime,
    /// A node of the audited coin.
    pub node: Option<Endpoint>,
    /// The pools, those of other coins too.
    pub pools: Vec<Pool>,
    /// The audited coin; all without.
    asset: Option<String>,
    /// Whose owner asks.
    pub own: Option<AccountId>,
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
}

impl<'a> Visitor<'a> {
    fn of(
        remote: &'a Remote,
        runtime: &'a Runtime,
        node: Option<Endpoint>,
        asset: Option<String>,
    ) -> anyhow::Result<Self> {
        let pools = runtime.block_on(remote.pools())?;
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
            lists: BTreeMap::new(),
            rules,
            seen: Seen::default(),
            known: HashMap::new(),
            ahead: None,
            logs: BTreeMap::new(),
            judged: BTreeMap::new(),
            saw: Memory::default(),
            compared: 0,
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

    /// Says what each pool promised: whoever reads it sees whether that is what they were told.
    fn promises(&self) -> bool {
        let mut all_pass = true;
        for pool in self.audited().iter().filter_map(|id| self.named(*id)) {
            let Pool { name, rules, mature_after, orphan_after, .. } = pool;
            for known in rules {
                let since = known.since;
                let words = known.rule.as_ref().map_or("closed".to_owned(), |rule| {
                    let members = rule.fee.resolve(0, true);
                    let part = rule.part.map_or(String::new(), |p| format!(", part {}", p.get()));
                    format!(
                        "{}, fee {} (members {members}){part}",
                        rule.scheme.in_words(),
                        rule.fee.base
                    )
                });
                println!("pool {name}  promised after place {since} of its log: {words}");
            }
            let current = rules.last().and_then(|known| known.rule.as_ref());
            let fee = BasisPoints::new((pool.fee_percent * 100.0).round() as u16).ok();
            let keeps = |rule: &&Rule| {
                scheme_name(rule.scheme) == pool.scheme
                    && fee.is_some_and(|fee| rule.allows_in_some_window(fee))
            };
            if current.filter(keeps).is_none() {
                let (scheme, fee) = (&pool.scheme, pool.fee_percent);
                println!(
                    "pool {name}  FAIL  advertises {scheme} at {fee} %, and promised otherwise"
                );
                all_pass = false;
            }
            println!(
                "pool {name}  blocks mature after {mature_after} confirmations and are given up after {orphan_after} of another"
            );
        }
        all_pass
    }

    /// Recomputes one block and says it; gives whether it passed.
    ///
    /// # Errors
    /// When the pool does not answer.
    pub fn block(&mut self, block: &str) -> anyhow::Result<bool> {
        let found = self.record(block).and_then(|record| self.judge(block, record));
        match found {
            Ok(passed) => Ok(passed),
            Err(error) if is_untrue(&error) => {
                println!("{block}  FAIL  {error}");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn record(&mut self, block: &str) -> anyhow::Result<Audit> {
        match self.ahead.take_if(|(ahead, _)| ahead == block) {
            Some((_, record)) => Ok(record),
            None => Ok(self.runtime.block_on(self.remote.audit(block))?),
        }
    }

    fn judge(&mut self, block: &str, mut record: Audit) -> anyhow::Result<bool> {
        let reward = record.reward()?;
        if reward.id.to_string() != block {
            println!("{block}  FAIL  the pool answered about {}", reward.id);
            return Ok(false);
        }
        let (mut finding, more) = match self.recomputed(&record, &reward) {
            Ok(Ok(more)) => (Finding::Pass, more),
            Ok(Err(text)) => (Finding::Differs(text), String::new()),
            Err(error) if is_untrue(&error) => (Finding::Differs(error.to_string()), String::new()),
            Err(error) => return Err(error),
        };
        let mut state: RewardState = record.state.parse()?;
        let mut said = self.chain(&reward, state);
        // The pool may be moving it this moment: what stays so is no accident.
        for _ in 1..TRIES {
            if finding != Finding::Pass || !matches!(said, Some(Chain::Overdue(_))) {
                break;
            }
            std::thread::sleep(PAUSE);
            record = self.runtime.block_on(self.remote.audit(block))?;
            if record.reward()? != reward {
                finding = Finding::Differs("it is served in two ways".to_owned());
                break;
            }
            state = record.state.parse()?;
            said = self.chain(&reward, state);
        }
        self.keep(block, &reward, state);
        self.compared += u64::from(said == Some(Chain::Agrees));
        Ok(say(&reward, state, finding, said, &more))
    }

    /// Where the pool says now that a block stands, if the chain does not say otherwise.
    ///
    /// # Errors
    /// When the pool does not answer.
    pub fn state_again(&mut self, block: &str) -> anyhow::Result<Option<RewardState>> {
        let record = self.runtime.block_on(self.remote.audit(block))?;
        let (reward, state): (Reward, RewardState) = (record.reward()?, record.state.parse()?);
        let said = self.chain(&reward, state);
        let contradicted = matches!(said, Some(Chain::Differs(_) | Chain::Overdue(_)));
        if contradicted || reward.id.to_string() != block {
            return Ok(None);
        }
        // Of all else, what was recomputed counts.
        if let Some(judged) = self.judged.get_mut(block) {
            judged.state = state;
        }
        Ok(Some(state))
    }

    fn keep(&mut self, block: &str, reward: &Reward, state: RewardState) {
        let rows = reward.split.iter().flat_map(|split| &split.rows);
        let own = rows.filter(|row| Some(row.account) == self.own).map(|row| row.net.units());
        let by_block = if Some(reward.finder) == self.own { reward.to_finder.units() } else { 0 };
        let judged = Judged { state, net: own.sum(), by_block };
        self.judged.insert(block.to_owned(), judged);
        self.saw.saw_block(reward);
    }

    fn chain(&self, reward: &Reward, state: RewardState) -> Option<Chain> {
        let node = self.node.as_ref()?;
        let pool = self.named(reward.pool)?;
        if self.asset.as_ref().is_some_and(|asset| *asset != pool.asset) {
            return Some(Chain::Silent);
        }
        let depths = Depths { mature: pool.mature_after, orphan: pool.orphan_after };
        let nodes = std::slice::from_ref(node);
        Some(self.runtime.block_on(chain::compare(nodes, reward, state, depths)))
    }

    /// Recomputes a block's split from what the pool serves beside it; gives what there is to say about it, or what is wrong.
    fn recomputed(
        &mut self,
        record: &Audit,
        reward: &Reward,
    ) -> anyhow::Result<Result<String, String>> {
        let place = self.lists.get(&reward.pool);
        let place = place.and_then(|list| list.iter().position(|block| *block == record.block));
        let Some(place) = place else {
            return Ok(Err(format!("it is in no list of pool {}'s blocks", reward.pool)));
        };
        self.known.insert(record.block.clone(), Known::of(reward, record)?);
        let newer = place.checked_sub(1).and_then(|place| self.known_at(reward.pool, place));
        if newer.is_some_and(|newer| newer.end <= reward.window_end) {
            return Ok(Err("it is not in its place in the list of blocks".to_owned()));
        }
        let before = self.earlier(reward.pool, place)?;
        if before.is_some_and(|before| before.end >= reward.window_end) {
            return Ok(Err("it is not in its place in the list of blocks".to_owned()));
        }
        let ruled = check_rule(reward, &self.rules_beside(reward), before.map(|known| known.end));
        let ruled = match ruled {
            Ok(ruled) => ruled,
            Err(difference) => return Ok(Err(difference.to_string())),
        };
        let cuts = match reward.scheme {
            Scheme::Prop | Scheme::Budget { .. } => self.cuts(reward.pool, place)?,
            _ => vec![SliceNo(0)],
        };
        let checked = self.split_again(reward, &cuts)?;
        let told = match checked {
            Ok(told) => told,
            Err(difference) => return Ok(Err(difference.to_string())),
        };
        let own = reward.split.iter().flat_map(|split| &split.rows);
        let own: i128 =
            own.filter(|row| Some(row.account) == self.own).map(|row| row.net.units()).sum();
        let own = if self.own.is_some() { format!(", {own} of them yours") } else { String::new() };
        Ok(Ok(format!("{own}{}{told}", words(ruled, reward))))
    }

    /// The windows and the split again; gives what there is to say of them.
    fn split_again(
        &mut self,
        reward: &Reward,
        cuts: &[SliceNo],
    ) -> anyhow::Result<Result<String, Difference>> {
        let (ask, own) = ((self.remote, self.runtime), self.own);
        let mut more = String::new();
        for beside in reward.shared.iter().flat_map(|shared| &shared.beside) {
            let mut slices = Served::of(ask, &mut self.seen, beside.pool, reward.as_of);
            let checked = match slices.whole(&beside.window, reward.window_end)? {
                Ok(()) => check_beside(beside, &mut slices)?,
                Err(difference) => Err(difference),
            };
            if let Err(difference) = checked {
                return Ok(Err(difference));
            }
            if beside.network_work != reward.network_work {
                let (pool, work) = (beside.pool, beside.network_work);
                more += &format!(", pool {pool}'s window measured by {work} hashes a block");
            }
            more += &slices.revoked_in_words(&beside.window, own)?;
        }
        let mut slices = Served::of(ask, &mut self.seen, reward.pool, reward.as_of);
        if let Some(window) = &reward.window {
            if let Err(difference) = slices.whole(window, reward.window_end)? {
                return Ok(Err(difference));
            }
            more += &slices.revoked_in_words(window, own)?;
        }
        let mut checked = Err(Difference::Shape);
        for (back, cut) in cuts.iter().enumerate() {
            checked = check_reward(reward, *cut, &mut slices)?;
            if checked.is_ok() {
                if back > 0 {
                    more +=
                        &format!(", its round begins before {back} blocks that had left the chain");
                }
                break;
            }
        }
        Ok(checked.map(|()| more))
    }

    /// The rules of all pools that could share a block.
    fn rules_beside(&self, reward: &Reward) -> BTreeMap<PoolId, Vec<RuleSince>> {
        let asset = self.named(reward.pool).map(|pool| pool.asset.as_str());
        let of_asset = self.pools.iter().filter(|pool| Some(pool.asset.as_str()) == asset);
        let rules = |pool: &Pool| self.rules.get(&PoolId(pool.id)).cloned().unwrap_or_default();
        of_asset.map(|pool| (PoolId(pool.id), rules(pool))).collect()
    }

    fn known_at(&self, pool: PoolId, place: usize) -> Option<Known> {
        let block = self.lists.get(&pool)?.get(place)?;
        self.known.get(block).copied()
    }

    /// The block before the one at a place of a pool's list.
    fn earlier(&mut self, pool: PoolId, place: usize) -> anyhow::Result<Option<Known>> {
        let place = place.saturating_add(1);
        let Some(block) = self.lists.get(&pool).and_then(|list| list.get(place)) else {
            return Ok(None);
        };
        if let Some(known) = self.known.get(block) {
            return Ok(Some(*known));
        }
        let block = block.clone();
        let record = self.runtime.block_on(self.remote.audit(&block))?;
        let known = Known::of(&record.reward()?, &record)?;
        self.known.insert(block.clone(), known);
        self.ahead = Some((block, record));
        Ok(Some(known))
    }

    /// The slices that may have ended the round before a block, by the pool's other records: that of the block before, or of
    /// one further back where those between left the chain.
    fn cuts(&mut self, pool: PoolId, place: usize) -> anyhow::Result<Vec<SliceNo>> {
        let (mut cuts, mut place) = (Vec::new(), place);
        while let Some(known) = self.earlier(pool, place)? {
            cuts.extend(known.through);
            if known.through.is_some() && !known.left {
                return Ok(cuts);
            }
            place = place.saturating_add(1);
        }
        cuts.push(SliceNo(0));
        Ok(cuts)
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

    /// Judges a block that was found since the audit began; gives whether it passed.
    ///
    /// # Errors
    /// When the pool does not answer.
    pub fn newcomer(&mut self, block: &str) -> anyhow::Result<bool> {
        if !self.listed().iter().any(|known| known == block) {
            self.look()?;
        }
        self.block(block)
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

impl Known {
    fn of(reward: &Reward, record: &Audit) -> anyhow::Result<Self> {
        let state: RewardState = record.state.parse()?;
        Ok(Known {
            end: reward.window_end,
            through: reward.window.as_ref().map(|window| window.through),
            left: state == RewardState::Orphaned || record.returns > 0,
        })
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

/// What there is to say of the rule.
fn words(ruled: Ruled, reward: &Reward) -> String {
    let scheme = reward.scheme.in_words();
    match ruled {
        Ruled::ByRule => String::new(),
        Ruled::ByRuleBefore => format!(", by the rule before the last change ({scheme})"),
        Ruled::Unknown => format!(", by a rule of before the pool published any ({scheme})"),
    }
}

//! An audit of a store: from the shares up.
//!
//! Invariant: uses what is on disk and what the chain says, and nothing the running pool believes.

use super::chain::{self, Chain, Depths};
use super::chia::{Booked, ChiaChain, Finder};
use super::member::Traces;
use super::{Finding, ether, gxc, say};
use crate::cli::audit::AuditArgs;
use crate::config::{self, AssetKind, AssetSettings, PoolKind, PoolSettings, Settings};
use accounting::audit::{
    Difference, check_beside, check_earned, check_purchase, check_reach, check_reward, check_rule,
    check_slice, check_slice_fees,
};
use accounting::ledger::TransferSet;
use accounting::payout::PayoutState;
use accounting::reward::{End, Reward};
use accounting::rule::RuleSince;
use accounting::split::purchase;
use accounting::window::WindowTable;
use accounting::{AccountId, Amount, Identity, IdentityKind, PoolId, RewardId, ShareSeq, SliceNo};
use anyhow::{Context, bail};
use compute::epoch::EpochNo;
use compute::tables::Tables;
use farming::hash::Bytes32;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use store::Reader;
use store::book::{Book, StoredPool};
use store::sqlite::{Cut, PayoutSummary, RewardFilter};
use stratum::rpc::Endpoint;
use tokio::runtime::Runtime;

/// Rewards that are looked at in one go.
const BLOCKS_AT_ONCE: u64 = 8;
/// Payouts that are looked at in one go.
const PAYOUTS_AT_ONCE: u64 = 500;

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
    let mut traces = Traces::default();
    let mut chia: BTreeMap<&str, ChiaChain> = BTreeMap::new();
    let asked = settings.iter().filter(|_| !args.offline).flat_map(|settings| &settings.assets);
    for asset in asked {
        if let AssetKind::Chia(own) = &asset.kind {
            let chain = runtime.block_on(ChiaChain::of(own));
            chia.extend(chain.map(|chain| (asset.config.name.as_str(), chain)));
        }
    }
    let mut all_pass = true;
    for block in &blocks {
        let Some((reward, state)) = reader.reward(*block)? else {
            println!("{block}  FAIL  no reward of this block is in the store");
            all_pass = false;
            continue;
        };
        let mut finding = auditor.reward(&reward)?;
        if let (Some(settings), Finding::Pass, Some(_)) = (&settings, &finding, &reward.budget) {
            finding = reported(&settings.data_dir, &reward)?;
        }
        let asset = settings.as_ref().filter(|_| !args.offline);
        let asset = asset.map(|settings| asset_of(settings, &auditor.book, &reward));
        let place = reader.place(*block)?;
        let is_known = |block| {
            let known = reader.reward(block);
            known.is_ok_and(|known| known.is_some_and(|(known, _)| known.pool == reward.pool))
        };
        let chain = asset.map(|asset| {
            let Some(asset) = asset else { return Chain::Silent };
            let depths = asset.config.depths;
            let depths = Depths { mature: depths.mature, orphan: depths.orphan };
            runtime.block_on(async {
                match &asset.kind {
                    AssetKind::Chia(_) => match chia.get(asset.config.name.as_str()) {
                        Some(chain) => {
                            let booked = auditor.booked(settings.as_ref(), &reward);
                            chain.reward(&reward, booked, state, depths).await
                        }
                        None => Chain::Silent,
                    },
                    AssetKind::Ether(own) => ether::reward(own, &reward, state, depths).await,
                    AssetKind::Gxc(own) => gxc::reward(own, &reward, state, depths).await,
                    AssetKind::Coin(own) => {
                        let nodes = own.source.nodes.iter().map(|node| node.endpoint.clone());
                        let nodes: Vec<Endpoint> = nodes.collect();
                        let said = chain::compare(&nodes, &reward, state, place, depths).await;
                        traces.compare(&nodes, &reward, state, is_known, said).await
                    }
                    AssetKind::External(_) => Chain::Silent,
                }
            })
        });
        // A store whose pool does not run has not looked at the chain since.
        let (chain, more) = match chain {
            Some(Chain::Overdue(text)) => (Some(Chain::Silent), format!(", {text}")),
            chain => (chain, String::new()),
        };
        all_pass &= say(&reward, state, finding, chain, &more);
    }
    if args.blocks.is_empty() {
        all_pass &= purchases(&mut auditor)?;
        for (name, chain) in &chia {
            all_pass &= payouts(&auditor, runtime, name, chain)?;
        }
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

/// Says the epoch's report, where it is kept, what the ledger booked?
fn reported(folder: &Path, reward: &Reward) -> anyhow::Result<Finding> {
    if !folder.join(compute::tables::FILE_NAME).exists() {
        return Ok(Finding::Pass);
    }
    let kept = Tables::open(folder)?.epoch(EpochNo(reward.height))?;
    let checked = kept.map_or(Ok(()), |closed| {
        closed.report.check().and_then(|()| closed.report.agrees_with(reward))
    });
    Ok(checked.map_or_else(|error| Finding::Differs(error.to_string()), |()| Finding::Pass))
}

/// The asset of a reward as it is configured, with the nodes that know its chain.
fn asset_of<'s>(settings: &'s Settings, book: &Book, reward: &Reward) -> Option<&'s AssetSettings> {
    let mut named = book.assets.iter().filter(|(_, (asset, _))| *asset == reward.asset);
    let (name, _) = named.next()?;
    settings.assets.iter().find(|asset| asset.config.name == *name)
}

impl Auditor<'_> {
    /// What the books say of a farmed reward.
    fn booked(&self, settings: Option<&Settings>, reward: &Reward) -> Booked {
        let of_farmer = |(who, account): (&Identity, &AccountId)| {
            let is_finder = *account == reward.finder && who.kind == IdentityKind::Launcher;
            is_finder.then(|| who.bytes.as_slice().try_into().ok().map(Bytes32))?
        };
        let finder = self.book.identities.iter().find_map(of_farmer);
        let pots = settings.iter().flat_map(|settings| &settings.pools);
        let mut pots = pots.filter(|pool| matches!(pool.kind, PoolKind::Refunds));
        let is_its = |pool: &PoolSettings| {
            self.book.pools.get(&pool.config.name).is_some_and(|stored| stored.id == reward.pool)
        };
        Booked { is_own: pots.any(is_its), finder: finder.map_or(Finder::Unknown, Finder::Is) }
    }
}

/// Asks the chain for every confirmed payout of an asset, and says which it has.
fn payouts(
    auditor: &Auditor<'_>,
    runtime: &Runtime,
    asset: &str,
    chain: &ChiaChain,
) -> anyhow::Result<bool> {
    let Some((id, _)) = auditor.book.assets.get(asset) else { return Ok(true) };
    let (mut all_pass, mut seen, mut unseen) = (true, 0_u64, 0_u64);
    let mut cut = Cut::first(PAYOUTS_AT_ONCE);
    loop {
        let some = auditor.reader.payout_summaries(cut)?;
        let Some(last) = some.last() else { break };
        cut = Cut { from: Some(last.id.0), ..cut };
        let confirmed =
            |payout: &&PayoutSummary| payout.asset == *id && payout.state == PayoutState::Confirmed;
        for payout in some.iter().filter(confirmed) {
            let parts = auditor.reader.payout_parts(payout.id, Cut::first(u64::MAX))?;
            let first = payout.txid.map(|txid| auditor.reader.first_input(txid.0));
            let said = match first.transpose()?.flatten() {
                Some(first) => runtime.block_on(chain.payout(first, &parts)),
                None => Chain::Differs("it is confirmed without a payment".to_owned()),
            };
            match said {
                Chain::Agrees => seen += 1,
                Chain::Silent => unseen += 1,
                Chain::Differs(text) | Chain::Overdue(text) => {
                    println!("payout {}  FAIL  {text}", payout.id);
                    all_pass = false;
                }
            }
        }
    }
    println!(
        "payouts of {asset}: {seen} confirmed ones are on the chain, {unseen} could not be looked for"
    );
    Ok(all_pass)
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
    /// What each pool promised.
    rules: BTreeMap<PoolId, Vec<RuleSince>>,
    /// A pool's first share after its newest slice.
    unsealed: HashMap<(PoolId, SliceNo), ShareSeq>,
}

impl<'a> Auditor<'a> {
    /// # Errors
    /// When the store cannot be read.
    pub fn of(reader: &'a Reader) -> anyhow::Result<Self> {
        let book = reader.book()?;
        let of = |pool: &StoredPool| Ok((pool.id, pool::rules::of(&book, pool.id)?));
        let rules = book.pools.values().map(of).collect::<anyhow::Result<_>>()?;
        Ok(Auditor { reader, book, sealed: HashMap::new(), rules, unsealed: HashMap::new() })
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
            if let Err(difference) = self.reaches(pool, window, reward)? {
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
        let before = self.block_before(reward)?;
        let ruled = || check_rule(reward, &self.rules_of(reward), before).map(drop);
        let known = |id| self.reader.reward(id).ok().flatten().map(|(reward, _)| reward);
        let checked = checked.and_then(|()| ruled()).and_then(|()| check_earned(reward, known));
        let credits = reward.credits();
        Ok(checked.and_then(|()| self.carries(&credits)).into())
    }

    /// Is every share of the pool before the block in a slice of the window's or an older one?
    fn reaches(
        &mut self,
        pool: PoolId,
        window: &WindowTable,
        reward: &Reward,
    ) -> anyhow::Result<Result<(), Difference>> {
        let mut slices = self.reader.slices(pool, reward.as_of);
        if let Err(difference) = check_reach(window, reward.end(), &mut slices)? {
            return Ok(Err(difference));
        }
        let End::With(end) = reward.end() else { return Ok(Ok(())) };
        let next = window.through.next();
        if self.reader.slice(pool, next, ShareSeq(0))?.is_some() {
            // It is sealed from all shares after the window's last: one between the two would be missed in it.
            return self.sealed(pool, next);
        }
        let first = match self.unsealed.get(&(pool, window.through)) {
            Some(first) => Some(*first),
            None => {
                let last = self.reader.slice(pool, window.through, ShareSeq(0))?;
                let last = last.map_or(ShareSeq(0), |found| found.slice.last);
                self.reader.first_share_after(pool, last)?
            }
        };
        self.unsealed.extend(first.map(|first| ((pool, window.through), first)));
        let left_out = first.is_some_and(|first| first <= end);
        Ok(if left_out { Err(Difference::Reach(window.through)) } else { Ok(()) })
    }

    /// The rules of all pools of a reward's asset.
    fn rules_of(&self, reward: &Reward) -> BTreeMap<PoolId, Vec<RuleSince>> {
        let pools = self.book.pools.values().filter(|pool| pool.asset == reward.asset);
        let rules = |pool: &StoredPool| self.rules.get(&pool.id).cloned().unwrap_or_default();
        pools.map(|pool| (pool.id, rules(pool))).collect()
    }

    /// Where the pool's block before a reward's was found; payments for earlier ones in between are none.
    fn block_before(&self, reward: &Reward) -> anyhow::Result<Option<ShareSeq>> {
        let mut cut = Cut { from: Some(reward.window_end.0), limit: BLOCKS_AT_ONCE };
        loop {
            let found = self.reader.rewards_by(RewardFilter::Pool(reward.pool), cut)?;
            let before = found.iter().find(|before| before.place.is_none());
            let Some(last) = found.last() else { return Ok(None) };
            if let Some(before) = before {
                return Ok(Some(before.window_end));
            }
            cut.from = Some(last.window_end.0);
        }
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
            let rules = self.rules.get(&pool.id).map(Vec::as_slice).unwrap_or_default();
            let checked = checked.and_then(|()| check_slice_fees(&found.slice, rules, &credits));
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
                    no => slice(SliceNo(no - 1))?.map(|before| before.slice),
                };
                let after = before.as_ref().map_or(ShareSeq(0), |before| before.last);
                let shares = self.reader.shares_of(pool, after.next(), found.slice.last)?;
                check_slice(&found.slice, before.as_ref(), shares)
            }
        };
        self.sealed.insert((pool, no), checked.clone());
        Ok(checked)
    }
}

//! `adit audit`: every split again, by somebody who does not trust the first.
//!
//! Invariant: uses what is on disk and what the chain says, and nothing the running pool believes.

use crate::cli::AuditArgs;
use crate::config::{self, Settings};
use accounting::audit::{Difference, check_purchase, check_reward, check_slice};
use accounting::ledger::TransferSet;
use accounting::reward::{Reward, RewardState};
use accounting::split::purchase;
use accounting::{Amount, PoolId, RewardId, ShareSeq, SliceNo};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use store::Reader;
use store::book::{Book, StoredPool};
use stratum::rpc::{Endpoint, Rpc, RpcError};

/// What was found about one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Everything recomputes.
    Pass,
    /// The first thing that does not.
    Differs(String),
}

impl From<Result<(), Difference>> for Finding {
    fn from(checked: Result<(), Difference>) -> Self {
        checked
            .map_or_else(|difference| Finding::Differs(difference.to_string()), |()| Finding::Pass)
    }
}

/// Runs the command; gives whether everything passed.
///
/// # Errors
/// When the store cannot be read.
pub fn run(args: &AuditArgs) -> anyhow::Result<bool> {
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut all_pass = true;
    for block in &blocks {
        let Some((reward, state)) = reader.reward(*block)? else {
            println!("{block}  FAIL  no reward of this block is in the store");
            all_pass = false;
            continue;
        };
        let mut finding = auditor.reward(&reward)?;
        let mut note = "";
        if let (Finding::Pass, false, Some(settings)) = (&finding, args.offline, &settings) {
            match runtime.block_on(chain_pays(settings, &auditor.book, &reward)) {
                Chain::Agrees => note = ", chain agrees",
                Chain::Differs(text) if state != RewardState::Orphaned => {
                    finding = Finding::Differs(text)
                }
                Chain::Differs(_) | Chain::Silent => note = ", not compared with the chain",
            }
        }
        match finding {
            Finding::Pass => {
                let paid = reward.to_pool.add(reward.to_finder);
                println!(
                    "{block}  PASS  height {}, {paid} smallest units, {}{note}",
                    reward.height,
                    state.as_str()
                );
            }
            Finding::Differs(text) => {
                println!("{block}  FAIL  {text}");
                all_pass = false;
            }
        }
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
        if let Some(window) = &reward.window {
            // The window reaches up to the block: no slice of its shares was left out at the young end, none put in.
            let slice = |no: u64| self.reader.slice(reward.pool, SliceNo(no), reward.as_of);
            let left_out = slice(window.through.0 + 1)?
                .is_some_and(|next| next.slice.first <= reward.window_end);
            let put_in =
                slice(window.through.0)?.is_some_and(|last| last.slice.last > reward.window_end);
            if left_out || put_in {
                let text = format!(
                    "the window should end with the last share before the block, not with slice {}",
                    window.through
                );
                return Ok(Finding::Differs(text));
            }
            for no in window.from.0.max(1)..=window.through.0 {
                if let Err(difference) = self.sealed(reward.pool, SliceNo(no))? {
                    return Ok(Err(difference).into());
                }
            }
        }
        let mut checked = Ok(());
        for cut in self.reader.cuts_before(reward)? {
            let mut slices = self.reader.slices(reward.pool, reward.as_of);
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

enum Chain {
    Agrees,
    Differs(String),
    /// No node could be asked, or it does not have the block.
    Silent,
}

/// Does the block on the chain pay what was booked?
async fn chain_pays(settings: &Settings, book: &Book, reward: &Reward) -> Chain {
    let name = book
        .assets
        .iter()
        .find(|(_, (asset, _))| *asset == reward.asset)
        .map(|(name, _)| name.clone());
    let asset = settings.assets.iter().find(|asset| Some(&asset.config.name) == name.as_ref());
    let Some(asset) = asset else { return Chain::Silent };
    for node in &asset.source.nodes {
        // A node that does not answer, or does not have the block, says nothing.
        let Ok(Some((paid, height))) = coinbase_of(&node.endpoint, reward).await else { continue };
        let booked = reward.to_pool.add(reward.to_finder).units();
        if height != reward.height {
            let booked = reward.height;
            return Chain::Differs(format!(
                "the chain has this block at height {height}, not {booked}"
            ));
        }
        if paid != booked {
            return Chain::Differs(format!(
                "its coinbase pays {paid} on the chain, {booked} in the books"
            ));
        }
        return Chain::Agrees;
    }
    Chain::Silent
}

/// What a block's coinbase pays altogether, and its height.
async fn coinbase_of(node: &Endpoint, reward: &Reward) -> anyhow::Result<Option<(i128, u64)>> {
    let mut rpc = Rpc::new(node.clone());
    let block: Value = match rpc.call("getblock", json!([reward.id.to_string(), 2])).await {
        Ok(block) => block,
        Err(RpcError::Refused { code: -5, .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let outputs = block["tx"][0]["vout"].as_array().context("a block has a coinbase")?;
    let value = |output: &Value| (output["value"].as_f64().unwrap_or(0.0) * 1e8).round() as i128;
    let height = block["height"].as_u64().context("a block has a height")?;
    Ok(Some((outputs.iter().map(value).sum(), height)))
}

//! An audit from outside: with nothing but the pool's public API, and a node of one's own.
//!
//! What it cannot see are single shares: that slices follow from the shares is checked by their hashes only, which bind every
//! slice to all before it, so that nothing that was served once can be changed later without a trace.
//!
//! Invariant: the rules are those of [`accounting::audit`]; nothing the pool concluded is used but what is compared.

use super::chain::{self, Chain};
use super::{Finding, say};
use crate::cli::AuditArgs;
use accounting::audit::{
    Difference, check_beside, check_link, check_purchase, check_reach, check_reward,
};
use accounting::reward::{Reward, RewardState};
use accounting::window::{SliceSource, SourcedSlice, WindowTable};
use accounting::{AccountId, Amount, PoolId, ShareSeq, SliceNo};
use anyhow::{Context, bail};
use std::collections::{BTreeMap, HashMap};
use stratum::rpc::Endpoint;
use tokio::runtime::Runtime;
use web::model::account::Source;
use web::model::audit::Audit;
use web::remote::Remote;

/// Runs the audit; gives whether everything passed.
///
/// # Errors
/// When the pool does not answer, or not in a way that can be read.
pub fn run(args: &AuditArgs, url: &str, runtime: &Runtime) -> anyhow::Result<bool> {
    let certificate = args
        .certificate
        .as_ref()
        .map(|file| {
            std::fs::read(file).with_context(|| format!("--certificate {}", file.display()))
        })
        .transpose()?;
    let remote = Remote::at(url, certificate.as_deref())?;
    let node = node(args)?;
    let mut visitor = Visitor { remote: &remote, runtime, hashes: HashMap::new() };
    let mut account = match &args.address {
        Some(address) => Some(OwnAccount::of(&visitor, address)?),
        None => None,
    };
    let mut all_pass = true;
    let (mut blocks, mut compared) = (0, 0);
    for pool in runtime.block_on(remote.pools())? {
        if account.as_ref().is_some_and(|own| own.asset != pool.asset) {
            continue;
        }
        let named: Vec<String> = match args.blocks.is_empty() {
            true => {
                let found = runtime.block_on(remote.blocks(pool.id))?;
                found.into_iter().map(|block| block.hash).collect()
            }
            false => Vec::new(),
        };
        for block in &named {
            let (passed, agrees) = visitor.block(block, node.as_ref(), account.as_mut())?;
            all_pass &= passed;
            blocks += 1;
            compared += u64::from(agrees);
        }
        if args.blocks.is_empty() {
            all_pass &= visitor.purchases(PoolId(pool.id), &pool.name, account.as_mut())?;
        }
    }
    for block in &args.blocks {
        let (passed, agrees) = visitor.block(block, node.as_ref(), None)?;
        all_pass &= passed;
        blocks += 1;
        compared += u64::from(agrees);
    }
    if let Some(own) = &account
        && args.blocks.is_empty()
    {
        all_pass &= own.check(&visitor, node.as_ref())?;
    }
    if node.is_none() {
        println!("nothing was compared with the chain: name a node of your own with --node");
    }
    let verdict = if all_pass { "PASS" } else { "FAIL" };
    println!("{verdict}: {blocks} blocks from {url}, {compared} as the chain has them");
    Ok(all_pass)
}

/// The auditor's own node.
fn node(args: &AuditArgs) -> anyhow::Result<Option<Endpoint>> {
    let Some(address) = &args.node else { return Ok(None) };
    let auth = crate::node::auth(args.node_cookie.as_ref(), args.node_user.as_ref())?;
    Ok(Some(Endpoint { address: address.clone(), path: String::new(), auth }))
}

/// Somebody with nothing but the API.
struct Visitor<'a> {
    remote: &'a Remote,
    runtime: &'a Runtime,
    /// What each slice's hash was when it was first served: it must stay.
    hashes: HashMap<(PoolId, SliceNo), [u8; 32]>,
}

impl Visitor<'_> {
    /// Recomputes one block and says it; gives whether it passed, and whether the chain agrees.
    fn block(
        &mut self,
        block: &str,
        node: Option<&Endpoint>,
        own: Option<&mut OwnAccount>,
    ) -> anyhow::Result<(bool, bool)> {
        let record = self.runtime.block_on(self.remote.audit(block))?;
        let reward = record.reward()?;
        let state: RewardState = record.state.parse()?;
        if reward.id.to_string() != block {
            bail!("asked about block {block}, the pool answered about {}", reward.id);
        }
        let mut finding = Finding::from(self.recomputed(&record, &reward)?);
        let mut more = String::new();
        if let Some(own) = own {
            match own.part_of(&reward) {
                Ok(part) => more = part,
                Err(text) if finding == Finding::Pass => finding = Finding::Differs(text),
                Err(_) => {}
            }
        }
        let chain = node
            .map(|node| self.runtime.block_on(chain::pays(std::slice::from_ref(node), &reward)));
        let agrees = chain == Some(Chain::Agrees);
        Ok((say(&reward, state, finding, chain, &more), agrees))
    }

    fn recomputed(
        &mut self,
        record: &Audit,
        reward: &Reward,
    ) -> anyhow::Result<Result<(), Difference>> {
        for beside in reward.shared.iter().flat_map(|shared| &shared.beside) {
            let mut slices = Served::of(self, beside.pool, reward.as_of);
            let checked = match slices.whole(&beside.window, reward.window_end)? {
                Ok(()) => check_beside(beside, &mut slices)?,
                Err(difference) => Err(difference),
            };
            if checked.is_err() {
                return Ok(checked);
            }
        }
        let mut slices = Served::of(self, reward.pool, reward.as_of);
        if let Some(window) = &reward.window
            && let Err(difference) = slices.whole(window, reward.window_end)?
        {
            return Ok(Err(difference));
        }
        let mut checked = Ok(());
        for cut in &record.cuts {
            checked = check_reward(reward, SliceNo(*cut), &mut slices)?;
            if checked.is_ok() {
                break;
            }
        }
        Ok(checked)
    }

    /// Recomputes what a pool paid for shares at once, and says it; gives whether it passed.
    fn purchases(
        &mut self,
        pool: PoolId,
        name: &str,
        mut own: Option<&mut OwnAccount>,
    ) -> anyhow::Result<bool> {
        let latest = ShareSeq(LATEST);
        let mut slices = Served::of(self, pool, latest);
        let (mut carries, mut rates) = (BTreeMap::new(), BTreeMap::new());
        let (mut bought, mut paid, mut no) = (0_u64, Amount::ZERO, SliceNo(1));
        while let Some(served) = slices.served(no)? {
            let slice = served.sourced(pool)?.slice;
            rates.extend(served.priced()?);
            let credits = served.credits()?;
            let checked = slices.linked(no)?;
            let checked =
                checked.and_then(|()| check_purchase(&slice, &rates, &mut carries, &credits));
            if let Err(difference) = checked {
                println!("pool {name}  FAIL  {difference}");
                return Ok(false);
            }
            if let Some(own) = own.as_deref_mut() {
                let of_own = credits.iter().filter(|credit| credit.account == own.id);
                own.bought = own.bought.add(of_own.map(|credit| credit.net).sum());
            }
            bought += u64::from(!credits.is_empty());
            paid = paid.add(credits.iter().map(|credit| credit.net).sum());
            slices.forget_before(no);
            no = no.next();
        }
        if bought > 0 {
            println!("pool {name}  PASS  {bought} slices bought for {paid} smallest units");
        }
        Ok(true)
    }
}

/// Beyond every place in a log.
const LATEST: u64 = (1 << 53) - 1;
/// Slices fetched at once when one is missing; the API's pages go from newer to older.
const AHEAD: u64 = web::model::ROWS_MAX - 1;

/// A pool's slices as it serves them, as they stood at a place of the log.
struct Served<'v, 'a> {
    visitor: &'v mut Visitor<'a>,
    pool: PoolId,
    as_of: ShareSeq,
    known: BTreeMap<SliceNo, web::model::slices::Slice>,
}

impl<'v, 'a> Served<'v, 'a> {
    fn of(visitor: &'v mut Visitor<'a>, pool: PoolId, as_of: ShareSeq) -> Self {
        Served { visitor, pool, as_of, known: BTreeMap::new() }
    }

    /// A slice; fetched with its neighbours when it is not known yet.
    fn served(&mut self, no: SliceNo) -> anyhow::Result<Option<web::model::slices::Slice>> {
        if !self.known.contains_key(&no) {
            // Whoever reads upwards wants those above, whoever reads a window those below: a page that has both.
            let newest = match self.known.last_key_value() {
                Some((last, _)) if last.next() == no => no.0.saturating_add(AHEAD),
                _ => no.0.saturating_add(1),
            };
            let mut before = Some(newest.saturating_add(1));
            // A page ends where its slices are large: the one wanted may be on a later one.
            while let Some(asked) = before.filter(|_| !self.known.contains_key(&no)) {
                let page = self.visitor.remote.slices(self.pool.0, self.as_of.0, asked);
                let page = self.visitor.runtime.block_on(page)?;
                let next = page.next.and_then(|next| next.parse().ok());
                before = next.filter(|next| *next < asked && *next > no.0);
                self.known.extend(page.rows.into_iter().map(|slice| (SliceNo(slice.no), slice)));
            }
        }
        Ok(self.known.get(&no).cloned())
    }

    /// Nothing before this is needed any more.
    fn forget_before(&mut self, no: SliceNo) {
        self.known = self.known.split_off(&no);
    }

    /// Does a window reach up to its block, and is every slice of it linked to the one before?
    fn whole(
        &mut self,
        window: &WindowTable,
        end: ShareSeq,
    ) -> anyhow::Result<Result<(), Difference>> {
        if let Err(difference) = check_reach(window, end, self)? {
            return Ok(Err(difference));
        }
        for no in window.from.0.max(1)..=window.through.0 {
            if let Err(difference) = self.linked(SliceNo(no))? {
                return Ok(Err(difference));
            }
        }
        Ok(Ok(()))
    }

    /// Does a slice's hash follow from its rows and the slice before, and is it the one it was when it was first served?
    fn linked(&mut self, no: SliceNo) -> anyhow::Result<Result<(), Difference>> {
        let Some(found) = self.slice(no)? else { return Ok(Err(Difference::Slice(no))) };
        let before = match no.0 {
            0 | 1 => None,
            no => self.slice(SliceNo(no - 1))?.map(|before| (before.slice.no, before.slice.hash)),
        };
        let first = *self.visitor.hashes.entry((self.pool, no)).or_insert(found.slice.hash);
        let same = if first == found.slice.hash { Ok(()) } else { Err(Difference::Slice(no)) };
        Ok(same.and_then(|()| check_link(&found.slice, before)))
    }
}

impl SliceSource for Served<'_, '_> {
    type Error = anyhow::Error;

    fn slice(&mut self, no: SliceNo) -> anyhow::Result<Option<SourcedSlice>> {
        let pool = self.pool;
        Ok(self.served(no)?.map(|slice| slice.sourced(pool)).transpose()?)
    }
}

/// The account whose owner asks.
struct OwnAccount {
    address: String,
    asset: String,
    id: AccountId,
    /// What the pool says it credited for each block.
    said: BTreeMap<String, (String, i128)>,
    /// What its recomputed parts are, by block, without what the block itself paid it.
    parts: BTreeMap<String, i128>,
    /// What its recomputed purchases are.
    bought: Amount,
}

impl OwnAccount {
    fn of(visitor: &Visitor<'_>, address: &str) -> anyhow::Result<Self> {
        let account = visitor.runtime.block_on(visitor.remote.account(address))?;
        let Some(id) = account.account else {
            bail!("{address} never had a share accepted by this pool: there is nothing to audit");
        };
        let credits = visitor.runtime.block_on(visitor.remote.credits(address, Source::Blocks))?;
        let said = credits.into_iter().filter_map(|credit| {
            Some((credit.block?, (credit.state.unwrap_or_default(), credit.net.units)))
        });
        Ok(OwnAccount {
            address: address.to_owned(),
            asset: account.asset,
            id: AccountId(id),
            said: said.collect(),
            parts: BTreeMap::new(),
            bought: Amount::ZERO,
        })
    }

    /// Its part of a recomputed split: is it what the account's own page says?
    fn part_of(&mut self, reward: &Reward) -> Result<String, String> {
        let rows = reward.split.iter().flat_map(|split| &split.rows);
        let net: Option<i128> =
            rows.filter(|row| row.account == self.id).map(|row| row.net.units()).next();
        let block = reward.id.to_string();
        let said = self.said.get(&block).map(|(_, net)| *net);
        if said.unwrap_or(0) != net.unwrap_or(0) {
            let (said, net) = (said.unwrap_or(0), net.unwrap_or(0));
            return Err(format!("{} was credited {said}, its part is {net}", self.address));
        }
        let by_block = if reward.finder == self.id { reward.to_finder.units() } else { 0 };
        self.parts.insert(block, (net.unwrap_or(0) - by_block).max(0));
        Ok(format!(", {} of them yours", net.unwrap_or(0)))
    }

    /// Does its balance follow from its parts, and did its payouts arrive? Says it; gives whether both are so.
    fn check(&self, visitor: &Visitor<'_>, node: Option<&Endpoint>) -> anyhow::Result<bool> {
        let (runtime, remote) = (visitor.runtime, visitor.remote);
        let mut all_pass = true;
        let mut fail = |text: String| {
            println!("{}  FAIL  {text}", self.address);
            all_pass = false;
        };
        for block in self.said.keys().filter(|block| !self.parts.contains_key(*block)) {
            fail(format!("was credited for block {block}, which is in no pool's list"));
        }
        let in_state = |state: &str| -> i128 {
            let of_state = self.said.iter().filter(|(_, (known, _))| known == state);
            of_state.filter_map(|(block, _)| self.parts.get(block)).sum()
        };
        let account = runtime.block_on(remote.account(&self.address))?;
        let balance = &account.balance;
        let (immature, matured) = (in_state("immature"), in_state("matured") + self.bought.units());
        // More than that may be there: of a block that left the chain late, what had been paid out stays with the miner.
        if balance.immature.units < immature {
            fail(format!("{} are immature, its parts sum to {immature}", balance.immature.units));
        }
        let held = balance.available.units + balance.in_flight.units + balance.paid.units;
        if held < matured {
            fail(format!(
                "available, in flight and paid are {held} together, its parts sum to {matured}"
            ));
        }
        let payouts = runtime.block_on(remote.payouts(&self.address))?;
        let confirmed = payouts.iter().filter(|own| own.payout.state == "confirmed");
        let (mut arrived, mut elsewhere) = (0_u64, 0_u64);
        let script = node.and_then(|node| runtime.block_on(chain::script_of(node, &self.address)));
        for (own, node) in confirmed.clone().filter_map(|own| Some((own, node?))) {
            let Some(transaction) = &own.payout.transaction else { continue };
            let sent = chain::sent(node, transaction, &own.script, own.sent.units);
            match runtime.block_on(sent) {
                Chain::Agrees => arrived += 1,
                Chain::Differs(text) => fail(text),
                Chain::Silent => {}
            }
            elsewhere += u64::from(script.as_ref().is_some_and(|script| *script != own.script));
        }
        let count = confirmed.count();
        if all_pass {
            println!(
                "{}  PASS  {} parts of blocks, {matured} credited, {immature} immature; {count} payouts, {arrived} of them seen on the chain",
                self.address,
                self.said.len(),
            );
        }
        if elsewhere > 0 {
            println!("{elsewhere} payouts went to another address than yours: was that your wish?");
        }
        Ok(all_pass)
    }
}

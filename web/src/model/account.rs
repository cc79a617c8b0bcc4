//! An account: its machines, its money, and what it can expect.

use super::audit::hex;
use super::leased::{self, LeasedMiner};
use super::network::{Expectation, expectation};
use super::payouts::{Payout, payout};
use super::{Iso, Money, Rows, one_more};
use crate::history::{AccountTrack, History, Track};
use crate::measure::Measure;
use crate::outlook::{AssetOutlook, Outlook, Parsed, PoolOutlook};
use ::pool::View;
use ::pool::observe::Machine;
use accounting::commitment::PaidBy;
use accounting::fee::Standing;
use accounting::ledger::Kind;
use accounting::{AccountId, Amount, BasisPoints, UnixMs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::sqlite::{AccountPayoutRow, CreditRow, CreditSource, Cut};
use store::{Reader, StoreError};
use utoipa::ToSchema;

/// An account, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its address.
    pub address: String,
    /// Its number; null before its first accepted share.
    pub account: Option<u64>,
    /// Its asset's name in the configuration.
    pub asset: String,
    /// Its money's unit.
    pub symbol: String,
    /// What its rates count.
    pub measure: Measure,
    /// When its first share was accepted.
    pub since: Option<Iso>,
    /// Its money.
    pub balance: Balance,
    /// What it is sent at least: the pool's minimum, or its own.
    pub minimum_payout: Money,
    /// Where its money goes, if not to its own address.
    pub destination: Option<Destination>,
    /// Are payouts to it held by the operator?
    pub held: bool,
    /// Does it pay the members' fee?
    pub member: bool,
    /// Its part in each pool of this asset.
    pub pools: Vec<InPool>,
    /// Its machines.
    pub workers: Vec<Worker>,
    /// What its work has come to in each pool of leased compute; not there where it is known to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leased: Vec<LeasedMiner>,
}

/// Where an account's money stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// Of blocks that are not deep enough.
    pub immature: Money,
    /// Can be paid.
    pub available: Money,
    /// In payouts that are not confirmed deep enough.
    pub in_flight: Money,
    /// In payouts that are.
    pub paid: Money,
    /// What blocks paid it themselves: its own already, and in no other of these.
    pub by_blocks: Money,
    /// Of that, what can be spent once its blocks are deep enough; beside it, not in it.
    pub by_blocks_immature: Money,
}

/// Another address that money goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Destination {
    /// The address.
    pub address: String,
    /// From when on.
    pub effective_from: Iso,
}

/// An account in one pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InPool {
    /// The pool.
    pub pool: String,
    /// Its number.
    pub id: u32,
    /// Hashes a second over the last quarter of an hour, or points a second over the last day.
    pub hashrate: f64,
    /// Over spans from one minute to seven days.
    pub hashrates: BTreeMap<String, f64>,
    /// Accepted shares.
    pub shares: u64,
    /// Refused ones.
    pub rejected: u64,
    /// Difficulty of its best share.
    pub best: f64,
    /// Its part of the next block, if one were found now; null where shares are bought at once.
    pub next_block_fraction: Option<f64>,
    /// What that would bring after the fee.
    pub next_block: Option<Money>,
    /// What its hashrate brings on average.
    pub expected: Option<Expectation>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// The pool it works in.
    pub pool: String,
    /// What it says it is.
    pub agent: String,
    /// Hashes a second over the last quarter of an hour, or points a second over the last day.
    pub hashrate: f64,
    /// Over spans from one minute to seven days.
    pub hashrates: BTreeMap<String, f64>,
    /// Accepted shares.
    pub shares: u64,
    /// Refused ones, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Part of all shares that was accepted.
    pub acceptance: Option<f64>,
    /// Difficulty of the shares it is asked for.
    pub difficulty: f64,
    /// Difficulty of its best share.
    pub best: f64,
    /// When that was.
    pub best_at: Option<Iso>,
    /// Its last accepted share.
    pub last_share: Option<Iso>,
    /// Open connections.
    pub connections: u32,
    /// First seen.
    pub since: Iso,
}

/// What a credit is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A part of a block.
    #[default]
    Blocks,
    /// Shares that were bought at once.
    Shares,
}

impl Source {
    /// As it is asked for.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Blocks => "blocks",
            Source::Shares => "shares",
        }
    }
}

/// Something an account was credited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Credit {
    /// `block` or `shares`.
    pub source: String,
    /// The block, where it is a part of one.
    pub block: Option<String>,
    /// Its height.
    pub height: Option<u64>,
    /// Where the block stands.
    pub state: Option<String>,
    /// The slice of shares, where those were bought.
    pub slice: Option<u64>,
    /// In which pool.
    pub pool: String,
    /// The fee's rate, in percent.
    pub fee_percent: f64,
    /// What was credited, or paid by the block itself.
    pub net: Money,
    /// `pool`, which owes it; `output` of the block itself; or its `tree`.
    #[schema(value_type = String)]
    pub paid_by: PaidBy,
    /// When.
    pub at: Iso,
}

/// An account's part of a payout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccountPayout {
    /// The payout.
    pub payout: Payout,
    /// What the balance was debited.
    pub debited: Money,
    /// What arrives.
    pub sent: Money,
    /// The output script that it arrives at, in hexadecimal.
    pub script: String,
}

/// Which account an address names, and of which asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Position of the asset in the outlook.
    pub asset: accounting::AssetId,
    /// The address, understood.
    pub parsed: Parsed,
    /// The account, if it ever had a share accepted.
    pub account: Option<AccountId>,
}

/// Reads an address as one of the pool's assets: the first that knows an account of it, or else the first that can read it.
///
/// # Errors
/// The outer error is the store's; the inner one says why it is no address here.
pub fn named(
    reader: &Reader,
    outlook: &Outlook,
    address: &str,
) -> Result<Result<Named, String>, StoreError> {
    let mut first: Option<Named> = None;
    let mut why =
        "no node has been reached yet, so no address can be read; try again in a minute".to_owned();
    for asset in &outlook.assets {
        match asset.addresses.parse(address.trim()) {
            Ok(parsed) => {
                let account = reader.account_of(&parsed.identity)?;
                let found = Named { asset: asset.id, parsed, account };
                if account.is_some() {
                    return Ok(Ok(found));
                }
                first.get_or_insert(found);
            }
            Err(error) => why = format!("this is no {} address: {error}", asset.network),
        }
    }
    Ok(first.ok_or(why))
}

/// What to look at for an account.
pub struct Sources<'a> {
    /// The store.
    pub reader: &'a Reader,
    /// The networks.
    pub outlook: &'a Outlook,
    /// The books' snapshot.
    pub view: &'a View,
    /// What people look at.
    pub history: &'a History,
}

impl Sources<'_> {
    /// How many blocks' worth a hash earns here for each that it would find alone: 1, unless pools share their blocks and some
    /// find more for their part than others.
    fn blocks_for_one(&self, own: &PoolOutlook) -> f64 {
        let rate = |pool: &PoolOutlook| self.history.pool(pool.id).rates.shown();
        let (mine, all) = (rate(own), self.outlook.sharing(own).map(rate).sum::<f64>());
        if own.part.is_none() || mine <= 0.0 {
            return 1.0;
        }
        all * self.outlook.block_part(own) / mine
    }
}

/// An account in full.
///
/// # Errors
/// When it cannot be read.
pub fn account(from: &Sources<'_>, named: &Named) -> Result<Option<Account>, StoreError> {
    let Some(asset) = from.outlook.asset(named.asset) else { return Ok(None) };
    let id = named.account;
    let row = id.map(|id| from.reader.account(id)).transpose()?.flatten();
    let (balance, undone, by_blocks) = match id {
        Some(id) => {
            let balance = |kind| from.reader.balance(asset.id, kind);
            let undone = from.reader.undone(asset.id, id)?;
            (balance(Kind::Account(id))?, undone, balance(Kind::PaidByBlock(id))?)
        }
        None => Default::default(),
    };
    let money = |amount| Money::new(amount, asset.decimals);
    let destination = row.as_ref().and_then(|row| row.destination.clone());
    let member = row.as_ref().is_some_and(|row| row.member);
    let machines = from.history.shown();
    let machines = machines.machines_of(&named.parsed.identity);
    Ok(Some(Account {
        address: named.parsed.display.clone(),
        account: id.map(|id| id.0),
        asset: asset.name.clone(),
        symbol: asset.symbol.clone(),
        measure: asset.measure,
        since: row.as_ref().map(|row| Iso(row.since)),
        balance: Balance {
            immature: money(balance.credits_pending),
            available: money(balance.available()),
            in_flight: money(balance.debits_pending),
            paid: money(balance.debits_posted.sub(undone)),
            by_blocks: money(by_blocks.debits_posted.sub(by_blocks.credits_posted)),
            by_blocks_immature: money(by_blocks.debits_pending),
        },
        minimum_payout: money(
            row.as_ref().and_then(|row| row.minimum).unwrap_or(Amount::ZERO).max(asset.minimum),
        ),
        destination: destination
            .map(|(address, from)| Destination { address, effective_from: Iso(from) }),
        held: from.view.holds_payouts(asset.id, id),
        member,
        pools: in_pools(from, asset, id, member),
        workers: workers(from.outlook, asset, machines),
        leased: leased::miners(from.outlook, asset, &named.parsed.identity),
    }))
}

fn in_pools(
    from: &Sources<'_>,
    asset: &AssetOutlook,
    id: Option<AccountId>,
    member: bool,
) -> Vec<InPool> {
    let pools = from.outlook.pools_of(asset.id);
    pools.filter_map(|pool| in_pool(from, asset, pool, id, member)).collect()
}

fn in_pool(
    from: &Sources<'_>,
    asset: &AssetOutlook,
    pool: &PoolOutlook,
    id: Option<AccountId>,
    member: bool,
) -> Option<InPool> {
    let seen = from.view.pools.iter().find(|seen| seen.id == pool.id)?;
    let track: AccountTrack = id.and_then(|id| from.history.account(pool.id, id))?;
    let by_window = pool.scheme.window_length(seen.network_work).is_some();
    let total = seen.standings.total;
    let fraction =
        id.filter(|_| by_window && total > 0).map(|id| seen.standings.of(id) as f64 / total as f64);
    let volume = (fraction.unwrap_or(0.0) * f64::from(BasisPoints::ALL)) as u16;
    let standing = Standing {
        accounts: seen.accounts as u64,
        volume: BasisPoints::new(volume).unwrap_or_default(),
        is_member: member,
    };
    let fee_percent = f64::from(pool.fee.resolve(standing).points()) / 100.0;
    let part = from.outlook.block_part(pool);
    let fraction = fraction.map(|fraction| fraction * part);
    let next_block =
        fraction.zip(asset.next.and_then(|next| next.value)).map(|(fraction, value)| {
            let units = value as f64 * fraction * (1.0 - fee_percent / 100.0);
            Money::new(Amount::from_units(units as i128), asset.decimals)
        });
    let hashrate = asset.measure.of(&track.rates);
    Some(InPool {
        pool: pool.name.clone(),
        id: pool.id.0,
        hashrate,
        hashrates: named_rates(track.rates.all()),
        shares: track.shares,
        rejected: track.rejected,
        best: track.best / asset.difficulty_one,
        next_block_fraction: fraction,
        next_block,
        expected: expectation(asset, hashrate * from.blocks_for_one(pool), fee_percent),
    })
}

fn named_rates(rates: [f64; 7]) -> BTreeMap<String, f64> {
    crate::rates::SPAN_NAMES.iter().map(|name| (*name).to_owned()).zip(rates).collect()
}

fn workers(
    outlook: &Outlook,
    asset: &AssetOutlook,
    machines: &[(Arc<Machine>, Track)],
) -> Vec<Worker> {
    let mut workers: Vec<Worker> =
        machines.iter().filter_map(|(m, track)| worker(outlook, asset, m, track)).collect();
    workers.sort_by(|a, b| b.hashrate.total_cmp(&a.hashrate).then_with(|| a.name.cmp(&b.name)));
    workers
}

fn worker(
    outlook: &Outlook,
    asset: &AssetOutlook,
    machine: &Machine,
    track: &Track,
) -> Option<Worker> {
    let pool = outlook.pool(machine.pool)?;
    let Track { total, rates, connections } = track;
    let judged = total.shares + total.refused();
    let at = |at: UnixMs| (at > UnixMs(0)).then_some(Iso(at));
    Some(Worker {
        name: machine.worker.to_string(),
        pool: pool.name.clone(),
        agent: total.agent.to_string(),
        hashrate: asset.measure.of(rates),
        hashrates: named_rates(rates.all()),
        shares: total.shares,
        acceptance: (judged > 0).then(|| total.shares as f64 / judged as f64),
        difficulty: total.asked / asset.difficulty_one,
        best: total.best / asset.difficulty_one,
        best_at: at(total.best_at),
        last_share: at(total.last_share),
        connections: *connections,
        since: Iso(total.since),
        rejected: total.rejected.clone(),
    })
}

/// What an account was credited, newest first: parts of blocks, or purchases of shares.
///
/// # Errors
/// When it cannot be read.
pub fn credits(
    reader: &Reader,
    outlook: &Outlook,
    named: &Named,
    source: Source,
    cut: Cut,
) -> Result<Rows<Credit>, StoreError> {
    let Some(id) = named.account else { return Ok(Rows { rows: Vec::new(), next: None }) };
    let decimals = outlook.asset(named.asset).map_or(8, |asset| asset.decimals);
    let found = match source {
        Source::Shares => reader.slice_credits_of(id, one_more(cut))?,
        Source::Blocks => reader.block_credits(id, one_more(cut))?,
    };
    let credit = |row: CreditRow| {
        let pool = outlook.pool(row.pool).map_or_else(|| row.pool.to_string(), |p| p.name.clone());
        let (block, height, state, slice) = match row.source {
            CreditSource::Block { id, height, state } => {
                (Some(id.to_string()), Some(height), Some(state.as_str().to_owned()), None)
            }
            CreditSource::Slice { no } => (None, None, None, Some(no.0)),
        };
        Credit {
            source: if slice.is_some() { "shares" } else { "block" }.to_owned(),
            block,
            height,
            state,
            slice,
            pool,
            fee_percent: f64::from(row.fee_bps.points()) / 100.0,
            net: Money::new(row.net, decimals),
            paid_by: row.paid_by,
            at: Iso(row.at),
        }
    };
    Ok(Rows::of(found, cut, |row| row.position, credit))
}

/// The payouts of an account, newest first.
///
/// # Errors
/// When they cannot be read.
pub fn payouts(
    reader: &Reader,
    outlook: &Outlook,
    named: &Named,
    cut: Cut,
) -> Result<Rows<AccountPayout>, StoreError> {
    let Some(id) = named.account else { return Ok(Rows { rows: Vec::new(), next: None }) };
    let decimals = outlook.asset(named.asset).map_or(8, |asset| asset.decimals);
    let found = reader.payouts_of(id, one_more(cut))?;
    let own = |row: AccountPayoutRow| AccountPayout {
        payout: payout(row.payout, outlook),
        debited: Money::new(row.debit, decimals),
        sent: Money::new(row.sent, decimals),
        script: hex(&row.destination),
    };
    Ok(Rows::of(found, cut, |row| row.payout.id.0, own))
}

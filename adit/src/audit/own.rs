//! The account whose owner asks: does its money follow from what was recomputed, and did it arrive?
//!
//! Invariant: a pool that goes on mining is judged by one moment: what is read together belongs together, and only what stays
//! different when all is read again is a difference.

use super::chain::Chain;
use super::remote::{PAUSE, Visitor};
use accounting::reward::RewardState;
use accounting::{AccountId, PoolId, SliceNo};
use anyhow::bail;
use std::collections::BTreeMap;
use tokio::runtime::Runtime;
use web::model::account::{AccountPayout, Balance, Credit, Source};
use web::remote::Remote;

/// How often all is read again.
const TRIES: u32 = 20;

/// An account, by its address.
pub struct OwnAccount {
    address: String,
    /// Its coin.
    pub asset: String,
    /// Its number.
    pub id: AccountId,
}

/// What the pool says of the account, at one moment.
#[derive(Clone, PartialEq)]
struct Moment {
    balance: Balance,
    /// Credits for blocks: where the block stands, and how much.
    blocks: BTreeMap<String, (String, i128)>,
    /// Credits for shares, by pool and slice.
    shares: BTreeMap<(String, SliceNo), i128>,
    payouts: Vec<AccountPayout>,
}

impl OwnAccount {
    /// The account of an address.
    ///
    /// # Errors
    /// When the pool does not know it.
    pub fn of(remote: &Remote, runtime: &Runtime, address: &str) -> anyhow::Result<Self> {
        let account = runtime.block_on(remote.account(address))?;
        let Some(id) = account.account else {
            bail!("{address} never had a share accepted by this pool: there is nothing to audit");
        };
        Ok(OwnAccount { address: address.to_owned(), asset: account.asset, id: AccountId(id) })
    }

    /// Does its money follow from its parts, and did its payouts arrive? Says it; gives whether both are so.
    ///
    /// # Errors
    /// When the pool does not answer.
    pub fn check(&self, visitor: &mut Visitor<'_>) -> anyhow::Result<bool> {
        let mut last: Option<(Vec<String>, Moment)> = None;
        let mut newcomers_pass = true;
        for _ in 0..TRIES {
            let read: BTreeMap<String, SliceNo> =
                visitor.purchases().map(|(pool, log)| (pool.name.clone(), log.newest.0)).collect();
            let moment = self.moment(visitor)?;
            newcomers_pass &= catch_up(visitor, &moment)?;
            let mut wrong = of_blocks(visitor, &moment, &self.address)?;
            wrong.extend(of_shares(visitor, &moment, &read));
            wrong.extend(of_balance(visitor, &moment));
            let stays = last.as_ref().is_some_and(|last| *last == (wrong.clone(), moment.clone()));
            let done = wrong.is_empty() || stays;
            last = Some((wrong, moment));
            if done {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        let Some((mut wrong, moment)) = last else { return Ok(false) };
        let (arrived, more) = self.arrivals(visitor, &moment, &mut wrong);
        for text in &wrong {
            println!("{}  FAIL  {text}", self.address);
        }
        if wrong.is_empty() {
            let (blocks, shares) = (moment.blocks.len(), moment.shares.len());
            let balance = &moment.balance;
            println!(
                "{}  PASS  {blocks} parts of blocks, {shares} of slices; immature {}, available {}, in flight {}, paid {}; {arrived}",
                self.address,
                balance.immature.units,
                balance.available.units,
                balance.in_flight.units,
                balance.paid.units,
            );
        }
        more.iter().for_each(|text| println!("{text}"));
        Ok(wrong.is_empty() && newcomers_pass)
    }

    /// Everything the pool says of the account, between two looks at its balance that are the same.
    fn moment(&self, visitor: &Visitor<'_>) -> anyhow::Result<Moment> {
        let (remote, runtime) = (visitor.remote, visitor.runtime);
        let mut account = runtime.block_on(remote.account(&self.address))?;
        for tries_left in (0..TRIES).rev() {
            let blocks = runtime.block_on(remote.credits(&self.address, Source::Blocks))?;
            let shares = runtime.block_on(remote.credits(&self.address, Source::Shares))?;
            let payouts = runtime.block_on(remote.payouts(&self.address))?;
            let after = runtime.block_on(remote.account(&self.address))?;
            if after.balance != account.balance && tries_left > 0 {
                account = after;
                continue;
            }
            let block = |credit: Credit| {
                Some((credit.block?, (credit.state.unwrap_or_default(), credit.net.units)))
            };
            let share =
                |credit: Credit| Some(((credit.pool, SliceNo(credit.slice?)), credit.net.units));
            return Ok(Moment {
                balance: after.balance,
                blocks: blocks.into_iter().filter_map(block).collect(),
                shares: shares.into_iter().filter_map(share).collect(),
                payouts,
            });
        }
        bail!("{}: its balance does not hold still", self.address)
    }

    /// Which payouts the auditor's node has: in words, and what else there is to say; what it has otherwise is wrong.
    fn arrivals(
        &self,
        visitor: &Visitor<'_>,
        moment: &Moment,
        wrong: &mut Vec<String>,
    ) -> (String, Option<String>) {
        let runtime = visitor.runtime;
        let confirmed = moment.payouts.iter().filter(|own| own.payout.state == "confirmed");
        let (mut arrived, mut elsewhere) = (0_u64, 0_u64);
        let node = visitor.node.as_ref();
        let script = node.and_then(|node| runtime.block_on(node.script_of(&self.address)));
        for (own, node) in confirmed.clone().filter_map(|own| Some((own, node?))) {
            let Some(transaction) = &own.payout.transaction else {
                wrong.push(format!("payout {} is confirmed without a transaction", own.payout.id));
                continue;
            };
            match runtime.block_on(node.sent(transaction, &own.script, own.sent.units)) {
                Chain::Agrees => arrived += 1,
                Chain::Differs(text) | Chain::Overdue(text) => wrong.push(text),
                Chain::Silent => {}
            }
            elsewhere += u64::from(script.as_ref().is_some_and(|script| *script != own.script));
        }
        let count = confirmed.count();
        let more = (elsewhere > 0).then(|| {
            format!("{elsewhere} payouts went to another address than yours: was that your wish?")
        });
        (format!("{count} payouts, {arrived} of them seen on the chain"), more)
    }
}

/// Recomputes what the pool did since the audit began, as far as this moment knows of it.
fn catch_up(visitor: &mut Visitor<'_>, moment: &Moment) -> anyhow::Result<bool> {
    let mut all_pass = true;
    for block in moment.blocks.keys() {
        if !visitor.judged.contains_key(block) {
            all_pass &= visitor.newcomer(block)?;
        }
    }
    let mut newest: BTreeMap<PoolId, SliceNo> = BTreeMap::new();
    for (name, no) in moment.shares.keys() {
        if let Some(pool) = visitor.pools.iter().find(|pool| pool.name == *name) {
            let newest = newest.entry(PoolId(pool.id)).or_default();
            *newest = (*newest).max(*no);
        }
    }
    for (pool, no) in newest {
        if let Some(text) = visitor.log(pool, no)? {
            println!("pool {pool}  FAIL  {text}");
            all_pass = false;
        }
    }
    Ok(all_pass)
}

/// Is what was credited for each block its part, and does the block stand where its credit says?
fn of_blocks(
    visitor: &mut Visitor<'_>,
    moment: &Moment,
    address: &str,
) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let parts = visitor.judged.iter().map(|(block, judged)| (block.clone(), judged.net));
    let mut all: BTreeMap<String, i128> = parts.collect();
    for block in moment.blocks.keys() {
        if all.insert(block.clone(), 0).is_none() {
            wrong.push(format!("was credited for block {block}, which cannot be recomputed"));
        }
    }
    for block in all.keys() {
        let (state, said) = moment.blocks.get(block).cloned().unwrap_or_default();
        let Some(judged) = visitor.judged.get(block) else { continue };
        if said != judged.net {
            let part = judged.net;
            wrong.push(format!(
                "{address} was credited {said} for block {block}, its part is {part}"
            ));
        } else if said != 0 && state != judged.state.as_str() {
            // It may have moved meanwhile; where the chain says otherwise, it has not.
            let now = visitor.state_again(block)?.map(RewardState::as_str);
            if now != Some(&state) {
                wrong.push(format!("its credit for block {block} is {state}, the block is not"));
            }
        }
    }
    Ok(wrong)
}

/// Is what was credited for shares what each slice was bought for? Of slices that were read before this moment, all must be
/// there.
fn of_shares(
    visitor: &Visitor<'_>,
    moment: &Moment,
    read: &BTreeMap<String, SliceNo>,
) -> Vec<String> {
    let mut all: BTreeMap<(String, SliceNo), (i128, i128)> = BTreeMap::new();
    for (pool, log) in visitor.purchases() {
        let was_read = |no: &SliceNo| read.get(&pool.name).is_some_and(|newest| no <= newest);
        for (no, net) in &log.own {
            let key = (pool.name.clone(), *no);
            if was_read(no) || moment.shares.contains_key(&key) {
                all.entry(key).or_default().0 = net.units();
            }
        }
    }
    for (key, said) in &moment.shares {
        all.entry(key.clone()).or_default().1 = *said;
    }
    let differ = all.into_iter().filter(|(_, (bought, said))| bought != said);
    let text = |((pool, no), (bought, said))| {
        format!(
            "was credited {said} for slice {no} of pool {pool}, which bought its shares for {bought}"
        )
    };
    differ.map(text).collect()
}

/// Does its balance follow from its credits and its payouts?
fn of_balance(visitor: &Visitor<'_>, moment: &Moment) -> Vec<String> {
    let mut wrong = Vec::new();
    let in_state = |state: RewardState| -> i128 {
        let of_state = moment.blocks.iter().filter(|(_, (known, _))| known == state.as_str());
        let judged = of_state.filter_map(|(block, _)| visitor.judged.get(block));
        judged.map(|judged| (judged.net - judged.by_block).max(0)).sum()
    };
    let balance = &moment.balance;
    let (unripe, paid, in_flight) =
        (balance.immature.units, balance.paid.units, balance.in_flight.units);
    let immature = in_state(RewardState::Immature);
    let bought: i128 = moment.shares.values().sum();
    let matured = in_state(RewardState::Matured) + bought;
    let held = balance.available.units + in_flight + paid;
    if unripe > immature {
        wrong.push(format!("{unripe} are immature, its parts sum to {immature}"));
    }
    if held < matured {
        wrong.push(format!(
            "available, in flight and paid are {held} together, its parts sum to {matured}"
        ));
    }
    // Of a block that left the chain late, what had been paid out stays with the miner.
    let (all, due) = (held + unripe, matured + immature);
    if all < due || all > due + in_state(RewardState::Orphaned) {
        wrong.push(format!("its balances are {all} in all, its parts sum to {due}"));
    }
    let debited = |states: &[&str]| -> i128 {
        let of = moment.payouts.iter().filter(|own| states.contains(&own.payout.state.as_str()));
        of.map(|own| own.debited.units).sum()
    };
    let (confirmed, sent) = (debited(&["confirmed"]), debited(&["broadcast"]));
    let open = sent + debited(&["queued", "signed"]);
    // A payout whose block left the chain is sent again, and was counted as paid.
    if paid < confirmed || paid > confirmed + sent {
        wrong.push(format!("{paid} are said to be paid, its confirmed payouts sum to {confirmed}"));
    } else if paid + in_flight != confirmed + open {
        wrong.push(format!(
            "{} are paid or in flight, its payouts sum to {}",
            paid + in_flight,
            confirmed + open
        ));
    }
    wrong
}

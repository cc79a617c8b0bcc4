//! One block, judged by what the pool serves beside it and by what the chain has.
//!
//! Invariant: the rules are those of [`accounting::audit`]; nothing the pool concluded is used but what is compared.

use super::node::OwnNode;
use super::places::Known;
use super::{PAUSE, TRIES, Visitor, is_untrue};
use crate::audit::chain::{Chain, Depths};
use crate::audit::chia::{Booked, Finder};
use crate::audit::served::Served;
use crate::audit::{Finding, say};
use accounting::audit::{
    Difference, Ruled, check_beside, check_earned, check_reward, check_rule, left_to_later,
};
use accounting::commitment::PaidBy;
use accounting::reward::{Reward, RewardState};
use accounting::rule::RuleSince;
use accounting::{PoolId, RewardId, Scheme, SliceNo};
use std::collections::BTreeMap;
use web::model::audit::Audit;
use web::model::pools::Pool;

/// What was found of a block.
pub struct Judged {
    /// Where the pool says it stands; compared with the chain.
    pub state: RewardState,
    /// The own account's part, without what the block itself paid it.
    pub net: i128,
    /// Of that, what the block itself paid.
    pub by_block: i128,
}

impl Visitor<'_> {
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
        let mut said = self.chain(&record, &reward, state);
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
            said = self.chain(&record, &reward, state);
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
        let said = self.chain(&record, &reward, state);
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
        let own = rows.filter(|row| Some(row.account) == self.own);
        let (mut net, mut by_block) = (0, 0);
        for row in own {
            net += row.net.units();
            let is_credited = reward.paid_by(row.account) == PaidBy::Pool;
            by_block += if is_credited { 0 } else { row.net.units() };
        }
        let judged = Judged { state, net, by_block };
        self.judged.insert(block.to_owned(), judged);
        self.saw.saw_block(reward);
    }

    fn chain(&mut self, record: &Audit, reward: &Reward, state: RewardState) -> Option<Chain> {
        let node = self.node.as_ref()?;
        let pool = self.named(reward.pool)?;
        if self.asset.as_ref().is_some_and(|asset| *asset != pool.asset) {
            return Some(Chain::Silent);
        }
        let depths = Depths { mature: pool.mature_after, orphan: pool.orphan_after };
        let (runtime, listed) = (self.runtime, self.lists.get(&reward.pool));
        let asked = (reward, self.booked(reward));
        let said = runtime.block_on(node.reward(asked, state, record.place, depths));
        let OwnNode::Coin(endpoint) = node else { return Some(said) };
        let is_known = |block: RewardId| {
            let block = block.to_string();
            listed.is_some_and(|listed| listed.contains(&block))
        };
        let nodes = std::slice::from_ref(endpoint);
        let traced = self.traces.compare(nodes, reward, state, is_known, said);
        Some(runtime.block_on(traced))
    }

    /// What the pool says of a farmed reward, as far as it can be seen from outside.
    fn booked(&self, reward: &Reward) -> Booked {
        let is_pot = |pool: &Pool| pool.refunds.as_ref().is_some_and(|pot| pot.id == reward.pool.0);
        let finder = match (self.own, self.launcher) {
            (Some(own), Some(launcher)) if own == reward.finder => Finder::Is(launcher),
            (Some(_), Some(launcher)) => Finder::IsNot(launcher),
            _ => Finder::Unknown,
        };
        Booked { is_own: self.pools.iter().any(is_pot), finder }
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
        let before = self.block_before(reward.pool, place)?;
        let ruled = check_rule(reward, &self.rules_beside(reward), before);
        let ruled = match ruled {
            Ok(ruled) => ruled,
            Err(difference) => return Ok(Err(difference.to_string())),
        };
        let cuts = match reward.scheme {
            Scheme::Prop | Scheme::Budget { .. } => self.cuts(reward, place)?,
            _ => vec![SliceNo(0)],
        };
        let mut earlier = BTreeMap::new();
        for earned in reward.payment().iter().flat_map(|payment| &payment.earned) {
            let block = earned.block.to_string();
            let record = self.runtime.block_on(self.remote.audit(&block))?;
            earlier.insert(earned.block, record.reward()?);
        }
        let checked = self.split_again(reward, &cuts)?.and_then(|told| {
            check_earned(reward, |block| earlier.get(&block).cloned()).map(|()| told)
        });
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
            let checked = match slices.whole(&beside.window, reward.end())? {
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
            if let Err(difference) = slices.whole(window, reward.end())? {
                return Ok(Err(difference));
            }
            more += &slices.revoked_in_words(window, own)?;
            let left = left_to_later(reward, &mut slices)?;
            if left > 0 {
                more += &format!(
                    ", {left} slices closed since its work was handed out are left to later blocks"
                );
            }
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

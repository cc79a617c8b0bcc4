//! The same computations again, by somebody who does not trust the first.
//!
//! Invariant: uses the rules of [`crate::window`] and [`crate::split`] and nothing the pool concluded; reports the first
//! difference, or none.

use crate::id::{AccountId, PoolId, RateId, RewardId, ShareSeq, SliceNo};
use crate::ledger::SetKey;
use crate::membership::{MemberBlock, Membership, split_earned};
use crate::rate::Rate;
use crate::ratio::mul_div_floor;
use crate::reward::{End, Reward};
use crate::rule::{self, Rule, RuleSince};
use crate::scheme::{Scheme, WindowLength};
use crate::share::{Share, WeightSum};
use crate::slice::{OpenSlice, Slice, SliceRow};
use crate::split::{Carry, SliceCredit, Split, SplitRow, fee_of, pay_slice, split};
use crate::union::{Beside, Part};
use crate::volume::{Volumes, work_of};
use crate::window::{SliceSource, Window, WindowTable};
use crate::{Amount, BasisPoints};
use std::collections::{BTreeMap, BTreeSet};

/// No slice is worth so many smallest units.
const SLICE_MAX: u128 = 1 << 63;

/// Where a record and its recomputation part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// A slice does not follow from its shares and the slice before.
    #[error("slice {0} does not follow from its shares and the slice before it")]
    Slice(SliceNo),
    /// The window's bounds.
    #[error("the window should run from slice {from} to {through} with {part:?} of the oldest")]
    Bounds {
        /// Recomputed oldest slice.
        from: SliceNo,
        /// Recomputed newest slice.
        through: SliceNo,
        /// Recomputed part of the oldest.
        part: (WeightSum, WeightSum),
    },
    /// The window leaves out shares before the block, or counts shares after it.
    #[error("the window should end with the last share before the block, not with slice {0}")]
    Reach(SliceNo),
    /// An account's work in the window.
    #[error("account {account} should have work {recomputed} in the window, not {recorded}")]
    Work {
        /// Who.
        account: AccountId,
        /// What the record says.
        recorded: WeightSum,
        /// What follows from the slices.
        recomputed: WeightSum,
    },
    /// An account's part.
    #[error("account {account} should get {recomputed}, not {recorded}")]
    Part {
        /// Who.
        account: AccountId,
        /// What the record says.
        recorded: Amount,
        /// What follows from the window.
        recomputed: Amount,
    },
    /// A window or split that should exist does not, or the other way round.
    #[error("the scheme and the record disagree about whether a window is paid")]
    Shape,
    /// What an account was credited for a slice it was paid for at once.
    #[error(
        "account {account} should have been credited {recomputed:?} for slice {no}, not {recorded:?}"
    )]
    Credit {
        /// Which slice.
        no: SliceNo,
        /// Who.
        account: AccountId,
        /// What the record says.
        recorded: Option<(Amount, Carry)>,
        /// What follows from the slice and the rates.
        recomputed: Option<(Amount, Carry)>,
    },
    /// A slice names a rate that is not kept, or that no chain has.
    #[error("slice {0} names a rate that is not kept, or is none")]
    Rate(SliceNo),
    /// The ledger does not carry what was computed.
    #[error("the ledger's transfers under {0} are not those that follow")]
    Transfers(SetKey),
    /// The parts do not sum.
    #[error("the parts do not sum to the reward")]
    Sum,
    /// A payment's part of a block that could not have earned it.
    #[error(
        "block {0} is said to have earned a part of it, and is no earlier block of this pool by the same rule"
    )]
    Earner(RewardId),
    /// A block that pays less than nothing.
    #[error("the block is said to pay a negative amount")]
    Negative,
    /// A split by another scheme than the pool's.
    #[error("split by \"{}\", but the pool's rule was \"{}\"", recorded.in_words(), published.in_words())]
    Scheme {
        /// What the record says.
        recorded: Scheme,
        /// What the pool had published.
        published: Scheme,
    },
    /// A fee that the pool's rule does not know.
    #[error("account {account} paid a fee of {fee}, which is none of the pool's rule")]
    Fee {
        /// Who.
        account: AccountId,
        /// What the record says.
        fee: BasisPoints,
    },
    /// A block that is shared otherwise than the pools promised.
    #[error("its parts are not those of the pool's rule: pool {0} has another part, or none")]
    Parts(PoolId),
}

/// Seals the shares of one slice again and compares. `shares` are all that the log has after the slice before up to the last
/// of this: one that was left out between the two is found too.
///
/// # Errors
/// When the result differs.
pub fn check_slice(
    recorded: &Slice,
    previous: Option<&Slice>,
    shares: impl IntoIterator<Item = (ShareSeq, Share)>,
) -> Result<(), Difference> {
    check_link(recorded, previous)?;
    let mut open = OpenSlice::after(recorded.pool, previous.map(|slice| (slice.no, slice.hash)));
    for (seq, share) in shares {
        if share.pool == recorded.pool {
            open.count(seq, &share);
        }
    }
    if open.close().as_ref() == Some(recorded) {
        Ok(())
    } else {
        Err(Difference::Slice(recorded.no))
    }
}

/// Does a slice's hash cover its rows and the slice before it, and does it begin after that ended? For whoever does not have
/// the shares.
///
/// # Errors
/// When it does not, or its number does not follow.
pub fn check_link(recorded: &Slice, previous: Option<&Slice>) -> Result<(), Difference> {
    let before = |slice: &Slice| (slice.no, slice.hash, slice.last);
    let (no, hash, last) = previous.map_or((SliceNo(0), [0; 32], ShareSeq(0)), before);
    let follows = recorded.no == no.next() && recorded.first > last;
    let spans = recorded.first <= recorded.last;
    match follows && spans && recorded.hash == recorded.expected_hash(&hash) {
        true => Ok(()),
        false => Err(Difference::Slice(recorded.no)),
    }
}

/// Does a window reach up to its end: is no slice of its shares left out at the young end, and none put in?
///
/// # Errors
/// The outer error is the source's, the inner one the difference.
pub fn check_reach<S: SliceSource>(
    window: &WindowTable,
    end: End,
    source: &mut S,
) -> Result<Result<(), Difference>, S::Error> {
    let (end, left_out) = match end {
        End::Before(end) => (end, false),
        End::With(end) => {
            let next = source.slice(window.through.next())?;
            (end, next.is_some_and(|next| next.slice.first <= end))
        }
    };
    let last = source.slice(window.through)?;
    let put_in = last.is_some_and(|last| last.slice.last > end);
    Ok(if left_out || put_in { Err(Difference::Reach(window.through)) } else { Ok(()) })
}

/// How many slices were closed between the work that a block was found on and the block, and are left to the blocks after it.
///
/// # Errors
/// The source's.
pub fn left_to_later<S: SliceSource>(reward: &Reward, source: &mut S) -> Result<u64, S::Error> {
    let Some(window) = reward.window.as_ref().filter(|_| reward.by_block.is_some()) else {
        return Ok(0);
    };
    let (mut slices, mut no) = (0_u64, window.through.next());
    while source.slice(no)?.is_some_and(|found| found.slice.first <= reward.window_end) {
        (slices, no) = (slices.saturating_add(1), no.next());
    }
    Ok(slices)
}

/// Recomputes the window of a pool beside the one that found a block, from its own slices.
///
/// # Errors
/// The outer error is the source's, the inner one the first difference.
pub fn check_beside<S: SliceSource>(
    beside: &Beside,
    source: &mut S,
) -> Result<Result<(), Difference>, S::Error> {
    let Some(length) = beside.scheme.window_length(beside.network_work) else {
        return Ok(Err(Difference::Shape));
    };
    let recomputed = window_again(&beside.window, length, SliceNo(0), source)?;
    Ok(compare_windows(&beside.window, &recomputed))
}

/// Pays a slice again whose shares were bought at once (PPS, FPPS), with what was carried to it, and compares. The fee of
/// each account is taken from the record. `carries` moves on to what is carried out.
///
/// # Errors
/// When the result differs.
pub fn check_purchase(
    slice: &Slice,
    rates: &BTreeMap<RateId, Rate>,
    carries: &mut BTreeMap<AccountId, Carry>,
    recorded: &[SliceCredit],
) -> Result<(), Difference> {
    let no = slice.no;
    let priced = |row: &&SliceRow| row.rate != RateId::default();
    if slice.rows.iter().filter(priced).any(|row| !rates.contains_key(&row.rate)) {
        return Err(Difference::Rate(no));
    }
    if !is_sane(slice, rates) {
        return Err(Difference::Rate(no));
    }
    // A pool that has another scheme buys nothing.
    if recorded.is_empty() && !slice.rows.iter().any(|row| priced(&row)) {
        return Ok(());
    }
    let carry = |account| carries.get(&account).copied().unwrap_or_default();
    let fee = |account| {
        let found = recorded.iter().find(|credit| credit.account == account);
        found.map(|credit| credit.fee_bps).unwrap_or_default()
    };
    let recomputed = pay_slice(slice, rates, carry, fee);
    let by_account = |credits: &[SliceCredit]| -> Vec<_> {
        credits.iter().map(|c| (c.account, Some((c.net, c.carry_after)))).collect()
    };
    if let Some((account, recorded, recomputed)) =
        first_unequal(&by_account(recorded), &by_account(&recomputed))
    {
        return Err(Difference::Credit { no, account, recorded, recomputed });
    }
    carries.extend(recomputed.iter().map(|credit| (credit.account, credit.carry_after)));
    Ok(())
}

/// Whoever reads a record from elsewhere cannot be sure that its numbers are of this world: is every rate one, and does what
/// the slice is worth fit?
fn is_sane(slice: &Slice, rates: &BTreeMap<RateId, Rate>) -> bool {
    let worth = |row: &SliceRow| -> Option<u128> {
        let Some(rate) = rates.get(&row.rate) else { return Some(0) };
        let value = u128::try_from(rate.value.units()).ok().filter(|_| rate.network_work > 0)?;
        mul_div_floor(row.tally.weight, value, rate.network_work)?.checked_add(1)
    };
    let sum = |sum: u128, row| sum.checked_add(worth(row)?);
    slice.rows.iter().try_fold(0, sum).is_some_and(|sum| sum < SLICE_MAX)
}

/// Recomputes a reward's window from the slices and its split from the window. `cut` is the last slice of the round
/// before (PROP). The fee of each account is taken from the record, where it is public. Windows of other pools that the reward
/// pays too are taken as recorded: [`check_beside`] checks each from its own slices. So is what a payment follows from:
/// [`check_earned`] checks that from the rewards of the blocks that earned it.
///
/// # Errors
/// The outer error is the source's, the inner one the first difference.
pub fn check_reward<S: SliceSource>(
    reward: &Reward,
    cut: SliceNo,
    source: &mut S,
) -> Result<Result<(), Difference>, S::Error> {
    if reward.to_pool < Amount::ZERO || reward.to_miners < Amount::ZERO {
        return Ok(Err(Difference::Negative));
    }
    if let Err(difference) = check_by_block(reward).and_then(|()| check_member(reward)) {
        return Ok(Err(difference));
    }
    if reward.payment().is_some() {
        return Ok(Ok(()));
    }
    let Some(length) = reward.scheme.window_length(reward.network_work) else {
        return Ok(check_without_window(reward));
    };
    let (Some(recorded), Some(recorded_split)) = (&reward.window, &reward.split) else {
        return Ok(Err(Difference::Shape));
    };
    if let Err(difference) = check_budget(reward, recorded) {
        return Ok(Err(difference));
    }
    let recomputed = window_again(recorded, length, cut, source)?;
    Ok(compare_windows(recorded, &recomputed).and_then(|()| {
        compare_splits(recorded_split, &split_of(reward, &recomputed, recorded_split))
    }))
}

/// Does what the block is said to pay miners itself follow from the split?
fn check_by_block(reward: &Reward) -> Result<(), Difference> {
    let Some(by_block) = &reward.by_block else { return Ok(()) };
    let (Some(split), None, None) = (&reward.split, &reward.shared, &reward.budget) else {
        return Err(Difference::Shape);
    };
    if reward.as_of > reward.window_end || reward.window.is_none() || !by_block.is_sound(split) {
        return Err(Difference::Shape);
    }
    let paid: Amount = by_block.payments(split).map(|(_, row)| row.net).sum();
    if paid == reward.to_miners { Ok(()) } else { Err(Difference::Sum) }
}

/// Is what a coordination-free pool has to do with a reward something that can be?
fn check_member(reward: &Reward) -> Result<(), Difference> {
    let Some(member) = &reward.member else { return Ok(()) };
    let is_plain = reward.by_block.is_none() && reward.shared.is_none() && reward.budget.is_none();
    if !is_plain || reward.to_miners != Amount::ZERO {
        return Err(Difference::Shape);
    }
    match member {
        Membership::Block(MemberBlock { elsewhere, .. }) if *elsewhere < Amount::ZERO => {
            Err(Difference::Negative)
        }
        Membership::Block(_) => Ok(()),
        Membership::Payment(_) if reward.window.is_some() || reward.split.is_none() => {
            Err(Difference::Shape)
        }
        Membership::Payment(payment) if !payment.is_sound() => Err(Difference::Shape),
        Membership::Payment(payment) if payment.amount() != reward.to_pool => Err(Difference::Sum),
        Membership::Payment(_) => Ok(()),
    }
}

/// Divides a payment again by the splits of the blocks that earned it, and compares. Which blocks earned how much of it only the chain
/// says. A reward that is no payment was earned by nobody else.
///
/// # Errors
/// When the result differs, or one of the blocks could not have earned a part.
pub fn check_earned(
    reward: &Reward,
    earlier: impl Fn(RewardId) -> Option<Reward>,
) -> Result<(), Difference> {
    let (Some(payment), Some(recorded)) = (reward.payment(), &reward.split) else {
        return Ok(());
    };
    let mut blocks = Vec::with_capacity(payment.earned.len());
    for earned in &payment.earned {
        let could = |block: &Reward| {
            let by_rule = match &block.member {
                Some(Membership::Block(own)) => {
                    own.rule == payment.rule && own.script == payment.script
                }
                Some(Membership::Payment(_)) | None => false,
            };
            // What is locked for later is earned by the block that locks it.
            let in_time = block.height <= reward.height && block.window_end < reward.window_end;
            by_rule && in_time && block.pool == reward.pool
        };
        let block = earlier(earned.block).filter(could);
        let split = block.and_then(|block| block.split).filter(|split| is_listed(&split.rows));
        blocks.push((earned.amount, split.ok_or(Difference::Earner(earned.block))?));
    }
    let parts: Vec<(Amount, &[SplitRow])> =
        blocks.iter().map(|(amount, split)| (*amount, split.rows.as_slice())).collect();
    compare_splits(recorded, &split_earned(&parts, reward.finder))
}

/// Is every account listed once, ascending, and is their work in all a number? A record from elsewhere need not be so.
fn is_listed(rows: &[SplitRow]) -> bool {
    let work = rows.iter().try_fold(0, |sum: WeightSum, row| sum.checked_add(row.weight));
    work.is_some() && rows.is_sorted_by(|a, b| a.account < b.account)
}

/// How a split follows from what the pool had published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruled {
    /// By the rule in force.
    ByRule,
    /// By the one before: its work was handed out before the change, and no block was booked in between.
    ByRuleBefore,
    /// No rule of that time was published.
    Unknown,
}

/// Is a reward split by the rule that its pool had published, at its fees, and over the pools that had a part then? `rules` are
/// those of all pools of its asset, `before` is where the pool's block before it was found.
///
/// # Errors
/// When it is not.
pub fn check_rule(
    reward: &Reward,
    rules: &BTreeMap<PoolId, Vec<RuleSince>>,
    before: Option<ShareSeq>,
) -> Result<Ruled, Difference> {
    if reward.payment().is_some() {
        // Its parts, and their fees, are those of the blocks that earned it.
        return Ok(Ruled::ByRule);
    }
    let own = rules.get(&reward.pool).map(Vec::as_slice).unwrap_or_default();
    check_named(reward, rules)?;
    let Some(known) = rule::at(own, reward.window_end) else { return Ok(Ruled::Unknown) };
    let Some(current) = &known.rule else { return Ok(Ruled::Unknown) };
    let is_first = before.is_none_or(|end| end <= known.since);
    let earlier = rule::before(own, reward.window_end).filter(|_| is_first);
    let earlier = earlier.and_then(|earlier| earlier.rule.as_ref());
    let parted = check_parts(reward, rules, current.part, reward.window_end);
    let parted_before =
        earlier.map(|earlier| check_parts(reward, rules, earlier.part, known.since));
    if parted_before != Some(Ok(())) {
        parted?;
    }
    let by_before = earlier.is_some_and(|earlier| earlier.scheme == reward.scheme);
    if current.scheme != reward.scheme && !by_before {
        let (recorded, published) = (reward.scheme, current.scheme);
        return Err(Difference::Scheme { recorded, published });
    }
    check_fees(reward, current, earlier)?;
    Ok(if current.scheme == reward.scheme { Ruled::ByRule } else { Ruled::ByRuleBefore })
}

/// Is each fee one of the rule's? What a coinbase paid was decided when the work was handed out.
fn check_fees(reward: &Reward, rule: &Rule, earlier: Option<&Rule>) -> Result<(), Difference> {
    let beside = reward.shared.iter().flat_map(|shared| &shared.beside);
    let windows = reward.window.iter().chain(beside.map(|beside| &beside.window));
    let windows: Vec<_> = windows.map(|window| window.rows.as_slice()).collect();
    let accounts = windows.iter().fold(0, |sum: u64, rows| sum.saturating_add(count(rows)));
    let volumes = Volumes::of(windows);
    let is_allowed = |account, fee| {
        let mut rules = std::iter::once(rule).chain(earlier);
        let in_window = |rule: &Rule| rule.allows(accounts.max(1), volumes.part(account), fee);
        match (reward.pays_finder(), &reward.by_block) {
            (true, _) => rules.any(|rule| rule.allows_in_some_window(fee)),
            (false, Some(_)) => rules.any(in_window),
            (false, None) => in_window(rule),
        }
    };
    let mut rows = reward.split.iter().flat_map(|split| &split.rows);
    match rows.find(|row| !is_allowed(row.account, row.fee_bps)) {
        Some(row) => Err(Difference::Fee { account: row.account, fee: row.fee_bps }),
        None => Ok(()),
    }
}

fn count<T>(rows: &[T]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

/// Is every pool that a reward pays one of the asset's, and paid once?
fn check_named(
    reward: &Reward,
    rules: &BTreeMap<PoolId, Vec<RuleSince>>,
) -> Result<(), Difference> {
    let mut named = BTreeSet::from([reward.pool]);
    let mut beside = reward.shared.iter().flat_map(|shared| &shared.beside);
    let stranger = |b: &&Beside| !named.insert(b.pool) || !rules.contains_key(&b.pool);
    match beside.find(stranger) {
        Some(stranger) => Err(Difference::Parts(stranger.pool)),
        None => Ok(()),
    }
}

/// Does a reward pay the pools that had a part at a place of the log, by their rules, and no other?
fn check_parts(
    reward: &Reward,
    rules: &BTreeMap<PoolId, Vec<RuleSince>>,
    own: Option<Part>,
    place: ShareSeq,
) -> Result<(), Difference> {
    let own = own.filter(|_| !reward.pays_finder());
    let recorded = reward.shared.as_ref();
    if recorded.is_some_and(|shared| Some(shared.part) != own) {
        return Err(Difference::Parts(reward.pool));
    }
    let beside = recorded.map(|shared| shared.beside.as_slice()).unwrap_or_default();
    for (pool, known) in rules.iter().filter(|(pool, _)| **pool != reward.pool) {
        let found = beside.iter().find(|beside| beside.pool == *pool);
        let Some(RuleSince { rule, .. }) = rule::at(known, place) else { continue };
        let promised = rule.as_ref().filter(|rule| own.is_some() && has_window(rule.scheme));
        let promised = promised.and_then(|rule| Some((rule.part?, rule.scheme)));
        if found.map(|beside| (beside.part, beside.scheme)) != promised {
            return Err(Difference::Parts(*pool));
        }
    }
    Ok(())
}

fn has_window(scheme: Scheme) -> bool {
    scheme.window_length(1).is_some()
}

/// Was a slice bought at fees of the rule it was closed under?
///
/// # Errors
/// When one is not.
pub fn check_slice_fees(
    slice: &Slice,
    rules: &[RuleSince],
    recorded: &[SliceCredit],
) -> Result<(), Difference> {
    let known = rule::of_slice(rules, slice.no).and_then(|known| known.rule.as_ref());
    let Some(known) = known else { return Ok(()) };
    let work = work_of(slice);
    let (accounts, volumes) = (count(&work), Volumes::of([work.as_slice()]));
    let is_allowed = |credit: &&SliceCredit| {
        known.allows(accounts, volumes.part(credit.account), credit.fee_bps)
    };
    match recorded.iter().find(|credit| !is_allowed(credit)) {
        Some(credit) => Err(Difference::Fee { account: credit.account, fee: credit.fee_bps }),
        None => Ok(()),
    }
}

fn window_again<S: SliceSource>(
    recorded: &WindowTable,
    length: WindowLength,
    cut: SliceNo,
    source: &mut S,
) -> Result<WindowTable, S::Error> {
    let mut window = Window::new(cut);
    window.fit(length, recorded.through, source)?;
    Ok(window.table(length))
}

/// Is a budget divided where the scheme divides one, and is it one that can be?
fn check_budget(reward: &Reward, window: &WindowTable) -> Result<(), Difference> {
    let divides = matches!(reward.scheme, Scheme::Budget { .. });
    let work = window.rows.iter().try_fold(0, |sum: WeightSum, (_, work)| sum.checked_add(*work));
    match &reward.budget {
        Some(_) if !divides || reward.shared.is_some() => Err(Difference::Shape),
        None if divides => Err(Difference::Shape),
        Some(budget) if budget.total < reward.to_pool => Err(Difference::Sum),
        Some(_) if work.is_none() => Err(Difference::Sum),
        _ => Ok(()),
    }
}

/// The split that a window gives: of nobody's work, everything to the finder.
#[must_use]
pub fn split_of(reward: &Reward, window: &WindowTable, fees: &Split) -> Split {
    let finder = [(reward.finder, 1)];
    let work = if window.rows.is_empty() { finder.as_slice() } else { window.rows.as_slice() };
    let fee = |account| {
        fees.rows
            .iter()
            .find(|row| row.account == account)
            .map(|row| row.fee_bps)
            .unwrap_or_default()
    };
    if let (Scheme::Budget { cap }, Some(budget)) = (reward.scheme, &reward.budget) {
        return budget.split(cap, &window.rows).0;
    }
    // What a block pays the finder alone is no part of a window's.
    let divided = if reward.by_block.is_some() { reward.amount() } else { reward.to_pool };
    match &reward.shared {
        Some(shared) => shared.split(reward.to_pool, reward.finder, &window.rows, fee),
        None => split(divided, work, fee),
    }
}

fn check_without_window(reward: &Reward) -> Result<(), Difference> {
    match (&reward.split, reward.scheme.pays_per_share()) {
        (None, true) => Ok(()),
        (Some(split), false) if split.rows.iter().any(|row| row.account != reward.finder) => {
            Err(Difference::Shape)
        }
        (Some(split), false) if !split.is_exact() || split.amount != reward.amount() => {
            Err(Difference::Sum)
        }
        (Some(split), false) => match split.rows.as_slice() {
            [row] if row.fee != fee_of(split.amount, row.fee_bps) => Err(Difference::Part {
                account: row.account,
                recorded: row.net,
                recomputed: split.amount.sub(fee_of(split.amount, row.fee_bps)),
            }),
            [_] => Ok(()),
            _ => Err(Difference::Shape),
        },
        _ => Err(Difference::Shape),
    }
}

fn compare_windows(recorded: &WindowTable, recomputed: &WindowTable) -> Result<(), Difference> {
    let bounds = |w: &WindowTable| (w.from, w.through, w.oldest_part);
    if bounds(recorded) != bounds(recomputed) {
        let (from, through, part) = bounds(recomputed);
        return Err(Difference::Bounds { from, through, part });
    }
    match first_unequal(&recorded.rows, &recomputed.rows) {
        Some((account, recorded, recomputed)) => {
            Err(Difference::Work { account, recorded, recomputed })
        }
        None => Ok(()),
    }
}

fn compare_splits(recorded: &Split, recomputed: &Split) -> Result<(), Difference> {
    let nets =
        |split: &Split| split.rows.iter().map(|row| (row.account, row.net)).collect::<Vec<_>>();
    if let Some((account, recorded, recomputed)) = first_unequal(&nets(recorded), &nets(recomputed))
    {
        return Err(Difference::Part { account, recorded, recomputed });
    }
    if recorded == recomputed && recorded.is_exact() { Ok(()) } else { Err(Difference::Sum) }
}

/// The first account that two ascending lists disagree about; who is missing has nothing.
fn first_unequal<T: Copy + PartialEq + Default>(
    left: &[(AccountId, T)],
    right: &[(AccountId, T)],
) -> Option<(AccountId, T, T)> {
    let at = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    match (left.get(at), right.get(at)) {
        (None, None) => None,
        (Some(&(account, value)), None) => Some((account, value, T::default())),
        (None, Some(&(account, value))) => Some((account, T::default(), value)),
        (Some(&(a, value)), Some(&(b, other))) if a == b => Some((a, value, other)),
        (Some(&(a, value)), Some(&(b, _))) if a < b => Some((a, value, T::default())),
        (Some(_), Some(&(b, other))) => Some((b, T::default(), other)),
    }
}

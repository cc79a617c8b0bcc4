//! Who gets what of a block: the window's slots as claims, claims as payments, payments as a tree.
//!
//! Invariant: payments and the tree's cost sum to the value shared, to the unit; nobody is paid less than the floor; the order
//! in which blocks were found, or payees numbered, changes nothing. Money is divided by [`accounting::split`] and nowhere else.

use crate::rule::{Rule, Small};
use crate::tree::{PAYEES_MAX, Payee, Tree, output_size};
use crate::window::Slot;
use accounting::split::{divide, part_of};
use bitcoin::Script;

/// A payee's weight among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Whom to pay.
    pub script: &'a Script,
    /// Their part of the sum of all weights.
    pub weight: u128,
}

/// The claims that a window makes: one a script, in the order of scripts. `script` names the payee of a number.
pub fn of_window<'a>(
    rule: &Rule,
    window: &[Slot],
    script: impl Fn(u32) -> &'a Script,
) -> Vec<Claim<'a>> {
    let mut by_payee: Vec<(u32, u128)> =
        window.iter().map(|slot| slot.payee).zip(rule.weights(window)).collect();
    by_payee.sort_unstable_by_key(|(payee, _)| *payee);
    by_payee.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = earlier.1.saturating_add(later.1);
        }
        same
    });
    let mut claims: Vec<Claim<'a>> = by_payee
        .into_iter()
        .filter(|(_, weight)| *weight > 0)
        .map(|(payee, weight)| Claim { script: script(payee), weight })
        .collect();
    claims.sort_unstable_by_key(|claim| claim.script);
    claims
}

/// The tree that shares `value` over claims (one a script, ascending); none where nobody would reach the floor.
///
/// # Panics
/// When the value is more than there can be coins, or the rule was not checked.
#[must_use]
pub fn share(rule: &Rule, value: u64, claims: &[Claim<'_>], finder: &Script) -> Option<Tree> {
    let claims = above_floor(rule, value, claims, finder);
    let cost = rule.tree.cost(u32::try_from(claims.len()).ok()?, bytes_of(&claims));
    let payable = value.checked_sub(cost.total())?;
    if claims.is_empty() {
        return None;
    }
    let weights: Vec<u128> = claims.iter().map(|claim| claim.weight).collect();
    let amounts = divide(payable.into(), &weights);
    let pay = |(claim, amount): (&Claim<'_>, u128)| Payee {
        script: claim.script.to_owned(),
        amount: u64::try_from(amount).expect("a part is at most the whole"),
    };
    let payees: Vec<Payee> = claims.iter().zip(amounts).map(pay).collect();
    let tree = rule.tree.build(payees);
    let tree = tree.expect("a checked rule, few enough payees, and nobody below the floor");
    assert!(tree.root().value == value, "a tree hands on exactly what it is given");
    Some(tree)
}

/// What somebody's payment of a tree that shares `value` is made of, beside their own claim: what they took over, as the block's
/// finder, from those who would have got too little. None where the tree does not pay them.
#[must_use]
pub fn taken_over(
    rule: &Rule,
    value: u64,
    claims: &[Claim<'_>],
    finder: &Script,
    payee: &Script,
) -> Option<u128> {
    let paid = above_floor(rule, value, claims, finder);
    let paid = paid.iter().find(|claim| claim.script == payee)?;
    let own = claims.iter().find(|claim| claim.script == payee).map_or(0, |claim| claim.weight);
    Some(paid.weight.saturating_sub(own))
}

/// Leaves out, lightest first, who would be paid less than the floor, until all who are left are paid enough
/// and the tree can be built.
fn above_floor<'a>(
    rule: &Rule,
    value: u64,
    claims: &[Claim<'a>],
    finder: &'a Script,
) -> Vec<Claim<'a>> {
    if all_reach_it(rule, value, claims) {
        return claims.to_vec();
    }
    let mut lightest: Vec<Claim<'a>> = claims.to_vec();
    // Heaviest first; among equals the later script is left out first.
    lightest.sort_unstable_by(|a, b| b.weight.cmp(&a.weight).then(a.script.cmp(b.script)));
    let mut bytes = bytes_of(&lightest);
    let whole = sum(&lightest);
    let mut total = whole;
    let floor = u128::from(rule.floor);
    // What the finder takes over needs an output too.
    let (more, more_bytes) = match rule.small {
        Small::Finder => (1, output_size(finder)),
        Small::Others => (0, 0),
    };
    let payable = |count: usize, bytes: u64| {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        u128::from(value.saturating_sub(rule.tree.cost(count, bytes).total()))
    };
    while let Some(last) = lightest.last() {
        let payable = payable(lightest.len() + more, bytes + more_bytes);
        let of_all = if rule.small == Small::Finder { whole } else { total };
        let fits = lightest.len() + more <= PAYEES_MAX
            && rule.tree.is_relayed(lightest.len() + more, bytes + more_bytes);
        if fits && part_of(payable, last.weight, of_all) >= floor {
            break;
        }
        bytes -= output_size(last.script);
        total -= last.weight;
        lightest.pop();
    }
    let left_out = whole - total;
    if rule.small == Small::Finder && !lightest.is_empty() {
        let payable = payable(lightest.len() + 1, bytes + more_bytes);
        match lightest.iter_mut().find(|claim| claim.script == finder) {
            Some(claim) => claim.weight += left_out,
            None if part_of(payable, left_out, whole) >= floor => {
                lightest.push(Claim { script: finder, weight: left_out });
            }
            // Too little for the finder too: the others' after all.
            None => {}
        }
    }
    lightest.sort_unstable_by_key(|claim| claim.script);
    lightest
}

/// Would the lightest be paid enough if nobody were left out? So it is in nearly every block.
fn all_reach_it(rule: &Rule, value: u64, claims: &[Claim<'_>]) -> bool {
    let Some(least) = claims.iter().map(|claim| claim.weight).min() else { return true };
    let (count, bytes) = (u32::try_from(claims.len()).unwrap_or(u32::MAX), bytes_of(claims));
    let payable = value.saturating_sub(rule.tree.cost(count, bytes).total());
    // Where the finder takes over what is small, the cost of one more output decides; that is left to the long way.
    claims.len() < PAYEES_MAX
        && rule.tree.is_relayed(claims.len(), bytes)
        && rule.small == Small::Others
        && part_of(payable.into(), least, sum(claims)) >= u128::from(rule.floor)
}

fn sum(claims: &[Claim<'_>]) -> u128 {
    claims.iter().fold(0, |sum, claim| sum.saturating_add(claim.weight))
}

fn bytes_of(claims: &[Claim<'_>]) -> u64 {
    claims.iter().map(|claim| output_size(claim.script)).sum()
}

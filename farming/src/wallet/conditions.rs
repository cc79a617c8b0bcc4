//! What a spend asks of the chain: written for our payments, and read from what the chain shows.
//!
//! Invariant: nothing is run; a spend in another form than ours has no conditions here.

use crate::clvm::{Node, Tree};
use crate::coin::CoinSpend;
use crate::hash::{Bytes32, sha256};
use std::collections::BTreeMap;

/// Conditions that a puzzle asks of the chain.
const CREATE_COIN: u64 = 51;

const RESERVE_FEE: u64 = 52;

const CREATE_COIN_ANNOUNCEMENT: u64 = 60;

const ASSERT_COIN_ANNOUNCEMENT: u64 = 61;

/// Conditions of one spend that are read at most.
const CONDITIONS_MAX: usize = 5000;
/// Parts of one condition that are read at most.
const PARTS_MAX: usize = 8;

/// Does the spend of a coin hang on that of another, as the payments made here do?
#[must_use]
pub fn hangs_on(spend: &CoinSpend, first: &CoinSpend) -> bool {
    let announced: Vec<Bytes32> = conditions(first, CREATE_COIN_ANNOUNCEMENT)
        .iter()
        .map(|message| sha256([first.coin.id().as_ref(), message.as_slice()]))
        .collect();
    let asserted = conditions(spend, ASSERT_COIN_ANNOUNCEMENT);
    asserted.iter().any(|own| announced.iter().any(|known| known.as_ref() == own.as_slice()))
}

/// What a standard spend creates: places and amounts; none where the spend cannot be read.
#[must_use]
pub fn created(spend: &CoinSpend) -> Option<Vec<(Bytes32, u64)>> {
    let (tree, conditions) = asked(spend)?;
    let mut created = Vec::new();
    for condition in conditions {
        // Memos may follow.
        let parts = tree.as_list(condition, PARTS_MAX)?;
        if tree.as_number(*parts.first()?) == Some(CREATE_COIN) {
            created.push((tree.as_hash(*parts.get(1)?)?, tree.as_number(*parts.get(2)?)?));
        }
    }
    Some(created)
}

/// The first arguments of all conditions of one kind that a standard spend asks for.
fn conditions(spend: &CoinSpend, kind: u64) -> Vec<Vec<u8>> {
    let Some((tree, conditions)) = asked(spend) else { return Vec::new() };
    let of_kind = conditions.into_iter().filter_map(|condition| {
        let parts = tree.as_list(condition, PARTS_MAX)?;
        let (found, argument) = (tree.as_number(*parts.first()?)?, *parts.get(1)?);
        (found == kind).then(|| tree.as_atom(argument).map(<[u8]>::to_vec))?
    });
    of_kind.collect()
}

/// All conditions of a standard spend whose program only quotes them.
fn asked(spend: &CoinSpend) -> Option<(Tree, Vec<Node>)> {
    let (tree, delegated) = delegated(spend)?;
    let (quote, conditions) = tree.as_pair(delegated)?;
    let conditions = tree.as_list(conditions, CONDITIONS_MAX)?;
    (tree.as_number(quote) == Some(1)).then_some((tree, conditions))
}

/// The program that a standard spend was signed for.
pub(super) fn delegated(spend: &CoinSpend) -> Option<(Tree, Node)> {
    let mut tree = Tree::new();
    let root = tree.read(&spend.solution.0).ok()?;
    let parts = tree.as_list(root, 3)?;
    Some((tree, *parts.get(1)?))
}

/// The conditions of the first coin: all outputs, the fee, and word of it for the others.
pub(super) fn paying(
    tree: &mut Tree,
    created: &BTreeMap<Bytes32, u64>,
    fee: u64,
    message: Option<&Bytes32>,
) -> Node {
    let mut conditions = Vec::with_capacity(created.len() + 2);
    for (place, amount) in created {
        conditions.push(creating(tree, place, *amount));
    }
    if fee > 0 {
        conditions.push(reserving(tree, fee));
    }
    if let Some(message) = message {
        let (announce, message) = (tree.number(CREATE_COIN_ANNOUNCEMENT), tree.atom(&message.0));
        conditions.push(tree.list(&[announce, message]));
    }
    tree.list(&conditions)
}

pub(super) fn creating(tree: &mut Tree, place: &Bytes32, amount: u64) -> Node {
    let (create, place, amount) =
        (tree.number(CREATE_COIN), tree.atom(&place.0), tree.number(amount));
    tree.list(&[create, place, amount])
}

pub(super) fn reserving(tree: &mut Tree, fee: u64) -> Node {
    let (reserve, fee) = (tree.number(RESERVE_FEE), tree.number(fee));
    tree.list(&[reserve, fee])
}

/// Only together with who announces this.
pub(super) fn asserting(tree: &mut Tree, announced: &Bytes32) -> Node {
    let (assert, announced) = (tree.number(ASSERT_COIN_ANNOUNCEMENT), tree.atom(&announced.0));
    tree.list(&[assert, announced])
}

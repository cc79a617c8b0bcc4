//! How payees are grouped into transactions: one flat, a balanced tree, or big claims near the root.
//!
//! Invariant: a shape places every payee exactly once and every transaction but the root under exactly one other; children
//! come before their parents, the root is last. The number of transactions and of outputs depends on the number of payees
//! alone, so what a tree costs is known before anybody's amount is.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Most children of one transaction in a tree; a flat one has as many as there are payees.
pub const RADIX_MAX: u8 = 64;

/// How a tree grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Shape {
    /// One transaction pays everybody.
    Flat,
    /// Everybody is about equally deep.
    Balanced {
        /// Children of a transaction, 2 to [`RADIX_MAX`].
        radix: u8,
    },
    /// Who has more is nearer to the root (Huffman), so that a large claim costs little to get out.
    Weighted {
        /// Children of a transaction, 2 to [`RADIX_MAX`].
        radix: u8,
    },
}

/// A place under a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Child {
    /// The payee with this number.
    Payee(u32),
    /// The transaction with this number.
    Transaction(u32),
}

impl Shape {
    /// Does it make a tree at all?
    #[must_use]
    pub fn is_sound(self) -> bool {
        match self {
            Shape::Flat => true,
            Shape::Balanced { radix } | Shape::Weighted { radix } => {
                (2..=RADIX_MAX).contains(&radix)
            }
        }
    }

    /// Transactions for so many payees.
    #[must_use]
    pub fn transactions(self, payees: u32) -> u32 {
        match (self, payees) {
            (_, 0) => 0,
            (Shape::Flat, _) | (_, 1) => 1,
            (Shape::Balanced { radix } | Shape::Weighted { radix }, _) => {
                (payees - 1).div_ceil(u32::from(radix) - 1)
            }
        }
    }

    /// The children of each transaction, the root last. `weight` is asked of payees by number.
    pub(crate) fn grow(self, payees: u32, weight: impl Fn(u32) -> u128) -> Vec<Vec<Child>> {
        let all = || (0..payees).map(Child::Payee);
        match self {
            _ if payees == 0 => Vec::new(),
            Shape::Flat => vec![all().collect()],
            Shape::Balanced { radix } => balanced(all().collect(), radix.into()),
            Shape::Weighted { radix } => weighted(payees, radix.into(), weight),
        }
    }
}

/// Takes `radix` from the front, bundles them, puts the bundle at the back, until one bundle holds everything.
fn balanced(mut queue: VecDeque<Child>, radix: usize) -> Vec<Vec<Child>> {
    let mut transactions: Vec<Vec<Child>> = Vec::new();
    loop {
        let children: Vec<Child> = queue.drain(..radix.min(queue.len())).collect();
        queue.push_back(Child::Transaction(number(transactions.len())));
        transactions.push(children);
        if queue.len() == 1 {
            return transactions;
        }
    }
}

/// Bundles the lightest again and again; the first bundle is as small as it must be for all others to be full.
fn weighted(payees: u32, radix: u32, weight: impl Fn(u32) -> u128) -> Vec<Vec<Child>> {
    // Among equal weights the earlier: payees before bundles.
    let mut heap: BinaryHeap<Reverse<(u128, Child)>> =
        (0..payees).map(|payee| Reverse((weight(payee), Child::Payee(payee)))).collect();
    let mut take = if payees < 2 { 1 } else { (payees - 2) % (radix - 1) + 2 };
    let mut transactions: Vec<Vec<Child>> = Vec::new();
    loop {
        let mut sum = 0u128;
        let mut children = Vec::new();
        for Reverse((weight, child)) in std::iter::from_fn(|| heap.pop()).take(take as usize) {
            sum = sum.saturating_add(weight);
            children.push(child);
        }
        let bundle = Child::Transaction(number(transactions.len()));
        transactions.push(children);
        if heap.is_empty() {
            return transactions;
        }
        heap.push(Reverse((sum, bundle)));
        take = radix;
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("fewer transactions than payees, and those are 32-bit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth_of_payees(transactions: &[Vec<Child>]) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        let mut open = vec![(transactions.len() - 1, 1)];
        while let Some((at, depth)) = open.pop() {
            for child in &transactions[at] {
                match *child {
                    Child::Payee(payee) => found.push((payee, depth)),
                    Child::Transaction(other) => open.push((other as usize, depth + 1)),
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn every_shape_places_every_payee_once_and_has_as_many_transactions_as_it_says() {
        for shape in [
            Shape::Flat,
            Shape::Balanced { radix: 2 },
            Shape::Balanced { radix: 4 },
            Shape::Weighted { radix: 3 },
            Shape::Weighted { radix: 4 },
        ] {
            for payees in 1..200 {
                let grown = shape.grow(payees, |payee| u128::from(payee * 7 % 13 + 1));
                assert_eq!(grown.len(), shape.transactions(payees) as usize, "{shape:?} {payees}");
                let placed: Vec<u32> = depth_of_payees(&grown).iter().map(|(p, _)| *p).collect();
                assert!(placed.iter().copied().eq(0..payees), "{shape:?} {payees}");
            }
        }
        assert!(Shape::Flat.grow(0, |_| 1).is_empty());
    }

    #[test]
    fn a_giant_is_paid_by_the_root_itself() {
        let grown =
            Shape::Weighted { radix: 4 }.grow(100, |payee| if payee == 50 { 1 << 40 } else { 1 });
        assert_eq!(depth_of_payees(&grown)[50], (50, 1));
    }
}

//! The parameters of a coordination-free pool, and their name.
//!
//! Invariant: everything that changes who is paid is in the rule, and the rule's id is a hash of all of it: two miners with
//! different parameters are in different pools, and neither sees the other's blocks.

use crate::shape::Shape;
use crate::tree::{TreeError, TreeRule};
use crate::window::{LookBack, SECONDS_MAX, SLOTS_MAX, Slot};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The version of everything in this crate that the parameters do not say.
pub const VERSION: u16 = 1;
/// The largest dust limit of any script that a marker may name; a payment's floor is at least this.
pub const FLOOR_MIN: u32 = 546;
/// The whole, in thousandths.
const PERMILLE: u16 = 1000;
/// The whole, in millionths.
const MILLION: u32 = 1_000_000;

/// What a qualified block counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Weights {
    /// One, whatever it paid. Rich blocks are then better kept than shared.
    Equal,
    /// One, and less with each qualified block after it.
    Ewma {
        /// What is left after one more block, in millionths.
        keep_ppm: u32,
    },
    /// The satoshis it put under the rule: nothing is won by keeping the rich blocks.
    Sats,
    /// The work its target stands for, for windows that span retargets.
    Work,
}

/// What happens to the part of slots that no block fills yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Bootstrap {
    /// The finder keeps it.
    Finder,
    /// Those who are there share it: the first are paid several times over.
    Split,
    /// The finder is paid it, but not before so many blocks later.
    Forward {
        /// How much later.
        blocks: u32,
    },
}

/// What happens to claims when the subsidy halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Halving {
    /// Nothing: blocks before it are paid in smaller rewards after it.
    Ignore,
    /// The window begins anew.
    Restart {
        /// Blocks between halvings: 210000 on the main chain.
        interval: u32,
    },
}

/// Where the part of a payee goes whose payment would be below the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Small {
    /// To the others.
    Others,
    /// To the block's finder.
    Finder,
}

/// All parameters of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// From this height on blocks can qualify.
    pub start: u32,
    /// Which blocks a block pays.
    pub window: LookBack,
    /// What each of them counts.
    pub weights: Weights,
    /// Thousandths of a block's value that it must share.
    pub share_permille: u16,
    /// While the window is not full.
    pub bootstrap: Bootstrap,
    /// When the subsidy halves.
    pub halving: Halving,
    /// The least payment, in satoshis.
    pub floor: u32,
    /// What becomes of less.
    pub small: Small,
    /// How payees become transactions.
    pub tree: TreeRule,
}

/// Names a rule; stands in every marker.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(pub [u8; 8]);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why parameters make no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The window.
    #[error(
        "the window is 1 to {SLOTS_MAX} blocks, or seconds up to {SECONDS_MAX}, from_seconds below to_seconds"
    )]
    Window,
    /// The part to share.
    #[error("share_permille is 1 to 1000")]
    Share,
    /// The weights.
    #[error("keep_ppm is 1 to 1000000")]
    Weights,
    /// The floor.
    #[error("floor is at least {FLOOR_MIN} sat: less would be dust for some scripts")]
    Floor,
    /// The halving.
    #[error("a halving's interval is at least 1")]
    Halving,
    /// The tree.
    #[error("the tree: {0}")]
    Tree(#[from] TreeError),
}

/// How a block's value is divided between the window and its finder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// At least this goes to the window.
    pub shared: u64,
    /// And this under the rule too, but to the finder for slots that nobody fills yet.
    pub kept_for_empty_slots: u64,
}

impl Rule {
    /// Are these numbers a rule?
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn check(&self) -> Result<(), RuleError> {
        if !self.window.is_sound() {
            return Err(RuleError::Window);
        }
        if !(1..=PERMILLE).contains(&self.share_permille) {
            return Err(RuleError::Share);
        }
        if matches!(self.weights, Weights::Ewma { keep_ppm } if !(1..=MILLION).contains(&keep_ppm))
        {
            return Err(RuleError::Weights);
        }
        if self.floor < FLOOR_MIN {
            return Err(RuleError::Floor);
        }
        if matches!(self.halving, Halving::Restart { interval: 0 }) {
            return Err(RuleError::Halving);
        }
        Ok(self.tree.check()?)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> RuleId {
        let mut hasher = Sha256::new();
        hasher.update(b"adit coordination-free pool");
        hasher.update(VERSION.to_be_bytes());
        for number in self.numbers() {
            hasher.update(number.to_be_bytes());
        }
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hasher.finalize().into();
        RuleId([a, b, c, d, e, f, g, h])
    }

    /// Every parameter as a number; each choice by its own.
    fn numbers(&self) -> [u32; 17] {
        let window = match self.window {
            LookBack::Last { blocks } => [0, blocks, 0],
            LookBack::Age { seconds } => [1, seconds, 0],
            LookBack::Between { from_seconds, to_seconds } => [2, from_seconds, to_seconds],
        };
        let weights = match self.weights {
            Weights::Equal => [0, 0],
            Weights::Ewma { keep_ppm } => [1, keep_ppm],
            Weights::Sats => [2, 0],
            Weights::Work => [3, 0],
        };
        let bootstrap = match self.bootstrap {
            Bootstrap::Finder => [0, 0],
            Bootstrap::Split => [1, 0],
            Bootstrap::Forward { blocks } => [2, blocks],
        };
        let halving = match self.halving {
            Halving::Ignore => 0,
            Halving::Restart { interval } => interval,
        };
        let shape = match self.tree.shape {
            Shape::Flat => [0, 0],
            Shape::Balanced { radix } => [1, radix.into()],
            Shape::Weighted { radix } => [2, radix.into()],
        };
        let small = match self.small {
            Small::Others => 0,
            Small::Finder => 1,
        };
        let [w0, w1, w2] = window;
        let fee = self.tree.fee;
        [
            self.start,
            w0,
            w1,
            w2,
            weights[0],
            weights[1],
            self.share_permille.into(),
            bootstrap[0],
            bootstrap[1],
            halving,
            self.floor,
            small,
            shape[0],
            shape[1],
            fee.per_transaction,
            fee.per_vbyte,
            self.tree.anchor.unwrap_or(0),
        ]
    }

    /// The height from which blocks count for a block at `height`.
    #[must_use]
    pub fn since(&self, height: u32) -> u32 {
        match self.halving {
            Halving::Ignore => self.start,
            Halving::Restart { interval } => self.start.max(height - height % interval.max(1)),
        }
    }

    /// What a block of this value must share when so many slots are filled.
    #[must_use]
    pub fn parts(&self, value: u64, filled: usize) -> Parts {
        let ceil = |value: u64, part: u64, whole: u64| {
            let product = u128::from(value) * u128::from(part);
            u64::try_from(product.div_ceil(u128::from(whole))).expect("a part is at most the whole")
        };
        let committed = ceil(value, self.share_permille.into(), PERMILLE.into());
        let filled = filled as u64;
        let shared = match (self.window.full(), self.bootstrap) {
            _ if filled == 0 => 0,
            (Some(full), Bootstrap::Finder | Bootstrap::Forward { .. }) => {
                ceil(committed, filled.min(full.into()), full.into())
            }
            (Some(_), Bootstrap::Split) | (None, _) => committed,
        };
        Parts { shared, kept_for_empty_slots: committed - shared }
    }

    /// What the slots of a window count, oldest first.
    pub fn weights<'a>(&self, window: &'a [Slot]) -> impl Iterator<Item = u128> + 'a {
        let weights = self.weights;
        let decay = match weights {
            Weights::Ewma { keep_ppm } => decayed(keep_ppm, window.len()),
            Weights::Equal | Weights::Sats | Weights::Work => Vec::new(),
        };
        window.iter().enumerate().map(move |(at, slot)| match weights {
            Weights::Equal => 1,
            Weights::Ewma { .. } => decay.get(at).copied().unwrap_or(0),
            Weights::Sats => slot.sats.into(),
            Weights::Work => slot.work,
        })
    }
}

/// Weights that shrink with age, oldest first: the newest has 2^60, and each older one what is left of the one after it.
fn decayed(keep_ppm: u32, count: usize) -> Vec<u128> {
    let next = |weight: &u128| Some(weight * u128::from(keep_ppm) / u128::from(MILLION));
    let mut found: Vec<u128> = std::iter::successors(Some(1u128 << 60), next).take(count).collect();
    found.reverse();
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tree::FeeRule;

    /// A plain rule for tests: the last eight blocks, equal weights, radix 4.
    pub(crate) fn plain() -> Rule {
        Rule {
            start: 0,
            window: LookBack::Last { blocks: 8 },
            weights: Weights::Equal,
            share_permille: 1000,
            bootstrap: Bootstrap::Finder,
            halving: Halving::Ignore,
            floor: 1000,
            small: Small::Others,
            tree: TreeRule {
                shape: Shape::Balanced { radix: 4 },
                fee: FeeRule { per_transaction: 400, per_vbyte: 0 },
                anchor: None,
            },
        }
    }

    #[test]
    fn any_other_parameter_is_another_pool() {
        let plain = plain();
        plain.check().unwrap();
        let others = [
            Rule { start: 1, ..plain },
            Rule { window: LookBack::Last { blocks: 9 }, ..plain },
            Rule { window: LookBack::Age { seconds: 8 }, ..plain },
            Rule { weights: Weights::Sats, ..plain },
            Rule { weights: Weights::Ewma { keep_ppm: 5 }, ..plain },
            Rule { share_permille: 999, ..plain },
            Rule { bootstrap: Bootstrap::Split, ..plain },
            Rule { bootstrap: Bootstrap::Forward { blocks: 100 }, ..plain },
            Rule { halving: Halving::Restart { interval: 150 }, ..plain },
            Rule { floor: 1001, ..plain },
            Rule { small: Small::Finder, ..plain },
            Rule { tree: TreeRule { shape: Shape::Flat, ..plain.tree }, ..plain },
            Rule { tree: TreeRule { anchor: Some(240), ..plain.tree }, ..plain },
        ];
        let ids: std::collections::HashSet<RuleId> = others.iter().map(Rule::id).collect();
        assert_eq!(ids.len(), others.len());
        assert!(!ids.contains(&plain.id()));
    }

    #[test]
    fn numbers_that_make_no_rule_are_refused() {
        let plain = plain();
        for wrong in [
            Rule { window: LookBack::Last { blocks: 0 }, ..plain },
            Rule { share_permille: 0, ..plain },
            Rule { share_permille: 1001, ..plain },
            Rule { floor: 545, ..plain },
            Rule { halving: Halving::Restart { interval: 0 }, ..plain },
            Rule { weights: Weights::Ewma { keep_ppm: 0 }, ..plain },
            Rule { tree: TreeRule { shape: Shape::Balanced { radix: 1 }, ..plain.tree }, ..plain },
            Rule { tree: TreeRule { anchor: Some(1), ..plain.tree }, ..plain },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_finder_keeps_the_empty_slots_or_shares_them() {
        let plain = plain();
        assert_eq!(plain.parts(800, 0), Parts { shared: 0, kept_for_empty_slots: 800 });
        assert_eq!(plain.parts(800, 3), Parts { shared: 300, kept_for_empty_slots: 500 });
        assert_eq!(plain.parts(800, 8), Parts { shared: 800, kept_for_empty_slots: 0 });
        let half = Rule { share_permille: 500, bootstrap: Bootstrap::Split, ..plain };
        assert_eq!(half.parts(801, 1), Parts { shared: 401, kept_for_empty_slots: 0 });
        assert_eq!(half.parts(801, 0).shared, 0);
    }

    #[test]
    fn the_window_begins_anew_at_a_halving() {
        let rule = Rule { halving: Halving::Restart { interval: 150 }, start: 20, ..plain() };
        assert_eq!([rule.since(149), rule.since(150), rule.since(299)], [20, 150, 150]);
    }
}

//! A pool's own split as a tree: the block pays its window's miners by one output, and nobody has to be trusted to do it later.
//!
//! What the tree's transactions give to whoever mines them is taken off the block before it is divided, so everybody bears their part
//! of it. Invariant: each payee is paid their part of the split to the unit; the tree can be built again from what is kept of it.

use crate::enforcement::Enforced;
use crate::tree::{PAYEES_MAX, Payee, Tree, TreeError, TreeRule, output_size};
use accounting::commitment::{ByBlock, PaidByBlock, PaidByTree};
use accounting::split::{Split, SplitRow};
use accounting::{AccountId, Amount};
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Script, ScriptBuf, Transaction, Txid};

/// A split that a tree pays, as far as it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Of all but the tree's cost.
    pub split: Split,
    /// Whom the tree pays. The coinbase's id is zero until it is known.
    pub by_block: ByBlock,
    /// The tree.
    pub tree: Tree,
}

/// What is kept of a tree does not make one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unbuildable {
    /// The rule.
    #[error("the tree's rule cannot be read: {0}")]
    Rule(String),
    /// A payment.
    #[error("account {0} is to be paid by the tree, but has no part that is an amount")]
    Part(AccountId),
    /// The tree itself.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// It takes more or less than was taken off.
    #[error("the tree takes {takes} sat, {taken_off} were taken off the block")]
    Cost {
        /// What it takes.
        takes: u64,
        /// What is kept.
        taken_off: Amount,
    },
}

/// Commits a block of this value to a tree. `divide` splits an amount over the window; `payable` are those accounts of it that can be
/// paid by a block, with their scripts, ascending. Left out (and credited instead) is who would get less than `least`, or what nodes
/// relay; none where nobody is left.
///
/// # Panics
/// When the rule was not checked, or the value is more than there can be coins.
#[must_use]
pub fn commit(
    _: Enforced,
    value: u64,
    rule: &TreeRule,
    least: u64,
    divide: impl Fn(Amount) -> Split,
    payable: &[(AccountId, ScriptBuf)],
) -> Option<Committed> {
    let mut payable: Vec<&(AccountId, ScriptBuf)> = payable.iter().collect();
    loop {
        let bytes: u64 = payable.iter().map(|(_, script)| output_size(script)).sum();
        let count = payable.len();
        let cost = rule.cost(u32::try_from(count).ok()?, bytes);
        let room = match cost.total() < value {
            // A tree that takes all there is pays nobody: half of them may do.
            false => count / 2,
            true if rule.is_relayed(count, bytes) => PAYEES_MAX,
            true => count * 9 / 10,
        };
        if count == 0 || room == 0 {
            return None;
        }
        if count > room {
            let nets = nets(&divide(amount(value)), &payable);
            keep_largest(&mut payable, &nets, room);
            continue;
        }
        let split = divide(amount(value - cost.total()));
        let nets = nets(&split, &payable);
        let is_enough =
            |net: u64, script: &Script| net >= least.max(script.minimal_non_dust().to_sat());
        let mut kept = nets.iter();
        payable.retain(|(_, script)| kept.next().is_some_and(|net| is_enough(*net, script)));
        if payable.len() < count {
            continue;
        }
        let payees = payable.iter().zip(&nets);
        let payees =
            payees.map(|((_, script), net)| Payee { script: script.clone(), amount: *net });
        let tree = rule.build(payees.collect()).expect("a checked rule, and payments above dust");
        let by_block = ByBlock {
            paid: payable
                .iter()
                .map(|(account, script)| PaidByBlock {
                    account: *account,
                    script: script.to_bytes(),
                })
                .collect(),
            tree: Some(PaidByTree {
                rule: serde_json::to_string(rule).expect("numbers and names are JSON"),
                cost: amount(cost.total()),
                coinbase: [0; 32],
            }),
        };
        let paid: u64 = nets.iter().sum();
        assert!(tree.root().value == paid + cost.total(), "a tree hands on what it is given");
        return Some(Committed { split, by_block, tree });
    }
}

/// The tree again, from what is kept of it.
///
/// # Errors
/// When it makes none, or one that takes something else.
pub fn rebuild(paid: &PaidByTree, by_block: &ByBlock, split: &Split) -> Result<Tree, Unbuildable> {
    let rule: TreeRule =
        serde_json::from_str(&paid.rule).map_err(|error| Unbuildable::Rule(error.to_string()))?;
    let payee = |(to, row): (&PaidByBlock, &SplitRow)| {
        let amount = row.net.as_u64().ok_or(Unbuildable::Part(to.account))?;
        Ok(Payee { script: ScriptBuf::from_bytes(to.script.clone()), amount })
    };
    let payees: Vec<Payee> =
        by_block.payments(split).map(payee).collect::<Result<_, Unbuildable>>()?;
    let tree = rule.build(payees)?;
    let takes = tree.cost().total();
    if amount(takes) != paid.cost {
        return Err(Unbuildable::Cost { takes, taken_off: paid.cost });
    }
    Ok(tree)
}

/// What carries one payee's money to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The transactions, the first one spends the coinbase.
    pub transactions: Vec<Transaction>,
    /// Bytes of all of them, as fees are reckoned.
    pub vsize: u64,
}

/// The branch that pays an account; none where the tree does not pay it.
///
/// # Errors
/// See [`rebuild`].
pub fn branch(
    paid: &PaidByTree,
    by_block: &ByBlock,
    split: &Split,
    account: AccountId,
) -> Result<Option<Branch>, Unbuildable> {
    let Some(at) = by_block.paid.iter().position(|to| to.account == account) else {
        return Ok(None);
    };
    let tree = rebuild(paid, by_block, split)?;
    let all = tree.transactions(root(paid));
    let path = tree.path(at);
    let transactions = path.iter().filter_map(|at| all.get(*at)).cloned().collect();
    Ok(Some(Branch { transactions, vsize: tree.exit_vsize(at) }))
}

/// The output of the coinbase that pays the tree.
#[must_use]
pub fn root(paid: &PaidByTree) -> OutPoint {
    OutPoint::new(Txid::from_byte_array(paid.coinbase), 0)
}

/// What each of these accounts gets of a split, in their order; nothing where it has no part.
fn nets(split: &Split, payable: &[&(AccountId, ScriptBuf)]) -> Vec<u64> {
    let mut rows = split.rows.iter();
    let mut net = |account: AccountId| {
        let row = rows.find(|row| row.account == account)?;
        row.net.as_u64()
    };
    payable.iter().map(|(account, _)| net(*account).unwrap_or_default()).collect()
}

/// Keeps the largest, in their order; among equals the earlier.
fn keep_largest(payable: &mut Vec<&(AccountId, ScriptBuf)>, nets: &[u64], room: usize) {
    let mut order: Vec<usize> = (0..payable.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(nets[*at]));
    let kept: std::collections::BTreeSet<usize> = order.into_iter().take(room).collect();
    *payable = kept.into_iter().map(|at| payable[at]).collect();
}

fn amount(sat: u64) -> Amount {
    Amount::from_units(sat.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;
    use crate::tree::FeeRule;
    use accounting::BasisPoints;
    use accounting::split::split;
    use bitcoin::WPubkeyHash;
    use proptest::prelude::*;

    fn script(n: u64) -> ScriptBuf {
        let mut hash = [0; 20];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array(hash))
    }

    fn rule(shape: Shape) -> TreeRule {
        TreeRule { shape, fee: FeeRule { per_transaction: 0, per_vbyte: 2 }, anchor: Some(240) }
    }

    fn enforced() -> Enforced {
        Enforced::by([("ctv", true)]).unwrap()
    }

    fn committed(value: u64, rule: &TreeRule, least: u64, work: &[u64]) -> Option<Committed> {
        let rows: Vec<(AccountId, u128)> =
            (1..).map(AccountId).zip(work.iter().map(|work| (*work).into())).collect();
        let payable: Vec<_> = rows.iter().map(|(id, _)| (*id, script(id.0))).collect();
        let fee = BasisPoints::new(150).unwrap();
        commit(enforced(), value, rule, least, |amount| split(amount, &rows, |_| fee), &payable)
    }

    #[test]
    fn everybody_bears_the_trees_cost_and_is_paid_the_rest_of_their_part() {
        let rule = rule(Shape::Balanced { radix: 4 });
        let found = committed(1_000_000, &rule, 0, &[6, 3, 1]).unwrap();
        let cost = found.tree.cost().total();
        let (split, by_block) = (&found.split, &found.by_block);
        assert_eq!(split.amount.units(), 1_000_000 - i128::from(cost));
        let paid: i128 = by_block.payments(split).map(|(_, row)| row.net.units()).sum();
        assert_eq!(i128::from(found.tree.root().value), paid + i128::from(cost));
        assert_eq!(by_block.paid.len(), 3);
    }

    #[test]
    fn who_would_get_too_little_is_left_to_the_pools_output() {
        let rule = rule(Shape::Balanced { radix: 4 });
        let found = committed(1_000_000, &rule, 50_000, &[600, 300, 1]).unwrap();
        assert!(found.by_block.pays(AccountId(2)) && !found.by_block.pays(AccountId(3)));
        assert!(found.split.rows[2].net.is_positive(), "and is credited");
        assert_eq!(committed(1_000_000, &rule, 1_000_000, &[1, 1]), None);
        assert_eq!(committed(300, &rule, 0, &[1, 1]), None, "not even the tree is paid");
    }

    #[test]
    fn a_flat_tree_pays_as_many_as_nodes_relay() {
        let found = committed(5_000_000_000, &rule(Shape::Flat), 0, &vec![7; 4000]).unwrap();
        assert!(found.tree.root().vsize <= crate::tree::RELAYED_MAX);
        assert!(found.by_block.paid.len() > 2500);
    }

    proptest! {
        #[test]
        fn what_is_kept_of_a_tree_makes_it_again(
            value in 1_000u64..5_000_000_000,
            work in proptest::collection::vec(1u64..1_000_000, 1..60),
            least in 0u64..100_000,
            radix in 2u8..6,
            weighted in any::<bool>(),
        ) {
            let shape = if weighted { Shape::Weighted { radix } } else { Shape::Balanced { radix } };
            if let Some(found) = committed(value, &rule(shape), least, &work) {
                let kept = found.by_block.tree.clone().unwrap();
                let again = rebuild(&kept, &found.by_block, &found.split).unwrap();
                prop_assert_eq!(again.output(), found.tree.output());
                let all = found.tree.transactions(root(&kept));
                prop_assert_eq!(again.transactions(root(&kept)), all);
                for paid in &found.by_block.paid {
                    let branch = branch(&kept, &found.by_block, &found.split, paid.account);
                    let branch = branch.unwrap().unwrap().transactions;
                    prop_assert_eq!(branch[0].input[0].previous_output, root(&kept));
                    let leaf = branch.last().unwrap();
                    prop_assert!(leaf.output.iter().any(|to| to.script_pubkey.to_bytes() == paid.script));
                }
                prop_assert!(found.split.is_exact() && found.by_block.is_sound(&found.split));
                let wrong = PaidByTree { cost: kept.cost.add(Amount::ONE), ..kept };
                prop_assert!(rebuild(&wrong, &found.by_block, &found.split).is_err());
            }
        }
    }
}

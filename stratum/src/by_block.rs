//! Blocks that pay the pool's miners themselves: from a window to the outputs of a coinbase.
//!
//! Either each has an output, as many as a budget of bytes takes, or one output pays a tree (BIP-119). Whom the block does not pay, the
//! pool's output is for: they are credited by the same split. Invariant: the outputs sum to the template's value; a tree is made only
//! from a template whose node said that its chain enforces BIP-119.

use crate::coinbase::Output;
use crate::template::Template;
use accounting::commitment::{ByBlock, Commitment, PaidByBlock};
use accounting::split::{Split, split};
use accounting::{AccountId, Amount, BasisPoints};
use bitcoin::{Script, ScriptBuf};
use covenant::tree::TreeRule;
use covenant::{committed, enforcement::NotEnforced};
use pool::Basis;

/// Bytes of an output beside its script, whose length is below 253.
const OUTPUT_OVERHEAD: usize = 9;

/// How blocks pay miners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// By what.
    pub form: Form,
    /// Who gets less is credited, in smallest units. Never below what nodes call dust.
    pub least: u64,
}

/// By what blocks pay miners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// An output each, the largest parts first, while they take no more than so many bytes together.
    Outputs {
        /// Bytes.
        budget: usize,
    },
    /// One output, to a tree.
    Tree(TreeRule),
}

impl Rules {
    /// For miners, as a sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        match &self.form {
            Form::Outputs { budget } => format!(
                "A block pays its miners itself, the largest parts first, by outputs of up to {budget} bytes; the others are \
                 credited"
            ),
            Form::Tree(_) => "A block pays its miners itself, by a tree of transactions that nobody can change (BIP-119); whose \
                              part is too small for it is credited"
                .to_owned(),
        }
    }
}

/// A commitment, and the outputs that make it one: before the pool's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// What the ledger is told.
    pub commitment: Commitment,
    /// What the coinbase pays miners.
    pub outputs: Vec<Output>,
}

/// May work be made from this template at all?
///
/// # Errors
/// As [`commit`], whether there is anybody to pay or not.
pub fn allowed(rules: &Rules, template: &Template) -> Result<(), NotEnforced> {
    match rules.form {
        Form::Outputs { .. } => Ok(()),
        Form::Tree(_) => template.enforced.map(drop),
    }
}

/// What a block made from this template pays; none where it pays nobody but the pool.
///
/// # Errors
/// Where trees are wanted and the template's node does not say that its chain enforces BIP-119.
pub fn commit(
    rules: &Rules,
    basis: &Basis,
    template: &Template,
) -> Result<Option<Committed>, NotEnforced> {
    match &rules.form {
        Form::Outputs { budget } => Ok(outputs(rules.least, *budget, basis, template)),
        Form::Tree(rule) => {
            let enforced = template.enforced?;
            let (value, payable) = (template.coinbase_value, payable(basis));
            let divide = |amount| divided(basis, amount);
            let found = committed::commit(enforced, value, rule, rules.least, divide, &payable);
            Ok(found.map(|found| {
                let root = found.tree.output();
                let outputs = vec![Output {
                    value: root.value.to_sat(),
                    script: root.script_pubkey.into_bytes(),
                }];
                let commitment = commitment(basis, found.split, found.by_block);
                Committed { commitment, outputs }
            }))
        }
    }
}

fn outputs(least: u64, budget: usize, basis: &Basis, template: &Template) -> Option<Committed> {
    let split = divided(basis, Amount::from_units(template.coinbase_value.into()));
    let nets = split.rows.iter().map(|row| row.net.as_u64().unwrap_or(0));
    let mut largest: Vec<(u64, &(AccountId, ScriptBuf))> = Vec::new();
    let payable = payable(basis);
    let mut candidates = payable.iter().peekable();
    for (row, net) in split.rows.iter().zip(nets) {
        let Some(candidate) = candidates.next_if(|(account, _)| *account == row.account) else {
            continue;
        };
        if net >= least.max(candidate.1.minimal_non_dust().to_sat()) {
            largest.push((net, candidate));
        }
    }
    largest.sort_by_key(|(net, (account, _))| (std::cmp::Reverse(*net), *account));
    let mut left = budget;
    largest.retain(|(_, (_, script))| {
        let rest = left.checked_sub(OUTPUT_OVERHEAD + script.len());
        left = rest.unwrap_or(left);
        rest.is_some()
    });
    if largest.is_empty() {
        return None;
    }
    largest.sort_by_key(|(_, (account, _))| *account);
    let outputs = largest
        .iter()
        .map(|(value, (_, script))| Output { value: *value, script: script.to_bytes() });
    let outputs = outputs.collect();
    let paid = largest
        .iter()
        .map(|(_, (account, script))| PaidByBlock { account: *account, script: script.to_bytes() });
    let by_block = ByBlock { paid: paid.collect(), tree: None };
    Some(Committed { commitment: commitment(basis, split, by_block), outputs })
}

/// Who can be paid by a block at all: an output that can never be spent pays nobody.
fn payable(basis: &Basis) -> Vec<(AccountId, ScriptBuf)> {
    let accounts = basis.window.rows.iter().map(|(account, _)| *account);
    let payable = accounts.zip(&basis.standing).filter_map(|(account, (_, script))| {
        let script = script.as_deref()?;
        let is_short = script.len() < 253 && !Script::from_bytes(script).is_op_return();
        is_short.then(|| (account, ScriptBuf::from_bytes(script.to_vec())))
    });
    payable.collect()
}

fn divided(basis: &Basis, amount: Amount) -> Split {
    let fee = |account: AccountId| -> BasisPoints {
        let at = basis.window.rows.binary_search_by_key(&account, |(known, _)| *known);
        at.ok().and_then(|at| basis.standing.get(at)).map(|(fee, _)| *fee).unwrap_or_default()
    };
    split(amount, &basis.window.rows, fee)
}

fn commitment(basis: &Basis, split: Split, by_block: ByBlock) -> Commitment {
    Commitment { as_of: basis.as_of, window: basis.window.clone(), split, by_block }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::job::tests::template;
    use accounting::window::WindowTable;
    use accounting::{ShareSeq, SliceNo};
    use covenant::Enforced;
    use covenant::shape::Shape;
    use covenant::tree::FeeRule;

    fn script(n: u8) -> Vec<u8> {
        [&[0, 20][..], &[n; 20]].concat()
    }

    pub(crate) fn basis(work: &[u128]) -> Basis {
        let rows: Vec<_> = (1..).map(AccountId).zip(work.iter().copied()).collect();
        let one_percent = BasisPoints::new(100).unwrap();
        Basis {
            as_of: ShareSeq(50),
            standing: rows
                .iter()
                .map(|(account, _)| (one_percent, Some(script(account.0 as u8))))
                .collect(),
            window: WindowTable {
                from: SliceNo(1),
                through: SliceNo(3),
                oldest_part: (1, 1),
                rows,
            },
        }
    }

    fn direct(budget: usize, least: u64) -> Rules {
        Rules { form: Form::Outputs { budget }, least }
    }

    fn paid(rules: &Rules, basis: &Basis) -> Vec<u64> {
        let found = commit(rules, basis, &template()).unwrap();
        let found = found.map(|found| found.commitment.by_block.paid).unwrap_or_default();
        found.iter().map(|paid| paid.account.0).collect()
    }

    #[test]
    fn the_largest_parts_are_paid_while_the_budget_lasts() {
        let basis = basis(&[10, 40, 30, 20]);
        assert_eq!(paid(&direct(4 * 31, 0), &basis), [1, 2, 3, 4]);
        assert_eq!(paid(&direct(3 * 31 - 1, 0), &basis), [2, 3]);
        assert_eq!(paid(&direct(30, 0), &basis), [0u64; 0]);
    }

    #[test]
    fn who_is_held_or_gets_too_little_is_credited_by_the_same_split() {
        let mut basis = basis(&[10, 40, 30, 20]);
        basis.standing[1].1 = None;
        let least = 5_000_000_000 / 10;
        assert_eq!(paid(&direct(1000, least), &basis), [3, 4], "1 has a fee to pay");
        let found = commit(&direct(1000, least), &basis, &template()).unwrap().unwrap();
        let commitment = &found.commitment;
        let sum: u64 = found.outputs.iter().map(|output| output.value).sum();
        assert_eq!(commitment.to_miners(), Amount::from_units(sum.into()));
        assert_eq!(commitment.to_pool().add(commitment.to_miners()).units(), 5_000_000_000);
        assert_eq!(commitment.split.rows[1].net.units(), 1_980_000_000, "held, and owed");
    }

    #[test]
    fn no_tree_is_made_without_a_nodes_word() {
        let rule = TreeRule {
            shape: Shape::Balanced { radix: 4 },
            fee: FeeRule { per_transaction: 300, per_vbyte: 0 },
            anchor: None,
        };
        let rules = Rules { form: Form::Tree(rule), least: 0 };
        let (basis, without) = (basis(&[1, 2, 3]), template());
        assert_eq!(commit(&rules, &basis, &without), Err(NotEnforced::Unknown));
        let with = Template { enforced: Enforced::by([("ctv", true)]), ..without };
        let found = commit(&rules, &basis, &with).unwrap().unwrap();
        let [root] = found.outputs.as_slice() else { panic!("one output for all") };
        let cost = found.commitment.by_block.tree.as_ref().unwrap().cost;
        let paid = found.commitment.to_miners().add(cost);
        assert_eq!(i128::from(root.value), paid.units());
        assert_eq!(paid.add(found.commitment.to_pool()).units(), 5_000_000_000);
    }
}

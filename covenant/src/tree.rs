//! A payout tree: the transactions that carry one output to everybody it is for.
//!
//! Invariant: the root's value is the sum of all payments, anchors and fees, to the unit; the tree is a function of the
//! payees, their order and the rule; given the outpoint that pays the root, every transaction and its id are known.

use crate::shape::{Child, RADIX_MAX, Shape};
use crate::template::{OneInput, SCRIPT_SIZE, SEQUENCE, TemplateHash, VERSION};
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use serde::{Deserialize, Serialize};

/// Most payees of one tree.
pub const PAYEES_MAX: usize = 10_000;
/// The largest transaction that nodes relay, in virtual bytes.
pub const RELAYED_MAX: u64 = 100_000;
/// Pay-to-anchor: anybody may spend it, to pay a transaction's fee from outside.
pub const ANCHOR_SCRIPT: [u8; 4] = [0x51, 0x02, 0x4e, 0x73];
/// What Bitcoin Core calls dust for an anchor.
pub const ANCHOR_DUST: u64 = 240;
/// Version, counts, one input without scriptSig, lock time.
const EMPTY_VSIZE: u64 = 51;
/// Value and script length of an output.
const OUTPUT_OVERHEAD: u64 = 9;
/// From so many outputs on their count takes two more bytes.
const MANY_OUTPUTS: u64 = 253;

/// Whom to pay, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payee {
    /// The output script.
    pub script: ScriptBuf,
    /// Satoshis.
    pub amount: u64,
}

/// What a transaction of the tree gives to whoever mines it. It enters the hashes, so it is fixed with the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeRule {
    /// Satoshis for each transaction.
    #[serde(default)]
    pub per_transaction: u32,
    /// And for each virtual byte of it.
    #[serde(default)]
    pub per_vbyte: u32,
}

/// How payees become a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeRule {
    /// How it grows.
    pub shape: Shape,
    /// What each transaction pays to be mined.
    pub fee: FeeRule,
    /// Satoshis of a pay-to-anchor output in each transaction; without one, fees cannot be raised later.
    #[serde(default)]
    pub anchor: Option<u32>,
}

/// Why there is no such tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The rule makes no trees.
    #[error(
        "a tree's radix is 2 to {RADIX_MAX}, and an anchor holds at least {ANCHOR_DUST} sat (without one, leave it out)"
    )]
    Rule,
    /// Nobody to pay.
    #[error("there is nobody to pay")]
    Empty,
    /// More than [`PAYEES_MAX`].
    #[error(
        "{0} payees are too many for one tree: at most {PAYEES_MAX}; pay the smallest by other means"
    )]
    TooMany(usize),
    /// Nodes would not relay it.
    #[error(
        "one transaction would have {0} vB and nodes relay at most {RELAYED_MAX}: use a tree, such as shape \"balanced\" with radix 4"
    )]
    TooLarge(u64),
    /// An output below what nodes relay.
    #[error("{amount} sat to {script} is dust: below {least} sat no node relays it")]
    Dust {
        /// To whom.
        script: ScriptBuf,
        /// How much.
        amount: u64,
        /// The least that would do.
        least: u64,
    },
    /// More than 21 million coins.
    #[error("the payments are more than there can be coins")]
    TooMuch,
}

/// What a tree takes, whatever the amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Transactions.
    pub transactions: u32,
    /// Virtual bytes of all of them.
    pub vsize: u64,
    /// Fees of all of them.
    pub fees: u64,
    /// Value of all anchors.
    pub anchors: u64,
}

impl Cost {
    /// What the root must hold beyond the payments.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.fees + self.anchors
    }
}

/// Bytes of an output with this script. Scripts of payees are far shorter than 253 bytes.
#[must_use]
pub fn output_size(script: &bitcoin::Script) -> u64 {
    OUTPUT_OVERHEAD + script.len() as u64
}

impl TreeRule {
    /// Are its numbers ones that make trees?
    ///
    /// # Errors
    /// [`TreeError::Rule`].
    pub fn check(&self) -> Result<(), TreeError> {
        let anchored = self.anchor.is_none_or(|value| u64::from(value) >= ANCHOR_DUST);
        if self.shape.is_sound() && anchored { Ok(()) } else { Err(TreeError::Rule) }
    }

    /// What a tree for so many payees takes, the outputs that pay them having so many bytes together.
    #[must_use]
    pub fn cost(&self, payees: u32, output_bytes: u64) -> Cost {
        let transactions = self.shape.transactions(payees);
        let number = u64::from(transactions);
        let anchor = self.anchor.map_or(0, |_| OUTPUT_OVERHEAD + ANCHOR_SCRIPT.len() as u64);
        let branches = number.saturating_sub(1) * (OUTPUT_OVERHEAD + SCRIPT_SIZE as u64);
        let flat = self.shape == Shape::Flat
            && u64::from(payees) + u64::from(self.anchor.is_some()) >= MANY_OUTPUTS;
        let vsize =
            number * (EMPTY_VSIZE + anchor) + branches + output_bytes + if flat { 2 } else { 0 };
        Cost {
            transactions,
            vsize,
            fees: number * u64::from(self.fee.per_transaction)
                + vsize * u64::from(self.fee.per_vbyte),
            anchors: number * u64::from(self.anchor.unwrap_or(0)),
        }
    }

    /// Would nodes relay its largest transaction? Only a flat one can be too large.
    #[must_use]
    pub fn is_relayed(&self, payees: usize, output_bytes: u64) -> bool {
        let count = u32::try_from(payees).unwrap_or(u32::MAX);
        self.shape != Shape::Flat || self.cost(count, output_bytes).vsize <= RELAYED_MAX
    }

    /// The tree that pays these, in this order.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn build(&self, payees: Vec<Payee>) -> Result<Tree, TreeError> {
        self.check()?;
        if payees.is_empty() {
            return Err(TreeError::Empty);
        }
        if payees.len() > PAYEES_MAX {
            return Err(TreeError::TooMany(payees.len()));
        }
        for payee in &payees {
            let least = payee.script.minimal_non_dust().to_sat();
            if payee.amount < least {
                let (script, amount) = (payee.script.clone(), payee.amount);
                return Err(TreeError::Dust { script, amount, least });
            }
        }
        Tree::grow(*self, payees)
    }
}

/// One transaction of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Whom or what it pays, in the order of its outputs; an anchor comes after them.
    pub children: Vec<Child>,
    /// What it must be given: the sum of its outputs and its fee.
    pub value: u64,
    /// Its size; a transaction of the tree has no witness.
    pub vsize: u64,
    /// What spends the output that pays it.
    pub template: TemplateHash,
    /// The transaction and output that pay it; none for the root.
    pub parent: Option<(u32, u32)>,
}

/// A payout tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    rule: TreeRule,
    payees: Vec<Payee>,
    /// Children before parents; the root is last.
    nodes: Vec<Node>,
    /// The transaction that pays each payee.
    paid_by: Vec<u32>,
}

impl Tree {
    fn grow(rule: TreeRule, payees: Vec<Payee>) -> Result<Tree, TreeError> {
        let count = u32::try_from(payees.len()).map_err(|_| TreeError::TooMany(payees.len()))?;
        let amount = |payee: u32| payees.get(payee as usize).map_or(0, |p| u128::from(p.amount));
        let grown = rule.shape.grow(count, amount);
        let mut tree = Tree {
            rule,
            nodes: Vec::with_capacity(grown.len()),
            paid_by: vec![0; payees.len()],
            payees,
        };
        for (children, at) in grown.into_iter().zip(0u32..) {
            let node = tree.node(children)?;
            for (child, output) in node.children.iter().zip(0u32..) {
                match *child {
                    Child::Payee(payee) => tree.paid_by[payee as usize] = at,
                    Child::Transaction(other) => {
                        tree.nodes[other as usize].parent = Some((at, output));
                    }
                }
            }
            tree.nodes.push(node);
        }
        Ok(tree)
    }

    fn node(&self, children: Vec<Child>) -> Result<Node, TreeError> {
        let (mut sum, mut vsize, mut number) = (0u64, EMPTY_VSIZE, 0u64);
        let mut template = OneInput::default();
        let mut push = |value: u64, script: &[u8]| {
            template.push(value, script);
            vsize += OUTPUT_OVERHEAD + script.len() as u64;
            number += 1;
            sum = sum.checked_add(value).ok_or(TreeError::TooMuch)?;
            Ok::<(), TreeError>(())
        };
        for child in &children {
            match *child {
                Child::Payee(at) => {
                    let payee = &self.payees[at as usize];
                    push(payee.amount, payee.script.as_bytes())?;
                }
                Child::Transaction(at) => {
                    let node = &self.nodes[at as usize];
                    push(node.value, &node.template.script_bytes())?;
                }
            }
        }
        if let Some(value) = self.rule.anchor {
            push(value.into(), &ANCHOR_SCRIPT)?;
        }
        if number >= MANY_OUTPUTS {
            vsize += 2;
        }
        if vsize > RELAYED_MAX {
            return Err(TreeError::TooLarge(vsize));
        }
        let fee =
            u64::from(self.rule.fee.per_transaction) + vsize * u64::from(self.rule.fee.per_vbyte);
        let value = sum.checked_add(fee).filter(|value| *value <= Amount::MAX_MONEY.to_sat());
        let value = value.ok_or(TreeError::TooMuch)?;
        let template = template.finish(0);
        Ok(Node { children, value, vsize, template, parent: None })
    }

    fn value(&self, child: Child) -> u64 {
        match child {
            Child::Payee(at) => self.payees[at as usize].amount,
            Child::Transaction(at) => self.nodes[at as usize].value,
        }
    }

    fn script(&self, child: Child) -> ScriptBuf {
        match child {
            Child::Payee(at) => self.payees[at as usize].script.clone(),
            Child::Transaction(at) => self.nodes[at as usize].template.script(),
        }
    }

    /// The rule that made it.
    #[must_use]
    pub fn rule(&self) -> &TreeRule {
        &self.rule
    }

    /// Whom it pays.
    #[must_use]
    pub fn payees(&self) -> &[Payee] {
        &self.payees
    }

    /// Its transactions, children before parents, the root last.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Node {
        self.nodes.last().expect("a tree pays somebody")
    }

    /// The output that a coinbase pays: its value is to the unit what the tree hands on.
    #[must_use]
    pub fn output(&self) -> TxOut {
        let root = self.root();
        TxOut { value: Amount::from_sat(root.value), script_pubkey: root.template.script() }
    }

    /// What it takes.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let bytes = self.payees.iter().map(|payee| output_size(&payee.script)).sum();
        let count = u32::try_from(self.payees.len()).expect("at most PAYEES_MAX");
        self.rule.cost(count, bytes)
    }

    /// The transactions that one payee needs on the chain, the root first, as positions in [`Tree::nodes`].
    #[must_use]
    pub fn path(&self, payee: usize) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = self.paid_by.get(payee).copied();
        while let Some(node) = at {
            path.push(node as usize);
            at = self.nodes[node as usize].parent.map(|(parent, _)| parent);
        }
        path.reverse();
        path
    }

    /// Virtual bytes that one payee needs on the chain to be paid without the others' help.
    #[must_use]
    pub fn exit_vsize(&self, payee: usize) -> u64 {
        self.path(payee).iter().map(|at| self.nodes[*at].vsize).sum()
    }

    /// Every transaction, once the root is paid by `outpoint`: at the positions of [`Tree::nodes`].
    #[must_use]
    pub fn transactions(&self, outpoint: OutPoint) -> Vec<Transaction> {
        let mut found: Vec<Option<Transaction>> = vec![None; self.nodes.len()];
        for at in (0..self.nodes.len()).rev() {
            let paid_at = match self.nodes[at].parent {
                None => outpoint,
                Some((parent, output)) => {
                    let parent = found[parent as usize].as_ref().expect("parents come first");
                    OutPoint::new(parent.compute_txid(), output)
                }
            };
            found[at] = Some(self.transaction(at, paid_at));
        }
        found.into_iter().flatten().collect()
    }

    fn transaction(&self, at: usize, paid_at: OutPoint) -> Transaction {
        let pay = |value: u64, script: ScriptBuf| TxOut {
            value: Amount::from_sat(value),
            script_pubkey: script,
        };
        let mut output: Vec<TxOut> =
            self.nodes[at].children.iter().map(|c| pay(self.value(*c), self.script(*c))).collect();
        if let Some(value) = self.rule.anchor {
            output.push(pay(value.into(), ScriptBuf::from_bytes(ANCHOR_SCRIPT.to_vec())));
        }
        spend(paid_at, LockTime::ZERO, output)
    }
}

/// A transaction as all templates here have it.
#[must_use]
pub fn spend(outpoint: OutPoint, lock_time: LockTime, output: Vec<TxOut>) -> Transaction {
    let input = TxIn {
        previous_output: outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::from_consensus(SEQUENCE),
        witness: Witness::new(),
    };
    Transaction { version: Version(VERSION), lock_time, input: vec![input], output }
}

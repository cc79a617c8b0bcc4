//! What one member of a coordination-free pool is paid: by which block, for which blocks of theirs, and where the chain has it.
//!
//! A block's tree pays a member once, whatever the number of their blocks in its window. Each of these blocks earned the part that its
//! weight has of all of them; units that do not divide go to the largest remainders, among equals to the older block. What a finder
//! takes over from those who would have got too little, and what is locked for them, their block itself earned.
//!
//! Invariant: a function of the chain's blocks: the same blocks give the same payments, parts and places, however often they are
//! connected and disconnected on the way.

use crate::chain::{Chain, Verdict};
use crate::claims::{self, Claim};
use crate::shape::Child;
use crate::tree::Tree;
use accounting::split::divide;
use bitcoin::{BlockHash, OutPoint, Script, ScriptBuf, Transaction, Txid};
use std::collections::{BTreeMap, HashMap};

/// A block of the member's, and what it counts in a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earner {
    /// The block.
    pub block: BlockHash,
    /// Its weight beside the others'.
    pub weight: u128,
}

/// What a block pays the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The block.
    pub by: BlockHash,
    /// Its height.
    pub height: u32,
    /// The transaction that pays it.
    pub transaction: Txid,
    /// Which of its outputs.
    pub output: u32,
    /// Satoshis.
    pub amount: u64,
    /// Which blocks earned it, oldest first.
    pub earners: Vec<Earner>,
    /// The block of the chain that has the transaction, and its height.
    pub place: Option<(BlockHash, u32)>,
}

impl Payment {
    /// What each block earned of it, of those that are known; all of it is divided among them. Nothing where none is.
    #[must_use]
    pub fn earned(&self, is_known: impl Fn(BlockHash) -> bool) -> Vec<(BlockHash, u64)> {
        let known: Vec<&Earner> =
            self.earners.iter().filter(|earner| is_known(earner.block)).collect();
        let weights: Vec<u128> = known.iter().map(|earner| earner.weight).collect();
        if weights.iter().all(|weight| *weight == 0) {
            return Vec::new();
        }
        let parts = divide(self.amount.into(), &weights);
        let part = |(earner, part): (&&Earner, u128)| {
            (earner.block, u64::try_from(part).expect("a part is at most the whole"))
        };
        known.iter().zip(parts).map(part).collect()
    }
}

/// The way from a coinbase to a member.
#[must_use]
pub fn branch(tree: &Tree, root: OutPoint, script: &Script) -> Vec<Transaction> {
    let Some(payee) = tree.payees().iter().position(|payee| payee.script == *script) else {
        return Vec::new();
    };
    let all = tree.transactions(root);
    tree.path(payee).iter().filter_map(|at| all.get(*at)).cloned().collect()
}

/// Follows what a member is paid.
#[derive(Debug, Clone)]
pub struct Member {
    script: ScriptBuf,
    /// By the height of the block that pays, a tree's before what was locked.
    payments: BTreeMap<(u32, u8), Payment>,
    /// Those transactions.
    transactions: HashMap<Txid, (u32, u8)>,
}

impl Member {
    /// Whoever is paid at this script.
    #[must_use]
    pub fn new(script: ScriptBuf) -> Self {
        Member { script, payments: BTreeMap::new(), transactions: HashMap::new() }
    }

    /// Whom blocks pay.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Every payment, in the order of the blocks that pay.
    pub fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values()
    }

    /// The payment that a transaction makes.
    #[must_use]
    pub fn payment(&self, transaction: Txid) -> Option<&Payment> {
        self.payments.get(self.transactions.get(&transaction)?)
    }

    /// Takes in the block that the chain has just connected, with its transactions, the coinbase first.
    pub fn connected(&mut self, chain: &Chain, verdict: &Verdict, transactions: &[Txid]) {
        let (Some(hash), Some(height)) = (chain.tip(), chain.next_height().checked_sub(1)) else {
            return;
        };
        if let (Verdict::Qualified(qualified), Some(coinbase)) = (verdict, transactions.first()) {
            let (of_tree, locked) = self.paid_by(chain, (hash, height), qualified, *coinbase);
            for (payment, nth) in [(of_tree, 0), (locked, 1)] {
                let Some(payment) = payment else { continue };
                self.transactions.insert(payment.transaction, (height, nth));
                self.payments.insert((height, nth), payment);
            }
        }
        for transaction in transactions {
            let Some(key) = self.transactions.get(transaction) else { continue };
            if let Some(payment) = self.payments.get_mut(key) {
                payment.place = Some((hash, height));
            }
        }
    }

    /// Takes out the block that the chain has just disconnected.
    pub fn disconnected(&mut self, height: u32) {
        for nth in [0, 1] {
            if let Some(gone) = self.payments.remove(&(height, nth)) {
                self.transactions.remove(&gone.transaction);
            }
        }
        for payment in self.payments.values_mut() {
            payment.place = payment.place.filter(|(_, at)| *at != height);
        }
    }

    /// What a qualified block pays the member: by its tree, and later by what it locked.
    fn paid_by(
        &self,
        chain: &Chain,
        (by, height): (BlockHash, u32),
        qualified: &crate::chain::Qualified,
        coinbase: Txid,
    ) -> (Option<Payment>, Option<Payment>) {
        let of_tree = qualified.tree.as_ref().and_then(|tree| {
            let payee = tree.payees().iter().position(|payee| payee.script == self.script)?;
            let node = *tree.path(payee).last()?;
            let all = tree.transactions(OutPoint::new(coinbase, 0));
            let child = Child::Payee(u32::try_from(payee).ok()?);
            let output = tree.nodes().get(node)?.children.iter().position(|c| *c == child)?;
            Some(Payment {
                by,
                height,
                transaction: all.get(node)?.compute_txid(),
                output: u32::try_from(output).ok()?,
                amount: tree.payees().get(payee)?.amount,
                earners: self.earners(chain, height, tree.root().value, &qualified.finder),
                place: None,
            })
        });
        let own = qualified.forward.as_ref().filter(|_| qualified.finder == self.script);
        let locked = own.and_then(|(forward, output)| {
            let root = OutPoint::new(coinbase, u32::try_from(*output).ok()?);
            Some(Payment {
                by,
                height,
                transaction: forward.transaction(root).compute_txid(),
                output: 0,
                amount: forward.output.value.to_sat(),
                earners: vec![Earner { block: by, weight: 1 }],
                place: None,
            })
        });
        (of_tree, locked)
    }

    /// Which blocks earned the member's part of what the block at this height shares.
    fn earners(&self, chain: &Chain, height: u32, shared: u64, finder: &Script) -> Vec<Earner> {
        let Some(position) = chain.position_at(height) else { return Vec::new() };
        let rule = chain.rule();
        let (range, window) = chain.window_of(position);
        let weights = rule.weights(window);
        let own = range.zip(window).zip(weights).filter_map(|((at, slot), weight)| {
            let is_own = *chain.script(slot.payee) == *self.script && weight > 0;
            is_own.then_some(Earner { block: chain.hash(at)?, weight })
        });
        let mut earners: Vec<Earner> = own.collect();
        let claims: Vec<Claim<'_>> = claims::of_window(rule, window, |payee| chain.script(payee));
        let more = claims::taken_over(rule, shared, &claims, finder, &self.script);
        if let (Some(weight @ 1..), Some(block)) = (more, chain.hash(position)) {
            earners.push(Earner { block, weight });
        }
        earners
    }
}

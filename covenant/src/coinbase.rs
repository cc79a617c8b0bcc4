//! The outputs of a qualified block's coinbase.
//!
//! Order: the tree's root, the payment to the finder that is locked to a later height, what the finder keeps, the marker.
//! Invariant: the outputs sum to the block's value, and the verifier in [`crate::chain`] finds them qualified; both are made
//! by the functions here.

use crate::claims::{self, Claim};
use crate::enforcement::Enforced;
use crate::marker;
use crate::rule::{Bootstrap, Parts, Rule};
use crate::template::{TemplateHash, locked_until};
use crate::tree::{self, Tree, TreeError};
use bitcoin::absolute::LockTime;
use bitcoin::{Amount, OutPoint, Script, Transaction, TxOut};

/// A coinbase that follows a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coinbase {
    /// Its outputs, without the witness commitment.
    pub outputs: Vec<TxOut>,
    /// The tree that its first output pays, where there is anybody to pay.
    pub tree: Option<Tree>,
    /// The payment to the finder that is locked, where the rule has one.
    pub forward: Option<Forward>,
    /// How the rule divides its value.
    pub parts: Parts,
}

/// A payment that cannot be made before a height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// What the coinbase gives.
    pub value: u64,
    /// From this height on.
    pub height: u32,
    /// What is paid then.
    pub output: TxOut,
}

/// Why no coinbase can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoinbaseError {
    /// The finder's script.
    #[error("{0} cannot be paid here: name a P2PKH, P2SH, P2WPKH, P2WSH or P2TR address")]
    Script(bitcoin::ScriptBuf),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Forward {
    /// What a block at `height` with this value for later pays its finder later; none where that would be below the floor.
    #[must_use]
    pub fn new(rule: &Rule, height: u32, value: u64, finder: &Script) -> Option<Forward> {
        let Bootstrap::Forward { blocks } = rule.bootstrap else { return None };
        let size = tree::output_size(finder);
        let alone = tree::TreeRule { anchor: None, ..rule.tree };
        let paid = value.checked_sub(alone.cost(1, size).total())?;
        if paid < u64::from(rule.floor) {
            return None;
        }
        let output = TxOut { value: Amount::from_sat(paid), script_pubkey: finder.to_owned() };
        // Beyond what lock times can say as heights there is no chain.
        let height = height
            .saturating_add(blocks)
            .min(LockTime::from_height(499_999_999).map_or(0, LockTime::to_consensus_u32));
        Some(Forward { value, height, output })
    }

    /// What the coinbase pays it to.
    #[must_use]
    pub fn template(&self) -> TemplateHash {
        locked_until(self.height, &self.output)
    }

    /// The payment itself, once its output is at `outpoint`.
    #[must_use]
    pub fn transaction(&self, outpoint: OutPoint) -> Transaction {
        tree::spend(outpoint, LockTime::from_consensus(self.height), vec![self.output.clone()])
    }
}

/// The coinbase of a block at `height` that is worth `value`, found by `finder`, when the window makes these claims.
///
/// # Errors
/// When the finder cannot be paid.
pub fn plan(
    rule: &Rule,
    _enforced: &Enforced,
    height: u32,
    value: u64,
    (claims, filled): (&[Claim<'_>], usize),
    finder: &Script,
) -> Result<Coinbase, CoinbaseError> {
    if !marker::is_payable(finder) {
        return Err(CoinbaseError::Script(finder.to_owned()));
    }
    let parts = rule.parts(value, filled);
    let tree = claims::share(rule, parts.shared, claims, finder);
    let shared = tree.as_ref().map_or(0, |tree| tree.root().value);
    let forward = Forward::new(rule, height, parts.kept_for_empty_slots, finder);
    let ahead = forward.as_ref().map_or(0, |forward| forward.value);
    let mut outputs: Vec<TxOut> = tree.iter().map(Tree::output).collect();
    outputs.extend(forward.as_ref().map(|forward| TxOut {
        value: Amount::from_sat(forward.value),
        script_pubkey: forward.template().script(),
    }));
    let kept = value - shared - ahead;
    if kept > 0 {
        let value = Amount::from_sat(kept);
        outputs.push(TxOut { value, script_pubkey: finder.to_owned() });
    }
    outputs.push(marker::output(rule.id(), finder));
    Ok(Coinbase { outputs, tree, forward, parts })
}

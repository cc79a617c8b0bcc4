//! Coordination-free pools: payouts that a block's coinbase commits to, and the rule by which blocks qualify for them.
//!
//! A coinbase pays one output, to the hash of a transaction (BIP-119); that transaction pays others like it; the last pay
//! the miners. Who is paid is computed from the coinbases of earlier blocks alone, so nobody has to be asked or trusted.
//!
//! Invariant: everything here is a pure function of its arguments. There is no clock, no randomness, no I/O and no float; two
//! programs that read the same chain compute the same bytes.
//!
//! Reading order: [`template`] (what BIP-119 hashes), [`shape`] and [`tree`] (from payees to transactions), [`window`] and
//! [`rule`] (which blocks count, and what the parameters are), [`claims`] (who gets what of a block), [`marker`], [`coinbase`]
//! and [`chain`] (from blocks to verdicts), [`member`] (what one of them is paid, and for which blocks), [`enforcement`] (where any of this may be mined).

#![deny(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss
)]

pub mod chain;
pub mod claims;
pub mod coinbase;
pub mod committed;
pub mod enforcement;
pub mod marker;
pub mod member;
pub mod rule;
pub mod shape;
pub mod template;
pub mod tree;
pub mod window;

pub use chain::{Block, Chain, Verdict};
pub use enforcement::Enforced;
pub use member::Member;
pub use rule::{Rule, RuleId};
pub use template::TemplateHash;
pub use tree::{Payee, Tree, TreeRule};

//! Chains of Ethash, by nodes that speak `eth_getWork` and `eth_submitWork`.
//!
//! A node gives everybody the same header, so what tells miners apart is the nonce: whoever takes an extranonce has nonces of their own,
//! and a difficulty of their own that stands as long as the header does; those who choose nonces freely all have one difficulty, and may
//! not use the nonces of others. A nonce is credited once for a header, whoever sends it first.
//!
//! A node takes the seal and makes the block itself, so that neither the block's hash nor what it brings is known when it is found.
//! Both are read from the chain: [`prospect`] looks for the seal among the blocks, and among their uncles, and what the block brought is
//! what the pool's balance grew by. No schedule of rewards is in here.
//!
//! Invariant: income is what the chain paid, to the wei; one header's nonce is one share.
//!
//! Reading order: [`address`], [`node`] (may it be believed), [`work`] (what it gives), [`claims`] (once for a header), [`seal`] (what it
//! takes), [`chain`] (where a seal stands and what that brought), [`prospect`] (from a seal to income), [`eyes`] (what becomes of it).

pub mod address;
pub mod chain;
pub mod claims;
pub mod eyes;
pub mod headers;
pub mod node;
pub mod prospect;
pub mod seal;
pub mod work;

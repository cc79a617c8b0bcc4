//! Proof of work over Stratum: sockets, dialects, templates, jobs, verification, blocks and the chain's money.
//!
//! A share's path reads top to bottom: [`server`] (a bounded line) → [`wire`] (parsed once) → [`session`] (its job) →
//! [`verify`] (pure: the network's target first, then the ladder) → [`block`] (if it solves, without the database) →
//! `pool` (durable) → [`session`] (`true`).
//!
//! Invariant: a header that meets the network's target reaches the disk and every node, whatever else is wrong with the
//! share, the store or one of the nodes.

pub mod block;
pub mod by_block;
pub mod coin;
pub mod coinbase;
pub mod dag;
pub mod difficulty;
pub mod epochs;
pub mod ether;
pub mod extranonce;
pub mod gxc;
pub mod hashing;
pub mod job;
pub mod limits;
pub mod member;
pub mod node;
pub mod proxy;
pub mod reject;
pub mod rpc;
pub mod server;
pub mod session;
pub mod source;
pub mod template;
pub mod treasury;
pub mod verifier;
pub mod verify;
pub mod wire;
pub mod work;
mod worker;

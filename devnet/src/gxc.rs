//! A GXC node for tests and for trying things: it answers as the node of February 2026 was seen to answer, faults and all.
//!
//! The real one never checks proof of work, changes the ids of transactions when it mines them, offers mined ones again, reads
//! a request in one piece of at most 8192 bytes, and gives one error code for everything that is wrong with a block. A pool that
//! works here has met all of that. **Not like the real one**: no peers, no staking (a test says when the next block is a stake's),
//! no reversals, and no retargeting (a test sets the difficulty).
//!
//! Invariant: [`ledger`] does no I/O and reads no clock.
//!
//! Reading order: [`ledger`] (the chain), [`rpc`] (the words around it), [`server`] (the one read).

pub mod ledger;
pub mod rpc;
pub mod server;

pub use ledger::{Ledger, Net};
pub use server::GxcNode;

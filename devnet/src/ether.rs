//! A node of a chain of Ethash for tests and for trying things: `eth_getWork`, `eth_submitWork`, and what a pool asks of the chain.
//!
//! Seals are judged by the real Ethash. Blocks pay a reward, the tips of their transactions and a part for each uncle they name; uncles are
//! paid less the later they are named; what is beside the chain can be named for seven blocks; the base of gas prices is burnt. **Not
//! like a real one**: no peers, no signatures, no contracts, no retargeting, and block hashes are not those of Ethereum's encoding. Tests make
//! reorganisations and other people's blocks by themselves.
//!
//! Invariant: [`chain`] does no I/O and reads no clock.
//!
//! Reading order: [`chain`] (blocks and balances), [`rpc`] (the words around them), [`server`] (the wires).

pub mod chain;
pub mod rpc;
pub mod server;

pub use chain::{Address, Chain, Transfer};
pub use server::EtherNode;

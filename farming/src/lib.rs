//! Farming Chia: the official pool protocol 1.0, as the released farmer speaks it.
//!
//! A partial's path reads top to bottom: [`server`] (a bounded body) → [`wire`] (parsed once) → [`door`] (who it is) → [`signage`]
//! (asked of the [`node`] once for all) → [`verify`] (pure: [`space`], [`signature`]) → [`rows`] (on disk) → `pool` (durable) → the
//! answer. Behind the door, [`chores`] looks again after the confirmation delay, and [`watch`] follows plot NFTs ([`singleton`],
//! [`follow`]) and absorbs their rewards ([`absorb`]). What is owed goes out through the [`treasury`], signed by the [`wallet`].
//!
//! Invariant: a proof counts once, what its farmer had been told when the signage point appeared, and only while the chain says
//! that its plot NFT farms to this pool.

pub mod absorb;
pub mod address;
pub mod chores;
pub mod clvm;
pub mod coin;
pub mod difficulty;
pub mod door;
pub mod estimate;
pub mod external;
pub mod farm;
pub mod farmer;
pub mod follow;
pub mod hash;
pub mod network;
pub mod node;
pub mod purse;
pub mod reject;
pub mod rows;
pub mod server;
pub mod signage;
pub mod signature;
pub mod singleton;
pub mod space;
pub mod tables;
pub mod token;
pub mod treasury;
#[cfg(test)]
mod vectors;
pub mod verify;
pub mod wallet;
pub mod watch;
pub mod wire;

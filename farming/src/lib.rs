//! Farming Chia.

pub mod absorb;
pub mod address;
pub mod chores;
pub mod clvm;
pub mod coin;
pub mod difficulty;
pub mod door;
pub mod farm;
pub mod farmer;
pub mod follow;
pub mod hash;
pub mod network;
pub mod node;
pub mod reject;
pub mod rows;
pub mod server;
pub mod signage;
pub mod signature;
pub mod singleton;
pub mod space;
pub mod tables;
pub mod token;
#[cfg(test)]
mod vectors;
pub mod verify;
pub mod wallet;
pub mod watch;
pub mod wire;

//! Farming Chia.

pub mod difficulty;
pub mod hash;
pub mod network;
pub mod reject;
pub mod signature;
pub mod space;
pub mod token;
#[cfg(test)]
mod vectors;
pub mod verify;
pub mod wire;

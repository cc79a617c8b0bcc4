//! Farming Chia.

pub mod network;
pub mod space;
#[cfg(test)]
mod vectors;

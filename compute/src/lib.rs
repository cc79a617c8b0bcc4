//! Useful compute: leased evolve and evaluate tasks, answered by several miners and believed by quorum.
//!
//! Reading order: [`key`] and [`auth`] (who asks).

pub mod auth;
pub mod key;

//! Useful compute: leased evolve and evaluate tasks, answered by several miners and believed by quorum.
//!
//! Reading order: [`key`] and [`auth`] (who asks), [`dsl`] (what is computed),
//! [`numpy`] (the random numbers that the tasks are drawn with).

pub mod auth;
pub mod dsl;
pub mod key;
pub mod numpy;

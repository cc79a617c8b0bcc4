//! A small CPU miner that speaks Stratum V1: for the demo, for tests, and for trying a pool by hand.
//!
//! It is written from the protocol, not from the pool: where the two disagree, one of them is wrong.
//!
//! Invariant: what it submits met the difficulty it was told, over the header it was given; it never submits twice.
//!
//! Reading order: [`work`] (a notify becomes headers, pure), [`session`] (the conversation, pure), [`throttle`],
//! [`hash`], [`hasher`] (the threads), [`client`] (the socket).

pub mod client;
pub mod hash;
pub mod hasher;
pub mod session;
pub mod throttle;
pub mod work;

pub use client::{Config, Miner, Stats};
pub use hash::Hash;

//! The GXC node: one adapter that holds every quirk of it.
//!
//! It reads a request in one piece of at most 8192 bytes. It never checks proof of work: the pool is the only verifier there
//! is. It offers transactions again that it has mined, under ids that it changed. It gives one code for everything that is wrong
//! with a block. On its main network no block can ever be made: a difficulty of 1000 means 1000 leading zeros of a hash that has 64
//! digits.
//!
//! Reading order: [`rpc`] (the one piece), [`address`], [`offer`] (what can be built on), [`block`] (what it is handed), [`legacy`] (what its
//! miners take for work).

pub mod address;
pub mod block;
pub mod legacy;
pub mod offer;
pub mod rpc;

//! Bytes and messages: what clients send, and what they are sent.
//!
//! Invariant: any bytes are a message or an error that says what is wrong; nothing panics, and nothing is larger than its limit.

pub mod bitsota;
pub mod synapse;
pub mod trouble;

//! Bytes to messages and back; total functions, fuzzed, without state.

pub mod ethash;
pub mod v1;

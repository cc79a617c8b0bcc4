//! Bytes to messages and back; total functions, fuzzed, without state.

pub mod ethash;
pub mod gxc;
pub mod v1;

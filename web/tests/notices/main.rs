//! Notices against stand-ins of what is at the other end: what arrives, and what a failure, a restart or a pause costs.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod arrives;
mod configuration;
mod restart;
mod stand_in;
mod trouble;

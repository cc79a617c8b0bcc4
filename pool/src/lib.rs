//! The one writer. Three doors lead in: facts (shares, blocks, revocations), orders (accounts, payouts), and noise that
//! only people look at.
//!
//! One OS thread owns window, ledger and the store's write side. It drains what has arrived, appends it, syncs once,
//! applies the consequences and only then answers. No lock protects domain state, because nobody else has any.
//!
//! Invariant: an `Ok` given to anybody is on disk; when the store fails, nothing is acknowledged and nothing is forgotten.
//!
//! Reading order: [`config`] (what a pool is), [`door`] (how the doors come in), [`writer`] (the thread), [`books`] (what
//! it knows), [`rules`] (what it promised), [`rewards`], [`membership`], [`payouts`] and
//! [`spends`] (how money moves), [`treasury`] (who holds the coins), [`cashier`] (the task
//! that makes payouts happen), [`view`] and [`observe`] (what readers see).

#![deny(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

pub mod accept;
pub mod bans;
pub mod basis;
pub mod books;
pub mod cashier;
pub mod clock;
pub mod command;
pub mod config;
pub mod crash;
pub mod door;
pub mod guests;
pub mod host;
pub mod membership;
pub mod observe;
pub mod payouts;
pub mod private_file;
pub mod rewards;
pub mod rules;
pub mod seats;
pub mod spends;
pub mod treasury;
pub mod view;
pub mod writer;

pub use basis::Basis;
pub use clock::{Clock, SystemClock};
pub use config::{AssetConfig, PayoutRules, PoolConfig};
pub use door::{BlockReport, Pool, Refused};
pub use spends::Deposit;
pub use treasury::Treasury;
pub use view::View;

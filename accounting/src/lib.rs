//! Money and shares as pure arithmetic: no I/O, no clock, no async, no float.
//!
//! Everything that decides who gets what is here and only here, so that the pool, `adit audit`, the simulator and a
//! stranger with the published window compute the same numbers.
//!
//! Reading order: [`id`] and [`amount`] (the words), [`mod@share`] (what the doors bring), [`mod@slice`] and [`window`] (what
//! counts), [`scheme`] (the rule), [`split`] and [`capped`] with [`budget`] (the only places that divide money), [`ledger`] (double entry),
//! [`reward`] and [`payout`] (the two lives of money), [`audit`] (the same again, by somebody else), [`reserve`] (what
//! paying per share risks).

#![deny(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]
#![deny(clippy::cast_precision_loss, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod amount;
pub mod audit;
pub mod budget;
pub mod capped;
pub mod commitment;
pub mod fee;
pub mod id;
pub mod identity;
pub mod ledger;
pub mod membership;
pub mod payout;
pub mod rate;
mod ratio;
pub mod reserve;
pub mod reward;
pub mod rule;
pub mod scheme;
pub mod share;
pub mod slice;
pub mod split;
pub mod union;
pub mod volume;
pub mod window;

pub use amount::Amount;
pub use fee::BasisPoints;
pub use id::{
    AccountId, AssetId, PayoutId, PoolId, RateId, RewardId, ShareSeq, SliceNo, UnixMs, WorkerId,
};
pub use identity::{Identity, IdentityKind};
pub use scheme::Scheme;
pub use share::{BlockFound, LogEntry, Share, ShareKey, Weight, WeightSum};

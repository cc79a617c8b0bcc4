//! What pages and answers say, as plain values made from the store, the snapshot and the history.
//!
//! Invariant: one shape for people and programs: a page shows what the API gives, and neither reckons anything itself.

pub mod account;
pub mod activity;
pub mod advanced;
pub mod audit;
pub mod blocks;
pub mod branch;
pub mod exact;
pub mod leased;
pub mod money;
pub mod network;
pub mod payouts;
pub mod pools;
pub mod slices;
pub mod suspects;

pub use money::{Iso, Money};

use serde::{Deserialize, Serialize};
use store::sqlite::Cut;
use utoipa::ToSchema;

/// Rows an answer has when nobody says how many.
pub const ROWS: u64 = 50;
/// Rows an answer has at most.
pub const ROWS_MAX: u64 = 500;

/// Some rows of a longer list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rows<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Ask again with `cursor` set to this for the rows that follow; null at the end.
    pub next: Option<String>,
}

impl<T> Rows<T> {
    /// From what a list gave for [`one_more`] than was asked for.
    fn of<R>(
        found: Vec<R>,
        cut: Cut,
        position: impl Fn(&R) -> u64,
        row: impl FnMut(R) -> T,
    ) -> Self {
        let limit = usize::try_from(cut.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        let last = limit.checked_sub(1).and_then(|last| found.get(last)).filter(|_| more);
        let next = last.map(|last| position(last).to_string());
        Rows { rows: found.into_iter().take(limit).map(row).collect(), next }
    }
}

/// The same rows and one more, to see whether there are more.
fn one_more(cut: Cut) -> Cut {
    Cut { limit: cut.limit.saturating_add(1), ..cut }
}

/// An address as it is shown to strangers: its first four and last five characters.
#[must_use]
pub fn masked(address: &str) -> String {
    let characters: Vec<char> = address.chars().collect();
    match characters.len() {
        0..=12 => "…".into(),
        length => {
            let (head, tail) = (&characters[..4], &characters[length - 5..]);
            head.iter().chain(&['…']).chain(tail).collect()
        }
    }
}

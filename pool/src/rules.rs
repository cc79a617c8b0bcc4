//! What each pool promised, and from where in the log on: kept when it starts with another rule than before, and published, so
//! that a split can be held against the promise of its time.
//!
//! Invariant: a promise is noted in the same change of the store as the first thing that follows from it.

use crate::books::{Books, PoolBook};
use accounting::rule::{Rule, RuleSince};
use accounting::{PoolId, SliceNo};
use std::collections::BTreeMap;
use store::book::Book;
use store::{Change, StoreError};

/// Rules of one pool that are kept; beyond it the oldest is forgotten, and blocks of its time have no published rule.
pub const RULES_MAX: usize = 200;

/// The rules of a pool, oldest first, as a store has them.
///
/// # Errors
/// When the note cannot be read.
pub fn of(book: &Book, pool: PoolId) -> Result<Vec<RuleSince>, StoreError> {
    let Some(note) = book.notes.get(&(Books::DOOR.to_owned(), key(pool))) else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(note)
        .map_err(|error| StoreError::Damaged(format!("the rules of pool {pool}: {error}")))
}

/// Notes what is another rule than the last; pools that are no longer configured have none from here on.
pub(crate) fn note(
    book: &mut Book,
    pools: &mut BTreeMap<PoolId, PoolBook>,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    let stored: Vec<(PoolId, SliceNo)> = book
        .pools
        .values()
        .map(|pool| (pool.id, pool.last_slice.map_or(SliceNo(0), |(no, _, _)| no)))
        .collect();
    for (id, after_slice) in stored {
        let rule = pools.get(&id).map(|pool| Rule {
            scheme: pool.config.scheme,
            fee: pool.config.fee.clone(),
            part: pool.config.part,
        });
        let mut rules = of(book, id)?;
        let last = rules.last().and_then(|last| last.rule.as_ref());
        if last != rule.as_ref() {
            // What the log holds beyond the watermark is folded by the new rule.
            rules.push(RuleSince { since: book.watermark, after_slice, rule });
            rules.drain(..rules.len().saturating_sub(RULES_MAX));
            let value = serde_json::to_vec(&rules)
                .map_err(|error| StoreError::Damaged(format!("a rule: {error}")))?;
            book.notes.insert((Books::DOOR.to_owned(), key(id)), value.clone());
            let (key, value) = (key(id), Some(value));
            changes.push(Change::Note { door: Books::DOOR, key, value });
        }
        if let Some(pool) = pools.get_mut(&id) {
            pool.rules = rules.into();
        }
    }
    Ok(())
}

fn key(pool: PoolId) -> String {
    format!("rules/{pool}")
}

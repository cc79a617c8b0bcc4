//! What a miner's work has come to: how their answers held and what they earned, as the API and the pages tell it.
//!
//! Invariant: only what is decided is on a card; a vote that waits is on nobody's.

use crate::desk::Verdict;
use crate::epoch::{EpochNo, Terms};
use crate::key::PublicKey;
use crate::reputation::{Reputation, Tariff};
use crate::tables::epochs::Budget;
use crate::tables::{TableError, Tables};
use crate::worker::Miner;
use accounting::{AccountId, Amount, BasisPoints, budget};

/// Decided votes on a card.
pub const VOTES_MAX: usize = 20;
/// Seconds that reputation an hour is counted over.
const HOUR_S: u64 = 3600;

/// What a miner's work has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Who, and how their answers have held.
    pub miner: Miner,
    /// All that they earned and kept.
    pub reputation: Reputation,
    /// The part of it of the open epoch.
    pub this_epoch: Reputation,
    /// The part of it of the last hour.
    pub last_hour: Reputation,
    /// Algorithms of theirs that are decided.
    pub decided: u64,
    /// Those among them that were good enough to be paid.
    pub paid: u64,
    /// What the open epoch would pay if it ended now: in proportion, at most the ceiling.
    pub pending: Amount,
    /// What became of their votes, the newest first.
    pub votes: Vec<Verdict>,
}

impl Card {
    /// Reads a miner's card; nothing of somebody who never asked for anything.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn read(
        tables: &Tables,
        key: &PublicKey,
        (budget, tariff): (&Budget, &Tariff),
        now_s: u64,
    ) -> Result<Option<Self>, TableError> {
        let Some(miner) = tables.miner(key)? else { return Ok(None) };
        let epoch = EpochNo::at(now_s, budget.length_s);
        let (decided, paid) = tables.authored(key, tariff.evolution_min)?;
        Ok(Some(Card {
            miner,
            reputation: tables.earned_since(key, 0)?,
            this_epoch: tables.earned_in(epoch, budget.length_s, key)?.0,
            last_hour: tables.earned_since(key, now_s.saturating_sub(HOUR_S))?,
            decided,
            paid,
            pending: pending(tables, key, budget, epoch)?,
            votes: tables.verdicts(key, VOTES_MAX)?,
        }))
    }

    /// The part of their decided votes that held; nothing before the first.
    #[must_use]
    pub fn accuracy_rate(&self) -> Option<f64> {
        let standing = &self.miner.standing;
        rate(standing.accurate, standing.accurate + standing.inaccurate)
    }

    /// The part of their decided algorithms that were paid; nothing before the first.
    #[must_use]
    pub fn evolution_success_rate(&self) -> Option<f64> {
        rate(self.paid, self.decided)
    }
}

/// What an epoch would pay a miner if it ended now. What others' ceilings leave is seen at the end only.
///
/// # Errors
/// As SQLite reports.
pub fn pending(
    tables: &Tables,
    key: &PublicKey,
    budget: &Budget,
    epoch: EpochNo,
) -> Result<Amount, TableError> {
    let Terms { budget: total, fee, cap } = tables.terms(epoch, budget)?;
    let (own, all) = tables.earned_in(epoch, budget.length_s, key)?;
    let work = [(AccountId(1), own.0.into()), (AccountId(2), (all.0 - own.0).into())];
    let uncapped = BasisPoints::new(BasisPoints::ALL).unwrap_or(BasisPoints::ZERO);
    let divided = budget::Budget { total, fee, owners: Vec::new() }.divide(uncapped, &work);
    let part = divided.parts.first().filter(|(account, _)| account.0 == 1);
    let ceiling = accounting::split::fee_of(total, cap);
    Ok(part.map_or(Amount::ZERO, |(_, part)| (*part).min(ceiling)))
}

/// A part of all; nothing of nothing.
#[must_use]
pub fn rate(part: u64, all: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = part as f64 / all as f64;
    (all > 0).then_some(rate)
}

//! How much of the work an account did: what discounts for volume go by.
//!
//! Invariant: it follows from the frozen windows alone, so whoever has them can tell who was due which fee. Work of different hashes
//! is never added: of several windows the one counts in which the account's part is largest.

use crate::fee::BasisPoints;
use crate::id::AccountId;
use crate::share::WeightSum;
use crate::slice::Slice;

/// One window's work by account, ascending.
type Rows<'a> = &'a [(AccountId, WeightSum)];

/// The windows that a reward is divided by.
#[derive(Debug, Clone)]
pub struct Volumes<'a>(Vec<(Rows<'a>, WeightSum)>);

impl<'a> Volumes<'a> {
    /// Of these windows; empty ones count for nothing.
    #[must_use]
    pub fn of(windows: impl IntoIterator<Item = Rows<'a>>) -> Self {
        let filled = windows.into_iter().filter(|rows| !rows.is_empty());
        let sum = |rows: Rows<'_>| {
            rows.iter().fold(0, |sum: WeightSum, (_, work)| sum.saturating_add(*work))
        };
        Volumes(filled.map(|rows| (rows, sum(rows))).collect())
    }

    /// An account's part, rounded down to hundredths of a percent. Without any window the finder has everything.
    #[must_use]
    pub fn part(&self, account: AccountId) -> BasisPoints {
        if self.0.is_empty() {
            return whole();
        }
        let parts = self.0.iter().map(|(rows, total)| {
            let at = rows.binary_search_by_key(&account, |(known, _)| *known).ok();
            let own = at.and_then(|at| rows.get(at)).map_or(0, |(_, work)| *work);
            own.saturating_mul(BasisPoints::ALL.into()).checked_div(*total).unwrap_or(0)
        });
        let most = parts.max().and_then(|most| u16::try_from(most).ok());
        most.and_then(|most| BasisPoints::new(most).ok()).unwrap_or_else(whole)
    }
}

fn whole() -> BasisPoints {
    BasisPoints::new(BasisPoints::ALL).unwrap_or_default()
}

/// A slice's work by account, ascending.
#[must_use]
pub fn work_of(slice: &Slice) -> Vec<(AccountId, WeightSum)> {
    let own = slice.rows.chunk_by(|a, b| a.account == b.account);
    own.filter_map(|rows| {
        let work = rows.iter().fold(0, |sum: WeightSum, row| sum.saturating_add(row.tally.weight));
        Some((rows.first()?.account, work))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_of_ones_own_hash_and_rounded_down() {
        let (a, b, c) = (AccountId(1), AccountId(2), AccountId(3));
        let light = [(a, 999_999_999), (b, 1)];
        let heavy = [(b, 1), (c, 2)];
        let volumes = Volumes::of([light.as_slice(), &[], heavy.as_slice()]);
        let parts = [a, b, c, AccountId(9)].map(|account| volumes.part(account).points());
        assert_eq!(parts, [9999, 3333, 6666, 0]);
        assert_eq!(Volumes::of([]).part(a).points(), 10_000);
    }
}

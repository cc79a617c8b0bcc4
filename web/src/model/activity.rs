//! How often blocks are found and payouts made: counted from the books, not reckoned from hashrates.
//!
//! Invariant: only what is in the store counts, by the time it was booked.

use super::Money;
use crate::outlook::{AssetOutlook, Outlook, PoolOutlook};
use accounting::payout::PayoutState;
use accounting::reward::RewardState;
use accounting::{Amount, UnixMs};
use serde::{Deserialize, Serialize};
use store::sqlite::{Cut, RewardFilter, RewardRow};
use store::{Reader, StoreError};
use utoipa::ToSchema;

/// A day.
const DAY_MS: u64 = 24 * 3600 * 1000;
/// What is looked at.
const SPAN_DAYS: u64 = 30;
/// Blocks or payouts looked at, at most: a pool with more in thirty days sees the latest of them.
const ROWS: u64 = 10_000;

/// A pool's blocks and its asset's payouts of the last thirty days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    /// The pool.
    pub pool: String,
    /// Its number.
    pub id: u32,
    /// Its blocks, without those that left the chain.
    pub blocks: Frequency,
    /// Blocks that left the chain.
    pub orphaned_30d: u64,
    /// The pool's fees of those blocks; null where shares are bought at once.
    pub fees_24h: Option<Money>,
    /// The same over seven days.
    pub fees_7d: Option<Money>,
    /// The same over thirty.
    pub fees_30d: Option<Money>,
    /// Payouts of the pool's asset, without those that were given up.
    pub payouts: Frequency,
}

/// How often something happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Frequency {
    /// In the last 24 hours.
    pub in_24h: u64,
    /// In the last seven days.
    pub in_7d: u64,
    /// In the last thirty days.
    pub in_30d: u64,
    /// Seconds from one to the next, on average over the thirty days; null before the second.
    pub mean_seconds_between: Option<f64>,
    /// How many a day that makes.
    pub per_day: Option<f64>,
}

/// Every pool's.
///
/// # Errors
/// When the store cannot be read.
pub fn all(reader: &Reader, outlook: &Outlook, now: UnixMs) -> Result<Vec<Activity>, StoreError> {
    let with_asset =
        outlook.pools.iter().filter_map(|pool| Some((pool, outlook.asset(pool.asset)?)));
    with_asset.map(|(pool, asset)| of(reader, pool, asset, now)).collect()
}

fn of(
    reader: &Reader,
    pool: &PoolOutlook,
    asset: &AssetOutlook,
    now: UnixMs,
) -> Result<Activity, StoreError> {
    let since = |days: u64| UnixMs(now.0.saturating_sub(days * DAY_MS));
    let found = reader.rewards_by(RewardFilter::Pool(pool.id), Cut::first(ROWS))?;
    let recent: Vec<_> =
        found.into_iter().filter(|block| block.created_at >= since(SPAN_DAYS)).collect();
    let (kept, orphaned): (Vec<_>, Vec<_>) =
        recent.iter().partition(|block| block.state != RewardState::Orphaned);
    // A payment for earlier blocks brings fees, and is none that was found.
    let is_block = |block: &&&RewardRow| block.place.is_none();
    let fees = |days: u64| {
        let young = kept.iter().filter(|block| block.created_at >= since(days));
        let fees: Vec<Amount> = young.filter_map(|block| block.fees).collect();
        let by_share = pool.scheme.pays_per_share();
        (!by_share).then(|| Money::new(fees.into_iter().sum(), asset.decimals))
    };
    let payouts = reader.payout_summaries(Cut::first(ROWS))?;
    let made = payouts.iter().filter(|payout| {
        payout.asset == asset.id
            && payout.state != PayoutState::Abandoned
            && payout.created_at >= since(SPAN_DAYS)
    });
    Ok(Activity {
        pool: pool.name.clone(),
        id: pool.id.0,
        blocks: frequency(kept.iter().filter(is_block).map(|block| block.created_at), since),
        orphaned_30d: orphaned.iter().filter(is_block).count() as u64,
        fees_24h: fees(1),
        fees_7d: fees(7),
        fees_30d: fees(SPAN_DAYS),
        payouts: frequency(made.map(|payout| payout.created_at), since),
    })
}

fn frequency(moments: impl Iterator<Item = UnixMs>, since: impl Fn(u64) -> UnixMs) -> Frequency {
    let moments: Vec<UnixMs> = moments.collect();
    let within = |days: u64| moments.iter().filter(|at| **at >= since(days)).count() as u64;
    let (first, last) = (moments.iter().min(), moments.iter().max());
    let span_s = first.zip(last).map(|(first, last)| (last.0 - first.0) as f64 / 1000.0);
    let gaps = moments.len().saturating_sub(1);
    let mean = span_s.filter(|span| gaps > 0 && *span > 0.0).map(|span| span / gaps as f64);
    Frequency {
        in_24h: within(1),
        in_7d: within(7),
        in_30d: within(SPAN_DAYS),
        mean_seconds_between: mean,
        per_day: mean.map(|seconds| 86_400.0 / seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_every_six_hours_happens_four_times_a_day() {
        let (now, hour) = (100 * DAY_MS, 3_600_000);
        let since = |days: u64| UnixMs(now - days * DAY_MS);
        let moments = (0..8).map(|n| UnixMs(now - n * 6 * hour));
        let found = frequency(moments, since);
        assert_eq!((found.in_24h, found.in_7d, found.in_30d), (5, 8, 8));
        assert_eq!(found.per_day, Some(4.0));
        let once = frequency(std::iter::once(UnixMs(now)), since);
        assert_eq!((once.in_24h, once.per_day), (1, None));
        assert_eq!(frequency(std::iter::empty(), since), Frequency::default());
    }
}

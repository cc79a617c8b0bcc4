//! What members are told about their own mining besides: income by the day and how evenly it comes, the fee that was really
//! charged, and each machine's luck.
//!
//! Invariant: made of the same credits and meters as everything else; nothing here decides about money.

use super::account::{Credit, Worker};
use super::money::Money;
use accounting::Amount;
use serde::Serialize;
use std::collections::BTreeMap;

/// Income of one day (UTC).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// Such as `2026-12-31`.
    pub day: String,
    /// Credits booked.
    pub credits: u64,
    /// What they brought, orphaned blocks left out.
    pub net: Money,
    /// The fee, in percent, weighted by what was credited.
    pub fee_percent: f64,
}

/// All days together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Days with income, newest first.
    pub days: Vec<Day>,
    /// Of the days.
    pub mean: Money,
    /// Standard deviation between days, as a part of the mean.
    pub spread: Option<f64>,
}

/// A machine, as its owner tunes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuned {
    /// Its name.
    pub name: String,
    /// The pool it works in.
    pub pool: String,
    /// Shares in an hour at its pace of the last quarter of an hour; what it is asked for decides that.
    pub shares_per_hour: f64,
    /// Its best share by what so many shares bring on average: 1 is as expected, e times more is as rare.
    pub luck: Option<f64>,
    /// Part of all its shares that was refused, by reason, largest first.
    pub refused: Vec<(String, f64)>,
    /// Its hashrate over a day by that over seven: below 1 it gets slower.
    pub trend: Option<f64>,
}

/// Sums credits by their day.
#[must_use]
pub fn by_day(credits: &[Credit], decimals: u8) -> Summary {
    let mut days: BTreeMap<String, (u64, i128, f64)> = BTreeMap::new();
    for credit in credits.iter().filter(|credit| credit.state.as_deref() != Some("orphaned")) {
        let text = credit.at.text();
        let day = text.split('T').next().unwrap_or_default().to_owned();
        let (count, sum, fees) = days.entry(day).or_default();
        let units = credit.net.units;
        *count += 1;
        *sum += units;
        *fees += credit.fee_percent * units as f64;
    }
    let money = |units: i128| Money::new(Amount::from_units(units), decimals);
    let shown = days.iter().rev().map(|(day, (credits, sum, fees))| Day {
        day: day.clone(),
        credits: *credits,
        net: money(*sum),
        fee_percent: if *sum > 0 { fees / *sum as f64 } else { 0.0 },
    });
    let sums: Vec<f64> = days.values().map(|(_, sum, _)| *sum as f64).collect();
    let mean = sums.iter().sum::<f64>() / sums.len().max(1) as f64;
    let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>();
    let variance = variance / sums.len().saturating_sub(1).max(1) as f64;
    let spread = (sums.len() > 1 && mean > 0.0).then(|| variance.sqrt() / mean);
    Summary { days: shown.collect(), mean: money(mean as i128), spread }
}

/// A machine's figures. `difficulty_one` is the work of difficulty 1.
#[must_use]
pub fn tuned(worker: &Worker, difficulty_one: f64) -> Tuned {
    let refused: u64 = worker.rejected.values().sum();
    let judged = (worker.shares + refused).max(1) as f64;
    let mut reasons: Vec<(String, f64)> =
        worker.rejected.iter().map(|(why, count)| (why.clone(), *count as f64 / judged)).collect();
    reasons.sort_by(|a, b| b.1.total_cmp(&a.1));
    let per_share = worker.difficulty * difficulty_one;
    let rate = |span: &str| worker.hashrates.get(span).copied().filter(|rate| *rate > 0.0);
    // Of n shares the best is n times as hard as they were asked to be, on average.
    let expected = worker.shares as f64 * worker.difficulty;
    Tuned {
        name: worker.name.clone(),
        pool: worker.pool.clone(),
        shares_per_hour: if per_share > 0.0 { worker.hashrate * 3600.0 / per_share } else { 0.0 },
        luck: (expected > 0.0).then(|| worker.best / expected),
        refused: reasons,
        trend: rate("1d").zip(rate("7d")).map(|(day, week)| day / week),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Iso, Money};
    use super::*;
    use accounting::UnixMs;
    use accounting::commitment::PaidBy;

    const DAY_MS: u64 = 86_400_000;

    fn credit(day: u64, units: i128, fee_percent: f64, state: &str) -> Credit {
        Credit {
            at: Iso(UnixMs(day * DAY_MS + 5)),
            pool: "main".into(),
            source: "block".into(),
            block: None,
            height: None,
            slice: None,
            state: Some(state.into()),
            fee_percent,
            paid_by: PaidBy::Pool,
            net: Money::new(Amount::from_units(units), 8),
        }
    }

    #[test]
    fn days_are_summed_without_what_was_orphaned_and_fees_are_weighted() {
        let credits = [
            credit(3, 300, 1.0, "matured"),
            credit(3, 100, 2.0, "immature"),
            credit(2, 200, 1.0, "matured"),
            credit(2, 999, 1.0, "orphaned"),
        ];
        let found = by_day(&credits, 8);
        let days: Vec<_> = found
            .days
            .iter()
            .map(|day| (&*day.day, day.credits, day.net.units, day.fee_percent))
            .collect();
        assert_eq!(days, [("1970-01-04", 2, 400, 1.25), ("1970-01-03", 1, 200, 1.0)]);
        assert_eq!(found.mean.units, 300);
        assert!((found.spread.unwrap() - 141.421 / 300.0).abs() < 1e-3, "{found:?}");
        assert_eq!(by_day(&[], 8).spread, None);
    }
}

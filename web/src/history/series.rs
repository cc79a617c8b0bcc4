//! Charts: work and shares in steps of a minute, ten minutes and an hour.

use super::Step;
use accounting::{AccountId, PoolId, UnixMs};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far a chart looks back.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Range {
    /// One hour.
    #[serde(rename = "1h")]
    Hour,
    /// One day.
    #[default]
    #[serde(rename = "24h")]
    Day,
    /// Seven days.
    #[serde(rename = "7d")]
    Week,
}

impl Range {
    /// All of them.
    pub const ALL: [Range; 3] = [Range::Hour, Range::Day, Range::Week];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Range::Hour => "1h",
            Range::Day => "24h",
            Range::Week => "7d",
        }
    }

    /// Its length.
    #[must_use]
    pub const fn length_s(self) -> u64 {
        match self {
            Range::Hour => 3600,
            Range::Day => 24 * 3600,
            Range::Week => 7 * 24 * 3600,
        }
    }

    /// Between two points: accounts have none finer than ten minutes.
    #[must_use]
    pub const fn step_s(self, of_account: bool) -> u32 {
        match (self, of_account) {
            (Range::Hour, false) => 60,
            (Range::Hour, true) | (Range::Day, _) => 600,
            (Range::Week, _) => 3600,
        }
    }
}

/// One point of a chart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Point {
    /// Where its step begins, in seconds since 1970.
    pub at_s: u64,
    /// Expected hashes a second.
    pub hashrate: f64,
    /// Accepted shares.
    pub shares: u64,
    /// Refused ones.
    pub rejected: u64,
    /// Machines that mined.
    pub workers: u32,
}

/// Ended steps kept between two writings.
const UNWRITTEN_MAX: usize = 120;

/// A step that is not over yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket {
    at_s: u64,
    work: f64,
    shares: u64,
    rejected: u64,
    workers: u32,
    now: u32,
    /// Work and shares of the latest sample.
    pub(super) latest: (f64, u64),
    /// Steps that ended and were not written at the last look.
    over: Vec<Arc<Ended>>,
}

#[derive(Debug, Default)]
struct Ended {
    at_s: u64,
    work: f64,
    shares: u64,
    rejected: u64,
    workers: u32,
    /// Is it in the database? Set, and looked at, by who holds the database.
    written: AtomicBool,
}

/// What a chart has of a bucket.
pub(super) struct Unwritten(Vec<Arc<Ended>>);

/// A finished step of somebody's.
pub(super) struct Row {
    key: (PoolId, AccountId),
    step: u32,
    ended: Arc<Ended>,
}

impl Row {
    /// It is in the database from now on.
    pub(super) fn is_written(&self) {
        self.ended.written.store(true, Ordering::Release);
    }
}

impl Bucket {
    /// A new sample begins.
    pub(super) fn begin(&mut self) {
        (self.now, self.latest) = (0, (0.0, 0));
    }

    fn ended(&self) -> Arc<Ended> {
        let &Bucket { at_s, work, shares, rejected, workers, .. } = self;
        Arc::new(Ended { at_s, work, shares, rejected, workers, ..Ended::default() })
    }

    /// The step that is not over, and those that are over and not in the database.
    pub(super) fn unwritten(&self) -> Unwritten {
        let is_new = |ended: &&Arc<Ended>| !ended.written.load(Ordering::Acquire);
        Unwritten(self.over.iter().filter(is_new).cloned().chain([self.ended()]).collect())
    }
}

/// Counts a machine's step in the buckets of each length.
pub(super) fn gather(
    buckets: &mut BTreeMap<u32, Bucket>,
    steps: &[u32],
    step: &Step,
    is_active: bool,
    now: UnixMs,
) {
    for length in steps {
        let at_s = now.0 / 1000 / u64::from(*length) * u64::from(*length);
        let bucket = buckets.entry(*length).or_insert(Bucket { at_s, ..Bucket::default() });
        if bucket.at_s != at_s {
            let mut over = std::mem::take(&mut bucket.over);
            over.retain(|ended| !ended.written.load(Ordering::Acquire));
            if over.len() < UNWRITTEN_MAX {
                over.push(bucket.ended());
            }
            let (now, latest) = (bucket.now, bucket.latest);
            *bucket = Bucket { at_s, over, now, latest, ..Bucket::default() };
        }
        bucket.work += step.work;
        bucket.shares += step.shares;
        bucket.rejected += step.rejected;
        bucket.latest.0 += step.work;
        bucket.latest.1 += step.shares;
        bucket.now += u32::from(is_active);
        bucket.workers = bucket.workers.max(bucket.now);
    }
}

/// What is over and not written; with `all`, what has been gathered so far too, which is taken out for that.
pub(super) fn finish(
    buckets: &mut BTreeMap<u32, Bucket>,
    key: (PoolId, AccountId),
    all: bool,
    rows: &mut Vec<Row>,
) {
    for (step, bucket) in buckets {
        let any = |e: &Ended| e.shares > 0 || e.rejected > 0 || key.1 == AccountId(0);
        bucket.over.retain(|ended| any(ended) && !ended.written.load(Ordering::Acquire));
        if all {
            bucket.over.push(bucket.ended());
            let &mut Bucket { at_s, workers, .. } = bucket;
            let over = std::mem::take(&mut bucket.over);
            *bucket = Bucket { at_s, workers, over, ..Bucket::default() };
        }
        let own = bucket.over.iter().filter(|ended| any(ended)).cloned();
        rows.extend(own.map(|ended| Row { key, step: *step, ended }));
    }
}

pub(super) fn write(sql: &Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let text = "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                  work = work + excluded.work, shares = shares + excluded.shares,
                  rejected = rejected + excluded.rejected, workers = max(workers, excluded.workers)";
    let mut insert = sql.prepare_cached(text)?;
    for Row { key: (pool, account), step, ended } in rows {
        insert.execute(params![
            pool.0,
            account.0.cast_signed(),
            step,
            ended.at_s.cast_signed(),
            ended.work,
            ended.shares.cast_signed(),
            ended.rejected.cast_signed(),
            ended.workers,
        ])?;
    }
    Ok(())
}

/// Drops what no chart shows any more.
pub(super) fn forget(sql: &Connection, now: UnixMs) -> rusqlite::Result<()> {
    for (step, kept_s) in [(60, 2 * 24 * 3600), (600, 2 * 24 * 3600), (3600, 40 * 24 * 3600)] {
        let before = (now.0 / 1000).saturating_sub(kept_s).cast_signed();
        sql.execute("DELETE FROM series WHERE step = ? AND at_s < ?", params![step, before])?;
    }
    Ok(())
}

pub(super) fn read(
    sql: &Connection,
    (pool, account): (PoolId, AccountId),
    range: Range,
    now: UnixMs,
) -> rusqlite::Result<Vec<Point>> {
    let step = range.step_s(account.0 > 0);
    let from = (now.0 / 1000).saturating_sub(range.length_s()).cast_signed();
    let text = "SELECT at_s, work, shares, rejected, workers FROM series
                WHERE pool = ? AND account = ? AND step = ? AND at_s > ? ORDER BY at_s";
    let mut statement = sql.prepare_cached(text)?;
    let rows =
        statement.query_map(params![pool.0, account.0.cast_signed(), step, from], |row| {
            let work: f64 = row.get(1)?;
            Ok(Point {
                at_s: row.get::<_, i64>(0)?.cast_unsigned(),
                hashrate: work / f64::from(step),
                shares: row.get::<_, i64>(2)?.cast_unsigned(),
                rejected: row.get::<_, i64>(3)?.cast_unsigned(),
                workers: row.get(4)?,
            })
        })?;
    rows.collect()
}

/// Fills steps in which nothing happened, and adds the step that is not over.
pub(super) fn complete(
    points: &mut Vec<Point>,
    open: Option<Unwritten>,
    range: Range,
    step: u32,
    now: UnixMs,
) {
    let step = u64::from(step);
    let now_s = now.0 / 1000;
    // A step just begun says little: it is left out until a quarter of it has gone by.
    let last = now_s.saturating_sub(step / 4) / step * step;
    let first = (now_s.saturating_sub(range.length_s()) / step + 1) * step;
    let mut known: BTreeMap<u64, Point> = points.iter().map(|point| (point.at_s, *point)).collect();
    if let Some(Unwritten(gathered)) = open {
        for ended in gathered {
            // Of the step that is not over, the rate is over the time it has had.
            let seconds = step.min(now_s.saturating_sub(ended.at_s)).max(1);
            let point =
                known.entry(ended.at_s).or_insert(Point { at_s: ended.at_s, ..Point::default() });
            point.hashrate = (point.hashrate * step as f64 + ended.work) / seconds as f64;
            point.shares += ended.shares;
            point.rejected += ended.rejected;
            point.workers = point.workers.max(ended.workers);
        }
    }
    let empty = |at_s| Point { at_s, ..Point::default() };
    let steps = (first..=last).step_by(usize::try_from(step).unwrap_or(1));
    *points = steps.map(|at_s| known.get(&at_s).copied().unwrap_or_else(|| empty(at_s))).collect();
}

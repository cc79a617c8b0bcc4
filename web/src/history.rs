//! What machines, accounts and pools did: totals, rates, and charts, gathered from the meters every few seconds.
//!
//! Whoever looks sees everything as it was at the last sample, and holds up nobody: neither the sampler nor others who look.
//!
//! Invariant: for people only. It may lose the last minutes in a crash; no money is reckoned from it.

mod machines;
mod series;
pub mod shown;

pub use series::{Point, Range};
pub use shown::Shown;

use crate::db::{Db, DbError};
use crate::rates::Rates;
use accounting::{AccountId, Identity, PoolId, UnixMs, WorkerId};
use arc_swap::ArcSwap;
use pool::observe::{Counts, Machine, Observatory};
use series::{Bucket, Row};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the meters are read.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Machines that had no share for so long are no longer listed.
const LISTED_MS: u64 = 7 * 24 * 3600 * 1000;
/// Meters of machines that have gone are dropped after this.
const IDLE_MS: u64 = 3600 * 1000;
/// Who had a share within this is mining.
pub const ACTIVE_MS: u64 = 10 * 60 * 1000;
/// Rows written in one go: others who use the database wait for no more.
const ROWS_AT_ONCE: usize = 200;
/// And between two goes it is left to others.
const BETWEEN_GOES: Duration = Duration::from_millis(1);

/// Everything remembered.
pub struct History {
    db: Db,
    /// The sampler's own.
    known: Mutex<Known>,
    /// The same at the last sample, for whoever looks.
    shown: ArcSwap<Shown>,
}

#[derive(Default)]
struct Known {
    machines: HashMap<Machine, Gauge>,
    accounts: BTreeMap<(PoolId, AccountId), AccountTrack>,
    pools: BTreeMap<PoolId, PoolTrack>,
    sampled_at: Option<UnixMs>,
    noted_at: UnixMs,
}

/// One machine over time.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// Everything it did that was ever noted, this process's part included.
    pub total: Arc<Total>,
    /// Its work a second.
    pub rates: Rates,
    /// Open connections.
    pub connections: u32,
}

/// What a machine's track is made from.
#[derive(Debug, Default)]
struct Gauge {
    machine: Option<Arc<Machine>>,
    track: Track,
    /// Has it a meter?
    seen: bool,
    /// What the meter said last.
    last: Total,
    /// What was noted before the meter began.
    base: Arc<Total>,
}

/// What a machine did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Total {
    /// Its numbers, once a share of it was accepted.
    pub ids: Option<(AccountId, WorkerId)>,
    /// As its owner writes the account.
    pub display: Arc<str>,
    /// What it says it is.
    pub agent: Box<str>,
    /// Accepted shares.
    pub shares: u64,
    /// Their work.
    pub work: f64,
    /// Refused ones, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Expected hashes of its best share.
    pub best: f64,
    /// When that was.
    pub best_at: UnixMs,
    /// Its last accepted share.
    pub last_share: UnixMs,
    /// Expected hashes of a share asked for.
    pub asked: f64,
    /// First seen.
    pub since: UnixMs,
}

/// One account in one pool.
#[derive(Debug, Clone, Default)]
pub struct AccountTrack {
    /// As its owner writes it.
    pub display: Arc<str>,
    /// Its work a second.
    pub rates: Rates,
    /// Accepted shares.
    pub shares: u64,
    /// Refused ones.
    pub rejected: u64,
    /// Machines that are mining.
    pub active: u32,
    /// Expected hashes of its best share.
    pub best: f64,
    /// Its last accepted share.
    pub last_share: UnixMs,
    gathering: BTreeMap<u32, Bucket>,
}

/// One pool.
#[derive(Debug, Clone, Default)]
pub struct PoolTrack {
    /// Its work a second.
    pub rates: Rates,
    /// Its accepted shares a second.
    pub share_rates: Rates,
    /// Machines that are mining.
    pub active: u32,
    /// Accounts that are mining.
    pub accounts: u32,
    /// Shares refused, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Accepted shares.
    pub shares: u64,
    /// Their work.
    pub work: f64,
    /// Expected hashes of the best share.
    pub best: f64,
    gathering: BTreeMap<u32, Bucket>,
}

impl History {
    /// Goes on from what was noted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open(db: Db, now: UnixMs) -> Result<Self, DbError> {
        let since = UnixMs(now.0.saturating_sub(LISTED_MS));
        let machines = db.now(|sql| machines::load(sql, since, now))?;
        let noted = machines.into_iter().map(|(machine, track)| (machine, Gauge::noted(track)));
        let mut known = Known { machines: noted.collect(), noted_at: now, ..Known::default() };
        known.add_up();
        let shown = ArcSwap::from_pointee(known.show());
        Ok(History { db, known: Mutex::new(known), shown })
    }

    /// Reads all meters. Takes a while where there are many: for a thread that may block.
    pub fn sample(&self, noise: &Observatory, now: UnixMs) {
        let meters = noise.all();
        let mut known = self.known();
        let since = known.sampled_at.replace(now).unwrap_or(now);
        let seconds = now.0.saturating_sub(since.0) as f64 / 1000.0;
        known.begin();
        let Known { machines, accounts, pools, .. } = &mut *known;
        for (machine, meter) in meters {
            let pool = machine.pool;
            let gauge = machines.entry(machine).or_default();
            let step = meter.look(|counts| gauge.advance(counts, seconds));
            tally(accounts, pools, pool, &gauge.track, &step, now);
        }
        for (machine, gauge) in machines.iter_mut().filter(|(_, gauge)| !gauge.seen) {
            gauge.track.connections = 0;
            gauge.track.rates.add(0.0, seconds);
            tally(accounts, pools, machine.pool, &gauge.track, &Step::default(), now);
        }
        known.end(seconds, now);
        known.machines.retain(|_, Gauge { track, seen, .. }| {
            // Who never had a share accepted is remembered by its meter alone.
            if track.total.ids.is_none() {
                return *seen;
            }
            track.connections > 0
                || now.0 < track.total.last_share.max(track.total.since).0 + LISTED_MS
        });
        self.shown.store(Arc::new(known.show()));
        drop(known);
        noise.forget_idle(UnixMs(now.0.saturating_sub(IDLE_MS)));
    }

    /// Writes finished buckets, and now and then all machines; `all` when the process ends.
    ///
    /// # Errors
    /// When the database cannot be written: the charts lose what was to be written, and go on with what comes.
    pub fn note(&self, now: UnixMs, all: bool) -> Result<(), DbError> {
        let mut known = self.known();
        let rows = known.finished(all);
        let due = all || now.0 >= known.noted_at.0 + 600_000;
        if due {
            known.noted_at = now;
        }
        drop(known);
        for some in rows.chunks(ROWS_AT_ONCE) {
            self.db.now(|sql| {
                let tx = sql.transaction()?;
                series::write(&tx, some)?;
                tx.commit()?;
                // While nobody else can read: a chart has each step once.
                some.iter().for_each(Row::is_written);
                Ok(())
            })?;
            std::thread::sleep(BETWEEN_GOES);
        }
        if !due {
            return Ok(());
        }
        let machines: Vec<_> = self.shown().machines().cloned().collect();
        for some in machines.chunks(ROWS_AT_ONCE) {
            self.db.now(|sql| {
                let tx = sql.transaction()?;
                machines::write(&tx, some, now)?;
                tx.commit()
            })?;
            std::thread::sleep(BETWEEN_GOES);
        }
        self.db.now(|sql| {
            series::forget(sql, now)?;
            machines::forget(sql, UnixMs(now.0.saturating_sub(LISTED_MS)))
        })
    }

    /// When charts were last written: until then, somebody was looking.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_alive(&self) -> Result<Option<UnixMs>, DbError> {
        let newest: Option<i64> = self
            .db
            .now(|sql| sql.query_row("SELECT max(at_s) FROM series", [], |row| row.get(0)))?;
        Ok(newest.map(|at_s| UnixMs(at_s.unsigned_abs() * 1000)))
    }

    /// Everything as it was at the last sample.
    #[must_use]
    pub fn shown(&self) -> Arc<Shown> {
        self.shown.load_full()
    }

    /// A pool's rates and counts.
    #[must_use]
    pub fn pool(&self, pool: PoolId) -> PoolTrack {
        self.shown.load().pool(pool).cloned().unwrap_or_default()
    }

    /// An account's rates and counts in a pool.
    #[must_use]
    pub fn account(&self, pool: PoolId, account: AccountId) -> Option<AccountTrack> {
        self.shown.load().account(pool, account).cloned()
    }

    /// A chart: of a pool, or of one account in it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn chart(
        &self,
        pool: PoolId,
        account: Option<AccountId>,
        range: Range,
        now: UnixMs,
    ) -> Result<Vec<Point>, DbError> {
        let key = (pool, account.unwrap_or_default());
        let step = range.step_s(account.is_some());
        let shown = self.shown();
        self.db
            .run(move |sql| {
                let mut points = series::read(sql, key, range, now)?;
                let open = match account {
                    Some(account) => shown.account(pool, account).map(|own| &own.gathering),
                    None => shown.pool(pool).map(|own| &own.gathering),
                };
                let open = open.and_then(|gathering| gathering.get(&step)).map(Bucket::unwritten);
                series::complete(&mut points, open, range, step, now);
                Ok(points)
            })
            .await
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Sums that are made anew at each sample: a thread that went down half way leaves nothing that lasts.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a machine did since the sample before.
#[derive(Default)]
struct Step {
    shares: u64,
    work: f64,
    rejected: u64,
}

impl Total {
    fn of(counts: &Counts) -> Self {
        Total {
            ids: counts.ids,
            display: (&*counts.display).into(),
            agent: counts.agent.clone(),
            shares: counts.shares,
            work: counts.work as f64,
            rejected: counts.rejected.iter().map(|(r, n)| ((*r).to_owned(), *n)).collect(),
            best: counts.best,
            best_at: counts.best_at,
            last_share: counts.last_share,
            asked: counts.asked as f64,
            since: counts.since,
        }
    }

    /// Shares refused, for whatever reason.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.rejected.values().sum()
    }

    fn plus(&self, newer: &Total) -> Total {
        let mut rejected = self.rejected.clone();
        for (reason, count) in &newer.rejected {
            *rejected.entry(reason.clone()).or_default() += count;
        }
        let better = newer.best > self.best;
        Total {
            ids: newer.ids.or(self.ids),
            display: newer.display.clone(),
            agent: newer.agent.clone(),
            shares: self.shares + newer.shares,
            work: self.work + newer.work,
            rejected,
            best: self.best.max(newer.best),
            best_at: if better { newer.best_at } else { self.best_at },
            last_share: self.last_share.max(newer.last_share),
            asked: if newer.asked > 0.0 { newer.asked } else { self.asked },
            since: if self.since.0 > 0 { self.since } else { newer.since },
        }
    }
}

impl Track {
    fn noted(total: Total, rates: Rates) -> Self {
        Track { total: Arc::new(total), rates, connections: 0 }
    }
}

impl Gauge {
    fn noted(track: Track) -> Self {
        Gauge { base: track.total.clone(), track, ..Gauge::default() }
    }

    fn advance(&mut self, counts: &Counts, seconds: f64) -> Step {
        let refused = counts.rejected.iter().map(|(_, count)| count).sum::<u64>();
        if counts.shares < self.last.shares || refused < self.last.refused() {
            // Its meter was dropped and made anew.
            self.base = self.track.total.clone();
            self.last = Total::default();
        }
        let step = Step {
            shares: counts.shares - self.last.shares,
            work: (counts.work as f64 - self.last.work).max(0.0),
            rejected: refused - self.last.refused(),
        };
        self.track.rates.add(step.work, seconds);
        (self.track.connections, self.seen) = (counts.connections, true);
        if step.shares > 0 || step.rejected > 0 {
            self.last = Total::of(counts);
            self.track.total = Arc::new(self.base.plus(&self.last));
        }
        step
    }
}

fn tally(
    accounts: &mut BTreeMap<(PoolId, AccountId), AccountTrack>,
    pools: &mut BTreeMap<PoolId, PoolTrack>,
    pool: PoolId,
    track: &Track,
    step: &Step,
    now: UnixMs,
) {
    let is_active = now.0 < track.total.last_share.0 + ACTIVE_MS;
    let whole = pools.entry(pool).or_default();
    whole.shares += track.total.shares;
    whole.work += track.total.work;
    whole.best = whole.best.max(track.total.best);
    whole.active += u32::from(is_active);
    for (reason, count) in &track.total.rejected {
        *whole.rejected.entry(reason.clone()).or_default() += count;
    }
    series::gather(&mut whole.gathering, &[60, 600, 3600], step, is_active, now);
    let Some((account, _)) = track.total.ids else { return };
    let own = accounts.entry((pool, account)).or_default();
    own.display.clone_from(&track.total.display);
    own.shares += track.total.shares;
    own.rejected += track.total.refused();
    own.active += u32::from(is_active);
    own.best = own.best.max(track.total.best);
    own.last_share = own.last_share.max(track.total.last_share);
    series::gather(&mut own.gathering, &[600, 3600], step, is_active, now);
}

impl Known {
    /// The rates of accounts and pools, from those of the machines.
    fn add_up(&mut self) {
        for (machine, Gauge { track, .. }) in &self.machines {
            self.pools.entry(machine.pool).or_default().rates.join(&track.rates);
            if let Some((account, _)) = track.total.ids {
                let own = self.accounts.entry((machine.pool, account)).or_default();
                own.rates.join(&track.rates);
                own.last_share = own.last_share.max(track.total.last_share);
            }
        }
    }

    /// Sums that are made anew at each sample.
    fn begin(&mut self) {
        self.machines.values_mut().for_each(|gauge| gauge.seen = false);
        for account in self.accounts.values_mut() {
            (account.shares, account.rejected, account.active) = (0, 0, 0);
            account.gathering.values_mut().for_each(Bucket::begin);
        }
        for pool in self.pools.values_mut() {
            (pool.shares, pool.active, pool.accounts) = (0, 0, 0);
            pool.work = 0.0;
            pool.rejected.clear();
            pool.gathering.values_mut().for_each(Bucket::begin);
        }
    }

    fn end(&mut self, seconds: f64, now: UnixMs) {
        for ((pool, _), account) in &mut self.accounts {
            account.rates.add(account.gathering.get(&600).map_or(0.0, |b| b.latest.0), seconds);
            if account.active > 0
                && let Some(pool) = self.pools.get_mut(pool)
            {
                pool.accounts += 1;
            }
        }
        for pool in self.pools.values_mut() {
            let (work, shares) = pool.gathering.get(&60).map_or((0.0, 0), |b| b.latest);
            pool.rates.add(work, seconds);
            pool.share_rates.add(shares as f64, seconds);
        }
        self.accounts.retain(|_, own| own.last_share.0 + LISTED_MS > now.0);
    }

    /// Steps that are over and not written yet; with `all`, what has been gathered so far too.
    fn finished(&mut self, all: bool) -> Vec<Row> {
        let mut rows = Vec::new();
        for (pool, track) in &mut self.pools {
            series::finish(&mut track.gathering, (*pool, AccountId(0)), all, &mut rows);
        }
        for (key, track) in &mut self.accounts {
            series::finish(&mut track.gathering, *key, all, &mut rows);
        }
        rows
    }

    /// A copy for whoever looks.
    fn show(&mut self) -> Shown {
        let mut machines: HashMap<Arc<Identity>, Vec<(Arc<Machine>, Track)>> =
            HashMap::with_capacity(self.accounts.len());
        for (machine, gauge) in &mut self.machines {
            let named = gauge.machine.get_or_insert_with(|| Arc::new(machine.clone()));
            let own = machines.entry(machine.identity.clone()).or_default();
            own.push((named.clone(), gauge.track.clone()));
        }
        Shown::of(machines, self.accounts.clone(), self.pools.clone(), self.sampled_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::{Identity, IdentityKind};

    fn machine(observatory: &Observatory, name: &str) -> std::sync::Arc<pool::observe::Meter> {
        let identity =
            Identity { kind: IdentityKind::Script, network: "test".into(), bytes: vec![1] };
        let identity = std::sync::Arc::new(identity);
        let machine = Machine { pool: PoolId(1), identity, worker: name.into() };
        let meter = observatory.meter(machine, UnixMs(0)).unwrap();
        meter.count(|counts| {
            counts.ids = Some((AccountId(7), WorkerId(1)));
            counts.display = "addr".into();
        });
        meter
    }

    /// Mines so many minutes at 100 hashes a second, looked at every five seconds and noted every 65.
    fn mine(history: &History, observatory: &Observatory, from: u64, minutes: u64) -> UnixMs {
        let meter = machine(observatory, "rig");
        let mut now = UnixMs(from);
        history.sample(observatory, now);
        for step in 1..=minutes * 12 {
            now = UnixMs(from + step * 5000);
            meter.count(|counts| counts.accepted(5, 500, 1.0, now));
            history.sample(observatory, now);
            if step % 13 == 0 {
                history.note(now, false).unwrap();
            }
        }
        now
    }

    #[tokio::test]
    async fn a_chart_has_no_hole_whenever_it_is_written() {
        let history = History::open(crate::db::in_memory(), UnixMs(0)).unwrap();
        let observatory = Observatory::default();
        let now = mine(&history, &observatory, 3_600_000, 50);
        let points = history.chart(PoolId(1), None, Range::Hour, now).await.unwrap();
        let mined: Vec<f64> =
            points.iter().map(|point| point.hashrate).filter(|h| *h > 0.0).collect();
        assert!(mined.len() >= 49, "{}", mined.len());
        assert!(mined.iter().all(|rate| (90.0..=110.0).contains(rate)), "{mined:?}");
        let own = history.chart(PoolId(1), Some(AccountId(7)), Range::Day, now).await.unwrap();
        assert!(own.iter().filter(|point| point.hashrate > 0.0).count() >= 5);
        assert!((history.pool(PoolId(1)).rates.shown() - 100.0).abs() < 1.0);
    }

    #[test]
    fn totals_and_rates_go_on_after_a_restart() {
        let db = crate::db::in_memory();
        let history = History::open(db.clone(), UnixMs(0)).unwrap();
        let now = mine(&history, &Observatory::default(), 3_600_000, 10);
        history.note(now, true).unwrap();
        // A new process: new meters, the same database.
        let history = History::open(db, now).unwrap();
        let restored = history.pool(PoolId(1)).rates.shown();
        assert!((restored - 100.0).abs() < 1.0, "{restored}");
        let now = mine(&history, &Observatory::default(), now.0, 1);
        let account = history.account(PoolId(1), AccountId(7)).unwrap();
        assert_eq!(account.shares, 5 * 12 * 11);
        assert_eq!(history.last_alive().unwrap().map(|at| at <= now), Some(true));
    }
}

//! `adit bench web`: how long visitors wait for pages and answers while the pool takes shares, and what visitors cost miners,
//! as one JSON line.
//!
//! The store is filled first, through the pool's own writer, cashier and wallet on an embedded chain: see [`fill`]. Then the
//! pool runs as a process of its own. Shares come at a steady rate, alone and beside visitors in turn; visitors ask for
//! every page and every answer equally often, each over a connection of its own, at times that were fixed before: a stall
//! makes all who come meanwhile wait, and all of that counts.
//!
//! The pages have threads of their own; so what the kernel counted for those is not the miners', and everything else is.
//!
//! Invariant: nothing is estimated; an answer that is not as it should be, or anything that could not be measured, ends the
//! bench with an error.

mod fill;
mod paths;
mod visitors;

use super::connection::{self, Connection, Latencies, address, greeting_of};
use super::pool::{BenchPool, Ground, Plan};
use super::{Load, WARM_UP, round, steady};
use crate::cli::bench::WebBenchArgs;
use anyhow::{Context, bail};
use devnet::Params;
use fill::Size;
use paths::{Kind, Known, PATHS};
use pool::{Clock, SystemClock};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use visitors::{Visitors, Visits};
use web::db::Db;
use web::keys::{Keys, Tier};

/// Shares a second.
const SHARES_PER_S: f64 = 10_000.0;
/// Over so many connections: each has a share ten times a second.
const CONNECTIONS: usize = 1000;
/// Hashes of a block at most: more would take too long to mine.
const HASHES_PER_BLOCK_MAX: u64 = 1 << 20;
/// And at least: a share takes four, and hardly ever is a block.
const HASHES_PER_BLOCK_MIN: u64 = 1 << 12;
/// How long the pool may take until it is ready and has looked at its books.
const READY_LIMIT: Duration = Duration::from_secs(300);
/// The visitors' API key.
const KEY_LABEL: &str = "adit-bench";

/// Runs the bench and prints its line.
///
/// # Errors
/// When the folder was filled otherwise, the pool does not start, refuses a share, or gives a wrong answer.
pub fn run(args: &WebBenchArgs) -> anyhow::Result<()> {
    crate::run::raise_file_limit();
    let size = Size::of(args)?;
    let plan = Plan {
        params: Params {
            halving_interval: u32::MAX,
            ..Params::with_hashes_per_block(size.hashes_per_block())
        },
        // A waiting transaction would be mined into the chain while it is filled.
        transactions: 0,
        keeps_blocks: true,
        serves_pages: true,
    };
    let ground = Ground::lay(args.data.as_deref(), &plan)?;
    fill::unless_filled(&ground, &size)?;
    let known = Known::read(&ground, &size)?;
    let there = known.there();
    let key = key(&ground, args.rate)?;
    let pool = BenchPool::start(ground)?;
    let to = pool.pages()?;
    eprintln!("waiting until the pool is ready");
    wait_until_ready(to)?;
    let visitors = Visitors::new(to, key, known, args.rate);
    visitors.ask_everything_once()?;

    let span = Duration::from_secs(args.seconds.max(1));
    let mut found = Found::default();
    for pair in 1..=args.pairs.max(1) {
        eprintln!("pair {pair} of {}", args.pairs.max(1));
        found.alone.push(alone(&pool, &size, span)?);
        found.loaded.push(beside(&pool, &size, &visitors, span)?);
    }
    println!("{}", found.line(&there)?);
    Ok(())
}

/// A key that allows as much as the visitors ask, made as `adit web add-key` makes it.
fn key(ground: &Ground, rate: u32) -> anyhow::Result<String> {
    let settings = crate::config::load(&ground.config())?;
    let keys = Keys::in_db(Db::open(&settings.data_dir)?);
    keys.remove(KEY_LABEL)?;
    let per_minute = rate.saturating_mul(120).max(1000);
    let quota = (per_minute, u64::from(per_minute) * 24 * 60);
    Ok(keys.make(KEY_LABEL, Tier::Paid, quota, SystemClock.now())?)
}

/// Ready, and done with what a cashier does when it starts: following the chain and folding the books.
fn wait_until_ready(to: SocketAddr) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let is_ready = visitors::get(to, "/readyz").is_ok_and(|answer| answer.status == 200);
        if is_ready {
            let metrics = visitors::get(to, "/metrics")?;
            let text = String::from_utf8_lossy(&metrics.body);
            if text
                .lines()
                .any(|line| line.starts_with("ledger_fold_ok{") && line.ends_with(" 1.0"))
            {
                return Ok(());
            }
        }
        if began.elapsed() > READY_LIMIT {
            bail!("the pool is not ready after {} s; see its log above", READY_LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Connections of machines that are known from the store.
fn open(pool: &BenchPool, size: &Size, span: Duration) -> anyhow::Result<Vec<Connection>> {
    let count = CONNECTIONS.min(size.workers);
    let each = (SHARES_PER_S * (span + WARM_UP).as_secs_f64() / count as f64).ceil() as usize + 10;
    let one = |n: usize| {
        let user = format!("{}.{}", address(n % size.accounts), size.name_of(n));
        Connection::open(pool.address(), greeting_of(user), each)
    };
    (0..count).map(one).collect()
}

fn alone(pool: &BenchPool, size: &Size, span: Duration) -> anyhow::Result<Load> {
    let mut connections = open(pool, size, span)?;
    connection::pace(&mut connections, SHARES_PER_S, WARM_UP)?;
    steady(pool, &mut connections, SHARES_PER_S, span)
}

/// Shares beside visitors.
struct Loaded {
    load: Load,
    visits: Visits,
}

fn beside(
    pool: &BenchPool,
    size: &Size,
    visitors: &Visitors,
    span: Duration,
) -> anyhow::Result<Loaded> {
    let mut connections = open(pool, size, span)?;
    connection::pace(&mut connections, SHARES_PER_S, WARM_UP)?;
    let (load, visits) = std::thread::scope(|scope| {
        let visiting = scope.spawn(|| visitors.come(span));
        let load = steady(pool, &mut connections, SHARES_PER_S, span);
        (load, visiting.join())
    });
    let visits = visits.map_err(|_| anyhow::anyhow!("the visitors panicked"))??;
    Ok(Loaded { load: load?, visits })
}

#[derive(Default)]
struct Found {
    alone: Vec<Load>,
    loaded: Vec<Loaded>,
}

impl Found {
    fn line(&self, size: &Size) -> anyhow::Result<serde_json::Value> {
        let mut by_path = vec![Latencies::default(); PATHS.len()];
        let (mut requests, mut seconds, mut pages_cpu) = (0, 0.0, Duration::ZERO);
        for Loaded { visits, load } in &self.loaded {
            by_path.iter_mut().zip(&visits.by_path).for_each(|(all, own)| all.join(own));
            requests += visits.by_path.iter().map(Latencies::count).sum::<usize>();
            seconds += visits.took.as_secs_f64();
            pages_cpu += load.cpu.pages;
        }
        let of = |kind: Kind| {
            let mut all = Latencies::default();
            let own = PATHS.iter().zip(&by_path).filter(|(path, _)| path.kind == kind);
            own.for_each(|(_, times)| all.join(times));
            all
        };
        let mut slowest: Vec<(u32, &str)> = PATHS
            .iter()
            .zip(&by_path)
            .filter(|(_, times)| times.count() > 0)
            .map(|(path, times)| (times.percentile(99), path.template))
            .collect();
        slowest.sort_unstable_by_key(|slow| std::cmp::Reverse(*slow));
        for (p99_us, path) in slowest.iter().take(10) {
            eprintln!("p99 {:>8.2} ms  {path}", f64::from(*p99_us) / 1e3);
        }
        let (p99_us, path) =
            *slowest.first().context("nobody asked for anything: raise --seconds")?;
        let ms = |us: u32| round(f64::from(us) / 1e3, 2);
        let loaded = || self.loaded.iter().map(|loaded| &loaded.load);
        let p99 = |load: &Load| f64::from(load.latencies.percentile(99));
        Ok(json!({
            "pages_p99_ms": ms(of(Kind::Page).percentile(99)),
            "api_p99_ms": ms(of(Kind::Api).percentile(99)),
            "requests_per_s": round(requests as f64 / seconds, 1),
            "share_ack_p99_us_alone": median(self.alone.iter().map(p99)),
            "share_ack_p99_us_loaded": median(loaded().map(p99)),
            "cpu_us_per_share_alone": round(median(self.alone.iter().map(Load::cpu_us_per_share)), 2),
            "cpu_us_per_share_loaded": round(median(loaded().map(Load::cpu_us_per_share)), 2),
            "pages_cpu_ms_per_request": round(pages_cpu.as_secs_f64() * 1e3 / requests.max(1) as f64, 2),
            "shares_per_s_alone": round(median(self.alone.iter().map(Load::per_s)), 0),
            "shares_per_s_loaded": round(median(loaded().map(Load::per_s)), 0),
            "requests": requests,
            "paths": PATHS.len(),
            "slowest": { "path": path, "p99_ms": ms(p99_us) },
            "pairs": self.alone.len(),
            "connections": CONNECTIONS.min(size.workers),
            "accounts": size.accounts,
            "workers": size.workers,
            "blocks": size.blocks,
            "shares": size.shares,
        }))
    }
}

/// The middle one; the lower of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

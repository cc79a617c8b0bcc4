//! `adit bench`: what this pool does on this machine, as one JSON line. This file is `adit bench stratum` ([`profile`] is the same for
//! GXC's hashes); [`web`], [`mod@compute`], [`farming`], [`ctv`] and [`sim`] are the others.
//!
//! The pool is a process of its own, on an embedded chain whose template has 3000 transactions; its processor time is what
//! the kernel counted for its threads. Shares are mined in advance, at the smallest difficulty, with each connection's own
//! extranonce. Every acknowledged share was synced to disk first, as always.
//!
//! Invariant: nothing is estimated; what could not be measured ends the bench with an error.

pub mod compute;
mod connection;
mod cpu;
pub mod ctv;
mod fanout;
pub mod farming;
mod pool;
mod profile;
mod served;
pub mod sim;
mod sync;
pub mod web;

use crate::cli::bench::BenchArgs;
use connection::{Connection, Latencies, greeting};
use cpu::Cpu;
use pool::{BenchPool, Ground, Plan};
use serde_json::json;
use std::time::{Duration, Instant};

/// Connections of the throughput loads.
const BUSY: usize = 50;
/// Submits in flight on each, pipelined.
const PIPELINE: usize = 16;
/// Connections and shares a second of the paced load.
const PACED: (usize, f64) = (200, 2000.0);
/// More shares a second than this are not expected.
const RATE_MAX: usize = 500_000;
/// At the start of each load nothing is counted for so long.
const WARM_UP: Duration = Duration::from_millis(500);

/// Runs the bench and prints its line.
///
/// # Errors
/// When the pool does not start, or refuses a share.
pub fn stratum(args: &BenchArgs) -> anyhow::Result<()> {
    crate::run::raise_file_limit();
    let span = Duration::from_secs(args.seconds.max(1));
    if let Some(which) = args.profile {
        return profile::run(which, args, span);
    }
    let ground = Ground::lay(args.data.as_deref(), &Plan::default())?;
    let pool = BenchPool::start(ground)?;

    let pipelined = busy(&pool, PIPELINE, span)?;
    let single = busy(&pool, 1, span)?;
    let paced = paced(&pool, span)?;
    let idle = fanout::measure(&pool, args.idle)?;

    println!(
        "{}",
        json!({
            "accepted_per_s": round(pipelined.per_s(), 0),
            "cpu_us_per_share": round(pipelined.cpu_us_per_share(), 2),
            "cpu_us_per_share_single": round(single.cpu_us_per_share(), 2),
            "accepted_per_s_single": round(single.per_s(), 0),
            "ack_p50_us": paced.load.latencies.percentile(50),
            "ack_p99_us": paced.load.latencies.percentile(99),
            "cpu_us_per_share_2k": round(paced.load.cpu_us_per_share(), 2),
            "sync_p50_us": paced.syncs.percentile(50),
            "sync_p99_us": paced.syncs.percentile(99),
            "tip_to_first_byte_ms": round(idle.tip_to_first_ms, 2),
            "tip_to_last_byte_ms": round(idle.tip_to_last_ms, 2),
            "fanout_10k_ms": round(idle.tip_to_last_ms - idle.tip_to_first_ms, 2),
            "rss_per_connection_bytes": idle.rss_per_connection,
            "connections": idle.connections,
            "template_transactions": Plan::default().transactions,
            "durable": true,
        })
    );
    Ok(())
}

fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// What a load did.
struct Load {
    accepted: usize,
    took: Duration,
    cpu: Cpu,
    latencies: Latencies,
}

impl Load {
    fn per_s(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    fn cpu_us_per_share(&self) -> f64 {
        self.cpu.pool.as_secs_f64() * 1e6 / self.accepted.max(1) as f64
    }
}

/// As fast as it goes, with so many submits in flight on each connection.
fn busy(pool: &BenchPool, depth: usize, span: Duration) -> anyhow::Result<Load> {
    let shares = RATE_MAX / BUSY * (span + WARM_UP).as_secs_f64().ceil() as usize;
    let mut connections = open(pool, BUSY, shares)?;
    connection::pump(&mut connections, depth, WARM_UP)?;
    let (cpu, began) = (pool.count_cpu()?, Instant::now());
    let (accepted, latencies) = connection::pump(&mut connections, depth, span)?;
    Ok(Load { accepted, took: began.elapsed(), cpu: cpu.stop()?, latencies })
}

struct Paced {
    load: Load,
    syncs: Latencies,
}

/// A steady rate, with the disk's own sync times taken beside it.
fn paced(pool: &BenchPool, span: Duration) -> anyhow::Result<Paced> {
    let (count, per_s) = PACED;
    let each = (per_s * (span + WARM_UP).as_secs_f64() / count as f64).ceil() as usize + 10;
    let mut connections = open(pool, count, each)?;
    connection::pace(&mut connections, per_s, WARM_UP)?;
    let probe = sync::Probe::start(pool.folder())?;
    let load = steady(pool, &mut connections, per_s, span)?;
    Ok(Paced { load, syncs: probe.stop()? })
}

/// So many shares a second, and what the pool did for them.
fn steady(
    pool: &BenchPool,
    connections: &mut [Connection],
    per_s: f64,
    span: Duration,
) -> anyhow::Result<Load> {
    let (cpu, began) = (pool.count_cpu()?, Instant::now());
    let (accepted, latencies) = connection::pace(connections, per_s, span)?;
    Ok(Load { accepted, took: began.elapsed(), cpu: cpu.stop()?, latencies })
}

fn open(pool: &BenchPool, count: usize, shares: usize) -> anyhow::Result<Vec<Connection>> {
    (0..count).map(|n| Connection::open(pool.address(), greeting(n), shares)).collect()
}

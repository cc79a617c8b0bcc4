//! `adit bench sim`: how fast the simulator is on this machine, as one JSON line.
//!
//! Invariant: what is timed is what the commands run; memory is what the kernel counted for this process.

use serde_json::json;
use simulator::random::Dice;
use simulator::shares::{self, Setting, pplns};
use simulator::world::{Hashrates, Rewards};
use simulator::{article, repeats, silent};
use std::time::Instant;

/// Times that the article's run is made; the median counts.
const ARTICLE_RUNS: u64 = 9;
/// Miners of the PPLNS pool.
const MINERS: usize = 1000;
/// Its part of the network.
const POOL: f64 = 0.01;
/// Horizons of the year's run.
const HORIZONS: [u64; 6] = simulator::recorder::HORIZONS;

/// Runs the bench and prints its line.
///
/// # Errors
/// When the kernel does not say how much memory was used.
pub fn run(years: u64) -> anyhow::Result<()> {
    let mut times: Vec<f64> = (0..ARTICLE_RUNS)
        .map(|seed| {
            let began = Instant::now();
            let draw = article::draw(seed, 0, article::BLOCKS);
            std::hint::black_box(&draw.run.incomes);
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let memory = peak_memory()?;

    let began = Instant::now();
    let paid = repeats(years, &silent, |number| {
        let mut dice = Dice::stream(1, number);
        let hashrates = Hashrates::Pareto { alpha: 1.5 }.draw(MINERS, POOL, &mut dice);
        let setting = Setting {
            hashrates,
            shares_per_block: 1_000_000,
            policy: pplns(2000),
            rewards: Rewards::constant(3.125),
            stale: 0.0,
            fee: accounting::BasisPoints::new(100).unwrap_or_default(),
            blocks: 52_560,
        };
        shares::run(&setting, &HORIZONS, dice).totals.iter().sum::<f64>()
    });
    let pplns_year_s = began.elapsed().as_secs_f64();
    let mean = paid.iter().sum::<f64>() / paid.len() as f64 / simulator::COIN;
    println!(
        "{}",
        json!({
            "article_ms": round(times[times.len() / 2], 2),
            "article_rss_mb": round(memory, 1),
            "pplns_year_s": round(pplns_year_s, 2),
            "pplns_years": years,
            "pplns_miners": MINERS,
            "pplns_mean_coins_a_year": round(mean, 2),
            "threads": rayon::current_num_threads(),
        })
    );
    Ok(())
}

fn round(value: f64, decimals: i32) -> f64 {
    super::round(value, decimals)
}

/// The most memory this process had, in megabytes.
fn peak_memory() -> anyhow::Result<f64> {
    use anyhow::Context;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: f64 = line
        .and_then(|line| line.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse().ok())
        .context("the kernel does not say how much memory was used")?;
    Ok(kilobytes * 1024.0 / 1e6)
}

//! What miners earn under each way of dividing, by simulation, and whether the simulation is right.
//!
//! Two engines. [`blocks`] draws who finds each block and is enough for solo mining and coordination-free pools; [`shares`] draws
//! how many shares each miner finds between blocks, and is needed wherever shares are paid. Both ask `accounting` and
//! `covenant` who gets what: windows, divisions, parts and weights are the pool's own.
//!
//! Invariant: a result is a function of the scenario and its seed; the number of threads changes nothing. Amounts paid are whole
//! satoshis; means and variances are floats, because they are no money.
//!
//! Reading order: [`random`], [`world`] (hashrates and rewards), [`recorder`] (horizons), the engines, [`scenario`] and [`report`]
//! (a run from a file), [`adversary`] and [`ruin`] (who plays against the rules), [`theory`] and [`validate`] (whether this can
//! be believed), [`article`], [`compare`], [`picture`].

pub mod adversary;
pub mod article;
pub mod blocks;
pub mod compare;
pub mod picture;
pub mod random;
pub mod recorder;
pub mod report;
pub mod ruin;
pub mod scenario;
pub mod shares;
pub mod theory;
pub mod validate;
pub mod world;

/// Satoshis in a coin.
pub const COIN: f64 = 1e8;

/// Called with how much is done, of how much.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// For those who do not want to know.
pub fn silent(_done: u64, _of: u64) {}

/// Runs repeats on all cores; what comes out is in their order, whatever the number of threads.
pub fn repeats<T: Send>(
    count: u64,
    progress: Progress<'_>,
    one: impl Fn(u64) -> T + Sync,
) -> Vec<T> {
    use rayon::iter::{IntoParallelIterator, ParallelIterator};
    use std::sync::atomic::{AtomicU64, Ordering};
    let done = AtomicU64::new(0);
    (0..count)
        .into_par_iter()
        .map(|number| {
            let found = one(number);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
            found
        })
        .collect()
}

//! `adit bench compute`: the evaluator beside numpy, signatures, refusals over HTTP, and the desk with its tables.
//!
//! Rates a core are by processor time, so that what else runs on the machine does not count. A cycle is a lease and its answer, both
//! synced to disk before they are told; 64 miners ask at once.

mod cycles;
mod evaluator;
mod refusal;

use super::{cpu, round};
use crate::cli::bench::ComputeBenchArgs;
use compute::auth::{Headers, Message, Replay, ReplayCache, verify};
use compute::key::SigningKey;
use serde_json::json;
use std::time::Duration;

/// Signatures made in advance.
const SIGNED: usize = 20_000;

/// Runs the bench and prints its line.
///
/// # Errors
/// When something cannot be measured.
pub fn run(args: &ComputeBenchArgs) -> anyhow::Result<()> {
    let span = Duration::from_secs(args.seconds.max(1));
    let evaluated = evaluator::measure(span)?;
    let numpy = evaluator::numpy(args.python.as_deref())?;
    let verified = verified()?;
    let refused = refusal::measure(span)?;
    let cycles = crate::runtime()?.block_on(cycles::per_s(span))?;
    println!(
        "{}",
        json!({
            "dsl_instructions_per_s_per_core": evaluated.all.round(),
            "dsl_instructions_by_program": evaluated.by_program(),
            "numpy_instructions_per_s_per_core": numpy.map(f64::round),
            "ratio_to_numpy": numpy.map(|numpy| round(evaluated.all / numpy, 1)),
            "verified_per_s_per_core": verified.round(),
            "refusal_ratio": round(refused.worst(), 3),
            "refusal_us": refused.by_kind(),
            "empty_us": round(refused.empty_us, 2),
            "cycles_per_s": cycles.round(),
        })
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn verified() -> anyhow::Result<f64> {
    let key = SigningKey::from_seed(&[1; 32]);
    let (hotkey, timestamp) = (key.public().to_string(), "1700000000");
    let signed: Vec<String> =
        (0..SIGNED).map(|_| key.sign(b"auth:1700000000").to_string()).collect();
    let replay = Replay::of(ReplayCache::starting(0));
    let began = cpu::of_this_thread()?;
    for signature in &signed {
        let headers =
            Headers { key: Some(&hotkey), timestamp: Some(timestamp), signature: Some(signature) };
        verify(&headers, &Message::Request, 1_700_000_000, &replay)?;
    }
    Ok(SIGNED as f64 / (cpu::of_this_thread()? - began).as_secs_f64())
}

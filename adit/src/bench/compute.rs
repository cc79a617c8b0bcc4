//! `adit bench compute`: the evaluator, signatures and the desk with its tables, each on its own.
//!
//! A cycle is a lease and its answer, both synced to disk before they are told; 64 miners ask at once. What needs a client beside it
//! (HTTP's part of a refusal, the original's engine) is not measured here.

use crate::cli::ComputeBenchArgs;
use anyhow::Context;
use compute::auth::{Headers, Message, Replay, ReplayCache, verify};
use compute::data::demo;
use compute::desk::{Answer, Settings};
use compute::dsl::{Limits, lenient};
use compute::evaluate::Prepared;
use compute::evolve::founders;
use compute::key::{PublicKey, SigningKey};
use compute::lease::Wish;
use compute::office::Office;
use serde_json::json;
use std::time::{Duration, Instant};

/// Miners that ask at once.
const MINERS: u64 = 64;
/// Signatures made in advance.
const SIGNED: usize = 4000;
/// The program whose instructions are counted: a line fitted step by step.
const PROGRAM: &str = "# setup\ns2 = 0.02\n# predict\ns0 = dot(v0, v1)\n# learn\ns3 = s1 - s0\ns3 = s3 * s2\nv2 = v0 * s3\nv1 = v1 + v2\n";

/// Runs the bench and prints its line.
///
/// # Errors
/// When the tables cannot be used.
pub fn run(args: &ComputeBenchArgs) -> anyhow::Result<()> {
    let span = Duration::from_secs(args.seconds.max(1));
    let instructions = instructions(span)?;
    let verified = verified()?;
    let cycles = crate::runtime()?.block_on(cycles(span))?;
    println!(
        "{}",
        json!({
            "dsl_instructions_per_s_per_core": instructions.round(),
            "verified_per_s_per_core": verified.round(),
            "cycles_per_s": cycles.round(),
        })
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn instructions(span: Duration) -> anyhow::Result<f64> {
    let set = Prepared::new(&demo::classes());
    let program = lenient::read(PROGRAM, 16, &Limits::POOL)?.program;
    let (began, mut count) = (Instant::now(), 0u64);
    while began.elapsed() < span {
        set.evaluate(&program)?;
        count += set.instructions(&program);
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn verified() -> anyhow::Result<f64> {
    let key = SigningKey::from_seed(&[1; 32]);
    let (hotkey, timestamp) = (key.public().to_string(), "1700000000");
    let signed: Vec<String> =
        (0..SIGNED).map(|_| key.sign(b"auth:1700000000").to_string()).collect();
    let replay = Replay::of(ReplayCache::starting(0));
    let began = Instant::now();
    for signature in &signed {
        let headers =
            Headers { key: Some(&hotkey), timestamp: Some(timestamp), signature: Some(signature) };
        verify(&headers, &Message::Request, 1_700_000_000, &replay)?;
    }
    Ok(SIGNED as f64 / began.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn cycles(span: Duration) -> anyhow::Result<f64> {
    let folder = std::env::temp_dir().join(format!("adit-bench-compute-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    let (office, running, _) = Office::open(&folder, Settings::DEFAULT, 1)?;
    let set = Prepared::new(&demo::classes());
    for founder in founders(16) {
        let found = set.evaluate(&founder)?;
        office
            .step(None, move |desk, _| {
                let mut changes = desk.found(&founder, 0);
                let wanted: Vec<_> = desk.wanted().map(|wanted| wanted.id).collect();
                for id in wanted {
                    changes.extend(desk.own_result(id, &found, None, 0));
                }
                Ok(((), changes))
            })
            .await?;
    }
    let began = Instant::now();
    let miners: Vec<_> = (0..MINERS)
        .map(|miner| tokio::spawn(ask_and_answer(office.clone(), miner, began, span)))
        .collect();
    let mut count = 0;
    for miner in miners {
        count += miner.await??;
    }
    let spent = began.elapsed().as_secs_f64();
    office.stop().await;
    tokio::task::spawn_blocking(|| running.join()).await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(count as f64 / spent)
}

async fn ask_and_answer(
    office: Office,
    miner: u64,
    began: Instant,
    span: Duration,
) -> anyhow::Result<u64> {
    let mut bytes = [3; 32];
    bytes[..8].copy_from_slice(&miner.to_be_bytes());
    let key = PublicKey::from_bytes(bytes);
    let mut count = 0;
    while began.elapsed() < span {
        let leased = office
            .step(None, move |desk, _| {
                Ok(match desk.request(key, 0, Wish::Evolve, 1) {
                    Ok((lease, changes)) => (Ok(lease.id), changes),
                    Err(reject) => (Err(reject), vec![]),
                })
            })
            .await??;
        let text = format!(
            "# predict\ns2 = {miner}.5\ns3 = {count}.5\nv1 = v0 * s2\nv1 = v1 + s3\ns0 = norm(v1)\n"
        );
        let answer = Answer { evolved: vec![text], ..Answer::default() };
        office
            .step(None, move |desk, tables| {
                let known = |name: &_| tables.knows(name).unwrap_or(true);
                Ok(match desk.submit(key, leased, &answer, 2, known) {
                    Ok((_, changes)) => (Ok(()), changes),
                    Err(reject) => (Err(reject), vec![]),
                })
            })
            .await??;
        count += 1;
    }
    Ok(count)
}

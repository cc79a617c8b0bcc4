//! Leases and answers: the desk with its tables, each synced to disk before it is told.

use anyhow::Context;
use compute::data::demo;
use compute::desk::{Answer, OPEN_MAX, Settings};
use compute::evaluate::Prepared;
use compute::evolve::founders;
use compute::key::PublicKey;
use compute::lease::Wish;
use compute::office::Office;
use std::time::{Duration, Instant};

/// Miners that ask at once.
const MINERS: u64 = 64;
/// Nobody evaluates what they answer, and a desk on which [`OPEN_MAX`] are open hands out no more to evolve: each stops before.
const CYCLES_MAX: u64 = OPEN_MAX as u64 * 9 / 10 / MINERS;

/// Leases that were handed out and answered, in a second.
///
/// # Errors
/// When the tables cannot be used.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub async fn per_s(span: Duration) -> anyhow::Result<f64> {
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
    while began.elapsed() < span && count < CYCLES_MAX {
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

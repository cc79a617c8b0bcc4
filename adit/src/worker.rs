//! `adit worker`: computes for a pool, and says what it does.

use crate::cli::WorkerArgs;
use anyhow::Context;
use compute::client::{Client, Config, News, key};
use compute::data::demo;
use compute::evaluate::Prepared;
use compute::self_test;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Works until interrupted.
///
/// # Errors
/// When it cannot begin, or the pool wants another data set.
pub async fn run(args: WorkerArgs) -> anyhow::Result<()> {
    self_test::run()?;
    println!("this machine computes what every other one does");
    if args.self_test {
        return Ok(());
    }
    let pool = args.pool.context("name a pool with --pool")?;
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let (hotkey, is_new) = key::open(&args.key, fresh)?;
    if is_new {
        println!("a new hotkey is in {}: keep it, it is what you are paid by", args.key.display());
    }
    let set = match &args.set {
        Some(file) => crate::data::open(file)?,
        None => demo::classes(),
    };
    let set = Arc::new(Prepared::new(&set));
    println!("{} with {} ({})", hotkey.public(), set.name(), set.hash());
    let cancel = CancellationToken::new();
    let config = Config {
        pool,
        key: hotkey,
        folder: args.data,
        batch: args.batch,
        generations: args.generations,
    };
    let client = Client::new(config, set, |news| tell(&news), cancel.clone())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let interrupted = async move {
        tokio::select! {
            done = tokio::signal::ctrl_c() => done,
            _ = terminated.recv() => Ok(()),
        }
    };
    let working = client.work();
    tokio::pin!(working);
    tokio::select! {
        done = &mut working => return Ok(done?),
        done = interrupted => done?,
    }
    println!("stopping; what is in hand is kept");
    cancel.cancel();
    Ok(working.await?)
}

fn tell(news: &News) {
    let number = |score: &Option<f64>| score.map_or("none".into(), |score| format!("{score:.6}"));
    match news {
        News::Registered(key) => println!("registered as {key}"),
        News::Leased { lease, evaluate, evolve } => {
            println!("lease {lease}: {evaluate} to evaluate, {evolve} to evolve");
        }
        News::Evaluated { algorithm, score } => {
            println!("algorithm {algorithm}: {}", number(score));
        }
        News::Evolved { from, to } => println!("evolved from {} to {}", number(from), number(to)),
        News::Answered(lease) => println!("lease {lease} is answered"),
        News::Waiting(why, pause) => println!("{why} (again in {} s)", pause.as_secs()),
    }
}

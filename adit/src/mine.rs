//! `adit miner` and `adit devnet`: the two ends a pool stands between.

use crate::cli::{DevnetArgs, MinerAlgorithm, MinerArgs};
use devnet::{Devnet, Options, Params};
use miner::{Config, Miner};
use pow::Algorithm;
use std::time::Duration;

/// How often the miner says how it is doing.
const REPORT: Duration = Duration::from_secs(5);

/// Mines until interrupted.
///
/// # Errors
/// When the miner cannot start.
pub async fn mine(args: MinerArgs) -> anyhow::Result<()> {
    let config = Config {
        address: args.pool,
        user: args.user,
        password: args.password,
        user_agent: concat!("adit-miner/", env!("CARGO_PKG_VERSION")).into(),
        algorithm: match args.algorithm {
            MinerAlgorithm::Sha256d => Algorithm::Sha256d,
            MinerAlgorithm::Scrypt => Algorithm::Scrypt,
        },
        threads: args.threads,
        max_hashrate: args.max_hashrate,
        tls_certificate: args.tls_certificate,
        suggest_difficulty: args.difficulty,
        version_rolling: true,
        extranonce_subscribe: true,
        patience: Duration::from_secs(30),
    };
    let miner = Miner::start(config)?;
    let stats = miner.stats();
    let mut reports = tokio::time::interval(REPORT);
    reports.tick().await;
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
            _ = reports.tick() => report(&stats.borrow()),
        }
    }
    report(&stats.borrow());
    miner.stop().await;
    Ok(())
}

fn report(stats: &miner::Stats) {
    let rejected: Vec<String> =
        stats.rejected.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    println!(
        "{:>10.1} kH/s  difficulty {}  accepted {}  refused {}{}  blocks {}{}",
        stats.hashrate / 1000.0,
        stats.difficulty,
        stats.accepted,
        stats.rejected.values().sum::<u64>(),
        if rejected.is_empty() { String::new() } else { format!(" ({})", rejected.join(", ")) },
        stats.blocks,
        stats.trouble.as_ref().map(|text| format!("  [{text}]")).unwrap_or_default(),
    );
}

/// Runs the embedded chain until interrupted or told to stop by RPC.
///
/// # Errors
/// When the address is taken or the blocks cannot be kept.
pub async fn devnet(args: DevnetArgs) -> anyhow::Result<()> {
    let params = args.hashes_per_block.map_or_else(Params::default, Params::with_hashes_per_block);
    let options = Options {
        params,
        listen: args.listen,
        user: args.user.clone(),
        password: args.password,
        blocks: args.blocks,
    };
    let devnet = Devnet::start(options).await?;
    let (hash, height) = devnet.tip();
    println!(
        "listening on {} for user {}; height {height}, tip {hash}",
        devnet.address(),
        args.user
    );
    println!(
        "genesis {}",
        devnet.look(|chain| chain.hash_at(0)).map(|hash| hash.to_string()).unwrap_or_default()
    );
    let nobody = devnet::nobody();
    let every = args.mine_every.map(Duration::from_millis);
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
            () = devnet.stopped() => return Ok(()),
            () = tokio::time::sleep(every.unwrap_or(Duration::from_secs(3600))) => {
                if every.is_some() {
                    devnet.mine_to(&nobody, 1);
                }
            }
        }
    }
}

//! `adit miner` and `adit devnet`: the two ends a pool stands between.

use crate::cli::{DevnetArgs, MinerAlgorithm, MinerArgs};
use devnet::ether::{Chain, EtherNode};
use devnet::gxc::{GxcNode, Ledger, Net};
use devnet::{Devnet, Options, Params};
use miner::{Config, Hash, Miner};
use pow::Algorithm;
use std::net::SocketAddr;
use std::time::Duration;
use stratum::coin::{Coin, Family, Network};

/// How often the miner says how it is doing.
const REPORT: Duration = Duration::from_secs(5);
/// The id of the chain of Ethash that is made up.
const ETHASH_CHAIN: u64 = 1337;

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
            MinerAlgorithm::Sha256d => Algorithm::Sha256d.into(),
            MinerAlgorithm::Scrypt => Algorithm::Scrypt.into(),
            MinerAlgorithm::Gxhash => Hash::GxHash,
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

/// Runs a node that behaves as GXC's was seen to, until interrupted.
async fn gxc(
    address: String,
    listen: SocketAddr,
    difficulty: f64,
    mine_every: Option<u64>,
) -> anyhow::Result<()> {
    let coin = Coin::new(Family::Gxc, Network::Test)?;
    stratum::coin::address::script_of(&address, coin)?;
    let mut ledger = Ledger::new(Net::Test);
    ledger.difficulty = difficulty;
    ledger.wallet.insert(address.clone());
    let node = GxcNode::start(ledger, listen)?;
    println!(
        "listening on {} as a GXC test node whose wallet has the key of {address}; a block's hash begins with {} zeros",
        node.address(),
        stratum::gxc::offer::zeros(difficulty)
    );
    let nobody = format!("tGXC{}", "f".repeat(34));
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
            () = tokio::time::sleep(Duration::from_millis(mine_every.unwrap_or(3_600_000))) => {
                if mine_every.is_some() {
                    node.mine_to(&nobody, 1);
                }
            }
        }
    }
}

/// Runs a node of a chain of Ethash until interrupted.
async fn ethash(
    address: &str,
    listen: SocketAddr,
    bits: u32,
    mine_every: Option<u64>,
) -> anyhow::Result<()> {
    let miner = stratum::ether::address::parse(address)?;
    let node = EtherNode::start(Chain::new(ETHASH_CHAIN, bits, &[]), miner, listen)?;
    println!(
        "listening on {} as a node of a chain of Ethash (network = \"{ETHASH_CHAIN}\") whose blocks pay {address}; one takes 2^{bits} hashes",
        node.address()
    );
    let nobody = [0xff; 20];
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
            () = tokio::time::sleep(Duration::from_millis(mine_every.unwrap_or(3_600_000))) => {
                if mine_every.is_some() {
                    node.chain(|chain| chain.mine_to(nobody));
                }
            }
        }
    }
}

/// Runs the embedded chain until interrupted or told to stop by RPC.
///
/// # Errors
/// When the address is taken or the blocks cannot be kept.
pub async fn devnet(args: DevnetArgs) -> anyhow::Result<()> {
    if let Some(address) = args.ethash {
        return ethash(&address, args.listen, args.ethash_bits, args.mine_every).await;
    }
    if let Some(address) = args.gxc {
        return gxc(address, args.listen, args.gxc_difficulty, args.mine_every).await;
    }
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

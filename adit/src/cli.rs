//! The command line. Each help text is a small manual page.

pub mod audit;
pub mod bench;
pub mod ctv;
pub mod demo;
pub mod payouts;
pub mod sim;
pub mod web;
pub mod worker;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A mining pool server: shares that are durable before they are acknowledged, money that is exact, splits that anybody can
/// recompute.
#[derive(Debug, Parser)]
#[command(
    name = "adit",
    version,
    max_term_width = 100,
    after_help = "Begin with `adit demo`, or with `adit init` and `adit check`."
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub struct ConfigArg {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "adit.toml")]
    pub config: PathBuf,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows a whole pool at work: a chain, a pool and three miners, in one process
    ///
    /// Starts an embedded regtest chain, a pool on it, and three CPU miners of unequal speed that speak real Stratum over
    /// loopback. The chain itself mines the filler blocks that mature the pool's blocks, and says so. Nothing leaves this
    /// machine and nothing is kept, unless --data names a folder.
    Demo(demo::DemoArgs),
    /// Asks a few questions and writes a commented configuration
    ///
    /// An existing file is not overwritten. For a hot wallet a new key is made beside it, readable by its owner only.
    Init(InitArgs),
    /// Says in words what is wrong with configuration, node, wallet, ports, clock and disk
    ///
    /// Changes nothing. The exit status is 0 when a pool could start, 1 when something must be mended first.
    Check(ConfigArg),
    /// Runs the pool until it is told to stop (SIGINT or SIGTERM)
    ///
    /// Found blocks that may not have reached the nodes are submitted again first. Stopping is safe at any moment, and so
    /// is `kill -9`.
    Run(ConfigArg),
    /// Shows how a running pool is doing, as JSON
    Status(ConfigArg),
    /// Tells a running pool that there may be a new block, for a node's -blocknotify
    ///
    /// For example: bitcoind -blocknotify="adit knock --config /etc/adit.toml"
    Knock(KnockArgs),
    /// Lists, holds, releases, tries out and exports payouts
    #[command(subcommand)]
    Payouts(payouts::PayoutsCommand),
    /// Recomputes splits from the kept shares and the chain: PASS, or the first difference
    ///
    /// For each block: every slice of its window is sealed again from the shares, the window is found again from the slices,
    /// the split again from the window, and the coinbase is compared with the chain when a node of the configuration
    /// answers. With --from, a pool elsewhere is audited by its public API alone. The exit status is 0 only if everything
    /// passes.
    Audit(audit::AuditArgs),
    /// Takes back an accepted share: it no longer counts in windows that are not split yet
    Revoke(RevokeArgs),
    /// Copies the store of a running or stopped pool into a new file
    Backup(BackupArgs),
    /// Puts a backup in place of a store
    ///
    /// The pool must not run. What is there is moved aside, not deleted. Payouts stay held afterwards until every spend
    /// that the wallet shows is known or matched, and until `adit payouts release all`.
    Restore(BackupArgs),
    /// Keeps an internet address, or a miner's account, away
    ///
    /// Its open connections end within seconds. What it has earned stays its own.
    Ban(BanArgs),
    /// Takes a ban back
    Unban(UnbanArgs),
    /// Stops handing out a pool's work
    ///
    /// Connections stay open and solved blocks are still taken; nobody is paid less. It outlives a restart.
    Pause(PauseArgs),
    /// Hands out a paused pool's work again
    Resume(ResumeArgs),
    /// Who may operate the pages, and which programs have a key
    #[command(subcommand)]
    Web(web::WebCommand),
    /// Computes for a pool of the BitSota kind: leases, evaluates, evolves and answers
    ///
    /// What is in hand is kept on disk, so that a restart goes on with it. Stops cleanly at SIGINT or SIGTERM.
    ///
    /// With --sidecar-url it works for a sidecar, with --direct for a relay, with --ui from a page of its own.
    Worker(worker::WorkerArgs),
    /// Keeps jobs for workers on this machine, in the original sidecar's HTTP
    ///
    /// Between `adit driver`, or another driver, and any number of `adit worker --sidecar-url`. A restart loses nothing.
    Sidecar(worker::SidecarArgs),
    /// Fetches a pool's leases for a sidecar's workers, and hands in what they computed
    ///
    /// It has the hotkey and computes nothing; the workers compute and have no key.
    Driver(worker::DriverArgs),
    /// Makes the data sets that compute pools and workers share
    ///
    /// A set's name is its hash: pool and worker must have the same.
    #[command(subcommand)]
    Data(DataCommand),
    /// Mines on a pool with this machine's CPU
    ///
    /// For trying a pool; it speaks plain Stratum V1 and knows nothing of the pool's inside.
    Miner(MinerArgs),
    /// Runs the embedded regtest chain alone, speaking bitcoind's JSON-RPC
    Devnet(DevnetArgs),
    /// Coordination-free pools: blocks whose coinbase pays earlier finders by a tree of transactions (BIP-119)
    #[command(subcommand)]
    Ctv(ctv::CtvCommand),
    /// Simulates what miners earn
    #[command(subcommand)]
    Sim(sim::SimCommand),
    /// Measures this pool on this machine
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "adit.toml")]
    pub config: PathBuf,
    /// Ask nothing: take the default of every question
    #[arg(long)]
    pub defaults: bool,
}

/// `knock`
#[derive(Debug, Args)]
pub struct KnockArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// Of this asset only
    pub asset: Option<String>,
}

/// `revoke`
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// The share's position in the log (`SELECT seq FROM shares`)
    pub share: u64,
    /// Why
    #[arg(long)]
    pub reason: String,
}

/// `ban`
#[derive(Debug, Args)]
pub struct BanArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// An IPv4 address, an IPv6 address (its whole /64 is meant), or a miner's address
    pub who: String,
    /// Why, for those who ask later
    #[arg(long)]
    pub reason: String,
}

/// `unban`
#[derive(Debug, Args)]
pub struct UnbanArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// As it was banned
    pub who: String,
}

/// `pause`
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// The pool's name
    pub pool: String,
    /// Why, for those who ask later
    #[arg(long)]
    pub reason: String,
}

/// `resume`
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// The pool's name
    pub pool: String,
}

/// `backup`, `restore`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// The backup's file
    pub file: PathBuf,
}

/// `miner`
#[derive(Debug, Args)]
pub struct MinerArgs {
    /// The pool: host and port
    #[arg(long, value_name = "HOST:PORT")]
    pub pool: String,
    /// The user: usually an address, a dot, and this machine's name
    #[arg(long)]
    pub user: String,
    /// The password, or options such as d=1000
    #[arg(long, default_value = "x")]
    pub password: String,
    /// How headers are hashed
    #[arg(long, value_enum, default_value_t = MinerAlgorithm::Sha256d)]
    pub algorithm: MinerAlgorithm,
    /// Threads that hash
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// At most so many hashes a second
    #[arg(long, value_name = "HASHES")]
    pub max_hashrate: Option<f64>,
    /// Speak TLS, and trust this certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// Ask for this difficulty
    #[arg(long)]
    pub difficulty: Option<f64>,
}

/// `data`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// The small set of classes that ships, for tests and demonstrations
    Demo {
        /// Where to write it
        out: PathBuf,
    },
    /// The original's 128 CIFAR-10 tasks, from your own copy of the pictures
    ///
    /// The pictures are CIFAR_10_small, version 1, of OpenML: 20 000 rows of 3072 numbers and a class, as ARFF.
    Cifar {
        /// The pictures
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Take another file than the original's: nobody who has that one will be in consensus
        #[arg(long)]
        other_file: bool,
        /// Where to write the set
        out: PathBuf,
    },
}

/// Algorithms of the miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MinerAlgorithm {
    /// Bitcoin
    Sha256d,
    /// Litecoin
    Scrypt,
    /// GXC's GXHash as documented: one or two hashes a second
    Gxhash,
}

/// `devnet`
#[derive(Debug, Args)]
pub struct DevnetArgs {
    /// Where the RPC listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18443")]
    pub listen: SocketAddr,
    /// The RPC user
    #[arg(long, default_value = "adit")]
    pub user: String,
    /// The RPC password
    #[arg(long, default_value = "adit")]
    pub password: String,
    /// Keep the blocks in this file
    #[arg(long, value_name = "FILE")]
    pub blocks: Option<PathBuf>,
    /// A block takes about so many hashes; by default 2, as on regtest
    #[arg(long, value_name = "HASHES")]
    pub hashes_per_block: Option<u64>,
    /// Mine a block to nobody every so many milliseconds
    #[arg(long, value_name = "MS")]
    pub mine_every: Option<u64>,
    /// Behave as a GXC test node whose wallet has the key of this address; names, passwords and files mean nothing then
    #[arg(long, value_name = "ADDRESS")]
    pub gxc: Option<String>,
    /// GXC: a block's hash begins with so many zeros
    #[arg(long, value_name = "ZEROS", default_value_t = 2.0)]
    pub gxc_difficulty: f64,
    /// Behave as a node of a chain of Ethash (id 1337) that speaks `eth_getWork`, and whose blocks pay this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "gxc")]
    pub ethash: Option<String>,
    /// Ethash: a block takes two to the power of so many hashes
    #[arg(long, value_name = "BITS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub ethash_bits: u32,
}

//! `adit bench …`

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `bench …`
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measures the Stratum server: prints one JSON line
    Stratum(BenchArgs),
    /// Measures the compute door's evaluator, signatures, refusals and desk: prints one JSON line
    Compute(ComputeBenchArgs),
    /// Measures the pages and the API, and what they cost miners: prints one JSON line
    Web(WebBenchArgs),
    /// Measures the qualified-block rule and payout trees: prints one JSON line
    Ctv(CtvBenchArgs),
    /// Measures the simulator: prints one JSON line
    Sim(SimBenchArgs),
    /// Measures the door of Chia's farmers: prints one JSON line
    Farming(FarmingBenchArgs),
}

/// `bench farming`
#[derive(Debug, Args)]
pub struct FarmingBenchArgs {
    /// Partials to send
    #[arg(long, default_value_t = 4000)]
    pub partials: usize,
    /// Seconds in which farmers ask about themselves
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Be the pool that is measured, as this file says
    #[arg(long, value_name = "FILE", hide = true)]
    pub serve: Option<PathBuf>,
}

/// `bench ctv`
#[derive(Debug, Args)]
pub struct CtvBenchArgs {
    /// Blocks of the chain that is judged, of which one in a hundred is the pool's
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub blocks: u32,
}

/// `bench sim`
#[derive(Debug, Args)]
pub struct SimBenchArgs {
    /// Years of a PPLNS pool with 1000 miners and 1 % of the network
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub years: u64,
}

/// `bench compute`
#[derive(Debug, Args)]
pub struct ComputeBenchArgs {
    /// Seconds of each load
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// A Python that has numpy, to compare the evaluator with: `scripts/bittensor.sh` prints one
    #[arg(long, value_name = "FILE")]
    pub python: Option<PathBuf>,
}

/// `bench web`
#[derive(Debug, Args)]
pub struct WebBenchArgs {
    /// Seconds of each load
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Accounts in the store
    #[arg(long, default_value_t = 10_000)]
    pub accounts: usize,
    /// Their machines
    #[arg(long, default_value_t = 30_000)]
    pub workers: usize,
    /// Blocks that the pool found
    #[arg(long, default_value_t = 1000)]
    pub blocks: usize,
    /// Shares that are kept
    #[arg(long, default_value_t = 10_000_000)]
    pub shares: u64,
    /// Times that the shares are measured alone and beside visitors; the median counts
    #[arg(long, default_value_t = 5)]
    pub pairs: usize,
    /// Requests a second
    #[arg(long, default_value_t = 200)]
    pub rate: u32,
    /// Where everything is kept for the next time; a temporary folder without it
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

/// `bench stratum`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Seconds of each load
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Connections of the idle and fan-out measurements
    #[arg(long, default_value_t = 10_000)]
    pub idle: usize,
    /// Where the pool keeps its store; a temporary folder without it
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Measure a port of GXC with this hash instead, and what it does to another port
    #[arg(long, value_enum)]
    pub profile: Option<BenchProfile>,
    /// Where Ethash's data set is kept (1 GiB, made the first time in minutes); `~/.cache/adit/ethash` without it
    #[arg(long, value_name = "FOLDER")]
    pub dataset: Option<PathBuf>,
}

/// Hashes of GXC's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchProfile {
    /// Bitcoin's
    Sha256,
    /// Ethash, by its whole data set
    Ethash,
    /// Argon2id
    Gxhash,
}

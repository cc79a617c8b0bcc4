//! `adit sim …`

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands of the simulator.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Runs a scenario from a file: what miners earn under each policy, by horizon
    ///
    /// docs/coordination-free.md has an example. The same seed gives the same numbers on any number of threads.
    Run(RunArgs),
    /// The experiment of the article that proposed coordination-free pools: its own numbers, and corrected ones
    Article(ArticleArgs),
    /// All schemes for one miner's size: steadiness, fee, and whom one must trust
    Compare(CompareArgs),
    /// Holds the simulator against theory: every value with its z; the exit status is 1 if it cannot be believed
    Validate(ValidateArgs),
}

/// What all have.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Threads; all cores without it
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

/// `sim run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The scenario, as TOML
    pub scenario: PathBuf,
    /// Write the numbers as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write everything as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw deviations by horizon as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// The same as PNG
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Threads, progress
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `sim article`
#[derive(Debug, Args)]
pub struct ArticleArgs {
    /// Independent repeats of its 100 000 blocks
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub repeats: u64,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the pictures into this folder: article.svg and corrected.svg
    #[arg(long, value_name = "FOLDER")]
    pub svg: Option<PathBuf>,
    /// The same as PNG: article.png and corrected.png
    #[arg(long, value_name = "FOLDER")]
    pub png: Option<PathBuf>,
    /// Threads, progress
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `sim compare`
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The miner's part of the network
    #[arg(long, value_name = "PART", default_value_t = 0.001)]
    pub hashrate: f64,
    /// The pool's part of the network, the miner included
    #[arg(long, value_name = "PART", default_value_t = 0.2)]
    pub pool: f64,
    /// Independent years
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub repeats: u64,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Draw it as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Draw it as PNG
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Threads, progress
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `sim validate`
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads, progress
    #[command(flatten)]
    pub common: CommonArgs,
}

//! `adit ctv …`

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands of a coordination-free pool.
#[derive(Debug, Subcommand)]
pub enum CtvCommand {
    /// Builds the coinbase outputs for the next block: who is paid, by which tree; prints JSON
    ///
    /// Refuses where the node's chain does not enforce BIP-119: there, anybody could spend the first output.
    Plan(PlanArgs),
    /// Judges blocks by the rule: qualified, or why not
    ///
    /// The exit status is 1 when a block that claims to follow the rule does not.
    Verify(VerifyArgs),
    /// Follows a node: every marked block with its verdict, reorganisations, and who is owed what
    Watch(WatchArgs),
    /// Shows or sends the transactions of a matured block's tree
    Expand(ExpandArgs),
    /// Shows what an address is owed, when it can be had, and what getting it out costs
    Claims(ClaimsArgs),
}

/// The rule and the node.
#[derive(Debug, Clone, Args)]
pub struct ChainArgs {
    /// The pool's rule, as TOML (docs/coordination-free.md has one)
    #[arg(long, value_name = "FILE")]
    pub rule: PathBuf,
    /// The node's RPC
    #[arg(long, value_name = "HOST:PORT")]
    pub node: String,
    /// Its cookie file
    #[arg(long, value_name = "FILE")]
    pub node_cookie: Option<PathBuf>,
    /// Or its RPC user; the password is read from the environment variable ADIT_NODE_PASSWORD
    #[arg(long, value_name = "USER", conflicts_with = "node_cookie")]
    pub node_user: Option<String>,
}

/// `ctv plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Where the chain is
    #[command(flatten)]
    pub chain: ChainArgs,
    /// Your address (or output script, as hexadecimal): later blocks pay it
    #[arg(long, value_name = "ADDRESS")]
    pub payout: String,
    /// What the block is worth, in satoshis; the node's template says by default
    #[arg(long, value_name = "SATOSHIS")]
    pub value: Option<u64>,
}

/// `ctv verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Where the chain is
    #[command(flatten)]
    pub chain: ChainArgs,
    /// Only the block with this hash or height; all marked blocks without it
    #[arg(long, value_name = "BLOCK")]
    pub block: Option<String>,
}

/// `ctv watch`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Where the chain is
    #[command(flatten)]
    pub chain: ChainArgs,
    /// End when the node's tip is reached
    #[arg(long)]
    pub once: bool,
    /// Seconds between looks
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub every: u64,
}

/// `ctv expand`
#[derive(Debug, Args)]
pub struct ExpandArgs {
    /// Where the chain is
    #[command(flatten)]
    pub chain: ChainArgs,
    /// The qualified block, by hash or height
    #[arg(long, value_name = "BLOCK")]
    pub block: String,
    /// Only what this address (or output script) needs
    #[arg(long, value_name = "ADDRESS")]
    pub only: Option<String>,
    /// Send them; what has to wait for a block is said, and sent the next time
    #[arg(long)]
    pub broadcast: bool,
}

/// `ctv claims`
#[derive(Debug, Args)]
pub struct ClaimsArgs {
    /// Where the chain is
    #[command(flatten)]
    pub chain: ChainArgs,
    /// The address (or output script)
    pub address: String,
    /// What transactions are expected to pay then, in satoshis a virtual byte
    #[arg(long, value_name = "SATOSHIS", default_value_t = 10.0)]
    pub feerate: f64,
}

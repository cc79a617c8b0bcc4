//! `adit demo`

use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// What is pooled
    #[arg(long, value_enum, default_value_t = DemoKind::Mining)]
    pub kind: DemoKind,
    /// How long the demo of leased compute lasts, before its last epoch is paid
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub seconds: u64,
    /// Until so many pool blocks have matured and are paid
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub blocks: u64,
    /// End then, with one JSON object as the last line; the exit status is 0 only if the books balance, every split
    /// recomputes and every due payout is confirmed
    #[arg(long)]
    pub exit: bool,
    /// How blocks are divided
    #[arg(long, value_enum, default_value_t = DemoScheme::Pplns)]
    pub scheme: DemoScheme,
    /// Where the pool listens for miners of your own
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Where the dashboard is
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub pages: SocketAddr,
    /// Keep everything in this folder
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

/// Kinds of pools of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoKind {
    /// An embedded chain and three miners
    Mining,
    /// Leased compute by five workers of which three cheat
    Compute,
    /// Chia's own node, wallet, harvester and farmer, which scripts/chia.sh installs
    Farming,
}

/// Schemes of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoScheme {
    /// The finder takes all
    Solo,
    /// By the work since the last block
    Prop,
    /// By the last two blocks' worth of work
    Pplns,
    /// By the last eight blocks' worth of work
    Tides,
}

//! The command line of leased compute's miners: `worker`, `sidecar`, `driver`.

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `worker`
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// The pool, such as `http://pool.example:8434`
    #[arg(
        long,
        value_name = "URL",
        required_unless_present_any = ["self_test", "sidecar_url", "direct", "ui"]
    )]
    pub pool: Option<String>,
    /// Work for a sidecar of this machine, which has the jobs: no key is needed
    #[arg(long, value_name = "URL", conflicts_with_all = ["pool", "direct", "ui"])]
    pub sidecar_url: Option<String>,
    /// The file with the sidecar's token, if it asks for one
    #[arg(long, value_name = "FILE", requires = "sidecar_url")]
    pub sidecar_token: Option<PathBuf>,
    /// The sidecar's run; its newest without
    #[arg(long, value_name = "NAME", requires = "sidecar_url")]
    pub run_id: Option<String>,
    /// What this worker is called there; two with one name get in each other's way
    #[arg(long, value_name = "NAME", default_value = "adit")]
    pub worker_id: String,
    /// No pool: evolve until the relay's best is beaten, send it there, and go on
    #[arg(long, requires = "relay", conflicts_with = "pool")]
    pub direct: bool,
    /// The relay of --direct and --ui
    #[arg(long, value_name = "URL")]
    pub relay: Option<String>,
    /// Serve a page on this machine where all of it is started, stopped and seen
    #[arg(long, conflicts_with = "direct")]
    pub ui: bool,
    /// Where that page listens; its address, with its token, is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8124", requires = "ui")]
    pub ui_listen: SocketAddr,
    /// An existing configuration of the original's GUI, which names the pool
    #[arg(long, value_name = "FILE", default_value = "gui_config.json")]
    pub gui_config: PathBuf,
    /// The hotkey: 64 hexadecimal digits, or an unencrypted hotkey file of Bittensor's wallet; made if it is not there
    #[arg(long, value_name = "FILE", default_value = "hotkey")]
    pub key: PathBuf,
    /// Where what is in hand is kept
    #[arg(long, value_name = "FOLDER", default_value = "worker")]
    pub data: PathBuf,
    /// The data set, made by `adit data`; without it, the small one that ships
    #[arg(long, value_name = "FILE")]
    pub set: Option<PathBuf>,
    /// Algorithms to score at once
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
    /// Programs tried for each that is sent
    #[arg(long, default_value_t = 50)]
    pub generations: usize,
    /// Only say whether this machine computes what every other one does
    #[arg(long)]
    pub self_test: bool,
}

/// `sidecar`
#[derive(Debug, Args)]
pub struct SidecarArgs {
    /// Where it listens: this machine only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8123")]
    pub listen: SocketAddr,
    /// Where its jobs and results are kept
    #[arg(long, value_name = "FOLDER", default_value = "sidecar")]
    pub data: PathBuf,
    /// Ask every program for the token in this file; it is made if it is not there. The original's programs send none
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// `driver`
#[derive(Debug, Args)]
pub struct DriverArgs {
    /// The pool, such as `http://pool.example:8434`
    #[arg(long, value_name = "URL")]
    pub pool_url: String,
    /// The sidecar
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8123")]
    pub sidecar_url: String,
    /// The file with the sidecar's token, if it asks for one
    #[arg(long, value_name = "FILE")]
    pub sidecar_token: Option<PathBuf>,
    /// The run's name at the sidecar
    #[arg(long, value_name = "NAME", default_value = "adit")]
    pub run_id: String,
    /// Stop after so many seconds; without it, when interrupted
    #[arg(long, value_name = "SECONDS")]
    pub duration_s: Option<u64>,
    /// Ask for this data set only
    #[arg(long, value_name = "NAME")]
    pub task_type: Option<String>,
    /// The hotkey; made if it is not there
    #[arg(long, value_name = "FILE", default_value = "hotkey")]
    pub key: PathBuf,
    /// Where the lease in hand is kept
    #[arg(long, value_name = "FOLDER", default_value = "driver")]
    pub data: PathBuf,
    /// Algorithms to score at once
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
}

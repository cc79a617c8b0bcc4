//! `adit audit`

use super::ConfigArg;
use clap::Args;
use std::path::PathBuf;

/// `audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// A store's file, such as a backup, instead of the configured pool's
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// Blocks to audit; all of them without any
    pub blocks: Vec<String>,
    /// Do not ask a node
    #[arg(long)]
    pub offline: bool,
    /// Audit somebody else's pool from outside, by its public API
    #[arg(long, value_name = "URL", conflicts_with_all = ["store", "offline"], help_heading = "From outside")]
    pub from: Option<String>,
    /// Only the pools of this coin, by the name the pool gives it; needed with --node where a pool has several
    #[arg(long, value_name = "NAME", requires = "from", help_heading = "From outside")]
    pub asset: Option<String>,
    /// What this audit saw, for the next one: fails when what was seen then has been changed since; made when it is missing
    #[arg(
        long,
        value_name = "FILE",
        requires = "from",
        conflicts_with = "blocks",
        help_heading = "From outside"
    )]
    pub since: Option<PathBuf>,
    /// Your address: compare your credits, balance and payouts too
    #[arg(long, requires = "from", help_heading = "From outside")]
    pub address: Option<String>,
    /// A node of your own to compare with, as HOST:PORT of its RPC (payouts need `txindex=1`; of Chia, name its files too)
    #[arg(long, value_name = "HOST:PORT", requires = "from", help_heading = "From outside")]
    pub node: Option<String>,
    /// The cookie file of that node
    #[arg(long, value_name = "FILE", requires = "node", help_heading = "From outside")]
    pub node_cookie: Option<PathBuf>,
    /// Or its RPC user; the password is read from the environment variable ADIT_NODE_PASSWORD
    #[arg(
        long,
        value_name = "USER",
        requires = "node",
        conflicts_with = "node_cookie",
        help_heading = "From outside"
    )]
    pub node_user: Option<String>,
    /// A node of Chia: the certificate of its private authority, `config/ssl/ca/private_ca.crt` in its folder
    #[arg(
        long,
        value_name = "FILE",
        requires_all = ["node", "node_certificate", "node_key"],
        conflicts_with_all = ["node_cookie", "node_user"],
        help_heading = "From outside"
    )]
    pub node_authority: Option<PathBuf>,
    /// A certificate that it signed, such as `config/ssl/full_node/private_full_node.crt`
    #[arg(long, value_name = "FILE", requires = "node_authority", help_heading = "From outside")]
    pub node_certificate: Option<PathBuf>,
    /// The certificate's key
    #[arg(long, value_name = "FILE", requires = "node_authority", help_heading = "From outside")]
    pub node_key: Option<PathBuf>,
    /// A PEM file with a certificate of the pool's that browsers do not know
    #[arg(long, value_name = "FILE", requires = "from", help_heading = "From outside")]
    pub certificate: Option<PathBuf>,
}

/// Where `--node-user` has its password from: a command line can be read by everybody on the machine.
pub const NODE_PASSWORD: &str = "ADIT_NODE_PASSWORD";

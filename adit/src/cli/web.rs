//! `adit web …`

use super::ConfigArg;
use clap::Subcommand;

/// `web`
#[derive(Debug, Subcommand)]
pub enum WebCommand {
    /// Makes an operator and prints the token to log in with; it is shown once
    AddOperator {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The name under which acts are logged
        name: String,
    },
    /// Takes an operator's token and sessions away
    RemoveOperator {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The name
        name: String,
    },
    /// Takes an address's registration back; names that it claimed stay its own
    Unregister {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The address
        address: String,
    },
    /// Makes an API key and prints it; it is shown once
    AddKey {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// What it is for
        label: String,
        /// Its quota is a paying user's
        #[arg(long)]
        paid: bool,
        /// Questions a minute, in place of the tier's
        #[arg(long, value_name = "N")]
        per_minute: Option<u32>,
        /// Questions a day, in place of the tier's
        #[arg(long, value_name = "N")]
        per_day: Option<u64>,
    },
    /// Takes an API key away
    RemoveKey {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// What it is for
        label: String,
    },
    /// Lists operators and keys
    List {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
    },
}

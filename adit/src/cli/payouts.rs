//! `adit payouts …`

use super::ConfigArg;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `payouts …`
#[derive(Debug, Subcommand)]
pub enum PayoutsCommand {
    /// Shows payouts, what holds them, and spends nobody has explained
    List {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// At most so many payouts
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// Shows who would be paid now, and why others would not; changes nothing
    DryRun {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The asset
        asset: String,
    },
    /// Writes every payout and its recipients as CSV
    Export {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The file; standard output without it
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Pays whoever is due, without waiting for the schedule
    PayNow {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The asset
        asset: String,
    },
    /// Stops payouts; shares and blocks go on
    Hold {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// `all`, an asset's name, or a miner's address
        scope: String,
        /// Why, for those who ask later
        #[arg(long)]
        reason: String,
    },
    /// Lets held payouts go on
    Release {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// `all`, an asset's name, or a miner's address
        scope: String,
    },
    /// Says yes to a payout above `approval_above`; it is signed once enough operators did
    Approve {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// Its number
        payout: u64,
        /// Who says so
        #[arg(long, value_name = "NAME")]
        operator: String,
    },
    /// Writes a payout that you send yourself (TAO, alpha) as a signed extrinsic, for you to submit
    ///
    /// Without --key it prints the payload, to be signed where the coldkey is; with --signature, the whole.
    Extrinsic(ExtrinsicArgs),
    /// Says which transaction pays a payout that you send yourself (TAO, alpha, chains of Ethash)
    Sent {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// Its number
        payout: u64,
        /// The transaction's hash
        #[arg(long, value_name = "HASH")]
        transaction: String,
    },
    /// Says that the transaction of a payout that you sent is final
    Confirmed {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// Its number
        payout: u64,
    },
    /// Says that the transaction of a payout that you sent failed: the debts are owed again
    ///
    /// Only where it can never be: what is paid after all is paid twice.
    Failed {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// Its number
        payout: u64,
    },
    /// Gives the debts of a payout back that is not signed yet
    Cancel {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// Its number
        payout: u64,
    },
    /// Says what a spend of the wallet was that the books do not know
    Match {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// Its transaction
        txid: String,
        /// It paid miners what they were owed
        #[arg(long, group = "what", required_unless_present_any = ["withdrawal", "gone"])]
        payout: bool,
        /// It was the operator's own
        #[arg(long, group = "what")]
        withdrawal: bool,
        /// It was replaced, or left the chain for good: no wallet shows it any more
        #[arg(long, group = "what")]
        gone: bool,
    },
    /// Books coins that were put into the wallet
    Deposit {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The asset
        asset: String,
        /// How much, in whole coins
        amount: String,
        /// The transaction that brought them; what is booked under it already is not booked again
        reference: String,
        /// To buy shares with (PPS, FPPS); otherwise it is the pool's own, for fees
        #[arg(long)]
        bankroll: bool,
    },
    /// Pays a miner to another address, after the configured delay
    Address {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The address they mine with
        account: String,
        /// The address to pay
        to: String,
    },
    /// Sets a miner's own payout minimum and membership
    Account {
        /// Where the configuration is
        #[command(flatten)]
        config: ConfigArg,
        /// The address they mine with
        account: String,
        /// In whole coins; the pool's own without it
        #[arg(long)]
        minimum: Option<String>,
        /// Pays the members' fee
        #[arg(long)]
        member: bool,
    },
}

/// `payouts extrinsic`
#[derive(Debug, Args)]
pub struct ExtrinsicArgs {
    /// Where the configuration is
    #[command(flatten)]
    pub config: ConfigArg,
    /// The payout's number
    pub payout: u64,
    /// The coldkey that pays
    #[arg(long, value_name = "SS58", required_unless_present = "key")]
    pub signer: Option<String>,
    /// That coldkey's file: 64 hexadecimal digits, or an unencrypted key file of Bittensor's wallet
    #[arg(long, value_name = "FILE", conflicts_with_all = ["signer", "signature"])]
    pub key: Option<PathBuf>,
    /// A signature of the payload that was made elsewhere
    #[arg(long, value_name = "HEX")]
    pub signature: Option<String>,
    /// How many extrinsics the coldkey has sent: `system_accountNextIndex`
    #[arg(long)]
    pub nonce: u32,
    /// The chain's first block: `chain_getBlockHash 0`
    #[arg(long, value_name = "HASH")]
    pub genesis: String,
    /// `state_getRuntimeVersion`: specVersion
    #[arg(long, value_name = "N")]
    pub spec_version: u32,
    /// `state_getRuntimeVersion`: transactionVersion
    #[arg(long, value_name = "N")]
    pub transaction_version: u32,
    /// Numbers of pallet and call in the chain's metadata: of Balances.transfer_keep_alive, or SubtensorModule.transfer_stake for alpha
    #[arg(long, value_name = "PALLET,CALL")]
    pub call: String,
    /// What the block's author is given on top
    #[arg(long, value_name = "RAO", default_value_t = 0)]
    pub tip: u64,
    /// Alpha: the hotkey that the stake is with
    #[arg(long, value_name = "SS58")]
    pub hotkey: Option<String>,
}

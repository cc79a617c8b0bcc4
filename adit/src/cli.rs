//! The command line. Each help text is a small manual page.

pub mod ctv;
pub mod sim;
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
    Demo(DemoArgs),
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
    Payouts(PayoutsCommand),
    /// Recomputes splits from the kept shares and the chain: PASS, or the first difference
    ///
    /// For each block: every slice of its window is sealed again from the shares, the window is found again from the slices,
    /// the split again from the window, and the coinbase is compared with the chain when a node of the configuration
    /// answers. With --from, a pool elsewhere is audited by its public API alone. The exit status is 0 only if everything
    /// passes.
    Audit(AuditArgs),
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
    Web(WebCommand),
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
    Bench(BenchCommand),
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

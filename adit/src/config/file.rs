//! The configuration file as it is written: one type for each table, one for each kind of value.
//!
//! Invariant: a value is checked where it is read, so that an error names its line and its key; a key that nothing reads
//! is an error.

use accounting::amount::BadAmount;
use accounting::{Amount, BasisPoints};
use pow::Difficulty;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use web::notices::Secret;

/// No coin has more decimals.
const DECIMALS_MOST: u8 = 18;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What is logged.
    #[serde(default)]
    pub log: Log,
    /// The kinds of money, by name.
    pub assets: BTreeMap<String, Spanned<Asset>>,
    /// The pots.
    pub pools: Vec<Spanned<Pool>>,
    /// The pages and the API; none without.
    pub web: Option<Spanned<Web>>,
    /// Backups by the clock; none without.
    pub backups: Option<Spanned<Backups>>,
}

/// Backups by the clock.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// Where to.
    pub folder: PathBuf,
    /// How often.
    #[serde(default = "backup_every")]
    pub every: Span,
    /// How many are kept.
    #[serde(default = "backup_keep")]
    pub keep: usize,
}

fn backup_every() -> Span {
    Span(Duration::from_secs(6 * 3600))
}

const fn backup_keep() -> usize {
    28
}

/// The pages and the API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// Address and port number.
    pub listen: SocketAddr,
    /// The pool's name for people.
    pub title: Option<String>,
    /// Where the pages are for everybody, such as `https://pool.example`.
    pub url: Option<String>,
    /// May who is not registered mine?
    #[serde(default)]
    pub registration: Registration,
    /// Certificate chain (PEM), to speak HTTPS.
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub tls_key: Option<PathBuf>,
    /// Templates, texts, style sheet and logo in place of the built-in ones.
    pub theme: Option<PathBuf>,
    /// The host that miners are told to connect to.
    pub miners_host: Option<String>,
    /// Origins whose scripts may read the API.
    #[serde(default)]
    pub cors: Vec<String>,
    /// Who may read the metrics from elsewhere.
    #[serde(default)]
    pub scrapers: Vec<std::net::IpAddr>,
    /// Where notices go.
    #[serde(default)]
    pub notices: Vec<Spanned<NoticeChannel>>,
    /// Proxies in front of the pages, whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub proxies: Vec<std::net::IpAddr>,
    /// Where transactions and blocks can be looked at, by asset.
    #[serde(default)]
    pub explorers: BTreeMap<String, Spanned<Explorer>>,
    /// Listings that are paid for.
    #[serde(default)]
    pub sponsored: Vec<Spanned<Listing>>,
    /// What programs with a key may ask of an asset's node.
    #[serde(default)]
    pub nodes: BTreeMap<String, Spanned<Vec<String>>>,
}

/// A listing that is paid for; always marked as such.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// `pool` or `leaderboard`.
    pub slot: web::sponsored::Slot,
    /// Its title.
    pub title: String,
    /// A sentence.
    pub text: String,
    /// `https://…`, or a page of the pool.
    pub link: String,
    /// Its first day, such as `2026-12-01`.
    pub from: Option<String>,
    /// Its last day.
    pub until: String,
}

/// Whether owners must register before they mine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Who has an address is welcome.
    #[default]
    Optional,
    /// Only registered addresses mine.
    Required,
}

/// Where notices go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeChannel {
    /// Its name.
    pub name: String,
    /// Which; all without.
    #[serde(default)]
    pub kinds: Vec<web::notices::Kind>,
    /// How: `{ type = "webhook", … }`.
    pub way: web::notices::Way,
}

/// Where an asset's transactions and blocks can be looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explorer {
    /// A transaction's page, with `{}` for its id.
    pub transaction: Option<String>,
    /// A block's page, with `{}` for its hash.
    pub block: Option<String>,
}

/// What is logged.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// From which level on.
    #[serde(default)]
    pub level: Level,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What needs somebody.
    Error,
    /// And what may.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And every step.
    Trace,
}

/// One kind of money.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Which coin.
    pub coin: CoinName,
    /// Which of its networks.
    pub network: Spanned<String>,
    /// The first block, on a private chain.
    pub genesis: Option<BlockHash>,
    /// Blocks the chain must contain.
    #[serde(default)]
    pub must_contain: Vec<Checkpoint>,
    /// Coins that back the debts and are not in the wallet.
    #[serde(default)]
    pub assets_elsewhere: Coins,
    /// Confirmations after which a reward can be paid out.
    pub mature_after: Option<u32>,
    /// Confirmations of another block at its height after which a reward is orphaned.
    pub orphan_after: Option<u32>,
    /// Confirmations after which nothing about a reward is asked again.
    pub final_after: Option<u32>,
    /// How often the template is renewed.
    #[serde(default)]
    pub refresh: Option<Span>,
    /// How often income and payouts are looked at.
    #[serde(default)]
    pub look_every: Option<Span>,
    /// alpha: which subnet's.
    pub netuid: Option<Spanned<u16>>,
    /// The nodes, the preferred one first.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// The wallet.
    pub wallet: Option<Spanned<Wallet>>,
    /// chia: how those are paid who want another coin.
    pub external: Option<Spanned<External>>,
    /// How payouts are made.
    #[serde(default)]
    pub payouts: Payouts,
    /// What transactions pay the network.
    #[serde(default)]
    pub fees: Fees,
}

/// The coins there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoinName {
    /// Bitcoin.
    Bitcoin,
    /// Litecoin.
    Litecoin,
    /// GoldXCoin.
    Gxc,
    /// A chain of Ethash: its nodes speak `eth_getWork`.
    Ethash,
    /// Chia.
    Chia,
    /// Bittensor's TAO: paid by hand.
    Tao,
    /// The alpha of one of Bittensor's subnets: paid by hand.
    Alpha,
}

/// A block the chain must contain.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
}

/// One node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Host and port of its RPC.
    pub rpc: String,
    /// The RPC user.
    pub user: Option<String>,
    /// The RPC password.
    pub password: Option<String>,
    /// The cookie file, instead of both.
    pub cookie: Option<PathBuf>,
    /// Its `zmqpubhashblock` address.
    pub zmq: Option<String>,
    /// How often it is asked for its tip.
    pub poll: Option<Span>,
    /// chia: the certificate of its private authority (PEM).
    pub authority: Option<PathBuf>,
    /// chia: a certificate that the authority signed (PEM).
    pub certificate: Option<PathBuf>,
    /// chia: the certificate's key (PEM).
    pub key: Option<PathBuf>,
}

/// How those are paid who want another coin than the chain's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// Where their money goes on this chain, for whoever changes it.
    pub address: String,
    /// Where that one is told what to pay to whom, and says what is done.
    pub folder: PathBuf,
    /// A program of that one's that is told too, and may say what is done.
    pub webhook: Option<ExternalWebhook>,
}

/// A program that is told of payouts in other coins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalWebhook {
    /// Where it listens; `http` or `https`.
    pub url: Secret,
    /// The key of the signature.
    pub secret: Secret,
}

/// The wallet's keys and place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wallet {
    /// Which kind.
    pub kind: WalletKind,
    /// hot: the file with the key.
    pub key_file: Option<PathBuf>,
    /// watch: receiving addresses.
    pub descriptor: Option<String>,
    /// watch: change addresses.
    pub change_descriptor: Option<String>,
    /// watch: where transactions wait to be signed.
    pub psbt_folder: Option<PathBuf>,
    /// hot, watch: height at which the wallet's history begins.
    pub birthday: Option<u32>,
    /// node: the wallet's name in the first node.
    pub name: Option<String>,
    /// GXC: the pool's address, whose key the node has. Ethash: the address that the nodes' blocks pay. Chia: the pool's address, whose
    /// key the wallet has.
    pub address: Option<Spanned<String>>,
    /// chia, node: the RPC of the wallet.
    pub service: Option<ChiaService>,
    /// More than this in the wallet raises an alarm.
    pub cap: Option<Coins>,
}

/// A service of Chia's software.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChiaService {
    /// Host and port of its RPC.
    pub rpc: String,
    /// The certificate of its private authority.
    pub authority: PathBuf,
    /// A certificate that the authority signed.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Kinds of wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalletKind {
    /// Ours, key in a file.
    Hot,
    /// Ours, key elsewhere.
    Watch,
    /// In the node.
    Node,
    /// The operator's, who sends payouts.
    External,
}

/// Who pays a payout's transaction fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeePayer {
    /// The pool.
    Pool,
    /// Those who are paid.
    Miners,
}

/// How payouts are made.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payouts {
    /// Least amount worth sending.
    pub minimum: Option<Coins>,
    /// How often.
    pub interval: Option<Span>,
    /// Most recipients of one transaction.
    pub max_outputs: Option<usize>,
    /// Who pays the network.
    pub fee_payer: Option<FeePayer>,
    /// Circuit breaker: in one run.
    pub max_per_run: Option<Coins>,
    /// Circuit breaker: in 24 hours.
    pub max_per_day: Option<Coins>,
    /// Circuit breaker: to one account in 24 hours.
    pub max_per_account_per_day: Option<Coins>,
    /// More than this in one payout needs the approval of operators.
    pub approval_above: Option<Coins>,
    /// How many.
    pub approvals: Option<usize>,
    /// A changed payout address waits so long.
    pub address_change_delay: Option<Span>,
    /// Confirmations after which a payout is posted.
    pub confirm_after: Option<u32>,
    /// Confirmations of what makes it impossible, after which it is given up.
    pub abandon_after: Option<u32>,
    /// Confirmations after which it is not looked at again.
    pub final_after: Option<u32>,
    /// An unconfirmed payout gets a higher fee after so long.
    pub bump_after: Option<Span>,
}

/// What transactions pay the network.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fees {
    /// Wished for within so many blocks.
    pub target_blocks: Option<u16>,
    /// Smallest units per virtual byte when no node can say.
    pub fallback_per_vbyte: Option<u64>,
    /// Never more than this.
    pub max_per_vbyte: Option<u64>,
    /// chia: mojo that a unit of cost pays at most.
    pub max_per_cost: Option<u64>,
}

/// One pot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its money.
    pub asset: Spanned<String>,
    /// How it divides income.
    pub scheme: Scheme,
    /// GXC: how its work is hashed; Ethash has one.
    pub algorithm: Option<Spanned<HashName>>,
    /// GXC: the program whose idea of that hash it is; the documented one without.
    pub profile: Option<Spanned<stratum::gxc::legacy::Profile>>,
    /// Ethash: blocks of an epoch (30 000, or 60 000 as Ethereum Classic has, whose pools need not say so).
    pub ethash_epoch: Option<Spanned<u64>>,
    /// Ethash: keep whole data sets (1 GiB and more) in memory and in this folder, which verifies faster.
    pub ethash_dataset: Option<PathBuf>,
    /// PPLNS: the window, in multiples of the network's work.
    pub window: Option<Spanned<f64>>,
    /// PPLNS: the window, in shares.
    pub window_shares: Option<Spanned<u64>>,
    /// SOLO: the pool keeps the coins for the finder.
    #[serde(default)]
    pub custodial: bool,
    /// Its part of each block of its asset, whichever pool with a part found it.
    pub part: Option<Spanned<u32>>,
    /// What the pool keeps.
    #[serde(default)]
    pub fee_percent: Percent,
    /// Lower fees as the pool grows.
    #[serde(default)]
    pub fee_tiers: Vec<Tier>,
    /// Lower fees for who does much of the work.
    #[serde(default)]
    pub volume_discounts: Vec<Spanned<VolumeDiscount>>,
    /// Taken off a member's fee.
    #[serde(default)]
    pub member_discount_percent: Percent,
    /// Its blocks pay miners themselves, as far as they can.
    pub by_block: Option<Spanned<ByBlock>>,
    /// The pool's mark in its blocks.
    pub tag: Option<Spanned<String>>,
    /// Bytes of extranonce2.
    pub extranonce2_size: Option<Spanned<usize>>,
    /// The longest a slice of the share log stays open.
    pub slice_age: Option<Span>,
    /// Where it listens.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// chia: how farmers come in.
    pub farming: Option<Spanned<Farming>>,
    /// budget: the most of it for one owner.
    pub cap_percent: Option<Percent>,
    /// Leased compute instead of proof of work.
    pub compute: Option<Spanned<super::compute::Compute>>,
}

/// How blocks pay miners themselves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByBlock {
    /// By an output each, while they take no more than so many bytes of the coinbase.
    pub outputs: Option<usize>,
    /// By one output to a tree of transactions (BIP-119).
    pub tree: Option<covenant::tree::TreeRule>,
    /// By the rule of a coordination-free pool, in a file as `adit ctv` takes it: the pool is a member of that.
    pub rule: Option<Spanned<PathBuf>>,
    /// Whose part is less is credited, in whole coins; the payouts' minimum without.
    pub least: Option<Spanned<Coins>>,
    /// The pool sends a tree's transactions once its block can be spent.
    pub send: Option<bool>,
}

/// How farmers come in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Farming {
    /// Address and port number.
    pub listen: SocketAddr,
    /// Certificate chain (PEM), to speak HTTPS.
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub tls_key: Option<PathBuf>,
    /// Proxies in front of it, whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub proxies: Vec<std::net::IpAddr>,
    /// The pool's name for farmers; its name here without.
    pub title: Option<String>,
    /// What farmers are told of it.
    #[serde(default)]
    pub description: String,
    /// The address of a picture.
    #[serde(default)]
    pub logo_url: String,
    /// What a farmer is told when it joins.
    pub welcome: Option<String>,
    /// Blocks that leaving takes.
    pub lock_height: Option<u32>,
    /// poisson, reference or readme.
    pub difficulty_rule: Option<String>,
    /// Where farmers start; never below.
    pub min_difficulty: Option<u64>,
    /// Partials a day of each farmer that are aimed at.
    pub partials_per_day: Option<u32>,
    /// Minutes of an authentication token.
    pub token_minutes: Option<u8>,
    /// A partial may come so long after its signage point.
    pub time_limit: Option<Span>,
    /// A partial is looked at again after so long.
    pub confirm_after: Option<Span>,
    /// So many blocks are not taken back any more.
    pub buried_after: Option<u32>,
    /// A reward is absorbed from this depth on.
    pub absorb_after: Option<u32>,
    /// Between two collections of rewards.
    pub absorb_every: Option<Span>,
    /// What an absorption pays the network at most, out of the purse, while blocks are full.
    pub absorb_fee_max: Option<Coins>,
    /// The books are told of an absorbed reward that lies so deep.
    pub report_after: Option<u32>,
    /// Between two looks at the chain.
    pub look_every: Option<Span>,
    /// Requests a second of one address.
    pub max_requests_per_second: Option<u32>,
}

/// How income is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// The finder gets it.
    Solo,
    /// By the work since the last block.
    Prop,
    /// By the last N of work.
    Pplns,
    /// PPLNS of 8.
    Tides,
    /// Every share is bought: subsidy.
    Pps,
    /// Every share is bought: subsidy and fees.
    Fpps,
    /// An epoch's budget, by the work in it.
    Budget,
}

/// The hashes of GXC's pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashName {
    /// Bitcoin's.
    Sha256,
    /// Argon2id.
    Gxhash,
    /// Ethash.
    Ethash,
}

/// A discount for who does so much of the work.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeDiscount {
    /// From this part of the window's work on.
    pub part_percent: Percent,
    /// Taken off the fee.
    pub discount_percent: Percent,
}

/// A fee from so many accounts on.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Accounts with work in the window.
    pub accounts: u64,
    /// The fee.
    pub fee_percent: Percent,
}

/// One listening port.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Address and port number.
    pub listen: SocketAddr,
    /// Where a connection starts.
    pub start_difficulty: Option<Hardness>,
    /// Never below.
    pub min_difficulty: Option<Hardness>,
    /// Never above.
    pub max_difficulty: Option<Hardness>,
    /// A share of a connection in so long is aimed at.
    pub share_interval: Option<Span>,
    /// Certificate chain (PEM), for miners that speak TLS on the same port.
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub tls_key: Option<PathBuf>,
    /// Every connection begins with a PROXY header.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Most connections.
    pub max_connections: Option<usize>,
    /// Most connections of one address (IPv6: of one /64).
    pub max_connections_per_address: Option<usize>,
    /// Time to subscribe and authorise.
    pub handshake_limit: Option<Span>,
    /// Time to say anything.
    pub silence_limit: Option<Span>,
    /// Requests a second of one connection; beyond it, it is read no faster.
    pub max_requests_per_second: Option<u32>,
}

/// An amount in whole coins, as a decimal in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coins(String);

impl Default for Coins {
    fn default() -> Self {
        Coins("0".into())
    }
}

impl Coins {
    /// In smallest units.
    ///
    /// # Errors
    /// When it has more decimals than the coin.
    pub fn amount(&self, decimals: u8) -> Result<Amount, BadAmount> {
        Amount::parse_decimal(&self.0, decimals)
    }
}

/// A share of a whole in hundredths of a percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percent(pub BasisPoints);

/// A length of time: a number and one of `ms s m h d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A share difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardness(pub Difficulty);

/// A block hash, as explorers print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHash(pub String);

impl Span {
    /// In milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl<'de> Deserialize<'de> for Coins {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Coins;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount in whole coins in quotes, such as \"0.01\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Coins, E> {
                Amount::parse_decimal(text, DECIMALS_MOST).map_err(E::custom)?;
                Ok(Coins(text.to_owned()))
            }
        }
        from.deserialize_any(Text)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(from)?;
        let points = percent * 100.0;
        if !(0.0..=10_000.0).contains(&points) || (points - points.round()).abs() > 1e-6 {
            return Err(D::Error::custom(format!(
                "{percent} is no percentage from 0 to 100 with at most two decimals"
            )));
        }
        BasisPoints::new(points.round() as u16).map(Percent).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let wrong = || {
            D::Error::custom(format!(
                "\"{text}\" is no length of time such as \"90s\", \"10m\", \"24h\" or \"7d\""
            ))
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let ms = match unit.trim() {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            _ => return Err(wrong()),
        };
        Ok(Span(Duration::from_millis(number.checked_mul(ms).ok_or_else(wrong)?)))
    }
}

impl<'de> Deserialize<'de> for Hardness {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(from)?;
        let (least, most) = (Difficulty::MIN.as_f64(), Difficulty::MAX.as_f64());
        if !(least..=most).contains(&value) {
            return Err(D::Error::custom(format!(
                "a difficulty is a number from {least} to {most}, not {value}"
            )));
        }
        Ok(Hardness(Difficulty::nearest(value)))
    }
}

impl<'de> Deserialize<'de> for BlockHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(D::Error::custom(format!(
                "\"{text}\" is no block hash of 64 hexadecimal digits"
            )));
        }
        Ok(BlockHash(text.to_lowercase()))
    }
}

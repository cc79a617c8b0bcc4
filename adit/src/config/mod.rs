//! The configuration: read, checked, and turned into what the crates want to be told.
//!
//! Invariant: whatever is wrong is said with its file, line and key, and with what to write instead; nothing is guessed.

mod asset;
mod by_block;
mod chia;
mod coin;
pub mod compute;
pub(crate) mod environment;
mod ether;
mod farm;
pub mod file;
mod gxc;
mod pages;
mod pool;

use ::pool::{AssetConfig, PoolConfig};
use accounting::Identity;
use farming::network::Network;
use farming::node::rpc::Rpc;
use farming::wallet::service::WalletService;
use farming::wallet::signer::Signer;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stratum::coin::Coin;
use stratum::coin::address::{self, BadAddress};
use stratum::dag::DagSettings;
use stratum::difficulty::Policy;
use stratum::hashing::Hashing;
use stratum::limits::Limits;
use stratum::source::SourceConfig;
use stratum::source::ether::EtherSource;
use stratum::source::gxc::GxcSource;
use stratum::treasury::TreasuryConfig;
use toml::Spanned;
use web::notices::Secret;

/// Backups more often than this would never end.
const BACKUP_EVERY_MIN: Duration = Duration::from_secs(60);
/// Everything, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What is logged.
    pub level: file::Level,
    /// The kinds of money.
    pub assets: Vec<AssetSettings>,
    /// The pots.
    pub pools: Vec<PoolSettings>,
    /// The pages and the API; none without.
    pub web: Option<WebSettings>,
    /// Backups by the clock; none without.
    pub backups: Option<BackupSettings>,
}

/// Backups by the clock.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// Where to.
    pub folder: PathBuf,
    /// How often.
    pub every: Duration,
    /// How many are kept.
    pub keep: usize,
}

/// The pages and the API.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// Address and number.
    pub listen: SocketAddr,
    /// Certificate and key files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Templates, texts, style sheet and logo in place of the built-in ones.
    pub theme: Option<PathBuf>,
    /// Where notices go.
    pub notices: Vec<NoticeSettings>,
    /// What pages say.
    pub site: web::site::Settings,
    /// What programs with a key may ask of an asset's node.
    pub nodes: BTreeMap<String, Vec<String>>,
}

/// One kind of money.
#[derive(Debug, Clone)]
pub struct AssetSettings {
    /// What the writer is told.
    pub config: AssetConfig,
    /// How often income and payouts are looked at.
    pub look_every: Duration,
    /// Where it comes from.
    pub kind: AssetKind,
}

/// Where money comes from.
#[derive(Debug, Clone)]
pub enum AssetKind {
    /// A chain of the bitcoind family.
    Coin(Box<CoinSettings>),
    /// GXC.
    Gxc(Box<GxcSource>),
    /// A chain of Ethash, whose nodes speak `eth_getWork`.
    Ether(Box<EtherSource>),
    /// Chia.
    Chia(Box<ChiaSettings>),
    /// A chain that the pool does not see: its operator sends.
    External(compute::ExternalSettings),
}

/// Chia: its nodes and its wallet.
#[derive(Debug, Clone)]
pub struct ChiaSettings {
    /// Which of its networks.
    pub network: Network,
    /// The nodes, the preferred one first.
    pub nodes: Vec<farming::node::rpc::Endpoint>,
    /// Who has the keys.
    pub wallet: ChiaWallet,
    /// How coins are held and paid.
    pub treasury: farming::treasury::TreasuryConfig,
    /// How those are paid who want another coin.
    pub external: Option<ExchangeSettings>,
}

/// Who has the keys of a Chia pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChiaWallet {
    /// The pool, in a file.
    Hot(PathBuf),
    /// A wallet of Chia's own software.
    Service {
        /// Its RPC.
        endpoint: farming::node::rpc::Endpoint,
        /// Which of its addresses is the pool's.
        place: farming::hash::Bytes32,
    },
}

impl ChiaWallet {
    /// Whoever signs.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn signer(&self) -> anyhow::Result<Signer> {
        Ok(match self {
            ChiaWallet::Hot(file) => Signer::Own(Arc::new(farming::wallet::key::read(file)?)),
            ChiaWallet::Service { endpoint, place } => {
                let rpc = Rpc::new(endpoint.clone())?;
                Signer::Service(Arc::new(WalletService::new(rpc, *place)))
            }
        })
    }
}

/// Whoever pays in other coins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeSettings {
    /// Where they are told what to pay to whom.
    pub folder: PathBuf,
    /// A program of theirs that is asked too: its address, and the key of what is sent.
    pub webhook: Option<(Secret, Secret)>,
}

/// A coin of the bitcoind family.
#[derive(Debug, Clone)]
pub struct CoinSettings {
    /// Which coin.
    pub coin: Coin,
    /// The nodes.
    pub source: SourceConfig,
    /// The wallet.
    pub treasury: TreasuryConfig,
}

/// One pot.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// What the writer is told.
    pub config: PoolConfig,
    /// How work comes in.
    pub kind: PoolKind,
}

/// How work comes in.
#[derive(Debug, Clone)]
pub enum PoolKind {
    /// Proof of work.
    Stratum(StratumSettings),
    /// Proof of space.
    Farming(Box<FarmingSettings>),
    /// Nobody comes in: the pot of rewards that farmers of another pool farmed before they joined it.
    Refunds,
    /// Leased compute.
    Compute(Box<compute::ComputeSettings>),
}

impl PoolKind {
    /// The name of the pot beside it for rewards that are one farmer's own.
    pub fn refunds(&self) -> Option<&str> {
        match self {
            PoolKind::Farming(own) => Some(&own.refunds),
            PoolKind::Stratum(_) | PoolKind::Refunds | PoolKind::Compute(_) => None,
        }
    }

    /// May absorbed rewards cost the operator something?
    pub fn pays_for_absorptions(&self) -> bool {
        matches!(self, PoolKind::Farming(own) if own.terms.absorb_fee_most > 0)
    }
}

/// A door of proof of space.
#[derive(Debug, Clone)]
pub struct FarmingSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate and key files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What a port allows.
    pub limits: farming::server::Limits,
    /// How the chain is watched.
    pub pace: farming::watch::Pace,
    /// What farmers are told and held to; the targets are the wallet's.
    pub terms: farming::door::Settings,
    /// The pot of rewards that are a farmer's own.
    pub refunds: String,
}

/// A door of proof of work.
#[derive(Debug, Clone)]
pub struct StratumSettings {
    /// The mark in its blocks.
    pub tag: String,
    /// Bytes of extranonce2.
    pub extranonce2_size: usize,
    /// How its work is hashed.
    pub hashing: Hashing,
    /// Ethash: how it is verified.
    pub ethash: Option<DagSettings>,
    /// How its blocks pay miners themselves, where they do.
    pub by_block: Option<ByBlockSettings>,
    /// Where it listens.
    pub ports: Vec<PortSettings>,
}

/// What blocks pay beside the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByBlockSettings {
    /// Whom.
    pub pays: BlockPays,
    /// Are a tree's transactions, as far as they are the pool's business, sent by it?
    pub send: bool,
}

/// Whom blocks pay beside the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockPays {
    /// The miners of its window.
    Miners(stratum::by_block::Rules),
    /// Members of a coordination-free pool, of which it is one.
    Members(covenant::Rule),
}

impl BlockPays {
    /// Do blocks pay trees?
    pub fn trees(&self) -> bool {
        match self {
            BlockPays::Miners(rules) => matches!(rules.form, stratum::by_block::Form::Tree(_)),
            BlockPays::Members(_) => true,
        }
    }
}

/// Why a text names nobody.
#[derive(Debug, thiserror::Error)]
pub enum BadName {
    /// No address of a coin.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// Nobody of Chia's.
    #[error("{0}")]
    Chia(String),
    /// No hotkey.
    #[error(transparent)]
    Key(#[from] ::compute::key::BadKey),
}

impl AssetSettings {
    /// Whose account a text names.
    ///
    /// # Errors
    /// Why it is no address of this money.
    pub fn identity_of(&self, text: &str) -> Result<Identity, BadName> {
        match &self.kind {
            AssetKind::Coin(own) => Ok(address::identity_of(text, own.coin)?),
            AssetKind::Gxc(own) => Ok(address::identity_of(text, own.coin)?),
            AssetKind::Ether(own) => Ok(address::identity_of(text, own.coin)?),
            AssetKind::External(own) => own.identity_of(text),
            AssetKind::Chia(own) => {
                let launcher = text.parse().map_err(|_| {
                    BadName::Chia(format!(
                        "\"{text}\" is no launcher id of 64 hexadecimal digits, which is what an account of Chia is named by"
                    ))
                })?;
                Ok(farming::door::identity(&own.network, &launcher))
            }
        }
    }

    /// What pays this address.
    ///
    /// # Errors
    /// Why it is no address of this money.
    pub fn destination_of(&self, text: &str) -> Result<Vec<u8>, BadName> {
        match &self.kind {
            AssetKind::Coin(_)
            | AssetKind::Gxc(_)
            | AssetKind::Ether(_)
            | AssetKind::External(_) => self.identity_of(text).map(|identity| identity.bytes),
            AssetKind::Chia(own) => {
                let is_paid_elsewhere = own.external.is_some();
                let read =
                    farming::address::Destination::parse(text, &own.network, is_paid_elsewhere);
                let read = read.map_err(|error| BadName::Chia(format!("\"{text}\": {error}")))?;
                Ok(read.to_bytes())
            }
        }
    }
}

/// One listening port.
#[derive(Debug, Clone)]
pub struct PortSettings {
    /// Address and number.
    pub listen: SocketAddr,
    /// Its difficulties.
    pub policy: Policy,
    /// Its limits.
    pub limits: Limits,
    /// Certificate and key files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Every connection begins with a PROXY header.
    pub proxy_protocol: bool,
}

/// A channel of notices.
#[derive(Debug, Clone)]
pub struct NoticeSettings {
    /// Its name.
    pub name: String,
    /// Which; all when empty.
    pub kinds: Vec<web::notices::Kind>,
    /// How.
    pub way: web::notices::Way,
}

impl NoticeSettings {
    /// The channel.
    ///
    /// # Errors
    /// Which value is wrong.
    pub fn channel(&self) -> Result<web::notices::Channel, web::notices::ChannelError> {
        web::notices::Channel::new(&self.name, self.kinds.clone(), self.way.clone())
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// The file cannot be read.
    #[error("{0}: {1}. `adit init` writes a configuration")]
    Unreadable(PathBuf, String),
    /// A variable of the environment is wrong.
    #[error("the environment's {name}: {text}")]
    Environment {
        /// Which.
        name: String,
        /// What is wrong, and what to write.
        text: String,
    },
    /// A line of it is wrong.
    #[error("{path}:{line}: {text}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Which key, what is wrong, and what to do.
        text: String,
    },
}

/// Reads a configuration file; where there is none, the environment if that describes a pool.
///
/// # Errors
/// See [`BadConfig`].
pub fn load(path: &Path) -> Result<Settings, BadConfig> {
    match std::fs::read_to_string(path) {
        Ok(text) => read(&text, path),
        Err(error) if error.kind() == ErrorKind::NotFound && environment::is_meant() => {
            let text = environment::text(|name| std::env::var(name).ok())?;
            read(&text, Path::new("(environment)"))
        }
        Err(error) => Err(BadConfig::Unreadable(path.to_owned(), error.to_string())),
    }
}

/// Reads a configuration from text; `path` is for errors, and its folder is where relative paths begin.
///
/// # Errors
/// See [`BadConfig`].
pub fn read(text: &str, path: &Path) -> Result<Settings, BadConfig> {
    let at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let parsed: file::File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| at(span.start));
        let shown = text.lines().nth(line - 1).unwrap_or_default().trim();
        BadConfig::Line {
            path: path.to_owned(),
            line,
            text: format!("`{shown}`: {}", error.message()),
        }
    })?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let reader = Reader { folder };
    reader.settings(parsed).map_err(|Wrong { offset, text }| BadConfig::Line {
        path: path.to_owned(),
        line: at(offset),
        text,
    })
}

/// A contradiction between values: where, and in words.
struct Wrong {
    offset: usize,
    text: String,
}

fn wrong<T>(span: &Spanned<T>, text: impl Into<String>) -> Wrong {
    Wrong { offset: span.span().start, text: text.into() }
}

struct Reader<'a> {
    folder: &'a Path,
}

impl Reader<'_> {
    fn path(&self, path: PathBuf) -> PathBuf {
        if path.is_absolute() { path } else { self.folder.join(path) }
    }

    fn settings(&self, file: file::File) -> Result<Settings, Wrong> {
        let mut assets = Vec::new();
        for (name, asset) in file.assets {
            assets.push(self.asset(name, asset)?);
        }
        let mut pools: Vec<PoolSettings> = Vec::new();
        for pool in file.pools {
            let name = pool.get_ref().name.clone();
            if pools.iter().any(|known| known.config.name == name) {
                return Err(wrong(
                    &pool,
                    format!("two pools are named \"{name}\"; a name is for ever, choose another"),
                ));
            }
            let span = Spanned::new(pool.span(), ());
            let settings = self.pool(pool, &assets)?;
            by_block::one_member(&span, &settings, &pools)?;
            pools.push(settings);
            pools.last().into_iter().for_each(|pool| by_block::ask_for_trees(pool, &mut assets));
            let refunds = pools.last().and_then(farm::refunds);
            pools.extend(refunds);
        }
        let doors = pools.iter().filter(|pool| matches!(pool.kind, PoolKind::Compute(_)));
        if doors.count() > 1 {
            let text = "pools: one pool of leased compute to a configuration; run the other from a folder of its own";
            return Err(Wrong { offset: 0, text: text.into() });
        }
        self.unions(&pools)?;
        let web = file.web.map(|web| self.web(web, &assets)).transpose()?;
        let data_dir = self.path(file.data_dir);
        let backups = file.backups.map(|backups| self.backups(backups)).transpose()?;
        Ok(Settings { data_dir, level: file.log.level, assets, pools, web, backups })
    }

    /// Pools that share their blocks: at least two of an asset, and with the same fees, because an account's fee is taken once off
    /// all it gets of a block.
    fn unions(&self, pools: &[PoolSettings]) -> Result<(), Wrong> {
        let wrong = |text: String| Wrong { offset: 0, text };
        for pool in pools.iter().map(|pool| &pool.config).filter(|pool| pool.part.is_some()) {
            let mut others = pools.iter().map(|other| &other.config).filter(|other| {
                other.part.is_some() && other.asset == pool.asset && other.name != pool.name
            });
            let Some(other) = others.next() else {
                let name = &pool.name;
                return Err(wrong(format!(
                    "pool \"{name}\" has a part, and no other pool of its asset has one"
                )));
            };
            if other.fee != pool.fee {
                let (one, two) = (&pool.name, &other.name);
                return Err(wrong(format!(
                    "pools \"{one}\" and \"{two}\" share their blocks, so their fees must be the same"
                )));
            }
        }
        Ok(())
    }

    fn backups(&self, spanned: Spanned<file::Backups>) -> Result<BackupSettings, Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let file::Backups { folder, every, keep } = spanned.into_inner();
        if keep == 0 {
            return Err(wrong(&span, "backups.keep: at least one is kept"));
        }
        if every.0 < BACKUP_EVERY_MIN {
            return Err(wrong(&span, "backups.every: at least a minute"));
        }
        Ok(BackupSettings { folder: self.path(folder), every: every.0, keep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::Scheme;
    use accounting::scheme::PplnsWindow;
    use pow::Difficulty;
    use stratum::treasury::WalletConfig;

    const GOOD: &str = r#"
data_dir = "data"

[assets.btc]
coin = "bitcoin"
network = "regtest"
wallet = { kind = "hot", key_file = "pool.key" }
nodes = [{ rpc = "127.0.0.1:18443", user = "u", password = "p" }]

[[pools]]
name = "main"
asset = "btc"
scheme = "pplns"
window = 2.5
fee_percent = 1.25

[[pools.ports]]
listen = "127.0.0.1:3333"
start_difficulty = 0.5
"#;

    fn refused(text: &str) -> String {
        read(text, Path::new("/etc/adit.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_good_file_is_read_with_paths_beside_it() {
        let settings = read(GOOD, Path::new("/etc/adit.toml")).unwrap();
        assert_eq!(settings.data_dir, Path::new("/etc/data"));
        let pool = &settings.pools[0];
        let PoolKind::Stratum(door) = &pool.kind else { panic!("{pool:?}") };
        let AssetKind::Coin(coin) = &settings.assets[0].kind else { panic!("no coin") };
        assert_eq!(pool.config.scheme, Scheme::Pplns(PplnsWindow::Work { millifactor: 2500 }));
        assert_eq!(pool.config.fee.base.points(), 125);
        assert_eq!(door.ports[0].policy.start, Difficulty::nearest(0.5));
        match &coin.treasury.wallet {
            WalletConfig::Hot { key_file, .. } => assert_eq!(key_file, Path::new("/etc/pool.key")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_malformed_is_named_with_its_key_and_line() {
        let cases = [
            ("fee_percent = 1.25", "fee_percent = 101", 15, "fee_percent"),
            ("fee_percent = 1.25", "fee_percent = \"1\"", 15, "fee_percent"),
            ("fee_percent = 1.25", "fee_prcent = 1.25", 15, "fee_prcent"),
            ("window = 2.5", "window = 0", 14, "window"),
            ("scheme = \"pplns\"", "scheme = \"pay-me\"", 13, "scheme"),
            ("scheme = \"pplns\"", "scheme = \"prop\"", 14, "window"),
            ("asset = \"btc\"", "asset = \"doge\"", 12, "asset"),
            ("listen = \"127.0.0.1:3333\"", "listen = \"nowhere\"", 18, "listen"),
            ("start_difficulty = 0.5", "start_difficulty = -1", 19, "start_difficulty"),
            ("start_difficulty = 0.5", "start_difficulty = 0.0001", 10, "start_difficulty"),
            ("network = \"regtest\"", "network = \"regtest\"\ngenesis = \"00\"", 7, "genesis"),
            (
                "network = \"regtest\"",
                "network = \"regtest\"\nassets_elsewhere = 5",
                7,
                "assets_elsewhere",
            ),
            ("network = \"regtest\"", "network = \"regtest\"\nmature_after = 5", 4, "mature_after"),
            ("key_file = \"pool.key\"", "name = \"x\"", 7, "name"),
            (
                "wallet = { kind = \"hot\", key_file = \"pool.key\" }",
                "wallet = { kind = \"hot\" }",
                7,
                "key_file",
            ),
            (
                "fee_percent = 1.25",
                "fee_percent = 1.25\nvolume_discounts = [\n{ part_percent = 20, discount_percent = 0.5 },\n\
                 { part_percent = 10, discount_percent = 1 }]",
                18,
                "volume_discounts",
            ),
            ("fee_percent = 1.25", "fee_percent = 1.25\nprofile = \"suite\"", 16, "profile"),
            ("user = \"u\", ", "", 4, "nodes"),
            ("rpc = \"127.0.0.1:18443\"", "rpc = \"127.0.0.1\"", 4, "rpc"),
        ];
        for (before, after, line, key) in cases {
            assert!(GOOD.contains(before), "{before}");
            let said = refused(&GOOD.replace(before, after));
            assert!(said.starts_with(&format!("/etc/adit.toml:{line}: ")), "{after}: {said}");
            assert!(said.contains(key), "{after}: {said}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_says_how_to_make_one() {
        let said = load(Path::new("/nowhere/adit.toml")).unwrap_err().to_string();
        assert!(said.contains("adit init"), "{said}");
    }

    #[test]
    fn fuzz_the_configuration() {
        let other = GOOD.replace("pplns", "solo").replace("window = 2.5", "custodial = true");
        testkit::fuzz::fuzz(&[GOOD.as_bytes(), other.as_bytes()], |bytes| {
            if let Err(error) = read(&String::from_utf8_lossy(bytes), Path::new("adit.toml")) {
                assert!(error.to_string().starts_with("adit.toml:"), "{error}");
            }
        });
    }

    const ETHASH: &str = r#"
data_dir = "data"

[assets.etc]
coin = "ethash"
network = "classic"
wallet = { kind = "external", address = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf" }
nodes = [{ rpc = "http://127.0.0.1:8545/rpc" }, { rpc = "127.0.0.1:8546", user = "u", password = "p" }]

[[pools]]
name = "etc"
asset = "etc"
scheme = "pplns"

[[pools.ports]]
listen = "127.0.0.1:4444"
"#;

    #[test]
    fn a_chain_of_ethash_is_named_or_numbered_and_has_its_epochs() {
        let read_epoch = |text: &str| {
            let settings = read(text, Path::new("/etc/adit.toml")).unwrap();
            let AssetKind::Ether(own) = &settings.assets[0].kind else {
                panic!("a chain of Ethash")
            };
            let PoolKind::Stratum(pool) = &settings.pools[0].kind else { panic!("a port") };
            (
                own.clone(),
                settings.assets[0].config.clone(),
                pool.ethash.clone().unwrap().epoch_blocks,
            )
        };
        let (own, config, epoch) = read_epoch(ETHASH);
        assert_eq!((own.gate.chain, epoch, config.decimals), (61, 60_000, 18));
        assert_eq!(config.network, "ethash/61");
        assert_eq!(config.payouts.max_outputs, 1);
        let places: Vec<_> = own.nodes.iter().map(|node| (&*node.address, &*node.path)).collect();
        assert_eq!(places, [("127.0.0.1:8545", "/rpc"), ("127.0.0.1:8546", "")]);
        let (own, _, epoch) = read_epoch(&ETHASH.replace("classic", "1337"));
        assert_eq!((own.gate.chain, epoch), (1337, 30_000));
        let longer = ETHASH
            .replace("classic", "1337")
            .replace("\"pplns\"", "\"prop\"\nethash_epoch = 60000");
        assert_eq!(read_epoch(&longer).2, 60_000);
        let account = read(ETHASH, Path::new("/etc/adit.toml")).unwrap();
        let account = |text: &str| account.assets[0].identity_of(text);
        let (mixed, plain) = (
            "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF",
            "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf",
        );
        assert_eq!(account(mixed).unwrap(), account(plain).unwrap());
        assert!(
            account(&mixed.replace("0x2B", "0x2b")).unwrap_err().to_string().contains("EIP-55")
        );
    }

    #[test]
    fn what_a_chain_of_ethash_cannot_do_is_said() {
        for (from, to, words) in [
            ("classic", "ropsten", "classic, mordor, ethereumpow, or the chain's id"),
            ("0x7E5F", "0x7e5F", "EIP-55"),
            ("\"external\", address", "\"node\", address", "payouts of this coin are sent by you"),
            ("http://127.0.0.1:8545/rpc", "https://127.0.0.1:8545", "plain http"),
            ("127.0.0.1:8546", "127.0.0.1", "no host and port"),
            (", password = \"p\"", "", "come together"),
            ("\"pplns\"", "\"pps\"", "cannot be bought before"),
            ("\"pplns\"", "\"solo\"", "one finder's"),
            ("\"pplns\"", "\"pplns\"\nalgorithm = \"sha256\"", "has one; remove it"),
            ("\"pplns\"", "\"pplns\"\nethash_epoch = 5", "30000 or 60000"),
        ] {
            assert!(ETHASH.contains(from), "{from}");
            let said = refused(&ETHASH.replacen(from, to, 1));
            assert!(said.contains(words), "{to}: {said}");
        }
        let bitcoin = GOOD.replace("\"hot\", key_file", "\"external\", key_file");
        assert!(refused(&bitcoin).contains("pay by themselves"));
    }
}

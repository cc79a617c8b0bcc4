//! The configuration: read, checked, and turned into what the crates want to be told.
//!
//! Invariant: whatever is wrong is said with its file, line and key, and with what to write instead; nothing is guessed.

pub mod file;
mod pages;

use accounting::fee::{FeeRule, FeeTier};
use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use accounting::scheme::PplnsWindow;
use accounting::union::Part;
use accounting::{Amount, Scheme};
use pool::config::{FeePayer, SliceRule};
use pool::{AssetConfig, PayoutRules, PoolConfig};
use pow::Difficulty;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stratum::coin::{Coin, Family};
use stratum::coinbase::TAG_MAX;
use stratum::difficulty::Policy;
use stratum::limits::Limits;
use stratum::node::ChainGate;
use stratum::rpc::{Auth, Endpoint};
use stratum::source::{NodeConfig, SourceConfig};
use stratum::treasury::fee::FeePolicy;
use stratum::treasury::{TreasuryConfig, WalletConfig};
use toml::Spanned;

/// Confirmations at which a coinbase can be spent, in every coin here.
const COINBASE_MATURITY: u32 = 101;
/// Outputs smaller than this are not relayed, whatever kind they are; Litecoin's nodes want ten times Bitcoin's.
const fn dust(family: Family) -> i128 {
    match family {
        Family::Bitcoin => 546,
        Family::Litecoin => 5460,
    }
}
/// Devices that hear nothing for a minute connect elsewhere.
const REFRESH_MAX: Duration = Duration::from_secs(55);
/// Backups more often than this would never end.
const BACKUP_EVERY_MIN: Duration = Duration::from_secs(60);
/// A limit that nobody set.
const UNLIMITED: Amount = Amount::from_units(i64::MAX as i128);

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
}

/// One kind of money.
#[derive(Debug, Clone)]
pub struct AssetSettings {
    /// What the writer is told.
    pub config: AssetConfig,
    /// Which coin.
    pub coin: Coin,
    /// The nodes.
    pub source: SourceConfig,
    /// The wallet.
    pub treasury: TreasuryConfig,
    /// How often income and payouts are looked at.
    pub look_every: Duration,
}

/// One pot.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// What the writer is told.
    pub config: PoolConfig,
    /// The mark in its blocks.
    pub tag: String,
    /// Bytes of extranonce2.
    pub extranonce2_size: usize,
    /// Where it listens.
    pub ports: Vec<PortSettings>,
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

/// Reads a configuration file.
///
/// # Errors
/// See [`BadConfig`].
pub fn load(path: &Path) -> Result<Settings, BadConfig> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| BadConfig::Unreadable(path.to_owned(), error.to_string()))?;
    read(&text, path)
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
            pools.push(self.pool(pool, &assets)?);
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

    fn asset(&self, name: String, spanned: Spanned<file::Asset>) -> Result<AssetSettings, Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let asset = spanned.into_inner();
        let coin = Coin::new(asset.coin, asset.network)
            .map_err(|error| wrong(&span, format!("assets.{name}.network: {error}")))?;
        if asset.nodes.is_empty() {
            return Err(wrong(&span, format!("assets.{name}.nodes: at least one node is needed")));
        }
        let nodes: Vec<NodeConfig> = asset
            .nodes
            .into_iter()
            .map(|node| self.node(node, &name, &span))
            .collect::<Result<_, _>>()?;
        let must_contain =
            asset.must_contain.into_iter().map(|point| (point.height, point.hash.0)).collect();
        let gate = ChainGate { coin, genesis: asset.genesis.map(|hash| hash.0), must_contain };
        let mature = asset.mature_after.unwrap_or(COINBASE_MATURITY);
        if mature < COINBASE_MATURITY {
            let text = format!(
                "assets.{name}.mature_after: coinbases cannot be spent before {COINBASE_MATURITY} confirmations"
            );
            return Err(wrong(&span, text));
        }
        let orphan = asset.orphan_after.unwrap_or(6);
        let depths = Depths {
            mature,
            orphan,
            last_look: asset.final_after.unwrap_or(mature + 200).max(mature + 1),
        };
        let cap = asset.wallet.get_ref().cap.map(|coins| coins.0);
        let config = AssetConfig {
            name: name.clone(),
            network: coin.to_string(),
            decimals: coin.decimals(),
            depths,
            payouts: payout_rules(&asset.payouts, cap, coin.family()),
            assets_elsewhere: asset.assets_elsewhere.0,
        };
        let treasury = TreasuryConfig {
            asset: name.clone(),
            gate: gate.clone(),
            nodes: nodes.iter().map(|node| node.endpoint.clone()).collect(),
            fees: fee_policy(&asset.fees),
            wallet: self.wallet(asset.wallet, &name, coin, &nodes)?,
        };
        let refresh = asset.refresh.map_or(Duration::from_secs(30), |span| span.0);
        if refresh.is_zero() || refresh > REFRESH_MAX {
            let text = format!(
                "assets.{name}.refresh: more than nothing and at most {} s, or small devices take the pool for dead",
                REFRESH_MAX.as_secs()
            );
            return Err(wrong(&span, text));
        }
        let source = SourceConfig { gate, nodes, refresh };
        let look_every = asset.look_every.map_or(Duration::from_secs(30), |span| span.0);
        Ok(AssetSettings { config, coin, source, treasury, look_every })
    }

    fn node(&self, node: file::Node, asset: &str, span: &Spanned<()>) -> Result<NodeConfig, Wrong> {
        let auth = match (node.user, node.password, node.cookie) {
            (Some(user), Some(password), None) => Auth::Basic { user, password },
            (None, None, Some(cookie)) => Auth::Cookie(self.path(cookie)),
            _ => {
                let text = format!(
                    "assets.{asset}.nodes: node {} needs either user and password, or cookie",
                    node.rpc
                );
                return Err(wrong(span, text));
            }
        };
        if node
            .rpc
            .rsplit_once(':')
            .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            let text = format!(
                "assets.{asset}.nodes: rpc = \"{}\" is no host and port such as \"127.0.0.1:8332\"",
                node.rpc
            );
            return Err(wrong(span, text));
        }
        let endpoint = Endpoint { address: node.rpc, path: String::new(), auth };
        let poll =
            node.poll.map_or(Duration::from_secs(1), |span| span.0).max(Duration::from_millis(10));
        Ok(NodeConfig { endpoint, zmq: node.zmq, poll })
    }

    fn wallet(
        &self,
        spanned: Spanned<file::Wallet>,
        asset: &str,
        coin: Coin,
        nodes: &[NodeConfig],
    ) -> Result<WalletConfig, Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let wallet = spanned.into_inner();
        let needs = |key: &str| {
            wrong(&span, format!("assets.{asset}.wallet.{key} is missing for this kind of wallet"))
        };
        let own = wallet.kind != file::WalletKind::Node;
        if own && coin.family() != Family::Bitcoin {
            let text = format!(
                "assets.{asset}.wallet.kind: {} pools use a wallet in the node: kind = \"node\"",
                coin.family()
            );
            return Err(wrong(&span, text));
        }
        let stray = [
            ("key_file", wallet.key_file.is_some() && wallet.kind != file::WalletKind::Hot),
            ("descriptor", wallet.descriptor.is_some() && wallet.kind != file::WalletKind::Watch),
            (
                "change_descriptor",
                wallet.change_descriptor.is_some() && wallet.kind != file::WalletKind::Watch,
            ),
            ("psbt_folder", wallet.psbt_folder.is_some() && wallet.kind != file::WalletKind::Watch),
            ("birthday", wallet.birthday.is_some() && !own),
            ("name", wallet.name.is_some() && own),
        ];
        if let Some((key, _)) = stray.iter().find(|(_, is)| *is) {
            return Err(wrong(
                &span,
                format!(
                    "assets.{asset}.wallet.{key} means nothing for this kind of wallet; remove it"
                ),
            ));
        }
        Ok(match wallet.kind {
            file::WalletKind::Hot => WalletConfig::Hot {
                key_file: self.path(wallet.key_file.ok_or_else(|| needs("key_file"))?),
                birthday: wallet.birthday,
            },
            file::WalletKind::Watch => WalletConfig::Watch {
                descriptor: wallet.descriptor.ok_or_else(|| needs("descriptor"))?,
                change_descriptor: wallet
                    .change_descriptor
                    .ok_or_else(|| needs("change_descriptor"))?,
                psbt_folder: self.path(wallet.psbt_folder.ok_or_else(|| needs("psbt_folder"))?),
                birthday: wallet.birthday,
            },
            file::WalletKind::Node => {
                let name = wallet.name.ok_or_else(|| needs("name"))?;
                let path = format!("/wallet/{name}");
                let first = nodes.first().ok_or_else(|| needs("nodes"))?;
                WalletConfig::Node { endpoint: Endpoint { path, ..first.endpoint.clone() } }
            }
        })
    }

    fn pool(
        &self,
        spanned: Spanned<file::Pool>,
        assets: &[AssetSettings],
    ) -> Result<PoolSettings, Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let pool = spanned.into_inner();
        let name = pool.name.clone();
        if !assets.iter().any(|asset| asset.config.name == *pool.asset.get_ref()) {
            let known: Vec<&str> = assets.iter().map(|asset| &*asset.config.name).collect();
            let text = format!(
                "asset: pool \"{name}\" names no asset of this file; there is {}",
                known.join(", ")
            );
            return Err(wrong(&pool.asset, text));
        }
        let scheme = scheme_of(&pool, &span)?;
        let fee = FeeRule {
            base: pool.fee_percent.0,
            tiers: pool
                .fee_tiers
                .iter()
                .map(|tier| FeeTier { accounts: tier.accounts, fee: tier.fee_percent.0 })
                .collect(),
            member_discount: pool.member_discount_percent.0,
        };
        let tag = match &pool.tag {
            None => "/Adit/".to_owned(),
            Some(tag)
                if tag.get_ref().len() <= TAG_MAX
                    && tag.get_ref().bytes().all(|b| (0x20..0x7f).contains(&b)) =>
            {
                tag.get_ref().clone()
            }
            Some(tag) => {
                return Err(wrong(
                    tag,
                    format!("tag: at most {TAG_MAX} printable ASCII characters"),
                ));
            }
        };
        let extranonce2_size = match &pool.extranonce2_size {
            None => 8,
            Some(size) if (4..=8).contains(size.get_ref()) => *size.get_ref(),
            Some(size) => return Err(wrong(size, "extranonce2_size: from 4 to 8 bytes")),
        };
        if pool.ports.is_empty() {
            return Err(wrong(
                &span,
                format!("ports: pool \"{name}\" listens nowhere; add [[pools.ports]]"),
            ));
        }
        let slices = SliceRule {
            age_ms: pool.slice_age.map_or(SliceRule::default().age_ms, file::Span::ms),
            ..SliceRule::default()
        };
        let mut ports = Vec::new();
        for port in pool.ports {
            ports.push(
                self.port(port)
                    .map_err(|text| wrong(&span, format!("pools.ports of \"{name}\": {text}")))?,
            );
        }
        let part = match &pool.part {
            None => None,
            Some(part) if !matches!(scheme, Scheme::Pplns(_) | Scheme::Tides) => {
                return Err(wrong(
                    part,
                    "part: only pools whose blocks are paid by windows (pplns, tides) share them",
                ));
            }
            Some(part) => match Part::new(*part.get_ref()) {
                Some(part) => Some(part),
                None => return Err(wrong(part, "part: a number from 1 to 1000000")),
            },
        };
        let asset = pool.asset.into_inner();
        let config = PoolConfig { name, asset, scheme, fee, part, slices, knows_keys: false };
        Ok(PoolSettings { config, tag, extranonce2_size, ports })
    }

    fn port(&self, port: file::Port) -> Result<PortSettings, String> {
        let hardness = |given: Option<file::Hardness>, usual: f64| {
            given.map_or(Difficulty::nearest(usual), |d| d.0)
        };
        let min = hardness(port.min_difficulty, 0.001);
        let max = port.max_difficulty.map_or(Difficulty::MAX, |d| d.0);
        let start = hardness(port.start_difficulty, 1000.0);
        if !(min <= start && start <= max) {
            return Err(format!(
                "min_difficulty {min} ≤ start_difficulty {start} ≤ max_difficulty {max} does not hold"
            ));
        }
        let interval = port.share_interval.map_or(Duration::from_secs(5), |span| span.0);
        if interval.is_zero() {
            return Err("share_interval: more than nothing".into());
        }
        let tls = match (port.tls_certificate, port.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((self.path(certificate), self.path(key))),
            _ => return Err("tls_certificate and tls_key come together".into()),
        };
        let usual = Limits::default();
        let limits = Limits {
            connections: port.max_connections.unwrap_or(usual.connections),
            per_address: port.max_connections_per_address.unwrap_or(usual.per_address),
            handshake_ms: port.handshake_limit.map_or(usual.handshake_ms, file::Span::ms),
            silence_ms: port.silence_limit.map_or(usual.silence_ms, file::Span::ms),
            requests_per_s: port
                .max_requests_per_second
                .map_or(usual.requests_per_s, |limit| f64::from(limit.max(1))),
        };
        let policy = Policy { start, min, max, interval_s: interval.as_secs_f64() };
        Ok(PortSettings {
            listen: port.listen,
            policy,
            limits,
            tls,
            proxy_protocol: port.proxy_protocol,
        })
    }
}

fn scheme_of(pool: &file::Pool, span: &Spanned<()>) -> Result<Scheme, Wrong> {
    if pool.scheme != file::Scheme::Pplns {
        if let Some(window) = &pool.window {
            return Err(wrong(window, "window: only scheme = \"pplns\" has one"));
        }
        if let Some(window) = &pool.window_shares {
            return Err(wrong(window, "window_shares: only scheme = \"pplns\" has one"));
        }
    }
    if pool.custodial && pool.scheme != file::Scheme::Solo {
        return Err(wrong(
            span,
            format!("custodial: only scheme = \"solo\" of pool \"{}\" can be", pool.name),
        ));
    }
    Ok(match pool.scheme {
        file::Scheme::Solo => Scheme::Solo { custodial: pool.custodial },
        file::Scheme::Prop => Scheme::Prop,
        file::Scheme::Tides => Scheme::Tides,
        file::Scheme::Pps => Scheme::Pps,
        file::Scheme::Fpps => Scheme::Fpps,
        file::Scheme::Pplns => Scheme::Pplns(match (&pool.window, &pool.window_shares) {
            (None, None) => PplnsWindow::Work { millifactor: 2000 },
            (Some(window), None) if (0.001..=1000.0).contains(window.get_ref()) => {
                PplnsWindow::Work { millifactor: (window.get_ref() * 1000.0).round() as u64 }
            }
            (Some(window), None) => {
                return Err(wrong(window, "window: from 0.001 to 1000 times the network's work"));
            }
            (None, Some(count)) if *count.get_ref() > 0 => {
                PplnsWindow::Shares { count: *count.get_ref() }
            }
            (None, Some(count)) => return Err(wrong(count, "window_shares: at least one")),
            (Some(window), Some(_)) => {
                return Err(wrong(window, "window: not together with window_shares"));
            }
        }),
    })
}

fn payout_rules(payouts: &file::Payouts, cap: Option<Amount>, family: Family) -> PayoutRules {
    let coins = |given: Option<file::Coins>, usual: Amount| given.map_or(usual, |coins| coins.0);
    let ms = |given: Option<file::Span>, usual: u64| given.map_or(usual, file::Span::ms);
    let confirm = payouts.confirm_after.unwrap_or(6).max(1);
    let abandon = payouts.abandon_after.unwrap_or(100).max(1);
    PayoutRules {
        minimum: coins(payouts.minimum, Amount::from_units(1_000_000)),
        dust: Amount::from_units(dust(family)),
        max_outputs: payouts.max_outputs.unwrap_or(500).clamp(1, 2500),
        fee_payer: match payouts.fee_payer.unwrap_or(file::FeePayer::Miners) {
            file::FeePayer::Pool => FeePayer::Pool,
            file::FeePayer::Miners => FeePayer::Miners,
        },
        max_per_run: coins(payouts.max_per_run, UNLIMITED),
        max_per_day: coins(payouts.max_per_day, UNLIMITED),
        max_per_account_per_day: coins(payouts.max_per_account_per_day, UNLIMITED),
        approval_above: payouts.approval_above.map(|coins| coins.0),
        address_change_delay_ms: ms(payouts.address_change_delay, 48 * 3600 * 1000),
        depths: PayoutDepths {
            confirm,
            abandon,
            last_look: payouts.final_after.unwrap_or(200).max(confirm + 1).max(abandon + 1),
        },
        interval_ms: ms(payouts.interval, 3600 * 1000),
        bump_after_ms: payouts.bump_after.map(file::Span::ms),
        hot_wallet_cap: cap,
    }
}

fn fee_policy(fees: &file::Fees) -> FeePolicy {
    let usual = FeePolicy::default();
    FeePolicy {
        target_blocks: fees.target_blocks.unwrap_or(usual.target_blocks),
        fallback_rate: fees
            .fallback_per_vbyte
            .map_or(usual.fallback_rate, |rate| rate.saturating_mul(1000)),
        max_rate: fees.max_per_vbyte.map_or(usual.max_rate, |rate| rate.saturating_mul(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(pool.config.scheme, Scheme::Pplns(PplnsWindow::Work { millifactor: 2500 }));
        assert_eq!(pool.config.fee.base.points(), 125);
        assert_eq!(pool.ports[0].policy.start, Difficulty::nearest(0.5));
        match &settings.assets[0].treasury.wallet {
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
}

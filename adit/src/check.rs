//! `adit check`: what would go wrong, in words, before it does.
//!
//! Invariant: changes nothing; each complaint says how to mend it.

mod chia;
mod ether;
mod gxc;

use crate::config::{self, AssetKind, AssetSettings, CoinSettings, PoolKind, Settings};
use accounting::reserve::{reserve_for, ruin_exponent};
use accounting::{Amount, Scheme};
use rustix::fs::statvfs;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use store::Reader;
use stratum::node;
use stratum::rpc::Rpc;
use stratum::treasury::{WalletConfig, key};

/// Less free space than this is a warning: a busy pool writes a gigabyte in some days.
const SPACE_LOW: u64 = 5 << 30;
/// Less than this and it does not start.
const SPACE_NONE: u64 = 100 << 20;
/// A clock this far from the network's costs shares.
const CLOCK_OFF_S: i64 = 60;

/// What was looked at, line by line.
#[derive(Default)]
struct Report {
    failed: bool,
}

impl Report {
    fn ok(&self, text: impl AsRef<str>) {
        println!("ok    {}", text.as_ref());
    }

    fn warn(&self, text: impl AsRef<str>) {
        println!("warn  {}", text.as_ref());
    }

    fn fail(&mut self, text: impl AsRef<str>) {
        self.failed = true;
        println!("FAIL  {}", text.as_ref());
    }
}

/// Runs the command; gives whether a pool could start.
///
/// # Errors
/// When the machine itself refuses.
pub fn run(path: &Path) -> anyhow::Result<bool> {
    let mut report = Report::default();
    let settings = match config::load(path) {
        Ok(settings) => settings,
        Err(error) => {
            report.fail(error.to_string());
            return Ok(false);
        }
    };
    report.ok(format!("configuration {}", path.display()));
    let runs =
        std::os::unix::net::UnixStream::connect(crate::control::socket_path(&settings.data_dir))
            .is_ok();
    if runs {
        report.ok("a pool runs with this configuration; its ports are not tried");
    }
    disk(&settings, &mut report);
    backups(&settings, &mut report);
    files(&mut report);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for asset in &settings.assets {
        let value = match &asset.kind {
            AssetKind::Coin(own) => {
                runtime.block_on(nodes(asset, own, &mut report));
                runtime.block_on(wallet(asset, own, &mut report));
                runtime.block_on(block_value(own))
            }
            AssetKind::Gxc(own) => runtime.block_on(gxc::check(asset, own, &mut report)),
            AssetKind::Ether(own) => {
                runtime.block_on(ether::check(asset, own, &settings, &mut report));
                None
            }
            AssetKind::Chia(own) => {
                runtime.block_on(chia::check(asset, own, &settings, &mut report))
            }
            AssetKind::External(own) => {
                let (name, network) = (&asset.config.name, &own.network);
                report.ok(format!(
                    "{name}: withdrawals of {network} are sent by you: `adit payouts list`, `approve`, `sent`, `confirmed`"
                ));
                None
            }
        };
        bankroll(&settings, asset, value, &mut report);
    }
    if !runs {
        ports(&settings, &mut report);
    }
    pages(&settings, runs, &mut report);
    println!(
        "{}",
        if report.failed { "this pool cannot start yet" } else { "this pool can start" }
    );
    Ok(!report.failed)
}

fn disk(settings: &Settings, report: &mut Report) {
    let folder = &settings.data_dir;
    if let Err(error) = std::fs::create_dir_all(folder) {
        return report.fail(format!(
            "data_dir {}: {error}. Make the folder, owned by the user that runs the pool",
            folder.display()
        ));
    }
    let probe = folder.join(".check");
    let written = std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe));
    if let Err(error) = written {
        return report.fail(format!("data_dir {} cannot be written: {error}", folder.display()));
    }
    match statvfs(folder) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let text = format!("data_dir {}: {} MB free", folder.display(), free >> 20);
            match free {
                free if free < SPACE_NONE => {
                    report.fail(format!("{text}. Free some: a full disk refuses every share"))
                }
                free if free < SPACE_LOW => {
                    report.warn(format!("{text}; a busy pool writes a gigabyte in some days"))
                }
                _ => report.ok(text),
            }
        }
        Err(error) => {
            report.warn(format!("free space of {} is unknown: {error}", folder.display()))
        }
    }
    match Reader::open(folder) {
        Ok(reader) => match reader.fold_differences() {
            Ok(differences) if differences.is_empty() => report.ok("the books fold"),
            Ok(differences) => report
                .fail(format!("the books do not fold: {differences:?}. Restore the last backup")),
            Err(error) => report.fail(error.to_string()),
        },
        Err(_) if !folder.join(store::sqlite::FILE_NAME).exists() => {
            report.ok("no store yet; it is made at the first start")
        }
        Err(error) => report.fail(error.to_string()),
    }
}

fn backups(settings: &Settings, report: &mut Report) {
    let Some(backups) = &settings.backups else {
        return report.warn("no [backups]: a lost disk would lose what everybody is owed");
    };
    let folder = &backups.folder;
    let probe = folder.join(".check");
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b"x"))
        .and_then(|()| std::fs::remove_file(&probe));
    if let Err(error) = written {
        return report.fail(format!("backups.folder {}: {error}", folder.display()));
    }
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    let text = format!("backups in {}, {} kept", folder.display(), backups.keep);
    match device(folder) == device(&settings.data_dir) {
        true => report.warn(format!("{text}: on the store's own disk; copy them elsewhere too")),
        false => report.ok(text),
    }
}

fn pages(settings: &Settings, runs: bool, report: &mut Report) {
    let Some(web) = &settings.web else {
        return report.ok("no [web]: no pages are served");
    };
    match web::theme::Theme::load(web.theme.as_deref()) {
        Ok(_) => {}
        Err(error) => report.fail(format!("web.theme: {error}")),
    }
    if let Some((certificate, key)) = &web.tls
        && let Err(error) = crate::run::acceptor(certificate, key)
    {
        report.fail(format!("web.tls_certificate: {error:#}"));
    }
    match std::net::TcpListener::bind(web.listen) {
        _ if runs => {}
        Ok(_) => report.ok(format!("pages: {} is free", web.listen)),
        Err(error) => report.fail(format!(
            "pages: {}: {error}. Stop what listens there (`ss -ltnp`), or choose another",
            web.listen
        )),
    }
    if !web.listen.ip().is_loopback() && web.tls.is_none() {
        report.warn(
            "pages are served without TLS to other machines: the operator's page stays shut there; set web.tls_certificate, \
             or listen on 127.0.0.1 behind a proxy",
        );
    }
    if web.site.registered_only && web.site.url.is_none() {
        report.warn("web.registration is required, and web.url is not set: miners are not told where to register");
    }
}

fn files(report: &mut Report) {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if limit < 65_536 {
        report.warn(format!(
            "at most {limit} open files: more connections than that are refused; raise LimitNOFILE"
        ));
    } else {
        report.ok(format!("open files: {limit}"));
    }
}

async fn nodes(asset: &AssetSettings, own: &CoinSettings, report: &mut Report) {
    let mut fit = false;
    for config in &own.source.nodes {
        let mut rpc = Rpc::new(config.endpoint.clone());
        let name = format!("node {} of {}", config.endpoint.address, asset.config.name);
        if let Err(error) = own.source.gate.check(&mut rpc).await {
            report.warn(format!("{name}: {error}"));
            continue;
        }
        fit = true;
        match node::template(&mut rpc, own.coin, own.source.trees, None).await {
            Ok(template) => {
                let news = match (&config.zmq, &template.long_poll_id) {
                    (Some(_), Some(_)) => "ZMQ and long poll",
                    (Some(_), None) => "ZMQ",
                    (None, Some(_)) => "long poll",
                    (None, None) => "polling only: set zmq, or blocknotify to `adit knock`",
                };
                let count = template.transaction_ends.len();
                report.ok(format!(
                    "{name}: template of height {} with {count} transactions; news by {news}",
                    template.height
                ));
                clock(&name, template.cur_time, report);
                match template.enforced {
                    _ if !own.source.trees => {}
                    Ok(_) => report.ok(format!("{name}: its chain enforces BIP-119")),
                    Err(error) => report.fail(format!("{name}: {error}")),
                }
            }
            Err(error) => report.warn(format!("{name} gives no template: {error}")),
        }
        if let Some(zmq) = &config.zmq {
            let host = zmq.trim_start_matches("tcp://");
            match tokio::net::TcpStream::connect(host).await {
                Ok(_) => report.ok(format!("{name}: ZMQ at {zmq}")),
                Err(error) => report.warn(format!(
                    "{name}: ZMQ at {zmq}: {error}. Start the node with -zmqpubhashblock={zmq}"
                )),
            }
        }
    }
    if !fit {
        report.fail(format!(
            "no node of {} can be used: no work can be handed out",
            asset.config.name
        ));
    }
}

fn clock(name: &str, node_time: u32, report: &mut Report) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let off = i64::from(node_time) - i64::try_from(now).unwrap_or(0);
    // A node may be ahead where blocks come faster than seconds; behind it never is.
    if !(-CLOCK_OFF_S..=7200).contains(&off) {
        report.fail(format!(
            "the clock is {off} s away from {name}: set it (timedatectl set-ntp true)"
        ));
    }
}

async fn wallet(asset: &AssetSettings, own: &CoinSettings, report: &mut Report) {
    let name = &asset.config.name;
    match &own.treasury.wallet {
        WalletConfig::Hot { key_file, .. } => match key::read(key_file, own.coin) {
            Ok(_) => {
                report.ok(format!("wallet of {name}: key in {}", key_file.display()));
                if asset.config.payouts.hot_wallet_cap.is_none() {
                    report.warn(format!("assets.{name}.wallet.cap is not set: nobody is told when the hot wallet grows"));
                }
            }
            Err(error) => report.fail(format!("wallet of {name}: {error}")),
        },
        WalletConfig::Watch { psbt_folder, .. } => {
            report.ok(format!(
                "wallet of {name}: signed elsewhere, through {}",
                psbt_folder.display()
            ));
        }
        WalletConfig::Node { endpoint } => {
            let mut rpc = Rpc::new(endpoint.clone());
            match rpc.call::<Value>("getwalletinfo", json!([])).await {
                Ok(info) if info["unlocked_until"] == 0 => {
                    report.fail(format!(
                        "wallet of {name} is locked: unlock it with walletpassphrase"
                    ));
                }
                Ok(_) => report.ok(format!("wallet of {name}: in the node, {}", endpoint.path)),
                Err(error) => {
                    report.fail(format!("wallet of {name}: {error}. Load it: loadwallet"))
                }
            }
        }
    }
}

/// Paying per share is a bet with the pool's own money: what is it worth?
fn bankroll(
    settings: &Settings,
    asset: &AssetSettings,
    value: Option<Amount>,
    report: &mut Report,
) {
    let per_share = |scheme: &Scheme| scheme.pays_per_share();
    for pool in settings.pools.iter().filter(|pool| pool.config.asset == asset.config.name) {
        if !per_share(&pool.config.scheme) {
            report.ok(format!("pool {}: {}", pool.config.name, pool.config.scheme.in_words()));
            continue;
        }
        let held = held_bankroll(settings, &asset.config.name);
        let (fee, decimals) = (pool.config.base_fee(), asset.config.decimals);
        let text = format!(
            "pool {} buys shares: bankroll {}",
            pool.config.name,
            held.to_decimal(decimals)
        );
        let Some(value) = value else {
            report.warn(format!("{text}; no node says what a block is worth"));
            continue;
        };
        let exponent = ruin_exponent(held, value, fee);
        let wanted = reserve_for(value, fee, 3)
            .map_or("no sum is enough without a fee".to_owned(), |sum| {
                format!("one in a thousand needs {}", sum.to_decimal(decimals))
            });
        let text = format!("{text}, a block {}, fee {fee}", value.to_decimal(decimals));
        match exponent {
            0 => report.warn(format!(
                "{text}: ruin is more likely than one in ten; {wanted}. Put coins into the wallet and book them with \
                 `adit payouts deposit --bankroll`"
            )),
            exponent => report.ok(format!("{text}: ruin is less likely than 10^-{exponent}; {wanted}")),
        }
    }
}

async fn block_value(own: &CoinSettings) -> Option<Amount> {
    for config in &own.source.nodes {
        let mut rpc = Rpc::new(config.endpoint.clone());
        if let Ok(template) = node::template(&mut rpc, own.coin, own.source.trees, None).await {
            return Some(Amount::from_units(template.coinbase_value.into()));
        }
    }
    None
}

fn held_bankroll(settings: &Settings, asset: &str) -> Amount {
    let held = || {
        let reader = Reader::open(&settings.data_dir).ok()?;
        let (id, _) = *reader.book().ok()?.assets.get(asset)?;
        Some(reader.balance(id, accounting::ledger::Kind::Bankroll).ok()?.posted())
    };
    held().unwrap_or_default()
}

fn ports(settings: &Settings, report: &mut Report) {
    let mut ports = Vec::new();
    for pool in &settings.pools {
        match &pool.kind {
            PoolKind::Stratum(own) => {
                ports.extend(own.ports.iter().map(|port| (port.listen, port.tls.clone())));
            }
            PoolKind::Farming(own) => ports.push((own.listen, own.tls.clone())),
            PoolKind::Refunds => {}
            PoolKind::Compute(own) => {
                ports.push((own.listen, own.tls.clone()));
                ports.extend(own.axon.map(|axon| (axon, None)));
                match crate::run::prepared(own.set.as_deref()) {
                    Ok(set) => {
                        report.ok(format!("tasks of {} ({})", set.name(), set.hash()));
                    }
                    Err(error) => report.fail(format!("pools.compute.set: {error:#}")),
                }
                let file = own.key_file.display();
                match ::compute::client::key::read(&own.key_file) {
                    Ok(Some(key)) => report.ok(format!("reports are signed by {}", key.public())),
                    Ok(None) => report.ok(format!("{file}: the pool's hotkey will be made there")),
                    Err(error) => report.fail(format!("pools.compute.key_file: {error}")),
                }
            }
        }
    }
    for (listen, tls) in ports {
        match std::net::TcpListener::bind(listen) {
            Ok(_) => report.ok(format!("port {} is free", listen)),
            Err(error) => report.fail(format!(
                "port {}: {error}. Stop what listens there (`ss -ltnp`), or choose another",
                listen
            )),
        }
        if let Some((certificate, key)) = &tls {
            match crate::run::acceptor(certificate, key) {
                Ok(_) => {
                    report.ok(format!("port {}: TLS certificate {}", listen, certificate.display()))
                }
                Err(error) => report.fail(format!("port {}: {error:#}", listen)),
            }
        }
    }
}

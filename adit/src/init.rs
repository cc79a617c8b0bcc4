//! `adit init`: a few questions, and a configuration that explains itself.
//!
//! Invariant: nothing is overwritten; what is written is accepted by `adit check`'s reader.

mod compute;
mod farm;

use crate::cli::InitArgs;
use crate::config;
use anyhow::{Context, bail};
use std::io::{BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use stratum::coin::Family;
use stratum::treasury::key;

/// What was answered.
struct Answers {
    coin: String,
    network: String,
    rpc: String,
    access: Access,
    scheme: String,
    fee: String,
    listen: String,
    data_dir: String,
    /// Of leased compute: what an epoch brings, and whose alpha it is.
    budget: String,
    netuid: String,
}

/// How the node lets us in: by a password, or by the folder of its certificates.
#[derive(Default)]
struct Access {
    user: String,
    password: String,
    ssl: String,
}

/// Where Chia's software keeps its certificates.
const SSL: &str = "/home/chia/.chia/mainnet/config/ssl";

/// Runs the command.
///
/// # Errors
/// When the file exists or cannot be written, or an answer cannot be used.
pub fn run(args: &InitArgs) -> anyhow::Result<()> {
    if args.config.exists() {
        bail!("{} exists; name another file with --config, or edit it", args.config.display());
    }
    let answers = ask_all(args.defaults)?;
    let text = render(&answers);
    let settings =
        config::read(&text, &args.config).context("these answers do not make a configuration")?;
    // It holds the node's password.
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.config)
        .with_context(|| args.config.display().to_string())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    println!("\nwrote {}", args.config.display());
    let kind = settings.assets.first().map(|asset| &asset.kind);
    let path = args.config.parent().unwrap_or(Path::new(".")).join("pool.key");
    match kind {
        Some(config::AssetKind::Coin(own)) if own.coin.family() == Family::Bitcoin => {
            make_key(&path, |path| Ok(key::create(path, own.coin)?))?;
        }
        Some(config::AssetKind::Chia(_)) => {
            make_key(&path, |path| Ok(farming::wallet::key::create(path)?))?;
        }
        _ => {}
    }
    println!(
        "next: read it, then `adit check --config {0}` and `adit run --config {0}`",
        args.config.display()
    );
    Ok(())
}

fn make_key(path: &Path, create: impl Fn(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if path.exists() {
        println!("{} is used as it is", path.display());
        return Ok(());
    }
    create(path)?;
    println!(
        "wrote {}: it can spend all coins of the pool. Keep a copy where nobody else gets at it",
        path.display()
    );
    Ok(())
}

fn ask_all(defaults: bool) -> anyhow::Result<Answers> {
    let ask = |question: &str, choices: &str, default: &str| -> anyhow::Result<String> {
        if defaults {
            return Ok(default.to_owned());
        }
        let shown = if choices.is_empty() { String::new() } else { format!(" ({choices})") };
        print!("{question}{shown} [{default}]: ");
        std::io::stdout().flush()?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("no answer; `adit init --defaults` asks nothing");
        }
        let answer = line.trim();
        if !choices.is_empty()
            && !answer.is_empty()
            && !choices.split(", ").any(|choice| choice == answer)
        {
            bail!("\"{answer}\" is none of {choices}");
        }
        Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
    };
    let coin = ask("Which coin?", "bitcoin, litecoin, chia, tao, alpha", "bitcoin")?;
    let networks = match &*coin {
        "litecoin" => "main, test, regtest",
        "chia" => "mainnet, testnet11, simulator",
        "tao" | "alpha" => "finney, test, local",
        _ => "main, test, testnet4, signet, regtest",
    };
    let first = networks.split(',').next().unwrap_or("main");
    let network = ask("Which network?", networks, first)?;
    if compute::is_its(&coin) {
        let netuid = match &*coin {
            "alpha" => ask("Which subnet's alpha?", "", "94")?,
            _ => String::new(),
        };
        return Ok(Answers {
            rpc: String::new(),
            access: Access::default(),
            scheme: "budget".into(),
            budget: ask("What does an epoch of an hour bring, in whole coins?", "", "1.0")?,
            fee: ask("The pool's fee, in percent?", "", "5")?,
            listen: ask("Where do miners connect?", "", "0.0.0.0:8434")?,
            data_dir: ask("Where is everything kept?", "", "data")?,
            netuid,
            coin,
            network,
        });
    }
    let usual = match (&*coin, &*network) {
        ("bitcoin", "main") => "127.0.0.1:8332",
        ("bitcoin", "test") => "127.0.0.1:18332",
        ("bitcoin", "testnet4") => "127.0.0.1:48332",
        ("bitcoin", "signet") => "127.0.0.1:38332",
        ("litecoin", "main") => "127.0.0.1:9332",
        ("litecoin", "test") => "127.0.0.1:19332",
        ("litecoin", _) => "127.0.0.1:19443",
        ("chia", _) => "127.0.0.1:8555",
        _ => "127.0.0.1:18443",
    };
    let rpc = ask("Where is the node's RPC?", "", usual)?;
    let mut access = Access::default();
    if coin == "chia" {
        access.ssl = ask("Where are the node's certificates?", "", SSL)?;
    } else {
        access.user = ask("Its user?", "", "adit")?;
        access.password = ask("Its password?", "", "change-me")?;
    }
    let (schemes, door) = match &*coin {
        "chia" => ("solo, prop, pplns, tides", "127.0.0.1:8447"),
        _ => ("solo, prop, pplns, tides, pps, fpps", "0.0.0.0:3333"),
    };
    Ok(Answers {
        rpc,
        access,
        scheme: ask("How are blocks divided?", schemes, "pplns")?,
        fee: ask("The pool's fee, in percent?", "", "1.0")?,
        listen: ask("Where do miners connect?", "", door)?,
        data_dir: ask("Where is everything kept?", "", "data")?,
        budget: String::new(),
        netuid: String::new(),
        coin,
        network,
    })
}

/// TOML's basic strings want these escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn render(answers: &Answers) -> String {
    if answers.coin == "chia" {
        return farm::render(answers);
    }
    if compute::is_its(&answers.coin) {
        return compute::render(answers);
    }
    let Answers { coin, network, rpc, access, scheme, fee, listen, data_dir, .. } = answers;
    let Access { user, password, .. } = access;
    let wallet = match &**coin {
        "bitcoin" => {
            r#"# Where the coins are.
#   hot:   our own wallet; its key in a file that only this user can read
#   watch: our own wallet without its key: transactions wait in psbt_folder until you sign them elsewhere
#          (descriptor, change_descriptor, psbt_folder)
#   node:  a wallet inside the first node (name)
[assets.coin.wallet]
kind = "hot"
key_file = "pool.key"
# More than this raises an alarm: move the rest to a cold wallet and declare it in assets_elsewhere.
cap = "10""#
        }
        _ => {
            r#"# Where the coins are: in a wallet of the first node, made with `createwallet pool`.
[assets.coin.wallet]
kind = "node"
name = "pool"
# More than this raises an alarm: move the rest to a cold wallet and declare it in assets_elsewhere.
cap = "500""#
        }
    };
    let window = if scheme == "pplns" {
        "\n# The window: so many times the network's work of one block. Or window_shares = a number of shares.\nwindow = 2.0"
    } else {
        ""
    };
    format!(
        r#"# A pool's configuration. `adit check` says what is wrong with it; docs/operating.md tells more.
# Amounts are whole coins in quotes, times are a number and ms, s, m, h or d.

# The store, found blocks and the control socket.
data_dir = {data_dir}

[log]
# error, warn, info, debug or trace
level = "info"

# The money. The name "coin" is yours to choose, once: it is kept in the store.
[assets.coin]
coin = {coin}
network = {network}
# Coins that back what is owed and are not in the wallet.
assets_elsewhere = "0"

# One or more nodes; the first is preferred, all are told of found blocks.
[[assets.coin.nodes]]
rpc = {rpc}
user = {user}
password = {password}
# cookie = "/var/lib/bitcoind/.cookie"     # instead of user and password
# zmq = "tcp://127.0.0.1:28332"            # the node's -zmqpubhashblock

{wallet}

[assets.coin.payouts]
minimum = "0.01"
interval = "1h"
max_outputs = 500
# Who pays the network: "miners", in proportion, or "pool".
fee_payer = "miners"
# Circuit breakers.
max_per_run = "100"
max_per_day = "500"
max_per_account_per_day = "50"
# A changed payout address waits so long.
address_change_delay = "48h"
# An unconfirmed payout gets a higher fee after so long.
bump_after = "6h"

[assets.coin.fees]
target_blocks = 6
max_per_vbyte = 200

[[pools]]
# The name is yours to choose, once: it is kept in the store.
name = "main"
asset = "coin"
# solo, prop, pplns, tides, pps or fpps; docs/schemes.md says what each means.
scheme = {scheme}{window}
fee_percent = {fee}
# Your mark in the blocks you find.
tag = "/Adit/"

# Ports differ in difficulty. Small devices need a low minimum, large farms a high start.
[[pools.ports]]
listen = {listen}
start_difficulty = 1000
min_difficulty = 0.001
# tls_certificate = "cert.pem"             # TLS on the same port
# tls_key = "key.pem"
# proxy_protocol = true                    # behind a load balancer that speaks it

# Pages, API and metrics; docs/web.md tells more. To be seen from elsewhere they want TLS, here or in a proxy.
[web]
listen = "127.0.0.1:8080"
title = "My pool"
# url = "https://pool.example"             # where everybody finds them
# registration = "required"                # only registered addresses may mine
# tls_certificate = "cert.pem"
# tls_key = "key.pem"
# proxies = ["127.0.0.1"]

# Copies of the store, each read back. Best on another disk.
[backups]
folder = "backups"
every = "6h"
keep = 28
"#,
        data_dir = quoted(data_dir),
        coin = quoted(coin),
        network = quoted(network),
        rpc = quoted(rpc),
        user = quoted(user),
        password = quoted(password),
        scheme = quoted(scheme),
        listen = quoted(listen),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_answered_becomes_a_configuration_that_is_read() {
        for (coin, network) in [
            ("bitcoin", "regtest"),
            ("litecoin", "regtest"),
            ("chia", "mainnet"),
            ("tao", "finney"),
            ("alpha", "test"),
        ] {
            for scheme in ["solo", "prop", "pplns", "tides", "pps", "fpps"] {
                if coin == "chia" && scheme.ends_with("pps") {
                    continue;
                }
                let access = Access {
                    user: "a\"b\\c".into(),
                    password: "p".into(),
                    ssl: "/etc/\"ssl\"".into(),
                };
                let listen = if coin == "chia" { "127.0.0.1:8447" } else { "[::]:3333" };
                let answers = Answers {
                    coin: coin.into(),
                    network: network.into(),
                    rpc: "127.0.0.1:1".into(),
                    access,
                    scheme: scheme.into(),
                    fee: "1.5".into(),
                    listen: listen.into(),
                    data_dir: "data".into(),
                    budget: "0.25".into(),
                    netuid: "94".into(),
                };
                let text = render(&answers);
                let read = config::read(&text, Path::new("adit.toml"));
                assert!(read.is_ok(), "{coin} {scheme}: {}\n{text}", read.unwrap_err());
            }
        }
    }
}

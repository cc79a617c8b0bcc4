//! `adit demo --kind farming`: Chia's own node, wallet, harvester and farmer on this machine, and a pool that they farm to.
//!
//! The network is the one of the tests, by Chia's own developers' simulator; the pool is the one that `adit run` runs.
//!
//! Invariant: as of the other demo: the exit status is 0 only if everything holds.

use super::outcome::Outcome;
use super::{Temporary, all_is_paid, scheme};
use crate::cli::demo::DemoArgs;
use crate::config;
use crate::run::{self, Running};
use anyhow::{Context, bail};
use farming::address;
use farming::wallet::key;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Drives Chia's own software.
const DRIVER: &str = include_str!("../../../testkit/src/chia_devnet.py");
/// Blocks that leaving the pool takes.
const LOCK_HEIGHT: u32 = 5;
/// Between two signage points.
const BEAT: Duration = Duration::from_millis(700);

/// Runs the demo; gives whether everything held.
pub(super) async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    let python = python()?;
    let temporary;
    let folder: &Path = match &args.data {
        Some(folder) => folder,
        None => {
            temporary = Temporary::new()?;
            &temporary.0
        }
    };
    std::fs::create_dir_all(folder)?;
    say("starting Chia's full node");
    let mut devnet = Devnet::start(&python, folder)?;
    let text = configuration(&args, &devnet.node, folder)?;
    let settings = config::read(&text, &folder.join("adit.toml"))?;
    let running = run::start(settings, CancellationToken::new()).await?;
    let played = tokio::select! {
        played = play(&args, &running, &mut devnet) => played,
        stopped = tokio::signal::ctrl_c() => stopped.map(|()| 0).map_err(Into::into),
    };
    let outcome = Outcome::of(&running, args.blocks, played.unwrap_or_default())?;
    running.stop().await?;
    println!("{}", outcome.to_json());
    Ok(outcome.is_good())
}

/// The farmer joins and farms, and wins blocks until enough are paid; gives how many blocks nobody of the pool won.
async fn play(args: &DemoArgs, running: &Running, devnet: &mut Devnet) -> anyhow::Result<u64> {
    let counter = loop {
        if let Some(counter) = running.live.counters().first() {
            break counter.clone();
        }
        tokio::time::sleep(BEAT).await;
    };
    let listens = loop {
        if let Some(address) = running.live.addresses().first() {
            break *address;
        }
        tokio::time::sleep(BEAT).await;
    };
    if let Some(pages) = &running.pages {
        say(&format!("pages: http://{}", pages.address));
    }
    let (_, target) = address::decode(&counter.address).context("the pool's address")?;
    say("the wallet makes a plot NFT and joins; the first time, two small plots are made");
    let authority = devnet.node["authority"].clone();
    let joined = devnet.ask(&json!({
        "do": "join", "url": format!("http://{listens}"), "authority": authority,
        "target": target.to_string(), "lock": LOCK_HEIGHT,
    }))?;
    say(&format!("farmer 0x{} farms to {listens}", joined["launcher"].as_str().unwrap_or("?")));
    let (mut told, mut fillers) = (String::new(), 0);
    loop {
        devnet.ask(&json!({ "do": "points", "count": 1 }))?;
        let view = running.pool.view();
        let is_paid = all_is_paid(running, args.blocks);
        let partials: u64 = running.live.doors().iter().map(|door| door.accepted()).sum();
        // Nobody is paid for a block before there was work to divide it by.
        if partials > 0 {
            let wins = (view.rewards.len() as u64) < args.blocks;
            devnet.ask(&json!({ "do": "blocks", "count": 1, "to_pool": wins }))?;
            fillers += u64::from(!wins);
        }
        let paid = view.payouts.iter().filter(|payout| payout.state.as_str() == "confirmed");
        let now = format!(
            "{partials} partials, {} rewards absorbed, {} payouts confirmed",
            view.rewards.len(),
            paid.count()
        );
        if now != told {
            say(&now);
            told = now;
        }
        if is_paid && args.exit {
            return Ok(fillers);
        }
        tokio::time::sleep(BEAT).await;
    }
}

fn say(text: &str) {
    eprintln!("{text}");
}

/// Where scripts/chia.sh installed Chia's software.
fn python() -> anyhow::Result<PathBuf> {
    let found = || {
        let folders = std::fs::read_dir(cache()?).ok()?;
        let mut homes: Vec<PathBuf> =
            folders.filter_map(|entry| Some(entry.ok()?.path())).collect();
        homes.sort();
        homes.into_iter().find_map(|home| {
            let name = home.file_name()?.to_str()?;
            let is_ready = name.starts_with("chia-") && home.join("ready").exists();
            Some(home.join("bin/python")).filter(|python| is_ready && python.exists())
        })
    };
    let Some(python) = found() else {
        bail!(
            "this demo runs Chia's own node, wallet, harvester and farmer, and they are not installed: run scripts/chia.sh of \
             Adit's source once (Python 3.10 to 3.12, 250 MB, by pip), then this again"
        );
    };
    Ok(python)
}

fn cache() -> Option<PathBuf> {
    let own = std::env::var_os("ADIT_CACHE").map(PathBuf::from);
    own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/adit")))
}

/// The pool's configuration: like any other, with everything faster.
fn configuration(args: &DemoArgs, node: &Value, folder: &Path) -> anyhow::Result<String> {
    let key_file = folder.join("xch.key");
    if !key_file.exists() {
        key::create(&key_file)?;
    }
    let (listen, pages, scheme) = (args.listen, args.pages, scheme(args.scheme));
    let [rpc, authority, certificate, key] =
        ["rpc", "authority", "certificate", "key"].map(|name| node[name].as_str().unwrap_or("?"));
    Ok(format!(
        r#"
data_dir = "store"
[assets.xch]
coin = "chia"
network = "simulator"
look_every = "1s"
mature_after = 3
orphan_after = 6
wallet = {{ kind = "hot", key_file = "xch.key" }}
[[assets.xch.nodes]]
rpc = "{rpc}"
authority = "{authority}"
certificate = "{certificate}"
key = "{key}"
[assets.xch.payouts]
minimum = "0.001"
interval = "1s"
confirm_after = 3
[[pools]]
name = "demo"
asset = "xch"
scheme = "{scheme}"
fee_percent = 1.0
[pools.farming]
listen = "{listen}"
title = "Adit demo"
min_difficulty = 1000000000
partials_per_day = 10000000
lock_height = {LOCK_HEIGHT}
confirm_after = "10s"
buried_after = 3
absorb_after = 1
absorb_every = "1s"
report_after = 1
look_every = "500ms"
[web]
listen = "{pages}"
title = "Adit demo"
"#
    ))
}

/// Chia's own software, driven by lines of JSON; it ends when nobody writes to it any more.
struct Devnet {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where its node is.
    node: Value,
}

impl Devnet {
    fn start(python: &Path, folder: &Path) -> anyhow::Result<Self> {
        let driver = folder.join("devnet.py");
        std::fs::write(&driver, DRIVER)?;
        let plots =
            cache().context("a folder for plots: set HOME or ADIT_CACHE")?.join("chia-plots");
        std::fs::create_dir_all(&plots)?;
        let log = File::create(folder.join("devnet.log"))?;
        let mut child = Command::new(python)
            .arg(driver)
            .env("DEVNET_WORK", folder)
            .env("DEVNET_CACHE", plots)
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| python.display().to_string())?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("its answers")?);
        let mut devnet = Devnet { child, commands, answers, node: Value::Null };
        devnet.node = devnet.answer()?;
        Ok(devnet)
    }

    fn ask(&mut self, command: &Value) -> anyhow::Result<Value> {
        tokio::task::block_in_place(|| {
            let commands = self.commands.as_mut().context("it takes commands until it ends")?;
            writeln!(commands, "{command}")?;
            commands.flush()?;
            let answer = self.answer()?;
            match answer.get("error") {
                Some(error) => bail!("{command}: {error}"),
                None => Ok(answer),
            }
        })
    }

    fn answer(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                bail!(
                    "Chia's software ended; `adit demo --data FOLDER` keeps what it said in devnet.log"
                );
            }
            if let Some(answer) = line.strip_prefix('@') {
                return Ok(serde_json::from_str(answer)?);
            }
        }
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Err(error) = self.child.wait() {
            tracing::debug!(%error, "Chia's software cannot be waited for");
        }
    }
}

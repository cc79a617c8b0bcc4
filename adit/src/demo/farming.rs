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
use anyhow::Context;
use devnet::chia::{Chia, LOCK_HEIGHT, MIN_DIFFICULTY, Service};
use farming::address;
use farming::wallet::key;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

/// Between two signage points.
const BEAT: Duration = Duration::from_millis(700);

/// Runs the demo; gives whether everything held.
pub(super) async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    let python = devnet::chia::installed().context(
        "this demo runs Chia's own node, wallet, harvester and farmer, and they are not installed: run scripts/chia.sh of \
         Adit's source once (Python 3.10 to 3.12, 250 MB, by pip), then this again",
    )?;
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
    let mut devnet = block_in_place(|| Chia::start(Command::new(python), folder))
        .context("Chia's software: `adit demo --data FOLDER` keeps what it says in devnet.log")?;
    let text = configuration(&args, &devnet.node, folder)?;
    let settings = config::read(&text, &folder.join("adit.toml"))?;
    let running = run::start(settings, CancellationToken::new()).await?;
    let played = tokio::select! {
        played = play(&args, &running, &mut devnet) => played,
        stopped = tokio::signal::ctrl_c() => stopped.map(|()| 0).map_err(Into::into),
    };
    let outcome = Outcome::of(&running, args.blocks, *played.as_ref().unwrap_or(&0))?;
    running.stop().await?;
    played?;
    println!("{}", outcome.to_json());
    Ok(outcome.is_good())
}

/// The farmer joins and farms, and wins blocks until enough are paid; gives how many blocks nobody of the pool won.
async fn play(args: &DemoArgs, running: &Running, devnet: &mut Chia) -> anyhow::Result<u64> {
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
    // Trusted, and of no use: without TLS there is nothing to sign for.
    let authority = devnet.node.authority.clone();
    let (url, target) = (format!("http://{listens}"), target.to_string());
    let joined = block_in_place(|| devnet.join(&url, &authority, &target))?;
    say(&format!("farmer 0x{} farms to {listens}", joined["launcher"].as_str().unwrap_or("?")));
    let (mut told, mut fillers) = (String::new(), 0);
    loop {
        block_in_place(|| devnet.points(1))?;
        let view = running.pool.view();
        let is_paid = all_is_paid(running, args.blocks);
        let partials: u64 = running.live.doors().iter().map(|door| door.accepted()).sum();
        // Nobody is paid for a block before there was work to divide it by.
        if partials > 0 {
            let wins = (view.rewards.len() as u64) < args.blocks;
            block_in_place(|| if wins { devnet.wins(1) } else { devnet.blocks(1) })?;
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

/// The pool's configuration: like any other, with everything faster.
fn configuration(args: &DemoArgs, node: &Service, folder: &Path) -> anyhow::Result<String> {
    let key_file = folder.join("xch.key");
    if !key_file.exists() {
        key::create(&key_file)?;
    }
    let (listen, pages, scheme) = (args.listen, args.pages, scheme(args.scheme));
    let node = node.to_toml();
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
{node}
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
min_difficulty = {MIN_DIFFICULTY}
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

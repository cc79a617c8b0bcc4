//! `adit demo --kind compute`: a compute pool and five workers in one process. Three of them cheat, and it does not pay.
//!
//! The pool is the one that `adit run` runs, from a configuration like any other, with epochs of ten seconds; the honest are `adit
//! worker`s; all speak HTTP over loopback. Invariant: the exit status is 0 only if every cheat was paid less than every honest worker,
//! the books balance and every epoch's split recomputes.

mod cheat;

use super::Temporary;
use crate::audit::{Auditor, Finding};
use crate::cli::demo::DemoArgs;
use crate::config;
use crate::run::{self, OpenDoor, Running};
use anyhow::Context;
use cheat::{Cheat, Plot};
use compute::client::{Account, Client, Config};
use compute::data::demo;
use compute::evaluate::Prepared;
use compute::key::SigningKey;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Reader;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Seconds of an epoch.
const EPOCH_S: u64 = 10;
/// How often the table is drawn.
const DRAW: Duration = Duration::from_secs(2);
/// How long the last epoch may take to close.
const CLOSING: Duration = Duration::from_secs(3 * EPOCH_S);
/// Programs an honest worker tries for each that it sends.
const GENERATIONS: usize = 20;

/// What a worker of the demo does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Honest,
    Cheats(Plot),
}

/// The workers: name and manner.
const WORKERS: [(&str, Manner); 5] = [
    ("ada", Manner::Honest),
    ("ben", Manner::Honest),
    ("lou", Manner::Cheats(Plot::Lazy)),
    ("max", Manner::Cheats(Plot::Praise)),
    ("moe", Manner::Cheats(Plot::Praise)),
];

impl Manner {
    const fn words(self) -> &'static str {
        match self {
            Manner::Honest => "computes",
            Manner::Cheats(Plot::Lazy) => "says one half, computes nothing",
            Manner::Cheats(Plot::Praise) => "praises its partner's programs",
        }
    }
}

/// Runs it; gives whether everything held.
///
/// # Errors
/// When something cannot start.
pub async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    let temporary;
    let folder: &Path = match &args.data {
        Some(folder) => folder,
        None => {
            temporary = Temporary::new()?;
            &temporary.0
        }
    };
    std::fs::create_dir_all(folder)?;
    let settings = config::read(&configuration(&args), &folder.join("adit.toml"))?;
    let running = run::start(settings, CancellationToken::new()).await?;
    let pool = address(&running)?;
    let accounts = WORKERS.iter().zip(1..).map(|((name, manner), seed)| {
        let key = SigningKey::from_seed(&[seed; 32]);
        Ok((*name, *manner, Account::new(&pool, key)?))
    });
    let accounts: Vec<_> = accounts.collect::<anyhow::Result<_>>()?;
    let stop = CancellationToken::new();
    let mut working = start(&pool, folder, &stop)?;
    let began = Instant::now();
    let mut screen = Screen { began, is_terminal: std::io::stdout().is_terminal() };
    let mut beats = tokio::time::interval(DRAW);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while began.elapsed() < Duration::from_secs(args.seconds) {
        tokio::select! {
            stopped = &mut interrupted => {
                stopped?;
                break;
            }
            ended = running.until_stopped() => {
                ended?;
                break;
            }
            _ = beats.tick() => screen.draw(&pool, &look(&accounts).await),
        }
    }
    stop.cancel();
    while working.join_next().await.is_some() {}
    let rows = settled(&accounts).await;
    screen.draw(&pool, &rows);
    running.stop().await?;
    let outcome = outcome(&folder.join("store"), &rows)?;
    println!("{outcome}");
    Ok(["cheating_paid", "books_differ"].iter().all(|wrong| outcome[wrong] == false)
        && outcome["epochs"] == outcome["splits_recomputed"])
}

/// The pool's configuration: like any other, with everything faster, and few enough workers that each is checked often.
fn configuration(args: &DemoArgs) -> String {
    let (listen, pages) = (args.listen, args.pages);
    format!(
        r#"
data_dir = "store"
[assets.tao]
coin = "tao"
network = "local"
look_every = "300ms"
[[pools]]
name = "demo"
asset = "tao"
scheme = "budget"
fee_percent = 5
cap_percent = 50
[pools.compute]
listen = "{listen}"
budget = "1"
epoch = "{EPOCH_S}s"
requests_per_minute = 0
requests_per_minute_per_address = 0
defences = {{ checks_per_thousand = 250, probation = 3 }}
[web]
listen = "{pages}"
title = "Adit demo"
"#
    )
}

fn address(running: &Running) -> anyhow::Result<String> {
    let doors = running.live.doors();
    let mut listening = doors.iter().filter_map(|door| match door {
        OpenDoor::Compute { door, .. } => door.listening(),
        _ => None,
    });
    Ok(format!("http://{}", listening.next().context("the pool listens")?))
}

fn start(pool: &str, folder: &Path, stop: &CancellationToken) -> anyhow::Result<JoinSet<()>> {
    let set = Arc::new(Prepared::new(&demo::classes()));
    let gang = cheat::Gang::default();
    let mut working = JoinSet::new();
    for ((name, manner), seed) in WORKERS.into_iter().zip(1..) {
        let key = SigningKey::from_seed(&[seed; 32]);
        match manner {
            Manner::Honest => {
                let config = Config {
                    pool: pool.to_owned(),
                    key,
                    folder: folder.join(name),
                    batch: 8,
                    generations: GENERATIONS,
                };
                let client = Client::new(config, set.clone(), |_| {}, stop.clone())?;
                working.spawn(async move {
                    if let Err(error) = client.work().await {
                        tracing::error!(%error, "an honest worker stopped");
                    }
                });
            }
            Manner::Cheats(plot) => {
                let account = Account::new(pool, key)?;
                let cheat = Cheat::new(account, plot, gang.clone(), set.clone(), seed.into());
                working.spawn(cheat.work(stop.clone()));
            }
        }
    }
    Ok(working)
}

/// What the pool says of a worker.
struct Row {
    name: &'static str,
    manner: Manner,
    stats: Value,
    balance: Value,
}

impl Row {
    fn paid(&self) -> u64 {
        self.balance["balance_rao"].as_u64().unwrap_or(0)
    }
}

async fn look(accounts: &[(&'static str, Manner, Account)]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, manner, account) in accounts {
        // Who is not known yet has nothing.
        let stats = account.get("/api/v1/miners/stats").await.unwrap_or_default();
        let target = format!("/api/v1/rewards/balance/{}", account.hotkey());
        let balance = account.get(&target).await.unwrap_or_default();
        rows.push(Row { name, manner: *manner, stats, balance });
    }
    rows
}

/// Once the last epoch is closed: nothing is pending any more.
async fn settled(accounts: &[(&'static str, Manner, Account)]) -> Vec<Row> {
    let began = Instant::now();
    loop {
        let rows = look(accounts).await;
        let pending = rows.iter().any(|row| row.balance["pending_rao"].as_u64() != Some(0));
        if !pending || began.elapsed() > CLOSING {
            // The books follow within a moment.
            tokio::time::sleep(DRAW).await;
            return look(accounts).await;
        }
        tokio::time::sleep(DRAW).await;
    }
}

struct Screen {
    began: Instant,
    is_terminal: bool,
}

impl Screen {
    fn draw(&mut self, pool: &str, rows: &[Row]) {
        let mut page = String::new();
        if self.is_terminal {
            page.push_str("\x1b[H\x1b[2J");
        }
        self.write(&mut page, pool, rows).expect("a string takes everything");
        let mut out = std::io::stdout().lock();
        // A closed terminal does not stop a pool.
        if out.write_all(page.as_bytes()).and_then(|()| out.flush()).is_err() {
            tracing::debug!("nobody looks");
        }
    }

    fn write(&self, page: &mut String, pool: &str, rows: &[Row]) -> std::fmt::Result {
        let spent = self.began.elapsed().as_secs();
        if !self.is_terminal {
            write!(page, "{spent:>4} s ")?;
            for row in rows {
                write!(page, "  {} {:.6}", row.name, coins(row.paid()))?;
            }
            return writeln!(page);
        }
        writeln!(page, "Adit demo: a compute pool and five workers in one process    {spent} s\n")?;
        writeln!(page, "  pool     {pool}   epochs of {EPOCH_S} s, a TAO each\n")?;
        writeln!(
            page,
            "  {:<6} {:<33} {:>8} {:>6} {:>6} {:>12} {:>14}",
            "worker", "what it does", "accurate", "off", "caught", "reputation", "paid, TAO"
        )?;
        for row in rows {
            let count = |name: &str| row.stats[name].as_u64().unwrap_or(0);
            writeln!(
                page,
                "  {:<6} {:<33} {:>8} {:>6} {:>6} {:>12} {:>14.9}",
                row.name,
                row.manner.words(),
                count("accurate_evaluations"),
                count("inaccurate_evaluations"),
                count("failed_checks"),
                row.stats["reputation"].as_str().unwrap_or("0"),
                coins(row.paid()),
            )?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown only")]
fn coins(rao: u64) -> f64 {
    rao as f64 / 1e9
}

/// Counted from the store, as a stranger would.
fn outcome(store: &Path, rows: &[Row]) -> anyhow::Result<Value> {
    let reader = Reader::open(store)?;
    let rewards = reader.rewards(u64::from(u32::MAX))?;
    let mut auditor = Auditor::of(&reader)?;
    let mut recomputed = 0;
    for row in &rewards {
        if let Some((reward, _)) = reader.reward(row.id)?
            && auditor.reward(&reward)? == Finding::Pass
        {
            recomputed += 1;
        }
    }
    let paid = |is_honest: bool| {
        let some = rows.iter().filter(move |row| (row.manner == Manner::Honest) == is_honest);
        some.map(Row::paid)
    };
    let (least, most) = (paid(true).min().unwrap_or(0), paid(false).max().unwrap_or(0));
    let workers = rows.iter().map(|row| {
        json!({
            "name": row.name,
            "does": row.manner.words(),
            "paid_rao": row.paid(),
            "reputation": row.stats["reputation"],
            "accurate": row.stats["accurate_evaluations"],
            "inaccurate": row.stats["inaccurate_evaluations"],
            "failed_checks": row.stats["failed_checks"],
        })
    });
    Ok(json!({
        "workers": workers.collect::<Vec<_>>(),
        "epochs": rewards.len(),
        "splits_recomputed": recomputed,
        "books_differ": !reader.fold_differences()?.is_empty(),
        "cheating_paid": least <= most,
    }))
}

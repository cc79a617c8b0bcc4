//! `adit worker`: computes for a pool, a sidecar or a relay, and says what it does.

mod bar;
pub mod sidecar;

use crate::cli::worker::WorkerArgs;
use anyhow::{Context, bail};
use bar::teller;
use compute::client::direct::Direct;
use compute::client::local::{self, Local};
use compute::client::ui::{self, Ui};
use compute::client::{Client, Config, Engine, key};
use compute::data::demo;
use compute::evaluate::Prepared;
use compute::key::SigningKey;
use compute::self_test;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Works until interrupted.
///
/// # Errors
/// When it cannot begin, or the other side does not want it.
pub async fn run(args: WorkerArgs) -> anyhow::Result<()> {
    self_test::run()?;
    println!("this machine computes what every other one does");
    if args.self_test {
        return Ok(());
    }
    let set = match &args.set {
        Some(file) => crate::data::open(file)?,
        None => demo::classes(),
    };
    let set = Arc::new(Prepared::new(&set));
    println!("{} ({})", set.name(), set.hash());
    let cancel = cancelled_by_signals()?;
    let engine = Engine {
        set,
        generations: args.generations,
        folder: args.data.clone(),
        tell: teller(),
        cancel,
    };
    if let Some(sidecar) = &args.sidecar_url {
        let config = local::Config {
            sidecar: sidecar.clone(),
            token: args.sidecar_token.as_deref().map(sidecar::token_in).transpose()?,
            run: args.run_id.clone(),
            worker: args.worker_id.clone(),
        };
        return Ok(Local::new(config, engine)?.work().await?);
    }
    let hotkey = hotkey(&args.key)?;
    if args.ui {
        return page(args, hotkey, engine).await;
    }
    if args.direct {
        let relay = args.relay.context("name a relay with --relay")?;
        return Ok(Direct::new(&relay, hotkey, engine)?.work().await?);
    }
    let (batch, generations) = (args.batch, args.generations);
    let pool = args.pool.context("name a pool with --pool")?;
    let config = Config { pool, key: hotkey, folder: args.data, batch, generations };
    Ok(Client::of(config, engine)?.work().await?)
}

async fn page(args: WorkerArgs, key: SigningKey, engine: Engine) -> anyhow::Result<()> {
    if !args.ui_listen.ip().is_loopback() {
        bail!("--ui-listen {}: the page is for this machine only: 127.0.0.1", args.ui_listen);
    }
    let read = ui::pool_endpoint(&args.gui_config);
    let configured = read.with_context(|| args.gui_config.display().to_string())?;
    let token = fresh_token()?;
    let options = ui::Options {
        key,
        set: engine.set,
        folder: engine.folder,
        batch: args.batch,
        generations: args.generations,
        pool: args.pool.or(configured),
        relay: args.relay,
        token: token.clone(),
    };
    let listener = TcpListener::bind(args.ui_listen).await;
    let listener = listener.with_context(|| format!("--ui-listen {}", args.ui_listen))?;
    println!("open http://{}/?token={token}", listener.local_addr()?);
    Ui::new(options, engine.cancel).serve(listener).await;
    Ok(())
}

/// The hotkey in a file, made if there is none.
fn hotkey(file: &Path) -> anyhow::Result<SigningKey> {
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let (hotkey, is_new) = key::open(file, fresh)?;
    if is_new {
        println!("a new hotkey is in {}: keep it, it is what you are paid by", file.display());
    }
    println!("hotkey {}", hotkey.public());
    Ok(hotkey)
}

/// A secret that nobody guesses.
fn fresh_token() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Cancelled at SIGINT or SIGTERM.
fn cancelled_by_signals() -> anyhow::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        println!("stopping; what is in hand is kept");
        stop.cancel();
    });
    Ok(cancel)
}

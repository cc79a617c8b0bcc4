//! `adit sidecar` and `adit driver`: with `adit worker --sidecar-url`, a miner in three processes.

use super::bar::teller;
use super::{cancelled_by_signals, fresh_token, hotkey};
use crate::cli::worker::{DriverArgs, SidecarArgs};
use anyhow::{Context, bail};
use compute::client::Account;
use compute::client::driver::{Config, Driver};
use compute::sidecar::Sidecar;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;

/// Serves jobs until interrupted.
///
/// # Errors
/// When it cannot begin.
pub async fn serve(args: SidecarArgs) -> anyhow::Result<()> {
    if !args.listen.ip().is_loopback() {
        bail!("--listen {}: a sidecar is for this machine only: 127.0.0.1", args.listen);
    }
    std::fs::create_dir_all(&args.data).with_context(|| args.data.display().to_string())?;
    let token = args.token_file.as_deref().map(token_made_in).transpose()?;
    let asks = token.is_some();
    let sidecar = Sidecar::open(&args.data, token)?;
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("--listen {}", args.listen))?;
    let cancel = cancelled_by_signals()?;
    let who = if asks { "programs that have the token" } else { "every program of this machine" };
    println!("http://{} for {who}", listener.local_addr()?);
    sidecar.serve(listener, cancel).await;
    Ok(())
}

/// Fetches leases until interrupted, or for so long.
///
/// # Errors
/// When it cannot begin, or the pool does not want it.
pub async fn drive(args: DriverArgs) -> anyhow::Result<()> {
    let account = Account::new(&args.pool_url, hotkey(&args.key)?)?;
    let config = Config {
        account,
        sidecar: args.sidecar_url,
        token: args.sidecar_token.as_deref().map(token_in).transpose()?,
        run: args.run_id,
        task: args.task_type,
        batch: args.batch,
        folder: args.data,
    };
    let cancel = cancelled_by_signals()?;
    if let Some(seconds) = args.duration_s {
        let over = cancel.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            over.cancel();
        });
    }
    Ok(Driver::new(config, teller(), cancel)?.work().await?)
}

/// The token in a file.
///
/// # Errors
/// When there is none.
pub fn token_in(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    match text.trim() {
        "" => bail!("{} is empty: it should hold the sidecar's token", file.display()),
        token => Ok(token.to_owned()),
    }
}

/// The token in a file, which is made if it is not there, readable by its owner only.
fn token_made_in(file: &Path) -> anyhow::Result<String> {
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    match new {
        Ok(mut new) => {
            let token = fresh_token()?;
            writeln!(new, "{token}")?;
            new.sync_all()?;
            Ok(token)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => token_in(file),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

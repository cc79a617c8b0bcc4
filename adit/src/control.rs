//! How commands reach a pool: over a socket in its data folder when it runs, on its store when it does not.
//!
//! Invariant: every order is carried out by the writer and written before it is answered, whichever way it came. The
//! socket is the owner's alone.

mod desk;
mod payouts;
mod people;
mod status;

use crate::config::Settings;
use crate::run::{Live, Running};
use anyhow::{Context, anyhow, bail};
use desk::Desk;
use pool::bans::{Banned, Bans};
pub use pool::command::{Command, Given};
use pool::{Pool, SystemClock, writer};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Sqlite;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// The longest command read.
const COMMAND_MAX: u64 = 64 * 1024;
/// Whose notes pauses are.
const NOTES: &str = "control";
/// Who is written into the log of acts when nobody says a name.
pub const OPERATOR: &str = "operator";

/// The socket's place.
#[must_use]
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Listens for commands for as long as the pool runs.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(running: &Running) -> anyhow::Result<()> {
    let path = socket_path(&running.settings.data_dir);
    // Whatever is there is of a process that has ended: the store is locked by us.
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let open = Arc::new(Open {
        pool: running.pool.clone(),
        settings: running.settings.clone(),
        live: running.live.clone(),
    });
    running.live.spawn("the control socket", async move {
        let floor = &open.live.floor;
        loop {
            let stream = tokio::select! {
                () = floor.cancel.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match stream {
                Ok((stream, _)) => drop(floor.tasks.spawn(serve(stream, open.clone()))),
                Err(error) => tracing::warn!(%error, "a command could not be taken"),
            }
        }
    });
    Ok(())
}

/// Takes the socket away.
pub fn forget(data_dir: &Path) {
    if let Err(error) = std::fs::remove_file(socket_path(data_dir)) {
        tracing::debug!(%error, "the control socket was gone");
    }
}

/// What a running pool's commands work on.
pub struct Open {
    /// The writer's door.
    pub pool: Pool,
    /// What the configuration said.
    pub settings: Settings,
    /// What runs so far.
    pub live: Arc<Live>,
}

impl Open {
    /// Carries a command out.
    ///
    /// # Errors
    /// What the pool said.
    pub async fn execute(&self, given: Given) -> anyhow::Result<Value> {
        let (counters, doors) = (self.live.counters(), self.live.doors());
        let desk = Desk {
            pool: &self.pool,
            settings: &self.settings,
            counters: &counters,
            doors: &doors,
            connections: self.live.floor.connections.count(),
            bans: Some(&self.live.bans),
            by: &given.by,
        };
        desk.execute(given.command).await
    }
}

async fn serve(stream: UnixStream, open: Arc<Open>) {
    if let Err(error) = answer(stream, &open).await {
        tracing::debug!(%error, "a command was cut off");
    }
}

async fn answer(stream: UnixStream, open: &Open) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(COMMAND_MAX)).read_line(&mut line).await?;
    let outcome = match serde_json::from_str::<Given>(&line) {
        Ok(given) => open.execute(given).await,
        Err(error) => Err(anyhow!("not a command of this version: {error}")),
    };
    let answer = match outcome {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": format!("{error:#}") }),
    };
    writer.write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(())
}

/// Sends a command to the running pool; without one, carries it out on the store.
///
/// # Errors
/// What the pool said.
pub fn send(settings: &Settings, command: &Command) -> anyhow::Result<Value> {
    send_by(settings, OPERATOR, command)
}

/// The same, by somebody with a name.
///
/// # Errors
/// What the pool said.
pub fn send_by(settings: &Settings, by: &str, command: &Command) -> anyhow::Result<Value> {
    let given = Given { by: by.to_owned(), command: command.clone() };
    match std::os::unix::net::UnixStream::connect(socket_path(&settings.data_dir)) {
        Ok(mut stream) => {
            stream.write_all(format!("{}\n", serde_json::to_string(&given)?).as_bytes())?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            let mut answer: Value =
                serde_json::from_str(&line).context("the pool did not answer; see its log")?;
            match answer.get("error") {
                Some(error) => bail!("{}", error.as_str().unwrap_or("refused")),
                None => Ok(answer["ok"].take()),
            }
        }
        Err(_) => on_store(settings, given),
    }
}

/// Carries a command out with a writer of its own, while no pool runs.
fn on_store(settings: &Settings, Given { by, command }: Given) -> anyhow::Result<Value> {
    if matches!(
        command,
        Command::Status
            | Command::Knock { .. }
            | Command::PayNow { .. }
            | Command::Match { .. }
            | Command::Forget { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
    ) {
        bail!(
            "the pool does not run (no {}): start it with `adit run`",
            socket_path(&settings.data_dir).display()
        );
    }
    let store = Sqlite::open(&settings.data_dir)?;
    let assets = settings.assets.iter().map(|asset| asset.config.clone()).collect();
    let pools = settings.pools.iter().map(|pool| pool.config.clone()).collect();
    let writer = writer::start(Box::new(store), assets, pools, SystemClock)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let desk = Desk {
            pool: &writer.pool,
            settings,
            counters: &[],
            doors: &[],
            connections: 0,
            bans: None,
            by: &by,
        };
        let outcome = desk.execute(command).await;
        writer.pool.stop().await;
        outcome
    });
    writer.thread.join().map_err(|_| anyhow!("the writer panicked"))??;
    outcome
}

/// Who was banned before the last stop.
///
/// # Errors
/// When the pool is stopping.
pub async fn bans_of(pool: &Pool) -> anyhow::Result<Bans> {
    let notes = pool.order(|books, _, _| Ok(books.notes_of(Banned::DOOR))).await?;
    Ok(Bans::of(notes.keys()))
}

/// Why a pool was paused before the last stop, if it was.
///
/// # Errors
/// When the pool is stopping.
pub async fn pause_of(pool: &Pool, name: &str) -> anyhow::Result<Option<String>> {
    let notes = pool.order(|books, _, _| Ok(books.notes_of(NOTES))).await?;
    let found = notes.get(&format!("pause/{name}"));
    Ok(found.map(|reason| String::from_utf8_lossy(reason).into_owned()))
}

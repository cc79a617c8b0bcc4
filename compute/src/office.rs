//! The thread that holds the desk and its tables: whoever wants something sends it here, and hears once it is on disk.
//!
//! Steps that wait are taken together and share one sync. Invariant: nobody is told anything that is not on disk; when the disk
//! fails, the desk is put together again from what is on it.

use crate::auth::Seen;
use crate::desk::{Change, Desk, Settings};
use crate::tables::{TableError, Tables};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Steps that may wait; beyond it, requests wait.
pub const STEPS_MAX: usize = 8192;
/// Steps that share a sync.
const BATCH_MAX: usize = 1024;

/// Why a step was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The disk.
    #[error("the pool cannot write now; nothing was taken: try again")]
    DiskFailing,
    /// The end.
    #[error("the pool is stopping: try again in a minute")]
    Stopping,
}

type Reply = Box<dyn FnOnce(Result<(), Closed>) + Send>;
type Step = Box<dyn FnOnce(&mut Desk, &Tables) -> Result<(Vec<Change>, Reply), TableError> + Send>;

enum Command {
    Step(Option<Seen>, Step),
    Stop,
}

/// A handle to the office.
#[derive(Clone)]
pub struct Office {
    commands: mpsc::Sender<Command>,
}

/// The office's thread.
pub struct Running(JoinHandle<()>);

impl Office {
    /// Opens the tables in a folder and begins to work. `secret` is used if there is none yet.
    ///
    /// # Errors
    /// When the tables cannot be used.
    pub fn open(
        folder: &Path,
        settings: Settings,
        secret: u64,
    ) -> Result<(Self, Running, Vec<Seen>), TableError> {
        let tables = Tables::open(folder)?;
        let desk = load(&tables, settings, secret)?;
        let seen = tables.seen()?;
        let (commands, inbox) = mpsc::channel(STEPS_MAX);
        let clerk =
            Clerk { tables, desk, folder: folder.to_owned(), settings, secret, is_broken: false };
        let thread = std::thread::Builder::new()
            .name("compute-desk".into())
            .spawn(move || clerk.work(inbox))
            .map_err(|_| TableError::Damaged("no thread for the desk"))?;
        Ok((Office { commands }, Running(thread), seen))
    }

    /// Takes a step: reads and changes the desk, and answers once its changes are on disk. `seen` is the signature that asked.
    ///
    /// # Errors
    /// When it could not be written; then nothing has changed.
    pub async fn step<T, F>(&self, seen: Option<Seen>, step: F) -> Result<T, Closed>
    where
        T: Send + 'static,
        F: FnOnce(&mut Desk, &Tables) -> Result<(T, Vec<Change>), TableError> + Send + 'static,
    {
        let (tell, answer) = oneshot::channel();
        let boxed: Step = Box::new(move |desk, tables| {
            let (value, changes) = step(desk, tables)?;
            let reply: Reply = Box::new(move |durable| {
                if tell.send(durable.map(|()| value)).is_err() {
                    tracing::debug!("somebody did not wait for the desk's answer");
                }
            });
            Ok((changes, reply))
        });
        self.commands.send(Command::Step(seen, boxed)).await.map_err(|_| Closed::Stopping)?;
        // A step that failed is dropped with its sender.
        answer.await.unwrap_or(Err(Closed::DiskFailing))
    }

    /// Asks the office to finish what has arrived and end.
    pub async fn stop(&self) {
        if self.commands.send(Command::Stop).await.is_err() {
            tracing::debug!("the compute desk has ended already");
        }
    }
}

impl Running {
    /// Waits for the end.
    ///
    /// # Panics
    /// When the thread did.
    pub fn join(self) {
        self.0.join().expect("the desk's thread does not panic");
    }
}

fn load(tables: &Tables, settings: Settings, secret: u64) -> Result<Desk, TableError> {
    // What follows from the secret is not repeated after a restart: the draws begin elsewhere.
    let mut desk = Desk::new(settings, tables.secret(secret)? ^ secret);
    tables.restore(&mut desk)?;
    Ok(desk)
}

struct Clerk {
    tables: Tables,
    desk: Desk,
    folder: PathBuf,
    settings: Settings,
    secret: u64,
    /// The desk may be ahead of the disk.
    is_broken: bool,
}

impl Clerk {
    fn work(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            batch.clear();
            if inbox.blocking_recv_many(&mut batch, BATCH_MAX) == 0 {
                return;
            }
            let stops = batch.iter().any(|command| matches!(command, Command::Stop));
            self.take(batch.drain(..));
            if stops {
                return;
            }
        }
    }

    fn take(&mut self, batch: impl Iterator<Item = Command>) {
        if self.is_broken && !self.mend() {
            return batch.for_each(drop);
        }
        let mut replies = Vec::new();
        let written = self.tables.begin().and_then(|()| {
            for command in batch {
                let Command::Step(seen, step) = command else { continue };
                let (changes, reply) = step(&mut self.desk, &self.tables)?;
                replies.push(reply);
                changes.iter().try_for_each(|change| self.tables.write(change))?;
                seen.iter().try_for_each(|seen| self.tables.write_seen(seen))?;
            }
            self.tables.commit()
        });
        if let Err(error) = &written {
            tracing::error!(%error, "the compute door cannot write: requests are refused until it can");
            self.tables.roll_back();
            self.is_broken = true;
        }
        for reply in replies {
            reply(if written.is_ok() { Ok(()) } else { Err(Closed::DiskFailing) });
        }
    }

    fn mend(&mut self) -> bool {
        let again = Tables::open(&self.folder)
            .and_then(|tables| Ok((load(&tables, self.settings, self.secret)?, tables)));
        match again {
            Ok((desk, tables)) => {
                (self.desk, self.tables, self.is_broken) = (desk, tables, false);
                tracing::info!("the compute door can write again");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the compute door still cannot write");
                false
            }
        }
    }
}

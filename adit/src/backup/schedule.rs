//! Backups by the clock, while the pool runs.
//!
//! Invariant: what carries a backup's name was written whole, synced and read back, with books that fold; older ones go only
//! after a newer one is there.

use super::{beside, copy};
use crate::config::BackupSettings;
use accounting::UnixMs;
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use pool::Clock;
use rustix::fs::statvfs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::sqlite::FILE_NAME;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use web::model::Iso;

/// After a failure the next try comes this soon.
const RETRY: Duration = Duration::from_secs(600);
/// How much less this work asks for than the miners'.
const NICENESS: i32 = 10;
/// What a backup is called while it is made.
const PART: &str = ".part";
/// A backup's name begins and ends like this.
const NAME: (&str, &str) = ("adit-", ".db");

/// How it went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The newest that was written and read back.
    pub last: Option<UnixMs>,
    /// Why the last try failed, if it did.
    pub trouble: Option<String>,
}

/// Backups of one pool.
pub struct Schedule {
    /// Where, how often and how many.
    pub settings: BackupSettings,
    /// How it went.
    pub state: ArcSwap<State>,
    data_dir: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Schedule {
    /// Looks for the newest there is, so that a restart does not make another at once.
    pub fn new(settings: BackupSettings, data_dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let last = backups(&settings.folder).pop().and_then(|file| made_at(&file));
        let state = ArcSwap::from_pointee(State { last, trouble: None });
        Schedule { settings, state, data_dir, clock }
    }

    /// Makes backups until cancelled.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(self.wait()) => {}
            }
            let made = self.clone().make_beside().await;
            let state = match made {
                Ok(at) => State { last: Some(at), trouble: None },
                Err(error) => {
                    tracing::error!("no backup was made: {error:#}");
                    State { last: self.state.load().last, trouble: Some(format!("{error:#}")) }
                }
            };
            self.state.store(Arc::new(state));
        }
    }

    fn wait(&self) -> Duration {
        let (state, now) = (self.state.load(), self.clock.now());
        if state.trouble.is_some() {
            return RETRY.min(self.settings.every);
        }
        let passed = state.last.map(|last| Duration::from_millis(now.0.saturating_sub(last.0)));
        passed.map_or(Duration::ZERO, |passed| self.settings.every.saturating_sub(passed))
    }

    /// On a thread of its own, which gives way to everything else.
    async fn make_beside(self: Arc<Self>) -> anyhow::Result<UnixMs> {
        let (done, made) = oneshot::channel();
        std::thread::Builder::new().name("backup".into()).spawn(move || {
            if let Err(error) = rustix::process::nice(NICENESS) {
                tracing::debug!(%error, "the backup keeps its priority");
            }
            // Nobody waits any more when the pool has stopped meanwhile.
            drop(done.send(self.make()));
        })?;
        made.await.context("the thread that makes backups ended")?
    }

    /// Makes one now, then lets the oldest go.
    fn make(&self) -> anyhow::Result<UnixMs> {
        let (folder, now) = (&self.settings.folder, self.clock.now());
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        room(folder, &self.data_dir)?;
        let (head, tail) = NAME;
        let file = folder.join(format!("{head}{}{tail}", Iso(now).text().replace(':', "-")));
        let part = folder.join(PART);
        remove(&part)?;
        copy(&self.data_dir, &part)?;
        for (beside, _) in beside(&part)? {
            let name = beside.file_name().unwrap_or_default().to_string_lossy();
            let own = file.file_name().unwrap_or_default().to_string_lossy();
            std::fs::rename(&beside, folder.join(name.replacen(PART, &own, 1)))?;
        }
        std::fs::rename(&part, &file)?;
        std::fs::File::open(folder)?.sync_all()?;
        tracing::info!(file = %file.display(), "backup");
        let all = backups(folder);
        for old in all.iter().rev().skip(self.settings.keep) {
            remove(old)?;
        }
        Ok(now)
    }
}

/// Removes a backup, whole or half, with what belongs to it.
fn remove(file: &Path) -> anyhow::Result<()> {
    let beside = beside(file)?.into_iter().map(|(beside, _)| beside);
    for old in beside.chain(file.exists().then(|| file.to_owned())) {
        std::fs::remove_file(&old).with_context(|| old.display().to_string())?;
    }
    Ok(())
}

/// All there are, oldest first: their names are their times.
fn backups(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let is_one = |name: &str| name.starts_with(NAME.0) && name.ends_with(NAME.1);
    let mut all: Vec<PathBuf> = files
        .filter(|file| file.file_name().to_str().is_some_and(is_one))
        .map(|file| file.path())
        .collect();
    all.sort();
    all
}

fn made_at(file: &Path) -> Option<UnixMs> {
    let at = file.metadata().ok()?.modified().ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(UnixMs)
}

/// Is there room for one more?
fn room(folder: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let size = std::fs::metadata(data_dir.join(FILE_NAME))?.len();
    let space = statvfs(folder)?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < size.saturating_add(size / 4) {
        let (free, size) = (free >> 20, size >> 20);
        bail!(
            "{}: {free} MB are free, the store has {size} MB; free some, or keep fewer backups (backups.keep)",
            folder.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use store::{Reader, Sqlite};

    struct Steps(AtomicU64);

    impl Clock for Steps {
        fn now(&self) -> UnixMs {
            UnixMs(1_700_000_000_000 + 1000 * self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    fn schedule(folder: &Path, keep: usize) -> Schedule {
        let settings = BackupSettings {
            folder: folder.join("backups"),
            every: Duration::from_secs(3600),
            keep,
        };
        let clock = Arc::new(Steps(AtomicU64::new(0)));
        Schedule::new(settings, folder.join("data"), clock)
    }

    #[test]
    fn only_so_many_are_kept_and_each_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        drop(Sqlite::open(&data).unwrap());
        drop(web::db::Db::open(&data).unwrap());
        drop(farming::tables::Tables::open(&data.join("farming-1.sqlite")).unwrap());
        drop(compute::tables::Tables::open(&data).unwrap());
        let schedule = schedule(folder.path(), 2);
        for _ in 0..4 {
            schedule.make().unwrap();
        }
        let kept = backups(&schedule.settings.folder);
        assert_eq!(kept.len(), 2, "{kept:?}");
        for file in &kept {
            assert!(Reader::open_file(file).unwrap().fold_differences().unwrap().is_empty());
            assert_eq!(
                beside(file).unwrap().len(),
                3,
                "the web's, compute's and a farming pool's: {file:?}"
            );
        }
        let files = std::fs::read_dir(&schedule.settings.folder).unwrap().count();
        assert_eq!(files, 8, "nothing half is left");
    }

    #[test]
    fn what_a_crash_left_half_is_no_backup_and_does_not_stop_the_next() {
        let folder = tempfile::tempdir().unwrap();
        drop(Sqlite::open(&folder.path().join("data")).unwrap());
        let schedule = schedule(folder.path(), 2);
        std::fs::create_dir_all(&schedule.settings.folder).unwrap();
        std::fs::write(schedule.settings.folder.join(PART), b"half").unwrap();
        assert_eq!(backups(&schedule.settings.folder), [] as [PathBuf; 0]);
        assert_eq!(schedule.wait(), Duration::ZERO, "one is due at once");
        schedule.make().unwrap();
        assert_eq!(backups(&schedule.settings.folder).len(), 1);
    }
}

//! `adit backup` and `adit restore`.
//!
//! Invariant: a backup is one consistent moment, taken while the pool runs. After a restore nothing is paid until the
//! wallet's spends are compared with the books, because the backup does not know what happened after it.

pub mod schedule;

use crate::config::Settings;
use accounting::UnixMs;
use anyhow::{Context, bail};
use pool::{Clock, SystemClock};
use std::path::{Path, PathBuf};
use store::sqlite::FILE_NAME;
use store::{Change, Reader, Sqlite, Store};
use web::db::Db;

/// What is added to a backup's name for the web's own database.
const WEB_SUFFIX: &str = ".web";

/// Copies the store into a new file, and the web's database, if there is one, into another beside it.
///
/// # Errors
/// When there is no store, or the file exists or cannot be written.
pub fn backup(settings: &Settings, into: &Path) -> anyhow::Result<()> {
    copy(&settings.data_dir, into)?;
    println!("{}: written and read back, the books fold", into.display());
    Ok(())
}

/// Both databases, each at one consistent moment, on the disk when this returns.
fn copy(data_dir: &Path, into: &Path) -> anyhow::Result<()> {
    Reader::open(data_dir)?.backup(into)?;
    // A copy that cannot be read is none.
    let copy = Reader::open_file(into).context("the backup cannot be read back")?;
    let differences = copy.fold_differences()?;
    if !differences.is_empty() {
        bail!("the backup was written, but its books do not fold: {differences:?}");
    }
    Db::copy(data_dir, &with_suffix(into))?;
    Ok(())
}

/// The web's part of a backup.
fn with_suffix(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(WEB_SUFFIX);
    name.into()
}

/// Puts a backup in place of the store.
///
/// # Errors
/// When a pool runs on the store, the backup cannot be read, or files cannot be moved.
pub fn restore(settings: &Settings, from: &Path) -> anyhow::Result<()> {
    let backup = Reader::open_file(from).context("the backup cannot be read")?;
    let differences = backup.fold_differences()?;
    if !differences.is_empty() {
        bail!("the books of this backup do not fold: {differences:?}");
    }
    drop(backup);
    let folder = &settings.data_dir;
    std::fs::create_dir_all(folder)?;
    let now = SystemClock.now();
    if folder.join(FILE_NAME).exists() {
        // Nobody may have it open while it is moved.
        drop(Sqlite::open(folder)?);
        let aside = aside(folder, now);
        std::fs::create_dir(&aside)?;
        let has_web = with_suffix(from).exists();
        for name in [Some(FILE_NAME), has_web.then_some(web::db::FILE_NAME)].into_iter().flatten() {
            for suffix in ["", "-wal", "-shm"] {
                let file = folder.join(format!("{name}{suffix}"));
                if file.exists() {
                    std::fs::rename(&file, aside.join(file.file_name().unwrap_or_default()))?;
                }
            }
        }
        println!("what was there is in {}", aside.display());
    }
    std::fs::copy(from, folder.join(FILE_NAME)).with_context(|| folder.display().to_string())?;
    if with_suffix(from).exists() {
        std::fs::copy(with_suffix(from), folder.join(web::db::FILE_NAME))?;
    }
    let mut store = Sqlite::open(folder)?;
    let reason = "restored from a backup: compare the wallet's spends with the books first";
    hold_all(&mut store, reason, now)?;
    println!(
        "restored. Start the pool, look at `adit payouts list`, match every unexplained spend, then `adit payouts release all`"
    );
    Ok(())
}

fn hold_all(store: &mut dyn Store, reason: &str, at: UnixMs) -> anyhow::Result<()> {
    let book = store.load()?;
    let hold = Change::Hold { scope: "all".into(), reason: reason.into(), at };
    let act = Change::Act {
        no: book.last_act + 1,
        at,
        who: "operator".into(),
        what: "restore from a backup".into(),
    };
    Ok(store.apply(book.watermark, &[hold, act])?)
}

fn aside(folder: &Path, now: UnixMs) -> PathBuf {
    folder.join(format!("before-restore-{}", now.0))
}

//! `adit backup` and `adit restore`.
//!
//! Invariant: a backup is one consistent moment, taken while the pool runs. After a restore nothing is paid until the
//! wallet's spends are compared with the books, because the backup does not know what happened after it.

pub mod schedule;

use crate::config::Settings;
use accounting::UnixMs;
use anyhow::{Context, bail};
use compute::tables::Tables;
use farming::tables;
use pool::{Clock, SystemClock};
use std::path::{Path, PathBuf};
use store::sqlite::FILE_NAME;
use store::{Change, Reader, Sqlite, Store};
use web::db::Db;

/// What is added to a backup's name for the web's own database.
const WEB_SUFFIX: &str = ".web";
/// And for the compute door's tables.
const COMPUTE_SUFFIX: &str = ".compute";

/// Copies the store into a new file, and the other databases of the folder (the web's, compute's, farming pools'), where there are
/// any, into others beside it.
///
/// # Errors
/// When there is no store, or the file exists or cannot be written.
pub fn backup(settings: &Settings, into: &Path) -> anyhow::Result<()> {
    copy(&settings.data_dir, into)?;
    println!("{}: written and read back, the books fold", into.display());
    Ok(())
}

/// All databases, each at one consistent moment, on the disk when this returns.
fn copy(data_dir: &Path, into: &Path) -> anyhow::Result<()> {
    // Before the store: what the tables have told it is then in its copy, and what they tell again it knows.
    let tables = with_suffix(into, COMPUTE_SUFFIX);
    if Tables::copy(data_dir, &tables)? {
        std::fs::File::open(&tables)?.sync_all()?;
    }
    Reader::open(data_dir)?.backup(into)?;
    // A copy that cannot be read is none.
    let copy = Reader::open_file(into).context("the backup cannot be read back")?;
    let differences = copy.fold_differences()?;
    if !differences.is_empty() {
        bail!("the backup was written, but its books do not fold: {differences:?}");
    }
    Db::copy(data_dir, &with_suffix(into, WEB_SUFFIX))?;
    // After the store: a door tells the books again what they do not know.
    for file in tables::files(data_dir) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        tables::copy(&file, &with_suffix(into, &format!(".{name}")))?;
    }
    Ok(())
}

/// A part of a backup beside the store's.
fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What lies beside a backup's store and belongs to it: each file, and the name it has in a data folder.
fn beside(file: &Path) -> std::io::Result<Vec<(PathBuf, String)>> {
    let start = format!("{}.", file.file_name().unwrap_or_default().to_string_lossy());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(suffix) = name.strip_prefix(&start) else { continue };
        if suffix == &WEB_SUFFIX[1..] {
            parts.push((path, web::db::FILE_NAME.to_owned()));
        } else if suffix == &COMPUTE_SUFFIX[1..] {
            parts.push((path, compute::tables::FILE_NAME.to_owned()));
        } else if tables::is_file_name(suffix) {
            parts.push((path, suffix.to_owned()));
        }
    }
    Ok(parts)
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
    // Nobody may have it open while it is moved.
    let alone = store::sqlite::alone(folder)?;
    let beside = beside(from)?;
    let mut parts = vec![(from, FILE_NAME)];
    parts.extend(beside.iter().map(|(file, name)| (file.as_path(), name.as_str())));
    // What SQLite left beside a file belongs to that file: beside another it would be taken for its newest pages.
    let there: Vec<PathBuf> = parts
        .iter()
        .flat_map(|(_, name)| {
            ["", "-wal", "-shm"].map(|suffix| folder.join(format!("{name}{suffix}")))
        })
        .filter(|file| file.exists())
        .collect();
    if !there.is_empty() {
        let aside = aside(folder, now);
        std::fs::create_dir(&aside)?;
        for file in there {
            std::fs::rename(&file, aside.join(file.file_name().unwrap_or_default()))?;
        }
        println!("what was there is in {}", aside.display());
    }
    for (source, name) in parts {
        put(source, &folder.join(name)).with_context(|| folder.display().to_string())?;
    }
    drop(alone);
    let mut store = Sqlite::open(folder)?;
    let reason = "restored from a backup: compare the wallet's spends with the books first";
    hold_all(&mut store, reason, now)?;
    println!(
        "restored. Start the pool, look at `adit payouts list`, match every unexplained spend, then `adit payouts release all`"
    );
    Ok(())
}

/// Copies a file; it is there as a whole, and on the disk, or not at all.
fn put(from: &Path, to: &Path) -> std::io::Result<()> {
    let half = to.with_extension("restoring");
    std::fs::copy(from, &half)?;
    std::fs::File::open(&half)?.sync_all()?;
    std::fs::rename(&half, to)?;
    let folder = to.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
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

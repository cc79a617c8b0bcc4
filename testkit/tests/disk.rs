//! The disk whose power fails loses what was not synced, and only that.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use rusqlite::{Connection, OpenFlags};
use testkit::Disk;
use testkit::fuzz::Dice;

const ROWS: i64 = 20;

/// How many of the rows are left after the power failed when all had been committed; `None` when the file is no database.
fn left(disk: Disk, synchronous: &str, seed: u64) -> Option<i64> {
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = before.path().join("rows.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let db = Connection::open_with_flags_and_vfs(path, flags, disk.name()).unwrap();
    let set_up = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 5;
         CREATE TABLE rows (n INTEGER PRIMARY KEY, filler BLOB)"
    );
    db.execute_batch(&set_up).unwrap();
    for n in 0..ROWS {
        db.execute("INSERT INTO rows VALUES (?, zeroblob(3000))", [n]).unwrap();
    }
    disk.after_power_failed(disk.now(), &mut Dice::new(seed), after.path());
    drop(db);
    let db = Connection::open(after.path().join("rows.db")).unwrap();
    db.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).ok()
}

#[test]
fn a_database_that_syncs_loses_nothing_and_one_that_does_not_loses_rows() {
    for seed in 1..=20 {
        let disk = |kind: &str| Disk::new(format!("{kind}-{seed}").leak());
        assert_eq!(left(disk("full"), "FULL", seed), Some(ROWS), "seed {seed}");
        assert_ne!(left(disk("off"), "OFF", seed), Some(ROWS), "seed {seed}: nothing was lost");
    }
}

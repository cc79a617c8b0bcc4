//! A store whose rows were changed behind its back: it opens or says that it is damaged, and never panics or loops.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::{
    AccountId, AssetId, LogEntry, PoolId, RateId, Share, ShareKey, ShareSeq, UnixMs, Weight,
    WorkerId,
};
use store::{Change, Reader, Sqlite, Store};
use testkit::fuzz::{Dice, cases};

fn filled(folder: &std::path::Path) {
    let mut store = Sqlite::open(folder).unwrap();
    let share = |n: u8| {
        LogEntry::Share(Share {
            pool: PoolId(1),
            account: AccountId(1),
            worker: WorkerId(1),
            weight: Weight::new(5).unwrap(),
            rate: RateId::default(),
            found_at: UnixMs(7),
            key: ShareKey([n; 32]),
        })
    };
    store
        .append(&[share(1), share(2), LogEntry::Revoke { share: ShareSeq(1), reason: "x".into() }])
        .unwrap();
    let changes = [
        Change::Asset { id: AssetId(1), name: "coin".into(), decimals: 8 },
        Change::Pool { id: PoolId(1), name: "main".into(), asset: AssetId(1) },
        Change::Hold { scope: "all".into(), reason: "why".into(), at: UnixMs(1) },
        Change::Act { no: 1, at: UnixMs(1), who: "me".into(), what: "that".into() },
        Change::Spend { asset: AssetId(1), txid: [3; 32], detail: "d".into(), at: UnixMs(2) },
    ];
    store.apply(ShareSeq(3), &changes).unwrap();
}

#[test]
fn fuzz_the_stores_rows() {
    let original = tempfile::tempdir().unwrap();
    filled(original.path());
    let db = rusqlite::Connection::open(original.path().join("adit.db")).unwrap();
    let tables: Vec<String> = db
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let values = [
        "0",
        "-1",
        "1",
        "9223372036854775807",
        "-9223372036854775808",
        "'text'",
        "''",
        "x'00'",
        "x''",
        "'170141183460469231731687303715884105727'",
        "'{}'",
        "'[1,2'",
        "'posted'",
        "x'0000000000000000000000000000000000000000000000000000000000000000'",
    ];
    let dice = &mut Dice::new(77);
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..(cases() / 100).max(1) {
        let path = folder.path().join("adit.db");
        for suffix in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(folder.path().join(format!("adit.db{suffix}"))));
        }
        std::fs::copy(original.path().join("adit.db"), &path).unwrap();
        let changed = rusqlite::Connection::open(&path).unwrap();
        for _ in 0..=dice.below(3) {
            let table = &tables[dice.below(tables.len())];
            let columns: Vec<String> = changed
                .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let row: Vec<&str> = columns.iter().map(|_| values[dice.below(values.len())]).collect();
            // A change that the schema refuses is no change.
            let sql = match dice.below(3) {
                0 => format!("INSERT OR REPLACE INTO {table} VALUES ({})", row.join(",")),
                1 => format!(
                    "UPDATE {table} SET {} = {}",
                    columns[dice.below(columns.len())],
                    row[0]
                ),
                _ => format!("DELETE FROM {table}"),
            };
            drop(changed.execute(&sql, []));
        }
        drop(changed);
        if let Ok(reader) = Reader::open(folder.path()) {
            drop(reader.book());
            drop(reader.fold_differences());
            drop(reader.payouts(10));
            drop(reader.rewards(10));
        }
        if let Ok(mut store) = Sqlite::open(folder.path()) {
            drop(store.load());
            drop(store.scan(ShareSeq(1), &mut |_, _| {}));
        }
    }
}

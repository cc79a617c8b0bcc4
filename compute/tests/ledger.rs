//! Earnings in the real ledger: each once, also when the door died after telling; what is taken back is revoked there.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::UnixMs;
use compute::data::demo;
use compute::desk::Change;
use compute::epoch::{EpochNo, Report};
use compute::evaluate::Prepared;
use compute::fact::{Cause, Earning, Fact};
use compute::key::PublicKey;
use compute::reputation::Reputation;
use compute::server::Door;
use compute::tables::Tables;
use compute::task::AlgorithmId;
use pool::Clock;
use std::path::Path;
use std::sync::Arc;
use store::Reader;
use tokio_util::sync::CancellationToken;

const HOUR: u64 = 3600;
/// In the middle of an epoch.
const T: u64 = 10 * HOUR + 1800;

/// A clock that stands still.
struct Still(u64);

impl Clock for Still {
    fn now(&self) -> UnixMs {
        UnixMs(self.0 * 1000)
    }
}

/// Lets the door tell the ledger everything it has to tell, then stops both.
async fn tell(folder: &Path) {
    tell_at(folder, T).await;
}

/// The same, at a time.
async fn tell_at(folder: &Path, now_s: u64) {
    let writer = common::writer(folder);
    let set = Prepared::new(&demo::classes());
    let settings = common::settings(common::ledger(&writer, folder));
    let opened = Door::open(folder, settings, set, Arc::new(Still(now_s)), 7).unwrap();
    let cancel = CancellationToken::new();
    let api = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = tokio::spawn(opened.door.serve(api, None, cancel.clone()));
    let own = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        testkit::wait_for("everything is told", || {
            let tables = Tables::open(&own).unwrap();
            let rest = tables.untold(1, u64::MAX).unwrap().len()
                + tables.untold_revocations(1).unwrap().len()
                + tables.untold_coldkeys(1).unwrap().len();
            let current = EpochNo::at(now_s, HOUR);
            let open = tables.first_epoch(current).unwrap();
            (rest == 0 && open == current).then_some(())
        });
    })
    .await
    .unwrap();
    cancel.cancel();
    served.await.unwrap();
    tokio::task::spawn_blocking(|| opened.running.join()).await.unwrap();
    common::end(writer).await;
}

fn earn(folder: &Path, who: u8, algorithm: u64, weight: u64) -> [u8; 32] {
    let key = PublicKey::from_bytes([who; 32]);
    let weight = Reputation(weight);
    let earning = Earning::new(Cause::Evaluation, AlgorithmId(algorithm), key, weight, T);
    let tables = Tables::open(folder).unwrap();
    tables.write(&Change::Fact(Fact::Earned(earning))).unwrap();
    earning.key
}

fn count(folder: &Path, sql: &str) -> i64 {
    let reader = Reader::open(folder).unwrap();
    reader.connection().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_earned_is_a_share_once_and_what_is_taken_back_is_revoked_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for algorithm in 0..300 {
        earn(path, u8::try_from(algorithm % 7).unwrap(), algorithm, 1_000_000);
    }
    let lie = earn(path, 8, 1, 1_820_000);
    let (shares, revoked) = ("SELECT count(*) FROM shares", "SELECT count(*) FROM revocations");
    tell(path).await;
    assert_eq!((count(path, shares), count(path, revoked)), (301, 0));

    // It died after telling and before noting it: told again, recorded once.
    let forget = |what: &str| {
        let file = path.join(compute::tables::FILE_NAME);
        rusqlite::Connection::open(file).unwrap().execute(what, []).unwrap();
    };
    forget("UPDATE earning SET told = NULL");
    tell(path).await;
    assert_eq!(count(path, shares), 301);

    let fact = Fact::Revoked { key: lie, reason: "a check failed".into(), at_s: 2000 };
    Tables::open(path).unwrap().write(&Change::Fact(fact)).unwrap();
    tell(path).await;
    forget("UPDATE earning SET revocation_told = 0");
    tell(path).await;
    assert_eq!(count(path, revoked), 1);
}

fn report(folder: &Path, epoch: u64) -> Report {
    Tables::open(folder).unwrap().epoch(EpochNo(epoch)).unwrap().unwrap().report
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_is_a_reward_once_also_when_the_door_died_before_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for who in 1..=30 {
        earn(path, who, 1, u64::from(who) * 100_000);
    }
    // Three of them belong to one.
    for who in 28..=30 {
        let (miner, owner) = (PublicKey::from_bytes([who; 32]), PublicKey::from_bytes([99; 32]));
        Tables::open(path).unwrap().set_recipient(&miner, &owner, T, 0).unwrap();
    }
    tell(path).await;
    assert_eq!(count(path, "SELECT count(*) FROM rewards"), 0, "the hour is not over");
    let over = 11 * HOUR + 5;
    tell_at(path, over).await;
    let first = report(path, 10);
    assert!(first.recomputes());
    assert_eq!(first.lines.len(), 30);
    let of_owner: i128 = first.lines[27..].iter().map(|line| line.amount.units()).sum();
    assert_eq!(of_owner, 50_000_000, "one ceiling");

    let file = path.join(compute::tables::FILE_NAME);
    rusqlite::Connection::open(file).unwrap().execute("DELETE FROM epoch", []).unwrap();
    tell_at(path, over).await;
    assert_eq!(report(path, 10).bytes(), first.bytes(), "the same bytes");
    assert_eq!(count(path, "SELECT count(*) FROM rewards"), 1);
    let reader = Reader::open(path).unwrap();
    let id = reader.rewards(1).unwrap()[0].id;
    let split = reader.reward(id).unwrap().unwrap().0.split.unwrap();
    assert_eq!(split.amount, first.budget.sub(first.carry));
    assert!(reader.fold_differences().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ceilings_leave_is_in_the_next_budget_and_so_is_what_nobody_earned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    tell(path).await;
    earn(path, 1, 1, 1_000_000);
    let lie = earn(path, 2, 1, 1_000_000);
    let fact = Fact::Revoked { key: lie, reason: "a check failed".into(), at_s: T };
    Tables::open(path).unwrap().write(&Change::Fact(fact)).unwrap();
    tell_at(path, 12 * HOUR + 5).await;
    let first = report(path, 10);
    assert_eq!((first.lines.len(), first.carry.units()), (1, 900_000_000));
    let second = report(path, 11);
    assert_eq!(second.budget.units(), 1_900_000_000);
    assert_eq!(second.carry, second.budget);
}

//! What was told is on disk, a restart loses nothing, and an epoch is closed once whatever happens.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::{Amount, BasisPoints};
use compute::card::Card;
use compute::desk::{Answer, Change, Desk, Evaluated, Settings};
use compute::dsl::{Limits, lenient};
use compute::evaluate::Evaluation;
use compute::fact::{Cause, Earning, Fact};
use compute::key::PublicKey;
use compute::lease::Wish;
use compute::office::{Closed, Office};
use compute::quorum::{Defences, Rules};
use compute::reputation::{Reputation, Tariff};
use compute::score::Score;
use compute::tables::epochs::Budget;
use compute::tables::reader::Reader;
use compute::tables::{FILE_NAME, TableError, Tables};
use compute::task::{AlgorithmId, Stage};
use compute::worker::Miner;
use std::path::Path;

const SETTINGS: Settings = Settings { rules: Rules::ORIGINAL, ..Settings::DEFAULT };

fn key(who: u8) -> PublicKey {
    PublicKey::from_bytes([who; 32])
}

fn text(n: u32) -> String {
    format!("# predict\ns2 = {n}.0\nv1 = v0 * s2\ns0 = norm(v1)\n")
}

fn restored(folder: &Path) -> Desk {
    let mut desk = Desk::new(SETTINGS, 3);
    Tables::open(folder).unwrap().restore(&mut desk).unwrap();
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_and_a_vote_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (office, running, _) = Office::open(folder.path(), SETTINGS, 1).unwrap();
    let program = lenient::read(&text(1), 16, &Limits::POOL).unwrap().program;
    office
        .step(None, move |desk, _| {
            let mut changes = desk.found(&program, 0);
            let own = Evaluation { score: Score::computed(0.6), per_task: vec![], digest: [1; 32] };
            changes.extend(desk.own_result(AlgorithmId(1), &own, None, 0));
            Ok(((), changes))
        })
        .await
        .unwrap();
    let lease = office
        .step(None, |desk, _| {
            let (lease, changes) = desk.request(key(1), 0, Wish::Evolve, 0).unwrap();
            Ok((lease.id, changes))
        })
        .await
        .unwrap();
    let sent = Answer { evolved: vec![text(2)], ..Answer::default() };
    let again = sent.clone();
    let receipt = office
        .step(None, move |desk, tables| {
            let known = |name: &_| tables.knows(name).unwrap();
            let (receipt, changes) = desk.submit(key(1), lease, &sent, 5, known).unwrap();
            Ok((receipt, changes))
        })
        .await
        .unwrap();
    let new = receipt.evolved[0].0.unwrap();
    let theirs = office
        .step(None, |desk, _| {
            let (lease, changes) = desk.request(key(2), 0, Wish::Evaluate { batch: 8 }, 6).unwrap();
            Ok((lease, changes))
        })
        .await
        .unwrap();
    office.stop().await;
    running.join();

    let mut desk = restored(folder.path());
    assert_eq!(desk.lease(theirs.id), Some(&theirs));
    assert_eq!(desk.sota().unwrap().id, AlgorithmId(1));
    let (repeated, _) = desk.submit(key(1), lease, &again, 7, |_| true).unwrap();
    assert!(repeated.is_repeated);
    let vote = Evaluated { algorithm: new, score: Score::computed(0.5), digest: Some([7; 32]) };
    let vote = Answer { evaluated: vec![vote], hash: [1; 32], ..Answer::default() };
    let (_, changes) = desk.submit(key(2), theirs.id, &vote, 8, |_| true).unwrap();
    let tables = Tables::open(folder.path()).unwrap();
    changes.iter().for_each(|change| tables.write(change).unwrap());
    let after = restored(folder.path());
    assert_eq!(after.algorithm(new), desk.algorithm(new), "with its vote");
    assert_eq!(after.miner(&key(2)), desk.miner(&key(2)));
}

#[test]
fn a_check_that_was_picked_is_asked_for_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let tables = Tables::open(folder.path()).unwrap();
    let keep = |changes: Vec<Change>| changes.iter().for_each(|one| tables.write(one).unwrap());
    let defences = Defences { checks_per_thousand: 1000, ..Defences::ALL };
    let settings = Settings { rules: Rules { defences, ..Rules::DEFENDED }, ..SETTINGS };
    let mut desk = Desk::new(settings, 1);
    let program = lenient::read(&text(1), 16, &Limits::POOL).unwrap().program;
    keep(desk.found(&program, 0));
    let own = Evaluation { score: Score::computed(0.6), per_task: vec![], digest: [1; 32] };
    keep(desk.own_result(AlgorithmId(1), &own, None, 0));
    let (lease, changes) = desk.request(key(1), 0, Wish::Evolve, 0).unwrap();
    keep(changes);
    let sent = Answer { evolved: vec![text(2)], ..Answer::default() };
    keep(desk.submit(key(1), lease.id, &sent, 5, |_| false).unwrap().1);
    let wanted = |desk: &Desk| desk.wanted().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(wanted(&desk).len(), 1);
    let mut again = Desk::new(settings, 2);
    tables.restore(&mut again).unwrap();
    assert_eq!(wanted(&again), wanted(&desk));
    // Once the pool has its result, nothing more is asked for.
    keep(again.own_result(wanted(&desk)[0], &own, None, 6));
    let mut after = Desk::new(settings, 3);
    tables.restore(&mut after).unwrap();
    assert_eq!(wanted(&after), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_changes_nothing_and_the_desk_is_put_together_again() {
    let folder = tempfile::tempdir().unwrap();
    let (office, running, _) = Office::open(folder.path(), SETTINGS, 1).unwrap();
    let register = |office: Office, who: u8| async move {
        office.step(None, move |desk, _| Ok(((), desk.register(key(who), 0, 5).unwrap()))).await
    };
    register(office.clone(), 1).await.unwrap();
    let failed = office
        .step(None, |desk, _| {
            desk.register(key(2), 0, 5).unwrap();
            Err::<((), Vec<Change>), _>(TableError::Damaged("as a test"))
        })
        .await;
    assert_eq!(failed, Err(Closed::DiskFailing));
    let known = office.step(None, |desk, _| Ok((desk.miners().count(), vec![]))).await;
    assert_eq!(known, Ok(1));
    register(office.clone(), 3).await.unwrap();
    office.stop().await;
    running.join();
    assert_eq!(restored(folder.path()).miners().count(), 2);
    let stopped = office.step(None, |_, _| Ok(((), vec![]))).await;
    assert_eq!(stopped, Err(Closed::Stopping));
}

const HOUR: u64 = 3600;

fn earn(tables: &Tables, who: u8, algorithm: u64, at_s: u64) -> [u8; 32] {
    let weight = Reputation(1_000_000);
    let earning = Earning::new(Cause::Evaluation, AlgorithmId(algorithm), key(who), weight, at_s);
    tables.write(&Change::Fact(Fact::Earned(earning))).unwrap();
    earning.key
}

#[test]
fn a_coldkey_changes_after_its_delay_and_the_first_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let tables = Tables::open(folder.path()).unwrap();
    let day = 24 * HOUR;
    tables.set_recipient(&key(1), &key(8), 100, day).unwrap();
    assert_eq!(tables.recipient(&key(1), 100).unwrap().unwrap().coldkey, key(8));
    tables.set_recipient(&key(1), &key(9), 200, day).unwrap();
    let at = |at_s| tables.recipient(&key(1), at_s).unwrap().unwrap().coldkey;
    assert_eq!(at(200 + day - 1), key(8));
    assert_eq!(at(200 + day), key(9));
}

#[test]
fn the_ledger_is_told_each_fact_until_it_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let tables = Tables::open(folder.path()).unwrap();
    let told = earn(&tables, 1, 1, HOUR);
    earn(&tables, 1, 1, HOUR);
    assert_eq!(tables.untold(10, u64::MAX).unwrap().len(), 1, "the same answer earns once");
    let fact = Fact::Revoked { key: told, reason: "why".into(), at_s: 9 };
    tables.write(&Change::Fact(fact)).unwrap();
    assert!(tables.untold_revocations(10).unwrap().is_empty(), "not before the earning itself");
    tables.told(&told, 77).unwrap();
    assert!(tables.untold(10, u64::MAX).unwrap().is_empty());
    assert_eq!(tables.untold_revocations(10).unwrap(), [(told, 77, "why".to_owned())]);
    tables.revocation_told(&told).unwrap();
    assert!(tables.untold_revocations(10).unwrap().is_empty());
}

#[test]
fn a_file_of_a_newer_program_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    drop(Tables::open(folder.path()).unwrap());
    let db = rusqlite::Connection::open(folder.path().join(FILE_NAME)).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Tables::open(folder.path()), Err(TableError::Newer(99))));
}

/// Schema 3 only added an index: what schema 2 had is there, and is found by it.
#[test]
fn a_file_of_schema_2_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE_NAME);
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch(include_str!("fixtures/compute_schema_2.sql")).unwrap();
    drop(db);
    for _ in 0..2 {
        let tables = Tables::open(folder.path()).unwrap();
        let open = tables.algorithm(AlgorithmId(7)).unwrap().unwrap();
        let Stage::Open(round) = open.stage else { panic!("{:?}", open.stage) };
        assert_eq!((round.needed, round.is_check, round.votes.len()), (3, true, 1));
        assert_eq!(
            tables.earned_since(&key(1), 0).unwrap(),
            Reputation(1_000_000),
            "less what was taken back"
        );
        assert_eq!(tables.last_forward().unwrap().unwrap().state, "accepted");
        assert_eq!(tables.miner(&key(1)).unwrap().unwrap().standing.accurate, 4);
    }
    let db = rusqlite::Connection::open(&file).unwrap();
    let schema: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(schema, 3);
}

#[test]
fn who_only_looks_cannot_write_and_sees_what_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Reader::open(folder.path()).is_err(), "there is nothing to read");
    let tables = Tables::open(folder.path()).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    for (who, algorithm) in [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)] {
        earn(&tables, who, algorithm, HOUR * algorithm);
    }
    let leaders = reader.read(|tables| tables.leaders(10, HOUR)).unwrap();
    let found: Vec<_> =
        leaders.iter().map(|one| (one.miner, one.reputation.0, one.lately.0)).collect();
    assert_eq!(found, [(key(2), 3_000_000, 2_000_000), (key(1), 2_000_000, 1_000_000)]);
    assert_eq!(reader.read(|tables| tables.leaders(1, 0)).unwrap().len(), 1);
    let budget = Budget {
        length_s: HOUR,
        amount: Amount::from_units(1_000_000_000),
        fee: BasisPoints::new(500).unwrap(),
        cap: BasisPoints::new(500).unwrap(),
    };
    let card = |who: u8| {
        reader.read(|tables| Card::read(tables, &key(who), (&budget, &Tariff::ORIGINAL), 2 * HOUR))
    };
    assert_eq!(card(1).unwrap(), None, "who never asked for work has no card");
    tables.write(&Change::Miner(Box::new(Miner::new(key(2), 5)))).unwrap();
    let card = card(2).unwrap().unwrap();
    assert_eq!(
        (card.reputation.0, card.this_epoch.0, card.last_hour.0),
        (3_000_000, 1_000_000, 2_000_000)
    );
    assert_eq!(card.pending.units(), 50_000_000, "the ceiling");
    assert_eq!((card.accuracy_rate(), card.evolution_success_rate()), (None, None));
    let written =
        reader.read(|tables| tables.write(&Change::Miner(Box::new(Miner::new(key(3), 5)))));
    assert!(written.is_err(), "it cannot write");
}

/// Votes of schema 1 stood in their algorithm's row.
#[test]
fn a_file_of_schema_1_keeps_its_votes_in_rows_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(folder.path().join(FILE_NAME)).unwrap();
    db.execute_batch(include_str!("fixtures/compute_schema_1.sql")).unwrap();
    drop(db);
    for _ in 0..2 {
        let tables = Tables::open(folder.path()).unwrap();
        let open = tables.algorithm(AlgorithmId(7)).unwrap().unwrap();
        let Stage::Open(round) = open.stage else { panic!("{:?}", open.stage) };
        assert_eq!((round.needed, round.is_check), (3, true));
        let said: Vec<_> = round.votes.iter().map(|vote| (vote.score, vote.digest)).collect();
        let first = Score::from_billionths(700_000_000).unwrap();
        assert_eq!(said, [(first, Some([0xab; 32])), (Score::Invalid, None)]);
        let agreed = tables.algorithm(AlgorithmId(8)).unwrap().unwrap();
        assert!(matches!(agreed.stage, Stage::Agreed { verified: true, .. }));
    }
    let db = rusqlite::Connection::open(folder.path().join(FILE_NAME)).unwrap();
    let rows: i64 = db.query_row("SELECT count(*) FROM vote", [], |row| row.get(0)).unwrap();
    let round: String =
        db.query_row("SELECT round FROM algorithm WHERE id = 7", [], |row| row.get(0)).unwrap();
    assert!(rows == 2 && !round.contains("votes"), "{rows} {round}");
}

//! Blocks that pay miners themselves: what was committed when their work was handed out is booked, once, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::commitment::{ByBlock, Commitment, PaidByBlock};
use accounting::ledger::Kind;
use accounting::reward::{RewardState, Sighting};
use accounting::split::split;
use accounting::{
    AccountId, Amount, AssetId, LogEntry, PoolId, RewardId, Scheme, ShareSeq, SliceNo, WorkerId,
};
use common::*;
use pool::writer::Writer;
use pool::{Basis, BlockReport};
use std::path::Path;
use std::time::Duration;
use store::{Reader, Sqlite, Store};

const WORK: u128 = 1000;
/// A slice is closed after so long.
const AGE_MS: u64 = 10 * 60 * 1000;

/// What work that is handed out now would be paid by, once every share so far is in a closed slice.
async fn basis(writer: &Writer, clock: &TestClock, accounts: usize) -> Basis {
    clock.advance(AGE_MS + 1);
    loop {
        let asked = writer.pool.order(|books, store, now| books.basis(store, PoolId(1), WORK, now));
        match asked.await.unwrap() {
            Some(basis) if basis.window.rows.len() == accounts => return basis,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// The basis as a coinbase commits to it that pays these accounts itself.
fn commitment(basis: &Basis, paid: &[AccountId]) -> Commitment {
    let fee = |account| {
        let at = basis.window.rows.iter().position(|(known, _)| *known == account).unwrap();
        basis.standing[at].0
    };
    let script = |account: AccountId| {
        let at = basis.window.rows.iter().position(|(known, _)| *known == account).unwrap();
        basis.standing[at].1.clone().unwrap()
    };
    let paid =
        paid.iter().map(|account| PaidByBlock { account: *account, script: script(*account) });
    Commitment {
        as_of: basis.as_of,
        window: basis.window.clone(),
        split: split(Amount::from_units(50 * COIN), &basis.window.rows, fee),
        by_block: ByBlock { paid: paid.collect(), tree: None },
    }
}

fn committed(n: u8, scheme: Scheme, height: u64, commitment: Commitment) -> BlockReport {
    BlockReport {
        to_pool: commitment.to_pool(),
        to_miners: commitment.to_miners(),
        commitment: Some(Box::new(commitment)),
        share: None,
        ..block(n, 1, height, scheme)
    }
}

/// A reward's split recomputes from the slices, its round beginning after `cut`.
fn audited(folder: &Path, n: u8, cut: SliceNo) -> Result<(), accounting::audit::Difference> {
    let reader = Reader::open(folder).unwrap();
    let (reward, _) = reader.reward(RewardId([n; 32])).unwrap().unwrap();
    let mut slices = reader.slices(reward.pool, reward.as_of);
    let window = reward.window.as_ref().unwrap();
    accounting::audit::check_reach(window, reward.end(), &mut slices).unwrap()?;
    accounting::audit::check_reward(&reward, cut, &mut slices).unwrap()
}

/// The slices that a block leaves to the blocks after it.
fn left_to_later(folder: &Path, n: u8) -> u64 {
    let reader = Reader::open(folder).unwrap();
    let (reward, _) = reader.reward(RewardId([n; 32])).unwrap().unwrap();
    let mut slices = reader.slices(reward.pool, reward.as_of);
    accounting::audit::left_to_later(&reward, &mut slices).unwrap()
}

fn booked(folder: &Path, kind: Kind) -> (i128, i128) {
    let balance = Reader::open(folder).unwrap().balance(AssetId(1), kind).unwrap();
    (balance.debits_posted.sub(balance.credits_posted).units(), balance.debits_pending.units())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_block_pays_itself_is_nobodys_debt_and_the_rest_is_credited_by_the_same_split() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    record(&writer.pool, vec![share(one, 300, 1)]).await;
    record(&writer.pool, vec![share(two, 100, 2)]).await;
    let plan = basis(&writer, &clock, 2).await;
    // What comes after the work was handed out is left to later blocks, and so is what is revoked.
    record(&writer.pool, vec![share(two, 5000, 3)]).await;
    writer.pool.revoke(ShareSeq(1), "forged".into()).await.unwrap();
    found(&writer.pool, committed(9, PPLNS, 100, commitment(&plan, &[one.0]))).await;
    assert_eq!(audited(folder.path(), 9, SliceNo(0)), Ok(()));
    assert_eq!(left_to_later(folder.path(), 9), 1, "the slice of what came after the work");
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    treasury.world(|w| w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101)));
    treasury.world(|w| w.spendable = 50 * COIN);
    cashier.round().await.unwrap();
    let (by_block, credited) = (50 * COIN * 3 / 4 * 99 / 100, 50 * COIN / 4 * 99 / 100);
    assert_eq!(booked(folder.path(), Kind::PaidByBlock(one.0)), (by_block, 0));
    assert_eq!(available(folder.path(), one.0), 0);
    let balance = Reader::open(folder.path()).unwrap();
    let balance = balance.balance(AssetId(1), Kind::Account(two.0)).unwrap();
    assert_eq!(balance.credits_posted.units(), credited);
    assert_eq!(booked(folder.path(), Kind::Wallet).0, 50 * COIN - by_block);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_block_that_was_durable_when_the_pool_died_is_booked_as_it_was_paid() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let one = enrol(&writer.pool, 1).await;
    record(&writer.pool, vec![share(one, 300, 1)]).await;
    let commitment = commitment(&basis(&writer, &clock, 1).await, &[one.0]);
    stop(writer).await;
    let report = committed(9, PPLNS, 100, commitment.clone());
    let entry = LogEntry::BlockFound(Box::new(accounting::BlockFound {
        pool: report.pool,
        finder: one.0,
        worker: WorkerId(1),
        block: report.block,
        height: report.height,
        to_pool: report.to_pool,
        to_miners: report.to_miners,
        commitment: Some(commitment.clone()),
        coinbase_fee: Default::default(),
        network_work: report.network_work,
        scheme: report.scheme,
        shared: None,
        budget: None,
        member: None,
        found_at: report.found_at,
    }));
    Sqlite::open(folder.path()).unwrap().append(&[entry]).unwrap();
    // The fee is another since: what the block paid is not.
    stop(start(folder.path(), asset(), pool_of(PPLNS, 500), &clock)).await;
    let (reward, _) = Reader::open(folder.path()).unwrap().reward(report.block).unwrap().unwrap();
    assert_eq!(reward.by_block, Some(commitment.by_block));
    assert_eq!(reward.split, Some(commitment.split));
    assert_eq!(reward.as_of, commitment.as_of);
    assert_eq!(audited(folder.path(), 9, SliceNo(0)), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_ends_where_the_work_was_handed_out_and_the_next_block_pays_what_came_since() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(Scheme::Prop, 0), &clock);
    let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    record(&writer.pool, vec![share(one, 300, 1)]).await;
    let first = basis(&writer, &clock, 1).await;
    record(&writer.pool, vec![share(two, 100, 2)]).await;
    found(&writer.pool, committed(8, Scheme::Prop, 100, commitment(&first, &[one.0]))).await;
    let second = basis(&writer, &clock, 1).await;
    assert_eq!(second.window.rows, [(two.0, 100)]);
    found(&writer.pool, committed(9, Scheme::Prop, 101, commitment(&second, &[]))).await;
    assert_eq!(audited(folder.path(), 8, SliceNo(0)), Ok(()));
    assert_eq!(audited(folder.path(), 9, first.window.through), Ok(()));
    assert!(audited(folder.path(), 9, SliceNo(0)).is_err(), "no round is paid twice");
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_stands_in_the_split_and_nowhere_to_be_paid() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    record(&writer.pool, vec![share(one, 300, 1)]).await;
    record(&writer.pool, vec![share(two, 100, 2)]).await;
    let hold = format!("account/{}", one.0);
    let held = writer.pool.order(move |books, _, now| {
        books.hold(hold, "a question is open".into(), now);
        Ok(())
    });
    held.await.unwrap();
    let basis = basis(&writer, &clock, 2).await;
    let scripts: Vec<bool> = basis.standing.iter().map(|(_, to)| to.is_some()).collect();
    assert_eq!(scripts, [false, true]);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paying_block_that_leaves_the_chain_takes_its_payment_with_it_and_nobody_loses() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let one = enrol(&writer.pool, 1).await;
    record(&writer.pool, vec![share(one, 300, 1)]).await;
    let commitment = commitment(&basis(&writer, &clock, 1).await, &[one.0]);
    found(&writer.pool, committed(9, PPLNS, 100, commitment)).await;
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    let mut seen = async |sighting| {
        treasury.world(|w| w.sightings.insert(RewardId([9; 32]), sighting));
        cashier.round().await.unwrap();
        let (_, state) =
            Reader::open(folder.path()).unwrap().reward(RewardId([9; 32])).unwrap().unwrap();
        (state, booked(folder.path(), Kind::PaidByBlock(one.0)))
    };
    let whole = 50 * COIN;
    assert_eq!(seen(Sighting::InChain(101)).await, (RewardState::Matured, (whole, 0)));
    assert_eq!(seen(Sighting::Replaced(6)).await, (RewardState::Orphaned, (0, 0)));
    assert_eq!(seen(Sighting::InChain(3)).await, (RewardState::Immature, (0, whole)));
    assert_eq!(seen(Sighting::InChain(101)).await, (RewardState::Matured, (whole, 0)));
    assert_eq!(booked(folder.path(), Kind::Loss), (0, 0));
    stop(writer).await;
}

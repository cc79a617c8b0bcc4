//! A pool that is a member of a coordination-free one: what later blocks pay it belongs to the windows of the blocks that earned it, is
//! booked once, and stands and falls with the block of the chain that has it.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::audit::{check_earned, check_reward};
use accounting::ledger::Kind;
use accounting::membership::{Earned, MemberBlock, MemberPayment, Membership, Place};
use accounting::reward::{Reward, RewardState, Sighting};
use accounting::{AccountId, Amount, AssetId, LogEntry, PoolId, RewardId, SliceNo, WorkerId};
use common::*;
use pool::{BlockReport, Pool};
use std::path::Path;
use store::{Reader, Sqlite, Store};

fn id(n: u8) -> RewardId {
    RewardId([n; 32])
}

fn place(n: u8, height: u64) -> Place {
    Place { block: id(n), height }
}

/// A block of ours that keeps this much and shares the rest.
fn shared(n: u8, height: u64, kept: i128) -> BlockReport {
    let member = MemberBlock {
        rule: "{}".into(),
        script: vec![0x51],
        elsewhere: Amount::from_units(50 * COIN - kept),
    };
    BlockReport {
        to_pool: Amount::from_units(kept),
        member: Some(Box::new(Membership::Block(member))),
        share: None,
        ..block(n, 1, height, PPLNS)
    }
}

/// What the block before paid for two blocks of ours.
fn payment(n: u8, place: Place, parts: &[(u8, i128)]) -> BlockReport {
    let earned =
        parts.iter().map(|(n, units)| Earned { block: id(*n), amount: Amount::from_units(*units) });
    let member = MemberPayment {
        rule: "{}".into(),
        script: vec![0x51],
        by: id(77),
        output: 0,
        earned: earned.collect(),
        place,
    };
    BlockReport {
        to_pool: member.amount(),
        member: Some(Box::new(Membership::Payment(member))),
        share: None,
        worker: "payments".into(),
        ..block(n, 1, 103, PPLNS)
    }
}

fn reward(folder: &Path, n: u8) -> (Reward, RewardState) {
    Reader::open(folder).unwrap().reward(id(n)).unwrap().unwrap()
}

fn nets(reward: &Reward) -> Vec<(AccountId, i128)> {
    let rows = &reward.split.as_ref().unwrap().rows;
    rows.iter().map(|row| (row.account, row.net.units())).collect()
}

/// It recomputes from the rewards of the blocks that earned it.
fn audited(folder: &Path, n: u8) {
    let reader = Reader::open(folder).unwrap();
    let (reward, _) = reward(folder, n);
    let mut slices = reader.slices(reward.pool, reward.as_of);
    assert_eq!(check_reward(&reward, SliceNo(0), &mut slices).unwrap(), Ok(()));
    let known = |id| reader.reward(id).unwrap().map(|(reward, _)| reward);
    assert_eq!(check_earned(&reward, known), Ok(()));
}

async fn two_blocks(pool: &Pool) -> [(AccountId, WorkerId); 2] {
    let (one, two) = (enrol(pool, 1).await, enrol(pool, 2).await);
    record(pool, vec![share(one, 3000, 1)]).await;
    found(pool, shared(8, 100, 10 * COIN)).await;
    record(pool, vec![share(two, 9000, 2)]).await;
    // All of it is shared: nothing at once, and yet it says whose work it was.
    found(pool, shared(9, 101, 0)).await;
    [one, two]
}

async fn moved(pool: &Pool, n: u8, to: Place) -> Result<(), pool::Refused> {
    pool.order(move |books, _, now| books.payment_moved(id(n), to, now)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_credited_to_the_windows_of_the_blocks_that_earned_it_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let [one, two] = two_blocks(&writer.pool).await;
    // The fee and the window are others by now: neither is asked.
    stop(writer).await;
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 500), &clock);
    record(&writer.pool, vec![share(two, 50_000, 3)]).await;
    for _ in 0..2 {
        found(&writer.pool, payment(60, place(50, 203), &[(8, 1000), (9, 4000)])).await;
    }
    let (booked, state) = reward(folder.path(), 60);
    assert_eq!(nets(&booked), [(one.0, 990), (two.0, 3960)]);
    assert_eq!((booked.split.as_ref().unwrap().fees.units(), state), (50, RewardState::Immature));
    audited(folder.path(), 60);
    let view = writer.pool.order(|books, _, _| Ok(books.payments_of(PoolId(1)))).await.unwrap();
    assert_eq!(view, [(id(60), place(50, 203))]);
    let is_block = writer
        .pool
        .order(|books, _, _| Ok([8, 60, 61].map(|n| books.is_block_of(PoolId(1), id(n)))));
    assert_eq!(is_block.await.unwrap(), [true, false, false]);
    stop(writer).await;
    // Again after a restart, by another block of the chain: known.
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 500), &clock);
    found(&writer.pool, payment(60, place(51, 204), &[(8, 1000), (9, 4000)])).await;
    assert_eq!(reward(folder.path(), 60).0, booked);
    let work = writer.pool.view().pools[0].round_work;
    assert_eq!(work, 50_000, "a payment ends no round");
    stop(writer).await;
    assert!(Reader::open(folder.path()).unwrap().fold_differences().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_durable_when_the_pool_died_is_booked_after_the_blocks_that_earned_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let (one, _) = (enrol(&writer.pool, 1).await, ());
    record(&writer.pool, vec![share(one, 3000, 1)]).await;
    stop(writer).await;
    // Both in the log, neither in the books.
    let entry = |report: BlockReport| {
        LogEntry::BlockFound(Box::new(accounting::BlockFound {
            pool: report.pool,
            finder: one.0,
            worker: WorkerId(1),
            block: report.block,
            height: report.height,
            to_pool: report.to_pool,
            to_miners: report.to_miners,
            commitment: None,
            coinbase_fee: Default::default(),
            network_work: report.network_work,
            scheme: report.scheme,
            shared: None,
            budget: None,
            member: report.member.map(|member| *member),
            found_at: report.found_at,
        }))
    };
    let entries = [entry(shared(8, 100, 0)), entry(payment(60, place(50, 203), &[(8, 1000)]))];
    Sqlite::open(folder.path()).unwrap().append(&entries).unwrap();
    stop(start(folder.path(), asset(), pool_of(PPLNS, 100), &clock)).await;
    assert_eq!(nets(&reward(folder.path(), 60).0), [(one.0, 990)]);
    audited(folder.path(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_leaves_with_its_block_and_comes_back_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let [one, _] = two_blocks(&writer.pool).await;
    found(&writer.pool, payment(60, place(50, 203), &[(8, 1000)])).await;
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    treasury.world(|w| w.spendable = 60 * COIN);
    let mut seen = async |block: u8, sighting| {
        treasury.world(|w| w.sightings.insert(id(block), sighting));
        cashier.round().await.unwrap();
        reward(folder.path(), 60).1
    };
    assert_eq!(seen(50, Sighting::InChain(5)).await, RewardState::Immature);
    // What stands at the place of its own name says nothing: it is no block.
    assert_eq!(seen(60, Sighting::Replaced(9)).await, RewardState::Immature);
    assert_eq!(seen(50, Sighting::Replaced(6)).await, RewardState::Orphaned);
    // Given up for good, and in the chain after all.
    assert_eq!(seen(50, Sighting::Replaced(300)).await, RewardState::Orphaned);
    moved(&writer.pool, 60, place(51, 205)).await.unwrap();
    assert_eq!(seen(51, Sighting::InChain(1)).await, RewardState::Immature);
    assert_eq!(seen(51, Sighting::InChain(101)).await, RewardState::Matured);
    let credited = || {
        let reader = Reader::open(folder.path()).unwrap();
        reader.balance(AssetId(1), Kind::Account(one.0)).unwrap().credits_posted.units()
    };
    assert_eq!(credited(), 1000);
    assert_eq!(Reader::open(folder.path()).unwrap().place(id(60)).unwrap(), Some(place(51, 205)));
    for unknown in [8, 61] {
        assert!(moved(&writer.pool, unknown, place(51, 205)).await.is_err(), "no payment");
    }
    stop(writer).await;
}

//! What was once mended: bankrolls in debt, revocations asked for twice or forgotten, spends that the books learn of late.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::ledger::Kind;
use accounting::payout::PayoutStep;
use accounting::rate::Rate;
use accounting::reward::Sighting;
use accounting::{Amount, AssetId, RewardId, Scheme, ShareSeq, SliceNo};
use common::{
    COIN, FakeTreasury, PPLNS, TestClock, asset, available, block, cashier, deposit, enrol, found,
    pool_of, record, share, start, stop,
};
use pool::Refused;
use pool::treasury::WalletSpend;
use std::collections::BTreeMap;
use store::Reader;

fn bankroll(folder: &std::path::Path) -> i128 {
    Reader::open(folder).unwrap().balance(AssetId(1), Kind::Bankroll).unwrap().posted().units()
}

const RATE: Rate = Rate { network_work: 1000, value: Amount::from_units(50 * COIN) };

#[tokio::test]
async fn a_block_found_at_an_empty_bankroll_is_booked_and_its_share_is_paid_as_a_debt_of_the_pool()
{
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(Scheme::Pps, 200), &clock);
    let who = enrol(&writer.pool, 1).await;
    // The rate comes with the report, as from a block file of before a restore.
    let mut report = block(9, 1, 100, Scheme::Pps);
    report.share = Some((accounting::Weight::new(10).unwrap(), Some(RATE)));
    found(&writer.pool, report).await;
    let paid = COIN / 2 * 98 / 100;
    assert_eq!((available(folder.path(), who.0), bankroll(folder.path())), (paid, -paid));
    stop(writer).await;
    // Every start after it, too.
    let writer = start(folder.path(), asset(), pool_of(Scheme::Pps, 200), &clock);
    let more = accounting::Share { rate: RATE.id(), ..share(who, 10, 1) };
    let refused = writer.pool.record(vec![more]).await.unwrap().durable().await;
    assert_eq!(refused, Err(Refused::BankrollExhausted), "in debt it buys nothing more");
    stop(writer).await;
}

#[tokio::test]
async fn after_a_restart_the_bankroll_still_owes_for_the_open_slice() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(Scheme::Pps, 0), &clock);
    deposit(&writer.pool, Amount::from_units(COIN)).await;
    writer.pool.declare(RATE).await.unwrap();
    let who = enrol(&writer.pool, 1).await;
    let bought = |key| accounting::Share { rate: RATE.id(), ..share(who, 10, key) };
    record(&writer.pool, vec![bought(1)]).await;
    stop(writer).await;
    let writer = start(folder.path(), asset(), pool_of(Scheme::Pps, 0), &clock);
    let refused = writer.pool.record(vec![bought(2)]).await.unwrap().durable().await;
    assert_eq!(
        refused,
        Err(Refused::BankrollExhausted),
        "half is owed already, and a unit kept aside"
    );
    stop(writer).await;
}

#[tokio::test]
async fn a_share_is_revoked_once_however_often_it_is_asked_for_and_one_that_is_not_there_never() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let who = enrol(&writer.pool, 1).await;
    record(&writer.pool, vec![share(who, 10, 1), share(who, 10, 2)]).await;
    for _ in 0..2 {
        writer.pool.revoke(ShareSeq(1), "fraud".into()).await.unwrap();
    }
    let refused = writer.pool.revoke(ShareSeq(77), "typo".into()).await;
    assert!(matches!(refused, Err(Refused::Rule(text)) if text.contains("no share 77")));
    stop(writer).await;
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    writer.pool.revoke(ShareSeq(1), "again".into()).await.unwrap();
    record(&writer.pool, vec![share(who, 10, 3)]).await;
    stop(writer).await;
}

#[tokio::test]
async fn what_was_revoked_stays_revoked_over_a_quiet_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    record(&writer.pool, vec![share(one, 10, 1)]).await;
    record(&writer.pool, vec![share(two, 10, 2)]).await;
    writer.pool.revoke(ShareSeq(1), "fraud".into()).await.unwrap();
    // A slice of its own, closed, and nothing behind it.
    record(&writer.pool, vec![share(two, 10, 3)]).await;
    clock.advance(11 * 60 * 1000);
    writer.pool.revoke(ShareSeq(4), "cut".into()).await.unwrap();
    stop(writer).await;
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let mut report = block(9, 2, 100, PPLNS);
    report.share = None;
    found(&writer.pool, report).await;
    let (reward, _) =
        Reader::open(folder.path()).unwrap().reward(RewardId([9; 32])).unwrap().unwrap();
    let paid: Vec<_> = reward.split.unwrap().rows.iter().map(|row| row.account).collect();
    assert_eq!(paid, vec![two.0], "the first account's only share was revoked");
    stop(writer).await;
}

#[tokio::test]
async fn a_spend_that_pays_what_a_waiting_payout_would_is_that_payout_and_nobody_is_paid_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    let who = enrol(&writer.pool, 1).await;
    record(&writer.pool, vec![share(who, 10, 1)]).await;
    found(&writer.pool, block(9, 1, 100, PPLNS)).await;
    treasury.world(|w| {
        w.spendable = 50 * COIN;
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
    });
    // The backup is of the moment when the payout was chosen and not yet signed.
    writer
        .pool
        .order(|books, _, now| {
            books.hold("all".into(), "backup".into(), now);
            Ok(())
        })
        .await
        .unwrap();
    cashier.round().await.unwrap();
    let plan =
        writer.pool.order(|books, _, now| Ok(books.plan_payout(AssetId(1), now))).await.unwrap();
    let fee = Amount::from_units(131);
    let payout = writer
        .pool
        .order(move |books, _, now| {
            books.release("all")?;
            let payout = books.reserve_payout(AssetId(1), &plan, fee, now);
            books.hold("all".into(), "backup".into(), now);
            payout
        })
        .await
        .unwrap();
    // After it, the payout was signed and confirmed; the restored books see only a spend.
    let sent = payout.sent();
    let spend = WalletSpend {
        txid: [0xcc; 32],
        out: sent.add(fee).add(Amount::from_units(500)),
        fee,
        // Somebody else was paid as well: only a person can say what it was.
        outputs: vec![
            (payout.parts[0].destination.clone(), sent),
            (vec![0x51], Amount::from_units(500)),
        ],
        confirmations: 10,
        inputs: vec![([7; 32], 0)],
        raw: vec![],
    };
    treasury.world(|w| w.foreign_spends.push(spend.clone()));
    cashier.round().await.unwrap();
    writer
        .pool
        .order(move |books, _, now| books.match_spend(AssetId(1), &spend, true, "ann", now))
        .await
        .unwrap();
    writer.pool.order(|books, _, _| books.release("all")).await.unwrap();
    for _ in 0..3 {
        clock.advance(2000);
        cashier.round().await.unwrap();
    }
    assert_eq!(treasury.world(|w| w.sent.len()), 0, "nothing is sent again");
    assert_eq!(available(folder.path(), who.0), 0);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(
        reader.balance(AssetId(1), Kind::Loss).unwrap().debits_posted,
        Amount::from_units(500),
        "and nothing is lost but what went to a stranger"
    );
    assert_eq!(reader.fold_differences().unwrap(), vec![]);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_version_of_a_payout_that_restored_books_do_not_know_is_taken_up_as_that_payout() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    let who = enrol(&writer.pool, 1).await;
    record(&writer.pool, vec![share(who, 10, 1)]).await;
    found(&writer.pool, block(9, 1, 100, PPLNS)).await;
    treasury.world(|w| {
        w.spendable = 50 * COIN;
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
    });
    cashier.round().await.unwrap();
    let open = writer.pool.order(|books, _, _| Ok(books.open_payouts(AssetId(1)))).await.unwrap();
    let payout = &open[0].payout;
    // Its fee was raised after the backup: another transaction of the same coins to the same people has confirmed.
    let fee = payout.versions[0].fee.add(Amount::from_units(50));
    let part = &payout.parts[0];
    let bumped = WalletSpend {
        txid: [0xbb; 32],
        out: part.sent.add(fee),
        fee,
        outputs: vec![(part.destination.clone(), part.sent)],
        confirmations: 10,
        inputs: payout.versions[0].inputs.clone(),
        raw: vec![0xbb],
    };
    treasury.world(|w| {
        w.mempool.clear();
        w.known.insert(bumped.txid, (bumped.out.units(), fee.units()));
        w.confirmed.insert(bumped.txid, 10);
        w.foreign_spends.push(bumped);
    });
    let round = cashier.round().await.unwrap();
    assert_eq!(round.payouts, [(payout.id, PayoutStep::Confirm { version: 1 })]);
    // The fake wallet lists it among its own from here on.
    treasury.world(|w| w.foreign_spends.clear());
    for _ in 0..3 {
        clock.advance(2000);
        cashier.round().await.unwrap();
    }
    assert_eq!(treasury.world(|w| w.sent.len()), 1, "what was sent before the backup");
    let status = cashier.status();
    assert_eq!(status.load().blockers, Vec::<String>::new());
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.balance(AssetId(1), Kind::Loss).unwrap().debits_posted, Amount::ZERO);
    assert_eq!(reader.fold_differences().unwrap(), vec![]);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_spend_that_nobody_can_match_any_more_is_said_to_be_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    let spend = WalletSpend {
        txid: [0xcc; 32],
        out: Amount::from_units(700),
        fee: Amount::from_units(100),
        outputs: vec![(vec![0x51], Amount::from_units(600))],
        confirmations: 0,
        inputs: vec![([7; 32], 0)],
        raw: vec![],
    };
    treasury.world(|w| w.foreign_spends.push(spend));
    cashier.round().await.unwrap();
    assert!(!cashier.status().load().blockers.is_empty());
    treasury.world(|w| w.foreign_spends.clear());
    cashier.round().await.unwrap();
    assert!(!cashier.status().load().blockers.is_empty(), "nobody has said anything yet");
    let gone = |txid| writer.pool.order(move |books, _, now| books.forget_spend(txid, "op", now));
    assert!(gone([0xdd; 32]).await.is_err());
    gone([0xcc; 32]).await.unwrap();
    cashier.round().await.unwrap();
    assert!(cashier.status().load().blockers.is_empty());
    stop(writer).await;
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    assert_eq!(writer.pool.view().unmatched_spends, 0, "nor after a restart");
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_at_a_price_is_bought_though_the_scheme_was_changed_and_is_in_no_window()
{
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let per_share = pool_of(Scheme::Pps, 0);
    let writer = start(folder.path(), asset(), per_share, &clock);
    writer.pool.declare(RATE).await.unwrap();
    deposit(&writer.pool, Amount::from_units(100 * COIN)).await;
    let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    let priced = accounting::Share { rate: RATE.id(), ..share(one, 10, 1) };
    record(&writer.pool, vec![priced]).await;
    stop(writer).await;
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    record(&writer.pool, vec![share(two, 30, 2)]).await;
    let report = pool::BlockReport { share: None, ..block(9, 2, 100, PPLNS) };
    found(&writer.pool, report).await;
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(available(folder.path(), one.0), COIN / 2, "its price");
    let (reward, _) = reader.reward(RewardId([9; 32])).unwrap().unwrap();
    assert_eq!(reward.window.as_ref().unwrap().rows, [(two.0, 30)]);
    let mut slices = reader.slices(reward.pool, reward.as_of);
    let checked = accounting::audit::check_reward(&reward, SliceNo(0), &mut slices).unwrap();
    assert_eq!(checked, Ok(()));
    let (rates, mut carries) = (reader.book().unwrap().rates, BTreeMap::new());
    for no in [SliceNo(1), SliceNo(2)] {
        let slice = reader.slice(reward.pool, no, reward.as_of).unwrap().unwrap().slice;
        let credits = reader.slice_credits(reward.pool, no).unwrap();
        assert_eq!(credits.is_empty(), no == SliceNo(2));
        let checked = accounting::audit::check_purchase(&slice, &rates, &mut carries, &credits);
        assert_eq!(checked, Ok(()));
    }
    assert_eq!(reader.fold_differences().unwrap(), vec![]);
    stop(writer).await;
}

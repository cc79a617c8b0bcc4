//! A share becomes a payout: through the writer, the store and the cashier, with every reward state turned back.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::fee::VolumeStep;
use accounting::ledger::Kind;
use accounting::payout::{PayoutState, PayoutStep};
use accounting::rate::Rate;
use accounting::reward::{RewardState, RewardStep, Sighting};
use accounting::{
    AccountId, Amount, AssetId, BasisPoints, PayoutId, PoolId, RewardId, Scheme, SliceNo,
};
use common::*;
use pool::config::Exchange;
use pool::payouts::Plan;
use pool::treasury::{PayoutOrder, Signing, WalletSpend};
use pool::{Pool, Refused, Treasury};
use store::Reader;

fn folds(folder: &std::path::Path) -> bool {
    Reader::open(folder).unwrap().fold_differences().unwrap().is_empty()
}

fn posted(folder: &std::path::Path, kind: Kind) -> i128 {
    Reader::open(folder).unwrap().balance(AssetId(1), kind).unwrap().posted().units()
}

async fn mine(pool: &Pool) {
    let (one, two) = (enrol(pool, 1).await, enrol(pool, 2).await);
    record(pool, vec![share(one, 30, 1)]).await;
    record(pool, vec![share(two, 60, 2)]).await;
    found(pool, block(9, 1, 100, PPLNS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_becomes_a_paid_balance() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    let (one, _) = enrol(&writer.pool, 1).await;
    let (two, _) = enrol(&writer.pool, 2).await;
    let reader = Reader::open(folder.path()).unwrap();
    let (reward, state) = reader.reward(RewardId([9; 32])).unwrap().unwrap();
    assert_eq!(state, RewardState::Immature);
    assert_eq!(
        reward.window.as_ref().unwrap().rows,
        [(one, 40), (two, 60)],
        "the solving share is in its own window"
    );
    assert_eq!(available(folder.path(), one), 0, "immature");

    treasury.world(|w| w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101)));
    treasury.world(|w| w.spendable = 50 * COIN);
    let round = cashier.round().await.unwrap();
    assert_eq!(round.rewards, [RewardStep::Mature]);
    assert_eq!(round.made.len(), 1);
    assert_eq!(treasury.world(|w| w.sent.len()), 1);
    assert_eq!(posted(folder.path(), Kind::Fees), COIN / 2);
    let txid = treasury.world(|w| w.sent[0].0);
    let round = cashier.round().await.unwrap();
    assert_eq!(round.payouts.iter().map(|(_, step)| *step).collect::<Vec<_>>(), [PayoutStep::Seen]);
    treasury.world(|w| {
        w.mempool.clear();
        w.confirmed.insert(txid, 3);
    });
    let round = cashier.round().await.unwrap();
    assert_eq!(round.payouts[0].1, PayoutStep::Confirm { version: 0 });
    assert_eq!(
        (posted(folder.path(), Kind::Account(one)), posted(folder.path(), Kind::Account(two))),
        (0, 0)
    );
    assert_eq!(posted(folder.path(), Kind::Wallet), -COIN / 2, "what is left is the pool's fee");
    assert!(folds(folder.path()));
    assert_eq!(treasury.world(|w| w.sent.len()), 1, "sent once");
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_more_than_half_of_the_work_pays_the_fee_of_that_volume() {
    let points = |points| BasisPoints::new(points).unwrap();
    for scheme in [PPLNS, Scheme::Pps] {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::default();
        let mut config = pool_of(scheme, 100);
        config.fee.volume = vec![VolumeStep { part: points(5000), discount: points(40) }];
        let writer = start(folder.path(), asset(), config, &clock);
        let rate = Rate { network_work: 1000, value: Amount::from_units(50 * COIN) };
        writer.pool.declare(rate).await.unwrap();
        deposit(&writer.pool, Amount::from_units(50 * COIN)).await;
        let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
        // What has a rate is bought, whatever the scheme.
        let priced = if scheme == Scheme::Pps { rate.id() } else { Default::default() };
        let bought =
            |who, weight, key| accounting::Share { rate: priced, ..share(who, weight, key) };
        record(&writer.pool, vec![bought(one, 40, 1), bought(two, 60, 2)]).await;
        clock.advance(11 * 60 * 1000);
        let mut report = block(9, 1, 100, scheme);
        if scheme == Scheme::Pps {
            report.share = None;
        }
        found(&writer.pool, report).await;
        stop(writer).await;
        let reader = Reader::open(folder.path()).unwrap();
        let fees: Vec<(AccountId, BasisPoints)> = if scheme == PPLNS {
            let (reward, _) = reader.reward(RewardId([9; 32])).unwrap().unwrap();
            reward.split.unwrap().rows.iter().map(|row| (row.account, row.fee_bps)).collect()
        } else {
            let credits = reader.slice_credits(PoolId(1), SliceNo(1)).unwrap();
            credits.iter().map(|credit| (credit.account, credit.fee_bps)).collect()
        };
        assert_eq!(fees, [(one.0, points(100)), (two.0, points(60))], "{scheme:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_every_acknowledged_share_in_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let who = enrol(&writer.pool, 1).await;
    record(&writer.pool, (0..7).map(|key| share(who, 11, key)).collect()).await;
    stop(writer).await;
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    assert_eq!(enrol(&writer.pool, 1).await, who, "numbers are kept");
    found(&writer.pool, block(9, 1, 100, PPLNS)).await;
    let (reward, _) =
        Reader::open(folder.path()).unwrap().reward(RewardId([9; 32])).unwrap().unwrap();
    assert_eq!(reward.window.unwrap().rows, [(who.0, 87)]);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_reported_twice_is_one_reward_and_one_share() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    for _ in 0..3 {
        found(&writer.pool, block(9, 1, 100, PPLNS)).await;
    }
    stop(writer).await;
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    found(&writer.pool, block(9, 1, 100, PPLNS)).await;
    let reader = Reader::open(folder.path()).unwrap();
    let count = |table: &str| -> i64 {
        reader
            .connection()
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(
        (count("shares"), count("blocks_found"), count("rewards"), count("sets")),
        (1, 1, 1, 1)
    );
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_blocks_at_one_height_are_two_rewards_and_only_the_canonical_one_matures() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    found(&writer.pool, block(8, 1, 100, PPLNS)).await;
    found(&writer.pool, block(9, 2, 100, PPLNS)).await;
    treasury.world(|w| {
        w.sightings.insert(RewardId([8; 32]), Sighting::InChain(101));
        w.sightings.insert(RewardId([9; 32]), Sighting::Replaced(101));
    });
    cashier.round().await.unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let state = |n| reader.reward(RewardId([n; 32])).unwrap().unwrap().1;
    assert_eq!((state(8), state(9)), (RewardState::Matured, RewardState::Orphaned));
    assert_eq!(reader.book().unwrap().ledger.liabilities(AssetId(1)).units(), 50 * COIN);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reward_is_turned_back_from_every_state_and_returns() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    let id = RewardId([9; 32]);
    let owed = |folder: &std::path::Path| {
        Reader::open(folder).unwrap().book().unwrap().ledger.liabilities(AssetId(1)).units()
    };
    let net = 50 * COIN - COIN / 2;
    treasury.world(|w| w.hide_everything = false);
    for (sighting, step, owed_after) in [
        (Sighting::Replaced(6), Some(RewardStep::Orphan), 0),
        (Sighting::InChain(1), Some(RewardStep::Return), 0),
        (Sighting::InChain(101), Some(RewardStep::Mature), net),
        (Sighting::Replaced(120), Some(RewardStep::Orphan), 0),
        (Sighting::InChain(2), Some(RewardStep::Return), 0),
        (Sighting::InChain(102), Some(RewardStep::Mature), net),
        (Sighting::Replaced(6), Some(RewardStep::Orphan), 0),
        (Sighting::Unknown, None, 0),
    ] {
        treasury.world(|w| w.sightings.insert(id, sighting));
        let round = cashier.round().await.unwrap();
        assert_eq!(round.rewards, step.into_iter().collect::<Vec<_>>(), "{sighting:?}");
        assert_eq!(owed(folder.path()), owed_after, "{sighting:?}");
        assert!(folds(folder.path()));
    }
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_after_its_payout_is_a_loss_stops_payouts_and_debits_nobody_below_zero() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    let id = RewardId([9; 32]);
    treasury.world(|w| {
        w.sightings.insert(id, Sighting::InChain(101));
        w.spendable = 100 * COIN;
    });
    cashier.round().await.unwrap();
    let txid = treasury.world(|w| w.sent[0].0);
    treasury.world(|w| {
        w.mempool.clear();
        w.confirmed.insert(txid, 10)
    });
    cashier.round().await.unwrap();
    treasury.world(|w| w.sightings.insert(id, Sighting::Replaced(7)));
    cashier.round().await.unwrap();
    let (one, _) = enrol(&writer.pool, 1).await;
    assert_eq!(posted(folder.path(), Kind::Account(one)), 0);
    assert_eq!(posted(folder.path(), Kind::Loss), -(50 * COIN - COIN / 2));
    let status = cashier.status().load_full();
    assert!(
        status.blockers.iter().any(|reason| reason.contains("left the chain")),
        "{:?}",
        status.blockers
    );
    treasury.world(|w| w.sightings.insert(id, Sighting::InChain(1)));
    cashier.round().await.unwrap();
    treasury.world(|w| w.sightings.insert(id, Sighting::InChain(101)));
    cashier.round().await.unwrap();
    assert_eq!(posted(folder.path(), Kind::Loss), 0, "what came back is no loss");
    assert_eq!(posted(folder.path(), Kind::Account(one)), 0, "and nobody is paid twice");
    assert!(folds(folder.path()));
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payouts_refuse_while_the_wallet_cannot_cover_what_is_owed_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    treasury.world(|w| {
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
        w.spendable = 50 * COIN - 1;
    });
    assert_eq!(cashier.round().await.unwrap().made, []);
    assert!(
        cashier.status().load().blockers[0].contains("1 missing"),
        "{:?}",
        cashier.status().load().blockers
    );
    record(&writer.pool, vec![share(enrol(&writer.pool, 1).await, 5, 77)]).await;
    treasury.world(|w| w.spendable = 50 * COIN);
    assert_eq!(cashier.round().await.unwrap().made.len(), 1);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_do_not_fold_stop_payouts_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    treasury.world(|w| {
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
        w.spendable = 500 * COIN;
        w.refuse_broadcast = true;
    });
    let db = rusqlite::Connection::open(folder.path().join("adit.db")).unwrap();
    db.execute("INSERT INTO balances VALUES (1, 'loss', 0, 1, 0, 0)", []).unwrap();
    assert_eq!(cashier.round().await.unwrap().made, []);
    assert!(cashier.status().load().blockers[0].contains("do not fold"));
    record(&writer.pool, vec![share(enrol(&writer.pool, 1).await, 5, 77)]).await;
    found(&writer.pool, block(10, 1, 101, PPLNS)).await;
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spend_the_books_do_not_know_stops_payouts_until_it_is_matched() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    let spend = pool::treasury::WalletSpend {
        txid: [5; 32],
        out: Amount::from_units(7 * COIN),
        fee: Amount::from_units(200),
        outputs: vec![(identity(1).bytes, Amount::from_units(7 * COIN - 200))],
        confirmations: 9,
        inputs: vec![([7; 32], 0)],
        raw: vec![],
    };
    treasury.world(|w| {
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
        w.spendable = 500 * COIN;
        w.foreign_spends.push(spend.clone());
    });
    assert_eq!(cashier.round().await.unwrap().made, []);
    assert!(cashier.status().load().blockers[0].contains("adit payouts match"));
    writer
        .pool
        .order(move |books, _, now| books.match_spend(AssetId(1), &spend, true, "ann", now))
        .await
        .unwrap();
    let (one, _) = enrol(&writer.pool, 1).await;
    assert_eq!(
        available(folder.path(), one),
        198 * COIN / 10 - (7 * COIN - 200),
        "it paid miner 1's debt"
    );
    clock.advance(2000);
    assert_eq!(cashier.round().await.unwrap().made.len(), 1);
    assert!(folds(folder.path()));
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_left_the_chain_is_sent_again_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    treasury.world(|w| {
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
        w.spendable = 500 * COIN;
    });
    cashier.round().await.unwrap();
    let txid = treasury.world(|w| w.sent[0].0);
    for _ in 0..2 {
        treasury.world(|w| {
            w.mempool.clear();
            w.confirmed.insert(txid, 5)
        });
        cashier.round().await.unwrap();
        treasury.world(|w| w.confirmed.clear());
        let round = cashier.round().await.unwrap();
        assert_eq!(round.payouts[0].1, PayoutStep::Reopen);
    }
    treasury.world(|w| w.confirmed.insert(txid, 300));
    cashier.round().await.unwrap();
    cashier.round().await.unwrap();
    let sent = treasury.world(|w| w.sent.clone());
    assert!(sent.iter().all(|(id, _)| *id == txid), "never another transaction");
    assert_eq!(treasury.world(|w| w.signed), 1);
    assert_eq!(
        Reader::open(folder.path()).unwrap().book().unwrap().ledger.liabilities(AssetId(1)).units(),
        0
    );
    assert!(folds(folder.path()));
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_can_never_confirm_gives_the_debts_back_and_they_are_paid_once() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    treasury.world(|w| {
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
        w.spendable = 500 * COIN;
        w.refuse_broadcast = true;
    });
    cashier.round().await.unwrap();
    treasury.world(|w| w.impossible = Some(99));
    cashier.round().await.unwrap();
    let (one, _) = enrol(&writer.pool, 1).await;
    assert_eq!(available(folder.path(), one), 0, "not deep enough to be sure");
    treasury.world(|w| w.impossible = Some(100));
    let round = cashier.round().await.unwrap();
    assert_eq!(round.payouts[0].1, PayoutStep::Abandon);
    assert_eq!(available(folder.path(), one), 20 * COIN);
    treasury.world(|w| {
        w.impossible = None;
        w.refuse_broadcast = false;
    });
    clock.advance(2000);
    assert_eq!(cashier.round().await.unwrap().made.len(), 1);
    assert_eq!(available(folder.path(), one), 0);
    assert!(folds(folder.path()));
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pps_pool_buys_slices_from_its_bankroll_and_refuses_shares_it_cannot_pay() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(Scheme::Pps, 200), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    let rate = Rate { network_work: 1000, value: Amount::from_units(50 * COIN) };
    writer.pool.declare(rate).await.unwrap();
    let who = enrol(&writer.pool, 1).await;
    let bought = |key| accounting::Share { rate: rate.id(), ..share(who, 10, key) };
    let refused = writer.pool.record(vec![bought(1)]).await.unwrap().durable().await;
    assert_eq!(refused, Err(Refused::BankrollExhausted));
    deposit(&writer.pool, Amount::from_units(COIN)).await;
    record(&writer.pool, vec![bought(2)]).await;
    let refused = writer.pool.record(vec![bought(3); 1]).await.unwrap().durable().await;
    assert_eq!(
        refused,
        Err(Refused::BankrollExhausted),
        "half a coin each, one coin there, rounding kept aside"
    );
    clock.advance(11 * 60 * 1000);
    let mut report = block(9, 1, 100, Scheme::Pps);
    report.share = None;
    found(&writer.pool, report).await;
    assert_eq!(
        available(folder.path(), who.0),
        COIN / 2 * 98 / 100,
        "posted at once, less the fee"
    );
    assert_eq!(posted(folder.path(), Kind::Bankroll), COIN - COIN / 2 * 98 / 100);
    treasury.world(|w| w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101)));
    cashier.round().await.unwrap();
    assert_eq!(
        posted(folder.path(), Kind::Bankroll),
        51 * COIN - COIN / 2 * 98 / 100,
        "the block is the bankroll's"
    );
    assert!(folds(folder.path()));
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stops_a_run_that_has_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    mine(&writer.pool).await;
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    // Matured, and not payable yet: what a run does is done by hand below.
    treasury.world(|w| w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101)));
    cashier.round().await.unwrap();
    let hold = |scope: &'static str| {
        writer.pool.order(move |books, _, now| {
            books.hold(scope.into(), "asked".into(), now);
            Ok(())
        })
    };
    let plan = writer.pool.order(|books, _, now| Ok(books.plan_payout(AssetId(1), now)));
    let plan = plan.await.unwrap();
    assert_eq!(plan.due.len(), 2);
    let reserve = |plan: Plan| {
        writer.pool.order(move |books, _, now| {
            books.reserve_payout(AssetId(1), &plan, Amount::from_units(100), now)
        })
    };
    hold("asset/1").await.unwrap();
    assert!(
        matches!(reserve(plan.clone()).await, Err(Refused::Rule(_))),
        "between plan and reserve"
    );
    writer.pool.order(|books, _, _| books.release("asset/1")).await.unwrap();
    let payout = reserve(plan).await.unwrap();
    hold("account/1").await.unwrap();
    treasury.world(|w| w.spendable = 50 * COIN);
    let order = PayoutOrder {
        id: payout.id.0,
        parts: payout.parts.clone(),
        fee: Amount::from_units(100),
        versions: vec![],
    };
    let Ok(Signing::Signed(version)) = treasury.clone().sign(&order).await else { panic!() };
    let signed =
        writer.pool.order(move |books, _, now| books.payout_signed(payout.id, version, now));
    assert!(matches!(signed.await, Err(Refused::Rule(_))), "between reserve and signature");
    cashier.round().await.unwrap();
    assert!(treasury.world(|w| w.sent.is_empty()));
    writer.pool.order(|books, _, _| books.release("account/1")).await.unwrap();
    cashier.round().await.unwrap();
    assert_eq!(treasury.world(|w| w.sent.len()), 1, "and then once");
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_no_payout_that_is_out_from_being_known() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(PPLNS, 0), &clock);
    mine(&writer.pool).await;
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    treasury.world(|w| w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101)));
    cashier.round().await.unwrap();
    // As after a restore: chosen in the backup, signed after it, and everything held.
    let fee = Amount::from_units(100);
    let order = writer.pool.order(move |books, _, now| {
        let plan = books.plan_payout(AssetId(1), now);
        let payout = books.reserve_payout(AssetId(1), &plan, fee, now)?;
        books.hold("all".into(), "restored".into(), now);
        Ok(payout)
    });
    let payout = order.await.unwrap();
    let parts = payout.parts.iter().map(|part| (part.destination.clone(), part.sent));
    let spend = WalletSpend {
        txid: [0xcc; 32],
        out: payout.sent().add(fee),
        fee,
        outputs: parts.collect(),
        confirmations: 10,
        inputs: vec![([7; 32], 0)],
        raw: vec![1],
    };
    treasury.world(|w| {
        w.known.insert(spend.txid, (spend.out.units(), fee.units()));
        w.foreign_spends.push(spend);
    });
    cashier.round().await.unwrap();
    assert_eq!(writer.pool.view().unmatched_spends, 0);
    let open = Reader::open(folder.path()).unwrap().book().unwrap().payouts;
    assert_eq!(open[&payout.id].payout.versions.len(), 1);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_after_a_restore_is_known_though_its_parts_went_to_one_place_or_through_an_exchange()
 {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let mut config = asset();
    config.payouts.address_change_delay_ms = 0;
    let place = vec![5; 32];
    config.exchange = Some(Exchange { mark: b"external:", place: place.clone() });
    let writer = start(folder.path(), config, pool_of(PPLNS, 0), &clock);
    mine(&writer.pool).await;
    let ((one, _), (two, _)) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    for (account, to) in [(one, b"external:bc1qann".to_vec()), (two, place.clone())] {
        let order = writer.pool.order(move |books, _, now| {
            books.set_destination(account, to, "there".into(), AssetId(1), now)
        });
        order.await.unwrap();
    }
    clock.advance(1);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    treasury.world(|w| w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101)));
    cashier.round().await.unwrap();
    let fee = Amount::from_units(100);
    let order = writer.pool.order(move |books, _, now| {
        let plan = books.plan_payout(AssetId(1), now);
        let payout = books.reserve_payout(AssetId(1), &plan, fee, now)?;
        books.hold("all".into(), "restored".into(), now);
        Ok(payout)
    });
    let payout = order.await.unwrap();
    assert_eq!(payout.parts.len(), 2);
    let spend = |txid: u8, paid: Amount| WalletSpend {
        txid: [txid; 32],
        out: paid.add(fee),
        fee,
        outputs: vec![(place.clone(), paid)],
        confirmations: 10,
        inputs: vec![([7; 32], 0)],
        raw: vec![1],
    };
    let (right, wrong) =
        (spend(0xcc, payout.sent()), spend(0xdd, payout.sent().sub(Amount::from_units(1))));
    treasury.world(|w| {
        for spend in [&right, &wrong] {
            w.known.insert(spend.txid, (spend.out.units(), fee.units()));
        }
        w.foreign_spends.extend([wrong, right.clone()]);
    });
    cashier.round().await.unwrap();
    let book = Reader::open(folder.path()).unwrap().book().unwrap();
    let unknown: Vec<_> = book.unmatched_spends.iter().map(|(_, txid, _)| *txid).collect();
    assert_eq!(unknown, [[0xdd; 32]], "a unit less is another payment");
    let versions = &book.payouts[&payout.id].payout.versions;
    assert_eq!(versions.iter().map(|version| version.txid).collect::<Vec<_>>(), [right.txid]);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_minimums_and_limits_keep_debts_back_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let mut config = asset();
    config.payouts.max_per_account_per_day = Amount::from_units(15 * COIN);
    let writer = start(folder.path(), config, pool_of(PPLNS, 0), &clock);
    mine(&writer.pool).await;
    let ((one, _), (two, _)) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    treasury.world(|w| {
        w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
        w.spendable = 500 * COIN;
    });
    let scope = format!("account/{two}");
    let held = scope.clone();
    writer
        .pool
        .order(move |books, _, now| {
            books.hold(held, "asked".into(), now);
            Ok(())
        })
        .await
        .unwrap();
    cashier.round().await.unwrap();
    assert_eq!(
        (available(folder.path(), one), available(folder.path(), two)),
        (5 * COIN, 30 * COIN)
    );
    writer.pool.order(move |books, _, _| books.release(&scope)).await.unwrap();
    clock.advance(24 * 3600 * 1000 + 5);
    cashier.round().await.unwrap();
    assert_eq!((available(folder.path(), one), available(folder.path(), two)), (0, 15 * COIN));
    let states = Reader::open(folder.path()).unwrap().book().unwrap().payouts;
    assert!(states.values().all(|open| open.payout.state != PayoutState::Abandoned));
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_round_of_an_orphaned_block_is_paid_by_the_next_block() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let writer = start(folder.path(), asset(), pool_of(Scheme::Prop, 0), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
    record(&writer.pool, vec![share(one, 30, 1)]).await;
    found(&writer.pool, block(8, 1, 100, Scheme::Prop)).await;
    treasury.world(|w| w.sightings.insert(RewardId([8; 32]), Sighting::Replaced(6)));
    assert_eq!(cashier.round().await.unwrap().rewards, [RewardStep::Orphan]);
    record(&writer.pool, vec![share(two, 60, 2)]).await;
    found(&writer.pool, block(9, 2, 100, Scheme::Prop)).await;
    record(&writer.pool, vec![share(two, 5, 3)]).await;
    stop(writer).await;
    // The same after a restart: the next round begins after the block that stands.
    let writer = start(folder.path(), asset(), pool_of(Scheme::Prop, 0), &clock);
    found(&writer.pool, block(10, 2, 101, Scheme::Prop)).await;
    let reader = Reader::open(folder.path()).unwrap();
    let rows = |n: u8| {
        let (reward, _) = reader.reward(RewardId([n; 32])).unwrap().unwrap();
        assert!(reader.cuts_before(&reward).unwrap().iter().any(|cut| {
            let mut slices = reader.slices(reward.pool, reward.as_of);
            accounting::audit::check_reward(&reward, *cut, &mut slices).unwrap().is_ok()
        }));
        reward.window.unwrap().rows
    };
    assert_eq!(rows(8), [(one.0, 40)]);
    assert_eq!(rows(9), [(one.0, 40), (two.0, 70)], "the orphan's round and its own");
    assert_eq!(rows(10), [(two.0, 15)]);
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solo_block_is_booked_at_the_fee_its_job_was_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let solo = Scheme::Solo { custodial: false };
    let writer = start(folder.path(), asset(), pool_of(solo, 300), &clock);
    let (whole, fee) = (50 * COIN, BasisPoints::new(100).unwrap());
    let (to_pool, to_miners) = (whole / 100, whole - whole / 100);
    let report = pool::BlockReport {
        to_pool: Amount::from_units(to_pool),
        to_miners: Amount::from_units(to_miners),
        coinbase_fee: fee,
        ..block(9, 1, 100, solo)
    };
    found(&writer.pool, report).await;
    let reader = Reader::open(folder.path()).unwrap();
    let (reward, _) = reader.reward(RewardId([9; 32])).unwrap().unwrap();
    assert_eq!(reward.split.as_ref().unwrap().rows[0].fee_bps, fee);
    let mut slices = reader.slices(reward.pool, reward.as_of);
    let checked = accounting::audit::check_reward(&reward, SliceNo(0), &mut slices).unwrap();
    assert_eq!(checked, Ok(()), "the audit agrees, whatever the fee is now");
    stop(writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_payout_is_signed_only_once_two_operators_approved_it() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
    let mut large = asset();
    large.payouts.approval_above = Some(Amount::from_units(COIN));
    let writer = start(folder.path(), large.clone(), pool_of(PPLNS, 0), &clock);
    let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
    mine(&writer.pool).await;
    treasury.world(|w| w.sightings.insert(RewardId([9; 32]), Sighting::InChain(101)));
    treasury.world(|w| w.spendable = 50 * COIN);
    assert_eq!(cashier.round().await.unwrap().made.len(), 1);
    let approve = async |pool: &Pool, who: &'static str| {
        pool.order(move |books, _, _| books.approve_payout(PayoutId(1), who)).await
    };
    let sent = || treasury.world(|w| w.sent.len());
    assert!(cashier.status().load().warnings.iter().any(|text| text.contains("approval of 2")));
    assert_eq!(approve(&writer.pool, "ann").await, Ok(1));
    assert!(matches!(approve(&writer.pool, "ann").await, Err(Refused::Rule(_))), "once each");
    cashier.round().await.unwrap();
    assert_eq!(sent(), 0);
    stop(writer).await;
    // What was approved is remembered.
    let writer = start(folder.path(), large, pool_of(PPLNS, 0), &clock);
    let mut cashier = common::cashier(&writer, folder.path(), &clock, &treasury);
    assert_eq!(approve(&writer.pool, "bob").await, Ok(0));
    cashier.round().await.unwrap();
    assert_eq!(sent(), 1);
    assert!(matches!(approve(&writer.pool, "eve").await, Err(Refused::Rule(_))));
    stop(writer).await;
}

//! The embedded store keeps what it was told, gives it back after a restart, and lets only one process in.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::commitment::PaidBy;
use accounting::ledger::{Kind, Ledger, Posting, SetKey, Transfer, TransferSet};
use accounting::membership::{Earned, MemberPayment, Membership, Place};
use accounting::payout::{Payout, PayoutPart, PayoutState, PayoutVersion};
use accounting::rate::Rate;
use accounting::reward::{Reward, RewardState};
use accounting::slice::OpenSlice;
use accounting::split::{Carry, SliceCredit, split};
use accounting::union::{Beside, Part, Shared, Terms, TermsBeside};
use accounting::window::WindowTable;
use accounting::{
    AccountId, Amount, AssetId, BasisPoints, BlockFound, Identity, IdentityKind, LogEntry,
    PayoutId, PoolId, RateId, RewardId, Scheme, Share, ShareKey, ShareSeq, SliceNo, UnixMs, Weight,
    WorkerId,
};
use std::path::Path;
use std::sync::Arc;
use store::sqlite::Cut;
use store::{Change, Reader, Sqlite, Store, StoreError};

const ASSET: AssetId = AssetId(1);
const POOL: PoolId = PoolId(1);

fn share(n: u8) -> LogEntry {
    LogEntry::Share(Share {
        pool: POOL,
        account: AccountId(n.into()),
        worker: WorkerId(1),
        weight: Weight::new(u64::from(n) + 1).unwrap(),
        rate: RateId(0),
        found_at: UnixMs(1_000),
        key: ShareKey([n; 32]),
    })
}

fn found(n: u8) -> LogEntry {
    LogEntry::BlockFound(Box::new(BlockFound {
        pool: POOL,
        finder: AccountId(1),
        worker: WorkerId(1),
        block: RewardId([n; 32]),
        height: 100,
        to_pool: Amount::from_units(5_000_000_000),
        to_miners: Amount::ZERO,
        commitment: None,
        coinbase_fee: BasisPoints::default(),
        network_work: u128::MAX,
        scheme: Scheme::Tides,
        shared: None,
        budget: None,
        member: None,
        found_at: UnixMs(2_000),
    }))
}

fn log(store: &mut Sqlite, from: u64) -> Vec<(u64, LogEntry)> {
    let mut entries = Vec::new();
    store.scan(ShareSeq(from), &mut |seq, entry| entries.push((seq.0, entry))).unwrap();
    entries
}

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(folder).unwrap()
}

#[test]
fn the_log_comes_back_in_order_after_a_restart_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let revoke = LogEntry::Revoke { share: ShareSeq(1), reason: "gone".into() };
    let mut store = open(folder.path());
    assert_eq!(store.append(&[share(1), share(2), found(9)]).unwrap(), ShareSeq(1));
    assert_eq!(store.append(&[revoke.clone(), share(3)]).unwrap(), ShareSeq(4));
    drop(store);
    let mut store = open(folder.path());
    let expected = vec![(1, share(1)), (2, share(2)), (3, found(9)), (4, revoke), (5, share(3))];
    assert_eq!(log(&mut store, 0), expected);
    assert_eq!(log(&mut store, 3), expected[2..]);
    assert_eq!(store.append(&[share(4)]).unwrap(), ShareSeq(6));
}

#[test]
fn the_terms_on_which_a_block_is_shared_come_back_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let LogEntry::BlockFound(mut block) = found(9) else { unreachable!() };
    let part = Part::new(2).unwrap();
    let (pool, scheme, network_work) = (PoolId(2), Scheme::Tides, u128::MAX);
    let beside = vec![TermsBeside { pool, part, scheme, network_work }];
    block.shared = Some(Terms { part: Part::new(1).unwrap(), beside });
    let entry = LogEntry::BlockFound(block);
    open(folder.path()).append(std::slice::from_ref(&entry)).unwrap();
    assert_eq!(log(&mut open(folder.path()), 1), [(1, entry)]);
}

#[test]
fn a_batch_that_is_refused_leaves_nothing_and_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    store.append(&[found(9)]).unwrap();
    assert!(store.append(&[share(1), found(9)]).is_err(), "the same block twice");
    assert_eq!(store.append(&[share(2)]).unwrap(), ShareSeq(2));
    assert_eq!(log(&mut store, 2), vec![(2, share(2))]);
}

#[test]
fn two_processes_on_one_store_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let second = Sqlite::open(folder.path());
    assert!(matches!(second, Err(StoreError::InUse { .. })));
    drop(first);
    open(folder.path());
}

#[test]
fn a_newer_schema_refuses_to_start_and_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let file = folder.path().join("adit.db");
    let db = rusqlite::Connection::open(&file).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Sqlite::open(folder.path()), Err(StoreError::Newer { found: 99, .. })));
    assert!(matches!(Reader::open(folder.path()), Err(StoreError::Newer { found: 99, .. })));
}

#[test]
fn every_boot_has_a_number_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).count_boot().unwrap();
    let second = open(folder.path()).count_boot().unwrap();
    assert!(second > first);
}

/// A reward over a window of two accounts, with the changes that record it.
fn reward() -> Reward {
    let work = vec![(AccountId(1), 30), (AccountId(2), u128::MAX / 4)];
    let window = WindowTable {
        through: SliceNo(1),
        from: SliceNo(1),
        oldest_part: (1, u128::MAX / 2),
        rows: work.clone(),
    };
    let amount = Amount::from_units(5_000_000_001);
    Reward {
        id: RewardId([9; 32]),
        pool: POOL,
        asset: ASSET,
        height: 100,
        finder: AccountId(2),
        to_pool: amount,
        to_miners: Amount::ZERO,
        by_block: None,
        window_end: ShareSeq(3),
        as_of: ShareSeq(3),
        scheme: Scheme::Tides,
        network_work: 12345,
        window: Some(window),
        shared: None,
        budget: None,
        member: None,
        split: Some(split(amount, &work, |_| BasisPoints::new(150).unwrap())),
    }
}

fn identity(n: u8) -> Identity {
    Identity { kind: IdentityKind::Script, network: "bitcoin/regtest".into(), bytes: vec![0, n] }
}

fn names() -> Vec<Change> {
    let at = UnixMs(5);
    vec![
        Change::Asset { id: ASSET, name: "btc".into(), decimals: 8 },
        Change::Pool { id: POOL, name: "main".into(), asset: ASSET },
        Change::Account { id: AccountId(1), identity: identity(1), display: "one".into(), at },
        Change::Account { id: AccountId(2), identity: identity(2), display: "two".into(), at },
        Change::Worker { id: WorkerId(1), account: AccountId(1), name: "rig".into(), at },
    ]
}

fn posting(ledger: &mut Ledger, posting: Posting) -> Vec<Change> {
    ledger.apply(&posting).unwrap();
    let balances =
        ledger.balances().map(|(asset, kind, balance)| Change::Balance { asset, kind, balance });
    let mut changes: Vec<Change> = balances.collect();
    changes.push(Change::Posting { posting, at: UnixMs(7) });
    changes
}

#[test]
fn a_reward_that_pools_share_comes_back_with_every_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let part = |n| Part::new(n).unwrap();
    let window = |rows: &[(u64, u128)]| WindowTable {
        through: SliceNo(7),
        from: SliceNo(3),
        oldest_part: (1, 2),
        rows: rows.iter().map(|(account, work)| (AccountId(*account), *work)).collect(),
    };
    let beside = |pool, n, rows| Beside {
        pool: PoolId(pool),
        part: part(n),
        scheme: Scheme::Tides,
        network_work: 9,
        window: window(rows),
    };
    let shared =
        Shared { part: part(50), beside: vec![beside(2, 30, &[(2, 5)]), beside(3, 20, &[])] };
    for own in [vec![(1, 7)], vec![]] {
        let mut reward = reward();
        reward.id = RewardId([u8::try_from(own.len()).unwrap(); 32]);
        let table = window(&own);
        let none = |_| BasisPoints::ZERO;
        reward.split = Some(shared.split(reward.to_pool, reward.finder, &table.rows, none));
        reward.window = Some(table);
        reward.shared = Some(shared.clone());
        let change =
            Change::Reward { reward: Box::new(reward.clone()), round_work: 3, at: UnixMs(6) };
        for _ in 0..2 {
            store.apply(ShareSeq(3), std::slice::from_ref(&change)).unwrap();
        }
        let reader = Reader::open(folder.path()).unwrap();
        assert_eq!(reader.reward(reward.id).unwrap().unwrap().0, reward);
    }
}

#[test]
fn a_payment_comes_back_with_its_place_and_is_no_block_that_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let block = reward();
    let place = |height: u64| Place { block: RewardId([80; 32]), height };
    let member = Membership::Payment(MemberPayment {
        rule: "{}".into(),
        script: vec![0x51],
        by: RewardId([70; 32]),
        output: 2,
        earned: vec![Earned { block: block.id, amount: Amount::from_units(77) }],
        place: place(201),
    });
    let rows = store.split_rows(block.id).unwrap();
    assert!(rows.is_empty(), "it is not booked yet");
    let work = vec![(AccountId(1), 30)];
    let payment = Reward {
        id: RewardId([60; 32]),
        to_pool: Amount::from_units(77),
        window_end: ShareSeq(7),
        window: None,
        split: Some(split(Amount::from_units(77), &work, |_| BasisPoints::ZERO)),
        member: Some(member.clone()),
        ..block.clone()
    };
    let mut changes = names();
    for reward in [&block, &payment] {
        let reward = Box::new(reward.clone());
        changes.push(Change::Reward { reward, round_work: 3, at: UnixMs(6) });
    }
    store.apply(ShareSeq(3), &changes).unwrap();
    let moved = Change::RewardPlace { id: payment.id, place: place(202) };
    for _ in 0..2 {
        store.apply(ShareSeq(3), std::slice::from_ref(&moved)).unwrap();
    }
    assert_eq!(store.split_rows(block.id).unwrap(), block.split.as_ref().unwrap().rows);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.reward(payment.id).unwrap().unwrap().0, payment);
    assert_eq!(reader.place(payment.id).unwrap(), Some(place(202)));
    assert_eq!(reader.place(block.id).unwrap(), None);
    let listed: Vec<_> = reader.rewards(9).unwrap().iter().map(|row| row.place).collect();
    assert_eq!(listed, [Some(place(202)), None]);
    assert_eq!(reader.blocks_by_finder(POOL).unwrap(), [(AccountId(2), 1)]);
    let book = store.load().unwrap();
    assert_eq!(book.rewards[&payment.id].place, Some(place(202)));
    assert_eq!(book.rewards[&block.id].place, None);

    let LogEntry::BlockFound(entry) = found(60) else { unreachable!() };
    let entry = LogEntry::BlockFound(Box::new(BlockFound { member: Some(member), ..*entry }));
    store.append(std::slice::from_ref(&entry)).unwrap();
    assert_eq!(log(&mut store, 1), [(1, entry)]);
}

#[test]
fn the_book_comes_back_as_it_was_and_applying_twice_is_applying_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let reward = reward();
    let mut ledger = Ledger::default();
    let mut changes = names();
    changes.push(Change::Reward { reward: Box::new(reward.clone()), round_work: 3, at: UnixMs(6) });
    changes.extend(posting(&mut ledger, Posting::Pend(reward.credits())));
    changes.push(Change::Hold { scope: "all".into(), reason: "restored".into(), at: UnixMs(1) });
    changes.push(Change::Spend { asset: ASSET, txid: [3; 32], detail: "?".into(), at: UnixMs(1) });
    changes.push(Change::Note { door: "stratum", key: "a".into(), value: Some(vec![1]) });
    changes.push(Change::Act { no: 4, at: UnixMs(1), who: "op".into(), what: "looked".into() });
    for _ in 0..2 {
        store.apply(ShareSeq(3), &changes).unwrap();
    }
    let force = SetKey::Reward { id: reward.id, generation: 0 };
    let matured = Change::RewardState {
        id: reward.id,
        state: RewardState::Matured,
        generation: 0,
        force: force.clone(),
        closed: true,
        at: UnixMs(9),
    };
    let mut changes = posting(&mut ledger, Posting::Post(force.clone()));
    changes.push(matured);
    for _ in 0..2 {
        store.apply(ShareSeq(3), &changes).unwrap();
    }
    drop(store);

    let mut store = open(folder.path());
    let book = store.load().unwrap();
    assert_eq!(book.watermark, ShareSeq(3));
    assert_eq!(book.identities[&identity(2)], AccountId(2));
    assert_eq!(book.workers[&(AccountId(1), "rig".to_string())], WorkerId(1));
    assert_eq!(book.last_account, AccountId(2));
    assert_eq!(book.last_act, 4);
    assert_eq!(book.holds["all"], "restored");
    assert_eq!(book.unmatched_spends, vec![(ASSET, [3; 32], "?".to_string())]);
    assert_eq!(book.notes[&("stratum".to_string(), "a".to_string())], vec![1]);
    let stored = &book.rewards[&reward.id];
    assert_eq!((stored.state, stored.closed, &stored.force), (RewardState::Matured, true, &force));
    for (asset, kind, balance) in ledger.balances() {
        assert_eq!(book.ledger.balance(asset, kind), balance, "{kind}");
    }
    assert_eq!(store.set(&force).unwrap().unwrap(), reward.credits());
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.reward(reward.id).unwrap().unwrap(), (reward, RewardState::Matured));
    assert_eq!(reader.fold_differences().unwrap(), vec![]);
    assert_eq!(reader.display(AccountId(2)).unwrap().as_deref(), Some("two"));
}

#[test]
fn a_changed_balance_is_found_by_the_fold() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let mut ledger = Ledger::default();
    let mut changes = names();
    changes.extend(posting(&mut ledger, Posting::Enter(reward().credits())));
    store.apply(ShareSeq(3), &changes).unwrap();
    let db = rusqlite::Connection::open(folder.path().join("adit.db")).unwrap();
    db.execute(
        "UPDATE balances SET credits_posted = credits_posted + 1 WHERE kind = 'account/2'",
        [],
    )
    .unwrap();
    let differences = Reader::open(folder.path()).unwrap().fold_differences().unwrap();
    assert_eq!(differences.iter().map(|d| d.kind.as_str()).collect::<Vec<_>>(), ["account/2"]);
}

#[test]
fn slices_rates_and_carries_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let rate = Rate { network_work: 1 << 100, value: Amount::from_units(312_500_000) };
    let mut open_slice = OpenSlice::after(POOL, None);
    let LogEntry::Share(mut one) = share(1) else { unreachable!() };
    one.rate = rate.id();
    open_slice.count(ShareSeq(1), &one);
    let slice = Arc::new(open_slice.close().unwrap());
    let credit = SliceCredit {
        account: AccountId(1),
        fee_bps: BasisPoints::ZERO,
        net: Amount::ONE,
        carry_before: Carry(0),
        carry_after: Carry(u64::MAX),
    };
    let mut changes = names();
    changes.push(Change::Rate(rate));
    changes.push(Change::Slice { slice: slice.clone(), credits: vec![credit], at: UnixMs(8) });
    let revoked = Change::Revoked {
        seq: ShareSeq(5),
        pool: POOL,
        slice: SliceNo(1),
        account: AccountId(1),
        weight: 2,
    };
    changes.push(revoked);
    for _ in 0..2 {
        store.apply(ShareSeq(1), &changes).unwrap();
    }
    let book = store.load().unwrap();
    assert_eq!(book.rates[&rate.id()], rate);
    let pool = &book.pools["main"];
    assert_eq!(pool.last_slice, Some((SliceNo(1), slice.hash, ShareSeq(1))));
    assert_eq!(pool.carries[&AccountId(1)], Carry(u64::MAX));
    let sourced = store.slice(POOL, SliceNo(1), ShareSeq(4)).unwrap().unwrap();
    assert_eq!(sourced.slice, *slice);
    assert_eq!(sourced.revoked, vec![], "revoked only later");
    assert_eq!(store.slice(POOL, SliceNo(1), ShareSeq(5)).unwrap().unwrap().revoked.len(), 1);
    assert_eq!(store.slice(POOL, SliceNo(2), ShareSeq(5)).unwrap(), None);
}

/// Three slices of a share each, bought, the last with two accounts.
fn bought_slices() -> Vec<Change> {
    let rate = Rate { network_work: 1 << 100, value: Amount::from_units(312_500_000) };
    let mut open_slice = OpenSlice::after(POOL, None);
    let mut changes = names();
    changes.push(Change::Rate(rate));
    for no in 1..=3u64 {
        for account in 1..=(1 + no / 3) {
            let LogEntry::Share(mut one) = share(1) else { unreachable!() };
            (one.rate, one.account) = (rate.id(), AccountId(account));
            open_slice.count(ShareSeq(no * 10 + account), &one);
        }
        let credit = SliceCredit {
            account: AccountId(1),
            fee_bps: BasisPoints::ZERO,
            net: Amount::from_units(no.into()),
            carry_before: Carry(0),
            carry_after: Carry(0),
        };
        let slice = Arc::new(open_slice.close().unwrap());
        changes.push(Change::Slice { slice, credits: vec![credit], at: UnixMs(no) });
    }
    changes
}

#[test]
fn credits_for_shares_are_listed_from_the_newest_on_and_from_any_place() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).apply(ShareSeq(1), &bought_slices()).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let listed = |from: Option<u64>, limit: u64| {
        let found = reader.slice_credits_of(AccountId(1), Cut { from, limit }).unwrap();
        found.iter().map(|credit| (credit.net.units(), credit.position)).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 9), [(3, 32), (2, 21), (1, 11)]);
    assert_eq!(listed(None, 2), [(3, 32), (2, 21)]);
    assert_eq!(listed(Some(21), 9), [(1, 11)]);
    assert_eq!(listed(Some(11), 9), []);
}

#[test]
fn a_page_of_slices_ends_early_where_they_have_many_rows_and_says_that_more_follow() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).apply(ShareSeq(1), &bought_slices()).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let page = |from: Option<u64>, limit: u64, rows: usize| {
        let cut = Cut { from, limit };
        let (found, more) = reader.slices_before(POOL, ShareSeq(99), cut, rows).unwrap();
        (found.iter().map(|found| found.slice.no.0).collect::<Vec<_>>(), more)
    };
    assert_eq!(page(None, 9, 99), (vec![3, 2, 1], false));
    assert_eq!(page(None, 2, 99), (vec![3, 2], true));
    assert_eq!(page(None, 9, 2), (vec![3], true), "its two rows are enough");
    assert_eq!(page(None, 9, 1), (vec![3], true), "one at least");
    assert_eq!(page(Some(3), 9, 2), (vec![2, 1], false));
}

/// What the last program of each of the first schemas wrote when it was told this: its file, as SQL.
const EARLIER: [&str; 3] = [
    include_str!("fixtures/schema_1.sql"),
    include_str!("fixtures/schema_2.sql"),
    include_str!("fixtures/schema_3.sql"),
];

/// What brought a file to schema 4 and on. Since then each only added what this leaves empty, so that a file of such a schema is one
/// of schema 3 that was brought there.
const STEPS: [&str; 4] = [
    include_str!("../src/sqlite/schema_4.sql"),
    include_str!("../src/sqlite/schema_5.sql"),
    include_str!("../src/sqlite/schema_6.sql"),
    include_str!("../src/sqlite/schema_7.sql"),
];

/// A file of an earlier schema, and what one of these days wrote.
fn earlier(schema: usize, folder: &Path) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(folder.join("adit.db")).unwrap();
    db.execute_batch(EARLIER[schema.min(EARLIER.len()) - 1]).unwrap();
    for step in &STEPS[..schema.saturating_sub(EARLIER.len())] {
        db.execute_batch(step).unwrap();
    }
    db.pragma_update(None, "user_version", schema).unwrap();
    db
}

#[test]
fn a_file_of_every_earlier_schema_is_brought_to_this_one_and_says_the_same() {
    let today = tempfile::tempdir().unwrap();
    let mut store = open(today.path());
    store.append(&[share(1), share(2), found(9), share(3)]).unwrap();
    let mut changes = bought_slices();
    changes.push(Change::Reward { reward: Box::new(reward()), round_work: 5, at: UnixMs(6) });
    store.apply(ShareSeq(3), &changes).unwrap();
    let said = |folder: &Path| {
        let mut store = open(folder);
        let log = log(&mut store, 1);
        let reader = Reader::open(folder).unwrap();
        let blocks = reader.block_credits(AccountId(2), Cut::first(9)).unwrap();
        let bought = reader.slice_credits_of(AccountId(1), Cut::first(9)).unwrap();
        let reward = reader.reward(RewardId([9; 32])).unwrap().unwrap();
        (log, blocks, bought, reward, reader.fold_differences().unwrap())
    };
    drop(store);
    let expected = said(today.path());
    assert_eq!(expected.1.iter().map(|credit| credit.position).collect::<Vec<_>>(), [3]);
    for schema in 1..=EARLIER.len() + STEPS.len() {
        let folder = tempfile::tempdir().unwrap();
        drop(earlier(schema, folder.path()));
        let older = Reader::open(folder.path()).unwrap();
        assert!(older.reward(RewardId([9; 32])).unwrap().is_some(), "can be recomputed as it is");
        drop(older);
        assert_eq!(said(folder.path()), expected, "schema {schema}");
        let mut store = open(folder.path());
        store.append(&[share(4)]).unwrap();
    }
}

#[test]
fn the_finder_whom_an_earlier_schemas_block_paid_was_paid_by_its_coinbase() {
    // From the seventh on it is said.
    for schema in 1..=6 {
        let folder = tempfile::tempdir().unwrap();
        let db = earlier(schema, folder.path());
        db.execute("UPDATE rewards SET to_finder = to_pool, to_pool = 0", []).unwrap();
        drop(db);
        drop(open(folder.path()));
        let reader = Reader::open(folder.path()).unwrap();
        let credits = reader.block_credits(AccountId(2), Cut::first(9)).unwrap();
        assert_eq!(credits.len(), 1);
        assert_eq!(credits[0].paid_by, PaidBy::Output, "schema {schema}");
    }
}

#[test]
fn an_open_payout_comes_back_with_its_bytes_and_a_closed_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let part = PayoutPart {
        account: AccountId(1),
        destination: vec![1, 2],
        debit: Amount::from_units(100),
        sent: Amount::from_units(90),
    };
    let version = |n: u8| PayoutVersion {
        txid: [n; 32],
        raw: vec![n; 200],
        fee: Amount::from_units(10),
        inputs: vec![([8; 32], 1)],
        signed_at: UnixMs(3),
    };
    let payout = Payout {
        id: PayoutId(1),
        asset: ASSET,
        parts: vec![part],
        versions: vec![version(1)],
        state: PayoutState::Signed,
        round: 0,
        created_at: UnixMs(2),
    };
    let mut changes = names();
    changes.push(Change::Payout(Box::new(payout.clone())));
    changes.push(Change::PayoutVersion { id: PayoutId(1), n: 1, version: Box::new(version(2)) });
    let state = |closed| Change::PayoutState {
        id: PayoutId(1),
        state: PayoutState::Confirmed,
        round: 1,
        confirmed_version: Some(1),
        closed,
        at: UnixMs(4),
    };
    changes.push(state(false));
    store.apply(ShareSeq(0), &changes).unwrap();
    let book = store.load().unwrap();
    let stored = &book.payouts[&PayoutId(1)];
    assert_eq!(stored.confirmed_version, Some(1));
    assert_eq!(stored.payout.versions, vec![version(1), version(2)]);
    assert_eq!((stored.payout.state, stored.payout.round), (PayoutState::Confirmed, 1));
    store.apply(ShareSeq(0), &[state(true)]).unwrap();
    let book = store.load().unwrap();
    assert!(book.payouts.is_empty());
    assert_eq!(book.last_payout, PayoutId(1));
}

#[test]
fn a_backup_of_a_running_store_opens_and_holds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    store.append(&[share(1), share(2)]).unwrap();
    store.apply(ShareSeq(2), &names()).unwrap();
    let copy = folder.path().join("copy.db");
    let reader = Reader::open(folder.path()).unwrap();
    reader.backup(&copy).unwrap();
    assert!(reader.backup(&copy).is_err(), "an existing file is never overwritten");
    store.append(&[share(3)]).unwrap();
    let backup = Reader::open_file(&copy).unwrap();
    assert_eq!(backup.shares(ShareSeq(0), ShareSeq(9)).unwrap().len(), 2);
    assert_eq!(backup.book().unwrap().last_account, AccountId(2));
}

#[test]
fn the_views_for_people_can_be_queried() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    store.append(&[share(1), share(2)]).unwrap();
    let mut ledger = Ledger::default();
    let mut changes = names();
    changes.push(Change::Reward { reward: Box::new(reward()), round_work: 3, at: UnixMs(6) });
    let set = TransferSet {
        key: SetKey::Act(1),
        asset: ASSET,
        transfers: vec![Transfer {
            debit: Kind::Wallet,
            credit: Kind::Fees,
            amount: Amount::from_units(150_000_000),
        }],
    };
    changes.extend(posting(&mut ledger, Posting::Enter(set)));
    store.apply(ShareSeq(2), &changes).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let rows =
        |sql: &str| -> i64 { reader.connection().query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(rows("SELECT count(*) FROM v_accounts"), 2);
    assert_eq!(rows("SELECT count(*) FROM v_rewards"), 1);
    assert_eq!(rows("SELECT count(*) FROM v_payouts"), 0);
    assert_eq!(rows("SELECT sum(shares) FROM v_work_per_hour"), 2);
    let fees: f64 = reader
        .connection()
        .query_row("SELECT available FROM v_balances WHERE kind = 'fees'", [], |r| r.get(0))
        .unwrap();
    assert!((fees - 1.5).abs() < 1e-9);
}

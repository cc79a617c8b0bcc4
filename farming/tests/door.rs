//! A real farmer's captured requests at our door: it registers, farms, changes its mind, leaves.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::UnixMs;
use common::node::FakeNode;
use common::*;
use farming::chores;
use farming::reject::Reject;
use farming::wire::farmer::{Get, Post, Put};
use farming::wire::partial::Submission;
use pool::Clock;
use pool::bans::Banned;

fn post() -> Post {
    Post::parse(captured("POST", "/farmer")[0]["body"].as_str().unwrap().as_bytes()).unwrap()
}

fn put() -> Put {
    Put::parse(captured("PUT", "/farmer")[0]["body"].as_str().unwrap().as_bytes()).unwrap()
}

fn get() -> Get {
    let path = captured("GET", "/farmer")[0]["path_qs"].as_str().unwrap();
    Get::parse(path.split_once('?').unwrap().1).unwrap()
}

fn submission(index: usize) -> Submission {
    Submission::parse(partials()[index].as_bytes()).unwrap()
}

async fn submit(pool: &Running, index: usize) -> Result<u64, Reject> {
    let outcome = pool.door.partial(submission(index), made_at(partials()[index])).await;
    outcome.map(|accepted| accepted.new_difficulty)
}

/// A pool with the captured farmer in it.
async fn joined(folder: &std::path::Path) -> (Running, FakeNode) {
    let node = FakeNode::start(world(0)).await;
    let pool = Running::start(folder, &[&node], TestClock::default()).await;
    pool.door.register(&post()).await.unwrap();
    (pool, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_captured_farmer_registers_asks_changes_and_farms() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = Running::start(folder.path(), &[&node], TestClock::default()).await;
    assert_eq!(pool.door.farmer(&get()).await, Err(Reject::FarmerUnknown));
    assert_eq!(submit(&pool, 0).await, Err(Reject::FarmerUnknown));
    assert_eq!(pool.door.register(&post()).await.unwrap().welcome_message, "welcome");
    assert_eq!(pool.door.register(&post()).await, Err(Reject::FarmerKnown));
    let info = pool.door.farmer(&get()).await.unwrap();
    assert_eq!(info.payout_instructions, post().payload.payout_instructions);
    assert_eq!((info.current_difficulty, info.current_points), (1000, 0));
    let changed = pool.door.change(&put()).await.unwrap();
    assert_eq!(changed.payout_instructions, Some(true));
    assert_eq!(changed.suggested_difficulty, None);
    for index in 0..partials().len() {
        assert_eq!(submit(&pool, index).await, Ok(1000), "{index}");
    }
    let points = 1000 * partials().len() as u64;
    assert_eq!(pool.door.farmer(&get()).await.unwrap().current_points, points);
    assert_eq!(shares(folder.path()).len(), partials().len());
    assert!(shares(folder.path()).iter().all(|(_, weight)| *weight == 1000));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_partial_earns_nothing_whatever_the_difficulty_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    assert_eq!(submit(&pool, 0).await, Ok(1000));
    assert_eq!(submit(&pool, 0).await, Err(Reject::Duplicate));
    // The farmer chooses a higher difficulty after it has seen how good the proof is.
    pool.door
        .farmers
        .get(&launcher())
        .unwrap()
        .lock()
        .unwrap()
        .difficulty
        .wish(2000, &settings().policy);
    assert_eq!(pool.door.farmer(&get()).await.unwrap().current_difficulty, 2000);
    assert_eq!(submit(&pool, 0).await, Err(Reject::Duplicate));
    // Another proof for a point that appeared before it was told so counts what it knew then.
    assert_eq!(submit(&pool, 1).await, Ok(2000));
    assert_eq!(
        shares(folder.path()).iter().map(|(_, weight)| *weight).collect::<Vec<_>>(),
        [1000, 1000]
    );
    let clock = pool.clock.clone();
    pool.stop().await;
    let pool = Running::start(folder.path(), &[&node], clock).await;
    assert_eq!(submit(&pool, 0).await, Err(Reject::Duplicate));
    assert_eq!(submit(&pool, 1).await, Err(Reject::Duplicate));
    assert_eq!(pool.door.farmer(&get()).await.unwrap().current_difficulty, 2000, "it was told");
    assert_eq!(shares(folder.path()).len(), 2);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_late_or_off_by_a_clock_or_for_an_unknown_point_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    let at = |ms: u64| UnixMs(pool.clock.now().0 + ms);
    let late = pool.door.partial(submission(0), at(24_000)).await;
    assert_eq!(late, Err(Reject::TooLate));
    let stale = pool.door.partial(submission(0), at(10 * 60_000)).await;
    assert_eq!(stale, Err(Reject::StaleToken));
    node.change(|world| {
        for answer in world.points.values_mut() {
            answer["reverted"] = true.into();
        }
    });
    assert_eq!(submit(&pool, 2).await, Err(Reject::PointReverted));
    let mut forged = submission(1);
    forged.token += 1;
    assert_eq!(pool.door.partial(forged, pool.clock.now()).await, Err(Reject::InvalidSignature));
    let mut foreign = submission(1);
    foreign.proof.contract.0[0] ^= 1;
    assert_eq!(pool.door.partial(foreign, pool.clock.now()).await, Err(Reject::ForeignContract));
    assert!(shares(folder.path()).is_empty());
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_off_makes_nobody_late_or_early() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    node.change(|world| {
        world.ahead_s = 100;
        for answer in world.points.values_mut() {
            let seen = answer["time_received"].as_f64().unwrap();
            answer["time_received"] = (seen + 100.0).into();
        }
    });
    pool.door.nodes.refresh().await;
    let late = UnixMs(made_at(partials()[0]).0 + 26_500);
    assert_eq!(pool.door.partial(submission(0), late).await, Err(Reject::TooLate));
    assert_eq!(submit(&pool, 0).await, Ok(1000));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_partials_for_one_point_ask_the_node_once() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    let asked = node.asked("get_recent_signage_point_or_eos");
    let door = pool.door.clone();
    let now = pool.clock.now();
    let twins: Vec<_> = (0..20)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move { door.partial(submission(0), now).await })
        })
        .collect();
    let mut accepted = 0;
    for twin in twins {
        accepted += usize::from(twin.await.unwrap().is_ok());
    }
    assert_eq!(accepted, 1);
    assert_eq!(node.asked("get_recent_signage_point_or_eos"), asked + 1);
    drop(door);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_sign_makes_nobody_ask_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    // All but the signature is public: the launcher's id, its contract, the token, and any point one likes to invent.
    for invented in 0..50u8 {
        let mut forged = submission(0);
        forged.point =
            farming::wire::partial::Point::Signage(farming::hash::Bytes32([invented; 32]));
        let refused = pool.door.partial(forged, pool.clock.now()).await;
        assert_eq!(refused, Err(Reject::InvalidSignature));
    }
    assert_eq!(node.asked("get_recent_signage_point_or_eos"), 0);
    assert_eq!(submit(&pool, 0).await, Ok(1000));
    // Once it is known, whoever forges is told by what is cheaper to find out.
    let mut forged = submission(0);
    forged.proof.values[0] ^= 1;
    let refused = pool.door.partial(forged, pool.clock.now()).await;
    assert_eq!(refused, Err(Reject::InvalidProof));
    assert_eq!(node.asked("get_recent_signage_point_or_eos"), 1);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_after_it_saw_how_good_its_proofs_are_chooses_no_difficulty_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    let farmer = pool.door.farmers.get(&launcher()).unwrap();
    let joined_at = pool.clock.now();
    farmer.lock().unwrap().difficulty =
        farming::difficulty::Difficulty::new(&settings().policy, Some(5000), joined_at);
    node.change(|world| {
        for answer in world.points.values_mut() {
            answer["time_received"] = ((joined_at.0 - 1) as f64 / 1000.0).into();
        }
    });
    assert_eq!(submit(&pool, 0).await, Ok(5000), "what it is told from now on");
    assert_eq!(shares(folder.path())[0].1, 1000, "what everybody has who was told nothing");
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_at_once_are_both_made() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, _node) = joined(folder.path()).await;
    let clock = pool.clock.clone();
    for _ in 0..10 {
        let (one, two) = (put(), put());
        let (one, two) = tokio::join!(pool.door.change(&one), pool.door.change(&two));
        one.unwrap();
        two.unwrap();
    }
    pool.stop().await;
    let again = Running::start(folder.path(), &[&_node], clock).await;
    let farmer = again.door.farmers.get(&launcher()).unwrap();
    assert_eq!(
        Some(farmer.lock().unwrap().instructions.clone()),
        put().payload.payout_instructions
    );
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_paid_at_the_pools_own_address() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = Running::start(folder.path(), &[&node], TestClock::default()).await;
    let mut own = post();
    own.payload.payout_instructions = wallet().place().to_string();
    assert_eq!(pool.door.register(&own).await, Err(Reject::PayoutInstructions));
    pool.stop().await;
}

/// Does all chores once.
async fn chores(pool: &Running) {
    // What was only queued to be written is on disk after this.
    pool.door.tables.write(|_| Ok(())).await.unwrap();
    chores::once(&pool.door).await;
    pool.door.tables.write(|_| Ok(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reverted_signage_point_revokes_its_partials_after_the_confirmation_delay() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    for index in 0..3 {
        submit(&pool, index).await.unwrap();
    }
    assert_ne!(
        submission(0).point,
        submission(2).point,
        "a signage point and an end of a sub-slot"
    );
    let reverted = *submission(0).point.hash();
    node.change(|world| {
        world.points.get_mut(&reverted).unwrap()["reverted"] = true.into();
    });
    chores(&pool).await;
    assert_eq!(pool.door.stats.counted().revoked, 0, "not before the delay");
    pool.clock.advance(CONFIRM_MS);
    chores(&pool).await;
    chores(&pool).await;
    assert_eq!(pool.door.stats.counted().revoked, 2, "both for that point, and no other");
    let reader = store::Reader::open(folder.path()).unwrap();
    let revoked: i64 = reader
        .connection()
        .query_row("SELECT count(*) FROM revocations", [], |row| row.get(0))
        .unwrap();
    assert_eq!(revoked, 2);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_is_called_reverted_long_after_it_came_is_one_that_nobody_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    submit(&pool, 0).await.unwrap();
    // The pool was away for an hour. A node says of every point that old that it went back.
    pool.clock.advance(60 * 60_000);
    node.change(|world| {
        for answer in world.points.values_mut() {
            answer["reverted"] = true.into();
        }
    });
    chores(&pool).await;
    chores(&pool).await;
    let counted = pool.door.stats.counted();
    assert_eq!((counted.revoked, counted.unknown), (0, 1));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_no_node_remembers_is_asked_after_again_and_stands_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    submit(&pool, 0).await.unwrap();
    node.change(|world| world.points.clear());
    pool.clock.advance(CONFIRM_MS);
    chores(&pool).await;
    assert_eq!(pool.door.stats.counted().unknown, 1);
    chores(&pool).await;
    assert_eq!(pool.door.stats.counted().unknown, 1, "not asked after at once");
    pool.clock.advance(2 * 3_600_000);
    chores(&pool).await;
    chores(&pool).await;
    let counted = pool.door.stats.counted();
    assert_eq!((counted.unknown, counted.revoked), (1, 0));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_out_of_step_means_no_credit_and_the_second_node_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (FakeNode::start(world(0)).await, FakeNode::start(world(0)).await);
    let pool = Running::start(folder.path(), &[&first, &second], TestClock::default()).await;
    pool.door.register(&post()).await.unwrap();
    first.change(|world| world.is_synced = false);
    pool.door.nodes.refresh().await;
    submit(&pool, 0).await.unwrap();
    assert_eq!(first.asked("get_recent_signage_point_or_eos"), 0);
    second.change(|world| world.is_synced = false);
    pool.door.nodes.refresh().await;
    assert_eq!(submit(&pool, 1).await, Err(Reject::NotSynced));
    first.change(|world| world.is_synced = true);
    pool.door.nodes.refresh().await;
    submit(&pool, 1).await.unwrap();
    assert_eq!(shares(folder.path()).len(), 2);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plot_nft_of_another_pool_or_another_owner_does_not_get_in() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let clock = TestClock::default();
    let mut other = settings();
    other.terms.targets = vec![farming::hash::Bytes32([0x33; 32])];
    let pool = Running::with(folder.path(), &[&node], clock.clone(), other).await;
    assert_eq!(pool.door.register(&post()).await, Err(Reject::NotAMember));
    pool.stop().await;
    let pool = Running::start(folder.path(), &[&node], clock).await;
    let mut forged = post();
    forged.payload.payout_instructions = "11".repeat(32);
    assert_eq!(pool.door.register(&forged).await, Err(Reject::InvalidSignature));
    forged.payload.payout_instructions = "bc1qxy".into();
    assert_eq!(pool.door.register(&forged).await, Err(Reject::PayoutInstructions));
    // What was found a moment ago counts for a while.
    pool.clock.advance(20_000);
    node.change(|world| world.coins.clear());
    assert_eq!(pool.door.register(&post()).await, Err(Reject::NotAMember));
    pool.clock.advance(20_000);
    node.change(|world| *world = common::world(4));
    assert_eq!(pool.door.register(&post()).await, Err(Reject::NotAMember), "self-pooling by now");
    pool.door.register(&post()).await.unwrap_err();
    assert_eq!(pool.door.farmers.count(), 0);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_pool_is_not_credited_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    submit(&pool, 0).await.unwrap();
    // Two rewards are absorbed, and the farmer begins to leave.
    node.change(|world| {
        *world = common::world(3);
        // Five blocks after it set out, which was at height 33, it may be anywhere.
        world.height = 38;
    });
    farming::watch::once(&pool.door, farming::watch::Pace::default()).await;
    submit(&pool, 1).await.unwrap();
    node.change(|world| world.height = 39);
    farming::watch::once(&pool.door, farming::watch::Pace::default()).await;
    assert_eq!(submit(&pool, 2).await, Err(Reject::NotAMember));
    // It has left: self-pooling.
    node.change(|world| *world = common::world(4));
    farming::watch::once(&pool.door, farming::watch::Pace::default()).await;
    assert_eq!(submit(&pool, 2).await, Err(Reject::NotAMember));
    assert_eq!(pool.door.change(&put()).await, Err(Reject::NotAMember));
    // Its partials that wait to be confirmed are looked at, too.
    pool.clock.advance(CONFIRM_MS);
    chores(&pool).await;
    chores(&pool).await;
    assert_eq!(pool.door.stats.counted().revoked, 2);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_stays_so_after_a_restart_until_let_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    let farmer = Banned::Account(pool.door.identity(&launcher()));
    let (key, note) = (farmer.to_string(), Some(b"why".to_vec()));
    let noted = pool.door.pool.order(move |books, _, _| {
        books.note(Banned::DOOR, key, note);
        Ok(())
    });
    noted.await.unwrap();
    pool.door.bans.rcu(|bans| bans.with(&farmer, true));
    assert_eq!(submit(&pool, 0).await, Err(Reject::Banned));
    let clock = pool.clock.clone();
    pool.stop().await;
    let pool = Running::start(folder.path(), &[&node], clock).await;
    assert_eq!(submit(&pool, 0).await, Err(Reject::Banned));
    pool.door.bans.rcu(|bans| bans.with(&farmer, false));
    assert_eq!(submit(&pool, 0).await, Ok(1000));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_doors_row_and_the_pools_log_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    submit(&pool, 0).await.unwrap();
    submit(&pool, 2).await.unwrap();
    let clock = pool.clock.clone();
    pool.stop().await;
    // As if it had died before the log had the first, and before it was noted where the log has the second.
    let door = rusqlite::Connection::open(folder.path().join(common::TABLES)).unwrap();
    door.execute("UPDATE partials SET seq = NULL", []).unwrap();
    let before = shares(folder.path());
    let pool = Running::start(folder.path(), &[&node], clock).await;
    chores::record_all(&pool.door).await.unwrap();
    pool.door.tables.write(|_| Ok(())).await.unwrap();
    assert_eq!(shares(folder.path()), before);
    let noted = "SELECT count(*) FROM partials WHERE seq IS NOT NULL";
    let noted: i64 = door.query_row(noted, [], |row| row.get(0)).unwrap();
    assert_eq!(noted, 2);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absorbed_rewards_reach_the_books_once() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, node) = joined(folder.path()).await;
    submit(&pool, 0).await.unwrap();
    let mut later = world(2);
    let answers: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/chia_rpc.json")).unwrap();
    let at_target = answers["node_target_coin_records"]["response"]["coin_records"].clone();
    later.coins.extend(at_target.as_array().unwrap().clone());
    node.change(|world| *world = later);
    for _ in 0..3 {
        farming::watch::once(&pool.door, farming::watch::Pace::default()).await;
        chores(&pool).await;
        pool.door.pool.order(|_, _, _| Ok(())).await.unwrap();
    }
    let reader = store::Reader::open(folder.path()).unwrap();
    let rewards: Vec<i64> = reader
        .connection()
        .prepare("SELECT height FROM rewards ORDER BY 1")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rewards, [31, 31], "two coins that one block brought");
    pool.stop().await;
}

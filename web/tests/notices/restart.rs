//! What a restart, a crash and an outbox that is full cost.

use crate::stand_in::*;
use tempfile::TempDir;

#[tokio::test]
async fn a_restart_neither_loses_nor_repeats_a_notice() {
    let mut hook = StandIn::start().await;
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    hook.will_answer([answer(200, ""), answer(500, "")]);
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    outbox.put(vec![notice("a"), notice("b")]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    outbox.put(vec![notice("c")]).await.unwrap();
    assert_eq!(hook.subjects(), ["a", "b"]);
    drop(outbox);

    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    assert_eq!(outbox.waiting().await.unwrap(), 2);
    assert_eq!(outbox.put(vec![notice("a"), notice("b"), notice("c")]).await.unwrap(), 0);
    clock.advance(5 * SECOND);
    outbox.deliver_due().await.unwrap();
    assert_eq!(hook.subjects(), ["b", "c"]);
    drop(outbox);

    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    clock.advance(DAY);
    outbox.deliver_due().await.unwrap();
    assert!(hook.heard_nothing());
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_delivery_loses_nothing() {
    let mut hook = StandIn::start().await;
    hook.will_answer([None]);
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    outbox.put(vec![notice("a")]).await.unwrap();
    let (_cancel, running) = run(&outbox);
    hook.next().await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    drop(outbox);

    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    outbox.deliver_due().await.unwrap();
    assert_eq!(hook.subjects(), ["a"]);
    assert_eq!(outbox.waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn the_same_fact_is_told_once_to_each_channel() {
    let (mut one, mut two) = (StandIn::start().await, StandIn::start().await);
    let folder = TempDir::new().unwrap();
    let channels = vec![one.webhook("one"), two.webhook("two")];
    let outbox = open(folder.path(), channels, &TestClock::default());
    assert_eq!(outbox.put(vec![notice("a"), notice("a")]).await.unwrap(), 2);
    outbox.deliver_due().await.unwrap();
    assert_eq!(outbox.put(vec![notice("a")]).await.unwrap(), 0);
    outbox.deliver_due().await.unwrap();
    assert_eq!(one.subjects(), ["a"]);
    assert_eq!(two.subjects(), ["a"]);
    let facts: Vec<String> = column(folder.path(), "once");
    assert_eq!(facts, ["test/a@one", "test/a@two"]);
}

#[tokio::test]
async fn of_more_than_ten_thousand_the_oldest_are_given_up() {
    let hook = StandIn::start().await;
    let folder = TempDir::new().unwrap();
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &TestClock::default());
    let many = (0..10_003).map(|n| notice(&n.to_string())).collect();
    assert_eq!(outbox.put(many).await.unwrap(), 10_003);
    assert_eq!(outbox.waiting().await.unwrap(), 10_000);
    assert!(trouble(folder.path()).contains("too many"));
    let done: Vec<i64> = column(folder.path(), "done_at IS NOT NULL");
    assert_eq!(done[..3], [1; 3]);
    assert!(done[3..].iter().all(|done| *done == 0));
}

#[tokio::test]
async fn what_is_done_is_remembered_for_seven_days() {
    let hook = StandIn::start().await;
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    outbox.put(vec![notice("done")]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    outbox.put(vec![notice("waits")]).await.unwrap();
    clock.advance(7 * DAY - 1);
    outbox.tidy().await.unwrap();
    assert_eq!(column::<i64>(folder.path(), "id").len(), 2);
    clock.advance(1);
    outbox.tidy().await.unwrap();
    assert_eq!(column::<String>(folder.path(), "subject"), ["waits"]);
}

#[tokio::test]
async fn notices_for_a_channel_that_is_no_longer_configured_are_given_up_after_a_day() {
    let hook = StandIn::start().await;
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let channels = vec![hook.webhook("hook"), channel("mail", smtp(1, false))];
    let outbox = open(folder.path(), channels, &clock);
    outbox.put_to(notice("a"), "some@example.org").await.unwrap();
    outbox.put(vec![notice("b")]).await.unwrap();
    drop(outbox);
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    clock.advance(DAY - 1);
    outbox.tidy().await.unwrap();
    assert_eq!(outbox.waiting().await.unwrap(), 3);
    clock.advance(1);
    outbox.tidy().await.unwrap();
    assert_eq!(outbox.waiting().await.unwrap(), 1);
    assert!(trouble(folder.path()).contains("no such channel"));
}

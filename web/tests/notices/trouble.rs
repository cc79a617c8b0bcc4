//! What goes wrong at the other end, and what that costs the others.

use crate::stand_in::*;
use hyper::Response;
use pool::Clock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use web::notices::{Secret, Security, Way};

#[tokio::test]
async fn every_channel_tries_again_after_a_failure_and_then_succeeds() {
    let mut servers = Vec::new();
    for _ in 0..4 {
        let server = StandIn::start().await;
        server.will_answer([answer(503, "not now")]);
        servers.push(server);
    }
    let (port, mut mails) = mail_server(Manner { refuses: 1, ..Manner::default() }).await;
    let url = |n: usize| Secret::from(servers[n].url.as_str());
    let telegram = Way::Telegram { token: "1:A".into(), chat: "1".into(), base: Some(url(1)) };
    let channels = vec![
        servers[0].webhook("hook"),
        channel("bot", telegram),
        channel("dc", Way::Discord { url: url(2) }),
        channel("push", Way::Ntfy { url: url(3), topic: "t".into(), token: None }),
        channel("mail", smtp(port, true)),
    ];
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let outbox = open(folder.path(), channels, &clock);
    outbox.put(vec![notice("a")]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    assert_eq!(outbox.waiting().await.unwrap(), 5);
    assert_eq!(column::<i64>(folder.path(), "tries"), [1; 5]);
    for trouble in column::<String>(folder.path(), "trouble") {
        assert!(trouble.contains("503") || trouble.contains("mailbox busy"), "{trouble}");
    }
    clock.advance(5 * SECOND);
    outbox.deliver_due().await.unwrap();
    assert_eq!(outbox.waiting().await.unwrap(), 0);
    assert_eq!(column::<i64>(folder.path(), "trouble IS NULL"), [1; 5]);
    for server in &mut servers {
        let (first, second) = (server.next().await, server.next().await);
        assert_eq!(first.body, second.body);
    }
    next(&mut mails).await;
}

#[tokio::test]
async fn waits_grow_from_five_seconds_to_a_quarter_of_an_hour_and_end_after_a_day() {
    let mut hook = StandIn::start().await;
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    hook.will_answer((0..200).map(|_| answer(500, "broken")));
    outbox.put(vec![notice("a")]).await.unwrap();
    let mut waits = Vec::new();
    let begin = clock.now();
    loop {
        outbox.deliver_due().await.unwrap();
        hook.next().await;
        if outbox.waiting().await.unwrap() == 0 {
            break;
        }
        let due = u64::try_from(column::<i64>(folder.path(), "due_at")[0]).unwrap();
        let wait = due - clock.now().0;
        // A moment before, nothing is sent.
        clock.advance(wait - 1);
        outbox.deliver_due().await.unwrap();
        assert!(hook.heard_nothing());
        clock.advance(1);
        waits.push(wait / SECOND);
    }
    assert_eq!(waits[..9], [5, 10, 20, 40, 80, 160, 320, 640, 900]);
    assert!(waits[9..].iter().all(|wait| *wait == 900));
    let lasted = clock.now().0 - begin.0;
    assert!((DAY..DAY + HOUR / 4).contains(&lasted), "{lasted}");
    let trouble = trouble(folder.path());
    assert!(trouble.contains("500") && trouble.contains("broken"), "{trouble}");
    clock.advance(DAY);
    assert_eq!(outbox.put(vec![notice("a")]).await.unwrap(), 0);
    outbox.deliver_due().await.unwrap();
    assert!(hook.heard_nothing());
}

#[tokio::test]
async fn what_waited_for_days_while_nothing_ran_is_still_tried() {
    let mut hook = StandIn::start().await;
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    outbox.put(vec![notice("a")]).await.unwrap();
    drop(outbox);
    clock.advance(3 * DAY);
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    outbox.tidy().await.unwrap();
    outbox.deliver_due().await.unwrap();
    assert_eq!(hook.subjects(), ["a"]);
}

/// Two notices for a channel whose server refuses the first with a wish for 65 seconds of peace.
async fn pauses(server: &mut StandIn, way: Way, refusal: Answer) {
    server.will_answer([refusal]);
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let outbox = open(folder.path(), vec![channel("chat", way)], &clock);
    outbox.put(vec![notice("a"), notice("b")]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    server.next().await;
    clock.advance(64 * SECOND);
    outbox.deliver_due().await.unwrap();
    assert!(server.heard_nothing());
    clock.advance(SECOND);
    outbox.deliver_due().await.unwrap();
    assert_eq!(outbox.waiting().await.unwrap(), 0);
    for expected in ["a", "b"] {
        let post = server.next().await.json();
        let text = post["content"].as_str().or(post["text"].as_str()).unwrap();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[tokio::test]
async fn discord_gets_the_pause_it_asks_for_from_all_notices() {
    let mut api = StandIn::start().await;
    let refusal = Response::builder().status(429).header("retry-after", "65");
    let refusal = refusal.body(r#"{"message":"slow","retry_after":64.57}"#.into()).unwrap();
    let way = Way::Discord { url: api.url.as_str().into() };
    pauses(&mut api, way, Some(refusal)).await;
}

#[tokio::test]
async fn telegram_gets_the_pause_it_asks_for_from_all_notices() {
    let mut api = StandIn::start().await;
    let refusal = answer(429, r#"{"ok":false,"error_code":429,"parameters":{"retry_after":65}}"#);
    let base = Some(api.url.as_str().into());
    let way = Way::Telegram { token: "1:A".into(), chat: "1".into(), base };
    pauses(&mut api, way, refusal).await;
}

#[tokio::test]
async fn a_notice_that_fails_does_not_hold_up_the_next() {
    let mut hook = StandIn::start().await;
    let folder = TempDir::new().unwrap();
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &TestClock::default());
    hook.will_answer([answer(400, "I do not like it")]);
    outbox.put(vec![notice("a"), notice("b"), notice("c")]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    assert_eq!(hook.subjects(), ["a", "b", "c"]);
    assert_eq!(outbox.waiting().await.unwrap(), 1);
}

#[tokio::test]
async fn a_channel_that_is_down_does_not_hold_up_the_others() {
    let (mut silent, mut well) = (StandIn::start().await, StandIn::start().await);
    silent.will_answer([None, None]);
    let folder = TempDir::new().unwrap();
    let channels = vec![silent.webhook("silent"), well.webhook("well")];
    let outbox = open(folder.path(), channels, &TestClock::default());
    let (cancel, running) = run(&outbox);
    outbox.put(vec![notice("a"), notice("b")]).await.unwrap();
    silent.next().await;
    for expected in ["a", "b"] {
        assert_eq!(well.next().await.json()["subject"], expected);
    }
    outbox.put(vec![notice("c")]).await.unwrap();
    assert_eq!(well.next().await.json()["subject"], "c");
    assert!(silent.heard_nothing(), "one at a time for each channel");
    cancel.cancel();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    // Nobody knows whether the silent one has taken its first: it will be told again.
    assert_eq!(outbox.waiting().await.unwrap(), 3);
}

#[tokio::test]
async fn a_running_outbox_tries_again_when_the_clock_says_so() {
    let mut hook = StandIn::start().await;
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    hook.will_answer([answer(500, "")]);
    outbox.put(vec![notice("a")]).await.unwrap();
    let (cancel, running) = run(&outbox);
    hook.next().await;
    let written = async {
        while column::<i64>(folder.path(), "tries") != [1] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.unwrap();
    clock.advance(5 * SECOND);
    hook.next().await;
    cancel.cancel();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    assert_eq!(outbox.waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let (mut hook, mut elsewhere) = (StandIn::start().await, StandIn::start().await);
    let redirect = Response::builder().status(307).header("location", &elsewhere.url);
    hook.will_answer([Some(redirect.body(String::new()).unwrap())]);
    let folder = tell(hook.webhook("hook"), notice("a")).await;
    hook.next().await;
    assert!(elsewhere.heard_nothing());
    assert!(trouble(folder.path()).contains("307"));
}

#[tokio::test]
async fn of_an_endless_answer_only_the_beginning_is_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 64];
        assert!(stream.read(&mut heard).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 500 x\r\n\r\n").await.unwrap();
        // Ends when the other side has had enough.
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let way = Way::Webhook { url: url.into(), secret: "key".into() };
    let folder = tell(channel("hook", way), notice("a")).await;
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap();
    let trouble = trouble(folder.path());
    assert!(trouble.contains("500") && trouble.chars().count() <= 300, "{trouble}");
}

#[tokio::test]
async fn a_letter_that_was_taken_is_not_sent_again_though_the_server_says_no_good_bye() {
    let manner = Manner { is_silent_at_the_end: true, ..Manner::default() };
    let (port, mut mails) = mail_server(manner).await;
    let folder = tell(channel("mail", smtp(port, false)), notice("a")).await;
    next(&mut mails).await;
    assert_eq!(trouble(folder.path()), "");
    assert_eq!(column::<i64>(folder.path(), "done_at IS NOT NULL"), [1]);
}

#[tokio::test]
async fn a_mail_server_that_does_not_encrypt_gets_neither_letter_nor_password() {
    let (port, mut mails) = mail_server(Manner::default()).await;
    let Way::Smtp { host, port, user, password, from, to, .. } = smtp(port, true) else {
        unreachable!()
    };
    let security = Security::Starttls;
    let way = Way::Smtp { host, port, security, user, password, from, to };
    let folder = tell(channel("mail", way), notice("a")).await;
    assert!(mails.try_recv().is_err());
    let trouble = trouble(folder.path());
    assert!(trouble.contains("does not encrypt"), "{trouble}");
}

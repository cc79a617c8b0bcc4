//! What arrives at the other end of each channel.

use crate::stand_in::*;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use std::sync::Arc;
use tempfile::TempDir;
use web::db::Db;
use web::notices::{Channel, Kind, Notice, NoticeError, Outbox, Way};

#[tokio::test]
async fn a_webhook_gets_json_with_a_signature_over_moment_and_body() {
    let mut hook = StandIn::start().await;
    tell(hook.webhook("hook"), notice("Block 7")).await;
    let post = hook.next().await;
    assert_eq!((post.method.as_str(), post.path.as_str()), ("POST", "/hooks/1"));
    assert_eq!(post.header("content-type"), "application/json");
    assert_eq!(
        post.json(),
        json!({
            "kind": "block-found",
            "subject": "Block 7",
            "body": "Height 7.\nPaid to 3 miners.",
            "link": "https://pool.example.org/blocks/7",
            "once": "test/Block 7",
            "at": "2023-11-14T22:13:20Z",
        })
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
    mac.update(b"1700000000.");
    mac.update(&post.body);
    let code = mac.finalize().into_bytes();
    let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(post.header("x-adit-signature"), format!("t=1700000000,v1={hex}"));
}

#[tokio::test]
async fn a_retried_webhook_is_signed_for_the_moment_it_is_sent_at() {
    let mut hook = StandIn::start().await;
    let (folder, clock) = (TempDir::new().unwrap(), TestClock::default());
    let outbox = open(folder.path(), vec![hook.webhook("hook")], &clock);
    hook.will_answer([answer(500, "")]);
    outbox.put(vec![notice("Block 7")]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    clock.advance(60 * SECOND);
    outbox.deliver_due().await.unwrap();
    let (first, second) = (hook.next().await, hook.next().await);
    assert_eq!(first.body, second.body);
    assert!(first.header("x-adit-signature").starts_with("t=1700000000,"));
    assert!(second.header("x-adit-signature").starts_with("t=1700000060,"));
}

#[tokio::test]
async fn telegram_gets_the_chat_and_a_plain_text() {
    let mut api = StandIn::start().await;
    for (chat, written) in [("-100123", json!(-100_123)), ("@pool", json!("@pool"))] {
        let way = Way::Telegram {
            token: "123:ABC-d_e".into(),
            chat: chat.into(),
            base: Some(format!("{}/", api.url).into()),
        };
        tell(channel("bot", way), notice("Block *7*")).await;
        let post = api.next().await;
        assert_eq!(post.method, "POST");
        assert_eq!(post.path, "/bot123:ABC-d_e/sendMessage");
        assert_eq!(post.header("content-type"), "application/json");
        let text = format!("Block *7*\n\n{TEXT}");
        assert_eq!(post.json(), json!({ "chat_id": written, "text": text }));
    }
}

#[tokio::test]
async fn discord_gets_2000_characters_at_most_and_mentions_nobody() {
    let mut api = StandIn::start().await;
    let way = || Way::Discord { url: format!("{}/api/webhooks/1/word", api.url).into() };
    tell(channel("dc", way()), notice("@everyone")).await;
    let long = Notice { body: "ä⛏".repeat(2000), ..notice("Block 7") };
    tell(channel("dc", way()), long).await;
    let post = api.next().await;
    assert_eq!((post.method.as_str(), post.path.as_str()), ("POST", "/api/webhooks/1/word"));
    let content = format!("@everyone\n\n{TEXT}");
    assert_eq!(post.json(), json!({ "content": content, "allowed_mentions": { "parse": [] } }));
    let post = api.next().await.json();
    let content = post["content"].as_str().unwrap();
    assert_eq!(content.chars().count(), 2000);
    assert!(content.ends_with("…\n\nhttps://pool.example.org/blocks/7"));
}

#[tokio::test]
async fn ntfy_gets_title_priority_tags_and_token_in_ascii_headers() {
    let mut server = StandIn::start().await;
    let way = Way::Ntfy {
        url: server.url.as_str().into(),
        topic: "pool_7".into(),
        token: Some("tk_1".into()),
    };
    let folder = TempDir::new().unwrap();
    let outbox = open(folder.path(), vec![channel("push", way)], &TestClock::default());
    let urgent = Notice { kind: Kind::NodeDown, link: None, ..notice("Grüße\r\nTags: skull") };
    outbox.put(vec![notice("Block 7"), urgent]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    let post = server.next().await;
    assert_eq!((post.method.as_str(), post.path.as_str()), ("POST", "/pool_7"));
    assert_eq!(post.header("title"), "Block 7");
    assert_eq!((post.header("priority"), post.header("tags")), ("3", "pick"));
    assert_eq!(post.header("authorization"), "Bearer tk_1");
    assert_eq!(post.body, TEXT);
    let post = server.next().await;
    // "Grüße  Tags: skull"
    assert_eq!(post.header("title"), "=?UTF-8?B?R3LDvMOfZSAgVGFnczogc2t1bGw=?=");
    assert_eq!((post.header("priority"), post.header("tags")), ("5", "rotating_light"));
    assert_eq!(post.body, "Height 7.\nPaid to 3 miners.");
}

#[tokio::test]
async fn a_mail_server_gets_a_letter_to_all_readers() {
    let (port, mut mails) = mail_server(Manner::default()).await;
    tell(channel("mail", smtp(port, true)), notice("Block 7\r\nBcc: x@example.org")).await;
    let mail = next(&mut mails).await;
    // "\0pool\0open sesame"
    assert_eq!(mail.auth.as_deref(), Some("PLAIN AHBvb2wAb3BlbiBzZXNhbWU="));
    assert_eq!(mail.from, "FROM:<pool@example.org>");
    assert_eq!(mail.to, ["TO:<op@example.org>", "TO:<night@example.org>"]);
    assert_eq!(mail.header("From"), "\"The Pool\" <pool@example.org>");
    assert_eq!(mail.header("To"), "op@example.org, Night <night@example.org>");
    assert_eq!(mail.header("Subject"), "Block 7  Bcc: x@example.org");
    assert_eq!(mail.header("Date"), "Tue, 14 Nov 2023 22:13:20 +0000");
    assert_eq!(mail.header("Content-Type"), "text/plain; charset=utf-8");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(mail.header("Message-ID").ends_with("@example.org>"), "{mail:?}");
    assert_eq!(mail.body(), format!("{}\r\n.\r\n", TEXT.replace('\n', "\r\n")));
}

#[tokio::test]
async fn a_letter_to_one_person_goes_to_nobody_else() {
    let mut hook = StandIn::start().await;
    let (port, mut mails) = mail_server(Manner::default()).await;
    let folder = TempDir::new().unwrap();
    let channels = vec![hook.webhook("hook"), channel("smtp", smtp(port, false))];
    let outbox = open(folder.path(), channels, &TestClock::default());
    assert!(outbox.put_to(notice("a"), "some@example.org").await.unwrap());
    assert!(!outbox.put_to(notice("a"), "some@example.org").await.unwrap());
    assert!(outbox.put_to(notice("a"), "other@example.org").await.unwrap());
    let rows: Vec<String> = column(folder.path(), "channel");
    assert_eq!(rows, ["smtp:some@example.org", "smtp:other@example.org"]);
    outbox.deliver_due().await.unwrap();
    for person in ["some@example.org", "other@example.org"] {
        let mail = next(&mut mails).await;
        assert_eq!(mail.to, [format!("TO:<{person}>")]);
        assert_eq!(mail.header("To"), person);
        assert_eq!(mail.auth, None);
    }
    assert!(hook.heard_nothing() && mails.try_recv().is_err());
    assert_eq!(outbox.waiting().await.unwrap(), 0);

    let wrong = outbox.put_to(notice("a"), "a@example.org>, <b@example.org").await;
    assert!(matches!(wrong, Err(NoticeError::NoAddress)));
    let folder = TempDir::new().unwrap();
    let mute = Outbox::new(
        Db::open(folder.path()).unwrap(),
        vec![hook.webhook("hook")],
        Arc::new(TestClock::default()),
    );
    let wrong = mute.unwrap().put_to(notice("a"), "some@example.org").await;
    assert!(matches!(wrong, Err(NoticeError::NoLetters)));
}

#[tokio::test]
async fn a_channel_hears_only_what_it_wants() {
    let mut hook = StandIn::start().await;
    let way = Way::Webhook { url: hook.url.as_str().into(), secret: "key".into() };
    let picky = Channel::new("picky", [Kind::NodeDown, Kind::StoreFailing], way).unwrap();
    let Way::Smtp { host, port, security, user, password, from, .. } = smtp(1, false) else {
        unreachable!()
    };
    let nobody = Way::Smtp { host, port, security, user, password, from, to: vec![] };
    let folder = TempDir::new().unwrap();
    let channels = vec![picky, channel("nobody", nobody)];
    let outbox = open(folder.path(), channels, &TestClock::default());
    let down = Notice { kind: Kind::NodeDown, ..notice("down") };
    assert_eq!(outbox.put(vec![notice("block"), down]).await.unwrap(), 1);
    outbox.deliver_due().await.unwrap();
    assert_eq!(hook.subjects(), ["down"]);
}

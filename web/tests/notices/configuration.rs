//! What a configuration may say.

use crate::stand_in::*;
use serde_json::json;
use std::sync::Arc;
use tempfile::TempDir;
use web::db::Db;
use web::notices::{Channel, ChannelError, NoticeError, Outbox, Secret, Security, Way};

fn refusal(way: Way) -> ChannelError {
    Channel::new("x", [], way).unwrap_err()
}

fn hook(url: &str, secret: &str) -> Way {
    Way::Webhook { url: url.into(), secret: secret.into() }
}

#[test]
fn a_destination_is_http_or_https_and_an_error_shows_no_more_than_its_scheme() {
    let error = refusal(hook("ftp://example.org/hidden-word", "key")).to_string();
    assert_eq!(error, "notices.x.url: ftp://… is no http(s) address");
    for url in ["", "hidden-word", "https://", "https://me:hidden-word@example.org/"] {
        for way in [
            hook(url, "key"),
            Way::Discord { url: url.into() },
            Way::Ntfy { url: url.into(), topic: "t".into(), token: None },
        ] {
            let error = refusal(way);
            assert_eq!(error.field, "url", "{url}");
            assert!(!error.to_string().contains("hidden-word"), "{error}");
        }
    }
}

#[test]
fn a_wrong_value_is_named_and_a_secret_is_not_shown() {
    assert_eq!(refusal(hook("https://example.org/", "")).field, "secret");

    let telegram = |token: &str, chat: &str, base: Option<&str>| Way::Telegram {
        token: token.into(),
        chat: chat.into(),
        base: base.map(Into::into),
    };
    let error = refusal(telegram("hidden word", "1", None));
    assert!(error.field == "token" && !error.to_string().contains("hidden"), "{error}");
    assert_eq!(refusal(telegram("1:A", "somebody", None)).field, "chat");
    assert_eq!(refusal(telegram("1:A", "1", Some("example.org"))).field, "base");

    let ntfy = |topic: &str, token: &str| Way::Ntfy {
        url: "https://ntfy.sh".into(),
        topic: topic.into(),
        token: Some(token.into()),
    };
    assert_eq!(refusal(ntfy("a/b", "tk")).field, "topic");
    let error = refusal(ntfy("a", "hidden\nword"));
    assert!(error.field == "token" && !error.to_string().contains("hidden"), "{error}");
}

#[test]
fn a_channel_has_a_name_of_its_own() {
    let way = || hook("https://example.org/", "key");
    for name in ["", "a:b", "a@b", "a b", "ä"] {
        assert_eq!(Channel::new(name, [], way()).unwrap_err().field, "name", "{name}");
    }
    let folder = TempDir::new().unwrap();
    let channels = ["a", "b", "a"].map(|name| channel(name, way())).into();
    let db = Db::open(folder.path()).unwrap();
    let outbox = Outbox::new(db, channels, Arc::new(TestClock::default()));
    assert!(matches!(outbox, Err(NoticeError::NameTwice(name)) if name == "a"));
}

#[test]
fn mail_goes_unencrypted_only_to_this_machine() {
    let way = |host: &str, security, user: Option<&str>, from: &str, to: &str| Way::Smtp {
        host: host.into(),
        port: None,
        security,
        user: user.map(Into::into),
        password: Some("hidden-word".into()),
        from: from.into(),
        to: vec![to.into()],
    };
    let (a, b) = ("a@example.org", "b@example.org");
    for host in ["mail.example.org", "192.168.0.7", "localhost.example.org"] {
        let error = refusal(way(host, Security::None, Some("u"), a, b));
        assert_eq!(error.field, "security", "{host}");
        channel("x", way(host, Security::Starttls, Some("u"), a, b));
        channel("x", way(host, Security::Tls, Some("u"), a, b));
    }
    for host in ["localhost", "127.0.0.1", "::1"] {
        channel("x", way(host, Security::None, Some("u"), a, b));
    }
    assert_eq!(refusal(way("", Security::Tls, Some("u"), a, b)).field, "host");
    assert_eq!(refusal(way("m", Security::Tls, None, a, b)).field, "user");
    assert_eq!(refusal(way("m", Security::Tls, Some("u"), "nobody", b)).field, "from");
    assert_eq!(refusal(way("m", Security::Tls, Some("u"), a, "nobody")).field, "to");
}

#[tokio::test]
async fn secrets_are_in_no_debug_text_and_no_trouble() {
    let server = StandIn::start().await;
    let url = |path: &str| Secret::from(format!("{}/{path}", server.url));
    let (port, _mails) = mail_server(Manner { refuses: 9, ..Manner::default() }).await;
    let hidden = || Secret::from("hidden-word");
    let ways = [
        Way::Webhook { url: url("hidden-word"), secret: hidden() },
        Way::Telegram { token: hidden(), chat: "1".into(), base: Some(url("")) },
        Way::Discord { url: url("api/webhooks/1/hidden-word") },
        Way::Ntfy { url: url(""), topic: hidden(), token: Some(hidden()) },
        // The mail server repeats this one's password.
        smtp(port, true),
    ];
    for way in ways {
        // A server that repeats what it was sent.
        server.will_answer([answer(400, "no such thing: hidden-word")]);
        let shown = format!("{way:?}");
        let channel = channel("x", way);
        let shown = format!("{shown} {channel:?}");
        let folder = tell(channel, notice("a")).await;
        let trouble = trouble(folder.path());
        assert!(trouble.contains('…'), "{trouble}");
        for word in ["hidden-word", "open sesame"] {
            assert!(!shown.contains(word), "{shown}");
            assert!(!trouble.contains(word), "{trouble}");
        }
    }
}

#[tokio::test]
async fn a_persons_address_is_in_no_trouble() {
    let (port, _mails) = mail_server(Manner { refuses: 9, ..Manner::default() }).await;
    let folder = TempDir::new().unwrap();
    let channels = vec![channel("mail", smtp(port, false))];
    let outbox = open(folder.path(), channels, &TestClock::default());
    outbox.put_to(notice("a"), "some@example.org").await.unwrap();
    outbox.deliver_due().await.unwrap();
    let trouble = trouble(folder.path());
    assert!(trouble.contains("451") && !trouble.contains("some@example.org"), "{trouble}");
}

#[test]
fn a_configuration_names_the_way_by_its_type() {
    let way: Way = serde_json::from_value(json!({
        "type": "smtp", "host": "m", "from": "a@example.org", "to": ["b@example.org"]
    }))
    .unwrap();
    assert!(matches!(&way, Way::Smtp { security: Security::Starttls, port: None, .. }));
    channel("x", way);
    let wrong = json!({ "type": "discord", "url": "https://example.org/", "topic": "a" });
    assert!(serde_json::from_value::<Way>(wrong).is_err());
}

//! Notices against stand-ins of what is at the other end: what arrives, and what a failure, a restart or a pause costs.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::UnixMs;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pool::Clock;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use web::db::Db;
use web::notices::{
    Channel, ChannelError, Kind, Notice, NoticeError, Outbox, Secret, Security, Way,
};

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;
/// What does not come in this time does not come: the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time moves when a test says so.
#[derive(Clone, Default)]
struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMs {
        UnixMs(1_700_000_000_000 + self.0.load(Ordering::SeqCst))
    }
}

/// What came to a stand-in of a web server.
struct Post {
    method: String,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Post {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a stand-in answers; `None`: nothing, ever.
type Answer = Option<Response<String>>;

fn answer(status: u16, body: &str) -> Answer {
    Some(Response::builder().status(status).body(body.into()).unwrap())
}

/// A stand-in of a web server: answers as told, else with 200.
struct StandIn {
    url: String,
    posts: UnboundedReceiver<Post>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl StandIn {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (told, posts) = unbounded_channel();
        let answers: Arc<Mutex<VecDeque<Answer>>> = Arc::default();
        let own = answers.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (told, answers) = (told.clone(), own.clone());
                let serve = service_fn(move |request| take(request, told.clone(), answers.clone()));
                tokio::spawn(async move {
                    let server = hyper::server::conn::http1::Builder::new();
                    drop(server.serve_connection(TokioIo::new(stream), serve).await);
                });
            }
        });
        StandIn { url, posts, answers }
    }

    fn will_answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().extend(answers);
    }

    async fn next(&mut self) -> Post {
        next(&mut self.posts).await
    }

    fn heard_nothing(&mut self) -> bool {
        self.posts.try_recv().is_err()
    }

    /// Subjects of what came to a webhook and was not looked at yet.
    fn subjects(&mut self) -> Vec<String> {
        let posts = std::iter::from_fn(|| self.posts.try_recv().ok());
        posts.map(|post| post.json()["subject"].as_str().unwrap().to_owned()).collect()
    }

    fn webhook(&self, name: &str) -> Channel {
        let url = format!("{}/hooks/1", self.url).into();
        channel(name, Way::Webhook { url, secret: "key".into() })
    }
}

async fn take(
    request: Request<Incoming>,
    told: UnboundedSender<Post>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().to_string();
    let (method, headers) = (head.method.to_string(), head.headers);
    let body = body.collect().await.unwrap().to_bytes();
    let next = answers.lock().unwrap().pop_front().unwrap_or_else(|| answer(200, "ok"));
    drop(told.send(Post { method, path, headers, body }));
    match next {
        Some(answer) => Ok(answer.map(|body| Full::new(body.into()))),
        None => std::future::pending().await,
    }
}

async fn next<T>(from: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, from.recv()).await.unwrap().unwrap()
}

/// What came to a stand-in of a mail server.
#[derive(Debug, Default)]
struct Mail {
    auth: Option<String>,
    from: String,
    to: Vec<String>,
    text: String,
}

impl Mail {
    fn header(&self, name: &str) -> &str {
        let name = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default()
    }

    fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }
}

/// How a mail server behaves.
#[derive(Clone, Copy, Default)]
struct Manner {
    /// So many of the first connections may not name a recipient.
    refuses: u32,
    /// Never answers to `QUIT`.
    is_silent_at_the_end: bool,
}

async fn mail_server(manner: Manner) -> (u16, UnboundedReceiver<Mail>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, mails) = unbounded_channel();
    tokio::spawn(async move {
        let mut refuses = manner.refuses;
        while let Ok((stream, _)) = listener.accept().await {
            let manner = Manner { refuses, ..manner };
            refuses = refuses.saturating_sub(1);
            tokio::spawn(converse(BufStream::new(stream), manner, told.clone()));
        }
    });
    (port, mails)
}

async fn converse(mut line: BufStream<TcpStream>, manner: Manner, told: UnboundedSender<Mail>) {
    let mut mail = Mail::default();
    let mut refusal;
    let mut answer = "220 here";
    loop {
        line.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        line.flush().await.unwrap();
        let mut command = String::new();
        if line.read_line(&mut command).await.unwrap_or(0) == 0 {
            return;
        }
        let command = command.trim_end();
        answer = match command.split_once(' ').unwrap_or((command, "")) {
            ("EHLO", _) => "250-here\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            ("AUTH", how) => {
                mail.auth = Some(how.into());
                "235 yes"
            }
            ("MAIL", from) => {
                mail.from = from.into();
                "250 yes"
            }
            ("RCPT", to) if manner.refuses > 0 => {
                refusal = format!("451 {to}: mailbox busy, says open sesame");
                &refusal
            }
            ("RCPT", to) => {
                mail.to.push(to.into());
                "250 yes"
            }
            ("DATA", _) => {
                line.write_all(b"354 go on\r\n").await.unwrap();
                line.flush().await.unwrap();
                while !mail.text.ends_with("\r\n.\r\n") {
                    assert!(line.read_line(&mut mail.text).await.unwrap() > 0);
                }
                drop(told.send(std::mem::take(&mut mail)));
                "250 taken"
            }
            ("QUIT", _) if manner.is_silent_at_the_end => std::future::pending().await,
            ("QUIT", _) => "221 bye",
            (other, _) => panic!("{other} is no command that this server knows"),
        };
    }
}

fn smtp(port: u16, login: bool) -> Way {
    Way::Smtp {
        host: "127.0.0.1".into(),
        port: Some(port),
        security: Security::None,
        user: login.then(|| "pool".into()),
        password: login.then(|| "open sesame".into()),
        from: "The Pool <pool@example.org>".into(),
        to: vec!["op@example.org".into(), "Night <night@example.org>".into()],
    }
}

fn channel(name: &str, way: Way) -> Channel {
    Channel::new(name, [], way).unwrap()
}

fn notice(subject: &str) -> Notice {
    Notice {
        once: format!("test/{subject}"),
        kind: Kind::BlockFound,
        subject: subject.into(),
        body: "Height 7.\nPaid to 3 miners.".into(),
        link: Some("https://pool.example.org/blocks/7".into()),
    }
}

const TEXT: &str = "Height 7.\nPaid to 3 miners.\n\nhttps://pool.example.org/blocks/7";

fn open(folder: &Path, channels: Vec<Channel>, clock: &TestClock) -> Outbox {
    let db = Db::open(folder).unwrap();
    Outbox::new(db, channels, Arc::new(clock.clone())).unwrap()
}

/// A column of all rows, in their order.
fn column<T: rusqlite::types::FromSql>(folder: &Path, name: &str) -> Vec<T> {
    let db = rusqlite::Connection::open(folder.join(web::db::FILE_NAME)).unwrap();
    let mut rows = db.prepare(&format!("SELECT {name} FROM outbox ORDER BY id")).unwrap();
    let values = rows.query_map([], |row| row.get(0)).unwrap();
    values.map(Result::unwrap).collect()
}

/// What went wrong with the first row.
fn trouble(folder: &Path) -> String {
    column::<Option<String>>(folder, "trouble").swap_remove(0).unwrap_or_default()
}

/// One channel, one notice, tried once.
async fn tell(channel: Channel, notice: Notice) -> TempDir {
    let folder = TempDir::new().unwrap();
    let outbox = open(folder.path(), vec![channel], &TestClock::default());
    outbox.put(vec![notice]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    folder
}

// What arrives.

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

// What goes wrong.

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

/// Runs an outbox beside the test until the token is cancelled.
fn run(outbox: &Outbox) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let cancel = CancellationToken::new();
    let (own, token) = (outbox.clone(), cancel.clone());
    (cancel, tokio::spawn(async move { own.run(token).await }))
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

// What a restart costs.

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

// What it costs at most.

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

// What a configuration may say.

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

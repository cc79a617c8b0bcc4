//! Stand-ins of what is at the other end: a web server and a mail server that do what a test says, and a clock.

use accounting::UnixMs;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pool::Clock;
use serde_json::Value;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use web::db::Db;
use web::notices::{Channel, Kind, Notice, Outbox, Security, Way};

pub const SECOND: u64 = 1000;
pub const HOUR: u64 = 3600 * SECOND;
pub const DAY: u64 = 24 * HOUR;
/// What does not come in this time does not come: the test has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Time moves when a test says so.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMs {
        UnixMs(1_700_000_000_000 + self.0.load(Ordering::SeqCst))
    }
}

/// What came to a stand-in of a web server.
pub struct Post {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Post {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a stand-in answers; `None`: nothing, ever.
pub type Answer = Option<Response<String>>;

pub fn answer(status: u16, body: &str) -> Answer {
    Some(Response::builder().status(status).body(body.into()).unwrap())
}

/// A stand-in of a web server: answers as told, else with 200.
pub struct StandIn {
    pub url: String,
    pub posts: UnboundedReceiver<Post>,
    pub answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl StandIn {
    pub async fn start() -> Self {
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

    pub fn will_answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub async fn next(&mut self) -> Post {
        next(&mut self.posts).await
    }

    pub fn heard_nothing(&mut self) -> bool {
        self.posts.try_recv().is_err()
    }

    /// Subjects of what came to a webhook and was not looked at yet.
    pub fn subjects(&mut self) -> Vec<String> {
        let posts = std::iter::from_fn(|| self.posts.try_recv().ok());
        posts.map(|post| post.json()["subject"].as_str().unwrap().to_owned()).collect()
    }

    pub fn webhook(&self, name: &str) -> Channel {
        let url = format!("{}/hooks/1", self.url).into();
        channel(name, Way::Webhook { url, secret: "key".into() })
    }
}

pub async fn take(
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

pub async fn next<T>(from: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, from.recv()).await.unwrap().unwrap()
}

/// What came to a stand-in of a mail server.
#[derive(Debug, Default)]
pub struct Mail {
    pub auth: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    pub text: String,
}

impl Mail {
    pub fn header(&self, name: &str) -> &str {
        let name = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default()
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }
}

/// How a mail server behaves.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// So many of the first connections may not name a recipient.
    pub refuses: u32,
    /// Never answers to `QUIT`.
    pub is_silent_at_the_end: bool,
}

pub async fn mail_server(manner: Manner) -> (u16, UnboundedReceiver<Mail>) {
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

pub async fn converse(mut line: BufStream<TcpStream>, manner: Manner, told: UnboundedSender<Mail>) {
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

pub fn smtp(port: u16, login: bool) -> Way {
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

pub fn channel(name: &str, way: Way) -> Channel {
    Channel::new(name, [], way).unwrap()
}

pub fn notice(subject: &str) -> Notice {
    Notice {
        once: format!("test/{subject}"),
        kind: Kind::BlockFound,
        subject: subject.into(),
        body: "Height 7.\nPaid to 3 miners.".into(),
        link: Some("https://pool.example.org/blocks/7".into()),
    }
}

pub const TEXT: &str = "Height 7.\nPaid to 3 miners.\n\nhttps://pool.example.org/blocks/7";

pub fn open(folder: &Path, channels: Vec<Channel>, clock: &TestClock) -> Outbox {
    let db = Db::open(folder).unwrap();
    Outbox::new(db, channels, Arc::new(clock.clone())).unwrap()
}

/// A column of all rows, in their order.
pub fn column<T: rusqlite::types::FromSql>(folder: &Path, name: &str) -> Vec<T> {
    let db = rusqlite::Connection::open(folder.join(web::db::FILE_NAME)).unwrap();
    let mut rows = db.prepare(&format!("SELECT {name} FROM outbox ORDER BY id")).unwrap();
    let values = rows.query_map([], |row| row.get(0)).unwrap();
    values.map(Result::unwrap).collect()
}

/// What went wrong with the first row.
pub fn trouble(folder: &Path) -> String {
    column::<Option<String>>(folder, "trouble").swap_remove(0).unwrap_or_default()
}

/// One channel, one notice, tried once.
pub async fn tell(channel: Channel, notice: Notice) -> TempDir {
    let folder = TempDir::new().unwrap();
    let outbox = open(folder.path(), vec![channel], &TestClock::default());
    outbox.put(vec![notice]).await.unwrap();
    outbox.deliver_due().await.unwrap();
    folder
}

/// Runs an outbox beside the test until the token is cancelled.
pub fn run(outbox: &Outbox) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let cancel = CancellationToken::new();
    let (own, token) = (outbox.clone(), cancel.clone());
    (cancel, tokio::spawn(async move { own.run(token).await }))
}

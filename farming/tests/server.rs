//! The port: codes as farmers read them, limits, and the way to the farmer's page.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use common::node::FakeNode;
use common::*;
use farming::server::{Limits, serve};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

struct Port {
    address: SocketAddr,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

struct Answered {
    status: u16,
    location: Option<String>,
    retry_after: Option<String>,
    closes: bool,
    cookie: Option<String>,
    text: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

async fn open(pool: &Running, limits: Limits) -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
    let served = serve(listener, pool.door.clone(), limits, None, tasks.clone(), cancel.clone());
    tasks.spawn(served);
    Port { address, cancel, tasks }
}

impl Port {
    async fn ask(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answered {
        self.ask_with(method, path, body, None).await
    }

    async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        more: Option<(&str, &str)>,
    ) -> Answered {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder().method(method).uri(path).header("host", "pool");
        if let Some((name, value)) = more {
            request = request.header(name, value);
        }
        let answer =
            sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let header =
            |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let (location, cookie, retry_after) =
            (header("location"), header("set-cookie"), header("retry-after"));
        let closes = header("connection").as_deref() == Some("close");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answered { status, location, retry_after, closes, cookie, text }
    }

    async fn close(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_captured_farmer_is_answered_as_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = Running::start(folder.path(), &[&node], TestClock::default()).await;
    let port = open(&pool, Limits::default()).await;
    let info = port.ask(Method::GET, "/pool_info", "").await.json();
    assert_eq!((info["protocol_version"].clone(), info["fee"].clone()), (1.into(), "0.01".into()));
    let asks = captured("GET", "/farmer")[0]["path_qs"].as_str().unwrap();
    let unknown = port.ask(Method::GET, asks, "").await;
    assert_eq!((unknown.status, unknown.json()["error_code"].clone()), (200, 10.into()));
    let joins = captured("POST", "/farmer")[0]["body"].as_str().unwrap();
    assert!(port.ask(Method::POST, "/farmer", joins).await.text.contains("welcome"));
    let changes = captured("PUT", "/farmer")[0]["body"].as_str().unwrap();
    let changed = port.ask(Method::PUT, "/farmer", changes).await.json();
    assert_eq!(changed.as_object().unwrap().len(), 3, "all three keys");
    let accepted = port.ask(Method::POST, "/partial", partials()[0]).await.json();
    assert_eq!(accepted["new_difficulty"], 1000);
    let again = port.ask(Method::POST, "/partial/", partials()[0]).await.json();
    assert_eq!(again["error_code"], 16);
    for path in ["/v2/pool_info", "/v2/auth?x=1", "/v2/farmer"] {
        assert_eq!(port.ask(Method::GET, path, "").await.json()["error_code"], 16, "{path}");
    }
    assert_eq!(port.ask(Method::GET, "/nowhere", "").await.status, 404);
    port.close().await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_bodies_and_garbage_are_refused_and_floods_slowed_down() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = Running::start(folder.path(), &[&node], TestClock::default()).await;
    let limits = Limits { per_address: (1, 6), ..Limits::default() };
    let port = open(&pool, limits).await;
    let oversized = vec![b' '; 100_000];
    for body in [oversized, b"{".to_vec(), vec![0xff; 100], Vec::new()] {
        let answer = port.ask(Method::POST, "/partial", body).await;
        assert_eq!((answer.status, answer.json()["error_code"].clone()), (200, 16.into()));
    }
    port.ask(Method::GET, "/pool_info", "").await;
    port.ask(Method::GET, "/pool_info", "").await;
    assert_eq!(port.ask(Method::GET, "/pool_info", "").await.status, 429);
    pool.clock.advance(2000);
    assert_eq!(port.ask(Method::GET, "/pool_info", "").await.status, 200);
    port.close().await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farmer_that_sends_too_much_is_slowed_down_and_nobody_else_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = Running::start(folder.path(), &[&node], TestClock::default()).await;
    let proxy = "127.0.0.1".parse().unwrap();
    let limits = Limits { per_farmer: (1, 3), proxies: vec![proxy], ..Limits::default() };
    let port = open(&pool, limits).await;
    let joins = captured("POST", "/farmer")[0]["body"].as_str().unwrap();
    port.ask(Method::POST, "/farmer", joins).await;
    let from = |host: &'static str| Some(("x-forwarded-for", host));
    let send = |host| port.ask_with(Method::POST, "/partial", partials()[0], from(host));
    for code in [None, Some(16), Some(16)] {
        let answer = send("192.0.2.1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["error_code"].as_u64(), code);
    }
    let slowed = send("192.0.2.1").await;
    assert_eq!((slowed.status, slowed.retry_after.as_deref()), (429, Some("5")));
    assert!(slowed.closes, "it keeps no connection either");
    // Launcher ids are public: a flood under somebody else's name is not theirs.
    assert_eq!(send("192.0.2.2").await.status, 200);
    // What it asks about itself is no partial, and another farmer is another farmer.
    assert_eq!(port.ask(Method::GET, "/pool_info", "").await.status, 200);
    let mut other: Value = serde_json::from_str(partials()[0]).unwrap();
    other["payload"]["launcher_id"] = format!("0x{}", "77".repeat(32)).into();
    let other = port.ask_with(Method::POST, "/partial", other.to_string(), from("192.0.2.1")).await;
    assert_eq!((other.status, other.json()["error_code"].clone()), (200, 10.into()));
    pool.clock.advance(1000);
    assert_eq!(send("192.0.2.1").await.status, 200);
    assert_eq!(send("192.0.2.1").await.status, 429);
    port.close().await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_too_many_wait_to_be_verified_a_farmer_is_told_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = Running::start(folder.path(), &[&node], TestClock::default()).await;
    let port = open(&pool, Limits::default()).await;
    let joins = captured("POST", "/farmer")[0]["body"].as_str().unwrap();
    port.ask(Method::POST, "/farmer", joins).await;
    let release = tokio::sync::watch::Sender::new(false);
    let waiting: Vec<_> = (0..pool.door.verifiers.places())
        .map(|_| {
            let (door, mut released) = (pool.door.clone(), release.subscribe());
            let wait = move || {
                let released = released.wait_for(|is_released| *is_released);
                Handle::current().block_on(released).map(drop).unwrap();
            };
            tokio::spawn(async move { door.verifiers.run(wait).await })
        })
        .collect();
    while pool.door.verifiers.places() > 0 {
        tokio::task::yield_now().await;
    }
    let link = format!("/login{}", vectors()["login"]["query"].as_str().unwrap());
    for busy in [
        port.ask(Method::POST, "/partial", partials()[0]).await,
        port.ask(Method::GET, &link, "").await,
    ] {
        assert_eq!((busy.status, busy.retry_after.as_deref()), (503, Some("5")));
    }
    assert_eq!(port.ask(Method::GET, "/pool_info", "").await.status, 200, "nothing to verify");
    release.send(true).unwrap();
    for one in waiting {
        one.await.unwrap().unwrap();
    }
    let accepted = port.ask(Method::POST, "/partial", partials()[0]).await;
    assert_eq!(accepted.json()["new_difficulty"], 1000);
    port.close().await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_link_leads_to_the_farmers_page_without_its_signature() {
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::start(world(0)).await;
    let pool = Running::start(folder.path(), &[&node], TestClock::default()).await;
    let port = open(&pool, Limits::default()).await;
    let link = format!("/login{}", vectors()["login"]["query"].as_str().unwrap());
    assert_eq!(port.ask(Method::GET, &link, "").await.json()["error_code"], 10);
    let joins = captured("POST", "/farmer")[0]["body"].as_str().unwrap();
    port.ask(Method::POST, "/farmer", joins).await;
    port.ask(Method::POST, "/partial", partials()[0]).await;
    let entered = port.ask(Method::GET, &link, "").await;
    assert_eq!((entered.status, entered.location.as_deref()), (303, Some("me")));
    let cookie = entered.cookie.unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let page = port.ask_with(Method::GET, "/me", "", Some(("cookie", cookie))).await;
    for said in [
        "<dt>Points in 24 hours</dt><dd>1000</dd>",
        "<dt>Plot NFT</dt><dd>farms to a pool</dd>",
        "<dt>To be paid out</dt><dd>0",
        "<td>1000</td><td>counts, to be confirmed</td>",
        "None whose reward was absorbed yet.",
    ] {
        assert!(page.text.contains(said), "{said}: {}", page.text);
    }
    let style = port.ask(Method::GET, "/me.css", "").await;
    assert!(style.status == 200 && page.text.contains("href=\"me.css\""));
    assert!(!page.text.contains("signature"));
    assert_eq!(port.ask(Method::GET, "/me", "").await.status, 403);
    let forged = link.replace("signature=a", "signature=b");
    assert_eq!(port.ask(Method::GET, &forged, "").await.json()["error_code"], 7);
    port.close().await;
    pool.stop().await;
}

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
        cookie: Option<&str>,
    ) -> Answered {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder().method(method).uri(path).header("host", "pool");
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let answer =
            sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let header =
            |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, location, cookie) =
            (answer.status().as_u16(), header("location"), header("set-cookie"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Answered { status, location, cookie, text: String::from_utf8(body.to_vec()).unwrap() }
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
    let page = port.ask_with(Method::GET, "/me", "", Some(cookie)).await;
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

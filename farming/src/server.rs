//! Sockets: HTTP or HTTPS, limits, and which path is which question.
//!
//! Invariant: refusals are HTTP 200, because a farmer reads the code of no other answer; only overload is answered otherwise. A
//! slow or a greedy peer costs one seat for a limited time.

mod limit;
mod page;
mod session;

use crate::door::Door;
use crate::hash::Bytes32;
use crate::reject::Reject;
use crate::wire::BODY_MAX;
use crate::wire::answer::Refusal;
use crate::wire::farmer::{Get, Post, Put};
use crate::wire::partial::Submission;
use accounting::UnixMs;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, COOKIE, HeaderMap,
    HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use limit::Budgets;
use page::markup::STYLE;
use pool::accept::{Room, connections};
use pool::host::host_of;
use serde::Serialize;
use session::Sessions;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Open connections at most, and of one address: a farmer needs a few, and many may sit behind one address.
const CONNECTIONS_MAX: usize = 16_384;
const CONNECTIONS_OF_ONE_MAX: usize = 1024;
/// How long a request's head, its body and a TLS handshake may take, each.
const OPENING: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;

/// What a port allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests a second of one address, and how many it may save up.
    pub per_address: (u32, u32),
    /// Partials a second of one farmer from one address, and how many it may save up: a launcher id is public, and a stranger's
    /// partials must not use up what a farmer may send.
    pub per_farmer: (u32, u32),
    /// Proxies of ours, which say for whom they ask.
    pub proxies: Vec<IpAddr>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { per_address: (100, 1000), per_farmer: (50, 500), proxies: Vec::new() }
    }
}

/// One listening port.
pub struct Port {
    door: Arc<Door>,
    limits: Limits,
    is_tls: bool,
    addresses: Budgets<IpAddr>,
    farmers: Budgets<(IpAddr, Bytes32)>,
    sessions: Sessions,
}

type Answer = Response<Full<Bytes>>;

/// Serves until cancelled.
pub async fn serve(
    listener: TcpListener,
    door: Arc<Door>,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    tasks: TaskTracker,
    cancel: CancellationToken,
) {
    let port = Arc::new(Port {
        door,
        addresses: Budgets::new(limits.per_address),
        farmers: Budgets::new(limits.per_farmer),
        limits,
        is_tls: tls.is_some(),
        sessions: Sessions::new(),
    });
    let (all, own) = (CONNECTIONS_MAX, CONNECTIONS_OF_ONE_MAX);
    let room = Room { name: "farming", all, own, proxies: port.limits.proxies.clone() };
    let serve = |stream, peer| {
        let (port, tls, cancel) = (port.clone(), tls.clone(), cancel.clone());
        async move {
            match tls {
                None => converse(stream, peer, port, cancel).await,
                Some(acceptor) => {
                    match tokio::time::timeout(OPENING, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => converse(stream, peer, port, cancel).await,
                        _ => tracing::debug!(%peer, "a TLS handshake failed"),
                    }
                }
            }
        }
    };
    connections(listener, room, &tasks, &cancel, serve).await;
}

async fn converse<S>(stream: S, peer: SocketAddr, port: Arc<Port>, cancel: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
        let port = port.clone();
        async move { Ok::<_, Infallible>(port.answer(request, peer.ip()).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(OPENING).max_buf_size(HEAD_BYTES);
    let connection = http.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a farmer's connection ended");
    }
}

impl Port {
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        // Before anything else: what comes late is measured from here.
        let received = self.door.clock.now();
        let client = host_of(self.client(peer, request.headers()));
        if self.door.bans.load().has_host(client) {
            return status(StatusCode::FORBIDDEN, "The pool's operator has excluded this address.");
        }
        if !self.addresses.spend(client, received) {
            return overload(StatusCode::TOO_MANY_REQUESTS);
        }
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let method = request.method().clone();
        match (&method, path.as_str()) {
            (&Method::GET, "/pool_info") => json(&self.door.pool_info()),
            (&Method::GET, "/farmer") => self.farmer(&query).await,
            (&Method::GET, "/login") => self.login(&query).await,
            (&Method::GET, "/me") => self.page(request.headers()).await,
            (&Method::GET, "/me.css") => {
                with_type(Bytes::from_static(STYLE.as_bytes()), "text/css; charset=utf-8")
            }
            (&Method::POST | &Method::PUT, "/farmer") | (&Method::POST, "/partial") => {
                let Some(body) = body_of(request).await else {
                    return refusal(&self.door, None, Reject::Malformed);
                };
                match (&method, path.as_str()) {
                    (&Method::PUT, _) => self.change(&body).await,
                    (_, "/farmer") => self.register(&body).await,
                    _ => self.partial(&body, client, received).await,
                }
            }
            (_, path) if path.starts_with("/v2/") => {
                refusal(&self.door, None, Reject::SecondVersion)
            }
            _ => status(StatusCode::NOT_FOUND, "There is nothing here."),
        }
    }

    /// Who asks: the peer, or whom a proxy of ours speaks for.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.limits.proxies.contains(&peer) {
            return peer;
        }
        let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        let last = forwarded.and_then(|list| list.rsplit(',').next());
        last.and_then(|address| address.trim().parse().ok()).unwrap_or(peer)
    }

    async fn farmer(&self, query: &str) -> Answer {
        match Get::parse(query) {
            Ok(get) => told(&self.door, &get.launcher_id, self.door.farmer(&get).await),
            Err(reject) => refusal(&self.door, None, reject),
        }
    }

    async fn register(&self, body: &[u8]) -> Answer {
        match Post::parse(body) {
            Ok(post) => {
                told(&self.door, &post.payload.launcher_id, self.door.register(&post).await)
            }
            Err(reject) => refusal(&self.door, None, reject),
        }
    }

    async fn change(&self, body: &[u8]) -> Answer {
        match Put::parse(body) {
            Ok(put) => told(&self.door, &put.payload.launcher_id, self.door.change(&put).await),
            Err(reject) => refusal(&self.door, None, reject),
        }
    }

    async fn partial(&self, body: &[u8], client: IpAddr, received: UnixMs) -> Answer {
        let submission = match Submission::parse(body) {
            Ok(submission) => submission,
            Err(reject) => return refusal(&self.door, None, reject),
        };
        let launcher_id = submission.launcher_id;
        let is_known = self.door.farmers.get(&launcher_id).is_ok();
        if is_known && !self.farmers.spend((client, launcher_id), received) {
            return overload(StatusCode::TOO_MANY_REQUESTS);
        }
        told(&self.door, &launcher_id, self.door.partial(submission, received).await)
    }

    /// A signed link becomes a session, so that the signature does not stay in the address or in anybody's history.
    async fn login(&self, query: &str) -> Answer {
        let launcher_id = match Get::parse(query) {
            Ok(get) => self.door.login(&get).await,
            Err(reject) => Err(reject),
        };
        let launcher_id = match launcher_id {
            Ok(launcher_id) => launcher_id,
            Err(reject) => return refusal(&self.door, None, reject),
        };
        let cookie = self.sessions.cookie(&launcher_id, self.door.clock.now(), self.is_tls);
        let mut answer = status(StatusCode::SEE_OTHER, "");
        answer.headers_mut().insert(LOCATION, HeaderValue::from_static("me"));
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
        answer
    }

    async fn page(&self, headers: &HeaderMap) -> Answer {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let now = self.door.clock.now();
        let mut known = cookies.filter_map(|cookies| self.sessions.launcher(cookies, now));
        let Some(launcher_id) = known.next() else {
            return status(
                StatusCode::FORBIDDEN,
                "Make a login link first: chia plotnft get_login_link -l LAUNCHER_ID",
            );
        };
        match page::render(&self.door, &launcher_id).await {
            Ok(text) => html(text),
            Err(error) => {
                tracing::warn!(%error, "a farmer's page cannot be shown");
                status(StatusCode::SERVICE_UNAVAILABLE, "The pool cannot read its records now.")
            }
        }
    }
}

async fn body_of(request: Request<Incoming>) -> Option<Bytes> {
    let body = Limited::new(request.into_body(), BODY_MAX).collect();
    match tokio::time::timeout(OPENING, body).await {
        Ok(Ok(body)) => Some(body.to_bytes()),
        Ok(Err(error)) => {
            let is_long = error.downcast_ref::<LengthLimitError>().is_some();
            tracing::debug!(%error, is_long, "a body could not be read");
            None
        }
        Err(_) => None,
    }
}

fn told<T: Serialize>(door: &Door, launcher_id: &Bytes32, outcome: Result<T, Reject>) -> Answer {
    match outcome {
        Ok(answer) => json(&answer),
        Err(reject) => refusal(door, Some(launcher_id), reject),
    }
}

fn refusal(door: &Door, launcher_id: Option<&Bytes32>, reject: Reject) -> Answer {
    door.refused(launcher_id, reject);
    match reject {
        Reject::Busy => overload(StatusCode::SERVICE_UNAVAILABLE),
        _ => json(&Refusal::from(reject)),
    }
}

fn json(answer: &impl Serialize) -> Answer {
    match serde_json::to_vec(answer) {
        Ok(body) => with_type(Bytes::from(body), "application/json"),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            status(StatusCode::INTERNAL_SERVER_ERROR, "The pool is at fault.")
        }
    }
}

fn html(text: String) -> Answer {
    let mut answer = with_type(Bytes::from(text), "text/html; charset=utf-8");
    let headers = answer.headers_mut();
    let policy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'";
    headers.insert("content-security-policy", HeaderValue::from_static(policy));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
    answer
}

fn with_type(body: Bytes, kind: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

fn status(code: StatusCode, text: &'static str) -> Answer {
    let mut answer = with_type(Bytes::from_static(text.as_bytes()), "text/plain; charset=utf-8");
    *answer.status_mut() = code;
    answer
}

fn overload(code: StatusCode) -> Answer {
    let mut answer = status(code, "The pool is busy; try again in a few seconds.");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

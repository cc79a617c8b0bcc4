//! Sockets of the web: limits, TLS, and the headers that every answer has.
//!
//! Invariant: a slow or a greedy peer costs one seat for a limited time; the strictest content policy is on every page.

use crate::site::Site;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use pool::accept::{Room, connections};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Open connections at most, and of one address: people behind one address have a handful each.
const CONNECTIONS_MAX: usize = 4096;
const CONNECTIONS_OF_ONE_MAX: usize = 512;
/// How long a request's head may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Nothing from elsewhere, nothing inline, in no frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "geolocation=(), camera=(), microphone=()"),
];

/// Serves until cancelled. Proxies of ours may have as many connections as there are.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    proxies: Vec<IpAddr>,
    tasks: TaskTracker,
    cancel: CancellationToken,
) {
    let (all, own) = (CONNECTIONS_MAX, CONNECTIONS_OF_ONE_MAX);
    let room = Room { name: "web", all, own, proxies };
    let serve = |stream, peer| {
        let (router, tls, cancel) = (router.clone(), tls.clone(), cancel.clone());
        async move {
            match tls {
                None => converse(stream, peer, router, false, cancel).await,
                Some(acceptor) => {
                    match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => converse(stream, peer, router, true, cancel).await,
                        _ => tracing::debug!(%peer, "a TLS handshake failed"),
                    }
                }
            }
        }
    };
    connections(listener, room, &tasks, &cancel, serve).await;
}

/// Was this request made over TLS?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverTls(pub bool);

/// How safely the request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Over TLS, ours or a proxy's of ours.
    pub is_tls: bool,
    /// From this machine, and nobody in between.
    pub is_local: bool,
    /// Who asks.
    pub client: IpAddr,
}

impl FromRequestParts<Arc<Site>> for Way {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        site: &Arc<Site>,
    ) -> Result<Self, std::convert::Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let own_tls = parts.extensions.get::<OverTls>().is_some_and(|over| over.0);
        let by_proxy = peer.is_some_and(|peer| site.settings.proxies.contains(&peer));
        let forwarded = parts.headers.contains_key("x-forwarded-for")
            || parts.headers.contains_key("forwarded");
        let proto = parts.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        Ok(Way {
            is_tls: own_tls || (by_proxy && proto == Some("https")),
            // Whoever was forwarded by a proxy that we do not know is not from this machine.
            is_local: peer.is_some_and(|peer| peer.is_loopback()) && !forwarded,
            client: site.settings.client_of(peer, &parts.headers),
        })
    }
}

impl Way {
    /// May secrets go this way?
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.is_tls || self.is_local
    }
}

async fn converse<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    over_tls: bool,
    cancel: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(OverTls(over_tls));
            let mut response = router.oneshot(request).await?;
            dress(&mut response, over_tls);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_buf_size(HEAD_BYTES);
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
        tracing::trace!(%error, "a web connection ended");
    }
}

fn dress(response: &mut Response<Body>, over_tls: bool) {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    if over_tls {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(HeaderName::from_static("strict-transport-security"), a_year);
    }
}

//! Sockets of the door, with limits.
//!
//! Invariant: a slow or a greedy peer costs one seat for a limited time.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use pool::accept::{Room, connections};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Open connections at most, and of one address: many workers may sit behind one.
const CONNECTIONS_MAX: usize = 10_000;
const CONNECTIONS_OF_ONE_MAX: usize = 1024;
/// How long a request's head may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a request may take, its body included.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 * 1024;

pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    proxies: Vec<IpAddr>,
    tasks: TaskTracker,
    cancel: CancellationToken,
) {
    let (all, own) = (CONNECTIONS_MAX, CONNECTIONS_OF_ONE_MAX);
    let room = Room { name: "compute", all, own, proxies };
    let serve = |stream, peer| {
        let (tls, router, cancel) = (tls.clone(), router.clone(), cancel.clone());
        async move {
            let Some(tls) = tls else { return converse(stream, peer, router, cancel).await };
            match tokio::time::timeout(HEAD_LIMIT, tls.accept(stream)).await {
                Ok(Ok(stream)) => converse(stream, peer, router, cancel).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS greeting failed"),
                Err(_) => tracing::debug!("a TLS greeting took too long"),
            }
        }
    };
    connections(listener, room, &tasks, &cancel, serve).await;
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    cancel: CancellationToken,
) {
    let answer = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            match tokio::time::timeout(REQUEST_LIMIT, router.oneshot(request)).await {
                Ok(answered) => answered,
                Err(_) => {
                    let mut late = axum::response::Response::new(Body::empty());
                    *late.status_mut() = axum::http::StatusCode::REQUEST_TIMEOUT;
                    Ok(late)
                }
            }
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
        tracing::trace!(%error, "a compute connection ended");
    }
}

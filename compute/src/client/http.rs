//! HTTP to a pool, a sidecar or a relay: one request, one connection, with or without TLS.
//!
//! Invariant: an error says whether the pool said no, or nobody knows whether it heard.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The largest answer read: a lease of large programs.
const ANSWER_MAX: usize = 8 << 20;
/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Text that is no server's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no server: write http://HOST:PORT or https://HOST")]
pub struct BadAddress(String);

/// Why there is no answer that counts.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It says no.
    #[error("{detail}")]
    Refused {
        /// HTTP's number.
        status: u16,
        /// In words.
        detail: String,
        /// When to come again, in seconds.
        retry_after: Option<u64>,
    },
    /// Nobody knows whether it heard.
    #[error("no answer from {0}")]
    Unknown(String),
}

/// A server's address.
#[derive(Clone)]
pub(crate) struct Http {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Http {
    pub(crate) fn new(address: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(address.to_owned());
        let uri: hyper::Uri = address.parse().map_err(|_| bad())?;
        let host = uri.host().ok_or_else(bad)?.to_owned();
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(connector()), 443),
            _ => return Err(bad()),
        };
        if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
            return Err(bad());
        }
        Ok(Http { host, port: uri.port_u16().unwrap_or(port), tls })
    }

    pub(crate) async fn get(
        &self,
        target: &str,
        headers: &[(&str, String)],
    ) -> Result<Value, HttpError> {
        self.ask(Method::GET, target, headers, String::new()).await
    }

    pub(crate) async fn post(
        &self,
        target: &str,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<Value, HttpError> {
        self.ask(Method::POST, target, headers, body).await
    }

    /// Nothing (JSON's null) where the server has nothing to say (204).
    async fn ask(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<Value, HttpError> {
        let unknown = |error: &dyn std::fmt::Display| {
            HttpError::Unknown(format!("{}:{}: {error}", self.host, self.port))
        };
        let asked = tokio::time::timeout(LIMIT, self.exchange(method, target, headers, body)).await;
        let (status, retry_after, bytes) =
            asked.map_err(|_| unknown(&"it took too long"))?.map_err(|error| unknown(&error))?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status == 200 || status == 204 {
            return Ok(body);
        }
        let said = body["detail"].as_str().or(body["message"].as_str());
        let detail = said.map_or_else(|| format!("HTTP {status}"), str::to_owned);
        Err(HttpError::Refused { status, detail, retry_after })
    }

    async fn exchange(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<(u16, Option<u64>, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", format!("{}:{}", self.host, self.port))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let stream = TcpStream::connect((self.host.trim_matches(['[', ']']), self.port)).await?;
        match &self.tls {
            None => send(stream, request).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                send(tls.connect(name, stream).await?, request).await
            }
        }
    }
}

fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn send<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Option<u64>, Bytes), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let retry = response.headers().get("retry-after");
    let retry_after = retry.and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = Limited::new(response.into_body(), ANSWER_MAX).collect().await?.to_bytes();
    driven.abort();
    Ok((status, retry_after, bytes))
}

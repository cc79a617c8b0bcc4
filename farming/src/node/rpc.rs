//! A Chia service's RPC: HTTPS with certificates on both sides, JSON in and out.
//!
//! Invariant: an error says which kind it is: the service heard us and says no, or nobody knows whether it heard. A service is
//! believed only if the same private authority signed for it as for us.

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{DATE, HeaderMap};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The largest answer read: a thousand coin records have a third of a megabyte.
const ANSWER_MAX: usize = 16 << 20;
/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may take.
const CALL: Duration = Duration::from_secs(30);
/// Connections that are kept for the next call.
const KEPT_MAX: usize = 8;
/// The name in every certificate that Chia's software makes for itself.
const CERTIFIED_NAME: &str = "chia.net";

type Sender = http1::SendRequest<Full<Bytes>>;

/// Where a service is, and how to prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port.
    pub address: String,
    /// The private authority's certificate: `config/ssl/ca/private_ca.crt` in the service's folder.
    pub authority: PathBuf,
    /// Our certificate: `config/ssl/full_node/private_full_node.crt`, or another that the authority signed.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The service answered with an error: it heard us and says no.
    #[error("the node says: {message}")]
    Refused {
        /// Its code, such as `COIN_RECORD_NOT_FOUND`; empty from services before 2.7.
        code: String,
        /// Its message.
        message: String,
    },
    /// The files that prove who we are cannot be used.
    #[error("{0}")]
    Credentials(String),
    /// The answer is longer than is read: whoever asks for less is answered.
    #[error("the node's answer to {0} is longer than is read")]
    TooLong(String),
    /// Nobody knows whether the service heard us.
    #[error("no answer from the node: {0}")]
    Unknown(String),
}

impl RpcError {
    /// Did the service say that this code (or, before it had codes, such a text) is why?
    #[must_use]
    pub fn says(&self, wanted: &str, text: &str) -> bool {
        match self {
            RpcError::Refused { code, message } => code == wanted || message.contains(text),
            RpcError::Credentials(_) | RpcError::TooLong(_) | RpcError::Unknown(_) => false,
        }
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    success: bool,
    #[serde(default)]
    error: Option<String>,
    #[serde(default, rename = "structuredError")]
    structured: Option<Structured>,
}

#[derive(Deserialize)]
struct Structured {
    #[serde(default)]
    code: String,
}

/// Why there is no body.
enum Failed {
    TooLong,
    Unheard(String),
}

impl From<String> for Failed {
    fn from(error: String) -> Self {
        Failed::Unheard(error)
    }
}

/// A client of one service.
pub struct Rpc {
    endpoint: Endpoint,
    tls: TlsConnector,
    kept: Mutex<Vec<Sender>>,
    /// Seconds that its clock is ahead of ours, by the date of its newest answer.
    ahead_s: AtomicI64,
}

impl Rpc {
    /// A client that connects when first used.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn new(endpoint: Endpoint) -> Result<Self, RpcError> {
        let tls = TlsConnector::from(Arc::new(credentials(&endpoint)?));
        Ok(Rpc { endpoint, tls, kept: Mutex::default(), ahead_s: AtomicI64::new(0) })
    }

    /// Where it connects to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.endpoint.address
    }

    /// Seconds that the service's clock is ahead of ours; a second of it is only rounding.
    #[must_use]
    pub fn ahead_s(&self) -> i64 {
        self.ahead_s.load(Ordering::Relaxed)
    }

    /// Calls a method and reads its result.
    ///
    /// # Errors
    /// See [`RpcError`]; a result of another shape than expected is [`RpcError::Unknown`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: &Value,
    ) -> Result<T, RpcError> {
        let body = self.exchange(method, parameters).await.map_err(|error| match error {
            Failed::TooLong => RpcError::TooLong(method.to_owned()),
            Failed::Unheard(error) => {
                RpcError::Unknown(format!("{}: {method}: {error}", self.endpoint.address))
            }
        })?;
        let other = |error: serde_json::Error| {
            RpcError::Unknown(format!("{method} answered something else: {error}"))
        };
        let reply: Reply = serde_json::from_slice(&body).map_err(other)?;
        if !reply.success {
            let code = reply.structured.map(|structured| structured.code).unwrap_or_default();
            let message = reply.error.unwrap_or_else(|| format!("{method} failed"));
            return Err(RpcError::Refused { code, message });
        }
        serde_json::from_slice(&body).map_err(other)
    }

    async fn exchange(&self, method: &str, parameters: &Value) -> Result<Bytes, Failed> {
        let exchange = async {
            let mut sender = self.sender().await?;
            let request = Request::post(format!("/{method}"))
                .header("host", &self.endpoint.address)
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(parameters.to_string())))
                .map_err(|error| error.to_string())?;
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            if let Some(ahead_s) = clock_of(answer.headers()) {
                self.ahead_s.store(ahead_s, Ordering::Relaxed);
            }
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => Failed::TooLong,
                false => Failed::Unheard(error.to_string()),
            })?;
            self.keep(sender);
            Ok(body.to_bytes())
        };
        match tokio::time::timeout(CALL, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Failed::Unheard(format!("no answer in {} s", CALL.as_secs()))),
        }
    }

    /// A connection: one that was kept and still stands, or a new one.
    async fn sender(&self) -> Result<Sender, String> {
        while let Some(mut kept) = self.take_kept() {
            if kept.ready().await.is_ok() {
                return Ok(kept);
            }
        }
        match tokio::time::timeout(CONNECT, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err("it does not take connections".into()),
        }
    }

    fn take_kept(&self) -> Option<Sender> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, sender: Sender) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(sender);
        }
    }

    async fn connect(&self) -> Result<Sender, String> {
        let stream =
            TcpStream::connect(&self.endpoint.address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let name = ServerName::try_from(CERTIFIED_NAME).map_err(|error| error.to_string())?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| error.to_string())?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a node's connection ended");
            }
        });
        Ok(sender)
    }
}

/// Seconds that the clock of whoever dated an answer is ahead of ours.
fn clock_of(headers: &HeaderMap) -> Option<i64> {
    let theirs = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let seconds = |span: Duration| i64::try_from(span.as_secs()).ok();
    match theirs.duration_since(SystemTime::now()) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => seconds(behind.duration()).map(|behind| -behind),
    }
}

fn credentials(endpoint: &Endpoint) -> Result<ClientConfig, RpcError> {
    let told = |path: &Path, error: &dyn std::fmt::Display| {
        RpcError::Credentials(format!("{}: {error}", path.display()))
    };
    let read = |path: &Path| -> Result<Vec<CertificateDer<'static>>, RpcError> {
        let all = CertificateDer::pem_file_iter(path).map_err(|error| told(path, &error))?;
        all.collect::<Result<_, _>>().map_err(|error| told(path, &error))
    };
    let mut roots = RootCertStore::empty();
    for certificate in read(&endpoint.authority)? {
        roots.add(certificate).map_err(|error| told(&endpoint.authority, &error))?;
    }
    let own = read(&endpoint.certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&endpoint.key).map_err(|error| told(&endpoint.key, &error))?;
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&endpoint.certificate, &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(own, key)
        .map_err(|error| told(&endpoint.certificate, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/node");
        let endpoint = Endpoint {
            address: "127.0.0.1:1".into(),
            authority: fixtures.join("private_ca.crt"),
            certificate: fixtures.join("node.crt"),
            key: fixtures.join("node.key"),
        };
        assert!(Rpc::new(endpoint.clone()).is_ok());
        let missing = Endpoint { key: fixtures.join("nothing.key"), ..endpoint.clone() };
        let Err(RpcError::Credentials(text)) = Rpc::new(missing) else { panic!("no key") };
        assert!(text.contains("nothing.key"), "{text}");
        let empty = Endpoint { certificate: fixtures.join("node.key"), ..endpoint };
        assert!(matches!(Rpc::new(empty), Err(RpcError::Credentials(_))));
    }
}

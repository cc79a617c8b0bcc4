//! A small HTTP client that only posts: one connection for each notice, no redirects, no cookies.
//!
//! Invariant: an answer costs at most 64 KiB, and a certificate is believed only if the roots that browsers trust vouch for it.

use super::channel::{Fault, Trouble};
use super::secret::Secret;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Bytes read of an answer.
const ANSWER_MAX: usize = 64 * 1024;
/// How long connecting may take for each of a host's addresses.
const CONNECT: Duration = Duration::from_secs(5);
/// Nobody is left alone for longer, whatever they ask for.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Parts of an address from this length on may be secrets.
const SECRET_PART_MIN: usize = 8;

const AGENT: &str = concat!("adit/", env!("CARGO_PKG_VERSION"));

/// An `http` or `https` address. Its path may be a secret and is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    is_tls: bool,
    /// As in the `Host` header.
    authority: String,
    host: String,
    port: u16,
    /// Path and query.
    path: String,
}

impl Address {
    /// Checks scheme, host and user, in this order. `field` names the value.
    pub fn parse(field: &'static str, url: &Secret) -> Result<Self, Fault> {
        let fault = |trouble: &str| (field, trouble.to_owned());
        // The value itself may be as good as a password, so the error shows no more than its scheme.
        let scheme = url.word().split_once("://").map(|(scheme, _)| scheme);
        let stranger = match scheme {
            Some(scheme) => format!("{scheme}://… is no http(s) address"),
            None => "what is written there is no http(s) address".into(),
        };
        let uri: Uri = url.word().parse().map_err(|_| fault(&stranger))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(fault(&stranger)),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let Some(authority) = authority else {
            return Err(fault("an http(s) address needs a host"));
        };
        if authority.as_str().contains('@') {
            return Err(fault("user and password cannot be written into the address"));
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Address { is_tls, authority: authority.as_str().to_owned(), host, port, path })
    }

    /// The address with more path behind it.
    pub fn join(&self, more: &str) -> Self {
        let path = format!("{}/{more}", self.path.trim_end_matches('/'));
        Address { path, ..self.clone() }
    }

    /// The parts of its path and query that may be secrets.
    pub fn secrets(&self) -> Vec<Secret> {
        let parts = self.path.split(['/', '?', '&', '=']);
        parts.filter(|part| part.len() >= SECRET_PART_MIN).map(Secret::from).collect()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}/…", self.authority)
    }
}

/// Posts.
#[derive(Clone)]
pub(super) struct Client {
    tls: TlsConnector,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// One that believes the roots that browsers trust.
    pub fn new() -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self::trusting(roots)
    }

    fn trusting(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client { tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Posts. `Ok`: the answer's status was 2xx.
    pub async fn post(
        &self,
        to: &Address,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<(), Trouble> {
        let request = request(to, headers, body.into())?;
        let stream = connect(&to.host, to.port).await?;
        let answer = if to.is_tls {
            let name = ServerName::try_from(to.host.clone());
            let name = name.map_err(|_| format!("{} cannot be in a certificate", to.host))?;
            let stream = self.tls.connect(name, stream).await;
            exchange(stream.map_err(|error| no_answer(to, &error))?, to, request).await?
        } else {
            exchange(stream, to, request).await?
        };
        if answer.status.is_success() {
            return Ok(());
        }
        let what = format!("{} answered {}: {}", to.authority, answer.status, answer.text);
        let pause = answer.pause().filter(|_| answer.status == StatusCode::TOO_MANY_REQUESTS);
        Err(Trouble { what, pause })
    }
}

struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    text: String,
}

impl Answer {
    /// How long the other side wants to be left alone: the header that RFC 9110 knows (as seconds), or what Discord
    /// (`retry_after`) and Telegram (`parameters.retry_after`) write into the body. The longest counts.
    fn pause(&self) -> Option<Duration> {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        let in_header = self.retry_after.as_ref().and_then(|text| text.trim().parse().ok());
        let in_body = [&body["retry_after"], &body["parameters"]["retry_after"]];
        in_body
            .into_iter()
            .map(Value::as_f64)
            .chain([in_header])
            .flatten()
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(PAUSE_MAX))
            .map(|pause| pause.min(PAUSE_MAX))
            .max()
    }
}

fn request(to: &Address, headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, Trouble> {
    let mut request = Request::post(&to.path)
        .body(Full::new(body))
        .map_err(|_| Trouble::from(format!("{to:?} cannot be asked for")))?;
    let host = HeaderValue::from_str(&to.authority)
        .map_err(|_| Trouble::from(format!("{to:?} cannot be asked for")))?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}

/// Tries a host's addresses one after the other, so that one that swallows packets does not hide the next.
async fn connect(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let found = lookup_host((host, port)).await;
    let mut trouble = format!("{host} has no address");
    for address in found.map_err(|error| format!("{host} is not found: {error}"))? {
        trouble = match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => format!("no connection to {host} ({address}): {error}"),
            Err(_) => format!("no connection to {host} ({address}) in {} s", CONNECT.as_secs()),
        };
    }
    Err(trouble.into())
}

fn no_answer(to: &Address, error: &dyn std::error::Error) -> Trouble {
    format!("no answer from {}: {error}", to.authority).into()
}

async fn exchange<S>(
    stream: S,
    to: &Address,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = http1::Builder::new().max_buf_size(ANSWER_MAX).handshake(TokioIo::new(stream));
    let (mut sender, line) = handshake.await.map_err(|error| no_answer(to, &error))?;
    let talk = async {
        let answer = sender.send_request(request).await.map_err(|error| no_answer(to, &error))?;
        Ok(read(answer).await)
    };
    // The connection is driven here and ends with this call: nothing is left running. Its own end says nothing that `talk`
    // does not hear too.
    tokio::pin!(talk, line);
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut talk => return answer,
            _ = &mut line, if is_open => is_open = false,
        }
    }
}

/// Reads an answer; of one that is good, only the status: what a slow body says after it changes nothing.
async fn read(answer: Response<Incoming>) -> Answer {
    let (head, mut body) = answer.into_parts();
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let mut bytes: Vec<u8> = Vec::new();
    while !head.status.is_success() && bytes.len() < ANSWER_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        let data = frame.data_ref().map(|data| &data[..]).unwrap_or_default();
        bytes.extend_from_slice(&data[..data.len().min(ANSWER_MAX - bytes.len())]);
    }
    Answer {
        status: head.status,
        retry_after: retry_after.map(Into::into),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::service::service_fn;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    const CERTIFICATE: &[u8] = include_bytes!("../../../adit/tests/fixtures/pool.crt.pem");
    const KEY: &[u8] = include_bytes!("../../../adit/tests/fixtures/pool.key.pem");

    fn parse(url: &str) -> Result<Address, Fault> {
        Address::parse("url", &url.into())
    }

    #[test]
    fn an_address_is_http_or_https_with_a_host_and_no_user() {
        let found = parse("https://example.org/a?b=c").unwrap();
        assert_eq!((found.is_tls, found.port, found.path.as_str()), (true, 443, "/a?b=c"));
        let found = parse("http://[::1]:81").unwrap();
        assert_eq!((found.host.as_str(), found.port, found.path.as_str()), ("::1", 81, "/"));
        for wrong in [
            "",
            "example.org",
            "/path",
            "ftp://example.org/",
            "https://",
            "https:///x",
            "https://:443/",
            "https://user:word@example.org/",
            "https://exa mple.org/",
            "file:///etc/passwd",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_printed_without_its_path() {
        let found = parse("https://example.org:444/hooks/very-secret").unwrap();
        assert_eq!(format!("{found:?}"), "https://example.org:444/…");
        assert_eq!(found.secrets(), [Secret::from("very-secret")]);
        let (_, trouble) = parse("ftp://very-secret").unwrap_err();
        assert_eq!(trouble, "ftp://… is no http(s) address");
    }

    #[test]
    fn the_longest_of_the_pauses_asked_for_counts_up_to_an_hour() {
        let pause = |header: Option<&str>, body: &str| {
            let answer = Answer {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after: header.map(Into::into),
                text: body.into(),
            };
            answer.pause().map(|pause| pause.as_millis())
        };
        assert_eq!(pause(None, "no JSON"), None);
        assert_eq!(pause(Some("Fri, 31 Dec 1999 23:59:59 GMT"), "{}"), None);
        assert_eq!(pause(Some("7"), r#"{"retry_after":6.5}"#), Some(7_000));
        assert_eq!(pause(None, r#"{"retry_after":6.5}"#), Some(6_500));
        assert_eq!(pause(None, r#"{"parameters":{"retry_after":9}}"#), Some(9_000));
        assert_eq!(pause(Some("1e300"), ""), Some(3_600_000));
        assert_eq!(pause(Some("-3"), ""), None);
    }

    /// A server with the tests' certificate that answers one request, or fails to.
    async fn https() -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
                PrivateKeyDer::from_pem_slice(KEY).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = service_fn(async |_| {
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("ok"))))
            });
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), answer).await);
        });
        parse(&format!("https://localhost:{port}/")).unwrap()
    }

    #[tokio::test]
    async fn https_reaches_a_server_that_a_trusted_root_vouches_for() {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
        let client = Client::trusting(roots);
        client.post(&https().await, HeaderMap::new(), "hello").await.unwrap();
    }

    #[tokio::test]
    async fn https_refuses_a_server_that_nobody_vouches_for() {
        let trouble = Client::new().post(&https().await, HeaderMap::new(), "hello").await;
        let what = trouble.unwrap_err().what;
        assert!(what.contains("certificate"), "{what}");
    }
}

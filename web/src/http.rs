//! A small HTTP client: one connection for each question, no redirects, no cookies.
//!
//! Invariant: an answer costs at most what whoever asks allows, and a certificate is believed only if the roots that browsers
//! trust vouch for it, or one that the operator named.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Bytes read of an answer's head.
const HEAD_MAX: usize = 64 * 1024;
/// How long connecting may take for each of a host's addresses.
const CONNECT: Duration = Duration::from_secs(5);

const AGENT: &str = concat!("adit/", env!("CARGO_PKG_VERSION"));

/// An `http` or `https` address. Its path may be a secret and is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    is_tls: bool,
    /// As in the `Host` header.
    authority: String,
    host: String,
    port: u16,
    /// Path and query.
    path: String,
}

impl Address {
    /// Checks scheme, host and user, in this order.
    ///
    /// # Errors
    /// What is wrong, in words that show no more of the value than its scheme: it may be as good as a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let stranger = match url.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://… is no http(s) address"),
            None => "what is written there is no http(s) address".into(),
        };
        let uri: Uri = url.parse().map_err(|_| stranger.clone())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(stranger),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or("an http(s) address needs a host")?;
        if authority.as_str().contains('@') {
            return Err("user and password cannot be written into the address".into());
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Address { is_tls, authority: authority.as_str().to_owned(), host, port, path })
    }

    /// The address with more path behind it.
    #[must_use]
    pub fn join(&self, more: &str) -> Self {
        let path = format!("{}/{more}", self.path.trim_end_matches('/'));
        Address { path, ..self.clone() }
    }

    /// Path and query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port, as they may be printed.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}/…", self.authority)
    }
}

/// As a part of a path or query: everything but letters, digits and `-._~` in percent signs (RFC 3986).
#[must_use]
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Asks.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// One that believes the roots that browsers trust.
    #[must_use]
    pub fn new() -> Self {
        Self::trusting(browser_roots())
    }

    /// One that believes the certificates of a PEM file too.
    ///
    /// # Errors
    /// When there is no certificate in it.
    pub fn believing(pem: &[u8]) -> Result<Self, String> {
        let mut roots = browser_roots();
        let known = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("no PEM file: {error:?}"))?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        match roots.len() > known {
            true => Ok(Self::trusting(roots)),
            false => Err("there is no certificate in it".into()),
        }
    }

    fn trusting(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client { tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Gets; up to so many bytes.
    ///
    /// # Errors
    /// When there is no answer, or a longer one.
    pub async fn get(&self, from: &Address, most: usize) -> Result<Answer, String> {
        let answer = self.send(Method::GET, from, HeaderMap::new(), Bytes::new(), |_| most);
        let answer = answer.await?;
        match answer.is_whole {
            true => Ok(answer),
            false => Err(format!("{} sent an answer that does not end", from.authority)),
        }
    }

    /// Sends a request; of the answer's body, so many bytes are read as its status is worth.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        method: Method,
        to: &Address,
        headers: HeaderMap,
        body: Bytes,
        most: impl Fn(StatusCode) -> usize,
    ) -> Result<Answer, String> {
        let request = request(method, to, headers, body)?;
        let stream = connect(&to.host, to.port).await?;
        if !to.is_tls {
            return exchange(stream, to, request, most).await;
        }
        let name = ServerName::try_from(to.host.clone());
        let name = name.map_err(|_| format!("{} cannot be in a certificate", to.host))?;
        let stream = self.tls.connect(name, stream).await;
        exchange(stream.map_err(|error| no_answer(to, &error))?, to, request, most).await
    }
}

fn browser_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// When to ask again, in seconds, as RFC 9110 writes it.
    pub retry_after: Option<String>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// Was it read to its end?
    pub is_whole: bool,
}

fn request(
    method: Method,
    to: &Address,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, String> {
    let unaskable = || format!("{to:?} cannot be asked for");
    let host = HeaderValue::from_str(&to.authority).map_err(|_| unaskable())?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = to.path.parse().map_err(|_| unaskable())?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}

/// Tries a host's addresses one after the other, so that one that swallows packets does not hide the next.
async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let found = lookup_host((host, port)).await;
    let mut trouble = format!("{host} has no address");
    for address in found.map_err(|error| format!("{host} is not found: {error}"))? {
        trouble = match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => format!("no connection to {host} ({address}): {error}"),
            Err(_) => format!("no connection to {host} ({address}) in {} s", CONNECT.as_secs()),
        };
    }
    Err(trouble)
}

fn no_answer(to: &Address, error: &dyn std::error::Error) -> String {
    format!("no answer from {}: {error}", to.authority)
}

async fn exchange<S>(
    stream: S,
    to: &Address,
    request: Request<Full<Bytes>>,
    most: impl Fn(StatusCode) -> usize,
) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = http1::Builder::new().max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream));
    let (mut sender, line) = handshake.await.map_err(|error| no_answer(to, &error))?;
    let talk = async {
        let answer = sender.send_request(request).await.map_err(|error| no_answer(to, &error))?;
        Ok(read(answer, most).await)
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

async fn read(answer: Response<Incoming>, most: impl Fn(StatusCode) -> usize) -> Answer {
    let (head, mut rest) = answer.into_parts();
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let most = most(head.status);
    let (mut body, mut is_whole): (Vec<u8>, bool) = (Vec::new(), false);
    while !is_whole && most > 0 {
        match rest.frame().await {
            None => is_whole = true,
            Some(Err(_)) => break,
            Some(Ok(frame)) => {
                let data = frame.data_ref().map(|data| &data[..]).unwrap_or_default();
                let room = most.saturating_sub(body.len());
                body.extend(data.iter().take(room));
                if data.len() > room {
                    break;
                }
            }
        }
    }
    let retry_after = retry_after.map(Into::into);
    Answer { status: head.status, retry_after, body, is_whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certified::{CERTIFICATE, acceptor};
    use hyper::service::service_fn;
    use tokio::net::TcpListener;

    fn parse(url: &str) -> Result<Address, String> {
        Address::parse(url)
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
    fn a_name_cannot_leave_its_place_in_a_path() {
        assert_eq!(encoded("../x?y#z:1"), "..%2Fx%3Fy%23z%3A1");
        assert_eq!(encoded("bc1q.w_k-1~"), "bc1q.w_k-1~");
    }

    #[test]
    fn an_address_is_printed_without_its_path() {
        let found = parse("https://example.org:444/hooks/very-secret").unwrap();
        assert_eq!(format!("{found:?}"), "https://example.org:444/…");
        let trouble = parse("ftp://very-secret").unwrap_err();
        assert_eq!(trouble, "ftp://… is no http(s) address");
    }

    /// A server with the tests' certificate that answers one request, or fails to.
    async fn https() -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = acceptor();
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
        let client = Client::believing(CERTIFICATE).unwrap();
        let answer = client.get(&https().await, 100).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, b"ok".as_slice()));
        assert!(Client::believing(b"nothing").is_err());
    }

    #[tokio::test]
    async fn https_refuses_a_server_that_nobody_vouches_for() {
        let trouble = Client::new().get(&https().await, 100).await.unwrap_err();
        assert!(trouble.contains("certificate"), "{trouble}");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_none() {
        let client = Client::believing(CERTIFICATE).unwrap();
        let trouble = client.get(&https().await, 1).await.unwrap_err();
        assert!(trouble.contains("does not end"), "{trouble}");
    }
}

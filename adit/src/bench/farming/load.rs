//! Who asks: askers that send partials, or questions about farmers, as fast as they are answered. Each request comes over a new
//! connection with a whole handshake, because the released farmer makes one for each.

use super::farm::Farm;
use super::node::roots;
use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;

/// What was answered.
pub struct Outcome {
    pub count: usize,
    took: Duration,
    /// Milliseconds that all but one of a hundred were answered in.
    pub p99_ms: u64,
}

impl Outcome {
    pub fn per_s(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

#[derive(Clone)]
struct Asker {
    port: u16,
    connector: TlsConnector,
}

impl Asker {
    fn new(port: u16) -> anyhow::Result<Self> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots()?)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Asker { port, connector: TlsConnector::from(Arc::new(config)) })
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = self.connector.connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the bench ended");
            }
        });
        Ok(sender)
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> anyhow::Result<Bytes> {
        let mut sender = self.connect().await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(Full::new(Bytes::from(body)))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{path}: HTTP {status}");
        Ok(body)
    }
}

/// Does the pool answer?
pub async fn is_up(port: u16) -> anyhow::Result<()> {
    Asker::new(port)?.ask(Method::GET, "/pool_info", String::new()).await.map(drop)
}

/// Has every farmer join.
pub async fn register(farm: &Farm, port: u16) -> anyhow::Result<()> {
    let asker = Asker::new(port)?;
    for farmer in &farm.farmers {
        let answer = asker.ask(Method::POST, "/farmer", farmer.introduction()).await?;
        expect(&answer, "welcome_message")?;
    }
    Ok(())
}

fn expect(answer: &[u8], key: &str) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(answer);
    ensure!(text.contains(key), "the pool answered {text}");
    Ok(())
}

/// Sends every partial once.
pub async fn partials(farm: &Arc<Farm>, port: u16, askers: usize) -> anyhow::Result<Outcome> {
    let next = Arc::new(AtomicUsize::new(0));
    asked(port, askers, move |_| {
        let (farm, next) = (farm.clone(), next.clone());
        move || {
            let body = farm.partials.get(next.fetch_add(1, Ordering::Relaxed)).cloned();
            body.map(|body| (Method::POST, "/partial".to_owned(), body, "new_difficulty"))
        }
    })
    .await
}

/// Has farmers ask about themselves for so long.
pub async fn polls(
    farm: &Arc<Farm>,
    port: u16,
    askers: usize,
    span: Duration,
) -> anyhow::Result<Outcome> {
    let until = Instant::now() + span;
    asked(port, askers, |number| {
        let asking = &farm.farmers[number % farm.farmers.len()];
        let question = asking.question();
        move || {
            let goes_on = Instant::now() < until;
            goes_on.then(|| (Method::GET, question.clone(), String::new(), "current_difficulty"))
        }
    })
    .await
}

type Question = (Method, String, String, &'static str);

async fn asked<F>(
    port: u16,
    askers: usize,
    questions: impl Fn(usize) -> F,
) -> anyhow::Result<Outcome>
where
    F: FnMut() -> Option<Question> + Send + 'static,
{
    let asker = Asker::new(port)?;
    let began = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..askers {
        let (asker, mut question) = (asker.clone(), questions(number));
        running.spawn(async move {
            let mut waits = Vec::new();
            while let Some((method, path, body, key)) = question() {
                let since = Instant::now();
                let answer = asker.ask(method, &path, body).await?;
                waits.push(since.elapsed());
                expect(&answer, key)?;
            }
            anyhow::Ok(waits)
        });
    }
    let mut waits = Vec::new();
    while let Some(ended) = running.join_next().await {
        waits.extend(ended.context("an asker")??);
    }
    let took = began.elapsed();
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
    let p99_ms = u64::try_from(p99.as_millis()).unwrap_or(u64::MAX);
    Ok(Outcome { count: waits.len(), took, p99_ms })
}

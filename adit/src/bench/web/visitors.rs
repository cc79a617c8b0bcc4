//! Visitors: each asks one thing over a connection of its own, at a time that was fixed before.
//!
//! Invariant: a time counts from when the visitor was to come, not from when it could be served.

use super::super::connection::Latencies;
use super::paths::{Dice, Known, PATHS, Path, Reads};
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Nobody waits longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, as far as it was read.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What came after the head.
    pub body: Vec<u8>,
}

/// Everybody who comes.
pub struct Visitors {
    to: SocketAddr,
    key: String,
    known: Known,
    rate: u32,
    came: AtomicU64,
}

/// How long everybody waited.
pub struct Visits {
    /// By path.
    pub by_path: Vec<Latencies>,
    /// From the first visitor's coming to the last one's answer.
    pub took: Duration,
}

impl Visitors {
    /// So many a second.
    pub fn new(to: SocketAddr, key: String, known: Known, rate: u32) -> Self {
        Visitors { to, key, known, rate: rate.max(1), came: AtomicU64::new(1) }
    }

    fn request(&self, path: &Path, dice: &mut Dice) -> String {
        let asked = self.known.fill_in(path.template, dice);
        format!(
            "GET {asked} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nX-Api-Key: {}\r\n\r\n",
            self.to, self.key
        )
    }

    /// Looks whether every path is answered as it should be, one after the other.
    ///
    /// # Errors
    /// The first that is not.
    pub fn ask_everything_once(&self) -> anyhow::Result<()> {
        let mut dice = Dice::new(0);
        self.block_on(async {
            for path in PATHS {
                let request = self.request(path, &mut dice);
                ask(self.to, &request, path).await?;
            }
            Ok(())
        })
    }

    /// Visitors come for so long, and stay until they are served.
    ///
    /// # Errors
    /// When one is not, or not as it should be.
    pub fn come(&self, span: Duration) -> anyhow::Result<Visits> {
        // Others come each time.
        let mut dice = Dice::new(self.came.fetch_add(1, Ordering::Relaxed));
        self.block_on(async {
            let mut by_path = vec![Latencies::default(); PATHS.len()];
            let mut waiting: JoinSet<anyhow::Result<(usize, Duration)>> = JoinSet::new();
            let (began, each) = (Instant::now(), Duration::from_secs(1) / self.rate);
            let mut order: Vec<usize> = Vec::new();
            let mut due = began;
            while due < began + span {
                if order.is_empty() {
                    order = dice.shuffled(PATHS.len());
                }
                let at = order.pop().context("there are paths")?;
                let path = PATHS.get(at).context("the order is of all paths")?;
                let (request, to) = (self.request(path, &mut dice), self.to);
                tokio::time::sleep_until(due).await;
                waiting.spawn(async move {
                    ask(to, &request, path).await?;
                    Ok((at, due.elapsed()))
                });
                while let Some(served) = waiting.try_join_next() {
                    let (at, time) = served??;
                    by_path[at].note(time);
                }
                due += each;
            }
            while let Some(served) = waiting.join_next().await {
                let (at, time) = served??;
                by_path[at].note(time);
            }
            Ok(Visits { by_path, took: began.elapsed() })
        })
    }

    fn block_on<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
    }
}

/// Asks, and checks the status.
async fn ask(to: SocketAddr, request: &str, path: &Path) -> anyhow::Result<()> {
    let asking = async {
        let mut stream = tokio::net::TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::with_capacity(64 * 1024);
        loop {
            let read = stream.read_buf(&mut bytes).await?;
            let is_enough = path.reads == Reads::Head && head_of(&bytes).is_some();
            if read == 0 || is_enough {
                return Ok::<_, std::io::Error>(bytes);
            }
        }
    };
    let line = || request.lines().next().unwrap_or_default().to_owned();
    let bytes = tokio::time::timeout(PATIENCE, asking)
        .await
        .with_context(|| format!("{}: no answer in {} s", line(), PATIENCE.as_secs()))?
        .with_context(line)?;
    let answer = answer_of(bytes).with_context(line)?;
    if answer.status != path.status {
        let said: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
        bail!("{}: status {} instead of {}: {said}", line(), answer.status, path.status);
    }
    Ok(())
}

/// One thing, for who can wait.
///
/// # Errors
/// When there is no answer.
pub fn get(to: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    answer_of(bytes)
}

/// How long the head is, once it is complete.
fn head_of(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n")
}

fn answer_of(mut bytes: Vec<u8>) -> anyhow::Result<Answer> {
    let head = head_of(&bytes).context("the answer has no head")?;
    let body = bytes.split_off(head + 4);
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.context("the answer has no status")?, body })
}

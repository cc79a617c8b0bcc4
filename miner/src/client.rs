//! The miner itself: keeps a connection, feeds the threads, sends what they find.
//!
//! Invariant: a line that breaks is taken up again, ever more patiently, until the miner is stopped.

use crate::hash::Hash;
use crate::hasher::Hasher;
use crate::session::{Action, Greeting, Session};
use crate::work::Found;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The longest line read.
const LINE_MAX: u64 = 1 << 20;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Nothing heard for so long: the line is dead.
const SILENCE: Duration = Duration::from_secs(300);
/// Hashrate is told over so long.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// How to mine.
#[derive(Debug, Clone)]
pub struct Config {
    /// The pool: host and port.
    pub address: String,
    /// Usually an address, a dot, and the machine's name.
    pub user: String,
    /// Usually `x`, or options such as `d=1000`.
    pub password: String,
    /// How we call ourselves.
    pub user_agent: String,
    /// How headers are hashed.
    pub algorithm: Hash,
    /// Threads that hash.
    pub threads: usize,
    /// Hashes a second, all threads together; `None`: as many as they can.
    pub max_hashrate: Option<f64>,
    /// TLS: the certificate (PEM) to trust.
    pub tls_certificate: Option<PathBuf>,
    /// Asks for this difficulty.
    pub suggest_difficulty: Option<f64>,
    /// Asks to roll version bits.
    pub version_rolling: bool,
    /// Asks to be told of new extranonces.
    pub extranonce_subscribe: bool,
    /// The longest wait between two attempts to connect.
    pub patience: Duration,
}

/// What a miner has done so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// There is a connection.
    pub connected: bool,
    /// The pool accepts the user.
    pub authorized: bool,
    /// Why it does not, or why there is no connection.
    pub trouble: Option<String>,
    /// The difficulty told last.
    pub difficulty: f64,
    /// Hashes done.
    pub hashes: u64,
    /// Hashes a second lately.
    pub hashrate: f64,
    /// Shares sent.
    pub submitted: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares refused, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Shares sent that solve a block.
    pub blocks: u64,
    /// Connections made.
    pub connections: u64,
    /// The job hashed now.
    pub job: String,
    /// What the pool wants people to read.
    pub message: Option<String>,
}

/// A running miner; it stops when dropped.
pub struct Miner {
    stats: watch::Receiver<Stats>,
    task: JoinHandle<()>,
}

impl Miner {
    /// Starts it on the current tokio runtime.
    ///
    /// # Errors
    /// When the certificate cannot be read, or no thread can be started.
    pub fn start(config: Config) -> std::io::Result<Self> {
        let tls = config.tls_certificate.as_deref().map(connector).transpose()?;
        let (hasher, found) = Hasher::start(config.threads, config.max_hashrate)?;
        let (sender, stats) = watch::channel(Stats::default());
        let own = Running {
            config,
            tls,
            hasher,
            found,
            since: None,
            stats: sender,
            resume: None,
            port: None,
            rate: Rate::new(),
        };
        Ok(Miner { stats, task: tokio::spawn(own.run()) })
    }

    /// What it has done; changes are told.
    #[must_use]
    pub fn stats(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }

    /// Stops it, and waits until its threads have ended.
    pub async fn stop(mut self) {
        self.task.abort();
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            tracing::error!(%error, "the miner panicked");
        }
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn connector(path: &std::path::Path) -> std::io::Result<TlsConnector> {
    let wrong = |error: &dyn std::fmt::Display| {
        std::io::Error::other(format!("{}: {error}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

struct Running {
    config: Config,
    tls: Option<TlsConnector>,
    hasher: Hasher,
    found: mpsc::Receiver<(u64, Found)>,
    /// The first work of this connection: shares of older work are worth nothing on it.
    since: Option<u64>,
    stats: watch::Sender<Stats>,
    resume: Option<String>,
    /// Where the pool sent us.
    port: Option<u16>,
    rate: Rate,
}

/// Why a connection ended.
enum Ended {
    /// The pool asked for it: after so many seconds.
    Asked(u64),
    /// Something broke.
    Broken(String),
}

impl Running {
    async fn run(mut self) {
        let mut patience = Duration::from_millis(250);
        loop {
            let before = self.stats.borrow().accepted;
            let ended = match self.connect().await {
                Ok(ended) => ended,
                Err(error) => Ended::Broken(error.to_string()),
            };
            self.hasher.set(None);
            let wait = match ended {
                Ended::Asked(seconds) => Duration::from_secs(seconds.min(60)),
                Ended::Broken(error) => {
                    tracing::debug!(pool = self.config.address, %error, "the line to the pool broke");
                    self.stats.send_modify(|stats| stats.trouble = Some(error));
                    // A connection that was good starts the patience anew.
                    let was_good = self.stats.borrow().accepted > before;
                    patience = if was_good {
                        Duration::from_millis(250)
                    } else {
                        (patience * 2).min(self.config.patience)
                    };
                    patience
                }
            };
            self.stats.send_modify(|stats| {
                stats.connected = false;
                stats.authorized = false;
            });
            tokio::time::sleep(wait).await;
        }
    }

    fn address(&self) -> String {
        match (self.port, self.config.address.rsplit_once(':')) {
            (Some(port), Some((host, _))) => format!("{host}:{port}"),
            _ => self.config.address.clone(),
        }
    }

    async fn connect(&mut self) -> std::io::Result<Ended> {
        let address = self.address();
        // Sent elsewhere once; after that the configured port again.
        self.port = None;
        let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(&address)).await;
        let stream = connecting
            .map_err(|_| std::io::Error::other(format!("{address} does not answer")))??;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.talk(stream).await,
            Some(tls) => {
                let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host).to_owned();
                let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
                let stream = tls.connect(name, stream).await?;
                self.talk(stream).await
            }
        }
    }

    async fn talk(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> std::io::Result<Ended> {
        let greeting = Greeting {
            user_agent: self.config.user_agent.clone(),
            user: self.config.user.clone(),
            password: self.config.password.clone(),
            suggest_difficulty: self.config.suggest_difficulty,
            version_rolling: self.config.version_rolling,
            extranonce_subscribe: self.config.extranonce_subscribe,
        };
        let mut session = Session::new(greeting, self.config.algorithm, self.resume.clone());
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader).take(LINE_MAX);
        let mut hello = session.hello().join("\n");
        hello.push('\n');
        writer.write_all(hello.as_bytes()).await?;
        self.stats.send_modify(|stats| {
            stats.connected = true;
            stats.connections += 1;
            stats.trouble = None;
        });
        self.since = None;
        let mut line = Vec::new();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                read = reader.read_until(b'\n', &mut line) => {
                    let read = read?;
                    if read == 0 || line.last() != Some(&b'\n') {
                        return Ok(Ended::Broken("the pool closed the connection".into()));
                    }
                    heard = Instant::now();
                    let actions = session.take(String::from_utf8_lossy(&line).trim());
                    line.clear();
                    reader.set_limit(LINE_MAX);
                    self.resume = session.resume();
                    for action in actions {
                        if let Action::Send(text) = action {
                            writer.write_all(format!("{text}\n").as_bytes()).await?;
                        } else if let Some(ended) = self.act(action) {
                            return Ok(ended);
                        }
                    }
                }
                found = self.found.recv() => {
                    let Some((work, found)) = found else { return Ok(Ended::Broken("the hashing threads ended".into())) };
                    if self.since.is_none_or(|first| work < first) {
                        continue;
                    }
                    let text = session.submit(&found);
                    writer.write_all(format!("{text}\n").as_bytes()).await?;
                    self.stats.send_modify(|stats| {
                        stats.submitted += 1;
                        stats.blocks += u64::from(found.is_block);
                    });
                }
                _ = second.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Ok(Ended::Broken(format!("the pool was silent for {} s", SILENCE.as_secs())));
                    }
                    let hashes = self.hasher.hashes();
                    let hashrate = self.rate.note(hashes);
                    self.stats.send_modify(|stats| {
                        stats.hashes = hashes;
                        stats.hashrate = hashrate;
                    });
                }
            }
        }
    }

    /// Does what a line asked for; gives the end of the connection, if that is it.
    fn act(&mut self, action: Action) -> Option<Ended> {
        match action {
            Action::Work(work) => {
                self.stats.send_modify(|stats| stats.job.clone_from(&work.job.id));
                let number = self.hasher.set(Some(work));
                self.since.get_or_insert(number);
            }
            Action::Reconnect(port, wait) => {
                self.port = port;
                return Some(Ended::Asked(wait));
            }
            Action::Show(text) => self.stats.send_modify(|stats| stats.message = Some(text)),
            Action::Answered(verdict) => self.stats.send_modify(|stats| match verdict {
                Ok(()) => stats.accepted += 1,
                Err(reason) => *stats.rejected.entry(reason).or_default() += 1,
            }),
            Action::Authorized(verdict) => self.stats.send_modify(|stats| {
                stats.authorized = verdict.is_ok();
                stats.trouble =
                    verdict.err().map(|reason| format!("the pool refuses the user: {reason}"));
            }),
            Action::Difficulty(difficulty) => {
                self.stats.send_modify(|stats| stats.difficulty = difficulty)
            }
            Action::Send(_) => {}
        }
        None
    }
}

/// Hashes a second over the last while.
struct Rate(Vec<(Instant, u64)>);

impl Rate {
    fn new() -> Self {
        Rate(Vec::new())
    }

    fn note(&mut self, hashes: u64) -> f64 {
        let now = Instant::now();
        self.0.retain(|(at, _)| now.duration_since(*at) <= RATE_WINDOW);
        self.0.push((now, hashes));
        match self.0.first() {
            Some((at, before)) if now > *at => {
                (hashes - before) as f64 / now.duration_since(*at).as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

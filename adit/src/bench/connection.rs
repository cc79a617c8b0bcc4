//! The load: connections whose shares were mined before, driven by one thread.
//!
//! The generator shares the machine with the pool, so it is as light as can be: one epoll loop, lines that are ready to be
//! written, answers that are only counted.

use anyhow::{Context, bail};
use devnet::purse::Purse;
use miner::Hash;
use miner::session::{Action, Greeting, Session, Work};
use miner::work::{Found, Variation};
use pow::Algorithm;
use rustix::event::epoll;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long answers are waited for before it is looked at what else is to be done.
const IDLE: Duration = Duration::from_millis(20);
/// A pool that has not answered by then, after the last share was sent, does not answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// Events taken at once.
const EVENTS: usize = 256;

/// Times, in microseconds.
#[derive(Debug, Default, Clone)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Another's as well.
    pub fn join(&mut self, other: &Latencies) {
        self.0.extend_from_slice(&other.0);
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// One more.
    pub fn note(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// So many in a hundred are not above this.
    pub fn percentile(&self, percent: usize) -> u32 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0)
    }
}

/// A connection with its shares.
pub struct Connection {
    stream: TcpStream,
    /// Lines one after the other, and where each ends.
    lines: Vec<u8>,
    ends: Vec<usize>,
    sent: usize,
    in_flight: VecDeque<Instant>,
    /// The beginning of an answer that is not complete yet.
    rest: Vec<u8>,
}

impl Connection {
    /// Connects, greets, and mines so many shares of the first job.
    ///
    /// # Errors
    /// When the pool does not play along.
    pub fn open(pool: SocketAddr, greeting: Greeting, shares: usize) -> anyhow::Result<Self> {
        let (stream, mut session, work) = greeted(pool, greeting, Algorithm::Sha256d.into())?;
        let mut own = Connection {
            lines: Vec::with_capacity(shares * 140),
            ends: Vec::with_capacity(shares),
            ..Connection::of(stream)?
        };
        own.mine(&mut session, &work, shares);
        Ok(own)
    }

    /// A connection that has greeted, and no shares yet.
    ///
    /// # Errors
    /// When the system does not let it wait for nothing.
    pub fn of(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            lines: Vec::new(),
            ends: Vec::new(),
            sent: 0,
            in_flight: VecDeque::new(),
            rest: Vec::new(),
        })
    }

    /// One more share to send.
    pub fn add(&mut self, line: &str) {
        self.lines.extend_from_slice(line.as_bytes());
        self.lines.push(b'\n');
        self.ends.push(self.lines.len());
    }

    fn mine(&mut self, session: &mut Session, work: &Arc<Work>, shares: usize) {
        let extranonce2 = vec![0; work.extranonce2_size];
        let variation = Variation {
            extranonce1: &work.extranonce1,
            extranonce2: &extranonce2,
            version: work.job.version,
            time: work.job.time,
            nonce: 0,
        };
        let mut header = work.job.header(&variation);
        let mut nonce = 0u32;
        while self.ends.len() < shares {
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            let hash = pow::sha256d::header_hash(&header);
            if work.target.is_met_by(&hash) && !work.network.is_met_by(&hash) {
                let found = Found {
                    job: work.job.id.clone(),
                    extranonce2: extranonce2.clone(),
                    time: variation.time,
                    nonce,
                    version_bits: None,
                    is_block: false,
                };
                self.add(&session.submit(&found));
            }
            nonce += 1;
        }
    }

    /// Sends the next shares in one write.
    fn send(&mut self, count: usize) -> anyhow::Result<()> {
        let until = (self.sent + count).min(self.ends.len());
        if until == self.sent {
            return Ok(());
        }
        let start = if self.sent == 0 { 0 } else { self.ends[self.sent - 1] };
        let bytes = &self.lines[start..self.ends[until - 1]];
        // A few kilobytes always fit the socket's buffer, because as much was taken out of it before.
        self.stream.write_all(bytes).context("the pool does not take shares")?;
        let now = Instant::now();
        self.in_flight.extend(std::iter::repeat_n(now, until - self.sent));
        self.sent = until;
        Ok(())
    }

    /// Takes what the pool answered; gives how many shares were accepted.
    fn receive(&mut self, latencies: &mut Latencies) -> anyhow::Result<usize> {
        let mut buffer = [0u8; 16_384];
        let read = match self.stream.read(&mut buffer) {
            Ok(0) => bail!("the pool closed a connection"),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        let mut accepted = 0;
        let mut fresh = &buffer[..read];
        while let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
            let (line, after) = fresh.split_at(end + 1);
            fresh = after;
            let whole;
            let line = if self.rest.is_empty() {
                line
            } else {
                self.rest.extend_from_slice(line);
                whole = std::mem::take(&mut self.rest);
                &whole
            };
            if line.starts_with(b"{\"id\":null") {
                continue;
            }
            if !line.windows(4).any(|word| word == b"true") {
                bail!("the pool refused a share: {}", String::from_utf8_lossy(line));
            }
            accepted += 1;
            if let Some(sent) = self.in_flight.pop_front() {
                latencies.note(now - sent);
            }
        }
        self.rest.extend_from_slice(fresh);
        Ok(accepted)
    }
}

/// Connects and greets; gives the first work.
///
/// # Errors
/// When the pool does not play along.
pub fn greeted(
    pool: SocketAddr,
    greeting: Greeting,
    hash: Hash,
) -> anyhow::Result<(TcpStream, Session, Arc<Work>)> {
    let mut stream = TcpStream::connect(pool)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut session = Session::new(greeting, hash, None);
    stream.write_all(format!("{}\n", session.hello().join("\n")).as_bytes())?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let (mut work, mut authorized) = (None, false);
    while work.is_none() || !authorized {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            bail!("the pool closed a connection at once");
        }
        for action in session.take(&line) {
            match action {
                Action::Work(given) => work = Some(given),
                Action::Authorized(verdict) => {
                    verdict.map_err(|reason| anyhow::anyhow!("the pool refuses: {reason}"))?;
                    authorized = true;
                }
                _ => {}
            }
        }
    }
    Ok((stream, session, work.context("there is work")?))
}

/// The address of an account of the bench, from 0.
pub fn address(account: usize) -> String {
    let mut key = [1u8; 32];
    let number = u32::try_from(account).unwrap_or(u32::MAX);
    key[28..].copy_from_slice(&number.to_be_bytes());
    devnet::address_of(&Purse::of(key).script())
}

/// Who we say we are: a thousand accounts.
pub fn greeting(n: usize) -> Greeting {
    greeting_of(format!("{}.{n}", address(n % 1000)))
}

/// What this user says.
pub fn greeting_of(user: String) -> Greeting {
    Greeting {
        user_agent: "adit-bench".into(),
        user,
        password: "x".into(),
        suggest_difficulty: None,
        version_rolling: false,
        extranonce_subscribe: false,
    }
}

/// Readiness of many sockets.
fn watch(connections: &[Connection]) -> anyhow::Result<OwnedFd> {
    let watcher = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (at, connection) in connections.iter().enumerate() {
        let name = epoll::EventData::new_u64(at as u64);
        epoll::add(&watcher, &connection.stream, name, epoll::EventFlags::IN)?;
    }
    Ok(watcher)
}

/// Which connections have something to read; waits at most so long.
fn ready(watcher: &OwnedFd, limit: Duration) -> anyhow::Result<Vec<usize>> {
    let mut events = Vec::with_capacity(EVENTS);
    let limit = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: i64::try_from(limit.as_nanos()).unwrap_or(0).min(999_999_999),
    };
    epoll::wait(watcher, rustix::buffer::spare_capacity(&mut events), Some(&limit))?;
    Ok(events.iter().map(|event| event.data.u64() as usize).collect())
}

/// Keeps so many submits in flight on each connection; gives how many were accepted, and how long each took.
pub fn pump(
    connections: &mut [Connection],
    depth: usize,
    span: Duration,
) -> anyhow::Result<(usize, Latencies)> {
    let (mut accepted, mut latencies) = (0, Latencies::default());
    let watcher = watch(connections)?;
    let began = Instant::now();
    for connection in connections.iter_mut() {
        connection.send(depth.saturating_sub(connection.in_flight.len()))?;
    }
    while began.elapsed() < span {
        for at in ready(&watcher, IDLE)? {
            let connection = &mut connections[at];
            accepted += connection.receive(&mut latencies)?;
            connection.send(depth.saturating_sub(connection.in_flight.len()))?;
            let is_out = connection.sent == connection.ends.len();
            if is_out && connections.iter().all(|one| one.sent == one.ends.len()) {
                bail!("the pool is faster than was expected: there are no shares left to send");
            }
        }
    }
    Ok((accepted, latencies))
}

/// Sends so many shares a second, evenly, one connection after the other, and waits until each is answered: those that wait longest
/// count too.
pub fn pace(
    connections: &mut [Connection],
    per_s: f64,
    span: Duration,
) -> anyhow::Result<(usize, Latencies)> {
    let (mut accepted, mut latencies) = (0, Latencies::default());
    let watcher = watch(connections)?;
    let (began, mut sent) = (Instant::now(), 0usize);
    let all = ((span.as_secs_f64() * per_s) as usize).max(1);
    loop {
        let due = ((began.elapsed().as_secs_f64() * per_s) as usize).min(all);
        while sent < due {
            let count = connections.len();
            connections[sent % count].send(1)?;
            sent += 1;
        }
        if sent == all && connections.iter().all(|one| one.in_flight.is_empty()) {
            return Ok((accepted, latencies));
        }
        if began.elapsed() > span + ANSWERED_WITHIN {
            let limit = ANSWERED_WITHIN.as_secs();
            bail!("the pool has not answered every share {limit} s after the last");
        }
        let next = Duration::from_secs_f64((sent + 1) as f64 / per_s);
        let pause = if sent < all { next.saturating_sub(began.elapsed()) } else { IDLE };
        for at in ready(&watcher, pause)? {
            accepted += connections[at].receive(&mut latencies)?;
        }
    }
}

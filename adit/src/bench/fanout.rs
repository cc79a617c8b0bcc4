//! Ten thousand idle connections: what they weigh, and how fast a new job reaches the last of them.

use super::connection::greeting;
use super::pool::BenchPool;
use anyhow::bail;
use miner::session::Session;
use pow::Algorithm;
use rustix::event::epoll;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Tips measured; the median counts.
const TIPS: usize = 7;
/// Events taken at once.
const EVENTS: usize = 1024;
/// How long everybody may take to hear.
const LIMIT: Duration = Duration::from_secs(30);

/// What was found.
pub struct Idle {
    pub connections: usize,
    pub rss_per_connection: u64,
    pub tip_to_first_ms: f64,
    pub tip_to_last_ms: f64,
}

/// Opens the connections and measures.
///
/// # Errors
/// When the pool does not take them, or somebody hears nothing.
pub fn measure(pool: &BenchPool, count: usize) -> anyhow::Result<Idle> {
    // Whatever the loads before left is in use again before new memory is.
    let before = pool.resident()?;
    let mut streams = Vec::with_capacity(count);
    for n in 0..count {
        let mut stream = TcpStream::connect(pool.address())?;
        stream.set_nodelay(true)?;
        let session = Session::new(greeting(n), Algorithm::Sha256d.into(), None);
        stream.write_all(format!("{}\n", session.hello().join("\n")).as_bytes())?;
        stream.set_nonblocking(true)?;
        streams.push(stream);
    }
    let watcher = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (at, stream) in streams.iter().enumerate() {
        epoll::add(&watcher, stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
    }
    // Answers to the greeting and the first job.
    settle(&watcher, &mut streams)?;
    let rss = pool.resident()?.saturating_sub(before) / count.max(1) as u64;
    let mut firsts = Vec::new();
    let mut lasts = Vec::new();
    for _ in 0..TIPS {
        settle(&watcher, &mut streams)?;
        let announce = pool.prepare_tip();
        let began = Instant::now();
        announce();
        let (first, last) = everybody_hears(&watcher, &mut streams, began)?;
        firsts.push(first);
        lasts.push(last);
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(Idle {
        connections: count,
        rss_per_connection: rss,
        tip_to_first_ms: median(&mut firsts),
        tip_to_last_ms: median(&mut lasts),
    })
}

/// Reads until nothing has come for a while.
fn settle(watcher: &std::os::fd::OwnedFd, streams: &mut [TcpStream]) -> anyhow::Result<()> {
    let quiet = Duration::from_millis(500);
    let mut heard = Instant::now();
    while heard.elapsed() < quiet {
        if !read_ready(watcher, streams, Duration::from_millis(50))?.is_empty() {
            heard = Instant::now();
        }
    }
    Ok(())
}

/// Milliseconds until the first and until the last connection heard of the new job.
fn everybody_hears(
    watcher: &std::os::fd::OwnedFd,
    streams: &mut [TcpStream],
    began: Instant,
) -> anyhow::Result<(f64, f64)> {
    let mut heard = vec![false; streams.len()];
    let mut left = streams.len();
    let (mut first, mut last) = (None, 0.0);
    while left > 0 {
        if began.elapsed() > LIMIT {
            bail!("{left} connections heard nothing of a new job in {} s", LIMIT.as_secs());
        }
        for at in read_ready(watcher, streams, Duration::from_millis(100))? {
            let now = began.elapsed().as_secs_f64() * 1e3;
            if !std::mem::replace(&mut heard[at], true) {
                left -= 1;
                first.get_or_insert(now);
                last = now;
            }
        }
    }
    Ok((first.unwrap_or(0.0), last))
}

/// Reads whatever has come; gives whose it was.
fn read_ready(
    watcher: &std::os::fd::OwnedFd,
    streams: &mut [TcpStream],
    limit: Duration,
) -> anyhow::Result<Vec<usize>> {
    let mut events = Vec::with_capacity(EVENTS);
    let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(limit.subsec_nanos()) };
    epoll::wait(watcher, rustix::buffer::spare_capacity(&mut events), Some(&limit))?;
    let mut buffer = [0u8; 16_384];
    let mut ready = Vec::with_capacity(events.len());
    for event in &events {
        let at = event.data.u64() as usize;
        match streams[at].read(&mut buffer) {
            Ok(0) => bail!("the pool closed an idle connection"),
            Ok(_) => ready.push(at),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ready)
}

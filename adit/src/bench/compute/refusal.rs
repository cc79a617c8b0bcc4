//! What a refusal costs over HTTP: requests that are stale, malformed or replayed, beside as many that no route answers, at the same
//! server in the same run.
//!
//! The pool has one thread for its sockets here, and its processor time counts; requests are pipelined, so that a wake-up is shared
//! by many.

use super::cpu;
use crate::config;
use crate::run::{self, OpenDoor};
use anyhow::Context;
use compute::key::SigningKey;
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// Requests written at once.
const PIPELINE: usize = 64;
/// How often each kind is measured, in turn with the others.
const TURNS: u32 = 10;

/// Microseconds of the server's thread.
pub struct Costs {
    /// For a request that no route answers.
    pub empty_us: f64,
    kinds: Vec<(&'static str, f64)>,
}

impl Costs {
    /// The dearest refusal, in empty requests.
    pub fn worst(&self) -> f64 {
        self.kinds.iter().map(|(_, us)| us / self.empty_us).fold(0.0, f64::max)
    }

    /// For each kind of refusal.
    pub fn by_kind(&self) -> Value {
        let each = self.kinds.iter();
        let each = each.map(|(kind, us)| ((*kind).to_owned(), json!(super::round(*us, 2))));
        Value::Object(each.collect::<Map<_, _>>())
    }
}

/// A pool with nothing but a compute door.
const CONFIGURATION: &str = r#"
data_dir = "store"
[assets.tao]
coin = "tao"
network = "local"
[[pools]]
name = "bench"
asset = "tao"
scheme = "budget"
[pools.compute]
listen = "127.0.0.1:0"
budget = "1"
requests_per_minute = 0
requests_per_minute_per_address = 0
"#;

/// Measures.
///
/// # Errors
/// When the pool does not start, or answers something else.
pub fn measure(span: Duration) -> anyhow::Result<Costs> {
    let folder = std::env::temp_dir().join(format!("adit-bench-refusal-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    let (tell, told) = mpsc::channel();
    let (cancel, place) = (CancellationToken::new(), folder.clone());
    let stop = cancel.clone();
    let pool = std::thread::spawn(move || serve(place, tell, cancel));
    let measured = told
        .recv()
        .context("the pool did not start")
        .and_then(|(at, thread)| load(at, &thread, span));
    stop.cancel();
    pool.join().map_err(|_| anyhow::anyhow!("the pool panicked"))??;
    std::fs::remove_dir_all(&folder)?;
    measured
}

/// The pool, on one thread, which says where it listens and which thread it is.
fn serve(
    folder: PathBuf,
    tell: mpsc::Sender<(SocketAddr, PathBuf)>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let settings = config::read(CONFIGURATION, &folder.join("adit.toml"))?;
        let running = run::start(settings, CancellationToken::new()).await?;
        let doors = running.live.doors();
        let at = doors.iter().find_map(|door| match door {
            OpenDoor::Compute { door, .. } => door.listening(),
            _ => None,
        });
        let thread = std::fs::read_link("/proc/thread-self")?;
        tell.send((at.context("the pool listens")?, PathBuf::from("/proc").join(thread)))?;
        cancel.cancelled().await;
        running.stop().await
    })
}

fn load(at: SocketAddr, thread: &std::path::Path, span: Duration) -> anyhow::Result<Costs> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let signed = |seed: u8, time: u64| {
        let key = SigningKey::from_seed(&[seed; 32]);
        let signature = key.sign(format!("auth:{time}").as_bytes());
        format!("X-Key: {}\r\nX-Timestamp: {time}\r\nX-Signature: {signature}\r\n", key.public())
    };
    let request = |path: &str, headers: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
        )
    };
    let register = "/api/v1/miners/register";
    let replayed = signed(2, now);
    let (fresh, known) = (signed(1, now), request(register, &replayed));
    let kinds = [
        ("empty", 404, request("/nothing", &fresh)),
        ("stale", 401, request(register, &signed(1, now - 3600))),
        ("malformed", 401, request(register, &fresh.replace("X-Signature: ", "X-Signature: zz"))),
        ("replayed", 401, known.clone()),
    ];
    // It is believed once.
    exchange(&mut stream, &known, 1, 200)?;
    let mut costs = [(Duration::ZERO, 0u32); 4];
    let turn = span / TURNS / 4;
    for _ in 0..TURNS {
        for ((_, status, request), (spent, count)) in kinds.iter().zip(&mut costs) {
            let many = request.repeat(PIPELINE);
            exchange(&mut stream, &many, PIPELINE, *status)?;
            let (began, before) = (Instant::now(), cpu::of_thread(thread)?);
            while began.elapsed() < turn {
                exchange(&mut stream, &many, PIPELINE, *status)?;
                *count += u32::try_from(PIPELINE)?;
            }
            *spent += cpu::of_thread(thread)? - before;
        }
    }
    let us = |(spent, count): (Duration, u32)| spent.as_secs_f64() * 1e6 / f64::from(count.max(1));
    let named = kinds.iter().zip(costs).skip(1);
    let kinds = named.map(|((name, ..), cost)| (*name, us(cost))).collect();
    Ok(Costs { empty_us: us(costs[0]), kinds })
}

/// Writes requests and reads as many answers, each with this status.
fn exchange(
    stream: &mut TcpStream,
    requests: &str,
    count: usize,
    status: u16,
) -> anyhow::Result<()> {
    stream.write_all(requests.as_bytes())?;
    let (head, mut seen, mut text) = (format!("HTTP/1.1 {status} "), 0, Vec::new());
    let mut buffer = [0; 64 * 1024];
    while seen < count {
        let read = stream.read(&mut buffer)?;
        anyhow::ensure!(read > 0, "the pool closed the connection");
        text.extend_from_slice(&buffer[..read]);
        // Whole answers only: a head that is cut is looked at again with what follows.
        while let Some(length) = whole_answer(&text) {
            anyhow::ensure!(
                text.starts_with(head.as_bytes()),
                "not {status}: {}",
                String::from_utf8_lossy(&text[..length])
            );
            text.drain(..length);
            seen += 1;
        }
    }
    Ok(())
}

/// Bytes of the first answer, if all of it is there.
fn whole_answer(text: &[u8]) -> Option<usize> {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&text[..end]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = end + length.unwrap_or(0);
    (text.len() >= whole).then_some(whole)
}

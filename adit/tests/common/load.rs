//! Miners that know exactly which shares were acknowledged to them: the other side of "`true` means on disk".

use miner::session::{Action, Greeting, Session, Work};
use miner::work::{Found, Variation};
use pow::Algorithm;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Submits that may be unanswered on one connection.
const PIPELINE: usize = 16;

/// Header hashes.
pub type Keys = HashSet<[u8; 32]>;

/// What the miners know.
#[derive(Default)]
pub struct Known {
    /// Shares answered with `true`.
    pub acknowledged: Keys,
    /// Shares sent.
    pub sent: Keys,
}

/// Some connections that submit as fast as they are answered, and come back when cut off.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    pub known: Arc<Mutex<Known>>,
}

impl Load {
    /// Starts so many.
    pub fn start(pool: SocketAddr, connections: u8) -> Self {
        let (stop, known) =
            (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Known::default())));
        let threads = (0..connections)
            .map(|n| {
                let (stop, known) = (stop.clone(), known.clone());
                let (address, _) = super::somebody(n + 1);
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        // A cut line is what this is about.
                        drop(mine(pool, &address, &stop, &known));
                        std::thread::sleep(Duration::from_millis(10));
                    }
                })
            })
            .collect();
        Load { stop, threads, known }
    }

    /// Shares acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.known.lock().unwrap().acknowledged.len()
    }

    /// Ends them.
    pub fn stop(mut self) -> Known {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        std::mem::take(&mut self.known.lock().unwrap())
    }
}

struct Search {
    work: Arc<Work>,
    extranonce2: u64,
    nonce: u32,
}

impl Search {
    /// The next header that meets the share's target and not the network's, and its hash.
    fn next(&mut self) -> (Found, [u8; 32]) {
        let extranonce2 = self.extranonce2.to_be_bytes()[8 - self.work.extranonce2_size..].to_vec();
        loop {
            self.nonce += 1;
            let variation = Variation {
                extranonce1: &self.work.extranonce1,
                extranonce2: &extranonce2,
                version: self.work.job.version,
                time: self.work.job.time,
                nonce: self.nonce,
            };
            let hash = pow::sha256d::header_hash(&self.work.job.header(&variation));
            if self.work.target.is_met_by(&hash) && !self.work.network.is_met_by(&hash) {
                let found = Found {
                    job: self.work.job.id.clone(),
                    extranonce2: extranonce2.clone(),
                    time: self.work.job.time,
                    nonce: self.nonce,
                    version_bits: None,
                    is_block: false,
                };
                return (found, hash);
            }
        }
    }
}

fn mine(
    pool: SocketAddr,
    address: &str,
    stop: &AtomicBool,
    known: &Mutex<Known>,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(pool)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let greeting = Greeting {
        user_agent: "adit-load".into(),
        user: format!("{address}.load"),
        password: "d=0.000000001".into(),
        suggest_difficulty: None,
        version_rolling: false,
        extranonce_subscribe: false,
    };
    let mut session = Session::new(greeting, Algorithm::Sha256d.into(), None);
    stream.write_all(format!("{}\n", session.hello().join("\n")).as_bytes())?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut search: Option<Search> = None;
    let mut waiting: HashMap<u64, [u8; 32]> = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        while waiting.len() < PIPELINE
            && let Some(search) = &mut search
        {
            let (found, hash) = search.next();
            let line = session.submit(&found);
            let id = serde_json::from_str::<serde_json::Value>(&line)?["id"].as_u64().unwrap();
            waiting.insert(id, hash);
            known.lock().unwrap().sent.insert(hash);
            stream.write_all(format!("{line}\n").as_bytes())?;
        }
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let id = serde_json::from_str::<serde_json::Value>(&line)?["id"].as_u64();
        for action in session.take(&line) {
            match action {
                Action::Work(work) => search = Some(Search { work, extranonce2: 1, nonce: 0 }),
                Action::Answered(verdict) => {
                    let hash = id.and_then(|id| waiting.remove(&id));
                    if let (Ok(()), Some(hash)) = (verdict, hash) {
                        let fresh = known.lock().unwrap().acknowledged.insert(hash);
                        assert!(fresh, "a share was acknowledged twice");
                    }
                }
                Action::Send(text) => stream.write_all(format!("{text}\n").as_bytes())?,
                _ => {}
            }
        }
    }
    Ok(())
}

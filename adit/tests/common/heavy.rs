//! Miners of heavy hashes, one for each dialect, that know nothing of the pool's code but the hashes.

use miner::work::{Job, Variation, hex, unhex};
use pow::ethash::{self, Cache, EPOCH, Epoch};
use pow::gxc::documented::{self, Scratch};
use pow::{Algorithm, Difficulty, Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How a miner speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Standard Stratum with a nonce of 8 bytes.
    GxHash,
    /// NiceHash's.
    EthereumStratum,
    /// As ethminer and the proxies.
    Proxy,
    /// Stratum with headers and targets.
    Plain,
}

/// A miner on a thread of its own.
pub struct Heavy {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Heavy {
    pub fn start(address: SocketAddr, user: &str, dialect: Dialect) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicU64::new(0));
        let (user, token, count) = (user.to_owned(), stop.clone(), accepted.clone());
        let thread = std::thread::spawn(move || {
            // The pool on the same machine comes first: its verifiers give way themselves.
            rustix::process::nice(19).unwrap();
            Line::open(address, dialect, user, count).mine(&token);
        });
        Heavy { stop, accepted, thread: Some(thread) }
    }

    /// Shares accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A flood of shares that prove nothing, on a thread of its own; in the end it gives how many were refused in which words.
pub fn flood(
    address: SocketAddr,
    user: &str,
    dialect: Dialect,
    stop: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<BTreeMap<String, u64>> {
    let (user, stop) = (user.to_owned(), stop.clone());
    std::thread::spawn(move || Line::open(address, dialect, user, Arc::default()).flood(&stop))
}

/// The first epoch's cache, made once for all.
fn cache() -> &'static Cache {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    CACHE.get_or_init(|| {
        let epoch = Epoch::new(0).unwrap();
        Cache::build(epoch, &epoch.seed(EPOCH), |_| ())
    })
}

/// A conversation with a port.
pub struct Line {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    dialect: Dialect,
    user: String,
    prefix: Vec<u8>,
    extranonce2_size: usize,
    target: Option<Target>,
    /// As it was told.
    difficulty: f64,
    /// A line that is not whole yet.
    half: Vec<u8>,
    /// The parameters of the newest work.
    work: Option<Value>,
    accepted: Arc<AtomicU64>,
    last: u64,
    /// What became of shares, where that is asked.
    answers: Option<BTreeMap<String, u64>>,
}

impl Line {
    fn open(address: SocketAddr, dialect: Dialect, user: String, accepted: Arc<AtomicU64>) -> Self {
        // The ports of a pool open one after the other.
        let writer = testkit::wait_for("the port", || TcpStream::connect(address).ok());
        writer.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let reader = BufReader::new(writer.try_clone().unwrap());
        let mut line = Line {
            reader,
            writer,
            dialect,
            user,
            prefix: Vec::new(),
            extranonce2_size: 0,
            target: None,
            difficulty: 0.0,
            half: Vec::new(),
            work: None,
            accepted,
            last: 10,
            answers: None,
        };
        let user = line.user.clone();
        match dialect {
            Dialect::GxHash => line.ask(1, "mining.subscribe", json!(["test/1"])),
            Dialect::EthereumStratum => {
                line.ask(1, "mining.subscribe", json!(["test/1", "EthereumStratum/1.0.0"]));
            }
            Dialect::Plain => line.ask(1, "mining.subscribe", json!([])),
            Dialect::Proxy => {
                line.ask(2, "eth_submitLogin", json!([user, "x"]));
                line.ask(3, "eth_getWork", json!([]));
                return line;
            }
        }
        line.ask(2, "mining.authorize", json!([user, "x"]));
        line
    }

    fn ask(&mut self, id: u64, method: &str, params: Value) {
        let line = json!({ "id": id, "jsonrpc": "2.0", "method": method, "params": params });
        self.writer.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Takes what has come; a line that is not whole yet stays for later.
    fn hear(&mut self, half: &mut Vec<u8>) {
        while self.reader.read_until(b'\n', half).is_ok_and(|read| read > 0) {
            if half.last() == Some(&b'\n') {
                let said: Value = serde_json::from_slice(half).unwrap();
                half.clear();
                self.take(&said);
            }
        }
    }

    fn take(&mut self, said: &Value) {
        let params = &said["params"];
        match (said["method"].as_str(), said["id"].as_u64()) {
            (Some("mining.set_difficulty"), _) => {
                self.difficulty = params[0].as_f64().unwrap();
                let difficulty = Difficulty::nearest(self.difficulty);
                self.target = Some(difficulty.target(Algorithm::Sha256d));
            }
            (Some("mining.notify"), _) => self.work = Some(params.clone()),
            (None, Some(1)) if self.dialect == Dialect::GxHash => {
                self.prefix = unhex(said["result"][1].as_str().unwrap()).unwrap();
                self.extranonce2_size =
                    usize::try_from(said["result"][2].as_u64().unwrap()).unwrap();
            }
            (None, Some(1)) if self.dialect == Dialect::EthereumStratum => {
                assert_eq!(said["result"][0][2], "EthereumStratum/1.0.0");
                self.prefix = unhex(said["result"][1].as_str().unwrap()).unwrap();
            }
            (None, Some(1 | 2)) => assert_eq!(said["result"], true, "{said}"),
            (None, Some(0 | 3)) if said["result"].is_array() => {
                self.work = Some(said["result"].clone());
            }
            (None, Some(id)) if id >= 10 && said["result"] == true => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
            }
            (None, Some(id)) if id >= 10 => {
                let reason = said["error"][1].as_str().unwrap_or_default().to_owned();
                if let Some(answers) = &mut self.answers {
                    *answers.entry(reason).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// A connection that sends what it is told to, and nothing by itself.
    pub fn silent(address: SocketAddr, dialect: Dialect, user: &str) -> Self {
        Line::open(address, dialect, user.to_owned(), Arc::default())
    }

    /// Takes what has come.
    pub fn listen(&mut self) {
        let mut half = std::mem::take(&mut self.half);
        self.hear(&mut half);
        self.half = half;
    }

    /// The name of the newest work.
    pub fn job(&self) -> Value {
        self.work.as_ref().unwrap()[0].clone()
    }

    /// Its header.
    pub fn header(&self) -> [u8; 32] {
        self.header_and_target(self.work.as_ref().unwrap()).0
    }

    /// As it was told last.
    pub fn difficulty(&self) -> f64 {
        self.difficulty
    }

    /// Asks for something whose answer is not looked at.
    pub fn tell(&mut self, method: &str, params: Value) {
        self.ask(4, method, params);
    }

    /// A nonce of the newest work that is a share here, from this one on.
    pub fn solve(&mut self, from: u64) -> (u64, [u8; 32]) {
        testkit::wait_for("work", || {
            self.listen();
            let work = self.work.clone()?;
            self.header_and_target(&work).1
        });
        let (header, target) = self.header_and_target(&self.work.clone().unwrap());
        (from..)
            .map(|nonce| self.own(nonce))
            .map(|nonce| (nonce, ethash::hash(cache(), &header, nonce)))
            .find(|(_, found)| {
                let mut result = found.result;
                result.reverse();
                target.unwrap().is_met_by(&result)
            })
            .map(|(nonce, found)| (nonce, found.mix))
            .unwrap()
    }

    /// Sends a whole nonce for the newest work; gives `true`, or why not.
    pub fn send(&mut self, (nonce, mix): (u64, [u8; 32])) -> String {
        let work = testkit::wait_for("work", || {
            self.listen();
            self.work.clone()
        });
        let header = format!("0x{}", hex(&self.header()));
        let (whole, mix) = (format!("0x{nonce:016x}"), format!("0x{}", hex(&mix)));
        let before = self.accepted.load(Ordering::Relaxed);
        self.answers = Some(BTreeMap::new());
        match self.dialect {
            Dialect::Proxy => self.submit("eth_submitWork", json!([whole, header, mix])),
            _ => self.submit("mining.submit", json!([self.user, work[0], whole, header, mix])),
        }
        testkit::wait_for("an answer", || {
            self.listen();
            if self.accepted.load(Ordering::Relaxed) > before {
                return Some("true".to_owned());
            }
            self.answers.as_ref().and_then(|answers| answers.keys().next().cloned())
        })
    }

    /// A nonce as this connection may use it.
    fn own(&self, nonce: u64) -> u64 {
        match self.dialect {
            Dialect::EthereumStratum => {
                u64::from_be_bytes([self.prefix[0], self.prefix[1], 0, 0, 0, 0, 0, 0]) | nonce
            }
            _ => nonce,
        }
    }

    /// Sends shares that prove nothing, a hundred at a time; gives how each was refused, by the words.
    fn flood(mut self, stop: &AtomicBool) -> BTreeMap<String, u64> {
        let (mut half, mut sent) = (Vec::new(), 0);
        self.answers = Some(BTreeMap::new());
        loop {
            self.hear(&mut half);
            let Some(work) = self.work.clone() else { continue };
            if self.answers.iter().flat_map(BTreeMap::values).sum::<u64>() < sent {
                continue;
            }
            if stop.load(Ordering::Relaxed) {
                return self.answers.unwrap();
            }
            for nonce in sent..sent + 100 {
                let (time, own) = (work[7].clone(), format!("{nonce:016x}"));
                let params = match self.dialect {
                    Dialect::GxHash => json!([self.user, work[0], "00", time, own]),
                    _ => json!([self.user, work[0], own]),
                };
                self.submit("mining.submit", params);
            }
            sent += 100;
        }
    }

    fn mine(mut self, stop: &AtomicBool) {
        let mut half = Vec::new();
        let mut nonce = 0;
        while !stop.load(Ordering::Relaxed) {
            self.hear(&mut half);
            let Some(work) = self.work.clone() else { continue };
            for _ in 0..self.portion() {
                nonce += 1;
                self.try_one(&work, nonce);
            }
        }
        self.hear(&mut half);
    }

    /// Hashes between two looks at the line.
    fn portion(&self) -> u64 {
        if self.dialect == Dialect::GxHash { 1 } else { 8 }
    }

    fn try_one(&mut self, work: &Value, nonce: u64) {
        match self.dialect {
            Dialect::GxHash => self.try_gxhash(work, nonce),
            Dialect::EthereumStratum | Dialect::Plain | Dialect::Proxy => {
                self.try_ethash(work, nonce);
            }
        }
    }

    fn try_gxhash(&mut self, work: &Value, nonce: u64) {
        let (Some(job), Some(target)) = (Job::read(work), self.target) else { return };
        let extranonce2 = vec![0; self.extranonce2_size];
        let header = job.header(&Variation {
            extranonce1: &self.prefix,
            extranonce2: &extranonce2,
            version: job.version,
            time: job.time,
            nonce: 0,
        });
        let mut digest = documented::hash(&header, nonce, &job.prev_hash, &mut Scratch::default());
        digest.reverse();
        if target.is_met_by(&digest) {
            let time = format!("{:08x}", job.time);
            let nonce = format!("{nonce:016x}");
            self.submit(
                "mining.submit",
                json!([self.user, job.id, hex(&extranonce2), time, nonce]),
            );
        }
    }

    /// What Ethash's work says, in this dialect.
    fn header_and_target(&self, work: &Value) -> ([u8; 32], Option<Target>) {
        let text = |at: usize| work[at].as_str().unwrap_or_default().trim_start_matches("0x");
        let target_at =
            |at: usize| Target::from_be_bytes(unhex(text(at)).unwrap().try_into().unwrap());
        let (header, target) = match self.dialect {
            Dialect::EthereumStratum => (text(2), self.target),
            Dialect::Plain => (text(1), Some(target_at(3))),
            Dialect::Proxy | Dialect::GxHash => (text(0), Some(target_at(2))),
        };
        (unhex(header).unwrap().try_into().unwrap(), target)
    }

    fn try_ethash(&mut self, work: &Value, nonce: u64) {
        let (header, Some(target)) = self.header_and_target(work) else { return };
        let nonce = self.own(nonce);
        let found = ethash::hash(cache(), &header, nonce);
        let mut result = found.result;
        result.reverse();
        if !target.is_met_by(&result) {
            return;
        }
        let (whole, mix) = (format!("0x{nonce:016x}"), format!("0x{}", hex(&found.mix)));
        let header = format!("0x{}", hex(&header));
        let job = work[0].clone();
        match self.dialect {
            Dialect::EthereumStratum => {
                let own = format!("{:012x}", nonce & 0xffff_ffff_ffff);
                self.submit("mining.submit", json!([self.user, job, own]));
            }
            Dialect::Plain => {
                self.submit("mining.submit", json!([self.user, job, whole, header, mix]));
            }
            Dialect::Proxy | Dialect::GxHash => {
                self.submit("eth_submitWork", json!([whole, header, mix]));
            }
        }
    }

    fn submit(&mut self, method: &str, params: Value) {
        self.last += 1;
        self.ask(self.last, method, params);
    }
}

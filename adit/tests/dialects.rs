//! Conversations with miners of each dialect of GXC, as they were written down, held with the real binary.
//!
//! A transcript has a line for each message: `>` is sent, `<` is what must come next, `!` finds a share of the work that came
//! last. `$name` in an answer is remembered, and must be the same where it was heard before; in a message it is said again. `*` is
//! anything.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::{Pool, Setup};
use devnet::gxc::{GxcNode, Ledger, Net};
use miner::work::{Job, Variation, hex, unhex};
use pow::ethash::{self, Cache, EPOCH, Epoch};
use pow::gxc::documented::{self, Scratch};
use pow::gxc::guide;
use pow::gxc::work::Work;
use pow::gxc::{miner as theirs, node};
use pow::sha256d::sha256d;
use pow::{Difficulty, Scale, Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;
use testkit::Port;

const POOL: &str = "tGXC751e76e8199196d454941c45d1b3a323f1";
/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Nonces that a share is looked for among.
const TRIES: u64 = 50_000_000;

/// A port of its own for each hash; its difficulty is one that a processor meets.
const PORTS: [(&str, &str, f64); 12] = [
    ("sha256", "", 1e-7),
    ("ethash", "", 1e-9),
    ("gxhash", "", 1e-9),
    ("sha256", "standalone", 1e-4),
    ("gxhash", "standalone", 1e-4),
    ("ethash", "suite", 1e-6),
    ("gxhash", "suite", 1e-6),
    ("ethash", "pro", 1000.0),
    ("sha256", "guide", 1.0),
    ("sha256", "node", 1e-7),
    ("gxhash", "node", 1e-9),
    ("sha256", "jx", 1e-7),
];

#[test]
fn a_miner_of_each_dialect_is_understood_or_told_why_not() {
    let mut ledger = Ledger::new(Net::Test);
    ledger.wallet.insert(POOL.into());
    // No block in this test's lifetime: 36 bits.
    ledger.difficulty = 9.0;
    let node = GxcNode::start(ledger, "127.0.0.1:0".parse().unwrap()).unwrap();
    let asset = format!(
        "\ncoin = \"gxc\"\nnetwork = \"test\"\nnodes = [{{ rpc = \"{}\" }}]\n\
         wallet = {{ kind = \"node\", address = \"{POOL}\" }}\n",
        node.address()
    );
    let mut pool = Pool::new(&Setup { asset, ..Setup::bitcoin(node.address(), "", "") });
    let mut text = std::fs::read_to_string(pool.config()).unwrap();
    let mut ports = BTreeMap::new();
    for (algorithm, profile, difficulty) in PORTS {
        let port = Port::take();
        let name = [algorithm, profile].join(" ").trim().replace(' ', "-");
        let profile =
            if profile.is_empty() { String::new() } else { format!("profile = \"{profile}\"\n") };
        text.push_str(&format!(
            "[[pools]]\nname = \"{name}\"\nasset = \"coin\"\nscheme = \"pplns\"\nalgorithm = \"{algorithm}\"\n{profile}\
             [[pools.ports]]\nlisten = \"{}\"\nmin_difficulty = 0.000000001\nstart_difficulty = {difficulty:?}\n\
             share_interval = \"10m\"\n",
            port.address()
        ));
        ports.insert(name, port);
    }
    std::fs::write(pool.config(), text).unwrap();
    pool.start();
    let folder = testkit::checkout().join("adit/tests/fixtures/dialects");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 14, "{names:?}");
    for path in names {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        Talk::hold(&name, &text, &ports);
    }
    pool.stop();
}

/// A conversation under way.
struct Talk<'a> {
    name: &'a str,
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    known: BTreeMap<String, Value>,
    /// Parameters of the work heard last.
    work: Value,
}

impl<'a> Talk<'a> {
    fn hold(name: &'a str, text: &str, ports: &BTreeMap<String, Port>) {
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
        let mut lines = lines.by_ref().filter(|(_, line)| !line.starts_with('#'));
        let (_, first) = lines.next().unwrap();
        let port = first.strip_prefix("port ").unwrap_or_else(|| panic!("{name}: no port first"));
        let port = ports.get(port).unwrap_or_else(|| panic!("{name}: no port {port}"));
        // The ports of a pool open one after the other.
        let open = || TcpStream::connect(port.address()).ok();
        let writer = testkit::wait_for("the port", open);
        writer.set_read_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(writer.try_clone().unwrap());
        let mut talk = Talk { name, reader, writer, known: BTreeMap::new(), work: Value::Null };
        for (no, line) in lines {
            let (kind, rest) = line.split_at(2);
            match kind {
                "> " => talk.say(rest),
                "< " => talk.hear(no, rest),
                "! " => talk.find(rest),
                _ => panic!("{name}:{no}: {line}"),
            }
        }
    }

    fn say(&mut self, text: &str) {
        let mut message: Value = serde_json::from_str(text).unwrap();
        self.fill(&mut message);
        self.writer.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    fn fill(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(name) = text.strip_prefix('$') {
                    let known = self.known.get(name);
                    *value = known.unwrap_or_else(|| panic!("{}: ${name}", self.name)).clone();
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.fill(value)),
            Value::Object(map) => map.values_mut().for_each(|value| self.fill(value)),
            _ => {}
        }
    }

    fn hear(&mut self, no: usize, text: &str) {
        let wanted: Value = serde_json::from_str(text).unwrap();
        // New work may come at any time; whoever waits for an answer hears it and goes on.
        let waits = wanted["id"].as_u64().is_some_and(|id| id > 0);
        let is_work = |heard: &Value| heard["method"].is_string() || heard["id"] == 0;
        let (mut line, mut heard) = (String::new(), Value::Null);
        while heard.is_null() || (waits && is_work(&heard)) {
            line.clear();
            self.reader.read_line(&mut line).unwrap();
            heard = serde_json::from_str(&line)
                .unwrap_or_else(|_| panic!("{}:{no}: wanted {text}, heard {line:?}", self.name));
        }
        if !self.is_as(&wanted, &heard) {
            panic!("{}:{no}: wanted {text}, heard {line}", self.name);
        }
        if heard["method"] == "mining.notify" {
            self.work = heard["params"].clone();
        } else if heard["id"] == json!(0) || heard["result"][2].is_string() {
            self.work = heard["result"].clone();
        }
    }

    fn is_as(&mut self, wanted: &Value, heard: &Value) -> bool {
        match (wanted, heard) {
            (Value::String(text), _) if text == "*" => true,
            (Value::String(text), _) if text.starts_with('$') => {
                let known = self.known.entry(text[1..].to_owned()).or_insert(heard.clone());
                known == heard
            }
            (Value::Array(wanted), Value::Array(heard)) => {
                wanted.len() == heard.len()
                    && wanted.iter().zip(heard).all(|(wanted, heard)| self.is_as(wanted, heard))
            }
            (Value::Object(wanted), Value::Object(heard)) => {
                wanted.len() == heard.len()
                    && wanted.iter().all(|(key, wanted)| {
                        heard.get(key).is_some_and(|heard| self.is_as(wanted, heard))
                    })
            }
            _ => wanted == heard,
        }
    }

    fn text(&self, name: &str) -> &str {
        self.known.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn word(&self, name: &str) -> u32 {
        u32::from_str_radix(self.text(name), 16).unwrap()
    }

    fn bytes<const N: usize>(&self, name: &str) -> [u8; N] {
        unhex(self.text(name)).unwrap().try_into().unwrap()
    }

    /// What the difficulty that was heard means.
    fn target(&self, scale: Scale) -> Target {
        let difficulty = self.known["difficulty"].as_f64().unwrap();
        Difficulty::nearest(difficulty).target(scale)
    }

    /// Looks for a share as this miner does, and remembers what is sent of it.
    fn find(&mut self, dialect: &str) {
        let (who, function) = dialect.split_once(' ').unwrap_or((dialect, ""));
        self.known.entry("en2".into()).or_insert(json!("0000000000000000"));
        match who {
            "standard" | "jx" => self.standard(function),
            "standalone" | "pool-miner" | "suite" | "pro" => self.legacy(who, function),
            "guide" => self.guide(),
            "node" => self.node(function),
            "ethash" => self.ethash(function),
            _ => panic!("{}: nobody finds shares as {dialect}", self.name),
        }
    }

    fn first(&self, meets: impl Fn(u64) -> bool) -> u64 {
        (0..TRIES).find(|nonce| meets(*nonce)).unwrap_or_else(|| panic!("{}: no share", self.name))
    }

    fn header(&self, nonce: u32) -> ([u8; 80], Job) {
        let job = Job::read(&self.work).unwrap();
        let extranonce2 = unhex(self.text("en2")).unwrap();
        let header = job.header(&Variation {
            extranonce1: &self.bytes::<4>("en1"),
            extranonce2: &extranonce2,
            version: job.version,
            time: job.time,
            nonce,
        });
        (header, job)
    }

    fn standard(&mut self, function: &str) {
        let target = self.target(Scale::Bitcoin);
        let nonce = if function == "gxhash" {
            let (header, job) = self.header(0);
            self.first(|nonce| {
                let mut digest =
                    documented::hash(&header, nonce, &job.prev_hash, &mut Scratch::default());
                digest.reverse();
                target.is_met_by(&digest)
            })
        } else {
            let (mut header, _) = self.header(0);
            let mut found = 0;
            for nonce in 0..u32::MAX {
                header[76..].copy_from_slice(&nonce.to_le_bytes());
                if target.is_met_by(&sha256d(&header)) {
                    found = nonce;
                    break;
                }
            }
            u64::from(found)
        };
        self.remember_nonce(nonce);
    }

    fn remember_nonce(&mut self, nonce: u64) {
        let digits = if nonce > u64::from(u32::MAX) { 16 } else { 8 };
        self.known.insert("nonce".into(), json!(format!("{nonce:0digits$x}")));
        let turned = hex(&((nonce & 0xffff_ffff) as u32).to_le_bytes());
        self.known.insert("nonce_turned".into(), json!(turned));
    }

    fn legacy(&mut self, who: &str, function: &str) {
        let coinbase: String =
            ["coinb1", "en1", "en2", "coinb2"].iter().map(|part| self.text(part)).collect();
        let own = Work {
            job: self.text("job"),
            version: self.word("version"),
            previous: self.bytes("prevhash"),
            root: sha256d(&unhex(&coinbase).unwrap()),
            time: self.word("ntime"),
            bits: self.word("nbits"),
            extranonce1: self.bytes("en1"),
            nonce: 0,
        };
        let target = self.target(if who == "pro" { Scale::Hash } else { Scale::Bitcoin });
        let nonce = self.first(|nonce| {
            let work = Work { nonce: nonce as u32, ..own };
            let bytes = match who {
                "standalone" => work.standalone(),
                "pool-miner" => work.pool_miner(),
                "suite" => work.suite(),
                _ => work.pro(),
            };
            let mut digest = match (function, who) {
                ("sha256", _) => sha256d(&bytes),
                ("ethash", "pro") => theirs::keccak(&bytes),
                ("ethash", _) => theirs::sha3(&bytes),
                (_, "pro") => theirs::pro(&bytes),
                (_, "pool-miner") => theirs::pool_miner(&bytes),
                _ => theirs::standalone(&bytes),
            };
            // The stand-alone miner turns it round before it compares, the others do not.
            if who != "standalone" {
                digest.reverse();
            }
            target.is_met_by(&digest)
        });
        self.remember_nonce(nonce);
    }

    fn guide(&mut self) {
        let difficulty = self.known["difficulty"].as_f64().unwrap();
        let zeros = (difficulty / 1000.0).floor() as usize + 4;
        let whole = u64::from_str_radix(self.text("hex_difficulty"), 16).unwrap();
        let difficulty = format!("{whole}.0");
        let work = guide::Work {
            previous: self.text("prevhash"),
            merkle: self.text("merkle"),
            time: self.known["time"].as_u64().unwrap(),
            difficulty: &difficulty,
        };
        let nonce = self.first(|nonce| {
            let hash = guide::hash(&work, &format!("{nonce:08x}"), "00000000");
            guide::leading_zeros(&hash) >= zeros
        });
        self.remember_nonce(nonce);
    }

    fn node(&mut self, function: &str) {
        let (header, job) = self.header(0);
        let mut previous = job.prev_hash;
        previous.reverse();
        let target = self.target(Scale::Bitcoin);
        // BIP34: the coinbase says the height.
        let height = u64::from(job.coinbase_before[42]) - 0x50;
        let (previous, root) = (hex(&previous), hex(&header[36..68]));
        let nonce = self.first(|nonce| {
            let text = node::text_of(height, &previous, job.time.into(), &root, nonce);
            let mut digest: [u8; 32] = match function {
                "gxhash" => node::gxhash(&text, nonce),
                _ => unhex(&node::sha256(&text)).unwrap().try_into().unwrap(),
            };
            digest.reverse();
            target.is_met_by(&digest)
        });
        self.remember_nonce(nonce);
    }

    fn ethash(&mut self, form: &str) {
        static CACHE: OnceLock<Cache> = OnceLock::new();
        let cache = CACHE.get_or_init(|| {
            let epoch = Epoch::new(0).unwrap();
            Cache::build(epoch, &epoch.seed(EPOCH), |_| ())
        });
        let bytes = |text: &str| -> [u8; 32] {
            unhex(text.trim_start_matches("0x")).unwrap().try_into().unwrap()
        };
        let header = bytes(self.text("header"));
        let target = match form {
            "nicehash" => self.target(Scale::Bitcoin),
            _ => Target::from_be_bytes(bytes(self.text("target"))),
        };
        let prefix = match form {
            "nicehash" => u64::from(u16::from_be_bytes(self.bytes("en1"))) << 48,
            _ => 0,
        };
        let nonce = self.first(|nonce| {
            let mut digest = ethash::hash(cache, &header, prefix | nonce).result;
            digest.reverse();
            target.is_met_by(&digest)
        });
        let mix = ethash::hash(cache, &header, prefix | nonce).mix;
        self.known.insert("mix".into(), json!(format!("0x{}", hex(&mix))));
        self.known.insert("short_nonce".into(), json!(format!("{nonce:012x}")));
        self.known.insert("whole_nonce".into(), json!(format!("0x{nonce:016x}")));
    }
}

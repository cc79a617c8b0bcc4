//! `adit bench stratum --profile …`: a port of GXC under all the shares of one hash that it can verify, and what becomes of another
//! port meanwhile.
//!
//! The bare hash is measured in this process, on as many threads as the pool verifies on, right before. Shares are mined in
//! advance; those of Ethash by the same data set that the pool reads.
//!
//! Invariant: every share is verified by the real hash and synced to disk before it is acknowledged, as always.

use super::connection::{self, Connection, Latencies, greeted, greeting_of};
use super::pool::free_address;
use super::served::Served;
use super::{PACED, WARM_UP, round};
use crate::cli::bench::{BenchArgs, BenchProfile};
use anyhow::{Context, bail};
use devnet::gxc::{GxcNode, Ledger, Net};
use miner::Hash;
use miner::session::Session;
use miner::work::{Found, Variation, hex, unhex};
use pow::Target;
use pow::ethash::{self, Cache, Dataset, EPOCH, Epoch};
use pow::gxc::documented::{self, Scratch};
use rayon::prelude::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stratum::verifier;

/// Whom blocks would pay; 36 bits of work keep them away.
const POOL: &str = "tGXC751e76e8199196d454941c45d1b3a323f1";
/// Leading zeros of a block.
const ZEROS: f64 = 9.0;
/// Connections of the port under load, and submits in flight on each: as with Bitcoin where hashes are light.
const LIGHT: (usize, usize) = (super::BUSY, super::PIPELINE);
/// Where they are heavy: together less than one host may have waiting.
const HEAVY: (usize, usize) = (8, 4);
/// More light shares a second than this no port ever took.
const LIGHT_MAX: f64 = 400_000.0;
/// Shares mined for every one that the bare hash could make.
const SPARE: f64 = 1.5;
/// How long Ethash's data set may take to be read by the pool.
const READ_LIMIT: Duration = Duration::from_secs(600);

/// Runs the bench and prints its line.
///
/// # Errors
/// When the pool does not start, or refuses a share.
pub fn run(profile: BenchProfile, args: &BenchArgs, span: Duration) -> anyhow::Result<()> {
    let threads = verifier::Limits::default().threads;
    let bench = Bench::start(profile, args)?;
    let (_, depth) = bench.load();
    let bare = bench.bare(threads, span);
    eprintln!("the bare hash: {bare:.1} a second on {threads} threads; mining shares");
    let others = PACED.1;
    let mut light = bench.light(others, span * 2)?;
    // Two loads: alone, and beside the other port's.
    let mut heavy = bench.heavy(bare, span * 2)?;

    connection::pace(&mut light, others, WARM_UP)?;
    let (_, alone) = connection::pace(&mut light, others, span)?;
    // A host that the pool does not know yet has room for one share at a time.
    let mut known = 0;
    while known == 0 {
        known = connection::pump(&mut heavy[..1], 1, WARM_UP)?.0;
    }
    connection::pump(&mut heavy, depth, WARM_UP)?;
    let (cpu, began) = (bench.served.count_cpu()?, Instant::now());
    let (accepted, _) = connection::pump(&mut heavy, depth, span)?;
    let (took, cpu) = (began.elapsed(), cpu.stop()?);
    let loaded = std::thread::scope(|scope| -> anyhow::Result<Latencies> {
        let load = scope.spawn(|| connection::pump(&mut heavy, depth, span));
        let (_, loaded) = connection::pace(&mut light, others, span)?;
        load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        Ok(loaded)
    })?;

    let per_s = accepted as f64 / took.as_secs_f64();
    let (p99_alone, p99_loaded) = (alone.percentile(99), loaded.percentile(99));
    println!(
        "{}",
        json!({
            "profile": bench.name(),
            "accepted_per_s": round(per_s, 1),
            "accepted_per_s_per_core": round(per_s / threads as f64, 1),
            "bare_hash_per_s": round(bare, 1),
            "ratio_to_bare_hash": round(per_s / bare, 3),
            "cpu_us_per_share": round(cpu.pool.as_secs_f64() * 1e6 / accepted.max(1) as f64, 1),
            "other_port_p99_us_alone": p99_alone,
            "other_port_p99_us_loaded": p99_loaded,
            "other_port_p99_ratio": round(f64::from(p99_loaded) / f64::from(p99_alone.max(1)), 2),
            "threads": threads,
            "durable": true,
        })
    );
    Ok(())
}

struct Bench {
    served: Served,
    profile: BenchProfile,
    dataset: Option<Dataset>,
    /// The port under load, and the other.
    addresses: [SocketAddr; 2],
    folder: PathBuf,
    keeps_folder: bool,
    _node: GxcNode,
}

impl Bench {
    fn start(profile: BenchProfile, args: &BenchArgs) -> anyhow::Result<Self> {
        let folder = args.data.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("adit-bench-{}", std::process::id()))
        });
        std::fs::create_dir_all(&folder)?;
        let mut ledger = Ledger::new(Net::Test);
        ledger.wallet.insert(POOL.into());
        ledger.difficulty = ZEROS;
        let node = GxcNode::start(ledger, "127.0.0.1:0".parse()?)?;
        let addresses = [free_address()?, free_address()?];
        let kept = match (&args.dataset, std::env::var_os("HOME")) {
            (Some(folder), _) => folder.clone(),
            (None, Some(home)) => Path::new(&home).join(".cache/adit/ethash"),
            (None, None) => bail!("--dataset FOLDER: say where Ethash's data set is kept"),
        };
        let dataset = match profile {
            BenchProfile::Ethash => Some(dataset(&kept)?),
            BenchProfile::Sha256 | BenchProfile::Gxhash => None,
        };
        let config = folder.join("adit.toml");
        std::fs::write(&config, configuration(profile, node.address(), addresses, &kept))?;
        let log = folder.join("log");
        let served = Served::start(&config, addresses[0], Stdio::from(File::create(&log)?))?;
        let keeps_folder = args.data.is_some();
        let bench =
            Bench { served, profile, dataset, addresses, folder, keeps_folder, _node: node };
        if profile == BenchProfile::Ethash {
            bench.wait_for_the_data_set(&log)?;
        }
        Ok(bench)
    }

    fn wait_for_the_data_set(&self, log: &Path) -> anyhow::Result<()> {
        let began = Instant::now();
        while !std::fs::read_to_string(log)?.contains("full: true") {
            if began.elapsed() > READ_LIMIT {
                bail!("the pool does not read Ethash's data set; see {}", log.display());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Connections, and submits in flight on each.
    fn load(&self) -> (usize, usize) {
        match self.profile {
            BenchProfile::Sha256 => LIGHT,
            BenchProfile::Ethash | BenchProfile::Gxhash => HEAVY,
        }
    }

    fn name(&self) -> &'static str {
        match self.profile {
            BenchProfile::Sha256 => "sha256",
            BenchProfile::Ethash => "ethash",
            BenchProfile::Gxhash => "gxhash",
        }
    }

    /// Hashes a second, on so many threads.
    fn bare(&self, threads: usize, span: Duration) -> f64 {
        let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let began = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads as u64 {
                let (count, stop) = (&count, &stop);
                scope.spawn(move || {
                    let mut hash = self.hash();
                    let mut nonce = thread << 32;
                    while !stop.load(Ordering::Relaxed) {
                        hash(nonce);
                        nonce += 1;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(span);
            stop.store(true, Ordering::Relaxed);
        });
        count.into_inner() as f64 / began.elapsed().as_secs_f64()
    }

    /// The hash of some header, by its nonce.
    fn hash(&self) -> Box<dyn FnMut(u64) -> [u8; 32] + '_> {
        let mut header = [7; 80];
        match (self.profile, &self.dataset) {
            (BenchProfile::Ethash, Some(dataset)) => {
                Box::new(move |nonce| ethash::hash(dataset, &[7; 32], nonce).result)
            }
            (BenchProfile::Gxhash, _) => {
                let mut scratch = Scratch::default();
                Box::new(move |nonce| documented::hash(&header, nonce, &[7; 32], &mut scratch))
            }
            _ => Box::new(move |nonce| {
                header[72..].copy_from_slice(&nonce.to_le_bytes());
                pow::sha256d::header_hash(&header)
            }),
        }
    }

    /// Connections of the other port.
    fn light(&self, per_s: f64, span: Duration) -> anyhow::Result<Vec<Connection>> {
        let each = (per_s * (span + WARM_UP).as_secs_f64() / PACED.0 as f64).ceil() as usize + 10;
        let open = |n| Connection::open(self.addresses[1], greeting_of(user(n)), each);
        (0..PACED.0).map(open).collect()
    }

    /// Connections of the port under load, with as many shares as the bare hash could verify.
    fn heavy(&self, bare: f64, span: Duration) -> anyhow::Result<Vec<Connection>> {
        let (address, (count, depth)) = (self.addresses[0], self.load());
        let most = bare.min(LIGHT_MAX);
        let shares = most * SPARE * (span + WARM_UP).as_secs_f64() / count as f64;
        let each = shares.ceil() as usize + depth;
        let connections = (0..count).into_par_iter().with_max_len(1);
        connections
            .map(|n| match (self.profile, &self.dataset) {
                (BenchProfile::Ethash, Some(dataset)) => ethash_shares(address, n, each, dataset),
                (BenchProfile::Gxhash, _) => gxhash_shares(address, n, each),
                _ => Connection::open(address, greeting_of(user(n)), each),
            })
            .collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !self.keeps_folder
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            tracing::error!(%error, "the bench's folder stays");
        }
    }
}

fn user(n: usize) -> String {
    format!("tGXC{:034x}.{n}", n % 1000)
}

fn gxhash_shares(pool: SocketAddr, n: usize, count: usize) -> anyhow::Result<Connection> {
    let (stream, mut session, work): (_, Session, _) =
        greeted(pool, greeting_of(user(n)), Hash::GxHash)?;
    let mut own = Connection::of(stream)?;
    let extranonce2 = vec![0; work.extranonce2_size];
    let header = work.job.header(&Variation {
        extranonce1: &work.extranonce1,
        extranonce2: &extranonce2,
        version: work.job.version,
        time: work.job.time,
        nonce: 0,
    });
    let mut scratch = Scratch::default();
    let (mut nonce, mut found) = (0u32, 0);
    while found < count {
        let mut digest = documented::hash(&header, nonce.into(), &work.job.prev_hash, &mut scratch);
        digest.reverse();
        if work.target.is_met_by(&digest) {
            own.add(&session.submit(&Found {
                job: work.job.id.clone(),
                extranonce2: extranonce2.clone(),
                time: work.job.time,
                nonce,
                version_bits: None,
                is_block: false,
            }));
            found += 1;
        }
        nonce += 1;
    }
    Ok(own)
}

/// In ethminer's plain Stratum.
fn ethash_shares(
    pool: SocketAddr,
    n: usize,
    count: usize,
    dataset: &Dataset,
) -> anyhow::Result<Connection> {
    let mut stream = TcpStream::connect(pool)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let user = user(n);
    let hello = json!({ "id": 1, "method": "mining.subscribe", "params": [] });
    let login = json!({ "id": 2, "method": "mining.authorize", "params": [user, "x"] });
    stream.write_all(format!("{hello}\n{login}\n").as_bytes())?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let work = loop {
        let line = lines.next().context("the pool closed a connection at once")??;
        let said: Value = serde_json::from_str(&line)?;
        if said["method"] == "mining.notify" {
            break said["params"].clone();
        }
        if !said["error"].is_null() {
            bail!("the pool refuses: {line}");
        }
    };
    let bytes = |at: usize| -> anyhow::Result<[u8; 32]> {
        let text = work[at].as_str().and_then(unhex).context("work is hex")?;
        text.try_into().map_err(|_| anyhow::anyhow!("work is of 32 bytes"))
    };
    let (header, target) = (bytes(1)?, Target::from_be_bytes(bytes(3)?));
    let mut own = Connection::of(stream)?;
    let (mut nonce, mut found) = (0u64, 0u64);
    while found < count as u64 {
        let hashed = ethash::hash(dataset, &header, nonce);
        let mut digest = hashed.result;
        digest.reverse();
        if target.is_met_by(&digest) {
            let (whole, mix) = (format!("0x{nonce:016x}"), format!("0x{}", hex(&hashed.mix)));
            let header = format!("0x{}", hex(&header));
            let params = json!([user, work[0], whole, header, mix]);
            let id = found + 10;
            let share = json!({ "id": id, "method": "mining.submit", "params": params });
            own.add(&share.to_string());
            found += 1;
        }
        nonce += 1;
    }
    Ok(own)
}

/// Epoch 0's, kept from one bench to the next.
fn dataset(folder: &Path) -> anyhow::Result<Dataset> {
    let epoch = Epoch::new(0).context("there is a first epoch")?;
    let cache = Cache::build(epoch, &epoch.seed(EPOCH), |_| ());
    eprintln!("reading Ethash's data set in {}, or making it", folder.display());
    stratum::dag::dataset(folder, &cache, |_| true).context("nobody stopped it")
}

fn configuration(
    profile: BenchProfile,
    node: SocketAddr,
    [busy, other]: [SocketAddr; 2],
    dataset: &Path,
) -> String {
    let algorithm = match profile {
        BenchProfile::Sha256 => "algorithm = \"sha256\"".to_owned(),
        BenchProfile::Gxhash => "algorithm = \"gxhash\"".to_owned(),
        BenchProfile::Ethash => {
            let folder = Value::from(dataset.display().to_string());
            format!("algorithm = \"ethash\"\nethash_dataset = {folder}")
        }
    };
    let pool = |name: &str, algorithm: &str, listen: SocketAddr| {
        format!(
            r#"
[[pools]]
name = "{name}"
asset = "gxc"
scheme = "pplns"
{algorithm}
[[pools.ports]]
listen = "{listen}"
start_difficulty = 0.000000001
min_difficulty = 0.000000001
max_difficulty = 0.000000001
max_connections_per_address = 100000
max_requests_per_second = 1000000
"#
        )
    };
    format!(
        r#"
data_dir = "store"
[log]
level = "info"
[assets.gxc]
coin = "gxc"
network = "test"
refresh = "50s"
nodes = [{{ rpc = "{node}" }}]
wallet = {{ kind = "node", address = "{POOL}" }}
[assets.gxc.payouts]
interval = "6h"
{}{}"#,
        pool("busy", &algorithm, busy),
        pool("other", "algorithm = \"sha256\"", other),
    )
}

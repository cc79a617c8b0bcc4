//! The real binary on real nodes: how the stories start, steer and look.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each story uses its part of it, and one that fails has failed"
)]

pub mod browser;
pub mod heavy;
pub mod http;
pub mod load;

use miner::{Config, Miner};
use pow::Algorithm;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use store::Reader;
use tempfile::TempDir;
use testkit::{Port, Process};

/// The program under test.
pub const ADIT: &str = env!("CARGO_BIN_EXE_adit");

/// A pool's folder, its configuration, and the process when it runs.
pub struct Pool {
    pub folder: TempDir,
    pub port: Port,
    pub process: Option<Process>,
    pages: Option<Port>,
    environment: Vec<(&'static str, String)>,
    /// A program that starts the pool: its own words come first.
    pub through: Vec<String>,
}

/// What a pool is configured with.
#[derive(Clone)]
pub struct Setup {
    /// `coin = …`, nodes and wallet: the inside of `[assets.coin]`, tables last.
    pub asset: String,
    /// The inside of `[[pools]]` before its ports.
    pub pool: String,
    /// The inside of `[[pools.ports]]`, without `listen`.
    pub port: String,
}

/// Payout rules that do not make a test wait.
pub const QUICK_PAYOUTS: &str = r#"
[assets.coin.payouts]
minimum = "0.001"
interval = "500ms"
confirm_after = 2
abandon_after = 5
"#;

/// A port on which every device finds something.
pub const EASY_PORT: &str = r#"
start_difficulty = 0.000000002
min_difficulty = 0.000000001
share_interval = "200ms"
"#;

impl Setup {
    /// A pool on one node with its own hot wallet.
    pub fn bitcoin(node: std::net::SocketAddr, user: &str, password: &str) -> Self {
        let asset = format!(
            r#"
coin = "bitcoin"
network = "regtest"
look_every = "500ms"
refresh = "5s"
nodes = [{{ rpc = "{node}", user = "{user}", password = "{password}", poll = "200ms" }}]
wallet = {{ kind = "hot", key_file = "pool.key", birthday = 0 }}
"#
        );
        Setup {
            asset,
            pool: "scheme = \"pplns\"\nfee_percent = 1.0".into(),
            port: EASY_PORT.into(),
        }
    }

    /// The same on a node of Litecoin, whose wallet it is then.
    pub fn litecoin(node: std::net::SocketAddr, user: &str, password: &str) -> Self {
        let setup = Setup::bitcoin(node, user, password);
        let asset = setup.asset.replace("coin = \"bitcoin\"", "coin = \"litecoin\"").replace(
            "{ kind = \"hot\", key_file = \"pool.key\", birthday = 0 }",
            "{ kind = \"node\", name = \"pool\" }",
        );
        Setup { asset, ..setup }
    }

    /// The same with another scheme.
    pub fn scheme(mut self, scheme: &str) -> Self {
        self.pool = format!("scheme = \"{scheme}\"\nfee_percent = 1.0");
        self
    }
}

impl Pool {
    /// Writes the configuration; starts nothing.
    pub fn new(setup: &Setup) -> Self {
        Pool::with_payouts(setup, QUICK_PAYOUTS)
    }

    /// As [`Pool::new`], with payout rules of one's own.
    pub fn with_payouts(setup: &Setup, payouts: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), Port::take());
        let (asset, pool, rest) = (&setup.asset, &setup.pool, &setup.port);
        let text = format!(
            "data_dir = \"store\"\n[log]\nlevel = \"debug\"\n[assets.coin]{asset}\n{payouts}\n[[pools]]\nname = \"main\"\n\
             asset = \"coin\"\n{pool}\n[[pools.ports]]\nlisten = \"{}\"\n{rest}\n",
            port.address()
        );
        std::fs::write(folder.path().join("adit.toml"), text).unwrap();
        let coin = stratum::coin::Coin::new(
            stratum::coin::Family::Bitcoin,
            stratum::coin::Network::Regtest,
        )
        .unwrap();
        stratum::treasury::key::create(&folder.path().join("pool.key"), coin).unwrap();
        Pool {
            folder,
            port,
            process: None,
            pages: None,
            environment: Vec::new(),
            through: Vec::new(),
        }
    }

    /// A pool with a configuration of its own, for a port; starts nothing.
    pub fn of(configuration: impl FnOnce(&Port) -> String) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), Port::take());
        std::fs::write(folder.path().join("adit.toml"), configuration(&port)).unwrap();
        Pool {
            folder,
            port,
            process: None,
            pages: None,
            environment: Vec::new(),
            through: Vec::new(),
        }
    }

    /// Serves pages too; call it before the start.
    pub fn with_pages(mut self, more: &str) -> Self {
        let pages = Port::take();
        let text = std::fs::read_to_string(self.config()).unwrap();
        let text = format!(
            "{text}[web]\nlisten = \"{}\"\ntitle = \"Test pool\"\n{more}\n",
            pages.address()
        );
        std::fs::write(self.config(), text).unwrap();
        self.pages = Some(pages);
        self
    }

    /// Where the pages are.
    pub fn pages(&self) -> std::net::SocketAddr {
        self.pages.as_ref().unwrap().address()
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("adit.toml")
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Dies at this point of its work.
    pub fn crash_at(&mut self, point: &str) {
        self.environment = vec![("ADIT_CRASH_AT", point.to_owned())];
    }

    pub fn crash_nowhere(&mut self) {
        self.environment.clear();
    }

    /// Starts the process and does not wait.
    pub fn launch(&mut self) {
        let run =
            [ADIT.into(), "run".into(), "--config".into(), self.config().display().to_string()];
        let mut words = self.through.clone();
        words.extend(run);
        let (program, arguments) = words.split_first().unwrap();
        let log = self.folder.path().join("log");
        self.process = Some(Process::start(Path::new(program), arguments, &self.environment, &log));
    }

    /// Starts it and waits until it listens.
    pub fn start(&mut self) {
        self.launch();
        let socket = self.store().join("control.sock");
        let address = self.port.address();
        let process = self.process.as_mut().unwrap();
        testkit::wait_for("the pool to listen", || {
            if let Some(status) = process.ended() {
                panic!("the pool ended with {status}:\n{}", process.said());
            }
            let answers = std::os::unix::net::UnixStream::connect(&socket).is_ok();
            (answers && std::net::TcpStream::connect(address).is_ok()).then_some(())
        });
    }

    /// Starts it and waits until its pages say that all is well.
    pub fn start_with_pages(&mut self) {
        self.start();
        let ready = || (http::get(self.pages(), "/readyz").status == 200).then_some(());
        testkit::wait_for("the pages", ready);
    }

    /// Waits until it ends by itself.
    pub fn wait_for_end(&mut self) {
        let process = self.process.as_mut().unwrap();
        testkit::wait_for("the pool to end", || process.ended());
        self.process = None;
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let status = process.terminate();
            assert!(status.success(), "{status}:\n{}", process.said());
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a command with this pool's configuration; the first words, then `--config`, then the rest.
    pub fn adit(&self, words: &[&str], rest: &[&str]) -> Output {
        Command::new(ADIT)
            .args(words)
            .arg("--config")
            .arg(self.config())
            .args(rest)
            .output()
            .unwrap()
    }

    /// As [`Pool::adit`], and it must succeed; gives what it printed.
    pub fn says(&self, words: &[&str], rest: &[&str]) -> String {
        let output = self.adit(words, rest);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{words:?} {rest:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.says(&["status"], &[])).unwrap()
    }

    /// Waits until the status is as described.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        testkit::wait_for(what, || {
            let output = self.adit(&["status"], &[]);
            let status: Value = serde_json::from_slice(&output.stdout).ok()?;
            look(&status)
        })
    }

    /// Waits for so many blocks booked.
    pub fn wait_for_rewards(&self, count: usize) {
        self.wait("rewards", |status| (status["rewards"].as_array()?.len() >= count).then_some(()));
    }

    pub fn reader(&self) -> Reader {
        Reader::open(&self.store()).unwrap()
    }

    /// Every split recomputes, and every balance.
    pub fn audit(&self) {
        let said = self.says(&["audit"], &[]);
        assert!(said.contains("PASS:"), "{said}");
    }

    /// A miner of this pool.
    pub fn miner(&self, user: &str, algorithm: Algorithm, hashrate: f64) -> Miner {
        Miner::start(Config {
            address: self.port.address().to_string(),
            user: user.into(),
            password: "x".into(),
            user_agent: "adit-test".into(),
            algorithm: algorithm.into(),
            threads: 1,
            max_hashrate: Some(hashrate),
            tls_certificate: None,
            suggest_difficulty: None,
            version_rolling: true,
            extranonce_subscribe: true,
            patience: Duration::from_millis(500),
        })
        .unwrap()
    }
}

/// A devnet on a runtime of its own, that nothing in a test can solve by accident.
pub struct Chain {
    runtime: Option<tokio::runtime::Runtime>,
    pub devnet: devnet::Devnet,
    pub genesis: String,
}

impl Chain {
    pub fn with_hashes_per_block(hashes: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let options = devnet::Options {
            params: devnet::Params::with_hashes_per_block(hashes),
            listen: "127.0.0.1:0".parse().unwrap(),
            user: "u".into(),
            password: "p".into(),
            blocks: None,
        };
        // On a thread of its own, because a story may itself run on a runtime.
        let starting = || runtime.block_on(devnet::Devnet::start(options)).unwrap();
        let devnet = std::thread::scope(|scope| scope.spawn(starting).join().unwrap());
        let genesis = devnet.look(|chain| chain.hash_at(0)).unwrap().to_string();
        Chain { runtime: Some(runtime), devnet, genesis }
    }

    /// A pool on it that runs, with pages.
    pub fn pool_with_pages(&self, more: &str) -> Pool {
        let mut pool = Pool::new(&self.setup()).with_pages(more);
        pool.start_with_pages();
        pool
    }

    /// A pool on it.
    pub fn setup(&self) -> Setup {
        let mut setup = Setup::bitcoin(self.devnet.address(), "u", "p");
        setup.asset.insert_str(0, &format!("\ngenesis = \"{}\"", self.genesis));
        setup
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            // Jobs and tips are most of it and say least.
            let dull = |line: &&str| !line.contains("new job") && !line.contains("a new tip");
            let lines: Vec<&str> = log.lines().filter(dull).collect();
            eprintln!(
                "the pool's log ends:\n{}",
                lines[lines.len().saturating_sub(60)..].join("\n")
            );
        }
    }
}

/// A regtest address for a number, and the script behind it.
pub fn somebody(n: u8) -> (String, bitcoin::ScriptBuf) {
    let script = bitcoin::ScriptBuf::from_bytes([&[0u8, 20][..], &[n; 20]].concat());
    let address = bitcoin::Address::from_script(&script, bitcoin::Network::Regtest).unwrap();
    (address.to_string(), script)
}

/// All rewards have come to rest: of blocks at one height, all but one as orphaned.
pub fn all_rest(status: &Value) -> Option<()> {
    let rewards = status["rewards"].as_array()?;
    let matured = rewards.iter().any(|reward| reward["state"] == "matured");
    (matured && rewards.iter().all(|reward| reward["state"] != "immature")).then_some(())
}

//! A Chia network on this machine: its own node, wallet, harvester and farmer, driven by lines of JSON.

use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Where the node is, and how one proves to it who one is.
#[derive(Debug, Clone)]
pub struct Service {
    /// Host and port of its RPC.
    pub rpc: String,
    /// The certificate of its private authority.
    pub authority: PathBuf,
    /// A certificate that the authority signed.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
}

/// A running network; it ends with this value, and with this process.
#[derive(Debug)]
pub struct Chia {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Its node.
    pub node: Service,
}

impl Chia {
    /// Starts the node. Plots are kept beside the downloads, for the next time.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(work: &Path) -> Self {
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/adit"));
        let cache = std::env::var_os("ADIT_CACHE").map(PathBuf::from).or_else(home);
        let plots = cache.expect("a folder for plots").join("chia-plots");
        std::fs::create_dir_all(&plots).expect("a folder for plots");
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chia_devnet.py");
        let log = File::create(work.join("devnet.log")).expect("the log can be written");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(crate::prepared("chia.sh"))
            .arg(driver)
            .env("DEVNET_WORK", work)
            .env("DEVNET_CACHE", plots)
            .env("TMPDIR", work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("Chia's Python can be started");
        let commands = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("its answers"));
        let said = answer(&mut answers);
        let text = |key: &str| said[key].as_str().expect("the devnet says where it is").to_owned();
        let node = Service {
            rpc: text("rpc"),
            authority: text("authority").into(),
            certificate: text("certificate").into(),
            key: text("key").into(),
        };
        Chia { child, commands, answers, node }
    }

    /// Has it do something, and waits until it is done.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&mut self, command: &Value) -> Value {
        let commands = self.commands.as_mut().expect("it takes commands until it ends");
        writeln!(commands, "{command}")
            .and_then(|()| commands.flush())
            .expect("the devnet listens");
        let answer = answer(&mut self.answers);
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer
    }

    /// Farms so many blocks.
    pub fn blocks(&mut self, count: u32) {
        self.run(&json!({"do": "blocks", "count": count}));
    }

    /// Farms so many blocks whose reward waits at the farmer's contract.
    pub fn wins(&mut self, count: u32) {
        self.run(&json!({"do": "blocks", "count": count, "to_pool": true}));
    }

    /// Announces so many signage points.
    pub fn points(&mut self, count: u32) {
        self.run(&json!({"do": "points", "count": count}));
    }

    /// What the coins at a puzzle hash are worth that are not spent, in mojo.
    ///
    /// # Panics
    /// When it fails.
    pub fn coins(&mut self, at: &str) -> Vec<u64> {
        let answer = self.run(&json!({"do": "coins", "at": at}));
        let amounts = answer["amounts"].as_array().into_iter().flatten();
        amounts.map(|amount| amount.as_u64().expect("an amount")).collect()
    }
}

fn answer(answers: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    loop {
        line.clear();
        let read = answers.read_line(&mut line).expect("the devnet's answers can be read");
        assert!(read > 0, "the devnet ended; see devnet.log");
        if let Some(answer) = line.strip_prefix('@') {
            return serde_json::from_str(answer).expect("a line of JSON");
        }
    }
}

impl Drop for Chia {
    fn drop(&mut self) {
        drop(self.commands.take());
        drop(self.child.wait());
    }
}

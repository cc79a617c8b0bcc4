//! A Chia network on this machine: its own node, wallet, harvester and farmer, driven by lines of JSON.

use farming::hash::Bytes32;
use farming::node::Node;
use farming::node::rpc::{Endpoint, Rpc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Where the node is, as the devnet says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Service {
    pub rpc: String,
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Service {
    pub fn client(&self) -> Node {
        let endpoint = Endpoint {
            address: self.rpc.clone(),
            authority: self.authority.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        };
        Node::new(Rpc::new(endpoint).unwrap())
    }
}

/// A running network; it ends with this value, and with this process.
pub struct Devnet {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub node: Service,
}

/// The Python that has Chia's own software, installed once.
fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/chia.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} failed", script.display());
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

impl Devnet {
    /// Starts the node. Plots are kept beside the downloads, for the next time.
    pub fn start(work: &Path) -> Self {
        let cache = std::env::var_os("ADIT_CACHE").map(PathBuf::from).unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/adit")
        });
        let plots = cache.join("chia-plots");
        std::fs::create_dir_all(&plots).unwrap();
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/devnet/chia_devnet.py");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(python())
            .arg(driver)
            .env("DEVNET_WORK", work)
            .env("DEVNET_CACHE", plots)
            .env("TMPDIR", work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(work.join("devnet.log")).unwrap())
            .spawn()
            .unwrap();
        let commands = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let node = serde_json::from_value(answer(&mut answers)).unwrap();
        Devnet { child, commands, answers, node }
    }

    /// Has it do something, and waits until it is done.
    pub fn run(&mut self, command: Value) -> Value {
        let commands = self.commands.as_mut().unwrap();
        writeln!(commands, "{command}").unwrap();
        commands.flush().unwrap();
        let answer = answer(&mut self.answers);
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer
    }

    pub fn blocks(&mut self, count: u32) -> u64 {
        self.run(json!({"do": "blocks", "count": count}))["height"].as_u64().unwrap()
    }

    pub fn points(&mut self, count: u32) {
        self.run(json!({"do": "points", "count": count}));
    }

    /// Unspent coins at a puzzle hash.
    pub fn coins(&mut self, at: &Bytes32) -> Vec<u64> {
        let answer = self.run(json!({"do": "coins", "at": at.to_string()}));
        answer["amounts"].as_array().unwrap().iter().map(|a| a.as_u64().unwrap()).collect()
    }
}

fn answer(answers: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(answers.read_line(&mut line).unwrap() > 0, "the devnet ended; see devnet.log");
        if let Some(answer) = line.strip_prefix('@') {
            return serde_json::from_str(answer).unwrap();
        }
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        drop(self.commands.take());
        drop(self.child.wait());
    }
}

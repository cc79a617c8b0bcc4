//! A Chia network on this machine: its own node, wallet, harvester and farmer, driven by lines of JSON. For the demo and for tests.
//!
//! What judges blocks here is Chia's own software, which `scripts/chia.sh` installs; `chia/driver.py` drives it, and ends with whoever
//! started it.

use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Drives Chia's own software.
const DRIVER: &str = include_str!("chia/driver.py");

/// A difficulty for which every proof of the farmer's small plots is good enough.
pub const MIN_DIFFICULTY: u64 = 1_000_000_000;

/// The fewest blocks that a farmer agrees to wait for when it leaves.
pub const LOCK_HEIGHT: u32 = 5;

/// The master key of the wallet that [`Chia::pool_wallet`] starts; its coins are worth nothing.
pub const POOL_KEY: &str = "52aa00aa9d77e6562362e9534d3b2b7c06089b58215b6fa42094a7ff7ebad202";

/// Where a service is, and how one proves to it who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Service {
    fn of(said: &Value) -> io::Result<Self> {
        let text = |key: &str| {
            let found = said[key].as_str().map(str::to_owned);
            found.ok_or_else(|| {
                io::Error::other(format!("the driver does not say its {key}: {said}"))
            })
        };
        Ok(Service {
            rpc: text("rpc")?,
            authority: text("authority")?.into(),
            certificate: text("certificate")?.into(),
            key: text("key")?.into(),
        })
    }

    /// As a pool's configuration names it: the keys of a table.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Service { rpc, authority, certificate, key } = self;
        format!(
            "rpc = {rpc:?}\nauthority = {authority:?}\ncertificate = {certificate:?}\nkey = {key:?}"
        )
    }
}

/// A running network; it ends with this value, and with this process.
#[derive(Debug)]
pub struct Chia {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Its node.
    pub node: Service,
    /// Another node, which the first tells of all it knows.
    pub second: Service,
}

/// Where downloads are kept, and plots for the next time; none where the environment names no folder.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    let own = std::env::var_os("ADIT_CACHE").map(PathBuf::from);
    own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/adit")))
}

/// The Python with which `scripts/chia.sh` installed Chia's software, if it did.
#[must_use]
pub fn installed() -> Option<PathBuf> {
    let folders = std::fs::read_dir(cache()?).ok()?;
    let mut homes: Vec<PathBuf> = folders.filter_map(|entry| Some(entry.ok()?.path())).collect();
    homes.sort();
    homes.into_iter().find_map(|home| {
        let name = home.file_name()?.to_str()?;
        let is_ready = name.starts_with("chia-") && home.join("ready").exists();
        Some(home.join("bin/python")).filter(|python| is_ready && python.exists())
    })
}

impl Chia {
    /// Starts the node by this command, which runs Python. What it says goes to `devnet.log` in the folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut python: Command, folder: &Path) -> io::Result<Self> {
        let cache = cache()
            .ok_or_else(|| io::Error::other("set HOME or ADIT_CACHE: plots are kept there"))?;
        let plots = cache.join("chia-plots");
        std::fs::create_dir_all(&plots)?;
        let driver = folder.join("devnet.py");
        std::fs::write(&driver, DRIVER)?;
        let mut child = python
            .arg(driver)
            .env("DEVNET_WORK", folder)
            .env("DEVNET_CACHE", plots)
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("devnet.log"))?)
            .spawn()?;
        let commands = child.stdin.take();
        let answers = child.stdout.take().ok_or_else(|| io::Error::other("it says nothing"))?;
        let mut answers = BufReader::new(answers);
        let said = answer(&mut answers);
        let nodes =
            said.and_then(|said| Ok((Service::of(&said["node"])?, Service::of(&said["second"])?)));
        match nodes {
            Ok((node, second)) => Ok(Chia { child, commands, answers, node, second }),
            Err(error) => {
                drop(commands);
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Has it do something, and waits until it is done.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&mut self, command: &Value) -> io::Result<Value> {
        let ended = || io::Error::other("it takes commands until it ends");
        let commands = self.commands.as_mut().ok_or_else(ended)?;
        writeln!(commands, "{command}")?;
        commands.flush()?;
        let answer = answer(&mut self.answers)?;
        match answer.get("error") {
            Some(error) => Err(io::Error::other(format!("{command}: {error}"))),
            None => Ok(answer),
        }
    }

    /// The wallet makes a plot NFT and joins a pool, and the farmer farms to it. It trusts this authority's certificates.
    ///
    /// # Errors
    /// When it fails.
    pub fn join(&mut self, url: &str, authority: &Path, target: &str) -> io::Result<Value> {
        self.run(&json!({
            "do": "join", "url": url, "authority": authority, "target": target, "lock": LOCK_HEIGHT,
        }))
    }

    /// Starts a wallet of Chia's own software that has [`POOL_KEY`].
    ///
    /// # Errors
    /// When it fails.
    pub fn pool_wallet(&mut self) -> io::Result<Service> {
        Service::of(&self.run(&json!({"do": "wallet"}))?)
    }

    /// Farms so many blocks.
    ///
    /// # Errors
    /// When it fails.
    pub fn blocks(&mut self, count: u32) -> io::Result<()> {
        self.run(&json!({"do": "blocks", "count": count})).map(drop)
    }

    /// Farms so many blocks whose reward waits at the farmer's contract.
    ///
    /// # Errors
    /// When it fails.
    pub fn wins(&mut self, count: u32) -> io::Result<()> {
        self.run(&json!({"do": "blocks", "count": count, "to_pool": true})).map(drop)
    }

    /// Announces so many signage points.
    ///
    /// # Errors
    /// When it fails.
    pub fn points(&mut self, count: u32) -> io::Result<()> {
        self.run(&json!({"do": "points", "count": count})).map(drop)
    }
}

fn answer(answers: &mut impl BufRead) -> io::Result<Value> {
    let mut line = String::new();
    loop {
        line.clear();
        if answers.read_line(&mut line)? == 0 {
            return Err(io::Error::other(
                "Chia's software ended; devnet.log in its folder says why",
            ));
        }
        if let Some(answer) = line.strip_prefix('@') {
            return serde_json::from_str(answer).map_err(io::Error::other);
        }
    }
}

impl Drop for Chia {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Err(error) = self.child.wait() {
            tracing::debug!(%error, "Chia's software cannot be waited for");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_next_line_for_us_and_an_end_is_no_answer() {
        let mut said = "starting\n@{\"height\": 7}\nnoise\n".as_bytes();
        assert_eq!(answer(&mut said).unwrap()["height"], 7);
        assert!(answer(&mut said).unwrap_err().to_string().contains("devnet.log"));
    }

    #[test]
    fn a_service_is_named_as_a_configuration_names_it() {
        let said =
            json!({"rpc": "127.0.0.1:1", "authority": "a \"b\"", "certificate": "c", "key": "k"});
        let service = Service::of(&said).unwrap();
        assert_eq!(
            service.to_toml(),
            "rpc = \"127.0.0.1:1\"\nauthority = \"a \\\"b\\\"\"\ncertificate = \"c\"\nkey = \"k\""
        );
        assert!(Service::of(&json!({"rpc": "127.0.0.1:1"})).is_err());
    }
}

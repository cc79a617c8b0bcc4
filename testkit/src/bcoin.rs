//! bcoin, a Bitcoin node in JavaScript, on regtest: other words for refusals, another wallet, older rules.

use crate::{Port, Process, Rpc, prepared, wait_for};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// The password of its RPC; any user will do.
pub const PASSWORD: &str = "k";

/// An address that nobody owns, in the spelling bcoin has for regtest.
pub const NOBODY: &str = "rb1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqce7sck";

/// A running bcoin.
#[derive(Debug)]
pub struct Bcoin {
    _process: Process,
    _folder: TempDir,
    rpc_port: Port,
    _p2p_port: Port,
    _wallet_port: Port,
    /// Its RPC.
    pub rpc: Rpc,
}

impl Bcoin {
    /// Starts one with an empty chain in memory.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Self {
        let home = prepared("bcoin.sh");
        let (rpc_port, p2p_port, wallet_port) = (Port::take(), Port::take(), Port::take());
        let rpc = Rpc::new(rpc_port.address(), "x", PASSWORD);
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let prefix = folder.path().display();
        let arguments = [
            home.join("node_modules/bcoin/bin/node").display().to_string(),
            "--network=regtest".into(),
            "--memory=true".into(),
            format!("--prefix={prefix}"),
            format!("--wallet-prefix={prefix}/regtest"),
            "--http-host=127.0.0.1".into(),
            format!("--http-port={}", rpc_port.number()),
            "--host=127.0.0.1".into(),
            format!("--port={}", p2p_port.number()),
            "--wallet-http-host=127.0.0.1".into(),
            format!("--wallet-http-port={}", wallet_port.number()),
            "--wallet-witness=true".into(),
            format!("--api-key={PASSWORD}"),
            "--no-dns".into(),
            "--discover=false".into(),
            "--only=127.0.0.1:1".into(),
            "--workers=false".into(),
        ];
        let environment =
            [("NODE_BACKEND", "js".to_owned()), ("BCOIN_NETWORK", "regtest".to_owned())];
        let mut process = Process::start(
            Path::new("node"),
            &arguments,
            &environment,
            &folder.path().join("said"),
        );
        wait_for("bcoin's RPC", || {
            if let Some(status) = process.ended() {
                panic!("bcoin ended with {status}:\n{}", process.said());
            }
            rpc.call("getblockcount", json!([])).ok()
        });
        Bcoin {
            _process: process,
            _folder: folder,
            rpc_port,
            _p2p_port: p2p_port,
            _wallet_port: wallet_port,
            rpc,
        }
    }

    /// Where its RPC listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.rpc_port.address()
    }

    /// Mines blocks that pay nobody; gives their hashes.
    ///
    /// # Panics
    /// When the node does not.
    pub fn generate(&self, count: u32) -> Vec<String> {
        let hashes = self.rpc.expect("generatetoaddress", json!([count, NOBODY]));
        serde_json::from_value(hashes).expect("a list of hashes")
    }
}

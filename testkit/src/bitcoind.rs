//! Bitcoin Core's bitcoind on regtest.

use crate::{Port, Process, Rpc, prepared, wait_for};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// How a node is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Publishes the hash of each new tip over ZMQ.
    pub zmq: bool,
    /// Runs this at each new tip; `%s` becomes its hash.
    pub blocknotify: Option<String>,
    /// More arguments.
    pub more: Vec<String>,
}

/// A running bitcoind.
#[derive(Debug)]
pub struct Bitcoind {
    process: Option<Process>,
    options: Options,
    folder: TempDir,
    rpc_port: Port,
    p2p_port: Port,
    zmq_port: Port,
    /// Its RPC.
    pub rpc: Rpc,
}

/// The RPC user of every node here.
pub const USER: &str = "adit";
/// An address of regtest that nobody owns.
pub const NOBODY: &str = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202";
/// And its password.
pub const PASSWORD: &str = "a pass:word";

impl Bitcoind {
    /// Starts one with a chain of its own.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let (rpc_port, p2p_port, zmq_port) = (Port::take(), Port::take(), Port::take());
        let rpc = Rpc::new(rpc_port.address(), USER, PASSWORD);
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let mut node =
            Bitcoind { process: None, options, folder, rpc_port, p2p_port, zmq_port, rpc };
        node.start_again();
        node
    }

    /// Starts it again on its own chain, after [`Bitcoind::stop`] or [`Bitcoind::kill`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it is running");
        let mut arguments = common_arguments(self.folder.path(), &self.rpc_port, &self.p2p_port);
        if self.options.zmq {
            arguments.push(format!("-zmqpubhashblock={}", self.zmq()));
        }
        if let Some(command) = &self.options.blocknotify {
            arguments.push(format!("-blocknotify={command}"));
        }
        arguments.extend(["-natpmp=0".into(), "-txindex=0".into()]);
        arguments.extend(self.options.more.iter().cloned());
        let program = prepared("bitcoind.sh");
        self.process = Some(started(&program, &arguments, self.folder.path(), &self.rpc));
    }

    /// Where its RPC listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.rpc_port.address()
    }

    /// Where other nodes reach it.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.p2p_port.address()
    }

    /// Where it publishes, if it does.
    #[must_use]
    pub fn zmq(&self) -> String {
        format!("tcp://{}", self.zmq_port.address())
    }

    /// Mines blocks; gives their hashes.
    pub fn generate(&self, count: u32, address: &str) -> Vec<String> {
        let hashes = self.rpc.expect("generatetoaddress", json!([count, address]));
        serde_json::from_value(hashes).expect("a list of hashes")
    }

    /// The height of its best block.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.rpc.expect("getblockcount", json!([])).as_u64().expect("a number")
    }

    /// Connects it to another and waits until both are at the same tip.
    pub fn join(&self, other: &Bitcoind) {
        self.rpc.expect("addnode", json!([other.peer_address().to_string(), "onetry"])).is_null();
        let tip = |node: &Bitcoind| node.rpc.expect("getbestblockhash", json!([]));
        wait_for("two nodes to agree", || (tip(self) == tip(other)).then_some(()));
    }

    /// Cuts all its connections to peers.
    pub fn part(&self) {
        let peers = self.rpc.expect("getpeerinfo", json!([]));
        for peer in peers.as_array().into_iter().flatten() {
            // It may have gone by itself.
            drop(self.rpc.call("disconnectnode", json!(["", peer["id"]])));
        }
        let count = || self.rpc.expect("getconnectioncount", json!([]));
        wait_for("a node to be alone", || (count() == 0).then_some(()));
    }

    /// Stops it in order.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }
}

/// What bitcoind and its forks are all told.
pub(crate) fn common_arguments(folder: &Path, rpc: &Port, p2p: &Port) -> Vec<String> {
    vec![
        "-regtest".into(),
        format!("-datadir={}", folder.display()),
        "-server=1".into(),
        "-listen=1".into(),
        format!("-bind={}", p2p.address()),
        format!("-port={}", p2p.number()),
        "-rpcbind=127.0.0.1".into(),
        "-rpcallowip=127.0.0.1".into(),
        format!("-rpcport={}", rpc.number()),
        format!("-rpcuser={USER}"),
        format!("-rpcpassword={PASSWORD}"),
        "-rpcthreads=8".into(),
        "-dnsseed=0".into(),
        "-discover=0".into(),
        "-listenonion=0".into(),
        "-printtoconsole=0".into(),
        "-dbcache=16".into(),
        "-par=1".into(),
    ]
}

/// Starts a node and waits until its RPC answers.
pub(crate) fn started(program: &Path, arguments: &[String], folder: &Path, rpc: &Rpc) -> Process {
    let mut process = Process::start(
        program,
        arguments,
        &[("HOME", folder.display().to_string())],
        &folder.join("said"),
    );
    wait_for("a node's RPC", || {
        if let Some(status) = process.ended() {
            panic!("{} ended with {status}:\n{}", program.display(), process.said());
        }
        rpc.call("getblockcount", json!([])).ok()
    });
    process
}

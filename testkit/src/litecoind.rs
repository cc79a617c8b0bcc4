//! Litecoin Core's litecoind on regtest, as Debian packages it: scrypt, with a wallet in the node.

use crate::bitcoind::{common_arguments, started};
use crate::peer::IdlePeer;
use crate::{Port, Process, Rpc};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// The daemon itself; what is on the path is a wrapper that writes to the home folder.
const PROGRAM: &str = "/usr/lib/litecoin/litecoind";
/// Keeps MWEB from ever activating: without a peg-in it would stop the chain at height 432.
const WITHOUT_MWEB: &str = "-vbparams=mweb:4000000000:4000000001";

/// How a node is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Lets MWEB activate at height 432.
    pub mweb: bool,
    /// Runs this at each new tip; `%s` becomes its hash.
    pub blocknotify: Option<String>,
    /// More arguments.
    pub more: Vec<String>,
}

/// A running litecoind with a wallet called `pool` and one idle peer.
#[derive(Debug)]
pub struct Litecoind {
    process: Option<Process>,
    peer: Option<IdlePeer>,
    options: Options,
    folder: TempDir,
    rpc_port: Port,
    p2p_port: Port,
    /// Its RPC.
    pub rpc: Rpc,
    /// Its RPC for the wallet.
    pub wallet: Rpc,
}

impl Litecoind {
    /// Starts one with a chain of its own.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let (rpc_port, p2p_port) = (Port::take(), Port::take());
        let rpc = Rpc::new(rpc_port.address(), crate::bitcoind::USER, crate::bitcoind::PASSWORD);
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let wallet = rpc.wallet("pool");
        let mut node = Litecoind {
            process: None,
            peer: None,
            options,
            folder,
            rpc_port,
            p2p_port,
            rpc,
            wallet,
        };
        node.start_again();
        node.rpc.expect("createwallet", json!(["pool"])).is_object();
        node
    }

    /// Starts it again on its own chain and wallet.
    ///
    /// # Panics
    /// When it does not come up, or is running.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it is running");
        assert!(
            Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing: apt-get install --no-install-recommends litecoind"
        );
        let mut arguments = common_arguments(self.folder.path(), &self.rpc_port, &self.p2p_port);
        arguments.extend(["-upnp=0".into(), "-fallbackfee=0.0001".into()]);
        if !self.options.mweb {
            arguments.push(WITHOUT_MWEB.into());
        }
        if let Some(command) = &self.options.blocknotify {
            arguments.push(format!("-blocknotify={command}"));
        }
        arguments.extend(self.options.more.iter().cloned());
        self.process = Some(started(Path::new(PROGRAM), &arguments, self.folder.path(), &self.rpc));
        self.peer = Some(IdlePeer::connect(self.p2p_port.address()).expect("the node takes peers"));
        crate::wait_for("litecoind's peer", || {
            (self.rpc.expect("getconnectioncount", json!([])).as_u64() > Some(0)).then_some(())
        });
    }

    /// Where its RPC listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.rpc_port.address()
    }

    /// A new address of its wallet.
    ///
    /// # Panics
    /// When the wallet gives none.
    #[must_use]
    pub fn new_address(&self) -> String {
        let address = self.wallet.expect("getnewaddress", json!(["", "bech32"]));
        address.as_str().expect("an address").to_owned()
    }

    /// Mines blocks; gives their hashes.
    ///
    /// # Panics
    /// When the node does not.
    pub fn generate(&self, count: u32, address: &str) -> Vec<String> {
        let hashes = self.rpc.expect("generatetoaddress", json!([count, address]));
        serde_json::from_value(hashes).expect("a list of hashes")
    }

    /// Stops it in order.
    pub fn stop(&mut self) {
        self.peer = None;
        if let Some(mut process) = self.process.take() {
            process.terminate();
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.peer = None;
        self.process = None;
    }
}

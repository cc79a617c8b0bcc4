//! The node's wires: one request a connection.
//!
//! Invariant: several nodes may stand on one chain, each with work of its own.

use super::chain::{Address, Chain};
use super::rpc::{self, Desk};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a client may take to say something.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request.
const REQUEST_MAX: usize = 1 << 20;

/// A running node.
pub struct EtherNode {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    chain: Arc<Mutex<Chain>>,
    desk: Mutex<Desk>,
    /// Answers of `eth_submitWork` that get lost.
    lost: AtomicU64,
    stopped: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EtherNode {
    /// Starts a node of a new chain, whose blocks pay this address.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(chain: Chain, miner: Address, listen: SocketAddr) -> std::io::Result<Self> {
        EtherNode::serve(Arc::new(Mutex::new(chain)), Desk::new(miner, 1), listen)
    }

    /// Another node of the same chain.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn beside(&self, listen: SocketAddr) -> std::io::Result<Self> {
        let desk = lock(&self.state.desk);
        let desk = Desk::new(desk.miner, desk.salt + 1);
        EtherNode::serve(self.state.chain.clone(), desk, listen)
    }

    fn serve(chain: Arc<Mutex<Chain>>, desk: Desk, listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            chain,
            desk: Mutex::new(desk),
            lost: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let own = state.clone();
        let serve = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if own.stopped.load(Ordering::Acquire) {
                    return;
                }
                let state = own.clone();
                std::thread::spawn(move || {
                    if let Err(error) = answer(&state, stream) {
                        tracing::debug!(%error, "a client of the node went away");
                    }
                });
            }
        };
        std::thread::Builder::new().name("ether node".into()).spawn(serve)?;
        Ok(EtherNode { address, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the chain, or changes it.
    pub fn chain<T>(&self, look: impl FnOnce(&mut Chain) -> T) -> T {
        look(&mut lock(&self.state.chain))
    }

    /// Looks at what is the node's own, or changes it.
    pub fn desk<T>(&self, look: impl FnOnce(&mut Desk) -> T) -> T {
        look(&mut lock(&self.state.desk))
    }

    /// So many seals from now on do not reach the node.
    pub fn lose_seals(&self, count: u64) {
        self.state.lost.store(count, Ordering::Release);
    }
}

impl Drop for EtherNode {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Release);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = read_body(&mut stream)?;
    let is_seal = body.contains("\"eth_submitWork\"");
    let less = |left: u64| left.checked_sub(1);
    if is_seal && state.lost.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok() {
        return Ok(());
    }
    let answer = rpc::answer(&mut lock(&state.chain), &mut lock(&state.desk), &body).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(answer.as_bytes())
}

/// What a request carries, however many pieces it comes in.
fn read_body(stream: &mut TcpStream) -> std::io::Result<String> {
    let ended = || std::io::Error::other("the request ended before it was whole");
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if body.len() >= length.unwrap_or(0_usize) {
                return Ok(body.to_owned());
            }
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece)?;
        if count == 0 || bytes.len() > REQUEST_MAX {
            return Err(ended());
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

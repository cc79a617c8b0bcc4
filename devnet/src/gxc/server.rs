//! The node's wires: HTTP as it speaks it. One read takes a request, whole or not at all.
//!
//! Invariant: a request that does not come in one piece of at most [`READ`] bytes is misread, as by the real one.

use super::ledger::Ledger;
use super::rpc;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is read of a request.
pub const READ: usize = 8192;
/// How long a client may take to say something.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running node.
pub struct GxcNode {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    ledger: Mutex<Ledger>,
    /// So many answers are not given: the work is done, and the line breaks.
    mute: AtomicU32,
    stopped: AtomicBool,
}

impl State {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GxcNode {
    /// Starts it on a loopback port.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(ledger: Ledger, listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            ledger: Mutex::new(ledger),
            mute: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
        });
        let own = state.clone();
        let serve = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if own.stopped.load(Ordering::Acquire) {
                    return;
                }
                if let Err(error) = serve(&own, stream) {
                    tracing::debug!(%error, "a client of the GXC node went away");
                }
            }
        };
        std::thread::Builder::new().name("gxc node".into()).spawn(serve)?;
        Ok(GxcNode { address, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the chain, or changes it.
    pub fn chain<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.state.ledger())
    }

    /// Does the next requests' work and breaks the line instead of answering.
    pub fn swallow_answers(&self, count: u32) {
        self.state.mute.store(count, Ordering::Release);
    }

    /// Mines blocks as somebody else.
    pub fn mine_to(&self, miner: &str, count: usize) {
        for _ in 0..count {
            self.chain(|ledger| ledger.mine_to(miner, now()));
        }
    }
}

impl Drop for GxcNode {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Release);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0u8; READ];
    let count = stream.read(&mut buffer)?;
    let request = String::from_utf8_lossy(&buffer[..count]);
    let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let answer = if request.starts_with("GET /health") {
        let ledger = state.ledger();
        serde_json::json!({ "status": "ok", "service": "gxc", "height": ledger.length() - 1, "difficulty": ledger.difficulty, "timestamp": now() })
    } else {
        rpc::answer(&mut state.ledger(), body, now())
    };
    let is_muted = |left: u32| left.checked_sub(1);
    if state.mute.fetch_update(Ordering::AcqRel, Ordering::Acquire, is_muted).is_ok() {
        return Ok(());
    }
    let body = answer.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! Dev-only: real nodes for tests, started on free loopback ports, and what lies between them and the pool.
//!
//! Everything here is blocking, plain and ends with the test: a process dies with the thread that started it, even when
//! the test is killed. A test that cannot have its node fails and says which command makes it; it is never skipped.
//!
//! Reading order: [`port`], [`process`], [`rpc`], then the nodes [`bitcoind`], [`litecoind`], [`bcoin`], and what lies before them:
//! [`proxy`] and [`gate`]. Beside them: [`mod@block`], made by hand, [`disk`], whose power fails,
//! and [`fuzz`].

pub mod bcoin;
pub mod bitcoind;
pub mod block;
pub mod disk;
pub mod fuzz;
pub mod gate;
pub mod litecoind;
pub mod peer;
pub mod port;
pub mod process;
pub mod proxy;
pub mod rpc;

pub use bcoin::Bcoin;
pub use bitcoind::Bitcoind;
pub use disk::Disk;
pub use gate::Gate;
pub use litecoind::Litecoind;
pub use port::Port;
pub use process::Process;
pub use proxy::{Fault, Proxy};
pub use rpc::{Rpc, RpcError};

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long anything that is started may take to answer.
pub const START_LIMIT: Duration = Duration::from_secs(120);

/// Asks again and again until something is there: for the outside world only, which tells nobody when it is ready.
///
/// # Panics
/// When it is not there in time; the text says what was awaited.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < START_LIMIT, "waited {START_LIMIT:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The root of the checkout.
#[must_use]
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate is in the checkout")
}

/// Runs one of the checkout's scripts that prepare a component; gives the path it prints.
#[must_use]
pub fn prepared(script: &str) -> PathBuf {
    let path = checkout().join("scripts").join(script);
    let output = Command::new(&path).output();
    let output = output.unwrap_or_else(|error| panic!("{} cannot be run: {error}", path.display()));
    assert!(
        output.status.success(),
        "run {} by hand to see what is missing:\n{}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

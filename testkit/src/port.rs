//! Free loopback ports, without races between tests that run at once.
//!
//! Invariant: a port belongs to one test at a time: it is locked in a file for as long as it is held, and lies below the
//! range from which the system takes ports for outgoing connections.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port that nobody else in these tests uses, for as long as this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free one.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn take() -> Self {
        let folder = std::env::temp_dir().join("adit-test-ports");
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let width = LAST - FIRST;
        // Every process begins elsewhere.
        let seed = u16::try_from(std::process::id() * 37 % u32::from(width)).unwrap_or(0);
        for _ in 0..width {
            let number = FIRST + (seed + NEXT.fetch_add(1, Ordering::Relaxed) % width) % width;
            let lock = File::create(folder.join(number.to_string()))
                .expect("the temporary folder can be written");
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Port { number, _lock: lock };
            }
        }
        panic!("no free port between {FIRST} and {LAST}");
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The loopback address with it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

//! A gate before a server: bytes pass as they are, TLS and all, until it is shut.
//!
//! Invariant: a gate that is shut lets nothing through: connections that stood are cut, and new ones are closed at once.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes passed on at once.
const CHUNK: usize = 64 * 1024;

#[derive(Default)]
struct State {
    is_shut: bool,
    is_over: bool,
    /// Both ends of everything that passes.
    lines: Vec<TcpStream>,
}

impl State {
    fn cut(&mut self) {
        for line in self.lines.drain(..) {
            // One that is closed already is just as well.
            drop(line.shutdown(Shutdown::Both));
        }
    }
}

/// A gate before one server.
pub struct Gate {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

impl Gate {
    /// Puts one up, open.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State::default()));
        let own = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if held(&own).is_over {
                    return;
                }
                // A line that breaks is part of the game.
                drop(client.and_then(|client| enter(&own, client, server)));
            }
        });
        Gate { state, address }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing through from now on.
    pub fn shut(&self) {
        let mut state = held(&self.state);
        state.is_shut = true;
        state.cut();
    }

    /// Lets new connections through.
    pub fn open(&self) {
        held(&self.state).is_shut = false;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut state = held(&self.state);
        (state.is_over, state.is_shut) = (true, true);
        state.cut();
        drop(state);
        // Wakes the listening thread.
        drop(TcpStream::connect(self.address));
    }
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter(state: &Mutex<State>, client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut state = held(state);
    if state.is_shut {
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect(server)?;
    state.lines.extend([client.try_clone()?, server.try_clone()?]);
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        std::thread::spawn(move || pass(from, to));
    }
    Ok(())
}

/// Passes on until either side ends; then both do.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut chunk)
        && to.write_all(&chunk[..read]).is_ok()
    {}
    for line in [from, to] {
        drop(line.shutdown(Shutdown::Both));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gate: &Gate) -> Option<u8> {
        let mut line = TcpStream::connect(gate.address()).ok()?;
        line.write_all(&[7]).ok()?;
        let mut answer = [0];
        line.read_exact(&mut answer).ok().map(|()| answer[0])
    }

    #[test]
    fn a_gate_that_is_shut_lets_nothing_through_until_it_is_opened() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let gate = Gate::before(server.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut line in server.incoming().flatten() {
                let mut asked = [0];
                if line.read_exact(&mut asked).is_ok() {
                    drop(line.write_all(&[asked[0] + 1]));
                }
            }
        });
        assert_eq!(asked(&gate), Some(8));
        gate.shut();
        assert_eq!(asked(&gate), None);
        gate.open();
        assert_eq!(asked(&gate), Some(8));
    }
}

//! A proxy before a node's RPC that does what networks and nodes do on bad days: refuse, hang, cut, lose answers, lie.
//!
//! Invariant: a request that is passed on is passed on whole and once, so that "delivered, but the answer was lost" means
//! just that.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What happens to a call.
#[derive(Clone)]
pub enum Fault {
    /// Nothing bad.
    Pass,
    /// The connection is closed before the call reaches the node.
    Refuse,
    /// The call never reaches the node and is never answered, until the fault is taken away; then the line is cut.
    Hang,
    /// The node gets the call; its answer is lost and the line is cut.
    LoseAnswer,
    /// The node gets the call; so many bytes of its answer come through.
    CutAnswer(usize),
    /// The node is never asked; this is the answer.
    Answer(Value),
    /// The node is never asked; this error is the answer.
    Error(i64, &'static str),
    /// The node's result, changed.
    Change(Arc<dyn Fn(Value) -> Value + Send + Sync>),
}

#[derive(Default)]
struct State {
    everything: Option<Fault>,
    methods: HashMap<String, Fault>,
    calls: Vec<String>,
    stopped: bool,
}

struct Shared {
    node: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

/// A proxy before one node.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// Starts one that passes everything on.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { node, state: Mutex::default(), changed: Condvar::new() });
        let own = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.state().stopped {
                    return;
                }
                let (Ok(stream), shared) = (stream, own.clone()) else { continue };
                // A line that breaks is part of the game.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Proxy { shared, address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this happens to every call.
    pub fn set(&self, fault: Fault) {
        self.shared.state().everything = Some(fault);
        self.shared.changed.notify_all();
    }

    /// From now on this happens to calls of one method, whatever happens to others.
    pub fn set_method(&self, method: &str, fault: Fault) {
        self.shared.state().methods.insert(method.to_owned(), fault);
        self.shared.changed.notify_all();
    }

    /// From now on nothing bad happens.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.everything = None;
        state.methods.clear();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// How often a method was called so far, whatever came of it.
    #[must_use]
    pub fn calls(&self, method: &str) -> usize {
        self.shared.state().calls.iter().filter(|call| *call == method).count()
    }

    /// Waits until a method was called more than so many times.
    pub fn wait_for_call(&self, method: &str, more_than: usize) {
        crate::wait_for(method, || (self.calls(method) > more_than).then_some(()));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        self.shared.changed.notify_all();
        // Wakes the listening thread.
        drop(TcpStream::connect(self.address));
    }
}

/// One HTTP message: its head and its body.
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault_for(&self, method: &str) -> Fault {
        let state = self.state();
        let found = state.methods.get(method).or(state.everything.as_ref());
        found.cloned().unwrap_or(Fault::Pass)
    }

    /// Serves one connection until somebody closes it.
    fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        let mut from_client = BufReader::new(client.try_clone()?);
        let mut client = client;
        let mut node: Option<BufReader<TcpStream>> = None;
        let mut last = false;
        while !last && let Some(request) = read_message(&mut from_client)? {
            last = String::from_utf8_lossy(&request.head)
                .to_ascii_lowercase()
                .contains("connection: close");
            let call: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            let method = call["method"].as_str().unwrap_or_default().to_owned();
            self.state().calls.push(method.clone());
            let fault = self.fault_for(&method);
            match fault {
                Fault::Refuse => return client.shutdown(Shutdown::Both),
                Fault::Hang => {
                    self.wait_out_hang(&method);
                    return client.shutdown(Shutdown::Both);
                }
                Fault::Answer(result) => {
                    let body = json!({ "result": result, "error": null, "id": call["id"] });
                    client.write_all(&http("200 OK", &body.to_string()))?;
                    continue;
                }
                Fault::Error(code, text) => {
                    let error = json!({ "code": code, "message": text });
                    let body = json!({ "result": null, "error": error, "id": call["id"] });
                    client.write_all(&http("500 Internal Server Error", &body.to_string()))?;
                    continue;
                }
                Fault::Pass | Fault::LoseAnswer | Fault::CutAnswer(_) | Fault::Change(_) => {}
            }
            if node.is_none() {
                node = Some(BufReader::new(TcpStream::connect(self.node)?));
            }
            let Some(upstream) = node.as_mut() else { return Ok(()) };
            upstream.get_mut().write_all(&[request.head, request.body].concat())?;
            let Some(answer) = read_message(upstream)? else {
                return client.shutdown(Shutdown::Both);
            };
            // The fault may have come while the node was thinking, as in a long poll.
            match self.fault_for(&method) {
                Fault::LoseAnswer | Fault::Refuse | Fault::Hang => {
                    return client.shutdown(Shutdown::Both);
                }
                Fault::CutAnswer(bytes) => {
                    let whole = [answer.head, answer.body].concat();
                    client.write_all(&whole[..bytes.min(whole.len())])?;
                    return client.shutdown(Shutdown::Both);
                }
                Fault::Change(change) => {
                    let mut body: Value =
                        serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                    body["result"] = change(body["result"].take());
                    client.write_all(&http("200 OK", &body.to_string()))?;
                }
                Fault::Pass | Fault::Answer(_) | Fault::Error(..) => {
                    client.write_all(&[answer.head, answer.body].concat())?;
                }
            }
        }
        client.shutdown(Shutdown::Both)
    }

    fn wait_out_hang(&self, method: &str) {
        let mut state = self.state();
        loop {
            let fault = state.methods.get(method).or(state.everything.as_ref());
            if state.stopped || !matches!(fault, Some(Fault::Hang)) {
                return;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Reads a message with its body; `None` at the end of the stream.
fn read_message(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Message>> {
    let mut head = Vec::new();
    let mut length = 0;
    let mut chunked = false;
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        chunked |= text.starts_with("transfer-encoding:") && text.contains("chunked");
        head.extend_from_slice(&line);
        if line == b"\r\n" {
            break;
        }
    }
    if chunked {
        let body = read_chunks(stream)?;
        let kept: Vec<&[u8]> =
            head.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_chunked(line)).collect();
        let mut head = kept.concat();
        head.truncate(head.len() - 2);
        head.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        return Ok(Some(Message { head, body }));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Message { head, body }))
}

fn is_chunked(line: &[u8]) -> bool {
    line.to_ascii_lowercase().starts_with(b"transfer-encoding:")
}

fn read_chunks(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

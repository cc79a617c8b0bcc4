//! Sockets: listening, sniffing, limiting, and one task a connection.
//!
//! Invariant: a connection costs about a kilobyte while it is idle, holds a counted seat, and ends for a reason.

use crate::block::Blocks;
use crate::coin::Coin;
use crate::difficulty::Policy;
use crate::extranonce::Extranonces;
use crate::hashing::Kept;
use crate::job::{JobRules, Jobs};
use crate::limits::Limits;
use crate::proxy;
use crate::reject::Reject;
use crate::session::{Closing, Session};
use crate::verifier::Verifier;
use accounting::PoolId;
use arc_swap::ArcSwap;
use pool::bans::Bans;
use pool::observe::Histogram;
use pool::seats::Seats;
use pool::{Clock, Pool};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a TLS handshake or a PROXY header may take.
const OPENING: Duration = Duration::from_secs(10);
/// How often every connection looks at its clock.
const BEAT: Duration = Duration::from_secs(5);
/// Connections waiting to be accepted.
const BACKLOG: i32 = 4096;
/// A TLS handshake record begins with this byte; JSON never does.
const TLS_HANDSHAKE: u8 = 0x16;

/// One pool as its connections see it.
pub struct Door {
    /// The writer.
    pub pool: Pool,
    /// Which pot.
    pub pool_id: PoolId,
    /// Which coin its addresses are of.
    pub coin: Coin,
    /// What its jobs have in common.
    pub rules: Arc<JobRules>,
    /// Its jobs.
    pub jobs: watch::Receiver<Arc<Jobs>>,
    /// Its search space.
    pub extranonces: Arc<Extranonces>,
    /// Where its blocks go.
    pub blocks: Arc<Blocks>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who is not wanted.
    pub bans: Arc<ArcSwap<Bans>>,
    /// What addresses that have not registered are told, where only registered ones may mine.
    pub registered_only: Option<String>,
    /// Why the operator has it hand out no work, if so.
    pub paused: watch::Sender<Option<String>>,
    /// Where heavy hashes are computed, for pools that have one.
    pub heavy: Option<Verifier<Kept>>,
    /// Counters for people.
    pub stats: Stats,
}

/// One listening port of a pool.
pub struct Port {
    /// Its address, for logs.
    pub name: String,
    /// Its difficulties.
    pub policy: Policy,
    /// Its limits.
    pub limits: Limits,
    /// For miners that speak TLS; told apart by their first byte.
    pub tls: Option<TlsAcceptor>,
    /// Every connection begins with a PROXY header.
    pub proxy_protocol: bool,
}

/// Counters since start; lossy, never money.
#[derive(Debug, Default)]
pub struct Stats {
    accepted: AtomicU64,
    /// In units of 2^16 hashes, so that 64 bits last.
    work: AtomicU64,
    rejected: [AtomicU64; Reject::ALL.len()],
    jobs_sent: AtomicU64,
    difficulty_changes: AtomicU64,
    /// Of a share, from the line read to the verdict; one in sixteen is timed.
    pub validation: Histogram,
    /// Of a share, from its verdict to the answer that it is durable.
    pub ack: Histogram,
    /// Of a new job, from its making to each connection's buffer.
    pub broadcast: Histogram,
}

impl Stats {
    /// Shares that became durable.
    pub fn accepted(&self, count: u64, work: u128) {
        self.accepted.fetch_add(count, Ordering::Relaxed);
        self.work.fetch_add(u64::try_from(work >> 16).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A share that was refused.
    pub fn rejected(&self, reject: Reject) {
        if let Some(at) = Reject::ALL.iter().position(|known| *known == reject) {
            self.rejected[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Work was sent.
    pub fn job_sent(&self) {
        self.jobs_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was given another difficulty.
    pub fn difficulty_changed(&self) {
        self.difficulty_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Jobs sent so far, and changes of difficulty.
    #[must_use]
    pub fn sent_counts(&self) -> (u64, u64) {
        (self.jobs_sent.load(Ordering::Relaxed), self.difficulty_changes.load(Ordering::Relaxed))
    }

    /// Accepted shares so far.
    #[must_use]
    pub fn accepted_count(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Refused shares so far, by reason.
    #[must_use]
    pub fn rejected_counts(&self) -> Vec<(Reject, u64)> {
        Reject::ALL
            .iter()
            .zip(&self.rejected)
            .map(|(r, count)| (*r, count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// What all connections are told at once.
#[derive(Debug, Clone, Default)]
pub struct Beat {
    /// A word to everybody (`client.show_message`), when it changed.
    pub message: Option<Arc<str>>,
}

/// What connections of all ports share.
#[derive(Clone)]
pub struct Floor {
    /// Open connections.
    pub connections: Arc<Seats>,
    /// Beats every few seconds.
    pub beats: watch::Receiver<Beat>,
    /// One task a connection.
    pub tasks: TaskTracker,
    /// Ends everything.
    pub cancel: CancellationToken,
}

impl Floor {
    /// The floor, and the sender of its beats.
    #[must_use]
    pub fn new(tasks: TaskTracker, cancel: CancellationToken) -> (Self, watch::Sender<Beat>) {
        let (beat, beats) = watch::channel(Beat::default());
        (Floor { connections: Arc::default(), beats, tasks, cancel }, beat)
    }
}

/// Sends a beat every few seconds for as long as anybody listens.
pub async fn keep_beating(beat: watch::Sender<Beat>, cancel: CancellationToken) {
    let mut interval = tokio::time::interval(BEAT);
    while !cancel.is_cancelled() {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = interval.tick() => beat.send_modify(|_| {}),
        }
    }
}

/// A listening socket: reusable after a restart, with a long queue.
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until cancelled.
pub async fn listen(listener: TcpListener, door: Arc<Door>, port: Arc<Port>, floor: Floor) {
    loop {
        let accepted = tokio::select! {
            () = floor.cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (door, port, own) = (door.clone(), port.clone(), floor.clone());
                floor.tasks.spawn(open(stream, peer, door, port, own));
            }
            Err(error) => {
                // Out of file descriptors, mostly: wait for some to be closed instead of spinning.
                tracing::error!(%error, port = port.name, "cannot accept connections; raise the limit of open files");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// From a raw socket to a session: PROXY header, seat, TLS.
async fn open(
    mut stream: TcpStream,
    peer: SocketAddr,
    door: Arc<Door>,
    port: Arc<Port>,
    floor: Floor,
) {
    if let Err(error) = tune(&stream) {
        return tracing::debug!(%error, "a connection was gone at once");
    }
    let from: IpAddr = if port.proxy_protocol {
        // In a box, so that it is gone once it is done.
        match Box::pin(tokio::time::timeout(OPENING, proxy::read_from(&mut stream))).await {
            Ok(Some(client)) => client.unwrap_or(peer.ip()),
            _ => {
                return tracing::debug!(%peer, "no PROXY header; is proxy_protocol meant for this port?");
            }
        }
    } else {
        peer.ip()
    };
    if door.bans.load().has_host(from) {
        return tracing::debug!(%from, "banned");
    }
    let Limits { connections, per_address, .. } = port.limits;
    let Some(_seat) = floor.connections.take(from, connections, per_address) else {
        return tracing::debug!(%from, "too many connections");
    };
    if let Some(acceptor) = &port.tls {
        return Box::pin(sniff(stream, from, acceptor.clone(), door, port.clone(), floor)).await;
    }
    serve(stream, from, door, port, floor).await;
}

async fn sniff(
    stream: TcpStream,
    from: IpAddr,
    acceptor: TlsAcceptor,
    door: Arc<Door>,
    port: Arc<Port>,
    floor: Floor,
) {
    let mut first = [0u8; 1];
    let limit = Duration::from_millis(port.limits.handshake_ms);
    match tokio::time::timeout(limit, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {
            match tokio::time::timeout(OPENING, acceptor.accept(stream)).await {
                Ok(Ok(tls)) => serve(tls, from, door, port, floor).await,
                _ => tracing::debug!("a TLS handshake failed"),
            }
        }
        Ok(Ok(1)) => serve(stream, from, door, port, floor).await,
        _ => tracing::debug!("a connection said nothing"),
    }
}

fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // Dead peers are noticed within minutes without a word of protocol.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(5);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Runs one session on any stream until it ends.
pub async fn serve<S>(mut stream: S, from: IpAddr, door: Arc<Door>, port: Arc<Port>, floor: Floor)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut jobs = door.jobs.clone();
    let newest = jobs.borrow_and_update().clone();
    let mut session = Session::new(door, port, newest, from);
    let closing = drive(&mut session, &mut stream, &mut jobs, floor).await;
    tracing::debug!(?closing, "connection ended");
    if closing == Closing::Stopping {
        session.notify("client.reconnect", "[]");
    }
    // Whatever is left to say is said if it can be without waiting long.
    session.finish().await;
    let last_words = session.unsaid();
    session.park();
    if closing != Closing::Gone && !last_words.is_empty() {
        let saying = async {
            stream.write_all(&last_words).await?;
            stream.shutdown().await
        };
        if tokio::time::timeout(Duration::from_secs(1), saying).await.is_err() {
            tracing::trace!("the peer did not take our last words");
        }
    }
}

async fn drive<S>(
    session: &mut Session,
    stream: &mut S,
    jobs: &mut watch::Receiver<Arc<Jobs>>,
    floor: Floor,
) -> Closing
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Floor { mut beats, cancel, .. } = floor;
    loop {
        let ended = tokio::select! {
            biased;
            changed = jobs.changed() => match changed {
                Ok(()) => {
                    let newest = jobs.borrow_and_update().clone();
                    session.jobs_changed(newest);
                    Ok(())
                }
                Err(_) => Err(Closing::Stopping),
            },
            io = std::future::poll_fn(|cx| session.poll_io(stream, cx)) => match io {
                Ok(()) => {
                    // In a box: it is rarely needed, and its room would be every idle connection's.
                    Box::pin(session.record()).await;
                    Ok(())
                }
                Err(closing) => Err(closing),
            },
            changed = beats.changed() => match changed {
                Ok(()) => {
                    let message = beats.borrow_and_update().message.clone();
                    session.beat(message)
                }
                Err(_) => Err(Closing::Stopping),
            },
            () = cancel.cancelled() => Err(Closing::Stopping),
        };
        if let Err(closing) = ended {
            return closing;
        }
    }
}

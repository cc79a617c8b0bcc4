//! Connections of a door that speaks HTTP: taken one after the other, each with a seat, and nobody has all seats.
//!
//! Invariant: a slow or a greedy peer costs seats of its own only; when there are no file descriptors left, it waits for some instead of
//! spinning.

use crate::seats::Seats;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long it waits where a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections a door has room for.
#[derive(Debug, Clone)]
pub struct Room {
    /// What the door is called in the log.
    pub name: &'static str,
    /// In all.
    pub all: usize,
    /// Of one address, unless it is of this machine.
    pub own: usize,
    /// Proxies of ours: each comes for many.
    pub proxies: Vec<IpAddr>,
}

impl Room {
    fn of(&self, peer: IpAddr) -> usize {
        if peer.is_loopback() || self.proxies.contains(&peer) { self.all } else { self.own }
    }
}

/// Takes connections until cancelled, and serves each as a task.
pub async fn connections<F>(
    listener: TcpListener,
    room: Room,
    tasks: &TaskTracker,
    cancel: &CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (seats, name) = (Arc::new(Seats::default()), room.name);
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(name, %error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(seat) = seats.take(peer.ip(), room.all, room.of(peer.ip())) else {
            tracing::debug!(name, %peer, "too many connections");
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(name, %error, "a connection was gone at once");
            continue;
        }
        let served = serve(stream, peer);
        tasks.spawn(async move {
            let _seat = seat;
            served.await;
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn strangers_have_few_seats_and_our_own_machines_all() {
        let proxy = "192.0.2.7".parse().unwrap();
        let room = Room { name: "test", all: 10, own: 3, proxies: vec![proxy] };
        for (peer, seats) in [("192.0.2.8", 3), ("127.0.0.1", 10), ("::1", 10), ("192.0.2.7", 10)] {
            assert_eq!(room.of(peer.parse().unwrap()), seats, "{peer}");
        }
    }

    #[tokio::test]
    async fn who_finds_no_seat_is_sent_away_and_let_in_once_somebody_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let (own, ends) = (tasks.clone(), cancel.clone());
        let accepting = tokio::spawn(async move {
            let room = Room { name: "test", all: 2, own: 2, proxies: Vec::new() };
            connections(listener, room, &own, &ends, |mut stream, _| async move {
                let mut byte = [0];
                stream.write_all(b"!").await.unwrap();
                drop(stream.read(&mut byte).await);
            })
            .await;
        });
        let enter = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut byte = [0];
            let is_in = stream.read(&mut byte).await.is_ok_and(|read| read == 1);
            is_in.then_some(stream)
        };
        let (first, second) = (enter().await, enter().await);
        assert!(first.is_some() && second.is_some());
        assert!(enter().await.is_none(), "no seat");
        drop(first);
        while enter().await.is_none() {}
        cancel.cancel();
        accepting.await.unwrap();
    }
}

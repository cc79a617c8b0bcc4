//! A farming pool, put together: the port, the watch over the chain and the chores, until told to stop.
//!
//! Invariant: nothing is answered before what a crash left half done has been handed to the pool again.

use crate::chores;
use crate::door::Door;
use crate::server::{self, Limits};
use crate::tables::TablesError;
use crate::watch::{self, Pace};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts everything and names what runs; it ends when cancelled, and the tracker knows when.
///
/// # Errors
/// When the door's database cannot be read.
pub async fn start(
    door: Arc<Door>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    pace: Pace,
    tasks: &TaskTracker,
    cancel: &CancellationToken,
) -> Result<[(&'static str, JoinHandle<()>); 3], TablesError> {
    door.nodes.refresh().await;
    chores::record_all(&door).await?;
    let (own, token) = (door.clone(), cancel.clone());
    let watching = tasks.spawn(async move { watch::run(&own, pace, &token).await });
    let (own, token) = (door.clone(), cancel.clone());
    let chores = tasks.spawn(async move { chores::run(&own, &token).await });
    let serving = server::serve(listener, door, limits, tls, tasks.clone(), cancel.clone());
    Ok([("the watch", watching), ("the chores", chores), ("the port", tasks.spawn(serving))])
}

//! GXC and its pools, on their way up.

use super::Start;
use super::mining::{self, Chain};
use anyhow::Context;
use pool::{Clock, SystemClock};
use std::sync::Arc;
use stratum::block::{Blocks, Taker};
use stratum::gxc::rpc::Node;
use stratum::source::gxc::{self, GxcSource};
use stratum::treasury::gxc::GxcWallet;

/// Waits for the wallet's node as long as it takes, then opens the asset's counter and its pools' ports.
pub(super) async fn start(start: Start, own: GxcSource, blocks: Arc<Blocks>) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let name = &start.asset.config.name;
    let node = own.nodes.first().context("an asset has a node; this is a bug")?;
    let open = || GxcWallet::open(node, own.miner.clone(), name, start.pool.clone(), clock.clone());
    let treasury = mining::open_wallet(&start, open).await?;
    let script = own.miner.clone().into_bytes();
    let (coin, cancel) = (own.coin, start.live.floor.cancel.clone());
    let source = gxc::start(own.clone(), clock.clone(), cancel);
    mining::open(&start, Chain { coin, treasury, script, source, blocks }).await
}

/// Where its found blocks go; see [`mining::recovered`].
pub(super) async fn recovered(start: &Start, own: &GxcSource) -> anyhow::Result<Arc<Blocks>> {
    let takers = own.nodes.iter().map(|node| Taker::Gxc(Node::at(node))).collect();
    mining::recovered(start, takers, own.coin).await
}

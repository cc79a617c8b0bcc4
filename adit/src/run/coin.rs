//! A coin of the bitcoind family and its pools, on their way up.

use super::Start;
use super::mining::{self, Chain};
use crate::config::CoinSettings;
use pool::{Clock, SystemClock};
use std::sync::Arc;
use stratum::block::{Blocks, Taker};
use stratum::source;
use stratum::treasury::CoinTreasury;

/// Waits for the wallet's node as long as it takes, then opens the asset's counter and its pools' ports.
pub(super) async fn start(
    start: Start,
    own: CoinSettings,
    blocks: Arc<Blocks>,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let open = || CoinTreasury::open(own.treasury.clone(), start.pool.clone(), clock.clone());
    let treasury = mining::open_wallet(&start, open).await?;
    let script = treasury.script().to_bytes();
    let source = source::start(own.source.clone(), clock.clone(), start.live.floor.cancel.clone());
    mining::open(&start, Chain { coin: own.coin, treasury, script, source, blocks }).await
}

/// Where its found blocks go; see [`mining::recovered`].
pub(super) async fn recovered(start: &Start, own: &CoinSettings) -> anyhow::Result<Arc<Blocks>> {
    let nodes = own.source.nodes.iter();
    let takers = nodes.map(|node| Taker::Bitcoind(node.endpoint.clone())).collect();
    mining::recovered(start, takers, own.coin).await
}

//! A chain of Ethash and its pools, on their way up.

use super::Start;
use super::mining::{self, Chain};
use ::compute::treasury::External;
use accounting::payout::{Fate, PayoutVersion};
use accounting::reward::Sighting;
use accounting::{Amount, RewardId};
use anyhow::Context;
use pool::treasury::{Holdings, PayoutOrder, Signing, Treasury, TreasuryError};
use pool::{Clock, SystemClock};
use std::sync::Arc;
use store::Reader;
use stratum::block::{Blocks, Taker};
use stratum::ether::eyes::Eyes;
use stratum::ether::prospect::{Known, Patience, Prospector};
use stratum::source::ether::{self, EtherSource};

/// Opens the asset's counter and its pools' ports, and looks for what was found.
pub(super) async fn start(
    start: Start,
    own: EtherSource,
    blocks: Arc<Blocks>,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let name = start.asset.config.name.clone();
    let wanted = name.clone();
    let asset = start.pool.order(move |books, _, _| Ok(books.asset_named(&wanted))).await?;
    let asset = asset.with_context(|| format!("asset \"{name}\" has no number; this is a bug"))?;
    let found = blocks.prospects().context("somebody looks for solutions already; a bug")?;
    let folder = start.folder.clone();
    let known: Known = Arc::new(move |id| {
        Reader::open(&folder).is_ok_and(|reader| matches!(reader.reward(id), Ok(Some(_))))
    });
    let depths = start.asset.config.depths;
    let patience = Patience {
        every: own.poll,
        settled: depths.last_look.into(),
        lost: depths.last_look.into(),
    };
    let (gate, pool) = (own.gate.clone(), start.pool.clone());
    let prospector =
        Prospector::new(gate.clone(), &own.nodes, pool.clone(), blocks.clone(), known, patience);
    let cancel = start.live.floor.cancel.clone();
    start.live.spawn(format!("the solutions of {name}"), prospector.run(found, cancel.clone()));
    let treasury = ByHand {
        eyes: Eyes::new(gate, &own.nodes),
        hand: External::new(pool, asset, clock.clone()),
    };
    let (coin, script) = (own.coin, own.gate.miner.to_vec());
    let source = ether::start(own, clock, cancel);
    mining::open(&start, Chain { coin, treasury, script, source, blocks }).await
}

/// Where its solutions go; see [`mining::recovered`].
pub(super) async fn recovered(start: &Start, own: &EtherSource) -> anyhow::Result<Arc<Blocks>> {
    let takers = own.nodes.iter().map(|node| Taker::Ether(node.clone())).collect();
    mining::recovered(start, takers, own.coin).await
}

/// Income that the chain shows, and payouts that the operator sends.
struct ByHand {
    eyes: Eyes,
    hand: External,
}

impl Treasury for ByHand {
    async fn refresh(&mut self) -> Result<Holdings, TreasuryError> {
        self.hand.refresh().await
    }

    async fn sightings(&mut self, blocks: &[(RewardId, u64)]) -> Vec<Sighting> {
        self.eyes.sightings(blocks).await
    }

    async fn estimate_fee(&mut self, outputs: usize) -> Result<Amount, TreasuryError> {
        self.hand.estimate_fee(outputs).await
    }

    async fn sign(&mut self, order: &PayoutOrder) -> Result<Signing, TreasuryError> {
        self.hand.sign(order).await
    }

    async fn broadcast(&mut self, version: &PayoutVersion) -> Result<(), TreasuryError> {
        self.hand.broadcast(version).await
    }

    async fn fate(&mut self, versions: &[PayoutVersion]) -> Fate {
        self.hand.fate(versions).await
    }
}

//! Watching GXC's nodes: they tell nothing by themselves, so they are asked.
//!
//! Invariant: what a mined transaction has spent is not built again, though the node offers it; where no block could be made,
//! nothing is handed out, and the operator is told why.

use super::post::Post;
use super::{Source, UNFIT_PAUSE, watched};
use crate::coin::{Coin, Network};
use crate::gxc::offer::{self, Outpoint, Unminable};
use crate::gxc::rpc::Node;
use crate::node::Unfit;
use pool::Clock;
use pow::Work;
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// A transaction is offered again for an hour after it was mined; of blocks older than twice that nothing is remembered.
const OFFERED_AGAIN_S: u64 = 2 * 3600;
/// Blocks whose spends are remembered at most, however fast they come.
const BLOCKS_MAX: usize = 1000;

/// A GXC network and its nodes.
#[derive(Debug, Clone)]
pub struct GxcSource {
    /// Which network.
    pub coin: Coin,
    /// The nodes, the preferred one first.
    pub nodes: Vec<String>,
    /// Whom the blocks pay.
    pub miner: String,
    /// How often a node is asked for its tip.
    pub poll: Duration,
    /// How often the template is renewed, and the job sent again as a sign of life.
    pub refresh: Duration,
}

impl From<Unminable> for Unfit {
    fn from(error: Unminable) -> Self {
        Unfit::Trouble(error.to_string())
    }
}

/// Starts watching.
#[must_use]
pub fn start(config: GxcSource, clock: Arc<dyn Clock>, cancel: CancellationToken) -> Source {
    watched(config.nodes.clone(), cancel.clone(), |at, post, knocked| {
        let watcher = Watcher {
            node: Node::at(&config.nodes[at]),
            config: config.clone(),
            post,
            clock: clock.clone(),
            tip: String::new(),
            spent: Spent::default(),
        };
        tokio::spawn(watcher.run(knocked, cancel.clone()))
    })
}

/// Coins that recent blocks have spent.
#[derive(Default)]
struct Spent {
    /// Hash, time and spends of each block, oldest first.
    blocks: VecDeque<(String, u64, Vec<Outpoint>)>,
    all: HashSet<Outpoint>,
}

impl Spent {
    fn add(&mut self, hash: String, time: u64, spends: Vec<Outpoint>) {
        self.all.extend(spends.iter().cloned());
        self.blocks.push_back((hash, time, spends));
    }

    fn forget_before(&mut self, time: u64) {
        while self.blocks.front().is_some_and(|(_, at, _)| *at < time)
            || self.blocks.len() > BLOCKS_MAX
        {
            let Some((_, _, spends)) = self.blocks.pop_front() else { break };
            for spend in &spends {
                self.all.remove(spend);
            }
        }
    }

    fn clear(&mut self) {
        *self = Spent::default();
    }
}

struct Watcher {
    config: GxcSource,
    node: Node,
    post: Post,
    clock: Arc<dyn Clock>,
    tip: String,
    spent: Spent,
}

impl Watcher {
    async fn run(mut self, knocked: watch::Receiver<u64>, cancel: CancellationToken) {
        loop {
            let trouble = tokio::select! {
                () = cancel.cancelled() => return,
                trouble = self.follow(knocked.clone()) => trouble,
            };
            self.post.report_unfit(trouble).await;
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(UNFIT_PAUSE) => {}
            }
        }
    }

    /// Follows the node for as long as it is fit; gives the reason when it is not any more.
    async fn follow(&mut self, mut knocked: watch::Receiver<u64>) -> Unfit {
        if let Err(unfit) = self.check_network().await {
            return unfit;
        }
        let mut by = "start";
        let mut refresh_at = Instant::now();
        loop {
            let outcome = match Instant::now() >= refresh_at {
                true => self.renew(by).await.map(|()| true),
                false => self.look_at_tip(by).await,
            };
            match outcome {
                Ok(true) => refresh_at = Instant::now() + self.config.refresh,
                Ok(false) => {}
                Err(unfit) => return unfit,
            }
            by = tokio::select! {
                () = sleep(self.config.poll) => "poll",
                knock = knocked.changed() => match knock {
                    Ok(()) => "knock",
                    Err(_) => return Unfit::Trouble("the pool is stopping".into()),
                },
            };
        }
    }

    async fn check_network(&self) -> Result<(), Unfit> {
        let info: Value = self.node.call("getblockchaininfo", json!([])).await?;
        let named = info["chain"].as_str().unwrap_or_default();
        let meant = match self.config.coin.network() {
            Network::Main => "main",
            _ => "test",
        };
        if named != meant {
            return Err(Unfit::OtherChain(format!("it is on \"{named}\", not \"{meant}\"")));
        }
        Ok(())
    }

    /// Has the tip moved? Then there is new work.
    async fn look_at_tip(&mut self, by: &'static str) -> Result<bool, Unfit> {
        let tip: String = self.node.call("getbestblockhash", json!([])).await?;
        if tip == self.tip {
            return Ok(false);
        }
        self.renew(by).await?;
        Ok(true)
    }

    async fn renew(&mut self, by: &'static str) -> Result<(), Unfit> {
        let asked = json!([{ "address": self.config.miner }]);
        let raw: Value = self.node.call("getblocktemplate", asked).await?;
        let previous = raw["previousblockhash"].as_str().unwrap_or_default().to_owned();
        let height = raw["height"].as_u64().unwrap_or(0);
        self.learn_spends(height, &previous).await?;
        let template = offer::read(raw, &self.config.miner, &self.spent.all)?;
        // Nobody proves any work there: the longest chain is the one.
        let work = Work::from(height);
        self.tip = previous;
        self.post.report(Arc::new(template), work, by).await;
        Ok(())
    }

    /// Reads the blocks that came since, newest first, until one that is known or too old.
    async fn learn_spends(&mut self, height: u64, tip: &str) -> Result<(), Unfit> {
        let oldest = (self.clock.now().0 / 1000).saturating_sub(OFFERED_AGAIN_S);
        let (mut at, mut wanted) = (height, tip.to_owned());
        let mut fresh = Vec::new();
        while at > 0 && fresh.len() < BLOCKS_MAX {
            if self.spent.blocks.back().is_some_and(|(hash, ..)| *hash == wanted) {
                break;
            }
            at -= 1;
            let block: Value = self.node.call("getblock", json!([at])).await?;
            if block["hash"] != *wanted {
                return Err(Unfit::Trouble("the chain moved while it was read".into()));
            }
            let time = block["time"].as_u64().unwrap_or(0);
            let list = block["tx"].as_array().map(Vec::as_slice).unwrap_or_default();
            let spends = list.iter().flat_map(offer::inputs).collect();
            fresh.push((wanted.clone(), time, spends));
            if time < oldest {
                break;
            }
            wanted = block["previousblockhash"].as_str().unwrap_or_default().to_owned();
        }
        let is_joined = self.spent.blocks.back().is_none_or(|(hash, ..)| *hash == wanted);
        if !is_joined {
            // Another chain, or too long away.
            self.spent.clear();
        }
        for (hash, time, spends) in fresh.into_iter().rev() {
            self.spent.add(hash, time, spends);
        }
        self.spent.forget_before(oldest);
        Ok(())
    }
}

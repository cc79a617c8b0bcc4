//! Watching nodes that speak `eth_getWork`: they tell nothing by themselves, so they are asked.
//!
//! Invariant: work comes from a node of the chain that is meant, up to date, and whose blocks pay the pool.

use super::post::Post;
use super::{Source, UNFIT_PAUSE, watched};
use crate::coin::Coin;
use crate::ether::node::{self, Gate};
use crate::ether::work::{self, Work};
use crate::node::Unfit;
use crate::rpc::{Endpoint, Rpc};
use pool::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How often the gate is checked again: a node that falls behind goes on giving work.
const GATE_EVERY: Duration = Duration::from_secs(5);

/// A chain of Ethash and its nodes.
#[derive(Debug, Clone)]
pub struct EtherSource {
    /// Which chain.
    pub coin: Coin,
    /// How its nodes are told from others', and whom their blocks pay.
    pub gate: Gate,
    /// The nodes, the preferred one first.
    pub nodes: Vec<Endpoint>,
    /// How often a node is asked for work.
    pub poll: Duration,
    /// How often the job is sent again as a sign of life.
    pub refresh: Duration,
}

/// Starts watching.
#[must_use]
pub fn start(config: EtherSource, clock: Arc<dyn Clock>, cancel: CancellationToken) -> Source {
    let addresses = config.nodes.iter().map(|node| node.address.clone()).collect();
    watched(addresses, cancel.clone(), |at, post, knocked| {
        let watcher = Watcher {
            rpc: node::rpc(&config.nodes[at]),
            config: config.clone(),
            post,
            clock: clock.clone(),
            known: None,
        };
        tokio::spawn(watcher.run(knocked, cancel.clone()))
    })
}

struct Watcher {
    config: EtherSource,
    rpc: Rpc,
    post: Post,
    clock: Arc<dyn Clock>,
    known: Option<Work>,
}

impl Watcher {
    async fn run(mut self, knocked: watch::Receiver<u64>, cancel: CancellationToken) {
        loop {
            let trouble = tokio::select! {
                () = cancel.cancelled() => return,
                trouble = self.follow(knocked.clone()) => trouble,
            };
            self.known = None;
            self.post.report_unfit(trouble).await;
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(UNFIT_PAUSE) => {}
            }
        }
    }

    /// Follows the node for as long as it is fit; gives the reason when it is not any more.
    async fn follow(&mut self, mut knocked: watch::Receiver<u64>) -> Unfit {
        let mut by = "start";
        let mut gate_at = Instant::now();
        let mut refresh_at = Instant::now();
        loop {
            let now = Instant::now();
            if now >= gate_at {
                if let Err(unfit) = self.config.gate.check(&mut self.rpc).await {
                    return unfit;
                }
                gate_at = now + GATE_EVERY;
            }
            match self.look(by, now >= refresh_at).await {
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

    /// Is there other work than before? Then it is told; and now and then that there is not.
    async fn look(&mut self, by: &'static str, always: bool) -> Result<bool, Unfit> {
        let (work, parent, chain) = work::ask(&mut self.rpc).await?;
        if self.known.as_ref() == Some(&work) && !always {
            return Ok(false);
        }
        self.known = Some(work.clone());
        let now_s = u32::try_from(self.clock.now().0 / 1000).unwrap_or(u32::MAX);
        self.post.report(Arc::new(work.template(parent, now_s)), chain, by).await;
        Ok(true)
    }
}

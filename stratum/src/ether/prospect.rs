//! From a seal to income: what was found is looked for in the chain, and booked by what it brought there.
//!
//! A solution is on disk and with its nodes before it comes here. Its block may stand, become an uncle, or neither; a block that stood may
//! still become an uncle when the chain changes its mind. Each is another income with a name of its own, and the books follow each
//! through the chain by itself, so that a wrong guess here is never wrong money: an income whose block is not there is orphaned.
//!
//! Invariant: nothing is booked that a node does not show, nor while nodes differ about what it brought; a solution is not forgotten
//! before its income rests, or nobody can name it any more.

use super::chain::{self, Place, block_id, uncles_id};
use super::node::{self, Gate};
use super::seal::Seal;
use crate::block::Blocks;
use crate::rpc::{Endpoint, Rpc, RpcError};
use accounting::{Amount, RewardId};
use pool::{BlockReport, Pool};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// A solution, and what is to be said of it when it brought something.
#[derive(Debug, Clone)]
pub struct Prospect {
    /// Everything but the amount, and named by the solution.
    pub report: BlockReport,
    /// What was found.
    pub seal: Seal,
}

/// How long is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often.
    pub every: Duration,
    /// Blocks after which what stands, stands for good.
    pub settled: u64,
    /// Blocks after the last that could name it, after which what does not stand is given up.
    pub lost: u64,
}

/// Is this income in the books already?
pub type Known = Arc<dyn Fn(RewardId) -> bool + Send + Sync>;

/// Looks for what was found.
pub struct Prospector {
    gate: Gate,
    nodes: Vec<Rpc>,
    pool: Pool,
    blocks: Arc<Blocks>,
    known: Known,
    patience: Patience,
    open: Vec<Prospect>,
    /// Incomes that the books have.
    booked: HashSet<RewardId>,
    /// What the nodes' newest blocks were at the last look, if that left nothing to be done.
    tips: Vec<(usize, Value)>,
    /// What people were told last.
    told: String,
}

/// What the nodes say of one solution.
enum Outcome {
    /// Go on looking.
    Open,
    /// Nothing can change any more.
    Settled,
    /// It brought nothing.
    Lost,
}

impl Prospector {
    /// One that looks by these nodes.
    #[must_use]
    pub fn new(
        gate: Gate,
        nodes: &[Endpoint],
        pool: Pool,
        blocks: Arc<Blocks>,
        known: Known,
        patience: Patience,
    ) -> Self {
        let nodes = nodes.iter().map(node::rpc).collect();
        let (open, booked, told) = (Vec::new(), HashSet::new(), String::new());
        let tips = Vec::new();
        Prospector { gate, nodes, pool, blocks, known, patience, open, booked, tips, told }
    }

    /// Looks until cancelled.
    pub async fn run(mut self, mut found: UnboundedReceiver<Prospect>, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                prospect = found.recv() => match prospect {
                    Some(prospect) => {
                        self.open.push(prospect);
                        self.tips.clear();
                    }
                    None => return,
                },
                () = tokio::time::sleep(self.patience.every), if !self.open.is_empty() => {}
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.look() => {}
            }
        }
    }

    async fn look(&mut self) {
        let mut tips = Vec::new();
        for (at, rpc) in self.nodes.iter_mut().enumerate() {
            if let Ok(tip) =
                rpc.call::<Value>("eth_getBlockByNumber", json!(["latest", false])).await
                && self.gate.check(rpc).await.is_ok()
            {
                tips.push((at, tip["hash"].clone()));
            }
        }
        if tips == self.tips {
            return;
        }
        let fit: Vec<usize> = tips.iter().map(|(at, _)| *at).collect();
        self.tips = tips;
        let mut still = Vec::new();
        for prospect in std::mem::take(&mut self.open) {
            let (height, hash) = (prospect.report.height, prospect.report.block);
            match self.follow(&fit, &prospect).await {
                Ok(Outcome::Open) => still.push(prospect),
                Ok(Outcome::Settled) => self.blocks.close(height, hash, true),
                Ok(Outcome::Lost) => {
                    tracing::error!(height, solution = %hash, "a solution became neither a block nor an uncle; its file is kept, ending in .lost");
                    self.blocks.close(height, hash, false);
                }
                Err(text) => {
                    self.tips.clear();
                    if self.told != text {
                        tracing::error!(height, solution = %hash, "what a block brought is not known yet: {text}");
                        self.told = text;
                    }
                    still.push(prospect);
                }
            }
        }
        self.open = still;
    }

    /// What becomes of one, by all nodes that may be believed.
    async fn follow(&mut self, fit: &[usize], prospect: &Prospect) -> Result<Outcome, String> {
        let mut places = Vec::new();
        for at in fit.iter().copied() {
            let (seal, height) = (&prospect.seal, prospect.report.height);
            match chain::find(&mut self.nodes[at], seal, height).await {
                Ok(place) => places.push((at, place)),
                Err(error) => tracing::debug!(%error, "a node did not say where a block is"),
            }
        }
        let stands = places.iter().any(|(_, place)| matches!(place, Place::Block { .. }));
        let income = places.iter().find_map(|(_, place)| match *place {
            Place::Block { hash, .. } => Some((block_id(&hash), prospect.report.height, hash)),
            // As long as one node has it in its chain it is that block.
            Place::Uncle { nephew, hash, .. } if !stands => Some((uncles_id(&hash), nephew, hash)),
            _ => None,
        });
        if let Some((id, number, hash)) = income {
            let who: Vec<usize> = places
                .iter()
                .filter(|(_, place)| is_at(place, &hash, number))
                .map(|(at, _)| *at)
                .collect();
            self.book(prospect, id, number, &who).await?;
        }
        Ok(self.outcome(&places))
    }

    fn outcome(&self, places: &[(usize, Place)]) -> Outcome {
        let all = |is: &dyn Fn(&Place) -> bool| {
            !places.is_empty() && places.iter().all(|(_, place)| is(place))
        };
        let Patience { settled, lost, .. } = self.patience;
        let rests = |place: &Place| match *place {
            Place::Block { confirmations, .. } | Place::Uncle { confirmations, .. } => {
                confirmations >= settled
            }
            Place::Nowhere { .. } | Place::NotYet => false,
        };
        // A block that stood once, and is nowhere for as long, has been orphaned by the books.
        let is_lost = |place: &Place| matches!(*place, Place::Nowhere { since } if since >= lost);
        if all(&rests) {
            Outcome::Settled
        } else if all(&is_lost) {
            Outcome::Lost
        } else {
            Outcome::Open
        }
    }

    /// Books what a block brought, once, when the nodes that have it say the same.
    async fn book(
        &mut self,
        prospect: &Prospect,
        id: RewardId,
        number: u64,
        who: &[usize],
    ) -> Result<(), String> {
        if self.booked.contains(&id) || (self.known)(id) {
            self.booked.insert(id);
            return Ok(());
        }
        let is_uncle = number != prospect.report.height;
        let mut sums: Vec<Amount> = Vec::new();
        let mut why = "no node that has it".to_owned();
        for at in who.iter().copied() {
            let own = self.gate.miner;
            if is_uncle && self.is_ours(at, number).await.map_err(|error| error.to_string())? {
                // What the uncle brought is part of what its nephew did, which is the pool's too: the chain does not tell them apart.
                return Ok(());
            }
            match chain::income(&mut self.nodes[at], number, &own).await {
                Ok(sum) => sums.push(sum),
                Err(error) => why = needs_state(&error, number),
            }
        }
        let Some(sum) = sums.first().copied() else { return Err(why) };
        if sums.iter().any(|other| *other != sum) {
            return Err(format!("the nodes differ about what block {number} brought: {sums:?}"));
        }
        if !sum.is_positive() {
            return Err(format!("block {number} brought {sum} wei; it is not booked"));
        }
        let report = BlockReport { block: id, to_pool: sum, ..prospect.report.clone() };
        let booked = self.pool.found(report).await;
        booked.map_err(|refused| refused.to_string())?;
        self.booked.insert(id);
        let wei = sum.units();
        tracing::info!(block = %id, height = prospect.report.height, is_uncle, wei, "what a block brought is booked");
        Ok(())
    }

    async fn is_ours(&mut self, at: usize, number: u64) -> Result<bool, RpcError> {
        Ok(chain::miner_of(&mut self.nodes[at], number).await? == self.gate.miner)
    }
}

fn is_at(place: &Place, wanted: &[u8; 32], number: u64) -> bool {
    match place {
        Place::Block { hash, .. } => hash == wanted,
        Place::Uncle { hash, nephew, .. } => hash == wanted && *nephew == number,
        Place::Nowhere { .. } | Place::NotYet => false,
    }
}

fn needs_state(error: &RpcError, number: u64) -> String {
    match error {
        RpcError::Refused { message, .. } => format!(
            "the node does not know the balances of block {number} any more ({message}): add a node that keeps them (--gcmode=archive) to \
             nodes; the solution is kept on disk until then"
        ),
        other => other.to_string(),
    }
}

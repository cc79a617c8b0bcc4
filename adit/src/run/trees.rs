//! The trees of a pool's blocks, sent once their coinbases can be spent: miners need do nothing, and could do all of it themselves.
//!
//! Invariant: what is sent follows from what was committed; sending it again changes nothing. What a node will not take yet is tried at
//! every block until the chain has it.

use super::Start;
use accounting::reward::Sighting;
use accounting::{PoolId, RewardId};
use anyhow::anyhow;
use bitcoin::Transaction;
use bitcoin::consensus::encode::serialize_hex;
use covenant::committed;
use pool::Pool;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;
use store::Reader;
use stratum::node;
use stratum::rpc::{Endpoint, Rpc, RpcError};
use stratum::source::Offer;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whose notes say which trees the chain has.
const DOOR: &str = "trees";
/// How long after a look that a node did not let end the next one is.
const PAUSE: Duration = Duration::from_secs(30);

/// The trees of one pool.
pub(super) struct Trees {
    pool: Pool,
    pool_id: PoolId,
    folder: PathBuf,
    nodes: Vec<Endpoint>,
    /// The chain has all of them.
    done: HashSet<RewardId>,
}

/// What one look at a tree found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The chain has all of it.
    Confirmed,
    /// Some of it waits, and so many were sent just now.
    Waits(usize),
}

impl Trees {
    /// The trees of a pool, those known to be in the chain left out.
    ///
    /// # Errors
    /// When the pool is stopping.
    pub(super) async fn of(
        start: &Start,
        pool_id: PoolId,
        nodes: Vec<Endpoint>,
    ) -> anyhow::Result<Trees> {
        let (pool, folder) = (start.pool.clone(), start.folder.clone());
        let notes = pool.order(|books, _, _| Ok(books.notes_of(DOOR))).await?;
        let done = notes.keys().filter_map(|key| key.parse().ok()).collect();
        Ok(Trees { pool, pool_id, folder, nodes, done })
    }

    /// Looks at every new tip until cancelled.
    pub(super) async fn run(
        mut self,
        mut offers: watch::Receiver<Offer>,
        cancel: CancellationToken,
    ) {
        let (mut tip, mut unsettled) = (None, true);
        loop {
            let parent = match &*offers.borrow_and_update() {
                Offer::Template(template) => Some(template.prev_hash),
                Offer::Waiting | Offer::Later(_) | Offer::None(_) => None,
            };
            if parent.is_some() && (unsettled || parent != tip) {
                tip = parent;
                unsettled = self.look().await.is_err_and(|error| {
                    tracing::warn!(%error, "the trees of found blocks cannot be sent now");
                    true
                });
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = offers.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(PAUSE), if unsettled => {}
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let reader = Reader::open(&self.folder)?;
        for block in reader.matured_by_block(self.pool_id)? {
            if self.done.contains(&block) {
                continue;
            }
            let tree = transactions(&reader, block)?;
            let standing = match &tree {
                None => Standing::Confirmed,
                Some((height, transactions)) => self.send(block, *height, transactions).await?,
            };
            match standing {
                Standing::Waits(0) => {}
                Standing::Waits(sent) => {
                    tracing::info!(%block, sent, "transactions that pay a block's miners were sent");
                }
                Standing::Confirmed => {
                    self.done.insert(block);
                    if tree.is_some() {
                        tracing::info!(%block, "the chain has paid all of a block's miners");
                    }
                    let note =
                        move |books: &mut pool::books::Books, _: &mut dyn store::Store, _| {
                            books.note(DOOR, block.to_string(), Some(vec![1]));
                            Ok(())
                        };
                    self.pool.order(note).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends what the chain does not have, by the first node that answers.
    async fn send(
        &self,
        block: RewardId,
        height: u64,
        transactions: &[Transaction],
    ) -> anyhow::Result<Standing> {
        let mut failed = None;
        for node in &self.nodes {
            let mut rpc = Rpc::new(node.clone());
            // On a chain without the block, an output that is not there was never there.
            let Sighting::InChain(_) = node::sighting(&mut rpc, block, height).await else {
                continue;
            };
            match send_by(&mut rpc, transactions).await {
                Ok(standing) => return Ok(standing),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.map_or_else(|| anyhow!("no node has block {block}"), Into::into))
    }
}

/// A block's height and its tree, parents first; none where it has none.
fn transactions(
    reader: &Reader,
    block: RewardId,
) -> anyhow::Result<Option<(u64, Vec<Transaction>)>> {
    let Some((reward, _)) = reader.reward(block)? else { return Ok(None) };
    let (Some(by_block), Some(split)) = (&reward.by_block, &reward.split) else {
        return Ok(None);
    };
    let Some(paid) = &by_block.tree else { return Ok(None) };
    let tree = committed::rebuild(paid, by_block, split)?;
    let mut transactions = tree.transactions(committed::root(paid));
    transactions.reverse();
    Ok(Some((reward.height, transactions)))
}

/// Sends what of a tree, or of a branch of one, the chain does not have; parents first.
///
/// # Errors
/// When the node does not answer.
pub(super) async fn send_by(
    rpc: &mut Rpc,
    transactions: &[Transaction],
) -> Result<Standing, RpcError> {
    let (mut confirmed, mut sent, mut full) = (HashSet::new(), 0, false);
    for (at, transaction) in transactions.iter().enumerate() {
        let Some(input) = transaction.input.first() else { continue };
        let parent = input.previous_output;
        let asked = json!([parent.txid, parent.vout, false]);
        let unspent: Option<Value> = rpc.call("gettxout", asked).await?;
        // What the chain does not have as an output it never had, or has spent: by the only transaction that can.
        if unspent.is_none() && (at == 0 || confirmed.contains(&parent.txid)) {
            confirmed.insert(transaction.compute_txid());
            continue;
        }
        if full {
            continue;
        }
        match rpc.call::<Value>("sendrawtransaction", json!([serialize_hex(transaction)])).await {
            Ok(_) => sent += 1,
            Err(RpcError::Refused { message, .. }) => {
                // In the mempool already, or behind too many that wait: the next block makes room.
                tracing::debug!(message, "a transaction of a tree waits");
                full = message.contains("too-long-mempool-chain");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(match confirmed.len() == transactions.len() {
        true => Standing::Confirmed,
        false => Standing::Waits(sent),
    })
}

//! What the blocks of a coordination-free pool pay this one, its member: followed on the chain, sent when it can be, booked when it is
//! there. And what the next block must pay, for the jobs.
//!
//! A rule that a pool has ever mined by is followed from then on, whatever the configuration says later: claims outlive it. Invariant:
//! everything follows from the chain and the books, so a start, a reorganisation or a failure in between is a look like any other; what
//! is booked already is known by its transaction.

use super::mining::endpoints;
use super::trees::{self, Standing};
use super::{Start, pool_number};
use crate::config::{AssetKind, BlockPays, PoolSettings, StratumSettings};
use crate::ctv::follower::Follower;
use accounting::membership::{Earned, MemberPayment, Membership, Place};
use accounting::{Amount, BasisPoints, PoolId, RewardId};
use anyhow::{Context, anyhow, bail};
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, Txid};
use covenant::chain::{ChainError, Upcoming};
use covenant::member::{Payment, branch};
use covenant::{Chain, Member, Rule, marker};
use pool::{BlockReport, Clock, Pool, SystemClock};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::Reader;
use stratum::block::Blocks;
use stratum::member::Following;
use stratum::node;
use stratum::rpc::{Endpoint, Rpc};
use stratum::source::Offer;
use stratum::template::to_hex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whose notes say by which rules a pool has mined, and at which script it is paid.
const DOOR: &str = "member";
/// The machine that payments are booked under.
const WORKER: &str = "payments";
/// How long after a look that could not be ended the next one is.
const PAUSE: Duration = Duration::from_secs(5);

/// Follows every rule that a pool mines by now or did before; gives the one of now.
///
/// # Errors
/// When the wallet's script cannot be paid by a rule, a note cannot be read, or the pool is stopping.
pub(super) async fn follow(
    start: &Start,
    settings: &PoolSettings,
    own: &StratumSettings,
    script: &[u8],
    (offers, blocks): (&watch::Receiver<Offer>, &Arc<Blocks>),
) -> anyhow::Result<Option<Following>> {
    let AssetKind::Coin(coin) = &start.asset.kind else { return Ok(None) };
    let name = &settings.config.name;
    let pool_id = pool_number(&start.pool, name).await?;
    let now = match own.by_block.as_ref().map(|own| &own.pays) {
        Some(BlockPays::Members(rule)) => Some((*rule, ScriptBuf::from_bytes(script.to_vec()))),
        Some(BlockPays::Miners(_)) | None => None,
    };
    if let Some((_, script)) = &now
        && !marker::is_payable(script)
    {
        bail!(
            "pool {name}: a rule's blocks cannot pay the wallet at {script}; use a wallet with P2PKH, P2SH, P2WPKH, P2WSH or P2TR addresses"
        );
    }
    let mut followed = noted(&start.pool, pool_id).await?;
    if let Some(now) = &now
        && !followed.contains(now)
    {
        note(&start.pool, pool_id, now).await?;
        followed.push(now.clone());
    }
    let send = own.by_block.as_ref().is_none_or(|own| own.send);
    let mut following = None;
    for (rule, script) in followed {
        let (publish, upcoming) = watch::channel(None);
        if now.as_ref() == Some(&(rule, script.clone())) {
            following = Some(Following { rule, upcoming });
        }
        let id = rule.id();
        let claims = Claims {
            pool: start.pool.clone(),
            pool_id,
            folder: start.folder.clone(),
            nodes: endpoints(coin),
            blocks: blocks.clone(),
            rule,
            follower: None,
            member: Member::new(script),
            booked: booked(&start.pool, pool_id).await?,
            unknown: HashSet::new(),
            send,
            publish,
        };
        let following = claims.run(offers.clone(), start.live.floor.cancel.clone());
        start.live.spawn(format!("the rule {id} of pool {name}"), following);
    }
    Ok(following)
}

/// By which rules a pool has mined, and at which script each pays it.
async fn noted(pool: &Pool, pool_id: PoolId) -> anyhow::Result<Vec<(Rule, ScriptBuf)>> {
    let notes = pool.order(|books, _, _| Ok(books.notes_of(DOOR))).await?;
    let mut found = Vec::new();
    for (key, rule) in notes {
        let Some((of, rest)) = key.split_once('/') else { continue };
        if of != pool_id.to_string() {
            continue;
        }
        let script = rest.split_once('/').and_then(|(_, script)| Vec::<u8>::from_hex(script).ok());
        let script = script.with_context(|| format!("the note {key} names no script"))?;
        let rule = serde_json::from_slice(&rule).with_context(|| format!("the rule of {key}"))?;
        found.push((rule, ScriptBuf::from_bytes(script)));
    }
    Ok(found)
}

async fn note(
    pool: &Pool,
    pool_id: PoolId,
    (rule, script): &(Rule, ScriptBuf),
) -> anyhow::Result<()> {
    let key = format!("{pool_id}/{}/{}", rule.id(), to_hex(script.as_bytes()));
    let value = serde_json::to_vec(rule)?;
    let note = move |books: &mut pool::books::Books, _: &mut dyn store::Store, _| {
        books.note(DOOR, key, Some(value));
        Ok(())
    };
    Ok(pool.order(note).await?)
}

/// The payments in the books, and where each stands.
async fn booked(pool: &Pool, pool_id: PoolId) -> anyhow::Result<HashMap<Txid, Place>> {
    let found = pool.order(move |books, _, _| Ok(books.payments_of(pool_id))).await?;
    Ok(found.into_iter().map(|(id, place)| (Txid::from_byte_array(id.0), place)).collect())
}

/// A rule, and what its blocks pay a pool.
struct Claims {
    pool: Pool,
    pool_id: PoolId,
    folder: PathBuf,
    nodes: Vec<Endpoint>,
    /// The pool's own, some of which may not be booked yet.
    blocks: Arc<Blocks>,
    rule: Rule,
    /// None before a node was found, and after a reorganisation too deep to be followed.
    follower: Option<Follower>,
    member: Member,
    booked: HashMap<Txid, Place>,
    /// Payments for blocks that the books do not know, told once.
    unknown: HashSet<Txid>,
    send: bool,
    publish: watch::Sender<Option<Arc<Upcoming>>>,
}

impl Claims {
    /// Looks at every new tip until cancelled.
    async fn run(mut self, mut offers: watch::Receiver<Offer>, cancel: CancellationToken) {
        let (mut tip, mut unsettled) = (None, true);
        let (mut last, mut told) = (String::new(), false);
        loop {
            let parent = match &*offers.borrow_and_update() {
                Offer::Template(template) => Some(BlockHash::from_byte_array(template.prev_hash)),
                Offer::Waiting | Offer::Later(_) | Offer::None(_) => None,
            };
            if let Some(parent) = parent.filter(|parent| unsettled || Some(*parent) != tip) {
                tip = Some(parent);
                let looked = tokio::select! {
                    () = cancel.cancelled() => return,
                    looked = self.look(parent) => looked,
                };
                unsettled = looked.is_err();
                let said = looked.err().map(|error| format!("{error:#}")).unwrap_or_default();
                // Once may be a tip that moves on while it is looked at.
                let stays = !said.is_empty() && said == last;
                if stays && !told {
                    tracing::warn!(rule = %self.rule.id(), "the rule's blocks cannot be followed now: {said}");
                }
                told = stays;
                last = said;
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = offers.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(PAUSE), if unsettled => {}
            }
        }
    }

    async fn look(&mut self, parent: BlockHash) -> anyhow::Result<()> {
        let node = self.catch_up(parent).await?;
        self.book().await?;
        if self.send { self.send_branches(node).await } else { Ok(()) }
    }

    /// Reads up to the block that work builds on, by the first node that has it, and says what comes next; gives the node.
    async fn catch_up(&mut self, parent: BlockHash) -> anyhow::Result<Endpoint> {
        let mut failed = None;
        for node in self.nodes.clone() {
            if let Err(error) = self.read(&node).await {
                failed = Some(error);
                continue;
            }
            let chain = self.follower.as_ref().map(|follower| &follower.chain);
            let upcoming = chain.and_then(Chain::upcoming);
            let has_it = upcoming.as_ref().is_none_or(|next| next.previous == parent);
            self.publish.send_replace(upcoming.map(Arc::new));
            if has_it {
                return Ok(node);
            }
        }
        Err(failed.unwrap_or_else(|| anyhow!("no node has block {parent} as its tip")))
    }

    async fn read(&mut self, node: &Endpoint) -> anyhow::Result<()> {
        let mut follower = match self.follower.take() {
            Some(mut follower) => {
                follower.ask(node.clone());
                follower
            }
            None => {
                self.member = Member::new(self.member.script().to_owned());
                let (rule, from) = (self.rule.id(), Chain::first(&self.rule));
                tracing::info!(%rule, from, "the rule's blocks are read");
                Follower::at(self.rule, node.clone()).await?
            }
        };
        let member = &mut self.member;
        let read = follower.catch_up(|chain, event| event.tell(chain, member)).await;
        // A chain that changed too deeply is read anew.
        if !read.as_ref().is_err_and(|error| error.is::<ChainError>()) {
            self.follower = Some(follower);
        }
        read
    }

    /// Tells the books of what the chain has now: new payments, and those that another block has than before.
    async fn book(&mut self) -> anyhow::Result<()> {
        if !self.blocks.all_booked(PAUSE).await {
            // What one of them earned must not be divided among the others.
            bail!("found blocks are not in the books yet");
        }
        let place = |payment: &Payment| {
            let (block, height) = payment.place?;
            Some(Place { block: reward(block), height: height.into() })
        };
        let placed = self.member.payments().filter_map(|payment| Some((payment, place(payment)?)));
        let news = placed.filter(|(payment, place)| {
            self.booked.get(&payment.transaction) != Some(place)
                && !self.unknown.contains(&payment.transaction)
        });
        let news: Vec<(Payment, Place)> =
            news.map(|(payment, place)| (payment.clone(), place)).collect();
        for (payment, place) in news {
            let id = RewardId(payment.transaction.to_byte_array());
            if self.booked.contains_key(&payment.transaction) {
                let moved = move |books: &mut pool::books::Books, _: &mut dyn store::Store, now| {
                    books.payment_moved(id, place, now)
                };
                self.pool.order(moved).await?;
                tracing::info!(payment = %id, block = %place.block, "a payment is in another block now");
            } else if !self.report(&payment, place).await? {
                self.unknown.insert(payment.transaction);
                continue;
            }
            self.booked.insert(payment.transaction, place);
        }
        Ok(())
    }

    /// Reports a payment as income of the blocks that earned it; false where none of them is in the books.
    async fn report(&self, payment: &Payment, place: Place) -> anyhow::Result<bool> {
        let pool_id = self.pool_id;
        let earners: Vec<RewardId> =
            payment.earners.iter().map(|earner| reward(earner.block)).collect();
        let known = self.pool.order(move |books, _, _| {
            let known = earners.into_iter().filter(|block| books.is_block_of(pool_id, *block));
            Ok(known.collect::<HashSet<RewardId>>())
        });
        let known = known.await?;
        let earned: Vec<Earned> = payment
            .earned(|block| known.contains(&reward(block)))
            .into_iter()
            .map(|(block, sat)| Earned {
                block: reward(block),
                amount: Amount::from_units(sat.into()),
            })
            .collect();
        let transaction = payment.transaction;
        let Some(newest) = earned.last() else {
            tracing::warn!(%transaction, sat = payment.amount, "a block pays the pool's address for blocks that its books do not have: book it with `adit payouts deposit`");
            return Ok(false);
        };
        let reader = Reader::open(&self.folder)?;
        let found = reader.reward(newest.block)?;
        let (block, _) = found.with_context(|| format!("block {} is booked", newest.block))?;
        let finder = block.finder;
        let identity =
            self.pool.order(move |books, _, _| Ok(books.identity_of(finder).cloned())).await?;
        let report = BlockReport {
            pool: self.pool_id,
            finder: identity.with_context(|| format!("account {finder} has a name"))?,
            display: reader.display(finder)?.unwrap_or_default(),
            worker: WORKER.to_owned(),
            block: RewardId(transaction.to_byte_array()),
            height: payment.height.into(),
            to_pool: Amount::from_units(payment.amount.into()),
            to_miners: Amount::ZERO,
            coinbase_fee: BasisPoints::ZERO,
            network_work: block.network_work,
            scheme: block.scheme,
            share: None,
            commitment: None,
            budget: None,
            member: Some(Box::new(Membership::Payment(MemberPayment {
                rule: serde_json::to_string(&self.rule)?,
                script: self.member.script().to_bytes(),
                by: reward(payment.by),
                output: payment.output,
                earned,
                place,
            }))),
            found_at: SystemClock.now(),
        };
        self.pool.found(report).await?;
        let (by, sat) = (payment.by, payment.amount);
        tracing::info!(%transaction, %by, sat, blocks = known.len(), "a payment for earlier blocks is in the chain");
        Ok(true)
    }

    /// Sends the branches that can be spent and are not in the chain yet. Their fees are the rule's; nothing is raised that is not ours.
    async fn send_branches(&mut self, node: Endpoint) -> anyhow::Result<()> {
        let Some(follower) = &self.follower else { return Ok(()) };
        let waiting = self.member.payments().filter(|payment| payment.place.is_none());
        let due: Vec<Vec<Transaction>> = waiting
            .filter(|payment| follower.is_mature(payment.height))
            .map(|payment| self.way_of(follower, payment))
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let mut rpc = Rpc::new(node);
        node::enforced(&mut rpc).await??;
        for way in due {
            if let Standing::Waits(sent @ 1..) = trees::send_by(&mut rpc, &way).await? {
                let transaction = way.last().map(Transaction::compute_txid);
                tracing::info!(
                    ?transaction,
                    sent,
                    "the way to a payment for earlier blocks was sent"
                );
            }
        }
        Ok(())
    }

    /// The transactions that bring a payment; none where its tree is not kept any more.
    fn way_of(&self, follower: &Follower, payment: &Payment) -> Vec<Transaction> {
        let Some(found) = follower.found.get(&payment.height) else { return Vec::new() };
        let is_it = |way: &Vec<Transaction>| {
            way.last().is_some_and(|last| last.compute_txid() == payment.transaction)
        };
        let tree = found.qualified.tree.as_ref();
        let of_tree = tree.map(|tree| branch(tree, found.root(), self.member.script()));
        let locked = found.qualified.forward.as_ref().and_then(|(forward, output)| {
            let root = OutPoint::new(found.coinbase, u32::try_from(*output).ok()?);
            Some(vec![forward.transaction(root)])
        });
        of_tree.into_iter().chain(locked).find(is_it).unwrap_or_default()
    }
}

/// A block as the books name it.
fn reward(block: BlockHash) -> RewardId {
    RewardId(block.to_byte_array())
}

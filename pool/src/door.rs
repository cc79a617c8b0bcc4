//! How the doors come in: a handle to the writer that anybody may clone.
//!
//! Invariant: a future dropped here loses an answer, never a fact: what was sent is still written.

use crate::books::Books;
use crate::guests::Guests;
use crate::observe::Observatory;
use crate::view::View;
use accounting::budget::Budget;
use accounting::commitment::Commitment;
use accounting::membership::Membership;
use accounting::rate::Rate;
use accounting::union::Terms;
use accounting::{
    AccountId, Amount, BasisPoints, Identity, LogEntry, PoolId, RewardId, Scheme, Share, ShareSeq,
    UnixMs, Weight, WorkerId,
};
use arc_swap::ArcSwap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use store::Store;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the writer; beyond it, doors wait.
pub const COMMANDS_MAX: usize = 65_536;

/// Why a fact or an order was not written. The sender may try again later; nothing of it will be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The store is failing; the operator has been told.
    #[error("the pool cannot record anything now")]
    StoreFailing,
    /// A PPS pool cannot carry more risk.
    #[error("the pool's bankroll cannot buy more shares now")]
    BankrollExhausted,
    /// The pool is shutting down.
    #[error("the pool is stopping")]
    Stopping,
    /// The order breaks a rule; the text says which and what to do.
    #[error("{0}")]
    Rule(String),
}

/// The answer of the writer.
pub type Answer<T> = Result<T, Refused>;

/// Income, as the door that found it reports it: a solved header, an absorbed coin, an epoch's budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockReport {
    /// The pot.
    pub pool: PoolId,
    /// Who found it.
    pub finder: Identity,
    /// As they write themselves.
    pub display: String,
    /// Which machine.
    pub worker: String,
    /// The block.
    pub block: RewardId,
    /// Its height.
    pub height: u64,
    /// What its coinbase pays to the pool's own scripts.
    pub to_pool: Amount,
    /// What it pays miners itself: the finder, or those its coinbase committed to.
    pub to_miners: Amount,
    /// The fee that the coinbase withheld from the finder it pays.
    pub coinbase_fee: BasisPoints,
    /// Expected hashes of the network's target.
    pub network_work: u128,
    /// The rule in force at its job.
    pub scheme: Scheme,
    /// The share it is as well, unless that was refused.
    pub share: Option<(Weight, Option<Rate>)>,
    /// The split that its coinbase committed to when its work was handed out.
    pub commitment: Option<Box<Commitment>>,
    /// What it divides, where it is an epoch's budget: then [`BlockReport::to_pool`] is all of it, and what is granted of it follows.
    pub budget: Option<Budget>,
    /// What a coordination-free pool has to do with it: of a payment that earlier blocks earned, the block is the transaction.
    pub member: Option<Box<Membership>>,
    /// When.
    pub found_at: UnixMs,
}

/// What an order works on.
pub(crate) struct Access<'a> {
    pub books: &'a mut Books,
    pub store: &'a mut dyn Store,
    pub now: UnixMs,
}

/// An order, or the news that it was not carried out.
pub(crate) type Order = Box<dyn FnOnce(Answer<Access<'_>>) -> Reply + Send>;
/// What to tell the sender once the consequences are on disk (or could not be written).
pub(crate) type Reply = Box<dyn FnOnce(Answer<()>) + Send>;

pub(crate) enum Command {
    Record {
        shares: Vec<Share>,
        reply: oneshot::Sender<Answer<ShareSeq>>,
    },
    RecordOnce {
        share: Share,
        reply: oneshot::Sender<Answer<Recorded>>,
    },
    Found {
        report: Box<BlockReport>,
        reply: oneshot::Sender<Answer<()>>,
    },
    Revoke {
        share: ShareSeq,
        reason: String,
        reply: oneshot::Sender<Answer<()>>,
    },
    Enrol {
        identity: Identity,
        display: String,
        worker: String,
        reply: oneshot::Sender<Answer<(AccountId, WorkerId)>>,
    },
    Declare(Rate),
    Order(Order),
    Tick,
    Stop,
}

/// A handle to the writer.
#[derive(Clone)]
pub struct Pool {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) noise: Arc<Observatory>,
    pub(crate) guests: Arc<Guests>,
}

/// Where the log has a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Its position: of the first record, however often it came.
    pub seq: ShareSeq,
    /// Was this the first record?
    pub is_new: bool,
}

/// A record on its way to disk.
pub struct Recording(oneshot::Receiver<Answer<ShareSeq>>);

impl Recording {
    /// As [`Recording::durable`], for who polls by hand.
    pub fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<Answer<ShareSeq>> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(Refused::Stopping)))
    }

    /// Waits until the shares are durable (or refused).
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn durable(&mut self) -> Answer<ShareSeq> {
        (&mut self.0).await.unwrap_or(Err(Refused::Stopping))
    }
}

impl Pool {
    /// Facts: verified shares, all of one account. Waits only while the writer's queue is full.
    ///
    /// # Errors
    /// When the pool is stopping.
    pub async fn record(&self, shares: Vec<Share>) -> Answer<Recording> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::Record { shares, reply })
            .await
            .map_err(|_| Refused::Stopping)?;
        Ok(Recording(answer))
    }

    /// As [`Pool::record`] while the writer's queue has room; otherwise the shares come back.
    ///
    /// # Errors
    /// The shares, to be recorded with [`Pool::record`].
    pub fn try_record(&self, shares: Vec<Share>) -> Result<Recording, Vec<Share>> {
        let (reply, answer) = oneshot::channel();
        match self.commands.try_send(Command::Record { shares, reply }) {
            Ok(()) => Ok(Recording(answer)),
            Err(
                mpsc::error::TrySendError::Full(command)
                | mpsc::error::TrySendError::Closed(command),
            ) => match command {
                Command::Record { shares, .. } => Err(shares),
                _ => Ok(Recording(answer)),
            },
        }
    }

    /// Facts: a verified share of a pool that knows its keys (see [`crate::config::PoolConfig`]). Recording a known key changes
    /// nothing and gives the position it has, so a door may simply record again what it does not know the fate of.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn record_once(&self, share: Share) -> Answer<Recorded> {
        let (reply, answer) = oneshot::channel();
        let command = Command::RecordOnce { share, reply };
        self.commands.send(command).await.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Facts: a solved block (and its share), recorded once however often it is reported.
    ///
    /// # Errors
    /// See [`Refused`]. The block itself is on disk and on its way to the nodes before this is called.
    pub async fn found(&self, report: BlockReport) -> Answer<()> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Found { report: Box::new(report), reply };
        self.commands.send(command).await.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Facts: an earlier share no longer stands.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn revoke(&self, share: ShareSeq, reason: String) -> Answer<()> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Revoke { share, reason, reply };
        self.commands.send(command).await.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// A pay-per-share rate that jobs will name from now on; durable before the first share that names it.
    ///
    /// # Errors
    /// When the pool is stopping.
    pub async fn declare(&self, rate: Rate) -> Answer<()> {
        self.commands.send(Command::Declare(rate)).await.map_err(|_| Refused::Stopping)
    }

    /// The numbers of an account and one of its machines; both are created on first use.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn enrol(
        &self,
        identity: Identity,
        display: String,
        worker: String,
    ) -> Answer<(AccountId, WorkerId)> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Enrol { identity, display, worker, reply };
        self.commands.send(command).await.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Runs an order on the writer's thread; the answer comes once its consequences are on disk.
    ///
    /// # Errors
    /// What the order itself refuses, or [`Refused::StoreFailing`]: then it may or may not be written later.
    pub async fn order<T, F>(&self, order: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Books, &mut dyn Store, UnixMs) -> Answer<T> + Send + 'static,
    {
        let (tell, answer) = oneshot::channel();
        let boxed: Order = Box::new(move |access| {
            let outcome = access.and_then(|Access { books, store, now }| order(books, store, now));
            Box::new(move |durable| {
                let answer = durable.and(outcome);
                if tell.send(answer).is_err() {
                    tracing::debug!("an order's sender did not wait for its answer");
                }
            })
        });
        self.commands.send(Command::Order(boxed)).await.map_err(|_| Refused::Stopping)?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// Commands that wait for the writer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.commands.max_capacity().saturating_sub(self.commands.capacity())
    }

    /// What people look at, machine by machine.
    #[must_use]
    pub fn noise(&self) -> &Observatory {
        &self.noise
    }

    /// Who has registered, and by which names.
    #[must_use]
    pub fn guests(&self) -> &Guests {
        &self.guests
    }

    /// The newest snapshot for readers.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Asks the writer to finish what has arrived and end.
    pub async fn stop(&self) {
        if self.commands.send(Command::Stop).await.is_err() {
            tracing::debug!("the writer has ended already");
        }
    }
}

impl BlockReport {
    /// The log entries it becomes: the share first, so that it lies inside its own window.
    pub(crate) fn entries(
        &self,
        finder: AccountId,
        worker: WorkerId,
        shared: Option<Terms>,
    ) -> Vec<LogEntry> {
        let share = self.share.as_ref().map(|(weight, rate)| {
            LogEntry::Share(Share {
                pool: self.pool,
                account: finder,
                worker,
                weight: *weight,
                rate: rate.as_ref().map(Rate::id).unwrap_or_default(),
                found_at: self.found_at,
                key: accounting::ShareKey(self.block.0),
            })
        });
        let found = LogEntry::BlockFound(Box::new(accounting::BlockFound {
            pool: self.pool,
            finder,
            worker,
            block: self.block,
            height: self.height,
            to_pool: self.to_pool,
            to_miners: self.to_miners,
            coinbase_fee: self.coinbase_fee,
            network_work: self.network_work,
            scheme: self.scheme,
            shared,
            commitment: self.commitment.as_deref().cloned(),
            budget: self.budget.clone(),
            member: self.member.as_deref().cloned(),
            found_at: self.found_at,
        }));
        share.into_iter().chain([found]).collect()
    }
}

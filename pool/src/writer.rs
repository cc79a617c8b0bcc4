//! The writer's thread: drain, append, sync once, answer, apply.
//!
//! Invariant: an answer leaves after the sync that covers it. While the store fails, shares are refused, nothing is
//! forgotten, and the store is tried again about once a second.

use crate::books::Books;
use crate::clock::Clock;
use crate::config::{AssetConfig, PoolConfig};
use crate::door::{
    Access, Answer, BlockReport, COMMANDS_MAX, Command, Order, Pool, Recorded, Refused,
};
use crate::view::View;
use accounting::{LogEntry, PoolId, Share, ShareKey, ShareSeq, UnixMs};
use arc_swap::ArcSwap;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};

/// Commands taken in one go.
const BATCH_MAX: usize = 4096;
/// A commit costs about as much as a hundred rows, so a busy writer gathers: it starts a commit at most this often,
/// unless enough is waiting. Miners do not wait for answers; an idle pool commits at once.
const GATHER: Duration = Duration::from_micros(3100);
/// This many shares waiting are enough.
const GATHER_ENOUGH: usize = 16;
/// How often due slices and the snapshot are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often a failing store is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The running writer.
pub struct Writer {
    /// How the doors come in.
    pub pool: Pool,
    /// Ends when the writer ends; an error is what stopped it.
    pub thread: JoinHandle<Result<(), StoreError>>,
}

/// Opens the books and starts the writer's thread.
///
/// # Errors
/// When the store cannot be loaded or the thread not started.
pub fn start(
    mut store: Box<dyn Store>,
    assets: Vec<AssetConfig>,
    pools: Vec<PoolConfig>,
    clock: impl Clock,
) -> Result<Writer, StoreError> {
    let mut books = Books::open(store.as_mut(), assets, pools, clock.now())?;
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let view = Arc::new(ArcSwap::from_pointee(books.view(clock.now(), None)));
    let guests = books.guests.clone();
    let pool = Pool { commands, view: view.clone(), noise: Arc::default(), guests };
    let mut desk = Desk {
        store,
        books,
        clock: Box::new(clock),
        inbox,
        view,
        to_fold: VecDeque::new(),
        failing: None,
        last_commit: None,
        last_tick: None,
        dirty: true,
        stopping: false,
    };
    pulse(&pool)?;
    let body = move || desk.run();
    let thread = std::thread::Builder::new().name("writer".into()).spawn(body);
    let thread =
        thread.map_err(|e| StoreError::Unavailable(format!("no thread for the writer: {e}")))?;
    Ok(Writer { pool, thread })
}

/// Knocks at every tick for as long as a door is open.
fn pulse(pool: &Pool) -> Result<(), StoreError> {
    let commands = pool.commands.downgrade();
    let body = move || {
        while let Some(commands) = commands.upgrade() {
            if let Err(mpsc::error::TrySendError::Closed(_)) = commands.try_send(Command::Tick) {
                break;
            }
            drop(commands);
            std::thread::sleep(TICK);
        }
    };
    let started = std::thread::Builder::new().name("pulse".into()).spawn(body);
    started.map(drop).map_err(|e| StoreError::Unavailable(format!("no thread for the pulse: {e}")))
}

struct Failing {
    reason: String,
    retry_at: Instant,
}

struct Desk {
    store: Box<dyn Store>,
    books: Books,
    clock: Box<dyn Clock>,
    inbox: mpsc::Receiver<Command>,
    view: Arc<ArcSwap<View>>,
    /// Durable entries whose consequences are not drawn yet (the store could not be read).
    to_fold: VecDeque<(ShareSeq, LogEntry)>,
    failing: Option<Failing>,
    last_commit: Option<Instant>,
    last_tick: Option<Instant>,
    dirty: bool,
    stopping: bool,
}

/// Facts waiting for one append.
#[derive(Default)]
struct Facts {
    entries: Vec<LogEntry>,
    /// Where the entries of pools that know their keys are.
    keys: HashMap<(PoolId, ShareKey), usize>,
    waiting: Vec<Waiting>,
}

impl Facts {
    fn revokes(&self, share: ShareSeq) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry, LogEntry::Revoke { share: own, .. } if *own == share))
    }
}

enum Waiting {
    /// So many entries before this sender's first.
    Shares(usize, oneshot::Sender<Answer<ShareSeq>>),
    /// So many entries before this sender's; was it the first with its key?
    Once(usize, bool, oneshot::Sender<Answer<Recorded>>),
    Fact(oneshot::Sender<Answer<()>>),
}

impl Desk {
    fn run(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while !self.stopping {
            if !self.gather(&mut batch) {
                break;
            }
            self.work(&mut batch)?;
            self.tick()?;
        }
        self.settle()
    }

    /// Waits for commands, at most until the next tick; false when every door is gone.
    fn gather(&mut self, batch: &mut Vec<Command>) -> bool {
        // The pulse knocks at every tick, so that waiting here never delays one for long.
        if self.inbox.blocking_recv_many(batch, BATCH_MAX) == 0 {
            return false;
        }
        let waiting: usize = batch.iter().map(Command::shares).sum();
        let since = self.last_commit.map_or(GATHER, |at| at.elapsed());
        if waiting > 0 && waiting < GATHER_ENOUGH && since < GATHER {
            std::thread::sleep(GATHER.saturating_sub(since));
            while batch.len() < BATCH_MAX {
                let Ok(command) = self.inbox.try_recv() else { break };
                batch.push(command);
            }
        }
        true
    }

    /// One round: facts in one append, then orders one by one.
    fn work(&mut self, batch: &mut Vec<Command>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut facts = Facts::default();
        let mut orders = Vec::new();
        let mut enrolled = Vec::new();
        for command in batch.drain(..) {
            match command {
                Command::Record { shares, reply } => self.admit(shares, reply, &mut facts),
                Command::RecordOnce { share, reply } => self.admit_once(share, reply, &mut facts),
                Command::Found { report, reply } => {
                    self.admit_block(&report, reply, &mut facts, now)
                }
                Command::Revoke { share, reason, reply } => {
                    match self.books.check_revocation(self.store.as_mut(), share) {
                        Err(refused) => tell(reply, Err(refused)),
                        Ok(false) => tell(reply, Ok(())),
                        Ok(true) if facts.revokes(share) => {
                            facts.waiting.push(Waiting::Fact(reply))
                        }
                        Ok(true) => {
                            facts.entries.push(LogEntry::Revoke { share, reason });
                            facts.waiting.push(Waiting::Fact(reply));
                        }
                    }
                }
                Command::Enrol { identity, display, worker, reply } => {
                    enrolled.push((self.books.enrol(&identity, &display, &worker, now), reply));
                }
                Command::Declare(rate) => self.books.declare(rate),
                Command::Order(order) => orders.push(order),
                Command::Tick => {}
                Command::Stop => self.stopping = true,
            }
        }
        self.write_facts(facts, now)?;
        if !enrolled.is_empty() {
            self.settle()?;
            let written = self.all_written();
            enrolled
                .into_iter()
                .for_each(|(ids, reply)| tell(reply, written.clone().map(|()| ids)));
        }
        for order in orders {
            self.carry_out(order, now)?;
        }
        Ok(())
    }

    fn admit(
        &mut self,
        shares: Vec<Share>,
        reply: oneshot::Sender<Answer<ShareSeq>>,
        facts: &mut Facts,
    ) {
        if self.is_refusing() {
            return tell(reply, Err(Refused::StoreFailing));
        }
        if shares.first().is_some_and(|share| self.books.knows_keys(share.pool)) {
            return tell(
                reply,
                Err(Refused::Rule("this pool's shares are recorded once, by key".into())),
            );
        }
        if !self.books.can_carry(&shares) {
            return tell(reply, Err(Refused::BankrollExhausted));
        }
        facts.waiting.push(Waiting::Shares(facts.entries.len(), reply));
        facts.entries.extend(shares.into_iter().map(LogEntry::Share));
    }

    fn admit_once(
        &mut self,
        share: Share,
        reply: oneshot::Sender<Answer<Recorded>>,
        facts: &mut Facts,
    ) {
        if self.is_refusing() {
            return tell(reply, Err(Refused::StoreFailing));
        }
        if !self.books.knows_keys(share.pool) {
            return tell(
                reply,
                Err(Refused::Rule(format!("pool {} does not know its keys", share.pool))),
            );
        }
        if let Some(offset) = facts.keys.get(&(share.pool, share.key)) {
            return facts.waiting.push(Waiting::Once(*offset, false, reply));
        }
        match self.store.position_of(share.pool, share.key) {
            Err(_) => tell(reply, Err(Refused::StoreFailing)),
            Ok(Some(seq)) => tell(reply, Ok(Recorded { seq, is_new: false })),
            Ok(None) if !self.books.can_carry(&[share]) => {
                tell(reply, Err(Refused::BankrollExhausted));
            }
            Ok(None) => {
                facts.keys.insert((share.pool, share.key), facts.entries.len());
                facts.waiting.push(Waiting::Once(facts.entries.len(), true, reply));
                facts.entries.push(LogEntry::Share(share));
            }
        }
    }

    fn admit_block(
        &mut self,
        report: &BlockReport,
        reply: oneshot::Sender<Answer<()>>,
        facts: &mut Facts,
        now: UnixMs,
    ) {
        let in_line = |entry: &LogEntry| matches!(entry, LogEntry::BlockFound(found) if found.block == report.block);
        let waiting = self.to_fold.iter().any(|(_, entry)| in_line(entry))
            || facts.entries.iter().any(in_line);
        if self.books.knows_block(report.block) {
            return tell(reply, Ok(()));
        }
        if waiting {
            return facts.waiting.push(Waiting::Fact(reply));
        }
        if report.share.is_some() && self.books.knows_keys(report.pool) {
            let text = "income of this pool carries no share: record that by its key";
            return tell(reply, Err(Refused::Rule(text.into())));
        }
        // A block file may name a rate that a restored store has never heard of.
        if let Some((_, Some(rate))) = &report.share {
            self.books.declare(*rate);
        }
        let (finder, worker) =
            self.books.enrol(&report.finder, &report.display, &report.worker, now);
        facts.waiting.push(Waiting::Fact(reply));
        let shared = self.books.terms_of(report);
        facts.entries.extend(report.entries(finder, worker, shared));
    }

    /// Appends and answers; then draws the consequences.
    fn write_facts(&mut self, facts: Facts, now: UnixMs) -> Result<(), StoreError> {
        let written = self.write_and_answer(facts, now);
        self.books.batch_ended();
        written
    }

    fn write_and_answer(&mut self, facts: Facts, now: UnixMs) -> Result<(), StoreError> {
        if facts.entries.is_empty() {
            facts.waiting.into_iter().for_each(|waiting| {
                if let Waiting::Fact(reply) = waiting {
                    tell(reply, Err(Refused::StoreFailing));
                }
            });
            return Ok(());
        }
        // What the entries name (accounts, rates) is on disk before they are.
        if self.books.has_unwritten() {
            self.flush()?;
        }
        self.last_commit = Some(Instant::now());
        let appended = match self.failing {
            Some(_) if self.is_refusing() => Err(Refused::StoreFailing),
            _ => self.append(&facts.entries)?,
        };
        for waiting in facts.waiting {
            match waiting {
                Waiting::Shares(offset, reply) => {
                    let seq = appended.clone().map(|first| ShareSeq(first.0 + offset as u64));
                    tell(reply, seq);
                }
                Waiting::Once(offset, is_new, reply) => {
                    let seq = appended.clone().map(|first| ShareSeq(first.0 + offset as u64));
                    tell(reply, seq.map(|seq| Recorded { seq, is_new }));
                }
                Waiting::Fact(reply) => tell(reply, appended.clone().map(|_| ())),
            }
        }
        if let Ok(first) = appended {
            let numbered = facts.entries.into_iter().enumerate();
            self.to_fold.extend(numbered.map(|(at, entry)| (ShareSeq(first.0 + at as u64), entry)));
            self.fold(now)?;
        }
        Ok(())
    }

    fn append(&mut self, entries: &[LogEntry]) -> Result<Answer<ShareSeq>, StoreError> {
        match self.store.append(entries) {
            Ok(first) => {
                self.recovered();
                Ok(Ok(first))
            }
            Err(error) => self.failed(error).map(|()| Err(Refused::StoreFailing)),
        }
    }

    /// Draws the consequences of what is durable, and writes them.
    fn fold(&mut self, now: UnixMs) -> Result<(), StoreError> {
        self.dirty = true;
        while let Some((seq, entry)) = self.to_fold.front() {
            if let Err(error) = self.books.fold(self.store.as_mut(), *seq, entry, now) {
                return self.failed(error);
            }
            self.to_fold.pop_front();
        }
        self.books.close_due_slices(now);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if !self.books.has_unwritten() {
            return Ok(());
        }
        let watermark = self.books.folded();
        match self.store.apply(watermark, self.books.unwritten()) {
            Ok(()) => {
                self.books.written();
                self.recovered();
                Ok(())
            }
            Err(error) => self.failed(error),
        }
    }

    /// Carries an order out and writes its consequences before its sender is told.
    fn carry_out(&mut self, order: Order, now: UnixMs) -> Result<(), StoreError> {
        self.settle()?;
        if self.has_arrears() {
            order(Err(Refused::StoreFailing))(Ok(()));
            return Ok(());
        }
        let reply = order(Ok(Access { books: &mut self.books, store: self.store.as_mut(), now }));
        self.dirty = true;
        self.flush()?;
        reply(self.all_written());
        Ok(())
    }

    /// Tries to write whatever is in arrears.
    fn settle(&mut self) -> Result<(), StoreError> {
        if self.has_arrears() && !self.is_refusing() {
            let now = self.clock.now();
            self.fold(now)?;
        }
        Ok(())
    }

    fn all_written(&self) -> Answer<()> {
        if self.books.has_unwritten() { Err(Refused::StoreFailing) } else { Ok(()) }
    }

    fn has_arrears(&self) -> bool {
        !self.to_fold.is_empty() || self.books.has_unwritten()
    }

    fn tick(&mut self) -> Result<(), StoreError> {
        if self.last_tick.is_some_and(|at| at.elapsed() < TICK) {
            return Ok(());
        }
        self.last_tick = Some(Instant::now());
        let now = self.clock.now();
        self.books.close_due_slices(now);
        self.settle()?;
        if self.dirty {
            self.dirty = false;
            let failing = self.failing.as_ref().map(|failing| failing.reason.clone());
            self.view.store(Arc::new(self.books.view(now, failing)));
        }
        Ok(())
    }

    fn is_refusing(&self) -> bool {
        self.failing.as_ref().is_some_and(|failing| Instant::now() < failing.retry_at)
    }

    fn recovered(&mut self) {
        if self.failing.take().is_some() {
            tracing::info!("the store takes writes again");
            self.dirty = true;
        }
    }

    /// A store that cannot write now is a state; one that is damaged ends the process.
    fn failed(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !matches!(error, StoreError::Unavailable(_)) {
            return Err(error);
        }
        let reason = error.to_string();
        if self.failing.is_none() {
            tracing::error!(reason, "no share is acknowledged until the store takes writes again");
        }
        self.failing = Some(Failing { reason, retry_at: Instant::now() + RETRY });
        self.dirty = true;
        Ok(())
    }
}

fn tell<T>(reply: oneshot::Sender<Answer<T>>, answer: Answer<T>) {
    if reply.send(answer).is_err() {
        tracing::trace!("a connection did not wait for its answer");
    }
}

impl Command {
    fn shares(&self) -> usize {
        match self {
            Command::Record { shares, .. } => shares.len(),
            Command::RecordOnce { .. } => 1,
            _ => 0,
        }
    }
}

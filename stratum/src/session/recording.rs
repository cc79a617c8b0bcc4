//! Accepted shares on their way to the disk, and their answers on the way back.
//!
//! Invariant: `true` is written only for what the writer said is durable; what was not recorded may be sent again.

use super::{Session, WRITER_PATIENCE};
use crate::reject::Reject;
use crate::wire::v1::{self, Id};
use crate::worker::Attendance;
use accounting::{AccountId, RateId, Share, ShareKey, ShareSeq, Weight, WorkerId};
use pool::Refused;
use pool::door::{Answer, Recording};
use pool::observe::{Counts, Machine};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// An accepted share on its way to the writer.
pub(super) struct Accepted {
    pub(super) id: Id,
    pub(super) worker: usize,
    pub(super) weight: Weight,
    pub(super) rate: RateId,
    pub(super) hash: [u8; 32],
    /// How lucky it was.
    pub(super) hashes: f64,
    pub(super) job: u32,
}

/// What to answer once a batch of shares is durable, or not.
pub(super) struct Batch {
    /// Request, job and header hash of each.
    pub(super) waiting: Vec<(Id, u32, [u8; 32])>,
    pub(super) weight: u128,
    worker: usize,
    /// Of the best.
    hashes: f64,
    since: Instant,
}

/// Answers that wait for the disk.
pub(super) enum Pending {
    Shares {
        recording: Recording,
        batch: Batch,
    },
    Block {
        answer: oneshot::Receiver<Answer<()>>,
        id: Id,
        worker: usize,
        weight: Weight,
        hashes: f64,
    },
}

impl Session {
    /// Hands accepted shares to the writer as far as that needs no waiting; true when all were.
    pub(super) fn hand_over(&mut self) -> bool {
        if self.stuck.is_some() || self.unknown.is_some() {
            return false;
        }
        while let Some(first) = self.accepted.first() {
            let worker = first.worker;
            let Some(ids) = self.workers.get(worker).and_then(|worker| worker.ids) else {
                return false;
            };
            let count = self.accepted.iter().take_while(|share| share.worker == worker).count();
            let batch: Vec<Accepted> = self.accepted.drain(..count).collect();
            let (shares, batch) = self.shares(batch, ids);
            match self.door.pool.try_record(shares) {
                Ok(recording) => self.pending.push_back(Pending::Shares { recording, batch }),
                Err(shares) => {
                    self.stuck = Some((shares, batch));
                    return false;
                }
            }
        }
        if self.accepted.capacity() > 0 {
            self.accepted = Vec::new();
        }
        true
    }

    /// Hands accepted shares to the writer, waiting where it must: for a worker's first share, and for a full queue.
    /// Never dropped half way by its caller.
    pub async fn record(&mut self) {
        while !self.hand_over() {
            if let Some(worker) = self.unknown.take() {
                if let Err(refused) = self.enrol(worker as usize).await {
                    tracing::debug!(%refused, "a finder's numbers are not known yet");
                }
                continue;
            }
            if let Some((shares, batch)) = self.stuck.take() {
                match timeout(WRITER_PATIENCE, self.door.pool.record(shares)).await {
                    Ok(Ok(recording)) => {
                        self.pending.push_back(Pending::Shares { recording, batch });
                    }
                    Ok(Err(_)) | Err(_) => self.not_recorded(&batch),
                }
                continue;
            }
            let Some(worker) = self.accepted.first().map(|share| share.worker) else { continue };
            if self.enrol(worker).await.is_err() {
                let own = self.accepted.extract_if(.., |share| share.worker == worker);
                let waiting = own.map(|share| (share.id, share.job, share.hash)).collect();
                let since = Instant::now();
                self.not_recorded(&Batch { waiting, weight: 0, worker, hashes: 0.0, since });
            }
        }
    }

    async fn enrol(&mut self, worker: usize) -> Result<(AccountId, WorkerId), Refused> {
        let Some(who) = self.workers.get(worker) else { return Err(Refused::Stopping) };
        let (identity, display, name) =
            ((*who.identity).clone(), who.display.to_string(), who.name.to_string());
        let enrolling = timeout(WRITER_PATIENCE, self.door.pool.enrol(identity, display, name));
        let ids = enrolling.await.unwrap_or(Err(Refused::StoreFailing))?;
        if let Some(who) = self.workers.get_mut(worker) {
            who.ids = Some(ids);
        }
        self.observe(worker, |counts| counts.ids = Some(ids));
        Ok(ids)
    }

    /// Counts something of a machine, for people.
    pub(super) fn observe(&mut self, worker: usize, change: impl FnOnce(&mut Counts)) {
        let Some(who) = self.workers.get_mut(worker) else { return };
        if who.attendance.is_none() {
            let (identity, worker) = (who.identity.clone(), who.name.clone());
            let machine = Machine { pool: self.door.pool_id, identity, worker };
            let meter = self.door.pool.noise().meter(machine, self.door.clock.now());
            let Some(meter) = meter else { return };
            meter.count(|counts| {
                counts.display.clone_from(&who.display);
                let agent = self.channel.as_ref().map(|channel| channel.agent.clone());
                counts.agent = agent.unwrap_or_default();
                counts.ids = who.ids.or(counts.ids);
            });
            who.attendance = Some(Attendance::at(meter));
        }
        if let Some(attendance) = &who.attendance {
            attendance.meter().count(change);
        }
    }

    fn shares(
        &self,
        batch: Vec<Accepted>,
        (account, worker): (AccountId, WorkerId),
    ) -> (Vec<Share>, Batch) {
        let found_at = self.door.clock.now();
        let pool = self.door.pool_id;
        let mut shares = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        let (mut sum, mut of, mut best) = (0, 0, 0.0);
        for Accepted { id, worker: at, weight, rate, hash, hashes, job } in batch {
            (of, best) = (at, hashes.max(best));
            sum += u128::from(weight.get());
            shares.push(Share {
                pool,
                account,
                worker,
                weight,
                rate,
                found_at,
                key: ShareKey(hash),
            });
            waiting.push((id, job, hash));
        }
        (shares, Batch { waiting, weight: sum, worker: of, hashes: best, since: Instant::now() })
    }

    fn not_recorded(&mut self, batch: &Batch) {
        for (id, job, hash) in &batch.waiting {
            if let Some(channel) = &mut self.channel {
                channel.seen.forget(*job, hash);
            }
            if let Some(job) = self.jobs.find(*job) {
                job.release(hash);
            }
            self.door.stats.rejected(Reject::NotRecorded);
            let reject = Reject::NotRecorded;
            v1::write_error(id, "null", reject.code(), reject.message(), &mut self.out);
        }
    }

    /// Turns what has become durable into answers; true when anything did.
    pub(super) fn poll_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(front) = self.pending.front_mut() {
            let durable: Answer<Option<ShareSeq>> = match front {
                Pending::Shares { recording, .. } => match recording.poll_durable(cx) {
                    Poll::Ready(answer) => answer.map(Some),
                    Poll::Pending => break,
                },
                Pending::Block { answer, .. } => match Pin::new(answer).poll(cx) {
                    Poll::Ready(answer) => answer.unwrap_or(Err(Refused::Stopping)).map(|()| None),
                    Poll::Pending => break,
                },
            };
            any = true;
            let Some(front) = self.pending.pop_front() else { break };
            self.answer(front, durable.is_ok());
        }
        if self.pending.is_empty() && self.pending.capacity() > 0 {
            self.pending = VecDeque::new();
        }
        any
    }

    fn answer(&mut self, pending: Pending, durable: bool) {
        match (pending, durable) {
            (Pending::Shares { batch, .. }, true) => {
                let count = batch.waiting.len() as u64;
                self.door.stats.accepted(count, batch.weight);
                self.door.stats.ack.took(batch.since.elapsed(), count);
                let now = self.door.clock.now();
                self.observe(batch.worker, |counts| {
                    counts.accepted(count, batch.weight, batch.hashes, now);
                });
                batch.waiting.iter().for_each(|(id, _, _)| v1::write_true(id, &mut self.out));
            }
            (Pending::Shares { batch, .. }, false) => self.not_recorded(&batch),
            (Pending::Block { id, worker, weight, hashes, .. }, true) => {
                // Where every share is a block, nothing else would tell its account's number.
                if self.workers.get(worker).is_some_and(|known| known.ids.is_none()) {
                    self.unknown = u32::try_from(worker).ok();
                }
                self.door.stats.accepted(1, weight.get().into());
                let now = self.door.clock.now();
                self.observe(worker, |counts| counts.accepted(1, weight.get().into(), hashes, now));
                v1::write_true(&id, &mut self.out);
            }
            (Pending::Block { id, .. }, false) => {
                let reject = Reject::NotRecorded;
                self.door.stats.rejected(reject);
                v1::write_error(&id, "null", reject.code(), reject.message(), &mut self.out);
            }
        }
    }
}

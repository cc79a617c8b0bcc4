//! Shares whose hash takes long: climbed here as far as costs little, hashed elsewhere, judged when the hash is back.
//!
//! Invariant: nobody's connection waits for anybody's hash, and what was on its way when a connection ended is still judged: it
//! may be a block.

use super::{Closing, Session};
use crate::hashing::{Hash, Hashing};
use crate::job::Job;
use crate::reject::Reject;
use crate::verify::{Prepared, prepare};
use crate::wire::v1::{Id, Submission};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A share that is being hashed.
pub(super) struct Waiting {
    id: Id,
    submission: Submission,
    worker: usize,
    prepared: Prepared,
    job: Arc<Job>,
    hash: oneshot::Receiver<Hash>,
}

impl Session {
    pub(super) fn submit_heavy(
        &mut self,
        id: Id,
        submission: &Submission,
        worker: Option<usize>,
        job: Arc<Job>,
        now: u64,
    ) -> Result<(), Closing> {
        let whole = match job.rules.hashing {
            Hashing::Ethash => self.ethash_whole(submission, &job),
            Hashing::GxHash | Hashing::Header(_) | Hashing::Legacy(_) => Ok(submission.clone()),
        };
        let submission = match whole {
            Ok(submission) => submission,
            Err(reject) => return self.refuse(&id, worker, reject, now),
        };
        let climbed = self.given(&submission, &job, worker.is_some(), now, |given, jobs, seen| {
            prepare(&submission, &job, jobs, given, seen)
        });
        let prepared = match climbed {
            Ok(prepared) => prepared,
            Err(reject) => return self.refuse(&id, worker, reject, now),
        };
        let hashing = job.rules.hashing;
        let dag = job.template.ethash.as_ref().map(|kept| kept.dag.clone());
        let asked = self.door.heavy.as_ref().map(|verifier| {
            verifier.ask(self.host, move |kept| {
                let hash = prepared.preimage.hash(hashing, dag.as_deref(), kept);
                (hash, prepared.is_met_by(&hash.value))
            })
        });
        let Some(Ok(hash)) = asked else {
            self.forget(&job, &prepared);
            return self.refuse(&id, worker, Reject::Busy, now);
        };
        let worker = worker.unwrap_or(0);
        self.hashing.push_back(Waiting { id, submission, worker, prepared, job, hash });
        Ok(())
    }

    fn forget(&mut self, job: &Job, prepared: &Prepared) {
        if let Some(channel) = &mut self.channel {
            channel.seen.forget(job.no, &prepared.key);
        }
        job.release(&prepared.key);
    }

    /// Judges what has been hashed.
    pub(super) fn poll_hashes(&mut self, cx: &mut Context<'_>) -> Result<(), Closing> {
        while let Some(front) = self.hashing.front_mut() {
            let Poll::Ready(hash) = Pin::new(&mut front.hash).poll(cx) else { break };
            let Some(Waiting { id, submission, worker, prepared, job, .. }) =
                self.hashing.pop_front()
            else {
                break;
            };
            let now = self.now_ms();
            let Ok(hash) = hash else {
                self.forget(&job, &prepared);
                self.refuse(&id, Some(worker), Reject::NotRecorded, now)?;
                continue;
            };
            let Some(channel) = &mut self.channel else { break };
            let verified = prepared.judge(&job, hash, &mut channel.seen);
            self.take(id, &submission, worker, &verified, &job, now)?;
        }
        Ok(())
    }

    /// The connection has ended; what is still being hashed is judged and recorded, though nobody hears of it.
    pub async fn finish(&mut self) {
        while !self.hashing.is_empty() {
            let one = std::future::poll_fn(|cx| {
                let waiting = self.hashing.len();
                if let Err(closing) = self.poll_hashes(cx) {
                    tracing::trace!(?closing, "a share of a connection that has ended");
                }
                if self.hashing.len() < waiting { Poll::Ready(()) } else { Poll::Pending }
            });
            one.await;
            self.record().await;
        }
    }
}

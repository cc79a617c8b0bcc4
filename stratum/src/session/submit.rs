//! A share from its line to its verdict.
//!
//! Invariant: a solved block goes to the disk and to every node at once, before and whatever the ledger says; `true` is
//! said elsewhere, when the share is durable.

use super::recording::{Accepted, Pending};
use super::{Closing, Session};
use crate::coin::address;
use crate::ether::prospect::Prospect;
use crate::ether::seal::Seal;
use crate::ether::work::Work;
use crate::hashing::Hashing;
use crate::job::{Job, Jobs};
use crate::reject::Reject;
use crate::verify::{Given, Seen, Verified, verify};
use crate::wire::v1::{self, Id, JobRef, Submission};
use accounting::{Identity, IdentityKind, UnixMs};
use pool::BlockReport;
use std::sync::Arc;
use std::time::Instant;

/// Answers that may wait for the disk; beyond it shares are refused, and only blocks are still taken.
const PENDING_MAX: usize = 1024;
/// A streak of bad shares without a good one: work again, then reconnect, then drop.
const STREAK_MS: [u64; 3] = [60_000, 120_000, 180_000];

impl Session {
    pub(super) fn submit(
        &mut self,
        id: Id,
        submission: &Submission,
        now: u64,
    ) -> Result<(), Closing> {
        let worker = self.workers.find(&submission.user);
        let Some(job) = self.jobs.find(submission.job.no).cloned() else {
            let reject =
                if self.channel.is_some() { Reject::UnknownJob } else { Reject::NotSubscribed };
            return self.refuse(&id, worker, reject, now);
        };
        // A submission of four parameters leaves out the time: it is that of its work.
        let whole;
        let submission = match job.rules.hashing {
            Hashing::Legacy(_) if submission.ntime == 0 => {
                whole = Submission { ntime: job.template.cur_time, ..submission.clone() };
                &whole
            }
            _ => submission,
        };
        if job.rules.hashing.is_heavy() {
            return self.submit_heavy(id, submission, worker, job, now);
        }
        // Looking at the clock costs a hundredth of what is timed.
        let timed = (submission.nonce & 15 == 0).then(Instant::now);
        let judged = self.given(submission, &job, worker.is_some(), now, |given, jobs, seen| {
            verify(submission, &job, jobs, given, seen)
        });
        if let Some(since) = timed {
            self.door.stats.validation.took(since.elapsed(), 1);
        }
        match judged {
            Ok(verified) => self.take(id, submission, worker.unwrap_or(0), &verified, &job, now),
            Err(reject) => self.refuse(&id, worker, reject, now),
        }
    }

    /// Judges with what the verifier needs to know of this connection.
    pub(super) fn given<T>(
        &mut self,
        submission: &Submission,
        job: &Job,
        is_authorized: bool,
        now: u64,
        judge: impl FnOnce(&Given<'_>, &Jobs, &mut Seen) -> Result<T, Reject>,
    ) -> Result<T, Reject> {
        let tail = self.tail_of(job);
        let channel = self.channel.as_mut().ok_or(Reject::NotSubscribed)?;
        let given = Given {
            extranonce1: channel.token.extranonce1(),
            tail: &tail,
            assignment: channel.epochs.find(submission.job),
            version_mask: self.version_mask,
            is_authorized,
            now: UnixMs(now),
        };
        judge(&given, &self.jobs, &mut channel.seen)
    }

    /// The end of the coinbase that this connection was sent with the job.
    pub(super) fn tail_of(&self, job: &Job) -> Arc<[u8]> {
        match &self.own_tail {
            Some((no, tail)) if *no == job.no => tail.clone(),
            _ => {
                let first = self.workers.first();
                job.tail(first.map_or(&[][..], |first| first.identity.bytes.as_slice()))
            }
        }
    }

    pub(super) fn take(
        &mut self,
        id: Id,
        submission: &Submission,
        worker: usize,
        verified: &Verified,
        job: &Arc<Job>,
        now: u64,
    ) -> Result<(), Closing> {
        let parent = &job.template.prev_hash;
        if verified.solves && self.door.blocks.wants(accounting::RewardId(verified.block), parent) {
            match &job.template.work {
                // What it brings is not known yet: the share is one as any other.
                Some(work) => self.take_solution(submission, worker, verified, job, work, now),
                None => return self.take_block(id, submission, worker, verified, job, now),
            }
        }
        match verified.verdict {
            Ok(_) if self.pending.len() >= PENDING_MAX => {
                // The disk hangs: reading goes on for the sake of blocks.
                if let Some(channel) = &mut self.channel {
                    channel.seen.forget(job.no, &verified.key);
                }
                job.release(&verified.key);
                self.refuse(&id, Some(worker), Reject::NotRecorded, now)
            }
            Ok(weight) => {
                let rate = job.rate.as_ref().map(accounting::rate::Rate::id).unwrap_or_default();
                self.accepted.push(Accepted {
                    id,
                    worker,
                    weight,
                    rate,
                    hash: verified.key,
                    hashes: verified.hashes,
                    job: job.no,
                });
                self.good_share(submission.job, now);
                Ok(())
            }
            Err(Reject::LowDifficulty) if self.is_pool_miners(submission) => {
                self.refuse(&id, Some(worker), Reject::PoolMiner, now)
            }
            Err(reject) => self.refuse(&id, Some(worker), reject, now),
        }
    }

    /// Who found a block: the worker, or the connection's first; the pool itself where a resumed connection sent it before
    /// it said who it is.
    pub(super) fn finder(&self, worker: usize) -> (Identity, String, String) {
        if let Some(known) = self.workers.get(worker).or(self.workers.first()) {
            return ((*known.identity).clone(), known.display.to_string(), known.name.to_string());
        }
        let script = self.door.rules.pays.pool_script();
        let network = self.door.coin.to_string();
        let display = address::address_of(script, self.door.coin).unwrap_or_default();
        (
            Identity { kind: IdentityKind::Script, network, bytes: script.to_vec() },
            display,
            "unknown".into(),
        )
    }

    /// What the ledger is to be told of a block, besides its share.
    fn report(&self, worker: usize, verified: &Verified, job: &Job, now: u64) -> BlockReport {
        let (finder, display, name) = self.finder(worker);
        let (to_pool, to_miners) = job.payments();
        BlockReport {
            budget: None,
            member: job.membership().map(Box::new),
            pool: self.door.pool_id,
            finder,
            display,
            worker: name,
            block: accounting::RewardId(verified.block),
            height: job.template.height,
            to_pool,
            to_miners,
            commitment: None,
            coinbase_fee: job.coinbase_fee(),
            network_work: job.template.target.work().as_u128().unwrap_or(u128::MAX),
            scheme: job.rules.scheme,
            share: None,
            found_at: UnixMs(now),
        }
    }

    /// Where the node makes the block: its seal goes to the disk and to every node at once, and the chain tells the rest.
    fn take_solution(
        &self,
        submission: &Submission,
        worker: usize,
        verified: &Verified,
        job: &Job,
        work: &Work,
        now: u64,
    ) {
        let mut result = verified.block;
        result.reverse();
        let seal = Seal { header: work.header, nonce: submission.nonce, mix: verified.mix, result };
        let report = self.report(worker, verified, job, now);
        self.door.blocks.solved(Prospect { report, seal });
    }

    /// To the disk and to every node at once, before and whatever the ledger says.
    pub(super) fn take_block(
        &mut self,
        id: Id,
        submission: &Submission,
        worker: usize,
        verified: &Verified,
        job: &Arc<Job>,
        now: u64,
    ) -> Result<(), Closing> {
        let Some(channel) = &self.channel else {
            return self.refuse(&id, Some(worker), Reject::NotSubscribed, now);
        };
        let extranonce2 = submission
            .extranonce2
            .sized(job.rules.extranonce2_size)
            .unwrap_or(submission.extranonce2);
        let tail = self.tail_of(job);
        let assignment = channel.epochs.find(submission.job);
        let coinbase = job.coinbase(
            submission.job.variant,
            assignment.map_or(channel.token.extranonce1(), |assignment| assignment.extranonce1),
            extranonce2.as_slice(),
            &tail,
        );
        let share = verified.verdict.ok().map(|weight| (weight, job.rate));
        let commitment = job.commitment(&coinbase).map(Box::new);
        let report = BlockReport { share, commitment, ..self.report(worker, verified, job, now) };
        let answer = self.door.blocks.found(report, &job.solved(submission, verified, &coinbase));
        match verified.verdict {
            Ok(weight) => {
                let hashes = verified.hashes;
                self.pending.push_back(Pending::Block { answer, id, worker, weight, hashes });
                self.good_share(submission.job, now);
                Ok(())
            }
            Err(reject) => self.refuse(&id, Some(worker), reject, now),
        }
    }

    pub(super) fn refuse(
        &mut self,
        id: &Id,
        worker: Option<usize>,
        reject: Reject,
        now: u64,
    ) -> Result<(), Closing> {
        self.door.stats.rejected(reject);
        if let Some(worker) = worker {
            self.observe(worker, |counts| counts.refused(reject.label()));
        }
        v1::write_error(id, "null", reject.code(), reject.message(), &mut self.out);
        self.bad_share(reject, now)
    }

    pub(super) fn good_share(&mut self, job: JobRef, now: u64) {
        self.streak_since = None;
        self.streak_step = 0;
        let policy = self.policy();
        let current = self.channel.as_ref().and_then(|channel| channel.epochs.find(job));
        let at_current = current.is_some_and(|given| {
            given.target == self.door.rules.hashing.asked(self.vardiff.difficulty()).target
        });
        self.work_due |= self.vardiff.share_landed(at_current, &policy, now);
    }

    /// A streak of nothing but bad shares: send the work again, ask to reconnect, drop. One bad worker behind a proxy is
    /// no streak, because the others' shares end it.
    pub(super) fn bad_share(&mut self, reject: Reject, now: u64) -> Result<(), Closing> {
        if !reject.is_miners_fault() {
            return Ok(());
        }
        let since = *self.streak_since.get_or_insert(now);
        let Some(limit) = STREAK_MS.get(self.streak_step) else { return Err(Closing::BadShares) };
        if now.saturating_sub(since) < *limit {
            return Ok(());
        }
        self.streak_step += 1;
        match self.streak_step {
            1 => {
                self.printed = None;
                self.last_tip = 0;
                self.work_due = true;
            }
            2 => v1::write_notification("client.reconnect", "[]", &mut self.out),
            _ => return Err(Closing::BadShares),
        }
        Ok(())
    }
}

//! What a connection is given to work on, and how hard.
//!
//! Invariant: a difficulty is printed just before the job it belongs to, and that job is judged by it for ever.

use super::{OUT_MAX, Session};
use crate::gxc::legacy::Asked;
use crate::hashing::Hashing;
use crate::job::{Jobs, Pays};
use crate::reject::Reject;
use crate::template::to_hex;
use crate::verify::Assignment;
use crate::wire::ethash::Dialect;
use crate::wire::v1::{self, Id, JobRef};
use accounting::Weight;
use pow::Difficulty;
use std::sync::Arc;
use std::time::Duration;

impl Session {
    /// A wish counts when it is new: some firmware repeats it as a sign of life, long after vardiff knew better.
    pub(super) fn wish(&mut self, wish: Difficulty, now: u64) {
        if self.last_wish.replace(wish) != Some(wish) {
            self.work_due |= self.vardiff.suggest(wish, &self.policy(), now);
        }
    }

    pub(super) fn get_transactions(&mut self, id: &Id, job: &str) {
        let no = u32::from_str_radix(job.split('.').next().unwrap_or(""), 16).unwrap_or(0);
        let Some(job) = self.jobs.find(no).filter(|_| !self.workers.is_empty()) else {
            return v1::write_error(id, "null", 21, Reject::UnknownJob.message(), &mut self.out);
        };
        if self.transactions_of == job.no {
            return v1::write_error(id, "null", 20, "given already", &mut self.out);
        }
        self.transactions_of = job.no;
        let template = &job.template;
        // The whole list of a full template would fill any buffer: it is given when it fits.
        if template.transactions.len() * 2 > OUT_MAX / 2 {
            return v1::write_result(id, "[]", &mut self.out);
        }
        let mut list = Vec::with_capacity(template.transaction_ends.len());
        let mut from = 0;
        for end in &template.transaction_ends {
            let end = usize::try_from(*end).unwrap_or(from);
            list.push(to_hex(&template.transactions[from..end]));
            from = end;
        }
        v1::write_result(id, &serde_json::Value::from(list).to_string(), &mut self.out);
    }

    /// Work for the first time: when both subscribed and authorised, in whatever order.
    pub(super) fn first_work(&mut self, now: u64) {
        if self.printed.is_none() {
            self.send_work(now);
        }
    }

    /// New jobs were published.
    pub fn jobs_changed(&mut self, jobs: Arc<Jobs>) {
        self.jobs = jobs;
        let oldest = self.jobs.oldest_no();
        if let Some(channel) = &mut self.channel {
            channel.epochs.drop_before(oldest);
            channel.seen.drop_before(oldest);
        }
        let now = self.door.clock.now();
        let made = self.jobs.latest().map_or(now, |job| job.made_at);
        self.send_work(now.0);
        let took = Duration::from_millis(now.0.saturating_sub(made.0));
        self.door.stats.broadcast.took(took, 1);
    }

    /// Prints the difficulty where it changed, and the latest job.
    pub(super) fn send_work(&mut self, now: u64) {
        self.work_due = false;
        let wished = self.vardiff.difficulty();
        let asked = self.jobs.latest().map_or(wished, |job| self.asked_of(job, wished));
        let (Some(channel), Some(worker)) = (&mut self.channel, self.workers.first()) else {
            return;
        };
        let Some(job) = self.jobs.latest() else { return };
        if self.written < self.job_ends {
            // A slow reader has not taken the job before: it gets the latest once it has.
            self.work_due = true;
            return;
        }
        // Never harder than a block: what solves must be sent.
        let difficulty = asked.min(job.hardest);
        let variant = match job.header() {
            None => channel.epochs.next_variant(job.no, channel.least_variant()),
            // A header that all have has no variants: what was asked of it stands until there is another.
            Some(_) => Some(0),
        };
        let Some(variant) = variant else { return };
        let Asked { target, told } = job.rules.hashing.asked(difficulty);
        if job.header().is_some() && self.printed == Some(told) && self.ethash.is_at(job.no) {
            return;
        }
        let Some(weight) = target.work().as_u64().and_then(Weight::new) else { return };
        // Work with a target in it needs no difficulty beside it.
        let tells_difficulty =
            job.rules.hashing != Hashing::Ethash || self.ethash.dialect == Dialect::EthereumStratum;
        if self.printed != Some(told) && tells_difficulty {
            v1::write_notification("mining.set_difficulty", &format!("[{told}]"), &mut self.out);
            self.door.stats.difficulty_changed();
        }
        self.printed = Some(told);
        let mask = self.version_mask & job.version_mask;
        if self.version_mask != 0 && self.told_mask != mask {
            self.told_mask = mask;
            let params = format!("[\"{mask:08x}\"]");
            v1::write_notification("mining.set_version_mask", &params, &mut self.out);
        }
        let clean = job.tip != self.last_tip;
        self.last_tip = job.tip;
        let tail = job.tail(&worker.identity.bytes);
        let extranonce1 = channel.token.extranonce1();
        let sent = JobRef { no: job.no, variant };
        channel.epochs.assign(sent, Assignment { target, weight, extranonce1 });
        if let Pays::Finder { .. } = job.rules.pays {
            self.own_tail = Some((job.no, tail.clone()));
        }
        match job.rules.hashing {
            Hashing::Ethash => {
                let job = job.clone();
                self.ethash_notify(&job, sent, (target, difficulty), clean);
            }
            Hashing::Legacy(own) if own.has_own_work() => {
                let job = job.clone();
                self.legacy_notify(own.profile(), &job, sent, clean);
            }
            Hashing::Header(_) | Hashing::GxHash | Hashing::Legacy(_) => {
                self.out.extend_from_slice(&job.notify(variant, &tail, clean));
            }
        }
        self.job_ends = self.out.len();
        self.door.stats.job_sent();
        tracing::trace!(job = sent.no, variant, %difficulty, now, "work sent");
    }
}

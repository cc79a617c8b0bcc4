//! Work and submissions of Ethash miners.
//!
//! Where the pool makes headers, each connection's is its own: its extranonce and the job's variant are in it, whatever part of the nonce
//! a dialect lets the pool choose. Where a node gives everybody the same header, the nonce is what tells connections apart.
//!
//! Invariant: nobody can choose afterwards what a hash counts. Of a header that all have, a connection with an extranonce uses no other
//! nonces than its own, at the difficulty it was first given for that header; all others have one difficulty, and none of those nonces.

use super::{Closing, Session};
use crate::coin::Family;
use crate::job::Job;
use crate::reject::Reject;
use crate::template::{push_as_hex, to_hex};
use crate::verify::header_digest;
use crate::wire::ethash::{Dialect, ETHEREUM_STRATUM, whole_nonce};
use crate::wire::v1::{self, Extranonce2, Id, JobRef, Submission};
use pow::{Difficulty, Target};

/// Headers of sent work that are remembered, for who submits by them.
const HEADERS_MAX: usize = 64;

/// What an Ethash connection has besides.
#[derive(Debug, Default)]
pub(super) struct Ethash {
    pub(super) dialect: Dialect,
    /// Headers sent, newest last.
    headers: std::collections::VecDeque<Sent>,
}

/// A header that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    header: [u8; 32],
    job: JobRef,
    difficulty: Difficulty,
}

impl Ethash {
    /// What was asked of this header first.
    pub(super) fn difficulty_of(&self, header: &[u8; 32]) -> Option<Difficulty> {
        self.headers.iter().find(|sent| sent.header == *header).map(|sent| sent.difficulty)
    }

    /// Was this job sent last?
    pub(super) fn is_at(&self, job: u32) -> bool {
        self.headers.back().is_some_and(|sent| sent.job.no == job)
    }
}

/// The part of the nonce that is the connection's.
fn prefix_of(extranonce1: [u8; 4]) -> [u8; 2] {
    let [_, _, prefix @ ..] = extranonce1;
    prefix
}

/// What a nonce begins with.
fn beginning_of(nonce: u64) -> [u8; 2] {
    let [first, second, ..] = nonce.to_be_bytes();
    [first, second]
}

impl Session {
    /// Does a node give everybody the same header here?
    pub(super) fn has_shared_headers(&self) -> bool {
        self.door.coin.family() == Family::Ethash
    }

    /// How a miner that subscribes wants to speak.
    pub(super) fn ethash_dialect(asked: Option<&str>) -> Dialect {
        match asked {
            Some(ETHEREUM_STRATUM) => Dialect::EthereumStratum,
            _ => Dialect::Plain,
        }
    }

    /// The answer to `mining.subscribe`.
    pub(super) fn ethash_subscribed(&mut self, id: &Id, asked: Dialect) {
        let Some(channel) = &self.channel else { return };
        if self.has_shared_headers() && asked != self.ethash.dialect {
            let text = "this connection subscribed in another way; open another";
            return v1::write_error(id, "null", 20, text, &mut self.out);
        }
        if asked != Dialect::EthereumStratum {
            return v1::write_true(id, &mut self.out);
        }
        self.ethash.dialect = Dialect::EthereumStratum;
        let prefix = to_hex(&prefix_of(channel.token.extranonce1()));
        let result =
            format!(r#"[["mining.notify","{}","{ETHEREUM_STRATUM}"],"{prefix}"]"#, channel.token);
        v1::write_result(id, &result, &mut self.out);
    }

    /// `eth_submitLogin` is both: who is there, and the wish for work.
    pub(super) fn ethash_login(
        &mut self,
        id: &Id,
        user: &str,
        password: &str,
        now: u64,
    ) -> Result<(), Closing> {
        if self.channel.is_some() && self.has_shared_headers() {
            // It may have nonces of its own, and goes on with these.
            return self.authorize(id, user, password, now);
        }
        self.ethash.dialect = Dialect::Proxy;
        if self.channel.is_none() {
            self.channel = self.open_channel(None, now);
        }
        self.authorize(id, user, password, now)
    }

    /// The work sent last, once more.
    pub(super) fn ethash_work(&mut self, id: &Id) {
        let Some(sent) = self.ethash.headers.back().map(|sent| sent.job) else {
            return v1::write_error(id, "null", 21, "no work yet", &mut self.out);
        };
        let work = self.jobs.find(sent.no).cloned().and_then(|job| {
            let target = self.channel.as_ref()?.epochs.find(sent)?.target;
            Some(self.proxy_work(&job, sent, target))
        });
        match work {
            Some(work) => v1::write_result(id, &work, &mut self.out),
            None => v1::write_error(id, "null", 21, Reject::UnknownJob.message(), &mut self.out),
        }
    }

    /// Work by the hash of its header.
    pub(super) fn ethash_submit(
        &mut self,
        id: Id,
        header: &[u8; 32],
        nonce: u64,
        now: u64,
    ) -> Result<(), Closing> {
        let sent = self.ethash.headers.iter().rev().find(|sent| sent.header == *header);
        let (Some(Sent { job, .. }), Some(first)) = (sent, self.workers.first()) else {
            let reject = match self.workers.is_empty() {
                true => Reject::Unauthorized,
                false => Reject::UnknownJob,
            };
            return self.refuse(&id, None, reject, now);
        };
        let submission = Submission {
            user: first.user.clone(),
            job: *job,
            extranonce2: Extranonce2::ZERO,
            ntime: 0,
            nonce,
            version_bits: None,
            nonce_digits: 16,
        };
        self.submit(id, &submission, now)
    }

    /// What a submission leaves out: the connection's part of the nonce, and the time of its work.
    pub(super) fn ethash_whole(
        &self,
        submission: &Submission,
        job: &Job,
    ) -> Result<Submission, Reject> {
        let channel = self.channel.as_ref().ok_or(Reject::NotSubscribed)?;
        let assigned = channel.epochs.find(submission.job);
        let extranonce1 =
            assigned.map_or(channel.token.extranonce1(), |assigned| assigned.extranonce1);
        let own = prefix_of(extranonce1);
        let nonce = whole_nonce(submission, own).ok_or(Reject::Malformed)?;
        let beginning = beginning_of(nonce);
        let is_foreign = match self.ethash.dialect {
            _ if job.header().is_none() => false,
            Dialect::EthereumStratum => beginning != own,
            Dialect::Plain | Dialect::Proxy => self.door.extranonces.is_short(beginning),
        };
        if is_foreign {
            return Err(Reject::ForeignNonce);
        }
        Ok(Submission { nonce, ntime: job.template.cur_time, ..submission.clone() })
    }

    /// What is asked for work on this job, as hard as the connection is wished to work.
    pub(super) fn asked_of(&self, job: &Job, wished: Difficulty) -> Difficulty {
        let Some(header) = job.header() else { return wished };
        match (self.ethash.difficulty_of(header), self.ethash.dialect) {
            (Some(first), _) => first,
            (None, Dialect::EthereumStratum) => wished,
            (None, Dialect::Plain | Dialect::Proxy) => job.rules.free_nonces,
        }
    }

    /// Writes work as this connection's dialect has it.
    pub(super) fn ethash_notify(
        &mut self,
        job: &Job,
        sent: JobRef,
        (target, difficulty): (Target, Difficulty),
        clean: bool,
    ) {
        let work = self.proxy_work(job, sent, target);
        let (header, seed) = self.header_and_seed(job, sent);
        if self.ethash.headers.len() >= HEADERS_MAX {
            self.ethash.headers.pop_front();
        }
        self.ethash.headers.push_back(Sent { header, job: sent, difficulty });
        if self.ethash.dialect == Dialect::Proxy {
            let line = format!("{{\"id\":0,\"jsonrpc\":\"2.0\",\"result\":{work}}}\n");
            return self.out.extend_from_slice(line.as_bytes());
        }
        let mut params = String::from("[\"");
        sent.write(&mut params);
        let (header, seed) = (to_hex(&header), to_hex(&seed));
        match self.ethash.dialect {
            Dialect::EthereumStratum => {
                params.push_str(&format!("\",\"{seed}\",\"{header}\",{clean}]"));
            }
            Dialect::Plain | Dialect::Proxy => {
                params.push_str(&format!("\",\"{header}\",\"{seed}\",\""));
                push_as_hex(&mut params, &target.value().to_be_bytes::<32>());
                params.push_str(&format!("\",{clean}]"));
            }
        }
        v1::write_notification("mining.notify", &params, &mut self.out);
    }

    fn header_and_seed(&self, job: &Job, sent: JobRef) -> ([u8; 32], [u8; 32]) {
        let extranonce1 = self.channel.as_ref().map_or([0; 4], |channel| {
            let assigned = channel.epochs.find(sent);
            assigned.map_or(channel.token.extranonce1(), |assigned| assigned.extranonce1)
        });
        let header = header_digest(job, sent.variant, extranonce1, &self.tail_of(job));
        let seed = job.template.ethash.as_ref().map_or([0; 32], |kept| kept.seed);
        (header, seed)
    }

    fn proxy_work(&self, job: &Job, sent: JobRef, target: Target) -> String {
        let (header, seed) = self.header_and_seed(job, sent);
        let target = to_hex(&target.value().to_be_bytes::<32>());
        format!(r#"["0x{}","0x{}","0x{target}"]"#, to_hex(&header), to_hex(&seed))
    }
}

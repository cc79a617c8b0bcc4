//! What GXC's own miners hash of their work, put together again from the job.
//!
//! Invariant: the bytes are those of [`pow::gxc`]; here it is said where each of them comes from.

use super::{Given, Judged, header, header_digest, root, root_of};
use crate::gxc::legacy::{Function, Legacy, Profile};
use crate::hashing::Preimage;
use crate::job::{Job, prev_hash_words};
use crate::reject::Reject;
use crate::template::{hash_from_hex, to_hex};
use crate::wire::v1::{Extranonce2, Submission};
use pow::gxc::work::Work;
use pow::gxc::{guide, miner, node};
use pow::sha256d::sha256d;

/// Judges a submission as its dialect means it.
pub(super) fn judge(
    own: Legacy,
    submission: &Submission,
    job: &Job,
    version: u32,
    given: &Given<'_>,
) -> Result<Judged, Reject> {
    let claim = Claim { own, submission, job, version, given };
    let hash = claim.hash()?;
    // A node that asks for more never sees it; whoever keeps the block sees what it was made of.
    let nonce = (submission.nonce & 0xffff_ffff) as u32;
    let header = header(job, version, &claim.root_without_extranonce2(), submission.ntime, nonce);
    Ok(Judged { header, hash, pow_hash: hash, solves: job.template.target.is_met_by(&hash) })
}

/// What a guide's or a node's parameters of work say about the difficulty: whole, because the work has no more.
#[must_use]
pub fn whole_difficulty(job: &Job) -> u64 {
    let difficulty = job.template.gxc.as_ref().map_or(0.0, |offer| offer.difficulty);
    // Saturates; what is below nothing is nothing.
    difficulty.floor() as u64
}

/// The merkle root of a connection's work where extranonce2 is in none of it.
#[must_use]
pub fn root_given(job: &Job, variant: u8, extranonce1: [u8; 4], tail: &[u8]) -> [u8; 32] {
    let none = Extranonce2::ZERO.sized(job.rules.extranonce2_size).unwrap_or(Extranonce2::ZERO);
    root_of(job, variant, extranonce1, &none, tail)
}

struct Claim<'a> {
    own: Legacy,
    submission: &'a Submission,
    job: &'a Job,
    version: u32,
    given: &'a Given<'a>,
}

impl Claim<'_> {
    /// The hash, in the byte order in which SHA-256 gives a block's.
    fn hash(&self) -> Result<[u8; 32], Reject> {
        let (function, submission) = (self.own.function(), self.submission);
        Ok(match self.own.profile() {
            Profile::Standalone => {
                let bytes = self.work(self.coinbase_hash()?, self.notified())?.standalone();
                match function {
                    Function::Sha256 => sha256d(&bytes),
                    Function::Ethash => miner::sha3(&bytes),
                    Function::GxHash => miner::standalone(&bytes),
                }
            }
            Profile::Suite => {
                let bytes = self.work([0; 32], self.digest())?.suite();
                reversed(match function {
                    Function::Sha256 => sha256d(&bytes),
                    Function::Ethash => miner::sha3(&bytes),
                    Function::GxHash => miner::standalone(&bytes),
                })
            }
            Profile::Pro => {
                let mut job = String::new();
                submission.job.write(&mut job);
                let bytes = Work { job: &job, ..self.work([0; 32], self.digest())? }.pro();
                match function {
                    Function::Sha256 => reversed(sha256d(&bytes)),
                    Function::GxHash => reversed(miner::pro(&bytes)),
                    // Without its library it hashes by the other one. Either is one hash for one try.
                    Function::Ethash => reversed(miner::keccak(&bytes).min(miner::sha3(&bytes))),
                }
            }
            Profile::Guide => self.guides()?,
            Profile::Node => {
                let text = self.preimage()?.text();
                from_text(&node::sha256(&text))
            }
            Profile::Jx => sha256d(&self.preimage()?.header),
        })
    }

    /// The fields that both sides know.
    fn work(&self, root: [u8; 32], previous: [u8; 32]) -> Result<Work<'static>, Reject> {
        Ok(Work {
            job: "",
            version: self.version,
            previous,
            root,
            time: self.submission.ntime,
            bits: self.job.template.bits,
            extranonce1: self.given.worked_with(),
            nonce: u32::try_from(self.submission.nonce).map_err(|_| Reject::Malformed)?,
        })
    }

    fn coinbase_hash(&self) -> Result<[u8; 32], Reject> {
        let (job, variant) = (self.job, self.submission.job.variant);
        let size = job.rules.extranonce2_size;
        let extranonce2 = self.submission.extranonce2.sized(size).ok_or(Reject::Malformed)?;
        let extranonce1 = self.given.worked_with();
        Ok(job.coinbase_hash(variant, extranonce1, extranonce2.as_slice(), self.given.tail))
    }

    /// The block before, as `mining.notify` has it.
    fn notified(&self) -> [u8; 32] {
        prev_hash_words(&self.job.template.prev_hash)
    }

    /// What stands in its place where no coinbase is hashed.
    fn digest(&self) -> [u8; 32] {
        let variant = self.submission.job.variant;
        header_digest(self.job, variant, self.given.worked_with(), self.given.tail)
    }

    fn root_without_extranonce2(&self) -> [u8; 32] {
        let variant = self.submission.job.variant;
        root_given(self.job, variant, self.given.worked_with(), self.given.tail)
    }

    fn guides(&self) -> Result<[u8; 32], Reject> {
        let Submission { nonce, extranonce2, ntime, .. } = self.submission;
        let nonce = u32::try_from(*nonce).map_err(|_| Reject::Malformed)?;
        let mut previous = self.job.template.prev_hash;
        previous.reverse();
        let work = guide::Work {
            previous: &to_hex(&previous),
            merkle: &to_hex(&self.root_without_extranonce2()),
            time: (*ntime).into(),
            difficulty: &format!("{}.0", whole_difficulty(self.job)),
        };
        let extranonce2 = to_hex(extranonce2.as_slice());
        Ok(from_text(&guide::hash(&work, &format!("{nonce:08x}"), &extranonce2)))
    }

    fn preimage(&self) -> Result<Preimage, Reject> {
        let root = root(self.submission, self.job, self.given)?;
        let (nonce, time) = (self.submission.nonce, self.submission.ntime);
        let own = match self.own.profile() {
            Profile::Jx => u32::try_from(nonce).map_err(|_| Reject::Malformed)?,
            _ => 0,
        };
        Ok(Preimage {
            header: header(self.job, self.version, &root, time, own),
            nonce,
            previous: self.job.template.prev_hash,
            height: self.job.template.height,
            work: None,
        })
    }
}

/// Most significant byte first there, and last here.
fn reversed(mut digest: [u8; 32]) -> [u8; 32] {
    digest.reverse();
    digest
}

/// A hash that is text, its zeros first. What is none meets nothing.
fn from_text(text: &str) -> [u8; 32] {
    hash_from_hex(text).unwrap_or([0xff; 32])
}

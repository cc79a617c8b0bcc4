//! Taking answers: what is counted, and what is not and why.
//!
//! Invariant: an answer counts for the lease it was given for, once; the same answer again is told the same.

use super::{Change, Desk, Reject};
use crate::dsl::canonical::Fingerprint;
use crate::dsl::{Limits, Program, lenient};
use crate::evaluate::Evaluation;
use crate::fact::{Cause, Earning};
use crate::key::PublicKey;
use crate::lease::{Lease, LeaseId, LeaseState};
use crate::quorum::Vote;
use crate::reputation::inverse_loss;
use crate::score::Score;
use crate::task::{Algorithm, AlgorithmId, Round, Stage};
use std::sync::Arc;

/// Numbers that a program may touch for a row: a hundred times what the original's programs do, and what everybody who is given it
/// can still evaluate within seconds.
pub const ROW_COST_MAX: u64 = 32_768;

/// A scored algorithm, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluated {
    /// Which.
    pub algorithm: AlgorithmId,
    /// What they found.
    pub score: Score,
    /// The digest of all predictions, from a worker that computes as we do.
    pub digest: Option<[u8; 32]>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Scores; what could not be read as one is not here, and is told item by item.
    pub evaluated: Vec<Evaluated>,
    /// New algorithms.
    pub evolved: Vec<String>,
    /// The hash of all of it.
    pub hash: [u8; 32],
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemVerdict {
    /// It counts, once the quorum has decided.
    Taken,
    /// It was not asked for.
    NotAsked,
    /// A program that the pool has already.
    Duplicate,
    /// It cannot count; the text says why.
    Unusable(String),
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// For each score.
    pub evaluated: Vec<(AlgorithmId, ItemVerdict)>,
    /// For each new algorithm, and its number if it has one now.
    pub evolved: Vec<(Option<AlgorithmId>, ItemVerdict)>,
    /// The same answer came before.
    pub is_repeated: bool,
}

impl Desk {
    /// Takes an answer. `is_known` says whether the pool has ever had a program of this name.
    ///
    /// # Errors
    /// See [`Reject`].
    pub fn submit(
        &mut self,
        key: PublicKey,
        id: LeaseId,
        answer: &Answer,
        now_s: u64,
        is_known: impl Fn(&Fingerprint) -> bool,
    ) -> Result<(Receipt, Vec<Change>), Reject> {
        let lease = self.leases.get(&id).filter(|lease| lease.miner == key);
        let lease = lease.ok_or(Reject::NotFound)?.clone();
        match lease.state {
            LeaseState::Active if now_s < lease.deadline_s => {}
            LeaseState::Answered(hash) if hash == answer.hash => {
                return Ok((Receipt { is_repeated: true, ..Receipt::default() }, Vec::new()));
            }
            LeaseState::Answered(_) => return Err(Reject::Answered),
            LeaseState::Active | LeaseState::Expired => return Err(Reject::NotFound),
        }

        // From here it must succeed.
        let mut changes = self.ends(id, LeaseState::Answered(answer.hash));
        let mut receipt = Receipt::default();
        for evaluated in &answer.evaluated {
            let verdict = self.take_vote(&lease, evaluated);
            receipt.evaluated.push((evaluated.algorithm, verdict));
        }
        for text in &answer.evolved {
            let taken = self.take_program(&lease, text, receipt.evolved.len(), now_s, &is_known);
            receipt.evolved.push(match taken {
                Ok(new) => (Some(new), ItemVerdict::Taken),
                Err(verdict) => (None, verdict),
            });
        }
        if let Some(miner) = self.miners.get_mut(&key) {
            miner.seen_at_s = now_s;
            miner.answered = miner.answered.saturating_add(1);
            miner.squatted = 0;
            changes.push(Change::Miner(Box::new(miner.clone())));
        }
        for (_, algorithm) in
            receipt.evolved.iter().filter_map(|(new, _)| self.open.get_key_value(&(*new)?))
        {
            changes.push(Change::Algorithm(Box::new(algorithm.clone())));
        }
        for &asked in &lease.evaluate {
            self.comes_back(asked, &key);
            changes.extend(self.settle(asked, now_s));
        }
        Ok((receipt, changes))
    }

    fn take_vote(&mut self, lease: &Lease, evaluated: &Evaluated) -> ItemVerdict {
        let Evaluated { algorithm, score, digest } = *evaluated;
        let voter = lease.miner;
        if !lease.evaluate.contains(&algorithm) {
            return ItemVerdict::NotAsked;
        }
        let Some(Algorithm { stage: Stage::Open(round), .. }) = self.open.get_mut(&algorithm)
        else {
            // Decided by others meanwhile: nobody's fault, nothing to pay.
            return ItemVerdict::Taken;
        };
        if round.votes.iter().any(|vote| vote.voter == voter) {
            return ItemVerdict::Duplicate;
        }
        round.out.retain(|other| *other != voter);
        round.votes.push(Vote { voter, score, digest });
        ItemVerdict::Taken
    }

    fn take_program(
        &mut self,
        lease: &Lease,
        text: &str,
        before: usize,
        now_s: u64,
        is_known: &impl Fn(&Fingerprint) -> bool,
    ) -> Result<AlgorithmId, ItemVerdict> {
        if before >= lease.evolve_budget {
            return Err(ItemVerdict::NotAsked);
        }
        let reading = lenient::read(text, self.settings.input_dim, &Limits::POOL);
        let program = reading.map_err(|error| ItemVerdict::Unusable(error.to_string()))?.program;
        let normal = program.normal();
        if !normal.reads_data() {
            let why = "its prediction depends neither on the row nor on the labels";
            return Err(ItemVerdict::Unusable(why.into()));
        }
        let cost = normal.row_cost();
        if cost > ROW_COST_MAX {
            let why = format!("it touches {cost} numbers a row, and may touch {ROW_COST_MAX}");
            return Err(ItemVerdict::Unusable(why));
        }
        let fingerprint = normal.fingerprint();
        if self.names.contains(&fingerprint) || is_known(&fingerprint) {
            return Err(ItemVerdict::Duplicate);
        }
        let kinship = self.miners.get(&lease.miner).map(|miner| miner.kinship).unwrap_or_default();
        Ok(self.open_program(Some(lease.miner), kinship, &normal.text(), fingerprint, now_s))
    }

    pub(super) fn open_program(
        &mut self,
        author: Option<PublicKey>,
        kinship: crate::task::Kinship,
        text: &str,
        fingerprint: Fingerprint,
        now_s: u64,
    ) -> AlgorithmId {
        let id = AlgorithmId(self.next_algorithm);
        self.next_algorithm += 1;
        let rules = self.settings.rules;
        let is_check = self.below(1000) < usize::from(rules.defences.checks_per_thousand);
        if is_check {
            self.wanted.insert(id);
        }
        let stage = Stage::Open(Round { is_check, ..Round::new(rules.quorum) });
        let text: Arc<str> = text.into();
        let algorithm =
            Algorithm { id, author, kinship, text, fingerprint, made_at_s: now_s, stage };
        self.keep_algorithm(algorithm);
        id
    }
}

/// What became of a neuron's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkVerdict {
    /// New, and paid.
    Paid(AlgorithmId),
    /// The pool has it already, or something that predicts the same.
    Known,
}

impl Desk {
    /// Takes a neuron's work, which the pool has evaluated. `is_new`: neither the program nor its predictions are known.
    ///
    /// # Errors
    /// [`Reject::Full`].
    pub fn work(
        &mut self,
        key: PublicKey,
        neighbourhood: u64,
        program: &Program,
        found: &Evaluation,
        is_new: bool,
        now_s: u64,
    ) -> Result<(WorkVerdict, Vec<Change>), Reject> {
        let mut changes = self.register(key, neighbourhood, now_s)?;
        let name = program.fingerprint();
        if !is_new || self.names.contains(&name) {
            return Ok((WorkVerdict::Known, changes));
        }
        let kinship = self.miners.get(&key).map(|miner| miner.kinship).unwrap_or_default();
        let id = AlgorithmId(self.next_algorithm);
        self.next_algorithm += 1;
        let stage = Stage::Agreed { score: found.score, at_s: now_s, verified: true };
        let text: Arc<str> = program.text().into();
        let author = Some(key);
        let algorithm =
            Algorithm { id, author, kinship, text, fingerprint: name, made_at_s: now_s, stage };
        changes.push(Change::Algorithm(Box::new(algorithm.clone())));
        changes.push(Change::Function(found.digest, id));
        self.keep_algorithm(algorithm);
        let weight = inverse_loss(found.score);
        self.earn(Earning::new(Cause::Work, id, key, weight, now_s), &mut changes);
        Ok((WorkVerdict::Paid(id), changes))
    }
}

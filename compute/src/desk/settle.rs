//! Deciding: votes become scores, and answers become earnings.
//!
//! Invariant: an earning is told to the ledger once the algorithm is decided, never before; what a failed check takes back was
//! earned since the last one that was passed.

use super::{Change, Desk};
use crate::dsl::{Limits, Program, lenient};
use crate::evaluate::Evaluation;
use crate::fact::{Cause, Earning, Fact};
use crate::key::PublicKey;
use crate::quorum::{Agreement, Outcome, OwnResult, Vote, decide};
use crate::score::{ONE, Score};
use crate::task::{Algorithm, AlgorithmId, Kinship, Round, Stage};

/// A check says something only of a score this far from chance: anybody can guess one half.
const TELLING: u32 = ONE / 20;

impl Desk {
    /// The pool begins with a program: it is evaluated by the pool itself and is nobody's.
    pub fn found(&mut self, program: &Program, now_s: u64) -> Vec<Change> {
        let normal = program.normal();
        let name = normal.fingerprint();
        let id = self.open_program(None, Kinship::default(), &normal.text(), name, now_s);
        let Some(algorithm) = self.open.get_mut(&id) else { return Vec::new() };
        algorithm.stage = Stage::Checking(Round::new(0));
        self.wanted.insert(id);
        vec![Change::Algorithm(Box::new(algorithm.clone()))]
    }

    /// The program of an algorithm that the pool must evaluate.
    #[must_use]
    pub fn program_of(&self, algorithm: &Algorithm) -> Option<Program> {
        let reading = lenient::read(&algorithm.text, self.settings.input_dim, &Limits::POOL);
        reading.ok().map(|reading| reading.program)
    }

    /// The pool has evaluated an algorithm. `elder` is another that makes the very same predictions.
    pub fn own_result(
        &mut self,
        id: AlgorithmId,
        found: &Evaluation,
        elder: Option<AlgorithmId>,
        now_s: u64,
    ) -> Vec<Change> {
        self.wanted.remove(&id);
        let own = OwnResult { score: found.score, digest: found.digest };
        let mut changes = Vec::new();
        let Some(algorithm) = self.open.get_mut(&id) else { return changes };
        if elder.is_some_and(|elder| elder != id) {
            // The same function in other words: evaluators are paid, its author is not.
            algorithm.author = None;
        } else {
            changes.push(Change::Function(own.digest, id));
        }
        let (Stage::Open(round) | Stage::Checking(round)) = &mut algorithm.stage else {
            return changes;
        };
        round.own = Some(own);
        changes.push(Change::Algorithm(Box::new(algorithm.clone())));
        changes.extend(self.settle(id, now_s));
        changes
    }

    /// Decides an algorithm, if it can be decided.
    pub(super) fn settle(&mut self, id: AlgorithmId, now_s: u64) -> Vec<Change> {
        let rules = self.settings.rules;
        let mut changes = Vec::new();
        let Some(algorithm) = self.open.get_mut(&id) else { return changes };
        let (round, needed) = match &algorithm.stage {
            Stage::Open(round) => (round.clone(), round.needed),
            // The votes are in already.
            Stage::Checking(round) if round.own.is_some() => (round.clone(), 0),
            Stage::Checking(_) | Stage::Agreed { .. } => return changes,
        };
        match decide(&round.votes, round.own.as_ref(), needed, &rules) {
            Outcome::Wait(more) => {
                let Stage::Open(open) = &mut algorithm.stage else { return changes };
                let count = u8::try_from(open.votes.len()).unwrap_or(u8::MAX);
                open.needed = count.saturating_add(more);
                changes.push(Change::Algorithm(Box::new(algorithm.clone())));
            }
            Outcome::Agreed(agreement) => {
                let wins = self.settings.tariff.evolution(agreement.score).0 > 0;
                if wins
                    && algorithm.author.is_some()
                    && rules.defences.verify_winners
                    && round.own.is_none()
                {
                    self.check(id, round, &mut changes);
                } else {
                    self.conclude(id, &round, &agreement, now_s, &mut changes);
                }
            }
            Outcome::Disputed => self.check(id, round, &mut changes),
        }
        changes
    }

    fn check(&mut self, id: AlgorithmId, round: Round, changes: &mut Vec<Change>) {
        self.wanted.insert(id);
        if let Some(algorithm) = self.open.get_mut(&id) {
            algorithm.stage = Stage::Checking(round);
            changes.push(Change::Algorithm(Box::new(algorithm.clone())));
        }
    }

    fn conclude(
        &mut self,
        id: AlgorithmId,
        round: &Round,
        agreement: &Agreement,
        now_s: u64,
        changes: &mut Vec<Change>,
    ) {
        let Some(mut algorithm) = self.open.remove(&id) else { return };
        self.wanted.remove(&id);
        self.names.remove(&algorithm.fingerprint);
        let verified = round.own.is_some();
        algorithm.stage = Stage::Agreed { score: agreement.score, at_s: now_s, verified };
        changes.push(Change::Algorithm(Box::new(algorithm.clone())));
        if let Some(author) = algorithm.author {
            let weight = self.settings.tariff.evolution(agreement.score);
            let earning = Earning::new(Cause::Evolution, id, author, weight, now_s);
            self.earn(earning, changes);
        }
        for (vote, accurate) in round.votes.iter().zip(&agreement.accurate) {
            let verdict =
                Held { accurate: *accurate, is_telling: is_telling(agreement.score, vote) };
            changes.push(Change::Verdict(super::Verdict {
                voter: vote.voter,
                algorithm: id,
                score: vote.score,
                median: agreement.score,
                evaluators: round.votes.len(),
                accurate: *accurate,
                at_s: now_s,
            }));
            self.judge(vote, verdict, id, round.own.is_some(), now_s, changes);
        }
        self.keep_algorithm(algorithm);
    }

    fn judge(
        &mut self,
        vote: &Vote,
        verdict: Held,
        id: AlgorithmId,
        is_check: bool,
        now_s: u64,
        changes: &mut Vec<Change>,
    ) {
        let Some(miner) = self.miners.get_mut(&vote.voter) else { return };
        if !verdict.accurate {
            miner.standing.failed();
            changes.push(Change::Miner(Box::new(miner.clone())));
            if is_check && self.settings.rules.defences.sentence_s > 0 {
                self.convict(&vote.voter, id, now_s, changes);
            }
            return;
        }
        miner.standing.held(verdict.is_telling);
        if is_check && verdict.is_telling {
            miner.unchecked.clear();
        }
        let past_probation =
            miner.standing.accurate > self.settings.rules.defences.probation.into();
        changes.push(Change::Miner(Box::new(miner.clone())));
        if past_probation {
            let weight = self.settings.tariff.evaluation;
            let earning = Earning::new(Cause::Evaluation, id, vote.voter, weight, now_s);
            self.earn(earning, changes);
        }
    }

    pub(super) fn earn(&mut self, earning: Earning, changes: &mut Vec<Change>) {
        let Some(miner) = self.miners.get_mut(&earning.miner) else { return };
        if earning.weight.0 == 0 || earning.at_s < miner.sentenced_until_s {
            return;
        }
        if earning.cause == Cause::Evaluation {
            miner.earns(earning.key);
            changes.push(Change::Miner(Box::new(miner.clone())));
        }
        changes.push(Change::Fact(Fact::Earned(earning)));
    }

    /// A check failed: what was earned since the last that was passed is taken back, and votes that have decided nothing yet are
    /// void.
    fn convict(&mut self, key: &PublicKey, id: AlgorithmId, now_s: u64, changes: &mut Vec<Change>) {
        let sentence_s = self.settings.rules.defences.sentence_s;
        let Some(miner) = self.miners.get_mut(key) else { return };
        miner.standing.failed_checks = miner.standing.failed_checks.saturating_add(1);
        miner.sentenced_until_s = now_s + sentence_s;
        let reason = format!(
            "a check failed: your score of algorithm {} was not what the pool computed",
            id.0
        );
        for earned in std::mem::take(&mut miner.unchecked) {
            let revoked = Fact::Revoked { key: earned, reason: reason.clone(), at_s: now_s };
            changes.push(Change::Fact(revoked));
        }
        changes.push(Change::Miner(Box::new(miner.clone())));
        let quorum = self.settings.rules.quorum;
        for algorithm in self.open.values_mut() {
            let Stage::Open(round) = &mut algorithm.stage else { continue };
            let before = round.votes.len();
            round.votes.retain(|vote| vote.voter != *key);
            if round.votes.len() < before {
                round.needed = round.needed.max(quorum);
                changes.push(Change::Algorithm(Box::new(algorithm.clone())));
            }
        }
    }
}

/// What became of a vote.
#[derive(Debug, Clone, Copy)]
struct Held {
    accurate: bool,
    /// It could not have been guessed.
    is_telling: bool,
}

fn is_telling(score: Score, vote: &Vote) -> bool {
    let far = score.billionths().is_some_and(|score| score.abs_diff(ONE / 2) >= TELLING);
    far || vote.digest.is_some()
}

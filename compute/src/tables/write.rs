//! Writing what the desk changed.
//!
//! Invariant: writing the same change twice is writing it once.

use super::{TableError, Tables, number};
use crate::auth::Seen;
use crate::desk::Change;
use crate::fact::Fact;
use crate::lease::{Lease, LeaseState};
use crate::quorum::Vote;
use crate::score::Score;
use crate::task::{Algorithm, AlgorithmId, Round, Stage};
use crate::worker::Miner;
use rusqlite::params;

impl Tables {
    /// Writes a change into the batch.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn write(&self, change: &Change) -> Result<(), TableError> {
        match change {
            Change::Miner(miner) => self.write_miner(miner),
            Change::Lease(lease) => self.write_lease(lease),
            Change::Algorithm(algorithm) => self.write_algorithm(algorithm),
            Change::Function(digest, id) => {
                let sql = "INSERT OR IGNORE INTO function VALUES (?, ?)";
                self.0.prepare_cached(sql)?.execute(params![digest, number(id.0)])?;
                Ok(())
            }
            Change::Verdict(verdict) => {
                let sql = "INSERT OR IGNORE INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?)";
                self.0.prepare_cached(sql)?.execute(params![
                    verdict.voter.bytes(),
                    number(verdict.algorithm.0),
                    verdict.score.billionths(),
                    verdict.median.billionths(),
                    number(verdict.evaluators as u64),
                    verdict.accurate,
                    number(verdict.at_s),
                ])?;
                Ok(())
            }
            Change::Fact(fact) => self.write_fact(fact),
        }
    }

    /// Remembers a signature that changed something.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn write_seen(&self, seen: &Seen) -> Result<(), TableError> {
        let sql = "INSERT OR IGNORE INTO seen VALUES (?, ?)";
        self.0.prepare_cached(sql)?.execute(params![seen.id, number(seen.signed_at_s)])?;
        Ok(())
    }

    /// Forgets signatures that are too old to be believed.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn forget_seen(&self, before_s: u64) -> Result<(), TableError> {
        let sql = "DELETE FROM seen WHERE signed_at_s < ?";
        self.0.prepare_cached(sql)?.execute([number(before_s)])?;
        Ok(())
    }

    fn write_miner(&self, miner: &Miner) -> Result<(), TableError> {
        let unchecked: Vec<u8> = miner.unchecked.iter().flatten().copied().collect();
        let standing = &miner.standing;
        let sql =
            "INSERT OR REPLACE INTO miner VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.0.prepare_cached(sql)?.execute(params![
            miner.key.bytes(),
            miner.kinship.owner.as_ref().map(|owner| owner.bytes()),
            miner.kinship.neighbourhood.cast_signed(),
            standing.in_a_row,
            number(standing.accurate),
            number(standing.inaccurate),
            standing.failed_checks,
            miner.lease.map(|lease| number(lease.0)),
            miner.squatted,
            number(miner.rests_until_s),
            number(miner.sentenced_until_s),
            number(miner.registered_at_s),
            number(miner.seen_at_s),
            number(miner.answered),
            unchecked,
        ])?;
        Ok(())
    }

    fn write_lease(&self, lease: &Lease) -> Result<(), TableError> {
        let (state, answer) = match lease.state {
            LeaseState::Active => ("active", None),
            LeaseState::Answered(hash) => ("answered", Some(hash)),
            LeaseState::Expired => ("expired", None),
        };
        let list = |ids: &[AlgorithmId]| {
            serde_json::Value::from(ids.iter().map(|id| id.0).collect::<Vec<_>>()).to_string()
        };
        let sql = "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.0.prepare_cached(sql)?.execute(params![
            number(lease.id.0),
            lease.miner.bytes(),
            number(lease.issued_at_s),
            number(lease.deadline_s),
            list(&lease.evaluate),
            list(&lease.seeds),
            number(lease.evolve_budget as u64),
            state,
            answer,
        ])?;
        Ok(())
    }

    fn write_algorithm(&self, algorithm: &Algorithm) -> Result<(), TableError> {
        let (stage, round, score, agreed_at_s, verified) = match &algorithm.stage {
            Stage::Open(round) => ("open", Some(written(round)), None, None, false),
            Stage::Checking(round) => ("checking", Some(written(round)), None, None, false),
            Stage::Agreed { score, at_s, verified } => {
                ("agreed", None, score.billionths(), Some(number(*at_s)), *verified)
            }
        };
        let sql = "INSERT INTO algorithm VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET author = excluded.author, \
             stage = excluded.stage, round = excluded.round, score = excluded.score, agreed_at_s = excluded.agreed_at_s, verified = excluded.verified";
        self.0.prepare_cached(sql)?.execute(params![
            number(algorithm.id.0),
            algorithm.author.as_ref().map(|author| author.bytes()),
            algorithm.kinship.owner.as_ref().map(|owner| owner.bytes()),
            algorithm.kinship.neighbourhood.cast_signed(),
            &*algorithm.text,
            algorithm.fingerprint.0,
            number(algorithm.made_at_s),
            stage,
            round,
            score,
            agreed_at_s,
            verified,
        ])?;
        let votes: &[Vote] = match &algorithm.stage {
            Stage::Open(round) | Stage::Checking(round) => &round.votes,
            Stage::Agreed { .. } => &[],
        };
        self.write_votes(algorithm.id, votes)
    }

    /// All of them anew: a voided one is gone.
    fn write_votes(&self, algorithm: AlgorithmId, votes: &[Vote]) -> Result<(), TableError> {
        self.0
            .prepare_cached("DELETE FROM vote WHERE algorithm = ?")?
            .execute([number(algorithm.0)])?;
        for (place, vote) in votes.iter().enumerate() {
            let sql = "INSERT INTO vote VALUES (?, ?, ?, ?, ?)";
            self.0.prepare_cached(sql)?.execute(params![
                number(algorithm.0),
                vote.voter.bytes(),
                number(place as u64),
                vote.score.billionths(),
                vote.digest,
            ])?;
        }
        Ok(())
    }

    fn write_fact(&self, fact: &Fact) -> Result<(), TableError> {
        match fact {
            Fact::Earned(earning) => {
                let sql = "INSERT OR IGNORE INTO earning (key, miner, weight, cause, algorithm, at_s)
                    VALUES (?, ?, ?, ?, ?, max(?, (SELECT coalesce(max(ends_at_s), 0) FROM epoch)))";
                self.0.prepare_cached(sql)?.execute(params![
                    earning.key,
                    earning.miner.bytes(),
                    number(earning.weight.0),
                    earning.cause.word(),
                    number(earning.algorithm.0),
                    number(earning.at_s),
                ])?;
            }
            Fact::Revoked { key, reason, at_s } => {
                let sql = "UPDATE earning SET revoked_at_s = ?, reason = ? WHERE key = ? AND revoked_at_s IS NULL";
                self.0.prepare_cached(sql)?.execute(params![number(*at_s), reason, key])?;
            }
        }
        Ok(())
    }
}

/// A round as its column has it.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Written {
    pub needed: u8,
    /// Of schema 1, which had no rows for them.
    #[serde(default, skip_serializing)]
    pub votes: Vec<(String, Option<u32>, Option<String>)>,
    pub own: Option<(Option<u32>, String)>,
    pub is_check: bool,
}

fn written(round: &Round) -> String {
    let own = round.own.map(|own| (own.score.billionths(), hex(&own.digest)));
    let (needed, is_check) = (round.needed, round.is_check);
    let written = Written { needed, votes: Vec::new(), own, is_check };
    serde_json::to_string(&written).expect("plain values are JSON")
}

pub(super) fn score_of(billionths: Option<u32>) -> Option<Score> {
    billionths.map_or(Some(Score::Invalid), |number| Score::from_billionths(number).ok())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Putting the desk together again.
//!
//! Invariant: a row that means nothing stops the start; it is never skipped.

use super::write::{Written, score_of};
use super::{TableError, Tables};
use crate::auth::Seen;
use crate::desk::{ANSWERED_MAX, Change, Desk, SEEDS_MAX};
use crate::dsl::canonical::Fingerprint;
use crate::key::PublicKey;
use crate::lease::{Lease, LeaseId, LeaseState};
use crate::quorum::{OwnResult, Vote};
use crate::reputation::Standing;
use crate::task::{Algorithm, AlgorithmId, Kinship, Round, Stage};
use crate::worker::Miner;
use rusqlite::Row;
use std::collections::BTreeMap;

impl Tables {
    /// Gives an empty desk back what it had.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn restore(&self, desk: &mut Desk) -> Result<(), TableError> {
        self.each("SELECT * FROM miner", |row| {
            desk.restore(Change::Miner(Box::new(miner(row)?)));
            Ok(())
        })?;
        let answered = format!(
            "SELECT * FROM (SELECT * FROM lease WHERE state = 'answered' ORDER BY id DESC LIMIT {ANSWERED_MAX}) ORDER BY id"
        );
        // The newest of any state, so that no number is used twice.
        let newest = "SELECT * FROM lease ORDER BY id DESC LIMIT 1";
        for sql in [&*answered, "SELECT * FROM lease WHERE state = 'active'", newest] {
            self.each(sql, |row| {
                desk.restore(Change::Lease(Box::new(lease(row)?)));
                Ok(())
            })?;
        }
        let best = format!(
            "SELECT * FROM algorithm WHERE stage = 'agreed' ORDER BY score DESC, id LIMIT {SEEDS_MAX}"
        );
        for waiting in self.waiting()? {
            desk.restore(Change::Algorithm(Box::new(waiting)));
        }
        self.each(&best, |row| {
            desk.restore(Change::Algorithm(Box::new(algorithm(row, Vec::new())?)));
            Ok(())
        })?;
        let last: Option<i64> =
            self.0.query_row("SELECT MAX(id) FROM algorithm", [], |row| row.get(0))?;
        desk.resume(AlgorithmId(last.unwrap_or(0).cast_unsigned()));
        Ok(())
    }

    /// Signatures that could be believed again.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn seen(&self) -> Result<Vec<Seen>, TableError> {
        let mut all = Vec::new();
        self.each("SELECT id, signed_at_s FROM seen", |row| {
            all.push(Seen { id: row.get(0)?, signed_at_s: unsigned(row, 1)? });
            Ok(())
        })?;
        Ok(all)
    }

    /// One algorithm, whatever its stage.
    ///
    /// # Errors
    /// As SQLite reports.
    pub fn algorithm(&self, id: AlgorithmId) -> Result<Option<Algorithm>, TableError> {
        let mut found = None;
        let sql = format!("SELECT * FROM algorithm WHERE id = {}", id.0);
        let mut votes = self.votes(&format!("WHERE algorithm = {}", id.0))?;
        self.each(&sql, |row| {
            found = Some(algorithm(row, votes.remove(&id).unwrap_or_default())?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Algorithms that wait for votes or for the pool's own result.
    pub(super) fn waiting(&self) -> Result<Vec<Algorithm>, TableError> {
        let (mut votes, mut all) = (self.votes("")?, Vec::new());
        self.each("SELECT * FROM algorithm WHERE stage <> 'agreed'", |row| {
            let id = AlgorithmId(unsigned(row, 0)?);
            all.push(algorithm(row, votes.remove(&id).unwrap_or_default())?);
            Ok(())
        })?;
        Ok(all)
    }

    fn votes(&self, which: &str) -> Result<BTreeMap<AlgorithmId, Vec<Vote>>, TableError> {
        let mut votes: BTreeMap<AlgorithmId, Vec<Vote>> = BTreeMap::new();
        self.each(&format!("SELECT * FROM vote {which} ORDER BY algorithm, place"), |row| {
            let vote = Vote {
                voter: key(row, 1)?,
                score: score_of(row.get(3)?).ok_or(TableError::Damaged("a vote's score"))?,
                digest: row.get(4)?,
            };
            votes.entry(AlgorithmId(unsigned(row, 0)?)).or_default().push(vote);
            Ok(())
        })?;
        Ok(votes)
    }

    pub(super) fn each(
        &self,
        sql: &str,
        mut take: impl FnMut(&Row<'_>) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        let mut statement = self.0.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            take(row)?;
        }
        Ok(())
    }
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, TableError> {
    let signed: i64 = row.get(column)?;
    u64::try_from(signed).map_err(|_| TableError::Damaged("a number below nothing"))
}

pub(super) fn key(row: &Row<'_>, column: usize) -> Result<PublicKey, TableError> {
    Ok(PublicKey::from_bytes(row.get(column)?))
}

fn maybe_key(row: &Row<'_>, column: usize) -> Result<Option<PublicKey>, TableError> {
    let bytes: Option<[u8; 32]> = row.get(column)?;
    Ok(bytes.map(PublicKey::from_bytes))
}

fn kinship(row: &Row<'_>, column: usize) -> Result<Kinship, TableError> {
    let neighbourhood: i64 = row.get(column + 1)?;
    Ok(Kinship { owner: maybe_key(row, column)?, neighbourhood: neighbourhood.cast_unsigned() })
}

pub(super) fn miner(row: &Row<'_>) -> Result<Miner, TableError> {
    let unchecked: Vec<u8> = row.get(14)?;
    let lease: Option<i64> = row.get(7)?;
    Ok(Miner {
        key: key(row, 0)?,
        kinship: kinship(row, 1)?,
        standing: Standing {
            in_a_row: row.get(3)?,
            accurate: unsigned(row, 4)?,
            inaccurate: unsigned(row, 5)?,
            failed_checks: row.get(6)?,
        },
        lease: lease.map(|lease| LeaseId(lease.cast_unsigned())),
        squatted: row.get(8)?,
        rests_until_s: unsigned(row, 9)?,
        sentenced_until_s: unsigned(row, 10)?,
        registered_at_s: unsigned(row, 11)?,
        seen_at_s: unsigned(row, 12)?,
        answered: unsigned(row, 13)?,
        unchecked: unchecked.as_chunks::<32>().0.iter().copied().collect(),
    })
}

fn ids(row: &Row<'_>, column: usize) -> Result<Vec<AlgorithmId>, TableError> {
    let text: String = row.get(column)?;
    let ids: Vec<u64> =
        serde_json::from_str(&text).map_err(|_| TableError::Damaged("a list of algorithms"))?;
    Ok(ids.into_iter().map(AlgorithmId).collect())
}

fn lease(row: &Row<'_>) -> Result<Lease, TableError> {
    let state: String = row.get(7)?;
    let answer: Option<[u8; 32]> = row.get(8)?;
    let state = match (&*state, answer) {
        ("active", None) => LeaseState::Active,
        ("answered", Some(hash)) => LeaseState::Answered(hash),
        ("expired", None) => LeaseState::Expired,
        _ => return Err(TableError::Damaged("a lease's state")),
    };
    Ok(Lease {
        id: LeaseId(unsigned(row, 0)?),
        miner: key(row, 1)?,
        issued_at_s: unsigned(row, 2)?,
        deadline_s: unsigned(row, 3)?,
        evaluate: ids(row, 4)?,
        seeds: ids(row, 5)?,
        evolve_budget: usize::from(row.get::<_, u16>(6)?),
        state,
    })
}

fn algorithm(row: &Row<'_>, votes: Vec<Vote>) -> Result<Algorithm, TableError> {
    let stage: String = row.get(7)?;
    let text: String = row.get(4)?;
    let stage = match &*stage {
        "open" => Stage::Open(round(row, votes)?),
        "checking" => Stage::Checking(round(row, votes)?),
        _ => Stage::Agreed {
            score: score_of(row.get(9)?).ok_or(TableError::Damaged("a score"))?,
            at_s: unsigned(row, 10)?,
            verified: row.get(11)?,
        },
    };
    Ok(Algorithm {
        id: AlgorithmId(unsigned(row, 0)?),
        author: maybe_key(row, 1)?,
        kinship: kinship(row, 2)?,
        text: text.into(),
        fingerprint: Fingerprint(row.get(5)?),
        made_at_s: unsigned(row, 6)?,
        stage,
    })
}

fn round(row: &Row<'_>, votes: Vec<Vote>) -> Result<Round, TableError> {
    const DAMAGED: TableError = TableError::Damaged("votes");
    let text: String = row.get(8)?;
    let written: Written = serde_json::from_str(&text).map_err(|_| DAMAGED)?;
    let earlier = written.votes.iter().map(|(voter, score, digest)| {
        Some(Vote {
            voter: voter.parse().ok()?,
            score: score_of(*score)?,
            digest: match digest {
                Some(text) => Some(unhex(text)?),
                None => None,
            },
        })
    });
    let votes: Option<Vec<Vote>> = votes.into_iter().map(Some).chain(earlier).collect();
    let own = match &written.own {
        None => None,
        Some((score, digest)) => Some(OwnResult {
            score: score_of(*score).ok_or(DAMAGED)?,
            digest: unhex(digest).ok_or(DAMAGED)?,
        }),
    };
    let votes = votes.ok_or(DAMAGED)?;
    let Written { needed, is_check, .. } = written;
    Ok(Round { votes, out: Vec::new(), needed, own, is_check })
}

/// 64 hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

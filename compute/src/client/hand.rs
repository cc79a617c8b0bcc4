//! What a miner has in hand: a lease and how far it is, in a file that is replaced as a whole.
//!
//! Invariant: the file is there as it was before or as it is after, never in between.

use super::digest;
use crate::evaluate::Evaluation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const FILE: &str = "in-hand.json";

/// A lease as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Given {
    pub lease: String,
    pub timeout_s: u64,
    pub evolve_budget: usize,
    pub evaluate: Vec<(u64, String)>,
    pub seeds: Vec<(u64, String)>,
}

/// A lease and what is done of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Hand {
    pub given: Given,
    /// By algorithm: the score (nothing: none) and the digest.
    pub evaluated: BTreeMap<u64, (Option<f64>, String)>,
    pub evolved: Vec<String>,
}

/// A list of algorithms as it is sent; what cannot be read is left out, as the original's workers do.
pub(super) fn algorithms(list: &Value) -> Vec<(u64, String)> {
    let id = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let one = |item: &Value| Some((id(&item["id"])?, item["algorithm_dsl"].as_str()?.to_owned()));
    list.as_array().into_iter().flatten().filter_map(one).collect()
}

impl Given {
    /// From the pool's answer.
    pub(super) fn read(body: &Value) -> Option<Self> {
        let timeout = OffsetDateTime::parse(body["timeout_at"].as_str()?, &Rfc3339).ok()?;
        Some(Given {
            lease: body["lease_id"].as_str()?.to_owned(),
            timeout_s: timeout.unix_timestamp().try_into().ok()?,
            evolve_budget: body["evolve_budget"].as_u64().unwrap_or(0).try_into().ok()?,
            evaluate: algorithms(&body["evaluate_algorithms"]),
            seeds: algorithms(&body["seed_algorithms"]),
        })
    }

    pub(super) const fn is_over(&self, now_s: u64) -> bool {
        now_s >= self.timeout_s
    }
}

impl Hand {
    pub(super) const fn new(given: Given) -> Self {
        Hand { given, evaluated: BTreeMap::new(), evolved: Vec::new() }
    }

    pub(super) fn next_to_evaluate(&self) -> Option<(u64, String)> {
        self.given.evaluate.iter().find(|(id, _)| !self.evaluated.contains_key(id)).cloned()
    }

    pub(super) fn evaluated(&mut self, id: u64, found: &Evaluation) {
        self.evaluated.insert(id, (found.score.to_f64(), digest(found)));
    }

    /// What a search begins with: the seeds, or what was to be scored.
    pub(super) fn seeds(&self) -> Vec<String> {
        let given = &self.given;
        let from = if given.seeds.is_empty() { &given.evaluate } else { &given.seeds };
        from.iter().map(|(_, text)| text.clone()).collect()
    }

    /// What makes this search another one than everybody else's.
    pub(super) fn entropy(&self, whose: &[u8]) -> [u8; 8] {
        let count = self.evolved.len().to_be_bytes();
        let hash = Sha256::new()
            .chain_update(whose)
            .chain_update(&self.given.lease)
            .chain_update(count)
            .finalize();
        std::array::from_fn(|at| hash[at])
    }

    /// The answer.
    pub(super) fn body(&self) -> Value {
        json!({ "evaluations": self.scores(), "evolutions": self.programs() })
    }

    /// Scores as they are sent.
    pub(super) fn scores(&self) -> Vec<Value> {
        let scores = self.evaluated.iter().map(|(id, (score, digest))| match score {
            Some(score) => json!({"algorithm_id": id, "score": score, "digest": digest}),
            None => json!({"algorithm_id": id, "status": "invalid", "digest": digest}),
        });
        scores.collect()
    }

    /// New algorithms as they are sent.
    fn programs(&self) -> Vec<Value> {
        let parents: Vec<u64> = self.given.seeds.iter().map(|(id, _)| *id).collect();
        let programs = self
            .evolved
            .iter()
            .map(|text| json!({"parent_algorithm_ids": parents, "algorithm_dsl": text}));
        programs.collect()
    }

    pub(super) fn load(folder: &Path) -> std::io::Result<Option<Self>> {
        // A file that cannot be read is a lease that expires.
        Ok(read(folder, FILE)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    pub(super) fn save(&self, folder: &Path) -> std::io::Result<()> {
        replace(folder, FILE, &serde_json::to_vec(self)?)
    }

    pub(super) fn clear(folder: &Path) -> std::io::Result<()> {
        remove(folder, FILE)
    }
}

/// What a file of the folder holds, if it is there.
pub(super) fn read(folder: &Path, name: &str) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts something else into a file, all of it or nothing.
pub(super) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, folder.join(name))
}

/// Takes a file away, if it is there.
pub(super) fn remove(folder: &Path, name: &str) -> std::io::Result<()> {
    match std::fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

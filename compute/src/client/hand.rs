//! What a miner has in hand: a lease and how far it is, in a file that is replaced as a whole.
//!
//! Invariant: the file is there as it was before or as it is after, never in between.

use super::digest;
use crate::evaluate::Evaluation;
use crate::key::PublicKey;
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

impl Given {
    /// From the pool's answer.
    pub(super) fn read(body: &Value) -> Option<Self> {
        let list = |name: &str| -> Vec<(u64, String)> {
            let all = body[name].as_array().into_iter().flatten();
            let one = |item: &Value| {
                Some((item["id"].as_u64()?, item["algorithm_dsl"].as_str()?.to_owned()))
            };
            all.filter_map(one).collect()
        };
        let timeout = OffsetDateTime::parse(body["timeout_at"].as_str()?, &Rfc3339).ok()?;
        Some(Given {
            lease: body["lease_id"].as_str()?.to_owned(),
            timeout_s: timeout.unix_timestamp().try_into().ok()?,
            evolve_budget: body["evolve_budget"].as_u64().unwrap_or(0).try_into().ok()?,
            evaluate: list("evaluate_algorithms"),
            seeds: list("seed_algorithms"),
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
    pub(super) fn entropy(&self, key: &PublicKey) -> [u8; 8] {
        let count = self.evolved.len().to_be_bytes();
        let hash = Sha256::new()
            .chain_update(key.bytes())
            .chain_update(&self.given.lease)
            .chain_update(count)
            .finalize();
        std::array::from_fn(|at| hash[at])
    }

    /// The answer.
    pub(super) fn body(&self) -> Value {
        let parents: Vec<u64> = self.given.seeds.iter().map(|(id, _)| *id).collect();
        let scores = self.evaluated.iter().map(|(id, (score, digest))| match score {
            Some(score) => json!({"algorithm_id": id, "score": score, "digest": digest}),
            None => json!({"algorithm_id": id, "status": "invalid", "digest": digest}),
        });
        let programs = self
            .evolved
            .iter()
            .map(|text| json!({"parent_algorithm_ids": parents, "algorithm_dsl": text}));
        json!({
            "evaluations": scores.collect::<Vec<_>>(),
            "evolutions": programs.collect::<Vec<_>>(),
        })
    }

    pub(super) fn load(folder: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::read(folder.join(FILE)) {
            // A file that cannot be read is a lease that expires.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn save(&self, folder: &Path) -> std::io::Result<()> {
        let new = folder.join(format!("{FILE}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(new, folder.join(FILE))
    }

    pub(super) fn clear(folder: &Path) -> std::io::Result<()> {
        match std::fs::remove_file(folder.join(FILE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

//! `POST /partial`: a proof of space, and the signature that says whose it is.
//!
//! Invariant: a proof that was read has a size that exists and as many bytes as that size has; it is of the first version and
//! pays to a contract. Everything else is refused before anything is computed from it.

use super::{KeyBytes, Message, SignatureBytes, read};
use crate::hash::{Bytes32, sha256};
use crate::network::PLOT_SIZE_MAX;
use crate::reject::Reject;
use crate::space::{SIZE_MIN, proof_length};
use serde::Deserialize;
use std::borrow::Cow;

/// A place in the chain of proofs of time, as a farmer names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// A signage point, by the hash of its challenge chain's output.
    Signage(Bytes32),
    /// The end of a sub-slot, by the hash of its challenge chain: the first signage point of the next.
    EndOfSubSlot(Bytes32),
}

impl Point {
    /// Its hash.
    #[must_use]
    pub const fn hash(&self) -> &Bytes32 {
        match self {
            Point::Signage(hash) | Point::EndOfSubSlot(hash) => hash,
        }
    }

    /// Is it the end of a sub-slot?
    #[must_use]
    pub const fn is_end_of_sub_slot(&self) -> bool {
        matches!(self, Point::EndOfSubSlot(_))
    }
}

/// A proof of space of the first version, of a plot that pays to a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What it answers.
    pub challenge: Bytes32,
    /// The puzzle hash that the plot pays to.
    pub contract: Bytes32,
    /// The plot's key.
    pub plot_key: KeyBytes,
    /// The plot's size, called k.
    pub size: u8,
    /// 64 values of `size` bits.
    pub values: Vec<u8>,
}

impl Proof {
    /// The plot's name.
    #[must_use]
    pub fn plot_id(&self) -> Bytes32 {
        sha256([self.contract.as_ref(), &self.plot_key.0])
    }
}

/// A partial, read and not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Who.
    pub launcher_id: Bytes32,
    /// When.
    pub token: u64,
    /// With what.
    pub proof: Proof,
    /// For which point.
    pub point: Point,
    /// Which of its harvesters.
    pub harvester_id: Bytes32,
    /// The plot's and the authentication key's signatures in one.
    pub signature: SignatureBytes,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    payload: Payload<'a>,
    aggregate_signature: SignatureBytes,
}

#[derive(Deserialize)]
struct Payload<'a> {
    launcher_id: Bytes32,
    authentication_token: u64,
    #[serde(borrow)]
    proof_of_space: ProofJson<'a>,
    sp_hash: Bytes32,
    end_of_sub_slot: bool,
    harvester_id: Bytes32,
}

#[derive(Deserialize)]
struct ProofJson<'a> {
    challenge: Bytes32,
    #[serde(default)]
    pool_public_key: Option<KeyBytes>,
    #[serde(default)]
    pool_contract_puzzle_hash: Option<Bytes32>,
    plot_public_key: KeyBytes,
    /// Not sent by farmers before 2.6.
    #[serde(default)]
    version: Option<u64>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(borrow)]
    proof: Cow<'a, str>,
}

impl Submission {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Reject::Malformed`] when it is no partial, [`Reject::UnfitProof`] when its proof is of another kind.
    pub fn parse(body: &[u8]) -> Result<Self, Reject> {
        let body: Body<'_> = read(body)?;
        let payload = body.payload;
        let point = match payload.end_of_sub_slot {
            true => Point::EndOfSubSlot(payload.sp_hash),
            false => Point::Signage(payload.sp_hash),
        };
        Ok(Submission {
            launcher_id: payload.launcher_id,
            token: payload.authentication_token,
            proof: payload.proof_of_space.fitting()?,
            point,
            harvester_id: payload.harvester_id,
            signature: body.aggregate_signature,
        })
    }

    /// What was signed.
    #[must_use]
    pub fn message(&self) -> Bytes32 {
        let proof = &self.proof;
        Message::default()
            .with(&self.launcher_id.0)
            .number(self.token)
            .with(&proof.challenge.0)
            .flag(false) // no pool key
            .flag(true) // a contract
            .with(&proof.contract.0)
            .with(&proof.plot_key.0)
            .with(&[proof.size])
            .text(&proof.values)
            .with(&self.point.hash().0)
            .flag(self.point.is_end_of_sub_slot())
            .with(&self.harvester_id.0)
            .hash()
    }
}

impl ProofJson<'_> {
    fn fitting(self) -> Result<Proof, Reject> {
        if self.version.unwrap_or(0) != 0 || self.pool_public_key.is_some() {
            return Err(Reject::UnfitProof);
        }
        let contract = self.pool_contract_puzzle_hash.ok_or(Reject::UnfitProof)?;
        let size = self.size.and_then(|size| u8::try_from(size).ok()).ok_or(Reject::UnfitProof)?;
        if !(SIZE_MIN..=PLOT_SIZE_MAX).contains(&size) {
            return Err(Reject::UnfitProof);
        }
        let digits = self.proof.strip_prefix("0x").unwrap_or(&self.proof);
        if digits.len() != 2 * proof_length(size) {
            return Err(Reject::UnfitProof);
        }
        let values = hex::decode(digits).map_err(|_| Reject::Malformed)?;
        Ok(Proof {
            challenge: self.challenge,
            contract,
            plot_key: self.plot_public_key,
            size,
            values,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};
    use serde_json::{Value, json};

    fn bodies() -> Vec<(&'static str, &'static Value)> {
        let captured = vectors()["captured_v1"]["requests"].as_array().unwrap().iter();
        let with_context = vectors()["partials_with_context"].as_array().unwrap().iter();
        let all = captured.filter(|request| request["path_qs"] == "/partial").chain(with_context);
        all.map(|request| (request["body"].as_str().unwrap(), request)).collect()
    }

    #[test]
    fn captured_partials_are_read_and_hash_as_signed() {
        assert_eq!(bodies().len(), 12);
        for (body, request) in bodies() {
            let submission = Submission::parse(body.as_bytes()).unwrap();
            assert_eq!(submission.message().0, bytes::<32>(&request["signed"]["sha256"]));
            assert_eq!(submission.proof.plot_id().0, bytes::<32>(&request["plot_id"]));
            let kind = request["kind"].as_str().unwrap_or("signage_point");
            assert_eq!(submission.point.is_end_of_sub_slot(), kind == "end_of_sub_slot");
        }
    }

    fn changed(change: impl FnOnce(&mut Value)) -> Result<Submission, Reject> {
        let mut body: Value = serde_json::from_str(bodies()[0].0).unwrap();
        change(&mut body);
        Submission::parse(body.to_string().as_bytes())
    }

    #[test]
    fn an_older_farmers_proof_without_the_new_fields_is_the_same_proof() {
        let now = Submission::parse(bodies()[0].0.as_bytes()).unwrap();
        let older = changed(|body| {
            let proof = body["payload"]["proof_of_space"].as_object_mut().unwrap();
            for new in ["version", "plot_index", "meta_group", "strength"] {
                proof.remove(new).unwrap();
            }
            body.as_object_mut().unwrap().remove("authentication_token_v2");
        });
        assert_eq!(older, Ok(now));
    }

    #[test]
    fn fields_of_the_second_version_are_passed_over() {
        let now = Submission::parse(bodies()[0].0.as_bytes()).unwrap();
        let newer = changed(|body| {
            body["authentication_token_v2"] = json!({"any": ["thing", 1.5, null]});
            body["payload"]["proof_of_space"]["strength"] = json!("what may come");
            body["payload"]["more"] = json!(null);
        });
        assert_eq!(newer, Ok(now));
    }

    #[test]
    fn a_proof_of_another_kind_is_unfit() {
        let proof = |key: &'static str, value: Value| {
            changed(move |body| body["payload"]["proof_of_space"][key] = value)
        };
        for (key, value) in [
            ("version", json!(1)),
            ("version", json!(u64::MAX)),
            ("pool_public_key", json!("aa".repeat(48))),
            ("pool_contract_puzzle_hash", json!(null)),
            ("size", json!(17)),
            ("size", json!(51)),
            ("size", json!(300)),
            ("size", json!(null)),
            ("size", json!(32)),
            ("proof", json!("")),
            ("proof", json!("0x")),
        ] {
            assert_eq!(proof(key, value.clone()), Err(Reject::UnfitProof), "{key} {value}");
        }
        for (key, value) in [
            ("version", json!(-1)),
            ("size", json!(20.5)),
            ("challenge", json!("0x00")),
            ("challenge", json!(null)),
            ("plot_public_key", json!("zz".repeat(48))),
            ("proof", json!(7)),
            ("proof", json!("zz".repeat(160))),
            ("proof", json!("é".repeat(160))),
        ] {
            assert_eq!(proof(key, value.clone()), Err(Reject::Malformed), "{key} {value}");
        }
    }
}

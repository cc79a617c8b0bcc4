//! A partial against its signage point: pure, from cheap to expensive.
//!
//! Invariant: one function gives one answer, a key and a weight or a refusal; the weight is the difficulty that the farmer had
//! been told when the signage point appeared. Everything downstream takes only that answer.

use crate::hash::{Bytes32, sha256};
use crate::network::Network;
use crate::reject::Reject;
use crate::signature;
use crate::space;
use crate::token::TokenTimeout;
use crate::wire::partial::{Proof, Submission};
use accounting::{ShareKey, UnixMs, Weight};
use chia_bls::PublicKey;
use ruint::aliases::{U256, U512};

/// A signage point or the end of a sub-slot, as the node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signage {
    /// The challenge that proofs for it answer.
    pub challenge: Bytes32,
    /// When the node saw it.
    pub appeared: UnixMs,
    /// Has the chain taken it back?
    pub is_reverted: bool,
}

/// What everything is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The chain's constants.
    pub network: &'a Network,
    /// The height of its tip.
    pub height: u32,
    /// Between a signage point's appearance and the arrival of a partial for it.
    pub time_limit_ms: u64,
    /// When the first byte of the request came.
    pub received: UnixMs,
}

/// A proof that was believed, its signature not yet looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighed {
    /// What the share will be called: hash of plot, challenge and quality.
    pub key: ShareKey,
    /// What it counts.
    pub weight: Weight,
    /// How good the proof is.
    pub quality: Bytes32,
    /// What it needs at that difficulty.
    pub iters: u64,
}

/// Is it made just now, and for the farmer's own contract?
///
/// # Errors
/// Why not.
pub fn introduce(
    submission: &Submission,
    contract: &Bytes32,
    timeout: TokenTimeout,
    now: UnixMs,
) -> Result<(), Reject> {
    if !timeout.admits(submission.token, now) {
        return Err(Reject::StaleToken);
    }
    if submission.proof.contract != *contract {
        return Err(Reject::ForeignContract);
    }
    Ok(())
}

/// Is it in time, does the plot pass the filter, is it a proof, and good enough?
///
/// # Errors
/// Why not.
pub fn weigh(
    submission: &Submission,
    given: &Given<'_>,
    signage: &Signage,
    difficulty: u64,
) -> Result<Weighed, Reject> {
    let proof = &submission.proof;
    if signage.is_reverted {
        return Err(Reject::PointReverted);
    }
    if given.received.0.saturating_sub(signage.appeared.0) > given.time_limit_ms {
        return Err(Reject::TooLate);
    }
    if proof.size < given.network.plot_size_min
        || given.height >= given.network.second_version_height
    {
        return Err(Reject::UnfitProof);
    }
    let plot_id = proof.plot_id();
    if !passes_filter(proof, &plot_id, submission.point.hash(), given, &signage.challenge) {
        return Err(Reject::WrongChallenge);
    }
    let quality = space::quality(&plot_id, proof.size, &proof.challenge, &proof.values)
        .ok_or(Reject::InvalidProof)?;
    let iters =
        iterations(given.network, &quality, submission.point.hash(), proof.size, difficulty);
    if iters >= given.network.iters_limit() {
        return Err(Reject::NotGoodEnough);
    }
    let weight = Weight::new(difficulty).ok_or(Reject::NotGoodEnough)?;
    let key = share_key(&plot_id, &proof.challenge, &quality);
    Ok(Weighed { key, weight, quality, iters })
}

/// Is it signed by the plot and by the farmer? The most expensive question, so the last.
///
/// # Errors
/// [`Reject::InvalidSignature`].
pub fn signed(submission: &Submission, authentication: &PublicKey) -> Result<(), Reject> {
    let (plot, message) = (&submission.proof.plot_key, submission.message());
    match signature::is_signed_by_both(authentication, plot, &message, &submission.signature) {
        true => Ok(()),
        false => Err(Reject::InvalidSignature),
    }
}

/// The name of a proof: whatever else a farmer says with it, it counts once.
#[must_use]
pub fn share_key(plot_id: &Bytes32, challenge: &Bytes32, quality: &Bytes32) -> ShareKey {
    ShareKey(sha256([plot_id.as_ref(), challenge.as_ref(), quality.as_ref()]).0)
}

fn passes_filter(
    proof: &Proof,
    plot_id: &Bytes32,
    point: &Bytes32,
    given: &Given<'_>,
    challenge: &Bytes32,
) -> bool {
    let filter = sha256([plot_id.as_ref(), challenge.as_ref(), point.as_ref()]);
    let zeros = U256::from_be_bytes(filter.0).leading_zeros();
    let needed = usize::try_from(given.network.filter_bits(given.height)).unwrap_or(usize::MAX);
    zeros >= needed && sha256([filter.as_ref()]) == proof.challenge
}

/// Iterations that a proof of this quality needs at this difficulty: at least one, and `u64::MAX` for all beyond.
#[must_use]
pub fn iterations(
    network: &Network,
    quality: &Bytes32,
    point: &Bytes32,
    size: u8,
    difficulty: u64,
) -> u64 {
    let draw = sha256([quality.as_ref(), point.as_ref()]);
    let draw = U512::from(U256::from_be_bytes(draw.0));
    // At most 2^64 × 2^128 × 2^256: fits.
    let scaled = draw * U512::from(difficulty) * U512::from(network.difficulty_constant_factor);
    let expected_size = u64::from(2 * u16::from(size) + 1) << (size - 1).min(56);
    let iters = (scaled >> 256) / U512::from(expected_size.max(1));
    u64::try_from(iters).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};
    use serde_json::Value;

    fn number(value: &Value) -> u64 {
        value.as_u64().unwrap()
    }

    struct Scene {
        submission: Submission,
        signage: Signage,
        quality: Bytes32,
    }

    fn scenes() -> Vec<Scene> {
        let all = vectors()["partials_with_context"].as_array().unwrap().iter();
        all.map(|case| {
            let seen_s = case["full_node_response"]["time_received"].as_f64().unwrap();
            Scene {
                submission: Submission::parse(case["body"].as_str().unwrap().as_bytes()).unwrap(),
                signage: Signage {
                    challenge: Bytes32(bytes(&case["challenge_hash"])),
                    appeared: UnixMs((seen_s * 1000.0) as u64),
                    is_reverted: false,
                },
                quality: Bytes32(bytes(&case["quality_string"])),
            }
        })
        .collect()
    }

    fn given(network: &Network, scene: &Scene) -> Given<'static> {
        let network = Box::leak(Box::new(network.clone()));
        let received = UnixMs(scene.signage.appeared.0 + 25_000);
        Given { network, height: 30, time_limit_ms: 25_000, received }
    }

    #[test]
    fn real_partials_for_signage_points_and_ends_of_sub_slots_are_believed() {
        let network = Network::simulator();
        let farmers_key = KeyBytes(bytes(&vectors()["auth_pk_of_captured_farmer"]));
        let authentication = signature::key(&farmers_key).unwrap();
        for scene in scenes() {
            let weighed =
                weigh(&scene.submission, &given(&network, &scene), &scene.signage, 1000).unwrap();
            assert_eq!(weighed.quality, scene.quality);
            assert_eq!(weighed.weight.get(), 1000);
            assert_eq!(signed(&scene.submission, &authentication), Ok(()));
        }
        assert_eq!(scenes().len(), 7);
    }

    use crate::wire::KeyBytes;

    #[test]
    fn the_ladder_refuses_with_the_first_reason() {
        let network = Network::simulator();
        let scene = &scenes()[0];
        let given = given(&network, scene);
        let weigh_with = |given: Given<'_>, signage: Signage, difficulty: u64| {
            weigh(&scene.submission, &given, &signage, difficulty).unwrap_err()
        };
        let signage = scene.signage;
        let late = UnixMs(signage.appeared.0 + 25_001);
        assert_eq!(weigh_with(Given { received: late, ..given }, signage, 1), Reject::TooLate);
        let reverted = Signage { is_reverted: true, ..signage };
        assert_eq!(
            weigh_with(Given { received: late, ..given }, reverted, 1),
            Reject::PointReverted
        );
        let other = Signage { challenge: Bytes32([3; 32]), ..signage };
        assert_eq!(weigh_with(given, other, 1), Reject::WrongChallenge);
        assert_eq!(weigh_with(given, signage, 1 << 47), Reject::NotGoodEnough);
        assert_eq!(weigh_with(given, signage, u64::MAX), Reject::NotGoodEnough);
        let mainnet = Network::mainnet();
        assert_eq!(
            weigh_with(Given { network: &mainnet, ..given }, signage, 1),
            Reject::UnfitProof
        );
        let forked = Network { second_version_height: 30, ..network.clone() };
        assert_eq!(weigh_with(Given { network: &forked, ..given }, signage, 1), Reject::UnfitProof);
        let mut broken = scene.submission.clone();
        broken.proof.values[0] ^= 1;
        assert_eq!(weigh(&broken, &given, &signage, 1), Err(Reject::InvalidProof));
    }

    #[test]
    fn a_signage_point_that_appears_in_the_future_is_in_time() {
        // The node's clock may be a little ahead of ours.
        let network = Network::simulator();
        let scene = &scenes()[0];
        let early =
            Given { received: UnixMs(scene.signage.appeared.0 - 900), ..given(&network, scene) };
        assert!(weigh(&scene.submission, &early, &scene.signage, 1).is_ok());
    }

    #[test]
    fn the_same_proof_has_one_name_whatever_the_difficulty() {
        let network = Network::simulator();
        let scene = &scenes()[0];
        let given = given(&network, scene);
        let easy = weigh(&scene.submission, &given, &scene.signage, 1).unwrap();
        let hard = weigh(&scene.submission, &given, &scene.signage, 1000).unwrap();
        assert_eq!(easy.key, hard.key);
        assert_ne!(
            easy.key,
            weigh(&scenes()[1].submission, &given, &scenes()[1].signage, 1).unwrap().key
        );
    }

    #[test]
    fn a_stranger_or_another_contract_or_an_old_token_is_refused_before_anything_is_computed() {
        let timeout = TokenTimeout::minutes(5).unwrap();
        let submission = &scenes()[0].submission;
        let now = UnixMs(submission.token * 300_000);
        let contract = submission.proof.contract;
        assert_eq!(introduce(submission, &contract, timeout, now), Ok(()));
        assert_eq!(
            introduce(submission, &Bytes32([1; 32]), timeout, now),
            Err(Reject::ForeignContract)
        );
        let later = UnixMs(now.0 + 600_000);
        assert_eq!(introduce(submission, &contract, timeout, later), Err(Reject::StaleToken));
    }

    #[test]
    fn iterations_are_those_of_the_client() {
        let mainnet = Network::mainnet();
        for case in vectors()["required_iters_mainnet"]["cases"].as_array().unwrap() {
            let (quality, point) =
                (Bytes32(bytes(&case["quality"])), Bytes32(bytes(&case["sp_hash"])));
            let size = u8::try_from(number(&case["k"])).unwrap();
            let iters = iterations(&mainnet, &quality, &point, size, number(&case["difficulty"]));
            assert_eq!(iters, number(&case["required_iters"]));
        }
        let simulator = Network::simulator();
        for request in vectors()["captured_v1"]["requests"].as_array().unwrap() {
            let Some(by_difficulty) = request["required_iters_by_difficulty"].as_object() else {
                continue;
            };
            let submission =
                Submission::parse(request["body"].as_str().unwrap().as_bytes()).unwrap();
            let quality = Bytes32(bytes(&request["quality_string"]));
            for (difficulty, iters) in by_difficulty {
                let found = iterations(
                    &simulator,
                    &quality,
                    submission.point.hash(),
                    submission.proof.size,
                    difficulty.parse().unwrap(),
                );
                assert_eq!(found, number(iters));
            }
            assert_eq!(simulator.iters_limit(), number(&request["iters_limit"]));
        }
        assert_eq!(
            iterations(&mainnet, &Bytes32([0xff; 32]), &Bytes32([0; 32]), 18, u64::MAX),
            u64::MAX
        );
        assert_eq!(iterations(&mainnet, &Bytes32([0; 32]), &Bytes32([0; 32]), 50, 0), 1);
    }
}

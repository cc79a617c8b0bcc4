//! BLS signatures of farmers: the augmented scheme, where each key is a part of what it signs.
//!
//! Invariant: a key or a signature that is no point of its group, or the point that signs for everybody, signs nothing.

use crate::hash::Bytes32;
use crate::wire::{KeyBytes, SignatureBytes};
use chia_bls::{PublicKey, Signature};

/// A key, if the bytes are one.
#[must_use]
pub fn key(bytes: &KeyBytes) -> Option<PublicKey> {
    PublicKey::from_bytes(&bytes.0).ok().filter(|key| !key.is_inf())
}

/// Is this message signed with this key?
#[must_use]
pub fn is_signed(key: &PublicKey, message: &Bytes32, signature: &SignatureBytes) -> bool {
    Signature::from_bytes(&signature.0)
        .is_ok_and(|signature| chia_bls::verify(&signature, key, message.0))
}

/// Is this message signed with a key that is known and with another, in one signature?
#[must_use]
pub fn is_signed_by_both(
    known: &PublicKey,
    other: &KeyBytes,
    message: &Bytes32,
    signature: &SignatureBytes,
) -> bool {
    // Whether these points are of their groups is asked below, and it costs too much to be asked twice.
    let other = PublicKey::from_bytes_unchecked(&other.0).ok().filter(|key| !key.is_inf());
    let signature = Signature::from_bytes_unchecked(&signature.0).ok();
    let (Some(other), Some(signature)) = (other, signature) else { return false };
    chia_bls::aggregate_verify(&signature, [&other, known].map(|key| (key, &message.0[..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};
    use crate::wire::farmer::{Asked, Get, Post, Put};
    use crate::wire::partial::Submission;
    use hex_literal::hex;

    fn owner() -> PublicKey {
        key(&KeyBytes(bytes(&vectors()["keys"]["owner_pk"]))).unwrap()
    }

    fn authentication() -> PublicKey {
        key(&KeyBytes(bytes(&vectors()["keys"]["auth_pk"]))).unwrap()
    }

    #[test]
    fn the_clients_own_signature_is_one_by_its_key_and_over_its_message_only() {
        let scheme = &vectors()["augscheme"];
        let signer = key(&KeyBytes(bytes(&scheme["pk"]))).unwrap();
        let (message, signed) =
            (Bytes32(bytes(&scheme["msg"])), SignatureBytes(bytes(&scheme["sig"])));
        assert!(is_signed(&signer, &message, &signed));
        assert!(!is_signed(&owner(), &message, &signed));
        assert!(!is_signed(&signer, &Bytes32([1; 32]), &signed));
    }

    #[test]
    fn captured_requests_are_signed_by_whom_they_say() {
        let target = Bytes32([0x22; 32]);
        let mut checked = 0;
        for request in vectors()["captured_v1"]["requests"].as_array().unwrap() {
            let path = request["path_qs"].as_str().unwrap();
            let body = request["body"].as_str().unwrap_or_default().as_bytes();
            let good = match (request["method"].as_str().unwrap(), path) {
                ("GET", "/pool_info") => continue,
                ("GET", _) => {
                    let get = Get::parse(path.strip_prefix("/farmer?").unwrap()).unwrap();
                    let message = get.message(Asked::Farmer, &target);
                    assert!(!is_signed(&owner(), &message, &get.signature), "the other key");
                    is_signed(&authentication(), &message, &get.signature)
                }
                ("POST", "/farmer") => {
                    let post = Post::parse(body).unwrap();
                    is_signed(&owner(), &post.message(), &post.signature)
                }
                ("PUT", _) => {
                    let put = Put::parse(body).unwrap();
                    is_signed(&owner(), &put.message(), &put.signature)
                }
                _ => partial_is_signed(body),
            };
            assert!(good, "{path}");
            checked += 1;
        }
        assert_eq!(checked, 9);
        for partial in vectors()["partials_with_context"].as_array().unwrap() {
            assert!(partial_is_signed(partial["body"].as_str().unwrap().as_bytes()));
        }
    }

    fn partial_is_signed(body: &[u8]) -> bool {
        let submission = Submission::parse(body).unwrap();
        let plot = submission.proof.plot_key;
        let message = submission.message();
        let other = Bytes32([1; 32]);
        assert!(!is_signed_by_both(&authentication(), &plot, &other, &submission.signature));
        assert!(!is_signed_by_both(&owner(), &plot, &message, &submission.signature));
        is_signed_by_both(&authentication(), &plot, &message, &submission.signature)
    }

    /// How many points the groups have.
    const ORDER: [u8; 32] =
        hex!("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");

    /// So many of a point, by nothing but adding.
    fn times_order<T: Clone>(zero: T, point: &T, add: impl Fn(&mut T, &T)) -> T {
        let bits = ORDER.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        bits.fold(zero, |mut sum, bit| {
            let before = sum.clone();
            add(&mut sum, &before);
            if bit == 1 {
                add(&mut sum, point);
            }
            sum
        })
    }

    #[test]
    fn points_beside_their_groups_sign_nothing() {
        let body = vectors()["partials_with_context"][0]["body"].as_str().unwrap().as_bytes();
        let good = Submission::parse(body).unwrap();
        let is_signed = |plot: &KeyBytes, signature: &SignatureBytes| {
            is_signed_by_both(&authentication(), plot, &good.message(), signature)
        };
        assert!(is_signed(&good.proof.plot_key, &good.signature));
        // A point of the curve, times the group's order, is one of the rest of the curve.
        let beside = (0..=255).find_map(|last| {
            let mut bytes = [0; 96];
            (bytes[0], bytes[95]) = (0x80, last);
            let point = Signature::from_bytes_unchecked(&bytes).ok()?;
            let rest = times_order(Signature::default(), &point, Signature::aggregate);
            (!rest.is_valid()).then_some(rest)
        });
        let mut moved = Signature::from_bytes(&good.signature.0).unwrap();
        moved.aggregate(&beside.unwrap());
        assert!(!is_signed(&good.proof.plot_key, &SignatureBytes(moved.to_bytes())));
        let beside = (0..=255).find_map(|last| {
            let mut bytes = [0; 48];
            (bytes[0], bytes[47]) = (0x80, last);
            let point = PublicKey::from_bytes_unchecked(&bytes).ok()?;
            let rest = times_order(PublicKey::default(), &point, |sum, own| *sum += own);
            (!rest.is_valid()).then_some(rest)
        });
        let moved = key(&good.proof.plot_key).unwrap() + &beside.unwrap();
        assert!(!is_signed(&KeyBytes(moved.to_bytes()), &good.signature));
        let mut infinite = [0; 48];
        infinite[0] = 0xc0;
        assert!(!is_signed(&KeyBytes(infinite), &good.signature));
    }

    #[test]
    fn the_point_at_infinity_signs_nothing() {
        let mut infinite = [0; 48];
        infinite[0] = 0xc0;
        assert_eq!(key(&KeyBytes(infinite)), None);
        let mut nothing = [0; 96];
        nothing[0] = 0xc0;
        let message = Bytes32([7; 32]);
        assert!(!is_signed(&owner(), &message, &SignatureBytes(nothing)));
        for garbage in [[0; 96], [0xff; 96]] {
            assert!(!is_signed(&owner(), &message, &SignatureBytes(garbage)));
        }
        assert_eq!(key(&KeyBytes([0xff; 48])), None);
    }
}

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

/// Is this message signed with both keys, in one signature?
#[must_use]
pub fn is_signed_by_both(
    keys: [&PublicKey; 2],
    message: &Bytes32,
    signature: &SignatureBytes,
) -> bool {
    let Ok(signature) = Signature::from_bytes(&signature.0) else { return false };
    chia_bls::aggregate_verify(&signature, keys.map(|key| (key, message.0.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};
    use crate::wire::farmer::{Asked, Get, Post, Put};
    use crate::wire::partial::Submission;

    fn owner() -> PublicKey {
        key(&KeyBytes(bytes(&vectors()["keys"]["owner_pk"]))).unwrap()
    }

    fn authentication() -> PublicKey {
        key(&KeyBytes(bytes(&vectors()["keys"]["auth_pk"]))).unwrap()
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
        let plot = key(&submission.proof.plot_key).unwrap();
        let message = submission.message();
        let other = Bytes32([1; 32]);
        assert!(!is_signed_by_both([&plot, &authentication()], &other, &submission.signature));
        assert!(!is_signed_by_both([&plot, &owner()], &message, &submission.signature));
        is_signed_by_both([&plot, &authentication()], &message, &submission.signature)
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

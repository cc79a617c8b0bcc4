//! One hash over a list, and short proofs that something is in it.
//!
//! As RFC 9162 (certificate transparency) has it: a leaf is hashed with 0 before it, a node with 1, and a list is split at the
//! largest power of two below its length; so no node can be passed off as a leaf. Invariant: the list decides the root, and only
//! what is in the list has a proof.

use sha2::{Digest, Sha256};

/// A hash.
pub type Hash = [u8; 32];

/// Hash of a leaf.
#[must_use]
pub fn leaf(content: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(content).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Where a list of this many (at least two) is split.
const fn split_at(length: usize) -> usize {
    1 << (usize::BITS - 1 - (length - 1).leading_zeros())
}

/// The root of a list of leaves.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split_at(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The proof that the leaf at a place is in the list: its neighbours, from the leaf up. Nothing beyond the list.
#[must_use]
pub fn proof(leaves: &[Hash], place: usize) -> Option<Vec<Hash>> {
    if place >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let at = split_at(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut path, other) = if place < at {
        (proof(left, place)?, root(right))
    } else {
        (proof(right, place - at)?, root(left))
    };
    path.push(other);
    Some(path)
}

/// Does this proof show that the leaf is at this place of a list of this length with this root?
#[must_use]
pub fn is_proved(leaf: &Hash, place: usize, length: usize, proof: &[Hash], root: &Hash) -> bool {
    fn climb(leaf: &Hash, place: usize, length: usize, proof: &[Hash]) -> Option<Hash> {
        if length == 1 {
            return proof.is_empty().then_some(*leaf);
        }
        let (other, below) = proof.split_last()?;
        let at = split_at(length);
        Some(if place < at {
            node(&climb(leaf, place, at, below)?, other)
        } else {
            node(other, &climb(leaf, place - at, length - at, below)?)
        })
    }
    place < length && climb(leaf, place, length, proof).as_ref() == Some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|at| leaf(&[at])).collect()
    }

    #[test]
    fn every_leaf_has_a_proof_and_nothing_else_has() {
        for count in 1..40 {
            let all = leaves(count);
            let (top, length) = (root(&all), all.len());
            for (place, own) in all.iter().enumerate() {
                let path = proof(&all, place).unwrap();
                assert!(is_proved(own, place, length, &path, &top));
                assert!(!is_proved(&leaf(b"other"), place, length, &path, &top));
                assert!(!is_proved(own, length, length, &path, &top));
                let mut longer = path.clone();
                longer.push([0; 32]);
                assert!(!is_proved(own, place, length, &longer, &top));
            }
            assert_eq!(proof(&all, length), None);
        }
    }

    #[test]
    fn the_roots_are_those_of_the_rfcs_rule() {
        let all = leaves(3);
        assert_eq!(root(&all), node(&node(&all[0], &all[1]), &all[2]));
        assert_eq!(root(&all[..1]), all[0]);
    }
}

//! How a pool's work is hashed, and whether that takes so long that it is done elsewhere.
//!
//! Invariant: one pool, one hash: weights of different hashes are never added.

use crate::dag::Dag;
use crate::gxc::block::Consensus;
use pow::gxc::documented::{self, Scratch};
use pow::sha256d::{header_hash, sha256d};
use pow::{Algorithm, ethash};

/// A pool's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    /// Of the 80 bytes of a header, at once.
    Header(Algorithm),
    /// GXHash as documented: 64 MiB and half a second.
    GxHash,
    /// Ethash, of the header's digest and a 64-bit nonce.
    Ethash,
}

impl Hashing {
    /// Whose difficulty 1 its miners mean. Where no miner ever meant any, it is Bitcoin's.
    #[must_use]
    pub const fn scale(self) -> Algorithm {
        match self {
            Hashing::Header(algorithm) => algorithm,
            Hashing::GxHash | Hashing::Ethash => Algorithm::Sha256d,
        }
    }

    /// The name used in configuration and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Hashing::Header(algorithm) => algorithm.name(),
            Hashing::GxHash => "gxhash",
            Hashing::Ethash => "ethash",
        }
    }

    /// Is it computed on threads of its own?
    #[must_use]
    pub const fn is_heavy(self) -> bool {
        match self {
            Hashing::Header(_) => false,
            Hashing::GxHash | Hashing::Ethash => true,
        }
    }

    /// What a GXC node calls it.
    #[must_use]
    pub const fn consensus(self) -> Consensus {
        match self {
            Hashing::Header(_) => Consensus::Sha256,
            Hashing::GxHash => Consensus::GxHash,
            Hashing::Ethash => Consensus::Ethash,
        }
    }
}

/// What a heavy hash is computed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preimage {
    /// The header, its own nonce 0.
    pub header: [u8; 80],
    /// The 64-bit nonce beside it.
    pub nonce: u64,
    /// Hash of the block before, as the header has it.
    pub previous: [u8; 32],
}

/// What a verifying thread keeps between two hashes.
#[derive(Debug, Default)]
pub struct Kept {
    scratch: Option<Scratch>,
}

impl Preimage {
    /// Names it, at the cost of a light hash.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        let mut bytes = [0; 88];
        bytes[..80].copy_from_slice(&self.header);
        bytes[80..].copy_from_slice(&self.nonce.to_le_bytes());
        sha256d(&bytes)
    }

    /// The hash, in the byte order in which SHA-256 gives a block's.
    #[must_use]
    pub fn hash(&self, hashing: Hashing, dag: Option<&Dag>, kept: &mut Kept) -> [u8; 32] {
        match (hashing, dag) {
            (Hashing::Header(algorithm), _) => algorithm.header_hash(&self.header),
            (Hashing::GxHash, _) => {
                let scratch = kept.scratch.get_or_insert_default();
                let mut digest =
                    documented::hash(&self.header, self.nonce, &self.previous, scratch);
                digest.reverse();
                digest
            }
            (Hashing::Ethash, Some(dag)) => {
                let mut digest = ethash::hash(dag, &self.digest(), self.nonce).result;
                digest.reverse();
                digest
            }
            // Work without it is never handed out; nothing meets a target with this.
            (Hashing::Ethash, None) => [0xff; 32],
        }
    }

    /// What Ethash's miners are given of the header.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        header_hash(&self.header)
    }
}

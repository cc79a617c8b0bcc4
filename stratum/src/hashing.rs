//! How a pool's work is hashed, and whether that takes so long that it is done elsewhere.
//!
//! Invariant: one pool, one hash: weights of different hashes are never added.

use crate::dag::Dag;
use crate::gxc::block::Consensus;
use crate::gxc::legacy::{Asked, Legacy, Profile};
use crate::template::to_hex;
use pow::gxc::documented::{self, Scratch};
use pow::gxc::node;
use pow::sha256d::{header_hash, sha256d};
use pow::{Algorithm, Difficulty, Scale, ethash};

/// A pool's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    /// Of the 80 bytes of a header, at once.
    Header(Algorithm),
    /// GXHash as documented: 64 MiB and half a second.
    GxHash,
    /// Ethash, of the header's digest and a 64-bit nonce.
    Ethash,
    /// As one of GXC's own programs has it.
    Legacy(Legacy),
}

impl Hashing {
    /// What its miners count difficulty in. Where no miner ever meant any, it is Bitcoin's.
    #[must_use]
    pub const fn scale(self) -> Scale {
        match self {
            Hashing::Header(algorithm) => algorithm.scale(),
            Hashing::GxHash | Hashing::Ethash => Scale::Bitcoin,
            Hashing::Legacy(legacy) => legacy.scale(),
        }
    }

    /// What a difficulty is to its miners.
    #[must_use]
    pub fn asked(self, difficulty: Difficulty) -> Asked {
        match self {
            Hashing::Legacy(legacy) => legacy.asked(difficulty),
            _ => Asked { target: difficulty.target(self.scale()), told: difficulty },
        }
    }

    /// The name used in configuration and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Hashing::Header(algorithm) => algorithm.name(),
            Hashing::GxHash => "gxhash",
            Hashing::Ethash => "ethash",
            Hashing::Legacy(legacy) => legacy.name(),
        }
    }

    /// Is it computed on threads of its own?
    #[must_use]
    pub const fn is_heavy(self) -> bool {
        match self {
            Hashing::Header(_) => false,
            Hashing::GxHash | Hashing::Ethash => true,
            Hashing::Legacy(legacy) => legacy.is_heavy(),
        }
    }

    /// What a GXC node calls it.
    #[must_use]
    pub const fn consensus(self) -> Consensus {
        match self {
            Hashing::Header(_) => Consensus::Sha256,
            Hashing::GxHash => Consensus::GxHash,
            Hashing::Ethash => Consensus::Ethash,
            Hashing::Legacy(legacy) => legacy.consensus(),
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
    /// The block's height.
    pub height: u64,
    /// What Ethash is given of a header that a node made.
    pub work: Option<[u8; 32]>,
}

/// A hash, and what proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash {
    /// In the byte order in which SHA-256 gives a block's.
    pub value: [u8; 32],
    /// Ethash: what the data set was mixed to.
    pub mix: [u8; 32],
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

    /// The hash.
    #[must_use]
    pub fn hash(&self, hashing: Hashing, dag: Option<&Dag>, kept: &mut Kept) -> Hash {
        let mut mix = [0; 32];
        let mut value = match (hashing, dag) {
            (Hashing::Header(algorithm), _) => {
                return Hash { value: algorithm.header_hash(&self.header), mix };
            }
            (Hashing::Legacy(legacy), _) if legacy.profile() == Profile::Node => {
                node::gxhash(&self.text(), self.nonce)
            }
            (Hashing::GxHash | Hashing::Legacy(_), _) => {
                let scratch = kept.scratch.get_or_insert_default();
                documented::hash(&self.header, self.nonce, &self.previous, scratch)
            }
            (Hashing::Ethash, Some(dag)) => {
                let hashed = ethash::hash(dag, &self.digest(), self.nonce);
                mix = hashed.mix;
                hashed.result
            }
            // Work without it is never handed out; nothing meets a target with this.
            (Hashing::Ethash, None) => [0xff; 32],
        };
        value.reverse();
        Hash { value, mix }
    }

    /// A block's text, as the node's own code puts it together.
    #[must_use]
    pub fn text(&self) -> String {
        let mut previous = self.previous;
        previous.reverse();
        let (root, rest) = self.header[36..].split_at(32);
        let time = rest.first_chunk().map_or(0, |time| u32::from_le_bytes(*time));
        node::text_of(self.height, &to_hex(&previous), time.into(), &to_hex(root), self.nonce)
    }

    /// What Ethash's miners are given of the header.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.work.unwrap_or_else(|| header_hash(&self.header))
    }
}

//! Which hash a coin's headers are judged by, and what its miners call difficulty 1.
//!
//! Invariant: the set is closed; every place that depends on it is a `match` the compiler checks.

use ruint::aliases::U256;

/// A proof-of-work hash over an 80-byte header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Algorithm {
    /// SHA-256 twice: Bitcoin.
    Sha256d,
    /// scrypt(1024, 1, 1): Litecoin.
    Scrypt,
}

impl Algorithm {
    /// The hash that is compared with the target.
    #[must_use]
    pub fn header_hash(self, header: &[u8; 80]) -> [u8; 32] {
        match self {
            Algorithm::Sha256d => crate::sha256d::header_hash(header),
            Algorithm::Scrypt => crate::scrypt::header_hash(header),
        }
    }

    /// What its miners count difficulty in.
    #[must_use]
    pub const fn scale(self) -> Scale {
        match self {
            Algorithm::Sha256d => Scale::Bitcoin,
            Algorithm::Scrypt => Scale::Scrypt,
        }
    }

    /// The name used in configuration and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256d => "sha256d",
            Algorithm::Scrypt => "scrypt",
        }
    }
}

/// What miners take for difficulty 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Scale {
    /// `0xffff << 208`: about 2^32 hashes.
    Bitcoin,
    /// 65536 times easier, whatever a scrypt coin's node prints.
    Scrypt,
    /// One hash: the largest number of 256 bits.
    Hash,
}

impl Scale {
    /// The target at difficulty 1.
    #[must_use]
    pub fn difficulty_one(self) -> U256 {
        let bitcoin = U256::from(0xffff_u32) << 208;
        match self {
            Scale::Bitcoin => bitcoin,
            Scale::Scrypt => bitcoin << 16,
            Scale::Hash => U256::MAX,
        }
    }
}

impl From<Algorithm> for Scale {
    fn from(algorithm: Algorithm) -> Self {
        algorithm.scale()
    }
}

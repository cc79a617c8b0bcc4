//! The hashes this miner can do.

use pow::Algorithm;
use pow::gxc::documented::{self, Scratch};

/// A hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// Of the 80 bytes of a header.
    Header(Algorithm),
    /// GXC's GXHash, as it is documented: Argon2id of the header and a nonce beside it. One or two a second.
    GxHash,
}

impl From<Algorithm> for Hash {
    fn from(algorithm: Algorithm) -> Self {
        Hash::Header(algorithm)
    }
}

impl Hash {
    /// Whose difficulty 1 the pool means.
    #[must_use]
    pub const fn scale(self) -> Algorithm {
        match self {
            Hash::Header(algorithm) => algorithm,
            Hash::GxHash => Algorithm::Sha256d,
        }
    }
}

/// GXHash of a header whose own nonce is 0, in the byte order in which targets are compared.
pub(crate) fn gxhash(header: &[u8; 80], nonce: u32, scratch: &mut Scratch) -> [u8; 32] {
    let previous: &[u8; 32] = header[4..].first_chunk().expect("a header is 80 bytes");
    let mut digest = documented::hash(header, nonce.into(), previous, scratch);
    digest.reverse();
    digest
}

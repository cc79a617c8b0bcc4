//! GXHash as documented for outside pools: Argon2id (RFC 9106, version 0x13) of the header and a 64-bit nonce, salted with
//! the hash of the block before. Where the document is silent: the nonce is little-endian, the salt 32 raw bytes as the header
//! has them, the digest read as it is, most significant byte first.
//!
//! Invariant: 64 MiB and about half a second for each hash; whoever lets strangers ask for them bounds how many.

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// KiB of memory.
pub const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// The memory of one hash, to be used again for the next: giving 64 MiB back to the system each time costs as much as a tenth of
/// the hash.
pub struct Scratch(Vec<Block>);

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch(vec![Block::default(); params().block_count()])
    }
}

fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(32))
        .expect("64 MiB, 3 passes and 4 lanes are valid")
}

/// The hash, most significant byte first.
#[must_use]
pub fn hash(header: &[u8; 80], nonce: u64, previous: &[u8; 32], scratch: &mut Scratch) -> [u8; 32] {
    let mut password = [0; 88];
    password[..80].copy_from_slice(header);
    password[80..].copy_from_slice(&nonce.to_le_bytes());
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
    let mut out = [0; 32];
    argon
        .hash_password_into_with_memory(&password, previous, &mut out, &mut scratch.0)
        .expect("lengths are valid and the memory is as large as the parameters want");
    out
}

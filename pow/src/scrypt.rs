//! scrypt with N = 1024, r = 1, p = 1 over the 80-byte header: Litecoin's proof of work (128 KiB a hash, about 0.2 ms).
//!
//! Invariant: the header is both password and salt; the block's *identity* stays its sha256d.

use std::sync::LazyLock;

static PARAMS: LazyLock<scrypt::Params> = LazyLock::new(|| {
    scrypt::Params::new(10, 1, 1).expect("N=2^10, r=1, p=1 are valid scrypt parameters")
});

/// The proof-of-work hash of a header.
#[must_use]
pub fn header_hash(header: &[u8; 80]) -> [u8; 32] {
    let mut out = [0u8; 32];
    scrypt::scrypt(header, header, &PARAMS, &mut out)
        .expect("32 bytes are a valid scrypt output length");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    /// Litecoin's genesis header solves its own target under scrypt; computed from the chain's published constants.
    #[test]
    fn litecoin_genesis_meets_its_target_under_scrypt_and_not_under_sha256d() {
        let mut header = [0u8; 80];
        header[..4].copy_from_slice(&1u32.to_le_bytes());
        let root: [u8; 32] = [
            0xd9, 0xce, 0xd4, 0xed, 0x11, 0x30, 0xf7, 0xb7, 0xfa, 0xad, 0x9b, 0xe2, 0x53, 0x23,
            0xff, 0xaf, 0xa3, 0x32, 0x32, 0xa1, 0x7c, 0x3e, 0xdf, 0x6c, 0xfd, 0x97, 0xbe, 0xe6,
            0xba, 0xfb, 0xdd, 0x97,
        ];
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&1_317_972_665u32.to_le_bytes());
        header[72..76].copy_from_slice(&0x1e0f_fff0u32.to_le_bytes());
        header[76..].copy_from_slice(&2_084_524_493u32.to_le_bytes());
        let target = Target::from_compact(0x1e0f_fff0).unwrap();
        assert!(target.is_met_by(&header_hash(&header)));
        assert!(!target.is_met_by(&crate::sha256d::header_hash(&header)));
    }
}

//! What each of the project's miners hashes of the work that `mining.notify` gives it. No two of them agree.
//!
//! Invariant: byte for byte as their programs put it together; which bytes mean what to a chain is not asked here.

use super::hex;
use sha2::{Digest, Sha256};

/// The fields of `mining.notify` and of a submission that one or the other hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work<'a> {
    /// The job's name, as it was sent.
    pub job: &'a str,
    /// The version.
    pub version: u32,
    /// The block before, in the byte order in which it was sent.
    pub previous: [u8; 32],
    /// Double SHA-256 of the coinbase; for the pool miner the merkle root.
    pub root: [u8; 32],
    /// The time.
    pub time: u32,
    /// The compact target.
    pub bits: u32,
    /// The connection's extranonce.
    pub extranonce1: [u8; 4],
    /// The nonce.
    pub nonce: u32,
}

impl Work<'_> {
    /// `gxc-miner-standalone`: all numbers as they are written, the branches left out.
    #[must_use]
    pub fn standalone(&self) -> [u8; 80] {
        self.as_written(self.nonce.to_be_bytes())
    }

    /// `gxc-pool-miner`: the same, but the nonce turned round. The extranonce2 that is in its root is not the one it sends.
    #[must_use]
    pub fn pool_miner(&self) -> [u8; 80] {
        self.as_written(self.nonce.to_le_bytes())
    }

    fn as_written(&self, nonce: [u8; 4]) -> [u8; 80] {
        let mut header = [0; 80];
        header[..4].copy_from_slice(&self.version.to_be_bytes());
        header[4..36].copy_from_slice(&self.previous);
        header[36..68].copy_from_slice(&self.root);
        header[68..72].copy_from_slice(&self.time.to_be_bytes());
        header[72..76].copy_from_slice(&self.bits.to_be_bytes());
        header[76..].copy_from_slice(&nonce);
        header
    }

    /// `gxc-miner-suite`: text of the block before and of the extranonce, no coinbase at all.
    #[must_use]
    pub fn suite(&self) -> [u8; 80] {
        let mut bytes = [0; 80];
        bytes[..64].copy_from_slice(hex(&self.previous).as_bytes());
        bytes[64..72].copy_from_slice(hex(&self.extranonce1).as_bytes());
        bytes[72..76].copy_from_slice(&self.time.to_le_bytes());
        bytes[76..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// `gxc-miner-pro`: the job's name in place of a root.
    #[must_use]
    pub fn pro(&self) -> [u8; 80] {
        let mut previous = self.previous;
        previous.reverse();
        let mut bytes = [0; 80];
        bytes[..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(&previous);
        bytes[36..68].copy_from_slice(&Sha256::digest(self.job));
        bytes[68..72].copy_from_slice(&self.time.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.bits.to_le_bytes());
        bytes[76..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }
}

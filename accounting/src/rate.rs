//! What one unit of work is worth under PPS and FPPS, as it stood when a job was handed out.
//!
//! Invariant: a rate is named by its content, so a share can only ever be paid at the rate its job carried.

use crate::Amount;
use crate::id::RateId;
use crate::share::WeightSum;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A block's expected value and the expected work it takes: one unit of work is worth `value / network_work`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// Expected hashes of the network target.
    pub network_work: WeightSum,
    /// What a block is taken to bring: the subsidy (PPS), with expected fees (FPPS). Before the pool's fee.
    pub value: Amount,
}

impl Rate {
    /// Its name: the first 8 bytes of a hash of its content, never 0, and below 2^63 (an SQL integer).
    #[must_use]
    pub fn id(&self) -> RateId {
        let mut hasher = Sha256::new();
        hasher.update(b"adit rate 1");
        hasher.update(self.network_work.to_be_bytes());
        hasher.update(self.value.units().to_be_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let (head, _) = digest.as_chunks::<8>();
        let number = head.first().map_or(1, |bytes| u64::from_be_bytes(*bytes));
        RateId((number >> 1).max(1))
    }
}

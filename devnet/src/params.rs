//! The rules of this chain, as numbers.

use bitcoin::blockdata::constants::genesis_block;
use bitcoin::{Block, CompactTarget, Network, Target};

/// Most weight of a block (BIP141).
pub const MAX_BLOCK_WEIGHT: usize = 4_000_000;
/// Most cost of signature operations in a block (BIP141).
pub const MAX_BLOCK_SIGOPS_COST: usize = 80_000;
/// All the money there can be.
pub const MAX_MONEY: u64 = 21_000_000 * 100_000_000;
/// How far a block's time may run ahead.
pub const MAX_FUTURE_S: u64 = 7200;

/// What differs between devnets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// The target of every block: there is no retargeting. Regtest's is `0x207fffff`, two hashes a block.
    pub bits: CompactTarget,
    /// Blocks between halvings of the subsidy.
    pub halving_interval: u32,
    /// Confirmations before a coinbase can be spent.
    pub coinbase_maturity: u32,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            bits: CompactTarget::from_consensus(0x207f_ffff),
            halving_interval: 150,
            coinbase_maturity: 100,
        }
    }
}

impl Params {
    /// A chain whose blocks take about so many hashes, rounded down to a power of two (at least four).
    #[must_use]
    pub fn with_hashes_per_block(hashes: u64) -> Self {
        // 2^256 / 2^shift: one bit.
        let bit = 256 - hashes.max(4).ilog2();
        let mut bytes = [0u8; 32];
        let at = 31 - (bit / 8) as usize;
        bytes[at] = 1 << (bit % 8);
        Params { bits: Target::from_be_bytes(bytes).to_compact_lossy(), ..Params::default() }
    }

    /// The first block: Bitcoin's regtest genesis, or the same with another target.
    #[must_use]
    pub fn genesis(&self) -> Block {
        let mut block = genesis_block(Network::Regtest);
        block.header.bits = self.bits;
        block
    }

    /// What a block may create at this height.
    #[must_use]
    pub fn subsidy(&self, height: u32) -> u64 {
        let halvings = height / self.halving_interval.max(1);
        if halvings >= 64 { 0 } else { (50 * 100_000_000) >> halvings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_regtest_itself() {
        let hash = Params::default().genesis().block_hash().to_string();
        assert_eq!(hash, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
    }

    #[test]
    fn hashes_per_block_are_what_the_target_takes() {
        for hashes in [1u64 << 12, 1 << 20, 1 << 24] {
            let target = Target::from_compact(Params::with_hashes_per_block(hashes).bits);
            let off = target.difficulty_float() * 4_295_032_833.0 / hashes as f64;
            assert!((0.99..1.01).contains(&off), "{hashes}: {off}");
        }
    }

    #[test]
    fn the_subsidy_halves() {
        let params = Params::default();
        assert_eq!(
            [0, 149, 150, 300].map(|h| params.subsidy(h)),
            [5_000_000_000, 5_000_000_000, 2_500_000_000, 1_250_000_000]
        );
        assert_eq!(params.subsidy(150 * 64), 0);
    }
}

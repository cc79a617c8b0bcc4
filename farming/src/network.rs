//! The networks a pool may farm on: every constant that differs between them, in one place.
//!
//! Invariant: nothing outside this file knows a height, a reward, a filter or an iteration count of a network.

use crate::hash::Bytes32;
use hex_literal::hex;

/// Mojo of one XCH.
pub const MOJO_PER_XCH: u64 = 1_000_000_000_000;
/// Blocks of a Chia year: 32 in ten minutes. Rewards halve every third one.
const BLOCKS_PER_YEAR: u64 = 32 * 6 * 24 * 365;
/// The largest plot there is, in every profile.
pub const PLOT_SIZE_MAX: u8 = 50;
/// No height: not scheduled.
const NEVER: u32 = 0xffff_fffa;

/// What a network fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name, as nodes give it and as configurations write it.
    pub name: &'static str,
    /// The prefix of its addresses.
    pub address_prefix: &'static str,
    /// Where its chain starts; the parents of reward coins are made of it.
    pub genesis_challenge: Bytes32,
    /// What a signature over a coin's spend commits to beside the coin.
    pub signature_domain: Bytes32,
    /// Scales difficulty to iterations.
    pub difficulty_constant_factor: u128,
    /// Iterations that a pool's sub-slot has by agreement of all pools and farmers, whatever the chain's are.
    pub pool_sub_slot_iters: u64,
    /// Signage points of a sub-slot.
    pub signage_points: u8,
    /// The smallest plot that counts.
    pub plot_size_min: u8,
    /// Zero bits a plot's filter needs at the start, and the heights from which it needs one less each.
    pub filter: (u8, [u32; 4]),
    /// From this height on, proofs of the first version fade out.
    pub second_version_height: u32,
    /// May a farmer reach the pool without TLS? Farmers on mainnet refuse to.
    pub allows_http: bool,
}

impl Network {
    /// The chain that has a price.
    #[must_use]
    pub fn mainnet() -> Self {
        let genesis =
            Bytes32(hex!("ccd5bb71183532bff220ba46c268991a3ff07eb358e8255a65c30a2dce0e5fbb"));
        Network {
            name: "mainnet",
            address_prefix: "xch",
            genesis_challenge: genesis,
            signature_domain: genesis,
            difficulty_constant_factor: 1 << 67,
            pool_sub_slot_iters: 37_600_000_000,
            signage_points: 64,
            plot_size_min: 32,
            filter: (9, [5_496_000, 10_542_000, 15_592_000, 20_643_000]),
            second_version_height: NEVER,
            allows_http: false,
        }
    }

    /// The public test network.
    #[must_use]
    pub fn testnet11() -> Self {
        let genesis =
            Bytes32(hex!("37a90eb5185a9c4439a91ddc98bbadce7b4feba060d50116a067de66bf236615"));
        Network {
            name: "testnet11",
            address_prefix: "txch",
            genesis_challenge: genesis,
            signature_domain: genesis,
            difficulty_constant_factor: 10_052_721_566_054,
            plot_size_min: 18,
            filter: (9, [0, 6_029_568, 11_075_328, 16_121_088]),
            allows_http: true,
            ..Self::mainnet()
        }
    }

    /// The chain that the node's own simulator farms, with the constants of its tests: tiny plots, few signage points.
    #[must_use]
    pub fn simulator() -> Self {
        Network {
            name: "testnet0",
            address_prefix: "txch",
            genesis_challenge: Bytes32(hex!(
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            )),
            difficulty_constant_factor: 1 << 25,
            signage_points: 16,
            plot_size_min: 18,
            filter: (1, [5_496_000, 10_542_000, 15_592_000, 20_643_000]),
            allows_http: true,
            ..Self::mainnet()
        }
    }

    /// The network of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "mainnet" => Some(Self::mainnet()),
            "testnet11" => Some(Self::testnet11()),
            "simulator" => Some(Self::simulator()),
            _ => None,
        }
    }

    /// Zero bits that a plot's filter must begin with, for a proof made on top of this height.
    #[must_use]
    pub fn filter_bits(&self, height: u32) -> u32 {
        let (start, lowered) = self.filter;
        let fewer = lowered.iter().filter(|from| height >= **from).count();
        u32::from(start).saturating_sub(u32::try_from(fewer).unwrap_or(u32::MAX))
    }

    /// What the pool's coin of the block at this height is worth, in mojo: 7/8 of a reward that halves four times.
    #[must_use]
    pub fn pool_reward_mojo(&self, height: u32) -> u64 {
        let halvings = (u64::from(height) / (3 * BLOCKS_PER_YEAR)).min(4);
        let block = (2 * MOJO_PER_XCH) >> halvings;
        block / 8 * 7
    }

    /// The parent that consensus gives the pool's coin of the block at this height.
    #[must_use]
    pub fn pool_coin_parent(&self, height: u32) -> Bytes32 {
        let mut parent = [0; 32];
        parent[..16].copy_from_slice(&self.genesis_challenge.0[..16]);
        parent[28..].copy_from_slice(&height.to_be_bytes());
        Bytes32(parent)
    }

    /// The height whose pool coin has this parent, if it is one. A farmer's own coin is none.
    #[must_use]
    pub fn height_of_pool_coin(&self, parent: &Bytes32) -> Option<u32> {
        let height = u32::from_be_bytes(parent.0[28..].try_into().ok()?);
        (self.pool_coin_parent(height) == *parent).then_some(height)
    }

    /// What member puzzles of this network accept as parents of rewards.
    #[must_use]
    pub fn pool_reward_prefix(&self) -> Bytes32 {
        let mut prefix = [0; 32];
        prefix[..16].copy_from_slice(&self.genesis_challenge.0[..16]);
        Bytes32(prefix)
    }

    /// A proof is good enough if it needs fewer iterations than this.
    #[must_use]
    pub fn iters_limit(&self) -> u64 {
        self.pool_sub_slot_iters / u64::from(self.signage_points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, vectors};

    #[test]
    fn the_filter_of_mainnet_loosens_with_height() {
        for case in vectors()["plot_filter_prefix_bits_mainnet_v1"].as_array().unwrap() {
            let (height, bits) = (case[0].as_u64().unwrap(), case[1].as_u64().unwrap());
            let height = u32::try_from(height).unwrap();
            assert_eq!(u64::from(Network::mainnet().filter_bits(height)), bits, "{height}");
        }
        assert_eq!(Network::simulator().filter_bits(30), 1);
        assert_eq!(Network::simulator().filter_bits(u32::MAX), 0, "never below none");
        assert_eq!(Network::testnet11().filter_bits(0), 8, "forked from its beginning");
    }

    #[test]
    fn rewards_halve_by_height_and_their_coins_are_told_by_their_parents() {
        let network = Network::mainnet();
        for case in vectors()["rewards"]["calculate_pool_reward_mojo"].as_array().unwrap() {
            let height = u32::try_from(case[0].as_u64().unwrap()).unwrap();
            assert_eq!(network.pool_reward_mojo(height), case[1].as_u64().unwrap(), "{height}");
        }
        for case in vectors()["rewards"]["pool_parent_id"].as_array().unwrap() {
            let height = u32::try_from(case["height"].as_u64().unwrap()).unwrap();
            let parent = Bytes32(bytes(&case["mainnet"]));
            assert_eq!(network.pool_coin_parent(height), parent);
            assert_eq!(network.height_of_pool_coin(&parent), Some(height));
            let farmers = Bytes32(bytes(&case["mainnet_farmer"]));
            assert_eq!(network.height_of_pool_coin(&farmers), None, "a farmer's own coin");
        }
    }

    #[test]
    fn the_constants_are_those_of_the_client() {
        for (network, key) in [
            (Network::mainnet(), "constants_mainnet_2_7_5"),
            (Network::simulator(), "constants_test"),
        ] {
            let said = &vectors()[key];
            // Powers of two: exact as floats too, and beyond 64 bits JSON numbers are read as such.
            let factor = said["DIFFICULTY_CONSTANT_FACTOR"].as_f64().unwrap();
            assert_eq!(factor.log2(), f64::from(network.difficulty_constant_factor.ilog2()));
            assert!(network.difficulty_constant_factor.is_power_of_two());
            assert_eq!(said["NUM_SPS_SUB_SLOT"], network.signage_points);
            assert_eq!(said["POOL_SUB_SLOT_ITERS"], network.pool_sub_slot_iters);
            assert_eq!(said["MIN_PLOT_SIZE_V1"], network.plot_size_min);
            assert_eq!(said["MAX_PLOT_SIZE_V1"], PLOT_SIZE_MAX);
            assert_eq!(said["NUMBER_ZERO_BITS_PLOT_FILTER_V1"], network.filter.0);
            assert_eq!(said["HARD_FORK2_HEIGHT"], network.second_version_height);
        }
        assert_eq!(Network::mainnet().iters_limit(), 587_500_000);
    }
}

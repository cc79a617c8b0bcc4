//! An absorption as anybody reads it from the chain, who knows no farmer and trusts no pool.
//!
//! Invariant: what is said follows from the spend's own bytes, which must hash to the coin that was spent; nothing is run.

use super::Phase;
use super::lineage;
use crate::clvm::Tree;
use crate::coin::{Coin, CoinSpend};
use crate::hash::Bytes32;
use crate::network::Network;
use chia_puzzles::{
    POOL_MEMBER_INNERPUZ_HASH, POOL_WAITINGROOM_INNERPUZ_HASH, SINGLETON_TOP_LAYER_HASH,
};

/// What a spend of a plot NFT brought to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absorption {
    /// The coin at the target.
    pub made: Coin,
    /// The coin that consensus made for the pool, which must be spent in the same block.
    pub reward: Coin,
    /// The height of the block whose reward it was.
    pub height: u32,
    /// Whose plot NFT it is.
    pub launcher_id: Bytes32,
}

impl Absorption {
    /// What this spend absorbed; none if it is no plot NFT's of this network, or did something else.
    #[must_use]
    pub fn of(spend: &CoinSpend, network: &Network) -> Option<Self> {
        let mut tree = Tree::new();
        let puzzle = tree.read(&spend.puzzle_reveal.0).ok()?;
        if tree.hash(puzzle) != spend.coin.puzzle_hash {
            return None;
        }
        let (top, arguments) = tree.as_curried(puzzle, 2)?;
        let [identity, inner] = *arguments.as_slice() else { return None };
        let (inner, arguments) = tree.as_curried(inner, 5)?;
        let [target, contract, _owner, prefix, _leaving] = *arguments.as_slice() else {
            return None;
        };
        let phase = match tree.hash(inner).0 {
            POOL_MEMBER_INNERPUZ_HASH => Phase::Farming,
            POOL_WAITINGROOM_INNERPUZ_HASH => Phase::Leaving,
            _ => return None,
        };
        let is_of_network = tree.as_hash(prefix)? == network.pool_reward_prefix();
        if tree.hash(top) != Bytes32(SINGLETON_TOP_LAYER_HASH) || !is_of_network {
            return None;
        }
        // The singleton's own name: its puzzle, its launcher's id, and its launcher's puzzle.
        let (_, names) = tree.as_pair(identity)?;
        let launcher_id = tree.as_hash(tree.as_pair(names)?.0)?;
        let (amount, height) = lineage::absorption(phase, spend)?;
        let made = Coin { parent: spend.coin.id(), puzzle_hash: tree.as_hash(target)?, amount };
        let reward = Coin {
            parent: network.pool_coin_parent(height),
            puzzle_hash: tree.as_hash(contract)?,
            amount,
        };
        Some(Absorption { made, reward, height, launcher_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coin::SpendBundle;
    use crate::vectors::{answers, vectors};

    #[test]
    fn a_real_absorption_says_which_reward_became_which_coin() {
        let network = Network::simulator();
        let bundle = vectors()["singleton"]["absorb"]["spend_bundle"].clone();
        let bundle: SpendBundle = serde_json::from_value(bundle).unwrap();
        let at_target = &answers()["node_target_coin_records"]["response"]["coin_records"];
        let at_target = at_target.as_array().unwrap();
        let launcher = &vectors()["singleton"]["lineage"][0]["coin_record"]["coin"];
        let launcher: Coin = serde_json::from_value(launcher.clone()).unwrap();
        for pair in bundle.coin_spends.chunks(2) {
            let absorption = Absorption::of(&pair[0], &network).unwrap();
            assert_eq!(absorption.reward, pair[1].coin);
            assert_eq!(absorption.launcher_id, launcher.id());
            let made = serde_json::to_value(absorption.made).unwrap();
            assert!(at_target.iter().any(|record| record["coin"] == made), "{made}");
            assert_eq!(Absorption::of(&pair[1], &network), None, "the reward's own spend");
            assert_eq!(Absorption::of(&pair[0], &Network::mainnet()), None, "another network");
        }
    }

    #[test]
    fn what_is_no_absorption_or_not_the_coins_own_puzzle_is_none() {
        let network = Network::simulator();
        let spends = vectors()["singleton"]["lineage"].as_array().unwrap().iter();
        let spends: Vec<CoinSpend> =
            spends.filter_map(|step| serde_json::from_value(step["spend"].clone()).ok()).collect();
        let absorbs = |spend: &CoinSpend| Absorption::of(spend, &network).is_some();
        let found: Vec<bool> = spends.iter().map(absorbs).collect();
        assert_eq!(found, [false, true, true, false, false], "launched, twice absorbed, left");
        let mut other = spends[1].clone();
        other.coin.puzzle_hash = Bytes32([1; 32]);
        assert!(!absorbs(&other));
        let mut cut = spends[1].clone();
        cut.puzzle_reveal.0.pop();
        assert!(!absorbs(&cut));
    }
}

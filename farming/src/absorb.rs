//! Absorbing: bringing rewards that wait at a plot NFT's contract to the pool's address.
//!
//! Nobody signs: the puzzles let anybody do it, and send the money to where the plot NFT's owner said.
//!
//! Invariant: only coins that consensus made for pools are absorbed (a farmer's own coin can never be), each spend consumes the
//! coin before it, and the target is read from the singleton's state, not from our configuration.

use crate::clvm::{Node, Tree};
use crate::coin::{Coin, CoinSpend, NO_SIGNATURE, Program, SpendBundle};
use crate::network::Network;
use crate::singleton::Phase;
use crate::singleton::lineage::{LineageProof, Tip};
use crate::singleton::puzzle::{
    Contract, full_program, inner_puzzle_hash, p2_singleton_hash, p2_singleton_program,
};

/// Rewards of one bundle. Each costs about 38 million; a bundle may cost half a block, 5.5 thousand million.
pub const REWARDS_MAX: usize = 50;

/// Why a coin is not absorbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAbsorbed {
    /// Not made by consensus for a pool: it can never leave through the singleton.
    #[error("the coin is no block's reward for a pool")]
    NoReward,
    /// Locked with another contract.
    #[error("the coin belongs to another plot NFT")]
    OtherContract,
    /// Nothing was given, or more than one bundle holds.
    #[error("a bundle absorbs 1 to {REWARDS_MAX} rewards")]
    Count,
}

/// The spends that move these rewards to the target of the singleton's state, and the coin of the singleton after them.
///
/// # Errors
/// See [`NotAbsorbed`].
pub fn absorb(
    contract: &Contract,
    tip: &Tip,
    rewards: &[Coin],
    network: &Network,
) -> Result<(SpendBundle, Tip), NotAbsorbed> {
    if rewards.is_empty() || rewards.len() > REWARDS_MAX {
        return Err(NotAbsorbed::Count);
    }
    let contract_hash = p2_singleton_hash(contract);
    let inner_hash = inner_puzzle_hash(contract, &tip.state);
    let full = Program(full_program(contract, &tip.state));
    let p2 = Program(p2_singleton_program(contract));
    let mut coin_spends = Vec::with_capacity(2 * rewards.len());
    let mut tip = tip.clone();
    for reward in rewards {
        if reward.puzzle_hash != contract_hash {
            return Err(NotAbsorbed::OtherContract);
        }
        let height = network.height_of_pool_coin(&reward.parent).ok_or(NotAbsorbed::NoReward)?;
        coin_spends.push(CoinSpend {
            coin: tip.coin,
            puzzle_reveal: full.clone(),
            solution: Program(singleton_solution(&tip, reward, height)),
        });
        coin_spends.push(CoinSpend {
            coin: *reward,
            puzzle_reveal: p2.clone(),
            solution: Program(reward_solution(&inner_hash.0, reward)),
        });
        let proof = LineageProof::Singleton {
            parent: tip.coin.parent,
            inner_puzzle_hash: inner_hash,
            amount: tip.coin.amount,
        };
        tip = Tip { coin: Coin { parent: tip.coin.id(), ..tip.coin }, proof, ..tip };
    }
    Ok((SpendBundle { coin_spends, signature: NO_SIGNATURE }, tip))
}

fn singleton_solution(tip: &Tip, reward: &Coin, height: u32) -> Vec<u8> {
    let mut tree = Tree::new();
    let lineage = lineage_proof(&mut tree, &tip.proof);
    let amount = tree.number(tip.coin.amount);
    let (worth, height) = (tree.number(reward.amount), tree.number(u64::from(height)));
    let inner = match tip.state.phase {
        Phase::Farming => tree.list(&[worth, height]),
        Phase::SelfPooling | Phase::Leaving => {
            let absorbs = tree.number(0);
            tree.list(&[absorbs, worth, height])
        }
    };
    let root = tree.list(&[lineage, amount, inner]);
    tree.write(root)
}

fn lineage_proof(tree: &mut Tree, proof: &LineageProof) -> Node {
    match proof {
        LineageProof::Launcher { parent, amount } => {
            let (parent, amount) = (tree.atom(&parent.0), tree.number(*amount));
            tree.list(&[parent, amount])
        }
        LineageProof::Singleton { parent, inner_puzzle_hash, amount } => {
            let parent = tree.atom(&parent.0);
            let inner = tree.atom(&inner_puzzle_hash.0);
            let amount = tree.number(*amount);
            tree.list(&[parent, inner, amount])
        }
    }
}

fn reward_solution(inner_hash: &[u8], reward: &Coin) -> Vec<u8> {
    let mut tree = Tree::new();
    let inner = tree.atom(inner_hash);
    let id = tree.atom(&reward.id().0);
    let root = tree.list(&[inner, id]);
    tree.write(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Bytes32;
    use crate::singleton::PoolState;
    use crate::vectors::{bytes, vectors};

    fn real() -> (Contract, Tip, SpendBundle) {
        let absorb = &vectors()["singleton"]["absorb"];
        let network = Network::simulator();
        let bundle: SpendBundle = serde_json::from_value(absorb["spend_bundle"].clone()).unwrap();
        let state = hex::decode(absorb["pool_state_streamable_hex"].as_str().unwrap()).unwrap();
        let launcher = &vectors()["singleton"]["lineage"][0]["coin_record"]["coin"];
        let launcher: Coin = serde_json::from_value(launcher.clone()).unwrap();
        let contract = Contract {
            launcher_id: launcher.id(),
            delay_s: absorb["delay_time"].as_u64().unwrap(),
            delay_puzzle_hash: Bytes32(bytes(&absorb["delay_puzzle_hash"])),
            reward_prefix: network.pool_reward_prefix(),
        };
        let tip = Tip {
            coin: bundle.coin_spends[0].coin,
            height: 7,
            state: PoolState::from_bytes(&state).unwrap(),
            proof: LineageProof::Launcher { parent: launcher.parent, amount: 1 },
            since: 7,
        };
        (contract, tip, bundle)
    }

    #[test]
    fn two_rewards_in_one_bundle_are_the_bytes_the_node_accepted() {
        let (contract, tip, accepted) = real();
        let rewards = [accepted.coin_spends[1].coin, accepted.coin_spends[3].coin];
        let (bundle, after) = absorb(&contract, &tip, &rewards, &Network::simulator()).unwrap();
        assert_eq!(bundle, accepted);
        let absorb = &vectors()["singleton"]["absorb"];
        assert_eq!(bundle.id().0, bytes::<32>(&absorb["spend_bundle_name"]));
        // The singleton's coin after it is the one whose spend comes next in its real life.
        let next = &vectors()["singleton"]["lineage"][3]["coin_record"]["coin"];
        assert_eq!(serde_json::to_value(after.coin).unwrap(), *next);
    }

    #[test]
    fn what_is_no_reward_of_this_contract_is_not_absorbed() {
        let (contract, tip, accepted) = real();
        let network = Network::simulator();
        let reward = accepted.coin_spends[1].coin;
        let refused = |coin: Coin| absorb(&contract, &tip, &[coin], &network).unwrap_err();
        let mut farmers = reward;
        farmers.parent.0[..16].copy_from_slice(&network.genesis_challenge.0[16..]);
        assert_eq!(refused(farmers), NotAbsorbed::NoReward);
        let other = Coin { puzzle_hash: Bytes32([1; 32]), ..reward };
        assert_eq!(refused(other), NotAbsorbed::OtherContract);
        assert_eq!(absorb(&contract, &tip, &[], &network).unwrap_err(), NotAbsorbed::Count);
        let many = vec![reward; REWARDS_MAX + 1];
        assert_eq!(absorb(&contract, &tip, &many, &network).unwrap_err(), NotAbsorbed::Count);
    }

    #[test]
    fn in_the_waiting_room_the_reward_is_absorbed_another_way() {
        let (contract, tip, accepted) = real();
        let leaving = Tip { state: PoolState { phase: Phase::Leaving, ..tip.state }, ..tip };
        let reward = accepted.coin_spends[1].coin;
        let (bundle, _) = absorb(&contract, &leaving, &[reward], &Network::simulator()).unwrap();
        let mut tree = Tree::new();
        let root = tree.read(&bundle.coin_spends[0].solution.0).unwrap();
        let parts = tree.as_list(root, 3).unwrap();
        let inner = tree.as_list(parts[2], 3).unwrap();
        assert_eq!(tree.as_number(inner[0]), Some(0));
        assert_eq!(tree.as_number(inner[1]), Some(reward.amount));
    }
}

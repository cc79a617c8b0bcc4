//! The puzzles of plot NFTs, with a farmer's values bound to them.
//!
//! Invariant: a hash and the program it names come from the same list of arguments, so they cannot differ.

use super::{Phase, PoolState};
use crate::clvm::{Node, Tree, atom_hash, curried_hash, number_bytes, pair_hash};
use crate::hash::Bytes32;
use chia_puzzles::{
    P2_SINGLETON_OR_DELAYED_PUZHASH, P2_SINGLETON_OR_DELAYED_PUZHASH_HASH, POOL_MEMBER_INNERPUZ,
    POOL_MEMBER_INNERPUZ_HASH, POOL_WAITINGROOM_INNERPUZ, POOL_WAITINGROOM_INNERPUZ_HASH,
    SINGLETON_LAUNCHER_HASH, SINGLETON_TOP_LAYER, SINGLETON_TOP_LAYER_HASH,
};

/// What never changes about a plot NFT: what its launcher fixed, and its network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contract {
    /// Its name: the id of the coin that launched it.
    pub launcher_id: Bytes32,
    /// Seconds after which its owner may take a reward without it.
    pub delay_s: u64,
    /// Where such a reward goes.
    pub delay_puzzle_hash: Bytes32,
    /// What parents of rewards begin with on its network.
    pub reward_prefix: Bytes32,
}

/// The puzzle of launcher coins.
pub const LAUNCHER_HASH: Bytes32 = Bytes32(SINGLETON_LAUNCHER_HASH);

/// A program with arguments bound to it: its bytes, its hash, and atoms.
struct Curried<'a> {
    program: &'a [u8],
    program_hash: [u8; 32],
    arguments: Vec<Vec<u8>>,
}

impl Curried<'_> {
    fn hash(&self) -> Bytes32 {
        let arguments: Vec<Bytes32> = self.arguments.iter().map(|bytes| atom_hash(bytes)).collect();
        curried_hash(&Bytes32(self.program_hash), &arguments)
    }

    fn build(&self, tree: &mut Tree) -> Node {
        let program = published(tree, self.program);
        let arguments: Vec<Node> = self.arguments.iter().map(|bytes| tree.atom(bytes)).collect();
        tree.curry(program, &arguments)
    }
}

/// A published puzzle, which a test reads: that it can be read is known.
fn published(tree: &mut Tree, program: &[u8]) -> Node {
    match tree.read(program) {
        Ok(node) => node,
        Err(error) => panic!("a published puzzle cannot be read: {error}"),
    }
}

fn p2_singleton(contract: &Contract) -> Curried<'static> {
    Curried {
        program: &P2_SINGLETON_OR_DELAYED_PUZHASH,
        program_hash: P2_SINGLETON_OR_DELAYED_PUZHASH_HASH,
        arguments: vec![
            SINGLETON_TOP_LAYER_HASH.to_vec(),
            contract.launcher_id.0.to_vec(),
            SINGLETON_LAUNCHER_HASH.to_vec(),
            number_bytes(contract.delay_s),
            contract.delay_puzzle_hash.0.to_vec(),
        ],
    }
}

fn waiting_room(contract: &Contract, state: &PoolState) -> Curried<'static> {
    Curried {
        program: &POOL_WAITINGROOM_INNERPUZ,
        program_hash: POOL_WAITINGROOM_INNERPUZ_HASH,
        arguments: vec![
            state.target.0.to_vec(),
            p2_singleton_hash(contract).0.to_vec(),
            state.owner.0.to_vec(),
            contract.reward_prefix.0.to_vec(),
            number_bytes(u64::from(state.lock_height)),
        ],
    }
}

fn member(contract: &Contract, state: &PoolState) -> Curried<'static> {
    Curried {
        program: &POOL_MEMBER_INNERPUZ,
        program_hash: POOL_MEMBER_INNERPUZ_HASH,
        arguments: vec![
            state.target.0.to_vec(),
            p2_singleton_hash(contract).0.to_vec(),
            state.owner.0.to_vec(),
            contract.reward_prefix.0.to_vec(),
            waiting_room(contract, state).hash().0.to_vec(),
        ],
    }
}

fn inner(contract: &Contract, state: &PoolState) -> Curried<'static> {
    match state.phase {
        Phase::Farming => member(contract, state),
        Phase::SelfPooling | Phase::Leaving => waiting_room(contract, state),
    }
}

/// Where the contract's plots farm to: the puzzle hash of rewards.
#[must_use]
pub fn p2_singleton_hash(contract: &Contract) -> Bytes32 {
    p2_singleton(contract).hash()
}

/// The hash of the puzzle that a state is.
#[must_use]
pub fn inner_puzzle_hash(contract: &Contract, state: &PoolState) -> Bytes32 {
    inner(contract, state).hash()
}

/// The puzzle hash of the singleton's coin in this state.
#[must_use]
pub fn full_puzzle_hash(contract: &Contract, state: &PoolState) -> Bytes32 {
    let tail = pair_hash(&atom_hash(&contract.launcher_id.0), &atom_hash(&SINGLETON_LAUNCHER_HASH));
    let identity = pair_hash(&atom_hash(&SINGLETON_TOP_LAYER_HASH), &tail);
    let inner = inner_puzzle_hash(contract, state);
    curried_hash(&Bytes32(SINGLETON_TOP_LAYER_HASH), &[identity, inner])
}

/// The program that rewards are locked with.
#[must_use]
pub fn p2_singleton_program(contract: &Contract) -> Vec<u8> {
    let mut tree = Tree::new();
    let root = p2_singleton(contract).build(&mut tree);
    tree.write(root)
}

/// The program of the singleton's coin in this state.
#[must_use]
pub fn full_program(contract: &Contract, state: &PoolState) -> Vec<u8> {
    let mut tree = Tree::new();
    let inner = inner(contract, state).build(&mut tree);
    let top = published(&mut tree, &SINGLETON_TOP_LAYER);
    let launcher = tree.atom(&contract.launcher_id.0);
    let launcher_puzzle = tree.atom(&SINGLETON_LAUNCHER_HASH);
    let top_hash = tree.atom(&SINGLETON_TOP_LAYER_HASH);
    let tail = tree.pair(launcher, launcher_puzzle);
    let identity = tree.pair(top_hash, tail);
    let root = tree.curry(top, &[identity, inner]);
    tree.write(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::vectors::{bytes, vectors};

    fn contract(network: &Network) -> Contract {
        let singleton = &vectors()["singleton"];
        Contract {
            launcher_id: Bytes32(bytes(&singleton["launcher_id"])),
            delay_s: singleton["delay_time"].as_u64().unwrap(),
            delay_puzzle_hash: Bytes32(bytes(&singleton["delay_puzzle_hash"])),
            reward_prefix: network.pool_reward_prefix(),
        }
    }

    #[test]
    fn every_state_on_both_networks_has_the_clients_puzzle_hashes() {
        let mut checked = 0;
        for case in vectors()["singleton"]["states"].as_array().unwrap() {
            let state = hex::decode(case["streamable_hex"].as_str().unwrap()).unwrap();
            let state = PoolState::from_bytes(&state).unwrap();
            for (network, key) in
                [(Network::mainnet(), "mainnet"), (Network::simulator(), "genesis_e3b0")]
            {
                let contract = contract(&network);
                let said = &case[key];
                assert_eq!(
                    inner_puzzle_hash(&contract, &state).0,
                    bytes::<32>(&said["inner_puzzle_hash"])
                );
                assert_eq!(
                    waiting_room(&contract, &state).hash().0,
                    bytes::<32>(&said["waiting_room_inner_hash"])
                );
                let full = full_puzzle_hash(&contract, &state);
                assert_eq!(full.0, bytes::<32>(&said["full_puzzle_hash"]));
                let mut tree = Tree::new();
                let root = tree.read(&full_program(&contract, &state)).unwrap();
                assert_eq!(tree.hash(root), full, "the program is the one the hash names");
                checked += 1;
            }
        }
        assert_eq!(checked, 72);
    }

    #[test]
    fn rewards_are_locked_with_the_clients_puzzle_whatever_the_delay() {
        for case in vectors()["singleton"]["p2_singleton_more"].as_array().unwrap() {
            let contract = Contract {
                launcher_id: Bytes32(bytes(&case["launcher_id"])),
                delay_s: case["delay_time"].as_u64().unwrap(),
                delay_puzzle_hash: Bytes32(bytes(&case["delay_puzzle_hash"])),
                reward_prefix: Bytes32::default(),
            };
            let hash = p2_singleton_hash(&contract);
            assert_eq!(hash.0, bytes::<32>(&case["p2_singleton_puzzle_hash"]));
            let mut tree = Tree::new();
            let root = tree.read(&p2_singleton_program(&contract)).unwrap();
            assert_eq!(tree.hash(root), hash);
        }
    }

    #[test]
    fn every_published_puzzle_can_be_read() {
        let mut tree = Tree::new();
        for program in [
            &P2_SINGLETON_OR_DELAYED_PUZHASH[..],
            &POOL_MEMBER_INNERPUZ,
            &POOL_WAITINGROOM_INNERPUZ,
            &SINGLETON_TOP_LAYER,
        ] {
            published(&mut tree, program);
        }
    }
}

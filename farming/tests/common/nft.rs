//! Plot NFTs that a test launches and moves as it likes: their coins and spends as a node would show them.

use super::node::World;
use super::{CAPTURED, settings};
use chia_bls::{PublicKey, SecretKey};
use farming::clvm::Tree;
use farming::coin::{Coin, CoinSpend, Program};
use farming::hash::Bytes32;
use farming::network::Network;
use farming::singleton::puzzle::{Contract, LAUNCHER_HASH, full_puzzle_hash, p2_singleton_hash};
use farming::singleton::{Phase, PoolState};
use farming::wire::farmer::{Post, PostPayload, Put, PutPayload};
use farming::wire::{KeyBytes, SignatureBytes};
use serde_json::json;

/// One, and where it is now.
pub struct PlotNft {
    pub contract: Contract,
    coin: Coin,
    state: PoolState,
}

/// An owner.
pub fn owner(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn bytes(key: &PublicKey) -> KeyBytes {
    KeyBytes(key.to_bytes())
}

/// Farming to the pool of these tests, owned by this key.
pub fn farming(owner: &SecretKey) -> PoolState {
    let terms = settings().terms;
    PoolState {
        phase: Phase::Farming,
        target: terms.targets[0],
        owner: bytes(&owner.public_key()),
        pool_url: Some("http://pool.example".into()),
        lock_height: terms.lock_height,
    }
}

impl PlotNft {
    /// Launches one at a height.
    pub fn launch(world: &mut World, delay_s: u64, state: PoolState, height: u32) -> Self {
        let parent = Bytes32([height as u8; 32]);
        let launcher = Coin { parent, puzzle_hash: LAUNCHER_HASH, amount: 1 };
        let contract = Contract {
            launcher_id: launcher.id(),
            delay_s,
            delay_puzzle_hash: Bytes32([0x44; 32]),
            reward_prefix: Network::simulator().pool_reward_prefix(),
        };
        let mut tree = Tree::new();
        let extra = {
            let delay = tree.number(delay_s);
            let to = tree.atom(&contract.delay_puzzle_hash.0);
            let announced = tree.atom(&state.to_bytes());
            let entries = [(b"p", announced), (b"t", delay), (b"h", to)].map(|(name, value)| {
                let name = tree.atom(name);
                tree.pair(name, value)
            });
            tree.list(&entries)
        };
        let full = tree.atom(&full_puzzle_hash(&contract, &state).0);
        let amount = tree.number(1);
        let solution = tree.list(&[full, amount, extra]);
        let coin = Coin {
            parent: launcher.id(),
            puzzle_hash: full_puzzle_hash(&contract, &state),
            amount: 1,
        };
        show(world, &launcher, height, Some((height, tree.write(solution))));
        show(world, &coin, height, None);
        PlotNft { contract, coin, state }
    }

    /// Its owner takes it to another state.
    pub fn travel(&mut self, world: &mut World, to: PoolState, height: u32) {
        self.announce(world, &to.clone(), to, height);
    }

    /// It is spent with an announcement, and becomes a coin that carries this state.
    pub fn announce(&mut self, world: &mut World, said: &PoolState, to: PoolState, height: u32) {
        let mut tree = Tree::new();
        let (name, announced, nil) = (tree.atom(b"p"), tree.atom(&said.to_bytes()), tree.atom(&[]));
        let entry = tree.pair(name, announced);
        let extra = tree.list(&[entry]);
        let inner = match self.state.phase {
            Phase::Farming => tree.list(&[extra, nil]),
            Phase::SelfPooling | Phase::Leaving => {
                let travels = tree.number(1);
                tree.list(&[travels, extra, nil])
            }
        };
        let amount = tree.number(1);
        let solution = tree.list(&[nil, amount, inner]);
        let next = Coin {
            parent: self.coin.id(),
            puzzle_hash: full_puzzle_hash(&self.contract, &to),
            amount: 1,
        };
        let id = self.coin.id();
        world.coins.retain(|record| {
            serde_json::from_value::<Coin>(record["coin"].clone()).unwrap().id() != id
        });
        let born = height - 1;
        show(world, &self.coin, born, Some((height, tree.write(solution))));
        show(world, &next, height, None);
        (self.coin, self.state) = (next, to);
    }

    /// Somebody brings the reward of a block to where it farms to; whoever does, and in this form.
    pub fn absorb(&mut self, world: &mut World, reward_height: u32, height: u32, junk: bool) {
        let mut tree = Tree::new();
        let worth = Network::simulator().pool_reward_mojo(reward_height);
        let (nil, one) = (tree.atom(&[]), tree.number(1));
        let amount = tree.number(worth);
        let mut inner = vec![amount, tree.number(reward_height.into())];
        if self.state.phase != Phase::Farming {
            inner.insert(0, nil);
        }
        inner.extend(junk.then_some(one));
        let inner = tree.list(&inner);
        let solution = tree.list(&[nil, one, inner]);
        let id = self.coin.id();
        let next = Coin { parent: id, ..self.coin };
        let made = Coin { parent: id, puzzle_hash: self.state.target, amount: worth };
        world.coins.retain(|record| {
            serde_json::from_value::<Coin>(record["coin"].clone()).unwrap().id() != id
        });
        show(world, &self.coin, height - 1, Some((height, tree.write(solution))));
        show(world, &next, height, None);
        show(world, &made, height, None);
        self.coin = next;
    }

    /// A block is won: its reward waits at the contract.
    pub fn wins(&self, world: &mut World, reward_height: u32, height: u32) -> Coin {
        let network = Network::simulator();
        let coin = Coin {
            parent: network.pool_coin_parent(reward_height),
            puzzle_hash: p2_singleton_hash(&self.contract),
            amount: network.pool_reward_mojo(reward_height),
        };
        world.coins.push(json!({
            "coin": coin, "confirmed_block_index": height, "spent_block_index": 0, "coinbase": true,
        }));
        coin
    }

    /// Introduces itself, signed by this key.
    pub fn post(&self, signer: &SecretKey) -> Post {
        let payload = PostPayload {
            launcher_id: self.contract.launcher_id,
            authentication_token: CAPTURED / 300_000,
            authentication_public_key: bytes(&owner(200).public_key()),
            payout_instructions: "11".repeat(32),
            suggested_difficulty: None,
        };
        let mut post = Post { payload, signature: SignatureBytes([0; 96]) };
        post.signature = signed(signer, &post.message());
        post
    }

    /// Asks to be paid elsewhere, signed by this key.
    pub fn put(&self, signer: &SecretKey, instructions: &str) -> Put {
        let payload = PutPayload {
            launcher_id: self.contract.launcher_id,
            authentication_token: CAPTURED / 300_000,
            authentication_public_key: None,
            payout_instructions: Some(instructions.to_owned()),
            suggested_difficulty: None,
        };
        let mut put = Put { payload, signature: SignatureBytes([0; 96]) };
        put.signature = signed(signer, &put.message());
        put
    }
}

fn signed(key: &SecretKey, message: &Bytes32) -> SignatureBytes {
    SignatureBytes(chia_bls::sign(key, message.0).to_bytes())
}

/// Puts a coin onto the chain, with what spent it.
fn show(world: &mut World, coin: &Coin, made: u32, spent: Option<(u32, Vec<u8>)>) {
    let at = spent.as_ref().map_or(0, |(height, _)| *height);
    world.coins.push(json!({
        "coin": coin, "confirmed_block_index": made, "spent_block_index": at, "coinbase": false,
    }));
    if let Some((_, solution)) = spent {
        let spend = CoinSpend {
            coin: *coin,
            puzzle_reveal: Program(vec![0x80]),
            solution: Program(solution),
        };
        world.spends.insert(coin.id(), json!(spend));
    }
}

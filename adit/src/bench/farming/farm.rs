//! Farmers that are not there: plots in memory, signage points made up for them, and partials signed in advance.

use anyhow::Context;
use chia_bls::SecretKey;
use farming::clvm::Tree;
use farming::coin::Coin;
use farming::hash::{Bytes32, sha256};
use farming::network::Network;
use farming::singleton::puzzle::{Contract, LAUNCHER_HASH, full_puzzle_hash, p2_singleton_hash};
use farming::singleton::{Phase, PoolState};
use farming::space::plot::Plot;
use farming::token::TokenTimeout;
use farming::wire::KeyBytes;
use pool::Clock;
use serde_json::json;
use std::collections::HashMap;

/// Farmers, each with a plot, at least and at most, and partials for each. The bench needs as many signage points in a few seconds as a
/// chain has in hours, and a pool takes no more than a hundred of one farmer.
const FARMERS: (usize, usize) = (2, 16);
const PARTIALS_OF_ONE: usize = 64;
/// The size of the plots.
const SIZE: u8 = 18;
/// Minutes of the pool's tokens.
pub const TOKEN_MINUTES: u8 = 200;
/// Where the pool's rewards would go.
pub const TARGET: Bytes32 = Bytes32([0x22; 32]);
/// Blocks that leaving takes.
pub const LOCK_HEIGHT: u32 = 32;

/// One farmer.
pub struct Farmer {
    owner: SecretKey,
    authentication: SecretKey,
    /// The coin that launched its plot NFT, its spend's solution, and the plot NFT's coin.
    pub launcher: Coin,
    pub solution: Vec<u8>,
    pub tip: Coin,
}

/// Everything that is made in advance.
pub struct Farm {
    pub farmers: Vec<Farmer>,
    /// Bodies of `POST /partial`.
    pub partials: Vec<String>,
    /// The challenge of each signage point.
    pub points: HashMap<Bytes32, Bytes32>,
}

impl Farm {
    /// Makes so many partials.
    pub fn make(partials: usize) -> anyhow::Result<Self> {
        let count = (partials / PARTIALS_OF_ONE).clamp(FARMERS.0, FARMERS.1);
        let farmers: Vec<Farmer> = (0..u8::MAX).take(count).map(Farmer::make).collect();
        let mut plots = Vec::new();
        for farmer in &farmers {
            let contract = p2_singleton_hash(&farmer.contract());
            let key = SecretKey::from_seed(&[100; 32]);
            let id = sha256([contract.as_ref(), &key.public_key().to_bytes()[..]]);
            let plot = Plot::make(id, SIZE).context("a plot of this size")?;
            plots.push((farmer, contract, key, plot));
        }
        let mut farm = Farm { farmers: Vec::new(), partials: Vec::new(), points: HashMap::new() };
        for number in 0u64.. {
            let point = sha256([b"signage point", &number.to_be_bytes()[..]]);
            let challenge = sha256([b"sub-slot", &(number / 64).to_be_bytes()[..]]);
            farm.points.insert(point, challenge);
            // Each is the first one with a point as often as any other.
            plots.rotate_left(1);
            for (farmer, contract, key, plot) in &plots {
                let filter = sha256([plot.id().as_ref(), challenge.as_ref(), point.as_ref()]);
                if filter.0[0] >= 0x80 {
                    continue;
                }
                let challenge = sha256([filter.as_ref()]);
                for proof in plot.proofs(&challenge) {
                    if farm.partials.len() == partials {
                        drop(plots);
                        farm.farmers = farmers;
                        return Ok(farm);
                    }
                    let body = farmer.partial(contract, key, &challenge, &point, &proof);
                    farm.partials.push(body);
                }
            }
        }
        anyhow::bail!("not enough proofs")
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn token() -> u64 {
    TokenTimeout::minutes(TOKEN_MINUTES)
        .map_or(0, |timeout| timeout.token_at(pool::SystemClock.now()))
}

impl Farmer {
    fn make(number: u8) -> Self {
        let seed =
            |kind: u8| SecretKey::from_seed(&[number.wrapping_mul(7).wrapping_add(kind); 32]);
        let (owner, authentication) = (seed(1), seed(2));
        let launcher =
            Coin { parent: Bytes32([number + 1; 32]), puzzle_hash: LAUNCHER_HASH, amount: 1 };
        let mut farmer =
            Farmer { owner, authentication, launcher, solution: Vec::new(), tip: launcher };
        let full = full_puzzle_hash(&farmer.contract(), &farmer.state());
        farmer.tip = Coin { parent: launcher.id(), puzzle_hash: full, amount: 1 };
        farmer.solution = farmer.launch(&full);
        farmer
    }

    fn contract(&self) -> Contract {
        Contract {
            launcher_id: self.launcher.id(),
            delay_s: 604_800,
            delay_puzzle_hash: Bytes32([9; 32]),
            reward_prefix: Network::simulator().pool_reward_prefix(),
        }
    }

    fn state(&self) -> PoolState {
        PoolState {
            phase: Phase::Farming,
            target: TARGET,
            owner: KeyBytes(self.owner.public_key().to_bytes()),
            pool_url: Some("https://pool.example".to_owned()),
            lock_height: LOCK_HEIGHT,
        }
    }

    fn launch(&self, full: &Bytes32) -> Vec<u8> {
        let (contract, mut tree) = (self.contract(), Tree::new());
        let mut entries = Vec::new();
        for (name, value) in [
            (b"p", self.state().to_bytes()),
            (b"t", farming::clvm::number_bytes(contract.delay_s)),
            (b"h", contract.delay_puzzle_hash.0.to_vec()),
        ] {
            let (name, value) = (tree.atom(name), tree.atom(&value));
            entries.push(tree.pair(name, value));
        }
        let (full, one, entries) = (tree.atom(&full.0), tree.number(1), tree.list(&entries));
        let root = tree.list(&[full, one, entries]);
        tree.write(root)
    }

    /// `POST /farmer`.
    pub fn introduction(&self) -> String {
        let (launcher, token, instructions) = (self.launcher.id(), token(), "33".repeat(32));
        let key = self.authentication.public_key().to_bytes();
        let signed = [
            &launcher.0[..],
            &token.to_be_bytes(),
            &key,
            &64u32.to_be_bytes(),
            instructions.as_bytes(),
            &[0],
        ];
        let signature = chia_bls::sign(&self.owner, sha256(signed).0);
        json!({
            "payload": {
                "launcher_id": launcher, "authentication_token": token,
                "authentication_public_key": text(&key), "payout_instructions": instructions,
                "suggested_difficulty": null,
            },
            "signature": text(&signature.to_bytes()),
        })
        .to_string()
    }

    /// `GET /farmer`, with its query.
    pub fn question(&self) -> String {
        let (launcher, token) = (self.launcher.id(), token());
        let signed =
            [&10u32.to_be_bytes()[..], b"get_farmer", &launcher.0, &TARGET.0, &token.to_be_bytes()];
        let signature = chia_bls::sign(&self.authentication, sha256(signed).0);
        format!(
            "/farmer?launcher_id={launcher}&authentication_token={token}&signature={}",
            text(&signature.to_bytes())
        )
    }

    fn partial(
        &self,
        contract: &Bytes32,
        plot: &SecretKey,
        challenge: &Bytes32,
        point: &Bytes32,
        proof: &[u8],
    ) -> String {
        let (launcher, token, harvester) = (self.launcher.id(), token(), Bytes32([4; 32]));
        let plot_key = plot.public_key().to_bytes();
        let length = u32::try_from(proof.len()).unwrap_or(u32::MAX).to_be_bytes();
        let signed = [
            &launcher.0[..],
            &token.to_be_bytes(),
            &challenge.0,
            &[0, 1],
            &contract.0,
            &plot_key,
            &[SIZE],
            &length,
            proof,
            &point.0,
            &[0],
            &harvester.0,
        ];
        let message = sha256(signed);
        let signatures = [plot, &self.authentication].map(|key| chia_bls::sign(key, message.0));
        json!({
            "payload": {
                "launcher_id": launcher, "authentication_token": token,
                "proof_of_space": {
                    "challenge": challenge, "pool_public_key": null, "pool_contract_puzzle_hash": contract,
                    "plot_public_key": text(&plot_key), "version": 0, "plot_index": 0, "meta_group": 0,
                    "strength": 0, "size": SIZE, "proof": text(proof),
                },
                "sp_hash": point, "end_of_sub_slot": false, "harvester_id": harvester,
            },
            "aggregate_signature": text(&chia_bls::aggregate(signatures).to_bytes()),
        })
        .to_string()
    }
}

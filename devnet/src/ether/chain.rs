//! Blocks, uncles and balances.
//!
//! Invariant: no I/O and no clock; balances after each block are kept, so that what a block did can be looked at.

use pow::ethash::{Cache, EPOCH, Epoch, keccak256};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// An address.
pub type Address = [u8; 20];
/// A hash, in the order in which it is written.
pub type Hash = [u8; 32];

/// Smallest units of a coin.
pub const COIN: i128 = 1_000_000_000_000_000_000;
/// What a block gives.
pub const REWARD: i128 = 2 * COIN;
/// Uncles of a block at most.
const UNCLES_MAX: usize = 2;
/// A block can be an uncle of so many after it.
pub const GENERATIONS: u64 = 7;
/// What every transfer uses.
pub const GAS: i128 = 21_000;

/// A transfer of coins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Who pays.
    pub from: Address,
    /// Who is paid.
    pub to: Address,
    /// How much.
    pub value: i128,
    /// What each unit of gas costs.
    pub gas_price: i128,
    /// Does it fail, and cost its gas only?
    pub fails: bool,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its name.
    pub hash: Hash,
    /// Its parent's.
    pub parent: Hash,
    /// Whom it pays.
    pub miner: Address,
    /// The seal's nonce.
    pub nonce: u64,
    /// The seal's mix.
    pub mix: Hash,
    /// Blocks beside the chain that it names.
    pub uncles: Vec<Block>,
    /// Its transfers.
    pub transfers: Vec<Transfer>,
    /// Balances after it.
    balances: BTreeMap<Address, i128>,
}

/// What is sealed: a block that lacks its nonce and mix.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The hash that is sealed.
    pub header: Hash,
    block: Block,
}

/// The chain, and what lies beside it.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Its id.
    pub id: u64,
    /// A block takes two to the power of so many hashes.
    pub bits: u32,
    /// What of a gas price is burnt.
    pub base_fee: i128,
    /// Balances are known of so many blocks before the tip.
    pub keeps: u64,
    blocks: Vec<Block>,
    beside: Vec<Block>,
    waiting: Vec<Transfer>,
}

impl Chain {
    /// A chain of one block, on which these have coins.
    #[must_use]
    pub fn new(id: u64, bits: u32, rich: &[(Address, i128)]) -> Self {
        let genesis = Block {
            number: 0,
            hash: keccak256(&id.to_be_bytes()),
            parent: [0; 32],
            miner: [0; 20],
            nonce: 0,
            mix: [0; 32],
            uncles: Vec::new(),
            transfers: Vec::new(),
            balances: rich.iter().copied().collect(),
        };
        let (beside, waiting) = (Vec::new(), Vec::new());
        Chain { id, bits, base_fee: 0, keeps: 128, blocks: vec![genesis], beside, waiting }
    }

    /// The newest block.
    ///
    /// # Panics
    /// Never: there is a first block.
    #[must_use]
    pub fn tip(&self) -> &Block {
        self.blocks.last().expect("there is a first block")
    }

    /// A block of the chain.
    #[must_use]
    pub fn at(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    /// At or below this a hash seals a block.
    #[must_use]
    pub fn boundary(&self) -> Hash {
        let mut boundary = [0; 32];
        let bit = 256 - self.bits.clamp(1, 256);
        boundary[31 - bit as usize / 8] = 1 << (bit % 8);
        boundary
    }

    /// What an address has after a block; `None` where that is not known any more.
    #[must_use]
    pub fn balance(&self, of: &Address, number: u64) -> Option<i128> {
        let block =
            self.at(number).filter(|block| block.number + self.keeps >= self.tip().number)?;
        Some(block.balances.get(of).copied().unwrap_or(0))
    }

    /// A transfer that the next block is to have.
    pub fn send(&mut self, transfer: Transfer) {
        self.waiting.push(transfer);
    }

    /// The name of a transfer in a block.
    #[must_use]
    pub fn name_of(block: &Block, at: usize) -> Hash {
        keccak256(&[block.hash.as_slice(), &(at as u64).to_be_bytes()].concat())
    }

    /// A block to be sealed that pays this address. `salt` tells the candidates of different nodes apart.
    #[must_use]
    pub fn candidate(&self, miner: Address, salt: u64) -> Candidate {
        let block = self.next(miner, self.waiting.clone(), Vec::new());
        let parts: Vec<u8> = [block.parent.as_slice(), &miner, &salt.to_be_bytes()].concat();
        let transfers = format!("{:?}", block.transfers);
        Candidate { header: keccak256(&[&parts, transfers.as_bytes()].concat()), block }
    }

    /// Takes a seal, if it is one: as the newest block, or beside the chain if its parent is not the newest any more.
    pub fn seal(&mut self, candidate: &Candidate, nonce: u64, mix: Hash) -> bool {
        let hashed = pow::ethash::hash(cache(), &candidate.header, nonce);
        if hashed.mix != mix || hashed.result > self.boundary() {
            return false;
        }
        let name = [candidate.header.as_slice(), &nonce.to_be_bytes(), &mix].concat();
        let block = Block { nonce, mix, hash: keccak256(&name), ..candidate.block.clone() };
        if block.number + GENERATIONS < self.tip().number {
            return false;
        }
        let is_known = |known: &Block| known.hash == block.hash;
        if self.blocks.iter().any(is_known) || self.beside.iter().any(is_known) {
            return true;
        }
        match block.parent == self.tip().hash {
            true => self.append(block),
            false => self.beside.push(block),
        }
        true
    }

    /// Somebody else's block, sealed somewhere.
    pub fn mine_to(&mut self, miner: Address) {
        let block = self.next(miner, self.waiting.clone(), Vec::new());
        self.append(sealed(block, self.beside.len()));
    }

    /// Somebody's block that names what lies beside the chain, as far as it can.
    pub fn name_uncles(&mut self, miner: Address) {
        let number = self.tip().number + 1;
        let known: Vec<Hash> = self
            .blocks
            .iter()
            .flat_map(|block| block.uncles.iter().map(|uncle| uncle.hash).chain([block.hash]))
            .collect();
        let fits = |block: &&Block| {
            !known.contains(&block.hash)
                && block.number < number
                && block.number + GENERATIONS >= number
                && self.at(block.number - 1).is_some_and(|parent| parent.hash == block.parent)
        };
        let uncles = self.beside.iter().filter(fits).take(UNCLES_MAX).cloned().collect();
        let block = self.next(miner, self.waiting.clone(), uncles);
        self.append(sealed(block, self.beside.len()));
    }

    /// The newest `depth` blocks are replaced by one more of somebody else's.
    pub fn replace(&mut self, depth: usize, miner: Address) {
        let from = self.blocks.len().saturating_sub(depth).max(1);
        self.beside.extend(self.blocks.split_off(from));
        for _ in 0..=depth {
            self.mine_to(miner);
        }
    }

    fn append(&mut self, block: Block) {
        self.waiting.retain(|transfer| !block.transfers.contains(transfer));
        self.blocks.push(block);
    }

    /// The next block and what it does to balances; its seal and its name are still to come.
    fn next(&self, miner: Address, transfers: Vec<Transfer>, uncles: Vec<Block>) -> Block {
        let parent = self.tip();
        let number = parent.number + 1;
        let mut balances = parent.balances.clone();
        let mut add = |to: Address, sum: i128| *balances.entry(to).or_default() += sum;
        for transfer in &transfers {
            if !transfer.fails {
                add(transfer.from, -transfer.value);
                add(transfer.to, transfer.value);
            }
            add(transfer.from, -GAS * transfer.gas_price);
            add(miner, GAS * (transfer.gas_price - self.base_fee));
        }
        add(miner, REWARD);
        for uncle in &uncles {
            add(miner, REWARD / 32);
            add(uncle.miner, uncle_reward(uncle.number, number));
        }
        Block {
            number,
            hash: [0; 32],
            parent: parent.hash,
            miner,
            nonce: 0,
            mix: [0; 32],
            uncles,
            transfers,
            balances,
        }
    }
}

/// What an uncle is paid, by who names it.
#[must_use]
pub fn uncle_reward(uncle: u64, nephew: u64) -> i128 {
    i128::from(uncle + GENERATIONS + 1 - nephew) * REWARD / 8
}

/// A block of somebody whose seal nobody looks at.
fn sealed(block: Block, salt: usize) -> Block {
    let nonce = 0xffff_0000_0000_0000 | salt as u64;
    let name = [block.parent.as_slice(), &block.miner, &nonce.to_be_bytes()].concat();
    Block { hash: keccak256(&name), nonce, ..block }
}

/// The first epoch's, made once for all.
fn cache() -> &'static Cache {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    CACHE.get_or_init(|| {
        let epoch = Epoch::new(0).expect("there is a first epoch");
        Cache::build(epoch, &epoch.seed(EPOCH), |_| {})
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Address = [1; 20];
    const BOB: Address = [2; 20];
    const EVE: Address = [3; 20];

    fn solve(chain: &Chain, candidate: &Candidate) -> (u64, Hash) {
        let hashed =
            (0..).map(|nonce| (nonce, pow::ethash::hash(cache(), &candidate.header, nonce)));
        let found = hashed.into_iter().find(|(_, hashed)| hashed.result <= chain.boundary());
        let (nonce, hashed) = found.unwrap();
        (nonce, hashed.mix)
    }

    #[test]
    fn a_seal_is_judged_by_ethash_and_makes_a_block_that_pays_its_miner() {
        let mut chain = Chain::new(1337, 2, &[(BOB, COIN)]);
        chain.base_fee = 3;
        chain.send(Transfer { from: BOB, to: EVE, value: 7, gas_price: 10, fails: false });
        let candidate = chain.candidate(ANN, 0);
        let (nonce, mix) = solve(&chain, &candidate);
        assert!(!chain.seal(&candidate, nonce, [9; 32]), "another mix");
        assert_eq!(chain.tip().number, 0);
        assert!(chain.seal(&candidate, nonce, mix));
        let balance = |who: &Address| chain.balance(who, 1).unwrap();
        assert_eq!(balance(&ANN), REWARD + GAS * 7);
        assert_eq!((balance(&BOB), balance(&EVE)), (COIN - 7 - GAS * 10, 7));
        assert_eq!(chain.tip().nonce, nonce);
    }

    #[test]
    fn what_lies_beside_the_chain_is_named_once_and_paid_less() {
        let mut chain = Chain::new(1337, 1, &[]);
        let candidate = chain.candidate(ANN, 0);
        let (nonce, mix) = solve(&chain, &candidate);
        chain.mine_to(EVE);
        assert!(chain.seal(&candidate, nonce, mix), "late, and a block beside");
        assert_eq!(chain.balance(&ANN, 1), Some(0));
        chain.name_uncles(EVE);
        assert_eq!(chain.balance(&ANN, 2), Some(REWARD * 7 / 8));
        assert_eq!(chain.balance(&EVE, 2), Some(2 * REWARD + REWARD / 32));
        chain.name_uncles(EVE);
        assert!(chain.tip().uncles.is_empty(), "once");
    }

    #[test]
    fn a_reorganisation_takes_back_what_blocks_paid() {
        let mut chain = Chain::new(1337, 1, &[]);
        chain.mine_to(ANN);
        chain.mine_to(ANN);
        chain.replace(1, EVE);
        let tip = chain.tip().number;
        assert_eq!((tip, chain.balance(&ANN, tip)), (3, Some(REWARD)));
        assert_eq!(chain.balance(&EVE, tip), Some(2 * REWARD));
        chain.keeps = 1;
        assert_eq!(chain.balance(&ANN, 1), None, "forgotten");
    }
}

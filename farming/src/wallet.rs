//! The pool's own address: a key, the standard puzzle it opens, and payments signed with it.
//!
//! Invariant: what goes in comes out: outputs, fee and change are the coins spent, to the mojo, checked before anything is
//! signed; all spends of a payment happen together or not at all.

use crate::clvm::{Node, Tree, atom_hash, curried_hash};
use crate::coin::{Coin, CoinSpend, Program, SpendBundle};
use crate::hash::{Bytes32, sha256};
use crate::network::Network;
use chia_bls::{PublicKey, SecretKey, Signature, master_to_wallet_unhardened};
use chia_puzzles::{
    P2_DELEGATED_PUZZLE_OR_HIDDEN_PUZZLE, P2_DELEGATED_PUZZLE_OR_HIDDEN_PUZZLE_HASH,
};
use hex_literal::hex;
use ruint::aliases::U256;
use std::collections::BTreeMap;
use std::fmt;

/// Coins that one payment spends at most.
pub const INPUTS_MAX: usize = 100;
/// Outputs of one payment at most: 2.8 million each, of 5.5 thousand million that a bundle may cost.
pub const OUTPUTS_MAX: usize = 1000;

/// What a payment costs the chain, for its fee: measured with the node, rounded up.
const COST_OF_INPUT: u64 = 8_000_000;
const COST_OF_OUTPUT: u64 = 2_800_000;

/// Conditions that a puzzle asks of the chain.
const CREATE_COIN: u64 = 51;
const RESERVE_FEE: u64 = 52;
const CREATE_COIN_ANNOUNCEMENT: u64 = 60;
const ASSERT_COIN_ANNOUNCEMENT: u64 = 61;

/// The puzzle that standard keys hide, which nobody can open.
const HIDDEN_PUZZLE_HASH: [u8; 32] =
    hex!("711d6c4e32c92e53179b199484cf8c897542bc57f2b22582799f9d657eec4699");
/// How many keys there are.
const GROUP_ORDER: U256 =
    U256::from_be_bytes(hex!("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"));

/// Why no payment is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpayable {
    /// The coins are not enough.
    #[error("the coins hold {has} mojo, and {needs} are needed")]
    Short {
        /// What the coins hold.
        has: u128,
        /// Outputs and fee.
        needs: u128,
    },
    /// No coins, no outputs, or too many.
    #[error(
        "a payment has 1 to {INPUTS_MAX} coins and 1 to {OUTPUTS_MAX} outputs of at least 1 mojo"
    )]
    Count,
    /// A coin that this key does not open.
    #[error("the coin {0} is not locked with the pool's key")]
    NotOurs(Bytes32),
}

/// A key and the address that it opens.
pub struct WalletKey {
    secret: SecretKey,
    public: PublicKey,
    puzzle_hash: Bytes32,
}

impl fmt::Debug for WalletKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalletKey({})", self.puzzle_hash)
    }
}

impl WalletKey {
    /// The `index`th address of a seed, as Chia's own wallet derives them.
    #[must_use]
    pub fn from_seed(seed: &[u8], index: u32) -> Self {
        Self::from_master(&SecretKey::from_seed(seed), index)
    }

    fn from_master(master: &SecretKey, index: u32) -> Self {
        let secret = synthetic(&master_to_wallet_unhardened(master, index));
        let public = secret.public_key();
        let arguments = [atom_hash(&public.to_bytes())];
        let puzzle_hash =
            curried_hash(&Bytes32(P2_DELEGATED_PUZZLE_OR_HIDDEN_PUZZLE_HASH), &arguments);
        WalletKey { secret, public, puzzle_hash }
    }

    /// Where money for it is sent.
    #[must_use]
    pub fn puzzle_hash(&self) -> Bytes32 {
        self.puzzle_hash
    }

    /// Builds and signs a payment; what is left of the coins comes back to this key.
    ///
    /// # Errors
    /// See [`Unpayable`].
    pub fn pay(
        &self,
        coins: &[Coin],
        outputs: &[(Bytes32, u64)],
        fee: u64,
        network: &Network,
    ) -> Result<SpendBundle, Unpayable> {
        let created = self.with_change(coins, outputs, fee)?;
        let message = payment_message(coins, &created);
        let mut signature = Signature::default();
        let mut coin_spends = Vec::with_capacity(coins.len());
        for (index, coin) in coins.iter().enumerate() {
            let mut tree = Tree::new();
            let conditions = match (index, coins) {
                (0, [_]) => paying(&mut tree, &created, fee, None),
                (0, _) => paying(&mut tree, &created, fee, Some(&message)),
                (_, [first, ..]) => following(&mut tree, first, &message),
                (_, []) => return Err(Unpayable::Count),
            };
            let delegated = tree.quoted(conditions);
            let signed = [&tree.hash(delegated).0[..], &coin.id().0, &network.signature_domain.0];
            signature.aggregate(&chia_bls::sign(&self.secret, signed.concat()));
            let nil = tree.atom(&[]);
            let solution = tree.list(&[nil, delegated, nil]);
            coin_spends.push(CoinSpend {
                coin: *coin,
                puzzle_reveal: Program(self.program()),
                solution: Program(tree.write(solution)),
            });
        }
        Ok(SpendBundle { coin_spends, signature: signature.to_bytes() })
    }

    /// All coins that a payment creates: one for each place, and the change.
    fn with_change(
        &self,
        coins: &[Coin],
        outputs: &[(Bytes32, u64)],
        fee: u64,
    ) -> Result<BTreeMap<Bytes32, u64>, Unpayable> {
        let is_counted = (1..=INPUTS_MAX).contains(&coins.len())
            && (1..=OUTPUTS_MAX).contains(&outputs.len())
            && outputs.iter().all(|(_, amount)| *amount > 0);
        if !is_counted {
            return Err(Unpayable::Count);
        }
        if let Some(other) = coins.iter().find(|coin| coin.puzzle_hash != self.puzzle_hash) {
            return Err(Unpayable::NotOurs(other.id()));
        }
        let has: u128 = coins.iter().map(|coin| u128::from(coin.amount)).sum();
        let paid: u128 = outputs.iter().map(|(_, amount)| u128::from(*amount)).sum();
        let needs = paid + u128::from(fee);
        let change = has.checked_sub(needs).ok_or(Unpayable::Short { has, needs })?;
        // Two coins of one parent, place and amount would be one coin: what goes to one place goes in one.
        let mut created: BTreeMap<Bytes32, u128> = BTreeMap::new();
        for (place, amount) in outputs {
            *created.entry(*place).or_default() += u128::from(*amount);
        }
        if change > 0 {
            *created.entry(self.puzzle_hash).or_default() += change;
        }
        let bounded = created.into_iter().map(|(place, amount)| {
            u64::try_from(amount).map(|amount| (place, amount)).map_err(|_| Unpayable::Count)
        });
        bounded.collect()
    }

    fn program(&self) -> Vec<u8> {
        let mut tree = Tree::new();
        let Ok(program) = tree.read(&P2_DELEGATED_PUZZLE_OR_HIDDEN_PUZZLE) else {
            panic!("a published puzzle cannot be read");
        };
        let key = tree.atom(&self.public.to_bytes());
        let curried = tree.curry(program, &[key]);
        tree.write(curried)
    }
}

/// What a payment of so many coins to so many places costs at most.
#[must_use]
pub fn cost_of_payment(inputs: usize, outputs: usize) -> u64 {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    count(inputs)
        .saturating_mul(COST_OF_INPUT)
        .saturating_add(count(outputs).saturating_mul(COST_OF_OUTPUT))
}

/// The key that opens the standard puzzle: the wallet's own, moved by the hash of itself and the hidden puzzle.
fn synthetic(key: &SecretKey) -> SecretKey {
    let digest = sha256([&key.public_key().to_bytes()[..], &HIDDEN_PUZZLE_HASH]);
    let value = U256::from_be_bytes(digest.0);
    // The hash is read as a signed number: with its highest bit, it stands for itself less 2^256.
    let wrap = (U256::MAX % GROUP_ORDER).add_mod(U256::from(1), GROUP_ORDER);
    let offset = match value.bit(255) {
        true => (value % GROUP_ORDER).add_mod(GROUP_ORDER - wrap, GROUP_ORDER),
        false => value % GROUP_ORDER,
    };
    let sum = U256::from_be_bytes(key.to_bytes()).add_mod(offset, GROUP_ORDER);
    match SecretKey::from_bytes(&sum.to_be_bytes()) {
        Ok(key) => key,
        Err(error) => panic!("a number below the group's order is a key: {error}"),
    }
}

/// What all spends of a payment have in common.
fn payment_message(coins: &[Coin], created: &BTreeMap<Bytes32, u64>) -> Bytes32 {
    let ids: Vec<[u8; 32]> = coins.iter().map(|coin| coin.id().0).collect();
    let places: Vec<Vec<u8>> = created
        .iter()
        .map(|(place, amount)| [&place.0[..], &amount.to_be_bytes()].concat())
        .collect();
    sha256(ids.iter().map(|id| &id[..]).chain(places.iter().map(Vec::as_slice)))
}

/// The conditions of the first coin: all outputs, the fee, and word of it for the others.
fn paying(
    tree: &mut Tree,
    created: &BTreeMap<Bytes32, u64>,
    fee: u64,
    message: Option<&Bytes32>,
) -> Node {
    let mut conditions = Vec::with_capacity(created.len() + 2);
    for (place, amount) in created {
        let (create, place, amount) =
            (tree.number(CREATE_COIN), tree.atom(&place.0), tree.number(*amount));
        conditions.push(tree.list(&[create, place, amount]));
    }
    if fee > 0 {
        let (reserve, fee) = (tree.number(RESERVE_FEE), tree.number(fee));
        conditions.push(tree.list(&[reserve, fee]));
    }
    if let Some(message) = message {
        let (announce, message) = (tree.number(CREATE_COIN_ANNOUNCEMENT), tree.atom(&message.0));
        conditions.push(tree.list(&[announce, message]));
    }
    tree.list(&conditions)
}

/// The condition of every other coin: only together with the first.
fn following(tree: &mut Tree, first: &Coin, message: &Bytes32) -> Node {
    let announced = sha256([first.id().as_ref(), message.as_ref()]);
    let (assert, announced) = (tree.number(ASSERT_COIN_ANNOUNCEMENT), tree.atom(&announced.0));
    let condition = tree.list(&[assert, announced]);
    tree.list(&[condition])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::decode;
    use crate::vectors::{answers, bytes, vectors};

    fn key() -> WalletKey {
        WalletKey::from_seed(&[7; 32], 0)
    }

    fn coin(amount: u64, parent: u8) -> Coin {
        Coin { parent: Bytes32([parent; 32]), puzzle_hash: key().puzzle_hash(), amount }
    }

    #[test]
    fn addresses_are_those_that_the_clients_wallet_derives() {
        let master = SecretKey::from_bytes(&bytes(&vectors()["keys"]["master_sk"])).unwrap();
        let address = answers()["w_get_next_address"]["response"]["address"].as_str().unwrap();
        let (_, wanted) = decode(address).unwrap();
        let found =
            (0..20).find(|index| WalletKey::from_master(&master, *index).puzzle_hash() == wanted);
        assert!(found.is_some(), "{address} is none of the first twenty");
    }

    #[test]
    fn outputs_fee_and_change_are_the_coins_to_the_mojo() {
        let place = Bytes32([1; 32]);
        let created =
            key().with_change(&[coin(100, 1), coin(50, 2)], &[(place, 30), (place, 7)], 3);
        let created = created.unwrap();
        assert_eq!(created[&place], 37, "one coin for one place");
        assert_eq!(created[&key().puzzle_hash()], 110);
        let exact = key().with_change(&[coin(10, 1)], &[(place, 7)], 3).unwrap();
        assert_eq!(exact.len(), 1, "no change, no coin");
        let to_itself = key().with_change(&[coin(10, 1)], &[(key().puzzle_hash(), 4)], 1).unwrap();
        assert_eq!(to_itself[&key().puzzle_hash()], 9);
    }

    #[test]
    fn what_cannot_be_paid_is_refused_before_anything_is_signed() {
        let place = Bytes32([1; 32]);
        let network = Network::simulator();
        let pay = |coins: &[Coin], outputs: &[(Bytes32, u64)], fee| {
            key().pay(coins, outputs, fee, &network)
        };
        assert_eq!(
            pay(&[coin(10, 1)], &[(place, 8)], 3),
            Err(Unpayable::Short { has: 10, needs: 11 })
        );
        assert_eq!(
            pay(&[coin(10, 1)], &[(place, u64::MAX), (place, u64::MAX)], 3).unwrap_err(),
            Unpayable::Short { has: 10, needs: 2 * u128::from(u64::MAX) + 3 }
        );
        assert_eq!(pay(&[], &[(place, 8)], 0), Err(Unpayable::Count));
        assert_eq!(pay(&[coin(10, 1)], &[], 0), Err(Unpayable::Count));
        assert_eq!(pay(&[coin(10, 1)], &[(place, 0)], 0), Err(Unpayable::Count));
        let other = Coin { puzzle_hash: place, ..coin(10, 1) };
        assert_eq!(pay(&[other], &[(place, 1)], 0), Err(Unpayable::NotOurs(other.id())));
    }
}

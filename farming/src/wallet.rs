//! The pool's own addresses, and payments signed with their keys.
//!
//! Reading order: [`key`] (the file), [`standard`] (a key and its puzzle), [`conditions`] (what a spend asks for), then this file;
//! [`service`] (a wallet of Chia's own software) and [`signer`] (one or the other).
//!
//! Invariant: what goes in comes out: outputs, fee and change are the coins spent, to the mojo, checked before anything is
//! signed; all spends of a payment happen together or not at all.

pub mod conditions;
pub mod key;
pub mod service;
pub mod signer;
pub mod standard;

use crate::clvm::Tree;
use crate::coin::{Coin, CoinSpend, SpendBundle};
use crate::hash::{Bytes32, sha256};
use crate::network::Network;
use chia_bls::{SecretKey, Signature};
use conditions::{asserting, creating, delegated, paying, reserving};
use standard::WalletKey;
use std::collections::BTreeMap;

/// What a payment costs the chain, for its fee: measured with the node, rounded up.
const COST_OF_INPUT: u64 = 8_000_000;

const COST_OF_OUTPUT: u64 = 2_800_000;

/// What a bundle may cost: half of what a block may.
pub const COST_MAX: u64 = 5_500_000_000;

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
    /// No coins, or too many for one bundle, or an output of nothing.
    #[error(
        "a payment has coins and outputs of at least 1 mojo, and costs the chain at most {COST_MAX}"
    )]
    Count,
    /// A coin that no key here opens.
    #[error("the coin {0} is not locked with a key of the pool")]
    NotOurs(Bytes32),
}

/// A payment, built and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// What the chain is given.
    pub bundle: SpendBundle,
    /// What it is called here: see [`payment_name`].
    pub name: Bytes32,
}

/// The keys of a pool: the first receives, and all of them pay.
#[derive(Debug)]
pub struct Wallet {
    keys: Vec<WalletKey>,
    purse: WalletKey,
}

impl Wallet {
    /// The wallet of these master keys: the first's address receives, and those of the others still pay.
    #[must_use]
    pub fn new(first: &SecretKey, former: &[SecretKey]) -> Self {
        let keys = std::iter::once(first).chain(former);
        Wallet {
            keys: keys.map(|master| WalletKey::of_master(master, 0)).collect(),
            purse: WalletKey::of_master(first, 1),
        }
    }

    /// Where rewards go, the newest address first.
    #[must_use]
    pub fn places(&self) -> Vec<Bytes32> {
        self.keys.iter().map(WalletKey::puzzle_hash).collect()
    }

    /// Where rewards go now, and change.
    #[must_use]
    pub fn place(&self) -> Bytes32 {
        self.keys.first().map_or_else(|| self.purse.puzzle_hash(), WalletKey::puzzle_hash)
    }

    /// Where the operator puts what absorptions pay the network: not in the pool's books.
    #[must_use]
    pub fn purse(&self) -> Bytes32 {
        self.purse.puzzle_hash()
    }

    /// Builds and signs a payment; what is left of the coins comes back.
    ///
    /// # Errors
    /// See [`Unpayable`].
    pub fn pay(
        &self,
        coins: &[Coin],
        outputs: &[(Bytes32, u64)],
        fee: u64,
        network: &Network,
    ) -> Result<Payment, Unpayable> {
        let Some((first, others)) = coins.split_first() else { return Err(Unpayable::Count) };
        coins.iter().try_for_each(|coin| self.key_of(coin).map(drop))?;
        let created = created(coins, outputs, fee, &self.place())?;
        let message = payment_message(coins, &created);
        let mut tree = Tree::new();
        let announced = (!others.is_empty()).then_some(&message);
        let conditions = paying(&mut tree, &created, fee, announced);
        let (spend, mut signature) =
            self.key_of(first)?.spend(first, &mut tree, conditions, network);
        let mut coin_spends = vec![spend];
        for coin in others {
            let mut tree = Tree::new();
            let announced = sha256([first.id().as_ref(), message.as_ref()]);
            let conditions = asserting(&mut tree, &announced);
            let conditions = tree.list(&[conditions]);
            let (spend, signed) = self.key_of(coin)?.spend(coin, &mut tree, conditions, network);
            coin_spends.push(spend);
            signature.aggregate(&signed);
        }
        let name = payment_name(&first.id(), created);
        let bundle = SpendBundle { coin_spends, signature: signature.to_bytes() };
        Ok(Payment { bundle, name })
    }

    /// Pays the network out of the purse, together with somebody's announcement or not at all. What is left of the coin comes back.
    ///
    /// # Errors
    /// See [`Unpayable`].
    pub fn pay_fee(
        &self,
        coin: &Coin,
        fee: u64,
        announced: &Bytes32,
        network: &Network,
    ) -> Result<SpendBundle, Unpayable> {
        if coin.puzzle_hash != self.purse.puzzle_hash() {
            return Err(Unpayable::NotOurs(coin.id()));
        }
        let short = Unpayable::Short { has: coin.amount.into(), needs: fee.into() };
        let change = coin.amount.checked_sub(fee).ok_or(short)?;
        let mut tree = Tree::new();
        let mut conditions = Vec::new();
        if change > 0 {
            conditions.push(creating(&mut tree, &self.purse.puzzle_hash(), change));
        }
        conditions.push(reserving(&mut tree, fee));
        conditions.push(asserting(&mut tree, announced));
        let conditions = tree.list(&conditions);
        let (spend, signature) = self.purse.spend(coin, &mut tree, conditions, network);
        Ok(SpendBundle { coin_spends: vec![spend], signature: signature.to_bytes() })
    }

    /// Signs spends again that the chain shows without their signatures: the same bytes as the first time.
    ///
    /// # Errors
    /// When one is not a spend of ours in the form that we make.
    pub fn signed_again(
        &self,
        coin_spends: Vec<CoinSpend>,
        network: &Network,
    ) -> Result<SpendBundle, Unpayable> {
        let mut signature = Signature::default();
        for spend in &coin_spends {
            let (tree, delegated) =
                delegated(spend).ok_or_else(|| Unpayable::NotOurs(spend.coin.id()))?;
            let key = self.key_of(&spend.coin)?;
            signature.aggregate(&key.signature(&spend.coin, &tree.hash(delegated), network));
        }
        Ok(SpendBundle { coin_spends, signature: signature.to_bytes() })
    }

    fn key_of(&self, coin: &Coin) -> Result<&WalletKey, Unpayable> {
        let own = self.keys.iter().find(|key| key.puzzle_hash() == coin.puzzle_hash);
        own.ok_or_else(|| Unpayable::NotOurs(coin.id()))
    }
}

/// All coins that a payment creates: one for each place, and what is left of its coins, at this place.
fn created(
    coins: &[Coin],
    outputs: &[(Bytes32, u64)],
    fee: u64,
    change_to: &Bytes32,
) -> Result<BTreeMap<Bytes32, u64>, Unpayable> {
    let is_counted = !outputs.is_empty()
        && cost_of_payment(coins.len(), outputs.len()) <= COST_MAX
        && outputs.iter().all(|(_, amount)| *amount > 0);
    if !is_counted {
        return Err(Unpayable::Count);
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
        *created.entry(*change_to).or_default() += change;
    }
    let bounded = created.into_iter().map(|(place, amount)| {
        u64::try_from(amount).map(|amount| (place, amount)).map_err(|_| Unpayable::Count)
    });
    bounded.collect()
}

/// What a payment is called: its first coin and what that made, hashed. The chain knows no transactions, only coins, and shows as
/// much of a payment.
#[must_use]
pub fn payment_name(first: &Bytes32, created: impl IntoIterator<Item = (Bytes32, u64)>) -> Bytes32 {
    let mut created: Vec<(Bytes32, u64)> = created.into_iter().collect();
    created.sort_unstable();
    let created: Vec<Vec<u8>> = created
        .iter()
        .map(|(place, amount)| [&place.0[..], &amount.to_be_bytes()].concat())
        .collect();
    sha256(std::iter::once(first.as_ref()).chain(created.iter().map(Vec::as_slice)))
}

/// What a payment of so many coins to so many places costs at most.
#[must_use]
pub fn cost_of_payment(inputs: usize, outputs: usize) -> u64 {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    count(inputs)
        .saturating_mul(COST_OF_INPUT)
        .saturating_add(count(outputs).saturating_mul(COST_OF_OUTPUT))
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

#[cfg(test)]
mod tests {
    use super::conditions::hangs_on;
    use super::*;
    use crate::address::decode;
    use crate::vectors::{answers, bytes, vectors};

    fn wallet() -> Wallet {
        Wallet::new(&SecretKey::from_seed(&[7; 32]), &[SecretKey::from_seed(&[8; 32])])
    }

    fn coin(amount: u64, parent: u8) -> Coin {
        Coin { parent: Bytes32([parent; 32]), puzzle_hash: wallet().place(), amount }
    }

    #[test]
    fn addresses_are_those_that_the_clients_wallet_derives() {
        let master = SecretKey::from_bytes(&bytes(&vectors()["keys"]["master_sk"])).unwrap();
        let address = answers()["w_get_next_address"]["response"]["address"].as_str().unwrap();
        let (_, wanted) = decode(address).unwrap();
        let found =
            (0..20).find(|index| WalletKey::of_master(&master, *index).puzzle_hash() == wanted);
        assert!(found.is_some(), "{address} is none of the first twenty");
    }

    #[test]
    fn outputs_fee_and_change_are_the_coins_to_the_mojo() {
        let (place, own) = (Bytes32([1; 32]), wallet().place());
        let coins = [coin(100, 1), coin(50, 2)];
        let made = created(&coins, &[(place, 30), (place, 7)], 3, &own).unwrap();
        assert_eq!(made[&place], 37, "one coin for one place");
        assert_eq!(made[&own], 110);
        let exact = created(&[coin(10, 1)], &[(place, 7)], 3, &own).unwrap();
        assert_eq!(exact.len(), 1, "no change, no coin");
        let to_itself = created(&[coin(10, 1)], &[(own, 4)], 1, &own).unwrap();
        assert_eq!(to_itself[&own], 9);
    }

    #[test]
    fn what_cannot_be_paid_is_refused_before_anything_is_signed() {
        let place = Bytes32([1; 32]);
        let network = Network::simulator();
        let pay = |coins: &[Coin], outputs: &[(Bytes32, u64)], fee| {
            wallet().pay(coins, outputs, fee, &network)
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
        let many: Vec<Coin> = (0..700).map(|number| coin(number + 1, 1)).collect();
        assert_eq!(pay(&many, &[(place, 1)], 0), Err(Unpayable::Count), "more than half a block");
    }

    #[test]
    fn a_former_key_still_pays_and_change_goes_to_the_newest() {
        let wallet = wallet();
        let former = Coin { puzzle_hash: wallet.places()[1], ..coin(10, 1) };
        let paid = wallet.pay(&[former], &[(Bytes32([1; 32]), 4)], 1, &Network::simulator());
        let made = conditions::created(&paid.unwrap().bundle.coin_spends[0]).unwrap();
        assert!(made.contains(&(wallet.place(), 5)), "{made:?}");
    }

    #[test]
    fn what_the_chain_shows_of_a_payment_is_signed_again_to_the_same_bytes() {
        let (wallet, network) = (wallet(), Network::simulator());
        let coins = [coin(100, 1), coin(50, 2), coin(50, 3)];
        let payment = wallet.pay(&coins, &[(Bytes32([1; 32]), 30)], 3, &network).unwrap();
        let spends = payment.bundle.coin_spends.clone();
        assert_eq!(wallet.signed_again(spends.clone(), &network), Ok(payment.bundle));
        assert!(hangs_on(&spends[1], &spends[0]) && hangs_on(&spends[2], &spends[0]));
        assert!(!hangs_on(&spends[0], &spends[1]));
        let other = wallet.pay(&[coin(60, 4), coin(7, 5)], &[(Bytes32([1; 32]), 30)], 3, &network);
        assert!(!hangs_on(&other.unwrap().bundle.coin_spends[1], &spends[0]));
        let made = [(wallet.place(), 167), (Bytes32([1; 32]), 30)];
        assert_eq!(payment_name(&coins[0].id(), made), payment.name, "in any order");
    }
}

//! A key and the standard puzzle that it opens, as Chia's own wallet derives both.
//!
//! Invariant: what is spent with it was signed for the coin, its conditions and the network together.

use crate::clvm::{Node, Tree, atom_hash, curried_hash};
use crate::coin::{Coin, CoinSpend, Program};
use crate::hash::{Bytes32, sha256};
use crate::network::Network;
use chia_bls::{PublicKey, SecretKey, Signature, master_to_wallet_unhardened};
use chia_puzzles::{
    P2_DELEGATED_PUZZLE_OR_HIDDEN_PUZZLE, P2_DELEGATED_PUZZLE_OR_HIDDEN_PUZZLE_HASH,
};
use hex_literal::hex;
use ruint::aliases::U256;
use std::fmt;

/// The puzzle that standard keys hide, which nobody can open.
const HIDDEN_PUZZLE_HASH: [u8; 32] =
    hex!("711d6c4e32c92e53179b199484cf8c897542bc57f2b22582799f9d657eec4699");

/// How many keys there are.
const GROUP_ORDER: U256 =
    U256::from_be_bytes(hex!("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"));

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
    /// The `index`th address of a master key, as Chia's own wallet derives them.
    #[must_use]
    pub fn of_master(master: &SecretKey, index: u32) -> Self {
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

    /// The spend of a coin under these conditions, and what signs it.
    pub(super) fn spend(
        &self,
        coin: &Coin,
        tree: &mut Tree,
        conditions: Node,
        network: &Network,
    ) -> (CoinSpend, Signature) {
        let delegated = tree.quoted(conditions);
        let signature = self.signature(coin, &tree.hash(delegated), network);
        let nil = tree.atom(&[]);
        let solution = tree.list(&[nil, delegated, nil]);
        let spend = CoinSpend {
            coin: *coin,
            puzzle_reveal: Program(self.program()),
            solution: Program(tree.write(solution)),
        };
        (spend, signature)
    }

    pub(super) fn signature(
        &self,
        coin: &Coin,
        delegated: &Bytes32,
        network: &Network,
    ) -> Signature {
        let signed = [&delegated.0[..], &coin.id().0, &network.signature_domain.0];
        chia_bls::sign(&self.secret, signed.concat())
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

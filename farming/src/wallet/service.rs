//! A wallet of Chia's own software, asked by its RPC to sign; it is never asked to send.
//!
//! Because nothing is sent there, an answer that did not come costs nothing: it is asked again. What it signed is written down, and
//! sent by our nodes, as of any wallet.
//!
//! Invariant: it is told the coins, the outputs and the change, and decides nothing; a bundle that does something else than it was
//! asked for is thrown away.

use super::conditions;
use super::{Payment, Unpayable, created, payment_name};
use crate::address;
use crate::coin::{Coin, NO_SIGNATURE, SpendBundle};
use crate::hash::Bytes32;
use crate::network::Network;
use crate::node::rpc::{Rpc, RpcError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The wallet of XCH itself, in every wallet of Chia's software.
const STANDARD_WALLET: u32 = 1;

/// A wallet behind its RPC, and which of its addresses is the pool's.
pub struct WalletService {
    rpc: Rpc,
    place: Bytes32,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// It cannot be paid so.
    #[error(transparent)]
    Unpayable(#[from] Unpayable),
    /// The wallet did not, or nobody knows.
    #[error("the wallet of Chia's software did not sign: {0}")]
    Service(#[from] RpcError),
    /// It signed something else.
    #[error(
        "the wallet of Chia's software signed {0}: is it one that others sign for, or of a version that is not known here?"
    )]
    Differs(&'static str),
}

impl WalletService {
    /// The wallet behind this RPC, of which this address is the pool's.
    #[must_use]
    pub fn new(rpc: Rpc, place: Bytes32) -> Self {
        WalletService { rpc, place }
    }

    /// Where rewards go, and change.
    #[must_use]
    pub fn place(&self) -> Bytes32 {
        self.place
    }

    /// Has it the key of the pool's address?
    ///
    /// # Errors
    /// When it has not, or does not answer.
    pub async fn prove(&self, network: &Network) -> Result<(), RpcError> {
        let question = json!({
            "address": address::encode(&self.place, network),
            "message": "Can this wallet sign for the pool?",
        });
        self.rpc.call::<Value>("sign_message_by_address", &question).await.map(drop)
    }

    /// Has a payment signed; what is left of the coins comes back.
    ///
    /// # Errors
    /// See [`NotSigned`].
    pub async fn pay(
        &self,
        coins: &[Coin],
        outputs: &[(Bytes32, u64)],
        fee: u64,
    ) -> Result<Payment, NotSigned> {
        let foreign = coins.iter().find(|coin| coin.puzzle_hash != self.place);
        if let Some(foreign) = foreign {
            return Err(Unpayable::NotOurs(foreign.id()).into());
        }
        let Some(first) = coins.first() else { return Err(Unpayable::Count.into()) };
        let created = created(coins, outputs, fee, &self.place)?;
        let additions: Vec<Value> = created
            .iter()
            .map(|(place, amount)| json!({ "puzzle_hash": place, "amount": amount }))
            .collect();
        // Change is among the outputs, so the wallet has nothing to decide and makes no address for it.
        let question = json!({
            "wallet_id": STANDARD_WALLET,
            "additions": additions,
            "coins": coins,
            "fee": fee,
            "primary_coin": first.id(),
            "push": false,
            "sign": true,
        });
        let answer: Answer = self.rpc.call("create_signed_transaction", &question).await?;
        let bundle = answer.signed_tx.spend_bundle;
        let name = checked(&bundle, coins, &created)?;
        Ok(Payment { bundle, name })
    }
}

#[derive(Deserialize)]
struct Answer {
    signed_tx: SignedTx,
}

#[derive(Deserialize)]
struct SignedTx {
    spend_bundle: SpendBundle,
}

/// Spends it these coins, all made by the first, and makes it these? Gives its name.
fn checked(
    bundle: &SpendBundle,
    coins: &[Coin],
    created: &BTreeMap<Bytes32, u64>,
) -> Result<Bytes32, NotSigned> {
    if bundle.signature == NO_SIGNATURE {
        return Err(NotSigned::Differs("nothing"));
    }
    let spent: Vec<&Coin> = bundle.coin_spends.iter().map(|spend| &spend.coin).collect();
    let mut asked: Vec<&Coin> = coins.iter().collect();
    let mut sorted = spent.clone();
    asked.sort_unstable();
    sorted.sort_unstable();
    if sorted != asked {
        return Err(NotSigned::Differs("other coins away than it was asked to"));
    }
    let made: Option<Vec<Vec<(Bytes32, u64)>>> =
        bundle.coin_spends.iter().map(conditions::created).collect();
    let made = made.ok_or(NotSigned::Differs("a spend that cannot be read"))?;
    let (Some(first), Some((by_first, by_others))) = (spent.first(), made.split_first()) else {
        return Err(NotSigned::Differs("nothing"));
    };
    let wanted: Vec<(Bytes32, u64)> =
        created.iter().map(|(place, amount)| (*place, *amount)).collect();
    let mut by_first = by_first.clone();
    by_first.sort_unstable();
    if by_first != wanted || by_others.iter().any(|made| !made.is_empty()) {
        return Err(NotSigned::Differs("other outputs than it was asked for"));
    }
    Ok(payment_name(&first.id(), by_first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coin::CoinSpend;
    use crate::wallet::Wallet;
    use chia_bls::SecretKey;

    const ANN: Bytes32 = Bytes32([1; 32]);

    /// Signs as the wallet of Chia's software does: the same puzzles and conditions.
    fn wallet() -> Wallet {
        Wallet::new(&SecretKey::from_seed(&[7; 32]), &[])
    }

    fn coin(parent: u8, amount: u64) -> Coin {
        Coin { parent: Bytes32([parent; 32]), puzzle_hash: wallet().place(), amount }
    }

    fn signed(coins: &[Coin], outputs: &[(Bytes32, u64)]) -> SpendBundle {
        wallet().pay(coins, outputs, 3, &Network::simulator()).unwrap().bundle
    }

    #[test]
    fn a_bundle_that_does_something_else_is_thrown_away() {
        let coins = [coin(2, 100), coin(3, 50)];
        let asked = [(ANN, 120)];
        let wanted = created(&coins, &asked, 3, &wallet().place()).unwrap();
        let check = |bundle: &SpendBundle| checked(bundle, &coins, &wanted);
        let good = signed(&coins, &asked);
        assert_eq!(check(&good), Ok(payment_name(&coins[0].id(), wanted.clone())));
        let turned = signed(&[coins[1], coins[0]], &asked);
        assert_eq!(
            check(&turned),
            Ok(payment_name(&coins[1].id(), wanted.clone())),
            "either may pay"
        );
        let without = |spends: Vec<CoinSpend>| SpendBundle { coin_spends: spends, ..good.clone() };
        let mut strange = good.clone();
        strange.coin_spends[1].solution.0 = vec![0x80];
        let others = [
            SpendBundle { signature: NO_SIGNATURE, ..good.clone() },
            signed(&coins, &[(ANN, 119)]),
            signed(&coins, &[(Bytes32([2; 32]), 120)]),
            signed(&[coins[0], coins[1], coin(4, 9)], &asked),
            signed(&[coins[0], coin(4, 50)], &asked),
            without(good.coin_spends[..1].to_vec()),
            without(vec![good.coin_spends[1].clone(), good.coin_spends[0].clone()]),
            without(Vec::new()),
            strange,
        ];
        for (at, other) in others.iter().enumerate() {
            assert!(matches!(check(other), Err(NotSigned::Differs(_))), "{at}");
        }
    }
}

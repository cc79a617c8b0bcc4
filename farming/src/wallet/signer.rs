//! Who signs a pool's payments: its own keys, or a wallet of Chia's own software.

use super::service::{NotSigned, WalletService};
use super::{Payment, Wallet};
use crate::coin::{Coin, CoinSpend, SpendBundle};
use crate::hash::Bytes32;
use crate::network::Network;
use std::sync::Arc;

/// Who signs.
#[derive(Clone)]
pub enum Signer {
    /// Keys of ours.
    Own(Arc<Wallet>),
    /// A wallet of Chia's own software.
    Service(Arc<WalletService>),
}

impl Signer {
    /// Where rewards go, the newest address first.
    #[must_use]
    pub fn places(&self) -> Vec<Bytes32> {
        match self {
            Signer::Own(wallet) => wallet.places(),
            Signer::Service(service) => vec![service.place()],
        }
    }

    /// Where rewards go now, and change.
    #[must_use]
    pub fn place(&self) -> Bytes32 {
        match self {
            Signer::Own(wallet) => wallet.place(),
            Signer::Service(service) => service.place(),
        }
    }

    /// Our keys, where they sign: the purse for absorptions is among them.
    #[must_use]
    pub fn own(&self) -> Option<&Wallet> {
        match self {
            Signer::Own(wallet) => Some(wallet),
            Signer::Service(_) => None,
        }
    }

    /// A payment, built and signed; what is left of the coins comes back.
    ///
    /// # Errors
    /// See [`NotSigned`].
    pub async fn pay(
        &self,
        coins: &[Coin],
        outputs: &[(Bytes32, u64)],
        fee: u64,
        network: &Network,
    ) -> Result<Payment, NotSigned> {
        match self {
            Signer::Own(wallet) => Ok(wallet.pay(coins, outputs, fee, network)?),
            Signer::Service(service) => service.pay(coins, outputs, fee).await,
        }
    }

    /// Spends signed again that the chain shows without their signatures; none where only Chia's software has the keys, which signs
    /// payments and not spends.
    #[must_use]
    pub fn signed_again(&self, spends: Vec<CoinSpend>, network: &Network) -> Option<SpendBundle> {
        self.own()?.signed_again(spends, network).ok()
    }
}

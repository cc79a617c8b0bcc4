//! Who holds the coins: a wallet of ours or a node's, asked and told in two steps.
//!
//! Invariant: nothing here decides who is paid. A treasury signs what it is given, sends the bytes it is given, and says
//! what it sees; "I do not know" is always an answer.

use accounting::payout::{Fate, PayoutPart, PayoutVersion};
use accounting::reward::Sighting;
use accounting::{Amount, RewardId};
use std::future::Future;

/// What the wallet holds, as the chain shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Confirmed and spendable now.
    pub spendable: Amount,
    /// Coinbase outputs that are not mature yet.
    pub immature: Amount,
    /// Reserved by transactions of our own that are not confirmed yet: coming back as change.
    pub unconfirmed: Amount,
    /// Transactions that spend the wallet's coins, whoever made them.
    pub spends: Vec<WalletSpend>,
}

/// A transaction that spends coins of the wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletSpend {
    /// Its id, in the byte order in which SHA-256 gives it.
    pub txid: [u8; 32],
    /// What left the wallet, fee included.
    pub out: Amount,
    /// The transaction fee.
    pub fee: Amount,
    /// Outputs to others: destination and amount.
    pub outputs: Vec<(Vec<u8>, Amount)>,
    /// Confirmations; 0 in the mempool.
    pub confirmations: u32,
    /// The coins it spends.
    pub inputs: Vec<([u8; 32], u32)>,
    /// Its bytes.
    pub raw: Vec<u8>,
}

/// What signing gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// Signed: write it, then send it.
    Signed(PayoutVersion),
    /// An offline signer was handed the transaction; ask again later.
    Waiting,
}

/// Why the treasury did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreasuryError {
    /// Nobody answered, or the answer made no sense: unknown, try again.
    #[error("the treasury cannot tell now: {0}")]
    Unreachable(String),
    /// The wallet cannot fund it.
    #[error("the wallet cannot fund this payout: {0}")]
    Unfunded(String),
    /// It will never do this; an operator must look.
    #[error("the treasury refuses: {0}")]
    Refuses(String),
}

/// What a payout's transaction costs and who bears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutOrder {
    /// Number of the payout, for names of files and labels.
    pub id: u64,
    /// Destination and amount of each output; all are sent exactly.
    pub parts: Vec<PayoutPart>,
    /// The transaction fee it must pay, exactly.
    pub fee: Amount,
    /// Signed before: the new version must spend an input of theirs and pay a higher fee.
    pub versions: Vec<PayoutVersion>,
}

/// Holds the coins of one asset.
pub trait Treasury: Send + 'static {
    /// Brings its own view of the chain up to date and says what it holds.
    fn refresh(&mut self) -> impl Future<Output = Result<Holdings, TreasuryError>> + Send;

    /// What the best chain says about these blocks (hash and height), in order. A disagreement between nodes is
    /// [`Sighting::Unknown`].
    fn sightings(
        &mut self,
        blocks: &[(RewardId, u64)],
    ) -> impl Future<Output = Vec<Sighting>> + Send;

    /// The fee a transaction with so many outputs would pay, for dividing it among those paid.
    fn estimate_fee(
        &mut self,
        outputs: usize,
    ) -> impl Future<Output = Result<Amount, TreasuryError>> + Send;

    /// Builds and signs; sends nothing.
    fn sign(
        &mut self,
        order: &PayoutOrder,
    ) -> impl Future<Output = Result<Signing, TreasuryError>> + Send;

    /// Gives these bytes to every node. Idempotent; an error says nothing about whether a node has them.
    fn broadcast(
        &mut self,
        version: &PayoutVersion,
    ) -> impl Future<Output = Result<(), TreasuryError>> + Send;

    /// What the network says about a payout.
    fn fate(&mut self, versions: &[PayoutVersion]) -> impl Future<Output = Fate> + Send;
}

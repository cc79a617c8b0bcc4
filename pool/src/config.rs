//! What the writer is told about assets and pools: plain values, already checked by whoever read the file.

use accounting::fee::FeeRule;
use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use accounting::slice::SliceLimits;
use accounting::union::Part;
use accounting::{Amount, BasisPoints, Scheme};
use serde::{Deserialize, Serialize};

/// One kind of money and how it is paid out.
#[derive(Debug, Clone)]
pub struct AssetConfig {
    /// Its name in the configuration, for ever.
    pub name: String,
    /// The network of its identities, such as `bitcoin/main`.
    pub network: String,
    /// Decimals of a whole coin.
    pub decimals: u8,
    /// When rewards mature, die and rest.
    pub depths: Depths,
    /// How payouts are made.
    pub payouts: PayoutRules,
    /// Assets that back the debts but are not in the pool's wallet (a cold wallet), as the operator declares them.
    pub assets_elsewhere: Amount,
    /// Who pays those who want other coins.
    pub exchange: Option<Exchange>,
}

/// Where on this chain the money of those goes who are paid elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What destinations that are not of this chain begin with.
    pub mark: &'static [u8],
    /// The place of whoever changes the money.
    pub place: Vec<u8>,
}

impl Exchange {
    /// The place on this chain where money for a destination goes.
    #[must_use]
    pub fn place_of<'a>(&'a self, destination: &'a [u8]) -> &'a [u8] {
        if destination.starts_with(self.mark) { &self.place } else { destination }
    }
}

/// Who pays a payout's transaction fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeePayer {
    /// The pool, from what it has earned.
    Pool,
    /// Those who are paid, each in proportion to their part.
    Miners,
}

/// When an account is paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payday {
    /// As soon as it is due, at the next run.
    #[default]
    Due,
    /// When its owner asks for it.
    Asked,
}

/// How payouts of one asset are made.
#[derive(Debug, Clone)]
pub struct PayoutRules {
    /// Least amount worth sending, unless an account set its own higher one.
    pub minimum: Amount,
    /// Least amount the network relays, whatever an account asks for.
    pub dust: Amount,
    /// Most recipients in one transaction.
    pub max_outputs: usize,
    /// Who pays the network.
    pub fee_payer: FeePayer,
    /// Circuit breaker: most money in one run.
    pub max_per_run: Amount,
    /// Circuit breaker: most money in 24 hours.
    pub max_per_day: Amount,
    /// Circuit breaker: most money to one account in 24 hours.
    pub max_per_account_per_day: Amount,
    /// A changed payout address waits so long.
    pub address_change_delay_ms: u64,
    /// When a payout is confirmed, impossible, or closed.
    pub depths: PayoutDepths,
    /// A payout of more than this is signed only once enough operators approved it; `None` for none.
    pub approval_above: Option<Amount>,
    /// How many operators that takes.
    pub approvals: usize,
    /// When accounts are paid.
    pub payday: Payday,
    /// How often a run is made.
    pub interval_ms: u64,
    /// An unconfirmed payout gets a higher fee after so long; `None` never.
    pub bump_after_ms: Option<u64>,
    /// More than this in the hot wallet raises an alarm.
    pub hot_wallet_cap: Option<Amount>,
}

/// One pot.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Its name in the configuration, for ever.
    pub name: String,
    /// Its money, by name.
    pub asset: String,
    /// How it divides income.
    pub scheme: Scheme,
    /// What it keeps.
    pub fee: FeeRule,
    /// Its part of each block of its asset, whichever pool with a part found it; `None`: its blocks are its own.
    pub part: Option<Part>,
    /// When slices are closed.
    pub slices: SliceRule,
    /// Are its proofs recognised for ever? A door whose jobs outlive a restart (farming, compute) needs it; Stratum's live jobs
    /// know their own. Never changed once the pool has shares.
    pub knows_keys: bool,
}

/// Limits of a slice; the work limit follows the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceRule {
    /// Longest time a slice stays open.
    pub age_ms: u64,
    /// Most shares in a slice.
    pub shares: u64,
    /// Slices per window, at least.
    pub per_window: u64,
    /// A slice is not closed for its work alone with fewer shares than this.
    pub least_shares: u64,
}

impl Default for SliceRule {
    fn default() -> Self {
        SliceRule { age_ms: 10 * 60 * 1000, shares: 1_000_000, per_window: 50, least_shares: 64 }
    }
}

impl SliceRule {
    /// The limits for a window of this much work (0 where the scheme has none).
    #[must_use]
    pub fn limits(&self, window_work: u128) -> SliceLimits {
        let weight = match window_work {
            0 => u128::MAX,
            work => (work / u128::from(self.per_window.max(1))).max(1),
        };
        SliceLimits {
            age_ms: self.age_ms,
            shares: self.shares,
            weight,
            least_shares: self.least_shares,
        }
    }
}

impl PoolConfig {
    /// The fee everybody pays when no tier or membership lowers it.
    #[must_use]
    pub fn base_fee(&self) -> BasisPoints {
        self.fee.base
    }
}

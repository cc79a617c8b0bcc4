//! What the writer loads when it starts: enough to go on as if it had never stopped.

use accounting::ledger::{Ledger, SetKey};
use accounting::membership::Place;
use accounting::payout::Payout;
use accounting::rate::Rate;
use accounting::reward::RewardState;
use accounting::split::Carry;
use accounting::{
    AccountId, Amount, AssetId, Identity, PayoutId, PoolId, RateId, RewardId, ShareSeq, SliceNo,
    UnixMs, WorkerId,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The book as it stood at the last applied change.
#[derive(Debug, Default)]
pub struct Book {
    /// Up to here the log has been folded.
    pub watermark: ShareSeq,
    /// The last position of the log.
    pub log_end: ShareSeq,
    /// Shares that were revoked.
    pub revoked: HashSet<ShareSeq>,
    /// Kinds of money, by name.
    pub assets: BTreeMap<String, (AssetId, u8)>,
    /// Pools, by name.
    pub pools: BTreeMap<String, StoredPool>,
    /// Who is who.
    pub identities: HashMap<Identity, AccountId>,
    /// Machines, by account and name.
    pub workers: HashMap<(AccountId, String), WorkerId>,
    /// Highest account number given.
    pub last_account: AccountId,
    /// Highest worker number given.
    pub last_worker: WorkerId,
    /// Pay-per-share rates.
    pub rates: BTreeMap<RateId, Rate>,
    /// All balances and sets.
    pub ledger: Ledger,
    /// Rewards that may still change, and all that were ever made (by id only).
    pub rewards: HashMap<RewardId, StoredReward>,
    /// Payouts that may still change.
    pub payouts: BTreeMap<PayoutId, StoredPayout>,
    /// Every transaction the books know as a payout's, with its payout.
    pub payout_txids: HashMap<[u8; 32], PayoutId>,
    /// Wallet spends that were explained by somebody.
    pub matched_spends: HashSet<(AssetId, [u8; 32])>,
    /// Debits of payouts made lately (the last day's are counted against limits), oldest first.
    pub recent_debits: Vec<RecentDebit>,
    /// Highest payout number given.
    pub last_payout: PayoutId,
    /// Where accounts want their money, oldest first.
    pub destinations: HashMap<AccountId, Vec<StoredDestination>>,
    /// Accounts' own settings.
    pub settings: HashMap<AccountId, StoredSettings>,
    /// Payouts held: scope and reason.
    pub holds: BTreeMap<String, String>,
    /// Wallet spends nobody has explained yet.
    pub unmatched_spends: Vec<(AssetId, [u8; 32], String)>,
    /// Highest number in the log of acts.
    pub last_act: u64,
    /// The doors' notes.
    pub notes: BTreeMap<(String, String), Vec<u8>>,
}

/// A pool's place in the log.
#[derive(Debug, Clone)]
pub struct StoredPool {
    /// Its number.
    pub id: PoolId,
    /// Its money.
    pub asset: AssetId,
    /// Its last closed slice: number, hash and last position.
    pub last_slice: Option<(SliceNo, [u8; 32], ShareSeq)>,
    /// The slice that ended the last round.
    pub cut: SliceNo,
    /// Work in closed slices since the last block found.
    pub round_work: u128,
    /// The network work of the last block found, a first guess at the window's length.
    pub last_network_work: Option<u128>,
    /// What each account is owed in fractions of a unit.
    pub carries: HashMap<AccountId, Carry>,
}

/// A reward that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReward {
    /// Whose window.
    pub pool: PoolId,
    /// Which money.
    pub asset: AssetId,
    /// At which height.
    pub height: u64,
    /// All it brings, pool and finder.
    pub amount: Amount,
    /// Where it stands.
    pub state: RewardState,
    /// Which time it is in the chain.
    pub generation: u32,
    /// The set in force.
    pub force: SetKey,
    /// Never looked at again.
    pub closed: bool,
    /// When it was made.
    pub created_at: UnixMs,
    /// The newest slice it was split by, where it was split by a window.
    pub through: Option<SliceNo>,
    /// The block that it stands and falls with, where it is a payment that earlier blocks earned.
    pub place: Option<Place>,
}

/// A payout that may still change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPayout {
    /// The payout.
    pub payout: Payout,
    /// The version that confirmed.
    pub confirmed_version: Option<u32>,
}

/// A part of a payout, for the limits per day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentDebit {
    /// Which money.
    pub asset: AssetId,
    /// Whose.
    pub account: AccountId,
    /// How much.
    pub amount: Amount,
    /// When the payout was made.
    pub at: UnixMs,
}

/// Where an account wants its money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDestination {
    /// Where to.
    pub destination: Vec<u8>,
    /// Not before.
    pub effective_from: UnixMs,
}

/// An account's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredSettings {
    /// Their payout minimum.
    pub minimum: Option<Amount>,
    /// Do they get the members' fee?
    pub member: bool,
}

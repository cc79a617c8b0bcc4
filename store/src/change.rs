//! What the book can be told: every change of state that must outlive a crash.
//!
//! Invariant: each change carries its own key, so that applying it twice is applying it once.

use accounting::ledger::{Balance, Kind, Posting, SetKey};
use accounting::membership::Place;
use accounting::payout::{Payout, PayoutState, PayoutVersion};
use accounting::rate::Rate;
use accounting::reward::{Reward, RewardState};
use accounting::slice::Slice;
use accounting::split::SliceCredit;
use accounting::{
    AccountId, Amount, AssetId, Identity, PayoutId, PoolId, RewardId, ShareSeq, SliceNo, UnixMs,
    WorkerId,
};
use std::sync::Arc;

/// One change of the book.
#[derive(Debug, Clone)]
pub enum Change {
    /// A kind of money, by its configured name.
    Asset {
        /// Its number.
        id: AssetId,
        /// Its configured name.
        name: String,
        /// How many decimals its whole coin has.
        decimals: u8,
    },
    /// A pool, by its configured name.
    Pool {
        /// Its number.
        id: PoolId,
        /// Its configured name.
        name: String,
        /// Its money.
        asset: AssetId,
    },
    /// Somebody new.
    Account {
        /// Their number.
        id: AccountId,
        /// Who they are.
        identity: Identity,
        /// As they wrote it.
        display: String,
        /// When.
        at: UnixMs,
    },
    /// A new machine.
    Worker {
        /// Its number.
        id: WorkerId,
        /// Whose.
        account: AccountId,
        /// Its name.
        name: String,
        /// When.
        at: UnixMs,
    },
    /// A pay-per-share rate that shares may name from now on.
    Rate(Rate),
    /// A slice was closed (and paid, where shares are bought).
    Slice {
        /// The slice.
        slice: Arc<Slice>,
        /// What it was paid.
        credits: Vec<SliceCredit>,
        /// When.
        at: UnixMs,
    },
    /// A share of a closed slice was revoked.
    Revoked {
        /// Position of the revocation.
        seq: ShareSeq,
        /// The pool.
        pool: PoolId,
        /// The slice that holds the share.
        slice: SliceNo,
        /// Whose.
        account: AccountId,
        /// Its weight.
        weight: u64,
    },
    /// Income, with its frozen window and split.
    Reward {
        /// The reward.
        reward: Box<Reward>,
        /// The pool's work since its block before.
        round_work: u128,
        /// When.
        at: UnixMs,
    },
    /// A reward moved.
    RewardState {
        /// Which.
        id: RewardId,
        /// Where to.
        state: RewardState,
        /// Which time it is in the chain.
        generation: u32,
        /// The set of transfers in force: what maturing posts and orphaning takes back.
        force: SetKey,
        /// Never looked at again.
        closed: bool,
        /// When.
        at: UnixMs,
    },
    /// A payment stands in another block of the chain than before.
    RewardPlace {
        /// Which.
        id: RewardId,
        /// In which block.
        place: Place,
    },
    /// A step of the ledger.
    Posting {
        /// The step.
        posting: Posting,
        /// When.
        at: UnixMs,
    },
    /// The balance of a ledger account after the steps before it.
    Balance {
        /// The money.
        asset: AssetId,
        /// The account.
        kind: Kind,
        /// Its four sums.
        balance: Balance,
    },
    /// A new payout with its parts (and versions, if any).
    Payout(Box<Payout>),
    /// A payout was signed (again).
    PayoutVersion {
        /// Which.
        id: PayoutId,
        /// Its position among the versions.
        n: u32,
        /// The signed form.
        version: Box<PayoutVersion>,
    },
    /// A payout moved.
    PayoutState {
        /// Which.
        id: PayoutId,
        /// Where to.
        state: PayoutState,
        /// Its newest ledger round.
        round: u32,
        /// The version that confirmed.
        confirmed_version: Option<u32>,
        /// Never looked at again.
        closed: bool,
        /// When.
        at: UnixMs,
    },
    /// An account wants its money elsewhere.
    Destination {
        /// Whose.
        account: AccountId,
        /// From 1.
        no: u32,
        /// Where to.
        destination: Vec<u8>,
        /// As they wrote it.
        display: String,
        /// Not before.
        effective_from: UnixMs,
    },
    /// An account's own payout minimum, and whether it is a member.
    Settings {
        /// Whose.
        account: AccountId,
        /// Their minimum; `None` is the pool's.
        minimum: Option<Amount>,
        /// Do they get the members' fee?
        member: bool,
    },
    /// Payouts in this scope stop (`all`, `asset/<id>`, `account/<id>`).
    Hold {
        /// What is held.
        scope: String,
        /// Why.
        reason: String,
        /// When.
        at: UnixMs,
    },
    /// Payouts in this scope go on.
    Release {
        /// What was held.
        scope: String,
    },
    /// A spend of the wallet that the books do not know.
    Spend {
        /// The money.
        asset: AssetId,
        /// The transaction.
        txid: [u8; 32],
        /// Its outputs, for people.
        detail: String,
        /// When it was seen.
        at: UnixMs,
    },
    /// Somebody said what it was.
    SpendMatched {
        /// The money.
        asset: AssetId,
        /// The transaction.
        txid: [u8; 32],
        /// What it was.
        matched: String,
    },
    /// It never happened: it was replaced, or left the chain for good.
    SpendGone {
        /// The money.
        asset: AssetId,
        /// The transaction.
        txid: [u8; 32],
    },
    /// An operator did something.
    Act {
        /// From 1.
        no: u64,
        /// When.
        at: UnixMs,
        /// Who.
        who: String,
        /// What.
        what: String,
    },
    /// A door's own small thing; `None` removes it.
    Note {
        /// Which door.
        door: &'static str,
        /// Its name.
        key: String,
        /// Its value.
        value: Option<Vec<u8>>,
    },
}

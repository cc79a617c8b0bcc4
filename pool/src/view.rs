//! What readers see: a snapshot made by the writer a few times a second.
//!
//! Invariant: made from the books after they were written; a reader holding it never blocks the writer.

use crate::books::Books;
use crate::payouts::hold_scopes;
use accounting::ledger::{Balance, Kind};
use accounting::payout::PayoutState;
use accounting::reward::RewardState;
use accounting::rule::RuleSince;
use accounting::{
    AccountId, Amount, AssetId, PayoutId, PoolId, RateId, RewardId, ShareSeq, UnixMs,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The newest rewards, payouts and largest balances that a snapshot carries; all others are in the store.
pub const LISTED_MAX: usize = 100;

/// How often everybody's part of the windows is added up.
const STANDINGS_MS: u64 = 5000;

/// A snapshot of the books.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// When it was made.
    pub at: UnixMs,
    /// Up to here everything is in it.
    pub folded: ShareSeq,
    /// Is the store taking writes? `None` when it is; the error when not.
    pub store_failing: Option<String>,
    /// The pools.
    pub pools: Vec<PoolView>,
    /// The assets.
    pub assets: Vec<AssetView>,
    /// The newest rewards, newest first.
    pub rewards: Vec<RewardView>,
    /// Payouts that may still change, newest first.
    pub payouts: Vec<PayoutView>,
    /// The largest balances of accounts.
    pub balances: Vec<BalanceView>,
    /// Held scopes and why.
    pub holds: Vec<(String, String)>,
    /// Spends nobody has explained.
    pub unmatched_spends: usize,
}

impl View {
    /// Are payouts of this asset held, to this account or to all?
    #[must_use]
    pub fn holds_payouts(&self, asset: AssetId, account: Option<AccountId>) -> bool {
        hold_scopes(asset, account).any(|scope| self.holds.iter().any(|(held, _)| *held == scope))
    }
}

/// One pool.
#[derive(Debug, Clone)]
pub struct PoolView {
    /// Its number.
    pub id: PoolId,
    /// Its name.
    pub name: String,
    /// Shares since start.
    pub shares: u64,
    /// Work since start.
    pub work: u128,
    /// Its money.
    pub asset: AssetId,
    /// Accounts with work in the window.
    pub accounts: usize,
    /// Work of one block.
    pub network_work: u128,
    /// Work since the last block.
    pub round_work: u128,
    /// Its blocks.
    pub blocks: BlockCounts,
    /// What each account has in the window now, ascending by account; a few seconds old.
    pub standings: Arc<Standings>,
    /// What it promised, and from where in the log on; oldest first.
    pub rules: Arc<[RuleSince]>,
}

/// How many blocks a pool found, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockCounts {
    /// All.
    pub found: u64,
    /// Those that are not deep enough.
    pub immature: u64,
    /// Those that left the chain.
    pub orphaned: u64,
}

/// Everybody's part of a pool's window.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    /// When they were added up.
    pub at: UnixMs,
    /// Work by account, ascending by account.
    pub rows: Vec<(AccountId, u128)>,
    /// Work of all.
    pub total: u128,
}

impl Standings {
    /// An account's work.
    #[must_use]
    pub fn of(&self, account: AccountId) -> u128 {
        let found = self.rows.binary_search_by_key(&account, |(id, _)| *id);
        found.ok().and_then(|at| self.rows.get(at)).map_or(0, |(_, work)| *work)
    }
}

/// One asset.
#[derive(Debug, Clone)]
pub struct AssetView {
    /// Its number.
    pub id: AssetId,
    /// Its name.
    pub name: String,
    /// Its decimals.
    pub decimals: u8,
    /// What is owed to all accounts.
    pub owed: Amount,
    /// In payouts that are not confirmed deep enough.
    pub in_flight: Amount,
    /// The pool's earnings.
    pub fees: Amount,
    /// What carries PPS.
    pub bankroll: Amount,
    /// What was lost.
    pub loss: Amount,
    /// Do debits equal credits?
    pub balances_to_zero: bool,
}

/// One reward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardView {
    /// Its block.
    pub id: RewardId,
    /// Its pool.
    pub pool: PoolId,
    /// Its height.
    pub height: u64,
    /// What it brought.
    pub amount: Amount,
    /// Where it stands.
    pub state: RewardState,
    /// When it was made.
    pub created_at: UnixMs,
}

/// One payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutView {
    /// Its number.
    pub id: PayoutId,
    /// Its asset.
    pub asset: AssetId,
    /// Where it stands.
    pub state: PayoutState,
    /// Recipients.
    pub recipients: usize,
    /// What arrives.
    pub sent: Amount,
    /// Its newest transaction.
    pub txid: Option<RewardId>,
}

/// One account's money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceView {
    /// Whose.
    pub account: AccountId,
    /// Which money.
    pub asset: AssetId,
    /// The four sums.
    pub balance: Balance,
}

impl Books {
    /// A snapshot for readers.
    #[must_use]
    pub fn view(&mut self, at: UnixMs, store_failing: Option<String>) -> View {
        self.add_up_standings(at);
        View {
            at,
            folded: self.folded(),
            store_failing,
            pools: self.pool_views(),
            assets: self.asset_views(),
            rewards: self.reward_views(),
            payouts: self.payout_views(),
            balances: self.balance_views(),
            holds: self
                .holds
                .iter()
                .map(|(scope, reason)| (scope.clone(), reason.clone()))
                .collect(),
            unmatched_spends: self.unmatched_spends.len(),
        }
    }

    /// Adds up everybody's part of the windows now and then: it takes a while where there are many.
    fn add_up_standings(&mut self, at: UnixMs) {
        for pool in self.pools.values_mut() {
            if at.0 < pool.standings.at.0 + STANDINGS_MS {
                continue;
            }
            let open = pool.open.rows().filter(|row| row.rate == RateId::default());
            let open = open.map(|row| (row.account, row.tally.weight));
            let closed = pool.window.sums().map(|(account, tally)| (account, tally.weight));
            let mut rows: Vec<(AccountId, u128)> = closed.chain(open).collect();
            rows.sort_unstable_by_key(|(account, _)| *account);
            rows.dedup_by(|(account, work), (kept, sum)| {
                let same = account == kept;
                *sum = if same { sum.saturating_add(*work) } else { *sum };
                same
            });
            let total = rows.iter().fold(0, |sum: u128, (_, work)| sum.saturating_add(*work));
            pool.standings = Arc::new(Standings { at, rows, total });
        }
    }

    fn block_counts(&self) -> BTreeMap<PoolId, BlockCounts> {
        let mut counts: BTreeMap<PoolId, BlockCounts> = BTreeMap::new();
        for reward in self.rewards.values().filter(|reward| reward.place.is_none()) {
            let own = counts.entry(reward.pool).or_default();
            own.found += 1;
            own.immature += u64::from(reward.state == RewardState::Immature);
            own.orphaned += u64::from(reward.state == RewardState::Orphaned);
        }
        counts
    }

    fn pool_views(&self) -> Vec<PoolView> {
        let counts = self.block_counts();
        let view = |(id, pool): (&PoolId, &crate::books::PoolBook)| PoolView {
            id: *id,
            name: pool.config.name.clone(),
            shares: pool.shares,
            work: pool.work,
            asset: pool.asset,
            accounts: pool.window.accounts(),
            network_work: pool.network_work,
            round_work: pool.round_work.saturating_add(pool.open.total().weight),
            blocks: counts.get(id).copied().unwrap_or_default(),
            standings: pool.standings.clone(),
            rules: pool.rules.clone(),
        };
        self.pools.iter().map(view).collect()
    }

    fn asset_views(&self) -> Vec<AssetView> {
        let balances_to_zero = self.ledger.balances_to_zero();
        let view = |(id, asset): (&AssetId, &crate::config::AssetConfig)| AssetView {
            id: *id,
            name: asset.name.clone(),
            decimals: asset.decimals,
            owed: self.ledger.liabilities(*id),
            in_flight: self.ledger.balance(*id, Kind::Wallet).credits_pending,
            fees: self.ledger.balance(*id, Kind::Fees).posted(),
            bankroll: self.ledger.balance(*id, Kind::Bankroll).posted(),
            loss: Amount::ZERO.sub(self.ledger.balance(*id, Kind::Loss).posted()),
            balances_to_zero,
        };
        self.assets.iter().map(view).collect()
    }

    fn reward_views(&self) -> Vec<RewardView> {
        let blocks = self.rewards.iter().filter(|(_, reward)| reward.place.is_none());
        let newest =
            first(blocks.collect(), |(id, reward)| std::cmp::Reverse((reward.height, **id)));
        let view = |(id, r): (&RewardId, &store::book::StoredReward)| RewardView {
            id: *id,
            pool: r.pool,
            height: r.height,
            amount: r.amount,
            state: r.state,
            created_at: r.created_at,
        };
        newest.into_iter().map(view).collect()
    }

    fn payout_views(&self) -> Vec<PayoutView> {
        let view = |open: &crate::books::OpenPayout| PayoutView {
            id: open.payout.id,
            asset: open.payout.asset,
            state: open.payout.state,
            recipients: open.payout.parts.len(),
            sent: open.payout.sent(),
            txid: open.payout.versions.last().map(|version| RewardId(version.txid)),
        };
        self.payouts.values().rev().take(LISTED_MAX).map(view).collect()
    }

    fn balance_views(&self) -> Vec<BalanceView> {
        let of_accounts = self.ledger.balances().filter_map(|(asset, kind, balance)| match kind {
            Kind::Account(account) => Some(BalanceView { account, asset, balance }),
            _ => None,
        });
        first(of_accounts.collect(), |b| {
            std::cmp::Reverse((b.balance.posted(), b.balance.credits_pending))
        })
    }
}

/// The first [`LISTED_MAX`] by a key, in order: the others, who may be many, are looked at and not put in order.
fn first<T, K: Ord>(mut all: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    if all.len() > LISTED_MAX {
        all.select_nth_unstable_by_key(LISTED_MAX, &key);
        all.truncate(LISTED_MAX);
    }
    all.sort_unstable_by_key(key);
    all
}

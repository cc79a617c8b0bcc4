//! What the writer knows: accounts, windows, ledger, rewards and payouts, and the changes not yet on disk.
//!
//! Invariant: every mutation pushes the change that repeats it; memory may be ahead of the disk, never beside it. Changes
//! stay in line until the store has taken them, and nobody is told before.

use crate::config::{AssetConfig, PoolConfig};
use crate::door::Refused;
use crate::guests::Guests;
use crate::rules;
use crate::view::Standings;
use accounting::ledger::{Applied, Kind, Ledger, Posting, Refusal};
use accounting::membership::Membership;
use accounting::payout::Payout;
use accounting::rate::Rate;
use accounting::rule::RuleSince;
use accounting::scheme::WindowLength;
use accounting::slice::{OpenSlice, Tally};
use accounting::split::{self, Carry};
use accounting::window::{SliceSource, SourcedSlice, Window};
use accounting::{
    AccountId, Amount, AssetId, Identity, IdentityKind, LogEntry, PayoutId, PoolId, RateId,
    RewardId, Share, ShareSeq, SliceNo, UnixMs, WorkerId,
};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use store::book::{Book, RecentDebit, StoredDestination, StoredReward, StoredSettings};
use store::{Change, Store, StoreError};

/// Most machines of one account that are told apart; further names count as the machine [`OTHER_WORKERS`].
pub const WORKERS_PER_ACCOUNT_MAX: usize = 10_000;
/// The machine that stands for all beyond [`WORKERS_PER_ACCOUNT_MAX`].
pub const OTHER_WORKERS: &str = "(others)";
/// Most characters of a machine's name that are kept.
pub const WORKER_NAME_MAX: usize = 64;

/// How far others' shares go on before a pool without any is noted to be quiet.
const QUIET_GRAIN: u64 = 100_000;

/// Everything the writer keeps in memory.
pub struct Books {
    pub(crate) assets: BTreeMap<AssetId, AssetConfig>,
    pub(crate) pools: BTreeMap<PoolId, PoolBook>,
    pub(crate) identities: HashMap<Identity, AccountId>,
    /// Where an account's money goes unless it asked for another place: its own script, where it is one.
    pub(crate) homes: HashMap<AccountId, Option<Vec<u8>>>,
    workers: HashMap<AccountId, HashMap<String, WorkerId>>,
    last_account: AccountId,
    last_worker: WorkerId,
    pub(crate) last_payout: PayoutId,
    last_act: u64,
    rates: BTreeMap<RateId, Rate>,
    pub(crate) ledger: Ledger,
    pub(crate) rewards: HashMap<RewardId, StoredReward>,
    pub(crate) payouts: BTreeMap<PayoutId, OpenPayout>,
    pub(crate) payout_txids: HashMap<[u8; 32], PayoutId>,
    pub(crate) recent_debits: VecDeque<RecentDebit>,
    pub(crate) destinations: HashMap<AccountId, Vec<StoredDestination>>,
    pub(crate) settings: HashMap<AccountId, StoredSettings>,
    pub(crate) holds: BTreeMap<String, String>,
    pub(crate) unmatched_spends: BTreeMap<(AssetId, [u8; 32]), String>,
    pub(crate) matched_spends: HashSet<(AssetId, [u8; 32])>,
    pub(crate) notes: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) guests: Arc<Guests>,
    revoked: HashSet<ShareSeq>,
    pub(crate) folded: ShareSeq,
    changes: Vec<Change>,
    touched: HashSet<(AssetId, Kind)>,
}

/// A payout that may still change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPayout {
    /// The payout.
    pub payout: Payout,
    /// The version that confirmed (by position).
    pub confirmed_version: Option<u32>,
}

/// One pool's place in the log.
pub struct PoolBook {
    pub(crate) config: PoolConfig,
    pub(crate) asset: AssetId,
    pub(crate) open: OpenSlice,
    pub(crate) window: Window,
    pub(crate) last_slice: SliceNo,
    pub(crate) carries: HashMap<AccountId, Carry>,
    pub(crate) network_work: u128,
    /// Work in closed slices since the last block.
    pub(crate) round_work: u128,
    /// Work waiting in the open slice, by rate: what the bankroll already owes for it.
    bought: BTreeMap<RateId, u128>,
    /// Everybody's part of the window, for the view.
    pub(crate) standings: Arc<Standings>,
    /// What it promised since when, for the view.
    pub(crate) rules: Arc<[RuleSince]>,
    /// Up to here it is known to have no open shares, from a note made now and then.
    quiet: ShareSeq,
    /// Work of the batch that is being written, by rate.
    admitted: BTreeMap<RateId, u128>,
    /// Shares counted since start, for the view.
    pub(crate) shares: u64,
    /// Work counted since start, for the view.
    pub(crate) work: u128,
}

/// One pool's slices in the store, as they stand at a log position.
pub(crate) struct StoredSlices<'a> {
    pub store: &'a mut dyn Store,
    pub pool: PoolId,
    pub as_of: ShareSeq,
}

impl SliceSource for StoredSlices<'_> {
    type Error = StoreError;

    fn slice(&mut self, no: SliceNo) -> Result<Option<SourcedSlice>, StoreError> {
        self.store.slice(self.pool, no, self.as_of)
    }
}

impl Books {
    /// Whose the books' own notes are.
    pub(crate) const DOOR: &'static str = "books";

    /// Loads the book, gives new assets and pools their numbers, and folds the log's tail again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(
        store: &mut dyn Store,
        assets: Vec<AssetConfig>,
        pools: Vec<PoolConfig>,
        now: UnixMs,
    ) -> Result<Self, StoreError> {
        let mut book = store.load()?;
        let mut changes = Vec::new();
        let assets = name_assets(&mut book, assets, &mut changes);
        let mut pools = name_pools(&mut book, pools, &mut changes)?;
        rules::note(&mut book, &mut pools, &mut changes)?;
        let keyed: Vec<PoolId> =
            pools.iter().filter(|(_, pool)| pool.config.knows_keys).map(|(id, _)| *id).collect();
        store.index_keys(&keyed);
        let mut books = Books::from_book(book, assets, pools);
        books.changes = changes;
        let log_end = books.folded;
        books.fold_tail(store, now)?;
        books.folded = log_end.max(books.folded);
        books.warm_windows(store)?;
        Ok(books)
    }

    fn from_book(
        book: Book,
        assets: BTreeMap<AssetId, AssetConfig>,
        pools: BTreeMap<PoolId, PoolBook>,
    ) -> Self {
        let homes = book.identities.iter().map(|(who, account)| (*account, home(who))).collect();
        let mut workers: HashMap<AccountId, HashMap<String, WorkerId>> = HashMap::new();
        for ((account, name), id) in book.workers {
            workers.entry(account).or_default().insert(name, id);
        }
        let open = |p: store::book::StoredPayout| OpenPayout {
            payout: p.payout,
            confirmed_version: p.confirmed_version,
        };
        Books {
            assets,
            pools,
            identities: book.identities,
            homes,
            workers,
            last_account: book.last_account,
            last_worker: book.last_worker,
            last_payout: book.last_payout,
            last_act: book.last_act,
            rates: book.rates,
            ledger: book.ledger,
            rewards: book.rewards,
            payouts: book.payouts.into_iter().map(|(id, payout)| (id, open(payout))).collect(),
            payout_txids: book.payout_txids,
            recent_debits: book.recent_debits.into(),
            destinations: book.destinations,
            settings: book.settings,
            holds: book.holds,
            unmatched_spends: book
                .unmatched_spends
                .into_iter()
                .map(|(a, txid, detail)| ((a, txid), detail))
                .collect(),
            matched_spends: book.matched_spends,
            guests: Arc::new(Guests::of(&book.notes)),
            notes: book.notes,
            revoked: book.revoked,
            folded: book.log_end,
            changes: Vec::new(),
            touched: HashSet::new(),
        }
    }

    /// Folds again what lies behind the oldest open slice: facts that were durable before their consequences were.
    fn fold_tail(&mut self, store: &mut dyn Store, now: UnixMs) -> Result<(), StoreError> {
        let mut closed: BTreeMap<PoolId, ShareSeq> = BTreeMap::new();
        for (id, pool) in &self.pools {
            let last = match pool.last_slice {
                SliceNo(0) => ShareSeq(0),
                no => {
                    store.slice(*id, no, ShareSeq(0))?.map_or(ShareSeq(0), |found| found.slice.last)
                }
            };
            closed.insert(*id, last.max(pool.quiet));
        }
        let from = closed.values().min().copied().unwrap_or_default().next();
        let mut tail = Vec::new();
        store.scan(from, &mut |seq, entry| tail.push((seq, entry)))?;
        for (seq, entry) in tail {
            let pool = match &entry {
                LogEntry::Share(share) => share.pool,
                LogEntry::BlockFound(found) => found.pool,
                LogEntry::Revoke { .. } => PoolId(0),
            };
            if closed.get(&pool).is_none_or(|last| seq > *last) {
                self.fold(store, seq, &entry, now)?;
            }
            if matches!(entry, LogEntry::Revoke { .. }) {
                // A block further on looks for it in the store.
                store.apply(self.folded, self.unwritten())?;
                self.written();
            }
        }
        Ok(())
    }

    /// Notes how far pools without open shares are folded, so that a start need not read what others did since.
    fn note_quiet(&mut self) {
        let through = self.folded;
        for (id, pool) in &mut self.pools {
            if pool.open.is_empty() && through.0 >= pool.quiet.0 + QUIET_GRAIN {
                pool.note_quiet(*id, through, &mut self.changes);
            }
        }
    }

    /// Brings the slices of every window into memory, so that live sums are right from the start.
    fn warm_windows(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let as_of = self.folded;
        for (id, pool) in &mut self.pools {
            if let Some(length) = pool.config.scheme.window_length(pool.network_work) {
                let mut source = StoredSlices { store, pool: *id, as_of };
                pool.window.fit(length, pool.last_slice, &mut source)?;
            }
        }
        Ok(())
    }

    /// The number of a pool, by its configured name.
    #[must_use]
    pub fn pool_named(&self, name: &str) -> Option<PoolId> {
        self.pools.iter().find(|(_, pool)| pool.config.name == name).map(|(id, _)| *id)
    }

    /// The number of an asset, by its configured name.
    #[must_use]
    pub fn asset_named(&self, name: &str) -> Option<AssetId> {
        self.assets.iter().find(|(_, asset)| asset.name == name).map(|(id, _)| *id)
    }

    /// Whom an account is of.
    #[must_use]
    pub fn identity_of(&self, account: AccountId) -> Option<&Identity> {
        self.identities.iter().find(|(_, known)| **known == account).map(|(who, _)| who)
    }

    /// The account of an identity, if it ever had an accepted share.
    #[must_use]
    pub fn account_of(&self, identity: &Identity) -> Option<AccountId> {
        self.identities.get(identity).copied()
    }

    /// The numbers of an account and one of its machines, both created on first use.
    pub fn enrol(
        &mut self,
        identity: &Identity,
        display: &str,
        worker: &str,
        now: UnixMs,
    ) -> (AccountId, WorkerId) {
        let account = match self.identities.get(identity) {
            Some(account) => *account,
            None => self.open_account(identity, display, now),
        };
        (account, self.open_worker(account, worker, now))
    }

    fn open_account(&mut self, identity: &Identity, display: &str, at: UnixMs) -> AccountId {
        self.last_account = AccountId(self.last_account.0 + 1);
        let id = self.last_account;
        self.identities.insert(identity.clone(), id);
        self.homes.insert(id, home(identity));
        self.push(Change::Account {
            id,
            identity: identity.clone(),
            display: display.to_owned(),
            at,
        });
        id
    }

    fn open_worker(&mut self, account: AccountId, name: &str, at: UnixMs) -> WorkerId {
        let known = self.workers.entry(account).or_default();
        let mut name: String =
            name.chars().filter(|c| !c.is_control()).take(WORKER_NAME_MAX).collect();
        if let Some(id) = known.get(&name) {
            return *id;
        }
        if known.len() >= WORKERS_PER_ACCOUNT_MAX {
            OTHER_WORKERS.clone_into(&mut name);
            if let Some(id) = known.get(&name) {
                return *id;
            }
        }
        self.last_worker = WorkerId(self.last_worker.0 + 1);
        let id = self.last_worker;
        known.insert(name.clone(), id);
        self.push(Change::Worker { id, account, name, at });
        id
    }

    /// Makes a pay-per-share rate known.
    pub fn declare(&mut self, rate: Rate) {
        if self.rates.insert(rate.id(), rate).is_none() {
            self.push(Change::Rate(rate));
        }
    }

    /// May these shares be bought? Under PPS and FPPS the bankroll must be able to pay for everything accepted.
    #[must_use]
    pub fn can_carry(&mut self, shares: &[Share]) -> bool {
        let Some(first) = shares.first() else { return true };
        let Some(pool) = self.pools.get(&first.pool) else { return false };
        if !pool.config.scheme.pays_per_share() {
            return true;
        }
        let asset = pool.asset;
        let mut wanted = pool.admitted.clone();
        for share in shares {
            *wanted.entry(share.rate).or_default() += u128::from(share.weight.get());
        }
        // The bankroll is the asset's: it owes for the open slices of all its pools.
        let mut cost = self.cost_of(&wanted);
        for (id, own) in self.pools.iter().filter(|(_, own)| own.asset == asset) {
            cost = cost.and_then(|cost| Some(cost.add(self.cost_of(&own.bought)?)));
            if *id != first.pool {
                cost = cost.and_then(|cost| Some(cost.add(self.cost_of(&own.admitted)?)));
            }
        }
        let available = self.ledger.balance(asset, Kind::Bankroll).available();
        let can = cost.is_some_and(|cost| available >= cost);
        if let Some(pool) = self.pools.get_mut(&first.pool).filter(|_| can) {
            pool.admitted = wanted;
        }
        can
    }

    /// What so much work costs at most, by rate; `None` when a rate is unknown.
    fn cost_of(&self, work: &BTreeMap<RateId, u128>) -> Option<Amount> {
        let each = |(id, work): (&RateId, &u128)| Some(split::exposure(*work, self.rates.get(id)?));
        work.iter().map(each).sum()
    }

    /// Are this pool's proofs recognised for ever?
    #[must_use]
    pub fn knows_keys(&self, pool: PoolId) -> bool {
        self.pools.get(&pool).is_some_and(|pool| pool.config.knows_keys)
    }

    /// What was admitted has been counted, or was not written after all.
    pub fn batch_ended(&mut self) {
        self.pools.values_mut().for_each(|pool| pool.admitted.clear());
    }

    /// May this share be revoked?
    ///
    /// # Errors
    /// When no such share was ever recorded, or it is revoked already.
    pub fn check_revocation(
        &self,
        store: &mut dyn Store,
        share: ShareSeq,
    ) -> Result<bool, Refused> {
        if self.revoked.contains(&share) {
            return Ok(false);
        }
        match store.share(share).map_err(|_| Refused::StoreFailing)? {
            Some(_) => Ok(true),
            None => Err(Refused::Rule(format!("there is no share {share} in the log"))),
        }
    }

    /// Was this block recorded already?
    #[must_use]
    pub fn knows_block(&self, block: RewardId) -> bool {
        self.rewards.contains_key(&block)
    }

    /// Takes an entry of the log into account. It is durable already.
    ///
    /// # Errors
    /// When older slices are needed and the store cannot be read; the fold is repeated from the log at the next start.
    pub fn fold(
        &mut self,
        store: &mut dyn Store,
        seq: ShareSeq,
        entry: &LogEntry,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        match entry {
            LogEntry::Share(share) => self.count(seq, share, now),
            LogEntry::BlockFound(found) => {
                match found.member.as_ref().and_then(Membership::payment) {
                    Some(payment) => self.reward_payment(store, seq, found, payment, now)?,
                    None => self.reward_block(store, seq, found, now)?,
                }
            }
            LogEntry::Revoke { share, .. } => self.revoke(store, seq, *share)?,
        }
        self.folded = seq;
        Ok(())
    }

    fn count(&mut self, seq: ShareSeq, share: &Share, now: UnixMs) {
        let priced = share.rate != RateId::default();
        let is_mixed = |pool: &PoolBook| {
            pool.open.rows().next().is_some_and(|row| (row.rate != RateId::default()) != priced)
        };
        if self.pools.get(&share.pool).is_some_and(is_mixed) {
            // The scheme was changed: a slice is bought whole or not at all.
            self.close_slice(share.pool, now);
        }
        let Some(pool) = self.pools.get_mut(&share.pool) else {
            // A pool taken out of the configuration: its shares stay in the log and are folded when it is back.
            return;
        };
        pool.open.count(seq, share);
        if pool.config.scheme.pays_per_share() {
            *pool.bought.entry(share.rate).or_default() += u128::from(share.weight.get());
        }
        pool.shares += 1;
        pool.work += u128::from(share.weight.get());
    }

    /// Closes every slice that is due. Called often; the positions it cuts at are recorded.
    pub fn close_due_slices(&mut self, now: UnixMs) {
        let due = |pool: &PoolBook| {
            let work = match pool.config.scheme.window_length(pool.network_work) {
                Some(WindowLength::Work(work)) if pool.network_work > 0 => work,
                _ => 0,
            };
            pool.open.is_due(&pool.config.slices.limits(work), now)
        };
        let due: Vec<PoolId> =
            self.pools.iter().filter(|(_, pool)| due(pool)).map(|(id, _)| *id).collect();
        for id in due {
            self.close_slice(id, now);
        }
        self.note_quiet();
    }

    /// Seals a pool's open slice, pays it where shares are bought, and lets it into the window.
    pub(crate) fn close_slice(&mut self, id: PoolId, now: UnixMs) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        let Some(slice) = pool.open.close() else { return };
        let slice = Arc::new(slice);
        pool.last_slice = slice.no;
        pool.round_work = pool.round_work.saturating_add(slice.total.weight);
        pool.bought.clear();
        let mut credits = Vec::new();
        // Whatever the scheme is now: what was accepted at a price is paid it.
        if slice.is_bought() {
            credits = self.pay_slice(id, &slice, now);
        }
        if let Some(pool) = self.pools.get_mut(&id).filter(|p| !p.config.scheme.pays_per_share()) {
            pool.window.push(slice.clone());
            if let Some(length) = pool.config.scheme.window_length(pool.network_work) {
                pool.window.trim(length);
            }
        }
        self.push(Change::Slice { slice, credits, at: now });
    }

    fn revoke(
        &mut self,
        store: &mut dyn Store,
        seq: ShareSeq,
        at: ShareSeq,
    ) -> Result<(), StoreError> {
        self.revoked.insert(at);
        let Some(share) = store.share(at)? else { return Ok(()) };
        self.close_slice(share.pool, share.found_at);
        let Some(pool) = self.pools.get_mut(&share.pool) else { return Ok(()) };
        let slice = match pool.window.slice_at(at) {
            Some(slice) => Some(slice),
            None => store.slice_at(share.pool, at)?,
        };
        let Some(slice) = slice else { return Ok(()) };
        let weight = share.weight.get();
        pool.window.revoke(slice, share.account, Tally { weight: weight.into(), shares: 1 });
        self.push(Change::Revoked { seq, pool: share.pool, slice, account: share.account, weight });
        Ok(())
    }

    /// One step of the ledger, with the change that repeats it.
    pub(crate) fn post(&mut self, posting: Posting, at: UnixMs) -> Result<Applied, Refusal> {
        let sets = match &posting {
            Posting::Pend(set) | Posting::Enter(set) => Some(set.clone()),
            Posting::Post(key) | Posting::Void(key) => self.ledger.pending(key).cloned(),
        };
        let applied = self.ledger.apply(&posting)?;
        if applied == Applied::Now {
            for transfer in sets.iter().flat_map(|set| &set.transfers) {
                let asset = sets.as_ref().map_or(AssetId(0), |set| set.asset);
                self.touched.insert((asset, transfer.debit));
                self.touched.insert((asset, transfer.credit));
            }
            self.push(Change::Posting { posting, at });
        }
        Ok(applied)
    }

    /// A line in the log of operator acts; gives its number.
    pub fn act(&mut self, who: &str, what: String, at: UnixMs) -> u64 {
        self.last_act += 1;
        self.push(Change::Act { no: self.last_act, at, who: who.to_owned(), what });
        self.last_act
    }

    /// Keeps (or removes) a door's own small thing.
    pub fn note(&mut self, door: &'static str, key: String, value: Option<Vec<u8>>) {
        match &value {
            Some(bytes) => self.notes.insert((door.to_owned(), key.clone()), bytes.clone()),
            None => self.notes.remove(&(door.to_owned(), key.clone())),
        };
        self.push(Change::Note { door, key, value });
    }

    /// A door's notes.
    #[must_use]
    pub fn notes_of(&self, door: &str) -> BTreeMap<String, Vec<u8>> {
        let own = self.notes.iter().filter(|((owner, _), _)| owner == door);
        own.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(crate) fn rates(&self) -> &BTreeMap<RateId, Rate> {
        &self.rates
    }

    /// What is not on disk yet, balances last.
    pub fn unwritten(&mut self) -> &[Change] {
        for (asset, kind) in self.touched.drain() {
            let balance = self.ledger.balance(asset, kind);
            self.changes.push(Change::Balance { asset, kind, balance });
        }
        &self.changes
    }

    /// Is anything waiting for the disk?
    #[must_use]
    pub fn has_unwritten(&self) -> bool {
        !self.changes.is_empty() || !self.touched.is_empty()
    }

    /// The store has taken everything.
    pub fn written(&mut self) {
        self.changes.clear();
    }

    /// Up to where the log is folded.
    #[must_use]
    pub fn folded(&self) -> ShareSeq {
        self.folded
    }

    /// The work of a block of the pool's network now: the unit of its window, known before the first block is found. Kept
    /// where other pools' blocks pay this window too: one may be found before this pool hears of its network again.
    pub fn set_network_work(&mut self, id: PoolId, work: u128) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        let is_news = pool.network_work != work;
        pool.network_work = work;
        if is_news && pool.config.part.is_some() {
            self.note(Books::DOOR, format!("work/{id}"), Some(work.to_be_bytes().to_vec()));
        }
    }
}

/// Only a script can be paid; a launcher id or a public key has to name a destination.
fn home(identity: &Identity) -> Option<Vec<u8>> {
    (identity.kind == IdentityKind::Script).then(|| identity.bytes.clone())
}

fn name_assets(
    book: &mut Book,
    assets: Vec<AssetConfig>,
    changes: &mut Vec<Change>,
) -> BTreeMap<AssetId, AssetConfig> {
    let mut named = BTreeMap::new();
    for asset in assets {
        let next = book.assets.values().map(|(id, _)| id.0).max().unwrap_or(0) + 1;
        let (id, _) = *book.assets.entry(asset.name.clone()).or_insert_with(|| {
            let (id, name, decimals) = (AssetId(next), asset.name.clone(), asset.decimals);
            changes.push(Change::Asset { id, name, decimals });
            (id, decimals)
        });
        named.insert(id, asset);
    }
    named
}

fn name_pools(
    book: &mut Book,
    pools: Vec<PoolConfig>,
    changes: &mut Vec<Change>,
) -> Result<BTreeMap<PoolId, PoolBook>, StoreError> {
    let mut named = BTreeMap::new();
    for config in pools {
        let Some((asset, _)) = book.assets.get(&config.asset).copied() else {
            return Err(StoreError::Damaged(format!(
                "pool {} names the unknown asset {}",
                config.name, config.asset
            )));
        };
        let next = PoolId(book.pools.values().map(|pool| pool.id.0).max().unwrap_or(0) + 1);
        let stored = book.pools.entry(config.name.clone()).or_insert_with(|| {
            changes.push(Change::Pool { id: next, name: config.name.clone(), asset });
            store::book::StoredPool {
                id: next,
                asset,
                last_slice: None,
                cut: SliceNo(0),
                round_work: 0,
                last_network_work: None,
                carries: HashMap::new(),
            }
        });
        if stored.asset != asset {
            let text = format!(
                "pool {} was made for another asset; give the new pool a new name",
                config.name
            );
            return Err(StoreError::Damaged(text));
        }
        let mut pool = PoolBook::new(config, stored);
        let note = book.notes.get(&(Books::DOOR.to_owned(), format!("quiet/{}", stored.id)));
        let noted = note.and_then(|note| <[u8; 8]>::try_from(note.as_slice()).ok());
        pool.quiet = noted.map_or(ShareSeq(0), |bytes| ShareSeq(u64::from_be_bytes(bytes)));
        let note = book.notes.get(&(Books::DOOR.to_owned(), format!("work/{}", stored.id)));
        if let Some(noted) = note.and_then(|note| <[u8; 16]>::try_from(note.as_slice()).ok()) {
            pool.network_work = u128::from_be_bytes(noted);
        }
        if stored.id == next {
            // Nothing in the log is of a pool that did not exist.
            pool.note_quiet(next, book.log_end, changes);
        }
        named.insert(stored.id, pool);
    }
    Ok(named)
}

impl PoolBook {
    fn note_quiet(&mut self, id: PoolId, through: ShareSeq, changes: &mut Vec<Change>) {
        self.quiet = through;
        let (key, value) = (format!("quiet/{id}"), through.0.to_be_bytes().to_vec());
        changes.push(Change::Note { door: Books::DOOR, key, value: Some(value) });
    }

    fn new(config: PoolConfig, stored: &store::book::StoredPool) -> Self {
        let previous = stored.last_slice.map(|(no, hash, _)| (no, hash));
        PoolBook {
            config,
            asset: stored.asset,
            open: OpenSlice::after(stored.id, previous),
            window: Window::new(stored.cut),
            last_slice: previous.map_or(SliceNo(0), |(no, _)| no),
            carries: stored.carries.clone(),
            network_work: stored.last_network_work.unwrap_or(0),
            round_work: stored.round_work,
            bought: BTreeMap::new(),
            standings: Arc::default(),
            rules: Arc::default(),
            quiet: ShareSeq(0),
            admitted: BTreeMap::new(),
            shares: 0,
            work: 0,
        }
    }
}

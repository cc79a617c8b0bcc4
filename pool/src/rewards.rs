//! Income: a found block becomes a reward, and the best chain moves it through its life.
//!
//! Invariant: a reward is made once, from what its coinbase pays; its window and split are frozen then. Every move is a
//! posting of the ledger, so that taking it back is one too.

use crate::books::{Books, PoolBook, StoredSlices};
use crate::door::{BlockReport, Refused};
use accounting::fee::{FeeRule, Standing};
use accounting::ledger::{Kind, Posting, Refusal, SetKey, TransferSet};
use accounting::membership::Place;
use accounting::reward::{Reward, RewardState, RewardStep, Sighting, next_step, reversal};
use accounting::slice::Slice;
use accounting::split::{self, SliceCredit, Split};
use accounting::union::{Beside, Shared, Terms, TermsBeside};
use accounting::volume::{Volumes, work_of};
use accounting::window::{Window, WindowTable};
use accounting::{
    AccountId, Amount, AssetId, BasisPoints, BlockFound, PoolId, RewardId, Scheme, ShareSeq,
    SliceNo, UnixMs,
};
use store::book::StoredReward;
use store::{Change, Store, StoreError};

impl Books {
    /// Makes the reward of a found block: closes the slice, freezes the window, splits, and reserves the credits.
    pub(crate) fn reward_block(
        &mut self,
        store: &mut dyn Store,
        seq: ShareSeq,
        found: &BlockFound,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        self.close_slice(found.pool, now);
        self.set_network_work(found.pool, found.network_work);
        if self.rewards.contains_key(&found.block) {
            return Ok(());
        }
        let window = match &found.commitment {
            Some(commitment) => Some(commitment.window.clone()),
            None => self.freeze_window(store, seq, found)?,
        };
        let shared = self.freeze_beside(store, seq, found, now)?;
        let Some(pool) = self.pools.get(&found.pool) else { return Ok(()) };
        let asset = pool.asset;
        let split = self.split_of(found, window.as_ref(), shared.as_ref());
        // Of a budget only what is granted is income; the rest is in the next one.
        let granted = found.budget.as_ref().and(split.as_ref()).map(|split| split.amount);
        let reward = Reward {
            id: found.block,
            pool: found.pool,
            asset,
            height: found.height,
            finder: found.finder,
            to_pool: granted.unwrap_or(found.to_pool),
            to_miners: found.to_miners,
            window_end: seq,
            as_of: found.commitment.as_ref().map_or(seq, |commitment| commitment.as_of),
            scheme: found.scheme,
            network_work: found.network_work,
            window,
            shared,
            by_block: found.commitment.as_ref().map(|commitment| commitment.by_block.clone()),
            budget: found.budget.clone(),
            member: found.member.clone(),
            split,
        };
        let round_work =
            self.pools.get_mut(&found.pool).map_or(0, |pool| std::mem::take(&mut pool.round_work));
        self.book(reward, round_work, now);
        if found.commitment.is_some() {
            // The round ends where the work's window did: what came since is the next one's.
            self.cut_round(found.pool);
        }
        Ok(())
    }

    /// Takes a reward into the books, and reserves its credits.
    pub(crate) fn book(&mut self, reward: Reward, round_work: u128, now: UnixMs) {
        let credits = reward.credits();
        let stored = StoredReward {
            pool: reward.pool,
            asset: reward.asset,
            height: reward.height,
            amount: reward.amount(),
            state: RewardState::Immature,
            generation: 0,
            force: credits.key.clone(),
            closed: false,
            created_at: now,
            through: reward.window.as_ref().map(|window| window.through),
            place: reward.payment().map(|payment| payment.place),
        };
        self.rewards.insert(reward.id, stored);
        self.push(Change::Reward { reward: Box::new(reward), round_work, at: now });
        if !credits.transfers.is_empty() {
            self.must_post(Posting::Pend(credits), now);
        }
    }

    fn freeze_window(
        &mut self,
        store: &mut dyn Store,
        seq: ShareSeq,
        found: &BlockFound,
    ) -> Result<Option<WindowTable>, StoreError> {
        let Some(length) = found.scheme.window_length(found.network_work) else { return Ok(None) };
        // The slice just closed may be in memory only; the window has it, older ones come from the store.
        let Some(pool) = self.pools.get_mut(&found.pool) else { return Ok(None) };
        let mut source = StoredSlices { store, pool: found.pool, as_of: seq };
        pool.window.fit(length, pool.last_slice, &mut source)?;
        let table = pool.window.table(length);
        pool.window.cut(pool.last_slice);
        Ok(Some(table))
    }

    /// On which terms the pools of a union share what is reported: those of this moment.
    pub(crate) fn terms_of(&self, report: &BlockReport) -> Option<Terms> {
        let own = self.pools.get(&report.pool)?;
        let part = own.config.part.filter(|_| !report.to_miners.is_positive())?;
        let others =
            self.pools.iter().filter(|(id, pool)| **id != report.pool && pool.asset == own.asset);
        let terms = |(id, pool): (&PoolId, &PoolBook)| {
            let (scheme, network_work) = (pool.config.scheme, pool.network_work);
            scheme.window_length(network_work)?;
            Some(TermsBeside { pool: *id, part: pool.config.part?, scheme, network_work })
        };
        Some(Terms { part, beside: others.filter_map(terms).collect() })
    }

    /// The windows of the other pools that this block pays, with their slices closed at the same place of the log. A pool
    /// that was taken out of the configuration since has none.
    fn freeze_beside(
        &mut self,
        store: &mut dyn Store,
        seq: ShareSeq,
        found: &BlockFound,
        now: UnixMs,
    ) -> Result<Option<Shared>, StoreError> {
        let Some(terms) = &found.shared else { return Ok(None) };
        let mut beside = Vec::with_capacity(terms.beside.len());
        for TermsBeside { pool: id, part, scheme, network_work } in terms.beside.iter().cloned() {
            let Some(length) = scheme.window_length(network_work) else { continue };
            self.close_slice(id, now);
            let window = match self.pools.get_mut(&id) {
                Some(pool) => {
                    let mut source = StoredSlices { store: &mut *store, pool: id, as_of: seq };
                    pool.window.fit(length, pool.last_slice, &mut source)?;
                    pool.window.table(length)
                }
                None => Window::new(SliceNo(0)).table(length),
            };
            beside.push(Beside { pool: id, part, scheme, network_work, window });
        }
        Ok(Some(Shared { part: terms.part, beside }))
    }

    fn split_of(
        &self,
        found: &BlockFound,
        window: Option<&WindowTable>,
        shared: Option<&Shared>,
    ) -> Option<Split> {
        if let Some(commitment) = &found.commitment {
            return Some(commitment.split.clone());
        }
        let rule =
            self.pools.get(&found.pool).map(|pool| pool.config.fee.clone()).unwrap_or_default();
        match (found.scheme, window) {
            (Scheme::Budget { cap }, Some(window)) if found.budget.is_some() => {
                found.budget.as_ref().map(|budget| budget.split(cap, &window.rows).0)
            }
            (Scheme::Pps | Scheme::Fpps, _) => None,
            (Scheme::Solo { custodial: false }, _) if found.to_miners.is_positive() => {
                Some(Split::of_solo_coinbase(
                    found.finder,
                    found.to_miners,
                    found.to_pool,
                    found.coinbase_fee,
                ))
            }
            (_, Some(window)) if shared.is_some() => shared.map(|shared| {
                let others = shared.beside.iter().map(|beside| beside.window.rows.as_slice());
                let windows = others.chain([window.rows.as_slice()]);
                let count =
                    windows.clone().fold(0, |sum: usize, rows| sum.saturating_add(rows.len()));
                let volumes = Volumes::of(windows);
                shared.split(found.to_pool, found.finder, &window.rows, |account| {
                    self.fee_of(&rule, count as u64, &volumes, account)
                })
            }),
            (_, Some(window)) if !window.rows.is_empty() => {
                let count = window.rows.len() as u64;
                let volumes = Volumes::of([window.rows.as_slice()]);
                Some(split::split(found.to_pool, &window.rows, |account| {
                    self.fee_of(&rule, count, &volumes, account)
                }))
            }
            _ => Some(split::split(found.to_pool, &[(found.finder, 1)], |account| {
                self.fee_of(&rule, 1, &Volumes::of([]), account)
            })),
        }
    }

    pub(crate) fn fee_of(
        &self,
        rule: &FeeRule,
        accounts: u64,
        volumes: &Volumes<'_>,
        account: AccountId,
    ) -> BasisPoints {
        let (volume, is_member) = (volumes.part(account), self.is_member(account));
        rule.resolve(Standing { accounts, volume, is_member })
    }

    /// Buys a closed slice from its miners with the bankroll's money.
    pub(crate) fn pay_slice(&mut self, id: PoolId, slice: &Slice, now: UnixMs) -> Vec<SliceCredit> {
        let Some(pool) = self.pools.get(&id) else { return Vec::new() };
        let (asset, rule) = (pool.asset, pool.config.fee.clone());
        let work = work_of(slice);
        let (count, volumes) = (work.len() as u64, Volumes::of([work.as_slice()]));
        let carry = |account| pool.carries.get(&account).copied().unwrap_or_default();
        let credits = split::pay_slice(slice, self.rates(), carry, |account| {
            self.fee_of(&rule, count, &volumes, account)
        });
        let set = split::purchase(slice, asset, &credits);
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.carries.extend(credits.iter().map(|credit| (credit.account, credit.carry_after)));
        }
        if !set.transfers.is_empty() {
            self.must_post(Posting::Enter(set), now);
            let left = self.ledger.balance(asset, Kind::Bankroll).available();
            if left < Amount::ZERO {
                tracing::error!(
                    asset = asset.0,
                    bankroll = %left,
                    "shares cost more than the bankroll held: put coins into the wallet and book them with `adit payouts deposit --bankroll`"
                );
            }
        }
        credits
    }

    /// The rewards that may still change, each with the block that it stands and falls with.
    #[must_use]
    pub fn open_rewards(&self, asset: AssetId) -> Vec<(RewardId, Place)> {
        let open =
            self.rewards.iter().filter(|(_, reward)| reward.asset == asset && !reward.closed);
        let own = |id: RewardId, height: u64| Place { block: id, height };
        open.map(|(id, reward)| (*id, reward.place.unwrap_or(own(*id, reward.height)))).collect()
    }

    /// What the best chain says about a block; moves its reward if that asks for it. Gives the state it is in now.
    ///
    /// # Errors
    /// When the block is unknown, or the store cannot be read (then nothing moved).
    pub fn sighted(
        &mut self,
        store: &mut dyn Store,
        id: RewardId,
        sighting: Sighting,
        now: UnixMs,
    ) -> Result<Option<RewardStep>, Refused> {
        let Some(reward) = self.rewards.get(&id).cloned() else {
            return Err(Refused::Rule(format!("no reward of block {id} is known")));
        };
        let Some(asset) = self.assets.get(&reward.asset) else { return Ok(None) };
        let Some(step) = next_step(reward.state, sighting, &asset.depths) else { return Ok(None) };
        let moved = match step {
            RewardStep::Mature => self.mature(reward, now),
            RewardStep::Orphan if reward.state == RewardState::Immature => self.void(reward, now),
            RewardStep::Orphan => self.take_back(store, id, reward, now)?,
            RewardStep::Return => self.give_again(store, id, reward, now)?,
            RewardStep::Close => StoredReward { closed: true, ..reward },
        };
        let StoredReward { pool, state, generation, force, closed, .. } = moved.clone();
        self.rewards.insert(id, moved);
        self.cut_round(pool);
        self.push(Change::RewardState { id, state, generation, force, closed, at: now });
        Ok(Some(step))
    }

    /// A round is paid by a block that stands: when one leaves the chain, its round becomes part of the next.
    fn cut_round(&mut self, id: PoolId) {
        let standing =
            |reward: &&StoredReward| reward.pool == id && reward.state != RewardState::Orphaned;
        let cut = self.rewards.values().filter(standing).filter_map(|reward| reward.through).max();
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.window.cut(cut.unwrap_or(SliceNo(0)));
        }
    }

    fn mature(&mut self, reward: StoredReward, now: UnixMs) -> StoredReward {
        self.resolve(Posting::Post(reward.force.clone()), now);
        StoredReward { state: RewardState::Matured, ..reward }
    }

    fn void(&mut self, reward: StoredReward, now: UnixMs) -> StoredReward {
        self.resolve(Posting::Void(reward.force.clone()), now);
        StoredReward { state: RewardState::Orphaned, ..reward }
    }

    /// An orphan after maturity: what is still there is taken back, the rest is a loss, and payouts stop.
    fn take_back(
        &mut self,
        store: &mut dyn Store,
        id: RewardId,
        reward: StoredReward,
        now: UnixMs,
    ) -> Result<StoredReward, Refused> {
        let key = SetKey::Reversal { id, generation: reward.generation };
        let Some(posted) = store.set(&reward.force).map_err(|_| Refused::StoreFailing)? else {
            return Ok(StoredReward { state: RewardState::Orphaned, ..reward });
        };
        let available = |kind| self.ledger.balance(reward.asset, kind).available();
        let back = reversal(&posted, key.clone(), available);
        let lost = back.transfers.iter().any(|transfer| transfer.debit == Kind::Loss);
        self.must_post(Posting::Enter(back), now);
        if lost {
            let reason = format!(
                "block {id} left the chain after parts of it had been paid out; see the loss account"
            );
            self.hold(format!("asset/{}", reward.asset), reason, now);
        }
        Ok(StoredReward { state: RewardState::Orphaned, force: key, ..reward })
    }

    /// The block is back: reserve again what was voided, or the exact opposite of what was taken back.
    fn give_again(
        &mut self,
        store: &mut dyn Store,
        id: RewardId,
        reward: StoredReward,
        now: UnixMs,
    ) -> Result<StoredReward, Refused> {
        let generation = reward.generation + 1;
        let key = SetKey::Reward { id, generation };
        let before = store.set(&reward.force).map_err(|_| Refused::StoreFailing)?;
        let again = before.map(|set| match &reward.force {
            SetKey::Reversal { .. } => set.inverse(key.clone()),
            _ => TransferSet { key: key.clone(), ..set },
        });
        if let Some(again) = again {
            self.must_post(Posting::Pend(again), now);
        }
        Ok(StoredReward { state: RewardState::Immature, generation, force: key, ..reward })
    }

    /// Posts or voids, where there is anything: a reward of nothing has no set.
    fn resolve(&mut self, posting: Posting, now: UnixMs) {
        match self.post(posting, now) {
            Ok(_) | Err(Refusal::Unknown(_)) => {}
            Err(refusal) => panic!("the ledger refuses to resolve a reward: {refusal}"),
        }
    }

    /// A posting that follows from rules which cannot be refused.
    pub(crate) fn must_post(&mut self, posting: Posting, now: UnixMs) {
        if let Err(refusal) = self.post(posting, now) {
            panic!("the ledger refuses what the rules made: {refusal}");
        }
    }
}

//! The task that watches income mature and makes payouts happen, one asset each.
//!
//! Invariant: reserve → sign → write → broadcast, in that order; after a crash between any two, going on from what is
//! written neither loses nor doubles. An answer that did not come changes nothing.

use crate::books::{Books, OpenPayout};
use crate::clock::Clock;
use crate::config::PayoutRules;
use crate::crash::crash_point;
use crate::door::{Answer, Pool, Refused};
use crate::payouts::Plan;
use crate::treasury::{Holdings, PayoutOrder, Signing, Treasury, TreasuryError};
use accounting::membership::Place;
use accounting::payout::{Fate, Payout, PayoutState, PayoutStep, PayoutVersion};
use accounting::reward::RewardStep;
use accounting::{Amount, AssetId, PayoutId, RewardId, UnixMs};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// Says which balances do not follow from the transfers; blocks, so it is run on a thread for that.
pub type FoldCheck = Arc<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>;

/// What the cashier last saw and decided, for people.
#[derive(Debug, Clone, Default)]
pub struct CashierStatus {
    /// What the wallet holds; `None` until it answered.
    pub holdings: Option<Holdings>,
    /// Did the balances follow from the transfers at the last look?
    pub folds: bool,
    /// Why nothing is paid; empty when nothing stops payouts.
    pub blockers: Vec<String>,
    /// What the operator should know, though nothing stops for it.
    pub warnings: Vec<String>,
    /// The last trouble with the treasury, if the last round had any.
    pub trouble: Option<String>,
    /// When the next run is due.
    pub next_run: UnixMs,
    /// When the last round ended.
    pub looked_at: UnixMs,
}

/// Watches income and makes payouts of one asset.
pub struct Cashier<T: Treasury> {
    pool: Pool,
    asset: AssetId,
    rules: PayoutRules,
    treasury: T,
    fold_check: FoldCheck,
    clock: Arc<dyn Clock>,
    status: Arc<ArcSwap<CashierStatus>>,
    next_run: UnixMs,
    /// What waits for people, told at the end of a round.
    waiting: Vec<String>,
    /// When the balances last followed from the transfers, if they did.
    folded: Option<UnixMs>,
}

/// How long the books are taken to fold once they did: adding up all transfers takes its time. A run never relies on it.
const FOLD_AGAIN_MS: u64 = 10 * 60 * 1000;

/// What a round did, for the log and for tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Rewards that moved.
    pub rewards: Vec<RewardStep>,
    /// Payouts that moved.
    pub payouts: Vec<(PayoutId, PayoutStep)>,
    /// The payouts made.
    pub made: Vec<PayoutId>,
}

impl<T: Treasury> Cashier<T> {
    /// A cashier whose first run is due at once.
    pub fn new(
        pool: Pool,
        asset: AssetId,
        rules: PayoutRules,
        treasury: T,
        fold_check: FoldCheck,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let next_run = clock.now();
        let status =
            Arc::new(ArcSwap::from_pointee(CashierStatus { next_run, ..CashierStatus::default() }));
        Cashier {
            pool,
            asset,
            rules,
            treasury,
            fold_check,
            clock,
            status,
            next_run,
            waiting: Vec::new(),
            folded: None,
        }
    }

    /// What it last saw, for readers.
    #[must_use]
    pub fn status(&self) -> Arc<ArcSwap<CashierStatus>> {
        self.status.clone()
    }

    /// The treasury it works with.
    pub fn treasury(&mut self) -> &mut T {
        &mut self.treasury
    }

    /// Makes the next round pay whoever is due, whatever the schedule says.
    pub fn run_now(&mut self) {
        self.next_run = UnixMs(0);
    }

    /// Looks at everything once: income, spends, payouts under way, and whether a run is due.
    ///
    /// # Errors
    /// When the store fails or the pool stops; everything else is reported in the status and tried again.
    pub async fn round(&mut self) -> Answer<Round> {
        let mut round = Round::default();
        let outcome = self.look_and_pay(&mut round).await;
        let trouble = match outcome {
            Ok(()) => None,
            Err(Trouble::Treasury(error)) => Some(error.to_string()),
            Err(Trouble::Pool(refused)) => return Err(refused),
        };
        let before = self.status.load();
        if let Some(text) = trouble.as_ref().filter(|text| before.trouble.as_ref() != Some(*text)) {
            tracing::warn!(asset = self.asset.0, "{text}");
        }
        let mut warnings = before.warnings.clone();
        warnings.append(&mut self.waiting);
        let next = CashierStatus {
            trouble,
            warnings,
            next_run: self.next_run,
            looked_at: self.clock.now(),
            ..(**before).clone()
        };
        self.status.store(Arc::new(next));
        Ok(round)
    }

    async fn look_and_pay(&mut self, round: &mut Round) -> Result<(), Trouble> {
        self.watch_rewards(round).await?;
        let holdings = self.treasury.refresh().await?;
        let (asset, spends) = (self.asset, holdings.spends.clone());
        let unknown = self
            .pool
            .order(move |books, _, now| Ok(books.note_spends(asset, &spends, now)))
            .await?;
        if unknown > 0 {
            tracing::error!(
                unknown,
                "the wallet was spent by transactions that the books do not know: payouts stop"
            );
        }
        let mut watched = first_of(Ok(()), self.watch_payouts(round).await)?;
        let blockers = self.blockers(&holdings).await?;
        let status = CashierStatus {
            warnings: self.warnings(&holdings),
            folds: self.folded.is_some(),
            holdings: Some(holdings),
            blockers: blockers.clone(),
            ..(**self.status.load()).clone()
        };
        self.status.store(Arc::new(status));
        if blockers.is_empty() {
            let queued = self.finish_queued(round).await;
            watched = first_of(watched, queued)?;
            watched = first_of(watched, self.run_if_due(round).await)?;
        }
        watched
    }

    /// Asks the chain about every reward that may still change.
    async fn watch_rewards(&mut self, round: &mut Round) -> Result<(), Trouble> {
        let asset = self.asset;
        let open = self.pool.order(move |books, _, _| Ok(books.open_rewards(asset))).await?;
        if open.is_empty() {
            return Ok(());
        }
        let blocks: Vec<(RewardId, u64)> =
            open.iter().map(|(_, place)| (place.block, place.height)).collect();
        let sightings = self.treasury.sightings(&blocks).await;
        for ((id, Place { height, .. }), sighting) in open.into_iter().zip(sightings) {
            let moved = self
                .pool
                .order(move |books, store, now| books.sighted(store, id, sighting, now))
                .await?;
            if let Some(step) = moved {
                tracing::info!(block = %id, height, ?step, "reward moved");
                round.rewards.push(step);
            }
        }
        Ok(())
    }

    /// Asks the network about every payout that was signed, and completes the step that follows. One payout's trouble is
    /// not another's: the first is told at the end.
    async fn watch_payouts(&mut self, round: &mut Round) -> Result<(), Trouble> {
        let mut trouble = Ok(());
        for OpenPayout { payout, .. } in self.open_payouts().await? {
            if payout.state != PayoutState::Queued {
                trouble = first_of(trouble, self.watch_payout(&payout, round).await)?;
            }
        }
        trouble
    }

    async fn watch_payout(&mut self, payout: &Payout, round: &mut Round) -> Result<(), Trouble> {
        let fate = self.treasury.fate(&payout.versions).await;
        let id = payout.id;
        let step = self
            .pool
            .order(move |books, store, now| books.payout_fated(store, id, fate, now))
            .await?;
        if let Some(step) = step {
            tracing::info!(payout = id.0, ?step, "payout moved");
            round.payouts.push((id, step));
        }
        let under_way = matches!(payout.state, PayoutState::Signed | PayoutState::Broadcast);
        let waits = matches!(fate, Fate::InMempool | Fate::Absent);
        match step {
            Some(PayoutStep::Reopen) => self.broadcast(payout).await,
            Some(PayoutStep::Broadcast | PayoutStep::Seen) | None if under_way => {
                // The same bytes again are always safe, whoever does not answer.
                if matches!(fate, Fate::Absent | Fate::Unknown) {
                    self.broadcast(payout).await?;
                }
                if waits && self.wants_bump(payout) {
                    self.sign_and_send(payout).await
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }

    /// Has a payout waited so long that a higher fee is worth it?
    fn wants_bump(&self, payout: &Payout) -> bool {
        let Some(after) = self.rules.bump_after_ms else { return false };
        let signed = payout.versions.last().map_or(UnixMs(u64::MAX), |version| version.signed_at);
        self.clock.now().0.saturating_sub(signed.0) >= after
    }

    /// Which balances do not follow from the transfers, looked at anew when a run is due.
    async fn fold_differences(&mut self) -> Vec<String> {
        let now = self.clock.now();
        let is_fresh = |at: UnixMs| now < self.next_run && now.0 < at.0 + FOLD_AGAIN_MS;
        if self.folded.is_some_and(is_fresh) {
            return Vec::new();
        }
        let check = self.fold_check.clone();
        let differences = match tokio::task::spawn_blocking(move || check()).await {
            Ok(Ok(differences)) => differences,
            // Not kept: asked again at the next look.
            Ok(Err(error)) => return vec![format!("they cannot be checked: {error}")],
            Err(error) => return vec![format!("they cannot be checked: {error}")],
        };
        self.folded = differences.is_empty().then_some(now);
        differences
    }

    async fn blockers(&mut self, holdings: &Holdings) -> Result<Vec<String>, Trouble> {
        let differences = self.fold_differences().await;
        let (asset, holdings) = (self.asset, holdings.clone());
        let blockers = self
            .pool
            .order(move |books, _, _| Ok(books.payout_blockers(asset, &holdings, &differences)))
            .await?;
        if !blockers.is_empty() && self.status.load().blockers != blockers {
            blockers
                .iter()
                .for_each(|reason| tracing::error!(asset = self.asset.0, "no payouts: {reason}"));
        }
        Ok(blockers)
    }

    fn warnings(&self, holdings: &Holdings) -> Vec<String> {
        let Some(cap) = self.rules.hot_wallet_cap.filter(|cap| holdings.spendable > *cap) else {
            return Vec::new();
        };
        let held = holdings.spendable;
        let text = format!(
            "the wallet holds {held} smallest units, more than its cap of {cap}: move coins to a cold wallet"
        );
        if self.status.load().warnings.is_empty() {
            tracing::warn!(asset = self.asset.0, "{text}");
        }
        vec![text]
    }

    /// Payouts that were reserved but not signed: before a crash, or waiting for an offline signer.
    async fn finish_queued(&mut self, round: &mut Round) -> Result<(), Trouble> {
        let mut trouble = Ok(());
        for OpenPayout { payout, .. } in self.open_payouts().await? {
            if payout.state == PayoutState::Queued {
                trouble = first_of(trouble, self.sign_and_send(&payout).await)?;
                round.made.push(payout.id);
            }
        }
        trouble
    }

    async fn run_if_due(&mut self, round: &mut Round) -> Result<(), Trouble> {
        let now = self.clock.now();
        if now < self.next_run {
            return Ok(());
        }
        // Set before anything is made: a run that fails half way is not repeated in a tight loop.
        self.next_run = UnixMs(now.0.saturating_add(self.rules.interval_ms));
        let mut left = self.rules.max_per_run;
        loop {
            let asset = self.asset;
            let mut plan =
                self.pool.order(move |books, _, now| Ok(books.plan_payout(asset, now))).await?;
            plan.due.retain(|due| {
                let fits = due.amount <= left;
                if fits {
                    left = left.sub(due.amount);
                }
                fits
            });
            if plan.due.is_empty() {
                return Ok(());
            }
            let id = self.make(plan).await?;
            round.made.push(id);
        }
    }

    /// One payout: reserve, sign, write, broadcast.
    async fn make(&mut self, plan: Plan) -> Result<PayoutId, Trouble> {
        let fee = self.treasury.estimate_fee(plan.due.len()).await?;
        let asset = self.asset;
        crash_point("payout-before-reserve");
        let payout = self
            .pool
            .order(move |books, _, now| books.reserve_payout(asset, &plan, fee, now))
            .await?;
        crash_point("payout-reserved");
        tracing::info!(payout = payout.id.0, recipients = payout.parts.len(), sum = %payout.sent(), "payout reserved");
        self.sign_and_send(&payout).await?;
        Ok(payout.id)
    }

    /// Signs (again), writes the bytes, and only then sends them.
    async fn sign_and_send(&mut self, payout: &Payout) -> Result<(), Trouble> {
        let id = payout.id;
        let stops =
            move |books: &mut Books| (books.approvals_missing(id), books.hold_on_payout(id));
        let (missing, held) = self.pool.order(move |books, _, _| Ok(stops(books))).await?;
        if let Some(scope) = held {
            self.waiting.push(format!(
                "payout {id} is held ({scope}): release with `adit payouts release {scope}`, or cancel it with `adit payouts cancel {id}`"
            ));
            return Ok(());
        }
        if missing > 0 {
            let sum = payout.sent();
            self.waiting.push(format!(
                "payout {id} of {sum} smallest units waits for the approval of {missing} more: adit payouts approve {id} --operator NAME"
            ));
            return Ok(());
        }
        let fee = self.fee_for(payout).await?;
        let order = PayoutOrder {
            id: payout.id.0,
            parts: payout.parts.clone(),
            fee,
            versions: payout.versions.clone(),
        };
        let version = match self.treasury.sign(&order).await? {
            Signing::Signed(version) => version,
            Signing::Waiting => return Ok(()),
        };
        crash_point("payout-signed");
        let (id, written) = (payout.id, version.clone());
        self.pool.order(move |books, _, now| books.payout_signed(id, written, now)).await?;
        crash_point("payout-written");
        self.send(&version).await?;
        crash_point("payout-sent");
        Ok(())
    }

    /// The exact fee: what the parts were charged, or an estimate the pool pays; for a bump, more than before.
    async fn fee_for(&mut self, payout: &Payout) -> Result<Amount, Trouble> {
        let charged = payout.fee_from_parts();
        let estimate = match charged.is_positive() && payout.versions.is_empty() {
            true => charged,
            false => self.treasury.estimate_fee(payout.parts.len()).await?,
        };
        let before =
            payout.versions.iter().map(|version| version.fee).max().unwrap_or(Amount::ZERO);
        // A replacement must pay more than what it replaces and for its own relay (BIP-125 rules 3 and 4).
        let half = Amount::from_units(before.units() / 2 + 1);
        let least = if before.is_positive() { before.add(half) } else { charged };
        Ok(estimate.max(least))
    }

    async fn broadcast(&mut self, payout: &Payout) -> Result<(), Trouble> {
        match payout.versions.last() {
            Some(version) => self.send(&version.clone()).await,
            None => Ok(()),
        }
    }

    /// Whether a node has it now is for the next look to say, whatever the answer was.
    async fn send(&mut self, version: &PayoutVersion) -> Result<(), Trouble> {
        if let Err(error) = self.treasury.broadcast(version).await {
            tracing::warn!(txid = %accounting::RewardId(version.txid), %error, "broadcast is not confirmed; it is sent again");
        }
        Ok(())
    }

    async fn open_payouts(&self) -> Result<Vec<OpenPayout>, Trouble> {
        let asset = self.asset;
        Ok(self.pool.order(move |books, _, _| Ok(books.open_payouts(asset))).await?)
    }
}

/// The first trouble with the treasury is kept while the work goes on; trouble with the pool itself ends the round.
fn first_of(
    kept: Result<(), Trouble>,
    next: Result<(), Trouble>,
) -> Result<Result<(), Trouble>, Trouble> {
    match (kept, next) {
        (_, Err(Trouble::Pool(refused))) => Err(Trouble::Pool(refused)),
        (Err(first), _) => Ok(Err(first)),
        (Ok(()), next) => Ok(next),
    }
}

enum Trouble {
    Treasury(TreasuryError),
    Pool(Refused),
}

impl From<TreasuryError> for Trouble {
    fn from(error: TreasuryError) -> Self {
        Trouble::Treasury(error)
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        match refused {
            // A rule that says no is something to tell the operator, not the end of the cashier.
            Refused::Rule(text) => Trouble::Treasury(TreasuryError::Refuses(text)),
            other => Trouble::Pool(other),
        }
    }
}

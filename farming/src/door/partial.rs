//! `POST /partial`: from a proof to a share.
//!
//! Invariant: the door's row is on disk before the pool's log has the share, so that nothing is credited that is not looked at
//! again; the answer comes after both.

use super::Door;
use super::harvesters::{Harvester, Landed};
use crate::farmer::{Farmer, held};
use crate::reject::Reject;
use crate::rows;
use crate::rows::partials::Pending;
use crate::verify::{self, Given, Weighed};
use crate::wire::answer::Accepted;
use crate::wire::partial::Submission;
use accounting::{AccountId, RateId, Share, UnixMs, WorkerId};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

impl Door {
    /// Judges a partial that arrived at this time, and records it.
    ///
    /// # Errors
    /// Why not.
    pub async fn partial(
        &self,
        submission: Submission,
        received: UnixMs,
    ) -> Result<Accepted, Reject> {
        let harvester =
            Harvester { launcher_id: submission.launcher_id, id: submission.harvester_id };
        let judged = self.judged(submission, received).await;
        if let Err(reject) = judged {
            self.harvesters.refused(harvester, reject);
        }
        judged
    }

    async fn judged(&self, submission: Submission, received: UnixMs) -> Result<Accepted, Reject> {
        let farmer = self.farmers.get(&submission.launcher_id)?;
        self.wanted(&submission.launcher_id)?;
        if self.paused.borrow().is_some() {
            return Err(Reject::Paused);
        }
        let standing = self.standing()?;
        let authentication = {
            let farmer = held(&farmer);
            farmer.admit(&self.settings.terms, standing.height)?;
            verify::introduce(&submission, &farmer.contract_hash, self.settings.timeout, received)?;
            farmer.key
        };
        let (submission, signage, is_signed) = match self.signages.known(&submission.point) {
            Some(known) => (submission, known?, false),
            // Nobody makes us ask the node who cannot sign: everything so far is public.
            None => {
                let signed =
                    move || verify::signed(&submission, &authentication).map(|()| submission);
                let submission = self.verifiers.run(signed).await??;
                let signage =
                    self.signages.look(&submission.point, &submission.launcher_id).await?;
                (submission, signage, true)
            }
        };
        let told = held(&farmer).difficulty.at(signage.appeared);
        let difficulty = told.unwrap_or_else(|| self.settings.policy.clamp(0));
        let network = self.nodes.network().clone();
        let time_limit_ms = self.settings.time_limit_ms;
        let judged = self.verifiers.run(move || {
            let given =
                Given { network: &network, height: standing.height, time_limit_ms, received };
            let weighed = verify::weigh(&submission, &given, &signage, difficulty)?;
            let wins = verify::iterations(
                &network,
                &weighed.quality,
                submission.point.hash(),
                submission.proof.size,
                standing.difficulty,
            ) < standing.sub_slot_iters / u64::from(network.signage_points);
            if !is_signed {
                verify::signed(&submission, &authentication)?;
            }
            Ok((submission, weighed, wins))
        });
        let (submission, weighed, wins) = judged.await??;
        self.record(&submission, &weighed, &farmer, received).await?;
        if wins {
            self.stats.winners.fetch_add(1, Ordering::Relaxed);
            tracing::info!(launcher = %submission.launcher_id, point = %submission.point.hash(), "a partial should have won a block");
        }
        self.stats.accepted.fetch_add(1, Ordering::Relaxed);
        self.landed(&submission, &weighed, &farmer, received).await
    }

    async fn record(
        &self,
        submission: &Submission,
        weighed: &Weighed,
        farmer: &Mutex<Farmer>,
        received: UnixMs,
    ) -> Result<(), Reject> {
        let pending = Pending {
            key: weighed.key,
            launcher_id: submission.launcher_id,
            point: submission.point,
            difficulty: weighed.weight.get(),
            at: received,
            seq: None,
        };
        let (row, harvester) = (pending.clone(), submission.harvester_id);
        let due_at = UnixMs(received.0.saturating_add(self.settings.confirm_after_ms));
        let is_new = self.written(move |db| rows::partials::insert(db, &row, &harvester, due_at));
        if !is_new.await? {
            return Err(Reject::Duplicate);
        }
        self.log(&pending, farmer).await
    }

    /// Hands a partial whose row is on disk to the pool; done again after a crash, it changes nothing.
    pub(crate) async fn log(
        &self,
        pending: &Pending,
        farmer: &Mutex<Farmer>,
    ) -> Result<(), Reject> {
        let (account, worker) = self.account(farmer).await?;
        let weight = accounting::Weight::new(pending.difficulty).ok_or(Reject::NotGoodEnough)?;
        let share = Share {
            pool: self.pool_id,
            account,
            worker,
            weight,
            rate: RateId::default(),
            found_at: pending.at,
            key: pending.key,
        };
        let recorded = self.pool.record_once(share).await.map_err(|error| {
            tracing::warn!(%error, "a partial waits to be recorded");
            Reject::NotRecorded
        })?;
        let (key, seq) = (pending.key, recorded.seq);
        // Not waited for: what is not noted is recorded again, which changes nothing.
        let noted = self.tables.later(move |db| rows::partials::recorded(db, &key, seq)).await;
        noted.map_err(|_| Reject::NotRecorded)
    }

    pub(super) async fn account(
        &self,
        farmer: &Mutex<Farmer>,
    ) -> Result<(AccountId, WorkerId), Reject> {
        let launcher_id = {
            let farmer = held(farmer);
            if let Some(account) = farmer.account {
                return Ok(account);
            }
            farmer.contract.launcher_id
        };
        let display = launcher_id.to_string();
        let enrolled =
            self.pool.enrol(self.identity(&launcher_id), display, "farm".to_owned()).await;
        let account = enrolled.map_err(|error| {
            tracing::warn!(%error, "a farmer waits for its account");
            Reject::NotRecorded
        })?;
        held(farmer).account = Some(account);
        Ok(account)
    }

    async fn landed(
        &self,
        submission: &Submission,
        weighed: &Weighed,
        farmer: &Mutex<Farmer>,
        received: UnixMs,
    ) -> Result<Accepted, Reject> {
        let (now, difficulty) = (self.clock.now(), weighed.weight.get());
        self.seen(submission, weighed, held(farmer).account, received);
        let (new_difficulty, is_news) = {
            let mut farmer = held(farmer);
            farmer.points.add(difficulty, received);
            farmer.difficulty.land(difficulty, now, &self.settings.policy);
            farmer.difficulty.review(&self.settings.policy, now);
            farmer.difficulty.tell(now)
        };
        let news = is_news.then_some(new_difficulty);
        self.write_told(submission.launcher_id, now, news).await?;
        Ok(Accepted { new_difficulty })
    }

    /// Counts an accepted partial on its harvester's meter.
    fn seen(
        &self,
        submission: &Submission,
        weighed: &Weighed,
        ids: Option<(AccountId, WorkerId)>,
        at: UnixMs,
    ) {
        let Some(ids) = ids else { return };
        let (launcher_id, id) = (submission.launcher_id, submission.harvester_id);
        let difficulty = weighed.weight.get();
        let spare = self.nodes.network().iters_limit() as f64 / weighed.iters as f64;
        let landed = Landed { difficulty, reached: difficulty as f64 * spare, at, ids };
        let of = (self.pool_id, self.identity(&launcher_id));
        self.harvesters.landed(self.pool.noise(), of, Harvester { launcher_id, id }, landed);
    }
}

//! Everybody who mines: accounts, their machines, and their shares, by chance and all alike.

use super::Size;
use crate::bench::connection::address;
use crate::bench::web::paths::Dice;
use accounting::{AccountId, Identity, PoolId, RateId, Share, ShareKey, UnixMs, Weight, WorkerId};
use anyhow::Context;
use pool::Pool;
use pool::door::Recording;
use pool::observe::{Machine, Meter};
use std::collections::VecDeque;
use std::sync::Arc;
use stratum::coin::Coin;
use stratum::coin::address::identity_of;
use tokio::task::JoinSet;

/// Machines that are enrolled at once.
const ENROLLED_AT_ONCE: usize = 1000;
/// Shares that wait for the disk at a time.
const WAITING_MAX: usize = 16_384;
/// One share in so many is refused.
const REFUSED_EVERY: u64 = 200;

/// All of them.
pub struct Miners {
    pool: PoolId,
    machines: Vec<OneMachine>,
}

struct OneMachine {
    machine: Machine,
    display: String,
    ids: (AccountId, WorkerId),
    meter: Arc<Meter>,
}

impl Miners {
    /// Enrols each, as its first share does.
    ///
    /// # Errors
    /// When the writer refuses.
    pub async fn enrol(
        to: &Pool,
        pool: PoolId,
        coin: Coin,
        size: &Size,
        now: UnixMs,
    ) -> anyhow::Result<Self> {
        let known = (0..size.accounts).map(|account| {
            let display = address(account);
            Ok((Arc::new(identity_of(&display, coin)?), display))
        });
        let known: Vec<(Arc<Identity>, String)> = known.collect::<anyhow::Result<_>>()?;
        let mut machines = Vec::with_capacity(size.workers);
        let numbers: Vec<usize> = (0..size.workers).collect();
        for some in numbers.chunks(ENROLLED_AT_ONCE) {
            let mut enrolling = JoinSet::new();
            for n in some {
                let (identity, display) = &known[n % size.accounts];
                let worker = size.name_of(*n);
                let (to, identity, display) = (to.clone(), identity.clone(), display.clone());
                enrolling.spawn(async move {
                    let asked = to.enrol((*identity).clone(), display.clone(), worker.clone());
                    asked.await.map(|ids| (identity, display, worker, ids))
                });
            }
            while let Some(enrolled) = enrolling.join_next().await {
                let (identity, display, worker, ids) = enrolled??;
                let machine = Machine { pool, identity, worker: worker.into() };
                let meter = to.noise().meter(machine.clone(), now);
                let meter =
                    meter.context("there is room for all machines: ask for fewer workers")?;
                meter.count(|counts| {
                    counts.ids = Some(ids);
                    counts.display = display.as_str().into();
                    counts.agent = "cgminer/4.12.1".into();
                });
                machines.push(OneMachine { machine, display, ids, meter });
            }
        }
        Ok(Miners { pool, machines })
    }

    /// So many shares by whoever has the luck; returns when all are durable.
    ///
    /// # Errors
    /// When the writer refuses one.
    pub async fn mine(
        &self,
        to: &Pool,
        shares: u64,
        weight: Weight,
        dice: &mut Dice,
        now: UnixMs,
    ) -> anyhow::Result<()> {
        let mut waiting: VecDeque<Recording> = VecDeque::new();
        for _ in 0..shares {
            let one = self.by_chance(dice);
            let (account, worker) = one.ids;
            let key = [dice.roll(), dice.roll(), dice.roll(), dice.roll()];
            let mut bytes = [0; 32];
            bytes
                .chunks_exact_mut(8)
                .zip(key)
                .for_each(|(to, from)| to.copy_from_slice(&from.to_be_bytes()));
            let (pool, rate, key) = (self.pool, RateId::default(), ShareKey(bytes));
            let share = Share { pool, account, worker, weight, rate, found_at: now, key };
            waiting.push_back(to.record(vec![share]).await?);
            // A share is as good as one over a number by chance.
            let luck = u64::MAX as f64 / dice.roll().max(1) as f64;
            let work = u128::from(weight.get());
            one.meter.count(|counts| {
                counts.accepted(1, work, weight.get() as f64 * luck, now);
                if dice.below(REFUSED_EVERY) == 0 {
                    counts.refused("stale");
                }
            });
            if waiting.len() >= WAITING_MAX
                && let Some(mut oldest) = waiting.pop_front()
            {
                oldest.durable().await?;
            }
        }
        for mut recording in waiting {
            recording.durable().await?;
        }
        Ok(())
    }

    /// Somebody: identity, address and machine.
    pub fn anybody(&self, dice: &mut Dice) -> (Identity, String, String) {
        let one = self.by_chance(dice);
        ((*one.machine.identity).clone(), one.display.clone(), one.machine.worker.to_string())
    }

    fn by_chance(&self, dice: &mut Dice) -> &OneMachine {
        &self.machines[dice.below(self.machines.len() as u64) as usize]
    }
}

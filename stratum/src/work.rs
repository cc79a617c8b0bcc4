//! From templates to jobs: one task a pool.
//!
//! Invariant: a rate is declared to the writer before any job that names it is handed out; a job that pays miners itself pays what the
//! ledger said when it was made, every block found before it booked.

use crate::block::Blocks;
use crate::by_block::{self, Committed};
use crate::coin::{Coin, Family};
use crate::ether::headers::Headers;
use crate::job::{JobMaker, JobTerms, Pays};
use crate::member::{Following, Planned};
use crate::source::Offer;
use crate::template::Template;
use accounting::rate::Rate;
use accounting::{Amount, PoolId, Scheme};
use pool::{Clock, Pool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The expected fees follow the templates' with this weight (one in so many).
const FEES_SMOOTHING: u64 = 16;
/// A rate is kept while the value it stands for is within one part in so many.
const RATE_GRAIN: i128 = 200;

/// Expected fees beyond so many subsidies are not believed: no chain has had them for long, and what is bought is paid for.
const FEES_MOST: u64 = 4;

/// When the ledger is asked again that could not say whom to pay.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The reader of a coordination-free pool's blocks is waited for so long before work is withdrawn.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// A found block is in the books within so long, or something is wrong with them.
const BOOKED_WITHIN: Duration = Duration::from_secs(5);

/// For which pool work is made.
pub struct Workplace {
    /// The ledger.
    pub pool: Pool,
    /// The pool.
    pub pool_id: PoolId,
    /// What it mines.
    pub coin: Coin,
    /// Where its blocks go.
    pub blocks: Arc<Blocks>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Turns offers into a pool's jobs until cancelled.
pub async fn run(
    mut maker: JobMaker,
    mut offers: watch::Receiver<Offer>,
    place: Workplace,
    mut paused: watch::Receiver<Option<String>>,
    cancel: CancellationToken,
) {
    let Workplace { pool, pool_id, coin, clock, .. } = &place;
    let mut pricing = Pricing::of(*coin);
    let (mut announced, mut trouble) = (0, None);
    let mut headers = None;
    if coin.family() == Family::Ethash {
        let Ok(opened) = Headers::open(pool.clone(), *pool_id).await else { return };
        headers = Some(opened);
    }
    loop {
        let pause = paused.borrow_and_update().clone();
        let offer = offers.borrow_and_update().clone();
        let offer = match pause {
            Some(reason) => Offer::Later(format!("the operator paused this pool: {reason}")),
            None => offer,
        };
        let offer = match (offer, &mut headers) {
            (Offer::Template(template), Some(headers)) => {
                may_be_handed_out(template, &maker, headers).await
            }
            (offer, _) => offer,
        };
        match offer {
            Offer::Template(template) => {
                let work = template.target.work().as_u128().unwrap_or(u128::MAX);
                if work != announced {
                    announced = work;
                    let pool_id = *pool_id;
                    let told = pool
                        .order(move |books, _, _| {
                            books.set_network_work(pool_id, work);
                            Ok(())
                        })
                        .await;
                    if let Err(error) = told {
                        tracing::debug!(%error, "the writer does not know the network's work yet");
                    }
                }
                let rate = pricing.rate(maker.rules().scheme, &template, work);
                if let Some(rate) = rate
                    && pool.declare(rate).await.is_err()
                {
                    return;
                }
                match place.terms(&maker.rules().pays, &template, work).await {
                    Ok(terms) => {
                        trouble = None;
                        let terms = JobTerms { rate, ..terms };
                        let job = maker.publish(template, terms, clock.now());
                        tracing::debug!(
                            job = job.no,
                            height = job.template.height,
                            coinbase_only = job.template.coinbase_only,
                            "new job"
                        );
                    }
                    Err(reason) if trouble.as_ref() == Some(&reason) => {}
                    Err(reason) => {
                        tracing::error!(reason, "no work is handed out");
                        maker.withdraw(clock.now());
                        trouble = Some(reason);
                    }
                }
            }
            Offer::Waiting => {}
            Offer::Later(reason) => {
                tracing::info!(reason, "no work is handed out for now");
                maker.withdraw(clock.now());
            }
            Offer::None(reason) => {
                tracing::error!(reason, "no work is handed out");
                maker.withdraw(clock.now());
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = offers.changed() => if changed.is_err() { return },
            changed = paused.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(ASK_AGAIN), if trouble.is_some() => {}
        }
    }
}

impl Workplace {
    /// What a job made from this template pays others than the pool. An error says why no work can be handed out.
    async fn terms(
        &self,
        pays: &Pays,
        template: &Template,
        network_work: u128,
    ) -> Result<JobTerms, String> {
        if let Pays::Member { script, following } = pays {
            let planned = self.planned(following, script, template).await?;
            return Ok(JobTerms { planned, ..JobTerms::default() });
        }
        let committed = self.committed(pays, template, network_work).await?;
        Ok(JobTerms { committed, ..JobTerms::default() })
    }

    /// What the rule of a coordination-free pool pays. Its reader hears of a new block when this does, and reads it meanwhile; where
    /// it takes longer there is no work, as without a node: a coinbase by an older state would pay others and qualify for nothing.
    async fn planned(
        &self,
        following: &Following,
        script: &[u8],
        template: &Template,
    ) -> Result<Option<Arc<Planned>>, String> {
        if template.enforced.is_ok() && template.height >= u64::from(following.rule.start) {
            let ready = tokio::time::timeout(READ_WITHIN, following.ready_for(template)).await;
            tracing::trace!(in_time = ready.is_ok(), "the rule's reader was waited for");
        }
        let planned = following.plan(template, script).map_err(|error| error.to_string())?;
        Ok(planned.map(Arc::new))
    }

    /// What a job made from this template pays miners itself; none where its pool is paid alone. An error says why no work can be
    /// handed out.
    async fn committed(
        &self,
        pays: &Pays,
        template: &Template,
        network_work: u128,
    ) -> Result<Option<Arc<Committed>>, String> {
        let Pays::Window { rules, .. } = pays else { return Ok(None) };
        by_block::allowed(rules, template).map_err(|error| error.to_string())?;
        self.wait_for_the_books().await?;
        let pool_id = self.pool_id;
        let basis = self
            .pool
            .order(move |books, store, now| books.basis(store, pool_id, network_work, now))
            .await
            .map_err(|error| format!("the ledger does not say whom blocks pay: {error}"))?;
        let Some(basis) = basis else { return Ok(None) };
        let committed = by_block::commit(rules, &basis, template);
        Ok(committed.map_err(|error| error.to_string())?.map(Arc::new))
    }

    /// A round that a block has just paid must be over before the next work commits to one.
    async fn wait_for_the_books(&self) -> Result<(), String> {
        match self.blocks.all_booked(BOOKED_WITHIN).await {
            true => Ok(()),
            false => Err("a found block is not in the books yet".to_owned()),
        }
    }
}

/// A header that a node gives to everybody: whether it may be handed out, and if so it is on disk.
async fn may_be_handed_out(
    template: Arc<Template>,
    maker: &JobMaker,
    headers: &mut Headers,
) -> Offer {
    let Some(work) = &template.work else { return Offer::Template(template) };
    if maker.knows(&work.header) {
        return Offer::Template(template);
    }
    if headers.know(&work.header) {
        let text = "the node's work was handed out before, and what was credited for it is not known any more: waiting for newer";
        return Offer::Later(text.to_owned());
    }
    match headers.note(work.header).await {
        Ok(()) => Offer::Template(template),
        Err(refused) => Offer::None(format!("new work cannot be noted: {refused}")),
    }
}

/// What a share is bought at.
struct Pricing {
    coin: Coin,
    fees: Option<u64>,
    rate: Option<Rate>,
}

impl Pricing {
    fn of(coin: Coin) -> Self {
        Pricing { coin, fees: None, rate: None }
    }

    fn rate(&mut self, scheme: Scheme, template: &Template, network_work: u128) -> Option<Rate> {
        if !template.coinbase_only {
            let before = self.fees.unwrap_or(template.fees);
            let sum =
                u128::from(before) * u128::from(FEES_SMOOTHING - 1) + u128::from(template.fees);
            self.fees = u64::try_from(sum / u128::from(FEES_SMOOTHING)).ok();
        }
        let said = if template.coinbase_only {
            template.coinbase_value
        } else {
            template.coinbase_value.saturating_sub(template.fees)
        };
        // What is bought is paid for good: a node that promises more than the chain gives is not believed.
        let subsidy = said.min(self.coin.subsidy(template.height));
        let value = match scheme {
            Scheme::Pps => subsidy,
            Scheme::Fpps => subsidy.saturating_add(self.fees.unwrap_or(0).min(subsidy * FEES_MOST)),
            Scheme::Solo { .. }
            | Scheme::Prop
            | Scheme::Pplns(_)
            | Scheme::Tides
            | Scheme::Budget { .. } => return None,
        };
        let value = Amount::from_units(value.into());
        let kept = self.rate.filter(|rate| {
            let off = (rate.value.units() - value.units()).abs() * RATE_GRAIN;
            rate.network_work == network_work && off <= value.units()
        });
        self.rate = Some(kept.unwrap_or(Rate { network_work, value }));
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coin::Network;
    use crate::job::tests::template;

    fn new_pricing() -> Pricing {
        Pricing::of(Coin::new(Family::Bitcoin, Network::Main).unwrap())
    }

    #[test]
    fn a_node_that_promises_more_than_the_chain_gives_does_not_sell_the_bankroll() {
        let lie = Template { coinbase_value: 500_000_000_000, fees: 0, ..template() };
        let most = |scheme, template: &Template| {
            new_pricing().rate(scheme, template, 7).unwrap().value.units()
        };
        assert_eq!(most(Scheme::Pps, &lie), 5_000_000_000);
        let fees = Template { coinbase_value: u64::MAX, fees: u64::MAX, ..template() };
        assert!(most(Scheme::Fpps, &fees) <= 25_000_000_000);
    }

    #[test]
    fn pps_buys_the_subsidy_and_fpps_the_expected_fees_too() {
        let with_fees =
            |fees| Template { fees, coinbase_value: 5_000_000_000 + fees, ..template() };
        let mut pricing = new_pricing();
        assert_eq!(
            pricing.rate(Scheme::Pps, &with_fees(100_000_000), 7).unwrap().value.units(),
            5_000_000_000
        );
        let mut pricing = new_pricing();
        assert_eq!(
            pricing.rate(Scheme::Fpps, &with_fees(100_000_000), 7).unwrap().value.units(),
            5_100_000_000
        );
        let first = pricing.rate(Scheme::Fpps, &with_fees(110_000_000), 7);
        assert_eq!(
            first,
            pricing.rate(Scheme::Fpps, &with_fees(90_000_000), 7),
            "small changes keep the rate"
        );
        let empty = Template { coinbase_only: true, fees: 0, ..template() };
        assert_eq!(
            pricing.rate(Scheme::Fpps, &empty, 7),
            first,
            "a job without transactions is paid as any other"
        );
        assert_ne!(
            pricing.rate(Scheme::Fpps, &empty, 8),
            first,
            "another difficulty is another rate"
        );
        assert_eq!(new_pricing().rate(Scheme::Tides, &empty, 7), None);
    }
}

//! Closing an epoch: its budget becomes a reward of the ledger, divided by the work of the epoch, and the report says what was
//! booked.
//!
//! Invariant: the ledger divides, once; the report follows from the ledger's reward and is checked against it before it is
//! signed. A crash in between is taken up where it was: the reward of an epoch has one name.

use super::Door;
use super::ledger::{Known, Ledger, Untold};
use crate::epoch::{self, EpochNo, Report, Tally, Terms};
use crate::key::PublicKey;
use crate::reputation::Reputation;
use crate::tables::epochs::Closed;
use accounting::reward::Reward;
use accounting::{AccountId, Amount, BasisPoints, RewardId, Scheme};
use pool::BlockReport;
use sha2::{Digest, Sha256};
use store::Reader;

impl Door {
    /// Closes an epoch that is over and of which the ledger knows everything.
    pub(super) async fn close(&self, epoch: EpochNo, known: &mut Known) -> Result<(), Untold> {
        let budget = self.settings.budget;
        let length_s = budget.length_s;
        let (terms, earners) = self
            .office
            .step(None, move |_, tables| {
                let found = (tables.terms(epoch, &budget)?, tables.earners(epoch, length_s)?);
                Ok((found, vec![]))
            })
            .await?;
        let report = match earners.first() {
            None => epoch::close(epoch, &terms, &[]),
            Some(first) => {
                let block = self.reward_of(epoch);
                if self.settings.ledger.reward(block).await?.is_none() {
                    self.book(epoch, &terms, (*first, &earners), known).await?;
                }
                let reward = self.settings.ledger.reward(block).await?;
                self.report(epoch, reward.ok_or(Untold::Differs(epoch.0))?).await?
            }
        };
        let signature = report.signed(&self.settings.own);
        let (miners, carry) = (report.lines.len(), report.carry);
        let closed = Closed { report, signature };
        self.office
            .step(None, move |_, tables| Ok((tables.keep_epoch(&closed, length_s)?, vec![])))
            .await?;
        tracing::info!(epoch = epoch.0, miners, %carry, "an epoch is closed");
        Ok(())
    }

    /// The name of an epoch's reward in the ledger.
    fn reward_of(&self, epoch: EpochNo) -> RewardId {
        let hash = Sha256::new()
            .chain_update("adit epoch")
            .chain_update(self.own().bytes())
            .chain_update(epoch.0.to_be_bytes());
        RewardId(hash.finalize().into())
    }

    /// Gives the ledger the budget to divide. Who earned most stands for who found it.
    async fn book(
        &self,
        epoch: EpochNo,
        terms: &Terms,
        (first, earners): (PublicKey, &[PublicKey]),
        known: &mut Known,
    ) -> Result<(), Untold> {
        let ledger = &self.settings.ledger;
        let mut accounts = Vec::with_capacity(earners.len());
        for miner in earners {
            accounts.push((ledger.account(miner, known).await?.0, *miner, Reputation(0)));
        }
        let tallies = self.owned(epoch, accounts).await?;
        let scheme = Scheme::Budget { cap: terms.cap };
        let report = BlockReport {
            pool: ledger.pot,
            finder: ledger.identity(&first),
            display: first.to_string(),
            worker: String::new(),
            block: self.reward_of(epoch),
            height: epoch.0,
            to_pool: terms.budget,
            to_miners: Amount::ZERO,
            commitment: None,
            coinbase_fee: BasisPoints::ZERO,
            // Every epoch is one round of its own work.
            network_work: 1,
            scheme,
            share: None,
            budget: Some(epoch::budget(terms, &tallies)),
            member: None,
            found_at: self.clock.now(),
        };
        Ok(ledger.pool.found(report).await?)
    }

    /// Whom these miners belonged to at the end of an epoch.
    async fn owned(
        &self,
        epoch: EpochNo,
        accounts: Vec<(AccountId, PublicKey, Reputation)>,
    ) -> Result<Vec<Tally>, Untold> {
        let end_s = epoch.ends_at_s(self.settings.budget.length_s);
        let step = move |_: &mut crate::desk::Desk, tables: &crate::tables::Tables| {
            let mut tallies = Vec::with_capacity(accounts.len());
            for (account, miner, reputation) in accounts {
                let owner = tables.owner(&miner, end_s)?;
                tallies.push(Tally { miner, account, owner, reputation });
            }
            Ok((tallies, vec![]))
        };
        Ok(self.office.step(None, step).await?)
    }

    /// What the ledger booked, in the words of this door.
    async fn report(&self, epoch: EpochNo, reward: Reward) -> Result<Report, Untold> {
        let differs = || Untold::Differs(epoch.0);
        let (Some(budget), Some(window), Scheme::Budget { cap }) =
            (&reward.budget, &reward.window, reward.scheme)
        else {
            return Err(differs());
        };
        let rows = window.rows.clone();
        let named = self
            .office
            .step(None, move |_, tables| {
                let mut named = Vec::with_capacity(rows.len());
                for (account, work) in rows {
                    named.push((account, tables.miner_of(account)?, work));
                }
                Ok((named, vec![]))
            })
            .await?;
        let mut accounts = Vec::with_capacity(named.len());
        for (account, miner, work) in named {
            let reputation = u64::try_from(work).map_err(|_| differs())?;
            accounts.push((account, miner.ok_or_else(differs)?, Reputation(reputation)));
        }
        let tallies = self.owned(epoch, accounts).await?;
        let terms = Terms { budget: budget.total, fee: budget.fee, cap };
        let report = epoch::close(epoch, &terms, &tallies);
        report.agrees_with(&reward)?;
        Ok(report)
    }
}

impl Ledger {
    /// A reward as it was frozen.
    async fn reward(&self, id: RewardId) -> Result<Option<Reward>, Untold> {
        let store = self.store.clone();
        let found = tokio::task::spawn_blocking(move || Reader::open(&store)?.reward(id)).await;
        let found = found.map_err(|_| pool::Refused::Stopping)??;
        Ok(found.map(|(reward, _)| reward))
    }
}

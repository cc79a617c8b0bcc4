//! Telling the ledger: each earning becomes a share of the pool, each one taken back a revocation, each coldkey a destination.
//!
//! The tables remember what was told. An earning whose fate is not known is told again; its key makes that the same share.
//! Invariant: nothing is told that is not on disk here, and nothing that is on disk is told to be forgotten.

use super::Door;
use crate::desk::Desk;
use crate::epoch::{Disagreement, EpochNo};
use crate::fact::Earning;
use crate::key::PublicKey;
use crate::office::Closed;
use crate::tables::Tables;
use crate::tables::owners::Recipient;
use accounting::{
    AccountId, AssetId, Identity, IdentityKind, PoolId, RateId, Share, ShareKey, ShareSeq, UnixMs,
    Weight, WorkerId,
};
use pool::observe::Machine;
use pool::{Pool, Refused};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Facts told together.
const BATCH: usize = 256;
/// How often it looks for something to tell.
const LOOK: Duration = Duration::from_millis(500);
/// How long after its end an epoch is closed: what was being decided then is on disk.
const SETTLING_S: u64 = 2;
/// Accounts whose numbers are remembered.
const KNOWN_MAX: usize = 100_000;

/// The pool that earnings go to. It must know its keys (`PoolConfig::knows_keys`).
#[derive(Clone)]
pub struct Ledger {
    /// The writer.
    pub pool: Pool,
    /// Which pot.
    pub pot: PoolId,
    /// Its money.
    pub asset: AssetId,
    /// The network that hotkeys belong to, such as `bittensor/finney`.
    pub network: String,
    /// The store's folder, for reading what was booked.
    pub store: PathBuf,
}

/// Why telling stopped for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untold {
    #[error(transparent)]
    Here(#[from] Closed),
    #[error(transparent)]
    There(#[from] Refused),
    #[error("the ledger cannot be read: {0}")]
    Unread(#[from] store::StoreError),
    #[error("the ledger's reward of epoch {0} is no epoch's; see `adit audit`")]
    Differs(u64),
    #[error("{0}; see `adit audit`")]
    Disagrees(#[from] Disagreement),
}

/// Miners' numbers in the ledger, as far as they were asked for.
pub(super) type Known = HashMap<PublicKey, (AccountId, WorkerId)>;

/// One taken back: its key, its position in the ledger, and why.
type Revocation = ([u8; 32], u64, String);

impl Door {
    /// Tells the ledger what is earned and closes epochs that are over, until cancelled. What is not told by then is told after
    /// the next start.
    pub(super) async fn tell(self: Arc<Self>, cancel: CancellationToken) {
        let mut known = Known::new();
        loop {
            match self.tell_some(&mut known).await {
                Ok(0) => {}
                Ok(_) if !cancel.is_cancelled() => continue,
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "the ledger could not be told what was earned")
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// One epoch after the other, so that the round of work that an epoch's budget is divided by in the ledger is that epoch's.
    async fn tell_some(&self, known: &mut Known) -> Result<usize, Untold> {
        let (now_s, length_s) = (self.now_s(), self.settings.budget.length_s);
        let (epoch, facts, coldkeys) = self
            .office
            .step(None, move |_, tables| {
                let epoch = tables.first_epoch(EpochNo::at(now_s, length_s))?;
                let earnings = tables.untold(BATCH, epoch.ends_at_s(length_s))?;
                let facts = (earnings, tables.untold_revocations(BATCH)?);
                Ok(((epoch, facts, tables.untold_coldkeys(BATCH)?), vec![]))
            })
            .await?;
        let count = facts.0.len() + facts.1.len() + coldkeys.len();
        self.tell_facts(facts, known).await?;
        self.tell_coldkeys(coldkeys).await?;
        if count == 0 && now_s >= epoch.ends_at_s(length_s) + SETTLING_S {
            self.close(epoch, known).await?;
            return Ok(1);
        }
        Ok(count)
    }

    async fn tell_facts(
        &self,
        (earnings, revocations): (Vec<Earning>, Vec<Revocation>),
        known: &mut Known,
    ) -> Result<(), Untold> {
        let ledger = &self.settings.ledger;
        let (mut told, mut accounts) = (JoinSet::new(), Vec::new());
        for earning in earnings {
            let who = ledger.account(&earning.miner, known).await?;
            accounts.push((earning.miner, who.0));
            let Some(share) = ledger.share(&earning, who) else { continue };
            let pool = ledger.pool.clone();
            told.spawn(async move { (earning, who, pool.record_once(share).await) });
        }
        let mut positions = Vec::new();
        while let Some(answer) = told.join_next().await {
            let (earning, who, recorded) = answer.map_err(|_| Refused::Stopping)?;
            positions.push((earning.key, recorded?.seq.0));
            ledger.count(&earning, who);
        }
        for (key, position, reason) in &revocations {
            match ledger.pool.revoke(ShareSeq(*position), reason.clone()).await {
                // It is revoked already: we died between telling and noting.
                Ok(()) | Err(Refused::Rule(_)) => {}
                Err(error) => return Err(error.into()),
            }
            tracing::debug!(
                position,
                key = crate::tables::write::hex(key),
                "a share was taken back"
            );
        }
        let taken_back: Vec<[u8; 32]> = revocations.into_iter().map(|(key, ..)| key).collect();
        self.office
            .step(None, move |_, tables| {
                for (miner, account) in &accounts {
                    tables.note_account(miner, *account)?;
                }
                positions.iter().try_for_each(|(key, position)| tables.told(key, *position))?;
                taken_back.iter().try_for_each(|key| tables.revocation_told(key))?;
                Ok(((), vec![]))
            })
            .await?;
        Ok(())
    }

    /// Where payouts go, from the moment that this door has decided.
    async fn tell_coldkeys(
        &self,
        coldkeys: Vec<(u64, AccountId, Recipient)>,
    ) -> Result<(), Untold> {
        for (no, account, Recipient { coldkey, from_s }) in coldkeys {
            let from = UnixMs(from_s * 1000);
            self.settings
                .ledger
                .pool
                .order(move |books, _, _| {
                    let (bytes, display) = (coldkey.bytes().to_vec(), coldkey.to_string());
                    books.name_destination(account, bytes, display, from);
                    Ok(())
                })
                .await?;
            let noted = move |_: &mut Desk, tables: &Tables| Ok((tables.coldkey_told(no)?, vec![]));
            self.office.step(None, noted).await?;
        }
        Ok(())
    }
}

impl Ledger {
    /// A hotkey, as the ledger names it.
    pub(super) fn identity(&self, miner: &PublicKey) -> Identity {
        Identity {
            kind: IdentityKind::PublicKey,
            network: self.network.clone(),
            bytes: miner.bytes().to_vec(),
        }
    }

    pub(super) async fn account(
        &self,
        miner: &PublicKey,
        known: &mut Known,
    ) -> Result<(AccountId, WorkerId), Refused> {
        if let Some(who) = known.get(miner) {
            return Ok(*who);
        }
        let who = self.pool.enrol(self.identity(miner), miner.to_string(), String::new()).await?;
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(*miner, who);
        Ok(who)
    }

    /// Counts an earning on its miner's meter, for the pages.
    fn count(&self, earning: &Earning, ids: (AccountId, WorkerId)) {
        let identity = Arc::new(self.identity(&earning.miner));
        let machine = Machine { pool: self.pot, identity, worker: "".into() };
        let at = UnixMs(earning.at_s * 1000);
        let Some(meter) = self.pool.noise().meter(machine, at) else { return };
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let worth = earning.weight.0 as f64;
        meter.count(|counts| {
            if counts.display.is_empty() {
                counts.display = earning.miner.to_string().into();
            }
            counts.ids = Some(ids);
            counts.accepted(1, earning.weight.0.into(), worth, at);
        });
    }

    fn share(&self, earning: &Earning, (account, worker): (AccountId, WorkerId)) -> Option<Share> {
        Some(Share {
            pool: self.pot,
            account,
            worker,
            weight: Weight::new(earning.weight.0)?,
            rate: RateId::default(),
            found_at: UnixMs(earning.at_s * 1000),
            key: ShareKey(earning.key),
        })
    }
}

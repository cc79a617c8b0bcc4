//! Telling the ledger: each earning becomes a share of the pool, each withdrawal a revocation.
//!
//! The tables remember what was told. An earning whose fate is not known is told again; its key makes that the same share.
//! Invariant: nothing is told that is not on disk here, and nothing that is on disk is told to be forgotten.

use super::Door;
use crate::fact::Earning;
use crate::key::PublicKey;
use crate::office::Closed;
use accounting::{
    AccountId, Identity, IdentityKind, PoolId, RateId, Share, ShareKey, UnixMs, Weight, WorkerId,
};
use pool::{Pool, Refused};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Facts told together.
const BATCH: usize = 256;
/// How often it looks for something to tell.
const LOOK: Duration = Duration::from_millis(500);
/// Accounts whose numbers are remembered.
const KNOWN_MAX: usize = 100_000;

/// The pool that earnings go to. It must know its keys (`PoolConfig::knows_keys`).
#[derive(Clone)]
pub struct Ledger {
    /// The writer.
    pub pool: Pool,
    /// Which pot.
    pub pot: PoolId,
    /// The network that hotkeys belong to, such as `bittensor/finney`.
    pub network: String,
}

/// Why telling stopped for now.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error(transparent)]
    Here(#[from] Closed),
    #[error(transparent)]
    There(#[from] Refused),
}

impl Door {
    /// Tells the ledger what is earned, until cancelled. What is not told by then is told after the next start.
    pub async fn tell(self: Arc<Self>, ledger: Ledger, cancel: CancellationToken) {
        let mut known = HashMap::new();
        loop {
            match self.tell_some(&ledger, &mut known).await {
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

    async fn tell_some(
        &self,
        ledger: &Ledger,
        known: &mut HashMap<PublicKey, (AccountId, WorkerId)>,
    ) -> Result<usize, Untold> {
        let (earnings, revocations) = self
            .office
            .step(None, |_, tables| {
                Ok(((tables.untold(BATCH)?, tables.untold_revocations(BATCH)?), vec![]))
            })
            .await?;
        let count = earnings.len() + revocations.len();
        let mut told = JoinSet::new();
        for earning in earnings {
            let who = ledger.account(&earning.miner, known).await?;
            let Some(share) = ledger.share(&earning, who) else { continue };
            let pool = ledger.pool.clone();
            told.spawn(async move { (earning.key, pool.record_once(share).await) });
        }
        let mut positions = Vec::new();
        while let Some(answer) = told.join_next().await {
            let (key, recorded) = answer.map_err(|_| Refused::Stopping)?;
            positions.push((key, recorded?.seq.0));
        }
        for (key, position, reason) in &revocations {
            match ledger.pool.revoke(accounting::ShareSeq(*position), reason.clone()).await {
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
                positions.iter().try_for_each(|(key, position)| tables.told(key, *position))?;
                taken_back.iter().try_for_each(|key| tables.revocation_told(key))?;
                Ok(((), vec![]))
            })
            .await?;
        Ok(count)
    }
}

impl Ledger {
    async fn account(
        &self,
        miner: &PublicKey,
        known: &mut HashMap<PublicKey, (AccountId, WorkerId)>,
    ) -> Result<(AccountId, WorkerId), Refused> {
        if let Some(who) = known.get(miner) {
            return Ok(*who);
        }
        let identity = Identity {
            kind: IdentityKind::PublicKey,
            network: self.network.clone(),
            bytes: miner.bytes().to_vec(),
        };
        let who = self.pool.enrol(identity, miner.to_string(), String::new()).await?;
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(*miner, who);
        Ok(who)
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

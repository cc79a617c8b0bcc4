//! `POST` and `PUT /farmer`: who comes in, and what it may change.
//!
//! Invariant: only the key that owns the plot NFT on the chain, now, may speak for it; where money goes changes by nothing else.

use super::Door;
use crate::address::Destination;
use crate::difficulty::Difficulty;
use crate::farmer::{Farmer, held};
use crate::follow::{self, FollowError, Walk};
use crate::hash::Bytes32;
use crate::reject::Reject;
use crate::rows;
use crate::signature;
use crate::singleton::DELAY_MIN_S;
use crate::singleton::lineage::Tip;
use crate::singleton::puzzle::{Contract, p2_singleton_hash};
use crate::watch;
use crate::wire::SignatureBytes;
use crate::wire::answer::{Changed, Welcome};
use crate::wire::farmer::{Post, Put};
use accounting::UnixMs;
use std::sync::Mutex;

/// A farmer may choose a difficulty once in so long.
const WISH_EVERY_MS: u64 = 10 * 60 * 1000;

impl Door {
    /// `POST /farmer`.
    ///
    /// # Errors
    /// Why not.
    pub async fn register(&self, post: &Post) -> Result<Welcome, Reject> {
        let payload = &post.payload;
        let now = self.clock.now();
        self.wanted(&payload.launcher_id)?;
        if self.farmers.get(&payload.launcher_id).is_ok() {
            return Err(Reject::FarmerKnown);
        }
        if !self.settings.timeout.admits(payload.authentication_token, now) {
            return Err(Reject::StaleToken);
        }
        self.destination(&payload.payout_instructions)?;
        let key =
            signature::key(&payload.authentication_public_key).ok_or(Reject::InvalidSignature)?;
        if !self.farmers.has_room() {
            return Err(Reject::Busy);
        }
        let launcher_id = payload.launcher_id;
        let follow = self.followed(launcher_id);
        let (contract, walk) = self.introductions.found(launcher_id, now, follow).await?;
        let peak = self.standing()?.height;
        let tip = &walk.latest;
        self.settings.terms.admit(&tip.state, tip.height, peak).map_err(|_| Reject::NotAMember)?;
        if contract.delay_s < DELAY_MIN_S {
            return Err(Reject::DelayTooShort);
        }
        self.signed_by_owner(tip, post.message(), &post.signature).await?;
        let farmer = Farmer {
            contract_hash: p2_singleton_hash(&contract),
            contract,
            key,
            instructions: payload.payout_instructions.clone(),
            joined_at: now,
            buried: walk.buried.unwrap_or_else(|| tip.clone()),
            latest: Some(walk.latest.clone()),
            difficulty: Difficulty::new(&self.settings.policy, payload.suggested_difficulty, now),
            wished_at: UnixMs(0),
            points: crate::farmer::Points::default(),
            account: None,
        };
        let (row, targets) = (farmer.clone(), self.settings.terms.targets.clone());
        // Somebody whose row was lost is found again with all that arrived through its plot NFT; the books know what they know.
        let income = walk.income;
        let write = move |db: &rusqlite::Connection| {
            rows::farmers::insert(db, &row)?;
            watch::arrived(db, &row.contract.launcher_id, &targets, income)
        };
        self.written(write).await?;
        self.farmers.insert(farmer);
        self.pay_to(&*self.farmers.get(&payload.launcher_id)?).await;
        tracing::info!(launcher = %payload.launcher_id, "a farmer joined");
        Ok(Welcome { welcome_message: self.settings.welcome.clone() })
    }

    /// `PUT /farmer`.
    ///
    /// # Errors
    /// Why not.
    pub async fn change(&self, put: &Put) -> Result<Changed, Reject> {
        let payload = &put.payload;
        let now = self.clock.now();
        let farmer = self.farmers.get(&payload.launcher_id)?;
        self.wanted(&payload.launcher_id)?;
        if !self.settings.timeout.admits(payload.authentication_token, now) {
            return Err(Reject::StaleToken);
        }
        let tip = {
            let farmer = held(&farmer);
            farmer.admit(&self.settings.terms, self.standing()?.height)?;
            farmer.latest.clone().ok_or(Reject::NotAMember)?
        };
        let instructions = payload.payout_instructions.as_deref();
        instructions.map(|text| self.destination(text)).transpose()?;
        let key = payload.authentication_public_key.as_ref();
        let key = key.map(|key| signature::key(key).ok_or(Reject::InvalidSignature)).transpose()?;
        self.signed_by_owner(&tip, put.message(), &put.signature).await?;
        // One change after the other: each is of the whole farmer.
        let _turn = self.changing.lock().await;
        let mut changed = held(&farmer).clone();
        if payload.suggested_difficulty.is_some()
            && now.0.saturating_sub(changed.wished_at.0) < WISH_EVERY_MS
        {
            return Err(Reject::TooSoon);
        }
        changed.key = key.unwrap_or(changed.key);
        if let Some(text) = instructions {
            text.clone_into(&mut changed.instructions);
        }
        if let Some(wish) = payload.suggested_difficulty {
            changed.difficulty.wish(wish, &self.settings.policy);
            changed.wished_at = now;
        }
        let row = changed.clone();
        self.written(move |db| rows::farmers::update(db, &row)).await?;
        {
            let mut farmer = held(&farmer);
            farmer.key = changed.key;
            farmer.instructions = changed.instructions;
            farmer.wished_at = changed.wished_at;
            if let Some(wish) = payload.suggested_difficulty {
                farmer.difficulty.wish(wish, &self.settings.policy);
            }
        }
        if instructions.is_some() {
            self.pay_to(&farmer).await;
        }
        Ok(Changed {
            authentication_public_key: key.map(|_| true),
            payout_instructions: instructions.map(|_| true),
            suggested_difficulty: payload.suggested_difficulty.map(|_| true),
        })
    }

    fn destination(&self, instructions: &str) -> Result<Destination, Reject> {
        let (network, pays) = (self.nodes.network(), self.settings.pays_externally);
        let place = Destination::parse(instructions, network, pays);
        let place = place.map_err(|_| Reject::PayoutInstructions)?;
        // What the pool pays itself could not be told from change.
        let is_ours = |own: &Bytes32| place == Destination::Puzzle(*own);
        match self.signer.places().iter().any(is_ours) {
            true => Err(Reject::PayoutInstructions),
            false => Ok(place),
        }
    }

    async fn followed(&self, launcher_id: Bytes32) -> Result<(Contract, Walk), Reject> {
        let network = self.nodes.network();
        let buried_at = self.standing()?.height.saturating_sub(self.settings.buried);
        let mut last = Reject::NotSynced;
        for node in self.nodes.believed() {
            match follow::from_launcher(node, &launcher_id, network, buried_at).await {
                Ok(found) => return Ok(found),
                Err(FollowError::Rpc(error)) => {
                    tracing::warn!(%error, "a node did not answer during a registration");
                }
                Err(error) => {
                    tracing::debug!(%launcher_id, %error, "no plot NFT of this pool");
                    last = Reject::NotAMember;
                }
            }
        }
        Err(last)
    }

    async fn signed_by_owner(
        &self,
        tip: &Tip,
        message: Bytes32,
        signed: &SignatureBytes,
    ) -> Result<(), Reject> {
        let (owner, signed) = (tip.state.owner, *signed);
        let is_signed = self.verifiers.run(move || {
            signature::key(&owner).is_some_and(|key| signature::is_signed(&key, &message, &signed))
        });
        if is_signed.await? { Ok(()) } else { Err(Reject::InvalidSignature) }
    }

    /// Tells the books where a farmer's money goes. What fails is tried again with the chores.
    pub(crate) async fn pay_to(&self, farmer: &Mutex<Farmer>) {
        if let Err(reject) = self.told_where(farmer).await {
            tracing::warn!(reason = reject.label(), "payout instructions wait to be written");
        }
    }

    async fn told_where(&self, farmer: &Mutex<Farmer>) -> Result<(), Reject> {
        let (launcher_id, instructions) = {
            let farmer = held(farmer);
            (farmer.contract.launcher_id, farmer.instructions.clone())
        };
        let (account, _) = self.account(farmer).await?;
        let destination = self.destination(&instructions)?.to_bytes();
        let (display, asset) = (instructions.trim().to_owned(), self.asset);
        let order = self.pool.order(move |books, _, now| {
            books.set_destination(account, destination, display, asset, now)
        });
        order.await.map_err(|error| {
            tracing::warn!(%error, "the books do not take payout instructions");
            Reject::NotRecorded
        })?;
        self.written(move |db| rows::farmers::paid_to(db, &launcher_id, &instructions)).await
    }
}

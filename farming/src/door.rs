//! What farmers may ask, and what they are answered: the protocol's endpoints without their sockets.
//!
//! Invariant: an answer that accepts something is given after it is on disk; a refusal changes nothing that matters.

mod harvesters;
mod introductions;
mod partial;
mod registration;
mod verifiers;

use crate::difficulty::Policy;
use crate::farmer::{Farmers, held};
use crate::hash::Bytes32;
use crate::network::Network;
use crate::node::{Nodes, Standing};
use crate::reject::Reject;
use crate::rows;
use crate::signage::Signages;
use crate::signature;
use crate::singleton::Terms;
use crate::tables::{Tables, TablesError};
use crate::token::TokenTimeout;
use crate::wallet::signer::Signer;
use crate::wire::answer::{FarmerInfo, PoolInfo};
use crate::wire::farmer::{Asked, Get};
use accounting::{AssetId, BasisPoints, Identity, IdentityKind, PoolId, Scheme, UnixMs};
use arc_swap::ArcSwap;
use harvesters::Harvesters;
use introductions::Introductions;
use pool::bans::Bans;
use pool::{Clock, Pool};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use verifiers::Verifiers;

/// Farmers whose refusals are counted between two writes.
const REFUSALS_MAX: usize = 10_000;

/// What the operator decided.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// A picture's address.
    pub logo_url: String,
    /// For people, at registration.
    pub welcome: String,
    /// The pool's part.
    pub fee: BasisPoints,
    /// How income is divided.
    pub scheme: Scheme,
    /// Where rewards go.
    pub target: Bytes32,
    /// What members agree to.
    pub terms: Terms,
    /// Minutes of a token.
    pub timeout: TokenTimeout,
    /// How hard partials are.
    pub policy: Policy,
    /// A partial may come so long after its signage point.
    pub time_limit_ms: u64,
    /// A partial is looked at again after so long.
    pub confirm_after_ms: u64,
    /// So many blocks are not taken back any more.
    pub buried: u32,
    /// The pool is told of a reward that lies so many blocks deep.
    pub report_depth: u32,
    /// Is somebody there who pays to addresses of other chains?
    pub pays_externally: bool,
    /// Mojo that an absorption pays the network at most, out of the purse, while blocks are full.
    pub absorb_fee_most: u64,
}

/// Counters since start; lossy, never money.
#[derive(Debug, Default)]
pub struct Stats {
    accepted: AtomicU64,
    refused: [AtomicU64; Reject::ALL.len()],
    polls: AtomicU64,
    /// Partials that no node could say anything about when they were looked at again.
    unknown: AtomicU64,
    revoked: AtomicU64,
    /// Proofs that should have won a block.
    winners: AtomicU64,
}

/// Counters as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Partials that became durable.
    pub accepted: u64,
    /// Refusals by reason.
    pub refused: Vec<(Reject, u64)>,
    /// Farmers' questions about themselves.
    pub polls: u64,
    /// Partials nobody could look at again.
    pub unknown: u64,
    /// Partials that did not stand.
    pub revoked: u64,
    /// Proofs that should have won a block.
    pub winners: u64,
}

impl Stats {
    fn refuse(&self, reject: Reject) {
        if let Some(at) = Reject::ALL.iter().position(|known| *known == reject) {
            self.refused[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn revoke(&self) {
        self.revoked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn not_known(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    /// As they are now.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            accepted: of(&self.accepted),
            refused: Reject::ALL.iter().copied().zip(self.refused.iter().map(of)).collect(),
            polls: of(&self.polls),
            unknown: of(&self.unknown),
            revoked: of(&self.revoked),
            winners: of(&self.winners),
        }
    }
}

/// One pool as its farmers see it.
pub struct Door {
    /// The writer.
    pub pool: Pool,
    /// Which pot.
    pub pool_id: PoolId,
    /// The pot of rewards that are one farmer's own.
    pub refunds: PoolId,
    /// Which money.
    pub asset: AssetId,
    /// The keys: the purse pays for absorptions.
    pub signer: Signer,
    /// What the operator decided.
    pub settings: Settings,
    /// The chain.
    pub nodes: Arc<Nodes>,
    /// Who farms here.
    pub farmers: Farmers,
    /// The door's own database.
    pub tables: Tables,
    /// Where the books are, for readers.
    pub folder: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters for people.
    pub stats: Stats,
    /// Why partials are not taken for now, if they are not.
    pub paused: watch::Sender<Option<String>>,
    /// Who is not wanted.
    pub bans: Arc<ArcSwap<Bans>>,
    /// Who checks proofs and signatures.
    pub verifiers: Verifiers,
    signages: Signages,
    introductions: Introductions,
    changing: tokio::sync::Mutex<()>,
    harvesters: Harvesters,
    refusals: Mutex<HashMap<(Bytes32, Reject), u64>>,
}

/// The numbers that the books know a door by.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// Which money.
    pub asset: AssetId,
    /// Which pot.
    pub pool: PoolId,
    /// The pot of rewards that are one farmer's own.
    pub refunds: PoolId,
}

/// What a door is opened with.
pub struct Opening {
    /// The writer.
    pub pool: Pool,
    /// What the books know it by.
    pub numbers: Numbers,
    /// What the operator decided.
    pub settings: Settings,
    /// The chain.
    pub nodes: Arc<Nodes>,
    /// The keys.
    pub signer: Signer,
    /// The door's own database.
    pub tables: Tables,
    /// Where the books are, for readers.
    pub folder: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Why partials are not taken for now, if they are not.
    pub paused: Option<String>,
    /// Who is not wanted.
    pub bans: Arc<ArcSwap<Bans>>,
}

impl Door {
    /// Opens it: everybody who farmed here before is known.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open(opening: Opening) -> Result<Self, TablesError> {
        let Opening { pool, numbers, settings, nodes, signer, tables, folder, clock, paused, bans } =
            opening;
        let Numbers { asset, pool: pool_id, refunds } = numbers;
        let (network, now) = (nodes.network().clone(), clock.now());
        let known = tables.read(move |db| rows::farmers::all(db, &network, now)).await?;
        let farmers = Farmers::default();
        for farmer in known {
            farmers.insert(farmer);
        }
        Ok(Door {
            pool,
            pool_id,
            refunds,
            asset,
            signer,
            settings,
            signages: Signages::new(nodes.clone()),
            nodes,
            farmers,
            tables,
            folder,
            clock,
            stats: Stats::default(),
            paused: watch::Sender::new(paused),
            bans,
            verifiers: Verifiers::new(),
            introductions: Introductions::new(),
            changing: tokio::sync::Mutex::default(),
            harvesters: Harvesters::default(),
            refusals: Mutex::default(),
        })
    }

    /// `GET /pool_info`.
    #[must_use]
    pub fn pool_info(&self) -> PoolInfo {
        let settings = &self.settings;
        PoolInfo {
            description: settings.description.clone(),
            fee: fee_text(settings.fee),
            logo_url: settings.logo_url.clone(),
            minimum_difficulty: settings.policy.clamp(settings.policy.min),
            name: settings.name.clone(),
            protocol_version: 1,
            relative_lock_height: settings.terms.lock_height,
            target_puzzle_hash: settings.target,
            authentication_token_timeout: settings.timeout.get(),
        }
    }

    /// `GET /farmer`: what the pool knows of a farmer, and the difficulty it has from now on.
    ///
    /// # Errors
    /// Why not.
    pub async fn farmer(&self, get: &Get) -> Result<FarmerInfo, Reject> {
        self.stats.polls.fetch_add(1, Ordering::Relaxed);
        self.signed_get(get, Asked::Farmer).await?;
        let now = self.clock.now();
        let farmer = self.farmers.get(&get.launcher_id)?;
        let (info, news) = {
            let mut farmer = held(&farmer);
            farmer.difficulty.contact(now);
            farmer.difficulty.review(&self.settings.policy, now);
            let (current_difficulty, is_news) = farmer.difficulty.tell(now);
            let info = FarmerInfo {
                authentication_public_key: format!("0x{}", hex::encode(farmer.key.to_bytes())),
                payout_instructions: farmer.instructions.clone(),
                current_difficulty,
                current_points: farmer.points.of_day(now),
            };
            (info, is_news.then_some(current_difficulty))
        };
        self.write_told(get.launcher_id, now, news).await?;
        Ok(info)
    }

    /// `GET /login`: is this the farmer whose page is asked for?
    ///
    /// # Errors
    /// Why not.
    pub async fn login(&self, get: &Get) -> Result<Bytes32, Reject> {
        self.signed_get(get, Asked::Login).await?;
        Ok(get.launcher_id)
    }

    /// Does the operator want this farmer here?
    fn wanted(&self, launcher_id: &Bytes32) -> Result<(), Reject> {
        let is_banned = self.bans.load().has_account(&self.identity(launcher_id));
        if is_banned { Err(Reject::Banned) } else { Ok(()) }
    }

    async fn signed_get(&self, get: &Get, asked: Asked) -> Result<(), Reject> {
        let farmer = self.farmers.get(&get.launcher_id)?;
        if !self.settings.timeout.admits(get.token, self.clock.now()) {
            return Err(Reject::StaleToken);
        }
        let key = held(&farmer).key;
        let (message, signed) = (get.message(asked, &self.settings.target), get.signature);
        let is_signed =
            self.verifiers.run(move || signature::is_signed(&key, &message, &signed)).await?;
        if is_signed { Ok(()) } else { Err(Reject::InvalidSignature) }
    }

    async fn write_told(
        &self,
        launcher_id: Bytes32,
        at: UnixMs,
        news: Option<u64>,
    ) -> Result<(), Reject> {
        let Some(difficulty) = news else { return Ok(()) };
        self.written(move |db| rows::farmers::insert_told(db, &launcher_id, at, difficulty)).await
    }

    async fn written<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Reject> {
        self.tables.write(work).await.map_err(|error| {
            tracing::error!(%error, "a farmer is refused because nothing can be written");
            Reject::NotRecorded
        })
    }

    fn standing(&self) -> Result<Standing, Reject> {
        self.nodes.standing().ok_or(Reject::NotSynced)
    }

    /// Who is credited for a farmer's work.
    #[must_use]
    pub fn identity(&self, launcher_id: &Bytes32) -> Identity {
        identity(self.nodes.network(), launcher_id)
    }

    /// Counts a refusal, for the operator and, where the farmer is known, for its page.
    pub fn refused(&self, launcher_id: Option<&Bytes32>, reject: Reject) {
        self.stats.refuse(reject);
        let Some(launcher_id) = launcher_id.filter(|id| self.farmers.get(id).is_ok()) else {
            return;
        };
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() < REFUSALS_MAX || refusals.contains_key(&(*launcher_id, reject)) {
            *refusals.entry((*launcher_id, reject)).or_default() += 1;
        }
    }

    /// Writes the refusals counted since the last time.
    ///
    /// # Errors
    /// When the database cannot be written; they are lost.
    pub async fn write_refusals(&self) -> Result<(), TablesError> {
        let now = self.clock.now();
        let counted =
            std::mem::take(&mut *self.refusals.lock().unwrap_or_else(PoisonError::into_inner));
        if counted.is_empty() {
            return Ok(());
        }
        let write = move |db: &rusqlite::Connection| {
            for ((launcher, reject), count) in counted {
                rows::add_refusals(db, &launcher, now, reject.label(), count)?;
            }
            Ok(())
        };
        self.tables.write(write).await
    }
}

/// Whose account a launcher id names.
#[must_use]
pub fn identity(network: &Network, launcher_id: &Bytes32) -> Identity {
    Identity {
        kind: IdentityKind::Launcher,
        network: ledger_network(network),
        bytes: launcher_id.0.to_vec(),
    }
}

/// What the books call a network of this coin.
#[must_use]
pub fn ledger_network(network: &Network) -> String {
    format!("chia/{}", network.name)
}

/// Ten-thousandths as the protocol writes them: a decimal fraction, in a text.
fn fee_text(fee: BasisPoints) -> String {
    let points = fee.points();
    let text = format!("{}.{:04}", points / 10_000, points % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_written_as_a_fraction() {
        let text = |points: u16| fee_text(BasisPoints::new(points).unwrap());
        assert_eq!(text(100), "0.01");
        assert_eq!(text(0), "0");
        assert_eq!(text(125), "0.0125");
        assert_eq!(text(10_000), "1");
    }
}

//! The desk: hands out leases, takes answers, and says what they earn. All of the door's state that decides anything.
//!
//! Pure: the time comes in, [`Change`]s go out; whoever holds the desk writes them down before anybody is told. Every public step
//! either refuses and changes nothing, or succeeds as a whole. Invariant: what is open is bounded; each miner has at most one lease;
//! votes are shown to nobody before they decide.

mod assign;
mod settle;
mod submit;

pub use submit::{Answer, Evaluated, ItemVerdict, Receipt, WorkVerdict};

use crate::dsl::canonical::Fingerprint;
use crate::fact::Fact;
use crate::key::PublicKey;
use crate::lease::{Lease, LeaseId};
use crate::numpy::Rng;
use crate::quorum::Rules;
use crate::reputation::Tariff;
use crate::score::Score;
use crate::task::{Algorithm, AlgorithmId, Kinship, Stage};
use crate::worker::Miner;
use std::collections::{BTreeMap, BTreeSet};

/// Algorithms that wait for votes; with more nobody is asked to evolve.
pub const OPEN_MAX: usize = 20_000;
/// Miners known; with more nobody new is registered.
pub const MINERS_MAX: usize = 500_000;
/// The best algorithms, which seeds are drawn from.
pub const SEEDS_MAX: usize = 64;
/// Algorithms in one lease.
pub const BATCH_MAX: usize = 16;
/// New algorithms in one lease.
pub const EVOLVE_MAX: usize = 4;
/// Answered leases whose answer is still known, for the same answer again.
pub const ANSWERED_MAX: usize = 100_000;

/// How the desk works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// When answers are believed.
    pub rules: Rules,
    /// What they earn.
    pub tariff: Tariff,
    /// How long a lease lasts.
    pub lease_s: u64,
    /// How long the first leases of somebody unknown last: what a squatter's key can hold back.
    pub newcomer_lease_s: u64,
    /// Algorithms to score in a batch.
    pub batch: usize,
    /// Algorithms to improve on.
    pub seeds: usize,
    /// New algorithms that a lease may bring.
    pub evolve_budget: usize,
    /// Features of a row: which programs fit.
    pub input_dim: u16,
}

impl Settings {
    /// The original's numbers with our rules.
    pub const DEFAULT: Settings = Settings {
        rules: Rules::DEFENDED,
        tariff: Tariff::ORIGINAL,
        lease_s: 3 * 3600,
        newcomer_lease_s: 900,
        batch: 8,
        seeds: 2,
        evolve_budget: 1,
        input_dim: 16,
    };
}

/// Why nothing was handed out or taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// One at a time. The original's words.
    #[error("Miner already has active task")]
    ActiveTask,
    /// Nothing to do.
    #[error("No tasks available: ask again in {retry_after_s} s")]
    NoTasks {
        /// When to ask again.
        retry_after_s: u64,
    },
    /// Let too many leases expire.
    #[error(
        "Your last {leases} leases expired unanswered: the next is for {retry_after_s} s later"
    )]
    Resting {
        /// How many.
        leases: u32,
        /// When to ask again.
        retry_after_s: u64,
    },
    /// The owner's hotkeys hold enough.
    #[error("The hotkeys of your coldkey hold {0} leases, which is the most: answer some first")]
    OwnerBusy(u32),
    /// Late, or never handed out. The original's words first.
    #[error(
        "Active lease assignment not found: it expired, was given to somebody else, or was not yours"
    )]
    NotFound,
    /// Another answer for a lease that is answered.
    #[error("This lease was answered already, with something else")]
    Answered,
    /// Too many miners.
    #[error("This pool takes no new miners now")]
    Full,
}

/// What must be written down.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A miner, as they are now.
    Miner(Box<Miner>),
    /// A lease, as it is now.
    Lease(Box<Lease>),
    /// An algorithm, as it is now.
    Algorithm(Box<Algorithm>),
    /// A digest of predictions that is taken from now on.
    Function([u8; 32], AlgorithmId),
    /// What became of a vote, for its voter to read.
    Verdict(Verdict),
    /// Something for the ledger.
    Fact(Fact),
}

/// What became of a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whose.
    pub voter: PublicKey,
    /// On what.
    pub algorithm: AlgorithmId,
    /// What they said.
    pub score: Score,
    /// What is believed.
    pub median: Score,
    /// How many were asked.
    pub evaluators: usize,
    /// Near enough?
    pub accurate: bool,
    /// When.
    pub at_s: u64,
}

impl Verdict {
    /// What became of it, in the words that the API, the worker and the documents share.
    #[must_use]
    pub fn words(&self, tolerance: &crate::quorum::Tolerance) -> String {
        let Verdict { score, median, evaluators, .. } = self;
        match self.accurate {
            true => format!("in consensus: the median of {evaluators} is {median}"),
            false => format!(
                "not in consensus: you said {score}, the median of {evaluators} is {median}, and near enough is {tolerance}"
            ),
        }
    }
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    settings: Settings,
    rng: Rng,
    miners: BTreeMap<PublicKey, Miner>,
    leases: BTreeMap<LeaseId, Lease>,
    /// By deadline: what expires next.
    deadlines: BTreeSet<(u64, LeaseId)>,
    answered: BTreeSet<LeaseId>,
    open: BTreeMap<AlgorithmId, Algorithm>,
    /// The names of the open ones.
    names: BTreeSet<Fingerprint>,
    /// Agreed ones, the best.
    best: BTreeMap<(Score, std::cmp::Reverse<AlgorithmId>), Algorithm>,
    /// Leases in the hands of each owner.
    held: BTreeMap<PublicKey, u32>,
    /// What the pool must evaluate itself.
    wanted: BTreeSet<AlgorithmId>,
    next_lease: u64,
    next_algorithm: u64,
}

impl Desk {
    /// An empty desk. `secret` decides who gets what, so nobody outside may know it.
    #[must_use]
    pub fn new(settings: Settings, secret: u64) -> Self {
        Desk {
            settings,
            rng: Rng::new(secret),
            miners: BTreeMap::new(),
            leases: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            answered: BTreeSet::new(),
            open: BTreeMap::new(),
            names: BTreeSet::new(),
            best: BTreeMap::new(),
            held: BTreeMap::new(),
            wanted: BTreeSet::new(),
            next_lease: 1,
            next_algorithm: 1,
        }
    }

    /// Takes back what was written down: each row once, as it was last written, miners first. A lease whose time is over expires at the next [`Desk::expire`].
    pub fn restore(&mut self, change: Change) {
        match change {
            Change::Miner(miner) => {
                self.miners.insert(miner.key, *miner);
            }
            Change::Lease(lease) => {
                self.next_lease = self.next_lease.max(lease.id.0 + 1);
                self.keep_lease(*lease);
            }
            Change::Algorithm(algorithm) => {
                self.next_algorithm = self.next_algorithm.max(algorithm.id.0 + 1);
                let is_wanted = match &algorithm.stage {
                    Stage::Checking(_) => true,
                    Stage::Open(round) => round.awaits_own(),
                    Stage::Agreed { .. } => false,
                };
                if is_wanted {
                    self.wanted.insert(algorithm.id);
                }
                self.keep_algorithm(*algorithm);
            }
            Change::Function(..) | Change::Verdict(_) | Change::Fact(_) => {}
        }
    }

    /// After the last [`Desk::restore`]: what is in somebody's hands is so again, and no number is used twice. `last` is the
    /// highest number of an algorithm, whatever became of it.
    pub fn resume(&mut self, last: AlgorithmId) {
        self.next_algorithm = self.next_algorithm.max(last.0 + 1);
        for (_, lease) in &self.deadlines {
            let Some(lease) = self.leases.get(lease) else { continue };
            for asked in &lease.evaluate {
                if let Some(Stage::Open(round)) =
                    self.open.get_mut(asked).map(|open| &mut open.stage)
                    && !round.out.contains(&lease.miner)
                {
                    round.out.push(lease.miner);
                }
            }
        }
    }

    /// What it works by.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A miner.
    #[must_use]
    pub fn miner(&self, key: &PublicKey) -> Option<&Miner> {
        self.miners.get(key)
    }

    /// Everybody.
    pub fn miners(&self) -> impl Iterator<Item = &Miner> {
        self.miners.values()
    }

    /// A lease that is active or was answered lately.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(&id)
    }

    /// An algorithm that is open or among the best.
    #[must_use]
    pub fn algorithm(&self, id: AlgorithmId) -> Option<&Algorithm> {
        self.open.get(&id).or_else(|| self.best.values().find(|known| known.id == id))
    }

    /// How many are registered.
    #[must_use]
    pub fn registered(&self) -> usize {
        self.miners.len()
    }

    /// The best algorithm that the quorum believes.
    #[must_use]
    pub fn sota(&self) -> Option<&Algorithm> {
        self.best.values().next_back()
    }

    /// The best ones, best first.
    pub fn best(&self) -> impl Iterator<Item = &Algorithm> {
        self.best.values().rev()
    }

    /// Algorithms that wait for votes or for the pool's own result.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// When the oldest of them came.
    #[must_use]
    pub fn oldest_open_s(&self) -> Option<u64> {
        self.open.values().next().map(|open| open.made_at_s)
    }

    /// Leases that are active.
    #[must_use]
    pub fn active_leases(&self) -> usize {
        self.deadlines.len()
    }

    /// What the pool must evaluate itself.
    pub fn wanted(&self) -> impl Iterator<Item = &Algorithm> {
        self.wanted.iter().filter_map(|id| self.open.get(id))
    }

    /// Registers a miner or renews the acquaintance.
    ///
    /// # Errors
    /// [`Reject::Full`].
    pub fn register(
        &mut self,
        key: PublicKey,
        neighbourhood: u64,
        now_s: u64,
    ) -> Result<Vec<Change>, Reject> {
        if self.miners.len() >= MINERS_MAX && !self.miners.contains_key(&key) {
            return Err(Reject::Full);
        }
        let miner = self.miners.entry(key).or_insert_with(|| Miner::new(key, now_s));
        miner.seen_at_s = now_s;
        miner.kinship.neighbourhood = neighbourhood;
        Ok(vec![Change::Miner(Box::new(miner.clone()))])
    }

    /// Payouts of this hotkey go to this coldkey: those of one coldkey belong together from now on.
    pub fn belongs_to(&mut self, key: &PublicKey, owner: PublicKey) -> Vec<Change> {
        let Some(miner) = self.miners.get_mut(key) else { return Vec::new() };
        let before = miner.kinship;
        miner.kinship.owner = Some(owner);
        let (holds, miner) = (miner.lease.is_some(), miner.clone());
        if holds {
            self.hold(&before, &miner.key, false);
            self.hold(&miner.kinship, &miner.key, true);
        }
        vec![Change::Miner(Box::new(miner))]
    }

    fn keep_lease(&mut self, lease: Lease) {
        use crate::lease::LeaseState;
        match lease.state {
            LeaseState::Active => {
                self.deadlines.insert((lease.deadline_s, lease.id));
                let kinship = self.miners.get(&lease.miner).map(|miner| miner.kinship);
                self.hold(&kinship.unwrap_or_default(), &lease.miner, true);
            }
            LeaseState::Answered(_) => {
                self.answered.insert(lease.id);
            }
            LeaseState::Expired => return,
        }
        self.leases.insert(lease.id, lease);
        if self.answered.len() > ANSWERED_MAX
            && let Some(oldest) = self.answered.pop_first()
        {
            self.leases.remove(&oldest);
        }
    }

    fn keep_algorithm(&mut self, algorithm: Algorithm) {
        match algorithm.stage {
            Stage::Open(_) | Stage::Checking(_) => {
                self.names.insert(algorithm.fingerprint);
                self.open.insert(algorithm.id, algorithm);
            }
            Stage::Agreed { score, .. } => {
                self.best.insert((score, std::cmp::Reverse(algorithm.id)), algorithm);
                if self.best.len() > SEEDS_MAX {
                    self.best.pop_first();
                }
            }
        }
    }

    /// Counts a lease in its owner's hands, or out of them.
    fn hold(&mut self, kinship: &Kinship, miner: &PublicKey, taken: bool) {
        let held = self.held.entry(kinship.owner.unwrap_or(*miner)).or_default();
        *held = if taken { *held + 1 } else { held.saturating_sub(1) };
        if *held == 0 {
            self.held.remove(&kinship.owner.unwrap_or(*miner));
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.up_to(u32::try_from(bound.saturating_sub(1)).unwrap_or(u32::MAX)) as usize
    }
}

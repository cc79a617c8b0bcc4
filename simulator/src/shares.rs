//! The engine for shares: how much work each miner brings between the pool's blocks, and what a scheme makes of it.
//!
//! A miner's shares between two blocks are drawn as one Poisson number, so a million shares a block cost no more than ten.
//! Windows end where `accounting` says, and rewards are divided by its [`Division`]: a window here is the pool's own, in arrays
//! (`tests/same_rules.rs` compares). Invariant: every reward is paid out to the unit.
//!
//! A block takes `shares_per_block` shares on average; a share's weight is as many units as keep rounding out of sight.

use crate::random::{Dice, Urn};
use crate::recorder::{Moments, Recorder};
use crate::world::Rewards;
use accounting::scheme::{PplnsWindow, Scheme, WindowLength};
use accounting::slice::{Slice, SliceRow, Tally};
use accounting::split::{Carry, Division, pay_slice};
use accounting::{AccountId, Amount, BasisPoints, PoolId, RateId, ShareSeq, SliceNo};
use std::collections::{BTreeMap, VecDeque};

/// A slice of a PPLNS window is at most this part of it.
const SLICES_OF_WINDOW: u64 = 2;
/// Under geometric schemes a slice is so short that a score grows by this much.
const SCORE_GROWTH: f64 = 0.02;
/// A block's work, in the unit of weights, is at least this: windows round rows down, and a unit must not matter.
const BLOCK_WEIGHT_MIN: u64 = 1 << 26;
/// No slice has more work than this many blocks'.
const SLICE_MAX: f64 = 1e9;

/// How a pool divides what it earns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Policy {
    /// One of the pool's own schemes that pay a window.
    Window(Scheme),
    /// Rosenfeld's double geometric method: `c` is the operator's part of luck, `o` what of a score outlives a block. With
    /// `o = 0`, the geometric method.
    Geometric {
        /// Above 0, below 1.
        c: f64,
        /// From 0, below 1.
        o: f64,
    },
    /// All blocks of an epoch by all shares of it (Braidpool: 2016).
    FullProportional {
        /// Network blocks of an epoch.
        blocks: u64,
    },
}

/// Who mines, on what terms.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Parts of the network's hashrate, of the pool's miners.
    pub hashrates: Vec<f64>,
    /// Shares a block.
    pub shares_per_block: u64,
    /// The policy.
    pub policy: Policy,
    /// What blocks are worth.
    pub rewards: Rewards,
    /// The part of blocks that do not make it into the chain.
    pub stale: f64,
    /// What the pool keeps.
    pub fee: BasisPoints,
    /// Network blocks that are counted.
    pub blocks: u64,
}

/// Shares of all miners between two cuts.
#[derive(Debug, Clone, Default)]
struct Stretch {
    shares: Vec<u32>,
    total: u64,
}

/// The work that counts, in arrays.
struct Work {
    length: Option<WindowLength>,
    slices: VecDeque<Stretch>,
    /// Work of each miner in all slices.
    sums: Vec<u64>,
    total: u64,
    /// Slices that are no longer used, for their memory.
    spare: Vec<Stretch>,
    /// Weight of a share.
    grain: u64,
}

impl Work {
    fn new(length: Option<WindowLength>, miners: usize, grain: u64) -> Self {
        let (slices, spare) = (VecDeque::new(), Vec::new());
        Work { length, slices, sums: vec![0; miners], total: 0, spare, grain }
    }

    fn tally(&self, shares: u64) -> Tally {
        Tally { weight: u128::from(shares * self.grain), shares }
    }

    fn is_full(&self, length: WindowLength) -> bool {
        length.is_reached_by(self.tally(self.total))
    }

    fn push(&mut self, slice: Stretch) {
        for (sum, shares) in self.sums.iter_mut().zip(&slice.shares) {
            *sum += u64::from(*shares);
        }
        self.total += slice.total;
        self.slices.push_back(slice);
        let Some(length) = self.length else { return };
        while let Some(oldest) = self.slices.front()
            && length.is_full_without(self.tally(self.total), self.tally(oldest.total))
        {
            let Some(dropped) = self.slices.pop_front() else { return };
            for (sum, shares) in self.sums.iter_mut().zip(&dropped.shares) {
                *sum -= u64::from(*shares);
            }
            self.total -= dropped.total;
            self.spare.push(dropped);
        }
    }

    /// One more share, in the newest slice.
    fn add_one(&mut self, miner: usize) {
        if let Some(newest) = self.slices.back_mut() {
            newest.shares[miner] += 1;
            newest.total += 1;
            self.sums[miner] += 1;
            self.total += 1;
        }
    }

    /// Work that counts, by miner: all of it, and of the oldest slice its part.
    fn weights(&self, out: &mut Vec<u128>) {
        out.clear();
        out.extend(self.sums.iter().map(|sum| u128::from(*sum * self.grain)));
        let (Some(length), Some(oldest)) = (self.length, self.slices.front()) else { return };
        let part = length.part_of_oldest(self.tally(self.total), self.tally(oldest.total));
        if part.0 < part.1 {
            for (weight, shares) in out.iter_mut().zip(&oldest.shares) {
                let of_oldest = u128::from(u64::from(*shares) * self.grain);
                *weight -= of_oldest - WindowLength::kept(of_oldest, part);
            }
        }
    }

    fn clear(&mut self) {
        self.spare.extend(self.slices.drain(..));
        self.sums.iter_mut().for_each(|sum| *sum = 0);
        self.total = 0;
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Run {
    /// Incomes, in satoshis.
    pub incomes: Recorder,
    /// What each got in all.
    pub totals: Vec<f64>,
    /// What the operator kept or added, in satoshis, under the geometric schemes.
    pub operator: f64,
    /// The pool's blocks.
    pub blocks_found: u64,
}

struct Engine<'a> {
    setting: &'a Setting,
    /// Parts of the pool.
    parts: Vec<f64>,
    urn: Urn,
    work: Work,
    /// Longest slice, in blocks' work.
    slice_max: f64,
    weights: Vec<u128>,
    division: Division,
    /// Scores of the geometric schemes, and what a share's is now.
    scores: Vec<f64>,
    score: f64,
    totals: Vec<f64>,
    singles: Vec<Moments>,
    /// Rewards of the epoch, in satoshis, and how far it was when the run began.
    epoch: u64,
    phase: u64,
    operator: f64,
    dice: Dice,
}

/// Runs a setting.
///
/// # Panics
/// When no hashrate is positive.
#[must_use]
pub fn run(setting: &Setting, horizons: &[u64], dice: Dice) -> Run {
    let pool: f64 = setting.hashrates.iter().sum();
    let mut engine = Engine::new(setting, pool, dice);
    engine.fill();
    let fee = f64::from(setting.fee.complement()) / f64::from(BasisPoints::ALL);
    let worth = setting.rewards.mean_at(0) * (1.0 - setting.stale) * fee;
    let expected = setting.hashrates.iter().map(|rate| rate * worth).collect();
    let mut recorder = Recorder::new(horizons, expected);
    let (mut height, mut found) = (0u64, 0u64);
    loop {
        let work = engine.dice.exponential();
        let others = engine.dice.poisson(work * (1.0 / pool - 1.0));
        let next = height + others + 1;
        engine.end_epochs(height, next);
        let before = next.min(setting.blocks + 1) - 1;
        recorder.pass(before, &engine.totals);
        if next > setting.blocks {
            break;
        }
        height = next;
        engine.mine(work);
        engine.solve();
        if setting.stale == 0.0 || !engine.dice.chance(setting.stale) {
            let worth = setting.rewards.draw(height, &mut engine.dice);
            engine.pay(worth);
            found += 1;
        }
    }
    for (miner, single) in engine.singles.iter().enumerate() {
        let paid = single.count - single.empty;
        let empty = setting.blocks - paid;
        recorder.single(miner, Moments { count: setting.blocks, empty, ..*single });
    }
    Run { incomes: recorder, totals: engine.totals, operator: engine.operator, blocks_found: found }
}

impl<'a> Engine<'a> {
    fn new(setting: &'a Setting, pool: f64, dice: Dice) -> Self {
        let miners = setting.hashrates.len();
        let grain = (BLOCK_WEIGHT_MIN / setting.shares_per_block).max(1);
        let block = u128::from(setting.shares_per_block * grain);
        let length = match setting.policy {
            Policy::Window(scheme) => scheme.window_length(block),
            Policy::Geometric { .. } | Policy::FullProportional { .. } => None,
        };
        let per_block = setting.shares_per_block as f64;
        let slice_max = match (setting.policy, length) {
            (_, Some(WindowLength::Work(work))) => {
                (work as f64 / block as f64 / SLICES_OF_WINDOW as f64).max(1.0 / per_block)
            }
            (_, Some(WindowLength::Shares(count))) => {
                (count as f64 / per_block / SLICES_OF_WINDOW as f64).max(1.0 / per_block)
            }
            (Policy::Geometric { c, o }, _) => SCORE_GROWTH / growth(c, o),
            _ => SLICE_MAX,
        };
        Engine {
            setting,
            parts: setting.hashrates.iter().map(|rate| rate / pool).collect(),
            urn: Urn::new(setting.hashrates.clone()),
            work: Work::new(length, miners, grain),
            slice_max,
            weights: Vec::new(),
            division: Division::default(),
            scores: vec![0.0; miners],
            score: 1.0,
            totals: vec![0.0; miners],
            singles: vec![Moments::default(); miners],
            epoch: 0,
            phase: 0,
            operator: 0.0,
            dice,
        }
    }

    /// Work from before the run, until the window is full or scores have settled.
    fn fill(&mut self) {
        match (self.setting.policy, self.work.length) {
            (_, Some(length @ (WindowLength::Work(_) | WindowLength::Shares(_)))) => {
                while !self.work.is_full(length) {
                    self.mine(self.slice_max);
                }
            }
            (Policy::Geometric { c, o }, _) => {
                // e^-40 of the score is left of the first share.
                for _ in 0..(40.0 / growth(c, o)).ceil() as u32 + 40 {
                    let work = self.dice.exponential();
                    self.mine(work);
                    self.solve();
                    self.pay(0);
                }
                self.singles.iter_mut().for_each(|single| *single = Moments::default());
                self.totals.iter_mut().for_each(|total| *total = 0.0);
                self.operator = 0.0;
            }
            (Policy::FullProportional { blocks }, _) => self.fill_epoch(blocks),
            _ => {}
        }
    }

    /// A run begins somewhere within an epoch, whose earlier part is mined first.
    fn fill_epoch(&mut self, blocks: u64) {
        self.phase = (self.dice.uniform() * blocks as f64) as u64;
        let pool: f64 = self.setting.hashrates.iter().sum();
        let mut height = 0;
        loop {
            let work = self.dice.exponential();
            height += self.dice.poisson(work * (1.0 / pool - 1.0)) + 1;
            if height > self.phase {
                return;
            }
            self.mine(work);
            self.solve();
            let worth = self.setting.rewards.draw(0, &mut self.dice);
            self.pay(worth);
        }
    }

    /// So much work is done, in blocks' worth, without a block.
    fn mine(&mut self, mut work: f64) {
        while work > 0.0 {
            let length = work.min(self.slice_max);
            let mut slice = self.work.spare.pop().unwrap_or_default();
            slice.shares.clear();
            // The solving share is drawn apart.
            let shares = length * (self.setting.shares_per_block - 1) as f64;
            let mut total = 0;
            for part in &self.parts {
                let drawn = self.dice.poisson(part * shares) as u32;
                total += u64::from(drawn);
                slice.shares.push(drawn);
            }
            slice.total = total;
            self.score_slice(&slice, length);
            self.work.push(slice);
            work -= length;
        }
    }

    /// A share solves a block. It belongs to the slice that just ended: work comes before every block.
    fn solve(&mut self) {
        let finder = self.urn.draw(&mut self.dice);
        match self.setting.policy {
            Policy::Geometric { .. } => {
                self.scores[finder] += self.score / self.setting.shares_per_block as f64;
            }
            Policy::Window(_) | Policy::FullProportional { .. } => self.work.add_one(finder),
        }
    }

    fn pay(&mut self, worth: u64) {
        match self.setting.policy {
            Policy::Window(_) => {
                self.work.weights(&mut self.weights);
                self.divide(worth);
                if self.work.length == Some(WindowLength::Round) {
                    self.work.clear();
                }
            }
            Policy::Geometric { c, o } => self.pay_scores(worth as f64, c, o),
            Policy::FullProportional { .. } => self.epoch += worth,
        }
    }

    /// Divides satoshis by `weights`, less the fee.
    fn divide(&mut self, worth: u64) {
        if self.weights.iter().all(|weight| *weight == 0) {
            return;
        }
        let parts = self.division.of(worth.into(), self.weights.iter().copied());
        let fee = self.setting.fee;
        let accounts = self.totals.iter_mut().zip(&mut self.singles);
        for (part, (total, single)) in parts.zip(accounts) {
            let mut net = part as f64;
            if fee != BasisPoints::ZERO {
                let gross = Amount::from_units(i128::try_from(part).unwrap_or(i128::MAX));
                net -= accounting::split::fee_of(gross, fee).units() as f64;
            }
            *total += net;
            single.add(net);
        }
    }

    /// Scores of a slice's shares: each its own on average, since they are scattered over it.
    fn score_slice(&mut self, slice: &Stretch, length: f64) {
        let Policy::Geometric { c, o } = self.setting.policy else { return };
        let grown = (growth(c, o) * length).exp();
        let mean = self.score * (grown - 1.0) / (growth(c, o) * length);
        for (score, shares) in self.scores.iter_mut().zip(&slice.shares) {
            *score += f64::from(*shares) * mean / self.setting.shares_per_block as f64;
        }
        self.score *= grown;
        self.work.clear();
    }

    fn pay_scores(&mut self, worth: f64, c: f64, o: f64) {
        let fee = f64::from(self.setting.fee.complement()) / f64::from(BasisPoints::ALL);
        let mut paid = 0.0;
        for miner in 0..self.scores.len() {
            let income = self.scores[miner] / self.score * growth(c, o) * worth * fee;
            self.totals[miner] += income;
            self.singles[miner].add(income);
            // Scores are kept relative to a share's now, so that they stay small.
            self.scores[miner] *= o / self.score;
            paid += income;
        }
        self.score = 1.0;
        self.operator += worth - paid;
    }

    /// Pays the epochs that end between two heights.
    fn end_epochs(&mut self, from: u64, to: u64) {
        let Policy::FullProportional { blocks } = self.setting.policy else { return };
        let epoch_of = |height: u64| (height + self.phase) / blocks;
        if epoch_of(from) == epoch_of(to) || self.epoch == 0 {
            return;
        }
        self.work.weights(&mut self.weights);
        let worth = std::mem::take(&mut self.epoch);
        self.divide(worth);
        self.work.clear();
    }
}

/// How fast a share's score grows, in the work of a block (Rosenfeld's r is this over the shares of a block, and one).
#[must_use]
pub fn growth(c: f64, o: f64) -> f64 {
    (1.0 - c) * (1.0 - o) / c
}

/// PPLNS over so many thousandths of a block's work.
#[must_use]
pub fn pplns(millifactor: u64) -> Policy {
    Policy::Window(Scheme::Pplns(PplnsWindow::Work { millifactor }))
}

/// What one miner earns within `blocks` network blocks when every share is bought: one draw.
///
/// `value` is what a block is taken to be worth, in satoshis: the subsidy under PPS, with mean fees under FPPS.
pub fn bought(
    hashrate: f64,
    shares_per_block: u64,
    value: u64,
    fee: BasisPoints,
    blocks: u64,
    dice: &mut Dice,
) -> f64 {
    let time = dice.gamma(blocks as f64);
    let shares = dice.poisson(hashrate * time * shares_per_block as f64);
    let tally = Tally { weight: shares.into(), shares };
    let row = SliceRow { account: AccountId(1), rate: RateId(1), tally };
    let slice = Slice {
        pool: PoolId(1),
        no: SliceNo(1),
        first: ShareSeq(1),
        last: ShareSeq(1),
        rows: vec![row],
        total: tally,
        hash: [0; 32],
    };
    let value = Amount::from_units(value.into());
    let rate = accounting::rate::Rate { network_work: shares_per_block.into(), value };
    let rates = BTreeMap::from([(RateId(1), rate)]);
    let credits = pay_slice(&slice, &rates, |_| Carry(0), |_| fee);
    credits.iter().map(|credit| credit.net.units() as f64).sum()
}

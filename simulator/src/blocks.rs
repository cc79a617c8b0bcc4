//! The engine for whole blocks: who finds each one, and what a coordination-free pool makes of it.
//!
//! One block costs the same whatever the window and the number of miners: what a slot is paid is the difference of a running
//! sum between its coming and going, and is settled per miner when their slots change. Windows, weights and parts are
//! `covenant`'s. Invariant: all that is paid in a block sums to what it is worth, which [`Run::balance`] lets tests check.

use crate::random::{Dice, Urn};
use crate::recorder::{Moments, Recorder};
use crate::world::Rewards;
use covenant::Rule;
use covenant::rule::Weights;
use covenant::window::{Place, Slot};
use std::ops::Range;

/// Blocks whose times a median needs.
const MEDIAN_BLOCKS: usize = 11;
/// Seconds between blocks.
pub const BLOCK_SECONDS: f64 = 600.0;
/// Blocks between retargets.
const RETARGET_BLOCKS: u64 = 2016;

/// What a miner does with the blocks they find.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Conduct {
    /// Follows the rule.
    Follows,
    /// Shares blocks worth less than this many satoshis, keeps the others.
    KeepsRich(u64),
    /// Never joins.
    Alone,
}

/// Who mines, on what terms.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Parts of the network's hashrate.
    pub hashrates: Vec<f64>,
    /// What each does; one for each hashrate.
    pub conduct: Vec<Conduct>,
    /// The pool's rule.
    pub rule: Rule,
    /// What blocks are worth.
    pub rewards: Rewards,
    /// The part of blocks that do not make it into the chain.
    pub stale: f64,
    /// By how much the network's hashrate grows within a year of blocks.
    pub growth: f64,
    /// Blocks before anything is counted.
    pub warm_up: u64,
    /// Blocks that are counted.
    pub blocks: u64,
}

impl Setting {
    /// Everybody follows the rule, on constant terms.
    #[must_use]
    pub fn plain(hashrates: Vec<f64>, rule: Rule, blocks: u64) -> Self {
        let conduct = vec![Conduct::Follows; hashrates.len()];
        let warm_up = u64::from(rule.window.full().unwrap_or(0)) * 4;
        let rewards = Rewards::constant(1.0);
        Setting { hashrates, conduct, rule, rewards, stale: 0.0, growth: 0.0, warm_up, blocks }
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Run {
    /// Under the setting, in satoshis.
    pub pooled: Recorder,
    /// Had everybody kept what they found.
    pub solo: Recorder,
    /// What each got in all.
    pub incomes: Vec<f64>,
    /// What each found in all.
    pub found: Vec<f64>,
    /// How many blocks each found.
    pub blocks_found: Vec<u64>,
}

impl Run {
    /// What was paid less what was found; claims from before the run make the difference, and none at its end.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.incomes.iter().sum::<f64>() - self.found.iter().sum::<f64>()
    }
}

/// One miner's account with the running sums.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// Weight of their slots in the window.
    weight: f64,
    /// The running sums when their slots changed last.
    at: (f64, f64),
    income: f64,
    squares: f64,
}

impl Account {
    /// Settles what was paid since the slots changed last.
    fn settle(&mut self, sums: (f64, f64)) {
        self.income += self.weight * (sums.0 - self.at.0);
        self.squares += self.weight * self.weight * (sums.1 - self.at.1);
        self.at = sums;
    }
}

struct Engine<'a> {
    setting: &'a Setting,
    slots: Vec<Slot>,
    window: Range<usize>,
    /// Weight of all slots in the window.
    total: f64,
    accounts: Vec<Account>,
    /// Sums over blocks of what a unit of weight was paid, and of its square.
    sums: (f64, f64),
    times: [f64; MEDIAN_BLOCKS],
    height: u64,
}

/// Runs a setting.
///
/// # Panics
/// When hashrates sum to more than the network has.
#[must_use]
pub fn run(setting: &Setting, horizons: &[u64], dice: &mut Dice) -> Run {
    let mut weights = setting.hashrates.clone();
    let rest = 1.0 - weights.iter().sum::<f64>();
    assert!(rest > -1e-9, "parts of the network sum to at most one");
    weights.push(rest.max(0.0));
    let urn = Urn::new(weights);
    let miners = setting.hashrates.len();
    let expected: Vec<f64> = {
        let worth = setting.rewards.mean_at(setting.warm_up) * (1.0 - setting.stale);
        setting.hashrates.iter().map(|rate| rate * worth).collect()
    };
    let mut engine = Engine::new(setting);
    for _ in 0..setting.warm_up {
        engine.block(&urn, dice);
    }
    engine.begin_counting();
    let mut tally = Run {
        pooled: Recorder::new(horizons, expected.clone()),
        solo: Recorder::new(horizons, expected),
        incomes: vec![0.0; miners],
        found: vec![0.0; miners],
        blocks_found: vec![0; miners],
    };
    let mut solo_squares = vec![0.0; miners];
    for block in 1..=setting.blocks {
        if let Some((finder, worth)) = engine.block(&urn, dice) {
            tally.found[finder] += worth as f64;
            tally.blocks_found[finder] += 1;
            solo_squares[finder] += (worth as f64).powi(2);
        }
        if block == tally.pooled.next_boundary() {
            engine.settle(&mut tally.incomes);
            tally.pooled.pass(block, &tally.incomes);
            tally.solo.pass(block, &tally.found);
        }
    }
    engine.settle(&mut tally.incomes);
    for (miner, account) in engine.accounts.iter().enumerate() {
        let count = setting.blocks;
        let blocks_found = tally.blocks_found[miner];
        let solo = Moments {
            count,
            sum: tally.found[miner],
            squares: solo_squares[miner],
            empty: count - blocks_found,
        };
        tally.solo.single(miner, solo);
        // Blocks that paid a miner nothing are not told apart from others here: `empty` of horizon 1 is left out.
        let pooled = Moments { count, sum: account.income, squares: account.squares, empty: 0 };
        tally.pooled.single(miner, pooled);
    }
    tally
}

impl<'a> Engine<'a> {
    fn new(setting: &'a Setting) -> Self {
        Engine {
            setting,
            slots: Vec::new(),
            window: 0..0,
            total: 0.0,
            accounts: vec![Account::default(); setting.hashrates.len()],
            sums: (0.0, 0.0),
            times: [0.0; MEDIAN_BLOCKS],
            height: 0,
        }
    }

    fn begin_counting(&mut self) {
        let sums = self.sums;
        for account in &mut self.accounts {
            account.settle(sums);
            account.income = 0.0;
            account.squares = 0.0;
        }
    }

    fn settle(&mut self, incomes: &mut [f64]) {
        let sums = self.sums;
        for (account, income) in self.accounts.iter_mut().zip(incomes) {
            account.settle(sums);
            *income = account.income;
        }
    }

    /// The next block: its finder, if it is one of ours, and what it is worth.
    fn block(&mut self, urn: &Urn, dice: &mut Dice) -> Option<(usize, u64)> {
        let setting = self.setting;
        let place = self.place();
        self.pass_time(dice);
        let height = self.height;
        self.height += 1;
        let finder = urn.draw(dice);
        if finder >= setting.hashrates.len() || (setting.stale > 0.0 && dice.chance(setting.stale))
        {
            return None;
        }
        let worth = setting.rewards.draw(height, dice);
        let shares = match setting.conduct[finder] {
            Conduct::Follows => true,
            Conduct::KeepsRich(limit) => worth < limit,
            Conduct::Alone => false,
        };
        if shares {
            self.share(place, finder, worth);
        } else {
            self.keep(finder, worth as f64, 0.0);
        }
        Some((finder, worth))
    }

    /// Pays a block by the rule, and gives its finder a slot.
    fn share(&mut self, place: Place, finder: usize, worth: u64) {
        let rule = &self.setting.rule;
        let window = rule.window.range(&self.slots, place, rule.since(place.height));
        self.turn_to(window);
        let mut parts = rule.parts(worth, self.window.len());
        let mut unit = 0.0;
        if self.total > 0.0 {
            unit = self.pay_window(parts.shared as f64);
        } else {
            parts.shared = 0;
        }
        self.keep(finder, (worth - parts.shared) as f64, unit);
        let work = (self.difficulty() * 1e12) as u128;
        let sats = parts.shared + parts.kept_for_empty_slots;
        let payee = u32::try_from(finder).expect("fewer miners than 2^32");
        self.slots.push(Slot { place, payee, sats, work });
    }

    /// Pays the window; gives what a unit of weight was paid.
    fn pay_window(&mut self, shared: f64) -> f64 {
        let unit = shared / self.total;
        self.sums.0 += unit;
        self.sums.1 += unit * unit;
        unit
    }

    /// The finder keeps this, beside what the block paid their slots.
    fn keep(&mut self, finder: usize, kept: f64, unit: f64) {
        let account = &mut self.accounts[finder];
        account.income += kept;
        account.squares += kept * kept + 2.0 * kept * account.weight * unit;
    }

    /// Slots that left the window or came into it change what their finders are paid from now on.
    fn turn_to(&mut self, window: Range<usize>) {
        if let Weights::Ewma { .. } = self.setting.rule.weights {
            return self.weigh_again(window);
        }
        for at in self.window.start..window.start.min(self.window.end) {
            self.change(at, -1.0);
        }
        for at in self.window.end.max(window.start)..window.end {
            self.change(at, 1.0);
        }
        self.window = window;
    }

    fn change(&mut self, at: usize, sign: f64) {
        let slot = &self.slots[at..=at];
        let weight = self.setting.rule.weights(slot).next().unwrap_or(0) as f64 * sign;
        let account = &mut self.accounts[slot[0].payee as usize];
        account.settle(self.sums);
        account.weight += weight;
        self.total += weight;
    }

    /// Weights that change with every block: all slots are weighed anew.
    fn weigh_again(&mut self, window: Range<usize>) {
        for slot in &self.slots[self.window.clone()] {
            let account = &mut self.accounts[slot.payee as usize];
            account.settle(self.sums);
            account.weight = 0.0;
        }
        let slots = &self.slots[window.clone()];
        self.total = 0.0;
        for (slot, weight) in slots.iter().zip(self.setting.rule.weights(slots)) {
            let account = &mut self.accounts[slot.payee as usize];
            account.settle(self.sums);
            account.weight += weight as f64;
            self.total += weight as f64;
        }
        self.window = window;
    }

    /// The network's difficulty, in that of the first block: that of the hashrate at the last retarget.
    fn difficulty(&self) -> f64 {
        self.hashrate_at(self.height / RETARGET_BLOCKS * RETARGET_BLOCKS)
    }

    fn hashrate_at(&self, height: u64) -> f64 {
        if self.setting.growth == 0.0 {
            return 1.0;
        }
        (1.0 + self.setting.growth).powf(height as f64 / 52_560.0)
    }

    fn pass_time(&mut self, dice: &mut Dice) {
        let mean = BLOCK_SECONDS * self.difficulty() / self.hashrate_at(self.height);
        let now = self.times[MEDIAN_BLOCKS - 1] + mean * dice.exponential();
        self.times.rotate_left(1);
        self.times[MEDIAN_BLOCKS - 1] = now;
    }

    /// Where the next block stands: times never go back here, so their median is the middle one.
    fn place(&self) -> Place {
        let time = self.times[MEDIAN_BLOCKS / 2];
        Place { height: self.height as u32, time: time as u32 }
    }
}

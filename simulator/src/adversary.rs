//! Those who play against the rules, and what they gain. Each has a formula in [`crate::theory`] that it is held against.
//!
//! Invariant: a gain is measured against what the same hashrate would have earned by the rules, in the same run or exactly.

use crate::blocks::{Conduct, Setting, run};
use crate::random::{Dice, Urn};
use crate::theory::HOPPER_LEAVES_AT;
use crate::world::Rewards;
use accounting::split::divide;
use covenant::Rule;
use covenant::window::{Place, Slot};

/// Shares a block in adversaries' pools.
const SHARES: f64 = 1e6;
/// Satoshis of a block in adversaries' pools.
const WORTH: u128 = 100_000_000;

/// A PROP hopper, who leaves each round at [`HOPPER_LEAVES_AT`] and mines elsewhere until the next: earned over earned honestly.
///
/// Their hashrate is small, so the round is as long as it would be without them.
#[must_use]
pub fn hopper(rounds: u32, dice: &mut Dice) -> (f64, f64) {
    /// The hopper's part of the pool's hashrate.
    const PART: f64 = 0.001;
    let (mut earned, mut work, mut inside) = (0.0, 0.0, 0.0);
    for _ in 0..rounds {
        let round = dice.exponential();
        let here = round.min(HOPPER_LEAVES_AT);
        let own = dice.poisson(PART * here * SHARES);
        let others = dice.poisson((1.0 - PART) * round * SHARES) + 1;
        let parts = divide(WORTH, &[own.into(), others.into()]);
        earned += parts.first().map_or(0.0, |part| *part as f64 / WORTH as f64);
        // Elsewhere the same work earns what it is worth.
        earned += PART * (round - here);
        work += PART * round;
        inside += here;
    }
    (earned / work, inside / work * PART)
}

/// A member of a coordination-free pool who keeps blocks above the mean: earned over what was found.
#[must_use]
pub fn cherry_picker(rule: Rule, cv: f64, blocks: u64, dice: &mut Dice) -> f64 {
    // Small, so that the others' income stays what it is; everybody else follows.
    let mut setting = Setting::plain(vec![0.02, 0.98], rule, blocks);
    setting.rewards = Rewards { subsidy: 0.0, fees: 1.0, fees_cv: cv, halving: 0 };
    setting.conduct = vec![Conduct::KeepsRich(setting.rewards.mean_at(0) as u64), Conduct::Follows];
    let outcome = run(&setting, &[], dice);
    outcome.incomes[0] / (setting.rewards.mean_at(0) * outcome.blocks_found[0] as f64)
}

/// What the last blocks of a pool that ends are paid for their claims, oldest first, in rewards: by the rule itself.
#[must_use]
pub fn last_blocks(rule: &Rule, blocks: u32) -> Vec<f64> {
    receipts(rule, blocks).split_off((blocks - rule.window.full().unwrap_or(0)) as usize)
}

/// What each block of a pool of so many blocks is paid by those after it, in rewards; what finders keep is not counted.
#[must_use]
pub fn receipts(rule: &Rule, blocks: u32) -> Vec<f64> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut paid = vec![0.0; blocks as usize];
    for height in 0..blocks {
        let place = Place { height, time: height * 600 };
        let range = rule.window.range(&slots, place, rule.since(height));
        let window = slots.get(range).unwrap_or(&[]);
        let parts = rule.parts(WORTH as u64, window.len());
        let weights: Vec<u128> = rule.weights(window).collect();
        if !weights.is_empty() {
            for (slot, part) in window.iter().zip(divide(parts.shared.into(), &weights)) {
                paid[slot.place.height as usize] += part as f64 / WORTH as f64;
            }
        }
        slots.push(Slot { place, payee: height, sats: WORTH as u64, work: 1 });
    }
    paid
}

/// An attacker with `a` of the network sends `x` of it to a pool with `b` that pays by shares, and withholds its blocks there:
/// their part of all income.
#[must_use]
pub fn withholder(a: f64, b: f64, x: f64, blocks: u32, dice: &mut Dice) -> f64 {
    let urn = Urn::new(vec![a - x, b, 1.0 - a - b]);
    let weights = [(x * SHARES) as u128, (b * SHARES) as u128];
    let parts = divide(WORTH, &weights);
    let of_pool = parts.first().map_or(0.0, |part| *part as f64 / WORTH as f64);
    let mut income = 0.0;
    for _ in 0..blocks {
        income += match urn.draw(dice) {
            0 => 1.0,
            1 => of_pool,
            _ => 0.0,
        };
    }
    income / f64::from(blocks)
}

/// A selfish miner with `a` of the network, `gamma` of the others mining on their branch in a race: their part of all blocks.
#[must_use]
pub fn selfish(a: f64, gamma: f64, blocks: u32, dice: &mut Dice) -> f64 {
    let (mut lead, mut racing) = (0u32, false);
    let (mut own, mut others) = (0u64, 0u64);
    for _ in 0..blocks {
        match (dice.chance(a), racing, lead) {
            (true, true, _) => {
                // The attacker's branch wins the race.
                own += 2;
                racing = false;
                lead = 0;
            }
            (true, false, _) => lead += 1,
            (false, true, _) => {
                if dice.chance(gamma) {
                    own += 1;
                    others += 1;
                } else {
                    others += 2;
                }
                racing = false;
            }
            (false, false, 0) => others += 1,
            (false, false, 1) => {
                // One block each: the network is divided.
                racing = true;
                lead = 0;
            }
            (false, false, 2) => {
                own += 2;
                lead = 0;
            }
            (false, false, _) => {
                // One block of the lead is published, and wins.
                own += 1;
                lead -= 1;
            }
        }
    }
    own as f64 / (own + others) as f64
}

/// What blocks are paid that were found in the last tenth of a time window before the pool's hashrate changed by `factor`, in
/// rewards each; the window holds `slots` blocks at first.
#[must_use]
pub fn time_window_step(rule: &Rule, slots: u32, factor: f64, dice: &mut Dice) -> f64 {
    let covenant::window::LookBack::Age { seconds } = rule.window else { return f64::NAN };
    let span = f64::from(seconds);
    let step = 2.0 * span;
    let mean = span / f64::from(slots);
    // What a block is paid is the difference of a running sum between its coming and going.
    let (mut now, mut sum, mut gone) = (0.0, 0.0, 0usize);
    let (mut list, mut paid) = (Vec::<Slot>::new(), Vec::<f64>::new());
    loop {
        let rate = if now < step { 1.0 } else { factor };
        now += mean * dice.exponential() / rate;
        if now > step + span * 1.01 {
            break;
        }
        let payee = u32::try_from(list.len()).expect("a few thousand blocks");
        let place = Place { height: payee, time: now as u32 };
        let range = rule.window.range(&list, place, 0);
        paid[gone..range.start].iter_mut().for_each(|before| *before = sum - *before);
        gone = range.start;
        sum += 1.0 / range.len().max(1) as f64;
        list.push(Slot { place, payee, sats: 1, work: 1 });
        paid.push(sum);
    }
    // All that were found before the step are gone by now.
    let watched = |slot: &Slot| {
        let time = f64::from(slot.place.time);
        time >= step - span / 10.0 && time < step
    };
    let done = list.iter().zip(&paid).take(gone);
    let found: Vec<f64> = done.filter(|(slot, _)| watched(slot)).map(|(_, sum)| *sum).collect();
    found.iter().sum::<f64>() / found.len() as f64
}

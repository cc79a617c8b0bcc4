//! The experiment of the article that proposed coordination-free pools, as it defined it and as it should be.
//!
//! A hundred miners, about half of whom share every block they find with the finders of the shared blocks of the last 432
//! blocks' time; the article compares how much a single block's income varies with that of those who do not share, and concludes
//! that sharing is nearly as good as any pool. Its own numbers are square roots, averaged over both groups' places, over an
//! unexplained 70; here they are computed in the same way beside plain variances, with bands, and over longer horizons.

use crate::blocks::{BLOCK_SECONDS, Conduct, Run, Setting, run};
use crate::picture::{Axis, Line, Picture, horizon_ticks};
use crate::random::Dice;
use crate::recorder::{Estimate, Moments, estimate};
use crate::validate::rule;
use crate::world::{Hashrates, Rewards};
use crate::{COIN, Progress, repeats, theory};
use covenant::window::LookBack;
use serde::Serialize;

/// Its parameters.
pub const MINERS: usize = 100;
/// Blocks of a run.
pub const BLOCKS: u64 = 100_000;
/// Blocks' time that is looked back.
pub const LOOK_BACK: u32 = 432;
/// Coins of a block then.
const REWARD: f64 = 12.5;
/// What the article divides its numbers by.
const DIVISOR: f64 = 70.0;
/// Horizons over which the corrected experiment looks.
const HORIZONS: [u64; 6] = [1, 10, 144, 1008, 4320, 20_000];

/// One draw of the experiment: who is there, and what they got.
pub struct Draw {
    /// Hashrates.
    pub hashrates: Vec<f64>,
    /// Who shares.
    pub shares: Vec<bool>,
    /// What came of it.
    pub run: Run,
}

/// Runs it once.
#[must_use]
pub fn draw(seed: u64, number: u64, blocks: u64) -> Draw {
    let mut dice = Dice::stream(seed, number);
    let hashrates = Hashrates::Power { exponent: 2.0 }.draw(MINERS, 1.0, &mut dice);
    let shares: Vec<bool> = (0..MINERS).map(|_| dice.chance(0.5)).collect();
    let look_back = LookBack::Age { seconds: LOOK_BACK * BLOCK_SECONDS as u32 };
    let mut setting = Setting::plain(hashrates.clone(), rule(look_back), blocks);
    setting.conduct =
        shares.iter().map(|s| if *s { Conduct::Follows } else { Conduct::Alone }).collect();
    setting.rewards = Rewards::constant(REWARD);
    setting.warm_up = u64::from(LOOK_BACK) * 2;
    let run = run(&setting, &HORIZONS, &mut dice);
    Draw { hashrates, shares, run }
}

/// The article's number for a group: the root of a block's variance, averaged over all miners' places, over 70.
fn as_published(draw: &Draw, sharing: bool) -> f64 {
    let of_group =
        draw.run.pooled.moments(0).iter().zip(&draw.shares).filter(|(_, s)| **s == sharing);
    let roots = of_group.map(|(moments, _)| spread(moments).sqrt() / COIN);
    roots.sum::<f64>() / MINERS as f64 / DIVISOR
}

fn spread(moments: &Moments) -> f64 {
    moments.variance_about(moments.mean()).max(0.0)
}

/// Variance of a group's income over a horizon, of what the same hashrate would have had alone in theory.
fn to_solo(draw: &Draw, horizon: usize, sharing: bool) -> f64 {
    let blocks = HORIZONS[horizon] as f64;
    let (mut sum, mut weight) = (0.0, 0.0);
    for (miner, moments) in draw.run.pooled.moments(horizon).iter().enumerate() {
        if draw.shares[miner] != sharing || moments.count == 0 {
            continue;
        }
        let rate = draw.hashrates[miner];
        let mean = rate * blocks * REWARD * COIN;
        let solo = theory::solo(rate, blocks) * (REWARD * COIN).powi(2);
        sum += rate * moments.variance_about(mean) / solo;
        weight += rate;
    }
    if weight > 0.0 { sum / weight } else { f64::NAN }
}

/// One horizon of the corrected experiment.
#[derive(Debug, Clone, Serialize)]
pub struct Horizon {
    /// Network blocks.
    pub blocks: u64,
    /// Variance to solo of those who share.
    pub sharing: Estimate,
    /// Of those who do not.
    pub alone: Estimate,
    /// Theory for the former, for a typical miner.
    pub theory: f64,
}

/// What one repeat came to.
struct Once {
    published: (f64, f64),
    /// By horizon, sharing and not.
    corrected: Vec<(f64, f64)>,
    part: f64,
}

/// What the experiment comes to.
#[derive(Debug, Clone, Serialize)]
pub struct Article {
    /// The article's own numbers: sharing, and not.
    pub published: (Estimate, Estimate),
    /// Variance to solo, by horizon.
    pub corrected: Vec<Horizon>,
    /// Part of the hashrate that shares.
    pub part: Estimate,
    /// Repeats.
    pub repeats: u64,
}

/// Runs it so many times.
///
/// # Panics
/// When a repeat has nobody on one side, which takes a coin to fall a hundred times the same way.
#[must_use]
pub fn experiment(seed: u64, count: u64, progress: Progress<'_>) -> Article {
    let found = repeats(count, progress, |number| {
        let draw = draw(seed, number, BLOCKS);
        let part: f64 =
            draw.hashrates.iter().zip(&draw.shares).filter(|(_, s)| **s).map(|(h, _)| h).sum();
        let corrected: Vec<(f64, f64)> = (0..HORIZONS.len())
            .map(|at| (to_solo(&draw, at, true), to_solo(&draw, at, false)))
            .collect();
        let published = (as_published(&draw, true), as_published(&draw, false));
        Once { published, corrected, part }
    });
    let all = |pick: &dyn Fn(&Once) -> f64| estimate(&found.iter().map(pick).collect::<Vec<_>>());
    let part = all(&|once| once.part);
    let window = (part.mean * f64::from(LOOK_BACK)).round() as u32;
    let corrected = HORIZONS
        .iter()
        .enumerate()
        .map(|(at, blocks)| {
            let typical = 1.0 / MINERS as f64;
            let value = theory::look_back(typical, part.mean, window, 1.0, *blocks)
                / theory::solo(typical, *blocks as f64);
            Horizon {
                blocks: *blocks,
                sharing: all(&|once| once.corrected[at].0),
                alone: all(&|once| once.corrected[at].1),
                theory: value,
            }
        })
        .collect();
    Article {
        published: (all(&|once| once.published.0), all(&|once| once.published.1)),
        corrected,
        part,
        repeats: count,
    }
}

impl Article {
    /// What holds and what does not, in one paragraph.
    #[must_use]
    pub fn in_words(&self) -> String {
        let at = |blocks: u64| {
            self.corrected
                .iter()
                .find(|row| row.blocks == blocks)
                .map_or(f64::NAN, |row| row.sharing.mean)
        };
        let ratio = self.published.0.mean / self.published.1.mean;
        format!(
            "What holds: a single block's income varies far less for those who share; by the article's own measure {ratio:.3} of \
             the others', as a variance {:.4} of solo's. What does not: that this is a pool's steady income. Every shared block is \
             still paid about one reward in all, so over time a miner earns what they found: the variance of a day's income is \
             {:.2} of solo's, of a week's {:.2}, of 30 days' {:.2}, and in the long run all of it. Looking back spreads each found \
             block over about three days; it does not find more blocks to spread. Steadiness over months takes shares, weighed \
             between blocks.",
            at(1),
            at(144),
            at(1008),
            at(4320),
        )
    }

    /// Variance to solo by horizon, with bands of two standard errors.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let line = |name: &str, pick: &dyn Fn(&Horizon) -> (f64, f64)| Line {
            name: name.into(),
            points: self
                .corrected
                .iter()
                .map(|row| {
                    let (value, off) = pick(row);
                    (row.blocks as f64, value, off)
                })
                .collect(),
            dots: false,
        };
        Picture {
            title: "Looking back smooths days, not months".into(),
            subtitle: format!(
                "Variance of income, of that of solo mining; {MINERS} miners, {:.0} % of the hashrate sharing, {} × {BLOCKS} blocks",
                self.part.mean * 100.0,
                self.repeats
            ),
            x: Axis { name: "income over".into(), logarithmic: true, ticks: horizon_ticks(4320) },
            y: Axis { name: "variance, solo = 1".into(), logarithmic: false, ticks: Vec::new() },
            lines: vec![
                line("share every block", &|row| (row.sharing.mean, 2.0 * row.sharing.error)),
                line("do not share", &|row| (row.alone.mean, 2.0 * row.alone.error)),
                Line { dots: true, ..line("theory, sharing", &|row| (row.theory, 0.0)) },
            ],
        }
    }

    /// One draw's miners: hashrate across, the deviation of a block's income upwards, as the article drew it.
    #[must_use]
    pub fn scatter(seed: u64) -> Picture {
        let draw = draw(seed, 0, BLOCKS);
        let group = |sharing: bool| -> Vec<(f64, f64, f64)> {
            let all = draw.run.pooled.moments(0).iter().zip(&draw.hashrates).zip(&draw.shares);
            all.filter(|(_, s)| **s == sharing)
                .map(|((moments, rate), _)| (rate * 100.0, spread(moments).sqrt() / COIN, 0.0))
                .collect()
        };
        let axis = |name: &str| Axis { name: name.into(), logarithmic: false, ticks: Vec::new() };
        Picture {
            title: "The article's picture: one block's income".into(),
            subtitle: format!("{MINERS} miners, {BLOCKS} blocks, seed {seed}: each dot is a miner"),
            x: axis("hashrate, % of the network"),
            y: axis("standard deviation of a block's income, coins"),
            lines: vec![
                Line { name: "share every block".into(), points: group(true), dots: true },
                Line { name: "do not share".into(), points: group(false), dots: true },
            ],
        }
    }
}

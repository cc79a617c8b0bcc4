//! A scenario run: mean, variance by horizon, the chance of no income, drawdown, inequality, and what adversaries gain.
//!
//! Every number is a mean over repeats with its standard error. Averages over miners are weighted by hashrate. Invariant: the
//! same scenario gives the same report, to the last digit, on any number of threads.

use crate::random::Dice;
use crate::recorder::{Estimate, HORIZONS, Moments, Recorder, estimate, gini};
use crate::scenario::{Adversary, Dividing, Named, Scenario};
use crate::shares::bought;
use crate::{Progress, adversary, blocks, repeats, shares, theory};
use serde::Serialize;

/// Horizons of bought shares are drawn at most so many times a repeat.
const BOUGHT_MAX: u64 = 200;

/// How a policy's incomes scatter over one horizon.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The policy.
    pub policy: String,
    /// Network blocks.
    pub blocks: u64,
    /// Income, of what hashrate alone is worth.
    pub mean: Estimate,
    /// Standard deviation, of what hashrate alone is worth.
    pub deviation: Estimate,
    /// Variance, of that of solo mining.
    pub to_solo: Estimate,
    /// The chance of no income; none where it was not counted.
    pub none: Option<Estimate>,
}

/// What is said of a policy over the whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Whole {
    /// The policy.
    pub policy: String,
    /// The deepest fall of income below what was expected, in days of fair income.
    pub drawdown_days: Estimate,
    /// Inequality of income for equal work; 0 is none.
    pub gini: Estimate,
}

/// What an adversary gains.
#[derive(Debug, Clone, Serialize)]
pub struct Gain {
    /// Who, and what is measured.
    pub adversary: String,
    /// What theory says.
    pub theory: f64,
    /// What came out.
    pub measured: Estimate,
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// By policy and horizon.
    pub rows: Vec<Row>,
    /// By policy.
    pub whole: Vec<Whole>,
    /// By adversary.
    pub gains: Vec<Gain>,
}

/// Incomes of one repeat over one horizon: their mean and mean square, of what is fair; the mean square, the product of mean and
/// what is fair, and the square of what is fair, of the variance of solo mining; and how often there was none.
#[derive(Default)]
struct Columns {
    mean: f64,
    square: f64,
    to_solo: f64,
    mean_to_solo: f64,
    fair_to_solo: f64,
    none: f64,
}

/// One repeat of one policy.
struct Once {
    horizons: Vec<Columns>,
    drawdown_days: f64,
    gini: f64,
}

/// Runs a scenario that was checked; averages are over all miners, or of `only` one of them.
#[must_use]
pub fn run(scenario: &Scenario, only: Option<usize>, progress: Progress<'_>) -> Report {
    let horizons: Vec<u64> =
        HORIZONS.iter().copied().filter(|horizon| *horizon <= scenario.blocks).collect();
    let mut report = Report { rows: Vec::new(), whole: Vec::new(), gains: Vec::new() };
    let steps = scenario.repeats * scenario.policies.len() as u64;
    for (named, number) in scenario.policies.iter().zip(0u64..) {
        let before = number * scenario.repeats;
        let step = |done: u64, _: u64| progress(before + done, steps);
        let once = |repeat| repeat_of(scenario, named, &horizons, only, repeat);
        let found = repeats(scenario.repeats, &step, once);
        report.rows.extend(rows(scenario, named, &horizons, &found));
        let all =
            |pick: &dyn Fn(&Once) -> f64| estimate(&found.iter().map(pick).collect::<Vec<_>>());
        report.whole.push(Whole {
            policy: named.name.clone(),
            drawdown_days: all(&|once| once.drawdown_days),
            gini: all(&|once| once.gini),
        });
    }
    report.gains = scenario.adversaries.iter().map(|adversary| gain(scenario, adversary)).collect();
    report
}

fn rows(scenario: &Scenario, named: &Named, horizons: &[u64], found: &[Once]) -> Vec<Row> {
    let row = |(at, blocks): (usize, &u64)| {
        let all = |pick: &dyn Fn(&Columns) -> f64| {
            estimate(&found.iter().map(|once| pick(&once.horizons[at])).collect::<Vec<_>>())
        };
        let mean = all(&|columns| columns.mean);
        let about = expected(scenario, named).unwrap_or(mean.mean);
        let variance = all(&|c| c.square - 2.0 * about * c.mean + about * about);
        // The error of a root: that of the square, over twice the root.
        let deviation = variance.mean.max(0.0).sqrt();
        let error = if deviation > 0.0 { variance.error / (2.0 * deviation) } else { 0.0 };
        // Blocks that paid a coordination-free member nothing are not told apart from others.
        let counted = !(*blocks == 1 && matches!(named.policy, Dividing::Ctv { .. }));
        Row {
            policy: named.name.clone(),
            blocks: *blocks,
            mean,
            deviation: Estimate { mean: deviation, error },
            to_solo: all(&|c| {
                c.to_solo - 2.0 * about * c.mean_to_solo + about * about * c.fair_to_solo
            }),
            none: counted.then(|| all(&|columns| columns.none)),
        }
    };
    horizons.iter().enumerate().map(row).collect()
}

/// What income must be on average, of what hashrate alone is worth; none where it changes within the run.
fn expected(scenario: &Scenario, named: &Named) -> Option<f64> {
    if scenario.rewards.halving > 0 {
        return None;
    }
    let fee = f64::from(named.fee().complement()) / 1e4;
    let arrives = 1.0 - scenario.stale();
    Some(match named.policy {
        // What an operator takes of a block is not theirs to take here.
        Dividing::Solo | Dividing::Ctv { .. } => arrives,
        Dividing::Pps => fee * scenario.rewards.subsidy * crate::COIN / scenario.rewards.mean_at(0),
        Dividing::Fpps => fee,
        Dividing::Geometric { c } | Dividing::Dgm { c, .. } => (1.0 - c) * fee * arrives,
        Dividing::Prop | Dividing::Pplns { .. } | Dividing::Tides | Dividing::Full { .. } => {
            fee * arrives
        }
    })
}

fn repeat_of(
    scenario: &Scenario,
    named: &Named,
    horizons: &[u64],
    only: Option<usize>,
    repeat: u64,
) -> Once {
    // Every policy sees the same miners in the same repeat.
    let mut dice = Dice::stream(scenario.seed, repeat);
    let miners = &scenario.miners;
    let hashrates = miners.hashrates.draw(miners.count, miners.share, &mut dice);
    let weights = looked_at(&hashrates, only);
    match (named.policy, named.policy.by_shares()) {
        (Dividing::Solo, _) => by_blocks(scenario, None, (hashrates, &weights), horizons, dice),
        (Dividing::Ctv { rule }, _) => {
            by_blocks(scenario, Some(rule), (hashrates, &weights), horizons, dice)
        }
        (_, Some(policy)) => {
            let setting = shares::Setting {
                hashrates,
                shares_per_block: scenario.shares_per_block,
                policy,
                rewards: scenario.rewards,
                stale: scenario.stale(),
                fee: named.fee(),
                blocks: scenario.blocks,
            };
            let run = shares::run(&setting, horizons, dice);
            judged(scenario, (&setting.hashrates, &weights), &run.incomes, &run.totals)
        }
        (policy, None) => by_price(
            scenario,
            (named, policy == Dividing::Fpps),
            (&hashrates, &weights),
            horizons,
            dice,
        ),
    }
}

/// What each miner counts in averages.
fn looked_at(hashrates: &[f64], only: Option<usize>) -> Vec<f64> {
    let whole: f64 = hashrates.iter().sum();
    let weight = |(miner, rate): (usize, &f64)| match only {
        None => rate / whole,
        Some(one) => f64::from(u8::from(one == miner)),
    };
    hashrates.iter().enumerate().map(weight).collect()
}

fn by_blocks(
    scenario: &Scenario,
    rule: Option<covenant::Rule>,
    (hashrates, weights): (Vec<f64>, &[f64]),
    horizons: &[u64],
    mut dice: Dice,
) -> Once {
    let conduct = if rule.is_some() { blocks::Conduct::Follows } else { blocks::Conduct::Alone };
    let rule = rule
        .unwrap_or_else(|| crate::validate::rule(covenant::window::LookBack::Last { blocks: 1 }));
    let warm_up = warm_up(&rule, scenario.miners.share);
    let mut setting = blocks::Setting::plain(hashrates, rule, scenario.blocks);
    setting.conduct.fill(conduct);
    setting.rewards = scenario.rewards;
    setting.stale = scenario.stale();
    setting.growth = scenario.growth_percent / 100.0;
    setting.warm_up = warm_up;
    let run = blocks::run(&setting, horizons, &mut dice);
    judged(scenario, (&setting.hashrates, weights), &run.pooled, &run.incomes)
}

/// Network blocks until a window is full, with much to spare.
fn warm_up(rule: &covenant::Rule, pool: f64) -> u64 {
    use covenant::window::LookBack;
    let blocks = match rule.window {
        LookBack::Last { blocks } => f64::from(blocks) / pool * 1.5 + 100.0,
        LookBack::Age { seconds } | LookBack::Between { to_seconds: seconds, .. } => {
            f64::from(seconds) / blocks::BLOCK_SECONDS * 1.5 + 100.0
        }
    };
    blocks as u64 + u64::from(rule.start)
}

/// Shares bought at a price: each horizon drawn by itself.
fn by_price(
    scenario: &Scenario,
    (named, with_fees): (&Named, bool),
    (hashrates, weights): (&[f64], &[f64]),
    horizons: &[u64],
    mut dice: Dice,
) -> Once {
    let subsidy = scenario.rewards.subsidy_at(0) * crate::COIN;
    let value = if with_fees { scenario.rewards.mean_at(0) } else { subsidy } as u64;
    let mut totals = vec![0.0; hashrates.len()];
    let mut columns = Vec::new();
    for horizon in horizons {
        let draws = (scenario.blocks / horizon).min(BOUGHT_MAX);
        let moments: Vec<Moments> = hashrates
            .iter()
            .map(|rate| {
                let mut moments = Moments::default();
                for _ in 0..draws {
                    let (k, fee) = (scenario.shares_per_block, named.fee());
                    moments.add(bought(*rate, k, value, fee, *horizon, &mut dice));
                }
                moments
            })
            .collect();
        for (total, moments) in totals.iter_mut().zip(&moments) {
            *total = moments.mean() / *horizon as f64;
        }
        columns.push(columns_of(scenario, (hashrates, weights), *horizon, &moments));
    }
    let per_work = totals.iter().zip(hashrates).map(|(total, rate)| total / rate).collect();
    Once { horizons: columns, drawdown_days: 0.0, gini: gini(per_work) }
}

fn judged(
    scenario: &Scenario,
    (hashrates, weights): (&[f64], &[f64]),
    recorder: &Recorder,
    totals: &[f64],
) -> Once {
    let horizons = recorder.horizons().iter().enumerate();
    let columns = horizons
        .map(|(at, blocks)| {
            columns_of(scenario, (hashrates, weights), *blocks, recorder.moments(at))
        })
        .collect();
    let worth = scenario.rewards.mean_at(0);
    let fallen = recorder.drawdown().iter().zip(hashrates).zip(weights);
    let drawdown =
        fallen.map(|((fall, rate), weight)| weight * fall / (rate * worth * 144.0)).sum();
    let per_work = totals.iter().zip(hashrates).map(|(total, rate)| total / rate).collect();
    Once { horizons: columns, drawdown_days: drawdown, gini: gini(per_work) }
}

/// Averages over miners, weighted by hashrate.
fn columns_of(
    scenario: &Scenario,
    (hashrates, weights): (&[f64], &[f64]),
    blocks: u64,
    moments: &[Moments],
) -> Columns {
    let (worth, square) = (scenario.rewards.mean_at(0), scenario.rewards.mean_square_at(0));
    let mut columns = Columns::default();
    for ((rate, weight), moments) in hashrates.iter().zip(weights).zip(moments) {
        let fair = rate * blocks as f64 * worth;
        let squares = moments.squares / moments.count as f64;
        let solo = blocks as f64 * (rate * square - (rate * worth).powi(2));
        columns.mean += weight * moments.mean() / fair;
        columns.square += weight * squares / (fair * fair);
        columns.to_solo += weight * squares / solo;
        columns.mean_to_solo += weight * moments.mean() * fair / solo;
        columns.fair_to_solo += weight * fair * fair / solo;
        columns.none += weight * moments.none();
    }
    columns
}

/// Runs an adversary.
fn gain(scenario: &Scenario, adversary: &Adversary) -> Gain {
    let count = scenario.repeats.max(20);
    let many = |one: &(dyn Fn(&mut Dice) -> f64 + Sync)| {
        let found = repeats(count, &crate::silent, |number| {
            one(&mut Dice::stream(scenario.seed ^ 0x5eed, number))
        });
        estimate(&found)
    };
    let exact = |mean| Estimate { mean, error: 0.0 };
    match *adversary {
        Adversary::Hopper => Gain {
            adversary: "PROP hopper: income, of honest income".into(),
            theory: theory::hopper(),
            measured: many(&|dice| adversary::hopper(20_000, dice).0),
        },
        Adversary::CherryPicker { rule, cv } => Gain {
            adversary: format!(
                "fee cherry-picker, CV {cv}: income, of honest income (theory: alone, equal weights)"
            ),
            theory: 1.0 + theory::cherry_picker(cv),
            measured: many(&|dice| adversary::cherry_picker(rule, cv, 100_000, dice)),
        },
        Adversary::Leaver { rule } => {
            let receipts = adversary::last_blocks(&rule, rule.window.full().unwrap_or(1) * 4);
            Gain {
                adversary:
                    "leaver of an ending pool: what keeping the last block gains, in rewards".into(),
                theory: 1.0,
                measured: exact(1.0 - receipts.last().copied().unwrap_or(0.0)),
            }
        }
        Adversary::Withholder { hashrate, pool, sent } => Gain {
            adversary: format!("withholder of {hashrate} in a pool of {pool}: part of all income"),
            theory: theory::withholder(hashrate, pool, sent),
            measured: many(&|dice| adversary::withholder(hashrate, pool, sent, 50_000, dice)),
        },
        Adversary::Selfish { hashrate, gamma } => Gain {
            adversary: format!("selfish miner of {hashrate}, gamma {gamma}: part of all blocks"),
            theory: theory::selfish(hashrate, gamma),
            measured: many(&|dice| adversary::selfish(hashrate, gamma, 50_000, dice)),
        },
        Adversary::Follower { rule, slots, factor } => Gain {
            adversary: format!(
                "time-window follower, pool × {factor}: what a block just before is paid"
            ),
            theory: followed(factor),
            measured: many(&|dice| adversary::time_window_step(&rule, slots, factor, dice)),
        },
    }
}

/// What blocks of the last tenth of a window before a step are paid, on average.
fn followed(factor: f64) -> f64 {
    // Before the step one block's worth each; after it the window fills at the new rate.
    let one = |before: f64| {
        let filled = 1.0 + (factor - 1.0) * (1.0 - before);
        let growth = factor - 1.0;
        let after = if growth == 0.0 { 1.0 - before } else { factor / growth * filled.ln() };
        before + after
    };
    (0..1000).map(|i| one((f64::from(i) + 0.5) / 10_000.0)).sum::<f64>() / 1000.0
}

impl Report {
    /// As CSV: one line a policy and horizon.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut text = String::from(
            "policy,blocks,mean,mean_error,deviation,deviation_error,variance_to_solo,variance_to_solo_error,no_income,no_income_error\n",
        );
        for row in &self.rows {
            let none = row.none.map_or(",".into(), |n| format!("{},{}", n.mean, n.error));
            let name = row.policy.replace(['"', ',', '\n'], " ");
            text += &format!(
                "{name},{},{},{},{},{},{},{},{none}\n",
                row.blocks,
                row.mean.mean,
                row.mean.error,
                row.deviation.mean,
                row.deviation.error,
                row.to_solo.mean,
                row.to_solo.error,
            );
        }
        text
    }
}

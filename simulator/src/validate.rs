//! Whether the simulator can be believed: every value of the literature and of covenant arithmetic that it should meet.
//!
//! A check has a value from theory, a measured one and its standard error. It stands when |z| < 4; all of them together stand
//! when their squared z sum to no more than chance makes likely (one in a thousand). So a wrong formula fails and noise does
//! not. Values that involve no chance must agree within their stated tolerance.

use crate::adversary;
use crate::blocks::{self, Conduct};
use crate::random::Dice;
use crate::recorder::estimate;
use crate::shares::{self, Policy, bought, growth, pplns};
use crate::world::Rewards;
use crate::{COIN, Progress, repeats, ruin, theory};
use accounting::BasisPoints;
use accounting::scheme::Scheme;
use covenant::Rule;
use covenant::rule::{Bootstrap, Halving, Small, Weights};
use covenant::shape::Shape;
use covenant::tree::{FeeRule, TreeRule};
use covenant::window::LookBack;
use serde::Serialize;

/// Beyond so many standard errors a value is wrong.
const Z_MAX: f64 = 4.0;
/// All values together: a sum of squares beyond this many deviations is wrong (one in a thousand).
const TOGETHER_MAX: f64 = 3.09;

/// One value held against theory.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What is compared.
    pub name: String,
    /// What theory says.
    pub theory: f64,
    /// What came out.
    pub measured: f64,
    /// Its standard error; for values without chance, the tolerance.
    pub error: f64,
    /// How many errors apart.
    pub z: f64,
    /// Is there chance in it?
    pub random: bool,
}

impl Check {
    fn random(name: impl Into<String>, theory: f64, samples: &[f64]) -> Check {
        let found = estimate(samples);
        let z = (found.mean - theory) / found.error;
        Check {
            name: name.into(),
            theory,
            measured: found.mean,
            error: found.error,
            z,
            random: true,
        }
    }

    fn exact(name: impl Into<String>, theory: f64, measured: f64, tolerance: f64) -> Check {
        let z = (measured - theory) / tolerance;
        Check { name: name.into(), theory, measured, error: tolerance, z, random: false }
    }

    /// Does it stand?
    #[must_use]
    pub fn stands(&self) -> bool {
        if self.random { self.z.abs() < Z_MAX } else { self.z.abs() <= 1.0 }
    }
}

/// The whole validation.
#[derive(Debug, Clone, Serialize)]
pub struct Validation {
    /// The checks, in order.
    pub checks: Vec<Check>,
    /// Sum of squared z of those with chance, and their number.
    pub chi_squared: (f64, usize),
    /// Do all stand?
    pub stands: bool,
}

/// A rule for simulations: last so many, equal weights, finder keeps empty slots, nothing lost to trees.
#[must_use]
pub fn rule(window: LookBack) -> Rule {
    Rule {
        start: 0,
        window,
        weights: Weights::Equal,
        share_permille: 1000,
        bootstrap: Bootstrap::Finder,
        halving: Halving::Ignore,
        floor: covenant::rule::FLOOR_MIN,
        small: Small::Others,
        tree: TreeRule {
            shape: Shape::Balanced { radix: 4 },
            fee: FeeRule::default(),
            anchor: None,
        },
    }
}

fn last(blocks: u32) -> Rule {
    rule(LookBack::Last { blocks })
}

/// One of the checks, or several that come from the same runs.
type Job = Box<dyn Fn(u64) -> Vec<Check> + Sync + Send>;

/// Runs every check.
#[must_use]
pub fn validate(seed: u64, progress: Progress<'_>) -> Validation {
    let jobs = jobs();
    let count = jobs.len() as u64;
    let checks: Vec<Check> = jobs
        .iter()
        .zip(1u64..)
        .flat_map(|(job, number)| {
            let found = job(seed.wrapping_mul(1_000_003).wrapping_add(number));
            progress(number, count);
            found
        })
        .collect();
    judge(checks)
}

/// Judges checks one by one and together.
#[must_use]
pub fn judge(checks: Vec<Check>) -> Validation {
    let random: Vec<f64> = checks.iter().filter(|c| c.random).map(|c| c.z * c.z).collect();
    let (sum, count) = (random.iter().sum::<f64>(), random.len());
    // Wilson and Hilferty: the cube root of chi-squared over its degrees is nearly normal.
    let degrees = count.max(1) as f64;
    let spread = 2.0 / (9.0 * degrees);
    let together = ((sum / degrees).cbrt() - (1.0 - spread)) / spread.sqrt();
    let stands = checks.iter().all(Check::stands) && together < TOGETHER_MAX;
    Validation { checks, chi_squared: (sum, count), stands }
}

fn jobs() -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (pool, h, window, permille) in [
        (0.5, 0.01, 216, 1000),
        (0.5, 0.01, 216, 750),
        (0.5, 0.01, 1008, 1000),
        (1.0, 0.01, 144, 1000),
        (0.25, 0.025, 100, 1000),
    ] {
        jobs.push(Box::new(move |seed| look_back(seed, pool, h, window, permille)));
    }
    jobs.push(Box::new(no_income));
    jobs.push(Box::new(solo_share));
    jobs.push(Box::new(|seed| vec![ruined(seed)]));
    jobs.push(Box::new(|_| reserves()));
    jobs.push(Box::new(hopping));
    jobs.push(Box::new(prop));
    jobs.push(Box::new(pplns_shares));
    jobs.push(Box::new(pplns_member));
    jobs.push(Box::new(full_proportional));
    jobs.push(Box::new(dgm_shares));
    jobs.push(Box::new(dgm_member));
    jobs.push(Box::new(pps));
    jobs.push(Box::new(attacks));
    jobs.push(Box::new(cherry_pickers));
    jobs.push(Box::new(|_| ends_of_a_pool()));
    jobs.push(Box::new(steps));
    jobs.push(Box::new(luck));
    jobs
}

/// Rewards in the simulation are whole satoshis; ratios are of squares of these.
fn unit() -> f64 {
    COIN * COIN
}

/// Variance of look-back members over each horizon, as a ratio to solo, and of solo itself. Each horizon has runs of its own,
/// so that the values are independent of one another.
fn look_back(seed: u64, pool: f64, h: f64, window: u32, permille: u16) -> Vec<Check> {
    const REPEATS: u64 = 160;
    let members = (pool / h).round() as usize;
    let rule = Rule { share_permille: permille, ..last(window) };
    let a = f64::from(permille) / 1000.0;
    let mut checks = Vec::new();
    for (n, blocks) in [(1u64, 10_000), (10, 10_000), (144, 28_800), (1008, 60_480)] {
        let setting = blocks::Setting::plain(vec![h; members], rule, blocks);
        let solo = theory::solo(h, n as f64);
        let runs = repeats(REPEATS, &crate::silent, |number| {
            let mut dice = Dice::stream(seed ^ (n << 32), number);
            let run = blocks::run(&setting, &[n], &mut dice);
            let ratio = |recorder: &crate::recorder::Recorder| {
                let mean = h * n as f64 * COIN;
                let each = recorder.moments(0).iter().map(|m| m.variance_about(mean));
                each.sum::<f64>() / members as f64 / unit() / solo
            };
            (ratio(&run.pooled), ratio(&run.solo))
        });
        let ratios: Vec<f64> = runs.iter().map(|run| run.0).collect();
        let name = format!("look-back: variance to solo, S={pool} h={h} L={window} a={a} n={n}");
        checks.push(Check::random(name, theory::look_back(h, pool, window, a, n) / solo, &ratios));
        // Over short horizons solo is independent enough of what the window paid.
        if window == 216 && permille == 1000 && n < 1008 {
            let ratios: Vec<f64> = runs.iter().map(|run| run.1).collect();
            checks.push(Check::random(format!("solo: variance to n·h·(1−h), n={n}"), 1.0, &ratios));
        }
    }
    checks
}

/// The probability of a day without income.
fn no_income(seed: u64) -> Vec<Check> {
    let h = 0.001;
    [216, 1008]
        .into_iter()
        .map(|window| {
            let mut setting = blocks::Setting::plain(vec![h; 500], last(window), 14_400);
            setting.warm_up = u64::from(window) * 3;
            let none = repeats(40, &crate::silent, |number| {
                let mut dice = Dice::stream(seed + u64::from(window), number);
                let run = blocks::run(&setting, &[144], &mut dice);
                run.pooled.moments(0).iter().map(|m| m.none()).sum::<f64>() / 500.0
            });
            let name = format!("look-back: a day without income, h={h} S=0.5 L={window}");
            Check::random(name, theory::look_back_none(h, 0.5, window, 144), &none)
        })
        .collect()
}

/// Variance of one share mined solo: p(1 − p)B².
fn solo_share(seed: u64) -> Vec<Check> {
    let p = 0.01;
    let found = repeats(40, &crate::silent, |number| {
        let mut dice = Dice::stream(seed, number);
        let hits: f64 = (0..100_000).map(|_| f64::from(dice.chance(p))).sum();
        let mean = hits / 100_000.0;
        // About the known mean.
        mean * (1.0 - p).powi(2) + (1.0 - mean) * p * p
    });
    vec![Check::random("solo: variance of a share, p=0.01", p * (1.0 - p), &found)]
}

fn ruined(seed: u64) -> Check {
    let ruins = repeats(40, &crate::silent, |number| {
        let mut dice = Dice::stream(seed, number);
        let ruined = (0..200).filter(|_| ruin::plays_to_ruin(30.0, 0.02, &mut dice)).count();
        ruined as f64 / 200.0
    });
    Check::random(
        "PPS: ruin of a reserve of 30 blocks at 2 %",
        ruin::probability(30.0, 0.02),
        &ruins,
    )
}

fn reserves() -> Vec<Check> {
    [(0.05, 66.76), (0.01, 343.1), (0.02, 170.4), (0.10, 32.2)]
        .into_iter()
        .map(|(fee, published)| {
            let name = format!("PPS: reserve for ruin 0.001 at {} %", fee * 100.0);
            Check::exact(name, published, ruin::reserve(1e-3, fee), 0.06)
        })
        .collect()
}

fn hopping(seed: u64) -> Vec<Check> {
    let runs = repeats(40, &crate::silent, |number| {
        adversary::hopper(50_000, &mut Dice::stream(seed, number))
    });
    let gains: Vec<f64> = runs.iter().map(|run| run.0).collect();
    let inside: Vec<f64> = runs.iter().map(|run| run.1).collect();
    vec![
        Check::random("PROP: a hopper's income", theory::hopper(), &gains),
        Check::random("PROP: a hopper's time in the pool", 0.3526, &inside),
    ]
}

/// The members of a small pool whose incomes are looked at.
fn members(pool: f64, parts: &[f64], policy: Policy, k: u64, blocks: u64) -> shares::Setting {
    shares::Setting {
        hashrates: parts.iter().map(|part| part * pool).collect(),
        shares_per_block: k,
        policy,
        rewards: Rewards::constant(1.0),
        stale: 0.0,
        fee: BasisPoints::ZERO,
        blocks,
    }
}

fn prop(seed: u64) -> Vec<Check> {
    // The whole network, so that every block is the pool's and horizon 1 is a round.
    let (q, k) = (0.1, 50);
    let setting = members(1.0, &[q, 1.0 - q], Policy::Window(Scheme::Prop), k, 50_000);
    let found = repeats(40, &crate::silent, |number| {
        let run = shares::run(&setting, &[1], Dice::stream(seed, number));
        run.incomes.moments(0)[0].variance_about(q * COIN) / unit()
    });
    vec![Check::random(
        "PROP: a steady member's block, k=50 q=0.1",
        theory::prop_block(q, 50.0),
        &found,
    )]
}

/// Variance of a single share under PPLNS, by the production window: slices are shares here.
fn pplns_shares(seed: u64) -> Vec<Check> {
    use accounting::scheme::{PplnsWindow, WindowLength};
    use accounting::slice::Tally;
    const K: u64 = 40;
    const SHARES: usize = 20_000;
    [1000u64, 2000, 8000]
        .into_iter()
        .map(|millifactor| {
            let scheme = Scheme::Pplns(PplnsWindow::Work { millifactor });
            let length = scheme.window_length(K.into()).unwrap_or(WindowLength::Round);
            let x = millifactor as f64 / 1000.0;
            let found = repeats(40, &crate::silent, |number| {
                let mut dice = Dice::stream(seed + millifactor, number);
                let (mut paid, mut first) = (vec![0.0; SHARES], 0usize);
                for at in 0..SHARES {
                    let total = |first: usize| {
                        let shares = (at + 1 - first) as u64;
                        Tally { weight: shares.into(), shares }
                    };
                    let one = Tally { weight: 1, shares: 1 };
                    while length.is_full_without(total(first), one) {
                        first += 1;
                    }
                    let blocks = dice.poisson(1.0 / K as f64) as f64;
                    let part = blocks * K as f64 / (x * K as f64);
                    paid[first..=at].iter_mut().for_each(|sum| *sum += part);
                }
                // Windows that began before the first share, or end after the last, are left out.
                let edge = (x * K as f64) as usize;
                let inner = &paid[edge..SHARES - edge];
                inner.iter().map(|sum| (sum - 1.0).powi(2)).sum::<f64>() / inner.len() as f64
            });
            Check::random(format!("PPLNS: variance of a share, X={x}"), 1.0 / x, &found)
        })
        .collect()
}

fn pplns_member(seed: u64) -> Vec<Check> {
    // A pool of a millionth of the network with one member of a tenth: long horizons, in pool blocks.
    let (k, x, q, pool) = (50, 2000, 0.1, 1e-3);
    let n = 400_000u64;
    let setting = members(pool, &[q, 1.0 - q], pplns(x), k, n * 10);
    let found = repeats(300, &crate::silent, |number| {
        let run = shares::run(&setting, &[n], Dice::stream(seed, number));
        let h = q * pool;
        run.incomes.moments(0)[0].variance_about(h * n as f64 * COIN) / unit() / (n as f64 * h)
    });
    // The window's edges, of the order of X pool blocks in 400, bend it by less than a hundredth of the error.
    let value = theory::pplns(q * pool, pool, 2.0, 50.0, 1.0) / (q * pool);
    let many = members(0.5, &[0.02, 0.98], pplns(8000), 10_000, 43_200);
    let month = repeats(100, &crate::silent, |number| {
        let run = shares::run(&many, &[4320], Dice::stream(seed + 1, number));
        let (h, n) = (0.01, 4320.0);
        run.incomes.moments(0)[0].variance_about(h * n * COIN) / unit() / theory::solo(h, n)
    });
    let ratio = theory::pplns(0.01, 0.5, 8.0, 1e4, 4320.0) / theory::solo(0.01, 4320.0);
    vec![
        Check::random("PPLNS: a steady member, k=50 X=2 q=0.1 of a small pool", value, &found),
        Check::random("PPLNS: 30 days to solo, X=8 k=10⁴ h=0.01 S=0.5", ratio, &month),
    ]
}

/// All blocks of an epoch by all shares of it: the part of shares is nearly the part of hashrate, and the blocks vary.
fn full_proportional(seed: u64) -> Vec<Check> {
    let (q, pool, k, epoch) = (0.1, 0.5, 1000, 2016);
    let policy = Policy::FullProportional { blocks: epoch };
    let setting = members(pool, &[q, 1.0 - q], policy, k, epoch * 20);
    let found = repeats(200, &crate::silent, |number| {
        let run = shares::run(&setting, &[epoch], Dice::stream(seed, number));
        run.totals[0] / COIN / (20.0 * epoch as f64)
    });
    vec![Check::random("full proportional: mean income, q=0.1 S=0.5", q * pool, &found)]
}

/// One share's payment under the geometric schemes: its score falls as work is done, and is paid at each block.
fn dgm_shares(seed: u64) -> Vec<Check> {
    [(0.1, 0.0), (0.3, 0.0), (0.1, 0.5), (0.05, 0.8)]
        .into_iter()
        .map(|(c, o)| {
            let g = growth(c, o);
            let found = repeats(60, &crate::silent, |number| {
                let mut dice = Dice::stream(seed, number);
                let one = |dice: &mut Dice| {
                    let (mut paid, mut score) = (0.0, 1.0);
                    while score > 1e-9 {
                        score *= (-g * dice.exponential()).exp();
                        paid += score * g;
                        score *= o;
                    }
                    (paid - (1.0 - c)).powi(2)
                };
                (0..20_000).map(|_| one(&mut dice)).sum::<f64>() / 20_000.0
            });
            let name = format!("DGM: variance of a share, c={c} o={o}");
            Check::random(name, theory::dgm_share(c, o), &found)
        })
        .collect()
}

/// Under the geometric method members together are paid what blocks bring less the operator's part, on average.
fn dgm_member(seed: u64) -> Vec<Check> {
    let (c, o) = (0.3, 0.5);
    let setting = members(1.0, &[0.1, 0.9], Policy::Geometric { c, o }, 1000, 2_000);
    let found = repeats(100, &crate::silent, |number| {
        let run = shares::run(&setting, &[], Dice::stream(seed, number));
        run.totals[0] / COIN / 2_000.0 / 0.1
    });
    vec![Check::random("DGM: a member's mean income, c=0.3 o=0.5", 1.0 - c, &found)]
}

fn pps(seed: u64) -> Vec<Check> {
    let (h, k, n) = (0.01, 10_000, 144);
    let fee = BasisPoints::new(500).unwrap_or_default();
    let runs = repeats(40, &crate::silent, |number| {
        let mut dice = Dice::stream(seed, number);
        let incomes: Vec<f64> =
            (0..2_000).map(|_| bought(h, k, 100_000_000, fee, n, &mut dice) / COIN).collect();
        let mean = h * n as f64 * 0.95;
        let about = incomes.iter().map(|income| (income - mean).powi(2)).sum::<f64>() / 2_000.0;
        (incomes.iter().sum::<f64>() / 2_000.0, about)
    });
    let means: Vec<f64> = runs.iter().map(|run| run.0).collect();
    let variances: Vec<f64> = runs.iter().map(|run| run.1).collect();
    // Shares are Poisson in a time that is itself random: n blocks of it.
    let (mean, n) = (h * n as f64 * 0.95, n as f64);
    let variance = (h * 0.95).powi(2) * n + h * n * 0.95 * 0.95 / k as f64;
    vec![
        Check::random("PPS: mean income at 5 %, h=0.01 n=144", mean, &means),
        Check::random("PPS: its variance, k=10⁴", variance, &variances),
    ]
}

fn attacks(seed: u64) -> Vec<Check> {
    let mut checks = Vec::new();
    for (a, b, x) in [(0.2, 0.4, 0.0485), (0.1, 0.2, 0.02), (0.25, 0.5, 0.07)] {
        let found = repeats(40, &crate::silent, |number| {
            adversary::withholder(a, b, x, 200_000, &mut Dice::stream(seed, number))
        });
        let name = format!("withholding: a={a} b={b} x={x}");
        checks.push(Check::random(name, theory::withholder(a, b, x), &found));
    }
    for (a, gamma) in [(0.4, 0.0), (0.3, 0.5), (0.45, 0.5)] {
        let found = repeats(40, &crate::silent, |number| {
            adversary::selfish(a, gamma, 200_000, &mut Dice::stream(seed + 1, number))
        });
        let name = format!("selfish mining: a={a} gamma={gamma}");
        checks.push(Check::random(name, theory::selfish(a, gamma), &found));
    }
    checks
}

fn cherry_pickers(seed: u64) -> Vec<Check> {
    let sats = Rule { weights: Weights::Sats, ..last(216) };
    let mut checks = Vec::new();
    for cv in [0.2, 0.5, 1.0] {
        let gain = |rule: Rule, seed: u64| {
            repeats(40, &crate::silent, |number| {
                adversary::cherry_picker(rule, cv, 60_000, &mut Dice::stream(seed, number)) - 1.0
            })
        };
        // With 2 % of the hashrate a picker also lowers the mean of what is shared, their own claims included.
        let equal = Check::random(
            format!("cherry-picking: gain with equal weights, CV={cv}"),
            cherry_gain(0.02, cv),
            &gain(last(216), seed),
        );
        checks.push(equal);
        checks.push(Check::random(
            format!("cherry-picking: gain with sats weights, CV={cv}"),
            0.0,
            &gain(sats, seed + 1),
        ));
    }
    checks
}

/// [`theory::cherry_picker`] for a picker of part `h`: claims are paid by the mean of what is shared, of which the picker's
/// poor blocks are a part. With probability u a block is rich; sharing pool: the others (1 − h, mean 1) and the picker's poor
/// blocks (h(1 − u), mean m).
fn cherry_gain(h: f64, cv: f64) -> f64 {
    let s = (1.0 + cv * cv).ln().sqrt();
    let rich = 1.0 - theory::normal_below(s / 2.0);
    let rich_sum = theory::normal_below(s / 2.0);
    let poor = 1.0 - rich;
    let poor_sum = 1.0 - rich_sum;
    let claim = ((1.0 - h) + h * poor_sum) / ((1.0 - h) + h * poor);
    rich_sum + poor * claim - 1.0
}

fn ends_of_a_pool() -> Vec<Check> {
    let window = 216;
    let split = Rule { bootstrap: Bootstrap::Split, ..last(window) };
    let whole = adversary::receipts(&split, window * 4);
    let mut checks: Vec<Check> = [1u32, 10, 100, 216, 300]
        .into_iter()
        .map(|i| {
            let found = whole.get(i as usize - 1).copied().unwrap_or(0.0);
            let name = format!("look-back: receipts of block {i} ever, all shared from the start");
            Check::exact(name, theory::first_block(i, window), found, 1e-5)
        })
        .collect();
    let last_blocks: f64 = adversary::last_blocks(&last(window), window * 4).iter().sum();
    let name = "look-back: what the last L blocks of a pool are paid";
    checks.push(Check::exact(name, f64::from(window - 1) / 2.0, last_blocks, 1e-4));
    let leaver = adversary::last_blocks(&last(window), window * 4);
    let oldest = leaver.first().copied().unwrap_or(0.0);
    let newest = leaver.last().copied().unwrap_or(0.0);
    checks.push(Check::exact(
        "leaver: gain of who keeps the last block of an ending pool",
        1.0,
        1.0 - newest,
        1e-6,
    ));
    checks.push(Check::exact(
        "leaver: gain L − 1 blocks before the end",
        1.0 / 216.0,
        1.0 - oldest,
        1e-5,
    ));
    checks
}

fn steps(seed: u64) -> Vec<Check> {
    let rule = rule(LookBack::Age { seconds: 7_000_000 });
    // The mean over the last tenth of the window before the step, of the fluid's value; and what 1/W adds for W ~ Poisson.
    let mean = |value: &dyn Fn(f64) -> f64| {
        (0..1000).map(|i| value((f64::from(i) + 0.5) / 10_000.0)).sum::<f64>() / 1000.0
    };
    let slots = 4000;
    let doubled = mean(&theory::doubling_step);
    let halved = mean(&|before: f64| before - (0.5 + before / 2.0).ln());
    [(2.0, doubled, "doubles"), (0.5, halved, "halves")]
        .into_iter()
        .map(|(factor, value, name)| {
            let found = repeats(200, &crate::silent, |number| {
                adversary::time_window_step(&rule, slots, factor, &mut Dice::stream(seed, number))
            });
            Check::random(format!("time window: blocks just before the pool {name}"), value, &found)
        })
        .collect()
}

/// Luck is exponential, and stale blocks are lost.
fn luck(seed: u64) -> Vec<Check> {
    let long = repeats(40, &crate::silent, |number| {
        let mut dice = Dice::stream(seed, number);
        (0..50_000).filter(|_| dice.exponential() > 3.0).count() as f64 / 50_000.0
    });
    let stale = 1.0 - (-10.0f64 / 600.0).exp();
    let mut setting = blocks::Setting::plain(vec![0.1; 5], last(50), 50_000);
    setting.stale = stale;
    setting.conduct = vec![Conduct::Follows; 5];
    let lost = repeats(40, &crate::silent, |number| {
        let run = blocks::run(&setting, &[], &mut Dice::stream(seed + 1, number));
        1.0 - run.blocks_found.iter().sum::<u64>() as f64 / 25_000.0
    });
    vec![
        Check::random("luck: rounds longer than three blocks' work", (-3.0f64).exp(), &long),
        Check::random("stale: blocks lost at 10 s", stale, &lost),
    ]
}

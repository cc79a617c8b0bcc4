//! Machines whose numbers are unlikely: luck too good or too bad, and streaks of refused shares.
//!
//! A machine's luck is judged by its best share: over W expected hashes of work, the best of all hashes needs more than x
//! with probability 1 − exp(−W/x). What is beyond four standard deviations of a normal distribution on either side is
//! listed; among ten thousand honest machines, one is expected to be.

use crate::site::Site;
use serde::Serialize;

/// Listed from here on, in standard deviations.
const LISTED_Z: f64 = 4.0;
/// A machine with fewer shares is not judged.
const SHARES_MIN: u64 = 50;
/// Refused shares of all, from which on a machine is listed.
const REFUSED: f64 = 0.25;
/// How many are listed.
const LISTED_MAX: usize = 100;

/// A machine to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// The account, as its owner writes it.
    pub address: String,
    /// The machine.
    pub worker: String,
    /// Its accepted shares.
    pub shares: u64,
    /// Refused shares by all shares.
    pub refused: f64,
    /// How unlikely its best share is, in standard deviations: above zero is lucky.
    pub luck_z: f64,
    /// Why it is listed.
    pub why: &'static str,
}

/// All of them, the most unlikely first.
#[must_use]
pub fn all(site: &Site) -> Vec<Suspect> {
    let machines = site.history.shown();
    let mut found: Vec<Suspect> = machines
        .machines()
        .filter_map(|(machine, track)| {
            let total = &track.total;
            let judged = total.shares + total.refused();
            if judged < SHARES_MIN {
                return None;
            }
            let refused = total.refused() as f64 / judged as f64;
            let luck_z = luck(total.work, total.best);
            let why = match (refused > REFUSED, luck_z) {
                (true, _) => "many shares are refused",
                (false, z) if z > LISTED_Z => "its best share is too good for its work",
                (false, z) if z < -LISTED_Z => {
                    "its best share is too poor for its work: does it withhold blocks?"
                }
                _ => return None,
            };
            Some(Suspect {
                address: total.display.to_string(),
                worker: machine.worker.to_string(),
                shares: total.shares,
                refused,
                luck_z,
                why,
            })
        })
        .collect();
    let weight = |s: &Suspect| s.luck_z.abs().max(s.refused * 10.0);
    found.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    found.truncate(LISTED_MAX);
    found
}

/// The best share of so much work, as a z score.
fn luck(work: f64, best: f64) -> f64 {
    if work <= 0.0 || best <= 0.0 {
        return 0.0;
    }
    // Chance of a best share at most so good.
    let below = (-work / best).exp();
    probit(below)
}

/// The normal quantile, by bisection on the complementary error function's tail bound: two digits are plenty here.
fn probit(p: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if normal(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// The normal distribution, by Zelen and Severo's approximation (Abramowitz and Stegun 26.2.17; error below 7.5e-8), and
/// by its tail where that is too coarse.
fn normal(x: f64) -> f64 {
    if x < 0.0 {
        return 1.0 - normal(-x);
    }
    let t = 1.0 / 0.231_641_9f64.mul_add(x, 1.0);
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let series = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let sum = series.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    1.0 - density * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_machines_best_share_is_likely_and_an_impossible_one_is_not() {
        assert!(luck(1e12, 1e12).abs() < 1.0, "as good as its work");
        assert!(luck(1e12, 1e9) < -LISTED_Z, "no share above a thousandth of its work");
        assert!(luck(1e12, 1e18) > LISTED_Z, "one that takes a million times its work");
        assert!((normal(1.959_964) - 0.975).abs() < 1e-6);
    }
}

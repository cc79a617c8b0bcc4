//! All schemes for one miner's size: how steady, at what fee, and whom one must trust.
//!
//! Invariant: every scheme is simulated with the same miner in the same pool over the same time; only fee and trust are stated,
//! not measured, and they are the ones in [`Offer`].

use crate::picture::{Axis, Line, Picture, horizon_ticks};
use crate::report::{Report, Row, run};
use crate::scenario::{BadScenario, Dividing, Miners, Named, Scenario};
use crate::world::{Hashrates, Rewards};
use crate::{Progress, validate};
use covenant::window::LookBack;

/// A scheme with what is usual for it.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Its name.
    pub name: &'static str,
    /// A usual fee, in percent.
    pub fee_percent: f64,
    /// Whom one trusts with what.
    pub trust: &'static str,
}

/// The schemes compared.
pub const OFFERS: [Offer; 8] = [
    Offer { name: "solo", fee_percent: 0.0, trust: "nobody" },
    Offer { name: "look-back 216", fee_percent: 0.0, trust: "nobody, while others go on sharing" },
    Offer { name: "look-back 1008", fee_percent: 0.0, trust: "nobody, while others go on sharing" },
    Offer {
        name: "full proportional",
        fee_percent: 0.5,
        trust: "a signing majority of block finders",
    },
    Offer { name: "PROP", fee_percent: 1.0, trust: "the operator, and hoppers to stay away" },
    Offer {
        name: "PPLNS 2",
        fee_percent: 1.0,
        trust: "the operator with the count and the payout",
    },
    Offer { name: "TIDES", fee_percent: 1.0, trust: "the operator with the count; coinbase pays" },
    Offer {
        name: "FPPS",
        fee_percent: 2.5,
        trust: "the operator with everything, and their reserve",
    },
];

/// What is compared for whom.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Where chance begins.
    pub seed: u64,
    /// The miner's part of the network.
    pub hashrate: f64,
    /// The pool's.
    pub pool: f64,
    /// Repeats.
    pub repeats: u64,
}

/// Runs all offers for one miner, the rest of the pool being one other.
///
/// # Errors
/// When there is no such miner in such a pool.
pub fn compare(question: &Question, progress: Progress<'_>) -> Result<Report, BadScenario> {
    compare_policies(question, OFFERS.iter().map(named).collect(), progress)
}

/// As [`compare`], with these ways of dividing.
///
/// # Errors
/// When there is no such miner in such a pool.
pub fn compare_policies(
    question: &Question,
    policies: Vec<Named>,
    progress: Progress<'_>,
) -> Result<Report, BadScenario> {
    let others = question.pool - question.hashrate;
    let scenario = Scenario {
        seed: question.seed,
        repeats: question.repeats,
        blocks: 52_560,
        shares_per_block: 1_000_000,
        stale_seconds: 0.0,
        growth_percent: 0.0,
        miners: Miners {
            count: 2,
            share: question.pool,
            hashrates: Hashrates::List { hashrates: vec![question.hashrate, others] },
        },
        rewards: Rewards { subsidy: 3.125, fees: 0.1, fees_cv: 0.5, halving: 0 },
        policies,
        adversaries: Vec::new(),
    };
    scenario.check()?;
    Ok(run(&scenario, Some(0), progress))
}

/// An offer as a policy.
#[must_use]
pub fn named(offer: &Offer) -> Named {
    let ctv = |blocks| Dividing::Ctv { rule: validate::rule(LookBack::Last { blocks }) };
    let policy = match offer.name {
        "solo" => Dividing::Solo,
        "look-back 216" => ctv(216),
        "look-back 1008" => ctv(1008),
        "full proportional" => Dividing::Full { blocks: 2016 },
        "PROP" => Dividing::Prop,
        "PPLNS 2" => Dividing::Pplns { window: 2.0 },
        "TIDES" => Dividing::Tides,
        _ => Dividing::Fpps,
    };
    Named { name: offer.name.into(), fee_percent: offer.fee_percent, policy }
}

/// The table: fee, steadiness over a month, the chance of a day without income, trust.
#[must_use]
pub fn table(report: &Report) -> String {
    let find = |name: &str, blocks: u64| {
        report.rows.iter().find(|row| row.policy == name && row.blocks == blocks)
    };
    let mut text = format!(
        "{:<18} {:>6} {:>15} {:>11} {:>11} {:>14}  {}\n",
        "scheme", "fee", "income", "a day ±", "30 days ±", "day with none", "one trusts"
    );
    for offer in OFFERS {
        let (Some(day), Some(month)) = (find(offer.name, 144), find(offer.name, 4320)) else {
            continue;
        };
        let percent = |value: f64| format!("{:.1} %", value * 100.0);
        let none = day.none.map_or("-".into(), |none| percent(none.mean));
        text += &format!(
            "{:<18} {:>6} {:>15} {:>11} {:>11} {:>14}  {}\n",
            offer.name,
            format!("{} %", offer.fee_percent),
            format!("{:.1} ± {:.1} %", month.mean.mean * 100.0, month.mean.error * 100.0),
            percent(day.deviation.mean),
            percent(month.deviation.mean),
            none,
            offer.trust
        );
    }
    text
}

/// Deviation of income by horizon, a line a scheme.
#[must_use]
pub fn picture(title: String, subtitle: String, rows: &[Row]) -> Picture {
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        let point = (row.blocks as f64, row.deviation.mean * 100.0, 200.0 * row.deviation.error);
        match lines.iter_mut().find(|line| line.name == row.policy) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: row.policy.clone(), points: vec![point], dots: false }),
        }
    }
    let longest = rows.iter().map(|row| row.blocks).max().unwrap_or(1);
    Picture {
        title,
        subtitle,
        x: Axis { name: "income over".into(), logarithmic: true, ticks: horizon_ticks(longest) },
        y: Axis {
            name: "standard deviation, % of fair income".into(),
            logarithmic: true,
            ticks: Vec::new(),
        },
        lines,
    }
}

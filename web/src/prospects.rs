//! What a miner's income would look like here, alone, and under the other schemes: simulated with the pool's own numbers.
//!
//! Invariant: one simulation at a time, on one thread that gives way to everything else; what was reckoned is kept, so that asking again
//! costs nothing.

use crate::model::network;
use crate::outlook::{Outlook, PoolOutlook};
use ::pool::View;
use accounting::Scheme;
use accounting::scheme::PplnsWindow;
use serde::Serialize;
use simulator::compare::{OFFERS, Question, compare_policies, named, picture};
use simulator::report::Report;
use simulator::scenario::{Dividing, Named};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Years simulated for one answer.
const YEARS: u64 = 24;
/// Where chance begins: the same question has the same answer.
const SEED: u64 = 1;
/// Questions that may wait for their turn: a simulation takes seconds.
const WAITING_MAX: usize = 8;
/// Answers kept.
const KEPT: usize = 256;
/// Blocks of a day and of thirty, at ten minutes: a horizon is so many of the network's blocks, whatever its pace.
const DAY: u64 = 144;
const MONTH: u64 = 4320;
/// Nobody is asked about more than this part of the network together.
const NETWORK_MAX: f64 = 0.95;

/// A question, rounded so that similar ones are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The miner's part of the network and the pool's with it, two digits each, in the order of their exponents.
    miner: (u32, i32),
    pool: (u32, i32),
    own: Option<Own>,
    fee_bps: u16,
}

/// How this pool divides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Own {
    Solo,
    Prop,
    /// Hundredths of a block's work.
    Pplns(u64),
    Tides,
    Pps,
    Fpps,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prospects {
    /// The miner's part of the network.
    pub miner: f64,
    /// The pool's, the miner in it.
    pub pool: f64,
    /// A scheme a row, this pool's first.
    pub rows: Vec<Row>,
    /// Deviation by horizon, as a picture.
    #[serde(skip)]
    pub svg: String,
}

/// What a scheme would bring.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub scheme: String,
    /// Is it this pool's?
    pub is_own: bool,
    /// What is kept, in percent: this pool's, or what is usual.
    pub fee_percent: f64,
    /// Income after the fee, of what the hashrate is worth.
    pub mean: f64,
    /// Standard deviation of a day's, of what it is worth.
    pub day: f64,
    /// And of thirty days'.
    pub month: f64,
    /// The chance of a day without income, where it was counted.
    pub none: Option<f64>,
    /// Whom one trusts with what.
    pub trust: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Others wait already.
    #[error("too many simulations wait for their turn; please try again in a minute")]
    Busy,
    /// The simulation cannot be made.
    #[error("{0}")]
    Impossible(String),
}

/// Answers, and who reckons them.
pub struct Reckoner {
    known: Mutex<HashMap<Asked, Arc<Prospects>>>,
    places: Semaphore,
    turn: tokio::sync::Mutex<()>,
}

impl Default for Reckoner {
    fn default() -> Self {
        let (known, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Reckoner { known, places: Semaphore::new(WAITING_MAX), turn }
    }
}

impl Asked {
    /// What a hashrate would meet in a pool as it is now; none where the network or the pool is not known yet, or is no chain's.
    #[must_use]
    pub fn of(
        outlook: &Outlook,
        view: &View,
        pool: &PoolOutlook,
        hashrate: f64,
        pool_rate: f64,
        fee_percent: f64,
    ) -> Option<Asked> {
        let asset = outlook.asset(pool.asset)?;
        let network = network::network(asset).hashrate?;
        let seen = view.pools.iter().find(|seen| seen.id == pool.id)?;
        // The network has whoever joins it.
        let with = network.max(pool_rate) + hashrate;
        let (miner, all) = (hashrate / with, (hashrate + pool_rate) / with);
        let all = all.min(NETWORK_MAX);
        let own = match pool.scheme {
            Scheme::Solo { .. } => Some(Own::Solo),
            Scheme::Prop => Some(Own::Prop),
            Scheme::Pplns(PplnsWindow::Work { millifactor }) => Some(Own::Pplns(millifactor / 10)),
            Scheme::Pplns(PplnsWindow::Shares { .. }) => {
                let blocks = seen.standings.total.checked_mul(100)?.checked_div(seen.network_work);
                blocks.and_then(|blocks| u64::try_from(blocks).ok()).map(Own::Pplns)
            }
            Scheme::Tides => Some(Own::Tides),
            Scheme::Pps => Some(Own::Pps),
            Scheme::Fpps => Some(Own::Fpps),
            Scheme::Budget { .. } => return None,
        };
        let own = own.filter(|own| *own != Own::Pplns(0));
        let fee_bps = (fee_percent * 100.0).round() as u16;
        Some(Asked { miner: rounded(miner.min(all)), pool: rounded(all), own, fee_bps })
    }

    fn policies(&self) -> Vec<Named> {
        let fee_percent = f64::from(self.fee_bps) / 100.0;
        let own = self.own.map(|own| {
            let (name, policy) = match own {
                Own::Solo => ("SOLO", Dividing::Solo),
                Own::Prop => ("PROP", Dividing::Prop),
                Own::Pplns(hundredths) => {
                    ("PPLNS", Dividing::Pplns { window: hundredths as f64 / 100.0 })
                }
                Own::Tides => ("TIDES", Dividing::Tides),
                Own::Pps => ("PPS", Dividing::Pps),
                Own::Fpps => ("FPPS", Dividing::Fpps),
            };
            Named { name: format!("{name}, here"), fee_percent, policy }
        });
        own.into_iter().chain(OFFERS.iter().map(named)).collect()
    }
}

/// Two digits and an exponent of ten.
fn rounded(part: f64) -> (u32, i32) {
    let exponent = part.log10().floor() as i32;
    ((part / 10f64.powi(exponent - 1)).round() as u32, exponent - 1)
}

fn value((digits, exponent): (u32, i32)) -> f64 {
    f64::from(digits) * 10f64.powi(exponent)
}

impl Reckoner {
    /// The answer; waits for its turn and for the simulation where nobody asked before.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn ask(&self, asked: Asked) -> Result<Arc<Prospects>, NoAnswer> {
        if let Some(known) = self.known(&asked) {
            return Ok(known);
        }
        let _place = self.places.try_acquire().map_err(|_| NoAnswer::Busy)?;
        let _turn = self.turn.lock().await;
        if let Some(known) = self.known(&asked) {
            return Ok(known);
        }
        let reckoned = tokio::task::spawn_blocking(move || reckon(&asked)).await;
        let reckoned = reckoned.unwrap_or_else(|error| Err(error.to_string()));
        let found = Arc::new(reckoned.map_err(NoAnswer::Impossible)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(asked, found.clone());
        Ok(found)
    }

    fn known(&self, asked: &Asked) -> Option<Arc<Prospects>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(asked).cloned()
    }
}

fn reckon(asked: &Asked) -> Result<Prospects, String> {
    let (miner, pool) = (value(asked.miner), value(asked.pool).max(value(asked.miner) * 1.000_001));
    let question = Question { seed: SEED, hashrate: miner, pool, repeats: YEARS };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let threads = threads.map_err(|error| error.to_string())?;
    let report = threads
        .install(|| compare_policies(&question, asked.policies(), &simulator::silent))
        .map_err(|error| error.to_string())?;
    let rows = asked.policies().iter().filter_map(|policy| row(&report, policy)).collect();
    let subtitle = format!(
        "{} years simulated; {:.3} % of the network in a pool of {:.2} %",
        YEARS,
        miner * 100.0,
        pool * 100.0
    );
    let picture = picture("How much income varies".into(), subtitle, &report.rows);
    Ok(Prospects { miner, pool, rows, svg: picture.to_svg() })
}

fn row(report: &Report, policy: &Named) -> Option<Row> {
    let find = |blocks: u64| {
        report.rows.iter().find(|row| row.policy == policy.name && row.blocks == blocks)
    };
    let (day, month) = (find(DAY)?, find(MONTH)?);
    let offer = OFFERS.iter().find(|offer| offer.name == policy.name);
    Some(Row {
        scheme: policy.name.clone(),
        is_own: offer.is_none(),
        fee_percent: policy.fee_percent,
        mean: month.mean.mean,
        day: day.deviation.mean,
        month: month.deviation.mean,
        none: day.none.as_ref().map(|none| none.mean),
        trust: offer.map_or("this pool's operator", |offer| offer.trust).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_questions_are_one() {
        assert_eq!(rounded(0.001_234), rounded(0.001_19));
        assert_ne!(rounded(0.001_234), rounded(0.001_3));
        assert!((value(rounded(0.2)) - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_small_miner_is_steadier_in_a_pool_than_alone() {
        let asked = Asked {
            miner: rounded(0.001),
            pool: rounded(0.2),
            own: Some(Own::Pplns(200)),
            fee_bps: 100,
        };
        let found = reckon(&asked).unwrap();
        let own = &found.rows[0];
        let solo = found.rows.iter().find(|row| row.scheme == "solo").unwrap();
        assert!(own.is_own && !solo.is_own);
        assert!(own.day < solo.day / 5.0 && own.month < solo.month / 5.0);
        assert!((own.mean - 0.99).abs() < 0.02, "the fee, and chance");
        assert!(found.svg.contains("<svg"));
    }
}

//! A scenario: who mines, under which policies, for how long; read from a file.
//!
//! Invariant: a scenario that was read can be run; what is wrong is said with what would be right.

use crate::shares::Policy;
use crate::world::{Hashrates, Rewards};
use accounting::BasisPoints;
use accounting::scheme::{PplnsWindow, Scheme};
use covenant::Rule;
use serde::{Deserialize, Serialize};

/// Most miners of a scenario.
pub const MINERS_MAX: usize = 100_000;
/// Most network blocks of one repeat: a century.
pub const BLOCKS_MAX: u64 = 5_256_000;
/// Most repeats.
pub const REPEATS_MAX: u64 = 1_000_000;

/// A scenario as its file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Where chance begins.
    #[serde(default = "one")]
    pub seed: u64,
    /// Independent repeats.
    #[serde(default = "one")]
    pub repeats: u64,
    /// Network blocks of each.
    pub blocks: u64,
    /// Shares that a block takes on average.
    #[serde(default = "shares")]
    pub shares_per_block: u64,
    /// Seconds until a block is known to all; what is found meanwhile is stale.
    #[serde(default)]
    pub stale_seconds: f64,
    /// By how many percent the network grows in a year. Counts only where time does: for windows in seconds and weights by work.
    #[serde(default)]
    pub growth_percent: f64,
    /// Who mines.
    pub miners: Miners,
    /// What blocks are worth.
    #[serde(default = "rewards")]
    pub rewards: Rewards,
    /// What is compared.
    pub policies: Vec<Named>,
    /// Who plays against the rules.
    #[serde(default)]
    pub adversaries: Vec<Adversary>,
}

/// The pool's miners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Miners {
    /// How many.
    #[serde(default = "hundred")]
    pub count: usize,
    /// Their part of the network together.
    pub share: f64,
    /// How it is distributed.
    pub hashrates: Hashrates,
}

/// A policy with a name and a fee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// As it is called in tables.
    pub name: String,
    /// What the pool keeps, in percent.
    #[serde(default)]
    pub fee_percent: f64,
    /// How it divides.
    pub policy: Dividing,
}

/// Ways of dividing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Dividing {
    /// Everybody keeps what they find.
    Solo,
    /// Shares are bought at their part of the subsidy.
    Pps,
    /// Shares are bought at their part of subsidy and mean fees.
    Fpps,
    /// By the work since the pool's block before.
    Prop,
    /// By the last work.
    Pplns {
        /// In blocks' work.
        window: f64,
    },
    /// By the last eight blocks' work.
    Tides,
    /// Rosenfeld's geometric method.
    Geometric {
        /// The operator's part of luck.
        c: f64,
    },
    /// Rosenfeld's double geometric method.
    Dgm {
        /// The operator's part of luck.
        c: f64,
        /// What of a score outlives a block.
        o: f64,
    },
    /// All blocks of an epoch by all work of it.
    Full {
        /// Network blocks of an epoch.
        blocks: u64,
    },
    /// A coordination-free pool.
    Ctv {
        /// Its rule.
        rule: Rule,
    },
}

/// Who plays against the rules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Adversary {
    /// Leaves PROP rounds early.
    Hopper,
    /// Keeps rich blocks and shares poor ones.
    CherryPicker {
        /// The pool's rule.
        rule: Rule,
        /// Standard deviation of blocks' worth, in means.
        cv: f64,
    },
    /// Leaves a pool that ends, with the last block kept.
    Leaver {
        /// The pool's rule: a window of the last blocks.
        rule: Rule,
    },
    /// Withholds another pool's blocks.
    Withholder {
        /// Part of the network.
        hashrate: f64,
        /// The other pool's.
        pool: f64,
        /// What of the own is sent there.
        sent: f64,
    },
    /// Publishes blocks late.
    Selfish {
        /// Part of the network.
        hashrate: f64,
        /// Part of the others that mine on their branch in a race.
        gamma: f64,
    },
    /// Mines in a time window's pool just before it grows.
    Follower {
        /// The pool's rule: a window of an age in seconds.
        rule: Rule,
        /// Blocks in the window at first.
        slots: u32,
        /// By how much the pool grows.
        factor: f64,
    },
}

fn one() -> u64 {
    1
}

fn shares() -> u64 {
    1_000_000
}

fn hundred() -> usize {
    100
}

fn rewards() -> Rewards {
    Rewards::constant(3.125)
}

/// What is wrong with a scenario.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the scenario: {0}")]
pub struct BadScenario(String);

impl Scenario {
    /// Can it be run?
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn check(&self) -> Result<(), BadScenario> {
        let refuse = |text: String| Err(BadScenario(text));
        if !(1..=REPEATS_MAX).contains(&self.repeats) || !(1..=BLOCKS_MAX).contains(&self.blocks) {
            return refuse(format!("repeats is 1 to {REPEATS_MAX}, blocks 1 to {BLOCKS_MAX}"));
        }
        if !(2..=1 << 40).contains(&self.shares_per_block) {
            return refuse("shares_per_block is 2 to 2^40".into());
        }
        if !(self.miners.share > 0.0 && self.miners.share <= 1.0) {
            return refuse(
                "miners.share is above 0 and at most 1: their part of the network".into(),
            );
        }
        if !(1..=MINERS_MAX).contains(&self.miner_count()) {
            return refuse(format!("there are 1 to {MINERS_MAX} miners"));
        }
        if let Hashrates::List { hashrates } = &self.miners.hashrates
            && !hashrates.iter().all(|rate| rate.is_finite() && *rate > 0.0)
        {
            return refuse("every hashrate in the list is above 0".into());
        }
        let worths = [self.rewards.subsidy, self.rewards.fees, self.rewards.fees_cv];
        let usable = |value: &f64| value.is_finite() && (0.0..=1e6).contains(value);
        if !worths.iter().all(usable) || self.rewards.mean_at(0) < 1.0 {
            return refuse(
                "subsidy, fees and fees_cv are 0 to a million, and a block is worth something"
                    .into(),
            );
        }
        if !(0.0..=600.0).contains(&self.stale_seconds)
            || !(-99.0..=1e4).contains(&self.growth_percent)
        {
            return refuse("stale_seconds is 0 to 600, growth_percent -99 to 10000".into());
        }
        if self.policies.is_empty() && self.adversaries.is_empty() {
            return refuse("name at least one [[policies]] or [[adversaries]]".into());
        }
        for named in &self.policies {
            named
                .check()
                .map_err(|text| BadScenario(format!("policy \"{}\": {text}", named.name)))?;
        }
        self.adversaries.iter().try_for_each(|adversary| adversary.check().map_err(BadScenario))
    }

    fn miner_count(&self) -> usize {
        match &self.miners.hashrates {
            Hashrates::List { hashrates } => hashrates.len(),
            _ => self.miners.count,
        }
    }

    /// The part of blocks that go stale.
    #[must_use]
    pub fn stale(&self) -> f64 {
        1.0 - (-self.stale_seconds / 600.0).exp()
    }
}

impl Named {
    /// What the pool keeps.
    #[must_use]
    pub fn fee(&self) -> BasisPoints {
        BasisPoints::new((self.fee_percent * 100.0).round() as u16).unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        if !(0.0..=100.0).contains(&self.fee_percent) {
            return Err("fee_percent is 0 to 100".into());
        }
        let part = |value: f64| value > 0.0 && value < 1.0;
        match self.policy {
            Dividing::Pplns { window } if !(0.001..=10_000.0).contains(&window) => {
                Err("window is 0.001 to 10000, in blocks' work".into())
            }
            Dividing::Geometric { c } if !part(c) => Err("c is between 0 and 1".into()),
            Dividing::Dgm { c, o } if !part(c) || !(0.0..1.0).contains(&o) => {
                Err("c is between 0 and 1, o from 0 to below 1".into())
            }
            Dividing::Full { blocks: 0 } => Err("an epoch has at least one block".into()),
            Dividing::Ctv { rule } => rule.check().map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }
}

impl Dividing {
    /// The policy of the engine for shares, where it is one of those.
    #[must_use]
    pub fn by_shares(self) -> Option<Policy> {
        let policy = match self {
            Dividing::Solo | Dividing::Pps | Dividing::Fpps | Dividing::Ctv { .. } => return None,
            Dividing::Prop => Policy::Window(Scheme::Prop),
            Dividing::Pplns { window } => {
                let millifactor = (window * 1000.0).round() as u64;
                Policy::Window(Scheme::Pplns(PplnsWindow::Work { millifactor }))
            }
            Dividing::Tides => Policy::Window(Scheme::Tides),
            Dividing::Geometric { c } => Policy::Geometric { c, o: 0.0 },
            Dividing::Dgm { c, o } => Policy::Geometric { c, o },
            Dividing::Full { blocks } => Policy::FullProportional { blocks },
        };
        Some(policy)
    }
}

impl Adversary {
    fn check(&self) -> Result<(), String> {
        use covenant::window::LookBack;
        let part = |value: f64| (0.0..1.0).contains(&value);
        match *self {
            Adversary::Hopper => Ok(()),
            Adversary::CherryPicker { rule, cv } => {
                rule.check().map_err(|error| error.to_string())?;
                if cv > 0.0 && cv <= 10.0 {
                    Ok(())
                } else {
                    Err("cv is above 0, at most 10".into())
                }
            }
            Adversary::Leaver { rule } => match rule.window {
                LookBack::Last { .. } => rule.check().map_err(|error| error.to_string()),
                _ => Err("a leaver's rule has a window of kind \"last\"".into()),
            },
            Adversary::Withholder { hashrate, pool, sent } => {
                let sound = part(hashrate) && part(pool) && pool > 0.0 && part(sent);
                if sound && sent <= hashrate && hashrate + pool <= 1.0 {
                    Ok(())
                } else {
                    Err("hashrate, pool and sent are parts of the network, sent at most hashrate"
                        .into())
                }
            }
            Adversary::Selfish { hashrate, gamma } => {
                if hashrate < 0.5 && part(hashrate) && (0.0..=1.0).contains(&gamma) {
                    Ok(())
                } else {
                    Err("hashrate is below 0.5, gamma 0 to 1".into())
                }
            }
            Adversary::Follower { rule, slots, factor } => {
                rule.check().map_err(|error| error.to_string())?;
                let aged = matches!(rule.window, LookBack::Age { .. });
                if aged && (10..=9_000).contains(&slots) && (0.05..=2.0).contains(&factor) {
                    Ok(())
                } else {
                    Err("a follower's rule has a window of kind \"age\"; slots is 10 to 9000, factor 0.05 to 2".into())
                }
            }
        }
    }
}

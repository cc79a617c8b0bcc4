//! The rule by which income becomes credit.
//!
//! Invariant: a closed set; every consequence of a scheme is an exhaustive `match` here or in [`crate::split`].

use crate::fee::BasisPoints;
use crate::ratio::part_and_remainder;
use crate::share::WeightSum;
use crate::slice::Tally;
use serde::{Deserialize, Serialize};

/// How a pool divides what it earns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "lowercase")]
pub enum Scheme {
    /// The finder gets the block. Unless custodial, the coinbase pays the finder's own address.
    Solo {
        /// The pool receives the block and credits the finder.
        custodial: bool,
    },
    /// Everybody who worked since the pool's last block, in proportion. Simple, and open to pool hopping.
    Prop,
    /// The last work before the block, however old: a fixed amount of it.
    Pplns(PplnsWindow),
    /// PPLNS over eight times the network's work (OCEAN's TIDES): each share is paid about eight times.
    Tides,
    /// Every share is bought at its expected part of the subsidy; the pool carries the luck.
    Pps,
    /// As PPS, and the expected transaction fees too.
    Fpps,
    /// An epoch's budget, divided by the work in that epoch.
    Budget {
        /// The most of it for one owner.
        cap: BasisPoints,
    },
}

/// The length of a PPLNS window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PplnsWindow {
    /// In thousandths of the expected work of one block.
    Work {
        /// 2000 is twice the network's work.
        millifactor: u64,
    },
    /// In a number of shares, each still counting by its weight.
    Shares {
        /// How many.
        count: u64,
    },
}

/// How far back a window reaches from its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowLength {
    /// So much work.
    Work(WeightSum),
    /// So many shares.
    Shares(u64),
    /// To the end of the previous window: a round.
    Round,
}

impl WindowLength {
    /// Does so much fill a window of this length?
    #[must_use]
    pub fn is_reached_by(self, total: Tally) -> bool {
        match self {
            WindowLength::Work(work) => total.weight >= work,
            WindowLength::Shares(count) => total.shares >= count,
            WindowLength::Round => false,
        }
    }

    /// Would a window that holds `total` still be full without its oldest slice?
    #[must_use]
    pub fn is_full_without(self, total: Tally, oldest: Tally) -> bool {
        match self {
            WindowLength::Work(work) => total.weight.saturating_sub(oldest.weight) >= work,
            WindowLength::Shares(count) => total.shares.saturating_sub(oldest.shares) >= count,
            WindowLength::Round => false,
        }
    }

    /// The part of its oldest slice that counts in a window that holds `total`: numerator and denominator, in work or in
    /// shares.
    #[must_use]
    pub fn part_of_oldest(self, total: Tally, oldest: Tally) -> (WeightSum, WeightSum) {
        let (wanted, all, of_oldest) = match self {
            WindowLength::Work(work) => (work, total.weight, oldest.weight),
            WindowLength::Shares(count) => {
                (count.into(), total.shares.into(), oldest.shares.into())
            }
            WindowLength::Round => (WeightSum::MAX, total.weight, oldest.weight),
        };
        let excess = all.saturating_sub(wanted);
        (of_oldest.saturating_sub(excess), of_oldest)
    }

    /// What counts of a row of the oldest slice, by its part.
    ///
    /// # Panics
    /// When the part is more than the whole, or of nothing.
    #[must_use]
    pub fn kept(weight: WeightSum, (part, whole): (WeightSum, WeightSum)) -> WeightSum {
        part_and_remainder(weight, part, whole).0
    }
}

impl Scheme {
    /// Does a reward pay a window, or was every share paid already?
    #[must_use]
    pub const fn pays_per_share(self) -> bool {
        matches!(self, Scheme::Pps | Scheme::Fpps)
    }

    /// The window that a block of this network work pays; `None` where no window is paid.
    #[must_use]
    pub fn window_length(self, network_work: WeightSum) -> Option<WindowLength> {
        let of_work = |millifactor: u64| {
            // A node may claim any target; a window that is longer than all work there ever was holds everything.
            let thousandths = network_work.saturating_mul(millifactor.into());
            WindowLength::Work((thousandths / 1000).max(1))
        };
        match self {
            Scheme::Solo { .. } | Scheme::Pps | Scheme::Fpps => None,
            Scheme::Prop | Scheme::Budget { .. } => Some(WindowLength::Round),
            Scheme::Pplns(PplnsWindow::Work { millifactor }) => Some(of_work(millifactor)),
            Scheme::Pplns(PplnsWindow::Shares { count }) => {
                Some(WindowLength::Shares(count.max(1)))
            }
            Scheme::Tides => Some(of_work(8000)),
        }
    }

    /// The scheme in one plain sentence, for miners.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Scheme::Solo { custodial: false } => {
                "SOLO: the block you find is paid to your address by its own coinbase".into()
            }
            Scheme::Solo { custodial: true } => {
                "SOLO: the block you find is credited to you alone".into()
            }
            Scheme::Prop => "PROP: each block is shared by the work since the block before".into(),
            Scheme::Pplns(PplnsWindow::Work { millifactor }) => {
                let factor = format!("{}.{:03}", millifactor / 1000, millifactor % 1000);
                let factor = factor.trim_end_matches('0').trim_end_matches('.');
                format!(
                    "PPLNS: each block is shared by the last {factor} × network difficulty of work"
                )
            }
            Scheme::Pplns(PplnsWindow::Shares { count }) => {
                format!("PPLNS: each block is shared by the last {count} shares")
            }
            Scheme::Tides => {
                "TIDES: each block is shared by the last 8 × network difficulty of work".into()
            }
            Scheme::Budget { cap } => {
                format!(
                    "BUDGET: each epoch's budget is shared by the work in it, at most {cap} of it for one owner"
                )
            }
            Scheme::Pps => {
                "PPS: every share is bought at its expected part of the block subsidy".into()
            }
            Scheme::Fpps => {
                "FPPS: every share is bought at its expected part of subsidy and fees".into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_in_work_and_never_empty() {
        let pplns = Scheme::Pplns(PplnsWindow::Work { millifactor: 2500 });
        assert_eq!(pplns.window_length(1000), Some(WindowLength::Work(2500)));
        assert_eq!(Scheme::Tides.window_length(1000), Some(WindowLength::Work(8000)));
        assert_eq!(
            Scheme::Pplns(PplnsWindow::Work { millifactor: 0 }).window_length(5),
            Some(WindowLength::Work(1))
        );
        assert_eq!(Scheme::Prop.window_length(1000), Some(WindowLength::Round));
        assert_eq!(Scheme::Fpps.window_length(1000), None);
    }
}

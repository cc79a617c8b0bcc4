//! What accepted work is told to people as: hashes a second, the space that is farmed, or reputation an hour.
//!
//! Invariant: the books and the meters know weights only; this decides how they are written, and nothing else.

use crate::format;
use crate::rates::Rates;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Lengths of time of [`Rates`]: a quarter of an hour, and a day.
const QUARTER: usize = 2;
const HOUR: usize = 3;
const DAY: usize = 5;
/// The rate of one reputation an hour: weights are its millionths.
const REPUTATION: f64 = 1e6 / 3600.0;
/// How one unit of bytes is to the next.
const KIBI: f64 = 1024.0;

/// Units that people type a hashrate in, and space.
const HASHES: [(&str, f64); 7] = [
    ("H/s", 1.0),
    ("kH/s", 1e3),
    ("MH/s", 1e6),
    ("GH/s", 1e9),
    ("TH/s", 1e12),
    ("PH/s", 1e15),
    ("EH/s", 1e18),
];
const BYTES: [(&str, f64); 4] = [
    ("GiB", KIBI * KIBI * KIBI),
    ("TiB", KIBI * KIBI * KIBI * KIBI),
    ("PiB", KIBI * KIBI * KIBI * KIBI * KIBI),
    ("EiB", KIBI * KIBI * KIBI * KIBI * KIBI * KIBI),
];

/// What a rate of work is the rate of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "of", rename_all = "lowercase")]
pub enum Measure {
    /// Hashes a second.
    #[default]
    Hashes,
    /// Points a second, which space earns on average.
    Space {
        /// The bytes that earn one point a second.
        bytes_per_rate: f64,
        /// The bytes of a plot of the usual size.
        plot_bytes: f64,
    },
    /// Millionths of reputation a second, which answers to leases earn.
    Reputation,
}

impl Measure {
    /// What the rate is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Measure::Hashes => "Hashrate",
            Measure::Space { .. } => "Space",
            Measure::Reputation => "Reputation an hour",
        }
    }

    /// The one number that is shown where one must do: partials are few, so space is told by a day of them; reputation is told by
    /// the hour it is named after.
    #[must_use]
    pub fn of(self, rates: &Rates) -> f64 {
        match self {
            Measure::Hashes => rates.over(QUARTER),
            Measure::Space { .. } => rates.over(DAY),
            Measure::Reputation => rates.over(HOUR),
        }
    }

    /// A rate as people read it.
    #[must_use]
    pub fn show(self, rate: f64) -> String {
        match self {
            Measure::Hashes => format::hashrate(rate),
            Measure::Space { bytes_per_rate, .. } => format::space(rate * bytes_per_rate),
            Measure::Reputation => format::quantity(rate / REPUTATION),
        }
    }

    /// The plots of the usual size that a rate speaks for, if it is of space.
    #[must_use]
    pub fn plots(self, rate: f64) -> Option<f64> {
        match self {
            Measure::Hashes | Measure::Reputation => None,
            Measure::Space { bytes_per_rate, plot_bytes } => {
                (plot_bytes > 0.0).then(|| (rate * bytes_per_rate / plot_bytes).round())
            }
        }
    }

    /// A rate on an axis whose lines are so far apart and end at a top.
    #[must_use]
    pub fn on_axis(self, rate: f64, step: f64, top: f64) -> String {
        match self {
            Measure::Hashes => format::on_axis(rate, step, top, "H/s"),
            Measure::Reputation => {
                let [rate, step, top] = [rate, step, top].map(|rate| rate / REPUTATION);
                format::on_axis(rate, step, top, "").trim_end().to_owned()
            }
            Measure::Space { bytes_per_rate, .. } => {
                let [rate, step, top] = [rate, step, top].map(|rate| rate * bytes_per_rate);
                format::space_on_axis(rate, step, top)
            }
        }
    }

    /// The rate of one of the unit in which the largest of some rates is written: axes have round numbers of it.
    #[must_use]
    pub fn unit(self, most: f64) -> f64 {
        match self {
            Measure::Space { bytes_per_rate, .. } if bytes_per_rate > 0.0 => {
                let mut unit = 1.0;
                while most * bytes_per_rate / unit >= KIBI {
                    unit *= KIBI;
                }
                unit / bytes_per_rate
            }
            Measure::Reputation => REPUTATION,
            Measure::Hashes | Measure::Space { .. } => 1.0,
        }
    }

    /// Where the class of rates that a rate belongs to begins: powers of ten, and of eight where bytes are counted.
    #[must_use]
    pub fn class(self, rate: f64) -> f64 {
        match self {
            Measure::Hashes => 10f64.powf(rate.log10().floor()),
            Measure::Reputation => 10f64.powf((rate / REPUTATION).log10().floor()) * REPUTATION,
            Measure::Space { bytes_per_rate, .. } => {
                8f64.powf((rate * bytes_per_rate).log(8.0).floor()) / bytes_per_rate
            }
        }
    }

    /// Units that people type a rate in, and the rate of one.
    #[must_use]
    pub fn units(self) -> Vec<(&'static str, f64)> {
        match self {
            Measure::Hashes => HASHES.to_vec(),
            Measure::Reputation => vec![("an hour", REPUTATION)],
            Measure::Space { bytes_per_rate, .. } => {
                BYTES.iter().map(|(name, bytes)| (*name, bytes / bytes_per_rate)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plot of size 32 earns 20 points a day.
    const PLOTS: Measure = Measure::Space {
        bytes_per_rate: 86_400.0 / 20.0 * 108_884_400_275.0,
        plot_bytes: 108_884_400_275.0,
    };

    #[test]
    fn points_are_told_as_space_and_plots() {
        let of_a_hundred_plots = 2000.0 / 86_400.0;
        assert_eq!(PLOTS.show(of_a_hundred_plots), "9.90 TiB");
        assert_eq!(PLOTS.plots(of_a_hundred_plots), Some(100.0));
        assert_eq!(PLOTS.show(0.0), "0 B");
        assert_eq!(Measure::Hashes.show(5e12), "5.00 TH/s");
        assert_eq!(Measure::Hashes.plots(5e12), None);
    }

    #[test]
    fn millionths_a_second_are_told_as_reputation_an_hour() {
        let thirteen_an_hour = 13_100_000.0 / 3600.0;
        assert_eq!(Measure::Reputation.show(thirteen_an_hour), "13.1");
        assert_eq!(Measure::Reputation.show(0.0), "0");
        let [step, top] = [5.0, 20.0].map(|reputation| reputation * REPUTATION);
        assert_eq!(Measure::Reputation.on_axis(2.0 * step, step, top), "10");
        assert_eq!(Measure::Reputation.show(Measure::Reputation.class(thirteen_an_hour)), "10.0");
        let (_, one) = Measure::Reputation.units()[0];
        assert_eq!(Measure::Reputation.show(one), "1.00");
    }

    #[test]
    fn space_is_told_by_a_day_and_hashes_by_a_quarter_of_an_hour() {
        let mut rates = Rates::default();
        rates.add(86_400.0 * 10.0, 86_400.0);
        rates.add(0.0, 900.0);
        assert!(PLOTS.of(&rates) > 5.0 && Measure::Hashes.of(&rates) < 5.0);
    }

    #[test]
    fn classes_begin_at_round_numbers() {
        assert_eq!(PLOTS.show(PLOTS.class(2000.0 / 86_400.0)), "4.00 TiB");
        assert_eq!(Measure::Hashes.class(5e12), 1e12);
    }

    #[test]
    fn what_is_typed_in_a_unit_is_shown_in_it() {
        for (name, rate) in PLOTS.units() {
            assert_eq!(PLOTS.show(3.0 * rate), format!("3.00 {name}"));
        }
    }
}

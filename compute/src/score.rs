//! How good an algorithm is: an integer, so that everybody's median is the same.
//!
//! Invariant: a score is between 0 and 1 in whole billionths, or it is no score; nothing that is not finite gets further than
//! here.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Billionths in one.
pub const ONE: u32 = 1_000_000_000;

/// What an evaluation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Score {
    /// The algorithm gives no usable number (the original says −infinity, which its own client cannot send).
    Invalid,
    /// Billionths.
    Of(Billionths),
}

/// A number between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Billionths(u32);

/// A number that is no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a score is a number from 0 to 1")]
pub struct NoScore;

impl Score {
    /// Of a number computed here: whatever is not finite or outside is invalid.
    #[must_use]
    pub fn computed(number: f64) -> Self {
        Score::read(number).unwrap_or(Score::Invalid)
    }

    /// Of a number that somebody sent, rounded to a billionth.
    ///
    /// # Errors
    /// When it is outside of 0 to 1, or none.
    pub fn read(number: f64) -> Result<Self, NoScore> {
        if !(0.0..=1.0).contains(&number) {
            return Err(NoScore);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e9")]
        Ok(Score::Of(Billionths((number * f64::from(ONE)).round() as u32)))
    }

    /// Of billionths.
    ///
    /// # Errors
    /// Above one.
    pub fn from_billionths(billionths: u32) -> Result<Self, NoScore> {
        Billionths::try_from(billionths).map(Score::Of)
    }

    /// In billionths; an invalid one is none.
    #[must_use]
    pub const fn billionths(self) -> Option<u32> {
        match self {
            Score::Invalid => None,
            Score::Of(number) => Some(number.0),
        }
    }

    /// As JSON writes it.
    #[must_use]
    pub fn to_f64(self) -> Option<f64> {
        self.billionths().map(|number| f64::from(number) / f64::from(ONE))
    }
}

impl TryFrom<u32> for Billionths {
    type Error = NoScore;

    fn try_from(number: u32) -> Result<Self, NoScore> {
        if number <= ONE { Ok(Self(number)) } else { Err(NoScore) }
    }
}

impl From<Billionths> for u32 {
    fn from(number: Billionths) -> u32 {
        number.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.billionths() {
            None => f.write_str("invalid"),
            Some(number) => write!(f, "{}.{:09}", number / ONE, number % ONE),
        }
    }
}

/// The median: of an even number, the mean of the two middle ones, rounded down. Nothing of nothing.
#[must_use]
pub fn median(scores: &[Score]) -> Option<Score> {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower =
        if sorted.len().is_multiple_of(2) { *sorted.get(sorted.len() / 2 - 1)? } else { upper };
    let middle = lower.billionths().zip(upper.billionths()).map(|(a, b)| a.midpoint(b));
    Some(middle.map_or(Score::Invalid, |middle| Score::Of(Billionths(middle))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: f64) -> Score {
        Score::read(number).unwrap()
    }

    #[test]
    fn what_is_not_between_nought_and_one_is_no_score() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1.000_001] {
            assert_eq!(Score::read(number), Err(NoScore));
            assert_eq!(Score::computed(number), Score::Invalid);
        }
        assert_eq!(of(-0.0), of(0.0));
        assert_eq!(of(1.0).to_string(), "1.000000000");
    }

    #[test]
    fn the_documents_median_is_91() {
        assert_eq!(median(&[of(0.92), of(0.90), of(0.91)]), Some(of(0.91)));
        assert_eq!(median(&[of(0.92), of(0.90)]), Some(of(0.91)));
        assert_eq!(median(&[Score::Invalid, of(0.5), Score::Invalid]), Some(Score::Invalid));
        assert_eq!(median(&[]), None);
    }
}

//! The decimal number a miner is sent as its difficulty.
//!
//! Invariant: what is printed is what is enforced. A difficulty is a whole number of 10^-12, prints without exponent, and
//! its target is computed from exactly the digits that were printed (pools that rounded on one side only rejected good
//! shares).

use crate::{Scale, Target};
use ruint::Uint;
use ruint::aliases::U256;
use std::fmt;
use std::str::FromStr;

type U512 = Uint<512, 8>;

/// Units of 10^-12 in one.
const ONE: u128 = 1_000_000_000_000;

/// A share difficulty, relative to [`Scale::difficulty_one`]: from 10^-9 to 2·10^9.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difficulty(u128);

/// Text or number that is no difficulty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a difficulty is a number from 0.000000001 to 2000000000, not {0}")]
pub struct BadDifficulty(pub String);

impl Difficulty {
    /// 10^-9: about four hashes a share; for load generators and tests.
    pub const MIN: Difficulty = Difficulty(ONE / 1_000_000_000);
    /// 2·10^9: the largest whose work still fits 63 bits, the integers of SQL.
    pub const MAX: Difficulty = Difficulty(2_000_000_000 * ONE);

    /// The nearest representable difficulty: whole from 1 upwards, twelve decimals below, clamped to the range.
    /// Not-a-number gives the minimum.
    #[must_use]
    pub fn nearest(value: f64) -> Self {
        // Float-to-integer casts saturate; NaN becomes 0 and is clamped.
        let raw = if value >= 1.0 {
            (value.round() as u128).saturating_mul(ONE)
        } else {
            (value * ONE as f64).round() as u128
        };
        Difficulty(raw).clamp(Self::MIN, Self::MAX)
    }

    /// The largest difficulty whose target is not below this one, as far as the range goes.
    #[must_use]
    pub fn not_harder_than(target: Target, scale: impl Into<Scale>) -> Self {
        let scale = scale.into();
        let near = Self::nearest(Self::of_target(target, scale));
        if near.target(scale).value() >= target.value() {
            return near;
        }
        let step = if near.0 > ONE { ONE } else { 1 };
        Difficulty(near.0 - step).max(Self::MIN)
    }

    /// For rates and charts; never for deciding about a share.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    /// The target a share at this difficulty must meet: `floor(difficulty_one / difficulty)`, at most 2^256 − 1.
    #[must_use]
    pub fn target(self, scale: impl Into<Scale>) -> Target {
        let numerator = U512::from(scale.into().difficulty_one()) * U512::from(ONE);
        let quotient = numerator / U512::from(self.0);
        Target::new(quotient.saturating_to())
    }

    /// The difficulty of a target, rounded down, as a float: for display (network difficulty exceeds this type's range).
    #[must_use]
    pub fn of_target(target: Target, scale: impl Into<Scale>) -> f64 {
        f64::from(scale.into().difficulty_one()) / f64::from(target.value().max(U256::ONE))
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / ONE, self.0 % ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:012}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl fmt::Debug for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Difficulty({self})")
    }
}

impl FromStr for Difficulty {
    type Err = BadDifficulty;

    /// Reads what people and miners write (`500`, `0.00015`, `1e6`); out of range is an error, unlike [`Self::nearest`].
    fn from_str(text: &str) -> Result<Self, BadDifficulty> {
        let value: f64 = text.trim().parse().map_err(|_| BadDifficulty(text.to_owned()))?;
        let in_range = value >= Self::MIN.as_f64() * 0.999 && value <= Self::MAX.as_f64();
        if in_range { Ok(Self::nearest(value)) } else { Err(BadDifficulty(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    #[test]
    fn prints_whole_numbers_whole_and_small_ones_without_exponent() {
        let cases = [
            (1024.0, "1024"),
            (0.5, "0.5"),
            (0.00015, "0.00015"),
            (1e-9, "0.000000001"),
            (2.6, "3"),
            (2e9, "2000000000"),
        ];
        for (value, text) in cases {
            assert_eq!(Difficulty::nearest(value).to_string(), text);
        }
    }

    #[test]
    fn difficulty_one_is_bitcoins_own_target_and_scrypts_is_65536_times_easier() {
        let one = Difficulty::nearest(1.0);
        assert_eq!(one.target(Algorithm::Sha256d), Target::from_compact(0x1d00_ffff).unwrap());
        assert_eq!(one.target(Algorithm::Scrypt), Target::from_compact(0x1f00_ffff).unwrap());
    }

    #[test]
    fn the_whole_range_has_a_weight_that_fits_sql() {
        for algorithm in [Algorithm::Sha256d, Algorithm::Scrypt] {
            for d in [Difficulty::MIN, Difficulty::MAX] {
                assert!(
                    d.target(algorithm).work().as_u64().is_some_and(|w| i64::try_from(w).is_ok()),
                    "{d} {algorithm:?}"
                );
            }
        }
    }

    #[test]
    fn nonsense_is_refused_or_clamped() {
        for text in ["", "x", "-1", "0", "nan", "inf", "3e9", "1e-10"] {
            assert!(text.parse::<Difficulty>().is_err(), "{text}");
        }
        assert_eq!(Difficulty::nearest(f64::NAN), Difficulty::MIN);
        assert_eq!(Difficulty::nearest(f64::INFINITY), Difficulty::MAX);
        assert_eq!(Difficulty::nearest(-5.0), Difficulty::MIN);
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_back_as_what_is_enforced(value in 1e-9f64..2e9) {
            let d = Difficulty::nearest(value);
            let back: Difficulty = d.to_string().parse().unwrap();
            proptest::prop_assert_eq!(d, back);
            proptest::prop_assert!(!d.to_string().contains('e'));
        }

        #[test]
        fn a_higher_difficulty_never_has_an_easier_target(a in 1e-9f64..2e9, b in 1e-9f64..2e9) {
            let (a, b) = (Difficulty::nearest(a), Difficulty::nearest(b));
            if a <= b {
                proptest::prop_assert!(a.target(Algorithm::Sha256d) >= b.target(Algorithm::Sha256d));
            }
        }
    }
}

//! Money: a whole number of an asset's smallest unit.
//!
//! Invariant: arithmetic never wraps, rounds or saturates; what does not fit is a broken invariant and stops the
//! process before it can be written.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;

/// An amount in the chain's smallest unit (satoshi, 1e-8 GXC, mojo, RAO, wei); may be negative only as a difference.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Amount(i128);

/// Decimal text that is no amount of an asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not an amount: write digits with at most {decimals} decimals, such as \"0.001\""
)]
pub struct BadAmount {
    text: String,
    decimals: u8,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// One smallest unit.
    pub const ONE: Amount = Amount(1);

    /// An amount of so many smallest units.
    #[must_use]
    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    /// The number of smallest units.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// As unsigned units.
    ///
    /// # Panics
    /// When negative: only differences are, and those are never divided or sent.
    #[must_use]
    pub fn unsigned(self) -> u128 {
        u128::try_from(self.0).expect("an amount of money that exists is not negative")
    }

    /// As 64-bit units, for transaction outputs.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }

    /// Sum.
    ///
    /// # Panics
    /// Beyond 127 bits, which no asset reaches.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "`+` would hide that it checks")]
    pub fn add(self, other: Amount) -> Amount {
        Amount(self.0.checked_add(other.0).expect("amounts stay far below 127 bits"))
    }

    /// Difference; negative when `other` is larger.
    ///
    /// # Panics
    /// Beyond 127 bits, which no asset reaches.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "`-` would hide that it checks")]
    pub fn sub(self, other: Amount) -> Amount {
        Amount(self.0.checked_sub(other.0).expect("amounts stay far below 127 bits"))
    }

    /// Nothing at all?
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// More than nothing?
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Reads a decimal number of whole coins, such as `0.001`, for an asset with so many decimals.
    ///
    /// # Errors
    /// Anything but plain digits, or more decimals than the asset has: nothing is rounded silently.
    pub fn parse_decimal(text: &str, decimals: u8) -> Result<Self, BadAmount> {
        let bad = || BadAmount { text: text.to_owned(), decimals };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || !plain(whole)
            || !plain(fraction)
            || fraction.len() > usize::from(decimals)
        {
            return Err(bad());
        }
        let digits = format!("{whole}{fraction:0<width$}", width = usize::from(decimals));
        digits.parse().map(Amount).map_err(|_| bad())
    }

    /// As a decimal number of whole coins, with all decimals of the asset: `0.00100000`.
    #[must_use]
    pub fn to_decimal(self, decimals: u8) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let width = usize::from(decimals).saturating_add(1);
        let mut digits = format!("{:0>width$}", self.0.unsigned_abs());
        if decimals > 0 {
            digits.insert(digits.len().saturating_sub(usize::from(decimals)), '.');
        }
        format!("{sign}{digits}")
    }
}

impl fmt::Display for Amount {
    /// Smallest units, as logs show them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        amounts.fold(Amount::ZERO, Amount::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_and_print_exactly() {
        for (text, units) in [
            ("0.001", 100_000),
            ("1", 100_000_000),
            ("0.00000001", 1),
            ("21000000", 2_100_000_000_000_000),
        ] {
            let amount = Amount::parse_decimal(text, 8).unwrap();
            assert_eq!(amount.units(), units);
            assert_eq!(Amount::parse_decimal(&amount.to_decimal(8), 8), Ok(amount));
        }
        assert_eq!(Amount::from_units(-5).to_decimal(8), "-0.00000005");
        assert_eq!(Amount::from_units(7).to_decimal(0), "7");
    }

    #[test]
    fn what_would_need_rounding_or_guessing_is_refused() {
        for text in ["", ".", ".5", "-1", "+1", "1e3", "1,5", "0.000000001", " 1", "1 BTC", "0x10"]
        {
            assert!(Amount::parse_decimal(text, 8).is_err(), "{text}");
        }
    }
}

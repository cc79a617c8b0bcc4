//! Targets and works: what a hash must not exceed, and how many hashes that takes on average.
//!
//! Invariant: all 256 bits are kept; a difficulty is only ever derived from a target for display, never the reverse of
//! what was enforced.

use ruint::aliases::U256;
use std::fmt;

/// The largest value a proof-of-work hash, read as a little-endian 256-bit number, may have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(U256);

/// Expected number of hashes; the unit of chainwork.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work(U256);

/// `nBits` that no valid header can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("compact target {0:#010x} is negative, zero or beyond 256 bits")]
pub struct BadCompactTarget(pub u32);

impl Target {
    /// Every hash meets it.
    pub const MAX: Target = Target(U256::MAX);

    /// Wraps a number.
    #[must_use]
    pub const fn new(value: U256) -> Self {
        Self(value)
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> U256 {
        self.0
    }

    /// What a hash meets that begins with so many zeros when 64 hexadecimal digits are written, the most significant first; `None`
    /// from 64 on.
    #[must_use]
    pub fn of_leading_zeros(digits: u32) -> Option<Self> {
        match digits {
            0..64 => Some(Self(U256::MAX >> (4 * digits as usize))),
            _ => None,
        }
    }

    /// Reads the header field `nBits`: one exponent byte and three of mantissa (Bitcoin Core, `arith_uint256::SetCompact`).
    ///
    /// # Errors
    /// When the sign bit is set, the value is zero, or it does not fit: Core refuses such headers (`bad-diffbits`).
    pub fn from_compact(bits: u32) -> Result<Self, BadCompactTarget> {
        let exponent = bits >> 24;
        let mantissa = bits & 0x007f_ffff;
        let negative = bits & 0x0080_0000 != 0 && mantissa != 0;
        let overflows = mantissa != 0
            && (exponent > 34
                || (mantissa > 0xff && exponent > 33)
                || (mantissa > 0xffff && exponent > 32));
        if negative || overflows {
            return Err(BadCompactTarget(bits));
        }
        let value = if exponent <= 3 {
            U256::from(mantissa >> (8 * (3 - exponent)))
        } else {
            U256::from(mantissa) << (8 * (exponent as usize - 3))
        };
        if value.is_zero() {
            return Err(BadCompactTarget(bits));
        }
        Ok(Self(value))
    }

    /// From 32 bytes, most significant first, as `mining.suggest_target` writes it.
    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(U256::from_be_bytes(bytes))
    }

    /// Does this hash (in the byte order in which SHA-256 gives it) meet the target?
    #[must_use]
    pub fn is_met_by(&self, hash: &[u8; 32]) -> bool {
        U256::from_le_bytes(*hash) <= self.0
    }

    /// Expected hashes to meet it: `floor(2^256 / (target + 1))`, the integer Core calls block proof.
    #[must_use]
    pub fn work(&self) -> Work {
        // 2^256 does not fit, but 2^256 = (2^256 - 1 - t) + (t + 1), so the quotient is one more than (~t)/(t+1).
        match self.0.checked_add(U256::ONE) {
            Some(divisor) => Work((!self.0 / divisor).saturating_add(U256::ONE)),
            None => Work(U256::ONE),
        }
    }
}

/// Expected hashes until one is as small as this (in the byte order in which SHA-256 gives it), for display: exact to
/// fifteen digits.
#[must_use]
pub fn hashes_until(hash: &[u8; 32]) -> f64 {
    let top: [u8; 16] = hash[16..].try_into().unwrap_or_default();
    // 2^256 over the hash, by the upper halves of both.
    2f64.powi(128) / (u128::from_le_bytes(top) as f64 + 1.0)
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({:064x})", self.0)
    }
}

impl Work {
    /// Wraps a number of hashes.
    #[must_use]
    pub const fn new(hashes: U256) -> Self {
        Self(hashes)
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> U256 {
        self.0
    }

    /// As 64 bits, or `None` beyond them: a share's weight must fit.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }

    /// As 128 bits, or `None` beyond them.
    #[must_use]
    pub fn as_u128(self) -> Option<u128> {
        u128::try_from(self.0).ok()
    }

    /// Reads the `chainwork` that nodes print: big-endian hex without prefix.
    ///
    /// # Errors
    /// When the text is not hex of at most 256 bits.
    pub fn from_hex(text: &str) -> Result<Self, BadHex> {
        U256::from_str_radix(text, 16).map(Self).map_err(|_| BadHex)
    }
}

impl From<u64> for Work {
    fn from(hashes: u64) -> Self {
        Work(U256::from(hashes))
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({})", self.0)
    }
}

/// Text that is not a hexadecimal 256-bit number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hexadecimal number of at most 256 bits")]
pub struct BadHex;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_of_mainnet_genesis_is_difficulty_one() {
        let t = Target::from_compact(0x1d00_ffff).unwrap();
        assert_eq!(t.value(), U256::from(0xffffu32) << 208);
        assert_eq!(t.work().as_u64(), Some(0x1_0001_0001));
    }

    #[test]
    fn compact_of_regtest_needs_two_hashes() {
        assert_eq!(Target::from_compact(0x207f_ffff).unwrap().work().as_u64(), Some(2));
    }

    #[test]
    fn negative_zero_and_overflowing_compacts_are_refused() {
        for bits in
            [0x0180_0001u32, 0x0480_0001, 0, 0x0100_0000, 0x2300_0001, 0x2200_0100, 0x2101_0000]
        {
            assert_eq!(Target::from_compact(bits), Err(BadCompactTarget(bits)), "{bits:#x}");
        }
        assert!(Target::from_compact(0x2200_00ff).is_ok());
    }

    #[test]
    fn a_hash_equal_to_the_target_meets_it_and_one_more_does_not() {
        let t = Target::from_compact(0x1d00_ffff).unwrap();
        assert!(t.is_met_by(&t.value().to_le_bytes()));
        assert!(!t.is_met_by(&(t.value() + U256::ONE).to_le_bytes()));
    }

    #[test]
    fn work_of_the_easiest_target_is_one_hash_and_of_the_hardest_all() {
        assert_eq!(Target::MAX.work().as_u64(), Some(1));
        assert_eq!(Target::new(U256::ZERO).work().value(), U256::MAX, "2^256 itself does not fit");
    }

    proptest::proptest! {
        #[test]
        fn work_is_the_floor_of_the_exact_quotient(limbs: [u64; 4]) {
            use ruint::Uint;
            type U512 = Uint<512, 8>;
            let t = U256::from_limbs(limbs);
            proptest::prop_assume!(!t.is_zero());
            let exact = (U512::ONE << 256) / (U512::from(t) + U512::ONE);
            proptest::prop_assert_eq!(U512::from(Target::new(t).work().value()), exact);
        }
    }
}

//! Remainders by a divisor that stays the same for an epoch: a multiplication instead of a division.

/// A divisor and its reciprocal in 64 bits (Lemire, Kaser, Kurz: "Faster remainder by direct computation", 2019).
#[derive(Clone, Copy, Debug)]
pub(super) struct Modulus {
    divisor: u32,
    reciprocal: u64,
}

impl Modulus {
    /// # Panics
    /// By zero.
    pub fn by(divisor: u32) -> Self {
        assert!(divisor > 0, "nothing is divided by zero");
        Modulus { divisor, reciprocal: (u64::MAX / u64::from(divisor)).wrapping_add(1) }
    }

    /// `value % divisor`.
    #[expect(clippy::cast_possible_truncation, reason = "a remainder is below its 32-bit divisor")]
    pub fn of(self, value: u32) -> u32 {
        let low = self.reciprocal.wrapping_mul(u64::from(value));
        ((u128::from(low) * u128::from(self.divisor)) >> 64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_remainder(divisor in 1..u32::MAX, value: u32) {
            prop_assert_eq!(Modulus::by(divisor).of(value), value % divisor);
        }
    }

    #[test]
    fn by_one_and_by_powers_of_two_as_well() {
        for divisor in [1, 2, 1 << 18, 1 << 31] {
            for value in [0, 1, divisor - 1, divisor, u32::MAX] {
                assert_eq!(Modulus::by(divisor).of(value), value % divisor);
            }
        }
    }
}

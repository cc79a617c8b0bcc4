//! What a bankroll must hold so that paying per share does not ruin the pool.
//!
//! Source: M. Rosenfeld, "Analysis of Bitcoin Pooled Mining Reward Systems" (arXiv 1112.4980), section 3: with fee f and
//! block value B, a reserve R is ruined with probability at most δ where `R = B · ln(1/δ) / (2f)`. Integers only: δ is
//! given as a power of ten.

use crate::Amount;
use crate::fee::BasisPoints;
use crate::ratio::mul_div_floor;

/// ln 10 in millionths, rounded up.
const LN_10_MICRO: u128 = 2_302_586;

/// The reserve that keeps the probability of ruin at or below `10^-exponent`; `None` without a fee (then ruin is certain).
#[must_use]
pub fn reserve_for(block_value: Amount, fee: BasisPoints, exponent: u32) -> Option<Amount> {
    let twice_fee = u128::from(fee.points()).checked_mul(2).filter(|twice| *twice > 0)?;
    let ln = LN_10_MICRO.checked_mul(exponent.into())?.checked_mul(BasisPoints::ALL.into())?;
    let units = mul_div_floor(block_value.unsigned(), ln, twice_fee.checked_mul(1_000_000)?)?;
    i128::try_from(units).ok().and_then(|units| units.checked_add(1)).map(Amount::from_units)
}

/// The largest whole exponent e such that this reserve keeps the probability of ruin at or below `10^-e`; 0 means that
/// ruin is not even ten to one against.
#[must_use]
pub fn ruin_exponent(reserve: Amount, block_value: Amount, fee: BasisPoints) -> u32 {
    (1..=1000)
        .take_while(|e| reserve_for(block_value, fee, *e).is_some_and(|needed| reserve >= needed))
        .last()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The four figures of a well-known pool's documentation (blocks of 8.7 coins): 1202, 3005, 1803 and 4507.
    #[test]
    fn reserves_agree_with_published_figures() {
        let coin = 1_000_000_000_000i128;
        let block = Amount::from_units(87 * coin / 10);
        for (fee, exponent, coins) in
            [(500, 6, 1202), (200, 6, 3005), (500, 9, 1803), (200, 9, 4507)]
        {
            let fee = BasisPoints::new(fee).unwrap();
            let reserve = reserve_for(block, fee, exponent).unwrap();
            let rounded = (reserve.units() + coin / 2) / coin;
            assert!((rounded - coins).abs() <= 1, "{rounded} for {coins}");
            assert_eq!(ruin_exponent(reserve, block, fee), exponent);
        }
    }

    #[test]
    fn without_a_fee_no_reserve_is_enough() {
        assert_eq!(reserve_for(Amount::from_units(100), BasisPoints::ZERO, 1), None);
        assert_eq!(
            ruin_exponent(
                Amount::from_units(i128::MAX / 4),
                Amount::from_units(100),
                BasisPoints::ZERO
            ),
            0
        );
    }
}

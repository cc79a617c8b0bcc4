//! Products that outgrow 128 bits, divided back into them.

use ruint::aliases::U256;

/// `floor(a · b / divisor)` through 256 bits; `None` when the quotient does not fit 128.
///
/// # Panics
/// When `divisor` is zero.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a product of two 128-bit numbers fits 256; the divisor is checked"
)]
pub(crate) fn mul_div_floor(a: u128, b: u128, divisor: u128) -> Option<u128> {
    assert!(divisor > 0, "a ratio has a positive divisor");
    u128::try_from(U256::from(a) * U256::from(b) / U256::from(divisor)).ok()
}

/// `floor(a · b / divisor)` and the remainder.
///
/// # Panics
/// When `divisor` is zero or `b` exceeds it (then the quotient might not fit).
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a product of two 128-bit numbers fits 256; the divisor is checked"
)]
pub(crate) fn part_and_remainder(a: u128, b: u128, divisor: u128) -> (u128, u128) {
    assert!(divisor > 0 && b <= divisor, "a part is at most the whole");
    if let Some(product) = a.checked_mul(b) {
        // Most products of money and work fit, and need no detour through 256 bits; many fit the processor's own division.
        return match (u64::try_from(product), u64::try_from(divisor)) {
            (Ok(product), Ok(divisor)) => ((product / divisor).into(), (product % divisor).into()),
            _ => (product / divisor, product % divisor),
        };
    }
    let product = U256::from(a) * U256::from(b);
    let (quotient, remainder) = product.div_rem(U256::from(divisor));
    let fits = "at most the whole, which fits";
    (
        u128::try_from(quotient).expect(fits),
        u128::try_from(remainder).expect("below the divisor, which fits"),
    )
}

//! What the literature and covenant arithmetic say should come out.
//!
//! B = 1 is a block's reward, h a miner's part of the network, S the pool's, q = h/S the miner's part of the pool, L the window
//! of a coordination-free pool, a the part of a block that is shared, n a horizon in network blocks.

/// Variance of solo income over n blocks.
#[must_use]
pub fn solo(h: f64, n: f64) -> f64 {
    n * h * (1.0 - h)
}

/// Variance of a look-back member's income over n blocks, full window, the finder keeping 1 − a.
#[must_use]
pub fn look_back(h: f64, pool: f64, window: u32, a: f64, n: u64) -> f64 {
    let q = h / pool;
    let found = q * q * n as f64 * pool * (1.0 - pool);
    let within: f64 = binomial(n, pool).map(|(m, p)| p * squares(m, window, a)).sum();
    q * (1.0 - q) * within + found
}

/// The sum of squared weights of the blocks that pay within a horizon in which the pool finds m: those before it still have
/// k/L to come, those within it their own part and what of their claims falls into it.
fn squares(m: u64, window: u32, a: f64) -> f64 {
    if m == 0 {
        return 0.0;
    }
    let (m, l) = (m as f64, f64::from(window));
    let sum = |n: f64| n * (n + 1.0) / 2.0;
    let sum_squares = |n: f64| n * (n + 1.0) * (2.0 * n + 1.0) / 6.0;
    // A block found r pool blocks before the horizon's end: (1 − a) + a·min(r, L)/L, r from 0 to m − 1.
    let inside = m.min(l);
    let b = a / l;
    let mut total = inside * (1.0 - a).powi(2)
        + 2.0 * (1.0 - a) * b * sum(inside - 1.0)
        + b * b * sum_squares(inside - 1.0)
        + (m - inside);
    // A block found before the horizon, with k payments to come of which at most m fall into it.
    let short = m.min(l);
    total += b * b * (sum_squares(short) + (l - short) * m * m);
    // Those with all L payments to come were found inside; of those before, k runs from 1 to L.
    total
}

/// Probabilities of m successes in n trials, where they are not negligible.
fn binomial(n: u64, p: f64) -> impl Iterator<Item = (u64, f64)> {
    let mean = n as f64 * p;
    let spread = 12.0 * (mean * (1.0 - p)).sqrt() + 12.0;
    let low = (mean - spread).max(0.0) as u64;
    let high = ((mean + spread) as u64).min(n);
    (low..=high).map(move |m| {
        let log = ln_choose(n, m)
            + if m > 0 { m as f64 * p.ln() } else { 0.0 }
            + if n > m { (n - m) as f64 * (1.0 - p).ln() } else { 0.0 };
        (m, log.exp())
    })
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// ln n!, by Stirling's series beyond small n.
#[must_use]
pub fn ln_factorial(n: u64) -> f64 {
    if n < 20 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + 1.0 / (12.0 * x)
        - 1.0 / (360.0 * x.powi(3))
        + 1.0 / (1260.0 * x.powi(5))
}

/// Probability that a look-back member with a full window (all shared) is paid nothing within n blocks.
#[must_use]
pub fn look_back_none(h: f64, pool: f64, window: u32, n: u64) -> f64 {
    let q = h / pool;
    let none =
        |m: u64| if m == 0 { 1.0 } else { (1.0 - q).powf(f64::from(window) + m as f64 - 1.0) };
    binomial(n, pool).map(|(m, p)| p * none(m)).sum()
}

/// Variance of a steady member's income over n blocks under PPLNS with X blocks' work and k shares a block, long horizons.
#[must_use]
pub fn pplns(h: f64, pool: f64, x: f64, k: f64, n: f64) -> f64 {
    let q = h / pool;
    n * h * (q * (1.0 - pool) + (1.0 - q) * (1.0 + 1.0 / x) / k)
}

/// Variance of a steady member's part of one PROP block with k shares a block.
#[must_use]
pub fn prop_block(q: f64, k: f64) -> f64 {
    q * (1.0 - q) * k.ln() / (k - 1.0)
}

/// Where a PROP hopper leaves: e^x·E1(x) = 1.
pub const HOPPER_LEAVES_AT: f64 = 0.434_818_204;

/// What a PROP hopper earns, of what honest mining would bring.
#[must_use]
pub fn hopper() -> f64 {
    1.0 + HOPPER_LEAVES_AT * (-HOPPER_LEAVES_AT).exp()
}

/// Variance of one share's payment under DGM, in squares of its mean worth before fees (f = 0).
#[must_use]
pub fn dgm_share(c: f64, o: f64) -> f64 {
    (1.0 - c).powi(4) * (1.0 - o) / (c * (2.0 - c + c * o))
}

/// What a member who keeps blocks above the mean gains, when rewards are lognormal with this variation: E[max(B, 1)] − 1.
#[must_use]
pub fn cherry_picker(cv: f64) -> f64 {
    let s = (1.0 + cv * cv).ln().sqrt();
    2.0 * normal_below(s / 2.0) - 1.0
}

/// The probability that a normal is below z.
#[must_use]
pub fn normal_below(z: f64) -> f64 {
    // Integrated from 0 by Simpson's rule: more than enough digits for |z| < 10.
    let steps = 2000u32;
    let width = z / f64::from(steps);
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let inner: f64 = (1..steps)
        .map(|i| density(f64::from(i) * width) * if i % 2 == 0 { 2.0 } else { 4.0 })
        .sum();
    0.5 + (density(0.0) + inner + density(z)) * width / 3.0
}

/// An attacker with `a` of the network sends `x` of it to withhold in an honest pool of `b`: their part of all income.
#[must_use]
pub fn withholder(a: f64, b: f64, x: f64) -> f64 {
    (a - x) / (1.0 - x) + b / (1.0 - x) * x / (b + x)
}

/// A selfish miner's part of all blocks (Eyal and Sirer), gamma of the network mining on their branch in a race.
#[must_use]
pub fn selfish(a: f64, gamma: f64) -> f64 {
    let above = a * (1.0 - a).powi(2) * (4.0 * a + gamma * (1.0 - 2.0 * a)) - a.powi(3);
    above / (1.0 - a * (1.0 + (2.0 - a) * a))
}

/// What a block found this part of a time window before the pool doubles is paid in all: it is paid at the old rate until
/// then, and by twice as many blocks over a window that fills up after.
#[must_use]
pub fn doubling_step(before: f64) -> f64 {
    before + 2.0 * (2.0 - before).ln()
}

/// The receipts of the i-th block ever (from 1) when all share equally from the start, and of the i-th from the end.
#[must_use]
pub fn first_block(i: u32, window: u32) -> f64 {
    let harmonic = |n: u32| (1..=n).map(|k| 1.0 / f64::from(k)).sum::<f64>();
    if i >= window {
        1.0
    } else {
        harmonic(window - 1) - harmonic(i.saturating_sub(1)) + f64::from(i) / f64::from(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_functions_have_their_known_values() {
        assert!((normal_below(1.0) - 0.841_344_746).abs() < 1e-8);
        assert!((ln_factorial(30) - 74.658_236_348_830_16).abs() < 1e-9);
        let all: f64 = binomial(1000, 0.3).map(|(_, p)| p).sum();
        assert!((all - 1.0).abs() < 1e-9);
    }

    #[test]
    fn published_values_come_out() {
        assert!((hopper() - 1.281_494).abs() < 1e-6);
        assert!((withholder(0.2, 0.4, 0.0485) - 0.204_682).abs() < 1e-6);
        assert!((selfish(0.4, 0.0) - 0.483_72).abs() < 1e-5);
        assert!((selfish(0.3, 0.5) - 0.326_87).abs() < 1e-5);
        for (cv, gain) in
            [(0.02, 0.008), (0.05, 0.020), (0.1, 0.040), (0.2, 0.079), (0.5, 0.187), (1.0, 0.323)]
        {
            assert!((cherry_picker(cv) - gain).abs() < 6e-4, "{cv}");
        }
        for (c, o, value) in
            [(0.1, 0.0, 3.4532), (0.3, 0.0, 0.47078), (0.1, 0.5, 1.68231), (0.05, 0.8, 1.63720)]
        {
            assert!((dgm_share(c, o) - value).abs() < 1e-4, "{c} {o} {}", dgm_share(c, o));
        }
        for (i, receipts) in [(1, 5.95), (10, 3.17), (100, 1.24), (216, 1.0)] {
            assert!((first_block(i, 216) - receipts).abs() < 0.006, "{i} {}", first_block(i, 216));
        }
        assert!((doubling_step(0.0) - 1.386_294).abs() < 1e-6);
        assert!((look_back_none(0.001, 0.5, 216, 144) - 0.563).abs() < 5e-4);
        assert!((look_back_none(0.001, 0.5, 1008, 144) - 0.115).abs() < 5e-4);
    }
}

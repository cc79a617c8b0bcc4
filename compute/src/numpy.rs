//! numpy's random numbers, bit for bit: `default_rng(seed)` and what the original draws from it.
//!
//! The original's tasks are not stored anywhere; they are drawn. A pool that draws others is in consensus with nobody, so the
//! streams are reproduced: SeedSequence → PCG64 (XSL-RR 128/64) → doubles, floats, normals, choices and permutations.
//! Invariant: the streams of numpy 2.3.5 as recorded in `tests/fixtures/numpy_streams.json`.

mod seed;
mod ziggurat;

use std::collections::HashSet;

/// PCG's multiplier.
const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
/// Populations up to which numpy chooses by Floyd's rule whatever the size.
const FLOYD_MAX: usize = 10_000;
/// Of larger populations, the part up to which it still does.
const FLOYD_PART: usize = 50;

/// `numpy.random.default_rng(seed)`.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u128,
    increment: u128,
    /// The upper half of a number whose lower half was asked for.
    half: Option<u32>,
}

impl Rng {
    /// Seeded as numpy seeds it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let [a, b, c, d] = seed::words(seed);
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let mut rng = Rng { state: 0, increment: wide(c, d) << 1 | 1, half: None };
        rng.step();
        rng.state = rng.state.wrapping_add(wide(a, b));
        rng.step();
        rng
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    /// The generator's raw output.
    pub fn next_u64(&mut self) -> u64 {
        self.step();
        #[expect(clippy::cast_possible_truncation, reason = "the output is the two halves, mixed")]
        let mixed = (self.state >> 64) as u64 ^ self.state as u64;
        mixed.rotate_right(u32::try_from(self.state >> 122).expect("six bits"))
    }

    /// Half of an output, the lower first.
    #[expect(clippy::cast_possible_truncation, reason = "halves of a number")]
    pub fn next_u32(&mut self) -> u32 {
        if let Some(upper) = self.half.take() {
            return upper;
        }
        let whole = self.next_u64();
        self.half = Some((whole >> 32) as u32);
        whole as u32
    }

    /// `random(dtype=float64)`: in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
    pub fn random_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// `random(dtype=float32)`: in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit a float")]
    pub fn random_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// `standard_normal(dtype=float64)`.
    pub fn normal_f64(&mut self) -> f64 {
        ziggurat::normal_f64(self)
    }

    /// `standard_normal(dtype=float32)`.
    pub fn normal_f32(&mut self) -> f32 {
        ziggurat::normal_f32(self)
    }

    /// `integers(0, last, endpoint=True)`, by Lemire's rule.
    pub fn up_to(&mut self, last: u32) -> u32 {
        if last == 0 {
            return 0;
        }
        let Some(bound) = last.checked_add(1) else { return self.next_u32() };
        let threshold = (u32::MAX - last) % bound;
        loop {
            let wide = u64::from(self.next_u32()) * u64::from(bound);
            #[expect(clippy::cast_possible_truncation, reason = "the lower half decides")]
            if wide as u32 >= threshold {
                return u32::try_from(wide >> 32).expect("the upper half");
            }
        }
    }

    fn index_up_to(&mut self, last: usize) -> usize {
        self.up_to(u32::try_from(last).expect("populations are below 2^32")) as usize
    }

    /// `permutation(count)`.
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for at in (1..count).rev() {
            let mask = u32::MAX >> u32::try_from(at).expect("below 2^32").leading_zeros();
            let other = loop {
                let drawn = (self.next_u32() & mask) as usize;
                if drawn <= at {
                    break drawn;
                }
            };
            order.swap(at, other);
        }
        order
    }

    /// `choice(population, count, replace=False)`.
    ///
    /// # Panics
    /// When more are wanted than there are.
    pub fn choice(&mut self, population: usize, count: usize) -> Vec<usize> {
        assert!(count <= population, "no more than there are, without replacement");
        if population > FLOYD_MAX && count > population / FLOYD_PART {
            let mut all: Vec<usize> = (0..population).collect();
            self.shuffle_from((population - count).max(1), &mut all);
            return all.split_off(population - count);
        }
        let mut taken = HashSet::with_capacity(count);
        let mut chosen = Vec::with_capacity(count);
        for last in population - count..population {
            let drawn = self.index_up_to(last);
            let new = if taken.insert(drawn) { drawn } else { last };
            taken.insert(new);
            chosen.push(new);
        }
        self.shuffle_from(1, &mut chosen);
        chosen
    }

    fn shuffle_from(&mut self, first: usize, items: &mut [usize]) {
        for at in (first..items.len()).rev() {
            let other = self.index_up_to(at);
            items.swap(at, other);
        }
    }
}

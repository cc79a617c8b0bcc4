//! numpy's SeedSequence: from one number to the words that seed PCG64.
//!
//! Invariant: the same words as numpy's, for seeds below 2^64.

const POOL: usize = 4;
const INIT_A: u32 = 0x43b0_d7e5;
const MULTIPLY_A: u32 = 0x931e_8875;
const INIT_B: u32 = 0x8b51_f9dd;
const MULTIPLY_B: u32 = 0x58f3_8ded;
const MIX_LEFT: u32 = 0xca01_f9dd;
const MIX_RIGHT: u32 = 0x4973_f715;
const SHIFT: u32 = 16;

/// One stirring: the value is hashed with a constant that changes each time.
struct Stir {
    constant: u32,
    multiplier: u32,
}

impl Stir {
    fn hash(&mut self, value: u32) -> u32 {
        let value = value ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.multiplier);
        let value = value.wrapping_mul(self.constant);
        value ^ value >> SHIFT
    }
}

fn mix(left: u32, right: u32) -> u32 {
    let mixed = left.wrapping_mul(MIX_LEFT).wrapping_sub(right.wrapping_mul(MIX_RIGHT));
    mixed ^ mixed >> SHIFT
}

#[expect(clippy::cast_possible_truncation, reason = "halves of a number")]
fn pool(seed: u64) -> [u32; POOL] {
    let entropy = [seed as u32, (seed >> 32) as u32, 0, 0];
    let mut stir = Stir { constant: INIT_A, multiplier: MULTIPLY_A };
    let mut pool = entropy.map(|word| stir.hash(word));
    for from in 0..POOL {
        for to in (0..POOL).filter(|to| *to != from) {
            pool[to] = mix(pool[to], stir.hash(pool[from]));
        }
    }
    pool
}

/// `SeedSequence(seed).generate_state(4, uint64)`.
pub(super) fn words(seed: u64) -> [u64; 4] {
    let pool = pool(seed);
    let mut stir = Stir { constant: INIT_B, multiplier: MULTIPLY_B };
    let mut halves = [0u32; 8];
    for (half, source) in halves.iter_mut().zip(pool.iter().cycle()) {
        *half = stir.hash(*source);
    }
    let mut words = [0u64; 4];
    for (word, pair) in words.iter_mut().zip(halves.as_chunks::<2>().0) {
        *word = u64::from(pair[1]) << 32 | u64::from(pair[0]);
    }
    words
}

//! Fuzzing on a stable toolchain: seeds, changed at random but the same every time, thrown at a function that must not panic.
//!
//! A short run belongs to the tests; `ADIT_FUZZ_CASES=100000000 cargo nextest run fuzz` makes a long one.

use std::ops::Range;

/// Cases of a short run.
const CASES: u64 = 20_000;
/// Inputs grow no longer than this.
const LENGTH_MAX: usize = 20_000;

/// Random numbers, the same every time.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Seeded.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// A number below a bound (0 below 0).
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % bound.max(1)
    }

    fn range(&mut self, length: usize) -> Range<usize> {
        let (a, b) = (self.below(length + 1), self.below(length + 1));
        a.min(b)..a.max(b)
    }
}

/// How many cases to run.
#[must_use]
pub fn cases() -> u64 {
    std::env::var("ADIT_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

/// Throws changed seeds at a function.
pub fn fuzz(seeds: &[&[u8]], mut target: impl FnMut(&[u8])) {
    let mut dice = Dice::new(0x5eed);
    for seed in seeds {
        target(seed);
    }
    for _ in 0..cases() {
        let mut input = seeds[dice.below(seeds.len())].to_vec();
        for _ in 0..=dice.below(6) {
            mutate(&mut input, seeds, &mut dice);
        }
        input.truncate(LENGTH_MAX);
        target(&input);
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[&[u8]], dice: &mut Dice) {
    /// Bytes that mean something to some parser.
    const TELLING: &[u8] = b"\0\r\n\"'\\{}[],:.0123456789-+eE%=;/ \xff\x80\xc0tfn";
    let at = dice.below(input.len() + 1);
    match dice.below(8) {
        0 if at < input.len() => input[at] ^= 1 << dice.below(8),
        1 if at < input.len() => input[at] = TELLING[dice.below(TELLING.len())],
        2 => input.insert(at, TELLING[dice.below(TELLING.len())]),
        3 => drop(input.drain(dice.range(input.len()))),
        4 => {
            let piece = input[dice.range(input.len())].to_vec();
            input.splice(at..at, piece);
        }
        5 => {
            let other = seeds[dice.below(seeds.len())];
            input.splice(at..at, other[dice.range(other.len())].iter().copied());
        }
        6 => {
            let byte = TELLING[dice.below(TELLING.len())];
            input.splice(at..at, std::iter::repeat_n(byte, dice.below(2000)));
        }
        _ => input.truncate(at),
    }
}

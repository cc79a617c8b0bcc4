//! Variable difficulty: how hard the next job is for one connection.
//!
//! The aim is one share in `interval` seconds. Shares arrive as a Poisson process, so a change needs evidence: the rate's
//! confidence interval must leave the dead band. The interval is the Wilson–Hilferty approximation (E. B. Wilson and
//! M. M. Hilferty, PNAS 17, 1931) of the exact Poisson limits (F. Garwood, Biometrika 28, 1936).
//!
//! A device that lands nothing at all is bounded too. If it hashes at rate H, it lands nothing while the exposure
//! `E = ∫ dt / D` grows with probability `exp(−H·E / w)`, w being the work of difficulty 1. So with confidence `1 − e^−k`
//! its rate is below `k·w / E`, and a difficulty of `k·interval / E` is the highest that can be right. Because lowering D
//! makes E grow faster, D falls exponentially: a device a million times too slow is rescued within minutes.
//!
//! Invariant: a change applies to jobs sent from then on; what was sent is judged as it was sent.

use pow::Difficulty;

/// Normal quantile of the confidence interval (99 % two-sided).
const Z: f64 = 2.58;
/// The rate may be off by this factor without a change.
const DEAD_BAND: f64 = 1.5;
/// k for a connection that never landed a share (95 %).
const NEVER_LANDED: f64 = 3.0;
/// k for one that did and fell silent (99.75 %).
const FELL_SILENT: f64 = 6.0;
/// Shares after which old evidence counts half, so that a device that changed is noticed.
const FORGET_AT: f64 = 64.0;
/// Least time between two changes: the first must have reached the device to be judged.
const SETTLE_MS: u64 = 2000;
/// Most that one step up multiplies by, so that a burst of three lucky shares cannot lock a device out for long.
const STEP_UP_MAX: f64 = 4096.0;

/// What a port allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Where a connection starts.
    pub start: Difficulty,
    /// Never below.
    pub min: Difficulty,
    /// Never above.
    pub max: Difficulty,
    /// Seconds between two shares of a connection.
    pub interval_s: f64,
}

/// The difficulty of one connection and the evidence for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Vardiff {
    difficulty: Difficulty,
    /// Shares landed at this difficulty, and since when.
    shares: f32,
    since_ms: u64,
    /// Exposure since the last share (of any difficulty), in seconds per unit of difficulty.
    exposure: f64,
    counted_to_ms: u64,
    ever_landed: bool,
    /// Chosen by the miner for good (`d=` in the password).
    fixed: bool,
    /// The miner's own lower limit, from `minimum-difficulty`.
    floor: Difficulty,
}

impl Policy {
    fn clamp(&self, difficulty: Difficulty, floor: Difficulty) -> Difficulty {
        difficulty.max(floor).clamp(self.min, self.max)
    }
}

impl Vardiff {
    /// A new connection at the port's start.
    #[must_use]
    pub fn new(policy: &Policy, now_ms: u64) -> Self {
        Vardiff {
            difficulty: policy.clamp(policy.start, Difficulty::MIN),
            shares: 0.0,
            since_ms: now_ms,
            exposure: 0.0,
            counted_to_ms: now_ms,
            ever_landed: false,
            fixed: false,
            floor: Difficulty::MIN,
        }
    }

    /// The same on another port, after some time away: inside its limits, and the time away does not count against it.
    #[must_use]
    pub fn within(mut self, policy: &Policy, now_ms: u64) -> Self {
        self.difficulty = policy.clamp(self.difficulty, self.floor);
        (self.shares, self.since_ms) = (0.0, now_ms);
        (self.exposure, self.counted_to_ms) = (0.0, now_ms);
        self
    }

    /// The difficulty of the next job.
    #[must_use]
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// The miner asks for a difficulty to go on from; clamped to the port. Returns whether that is a change.
    pub fn suggest(&mut self, wish: Difficulty, policy: &Policy, now_ms: u64) -> bool {
        !self.fixed && self.change(policy.clamp(wish, self.floor), now_ms)
    }

    /// The miner chooses a difficulty for good; clamped to the port. Returns whether that is a change.
    pub fn fix(&mut self, wish: Difficulty, policy: &Policy, now_ms: u64) -> bool {
        self.fixed = true;
        self.change(policy.clamp(wish, self.floor), now_ms)
    }

    /// The miner cannot use less than this (BIP310 `minimum-difficulty`). Returns whether that is a change.
    pub fn set_floor(&mut self, floor: Difficulty, policy: &Policy, now_ms: u64) -> bool {
        self.floor = floor;
        self.change(policy.clamp(self.difficulty, floor), now_ms)
    }

    /// A share landed; `at_current` when it was for a job of the present difficulty. Returns whether the difficulty rose.
    pub fn share_landed(&mut self, at_current: bool, policy: &Policy, now_ms: u64) -> bool {
        self.count_exposure(now_ms);
        self.exposure = 0.0;
        self.ever_landed = true;
        if !at_current {
            return false;
        }
        self.shares += 1.0;
        let Some(elapsed_s) = self.settled_s(now_ms) else { return false };
        let shares = f64::from(self.shares);
        let wanted = elapsed_s / policy.interval_s;
        if lower_limit(shares) > wanted * DEAD_BAND {
            let factor = (shares / wanted).min(STEP_UP_MAX);
            let next = Difficulty::nearest(self.difficulty.as_f64() * factor);
            return self.change(policy.clamp(next, self.floor), now_ms);
        }
        if shares >= FORGET_AT {
            self.shares /= 2.0;
            self.since_ms = now_ms - (now_ms - self.since_ms) / 2;
        }
        false
    }

    /// Time passed. Returns whether the difficulty fell.
    pub fn time_passed(&mut self, policy: &Policy, now_ms: u64) -> bool {
        self.count_exposure(now_ms);
        let Some(elapsed_s) = self.settled_s(now_ms) else { return false };
        let k = if self.ever_landed { FELL_SILENT } else { NEVER_LANDED };
        let mut bound = f64::INFINITY;
        if self.exposure > 0.0 {
            bound = k * policy.interval_s / self.exposure;
        }
        if self.ever_landed {
            let highest = upper_limit(f64::from(self.shares)) * policy.interval_s / elapsed_s;
            bound = bound.min(self.difficulty.as_f64() * highest);
        }
        if bound * DEAD_BAND < self.difficulty.as_f64() {
            return self.change(policy.clamp(Difficulty::nearest(bound), self.floor), now_ms);
        }
        false
    }

    /// Seconds at this difficulty; `None` while it is fixed or has not settled.
    fn settled_s(&self, now_ms: u64) -> Option<f64> {
        let elapsed_ms = now_ms.saturating_sub(self.since_ms);
        (!self.fixed && elapsed_ms >= SETTLE_MS).then(|| elapsed_ms as f64 / 1000.0)
    }

    fn count_exposure(&mut self, now_ms: u64) {
        let elapsed_s = now_ms.saturating_sub(self.counted_to_ms) as f64 / 1000.0;
        self.exposure += elapsed_s / self.difficulty.as_f64();
        self.counted_to_ms = now_ms;
    }

    fn change(&mut self, to: Difficulty, now_ms: u64) -> bool {
        if to == self.difficulty {
            return false;
        }
        self.count_exposure(now_ms);
        self.difficulty = to;
        self.shares = 0.0;
        self.since_ms = now_ms;
        true
    }
}

/// The lower confidence limit of a Poisson mean after `n` events.
fn lower_limit(n: f64) -> f64 {
    if n < 1.0 {
        return 0.0;
    }
    let root = 1.0 - 1.0 / (9.0 * n) - Z / (3.0 * n.sqrt());
    n * root.max(0.0).powi(3)
}

/// The upper confidence limit of a Poisson mean after `n` events.
fn upper_limit(n: f64) -> f64 {
    let m = n + 1.0;
    m * (1.0 - 1.0 / (9.0 * m) + Z / (3.0 * m.sqrt())).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK_OF_ONE: f64 = 4_294_967_296.0;

    fn policy(start: f64) -> Policy {
        Policy {
            start: Difficulty::nearest(start),
            min: Difficulty::MIN,
            max: Difficulty::MAX,
            interval_s: 6.0,
        }
    }

    /// A device hashing at a steady rate, with shares at exponential intervals; a job every 30 s and a tick every 5 s.
    struct Device {
        hashrate: f64,
        random: u64,
    }

    impl Device {
        /// Uniform in (0, 1): splitmix64.
        fn uniform(&mut self) -> f64 {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 1e-17
        }

        /// Milliseconds to the next share at this difficulty.
        fn wait_ms(&mut self, difficulty: Difficulty) -> f64 {
            let mean_ms = difficulty.as_f64() * WORK_OF_ONE / self.hashrate * 1000.0;
            -self.uniform().ln() * mean_ms
        }

        /// Mines for so long; gives shares landed and changes made.
        fn mine(
            &mut self,
            v: &mut Vardiff,
            policy: &Policy,
            from_ms: u64,
            for_ms: u64,
        ) -> (u64, u64) {
            let (mut now, end, mut next_tick) =
                (from_ms as f64, (from_ms + for_ms) as f64, from_ms as f64 + 5000.0);
            let (mut shares, mut changes) = (0, 0);
            loop {
                let share_at = now + self.wait_ms(v.difficulty());
                let changed = if share_at < next_tick {
                    now = share_at;
                    if now >= end {
                        return (shares, changes);
                    }
                    shares += 1;
                    v.share_landed(true, policy, now as u64)
                } else {
                    now = next_tick;
                    next_tick += 5000.0;
                    if now >= end {
                        return (shares, changes);
                    }
                    v.time_passed(policy, now as u64)
                };
                changes += u64::from(changed);
            }
        }
    }

    #[test]
    fn the_limits_agree_with_garwoods_exact_ones() {
        // Exact 99 % two-sided limits from the chi-square distribution.
        for (n, low, high) in
            [(0.0, 0.0, 5.298), (1.0, 0.005, 7.430), (10.0, 3.717, 21.398), (100.0, 76.12, 128.76)]
        {
            assert!((lower_limit(n) - low).abs() < 0.02 * low + 0.01, "{n}: {}", lower_limit(n));
            assert!((upper_limit(n) - high).abs() < 0.02 * high, "{n}: {}", upper_limit(n));
        }
    }

    /// The same devices every time: a hundred from a 50 kH/s board to a 50 PH/s farm proxy, each begun from a thousand
    /// times too easy to a thousand times too hard.
    fn devices() -> impl Iterator<Item = (Device, f64)> {
        (0..1000u32).map(|n| {
            let (rate, off) = (f64::from(n / 10) / 99.0, f64::from(n % 10) / 9.0);
            let device =
                Device { hashrate: 10f64.powf(4.7 + 12.0 * rate), random: u64::from(n) + 1 };
            (device, 10f64.powf(6.0 * off - 3.0))
        })
    }

    /// Luck is part of it: of a thousand devices one in a hundred may be further off than a factor of four, none further
    /// than twelve.
    #[test]
    fn every_device_reaches_a_steady_rate_quickly() {
        let (mut far, mut uneven, mut restless) = (0, 0, 0);
        for (mut device, factor) in devices() {
            let right = device.hashrate * 6.0 / WORK_OF_ONE;
            let policy = policy(right * factor);
            let mut v = Vardiff::new(&policy, 0);
            device.mine(&mut v, &policy, 0, 600_000);
            let off = v.difficulty().as_f64() / right;
            assert!((1.0 / 12.0..12.0).contains(&off), "{off} after ten minutes");
            far += u32::from(!(0.25..4.0).contains(&off));
            let (shares, changes) = device.mine(&mut v, &policy, 600_000, 3_600_000);
            assert!((150..3600).contains(&shares), "{shares} shares in an hour for 600 wanted");
            uneven += u32::from(!(300..1800).contains(&shares));
            restless += u32::from(changes > 12);
        }
        assert!(
            far <= 10 && uneven <= 10 && restless <= 10,
            "{far}, {uneven}, {restless} of a thousand"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 400,
            // The same cases every time: what is asserted is true of nearly all luck, not of all.
            rng_seed: proptest::test_runner::RngSeed::Fixed(7),
            ..Default::default()
        })]
        /// A device that never lands a share at the port's start is found, however slow.
        #[test]
        fn a_device_that_never_lands_a_share_is_rescued(log_too_slow in 2.0f64..8.0, random: u64) {
            let mut device = Device { hashrate: 50_000.0, random };
            let right = device.hashrate * 6.0 / WORK_OF_ONE;
            let policy = policy((right * 10f64.powf(log_too_slow)).min(1e9));
            let mut v = Vardiff::new(&policy, 0);
            let (shares, _) = device.mine(&mut v, &policy, 0, 600_000);
            proptest::prop_assert!(shares > 0, "still at {} for {right}", v.difficulty());
        }

        /// Wherever the evidence leads, the port's limits hold.
        #[test]
        fn the_ports_limits_are_never_left(log_hashrate in 4.7f64..16.7, low in -6.0f64..0.0, high in 0.0f64..6.0, random: u64) {
            let policy = Policy {
                start: Difficulty::nearest(1.0),
                min: Difficulty::nearest(10f64.powf(low)),
                max: Difficulty::nearest(10f64.powf(high)),
                interval_s: 6.0,
            };
            let mut device = Device { hashrate: 10f64.powf(log_hashrate).min(1e12), random };
            let mut v = Vardiff::new(&policy, 0);
            for step in 0..20 {
                device.mine(&mut v, &policy, step * 10_000, 10_000);
                proptest::prop_assert!(policy.min <= v.difficulty() && v.difficulty() <= policy.max);
            }
        }
    }

    #[test]
    fn wishes_are_clamped_and_a_fixed_difficulty_stays() {
        let mut narrow = policy(100.0);
        narrow.min = Difficulty::nearest(10.0);
        let mut v = Vardiff::new(&narrow, 0);
        assert!(v.suggest(Difficulty::nearest(0.00015), &narrow, 1));
        assert_eq!(v.difficulty(), Difficulty::nearest(10.0));
        assert!(
            !v.suggest(Difficulty::nearest(0.00015), &narrow, 2),
            "repeating a wish changes nothing"
        );
        assert!(v.fix(Difficulty::nearest(5000.0), &narrow, 3));
        assert!(!v.time_passed(&narrow, 10_000_000), "fixed for good");
        assert!(!v.suggest(Difficulty::nearest(20.0), &narrow, 4));
        assert_eq!(v.difficulty(), Difficulty::nearest(5000.0));
    }

    #[test]
    fn a_port_with_one_difficulty_never_changes_it() {
        let one = Policy {
            start: Difficulty::MIN,
            min: Difficulty::MIN,
            max: Difficulty::MIN,
            interval_s: 6.0,
        };
        let mut v = Vardiff::new(&one, 0);
        for n in 0..100_000u64 {
            assert!(!v.share_landed(true, &one, n));
        }
        assert!(!v.time_passed(&one, 1_000_000_000));
    }
}

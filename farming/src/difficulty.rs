//! How hard a farmer's next partials are: three named rules.
//!
//! A partial at difficulty D counts D points, so a farmer earns the same at any difficulty; what changes is how many partials
//! there are to send and to check. All rules aim at so many a day.
//!
//! * `poisson`, ours: partials arrive as a Poisson process, so a change needs evidence: the confidence interval of the rate must
//!   leave the dead band. The interval is the Wilson–Hilferty approximation of the exact Poisson limits (E. B. Wilson and
//!   M. M. Hilferty, PNAS 17, 1931). Only time in which the farmer was in touch counts, so that one whose machine was off
//!   comes back to the difficulty it had. A farmer's own wish is kept as long as it is not absurd.
//! * `reference`: what the reference pool's code does.
//! * `readme`: what the reference pool's text says, which is not the same.
//!
//! Invariant: a new difficulty counts for signage points that appear after the farmer was told of it, never for one before:
//! who has seen how good a proof is cannot choose its difficulty any more.

use accounting::UnixMs;
use std::collections::VecDeque;
use std::str::FromStr;

/// Normal quantile of the confidence interval (99 % two-sided).
const Z: f64 = 2.58;
/// The rate may be off by this factor without a change.
const DEAD_BAND: f64 = 1.2;
/// And by this one where the farmer chose the difficulty.
const DEAD_BAND_WISHED: f64 = 10.0;
/// Partials without which difficulty is not raised.
const RAISE_AFTER: u32 = 8;
/// Most that one step multiplies or divides by.
const STEP_MAX: f64 = 64.0;
/// Silence between two contacts that counts; farmers ask for their difficulty every five minutes.
const CONTACT_MS: u64 = 10 * 60 * 1000;
/// Partials that the rules `reference` and `readme` look back on at most, whatever is aimed at.
const LOOK_BACK_MAX: usize = 1000;
/// Difficulties a farmer had that are remembered.
const TOLD_MAX: usize = 16;
/// The highest difficulty there is: beyond every farm, and far inside a weight.
pub const DIFFICULTY_MAX: u64 = 1 << 48;

const DAY_S: u64 = 86_400;
const HOUR_S: u64 = 3600;

/// How the next difficulty is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// By evidence.
    #[default]
    Poisson,
    /// As the reference pool's code.
    Reference,
    /// As the reference pool's text.
    Readme,
}

impl Rule {
    /// As configurations write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::Poisson => "poisson",
            Rule::Reference => "reference",
            Rule::Readme => "readme",
        }
    }
}

/// No such rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no difficulty rule `{0}`: write poisson, reference or readme")]
pub struct UnknownRule(String);

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        [Rule::Poisson, Rule::Reference, Rule::Readme]
            .into_iter()
            .find(|rule| rule.as_str() == text)
            .ok_or_else(|| UnknownRule(text.to_owned()))
    }
}

/// What a pool aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How it is found.
    pub rule: Rule,
    /// Where farmers start; never below.
    pub min: u64,
    /// Partials a day of each farmer.
    pub per_day: u32,
}

impl Policy {
    /// Inside the limits.
    #[must_use]
    pub fn clamp(&self, difficulty: u64) -> u64 {
        difficulty.clamp(self.min.clamp(1, DIFFICULTY_MAX), DIFFICULTY_MAX)
    }
}

/// A partial that landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// When, in seconds since 1970.
    pub at_s: u64,
    /// What it counted.
    pub difficulty: u64,
}

/// The difficulty in the farmer's hands, those before it, and the evidence for the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Difficulty {
    /// What the farmer was told and when, the newest last; never empty.
    told: VecDeque<(UnixMs, u64)>,
    /// What it will be told next.
    next: u64,
    /// Did the farmer choose it?
    is_wished: bool,
    /// Partials at the newest difficulty, and the time in touch since.
    landed: u32,
    exposed_ms: u64,
    contact_at: UnixMs,
    /// The newest last; kept only for the rules that look back.
    recent: VecDeque<Landed>,
}

impl Difficulty {
    /// A farmer that just arrived.
    #[must_use]
    pub fn new(policy: &Policy, wish: Option<u64>, now: UnixMs) -> Self {
        let start = policy.clamp(wish.unwrap_or(policy.min));
        Self::restored([(now, start)].into(), start, wish.is_some(), now)
    }

    /// One that was here before: what it was told, the newest last, and what it would be told next.
    #[must_use]
    pub fn restored(
        mut told: VecDeque<(UnixMs, u64)>,
        next: u64,
        is_wished: bool,
        now: UnixMs,
    ) -> Self {
        if told.is_empty() {
            told.push_back((now, next));
        }
        Difficulty {
            told,
            next,
            is_wished,
            landed: 0,
            exposed_ms: 0,
            contact_at: now,
            recent: VecDeque::new(),
        }
    }

    /// What the farmer was told last.
    #[must_use]
    pub fn current(&self) -> u64 {
        self.told.back().map_or(self.next, |(_, difficulty)| *difficulty)
    }

    /// All that is remembered: what was told and when, what comes next, and whether that is the farmer's wish.
    pub fn history(&self) -> (impl Iterator<Item = (UnixMs, u64)> + '_, u64, bool) {
        (self.told.iter().copied(), self.next, self.is_wished)
    }

    /// What the farmer knew when this signage point appeared: what a proof for it is judged by, and counts. None if it had been told
    /// nothing yet.
    #[must_use]
    pub fn at(&self, appeared: UnixMs) -> Option<u64> {
        let known = self.told.iter().rev().find(|(told_at, _)| *told_at <= appeared);
        known.map(|(_, difficulty)| *difficulty)
    }

    /// The farmer asks for another one; gives what it will be.
    pub fn wish(&mut self, wish: u64, policy: &Policy) -> u64 {
        self.next = policy.clamp(wish);
        self.is_wished = true;
        self.next
    }

    /// The farmer is in touch.
    pub fn contact(&mut self, now: UnixMs) {
        let passed = now.0.saturating_sub(self.contact_at.0);
        self.exposed_ms = self.exposed_ms.saturating_add(passed.min(CONTACT_MS));
        self.contact_at = self.contact_at.max(now);
    }

    /// A partial landed, which is contact too.
    pub fn land(&mut self, difficulty: u64, now: UnixMs, policy: &Policy) {
        self.contact(now);
        if difficulty == self.current() {
            self.landed = self.landed.saturating_add(1);
        }
        if policy.rule != Rule::Poisson {
            self.recent.push_back(Landed { at_s: now.0 / 1000, difficulty });
            while self.recent.len() > look_back(policy) {
                self.recent.pop_front();
            }
        }
    }

    /// Looks at the evidence.
    pub fn review(&mut self, policy: &Policy, now: UnixMs) {
        let current = self.current();
        if self.next != current {
            return;
        }
        let newest_first = self.recent.iter().rev().copied();
        self.next = match policy.rule {
            Rule::Poisson => self.by_evidence(policy),
            Rule::Reference => reference(newest_first, policy, current, now.0 / 1000),
            Rule::Readme => readme(newest_first, policy, current, now.0 / 1000),
        };
    }

    /// Tells the farmer; gives the difficulty, and whether that is news to be written down first.
    pub fn tell(&mut self, now: UnixMs) -> (u64, bool) {
        let is_news = self.next != self.current();
        if is_news {
            self.told.push_back((now, self.next));
            while self.told.len() > TOLD_MAX {
                self.told.pop_front();
            }
            (self.landed, self.exposed_ms) = (0, 0);
        }
        (self.next, is_news)
    }

    fn by_evidence(&self, policy: &Policy) -> u64 {
        let expected = self.exposed_ms as f64 / 1000.0 * f64::from(policy.per_day) / DAY_S as f64;
        let (fewest, most) = poisson_limits(self.landed);
        let band = if self.is_wished { DEAD_BAND_WISHED } else { DEAD_BAND };
        let landed = f64::from(self.landed);
        let factor = if self.landed >= RAISE_AFTER && fewest > expected * band {
            (landed / expected.max(f64::MIN_POSITIVE)).min(STEP_MAX)
        } else if most * band < expected {
            ((landed + 1.0) / expected).max(1.0 / STEP_MAX)
        } else {
            return self.current();
        };
        // Saturates: a float beyond the limits becomes the limit.
        policy.clamp((self.current() as f64 * factor) as u64)
    }
}

/// The fewest and the most events that can have been meant, where so many came.
fn poisson_limits(count: u32) -> (f64, f64) {
    let limit = |n: f64, side: f64| {
        let root = 1.0 - 1.0 / (9.0 * n) + side * Z / (3.0 * n.sqrt());
        n * root.max(0.0).powi(3)
    };
    let fewest = if count == 0 { 0.0 } else { limit(f64::from(count), -1.0) };
    (fewest, limit(f64::from(count) + 1.0, 1.0))
}

fn look_back(policy: &Policy) -> usize {
    usize::try_from(policy.per_day).unwrap_or(LOOK_BACK_MAX).clamp(1, LOOK_BACK_MAX)
}

/// The reference pool's code: an hour and three hours.
fn reference(
    newest_first: impl Iterator<Item = Landed>,
    policy: &Policy,
    current: u64,
    now_s: u64,
) -> u64 {
    let recent: Vec<Landed> = newest_first.take(look_back(policy)).collect();
    let Some(newest) = recent.first() else { return current };
    if recent.iter().any(|partial| partial.difficulty != current) {
        return current;
    }
    let age_s = now_s.saturating_sub(newest.at_s);
    if age_s > 3 * HOUR_S {
        return policy.clamp(current / 5);
    }
    if age_s > HOUR_S {
        return policy.clamp(two_thirds(current));
    }
    aimed(&recent, policy, current)
}

/// The reference pool's text: 45 minutes and three hours; where two of its sentences fit, the larger step.
fn readme(
    newest_first: impl Iterator<Item = Landed>,
    policy: &Policy,
    current: u64,
    now_s: u64,
) -> u64 {
    let recent: Vec<Landed> = newest_first.take(look_back(policy)).collect();
    let Some(newest) = recent.first() else { return current };
    if recent.iter().any(|partial| partial.difficulty != current) {
        return current;
    }
    let age_s = now_s.saturating_sub(newest.at_s);
    if age_s >= 3 * HOUR_S {
        return policy.clamp(current / 5);
    }
    if age_s >= HOUR_S * 3 / 4 {
        return policy.clamp(two_thirds(current));
    }
    aimed(&recent, policy, current)
}

fn two_thirds(difficulty: u64) -> u64 {
    let thirds = u128::from(difficulty) * 2 / 3;
    u64::try_from(thirds).unwrap_or(difficulty)
}

/// The difficulty at which the same farm would land as many partials a day as are aimed at; unchanged until a day has passed or
/// that many have landed.
fn aimed(recent: &[Landed], policy: &Policy, current: u64) -> u64 {
    let (Some(newest), Some(oldest)) = (recent.first(), recent.last()) else { return current };
    let span_s = newest.at_s.saturating_sub(oldest.at_s);
    let aim = look_back(policy);
    if (recent.len() < aim && span_s < DAY_S) || span_s == 0 {
        return current;
    }
    // current × day / (span × aim / count), rounded down once.
    let wide = |number: usize| u128::try_from(number).unwrap_or(u128::MAX);
    let above = u128::from(current) * u128::from(DAY_S) * wide(recent.len());
    let below = u128::from(span_s) * wide(aim);
    policy.clamp(u64::try_from(above / below).unwrap_or(DIFFICULTY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::vectors;

    const MINUTE: u64 = 60_000;

    fn policy(rule: Rule) -> Policy {
        Policy { rule, min: 1, per_day: 300 }
    }

    #[test]
    fn the_reference_rule_answers_the_oracles_twenty_cases() {
        let cases = vectors()["difficulty_reference"].as_array().unwrap();
        assert_eq!(cases.len(), 20);
        for case in cases {
            let number = |value: &serde_json::Value| value.as_u64().unwrap();
            let partials = &case["recent_partials_newest_first"];
            let difficulties = partials["difficulties"].as_array().unwrap();
            let mixed = difficulties.len() > 1;
            let recent = (0..number(&partials["count"])).map(|index| {
                let first = partials["first"][0].as_u64().unwrap();
                let step = partials["step_s"].as_u64().unwrap_or(0);
                let difficulty = if mixed && index == 0 { 15 } else { 20 };
                Landed { at_s: first - index * step, difficulty }
            });
            let policy = Policy { min: number(&case["min"]), ..policy(Rule::Reference) };
            let next = reference(recent, &policy, number(&case["current"]), number(&case["now"]));
            assert_eq!(next, number(&case["new"]), "{}", case["name"]);
        }
    }

    #[test]
    fn partials_that_all_came_at_once_divide_by_nothing() {
        let recent = (0..300).map(|_| Landed { at_s: 1000, difficulty: 20 });
        assert_eq!(reference(recent, &policy(Rule::Reference), 20, 1000), 20);
    }

    #[test]
    fn the_readme_rule_steps_at_45_minutes_and_three_hours_and_the_larger_step_wins() {
        let at = |age_s: u64| {
            let recent =
                (0..300).map(|index| Landed { at_s: 100_000_000 - index * 200, difficulty: 30 });
            readme(recent, &policy(Rule::Readme), 30, 100_000_000 + age_s)
        };
        assert_eq!(at(0), 43, "aims at 300 a day");
        assert_eq!(at(45 * 60 - 1), 43);
        assert_eq!(at(45 * 60), 20);
        assert_eq!(at(3 * HOUR_S - 1), 20);
        assert_eq!(at(3 * HOUR_S), 6, "at exactly three hours both sentences fit");
    }

    /// A farm with so many partials a day at difficulty 1, in touch every five minutes, for some hours.
    fn farm(rule: Rule, wish: Option<u64>, per_day_at_one: f64, hours: u64) -> (Difficulty, u64) {
        let policy = policy(rule);
        let mut difficulty = Difficulty::new(&policy, wish, UnixMs(0));
        let (mut now, mut due, mut landed) = (0, 0.0f64, 0);
        while now < hours * 60 * MINUTE {
            now += 1000;
            due += per_day_at_one / difficulty.current() as f64 / 86_400.0;
            while due >= 1.0 {
                due -= 1.0;
                landed += 1;
                difficulty.land(difficulty.current(), UnixMs(now), &policy);
                difficulty.review(&policy, UnixMs(now));
                difficulty.tell(UnixMs(now));
            }
            if now % (5 * MINUTE) == 0 {
                difficulty.contact(UnixMs(now));
                difficulty.review(&policy, UnixMs(now));
                difficulty.tell(UnixMs(now));
            }
        }
        (difficulty, landed)
    }

    #[test]
    fn a_large_farm_finds_its_difficulty_within_the_hour_and_keeps_it() {
        let (difficulty, landed) = farm(Rule::Poisson, None, 2_000_000.0, 6);
        let a_day = 2_000_000.0 / difficulty.current() as f64;
        assert!((200.0..400.0).contains(&a_day), "{a_day} a day");
        assert!(landed < 1500, "{landed} in six hours");
    }

    #[test]
    fn a_farm_that_is_right_is_left_alone() {
        let (difficulty, _) = farm(Rule::Poisson, None, 300.0, 72);
        assert_eq!(difficulty.history().0.count(), 1);
    }

    #[test]
    fn a_wish_is_kept_unless_it_is_absurd() {
        let (kept, _) = farm(Rule::Poisson, Some(100), 100_000.0, 48);
        assert_eq!(kept.current(), 100, "a thousand a day");
        let (rescued, _) = farm(Rule::Poisson, Some(u64::MAX), 100_000.0, 48);
        assert!(rescued.current() < 1 << 20, "{}", rescued.current());
    }

    #[test]
    fn a_farm_that_was_off_comes_back_to_the_difficulty_it_had() {
        let policy = policy(Rule::Poisson);
        let mut difficulty = Difficulty::new(&policy, Some(1000), UnixMs(0));
        let week = UnixMs(7 * 24 * 60 * MINUTE);
        difficulty.contact(week);
        difficulty.review(&policy, week);
        assert_eq!(difficulty.tell(week), (1000, false));
    }

    #[test]
    fn a_proof_is_judged_by_what_the_farmer_knew_when_its_signage_point_appeared() {
        let policy = policy(Rule::Poisson);
        let mut difficulty = Difficulty::new(&policy, None, UnixMs(1000));
        difficulty.wish(50, &policy);
        assert_eq!(difficulty.at(UnixMs(u64::MAX)), Some(1), "wished, and not told yet");
        assert_eq!(difficulty.tell(UnixMs(5000)), (50, true));
        assert_eq!(difficulty.tell(UnixMs(6000)), (50, false));
        assert_eq!(difficulty.at(UnixMs(4999)), Some(1));
        assert_eq!(difficulty.at(UnixMs(5000)), Some(50));
        assert_eq!(difficulty.at(UnixMs(0)), None, "before anything was told");
        for step in 0..100 {
            difficulty.wish(100 + step, &policy);
            difficulty.tell(UnixMs(10_000 + step));
        }
        assert_eq!(difficulty.history().0.count(), TOLD_MAX);
    }
}

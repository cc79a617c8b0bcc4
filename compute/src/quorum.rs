//! When answers are believed: the median of several, or the pool's own result where there is one.
//!
//! Pure: votes and rules in, an outcome out. Each defence is a field of [`Defences`] and can be switched; what each costs and
//! brings is measured in `tests/strategies.rs`. Invariant: the outcome does not depend on the order of the votes.

use crate::key::PublicKey;
use crate::score::{ONE, Score, median};

/// One evaluator's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// Whose.
    pub voter: PublicKey,
    /// What they found.
    pub score: Score,
    /// The digest of all predictions, from workers that compute as we do.
    pub digest: Option<[u8; 32]>,
}

/// What the pool itself found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnResult {
    /// The score.
    pub score: Score,
    /// The digest of all predictions.
    pub digest: [u8; 32],
}

/// What is near enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// A part of the median in billionths, but at least so many billionths (for medians near nothing).
    Relative {
        /// Of the median.
        part: u32,
        /// At least.
        floor: u32,
    },
    /// So many billionths, whatever the median.
    Absolute(u32),
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |billionths: u32| f64::from(billionths) / f64::from(ONE);
        match *self {
            Tolerance::Absolute(bound) => write!(f, "{} on either side of it", of(bound)),
            Tolerance::Relative { part, floor } => {
                write!(f, "{} % of it, {} at least", of(part) * 100.0, of(floor))
            }
        }
    }
}

impl Tolerance {
    /// The original's ten in a hundred.
    pub const TENTH: Tolerance = Tolerance::Relative { part: ONE / 10, floor: ONE / 1000 };

    /// Is this near enough to that? The bound itself is.
    #[must_use]
    pub fn accepts(&self, score: Score, median: Score) -> bool {
        let (Some(score), Some(median)) = (score.billionths(), median.billionths()) else {
            return score == median;
        };
        let distance = u64::from(score.abs_diff(median));
        match *self {
            Tolerance::Absolute(bound) => distance <= bound.into(),
            Tolerance::Relative { part, floor } => {
                distance * u64::from(ONE) <= u64::from(part) * u64::from(median)
                    || distance <= floor.into()
            }
        }
    }
}

/// What stands between the pool and cheats. All off is the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defences {
    /// A digest that differs from another's or from ours is a dispute, and in the end a lie.
    pub digests: bool,
    /// Of a thousand new algorithms, how many the pool evaluates before anybody else: nobody can tell which.
    pub checks_per_thousand: u16,
    /// A failed check takes back what was earned since the last one that was passed, and lets nothing be earned for this long.
    pub sentence_s: u64,
    /// An algorithm is evaluated here before its author is paid.
    pub verify_winners: bool,
    /// Votes without agreement bring more votes, one by one, up to this many; then the pool decides.
    pub votes_max: u8,
    /// After so many accurate answers in a row one vote suffices, but for a random check (BOINC's adaptive replication). 0: never.
    pub trusted_after: u32,
    /// So many accurate answers are needed before any is paid: what a new key costs.
    pub probation: u32,
    /// Leases that all hotkeys of one coldkey may hold together. 0: any number.
    pub leases_per_owner: u32,
}

impl Defences {
    /// The original's: three votes, and what they say.
    pub const NONE: Defences = Defences {
        digests: false,
        checks_per_thousand: 0,
        sentence_s: 0,
        verify_winners: false,
        votes_max: 3,
        trusted_after: 0,
        probation: 0,
        leases_per_owner: 0,
    };

    /// All of them.
    pub const ALL: Defences = Defences {
        digests: true,
        checks_per_thousand: 100,
        sentence_s: 6 * 3600,
        verify_winners: true,
        votes_max: 7,
        trusted_after: 10,
        probation: 5,
        leases_per_owner: 8,
    };
}

/// The rules of one kind of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Votes that make a median.
    pub quorum: u8,
    /// What is near enough to it.
    pub tolerance: Tolerance,
    /// What stands against cheats.
    pub defences: Defences,
}

impl Rules {
    /// The original's.
    pub const ORIGINAL: Rules =
        Rules { quorum: 3, tolerance: Tolerance::TENTH, defences: Defences::NONE };
    /// Ours.
    pub const DEFENDED: Rules = Rules { defences: Defences::ALL, ..Rules::ORIGINAL };
}

/// What the votes come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// So many more are needed.
    Wait(u8),
    /// Believed.
    Agreed(Agreement),
    /// Only the pool's own result can tell.
    Disputed,
}

/// A believed score, and who found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The score.
    pub score: Score,
    /// For each vote, in its place: did it hold?
    pub accurate: Vec<bool>,
}

/// Decides on the votes for one algorithm. `needed` is how many make a decision: the quorum, or one from somebody trusted.
#[must_use]
pub fn decide(votes: &[Vote], own: Option<&OwnResult>, needed: u8, rules: &Rules) -> Outcome {
    let count = u8::try_from(votes.len()).unwrap_or(u8::MAX);
    if count < needed {
        return Outcome::Wait(needed - count);
    }
    if let Some(own) = own {
        return Outcome::Agreed(judged(votes, own, rules));
    }
    if rules.defences.digests && digests_differ(votes) {
        return Outcome::Disputed;
    }
    let scores: Vec<Score> = votes.iter().map(|vote| vote.score).collect();
    let Some(score) = median(&scores) else { return Outcome::Wait(1) };
    let accurate: Vec<bool> =
        scores.iter().map(|found| rules.tolerance.accepts(*found, score)).collect();
    let holding = accurate.iter().filter(|held| **held).count();
    // The original believes any median. Against cheats more than half must stand by it.
    if rules.defences.votes_max > rules.quorum && holding * 2 <= votes.len() {
        let more = rules.defences.votes_max.saturating_sub(count).min(1);
        return if more > 0 { Outcome::Wait(more) } else { Outcome::Disputed };
    }
    Outcome::Agreed(Agreement { score, accurate })
}

/// The votes beside the pool's own result, which is what is believed.
#[must_use]
pub fn judged(votes: &[Vote], own: &OwnResult, rules: &Rules) -> Agreement {
    let holds = |vote: &Vote| match vote.digest {
        Some(digest) if rules.defences.digests => digest == own.digest && vote.score == own.score,
        _ => rules.tolerance.accepts(vote.score, own.score),
    };
    Agreement { score: own.score, accurate: votes.iter().map(holds).collect() }
}

fn digests_differ(votes: &[Vote]) -> bool {
    let mut digests = votes.iter().filter_map(|vote| vote.digest);
    let first = digests.next();
    digests.any(|digest| Some(digest) != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(who: u8, score: f64) -> Vote {
        let score = Score::read(score).unwrap();
        Vote { voter: PublicKey::from_bytes([who; 32]), score, digest: None }
    }

    fn votes(scores: &[f64]) -> Vec<Vote> {
        scores.iter().zip(1..).map(|(score, who)| vote(who, *score)).collect()
    }

    fn agreed(outcome: Outcome) -> (String, Vec<bool>) {
        match outcome {
            Outcome::Agreed(agreement) => (agreement.score.to_string(), agreement.accurate),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_documents_three_agree_and_the_outlier_does_not() {
        let rules = Rules::ORIGINAL;
        let found = decide(&votes(&[0.92, 0.90, 0.91]), None, 3, &rules);
        assert_eq!(agreed(found), ("0.910000000".into(), vec![true; 3]));
        let found = decide(&votes(&[0.92, 0.50, 0.91]), None, 3, &rules);
        assert_eq!(agreed(found), ("0.910000000".into(), vec![true, false, true]));
        assert_eq!(decide(&votes(&[0.9, 0.9]), None, 3, &rules), Outcome::Wait(1));
    }

    #[test]
    fn the_tolerance_is_a_part_of_the_median_its_bound_included() {
        let of = |number| Score::read(number).unwrap();
        let tenth = Tolerance::TENTH;
        assert!(tenth.accepts(of(0.55), of(0.5)));
        assert!(!tenth.accepts(of(0.550_000_001), of(0.5)));
        assert!(tenth.accepts(of(0.001), of(0.0)), "the floor");
        assert!(!tenth.accepts(of(0.0011), of(0.0)));
        assert!(Tolerance::Absolute(ONE / 10).accepts(of(0.1), of(0.0)));
        assert!(tenth.accepts(Score::Invalid, Score::Invalid));
        assert!(!tenth.accepts(Score::Invalid, of(0.0)));
    }

    #[test]
    fn without_agreement_more_are_asked_one_by_one_and_then_the_pool() {
        let rules = Rules::DEFENDED;
        let mut scores = vec![0.1, 0.5, 0.9];
        for more in [0.2, 0.3, 0.7, 0.8] {
            assert_eq!(decide(&votes(&scores), None, 3, &rules), Outcome::Wait(1), "{scores:?}");
            scores.push(more);
        }
        assert_eq!(decide(&votes(&scores), None, 3, &rules), Outcome::Disputed);
    }

    #[test]
    fn a_differing_digest_is_a_dispute_and_our_own_result_ends_it() {
        let rules = Rules::DEFENDED;
        let mut all = votes(&[0.8, 0.8, 0.8, 0.81]);
        all[0].digest = Some([1; 32]);
        assert!(matches!(decide(&all, None, 3, &rules), Outcome::Agreed(_)));
        all[1].digest = Some([2; 32]);
        assert_eq!(decide(&all, None, 3, &rules), Outcome::Disputed);
        let own = OwnResult { score: all[0].score, digest: [1; 32] };
        let found = decide(&all, Some(&own), 3, &rules);
        // The copied score without the right digest does not hold; a foreign client's, a little off, does.
        assert_eq!(agreed(found).1, [true, false, true, true]);
    }

    #[test]
    fn the_order_of_votes_decides_nothing() {
        let scores = [0.5, 0.52, 0.9, 0.51, 0.2];
        let (score, accurate) = agreed(decide(&votes(&scores), None, 3, &Rules::DEFENDED));
        let mut backwards = votes(&scores);
        backwards.reverse();
        let (again, mut mirrored) = agreed(decide(&backwards, None, 3, &Rules::DEFENDED));
        mirrored.reverse();
        assert_eq!((score, accurate), (again, mirrored));
    }
}

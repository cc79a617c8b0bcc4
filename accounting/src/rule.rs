//! What a pool promised, and from where in the log on: published, so that anybody can hold each block's split against it.
//!
//! Invariant: a promise counts from its place in the log on; what was frozen before that place is judged by the one before.

use crate::BasisPoints;
use crate::fee::{FeeRule, Standing};
use crate::id::{ShareSeq, SliceNo};
use crate::scheme::Scheme;
use crate::union::Part;
use serde::{Deserialize, Serialize};

/// How a pool divides what it earns, what it keeps, and what it has of its union's blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// The scheme.
    pub scheme: Scheme,
    /// The fee.
    pub fee: FeeRule,
    /// Its part of each block, where pools share them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// A rule and where it began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuleSince {
    /// It counts for blocks found after this place in the log.
    pub since: ShareSeq,
    /// It counts for slices after this one.
    pub after_slice: SliceNo,
    /// The rule; null while the pool was closed.
    pub rule: Option<Rule>,
}

impl Rule {
    /// May the fee of an account with this part of the work be this, in a window with so many accounts? Who is a member is not
    /// public.
    #[must_use]
    pub fn allows(&self, accounts: u64, volume: BasisPoints, fee: BasisPoints) -> bool {
        [false, true].iter().any(|is_member| {
            self.fee.resolve(Standing { accounts, volume, is_member: *is_member }) == fee
        })
    }

    /// May it be this in a window of some size, for somebody?
    #[must_use]
    pub fn allows_in_some_window(&self, fee: BasisPoints) -> bool {
        let tiers = self.fee.tiers.iter().map(|tier| tier.accounts);
        let mut sizes = tiers.chain([0]);
        let steps = || self.fee.volume.iter().map(|step| step.part).chain([BasisPoints::ZERO]);
        sizes.any(|accounts| steps().any(|volume| self.allows(accounts, volume, fee)))
    }
}

/// The rule that a block found at this place is split by, and where it began; `None` where none was published.
#[must_use]
pub fn at(rules: &[RuleSince], place: ShareSeq) -> Option<&RuleSince> {
    rules.iter().rev().find(|known| known.since < place)
}

/// The rule that a slice was bought by.
#[must_use]
pub fn of_slice(rules: &[RuleSince], no: SliceNo) -> Option<&RuleSince> {
    rules.iter().rev().find(|known| known.after_slice < no)
}

/// The rule before the one in force at a place.
#[must_use]
pub fn before(rules: &[RuleSince], place: ShareSeq) -> Option<&RuleSince> {
    let current = rules.iter().rposition(|known| known.since < place)?;
    rules.iter().take(current).rev().find(|known| known.rule.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fee::FeeTier;

    fn rule(scheme: Scheme) -> Option<Rule> {
        Some(Rule { scheme, fee: FeeRule::default(), part: None })
    }

    fn since(since: u64, after_slice: u64, scheme: Scheme) -> RuleSince {
        let (since, after_slice) = (ShareSeq(since), SliceNo(after_slice));
        RuleSince { since, after_slice, rule: rule(scheme) }
    }

    #[test]
    fn a_block_is_split_by_the_rule_before_its_place_and_a_slice_by_the_one_it_was_closed_under() {
        let rules = [since(5, 1, Scheme::Prop), since(9, 3, Scheme::Tides)];
        let scheme = |found: Option<&RuleSince>| Some(found?.rule.as_ref()?.scheme);
        for (place, expected) in
            [(5, None), (6, Some(Scheme::Prop)), (9, Some(Scheme::Prop)), (10, Some(Scheme::Tides))]
        {
            assert_eq!(scheme(at(&rules, ShareSeq(place))), expected, "{place}");
        }
        assert_eq!(scheme(before(&rules, ShareSeq(10))), Some(Scheme::Prop));
        assert_eq!(scheme(before(&rules, ShareSeq(9))), None);
        for (no, expected) in [(1, None), (3, Some(Scheme::Prop)), (4, Some(Scheme::Tides))] {
            assert_eq!(scheme(of_slice(&rules, SliceNo(no))), expected, "{no}");
        }
    }

    #[test]
    fn a_fee_is_the_tiers_or_the_members() {
        let bp = |n| BasisPoints::new(n).unwrap();
        let tiers = vec![FeeTier { accounts: 10, fee: bp(100) }];
        let fee = FeeRule { base: bp(200), tiers, member_discount: bp(50), volume: Vec::new() };
        let rule = Rule { scheme: Scheme::Prop, fee, part: None };
        let allows = |fee| rule.allows(9, BasisPoints::ZERO, bp(fee));
        assert!(allows(200) && allows(150) && !allows(100));
        assert!(rule.allows_in_some_window(bp(100)) && !rule.allows_in_some_window(bp(201)));
    }

    #[test]
    fn it_is_written_and_read_back() {
        let known = since(5, 1, Scheme::Solo { custodial: true });
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<RuleSince>(&text).unwrap(), known);
    }
}

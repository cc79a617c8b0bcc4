//! What each pool promised, said as it stands.

use super::Visitor;
use accounting::BasisPoints;
use accounting::rule::Rule;
use web::model::blocks::scheme_name;
use web::model::pools::Pool;

impl Visitor<'_> {
    /// Says what each pool promised: whoever reads it sees whether that is what they were told.
    pub(super) fn promises(&self) -> bool {
        let mut all_pass = true;
        for pool in self.audited().iter().filter_map(|id| self.named(*id)) {
            let Pool { name, rules, mature_after, orphan_after, .. } = pool;
            for known in rules {
                let since = known.since;
                let words = known.rule.as_ref().map_or("closed".to_owned(), |rule| {
                    let members = rule.fee.resolve(0, true);
                    let part = rule.part.map_or(String::new(), |p| format!(", part {}", p.get()));
                    format!(
                        "{}, fee {} (members {members}){part}",
                        rule.scheme.in_words(),
                        rule.fee.base
                    )
                });
                println!("pool {name}  promised after place {since} of its log: {words}");
            }
            let current = rules.last().and_then(|known| known.rule.as_ref());
            let fee = BasisPoints::new((pool.fee_percent * 100.0).round() as u16).ok();
            let keeps = |rule: &&Rule| {
                scheme_name(rule.scheme) == pool.scheme
                    && fee.is_some_and(|fee| rule.allows_in_some_window(fee))
            };
            if current.filter(keeps).is_none() {
                let (scheme, fee) = (&pool.scheme, pool.fee_percent);
                println!(
                    "pool {name}  FAIL  advertises {scheme} at {fee} %, and promised otherwise"
                );
                all_pass = false;
            }
            println!(
                "pool {name}  blocks mature after {mature_after} confirmations and are given up after {orphan_after} of another"
            );
        }
        all_pass
    }
}

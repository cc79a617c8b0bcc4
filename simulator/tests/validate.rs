//! The simulator agrees with theory, whatever the seed; and a wrong formula would be noticed.

use simulator::validate::{Check, judge, validate};

fn report(checks: &[Check]) -> String {
    let line = |c: &Check| {
        format!(
            "{:>8.3} {:>14.7} {:>14.7} ± {:.2e}  {}",
            c.z, c.theory, c.measured, c.error, c.name
        )
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The same measurements against a theory that is wrong by this factor.
fn held_against(checks: &[Check], factor: f64) -> bool {
    let wrong = checks.iter().map(|check| {
        let theory = check.theory * factor;
        Check { z: (check.measured - theory) / check.error, theory, ..check.clone() }
    });
    judge(wrong.collect()).stands
}

#[test]
fn every_value_of_theory_is_met_with_three_seeds_and_two_percent_off_is_noticed() {
    for seed in [1, 2, 3] {
        let found = validate(seed, &simulator::silent);
        let (sum, count) = found.chi_squared;
        let said = report(&found.checks);
        println!("{said}\nchi-squared {sum:.1} of {count}");
        assert!(found.stands, "seed {seed}, chi-squared {sum} of {count}\n{said}");
        assert!(held_against(&found.checks, 1.0));
        assert!(!held_against(&found.checks, 1.02) && !held_against(&found.checks, 0.98));
    }
}

//! The search gets better, tells nobody the same program twice, and is the same for the same seed.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::data::demo;
use compute::dsl::{Limits, strict};
use compute::evaluate::Prepared;
use compute::evolve::{Evolver, Member, Profile, founders};
use std::collections::HashSet;

fn searched(seed: u64, generations: usize) -> (Member, Vec<String>) {
    let prepared = Prepared::new(&demo::classes());
    let mut evolver = Evolver::new(Profile::CIFAR, seed);
    for founder in founders(16) {
        evolver.admit(&founder, prepared.evaluate(&founder).unwrap().score);
    }
    let mut tried = Vec::new();
    for _ in 0..generations {
        let child = evolver.child().unwrap();
        tried.push(child.fingerprint().to_string());
        let readable = strict::read(&child.text(), 16, &Limits::POOL);
        assert_eq!(readable, Ok(child.clone()));
        assert_eq!(child.normal(), child);
        evolver.admit(&child, prepared.evaluate(&child).unwrap().score);
    }
    (evolver.best().unwrap().clone(), tried)
}

#[test]
fn a_search_improves_on_where_it_began_and_can_be_repeated() {
    let (start, _) = searched(5, 0);
    let (found, tried) = searched(5, 300);
    assert!(found.score > start.score, "{} {}", found.score, start.score);
    assert_eq!(tried.iter().collect::<HashSet<_>>().len(), tried.len());
    assert_eq!(searched(5, 300), (found, tried));
}

#[test]
fn nobody_is_born_of_nobody() {
    assert_eq!(Evolver::new(Profile::CIFAR, 1).child(), None);
}

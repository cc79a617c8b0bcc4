//! Leases: who gets what, when it comes back, and what an answer counts.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::desk::{Answer, Change, Desk, Evaluated, ItemVerdict, Reject, Settings};
use compute::dsl::{Limits, Program, lenient};
use compute::evaluate::Evaluation;
use compute::fact::{Cause, Fact};
use compute::key::PublicKey;
use compute::lease::{Lease, Wish};
use compute::quorum::{Defences, Rules};
use compute::score::Score;
use compute::task::AlgorithmId;
use std::collections::BTreeMap;

fn key(who: u8) -> PublicKey {
    PublicKey::from_bytes([who; 32])
}

fn program(n: u32) -> String {
    format!("# predict\ns2 = {n}.0\nv1 = v0 * s2\ns0 = norm(v1)\n")
}

fn parsed(n: u32) -> Program {
    lenient::read(&program(n), 16, &Limits::POOL).unwrap().program
}

fn evaluation(score: f64, digest: u8) -> Evaluation {
    Evaluation { score: Score::computed(score), per_task: Vec::new(), digest: [digest; 32] }
}

/// A desk with two programs to begin with.
fn desk(rules: Rules) -> Desk {
    let mut desk = Desk::new(Settings { rules, ..Settings::DEFAULT }, 1);
    for n in [1, 2] {
        desk.found(&parsed(n), 0);
    }
    let wanted: Vec<AlgorithmId> = desk.wanted().map(|wanted| wanted.id).collect();
    for (id, digest) in wanted.into_iter().zip(1..) {
        desk.own_result(id, &evaluation(0.5, digest), None, 0);
    }
    desk
}

fn answer(scores: &[(AlgorithmId, f64)], evolved: &[String]) -> Answer {
    let evaluated = scores.iter().map(|(algorithm, score)| Evaluated {
        algorithm: *algorithm,
        score: Score::read(*score).unwrap(),
        digest: None,
    });
    let hash = [u8::try_from(scores.len() * 16 + evolved.len()).unwrap(); 32];
    Answer { evaluated: evaluated.collect(), evolved: evolved.to_vec(), hash }
}

fn evolves(desk: &mut Desk, who: u8, n: u32, now: u64) -> AlgorithmId {
    let (lease, _) = desk.request(key(who), 0, Wish::Evolve, now).unwrap();
    assert_eq!(lease.seeds.len(), 2);
    let sent = answer(&[], &[program(n)]);
    let (receipt, _) = desk.submit(key(who), lease.id, &sent, now, |_| false).unwrap();
    receipt.evolved[0].0.unwrap()
}

fn leased(desk: &mut Desk, who: u8, now: u64) -> Result<Lease, Reject> {
    desk.request(key(who), 0, Wish::Evaluate { batch: 8 }, now).map(|(lease, _)| lease)
}

fn scores(desk: &mut Desk, who: u8, score: f64, now: u64) -> Vec<Fact> {
    let lease = leased(desk, who, now).unwrap();
    let all: Vec<(AlgorithmId, f64)> = lease.evaluate.iter().map(|id| (*id, score)).collect();
    let (_, changes) = desk.submit(key(who), lease.id, &answer(&all, &[]), now, |_| false).unwrap();
    facts(changes)
}

fn facts(changes: Vec<Change>) -> Vec<Fact> {
    let fact = |change| match change {
        Change::Fact(fact) => Some(fact),
        _ => None,
    };
    changes.into_iter().filter_map(fact).collect()
}

fn earned(facts: &[Fact]) -> Vec<(PublicKey, Cause, u64)> {
    let of = |fact: &Fact| match fact {
        Fact::Earned(earning) => Some((earning.miner, earning.cause, earning.weight.0)),
        Fact::Revoked { .. } => None,
    };
    facts.iter().filter_map(of).collect()
}

#[test]
fn three_votes_pay_their_voters_and_the_author() {
    let mut desk = desk(Rules::ORIGINAL);
    evolves(&mut desk, 1, 100, 0);
    assert!(scores(&mut desk, 2, 0.92, 1).is_empty());
    assert!(scores(&mut desk, 3, 0.50, 2).is_empty());
    let found = earned(&scores(&mut desk, 4, 0.91, 3));
    assert_eq!(
        found,
        [
            (key(1), Cause::Evolution, 1_820_000),
            (key(2), Cause::Evaluation, 1_000_000),
            (key(4), Cause::Evaluation, 1_000_000),
        ]
    );
    assert_eq!(desk.sota().unwrap().author, Some(key(1)));
}

#[test]
fn nobody_judges_their_own_their_owners_or_their_neighbours_nor_twice() {
    let mut desk = desk(Rules::ORIGINAL);
    for who in 1..=4 {
        desk.register(key(who), u64::from(who), 0).unwrap();
    }
    desk.belongs_to(&key(1), key(99));
    desk.belongs_to(&key(2), key(99));
    let (lease, _) = desk.request(key(1), 7, Wish::Evolve, 0).unwrap();
    desk.submit(key(1), lease.id, &answer(&[], &[program(5)]), 0, |_| false).unwrap();
    let nothing = Err(Reject::NoTasks { retry_after_s: 10 });
    let mut ask = |who, neighbourhood| {
        let wish = Wish::Evaluate { batch: 8 };
        desk.request(key(who), neighbourhood, wish, 1).map(|(lease, _)| lease.evaluate.len())
    };
    assert_eq!(ask(1, 7), nothing, "the author");
    assert_eq!(ask(2, 8), nothing, "the author's owner");
    assert_eq!(ask(3, 7), nothing, "the author's neighbour");
    assert_eq!(ask(4, 9), Ok(1));
    let lease = desk.miner(&key(4)).unwrap().lease.unwrap();
    let id = desk.lease(lease).unwrap().evaluate[0];
    desk.submit(key(4), lease, &answer(&[(id, 0.5)], &[]), 2, |_| false).unwrap();
    assert_eq!(leased(&mut desk, 4, 3), Err(Reject::NoTasks { retry_after_s: 10 }), "twice");
}

#[test]
fn a_lease_that_expires_goes_to_somebody_else_and_late_answers_find_nothing() {
    let rules = Rules { quorum: 1, ..Rules::ORIGINAL };
    let mut desk = Desk::new(Settings { rules, newcomer_lease_s: 0, ..Settings::DEFAULT }, 1);
    desk.found(&parsed(1), 0);
    desk.own_result(AlgorithmId(1), &evaluation(0.5, 1), None, 0);
    let id = evolves_one(&mut desk);
    let lease = leased(&mut desk, 2, 0).unwrap();
    assert_eq!(lease.deadline_s, 10_800);
    assert_eq!(leased(&mut desk, 2, 1), Err(Reject::ActiveTask));
    assert!(leased(&mut desk, 3, 1).is_err(), "in somebody's hands");
    desk.expire(10_799);
    assert!(leased(&mut desk, 3, 10_799).is_err());
    desk.expire(10_800);
    let late = desk.submit(key(2), lease.id, &answer(&[(id, 0.5)], &[]), 10_800, |_| false);
    assert_eq!(late.unwrap_err(), Reject::NotFound);
    assert!(matches!(leased(&mut desk, 2, 10_801), Err(Reject::Resting { leases: 1, .. })));
    assert_eq!(leased(&mut desk, 3, 10_801).unwrap().evaluate, [id]);
    let own = desk.miner(&key(3)).unwrap().lease.unwrap();
    let theirs = desk.submit(key(2), own, &answer(&[(id, 0.5)], &[]), 10_802, |_| false);
    assert_eq!(theirs.unwrap_err(), Reject::NotFound, "not theirs");
}

fn evolves_one(desk: &mut Desk) -> AlgorithmId {
    let (lease, _) = desk.request(key(1), 0, Wish::Evolve, 0).unwrap();
    let sent = answer(&[], &[program(100)]);
    let (receipt, _) = desk.submit(key(1), lease.id, &sent, 0, |_| false).unwrap();
    receipt.evolved[0].0.unwrap()
}

#[test]
fn a_refused_request_registers_nobody() {
    let mut desk = desk(Rules::ORIGINAL);
    assert!(leased(&mut desk, 7, 5).is_err());
    assert_eq!(desk.miner(&key(7)), None);
}

#[test]
fn the_same_answer_again_is_told_the_same_and_another_is_refused() {
    let mut desk = desk(Rules::ORIGINAL);
    evolves(&mut desk, 1, 100, 0);
    let lease = leased(&mut desk, 2, 0).unwrap();
    let sent = answer(&[(lease.evaluate[0], 0.5)], &[]);
    desk.submit(key(2), lease.id, &sent, 1, |_| false).unwrap();
    let (again, changes) = desk.submit(key(2), lease.id, &sent, 99_999, |_| false).unwrap();
    assert!(again.is_repeated && changes.is_empty());
    let other = Answer { hash: [77; 32], ..sent };
    assert_eq!(desk.submit(key(2), lease.id, &other, 2, |_| false), Err(Reject::Answered));
}

#[test]
fn a_program_in_other_words_earns_nothing() {
    let mut desk = desk(Rules::DEFENDED);
    let first = evolves(&mut desk, 1, 100, 0);
    let sent = |text: &str| answer(&[], &[text.to_owned()]);
    let mut verdict = |who: u8, text: &str, known: bool| {
        let (lease, _) = desk.request(key(who), 0, Wish::Evolve, 0).unwrap();
        let (mut receipt, _) = desk.submit(key(who), lease.id, &sent(text), 0, |_| known).unwrap();
        receipt.evolved.remove(0).1
    };
    let dressed = format!("# a comment\n{}s9 = 0.5\n", program(100));
    assert_eq!(verdict(2, &dressed, false), ItemVerdict::Duplicate);
    assert_eq!(verdict(2, &program(7), true), ItemVerdict::Duplicate);
    assert!(matches!(verdict(2, "# predict\ns0 = 0.5", false), ItemVerdict::Unusable(_)));
    let bomb = "# meta: matrix_count=9999";
    assert!(matches!(verdict(2, bomb, false), ItemVerdict::Unusable(_)));
    let dear = format!("# predict\n{}m1 = v0\ns0 = m1\n", "m1 = m1 * m1\n".repeat(200));
    assert!(matches!(verdict(2, &dear, false), ItemVerdict::Unusable(_)), "too dear");
    // Other instructions, the same predictions.
    let other = evolves(&mut desk, 2, 101, 0);
    desk.own_result(first, &evaluation(0.9, 9), None, 1);
    desk.own_result(other, &evaluation(0.9, 9), Some(first), 1);
    for who in 3..=5 {
        scores(&mut desk, who, 0.9, 2);
    }
    let authors: Vec<_> = desk.best().filter(|best| best.author.is_some()).collect();
    assert_eq!(authors.len(), 1);
}

#[test]
fn a_winner_is_paid_only_after_the_pool_has_computed_it() {
    let defences = Defences { checks_per_thousand: 0, probation: 0, ..Defences::ALL };
    let mut desk = desk(Rules { defences, ..Rules::DEFENDED });
    let id = evolves(&mut desk, 1, 100, 0);
    // Three friends say it is excellent.
    for who in 2..=4 {
        assert!(scores(&mut desk, who, 0.99, 1).is_empty());
    }
    assert_eq!(desk.wanted().map(|wanted| wanted.id).collect::<Vec<_>>(), [id]);
    let found = facts(desk.own_result(id, &evaluation(0.5, 9), None, 2));
    assert_eq!(earned(&found), []);
    assert!(desk.miner(&key(2)).unwrap().sentenced_until_s > 2);
}

#[test]
fn a_failed_check_takes_back_what_was_earned_since_the_last_that_was_passed() {
    let defences = Defences {
        checks_per_thousand: 0,
        probation: 0,
        trusted_after: 0,
        verify_winners: false,
        ..Defences::ALL
    };
    let mut desk = desk(Rules { defences, ..Rules::DEFENDED });
    // Twice near chance, where anybody guesses right; then something else, which the pool computes.
    let mut got = Vec::new();
    for round in 0..3u32 {
        let id = evolves(&mut desk, 1, 100 + round, 0);
        if round == 2 {
            desk.own_result(id, &evaluation(0.8, 9), None, 1);
        }
        for (who, score) in [(2, 0.5), (3, if round == 2 { 0.8 } else { 0.5 }), (4, 0.5)] {
            got.extend(scores(&mut desk, who, score, 1));
        }
    }
    let revoked = got.iter().filter(|fact| matches!(fact, Fact::Revoked { .. })).count();
    assert_eq!(revoked, 4, "both lazy ones lose both");
    assert_eq!(desk.miner(&key(3)).unwrap().unchecked.len(), 1);
    assert_eq!(desk.miner(&key(2)).unwrap().standing.failed_checks, 1);
}

/// What a table would hold: each row as it was last written.
fn latest(written: Vec<Change>) -> Vec<Change> {
    let row = |change: &Change| match change {
        Change::Miner(miner) => format!("a miner {}", miner.key),
        Change::Lease(lease) => format!("b lease {}", lease.id.0),
        Change::Algorithm(algorithm) => format!("c algorithm {}", algorithm.id.0),
        Change::Function(..) | Change::Verdict(_) | Change::Fact(_) => String::new(),
    };
    written
        .into_iter()
        .map(|change| (row(&change), change))
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect()
}

#[test]
fn a_desk_that_is_put_together_again_goes_on_where_it_was() {
    let mut first = Desk::new(Settings { rules: Rules::ORIGINAL, ..Settings::DEFAULT }, 1);
    let mut written = first.found(&parsed(1), 0);
    written.extend(first.own_result(AlgorithmId(1), &evaluation(0.5, 1), None, 0));
    let (lease, changes) = first.request(key(1), 0, Wish::Evolve, 0).unwrap();
    written.extend(changes);
    let sent = answer(&[], &[program(100)]);
    let (_, changes) = first.submit(key(1), lease.id, &sent, 0, |_| false).unwrap();
    written.extend(changes);
    for who in [2, 3] {
        let wish = Wish::Evaluate { batch: 8 };
        let (lease, changes) = first.request(key(who), 0, wish, 1).unwrap();
        written.extend(changes);
        if who == 2 {
            let sent = answer(&[(lease.evaluate[0], 0.8)], &[]);
            let (_, changes) = first.submit(key(2), lease.id, &sent, 1, |_| false).unwrap();
            written.extend(changes);
        }
    }

    let mut again = Desk::new(Settings { rules: Rules::ORIGINAL, ..Settings::DEFAULT }, 2);
    latest(written).into_iter().for_each(|change| again.restore(change));
    again.resume(AlgorithmId(2));
    // The lease of the third is still theirs, the vote of the second still counts, and one more is asked for.
    let lease = again.miner(&key(3)).unwrap().lease.unwrap();
    let id = again.lease(lease).unwrap().evaluate[0];
    assert!(scores(&mut again, 4, 0.8, 2).is_empty());
    assert!(leased(&mut again, 5, 2).is_err());
    let (_, changes) =
        again.submit(key(3), lease, &answer(&[(id, 0.8)], &[]), 3, |_| false).unwrap();
    assert_eq!(earned(&facts(changes)).len(), 4);
}

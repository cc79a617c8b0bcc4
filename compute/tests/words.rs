//! Words for trouble are the same in the API, the worker and the documents.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::Amount;
use compute::auth::AuthReject;
use compute::client::News;
use compute::desk::{Reject, Verdict};
use compute::key::SigningKey;
use compute::lease::LeaseId;
use compute::quorum::Tolerance;
use compute::score::Score;
use compute::task::AlgorithmId;
use compute::wire::trouble::{Paused, TooLate, TooOften};
use pool::payouts::BelowMinimum;
use std::collections::BTreeSet;
use std::time::Duration;

fn verdict() -> Verdict {
    Verdict {
        voter: SigningKey::from_seed(&[1; 32]).public(),
        algorithm: AlgorithmId(12),
        score: Score::read(0.5).unwrap(),
        median: Score::read(0.91).unwrap(),
        evaluators: 3,
        accurate: false,
        at_s: 0,
    }
}

/// What the program says in each case of the documents' table.
fn said() -> Vec<String> {
    let heir = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY".parse().unwrap();
    let late = |heirs| TooLate { lease: LeaseId(7), deadline_s: 1_795_341_600, heirs }.to_string();
    let units = Amount::from_units;
    vec![
        Reject::NoTasks { retry_after_s: 10 }.to_string(),
        Paused { reason: "new tasks", retry_after_s: 60 }.to_string(),
        Reject::ActiveTask.to_string(),
        late(vec![heir]),
        late(vec![]),
        Reject::NotFound.to_string(),
        Reject::Resting { leases: 2, retry_after_s: 120 }.to_string(),
        Reject::OwnerBusy(8).to_string(),
        Reject::Answered.to_string(),
        Reject::Full.to_string(),
        TooOften { who: "hotkey", retry_after_s: 8 }.to_string(),
        AuthReject::Stale { ahead: false, by: 301, unit: "seconds", now: 1_795_341_600 }
            .to_string(),
        AuthReject::Replayed.to_string(),
        AuthReject::BeforeStart.to_string(),
        verdict().words(&Tolerance::TENTH),
        BelowMinimum { available: units(1_200_000), minimum: units(5_000_000) }.to_string(),
    ]
}

/// The first column of the table "the pool says".
fn documented() -> Vec<String> {
    let text = include_str!("../../docs/compute.md");
    let rows = text.lines().skip_while(|line| !line.starts_with("| the pool says |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn the_documents_say_what_the_pool_says() {
    let (said, documented) = (said(), documented());
    assert_eq!(BTreeSet::from_iter(&said), BTreeSet::from_iter(&documented));
    assert_eq!(said.len(), documented.len(), "none of them twice");
}

#[test]
fn the_worker_says_what_the_pool_says() {
    for why in said() {
        let printed = News::Waiting(why.clone(), Duration::from_secs(5)).to_string();
        assert_eq!(printed, format!("{why} (again in 5 s)"));
    }
    let why = verdict().words(&Tolerance::TENTH);
    let printed = News::OffConsensus { algorithm: 12, why: why.clone() }.to_string();
    assert_eq!(printed, format!("algorithm 12: {why}"));
}

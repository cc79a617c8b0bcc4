//! BIP-119's hash against the BIP's own vectors, Core's script cases, and another implementation.

#![allow(clippy::unwrap_used, reason = "a vector that cannot be read has failed")]

use bip119::DefaultCheckTemplateVerifyHash;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{Script, Transaction};
use covenant::TemplateHash;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    transaction: String,
    indexes: Vec<u32>,
    hashes: Vec<String>,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("fixtures/ctvhash.json")).unwrap()
}

#[test]
fn all_four_hundred_published_hashes_are_ours() {
    let mut compared = 0;
    for vector in vectors() {
        let transaction: Transaction = deserialize_hex(&vector.transaction).unwrap();
        for (index, expected) in vector.indexes.iter().zip(&vector.hashes) {
            assert_eq!(TemplateHash::of(&transaction, *index).to_string(), *expected);
            compared += 1;
        }
    }
    assert_eq!(compared, 400);
}

#[test]
fn another_implementation_agrees_on_every_transaction_and_its_changes() {
    for vector in vectors() {
        let original: Transaction = deserialize_hex(&vector.transaction).unwrap();
        let mut fewer = original.clone();
        fewer.output.pop();
        let mut bare = original.clone();
        bare.input.iter_mut().for_each(|input| input.script_sig = Default::default());
        for transaction in [original, fewer, bare] {
            for index in [0, 1, u32::MAX] {
                let theirs = DefaultCheckTemplateVerifyHash::from_transaction(&transaction, index);
                assert_eq!(TemplateHash::of(&transaction, index).0, theirs.to_byte_array());
            }
        }
    }
}

#[derive(Deserialize)]
struct Case {
    comment: String,
    transaction: String,
    spends: Vec<Spend>,
    valid: bool,
}

#[derive(Deserialize)]
struct Spend {
    txid: String,
    vout: u32,
    bare: Option<String>,
}

/// Whether each template that this transaction's inputs reveal is met: by bare outputs, P2WSH and taproot leaves.
fn templates_met(case: &Case, transaction: &Transaction) -> Vec<bool> {
    let mut met = Vec::new();
    for (input, index) in transaction.input.iter().zip(0u32..) {
        let ours = TemplateHash::of(transaction, index);
        let outpoint = input.previous_output;
        let spent = case
            .spends
            .iter()
            .find(|s| s.txid == outpoint.txid.to_string() && s.vout == outpoint.vout);
        if let Some(bare) = spent.and_then(|spend| spend.bare.as_ref()) {
            met.push(ours.to_string() == *bare);
        }
        let scripts = input.witness.iter().map(Script::from_bytes);
        met.extend(scripts.filter_map(TemplateHash::from_script).map(|wanted| wanted == ours));
    }
    met
}

#[test]
fn cores_valid_cases_meet_their_templates_and_its_invalid_ones_do_not() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/core_cases.json")).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for case in &cases {
        let transaction: Transaction = deserialize_hex(&case.transaction).unwrap();
        let met = templates_met(case, &transaction);
        if case.valid {
            assert!(met.iter().all(|met| *met), "{}", case.comment);
            valid += usize::from(!met.is_empty());
        } else if case.spends.iter().any(|spend| spend.bare.is_some()) {
            // The others fail for what their arguments are, not for a hash.
            assert!(met.contains(&false), "{}", case.comment);
            invalid += 1;
        }
    }
    assert_eq!((valid, invalid), (16, 4), "cases that show a template");
}

//! Bytes of strangers, changed at random: no decoder panics, and what is read can be used.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use farming::clvm::Tree;
use farming::coin::{Coin, CoinSpend, Program};
use farming::hash::Bytes32;
use farming::network::Network;
use farming::singleton::PoolState;
use farming::singleton::absorption::Absorption;
use farming::singleton::lineage::launched;
use farming::singleton::puzzle::LAUNCHER_HASH;
use farming::wallet::conditions;
use farming::wire::farmer::{Asked, Get, Post, Put};
use farming::wire::partial::Submission;
use std::hint::black_box;
use testkit::fuzz::fuzz;

fn captured() -> Vec<(String, String)> {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/chia.json")).unwrap();
    let requests = ["captured_v1", "captured_v2"]
        .iter()
        .flat_map(|version| vectors[version]["requests"].as_array().unwrap().clone());
    requests
        .map(|request| {
            let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
            (text("path_qs"), text("body"))
        })
        .collect()
}

#[test]
fn bodies_never_panic_and_partials_that_are_read_can_be_hashed() {
    let bodies: Vec<String> = captured().into_iter().map(|(_, body)| body).collect();
    let seeds: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
    let mut read = 0u64;
    fuzz(&seeds, |body| {
        if let Ok(submission) = Submission::parse(body) {
            let proof = &submission.proof;
            black_box(farming::space::quality(
                &proof.plot_id(),
                proof.size,
                &proof.challenge,
                &proof.values,
            ));
            black_box(submission.message());
            read += 1;
        }
        if let Ok(post) = Post::parse(body) {
            black_box(post.message());
        }
        if let Ok(put) = Put::parse(body) {
            black_box(put.message());
        }
    });
    assert!(read > 0, "nothing was read at all");
}

#[test]
fn queries_never_panic() {
    let paths: Vec<String> = captured().into_iter().map(|(path, _)| path).collect();
    let seeds: Vec<&[u8]> = paths
        .iter()
        .filter_map(|path| path.split_once('?'))
        .map(|(_, query)| query.as_bytes())
        .collect();
    let mut read = 0u64;
    fuzz(&seeds, |query| {
        let Ok(query) = std::str::from_utf8(query) else { return };
        if let Ok(get) = Get::parse(query) {
            black_box(get.message(Asked::Login, &get.launcher_id));
            read += 1;
        }
    });
    assert!(read > 0, "nothing was read at all");
}

/// Spends of a real plot NFT, from its launcher to its end.
fn spends() -> Vec<CoinSpend> {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/chia.json")).unwrap();
    let lineage = vectors["singleton"]["lineage"].as_array().unwrap().iter();
    lineage.filter_map(|step| serde_json::from_value(step["spend"].clone()).ok()).collect()
}

#[test]
fn programs_of_strangers_on_the_chain_never_panic() {
    let (network, spends) = (Network::simulator(), spends());
    let absorbing = &spends[1];
    let programs = spends.iter().flat_map(|spend| [&spend.puzzle_reveal.0, &spend.solution.0]);
    let seeds: Vec<&[u8]> = programs.map(Vec::as_slice).collect();
    let (mut read, mut absorbed) = (0u64, 0u64);
    fuzz(&seeds, |bytes| {
        black_box(PoolState::from_bytes(bytes));
        let mut tree = Tree::new();
        let Ok(root) = tree.read(bytes) else { return };
        read += 1;
        let program = Program(bytes.to_vec());
        let coin = Coin { puzzle_hash: LAUNCHER_HASH, ..absorbing.coin };
        let solved = CoinSpend { coin, puzzle_reveal: program.clone(), solution: program.clone() };
        black_box((launched(&solved, &network).is_ok(), conditions::created(&solved)));
        // Once as the puzzle of the coin that it says it is, once as what a real plot NFT was given.
        let coin = Coin { puzzle_hash: Bytes32(tree.hash(root).0), ..absorbing.coin };
        let posed = CoinSpend { coin, puzzle_reveal: program.clone(), ..absorbing.clone() };
        let given = CoinSpend { solution: program, ..absorbing.clone() };
        for spend in [posed, given] {
            absorbed += u64::from(Absorption::of(&spend, &network).is_some());
        }
    });
    assert!(read > 0 && absorbed > 0, "{read} programs read, {absorbed} absorptions");
}

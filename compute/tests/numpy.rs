//! numpy's streams, recorded from numpy 2.3.5 (`tests/fixtures/numpy_streams.py` makes them again).

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::numpy::Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(bytes: impl Iterator<Item = u8>) -> String {
    hex(&Sha256::digest(bytes.collect::<Vec<_>>()))
}

fn places(chosen: Vec<usize>) -> String {
    digest(chosen.into_iter().flat_map(|place| (place as u64).to_le_bytes()))
}

#[test]
fn long_streams_are_numpys_to_the_bit() {
    let all: Value = serde_json::from_str(include_str!("fixtures/numpy_streams.json")).unwrap();
    for (seed, wanted) in all.as_object().unwrap() {
        let fresh = || Rng::new(seed.parse().unwrap());
        let mut rng = fresh();
        let found = digest((0..100_000).flat_map(|_| rng.normal_f64().to_le_bytes()));
        assert_eq!(found, wanted["normal_f64_100000"], "{seed}");
        let mut rng = fresh();
        let found = digest((0..100_000).flat_map(|_| rng.normal_f32().to_le_bytes()));
        assert_eq!(found, wanted["normal_f32_100000"], "{seed}");
        let mut rng = fresh();
        let found = digest((0..1001).flat_map(|_| rng.random_f32().to_le_bytes()));
        assert_eq!(found, wanted["random_f32_1001"], "{seed}");
        let mut rng = fresh();
        let found = digest((0..1000).flat_map(|_| rng.random_f64().to_le_bytes()));
        assert_eq!(found, wanted["random_f64_1000"], "{seed}");
        let mut rng = fresh();
        let found = digest((0..1000).flat_map(|_| u64::from(rng.up_to(4999)).to_le_bytes()));
        assert_eq!(found, wanted["integers_5000"], "{seed}");
        assert_eq!(places(fresh().permutation(2000)), wanted["permutation_2000"], "{seed}");
        for (population, count) in [(4000, 2000), (4500, 128), (20_000, 300)] {
            let name = format!("choice_{population}_{count}");
            assert_eq!(places(fresh().choice(population, count)), wanted[&name], "{seed} {name}");
        }
    }
}

#[test]
fn the_references_numbers_come_out() {
    let all: Value = serde_json::from_str(include_str!("fixtures/dsl.json")).unwrap();
    let numbers = &all["numpy_rng"];
    let each = |name: &str| numbers[name].as_array().unwrap().clone();
    let mut rng = Rng::new(1001);
    for wanted in each("raw_u64_seed1001") {
        assert_eq!(rng.next_u64().to_string(), wanted.as_str().unwrap());
    }
    let mut rng = Rng::new(1001);
    for wanted in each("standard_normal_f64_seed1001") {
        assert_eq!(rng.normal_f64(), wanted.as_str().unwrap().parse::<f64>().unwrap());
    }
    let mut rng = Rng::new(1001);
    for wanted in each("integers_0_2^31-1_seed1001") {
        assert_eq!(u64::from(rng.up_to((1 << 31) - 2)), wanted.as_u64().unwrap());
    }
}

//! GXC's hashes against vectors: `ref` were made by running the original programs.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use pow::gxc::documented::{self, Scratch};
use pow::gxc::guide::{self, Work};
use pow::gxc::work::Work as Fields;
use pow::gxc::{miner, node};
use pow::sha256d::sha256d;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("fixtures/gxc.json")).unwrap()
}

fn each(name: &str) -> Vec<Value> {
    vectors()[name].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = text(value);
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_nodes_sha256_hashes_text_twice() {
    for v in each("node_sha256d") {
        assert_eq!(node::sha256(text(&v["in"])), text(&v["out"]));
    }
}

#[test]
fn the_nodes_gxhash_is_its_home_made_argon() {
    for v in each("node_gxhash") {
        let found = node::gxhash(text(&v["in"]), v["nonce"].as_u64().unwrap());
        assert_eq!(hex(&found), text(&v["out"]));
    }
}

#[test]
fn the_nodes_ethash_depends_on_its_openssl() {
    for (name, keccak) in
        [("node_ethash_sha3", node::Keccak::Sha3), ("node_ethash_keccak", node::Keccak::Keccak256)]
    {
        for v in each(name) {
            let found = node::ethash(text(&v["in"]), v["nonce"].as_u64().unwrap(), keccak);
            assert_eq!(found, text(&v["out"]), "{name}");
        }
    }
}

#[test]
fn a_whole_block_of_the_node_has_its_four_hashes() {
    let v = &vectors()["node_block"];
    let number = |name: &str| v[name].as_u64().unwrap();
    let nonce = number("nonce");
    let all = node::text_of(
        number("index"),
        text(&v["prev"]),
        number("timestamp"),
        text(&v["merkle"]),
        nonce,
    );
    assert_eq!(node::sha256(&all), text(&v["sha256"]));
    assert_eq!(node::stake(&all), text(&v["pos"]));
    assert_eq!(hex(&node::gxhash(&all, nonce)), text(&v["gxhash"]));
    assert_eq!(node::ethash(&all, nonce, node::Keccak::Sha3), text(&v["ethash_sha3"]));
    assert_eq!(node::ethash(&all, nonce, node::Keccak::Keccak256), text(&v["ethash_keccak_own"]));
}

#[test]
fn the_nodes_merkle_root_is_of_text() {
    for v in each("node_merkle_hex") {
        let leaf = |name: &Value| {
            let letter = text(name).trim_start_matches("sha256hex(").trim_end_matches(')');
            node::stake(letter)
        };
        let leaves: Vec<String> = v["leaves"].as_array().unwrap().iter().map(leaf).collect();
        assert_eq!(node::merkle(&leaves), text(&v["out"]));
    }
    assert_eq!(node::merkle(&[]), "");
}

#[test]
fn the_miners_gxhashes_are_three() {
    for v in each("miner_gxhash") {
        let input = bytes(&v["in_hex"]);
        assert_eq!(hex(&miner::pool_miner(&input)), text(&v["A"]));
        assert_eq!(hex(&miner::standalone(&input)), text(&v["B"]));
        assert_eq!(hex(&miner::pro(&input)), text(&v["C"]));
    }
}

/// The job of the fixture: hashes of what each miner makes of it, computed with the miners' own classes.
fn fields() -> Fields<'static> {
    let v = &vectors()["standalone_job"];
    let word = |name: &str| u32::from_str_radix(text(&v[name]), 16).unwrap();
    let coinbase: Vec<u8> =
        ["coinb1", "en1", "en2", "coinb2"].iter().flat_map(|part| bytes(&v[*part])).collect();
    let root = sha256d(&coinbase);
    assert_eq!(hex(&root), text(&v["coinbase_hash"]));
    Fields {
        job: "7",
        version: word("version"),
        previous: bytes(&v["prevhash"]).try_into().unwrap(),
        root,
        time: word("ntime"),
        bits: word("nbits"),
        extranonce1: bytes(&v["en1"]).try_into().unwrap(),
        nonce: word("nonce"),
    }
}

#[test]
fn the_stand_alone_miner_hashes_its_header_as_it_is_written() {
    let v = &vectors()["standalone_job"];
    let header = fields().standalone();
    assert_eq!(hex(&sha256d(&header)), text(&v["sha256d"]));
    assert_eq!(hex(&miner::sha3(&header)), text(&v["ethash_sha3"]));
    assert_eq!(hex(&miner::standalone(&header)), text(&v["gxhash"]));
}

#[test]
fn the_pool_miner_turns_its_nonce_round() {
    let header = fields().pool_miner();
    let expected = [
        "171befd23bca5c1c067e16c27d971b28f30f4468b55452877084ef2bcb5efb22",
        "d2f83dbd98cde6bb4e10b67666ce7c3263e7078cf46a670383eae6337b106418",
        "e255aa3602b370517eaa2e3ba44a6626b2be025ab5beabcb43d19348da578918",
    ];
    let found = [sha256d(&header), miner::sha3(&header), miner::pool_miner(&header)];
    assert_eq!(found.map(|hash| hex(&hash)), expected);
}

#[test]
fn the_suite_hashes_text_and_no_coinbase() {
    let bytes = fields().suite();
    let expected = [
        "8268af67791203214be4d178c8835fb5876cc8d7676f851c2a9ee670d787880b",
        "30a3b0a549ae10a069a5734ececd9f8ead2abc5d7158a9cf92921ef1b60c7409",
    ];
    assert_eq!([sha256d(&bytes), miner::standalone(&bytes)].map(|hash| hex(&hash)), expected);
}

#[test]
fn the_pro_hashes_its_jobs_name() {
    let bytes = fields().pro();
    let expected = [
        "5eaa50620e637592a36ccbf424492722a8f097a48d0e2c72309bc49e5eb3b7cd",
        "c79e56f56df4dada6ee4fe3768d8a3f7e92ebeef00ddf74447b7568af9ea4aac",
        "a375145935c680ca8dc4001f5bf6e3ade56f10166649e33cba3a34eee45f4fb6",
    ];
    let found = [sha256d(&bytes), miner::pro(&bytes), miner::keccak(&bytes)];
    assert_eq!(found.map(|hash| hex(&hash)), expected);
}

#[test]
fn the_documented_gxhash_is_argon2id_of_the_rfc() {
    let mut scratch = Scratch::default();
    for v in each("doc_gxhash_rfc9106") {
        let header: [u8; 80] = bytes(&v["pw_prefix_hex"]).try_into().unwrap();
        let salt: [u8; 32] = bytes(&v["salt_hex"]).try_into().unwrap();
        let nonce = v["nonce_le64"].as_u64().unwrap();
        let found = documented::hash(&header, nonce, &salt, &mut scratch);
        assert_eq!(hex(&found), text(&v["out"]));
    }
}

#[test]
fn the_guides_pool_counts_zeros_of_one_sha256() {
    let previous = format!("00ab{}", "1".repeat(60));
    let merkle = "0".repeat(64);
    let work =
        Work { previous: &previous, merkle: &merkle, time: 1_735_646_450, difficulty: "1.0" };
    for (v, zeros) in each("pool_base").iter().zip([4, 5]) {
        let found = guide::hash(&work, text(&v["nonce"]), "00000000");
        assert_eq!((found.as_str(), guide::leading_zeros(&found)), (text(&v["out"]), zeros));
    }
}

//! Synapses as dendrite 10.5.0 sent them, the SDK's own mistakes, and bytes that are none.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::auth::{Replay, ReplayCache};
use compute::key::SigningKey;
use compute::wire::synapse::{
    AGE_MAX_NS, AHEAD_MAX_NS, BadSynapse, Claim, Headers, SynapseReject, body_hash, read_work,
};
use std::collections::HashMap;
use testkit::fuzz::fuzz;

const CAPTURE: &str = include_str!("fixtures/axon_dendrite_10.5.0_capture.txt");

/// The headers of a captured request.
fn captured(name: &str) -> HashMap<String, String> {
    let lines = CAPTURE.replace("\r\n", "\n");
    let from = lines.split(&format!("--- RAW {name}\n")).nth(1).unwrap();
    let head = from.split("\n\n").next().unwrap();
    let pair = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    head.lines().skip(1).filter_map(pair).collect()
}

fn headers(all: &HashMap<String, String>) -> Headers<'_> {
    let get = |name: &str| all.get(name).map(String::as_str);
    Headers {
        hotkey: get("bt_header_dendrite_hotkey"),
        nonce: get("bt_header_dendrite_nonce"),
        uuid: get("bt_header_dendrite_uuid"),
        signature: get("bt_header_dendrite_signature"),
        version: get("bt_header_dendrite_version"),
        axon: get("bt_header_axon_hotkey"),
        body_hash: get("computed_body_hash"),
    }
}

const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

#[test]
fn the_captured_requests_are_believed_in_their_time() {
    for (name, fields) in
        [("register", vec![]), ("submitwork", vec!["{'alg': 's0 = dot(v0, v1)', 'score': 0.5}"])]
    {
        let all = captured(name);
        let nonce: u64 = all["bt_header_dendrite_nonce"].parse().unwrap();
        let own = ALICE.parse().unwrap();
        let claim = Claim::read(&headers(&all), &own, nonce + 1_000_000).unwrap();
        assert_eq!(claim.verify(&fields), Ok(()), "{name}");
        assert_eq!(claim.verify(&["another body"]), Err(SynapseReject::Body));
    }
}

#[test]
fn the_hash_of_a_string_is_the_sdks() {
    let abc = "49a87f9078fe45b5fc410eba4562cb9f23ff7acbdce6793dc1772d200ca1fdf3";
    assert_eq!(body_hash(&["abc"]), abc);
    let nothing = "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a";
    assert_eq!(body_hash(&[]), nothing);
}

struct Sent {
    all: HashMap<String, String>,
}

const NOW: u64 = 1_795_220_820_000_000_000;

fn sent(nonce: u64, version: &str, timeout: &str) -> Sent {
    let (key, hash) = (SigningKey::from_seed(&[1; 32]), body_hash(&[]));
    let hotkey = key.public().to_string();
    let message = format!("{nonce}.{hotkey}.{ALICE}.u-1.{hash}");
    let signature = format!("0x{}", key.sign(message.as_bytes()));
    let all = [
        ("bt_header_dendrite_hotkey", hotkey),
        ("bt_header_dendrite_nonce", nonce.to_string()),
        ("bt_header_dendrite_uuid", "u-1".into()),
        ("bt_header_dendrite_signature", signature),
        ("bt_header_dendrite_version", version.into()),
        ("bt_header_axon_hotkey", ALICE.into()),
        ("computed_body_hash", hash),
        ("timeout", timeout.into()),
    ];
    Sent { all: all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

impl Sent {
    fn verdict(&self, replay: &Replay) -> Result<(), SynapseReject> {
        let claim = Claim::read(&headers(&self.all), &ALICE.parse().unwrap(), NOW)?;
        replay.once(claim.seen, || claim.verify(&[]))
    }

    fn fresh(&self) -> Result<(), SynapseReject> {
        self.verdict(&Replay::of(ReplayCache::starting(0)))
    }
}

#[test]
fn the_four_freshness_attacks_are_refused() {
    // Twenty seconds old, with a timeout of an hour: the SDK's window grows with the sender's own header.
    let old = sent(NOW - 20_000_000_000, "10005000", "3600").fresh();
    assert!(matches!(old, Err(SynapseReject::Stale { ahead: false, .. })));
    // An hour in the future: the SDK has no upper end.
    let future = sent(NOW + 3_600_000_000_000, "10005000", "5.0").fresh();
    assert!(matches!(future, Err(SynapseReject::Stale { ahead: true, .. })));
    // A year-old nonce, excused by an old version.
    let excused = sent(NOW - 31_536_000_000_000_000, "7001000", "5.0").fresh();
    assert_eq!(excused, Err(SynapseReject::Version(7_001_000)));
    // A replay: the SDK forgets its nonces when it restarts, and counts anew for each uuid.
    let cache = Replay::of(ReplayCache::starting(0));
    let mut once = sent(NOW, "10005000", "5.0");
    assert_eq!(once.verdict(&cache), Ok(()));
    assert_eq!(once.verdict(&cache), Err(SynapseReject::Replayed));
    once.all.insert("bt_header_dendrite_uuid".into(), "u-2".into());
    assert_eq!(once.verdict(&cache), Err(SynapseReject::Replayed));
}

#[test]
fn the_window_ends_where_it_says() {
    for (nonce, ok) in [
        (NOW - AGE_MAX_NS, true),
        (NOW - AGE_MAX_NS - 1, false),
        (NOW + AHEAD_MAX_NS, true),
        (NOW + AHEAD_MAX_NS + 1, false),
    ] {
        assert_eq!(sent(nonce, "10005000", "5.0").fresh().is_ok(), ok, "{nonce}");
    }
}

#[test]
fn an_empty_signature_or_none_and_another_axon_are_refused() {
    let mut empty = sent(NOW, "10005000", "5.0");
    empty.all.insert("bt_header_dendrite_signature".into(), String::new());
    assert_eq!(empty.fresh(), Err(SynapseReject::Signature));
    empty.all.remove("bt_header_dendrite_signature");
    assert_eq!(empty.fresh(), Err(SynapseReject::Missing("Signature")));
    let mut bare = sent(NOW, "10005000", "5.0");
    let signature = bare.all["bt_header_dendrite_signature"][2..].to_owned();
    bare.all.insert("bt_header_dendrite_signature".into(), signature);
    assert_eq!(bare.fresh(), Err(SynapseReject::Signature));
    let mut elsewhere = sent(NOW, "10005000", "5.0");
    elsewhere
        .all
        .insert("bt_header_axon_hotkey".into(), elsewhere.all["bt_header_dendrite_hotkey"].clone());
    assert!(matches!(elsewhere.fresh(), Err(SynapseReject::Receiver(_))));
    let mut forged = sent(NOW, "10005000", "5.0");
    forged.all.insert("bt_header_dendrite_uuid".into(), "u-9".into());
    assert_eq!(forged.fresh(), Err(SynapseReject::Mismatch));
}

#[test]
fn fuzz_the_synapses() {
    let work = br##"{"name":"SubmitWork","timeout":5.0,"work":"{\"algorithm_dsl\":\"# predict\\ns0 = norm(v0)\"}","loss":null}"##;
    assert_eq!(read_work(work).unwrap().program, "# predict\ns0 = norm(v0)");
    let other = read_work(br#"{"work":"x"}"#);
    assert!(matches!(other, Err(BadSynapse::Work(_))));
    fuzz(&[work, b"{}"], |bytes| drop(read_work(bytes)));
    let own = ALICE.parse().unwrap();
    let all = sent(NOW, "10005000", "5.0").all;
    let seeds: [&[u8]; 3] = [ALICE.as_bytes(), b"1795220820000000000", b"0xae66c7049bd5"];
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let one = Some(&*text);
        for changed in [
            Headers { hotkey: one, ..headers(&all) },
            Headers { nonce: one, ..headers(&all) },
            Headers { signature: one, ..headers(&all) },
            Headers { axon: one, ..headers(&all) },
            Headers { version: one, ..headers(&all) },
        ] {
            drop(Claim::read(&changed, &own, NOW));
        }
    });
}

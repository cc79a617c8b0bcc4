//! Signatures of real wallets: what they signed is believed, once and in time; everything else is refused.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::auth::{self, AuthReject, Headers, Message, Replay, ReplayCache, SKEW_MAX_S, btauth};
use compute::key::{PublicKey, Signature, SigningKey};
use serde_json::Value;

const T: u64 = 1_700_000_000;

fn unhex(text: &str) -> Vec<u8> {
    let at = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(at).collect()
}

fn keys(file: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(file).unwrap();
    all["keys"].as_array().unwrap().clone()
}

#[test]
fn every_recorded_signature_gets_its_verdict() {
    let (mut believed, mut refused) = (0, 0);
    for entry in keys(include_str!("fixtures/sr25519_auth.json")) {
        // The door speaks sr25519 only; ed25519 hotkeys are in the file to be refused.
        let is_sr25519 = entry["crypto_type"] == 1;
        let key: PublicKey = entry["ss58"].as_str().unwrap().parse().unwrap();
        assert_eq!(key.bytes()[..], unhex(entry["public_key_hex"].as_str().unwrap()));
        for signed in entry["signatures"].as_array().unwrap() {
            let message = signed["message"].as_str().unwrap().as_bytes();
            let signature: Signature = signed["signature_hex"].as_str().unwrap().parse().unwrap();
            let expected = is_sr25519 && signed["valid"] == true;
            assert_eq!(key.signed(message, &signature), expected, "{signed}");
            *(if expected { &mut believed } else { &mut refused }) += 1;
        }
    }
    assert_eq!((believed, refused), (30, 42));
}

struct Signed {
    key: String,
    timestamp: String,
    signature: String,
}

fn signed(seed: u8, timestamp: &str, message: &str) -> Signed {
    let key = SigningKey::from_seed(&[seed; 32]);
    Signed {
        key: key.public().to_string(),
        timestamp: timestamp.into(),
        signature: key.sign(message.as_bytes()).to_string(),
    }
}

impl Signed {
    fn headers(&self) -> Headers<'_> {
        Headers {
            key: Some(&self.key),
            timestamp: Some(&self.timestamp),
            signature: Some(&self.signature),
        }
    }
}

fn at(signed_at: u64) -> Signed {
    signed(1, &signed_at.to_string(), &format!("auth:{signed_at}"))
}

#[test]
fn the_clock_may_differ_by_five_minutes_and_no_second_more() {
    for (signed_at, ok) in [
        (T - SKEW_MAX_S, true),
        (T - SKEW_MAX_S - 1, false),
        (T + SKEW_MAX_S, true),
        (T + SKEW_MAX_S + 1, false),
    ] {
        let verdict = auth::verify(
            &at(signed_at).headers(),
            &Message::Request,
            T,
            &Replay::of(ReplayCache::starting(0)),
        );
        assert_eq!(verdict.is_ok(), ok, "{signed_at}");
        if let Err(reject) = verdict {
            assert!(reject.to_string().contains(&T.to_string()), "tells our time: {reject}");
        }
    }
}

#[test]
fn a_signature_is_believed_once_and_two_of_one_second_are_two() {
    let cache = Replay::of(ReplayCache::starting(0));
    let (first, second) = (at(T), at(T));
    for request in [&first, &second] {
        auth::verify(&request.headers(), &Message::Request, T, &cache).unwrap();
    }
    for written in [first.signature.to_uppercase(), format!("0x{}", first.signature)] {
        let headers = Headers { signature: Some(&written), ..first.headers() };
        let again = auth::verify(&headers, &Message::Request, T + 299, &cache);
        assert_eq!(again, Err(AuthReject::Replayed));
    }
}

#[test]
fn forgetting_never_lets_a_fresh_signature_in_again() {
    let cache = Replay::of(ReplayCache::starting(0));
    let request = at(T + SKEW_MAX_S);
    auth::verify(&request.headers(), &Message::Request, T, &cache).unwrap();
    for now in T..=T + 2 * SKEW_MAX_S {
        cache.lock().forget(now);
        let again = auth::verify(&request.headers(), &Message::Request, now, &cache);
        assert_eq!(again, Err(AuthReject::Replayed), "{now}");
    }
    cache.lock().forget(T + 3 * SKEW_MAX_S);
    assert_eq!(cache.lock().held(), 0);
}

#[test]
fn a_refused_signature_takes_no_place_and_a_full_cache_waits() {
    let cache = Replay::of(ReplayCache::with_room(0, 1));
    let forged = signed(1, &T.to_string(), "auth:1");
    let verdict = auth::verify(&forged.headers(), &Message::Request, T, &cache);
    assert!(matches!(verdict, Err(AuthReject::Mismatch(_))));
    auth::verify(&at(T).headers(), &Message::Request, T, &cache).unwrap();
    let full = auth::verify(&at(T).headers(), &Message::Request, T, &cache);
    assert_eq!(full, Err(AuthReject::Busy));
}

#[test]
fn what_was_signed_before_the_start_is_refused() {
    let verdict = auth::verify(
        &at(T - 1).headers(),
        &Message::Request,
        T,
        &Replay::of(ReplayCache::starting(T)),
    );
    assert_eq!(verdict, Err(AuthReject::BeforeStart));
}

#[test]
fn the_timestamp_is_signed_as_it_is_written() {
    let padded = signed(1, "01700000000", "auth:01700000000");
    let verify = |signed: &Signed| {
        auth::verify(&signed.headers(), &Message::Request, T, &Replay::of(ReplayCache::starting(0)))
    };
    assert!(verify(&padded).is_ok());
    assert!(verify(&signed(1, "01700000000", "auth:1700000000")).is_err());
    for odd in ["", "1700000000.0", "+1700000000", " 1700000000", "hello", "9999999999999"] {
        let verdict = verify(&signed(1, odd, &format!("auth:{odd}")));
        assert_eq!(verdict, Err(AuthReject::Timestamp("seconds")), "{odd}");
    }
}

#[test]
fn a_requests_signature_moves_no_money() {
    let coldkey = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";
    let message = Message::Coldkey(coldkey);
    let verdict =
        auth::verify(&at(T).headers(), &message, T, &Replay::of(ReplayCache::starting(0)));
    assert!(matches!(verdict, Err(AuthReject::Mismatch(_))));
    let own = signed(1, &T.to_string(), &format!("recipient_coldkey:update:{T}:{coldkey}"));
    assert!(
        auth::verify(&own.headers(), &message, T, &Replay::of(ReplayCache::starting(0))).is_ok()
    );
}

#[test]
fn a_missing_header_is_named() {
    let all = at(T);
    let without = Headers { timestamp: None, ..all.headers() };
    let verdict =
        auth::verify(&without, &Message::Request, T, &Replay::of(ReplayCache::starting(0)));
    assert_eq!(verdict, Err(AuthReject::Missing("X-Timestamp")));
}

const NONCE: u64 = 1_700_000_000_123_456_789;

fn btauth_vectors() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/btauth1.json")).unwrap();
    all["vectors"].as_array().unwrap().clone()
}

fn verify_btauth(
    vector: &Value,
    body: &[u8],
    now_ns: u64,
    cache: &Replay,
) -> Result<PublicKey, AuthReject> {
    let header = |name: &str| vector["headers"][name].as_str();
    let headers = btauth::Headers {
        version: header("X-Bittensor-Version"),
        hotkey: header("X-Bittensor-Hotkey"),
        nonce: header("X-Bittensor-Nonce"),
        signature: header("X-Bittensor-Signature"),
        receiver: header("X-Bittensor-Receiver"),
        crypto: header("X-Bittensor-Crypto"),
    };
    let request = btauth::Request {
        method: vector["method"].as_str().unwrap(),
        target: vector["path"].as_str().unwrap(),
        body,
    };
    let own = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY".parse().unwrap();
    btauth::verify(&headers, &request, &own, now_ns, cache).map(|caller| caller.key)
}

#[test]
fn btauth_believes_what_the_sdk_signed_for_us_and_nothing_near_it() {
    for vector in btauth_vectors() {
        let body = unhex(vector["body_hex"].as_str().unwrap());
        let verify = |body: &[u8], now| {
            verify_btauth(&vector, body, now, &Replay::of(ReplayCache::starting(0)))
        };
        if vector["receiver"].is_null() {
            assert_eq!(verify(&body, NONCE), Err(AuthReject::Missing("X-Bittensor-Receiver")));
            continue;
        }
        assert!(verify(&body, NONCE).is_ok());
        assert!(matches!(verify(b"other", NONCE), Err(AuthReject::Mismatch(_))));
        for (now, ok) in [
            (NONCE + btauth::AGE_MAX_NS, true),
            (NONCE + btauth::AGE_MAX_NS + 1, false),
            (NONCE - btauth::AHEAD_MAX_NS, true),
            (NONCE - btauth::AHEAD_MAX_NS - 1, false),
        ] {
            assert_eq!(verify(&body, now).is_ok(), ok, "{now}");
        }
        let mut elsewhere = vector.clone();
        elsewhere["path"] = "/elsewhere".into();
        let verdict =
            verify_btauth(&elsewhere, &body, NONCE, &Replay::of(ReplayCache::starting(0)));
        assert!(matches!(verdict, Err(AuthReject::Mismatch(_))));
    }
}

#[test]
fn btauth_believes_a_nonce_once() {
    let vector = &btauth_vectors()[0];
    let body = unhex(vector["body_hex"].as_str().unwrap());
    let cache = Replay::of(ReplayCache::starting(0));
    assert!(verify_btauth(vector, &body, NONCE, &cache).is_ok());
    assert_eq!(verify_btauth(vector, &body, NONCE + 1, &cache), Err(AuthReject::Replayed));
}

//! Whatever is sent: a message or an error, never a panic; and what the original's client sent is read.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::desk::Evaluated;
use compute::lease::{LeaseId, Wish};
use compute::score::Score;
use compute::task::AlgorithmId;
use compute::wire::bitsota::{
    BadBody, EVALUATIONS_MAX, read_lease, read_lease_id, read_request, read_submit,
};
use serde_json::Value;
use testkit::fuzz::fuzz;

fn recorded() -> Vec<(String, String)> {
    let line = |line: &str| {
        let request: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        (text("path"), text("body"))
    };
    include_str!("fixtures/bitsota_client_requests.jsonl").lines().map(line).collect()
}

#[test]
fn every_recorded_body_of_the_originals_client_is_read() {
    let mut counts = [0; 3];
    for (path, body) in recorded() {
        if path.ends_with("/request") {
            let wish = read_request(body.as_bytes(), 8).unwrap();
            assert!(matches!(wish, Wish::Evolve | Wish::Evaluate { batch: 8 }), "{body}");
            counts[0] += 1;
        } else if path.ends_with("/lease") {
            read_lease(body.as_bytes(), 8, 2).unwrap();
            counts[1] += 1;
        } else if path.contains("/submit_") {
            let submitted = read_submit(body.as_bytes()).unwrap();
            assert_eq!(submitted.unreadable, [], "{body}");
            let found = submitted.answer;
            assert!(!found.evaluated.is_empty() || !found.evolved.is_empty(), "{body}");
            let id = path.split('/').nth_back(1).unwrap();
            assert!(read_lease_id(id).is_some(), "{path}");
            counts[2] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
fn a_score_that_is_none_is_told_alone_and_the_others_count() {
    let body = br#"{"evaluations":[{"algorithm_id":1,"score":0.5},{"algorithm_id":"2","score":1.5},
        {"algorithm_id":3,"status":"invalid"},{"algorithm_id":4},{"algorithm_id":"x","score":0.1},
        {"algorithm_id":5,"score":0.5,"digest":"zz"}],"iterations":3,"gossip":null,"new":{}}"#;
    let submitted = read_submit(body).unwrap();
    let of =
        |algorithm, score| Evaluated { algorithm: AlgorithmId(algorithm), score, digest: None };
    let half = Score::read(0.5).unwrap();
    assert_eq!(submitted.answer.evaluated, [of(1, half), of(3, Score::Invalid)]);
    let broken: Vec<_> = submitted.unreadable.iter().map(|(id, _)| id.map(|id| id.0)).collect();
    assert_eq!(broken, [Some(2), Some(4), None, Some(5)]);
}

#[test]
fn not_a_number_is_not_json() {
    for word in ["NaN", "Infinity", "-Infinity", "1e999"] {
        let body = format!(r#"{{"evaluations":[{{"algorithm_id":1,"score":{word}}}]}}"#);
        let read = read_submit(body.as_bytes());
        assert!(matches!(read, Err(BadBody::Form(_))), "{word}: {read:?}");
    }
}

#[test]
fn too_much_is_refused() {
    let many = vec![r#"{"algorithm_id":1,"score":0.5}"#; EVALUATIONS_MAX + 1].join(",");
    let read = read_submit(format!(r#"{{"evaluations":[{many}]}}"#).as_bytes());
    assert_eq!(read, Err(BadBody::Long(257, "evaluations", 256)));
    let unknown = read_request(br#"{"task_type":"mine"}"#, 8);
    assert_eq!(unknown, Err(BadBody::TaskType("mine".into())));
}

#[test]
fn a_leases_name_is_a_letter_and_a_number() {
    assert_eq!(read_lease_id("b12"), Some(LeaseId(12)));
    assert_eq!(read_lease_id("l12"), Some(LeaseId(12)));
    for text in ["", "b", "bb1", "-1", "99999999999999999999", "1 ", "é1"] {
        assert_eq!(read_lease_id(text), None, "{text}");
    }
}

#[test]
fn fuzz_the_bitsota_wire() {
    let bodies: Vec<String> = recorded().into_iter().map(|(_, body)| body).collect();
    let seeds: Vec<&[u8]> = bodies.iter().map(|body| body.as_bytes()).collect();
    fuzz(&seeds, |bytes| {
        drop(read_request(bytes, 8));
        drop(read_lease(bytes, 8, 2));
        if let Ok(submitted) = read_submit(bytes) {
            assert!(submitted.answer.evaluated.len() <= EVALUATIONS_MAX);
            assert_eq!(read_submit(bytes), Ok(submitted), "the same bytes, the same answer");
        }
        let name = String::from_utf8_lossy(bytes);
        if let Some(LeaseId(number)) = read_lease_id(&name) {
            assert!(name.ends_with(&number.to_string()));
        }
    });
}

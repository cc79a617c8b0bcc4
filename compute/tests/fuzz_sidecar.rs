//! The sidecar's HTTP under fuzz: whatever is asked, it says what is wrong, and goes on.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use compute::sidecar::Sidecar;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;
use testkit::fuzz::fuzz;
use tower::ServiceExt;

/// Method and target in the first line, the body after it: each path of the original's programs.
const SEEDS: [&str; 17] = [
    "GET /health\n",
    "POST /runs/start\n{\"run_id\": \"r\", \"replace\": false}",
    "GET /state?run_id=r\n",
    "POST /jobs/enqueue\n{\"run_id\": \"r\", \"job_id\": \"j1\", \"kind\": \"evaluate\", \"payload\": {\"algorithms\": [{\"id\": 1}]}}",
    "POST /jobs/enqueue\n{\"kind\": \"evolve\"}",
    "GET /jobs/next?run_id=r&worker_id=w&lease_seconds=1.5&resume=true\n",
    "GET /jobs/next\n",
    "POST /jobs/j1/result\n{\"run_id\": \"r\", \"status\": \"ok\", \"result\": {\"evaluations\": []}, \"worker_id\": \"w\", \"attempt\": 1}",
    "POST /jobs/j1/result\n{\"status\": \"error\", \"error\": \"too hot\"}",
    "GET /jobs/results?run_id=r&cursor=0&limit=500\n",
    "POST /ingest_batch\n{\"run_id\": \"r\", \"events\": [{\"type\": \"candidate\", \"score\": 0.6}, {\"type\": \"population\"}, 5, \"text\"]}",
    "GET /logs?run_id=r&cursor=1&limit=2\n",
    "GET /candidates?cursor=18446744073709551615\n",
    "GET /populations?run_id=r\n",
    "POST /submission_result\n{\"run_id\": \"r\", \"score\": 0.5, \"status\": \"accepted\"}",
    "POST /set_global_sota\n{\"run_id\": \"r\", \"value\": 1e308}",
    "POST /set_global_sota\n{\"value\": -0.0}",
];

/// In memory where there is such a folder: each case writes.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

#[test]
fn fuzz_the_sidecars_http() {
    let folder = folder();
    let sidecar = Sidecar::open(folder.path(), None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |request: Request<Body>| -> Response<Body> {
        runtime.block_on(sidecar.clone().router().oneshot(request)).unwrap()
    };
    let text = |answer: Response<Body>| {
        runtime.block_on(to_bytes(answer.into_body(), usize::MAX)).unwrap()
    };
    let mut heard = 0;
    fuzz(&SEEDS.map(str::as_bytes), |input| {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
        let (head, body) = (String::from_utf8_lossy(&input[..end]), input[end + 1..].to_vec());
        let Some((method, target)) = head.split_once(' ') else { return };
        let request =
            Request::builder().method(method).uri(target).header("host", "127.0.0.1:8123");
        let Ok(request) = request.body(Body::from(body)) else { return };
        let answer = ask(request);
        let status = answer.status().as_u16();
        assert!(status < 500, "{status}: {}", String::from_utf8_lossy(input));
        let is_json =
            answer.headers().get("content-type").is_some_and(|kind| kind == "application/json");
        let body = text(answer);
        if is_json {
            let said: Value = serde_json::from_slice(&body).unwrap();
            assert!(status < 400 || said["detail"].is_string(), "{status} {said}");
            heard += 1;
        }
    });
    assert!(heard > SEEDS.len(), "{heard}");
    let state =
        Request::get("/health").header("host", "localhost:8123").body(Body::empty()).unwrap();
    assert_eq!(ask(state).status().as_u16(), 200);
}

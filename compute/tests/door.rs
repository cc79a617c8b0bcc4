//! The whole door over real sockets: the original client's recorded requests, and what it must hear.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use accounting::UnixMs;
use compute::auth::SKEW_MAX_S;
use compute::auth::btauth;
use compute::data::{demo, write};
use compute::desk;
use compute::dsl::{Limits, lenient};
use compute::evaluate::Prepared;
use compute::evolve::founders;
use compute::key::{PublicKey, SigningKey};
use compute::quorum::{Defences, Rules};
use compute::server::{Door, Ledger, Pace, Settings};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use pool::clock::Clock;
use pool::writer::Writer;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A clock that a test sets.
#[derive(Clone)]
struct Hands(Arc<AtomicU64>);

impl Clock for Hands {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst) * 1000)
    }
}

impl Hands {
    fn set(&self, now_s: u64) {
        self.0.store(now_s, Ordering::SeqCst);
    }
}

struct Pool {
    address: SocketAddr,
    hands: Hands,
    cancel: CancellationToken,
    served: JoinHandle<()>,
    running: compute::office::Running,
    writer: Writer,
}

const T: u64 = 1_795_220_000;
const ORIGINAL: Rules = Rules::ORIGINAL;

fn settings(rules: Rules) -> impl FnOnce(Ledger) -> Settings {
    move |ledger| Settings {
        desk: desk::Settings { rules, batch: 2, ..desk::Settings::DEFAULT },
        monitor_token: Some("token".into()),
        blacklist: [key(66).public()].into(),
        founders: founders(16),
        ..common::settings(ledger)
    }
}

async fn pool(folder: &Path, settings: impl FnOnce(Ledger) -> Settings, now_s: u64) -> Pool {
    let hands = Hands(Arc::new(AtomicU64::new(now_s)));
    let set = Prepared::new(&demo::classes());
    let writer = common::writer(folder);
    let settings = settings(common::ledger(&writer, folder));
    let opened = Door::open(folder, settings, set, Arc::new(hands.clone()), 7).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let served = tokio::spawn(opened.door.serve(listener, None, cancel.clone()));
    let pool = Pool { address, hands, cancel, served, running: opened.running, writer };
    // The first algorithms are evaluated by the pool itself before anybody can be given one.
    pool.until("/api/v1/monitor/summary", |summary| {
        summary["open_algorithms"] == 0 && summary["awaiting_own_result"] == 0
    })
    .await;
    pool.until("/api/v1/results/sota", |sota| sota["score"].is_number()).await;
    pool
}

struct Heard {
    status: u16,
    retry_after: Option<String>,
    body: Value,
}

impl Pool {
    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Heard {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driven = tokio::spawn(connection);
        let mut request = hyper::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let retry = response.headers().get("retry-after");
        let retry_after = retry.map(|value| value.to_str().unwrap().to_owned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        driven.abort();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Heard { status, retry_after, body }
    }

    async fn signed(&self, who: u8, method: &str, target: &str, body: Value) -> Heard {
        let now_s = self.hands.0.load(Ordering::SeqCst);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, target, &sign(who, now_s, &format!("auth:{now_s}")), &body).await
    }

    async fn post(&self, who: u8, target: &str, body: Value) -> Heard {
        self.signed(who, "POST", &format!("/api/v1/{target}"), body).await
    }

    /// Asks again until it is so: the pool's own evaluations run beside the requests.
    async fn until(&self, target: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let token = [("x-monitor-token".to_owned(), "token".to_owned())];
        for _ in 0..2000 {
            let heard = self.send("GET", target, &token, "").await;
            if is_so(&heard.body) {
                return heard.body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{target} did not become what was awaited");
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.served.await.unwrap();
        tokio::task::spawn_blocking(|| self.running.join()).await.unwrap();
        common::end(self.writer).await;
    }
}

fn key(who: u8) -> SigningKey {
    SigningKey::from_seed(&[who; 32])
}

fn sign(who: u8, now_s: u64, message: &str) -> Vec<(String, String)> {
    let key = key(who);
    [
        ("x-key", key.public().to_string()),
        ("x-timestamp", now_s.to_string()),
        ("x-signature", key.sign(message.as_bytes()).to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn program(n: u32) -> String {
    format!("# predict\ns2 = {n}.0\nv1 = v0 * s2\ns0 = norm(v1)\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_clients_recorded_requests_are_all_answered_200() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = include_str!("fixtures/bitsota_client_requests.jsonl");
    let requests: Vec<Value> =
        recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let signed_at = |request: &Value| -> u64 {
        request["headers"]["x-timestamp"].as_str().unwrap().parse().unwrap()
    };
    let pool = pool(folder.path(), settings(ORIGINAL), signed_at(&requests[0])).await;
    // Somebody else's algorithms, so that there is always something to evaluate.
    for n in 0..80u32 {
        let who = 100 + u8::try_from(n % 50).unwrap();
        let lease = pool.post(who, "tasks/request", json!({"task_type": "evolve"})).await;
        assert_eq!(lease.status, 200, "{}", lease.body);
        let target = format!("tasks/{}/submit_evolution", lease.body["batch_id"].as_str().unwrap());
        let sent = json!({"evolved_function": program(n + 3), "parent_functions": []});
        assert_eq!(pool.post(who, &target, sent).await.status, 200);
    }

    let mut lease = Value::Null;
    for request in &requests {
        pool.hands.set(signed_at(request));
        let headers: Vec<(String, String)> = request["headers"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| name.starts_with("x-") || *name == "content-type")
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let (mut path, mut body) = (
            request["path"].as_str().unwrap().to_owned(),
            request["body"].as_str().unwrap().to_owned(),
        );
        // The client answers what it was given: names and numbers are this pool's.
        if path.contains("/submit_") {
            let end = path.rsplit('/').next().unwrap().to_owned();
            let id = lease["batch_id"].as_str().or(lease["lease_id"].as_str()).unwrap();
            path = format!("/api/v1/tasks/{id}/{end}");
            let given = lease["algorithms"].as_array().or(lease["evaluate_algorithms"].as_array());
            let mut sent: Value = serde_json::from_str(&body).unwrap();
            if let Some(evaluations) = sent.get_mut("evaluations").and_then(Value::as_array_mut) {
                for (item, algorithm) in evaluations.iter_mut().zip(given.unwrap()) {
                    item["algorithm_id"] = algorithm["id"].clone();
                }
            }
            body = sent.to_string();
        }
        let method = request["method"].as_str().unwrap();
        let heard = pool.send(method, &path, &headers, &body).await;
        assert_eq!(heard.status, 200, "{path} {body}: {}", heard.body);
        if path.ends_with("/request") || path.ends_with("/lease") {
            lease = heard.body;
            let listed = lease["algorithms"].as_array().or(lease["seed_algorithms"].as_array());
            for algorithm in listed.unwrap() {
                assert!(algorithm["id"].is_u64() && algorithm["input_dim"] == 16, "{algorithm}");
                assert!(algorithm["algorithm_dsl"].is_string());
            }
        }
        // The same bytes again are a replay.
        let again = pool.send(method, &path, &headers, &body).await;
        assert_eq!(again.status, 401);
    }
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_again_and_others_are_not_held_up() {
    let folder = tempfile::tempdir().unwrap();
    let pace = Pace { per_key: 8, per_address: 0 };
    let slow = move |ledger| Settings { pace, ..settings(ORIGINAL)(ledger) };
    let pool = pool(folder.path(), slow, T).await;
    let register = |who| pool.post(who, "miners/register", json!({}));
    assert_eq!((register(1).await.status, register(1).await.status), (200, 200));
    let refused = register(1).await;
    assert_eq!((refused.status, refused.retry_after.as_deref()), (429, Some("8")));
    assert_eq!(register(2).await.status, 200);
    pool.hands.set(T + 8);
    assert_eq!(register(1).await.status, 200);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_in_the_words_the_clients_know() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), settings(ORIGINAL), T).await;
    let detail = |heard: &Heard| heard.body["detail"].as_str().unwrap_or_default().to_owned();

    let nothing = pool.post(1, "tasks/request", json!({"task_type": "evaluate"})).await;
    assert_eq!((nothing.status, nothing.retry_after.as_deref()), (404, Some("10")));
    assert!(detail(&nothing).contains("No tasks available"));

    let lease = pool.post(1, "tasks/request", json!({"task_type": "evolve"})).await.body;
    let second = pool.post(1, "tasks/lease", Value::Null).await;
    assert_eq!((second.status, detail(&second).as_str()), (400, "Miner already has active task"));

    let foreign = format!("tasks/{}/submit_evolution", lease["batch_id"].as_str().unwrap());
    let theirs = pool.post(2, &foreign, json!({"evolved_function": program(1)})).await;
    assert_eq!(theirs.status, 404);
    assert!(detail(&theirs).contains("Active lease assignment not found"));
    let unknown = pool.post(2, "tasks/b99999/submit_evaluation", json!({"evaluations": []})).await;
    assert_eq!(unknown.status, 404);

    let garbage = pool.post(1, &foreign, json!({"evaluations": 5})).await;
    assert_eq!(garbage.status, 422, "and the lease is still theirs");
    let sent = json!({"evolved_function": program(1), "parent_functions": [{"id": 1}]});
    let taken = pool.post(1, &foreign, sent.clone()).await;
    assert_eq!((taken.status, &taken.body["repeated"]), (200, &json!(false)));
    let again = pool.post(1, &foreign, sent).await;
    assert_eq!((again.status, &again.body["repeated"]), (200, &json!(true)));

    let verify = pool.post(1, "results/verify/1", Value::Null).await;
    assert_eq!(verify.status, 403);
    let unsigned = pool.send("POST", "/api/v1/miners/register", &[], "{}").await;
    assert_eq!(unsigned.status, 401);
    let stale = sign(1, T - SKEW_MAX_S - 1, &format!("auth:{}", T - SKEW_MAX_S - 1));
    let stale = pool.send("POST", "/api/v1/miners/register", &stale, "{}").await;
    assert_eq!(stale.status, 401);
    assert!(detail(&stale).contains(&T.to_string()), "the server's time: {}", detail(&stale));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_evaluations_are_believed_and_an_epoch_pays_them() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), settings(ORIGINAL), T).await;
    let lease = pool.post(1, "tasks/lease", json!({"eval_batch_size": 0})).await.body;
    assert_eq!(lease["evolve_budget"], 1);
    let target = format!("tasks/{}/submit_lease", lease["lease_id"].as_str().unwrap());
    let sent =
        json!({"evaluations": [], "evolutions": [{"algorithm_dsl": program(5)}], "iterations": 3});
    let taken = pool.post(1, &target, sent).await.body;
    assert_eq!(taken["evolutions"][0]["status"], "accepted");
    for (who, score) in [(2, 0.92), (3, 0.5), (4, 0.91)] {
        let batch = pool.post(who, "tasks/request", json!({"task_type": "evaluate"})).await.body;
        let id = &batch["algorithms"][0]["id"];
        assert_eq!(id, &taken["evolutions"][0]["algorithm_id"]);
        let target = format!("tasks/{}/submit_evaluation", batch["batch_id"].as_str().unwrap());
        let sent = json!({"evaluations": [{"algorithm_id": id, "score": score}]});
        // Until the last vote is in, nobody sees any.
        let stats = pool.signed(2, "GET", "/api/v1/miners/stats", Value::Null).await.body;
        assert!(stats["votes"].as_array().is_none_or(Vec::is_empty), "{stats}");
        let results = pool.signed(who, "GET", "/api/v1/results", Value::Null).await.body;
        let rows = results["results"].as_array().unwrap();
        let own = id.to_string();
        assert!(rows.iter().all(|row| row["result_id"].as_str() != Some(&own)), "{results}");
        assert_eq!(pool.post(who, &target, sent).await.status, 200);
    }
    let stats = pool.signed(3, "GET", "/api/v1/miners/stats", Value::Null).await.body;
    let vote = &stats["votes"][0];
    assert_eq!(
        (&vote["in_consensus"], &vote["score"], &vote["median"], &vote["evaluators"]),
        (&json!(false), &json!(0.5), &json!(0.91), &json!(3))
    );
    let board = pool.send("GET", "/api/v1/miners/leaderboard", &[], "").await.body;
    assert_eq!(board["leaderboard"][0]["hotkey"], key(1).public().to_string());
    assert_eq!(board["leaderboard"][0]["reputation"], "1.820000");

    let number = T / 3600;
    pool.hands.set((number + 1) * 3600 + 2);
    let epoch = format!("/claims/epoch/{number}");
    let closed = pool.until(&epoch, |closed| closed["report"].is_object()).await;
    let report: compute::epoch::Report = serde_json::from_value(closed["report"].clone()).unwrap();
    assert!(report.recomputes());
    assert_eq!(report.lines.len(), 3);
    let own: PublicKey = closed["public_key"].as_str().unwrap().parse().unwrap();
    let signature = closed["signature"].as_str().unwrap().parse().unwrap();
    assert!(own.signed(report.message().as_bytes(), &signature));
    let proof = pool.send("GET", &format!("{epoch}/proof/{}", key(2).public()), &[], "").await.body;
    assert_eq!((&proof["root"], &proof["leaves"]), (&json!(report.root), &json!(3)));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_is_not_withdrawn_in_the_words_of_the_documents() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), settings(ORIGINAL), T).await;
    let withdraw = format!("rewards/withdraw/{}", key(1).public());
    let others = pool.post(2, &withdraw, json!({})).await;
    assert_eq!(others.status, 403, "{}", others.body);
    let never = pool.post(1, &withdraw, json!({})).await;
    assert_eq!((never.status, &never.body["detail"]), (400, &json!("nothing was earned yet")));
    let lease = pool.post(1, "tasks/request", json!({"task_type": "evolve"})).await.body;
    let target = format!("tasks/{}/submit_evolution", lease["batch_id"].as_str().unwrap());
    pool.post(1, &target, json!({"evolved_function": program(5)})).await;
    for who in 2..=4 {
        let batch = pool.post(who, "tasks/request", json!({"task_type": "evaluate"})).await.body;
        let target = format!("tasks/{}/submit_evaluation", batch["batch_id"].as_str().unwrap());
        let vote = json!({"algorithm_id": batch["algorithms"][0]["id"], "score": 0.9});
        assert_eq!(pool.post(who, &target, json!({ "evaluations": [vote] })).await.status, 200);
    }
    let coldkey = key(50).public().to_string();
    let body = json!({ "recipient_coldkey": coldkey }).to_string();
    let signed = sign(1, T, &format!("recipient_coldkey:update:{T}:{coldkey}"));
    assert_eq!(
        pool.send("PUT", "/api/v1/miners/recipient-coldkey", &signed, &body).await.status,
        200
    );
    // The ledger hears of the coldkey within a moment; what is earned is in an epoch that is not over.
    let mut said = String::new();
    for _ in 0..1000 {
        let refused = pool.post(1, &withdraw, json!({})).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        said = refused.body["detail"].as_str().unwrap().to_owned();
        if said.starts_with("below") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(said, "below minimum withdrawal: 0 of 5000000 smallest units");
    let balance = format!("/api/v1/rewards/{}/balance", key(1).public());
    let balance = pool.signed(1, "GET", &balance, Value::Null).await.body;
    assert_eq!((&balance["balance_rao"], &balance["can_withdraw"]), (&json!(0), &json!(false)));
    assert_eq!(balance["pending_rao"], 50_000_000, "at most the ceiling: {balance}");
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_winner_is_computed_by_the_pool_before_it_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let defences = Defences { probation: 0, checks_per_thousand: 0, ..Defences::ALL };
    let pool = pool(folder.path(), settings(Rules { defences, ..ORIGINAL }), T).await;
    let lease = pool.post(1, "tasks/request", json!({"task_type": "evolve"})).await.body;
    let target = format!("tasks/{}/submit_evolution", lease["batch_id"].as_str().unwrap());
    let text = program(5);
    pool.post(1, &target, json!({"evolved_function": text})).await;
    for who in 2..=4 {
        let batch = pool.post(who, "tasks/request", json!({"task_type": "evaluate"})).await.body;
        let target = format!("tasks/{}/submit_evaluation", batch["batch_id"].as_str().unwrap());
        let id = &batch["algorithms"][0]["id"];
        let sent = json!({"evaluations": [{"algorithm_id": id, "score": 0.99}]});
        assert_eq!(pool.post(who, &target, sent).await.status, 200);
    }
    pool.until("/api/v1/monitor/summary", |summary| summary["open_algorithms"] == 0).await;
    let program = lenient::read(&text, 16, &Limits::POOL).unwrap().program;
    let own = Prepared::new(&demo::classes()).evaluate(&program).unwrap().score.to_f64();
    let results = pool.signed(2, "GET", "/api/v1/results?limit=50", Value::Null).await.body;
    let rows = results["results"].as_array().unwrap();
    let theirs = rows.iter().find(|row| row["miner_hotkey"].is_string()).unwrap();
    assert_eq!((&theirs["score"], &theirs["verified"]), (&json!(own), &json!(true)));
    let stats = pool.signed(2, "GET", "/api/v1/miners/stats", Value::Null).await.body;
    assert_eq!((&stats["failed_checks"], &stats["reputation"]), (&json!(1), &json!("0.000000")));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coldkey_needs_its_own_message_and_a_changed_one_waits() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), settings(ORIGINAL), T).await;
    let (first, second) = (key(50).public().to_string(), key(51).public().to_string());
    let target = "/api/v1/miners/recipient-coldkey";
    let body = json!({"recipient_coldkey": first}).to_string();
    let replayed = pool.send("PUT", target, &sign(1, T, &format!("auth:{T}")), &body).await;
    assert_eq!(replayed.status, 401, "a request's signature moves no money");
    let message = |coldkey: &str| format!("recipient_coldkey:update:{T}:{coldkey}");
    let named = pool.send("PUT", target, &sign(1, T, &message(&first)), &body).await;
    assert_eq!((named.status, &named.body["status"]), (200, &json!("success")));
    let body = json!({"coldkey_address": second}).to_string();
    let signed = sign(1, T, &message(&second));
    let changed = pool.send("POST", "/coldkey_address/update", &signed, &body).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let shown = format!("{target}/{}", key(1).public());
    let mapping = pool.send("GET", &shown, &[], "").await.body;
    assert_eq!(mapping["recipient_coldkey"], json!(first));
    assert_eq!(mapping["pending"]["recipient_coldkey"], json!(second));
    pool.hands.set(T + 86_400);
    let mapping = pool.send("GET", &shown, &[], "").await.body;
    assert_eq!(mapping["recipient_coldkey"], json!(second));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_believed_before_a_restart_is_not_believed_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = pool(folder.path(), settings(ORIGINAL), T).await;
    // A clock ahead of ours: signed before the restart, for a time after it.
    let ahead = sign(1, T + 200, &format!("auth:{}", T + 200));
    let target = "/api/v1/miners/register";
    assert_eq!(first.send("POST", target, &ahead, "{}").await.status, 200);
    let lease = first.post(2, "tasks/request", json!({"task_type": "evolve"})).await.body;
    let unused = sign(3, T, &format!("auth:{T}"));
    first.stop().await;

    let second = pool(folder.path(), settings(ORIGINAL), T + 10).await;
    assert_eq!(second.send("POST", target, &ahead, "{}").await.status, 401);
    assert_eq!(second.send("POST", target, &unused, "{}").await.status, 401, "signed before");
    let id = lease["batch_id"].as_str().unwrap();
    let sent = json!({"evolved_function": program(5)});
    let taken = second.post(2, &format!("tasks/{id}/submit_evolution"), sent).await;
    assert_eq!(taken.status, 200, "the lease is still theirs: {}", taken.body);
    second.stop().await;
}

/// The current generation's paths, as its documents list them, and the earlier one's for rewards.
const PATHS: [&str; 36] = [
    "GET /health",
    "GET /status",
    "POST /api/v1/miners/register",
    "GET /api/v1/miners/stats",
    "GET /api/v1/miners/leaderboard",
    "PUT /api/v1/miners/recipient-coldkey",
    "POST /api/v1/miners/recipient-coldkey",
    "POST /api/v1/miners/coldkey_address/update",
    "POST /coldkey_address/update",
    "GET /api/v1/miners/recipient-coldkey",
    "GET /api/v1/miners/recipient-coldkey/{hotkey}",
    "GET /api/v1/tasks/pending_evaluations",
    "POST /api/v1/tasks/request",
    "POST /api/v1/tasks/lease",
    "POST /api/v1/tasks/{id}/submit_lease",
    "POST /api/v1/tasks/{id}/submit_evolution",
    "POST /api/v1/tasks/{id}/submit_evaluation",
    "GET /api/v1/results",
    "GET /api/v1/results/",
    "GET /api/v1/results/sota",
    "POST /api/v1/results/verify/{id}",
    "GET /api/v1/monitor/summary",
    "GET /api/v1/disclaimer",
    "GET /claims/health",
    "GET /claims/epochs",
    "GET /claims/epoch",
    "GET /claims/epoch/{id}",
    "GET /claims/epoch/{id}/proof/{hotkey}",
    "GET /claims/epoch/proof/{hotkey}",
    "GET /api/v1/rewards/balance/{hotkey}",
    "GET /api/v1/rewards/{hotkey}/balance",
    "POST /api/v1/rewards/withdraw/{hotkey}",
    "POST /api/v1/rewards/{hotkey}/withdraw",
    "GET /api/v1/rewards/history/{hotkey}",
    "GET /api/v1/rewards/{hotkey}/history",
    "GET /openapi.json",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_the_documents_is_answered_and_every_described_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), settings(ORIGINAL), T).await;
    let described = pool.send("GET", "/openapi.json", &[], "").await.body;
    let mut asked: Vec<(String, String)> = PATHS
        .iter()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    for (path, ways) in described["paths"].as_object().unwrap() {
        asked
            .extend(ways.as_object().unwrap().keys().map(|way| (way.to_uppercase(), path.clone())));
    }
    assert!(asked.len() > 60, "{}", asked.len());
    for (method, path) in asked {
        let target = path.replace("{hotkey}", &key(1).public().to_string()).replace("{id}", "b1");
        let heard = pool.send(&method, &target, &[], "").await;
        // Answered, or refused in words: a path that is not there has none.
        let is_heard = heard.status == 200 || heard.body["detail"].is_string();
        // The number of an epoch is a number.
        let is_read = heard.status == 400 && path.starts_with("/claims/epoch/{id}");
        assert!(is_heard || is_read, "{method} {target}: {} {}", heard.status, heard.body);
        let is_private = path.contains("/miners/stats")
            || path.contains("/tasks/")
            || path.contains("/rewards/");
        assert!(!is_private || heard.status == 401, "{method} {target}: {}", heard.status);
    }
    let nothing = pool.send("GET", "/api/v1/nothing", &[], "").await;
    assert_eq!((nothing.status, nothing.body), (404, Value::Null));
    // Who is refused hears it, however much they send.
    let stale = sign(1, T - 999, &format!("auth:{}", T - 999));
    let much = format!("{{\"evolved_function\": \"{}\"}}", "s0 = s0\\n".repeat(50_000));
    let refused = pool.send("POST", "/api/v1/tasks/b1/submit_evolution", &stale, &much).await;
    assert_eq!(refused.status, 401);
    assert!(refused.body["detail"].as_str().unwrap().contains("set your clock"));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn btauth_is_believed_for_its_very_request_only() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), settings(ORIGINAL), T).await;
    let own = key(9).public().to_string();
    let (target, body) = ("/api/v1/tasks/request", r#"{"task_type":"evolve"}"#);
    let signed = |nonce: u64, receiver: &str, body: &str| {
        let key = key(1);
        let (nonce, sender) = (nonce.to_string(), key.public().to_string());
        let request = btauth::Request { method: "POST", target, body: body.as_bytes() };
        let message = btauth::payload(&request, &nonce, &sender, receiver);
        let signature = format!("0x{}", key.sign(message.as_bytes()));
        [
            ("x-bittensor-version", "1".to_owned()),
            ("x-bittensor-hotkey", sender),
            ("x-bittensor-nonce", nonce),
            ("x-bittensor-signature", signature),
            ("x-bittensor-receiver", receiver.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    };
    let now = T * 1_000_000_000;
    let other = key(8).public().to_string();
    for (headers, status) in [
        (signed(now + 1, &own, "another body"), 401),
        (signed(now + 2, &other, body), 401),
        (signed(now - 11_000_000_000, &own, body), 401),
        (signed(now + 3_000_000_000, &own, body), 401),
        (signed(now + 3, &own, body), 200),
    ] {
        assert_eq!(pool.send("POST", target, &headers, body).await.status, status);
        assert_eq!(pool.send("POST", target, &headers, body).await.status, 401, "again");
    }
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_another_data_set_is_told_before_it_computes() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), settings(ORIGINAL), T).await;
    let other = pool.post(1, "tasks/lease", json!({"data_hash": "00"})).await;
    assert_eq!(other.status, 409);
    assert!(!write(&demo::classes()).is_empty());
    let own = demo::classes().hash().to_string();
    let asked = json!({"data_hash": own, "task_type": demo::CLASSES});
    assert_eq!(pool.post(1, "tasks/lease", asked).await.status, 200);
    let unknown = pool.post(2, "tasks/lease", json!({"task_type": "mnist_binary"})).await;
    assert_eq!(unknown.status, 400);
    let secret = pool.send("GET", "/api/v1/monitor/summary", &[], "").await;
    assert_eq!(secret.status, 401);
    let health = pool.send("GET", "/health", &[], "").await.body;
    assert_eq!(health["status"], "healthy");
    pool.stop().await;
}

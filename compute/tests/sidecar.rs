//! The sidecar: the original's HTTP word by word, what it refuses, what survives it, and a miner in three parts.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use common::http::{ask, ask_json};
use compute::client::driver::{self, Driver};
use compute::client::local::{self, Local};
use compute::client::{Account, ClientError, Engine, News, Tell};
use compute::data::demo;
use compute::evaluate::Prepared;
use compute::evolve::founders;
use compute::key::SigningKey;
use compute::quorum::{Defences, Rules};
use compute::server::{Door, Settings};
use compute::sidecar::Sidecar;
use pool::clock::SystemClock;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    at: SocketAddr,
    cancel: CancellationToken,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(folder: &Path, token: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, cancel) = (listener.local_addr().unwrap(), CancellationToken::new());
        let sidecar = Sidecar::open(folder, token.map(str::to_owned)).unwrap();
        let served = tokio::spawn(sidecar.serve(listener, cancel.clone()));
        Running { at, cancel, served }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.served.await.unwrap();
    }

    async fn get(&self, target: &str) -> (u16, Value) {
        let (at, target) = (self.at, target.to_owned());
        tokio::task::spawn_blocking(move || ask_json(at, "GET", &target, &Value::Null))
            .await
            .unwrap()
    }

    async fn post(&self, target: &str, body: Value) -> (u16, Value) {
        let (at, target) = (self.at, target.to_owned());
        tokio::task::spawn_blocking(move || ask_json(at, "POST", &target, &body)).await.unwrap()
    }
}

fn job(run: &str, id: &str) -> Value {
    let payload = json!({ "batch_id": "b1", "algorithms": [] });
    json!({ "run_id": run, "job_id": id, "kind": "evaluate", "payload": payload })
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_go_to_one_worker_at_a_time_and_the_first_result_counts() {
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Running::start(folder.path(), None).await;
    assert_eq!(sidecar.get("/health").await.1["status"], "ok");
    assert_eq!(sidecar.get("/state?run_id=r").await.1["status"], "idle");
    assert_eq!(sidecar.post("/jobs/enqueue", job("r", "j1")).await.0, 400, "no run yet");
    let (status, started) = sidecar.post("/runs/start", json!({ "run_id": "r" })).await;
    assert_eq!((status, &started["run_id"]), (200, &json!("r")));
    let queued = sidecar.post("/jobs/enqueue", job("r", "j1")).await;
    assert_eq!(queued, (200, json!({ "run_id": "r", "job_id": "j1", "status": "queued" })));
    assert_eq!(sidecar.post("/jobs/enqueue", job("r", "j1")).await.0, 409);
    let nothing = json!({ "run_id": "r", "job_id": "j9" });
    assert_eq!(sidecar.post("/jobs/enqueue", nothing).await.0, 400, "no kind");
    sidecar.post("/jobs/enqueue", job("r", "j2")).await;

    // A lease of a second is over; the job comes first again, as another attempt.
    let (_, first) = sidecar.get("/jobs/next?run_id=r&worker_id=a&lease_seconds=0").await;
    assert_eq!((&first["job"]["job_id"], &first["job"]["attempt"]), (&json!("j1"), &json!(1)));
    assert_eq!(first["job"]["status"], "leased");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let (_, second) = sidecar.get("/jobs/next?run_id=r&worker_id=b").await;
    assert_eq!((&second["job"]["job_id"], &second["job"]["attempt"]), (&json!("j1"), &json!(2)));
    let late = json!({"run_id": "r", "status": "ok", "worker_id": "a", "attempt": 1, "result": {"evaluations": [9]}});
    assert_eq!(sidecar.post("/jobs/j1/result", late).await.0, 409, "the first was too late");
    let result = json!({"run_id": "r", "status": "ok", "result": {"evaluations": [1]}});
    let taken = sidecar.post("/jobs/j1/result", result.clone()).await;
    assert_eq!(taken, (200, json!({ "status": "ok", "repeated": false })));
    let other = json!({"run_id": "r", "status": "ok", "result": {"evaluations": [2]}});
    let again = sidecar.post("/jobs/j1/result", other).await;
    assert_eq!(again, (200, json!({ "status": "ok", "repeated": true })), "as the original says");
    assert_eq!(sidecar.post("/jobs/no/result", result).await.0, 404);

    // Whoever asks again goes on with what it has in hand, if it says so.
    let (_, held) = sidecar.get("/jobs/next?run_id=r&worker_id=b&lease_seconds=600").await;
    let (_, resumed) = sidecar.get("/jobs/next?run_id=r&worker_id=b&resume=true").await;
    assert_eq!(held["job"]["job_id"], "j2");
    assert_eq!((&resumed["job"]["job_id"], &resumed["job"]["attempt"]), (&json!("j2"), &json!(1)));
    assert_eq!(sidecar.get("/jobs/next?run_id=r&worker_id=b").await.0, 204);
    let failed = json!({"run_id": "r", "status": "error", "error": "too hot"});
    sidecar.post("/jobs/j2/result", failed).await;
    sidecar.stop().await;

    // A restart forgets nothing.
    let sidecar = Running::start(folder.path(), None).await;
    let (_, page) = sidecar.get("/jobs/results?run_id=r&cursor=0&limit=1").await;
    assert_eq!(page["items"][0]["result"], json!({ "evaluations": [1] }));
    assert_eq!((&page["cursor"], &page["items"][0]["status"]), (&json!(1), &json!("completed")));
    let (_, page) = sidecar.get("/jobs/results?run_id=r&cursor=1").await;
    assert_eq!(
        (&page["items"][0]["status"], &page["items"][0]["error"]),
        (&json!("failed"), &json!("too hot"))
    );
    sidecar
        .post("/submission_result", json!({ "run_id": "r", "score": 0.5, "status": "accepted" }))
        .await;
    sidecar.post("/submission_result", json!({ "run_id": "r", "status": "refused" })).await;
    sidecar.post("/set_global_sota", json!({ "run_id": "r", "value": 0.9 })).await;
    let events = json!({ "run_id": "r", "events": [
        { "type": "log", "message": "hello" }, { "type": "candidate", "score": 0.6 },
        { "type": "population", "size": 8 }, { "type": "progress", "generation": 3 } ] });
    assert_eq!(
        sidecar.post("/ingest_batch", events).await.1,
        json!({ "status": "ok", "received": 4 })
    );
    let (_, logs) = sidecar.get("/logs?run_id=r").await;
    assert_eq!(
        (logs["items"].as_array().unwrap().len(), &logs["items"][0]["message"]),
        (2, &json!("hello"))
    );
    assert_eq!(sidecar.get("/populations?run_id=r").await.1["items"][0]["size"], 8);
    let (_, state) = sidecar.get("/state").await;
    for (name, value) in [
        ("run_id", json!("r")),
        ("successful_submissions", json!(1)),
        ("global_sota", json!(0.9)),
        ("best_candidate_score", json!(0.6)),
        ("completed_jobs", json!(1)),
        ("queued_jobs", json!(0)),
    ] {
        assert_eq!(state[name], value, "{name}: {state}");
    }
    sidecar.post("/runs/start", json!({ "run_id": "r", "replace": true })).await;
    assert_eq!(sidecar.get("/state").await.1["completed_jobs"], 0, "begun anew");
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_and_programs_without_the_token_are_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Running::start(folder.path(), Some("secret")).await;
    let at = sidecar.at;
    let asked = tokio::task::spawn_blocking(move || {
        let ask = |headers: &[&str]| ask(at, "POST", "/ingest_batch", headers, "{}").0;
        let own = format!("Origin: http://{at}");
        [
            ask(&["X-Sidecar-Token: secret", "Origin: http://evil.example"]),
            ask(&["X-Sidecar-Token: secret", "Host: evil.example"]),
            ask(&[]),
            ask(&["X-Sidecar-Token: secre"]),
            ask(&["Authorization: Bearer secret"]),
            ask(&["X-Sidecar-Token: secret", &own]),
        ]
    });
    // The last two come in, and are told that there is no run.
    assert_eq!(asked.await.unwrap(), [403, 403, 401, 401, 400, 400]);
    let (tell, cancel) = (Arc::new(|_| {}), CancellationToken::new());
    let config = local_config(sidecar.at, None);
    let worker = Local::new(config, engine(&folder.path().join("w"), tell, &cancel)).unwrap();
    let ended = worker.work().await;
    assert!(matches!(&ended, Err(ClientError::Refused(why)) if why.contains("token")), "{ended:?}");
    sidecar.stop().await;
}

fn local_config(sidecar: SocketAddr, token: Option<&str>) -> local::Config {
    local::Config {
        sidecar: format!("http://{sidecar}"),
        token: token.map(str::to_owned),
        run: None,
        worker: "one & only".into(),
    }
}

fn engine(folder: &Path, tell: Tell, cancel: &CancellationToken) -> Engine {
    let set = Arc::new(Prepared::new(&demo::classes()));
    Engine { set, generations: 5, folder: folder.to_owned(), tell, cancel: cancel.clone() }
}

fn heard() -> (Tell, mpsc::UnboundedReceiver<News>) {
    let (tell, news) = mpsc::unbounded_channel();
    (Arc::new(move |heard| tell.send(heard).unwrap_or_default()), news)
}

async fn until(news: &mut mpsc::UnboundedReceiver<News>, is_it: fn(&News) -> bool, times: usize) {
    let mut left = times;
    while left > 0 {
        left -= usize::from(is_it(&news.recv().await.expect("it works")));
    }
}

/// Driver, sidecar and worker; each of the three is stopped and started while work is in hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_miner_in_three_parts_goes_on_after_any_of_them_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let writer = common::writer(folder.path());
    let defences = Defences { checks_per_thousand: 1000, probation: 0, ..Defences::ALL };
    let usual = common::settings(common::ledger(&writer, folder.path()));
    let settings = Settings {
        desk: compute::desk::Settings {
            rules: Rules { defences, ..Rules::ORIGINAL },
            ..compute::desk::Settings::DEFAULT
        },
        founders: founders(16),
        ..usual
    };
    let set = Prepared::new(&demo::classes());
    let opened = Door::open(folder.path(), settings, set, Arc::new(SystemClock), 7).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = format!("http://{}", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let served = tokio::spawn(opened.door.serve(listener, None, cancel.clone()));

    let key = SigningKey::from_seed(&[3; 32]);
    let own = |name: &str| folder.path().join(name);
    std::fs::create_dir(own("sidecar")).unwrap();
    let mut sidecar = Running::start(&own("sidecar"), Some("t")).await;
    let answered: fn(&News) -> bool = |news| matches!(news, News::Answered(_));
    let leased: fn(&News) -> bool = |news| matches!(news, News::Leased { .. });
    let mut leases = Vec::new();
    // First the driver is stopped with a lease in hand, then the worker with a job, then the sidecar between them.
    for (round, driver_stops, worker_stops) in
        [(0, leased, leased), (1, answered, leased), (2, answered, answered)]
    {
        let (tell, mut driver_news) = heard();
        let config = driver::Config {
            account: Account::new(&pool, key.clone()).unwrap(),
            sidecar: format!("http://{}", sidecar.at),
            token: Some("t".into()),
            run: "a run".into(),
            task: None,
            batch: 4,
            folder: own("driver"),
        };
        let driving = CancellationToken::new();
        let driver = Driver::new(config, tell, driving.clone()).unwrap();
        let driven = tokio::spawn(async move { driver.work().await });
        if round == 0 {
            until(&mut driver_news, driver_stops, 1).await;
        }
        let (tell, mut worker_news) = heard();
        let working = CancellationToken::new();
        let engine = engine(&own("worker"), tell, &working);
        let worker = Local::new(local_config(sidecar.at, Some("t")), engine).unwrap();
        let worked = tokio::spawn(async move { worker.work().await });
        if round > 0 {
            until(&mut worker_news, worker_stops, 1).await;
        }
        if round == 2 {
            until(&mut driver_news, driver_stops, 1).await;
        }
        driving.cancel();
        working.cancel();
        driven.await.unwrap().unwrap();
        worked.await.unwrap().unwrap();
        sidecar.stop().await;
        sidecar = Running::start(&own("sidecar"), Some("t")).await;
        leases.push(round);
    }
    sidecar.stop().await;
    cancel.cancel();
    served.await.unwrap();
    tokio::task::spawn_blocking(|| opened.running.join()).await.unwrap();
    common::end(writer).await;
    let tables =
        rusqlite::Connection::open(folder.path().join(compute::tables::FILE_NAME)).unwrap();
    let count = |state: &str| -> i64 {
        let sql = "SELECT count(*) FROM lease WHERE state = ?";
        tables.query_row(sql, [state], |row| row.get(0)).unwrap()
    };
    assert!(count("answered") >= 1);
    assert_eq!(count("expired"), 0, "no lease was lost");
    assert!(count("active") <= 1, "one at a time");
}

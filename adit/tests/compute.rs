//! Leased compute with the real binary: an hour's work becomes a confirmed withdrawal.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::ADIT;
use common::http::{Answer, ask, get};
use compute::key::SigningKey;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use testkit::{Port, Process};

struct Pool {
    folder: TempDir,
    door: Port,
    pages: Port,
    process: Option<Process>,
}

fn key(who: u8) -> SigningKey {
    SigningKey::from_seed(&[who; 32])
}

fn name(who: u8) -> String {
    key(who).public().to_string()
}

fn signed(who: u8, message: impl Fn(u64) -> String) -> [String; 3] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = key(who).sign(message(now).as_bytes());
    [
        format!("X-Key: {}", name(who)),
        format!("X-Timestamp: {now}"),
        format!("X-Signature: {signature}"),
    ]
}

impl Pool {
    fn new() -> Self {
        let pool = Pool {
            folder: tempfile::tempdir().unwrap(),
            door: Port::take(),
            pages: Port::take(),
            process: None,
        };
        let text = format!(
            r#"
data_dir = "data"

[assets.tao]
coin = "tao"
network = "local"
look_every = "300ms"

[[pools]]
name = "bitsota"
asset = "tao"
scheme = "budget"
fee_percent = 5
cap_percent = 20

[pools.compute]
listen = "{}"
budget = "1"
epoch = "10s"
monitor_token = "secret"
requests_per_minute = 0
requests_per_minute_per_address = 0
defences = {{ checks_per_thousand = 1000, probation = 0 }}

[web]
listen = "{}"
"#,
            pool.door.address(),
            pool.pages.address()
        );
        std::fs::write(pool.config(), text).unwrap();
        pool
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("adit.toml")
    }

    fn at(&self) -> SocketAddr {
        self.door.address()
    }

    fn start(&mut self) {
        let config = self.config().display().to_string();
        let arguments = ["run".to_owned(), "--config".into(), config];
        let log = self.folder.path().join("log");
        let process = Process::start(ADIT.as_ref(), &arguments, &[], &log);
        let process = self.process.insert(process);
        let (door, pages) = (self.door.address(), self.pages.address());
        testkit::wait_for("the door", || {
            if let Some(status) = process.ended() {
                panic!("the pool ended with {status}:\n{}", process.said());
            }
            let reached = |at: SocketAddr| std::net::TcpStream::connect(at).is_ok();
            (reached(door) && reached(pages)).then_some(())
        });
    }

    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let status = process.terminate();
        assert!(status.success(), "{status}:\n{}", process.said());
    }

    fn adit(&self, words: &[&str], rest: &[&str]) -> Output {
        let config = self.config();
        Command::new(ADIT).args(words).arg("--config").arg(config).args(rest).output().unwrap()
    }

    fn says(&self, words: &[&str], rest: &[&str]) -> String {
        let output = self.adit(words, rest);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (text, more) = (said(&output.stdout), said(&output.stderr));
        assert!(output.status.success(), "{words:?} {rest:?}: {text}{more}");
        text
    }

    fn signed(&self, who: u8, method: &str, path: &str, body: &str) -> Answer {
        let headers = signed(who, |now| format!("auth:{now}"));
        ask(self.at(), method, path, &headers.each_ref().map(String::as_str), body)
    }

    fn until(&self, who: u8, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        testkit::wait_for(path, || {
            let answer = self.signed(who, "GET", path, "");
            (answer.status == 200).then(|| answer.json()).filter(&is_so)
        })
    }

    /// A miner as people run one.
    fn worker(&self, who: u8) -> Process {
        let folder = self.folder.path().join(format!("miner-{who}"));
        std::fs::create_dir(&folder).unwrap();
        let hex: String = [who; 32].iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(folder.join("hotkey"), hex).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let arguments = [
            "worker".to_owned(),
            "--pool".into(),
            format!("http://{}", self.at()),
            "--key".into(),
            path("hotkey"),
            "--data".into(),
            path("work"),
            "--generations".into(),
            "5".into(),
        ];
        Process::start(ADIT.as_ref(), &arguments, &[], &folder.join("log"))
    }
}

#[test]
fn an_epochs_work_becomes_a_confirmed_withdrawal() {
    let mut pool = Pool::new();
    assert!(pool.says(&["check"], &[]).contains("this pool can start"));
    pool.start();
    let mut workers: Vec<Process> = (1..=3).map(|who| pool.worker(who)).collect();
    let rich = |balance: &Value| balance["can_withdraw"] == true;
    let balances = format!("/api/v1/rewards/balance/{}", name(1));
    pool.until(1, &balances, rich);
    for worker in &mut workers {
        assert!(worker.terminate().success(), "{}", worker.said());
    }

    // Nobody else sees it, and nothing is paid before a coldkey is named.
    assert_eq!(pool.signed(2, "GET", &balances, "").status, 403);
    let withdraw = format!("/api/v1/rewards/withdraw/{}", name(1));
    let refused = pool.signed(1, "POST", &withdraw, "{}");
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("coldkey"), "{}", refused.body);
    let coldkey = name(77);
    let headers = signed(1, |now| format!("recipient_coldkey:update:{now}:{coldkey}"));
    let body = json!({ "recipient_coldkey": coldkey }).to_string();
    let put = headers.each_ref().map(String::as_str);
    let named = ask(pool.at(), "PUT", "/api/v1/miners/recipient-coldkey", &put, &body);
    assert_eq!(named.status, 200, "{}", named.body);
    let asked = testkit::wait_for("the coldkey to count", || {
        let answer = pool.signed(1, "POST", &withdraw, "{}");
        (answer.status == 200).then(|| answer.json())
    });
    let number = asked["withdrawal_id"].as_u64().unwrap().to_string();
    let again = pool.signed(1, "POST", &withdraw, "{}");
    assert_eq!(again.status, 400, "one at a time: {}", again.body);

    // Requested, approved, sent, confirmed: each by the operator's word, and in that order.
    let hash = "ab".repeat(32);
    let early = pool.adit(&["payouts", "sent"], &[&number, "--transaction", &hash]);
    assert!(!early.status.success(), "not approved yet");
    pool.says(&["payouts", "approve"], &[&number, "--operator", "ann"]);
    let unsent = pool.adit(&["payouts", "confirmed"], &[&number]);
    assert!(!unsent.status.success(), "not sent yet");
    pool.says(&["payouts", "sent"], &[&number, "--transaction", &hash]);
    let history = format!("/api/v1/rewards/history/{}", name(1));
    let is =
        |word: &'static str| move |history: &Value| history["withdrawals"][0]["status"] == word;
    pool.until(1, &history, is("sent"));
    let cancelled = pool.adit(&["payouts", "cancel"], &[&number]);
    assert!(!cancelled.status.success(), "it is out");
    pool.says(&["payouts", "confirmed"], &[&number]);
    let told = pool.until(1, &history, is("confirmed"));
    assert_eq!(told["withdrawals"][0]["coldkey"], coldkey);
    assert_eq!(told["withdrawals"][0]["transaction"], format!("0x{hash}"));
    assert_eq!(told["withdrawals"][0]["amount_rao"], asked["amount_rao"]);

    // What failed is owed again.
    let balances = format!("/api/v1/rewards/{}/balance", name(2));
    let before = pool.until(2, &balances, rich);
    let headers = signed(2, |now| format!("recipient_coldkey:update:{now}:{coldkey}"));
    let put = headers.each_ref().map(String::as_str);
    assert_eq!(ask(pool.at(), "PUT", "/api/v1/miners/recipient-coldkey", &put, &body).status, 200);
    let withdraw = format!("/api/v1/rewards/{}/withdraw", name(2));
    let asked = testkit::wait_for("the coldkey to count", || {
        let answer = pool.signed(2, "POST", &withdraw, "{}");
        (answer.status == 200).then(|| answer.json())
    });
    let number = asked["withdrawal_id"].as_u64().unwrap().to_string();
    assert_eq!(pool.until(2, &balances, |_| true)["balance_rao"], 0);
    pool.says(&["payouts", "approve"], &[&number, "--operator", "ann"]);
    let taken = pool.adit(&["payouts", "sent"], &[&number, "--transaction", &hash]);
    assert!(!taken.status.success(), "that transaction paid another");
    pool.says(&["payouts", "sent"], &[&number, "--transaction", &"cd".repeat(32)]);
    pool.until(2, &format!("/api/v1/rewards/{}/history", name(2)), is("sent"));
    pool.says(&["payouts", "failed"], &[&number]);
    let whole = |balance: &Value| balance["balance_rao"].as_u64() >= before["balance_rao"].as_u64();
    pool.until(2, &balances, whole);

    assert!(pool.says(&["audit"], &[]).contains("PASS"));
    let status: Value = serde_json::from_str(&pool.says(&["status"], &[])).unwrap();
    assert!(status["pools"][0]["shares_accepted"].as_u64().unwrap() > 0, "{status}");
    for page in ["/", "/blocks", "/payouts", &format!("/miner/{}", name(1)), "/api/v1/pools"] {
        assert_eq!(get(pool.pages.address(), page).status, 200, "{page}");
    }
    pool.stop();
}

#[test]
fn a_paused_pool_hands_nothing_out_and_who_is_banned_is_not_heard() {
    let mut pool = Pool::new();
    pool.start();
    let lease = || pool.signed(1, "POST", "/api/v1/tasks/lease", "{}");
    testkit::wait_for("work", || (lease().status == 200).then_some(()));
    pool.says(&["pause"], &["bitsota", "--reason", "new tasks"]);
    let refused = pool.signed(2, "POST", "/api/v1/tasks/lease", "{}");
    assert_eq!((refused.status, refused.header("retry-after")), (404, Some("60")));
    assert!(refused.body.contains("new tasks"), "{}", refused.body);
    pool.says(&["resume"], &["bitsota"]);
    assert_eq!(pool.signed(2, "POST", "/api/v1/tasks/lease", "{}").status, 200);
    pool.says(&["ban"], &[&name(3), "--reason", "lies"]);
    assert_eq!(pool.signed(3, "POST", "/api/v1/tasks/lease", "{}").status, 403);
    assert_eq!(pool.signed(4, "POST", "/api/v1/miners/register", "{}").status, 200);

    // A backup has the door's tables too, and the whole goes on from it.
    let copy = pool.folder.path().join("copy");
    pool.says(&["backup"], &[&copy.display().to_string()]);
    assert!(copy.with_extension("compute").exists());
    pool.stop();
    pool.says(&["restore"], &[&copy.display().to_string()]);
    pool.start();
    let known = pool.until(4, "/api/v1/miners/stats", |_| true);
    assert_eq!(known["hotkey"], name(4), "{known}");
    assert_eq!(pool.signed(3, "POST", "/api/v1/tasks/lease", "{}").status, 403);
    pool.stop();
}

//! Leased compute with the real binary: an hour's work becomes a confirmed withdrawal.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use accounting::{AccountId, BasisPoints};
use common::ADIT;
use common::http::{Answer, ask, get};
use compute::epoch::{self, EpochNo, Tally, Terms};
use compute::key::SigningKey;
use compute::reputation::Reputation;
use compute::tables::Tables;
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

    /// Pages of a pool that paid miner 1: how to work for it, what was earned, and what became of each vote.
    fn shows_its_work(&self) {
        let at = self.pages.address();
        let page = |path: &str| {
            let answer = get(at, path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            answer.body.replace("&#x2f;", "/")
        };
        let has = |path: &str, words: &[&str]| {
            let body = page(path);
            words.iter().for_each(|words| assert!(body.contains(words), "{path}: {words}: {body}"));
        };
        let url = format!("adit worker --pool http://127.0.0.1:{} --key hotkey", self.at().port());
        has("/", &[&url, "Reputation an hour", "Who earned most", "Last epochs", "Best score"]);
        let own = format!("/miner/{}", name(1));
        has(
            &own,
            &["Votes in consensus", "Evolution success", "Your score", "Median", "Evaluators"],
        );
        has("/leaderboard", &["Votes in consensus"]);
        for path in ["/blocks", "/payouts", "/statistics", "/network", "/calculator", "/readyz"] {
            page(path);
        }
        let json = |path: &str| -> Value { serde_json::from_str(&page(path)).unwrap() };
        // The meters are read every few seconds.
        let shown = testkit::wait_for("what was earned on the meters", || {
            let shown = json("/api/v1/pools/bitsota");
            (shown["shares"].as_u64() > Some(0) && shown["miners"].as_u64() > Some(0))
                .then_some(shown)
        });
        assert_eq!(shown["measure"]["of"], "reputation", "{shown}");
        assert!(shown["leased"]["epoch"].as_u64() > Some(0), "{shown}");
        let account = json(&format!("/api/v1/accounts/{}", name(1)));
        let work = &account["leased"][0];
        assert_eq!(work["accuracy_rate"], 1.0, "{account}");
        assert!(work["votes"][0]["median"].is_number(), "{account}");
        assert_eq!(account["workers"][0]["pool"], "bitsota", "{account}");
    }

    /// One of this program's other parts, in a folder of its own.
    fn part(&self, name: &str, words: &[&str]) -> Process {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let inside = |word: &&str| match word.strip_prefix("./") {
            Some(file) => folder.join(file).display().to_string(),
            None => (*word).to_owned(),
        };
        let arguments: Vec<String> = words.iter().map(inside).collect();
        Process::start(ADIT.as_ref(), &arguments, &[], &folder.join("log"))
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
    let exported = pool.says(&["payouts", "export"], &[]);
    let row = exported.lines().find(|row| row.starts_with(&format!("{number},"))).unwrap();
    assert!(row.ends_with(&format!(",{coldkey}")), "the coldkey is paid, not the hotkey: {row}");

    // The operator's own tools can send it as these bytes, signed where the coldkey is.
    let treasury = key(88);
    let signer = treasury.public().to_string();
    let genesis = "2f".repeat(32);
    let chain = [
        "--nonce",
        "3",
        "--genesis",
        &genesis,
        "--spec-version",
        "331",
        "--transaction-version",
        "1",
        "--call",
        "5,3",
        "--signer",
        &signer,
    ];
    let written = |more: &[&str]| -> Value {
        let rest = [&[&*number], &chain[..], more].concat();
        serde_json::from_str(&pool.says(&["payouts", "extrinsic"], &rest)).unwrap()
    };
    let unsigned = written(&[]);
    assert_eq!((&unsigned["to"], &unsigned["amount_rao"]), (&json!(coldkey), &asked["amount_rao"]));
    assert!(unsigned["extrinsic"].is_null());
    let payload = bytes_of(unsigned["payload"].as_str().unwrap());
    let signature = treasury.sign(&payload).to_string();
    let done = written(&["--signature", &signature]);
    let whole = bytes_of(done["extrinsic"].as_str().unwrap());
    assert_eq!(bytes_of(done["hash"].as_str().unwrap()), compute::extrinsic::hash(&whole));
    let wrong = key(77).sign(&payload).to_string();
    let refused = [&[&*number], &chain[..], &["--signature", &wrong]].concat();
    assert!(!pool.adit(&["payouts", "extrinsic"], &refused).status.success(), "another's");

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
    pool.shows_its_work();
    pool.stop();
    forge_a_report(&pool.folder.path().join("data"));
    let audit = pool.adit(&["audit"], &["--offline"]);
    let said = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(!audit.status.success() && said.contains("FAIL"), "{said}");
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.trim_start_matches("0x");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// An operator favours somebody in a report that agrees with itself: root, sums and signature are as they should be.
fn forge_a_report(data: &std::path::Path) {
    let tables = Tables::open(data).unwrap();
    let last = tables.last_epoch().unwrap().unwrap();
    let closed = (0..=last.0).rev().find_map(|epoch| {
        let closed = tables.epoch(EpochNo(epoch)).unwrap()?;
        (closed.report.lines.len() > 1).then_some(closed)
    });
    let honest = closed.unwrap().report;
    let tallies: Vec<Tally> = honest
        .lines
        .iter()
        .enumerate()
        .map(|(at, line)| Tally {
            miner: line.miner.parse().unwrap(),
            account: AccountId(line.account),
            owner: line.owner.parse().unwrap(),
            reputation: Reputation(if at == 0 { 1 } else { line.reputation.0 }),
        })
        .collect();
    let bps = |points| BasisPoints::new(points).unwrap();
    let terms = Terms { budget: honest.budget, fee: bps(honest.fee_bps), cap: bps(honest.cap_bps) };
    let forged = epoch::close(honest.epoch, &terms, &tallies);
    forged.check().unwrap();
    let hex: String = ["00"; 32].concat();
    let seed = std::fs::read_to_string(data.parent().unwrap().join("pool.hotkey")).unwrap_or(hex);
    let bytes: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&seed.trim()[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let signature = forged.signed(&SigningKey::from_seed(&bytes.try_into().unwrap()));
    drop(tables);
    let db = rusqlite::Connection::open(data.join(compute::tables::FILE_NAME)).unwrap();
    let changed = db.execute(
        "UPDATE epoch SET report = ?, signature = ? WHERE number = ?",
        rusqlite::params![
            serde_json::to_vec(&forged).unwrap(),
            signature.bytes(),
            i64::try_from(honest.epoch.0).unwrap()
        ],
    );
    assert_eq!(changed.unwrap(), 1);
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

#[test]
fn check_says_what_is_wrong_with_certificate_axon_tasks_and_key() {
    let pool = Pool::new();
    let write =
        |name: &str, text: &str| std::fs::write(pool.folder.path().join(name), text).unwrap();
    write("pool.crt", include_str!("fixtures/pool.crt.pem"));
    write("pool.key", include_str!("fixtures/pool.key.pem"));
    write("hotkey", "no key at all");
    let good = std::fs::read_to_string(pool.config()).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let free = Port::take();
    let check = |more: &str| {
        let text = good.replace("budget = \"1\"", &format!("budget = \"1\"\n{more}"));
        write("adit.toml", &text);
        let output = pool.adit(&["check"], &[]);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let cases = [
        (true, String::new(), "the pool's hotkey will be made there"),
        (true, "tls_certificate = \"pool.crt\"\ntls_key = \"pool.key\"".into(), "TLS certificate"),
        (true, format!("axon = \"{}\"", free.address()), "is free"),
        (
            false,
            "tls_certificate = \"pool.crt\"".into(),
            "tls_certificate and tls_key come together",
        ),
        (
            false,
            "tls_certificate = \"pool.key\"\ntls_key = \"pool.key\"".into(),
            "holds no certificate",
        ),
        (false, "tls_certificate = \"pool.crt\"\ntls_key = \"gone.key\"".into(), "gone.key"),
        (false, format!("axon = \"{taken}\""), "Stop what listens there"),
        (false, format!("axon = \"{}\"", pool.at()), "an address of their own"),
        (false, "axon = \"here\"".into(), "axon"),
        (false, "set = \"gone.set\"".into(), "pools.compute.set"),
        (false, "key_file = \"hotkey\"".into(), "holds no key"),
        (false, "blacklist = [\"5nobody\"]".into(), "blacklist"),
    ];
    for (is_well, more, words) in cases {
        let (well, said) = check(&more);
        assert_eq!(well, is_well, "{more}: {said}");
        assert!(said.contains(words), "{more}: {said}");
    }
    assert!(!pool.folder.path().join("pool.hotkey").exists(), "it changes nothing");
}

#[test]
fn a_door_with_a_certificate_and_neurons_says_so_on_its_page() {
    let mut pool = Pool::new();
    let write =
        |name: &str, text: &str| std::fs::write(pool.folder.path().join(name), text).unwrap();
    write("pool.crt", include_str!("fixtures/pool.crt.pem"));
    write("pool.key", include_str!("fixtures/pool.key.pem"));
    let axon = Port::take();
    let more = format!(
        "budget = \"1\"\ntls_certificate = \"pool.crt\"\ntls_key = \"pool.key\"\naxon = \"{}\"",
        axon.address()
    );
    let good = std::fs::read_to_string(pool.config()).unwrap();
    std::fs::write(pool.config(), good.replace("budget = \"1\"", &more)).unwrap();
    pool.start();
    let page = testkit::wait_for("the pool's page", || {
        let page = get(pool.pages.address(), "/").body.replace("&#x2f;", "/");
        page.contains("adit worker").then_some(page)
    });
    for words in [
        format!("adit worker --pool https://127.0.0.1:{}", pool.at().port()),
        format!("127.0.0.1:{}", axon.number()),
    ] {
        assert!(page.contains(&words), "{words}: {page}");
    }
    let unsigned = ask(axon.address(), "POST", "/Register", &[], "{}");
    assert_eq!(unsigned.status, 401, "{}", unsigned.body);
    pool.stop();
}

/// As people watch it, for a fifth of the time.
#[test]
fn the_demo_ends_by_itself_and_cheating_did_not_pay() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["demo", "--kind", "compute", "--seconds", "25", "--data"];
    let output = Command::new(ADIT).args(words).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let outcome: Value = serde_json::from_str(said.lines().next_back().unwrap()).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(outcome["cheating_paid"], false, "{outcome}");
    assert_eq!(outcome["books_differ"], false, "{outcome}");
    assert_eq!(outcome["workers"].as_array().unwrap().len(), 5, "{outcome}");
    assert!(outcome["epochs"].as_u64() >= Some(2), "{outcome}");
    assert_eq!(outcome["epochs"], outcome["splits_recomputed"], "{outcome}");
}

/// What a process said, once it has said something with these words in it.
fn said(process: &Process, words: &str) -> String {
    testkit::wait_for(words, || {
        let all = process.said();
        all.lines().find(|line| line.contains(words)).map(str::to_owned)
    })
}

#[test]
fn a_miner_in_three_processes_computes_what_the_pool_asks() {
    let mut pool = Pool::new();
    pool.start();
    let sidecar = Port::take();
    let at = sidecar.address().to_string();
    let url = format!("http://{at}");
    let queue = ["sidecar", "--listen", &at, "--data", "./data", "--token-file", "./token"];
    let mut queue = pool.part("sidecar", &queue);
    said(&queue, "programs that have the token");
    let token = pool.folder.path().join("sidecar").join("token").display().to_string();
    let worker = [
        "worker",
        "--sidecar-url",
        &url,
        "--sidecar-token",
        &token,
        "--data",
        "./work",
        "--generations",
        "3",
    ];
    let mut worker = pool.part("compute", &worker);
    let pool_url = format!("http://{}", pool.at());
    let driver = [
        "driver",
        "--pool-url",
        &pool_url,
        "--sidecar-url",
        &url,
        "--sidecar-token",
        &token,
        "--run-id",
        "headless",
        "--duration-s",
        "3600",
        "--key",
        "./hotkey",
        "--data",
        "./work",
    ];
    let mut driver = pool.part("driver", &driver);
    let hotkey = said(&driver, "registered as");
    let hotkey = hotkey.split(' ').next_back().unwrap().to_owned();
    said(&driver, "is answered");
    let leaders = get(pool.at(), "/api/v1/miners/leaderboard");
    assert_eq!(leaders.status, 200);
    let headers = [format!("X-Sidecar-Token: {}", std::fs::read_to_string(&token).unwrap().trim())];
    let headers = headers.each_ref().map(String::as_str);
    let state = ask(sidecar.address(), "GET", "/state?run_id=headless", &headers, "").json();
    assert!(state["successful_submissions"].as_u64().unwrap() >= 1, "{state}");
    assert_eq!(get(sidecar.address(), "/state").status, 401, "not without the token");
    assert!(!worker.said().contains(&hotkey), "the worker knows no key");
    for part in [&mut driver, &mut worker, &mut queue] {
        assert!(part.terminate().success(), "{}", part.said());
    }
    // With a duration it ends by itself.
    let driver = [
        "driver",
        "--pool-url",
        &pool_url,
        "--sidecar-url",
        &url,
        "--sidecar-token",
        &token,
        "--duration-s",
        "1",
        "--key",
        "./hotkey",
        "--data",
        "./work",
    ];
    let mut short = pool.part("driver", &driver);
    testkit::wait_for("the driver's end", || short.ended().map(drop));
    pool.stop();
}

#[test]
fn a_miner_starts_and_stops_from_the_page_and_nobody_else_does() {
    let mut pool = Pool::new();
    pool.start();
    let port = Port::take();
    let (at, folder) = (port.address(), pool.folder.path().join("ui"));
    std::fs::create_dir(&folder).unwrap();
    let config = json!({ "pool_endpoint": format!("http://{}/", pool.at()) }).to_string();
    std::fs::write(folder.join("gui_config.json"), config).unwrap();
    let listen = at.to_string();
    let words = [
        "worker",
        "--ui",
        "--ui-listen",
        &listen,
        "--gui-config",
        "./gui_config.json",
        "--key",
        "./hotkey",
        "--data",
        "./work",
        "--generations",
        "3",
    ];
    let mut worker = pool.part("ui", &words);
    let address = said(&worker, "open http://");
    let token = address.split("token=").nth(1).unwrap().to_owned();
    assert_eq!(get(at, "/").status, 403);
    assert_eq!(get(at, "/?token=guess").status, 403);
    let entered = get(at, &format!("/?token={token}"));
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")));
    let cookie = entered.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let page = || ask(at, "GET", "/", &[&cookie], "").body;
    assert!(page().contains(&format!("value=\"http://{}\"", pool.at())), "{}", page());
    let form = format!("mode=pool&pool=http%3A%2F%2F{}", pool.at());
    let origin = format!("Origin: http://{at}");
    let evil = [&*cookie, "Origin: http://evil.example"];
    assert_eq!(common::http::post(at, "/start", &evil, &form).status, 403, "another site's page");
    assert_eq!(common::http::post(at, "/start", &[&origin], &form).status, 403, "without cookie");
    assert!(page().contains("action=/start"), "nothing works yet");
    let started = common::http::post(at, "/start", &[&cookie, &origin], &form);
    assert_eq!(started.status, 303);
    testkit::wait_for("an answer", || {
        let page = page();
        (page.contains("is answered") && page.contains("pending rewards")).then_some(())
    });
    common::http::post(at, "/stop", &[&cookie, &origin], "");
    testkit::wait_for("the stop", || page().contains("action=/start").then_some(()));
    assert!(page().contains("what is in hand is kept"));
    assert!(worker.terminate().success(), "{}", worker.said());
    pool.stop();
}

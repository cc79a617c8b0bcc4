//! What owners of addresses and operators make of the pages: names, registration, themes, TLS, notices, backups.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::browser::Browser;
use common::http::{ask, get};
use common::{Chain, Pool, Setup, somebody};
use pow::Algorithm;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, bitcoind};

const HASHES_PER_BLOCK: u64 = 256;

/// The private key 1 on test networks, and its P2PKH address.
const KEY: &str = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA";
const ADDRESS: &str = "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r";

/// What a port answers to somebody who introduces themselves.
fn introduced(pool: SocketAddr, user: &str) -> Value {
    let mut stream = TcpStream::connect(pool).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let line = json!({ "id": 7, "method": "mining.authorize", "params": [user, "x"] });
    writeln!(stream, "{line}").unwrap();
    let mut answers = BufReader::new(stream).lines().map_while(Result::ok);
    let own = answers.find_map(|line| {
        let answer: Value = serde_json::from_str(&line).unwrap();
        (answer["id"] == 7).then_some(answer)
    });
    own.unwrap()
}

/// Registers through the page, as a person with a wallet does.
async fn register(browser: &Browser, node: &Bitcoind, name: &str, is_public: bool) {
    browser.go(&format!("/register?address={ADDRESS}")).await;
    browser.fill("input[name=name]", name).await;
    if is_public {
        browser.click("input[name=is_public]").await;
    }
    browser.click("form.tall button").await;
    browser.until_it_says("Sign this text").await;
    let message = browser.text_of("#message").await;
    let signature = node.rpc.expect("signmessagewithprivkey", json!([KEY, message]));
    browser.fill("textarea[name=signature]", signature.as_str().unwrap()).await;
    browser.click("form.tall > div:last-child button").await;
    browser.until_it_says(ADDRESS).await;
    assert_eq!(browser.path().await, format!("/miner/{ADDRESS}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_registration_is_required_only_registered_addresses_mine_and_a_name_is_as_good() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let more = "registration = \"required\"\nurl = \"https://pool.example/\"";
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD)).with_pages(more);
    pool.start_with_pages();
    let refused = introduced(pool.port.address(), &format!("{ADDRESS}.rig"));
    assert_eq!(refused["result"], false, "{refused}");
    let why = refused["error"][1].as_str().unwrap();
    assert!(
        why.contains("not registered") && why.contains("https://pool.example/register"),
        "{why}"
    );
    let browser = Browser::open(pool.pages()).await;
    browser.go("/register").await;
    browser.until_it_says("takes registered addresses only").await;
    register(&browser, &node, "Ann-1", true).await;
    // By address, and by name.
    assert_eq!(introduced(pool.port.address(), ADDRESS)["result"], true);
    assert_eq!(introduced(pool.port.address(), "nobody-1.rig")["result"], false);
    let miner = pool.miner("ann-1.rig9", Algorithm::Sha256d, 40.0);
    miner.stats().wait_for(|stats| stats.accepted >= 3).await.unwrap();
    miner.stop().await;
    testkit::wait_for("the machine", || {
        get(pool.pages(), &format!("/miner/{ADDRESS}")).body.contains("rig9").then_some(())
    });
    browser.go("/search?q=ANN-1").await;
    let page = browser.until_it_says("rig9").await;
    assert!(page.contains(ADDRESS), "what a name earns is its address's: {page}");
    // Whoever does not want to be found is not.
    register(&browser, &node, "ann-1", false).await;
    browser.go("/search?q=ann-1").await;
    browser.until_it_says("Nothing here is called").await;
    assert_eq!(get(pool.pages(), "/miner/ann-1").status, 404);
    assert_eq!(introduced(pool.port.address(), "ann-1.rig")["result"], true);
    // And after a restart it is all still so.
    pool.stop();
    pool.start();
    assert_eq!(introduced(pool.port.address(), "ann-1.rig")["result"], true);
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_the_pages_theirs_from_a_folder() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = Pool::new(&chain.setup()).with_pages("theme = \"looks\"");
    let folder = pool.folder.path().join("looks");
    for sub in ["texts", "templates"] {
        std::fs::create_dir_all(folder.join(sub)).unwrap();
    }
    std::fs::write(folder.join("style.css"), "body { background: #123456 }").unwrap();
    std::fs::write(folder.join("logo.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    std::fs::write(folder.join("texts/terms.md"), "# House rules\n\nBe *kind*.").unwrap();
    let own = "{% extends \"base.html\" %}{% block main %}<h1>Lost in {{ site_title }}</h1>{% endblock %}";
    std::fs::write(folder.join("templates/error.html"), own).unwrap();
    pool.start_with_pages();
    let style = get(pool.pages(), "/assets/style.css").body;
    assert!(style.contains(".tiles") && style.ends_with("#123456 }"), "built in, then theirs");
    assert_eq!(
        get(pool.pages(), "/assets/logo.svg").body,
        "<svg xmlns='http://www.w3.org/2000/svg'/>"
    );
    let terms = get(pool.pages(), "/terms").body;
    assert!(terms.contains("House rules") && terms.contains("<em>kind</em>"), "{terms}");
    assert!(get(pool.pages(), "/pool/none").body.contains("Lost in Test pool"));
    pool.stop();
    // What is broken is said at the start, not on a page.
    std::fs::write(folder.join("templates/error.html"), "{% if %}").unwrap();
    let output = pool.adit(&["run"], &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("template error.html"), "{said}");
    let checked = pool.adit(&["check"], &[]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(!checked.status.success() && said.contains("web.theme"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_page_opens_over_tls_or_behind_a_named_proxy_and_metrics_are_not_for_strangers()
 {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = Pool::new(&chain.setup()).with_pages("proxies = [\"127.0.0.1\"]");
    pool.start_with_pages();
    let from = |headers: &[&str], path: &str| ask(pool.pages(), "GET", path, headers, "").status;
    let stranger = "X-Forwarded-For: 203.0.113.9";
    assert_eq!(from(&[stranger], "/operator"), 403, "the proxy was spoken to without TLS");
    assert_eq!(from(&[stranger, "X-Forwarded-Proto: https"], "/operator"), 200);
    assert_eq!(from(&[stranger], "/"), 200);
    assert_eq!(from(&[stranger], "/metrics"), 403);
    assert_eq!(from(&[stranger, "X-Forwarded-Proto: https"], "/metrics"), 403);
    pool.stop();

    let fixtures = testkit::checkout().join("adit/tests/fixtures");
    let [certificate, key] = ["pool.crt.pem", "pool.key.pem"].map(|name| fixtures.join(name));
    let more = format!("tls_certificate = {certificate:?}\ntls_key = {key:?}");
    let mut pool = Pool::new(&chain.setup()).with_pages(&more);
    pool.start();
    let pem = std::fs::read(&certificate).unwrap();
    let client = web::http::Client::believing(&pem).unwrap();
    let url = format!("https://localhost:{}", pool.pages().port());
    let page = async |path: &str| {
        let address = web::http::Address::parse(&format!("{url}{path}")).unwrap();
        let start = std::time::Instant::now();
        loop {
            match client.get(&address, 1 << 20).await {
                Ok(answer) => {
                    let text = String::from_utf8(answer.body).unwrap();
                    break (answer.status.as_u16(), text);
                }
                Err(error) => assert!(start.elapsed().as_secs() < 30, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (status, text) = page("/operator").await;
    assert!(status == 200 && text.contains("Token"), "{status} {text}");
    // And an audit from outside believes the same certificate.
    let file = certificate.to_str().unwrap();
    let words = ["audit", "--from", &url, "--certificate", file];
    let output = std::process::Command::new(common::ADIT).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    pool.stop();
}

/// A server of the operator's: gives what is posted to it, head and body.
fn hook() -> (SocketAddr, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                head.push_str(&line.to_lowercase());
                line.clear();
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            if told.send((head, serde_json::from_slice(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    (address, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_payouts_are_told_to_the_operators_webhook_once_and_signed() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let (address, heard) = hook();
    let more = format!(
        "url = \"https://pool.example\"\n[[web.notices]]\nname = \"ops\"\nkinds = [\"block-found\", \"payout-sent\"]\n\
         way = {{ type = \"webhook\", url = \"http://{address}/hook\", secret = \"s3cret\" }}"
    );
    let mut pool = Pool::new(&chain.setup()).with_pages(&more);
    pool.start();
    let miner = pool.miner(&somebody(1).0, Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(1);
    miner.stop().await;
    chain.devnet.mine_to(&devnet::nobody(), 101);
    let (mut found, mut sent) = (Vec::new(), Vec::new());
    while found.is_empty() || sent.is_empty() {
        let (head, notice) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(head.contains("x-adit-signature: t=") && head.contains(",v1="), "{head}");
        let link = notice["link"].as_str().unwrap().to_owned();
        match notice["kind"].as_str().unwrap() {
            "block-found" => found.push(link),
            "payout-sent" => sent.push(link),
            other => panic!("nobody asked for {other}"),
        }
    }
    assert!(found[0].starts_with("https://pool.example/block/"), "{found:?}");
    assert_eq!(sent, ["https://pool.example/payout/1"]);
    // A restart tells nothing again.
    pool.stop();
    let before: usize = found.len() + sent.len() + heard.try_iter().count();
    pool.start_with_pages();
    let rewards = pool.reader().rewards(1000).unwrap().len();
    std::thread::sleep(Duration::from_secs(7));
    let after = before + heard.try_iter().filter(|(_, n)| n["kind"] == "block-found").count();
    assert!(after <= rewards + 1, "{after} notices of {rewards} blocks and a payout");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_come_by_the_clock_and_one_of_them_brings_everything_back() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = Pool::new(&chain.setup())
        .with_pages("\n[backups]\nfolder = \"copies\"\nevery = \"60s\"\nkeep = 2");
    pool.start_with_pages();
    let operator = pool.says(&["web", "add-operator"], &["ann"]);
    let miner = pool.miner(&somebody(1).0, Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(1);
    miner.stop().await;
    pool.stop();
    // The first came at the start; without one, one is due at once.
    let copies = pool.folder.path().join("copies");
    std::fs::remove_dir_all(&copies).unwrap();
    pool.start_with_pages();
    testkit::wait_for("a backup", || {
        let body = get(pool.pages(), "/metrics").body;
        body.contains("backup_last_timestamp_seconds{} 1").then_some(())
    });
    let name = |file: std::fs::DirEntry| file.file_name().into_string().unwrap();
    let files: Vec<String> =
        std::fs::read_dir(&copies).unwrap().map(|file| name(file.unwrap())).collect();
    let backup = files.iter().find(|name| name.ends_with(".db")).unwrap();
    assert!(files.contains(&format!("{backup}.web")), "{files:?}");
    let rewards = pool.reader().rewards(1000).unwrap();
    pool.stop();
    std::fs::remove_dir_all(pool.store()).unwrap();
    pool.says(&["restore"], &[copies.join(backup).to_str().unwrap()]);
    assert_eq!(pool.reader().rewards(1000).unwrap(), rewards);
    pool.start_with_pages();
    let login = common::http::post(
        pool.pages(),
        "/operator/login",
        &[],
        &format!("token={}", operator.trim()),
    );
    assert_eq!(login.status, 303, "operators are in the web's part of the backup");
    pool.stop();
}

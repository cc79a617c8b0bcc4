//! The miner against a pool that is only a script.

#![allow(clippy::unwrap_used, reason = "a test")]

use miner::{Config, Miner};
use pow::{Algorithm, Difficulty};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

struct Line {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Line {
    fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Line { reader: BufReader::new(reader), writer }
    }

    async fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).await.ok()?;
        (read > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    async fn read_method(&mut self, method: &str) -> Value {
        loop {
            let message = self.read().await.unwrap();
            if message["method"] == method {
                return message;
            }
        }
    }

    async fn write(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).await.unwrap();
    }

    async fn send(&mut self, message: Value) {
        self.write(&format!("{message}\n")).await;
    }

    /// Answers the greeting; gives the subscribe's parameters.
    async fn welcome(&mut self, extranonce1: &str) -> Value {
        let subscribe = self.read_method("mining.subscribe").await;
        let authorize = self.read_method("mining.authorize").await;
        let pairs = json!([["mining.set_difficulty", "session 7"], ["mining.notify", "session 7"]]);
        self.send(
            json!({ "id": subscribe["id"], "result": [pairs, extranonce1, 4], "error": null }),
        )
        .await;
        self.send(json!({ "id": authorize["id"], "result": true, "error": null })).await;
        self.send(json!({ "id": null, "method": "mining.set_difficulty", "params": [1e-6] })).await;
        subscribe["params"].clone()
    }

    async fn notify(&mut self, job: &str) {
        let params = json!([
            job,
            "00".repeat(32),
            "0100",
            "ff",
            ["11".repeat(32)],
            "20000000",
            "1d00ffff",
            "65000000",
            true
        ]);
        self.send(json!({ "id": null, "method": "mining.notify", "params": params })).await;
    }
}

fn config(address: String) -> Config {
    Config {
        address,
        user: "addr.rig".into(),
        password: "x".into(),
        user_agent: "adit-miner/test".into(),
        algorithm: Algorithm::Sha256d.into(),
        threads: 2,
        max_hashrate: Some(200_000.0),
        tls_certificate: None,
        suggest_difficulty: None,
        version_rolling: false,
        extranonce_subscribe: false,
        patience: Duration::from_millis(500),
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Rebuilds the header of a submit and says what difficulty it has.
fn difficulty_of(submit: &Value, extranonce1: &str) -> f64 {
    let field = |at: usize| submit["params"][at].as_str().unwrap().to_owned();
    let coinbase = miner::work::unhex(&format!("0100{extranonce1}{}ff", field(2))).unwrap();
    let root = pow::sha256d::merkle_parent(&pow::sha256d::sha256d(&coinbase), &[0x11; 32]);
    let mut header = Vec::new();
    header.extend(0x2000_0000u32.to_le_bytes());
    header.extend([0u8; 32]);
    header.extend(root);
    header.extend(u32::from_str_radix(&field(3), 16).unwrap().to_le_bytes());
    header.extend(0x1d00_ffffu32.to_le_bytes());
    header.extend(u32::from_str_radix(&field(4), 16).unwrap().to_le_bytes());
    let hash = pow::sha256d::header_hash(&header.try_into().unwrap());
    Difficulty::of_target(
        pow::Target::from_be_bytes(
            hash.iter().rev().copied().collect::<Vec<_>>().try_into().unwrap(),
        ),
        Algorithm::Sha256d,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_shares_that_meet_the_difficulty_and_counts_the_answers() {
    let (listener, address) = listen().await;
    let miner = Miner::start(config(address)).unwrap();
    let mut pool = Line::new(listener.accept().await.unwrap().0);
    pool.welcome("0a0b").await;
    // Half a line, a carriage return, and garbage are all part of life.
    pool.write("{\"id\":null,\"method\":\"client.show_message\",").await;
    pool.write("\"params\":[\"hello\"]}\r\nnonsense\n").await;
    pool.notify("job 1").await;
    let mut keys = std::collections::HashSet::new();
    for n in 0..20 {
        let submit = pool.read_method("mining.submit").await;
        assert_eq!(
            (&submit["params"][0], &submit["params"][1]),
            (&json!("addr.rig"), &json!("job 1"))
        );
        assert!(difficulty_of(&submit, "0a0b") >= 1e-6);
        assert!(keys.insert(submit["params"].to_string()), "nothing is submitted twice");
        let answer = if n < 15 { json!(true) } else { Value::Null };
        let error = if n < 15 { Value::Null } else { json!([21, "Job not found", null]) };
        pool.send(json!({ "id": submit["id"], "result": answer, "error": error })).await;
    }
    let mut stats = miner.stats();
    let seen = stats
        .wait_for(|stats| stats.accepted == 15 && stats.rejected.values().sum::<u64>() == 5)
        .await
        .unwrap()
        .clone();
    assert_eq!(seen.rejected.get("21 Job not found"), Some(&5));
    assert_eq!(seen.message.as_deref(), Some("hello"));
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_changes_jobs_and_extranonces_and_comes_back_with_its_session() {
    let (listener, address) = listen().await;
    let port = listener.local_addr().unwrap().port();
    let miner = Miner::start(config(address)).unwrap();
    let mut pool = Line::new(listener.accept().await.unwrap().0);
    assert_eq!(pool.welcome("0a0b").await, json!(["adit-miner/test"]));
    pool.notify("job 1").await;
    assert_eq!(pool.read_method("mining.submit").await["params"][1], "job 1");
    pool.send(json!({ "id": null, "method": "mining.set_extranonce", "params": ["0c0d0e", 4] }))
        .await;
    pool.notify("job 2").await;
    let submit = loop {
        let submit = pool.read_method("mining.submit").await;
        if submit["params"][1] == "job 2" {
            break submit;
        }
    };
    assert!(difficulty_of(&submit, "0c0d0e") >= 1e-6);
    // Asked to come back, it does, and says who it was.
    pool.send(json!({ "id": null, "method": "client.reconnect", "params": ["", port, 0] })).await;
    let mut second = Line::new(listener.accept().await.unwrap().0);
    assert_eq!(second.welcome("0f0f").await, json!(["adit-miner/test", "session 7"]));
    second.notify("job 3").await;
    let submit = second.read_method("mining.submit").await;
    assert_eq!(submit["params"][1], "job 3");
    // Cut off, it comes back as well.
    drop(second);
    let mut third = Line::new(listener.accept().await.unwrap().0);
    third.welcome("0f10").await;
    assert_eq!(miner.stats().borrow().connections, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_not_there_is_waited_for() {
    let (listener, address) = listen().await;
    drop(listener);
    let miner = Miner::start(config(address.clone())).unwrap();
    let mut stats = miner.stats();
    stats.wait_for(|stats| stats.trouble.is_some()).await.unwrap();
    let listener = TcpListener::bind(&address).await.unwrap();
    let mut pool = Line::new(listener.accept().await.unwrap().0);
    pool.welcome("00").await;
    stats.wait_for(|stats| stats.authorized && stats.trouble.is_none()).await.unwrap();
}

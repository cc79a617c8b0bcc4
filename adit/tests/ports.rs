//! Real ports of the real binary: TLS and plain text on one of them, and who stands behind a PROXY header.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::{Chain, EASY_PORT, Pool, somebody};
use miner::{Config, Miner};
use pow::Algorithm;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

const SUBSCRIBE: &[u8] = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A pool whose port has these settings besides.
fn pool_with(chain: &Chain, port: &str) -> Pool {
    let mut setup = chain.setup();
    setup.port = format!("{EASY_PORT}{port}");
    let mut pool = Pool::new(&setup);
    for name in ["pool.crt.pem", "pool.key.pem"] {
        std::fs::copy(fixture(name), pool.folder.path().join(name)).unwrap();
    }
    pool.start();
    pool
}

fn accepted(pool: &Pool, at_least: u64) {
    pool.wait("shares", |status| {
        (status["pools"][0]["shares_accepted"].as_u64()? >= at_least).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn miners_with_and_without_tls_are_told_apart_on_one_port() {
    let chain = Chain::with_hashes_per_block(1 << 30);
    let mut pool =
        pool_with(&chain, "tls_certificate = \"pool.crt.pem\"\ntls_key = \"pool.key.pem\"\n");
    let encrypted = Miner::start(Config {
        address: pool.port.address().to_string(),
        user: somebody(1).0,
        password: "x".into(),
        user_agent: "adit-test".into(),
        algorithm: Algorithm::Sha256d.into(),
        threads: 1,
        max_hashrate: Some(400.0),
        tls_certificate: Some(fixture("pool.crt.pem")),
        suggest_difficulty: None,
        version_rolling: true,
        extranonce_subscribe: true,
        patience: Duration::from_millis(500),
    })
    .unwrap();
    accepted(&pool, 3);
    encrypted.stop().await;
    let plain = pool.miner(&somebody(2).0, Algorithm::Sha256d, 400.0);
    let earners = || {
        let reader = pool.reader();
        let sql = "SELECT count(DISTINCT account) FROM shares";
        reader.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    testkit::wait_for("shares of both", || (earners() == 2).then_some(()));
    plain.stop().await;
    pool.stop();
}

/// A connection that begins with these bytes; what it is answered, `None` when it is closed instead.
fn say(address: SocketAddr, first: &[u8]) -> (TcpStream, Option<String>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&[first, SUBSCRIBE].concat()).unwrap();
    let mut line = String::new();
    let read = BufReader::new(stream.try_clone().unwrap()).take(10_000).read_line(&mut line);
    let answer = read.ok().filter(|count| *count > 0).map(|_| line);
    (stream, answer)
}

/// Version 2, naming an IPv4 client.
fn version_2(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([client, [127, 0, 0, 1]].concat());
    header.extend([0x15, 0xb3, 0x0d, 0x05]);
    header
}

#[test]
fn a_proxy_header_of_either_version_names_the_client_whose_connections_are_counted() {
    let chain = Chain::with_hashes_per_block(1 << 30);
    let mut pool = pool_with(
        &chain,
        "proxy_protocol = true\nmax_connections_per_address = 1\n\
         tls_certificate = \"pool.crt.pem\"\ntls_key = \"pool.key.pem\"\n",
    );
    let at = pool.port.address();
    let version_1 = b"PROXY TCP4 203.0.113.7 127.0.0.1 5555 3333\r\n";
    let (first, answer) = say(at, version_1);
    assert!(answer.unwrap().contains("mining.notify"));
    let (_, answer) = say(at, &version_2([203, 0, 113, 7]));
    assert_eq!(answer, None, "the same client, however it is named");
    let (_second, answer) = say(at, &version_2([203, 0, 113, 8]));
    assert!(answer.is_some(), "another client through the same proxy");
    let (_, answer) = say(at, b"");
    assert_eq!(answer, None, "anybody could say who they are");
    drop(first);
    testkit::wait_for("the seat to be free", || say(at, &version_2([203, 0, 113, 7])).1.map(drop));
    pool.stop();
}

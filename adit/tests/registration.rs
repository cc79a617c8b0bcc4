//! What registering gives: a name that is nobody else's for ever, and letters to those who said that they reach them.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::http::{Answer, get, post};
use common::{Pool, Setup};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, bitcoind};

/// A private key on test networks, and its P2PKH address.
fn owner(n: u8) -> (String, String) {
    let secret = bitcoin::secp256k1::SecretKey::from_slice(&[n; 32]).unwrap();
    let key = bitcoin::PrivateKey::new(secret, bitcoin::Network::Regtest);
    let public = key.public_key(&bitcoin::secp256k1::Secp256k1::new());
    (key.to_wif(), bitcoin::Address::p2pkh(public, bitcoin::Network::Regtest).to_string())
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let byte = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    let pair = |(name, value): &(&str, &str)| {
        format!("{name}={}", value.bytes().map(byte).collect::<String>())
    };
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// What stands between two marks of a page.
fn between<'a>(page: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(before)?;
    rest.split_once(after).map(|(text, _)| text)
}

/// Both steps of the form, as the owner of the key.
fn register(pool: &Pool, node: &Bitcoind, n: u8, wish: &[(&str, &str)]) -> Answer {
    let (key, address) = owner(n);
    let mut fields = vec![("address", address.as_str())];
    fields.extend(wish);
    let page = post(pool.pages(), "/register", &[], &encoded(&fields));
    let Some(message) = between(&page.body, "<code id=\"message\">", "</code>") else {
        return page;
    };
    let made_at = between(&page.body, "name=\"made_at\" value=\"", "\"").unwrap();
    let message = message.replace("&#x27;", "'").replace("&#39;", "'");
    let signature = node.rpc.expect("signmessagewithprivkey", json!([key, message]));
    fields.extend([("made_at", made_at), ("signature", signature.as_str().unwrap())]);
    post(pool.pages(), "/register", &[], &encoded(&fields))
}

/// Introduces a machine; gives the answer.
fn introduced(port: SocketAddr, user: &str) -> Value {
    let mut stream = TcpStream::connect(port).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let line = json!({ "id": 7, "method": "mining.authorize", "params": [user, "x"] });
    writeln!(stream, "{line}").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let own = lines.find_map(|line| {
        let answer: Value = serde_json::from_str(&line).unwrap();
        (answer["id"] == 7).then_some(answer)
    });
    own.unwrap()
}

/// A mail server that takes everything; gives each letter.
fn mailbox() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let say = |text: &str| (&stream).write_all(format!("{text}\r\n").as_bytes());
            say("220 here").unwrap();
            while let Some(line) = lines.next() {
                let answer = match line.split(' ').next().unwrap() {
                    "DATA" => {
                        say("354 go on").unwrap();
                        let letter: Vec<String> =
                            lines.by_ref().take_while(|line| line != ".").collect();
                        let text = letter.join("\n").replace("=\n", "").replace("=3D", "=");
                        if told.send(text).is_err() {
                            return;
                        }
                        "250 taken"
                    }
                    "QUIT" => "221 bye",
                    _ => "250 well",
                };
                if say(answer).is_err() || answer.starts_with("221") {
                    break;
                }
            }
        }
    });
    (port, heard)
}

fn machine_of(pool: &Pool, address: &str) -> bool {
    get(pool.pages(), &format!("/miner/{address}")).body.contains("rig7")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_stays_its_owners_whatever_becomes_of_the_registration() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD)).with_pages("");
    pool.start_with_pages();
    let (_, ann) = owner(1);
    assert_eq!(register(&pool, &node, 1, &[("name", "Ann-1")]).status, 303);
    let taken = register(&pool, &node, 2, &[("name", "ann-1")]);
    assert!(
        taken.status == 422 && taken.body.contains("somebody else is called"),
        "{}",
        taken.body
    );
    // Not shown any more, and the pages' database lost: her machines mine for her all the same.
    assert_eq!(register(&pool, &node, 1, &[("name", "")]).status, 303);
    pool.stop();
    for file in ["web.sqlite", "web.sqlite-wal", "web.sqlite-shm"] {
        drop(std::fs::remove_file(pool.store().join(file)));
    }
    pool.start_with_pages();
    assert_eq!(register(&pool, &node, 2, &[("name", "ANN-1")]).status, 422);
    let miner = pool.miner("ann-1.rig7", pow::Algorithm::Sha256d, 40.0);
    miner.stats().wait_for(|stats| stats.accepted >= 1).await.unwrap();
    miner.stop().await;
    testkit::wait_for("her machine", || machine_of(&pool, &ann).then_some(()));
    // Names are for ever, so there are not many of them.
    assert_eq!(register(&pool, &node, 1, &[("name", "Ann-2")]).status, 303);
    assert_eq!(register(&pool, &node, 1, &[("name", "Ann-3")]).status, 303);
    let fourth = register(&pool, &node, 1, &[("name", "Ann-4")]);
    assert!(fourth.body.contains("at most 3 names"), "{}", fourth.body);
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_whose_jobs_pay_the_finder_does_not_tell_whose_a_name_is() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let setup = Setup::bitcoin(node.address(), USER, PASSWORD).scheme("solo");
    let mut pool = Pool::new(&setup).with_pages("");
    pool.start_with_pages();
    assert_eq!(register(&pool, &node, 1, &[("name", "Ann-1")]).status, 303);
    let answer = introduced(pool.port.address(), "ann-1.rig");
    assert_eq!(answer["result"], false);
    assert!(answer["error"][1].as_str().unwrap().contains("mine by your address"), "{answer}");
    let by_address = introduced(pool.port.address(), &format!("{}.rig", owner(1).1));
    assert_eq!(by_address["result"], true, "{by_address}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_come_once_their_reader_said_that_they_do() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let (port, letters) = mailbox();
    let more = format!(
        "url = \"https://pool.example\"\n[[web.notices]]\nname = \"mail\"\n\
         way = {{ type = \"smtp\", host = \"127.0.0.1\", port = {port}, security = \"none\", from = \"pool@example.org\" }}"
    );
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD)).with_pages(&more);
    pool.start_with_pages();
    let wish = [("email", "ann@example.org"), ("payout_sent", "yes")];
    for wrong in ["ann@example..org", "a..b@example.org", "ann@example.org,bob@example.org"] {
        let answer = register(&pool, &node, 1, &[("email", wrong)]);
        assert!(answer.body.contains("no e-mail address"), "{wrong}: {}", answer.body);
    }
    assert_eq!(register(&pool, &node, 1, &wish).status, 303);
    let letter = letters.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(
        letter.contains("ann@example.org") && letter.contains("Is this your e-mail"),
        "{letter}"
    );
    let code = between(&letter, "https://pool.example/register/confirm/", "\n").unwrap();
    let code: String = code.chars().take_while(char::is_ascii_hexdigit).collect();
    let path = format!("/register/confirm/{code}");
    // Looking is not saying.
    assert!(get(pool.pages(), &path).body.contains("They reach me"));
    assert!(get(pool.pages(), &path).body.contains("They reach me"));
    let wrong = post(pool.pages(), "/register/confirm/00", &[], "");
    assert!(wrong.body.contains("Nothing waits"), "{}", wrong.body);
    // Registering again asks nobody a second time that day.
    assert_eq!(register(&pool, &node, 1, &wish).status, 303);
    assert!(post(pool.pages(), &path, &[], "").body.contains("Thank you"));
    assert!(post(pool.pages(), &path, &[], "").body.contains("Nothing waits"));
    assert!(letters.try_recv().is_err(), "one letter");
    pool.stop();
}

//! A plain HTTP client: one request a connection, everything as it came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends a request with these header lines.
pub fn ask(to: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub fn get(to: SocketAddr, path: &str) -> Answer {
    ask(to, "GET", path, &[], "")
}

/// Sends a form.
pub fn post(to: SocketAddr, path: &str, headers: &[&str], form: &str) -> Answer {
    let mut all = vec!["Content-Type: application/x-www-form-urlencoded"];
    all.extend(headers);
    ask(to, "POST", path, &all, form)
}

/// Audits the pool whose pages are there, with nothing else; gives what was printed, errors too.
pub fn audit(pages: SocketAddr, more: &[&str]) -> String {
    audit_with(pages, more, "p")
}

/// The same, with a node's password.
pub fn audit_with(pages: SocketAddr, more: &[&str], password: &str) -> String {
    let output = Command::new(super::ADIT)
        .args(["audit", "--from", &format!("http://{pages}")])
        .args(more)
        .env("ADIT_NODE_PASSWORD", password)
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert_eq!(output.status.success(), said[0].contains("\nPASS:"), "{said:?}");
    said.concat()
}

/// A server before the pages that changes what they say; it ends with the test.
pub fn liar(
    pages: SocketAddr,
    lie: impl Fn(&str, String) -> String + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let Some(first) = lines.next() else { continue };
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
            let answer = get(pages, &path);
            // What it refuses ("too many") is told as it is.
            let body = if answer.status == 200 { lie(&path, answer.body) } else { answer.body };
            let (status, length) = (answer.status, body.len());
            let text = format!("HTTP/1.1 {status} .\r\nContent-Length: {length}\r\n\r\n{body}");
            drop((&stream).write_all(text.as_bytes()));
        }
    });
    address
}

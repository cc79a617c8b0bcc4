//! One request over one connection, for tests that look at what stands on the wire.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Asks, with these headers beside `Host`; gives the status and the body.
pub fn ask(
    at: SocketAddr,
    method: &str,
    target: &str,
    headers: &[&str],
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    let host = match headers.iter().any(|header| header.starts_with("Host:")) {
        true => String::new(),
        false => format!("Host: {at}\r\n"),
    };
    let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\n{host}{lines}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status, body.unwrap_or_default())
}

/// Asks and reads the answer as JSON.
pub fn ask_json(at: SocketAddr, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, text) = ask(at, method, target, &["Content-Type: application/json"], &body);
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

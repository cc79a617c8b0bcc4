//! A small blocking JSON-RPC client: a second opinion beside the pool's own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A node's answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    /// Its number; 0 when there was no answer.
    pub code: i64,
    /// What it says.
    pub message: String,
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Where a node listens, and who asks.
#[derive(Debug, Clone)]
pub struct Rpc {
    address: SocketAddr,
    authorization: String,
    path: String,
}

impl Rpc {
    /// A node's RPC.
    #[must_use]
    pub fn new(address: SocketAddr, user: &str, password: &str) -> Self {
        let authorization = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
        Rpc { address, authorization, path: "/".into() }
    }

    /// The same node's RPC of one wallet.
    #[must_use]
    pub fn wallet(&self, name: &str) -> Self {
        Rpc { path: format!("/wallet/{name}"), ..self.clone() }
    }

    /// Calls a method.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    pub fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let gone =
            |error: std::io::Error| RpcError { code: 0, message: format!("{method}: {error}") };
        let body =
            json!({ "jsonrpc": "1.0", "id": 1, "method": method, "params": params }).to_string();
        let text = self.post(&body).map_err(gone)?;
        let wrong = || RpcError { code: 0, message: format!("{method}: not an answer: {text}") };
        let answer = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let mut answer: Value = serde_json::from_str(answer).map_err(|_| wrong())?;
        match answer.get("error") {
            Some(Value::Null) | None => Ok(answer["result"].take()),
            Some(error) => Err(RpcError {
                code: error["code"].as_i64().unwrap_or(0),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Calls a method that cannot fail here.
    ///
    /// # Panics
    /// When it does.
    #[must_use]
    pub fn expect(&self, method: &str, params: Value) -> Value {
        self.call(method, params.clone())
            .unwrap_or_else(|error| panic!("{method}{params}: {error}"))
    }

    /// Sends a body; gives the whole answer, headers and all.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn post(&self, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.path,
            self.address,
            self.authorization,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

//! JSON-RPC as the GXC node reads it: the whole request in one write, and a connection for each.
//!
//! Invariant: what the node could only misread is never sent; "nobody knows whether it heard" is never mixed with "no".

use crate::rpc::RpcError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The node reads so many bytes of a request, head and body, and misreads longer ones.
pub const REQUEST_MAX: usize = 8191;
/// The largest answer that is read.
const ANSWER_MAX: u64 = 64 << 20;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may take.
const CALL: Duration = Duration::from_secs(30);

/// A node, by its host and port. It should be on the same machine, or behind a relay there: a longer way may cut a request in two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    address: String,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// The request as it goes over the wire, in one piece.
#[must_use]
pub fn request(address: &str, method: &str, params: &Value) -> String {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl Node {
    /// A node at `host:port`.
    #[must_use]
    pub fn at(address: &str) -> Self {
        Node { address: address.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Calls a method.
    ///
    /// # Errors
    /// See [`RpcError`]; a request that the node would misread is refused here.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, RpcError> {
        let request = request(&self.address, method, &params);
        if request.len() > REQUEST_MAX {
            return Err(RpcError::Refused {
                code: 0,
                message: format!(
                    "a request of {} bytes was not sent: the node reads {REQUEST_MAX} at most",
                    request.len()
                ),
            });
        }
        let exchange = tokio::time::timeout(CALL, self.exchange(request.as_bytes()));
        let bytes =
            exchange.await.map_err(|_| unknown(format!("none within {} s", CALL.as_secs())))??;
        read(&bytes)
    }

    async fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, RpcError> {
        let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(&self.address));
        let connected =
            connecting.await.map_err(|_| unknown(format!("{} does not answer", self.address)))?;
        let mut stream = connected.map_err(|error| {
            unknown(format!(
                "{} cannot be reached: {error}; is the GXC node running?",
                self.address
            ))
        })?;
        let lost = |error: std::io::Error| unknown(error.to_string());
        stream.write_all(request).await.map_err(lost)?;
        let mut bytes = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut bytes).await.map_err(lost)?;
        Ok(bytes)
    }
}

fn unknown(why: String) -> RpcError {
    RpcError::Unknown(why)
}

/// Reads an answer. The node says HTTP 200 whatever happened.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RpcError> {
    let text = String::from_utf8_lossy(bytes);
    let Some((_, body)) = text.split_once("\r\n\r\n") else {
        return Err(unknown("the connection ended before the answer".into()));
    };
    let reply: Reply<'_> = serde_json::from_str(body)
        .map_err(|error| unknown(format!("no answer to read: {error}")))?;
    if let Some(Failure { code, message }) = reply.error {
        return Err(RpcError::Refused { code, message });
    }
    let result = reply.result.map_or("null", RawValue::get);
    serde_json::from_str(result)
        .map_err(|error| unknown(format!("another answer than expected: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn a_no_is_told_from_an_answer_that_did_not_come() {
        let ok: Result<u64, _> = read(&http(r#"{"jsonrpc":"2.0","id":1,"result":7}"#));
        assert_eq!(ok, Ok(7));
        let taken: Result<Option<String>, _> =
            read(&http(r#"{"jsonrpc":"2.0","id":1,"result":null}"#));
        assert_eq!(taken, Ok(None));
        let no: Result<u64, _> = read(&http(
            r#"{"id":1,"error":{"code":-32603,"message":"Failed to submit block: Stale block"}}"#,
        ));
        assert!(matches!(no, Err(RpcError::Refused { code: -32603, .. })), "{no:?}");
        for cut in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n{\"resu"]
        {
            let lost: Result<u64, _> = read(cut.as_bytes());
            assert!(matches!(lost, Err(RpcError::Unknown(_))), "{cut}: {lost:?}");
        }
    }
}

//! JSON-RPC to a node over HTTP/1.1.
//!
//! Invariant: an error says which kind it is. The node said no, or nobody knows whether it heard: the two are never mixed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, body::Bytes};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;

/// The largest answer read: a full block as hex with all its JSON.
const ANSWER_MAX: usize = 64 << 20;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an ordinary call may take.
pub const CALL: Duration = Duration::from_secs(30);

/// How to prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// User and password.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: String,
    },
    /// The cookie file that the node writes at each start.
    Cookie(PathBuf),
    /// Nobody asks.
    None,
}

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port.
    pub address: String,
    /// Path after it, such as `/wallet/pool`.
    pub path: String,
    /// Who we are.
    pub auth: Auth,
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The node answered with an error: it heard us and says no.
    #[error("the node says: {message} (code {code})")]
    Refused {
        /// The RPC error code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// The node does not accept who we are.
    #[error(
        "the node refuses our user and password (HTTP {0}); check rpc user, password or cookie file"
    )]
    Unauthorized(u16),
    /// Nobody knows whether the node heard us.
    #[error("no answer from the node: {0}")]
    Unknown(String),
}

impl RpcError {
    /// The RPC error code, if the node answered with one.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match self {
            RpcError::Refused { code, .. } => Some(*code),
            RpcError::Unauthorized(_) | RpcError::Unknown(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// A node's RPC; keeps one connection open while it is used.
pub struct Rpc {
    endpoint: Endpoint,
    version: &'static str,
    sender: Option<http1::SendRequest<Full<Bytes>>>,
}

impl Rpc {
    /// A client that connects when first used.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Rpc { endpoint, version: "1.0", sender: None }
    }

    /// The same for nodes that insist on version 2.0 of JSON-RPC.
    #[must_use]
    pub fn v2(endpoint: Endpoint) -> Self {
        Rpc { version: "2.0", ..Rpc::new(endpoint) }
    }

    /// Where it connects to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Calls a method; the result is handed over as JSON text.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn call_raw(
        &mut self,
        method: &str,
        params: &str,
        limit: Duration,
    ) -> Result<String, RpcError> {
        let version = self.version;
        let body = format!(
            r#"{{"jsonrpc":"{version}","id":"adit","method":"{method}","params":{params}}}"#
        );
        match tokio::time::timeout(limit, self.exchange(body)).await {
            Ok(Ok((status, answer))) => read_answer(status, &answer),
            Ok(Err(error)) => {
                self.sender = None;
                Err(RpcError::Unknown(error))
            }
            Err(_) => {
                self.sender = None;
                Err(RpcError::Unknown(format!(
                    "{} did not answer {method} in {} s",
                    self.endpoint.address,
                    limit.as_secs()
                )))
            }
        }
    }

    /// Calls a method and reads its result.
    ///
    /// # Errors
    /// See [`RpcError`]; a result of another shape than expected is [`RpcError::Unknown`].
    pub async fn call<T: serde::de::DeserializeOwned>(
        &mut self,
        method: &str,
        params: serde_json::Value,
    ) -> Result<T, RpcError> {
        let text = self.call_raw(method, &params.to_string(), CALL).await?;
        serde_json::from_str(&text).map_err(|error| {
            RpcError::Unknown(format!("{method} answered something else: {error}"))
        })
    }

    async fn exchange(&mut self, body: String) -> Result<(StatusCode, Bytes), String> {
        let request = self.request(body).await?;
        // A kept connection may have been closed meanwhile: that is noticed before anything is sent, and opened anew.
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.sender = Some(self.connect().await?);
        }
        let Some(sender) = &mut self.sender else { return Err("not connected".into()) };
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX)
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    }

    async fn request(&self, body: String) -> Result<Request<Full<Bytes>>, String> {
        let credentials = match &self.endpoint.auth {
            Auth::None => None,
            Auth::Basic { user, password } => Some(format!("{user}:{password}")),
            Auth::Cookie(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text =
                    text.map_err(|error| format!("cookie file {}: {error}", path.display()))?;
                Some(text.trim().to_owned())
            }
        };
        let path = if self.endpoint.path.is_empty() { "/" } else { &self.endpoint.path };
        let mut request = Request::post(path)
            .header("host", &self.endpoint.address)
            .header("content-type", "application/json");
        if let Some(credentials) = credentials {
            let encoded = format!("Basic {}", BASE64.encode(&credentials));
            request = request.header("authorization", encoded);
        }
        request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
    }

    async fn connect(&self) -> Result<http1::SendRequest<Full<Bytes>>, String> {
        let address = &self.endpoint.address;
        let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
        let stream = connecting
            .map_err(|_| format!("{address} does not answer"))?
            .map_err(|error| format!("{address}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a node's connection ended");
            }
        });
        Ok(sender)
    }
}

fn read_answer(status: StatusCode, body: &[u8]) -> Result<String, RpcError> {
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        return Err(RpcError::Unauthorized(status.as_u16()));
    }
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(|error| {
        RpcError::Unknown(format!("HTTP {status} with something that is no JSON-RPC: {error}"))
    })?;
    match (reply.error, reply.result) {
        (Some(ReplyError { code, message }), _) => Err(RpcError::Refused { code, message }),
        (None, Some(result)) => Ok(result.get().to_owned()),
        (None, None) => Ok("null".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_and_an_unknown_answer_are_told_apart() {
        let ok = StatusCode::OK;
        assert_eq!(read_answer(ok, br#"{"result":null,"error":null}"#), Ok("null".into()));
        assert_eq!(
            read_answer(ok, br#"{"result":{"a":1},"error":null,"id":1}"#),
            Ok("{\"a\":1}".into())
        );
        let refused = read_answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            br#"{"result":null,"error":{"code":-8,"message":"no"}}"#,
        );
        assert_eq!(refused, Err(RpcError::Refused { code: -8, message: "no".into() }));
        assert!(matches!(
            read_answer(StatusCode::BAD_GATEWAY, b"<html>"),
            Err(RpcError::Unknown(_))
        ));
        assert!(matches!(
            read_answer(StatusCode::UNAUTHORIZED, b""),
            Err(RpcError::Unauthorized(401))
        ));
    }
}

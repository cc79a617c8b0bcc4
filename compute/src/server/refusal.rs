//! What a client is told when nothing was done: `detail` in words, and when to come again.
//!
//! Invariant: every refusal says what to do.

use crate::desk::Reject;
use crate::office::Closed;
use crate::wire::bitsota::{BadBody, status_of};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A refusal as clients read it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub detail: String,
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    pub fn new(status: StatusCode, detail: impl std::fmt::Display) -> Self {
        Refusal { status, detail: detail.to_string(), retry_after_s: None }
    }
}

/// Somebody asks too often.
pub(super) fn too_often(who: &str, retry_after_s: u64) -> Refusal {
    let detail = format!("too many requests of this {who}: ask again in {retry_after_s} s");
    let status = StatusCode::TOO_MANY_REQUESTS;
    Refusal { status, detail, retry_after_s: Some(retry_after_s) }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Refusals are what a flood is answered with: no more than the bytes of one object.
        let detail = serde_json::to_string(&self.detail).unwrap_or_default();
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let body = format!("{{\"detail\":{detail}}}");
        let mut response = (self.status, json, body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        let (status, retry_after_s) = status_of(&reject);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Refusal { status, detail: reject.to_string(), retry_after_s }
    }
}

impl From<Closed> for Refusal {
    fn from(closed: Closed) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Refusal { status, detail: closed.to_string(), retry_after_s: Some(5) }
    }
}

impl From<BadBody> for Refusal {
    fn from(bad: BadBody) -> Self {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, bad)
    }
}
